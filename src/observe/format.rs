//! An access-log format: written once as text with `$context` variables, run for every request.
//!
//! A format that begins with `{` must be JSON once its variables are filled, and then every
//! line is one JSON document, whatever a client sends: a variable inside a string is escaped, one
//! outside is written as a number, a quoted string or `null`. Any other format is text, in which
//! quotes, backslashes and controls are escaped, so that no value ends its line. It never cuts a
//! line in the middle of its frame: long values give way (see [`Format::write`]).

use super::{
    Block, TimeText,
    escape::{self, Escaping},
    field::{self, Field},
    line::{Line, SLACK_BYTES},
    record::Record,
};
use crate::bounds;
use std::{fmt, ops::Range};

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

/// A compiled format. Immutable; part of the snapshot.
#[derive(Debug, Clone)]
pub struct Format {
    pieces: Box<[Piece]>,
    /// The first of those stretches of `pieces` that are longest of what is the same for all
    /// requests of a route.
    of_route: Range<usize>,
    /// What stands after the last variable; ends in a newline.
    tail: Literal,
}

/// A literal and the variable after it.
#[derive(Debug, Clone)]
struct Piece {
    before: Literal,
    field: Field,
    place: Place,
    /// Bytes of the line's room that are not the value's: what the rest of the line is sure of, and
    /// the slack.
    reserve: usize,
}

impl Piece {
    /// Bytes that it may take whatever the rest of the line holds.
    const fn sure(&self) -> usize {
        self.before.len + bounds::LOG_VALUE_BYTES_MIN
    }

    /// Appends the literal, and what `record` says of the field.
    #[inline]
    fn write<'a>(&self, line: Line<'a>, record: &Record<'_>, time: &mut TimeText) -> Line<'a> {
        let line = self.before.write(line);
        match self.field {
            Field::Unknown => self.absent(line),
            Field::Number(read) => match read(record) {
                Some(n) => line.number(n),
                None => self.absent(line),
            },
            // Cut, not rounded, so that parts never add up to more than the whole.
            Field::Seconds(read) => match read(record) {
                Some(time) => line.number(time.as_secs()).decimals(time.subsec_micros()),
                None => self.absent(line),
            },
            Field::Text(read) | Field::OfRoute(read) => match read(record) {
                b"" => self.absent(line),
                text => self.text(line, text),
            },
            Field::Plain(read) => match read(record) {
                b"" => self.absent(line),
                text if self.fits(&line, text) => self.plain(line, text),
                text => {
                    let room = line.left().saturating_sub(self.reserve + 2);
                    self.plain(line, &text[..room])
                }
            },
            Field::TimeRfc3339 => self.plain(line, time.rfc3339(record.started_wall)),
            Field::TimeClf => self.plain(line, time.clf(record.started_wall)),
        }
    }

    /// Whether there is room for `text` in quotes.
    #[inline]
    const fn fits(&self, line: &Line<'_>, text: &[u8]) -> bool {
        text.len() + 2 + self.reserve <= line.left()
    }

    #[inline]
    fn absent<'a>(&self, line: Line<'a>) -> Line<'a> {
        match self.place {
            Place::JsonValue => line.piece(b"null", 4),
            Place::JsonString | Place::Text => line.byte(b'-'),
        }
    }

    /// Text that needs no escaping. No part of the loop over the pieces, which so has registers for
    /// all of its own; the same holds for [`Self::text`].
    #[inline(never)]
    fn plain<'a>(&self, line: Line<'a>, text: &[u8]) -> Line<'a> {
        match self.place {
            Place::JsonValue => line.quoted(text),
            Place::JsonString | Place::Text => line.extend(text),
        }
    }

    /// Text that may need escaping.
    #[inline(never)]
    fn text<'a>(&self, line: Line<'a>, text: &[u8]) -> Line<'a> {
        if self.fits(&line, text) && escape::is_plain(text) {
            self.plain(line, text)
        } else {
            self.escaped(line, text)
        }
    }

    /// Text that needs it, or does not fit.
    #[cold]
    fn escaped<'a>(&self, line: Line<'a>, text: &[u8]) -> Line<'a> {
        match self.place {
            Place::Text => escape::push(line, text, Escaping::Text, self.reserve),
            Place::JsonString => escape::push(line, text, Escaping::Json, self.reserve),
            Place::JsonValue => {
                let line = line.byte(b'"');
                escape::push(line, text, Escaping::Json, self.reserve + 1).byte(b'"')
            }
        }
    }
}

