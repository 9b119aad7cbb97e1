//! An access-log format: written once as text with `$context` variables, run for every request.
//!
//! A format that begins with `{` must be JSON once its variables are filled, and then every
//! line is one JSON document, whatever a client sends: a variable inside a string is escaped, one
//! outside is written as a number, a quoted string or `null`. Any other format is text, in which
//! quotes, backslashes and controls are escaped, so that no value ends its line. It never cuts a
//! line in the middle of its frame: long values give way (see [`Format::write`]).

use super::{
    TimeText,
    escape::{self, Escaping},
    field::{self, Field, Value},
    record::Record,
};
use crate::bounds;
use std::{
    fmt,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    ops::Range,
    time::Duration,
};

/// The format where none is written: one JSON document a line. Absent values are `null`.
pub const JSON: &str = concat!(
    r#"{"time":$context.sluice.time,"request_id":$context.requestId,"#,
    r#""source_ip":$context.identity.sourceIp,"method":$context.httpMethod,"#,
    r#""host":$context.sluice.host,"path":$context.path,"query":$context.sluice.query,"#,
    r#""protocol":$context.protocol,"status":$context.status,"latency":$context.sluice.latency,"#,
    r#""integration_latency":$context.sluice.integrationLatency,"#,
    r#""integration_status":$context.integrationStatus,"#,
    r#""request_bytes":$context.sluice.requestBytes,"#,
    r#""response_bytes":$context.sluice.responseBytes,"#,
    r#""api":$context.apiId,"stage":$context.stage,"route":$context.routeKey,"#,
    r#""upstream":$context.sluice.upstream,"endpoint":$context.sluice.endpoint,"#,
    r#""attempts":$context.sluice.attempts,"error":$context.error.responseType,"#,
    r#""user_agent":$context.identity.userAgent,"referer":$context.sluice.referer,"#,
    r#""generation":$context.sluice.generation}"#,
);

/// What stands before every variable's name.
const PREFIX: &str = "context.";

/// Bytes that a literal is copied by.
const LITERAL_BLOCK: usize = 32;

/// A compiled format. Immutable; part of the snapshot.
#[derive(Debug, Clone)]
pub struct Format {
    /// All literal text, one behind the other; ends in a newline and then one block of nothing,
    /// so that a block can be read from the beginning of every literal.
    text: Box<[u8]>,
    pieces: Box<[Piece]>,
    /// The part of `text` after the last variable.
    tail: Range<usize>,
}

/// A literal and the variable after it.
#[derive(Debug, Clone)]
struct Piece {
    before: Range<usize>,
    field: Field,
    place: Place,
    /// Bytes that the rest of the line is sure of: values before may not take them.
    reserve: usize,
}

/// Where a variable stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a format that is no JSON.
    Text,
    /// In JSON, inside a string.
    JsonString,
    /// In JSON, where a value is expected.
    JsonValue,
}

/// What is wrong with a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatMistake {
    /// There is nothing in it.
    Empty,
    /// It is longer than [`bounds::LOG_FORMAT_BYTES_MAX`].
    TooLong,
    /// It has more variables than [`bounds::LOG_FORMAT_FIELDS_MAX`].
    VariablesTooMany,
    /// `$` and a name that is no variable.
    VariableUnknown,
    /// It begins as JSON and is none.
    JsonMalformed,
}

