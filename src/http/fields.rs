//! A head's fields as a table of offsets into the buffer that they were read into.
//!
//! Requests and responses share it: the strictness that httparse leaves to its user, and what is
//! recognised on the way (framing, connection options), are decided here once. It copies no byte.

use super::field::{FieldId, FieldSet, NOT_NOMINABLE, is_named};
use crate::error::Error;
use memchr::memmem;
use std::sync::LazyLock;

/// One past the first empty line in `bytes`: where a head ends.
///
/// The searcher is made once: making it costs more than most searches.
pub(super) fn find_end(bytes: &[u8]) -> Option<usize> {
    static EMPTY_LINE: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(b"\r\n\r\n"));
    EMPTY_LINE.find(bytes).map(|at| at + 4)
}

/// A range of bytes of a head's buffer. Heads are at most 16 KiB, so two bytes are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u16,
    /// One past the last byte. `start <= end`.
    pub end: u16,
}

impl Span {
    /// The span of `part`, which lies inside `whole`.
    pub(super) fn of_part(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Self::new(start, start + part.len())
    }

    /// The span from `start` to `end`.
    pub(super) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= u16::MAX as usize);
        Self {
            start: start as u16,
            end: end as u16,
        }
    }

    /// The bytes that it names in `buffer`.
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.end as usize]
    }

    /// Whether it names no byte.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One field line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// What the name means here.
    pub id: FieldId,
    /// The name; the line starts with it.
    pub name: Span,
    /// The value without the white space around it.
    pub value: Span,
    /// One past the line's CRLF.
    pub line_end: u16,
}

impl Field {
    /// The whole line, CRLF included.
    pub fn line(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.name.start as usize..self.line_end as usize]
    }
}

/// The field lines of a head, to be looked at by those who know neither the head nor its buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldLines<'b> {
    table: &'b [Field],
    buffer: &'b [u8],
}

impl<'b> FieldLines<'b> {
    /// The values of the lines named `name`, whatever its case, one for each line.
    pub fn values(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.table
            .iter()
            .filter(move |field| {
                // Most names differ in length already, which needs no look at the buffer.
                let length = usize::from(field.name.end - field.name.start);
                let found = || field.name.of(self.buffer);
                length == name.len() && found().eq_ignore_ascii_case(name.as_bytes())
            })
            .map(move |field| field.value.of(self.buffer))
    }
}

/// The length that a message's fields declare (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// Neither Content-Length nor Transfer-Encoding.
    Nothing,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What the Connection fields of a message ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
}

impl ConnectionOptions {
    const NONE: Self = Self {
        close: false,
        keep_alive: false,
        upgrade: false,
    };

    /// Takes `option` in, unless it is a field's name.
    fn add(&mut self, option: &[u8]) -> bool {
        if is_named(option, b"keep-alive") {
            self.keep_alive = true;
        } else if is_named(option, b"close") {
            self.close = true;
        } else if is_named(option, b"upgrade") {
            self.upgrade = true;
        } else {
            return false;
        }
        true
    }
}

/// The fields of one head.
#[derive(Debug)]
pub struct Fields {
    /// In the order of the message. Its storage is kept from one head to the next.
    pub table: Vec<Field>,
    /// The ids that occur in `table`.
    pub present: FieldSet,
    /// The declared length of the body.
    pub declared: Declared,
    /// The connection options.
    pub connection: ConnectionOptions,
    /// Whether a Connection field holds any other option: a field's name.
    nominates: bool,
    /// Where the Host field is, if any.
    pub host: Option<u16>,
    /// Where the Upgrade field is, if any (the last of several).
    pub upgrade: Option<u16>,
    /// Where the Expect field is, if any.
    pub expect: Option<u16>,
    /// Where the User-Agent is, if any.
    pub user_agent: Option<u16>,
    /// Where the Referer is, if any.
    pub referer: Option<u16>,
}

/// Nominations in the Connection fields of one head; each is compared with each field's name.
const CONNECTION_OPTIONS_MAX: usize = 32;

