//! Heads on their way out: what goes on, what stays here, what is added.
//!
//! Field lines that go on unchanged are copied as runs of bytes, not line by line: most of a head
//! is one copy. Names that the gateway writes itself are in lower case. It never decides whether
//! a connection lives on; the caller says so.

use super::{
    field::{FieldId, FieldSet, HOP_BY_HOP, is_read_as},
    fields::{Declared, Fields},
    request::{RequestHead, Version},
    response::ResponseHead,
};

/// What a request says of the way that it came, besides what the client wrote.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// Whether X-Forwarded-For, -Proto and -Host are written.
    pub x_forwarded: bool,
    /// Whether Forwarded (RFC 7239) is written.
    pub forwarded: bool,
    /// Whether Via (RFC 9110 §7.6.3) is written.
    pub via: bool,
    /// Whether the peer is a trusted proxy, whose own words about the way are kept and added to.
    pub trusted: bool,
    /// The peer's address as text; empty on a Unix socket.
    pub peer: &'a [u8],
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The request id's field name, if it is written; an incoming one is never passed beside it.
    pub request_id_name: Option<&'a str>,
    /// The request id.
    pub request_id: &'a [u8],
}

/// The body's framing as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No field: there is no body, or the connection's end ends it.
    Unsaid,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

impl From<Declared> for Framing {
    fn from(declared: Declared) -> Self {
        match declared {
            Declared::Nothing => Self::Unsaid,
            Declared::Length(length) => Self::Length(length),
            Declared::Chunked => Self::Chunked,
        }
    }
}

const WAY_FIELDS: FieldSet = HOP_BY_HOP
    .with(FieldId::XForwardedFor)
    .with(FieldId::XForwardedHost)
    .with(FieldId::XForwardedProto)
    .with(FieldId::Forwarded);

/// Appends the head of the request to the origin, for `target` and with `host` as its Host.
///
/// Cost: a few copies into `out`; no allocation while `out` has room. Bench: `http/write_request`.
pub fn write_request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    buffer: &[u8],
    target: &[u8],
    host: &[u8],
    way: &Provenance<'_>,
) {
    let mut pen = Pen::new(out, head.len + target.len());
    pen.put(head.method_token.of(buffer));
    pen.put(b" ");
    pen.put(target);
    pen.put(b" HTTP/1.1\r\nhost: ");
    pen.put(host);
    pen.put(b"\r\n");

    // An untrusted client's account of its way is never passed on, whatever we add ourselves.
    let keeps_way = way.trusted && !way.x_forwarded && !way.forwarded;
    let mut dropped = if keeps_way { HOP_BY_HOP } else { WAY_FIELDS }
        .with(FieldId::Host)
        .with(FieldId::ContentLength);
    if head.version == Version::Http10 {
        dropped = dropped.with(FieldId::Expect);
    }
    copy_fields(&mut pen, &head.fields, buffer, dropped, way.request_id_name);
    write_framing(&mut pen, head.declared().into());
    if let Some(protocol) = head.upgrade(buffer) {
        pen.line(b"upgrade", protocol);
        pen.put(b"connection: upgrade\r\n");
    }
    write_way(&mut pen, head, buffer, way);
    pen.put(b"\r\n");
    pen.lift();
}

fn write_way(pen: &mut Pen<'_>, head: &RequestHead, buffer: &[u8], way: &Provenance<'_>) {
    if way.x_forwarded {
        write_x_forwarded(pen, head, buffer, way);
    }
    if way.forwarded {
        write_forwarded(pen, head, buffer, way);
    }
    if way.via {
        pen.put(match head.version {
            Version::Http11 => b"via: 1.1 sluice\r\n",
            Version::Http10 => b"via: 1.0 sluice\r\n",
        });
    }
    if let Some(name) = way.request_id_name {
        pen.line(name.as_bytes(), way.request_id);
    }
}

fn write_x_forwarded(pen: &mut Pen<'_>, head: &RequestHead, buffer: &[u8], way: &Provenance<'_>) {
    let start = pen.at;
    pen.put(b"x-forwarded-for: ");
    let before = pen.at;
    if way.trusted {
        for value in head.fields.values(FieldId::XForwardedFor, buffer) {
            listed(pen, before, value);
        }
    }
    listed(pen, before, way.peer);
    if pen.at == before {
        pen.at = start;
    } else {
        pen.put(b"\r\n");
    }
    let given = |id| {
        let value = head.fields.values(id, buffer).next();
        value.filter(|value| way.trusted && !value.is_empty())
    };
    let proto = given(FieldId::XForwardedProto).unwrap_or(way.scheme.as_bytes());
    pen.line(b"x-forwarded-proto", proto);
    let host = given(FieldId::XForwardedHost).unwrap_or_else(|| head.host.of(buffer));
    if !host.is_empty() {
        pen.line(b"x-forwarded-host", host);
    }
}