/// A format that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// The byte of the text where the mistake stands.
    pub at: usize,
    /// The mistake.
    pub what: FormatMistake,
    /// The known variable (without `$context.`) that was probably meant.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            FormatMistake::Empty => write!(f, "the format is empty")?,
            FormatMistake::TooLong => write!(
                f,
                "the format is longer than {} bytes",
                bounds::LOG_FORMAT_BYTES_MAX
            )?,
            FormatMistake::VariablesTooMany => write!(
                f,
                "the format has more than {} variables",
                bounds::LOG_FORMAT_FIELDS_MAX
            )?,
            FormatMistake::VariableUnknown => write!(f, "unknown variable at byte {}", self.at)?,
            FormatMistake::JsonMalformed => write!(
                f,
                "the format begins as JSON but is not JSON at byte {}",
                self.at
            )?,
        }
        match self.nearest {
            Some(name) => write!(f, "; did you mean `$context.{name}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FormatError {}

impl Format {
    /// The default: [`JSON`].
    pub fn json() -> Self {
        Self::parse(JSON).expect("the default format is tested")
    }

    /// Compiles a format.
    ///
    /// White space at the end is left out, and a newline inside becomes a space: a record is one
    /// line. `$` before anything but a letter stands for itself.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let source = text.trim_end();
        let mistake = |at, what| FormatError {
            at,
            what,
            nearest: None,
        };
        if source.is_empty() {
            return Err(mistake(0, FormatMistake::Empty));
        }
        if source.len() > bounds::LOG_FORMAT_BYTES_MAX {
            let at = bounds::LOG_FORMAT_BYTES_MAX;
            return Err(mistake(at, FormatMistake::TooLong));
        }
        let mut draft = Draft::new(source);
        let mut at = 0;
        while let Some(place) = next_variable(source, at) {
            draft.literal(&source[at..place.start]);
            if draft.pieces.len() == bounds::LOG_FORMAT_FIELDS_MAX {
                return Err(mistake(place.start, FormatMistake::VariablesTooMany));
            }
            at = place.end;
            let field = variable(&source[place.clone()]).map_err(|nearest| FormatError {
                nearest,
                ..mistake(place.start, FormatMistake::VariableUnknown)
            })?;
            draft.variable(field, at);
        }
        draft.literal(&source[at..]);
        draft.finish(source.len())
    }

    /// Appends the line of `record`, newline included, to `out`.
    ///
    /// A line has at most [`bounds::LOG_LINE_BYTES_MAX`] bytes: a value too long for what is left
    /// is cut, and every variable is sure of [`bounds::LOG_VALUE_BYTES_MIN`] bytes. Cost: no
    /// allocation once `out` has room; each second the texts of `time` anew. Bench:
    /// `observe/json_line`.
    pub fn write(&self, out: &mut Vec<u8>, record: &Record<'_>, time: &mut TimeText) {
        let end = out.len() + bounds::LOG_LINE_BYTES_MAX;
        for piece in &self.pieces {
            self.literal(out, &piece.before);
            let value = piece.field.value(record);
            piece.place.write(out, value, time, end - piece.reserve);
        }
        self.literal(out, &self.tail);
    }

    /// Appends a literal. Most are shorter than a block, and a copy of fixed length is two moves
    /// where one of variable length is a call; what is too much is taken off again.
    #[inline]
    fn literal(&self, out: &mut Vec<u8>, range: &Range<usize>) {
        match self.text[range.start..].first_chunk::<LITERAL_BLOCK>() {
            Some(block) if range.len() <= LITERAL_BLOCK => {
                let end = out.len() + range.len();
                out.extend_from_slice(block);
                out.truncate(end);
            }
            _ => out.extend_from_slice(&self.text[range.clone()]),
        }
    }
}

impl Place {
    /// Appends one value; `out` grows no longer than `end`.
    #[inline]
    fn write(self, out: &mut Vec<u8>, value: Value<'_>, time: &mut TimeText, end: usize) {
        match value {
            Value::Absent if self == Self::JsonValue => out.extend_from_slice(b"null"),
            Value::Absent => out.push(b'-'),
            Value::Number(n) => number(out, n),
            Value::Seconds(time) => seconds(out, time),
            Value::Text(text) => match self {
                Self::Text => escape::push(out, text, Escaping::Text, end),
                Self::JsonString => escape::push(out, text, Escaping::Json, end),
                Self::JsonValue => {
                    out.push(b'"');
                    escape::push(out, text, Escaping::Json, end - 1);
                    out.push(b'"');
                }
            },
            Value::Ip(address) => self.quoted(out, |out| ip(out, address)),
            Value::Endpoint(address) => self.quoted(out, |out| endpoint(out, address)),
            Value::TimeRfc3339(at) => {
                self.quoted(out, |out| out.extend_from_slice(time.rfc3339(at)));
            }
            Value::TimeClf(at) => self.quoted(out, |out| out.extend_from_slice(time.clf(at))),
        }
    }

    /// Text that needs no escaping.
    #[inline]
    fn quoted(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self == Self::JsonValue {
            out.push(b'"');
            write(out);
            out.push(b'"');
        } else {
            write(out);
        }
    }
}

#[inline]
fn number(out: &mut Vec<u8>, n: u64) {
    if n < 10 {
        out.push(b'0' + n as u8);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
}

/// Seconds with six decimals: cut, not rounded, so that parts never add up to more than the whole.
fn seconds(out: &mut Vec<u8>, time: Duration) {
    number(out, time.as_secs());
    // A million more, for the zeros in front; its digit gives way to the point.
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(1_000_000 + time.subsec_micros());
    let mut decimals = [0; 7];
    decimals.copy_from_slice(digits.as_bytes());
    decimals[0] = b'.';
    out.extend_from_slice(&decimals);
}

fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => {
            write!(out, "{address}").expect("writing to a Vec does not fail");
        }
    }
}

fn endpoint(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => ip(out, (*address.ip()).into()),
        // The scope is left out: it is a number of this machine.
        SocketAddr::V6(address) => {
            out.push(b'[');
            ip(out, (*address.ip()).into());
            out.push(b']');
        }
    }
    out.push(b':');
    number(out, u64::from(address.port()));
}

/// The first `$` with a letter after it, from byte `from` on, and the dotted name that follows it.
fn next_variable(source: &str, from: usize) -> Option<Range<usize>> {
    let bytes = source.as_bytes();
    let start = memchr::memchr_iter(b'$', &bytes[from..])
        .map(|at| from + at)
        .find(|at| bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic))?;
    Some(start..start + 1 + name_len(&source[start + 1..]))
}