/// Text that is in every line.
#[derive(Debug, Clone)]
struct Literal {
    /// The text, if it is no longer than this.
    short: [u8; SLACK_BYTES],
    /// Bytes of the text.
    len: usize,
    /// The text, if it is longer.
    long: Box<[u8]>,
}

impl Literal {
    fn new(text: &[u8]) -> Self {
        let mut short = [0; SLACK_BYTES];
        let is_long = text.len() > SLACK_BYTES;
        if !is_long {
            short[..text.len()].copy_from_slice(text);
        }
        Self {
            short,
            len: text.len(),
            long: if is_long { text.into() } else { Box::default() },
        }
    }

    #[inline]
    fn write<'a>(&self, line: Line<'a>) -> Line<'a> {
        if self.len <= SLACK_BYTES {
            line.piece(&self.short, self.len)
        } else {
            line.extend(&self.long)
        }
    }
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
    /// is cut, and every variable is sure of [`bounds::LOG_VALUE_BYTES_MIN`] bytes; `out` has room
    /// for that. Cost: no allocation; each second the texts of `time` anew. Bench:
    /// `observe/json_line`.
    pub fn write(&self, out: &mut Block, record: &Record<'_>, time: &mut TimeText) {
        out.line(|line| {
            let line = if record.of_route.is_empty() {
                write_pieces(&self.pieces, line, record, time)
            } else {
                let Range { start, end } = self.of_route;
                let line = write_pieces(&self.pieces[..start], line, record, time);
                let line = line.extend(record.of_route);
                write_pieces(&self.pieces[end..], line, record, time)
            };
            self.tail.write(line)
        });
    }

    /// What is the same in the lines of all requests of one route, made once: a record takes it as
    /// [`Record::of_route`]. Empty where the format says nothing of routes, and where it would be
    /// longer than the line is sure of.
    pub fn of_route(&self, out: &mut Block, api: &str, stage: &str, route: &str) -> Box<[u8]> {
        let record = Record {
            api,
            stage,
            route,
            ..Record::default()
        };
        out.clear();
        let pieces = &self.pieces[self.of_route.clone()];
        out.line(|line| write_pieces(pieces, line, &record, &mut TimeText::new()));
        let sure: usize = pieces.iter().map(Piece::sure).sum();
        match out.lines() {
            text if text.len() <= sure => text.into(),
            _ => Box::default(),
        }
    }
}

fn write_pieces<'a>(
    pieces: &[Piece],
    line: Line<'a>,
    record: &Record<'_>,
    time: &mut TimeText,
) -> Line<'a> {
    let write = |line, piece: &Piece| piece.write(line, record, time);
    pieces.iter().fold(line, write)
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
    /// The literal that follows the last variable.
    text: Vec<u8>,
    pieces: Vec<Piece>,
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
            text: Vec::new(),
            pieces: Vec::new(),
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
            before: Literal::new(&self.text),
            field,
            place,
            reserve: 0,
        });
        self.text.clear();
    }

    /// `end` is where the source ends.
    fn finish(mut self, end: usize) -> Result<Format, FormatError> {
        if let Some(json) = &self.json {
            json.check(end)?;
        }
        self.text.push(b'\n');
        let tail = Literal::new(&self.text);
        let mut reserve = tail.len + SLACK_BYTES;
        for piece in self.pieces.iter_mut().rev() {
            piece.reserve = reserve;
            reserve += piece.sure();
        }
        Ok(Format {
            of_route: of_route(&self.pieces),
            pieces: self.pieces.into(),
            tail,
        })
    }
}

/// The first of the longest stretches of `pieces` that are the same for all requests of a route.
fn of_route(pieces: &[Piece]) -> Range<usize> {
    let mut longest = 0..0;
    let mut begun = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if !piece.field.is_of_route() {
            begun = at + 1;
        } else if at + 1 - begun > longest.len() {
            longest = begun..at + 1;
        }
    }
    longest
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