/// RFC 7239 §4: one element a proxy, each `for`, `host` and `proto`.
fn write_forwarded(pen: &mut Pen<'_>, head: &RequestHead, buffer: &[u8], way: &Provenance<'_>) {
    pen.put(b"forwarded: ");
    let before = pen.at;
    if way.trusted {
        for value in head.fields.values(FieldId::Forwarded, buffer) {
            listed(pen, before, value);
        }
    }
    listed(pen, before, b"for=");
    if way.peer.is_empty() {
        pen.put(b"unknown");
    } else if way.peer.contains(&b':') {
        // §6: an IPv6 address stands in brackets and so in quotes.
        pen.put(b"\"[");
        pen.put(way.peer);
        pen.put(b"]\"");
    } else {
        pen.put(way.peer);
    }
    let host = head.host.of(buffer);
    if !host.is_empty() {
        // A checked authority holds neither quote nor backslash.
        pen.put(b";host=\"");
        pen.put(host);
        pen.put(b"\"");
    }
    pen.put(b";proto=");
    pen.put(way.scheme.as_bytes());
    pen.put(b"\r\n");
}

fn listed(pen: &mut Pen<'_>, before: usize, value: &[u8]) {
    if !value.is_empty() {
        if pen.at > before {
            pen.put(b", ");
        }
        pen.put(value);
    }
}

/// How a response's connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It lives on.
    KeepAlive,
    /// It lives on, and the client is an HTTP/1.0 one that has to be told.
    KeepAliveSaid,
    /// It ends with this response.
    Close,
    /// It becomes a tunnel.
    Upgrade,
}

impl After {
    fn write(self, pen: &mut Pen<'_>) {
        match self {
            Self::KeepAlive => {}
            Self::KeepAliveSaid => pen.put(b"connection: keep-alive\r\n"),
            Self::Close => pen.put(b"connection: close\r\n"),
            Self::Upgrade => pen.put(b"connection: upgrade\r\n"),
        }
    }
}

/// Appends the head of the origin's response as the client gets it.
///
/// Cost: a few copies into `out`; no allocation while `out` has room. Bench: `http/write_response`.
pub fn write_response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    buffer: &[u8],
    framing: Framing,
    after: After,
    date: &[u8],
    request_id: Option<(&str, &[u8])>,
) {
    let mut pen = Pen::new(out, head.len);
    write_status_line(&mut pen, head.status, head.reason.of(buffer));
    // RFC 9110 §8.6: no length on 1xx and 204; beside a transfer coding never. On HEAD and 304 it
    // tells of the body that is not sent, and goes on.
    let mut dropped = HOP_BY_HOP;
    let keeps_length = match framing {
        Framing::Length(_) => true,
        Framing::Unsaid => !matches!(head.status, 100..=199 | 204),
        Framing::Chunked => false,
    };
    if !keeps_length {
        dropped = dropped.with(FieldId::ContentLength);
    }
    let id_name = request_id.map(|(name, _)| name);
    copy_fields(&mut pen, &head.fields, buffer, dropped, id_name);
    if framing == Framing::Chunked {
        write_framing(&mut pen, framing);
    }
    if head.status >= 200 {
        if !head.fields.present.has(FieldId::Date) {
            pen.line(b"date", date);
        }
        if let Some((name, id)) = request_id {
            pen.line(name.as_bytes(), id);
        }
    }
    if after == After::Upgrade {
        let protocol = head.fields.value_at(head.fields.upgrade, buffer);
        pen.line(b"upgrade", protocol);
    }
    after.write(&mut pen);
    pen.put(b"\r\n");
    pen.lift();
}

/// A response that the gateway makes itself: a refusal, or a mock.
#[derive(Clone, Copy, Debug)]
pub struct OwnResponse<'a> {
    /// The status code.
    pub status: u16,
    /// Whole field lines, each with its CRLF; no framing, date or connection among them.
    pub field_lines: &'a [u8],
    /// The body.
    pub body: &'a [u8],
    /// Whether the body is sent, or only told of (HEAD).
    pub body_sent: bool,
    /// How the connection goes on.
    pub after: After,
    /// The Date.
    pub date: &'a [u8],
    /// The request id and its field's name.
    pub request_id: Option<(&'a str, &'a [u8])>,
}