/// The field of a variable, `$` included.
fn variable(text: &str) -> Result<Field, Option<&'static str>> {
    let name = &text[1..];
    match name.strip_prefix(PREFIX) {
        Some(name) => Field::named(name).ok_or_else(|| field::nearest(name)),
        // `$requestId`, or `$contxt.requestId`.
        None => Err(field::nearest(name).or_else(|| {
            name.split_once('.')
                .and_then(|(_, name)| field::nearest(name))
        })),
    }
}

/// Bytes of the dotted name at the beginning of `text`. A dot belongs to it only before a letter
/// or digit, and a hyphen only where the end of the name is free (a header's name), so that
/// `$context.stage-$context.path.` reads as two variables.
fn name_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_free = text.strip_prefix(PREFIX).is_some_and(|name| {
        let mut prefixes = field::PARAMETRIC.iter();
        prefixes.any(|prefix| name.starts_with(prefix))
    });
    let is_word = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    (0..bytes.len())
        .find(|&at| {
            let joins = bytes[at] == b'.' || (is_free && bytes[at] == b'-');
            !(is_word(at) || (joins && is_word(at + 1)))
        })
        .unwrap_or(bytes.len())
}

/// A format that is being compiled.
struct Draft {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    /// Where the literal that follows the last variable begins in `text`.
    literal: usize,
    json: Option<JsonDraft>,
}

/// What is needed to know where in a JSON text a variable stands, and whether it is JSON.
#[derive(Default)]
struct JsonDraft {
    /// The text with a stand-in for each variable.
    sample: String,
    is_string: bool,
    is_escape: bool,
    /// For each stand-in: where it ends in `sample`, and where its variable ends in the source.
    ends: Vec<(usize, usize)>,
}

impl Draft {
    fn new(source: &str) -> Self {
        // `[` begins no JSON here: a line like `[$context.requestTime] ...` is the common case.
        let is_json = source.trim_start().starts_with('{');
        Self {
            text: Vec::with_capacity(source.len()),
            pieces: Vec::new(),
            literal: 0,
            json: is_json.then(JsonDraft::default),
        }
    }

    fn literal(&mut self, text: &str) {
        let one_line = text.replace(['\n', '\r'], " ");
        if let Some(json) = &mut self.json {
            json.literal(&one_line);
        }
        self.text.extend_from_slice(one_line.as_bytes());
    }

    /// `end` is where the variable ends in the source.
    fn variable(&mut self, field: Field, end: usize) {
        let place = match &mut self.json {
            Some(json) => json.variable(end),
            None => Place::Text,
        };
        self.pieces.push(Piece {
            before: self.literal..self.text.len(),
            field,
            place,
            reserve: 0,
        });
        self.literal = self.text.len();
    }

    /// `end` is where the source ends.
    fn finish(mut self, end: usize) -> Result<Format, FormatError> {
        if let Some(json) = &self.json {
            json.check(end)?;
        }
        self.text.push(b'\n');
        let tail = self.literal..self.text.len();
        self.text.extend_from_slice(&[0; LITERAL_BLOCK]);
        let mut reserve = tail.len();
        for piece in self.pieces.iter_mut().rev() {
            piece.reserve = reserve;
            reserve += piece.before.len() + bounds::LOG_VALUE_BYTES_MIN;
        }
        Ok(Format {
            text: self.text.into(),
            pieces: self.pieces.into(),
            tail,
        })
    }
}

impl JsonDraft {
    fn literal(&mut self, text: &str) {
        for byte in text.bytes() {
            let is_escaped = std::mem::take(&mut self.is_escape);
            match byte {
                b'"' if !is_escaped => self.is_string = !self.is_string,
                b'\\' if self.is_string && !is_escaped => self.is_escape = true,
                _ => {}
            }
        }
        self.sample.push_str(text);
    }

    fn variable(&mut self, end: usize) -> Place {
        let (stand_in, place) = if self.is_string {
            ("x", Place::JsonString)
        } else {
            ("null", Place::JsonValue)
        };
        self.sample.push_str(stand_in);
        self.ends.push((self.sample.len(), end));
        place
    }

    /// Whether the lines will be JSON: all values are written as one of the kinds that the
    /// stand-ins stand for.
    fn check(&self, end: usize) -> Result<(), FormatError> {
        let Err(error) = serde_json::from_str::<serde_json::Value>(&self.sample) else {
            return Ok(());
        };
        let at = error.column().saturating_sub(1);
        let before = self.ends.iter().rev().find(|(sample, _)| *sample <= at);
        let (sample, source) = before.copied().unwrap_or_default();
        Err(FormatError {
            at: if error.is_eof() {
                end
            } else {
                source + (at - sample)
            },
            what: FormatMistake::JsonMalformed,
            nearest: None,
        })
    }
}

#[cfg(test)]
mod tests;