impl Fields {
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self {
            table: Vec::with_capacity(fields),
            ..Self::empty()
        }
    }

    /// No fields, and no storage for any.
    pub(super) const fn empty() -> Self {
        Self {
            table: Vec::new(),
            present: FieldSet::NONE,
            declared: Declared::Nothing,
            connection: ConnectionOptions::NONE,
            nominates: false,
            host: None,
            upgrade: None,
            expect: None,
            user_agent: None,
            referer: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.present = FieldSet::NONE;
        self.declared = Declared::Nothing;
        self.connection = ConnectionOptions::NONE;
        self.nominates = false;
        self.host = None;
        self.upgrade = None;
        self.expect = None;
        self.user_agent = None;
        self.referer = None;
    }

    /// The value of the field at `index`, one of this struct's own; empty for `None`.
    pub fn value_at<'b>(&self, index: Option<u16>, buffer: &'b [u8]) -> &'b [u8] {
        match index {
            Some(index) => self.table[index as usize].value.of(buffer),
            None => b"",
        }
    }

    /// The values of the fields named `id`, in order. Cost: nothing where there are none.
    pub fn values<'s>(&'s self, id: FieldId, buffer: &'s [u8]) -> impl Iterator<Item = &'s [u8]> {
        let table = if self.present.has(id) {
            &self.table[..]
        } else {
            &[]
        };
        table
            .iter()
            .filter(move |field| field.id == id)
            .map(|field| field.value.of(buffer))
    }

    /// The value of the first field named `name`, whatever its case.
    pub fn named<'s>(&'s self, name: &str, buffer: &'s [u8]) -> Option<&'s [u8]> {
        self.table
            .iter()
            .find(|field| field.name.of(buffer).eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value.of(buffer))
    }

    /// The lines as they came.
    pub fn lines<'b>(&'b self, buffer: &'b [u8]) -> FieldLines<'b> {
        FieldLines {
            table: &self.table,
            buffer,
        }
    }

    /// Takes over the fields that httparse found in `buffer`.
    ///
    /// Refuses what httparse lets through: a line ended by a bare LF (RFC 9112 §2.2 permits it,
    /// and half the smuggling there is rests on it), two Content-Length (§6.3), a length beside a
    /// transfer coding (§6.1), a transfer coding other than exactly `chunked`.
    pub(super) fn take(
        &mut self,
        buffer: &[u8],
        headers: &[httparse::Header<'_>],
    ) -> Result<(), Error> {
        for header in headers {
            let name = Span::of_part(buffer, header.name.as_bytes());
            let value = Span::of_part(buffer, header.value);
            let line_end = line_end(buffer, value.end as usize)?;
            let id = FieldId::of(header.name.as_bytes());
            self.present.add(id);
            self.table.push(Field {
                id,
                name,
                value,
                line_end: line_end as u16,
            });
            if id != FieldId::Other {
                self.recognise(id, header.value)?;
            }
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "most fields mean something only where heads are written"
    )]
    fn recognise(&mut self, id: FieldId, value: &[u8]) -> Result<(), Error> {
        let here = Some((self.table.len() - 1) as u16);
        match id {
            FieldId::Host if self.host.is_some() => return Err(Error::HostRepeated),
            FieldId::Host => self.host = here,
            FieldId::ContentLength => self.declare(Declared::Length(content_length(value)?))?,
            FieldId::TransferEncoding => {
                transfer_coding(value)?;
                self.declare(Declared::Chunked)?;
            }
            FieldId::Connection => self.connection_options(value),
            FieldId::Upgrade => self.upgrade = here,
            FieldId::Expect => self.expect = here,
            FieldId::UserAgent => self.user_agent = here,
            FieldId::Referer => self.referer = here,
            _ => {}
        }
        Ok(())
    }

    fn declare(&mut self, declared: Declared) -> Result<(), Error> {
        match (self.declared, declared) {
            (Declared::Nothing, _) => {
                self.declared = declared;
                Ok(())
            }
            // Even two equal lengths: the list form `5,5` and the repeated field are how two
            // parsers come to differ, and no client of this century sends them.
            (Declared::Length(_), Declared::Length(_)) => Err(Error::LengthMalformed),
            (Declared::Chunked, Declared::Chunked) => Err(Error::TransferEncodingRefused),
            _ => Err(Error::FramingAmbiguous),
        }
    }

    fn connection_options(&mut self, value: &[u8]) {
        // Nearly always there is one option.
        if self.connection.add(value) {
            return;
        }
        for option in tokens(value) {
            if !self.connection.add(option) {
                self.nominates = true;
            }
        }
    }

    /// Marks the fields that the Connection fields nominate, so that they go no further.
    /// Called once the whole head is known, as a nomination may stand before what it names.
    ///
    /// Cost: nothing without nominations.
    pub(super) fn nominate(&mut self, buffer: &[u8]) -> Result<(), Error> {
        if self.nominates {
            self.mark_nominated(buffer)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn mark_nominated(&mut self, buffer: &[u8]) -> Result<(), Error> {
        let mut nominations = 0;
        for at in 0..self.table.len() {
            if self.table[at].id != FieldId::Connection {
                continue;
            }
            for option in tokens(self.table[at].value.of(buffer)) {
                let known = [&b"close"[..], b"keep-alive", b"upgrade"];
                if known.iter().any(|known| option.eq_ignore_ascii_case(known)) {
                    continue;
                }
                nominations += 1;
                let id = FieldId::of(option);
                let refused = id == FieldId::Alias || NOT_NOMINABLE.has(id);
                if refused || nominations > CONNECTION_OPTIONS_MAX {
                    return Err(Error::ConnectionOptionRefused);
                }
                for field in &mut self.table {
                    if field.id != FieldId::Connection
                        && field.name.of(buffer).eq_ignore_ascii_case(option)
                    {
                        field.id = FieldId::Nominated;
                    }
                }
            }
        }
        self.present = FieldSet::NONE;
        for field in &self.table {
            self.present.add(field.id);
        }
        Ok(())
    }
}

/// The elements of a comma-separated list, without white space around them; empty ones are left
/// out (RFC 9110 §5.6.1).
pub fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// One past the CRLF of the line whose value ends at `value_end`.
#[inline]
fn line_end(buffer: &[u8], value_end: usize) -> Result<usize, Error> {
    match buffer.get(value_end..value_end + 2) {
        Some(b"\r\n") => Ok(value_end + 2),
        _ => line_end_after_space(buffer, value_end),
    }
}

#[cold]
fn line_end_after_space(buffer: &[u8], value_end: usize) -> Result<usize, Error> {
    let mut at = value_end;
    while matches!(buffer.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    match buffer.get(at..at + 2) {
        Some(b"\r\n") => Ok(at + 2),
        _ => Err(Error::FieldMalformed),
    }
}

/// A Content-Length: digits, nothing else (RFC 9110 §8.6), within 64 bits.
fn content_length(value: &[u8]) -> Result<u64, Error> {
    if value.is_empty() {
        return Err(Error::LengthMalformed);
    }
    let mut length: u64 = 0;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(Error::LengthMalformed);
        }
        length = length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(byte - b'0')))
            .ok_or(Error::LengthMalformed)?;
    }
    Ok(length)
}

/// A Transfer-Encoding that we take: `chunked`, alone. A list that ends in `chunked` after other
/// codings is well-formed and not implemented (RFC 9112 §6.1); anything else leaves the body's end
/// in doubt, `chunked` twice or in a list with empty elements too.
fn transfer_coding(value: &[u8]) -> Result<(), Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let last_is_chunked = codings.next_back().is_some_and(is_chunked);
    let mut others = 0;
    let others_are_plain = codings.all(|coding| {
        others += 1;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        !coding.is_empty() && !is_chunked(coding) && coding.iter().all(plain)
    });
    if last_is_chunked && others_are_plain && others > 0 {
        Err(Error::TransferCodingUnknown)
    } else {
        Err(Error::TransferEncodingRefused)
    }
}