/// Appends a whole response of the gateway's own.
pub fn write_own(out: &mut Vec<u8>, response: &OwnResponse<'_>) {
    let mut pen = Pen::new(out, response.field_lines.len());
    write_status_line(
        &mut pen,
        response.status,
        reason(response.status).as_bytes(),
    );
    pen.put(response.field_lines);
    pen.line(b"date", response.date);
    let bodiless = matches!(response.status, 100..=199 | 204 | 304);
    if !bodiless {
        write_framing(&mut pen, Framing::Length(response.body.len() as u64));
    }
    if let Some((name, id)) = response.request_id {
        pen.line(name.as_bytes(), id);
    }
    response.after.write(&mut pen);
    pen.put(b"\r\n");
    pen.lift();
    if response.body_sent && !bodiless {
        out.extend_from_slice(response.body);
    }
}

/// Adds whole field lines to a head that stands, ended, at the end of `out`.
pub fn add_lines(out: &mut Vec<u8>, lines: &[u8]) {
    debug_assert!(out.ends_with(b"\r\n\r\n"), "a head has ended");
    out.truncate(out.len() - 2);
    out.extend_from_slice(lines);
    out.extend_from_slice(b"\r\n");
}

fn write_status_line(pen: &mut Pen<'_>, status: u16, reason: &[u8]) {
    if status == 200 && reason == b"OK" {
        return pen.put(b"HTTP/1.1 200 OK\r\n");
    }
    pen.put(b"HTTP/1.1 ");
    pen.put(itoa::Buffer::new().format(status).as_bytes());
    pen.put(b" ");
    pen.put(reason);
    pen.put(b"\r\n");
}

fn write_framing(pen: &mut Pen<'_>, framing: Framing) {
    match framing {
        Framing::Unsaid => {}
        Framing::Length(length) => {
            let mut digits = itoa::Buffer::new();
            pen.line(b"content-length", digits.format(length).as_bytes());
        }
        Framing::Chunked => pen.put(b"transfer-encoding: chunked\r\n"),
    }
}

/// Copies the field lines that are not in `dropped` and not named `also_dropped`, in runs.
fn copy_fields(
    pen: &mut Pen<'_>,
    fields: &Fields,
    buffer: &[u8],
    dropped: FieldSet,
    also_dropped: Option<&str>,
) {
    let also_dropped = also_dropped.unwrap_or_default().as_bytes();
    let (mut start, mut end) = (0, 0);
    for field in &fields.table {
        let name = field.name;
        if dropped.has(field.id)
            || usize::from(name.end - name.start) == also_dropped.len()
                && is_read_as(name.of(buffer), also_dropped)
        {
            continue;
        }
        if name.start != end {
            pen.put(&buffer[usize::from(start)..usize::from(end)]);
            start = name.start;
        }
        end = field.line_end;
    }
    pen.put(&buffer[usize::from(start)..usize::from(end)]);
}

/// Bytes that a head grows by, but for what is told to [`Pen::new`]: generously, as what does not
/// fit is made room for.
const ADDED_BYTES_USUAL: usize = 512;

/// Writes at the end of a vector, into room that was made once: a line is many small pieces, and to
/// append each by itself costs more than to copy it.
struct Pen<'o> {
    out: &'o mut Vec<u8>,
    /// Where it stands. `at <= out.len()`; what is behind is room.
    at: usize,
}

impl<'o> Pen<'o> {
    /// At the end of `out`, with room for `bytes` and [`ADDED_BYTES_USUAL`].
    fn new(out: &'o mut Vec<u8>, bytes: usize) -> Self {
        let at = out.len();
        let room = bytes + ADDED_BYTES_USUAL;
        // Not so much that what fits as it is has to move.
        let spare = out.capacity() - at;
        out.resize(at + room.min(spare), 0);
        Self { out, at }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        match self.out.get_mut(self.at..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.append(bytes),
        }
        self.at = end;
    }

    /// Where there was too little room.
    #[cold]
    fn append(&mut self, bytes: &[u8]) {
        self.out.truncate(self.at);
        self.out.extend_from_slice(bytes);
    }

    /// A field line.
    #[inline(always)]
    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.put(name);
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    /// Gives back the room that is left.
    fn lift(self) {
        self.out.truncate(self.at);
    }
}

/// Room in front of a chunk's data for its size line: sixteen digits and CRLF.
pub const CHUNK_SIZE_ROOM: usize = 18;

/// Writes the size line of a chunk of `length` bytes so that it ends where `room` does, and gives
/// the line's length. The data can so be framed where it lies.
pub fn write_chunk_size(room: &mut [u8; CHUNK_SIZE_ROOM], length: usize) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    room[CHUNK_SIZE_ROOM - 2..].copy_from_slice(b"\r\n");
    let mut at = CHUNK_SIZE_ROOM - 2;
    let mut left = length;
    loop {
        at -= 1;
        room[at] = DIGITS[left % 16];
        left /= 16;
        if left == 0 {
            return CHUNK_SIZE_ROOM - at;
        }
    }
}

/// The registered reason phrase of `status`; empty for one that is not known here.
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
