//! The head of a request: bytes to method, target, host, fields and framing.
//!
//! Strict where httparse is not (`fields.rs` says why); each refusal names the rule it keeps.
//! It reads the buffer in place and keeps offsets; it never looks at the path's meaning, which
//! `route/path.rs` decides.

use super::{
    field::FieldId,
    fields::{Declared, Fields, Span, find_end, tokens},
    method::Method,
    scan,
};
use crate::{bounds, error::Error};

/// The versions that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// As it stands in a start line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// The operator's limits on a head, each at most its bound in [`crate::bounds`].
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the head.
    pub bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes: bounds::HEAD_BYTES_MAX,
            fields: bounds::HEAD_FIELDS_MAX,
            target: bounds::TARGET_BYTES_MAX,
        }
    }
}

/// How far a parse came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The whole head is there; its length is [`RequestHead::len`].
    Complete,
    /// More bytes are needed.
    Partial,
}

/// The head of one request, as offsets into the buffer it was parsed from. Reused from request to
/// request: a warm parse allocates nothing.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// Its token as written.
    pub method_token: Span,
    /// The version.
    pub version: Version,
    /// The target's path; empty for an absolute target without one (see [`Self::path`]).
    path: Span,
    /// The target's query, without `?`.
    pub query: Span,
    /// Whether there is a `?`, even with nothing after it.
    pub has_query: bool,
    /// The authority that the request is for: Host, or an absolute target's own.
    pub host: Span,
    /// The fields.
    pub fields: Fields,
    /// Bytes of the head, its last empty line included.
    pub len: usize,
    /// Bytes known to hold no end of head, so that a head that drips in costs no second look.
    scanned: usize,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            fields: Fields::with_capacity(bounds::HEAD_FIELDS_USUAL),
            ..Self::empty()
        }
    }
}

impl RequestHead {
    /// No head, and no storage for one.
    const fn empty() -> Self {
        const NOWHERE: Span = Span { start: 0, end: 0 };
        Self {
            method: Method::Other,
            method_token: NOWHERE,
            version: Version::Http11,
            path: NOWHERE,
            query: NOWHERE,
            has_query: false,
            host: NOWHERE,
            fields: Fields::empty(),
            len: 0,
            scanned: 0,
        }
    }

    /// The target's path, `/` where an absolute target has none.
    pub fn path<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        if self.path.is_empty() {
            b"/"
        } else {
            self.path.of(buffer)
        }
    }

    /// The length of the body that follows (RFC 9112 §6.3: without a length there is none).
    pub const fn declared(&self) -> Declared {
        self.fields.declared
    }

    /// Whether the client lets the connection live on after this request (RFC 9112 §9.3).
    pub const fn keeps_alive(&self) -> bool {
        match self.version {
            Version::Http11 => !self.fields.connection.close,
            Version::Http10 => self.fields.connection.keep_alive && !self.fields.connection.close,
        }
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub const fn expects_continue(&self) -> bool {
        self.fields.expect.is_some() && matches!(self.version, Version::Http11)
    }

    /// The protocol that the client asks to change to. `h2c` is not one that we forward, nor is
    /// any other HTTP or TLS: two ends that then speak it past us would carry requests that nobody
    /// checked. Nor is one asked for with a body, whose end would be in doubt. An Upgrade may be
    /// ignored (RFC 9110 §7.8).
    pub fn upgrade<'b>(&self, buffer: &'b [u8]) -> Option<&'b [u8]> {
        let bodiless = matches!(self.declared(), Declared::Nothing | Declared::Length(0));
        if !self.fields.connection.upgrade || self.version == Version::Http10 || !bodiless {
            return None;
        }
        let protocol = self.fields.value_at(self.fields.upgrade, buffer);
        let refused = protocol.is_empty()
            || tokens(protocol).any(|name| {
                [&b"h2"[..], b"h3", b"http", b"tls"]
                    .into_iter()
                    .any(|http| starts_with_ignore_case(name, http))
            });
        (!refused).then_some(protocol)
    }

    /// Forgets what was parsed: the next call of [`Self::parse`] begins a new head.
    pub fn reset(&mut self) {
        // Nothing of the head before: a refusal is answered and logged by what was parsed.
        self.method = Method::Other;
        self.method_token = Span::default();
        self.version = Version::Http11;
        self.path = Span::default();
        self.query = Span::default();
        self.has_query = false;
        self.host = Span::default();
        self.fields.clear();
        self.len = 0;
        self.scanned = 0;
    }

    /// Parses the head at the front of `buffer`. The verdict does not depend on how the bytes were
    /// cut on their way.
    ///
    /// Cost: for a head that comes in one piece, one pass by httparse and one walk over the fields;
    /// no allocation. One that comes in more is searched once over all calls, and parsed twice.
    /// Bench: `http/request_head`.
    pub fn parse(&mut self, buffer: &[u8], limits: HeadLimits) -> Result<Parsed, Error> {
        // Most heads come in one piece and are well-formed: then httparse finds the end itself.
        // Whatever else it says is not looked at here.
        if self.scanned == 0 {
            let seen = &buffer[..buffer.len().min(limits.bytes)];
            if self.read(seen, limits).is_ok() {
                return Ok(Parsed::Complete);
            }
        }
        self.parse_slowly(buffer, limits)
    }

    #[cold]
    fn parse_slowly(&mut self, buffer: &[u8], limits: HeadLimits) -> Result<Parsed, Error> {
        let Some(end) = self.end_of_head(buffer, limits)? else {
            return Ok(Parsed::Partial);
        };
        let head = &buffer[..end];
        self.read(head, limits)
            .map_err(|error| refused_early(head, 0, limits).unwrap_or(error))?;
        Ok(Parsed::Complete)
    }

    /// The length of the head, once it is all there. Refuses what can be refused before that.
    fn end_of_head(&mut self, buffer: &[u8], limits: HeadLimits) -> Result<Option<usize>, Error> {
        // A caller that took something off the front since the last call begins again.
        let scanned = self.scanned.min(buffer.len());
        let from = scanned.saturating_sub(3);
        let end = find_end(&buffer[from..]).map(|end| from + end);
        if let Some(end) = end
            && end <= limits.bytes
        {
            return Ok(Some(end));
        }
        let seen = &buffer[..buffer.len().min(limits.bytes)];
        if let Some(error) = refused_early(seen, scanned.min(seen.len()), limits) {
            return Err(error);
        }
        if buffer.len() >= limits.bytes {
            return Err(too_large(seen, limits));
        }
        self.scanned = buffer.len();
        Ok(None)
    }

    /// Takes over the head at the front of `seen`. Refuses one that does not end there too.
    fn read(&mut self, seen: &[u8], limits: HeadLimits) -> Result<(), Error> {
        // The caller has skipped the empty line that RFC 9112 §2.2 asks us to bear; httparse would
        // skip any number of them.
        if matches!(seen, [] | [b'\r' | b'\n', ..]) {
            return Err(Error::RequestLineMalformed);
        }
        let mut headers = [const { std::mem::MaybeUninit::uninit() }; bounds::HEAD_FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let status = request
            .parse_with_uninit_headers(seen, &mut headers)
            .map_err(|error| refusal(error, seen))?;
        let head = match status {
            httparse::Status::Complete(end) if seen[..end].ends_with(b"\r\n\r\n") => &seen[..end],
            // An empty line made by a bare LF.
            httparse::Status::Complete(_) | httparse::Status::Partial => {
                return Err(Error::FieldMalformed);
            }
        };
        let (Some(token), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(Error::RequestLineMalformed);
        };
        if request.headers.len() > limits.fields {
            return Err(Error::FieldsTooMany);
        }
        self.version = if version == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        self.fields.clear();
        self.take_method(head, token)?;
        request_line_ends_in_crlf(head, target)?;
        self.fields.take(head, request.headers)?;
        self.take_target(head, target, limits)?;
        self.check()?;
        self.fields.nominate(head)?;
        self.check_expect(head)?;
        self.len = head.len();
        Ok(())
    }

    fn take_method(&mut self, head: &[u8], token: &str) -> Result<(), Error> {
        self.method_token = Span::of_part(head, token.as_bytes());
        self.method = Method::from_token(token.as_bytes());
        // A gateway opens no tunnels to where a client says, and TRACE would read back to a script
        // the cookies that it may not see.
        if matches!(self.method, Method::Connect | Method::Trace)
            || token.len() > bounds::METHOD_BYTES_MAX
        {
            return Err(Error::MethodRefused);
        }
        Ok(())
    }

    /// The target in one of its forms (RFC 9112 §3.2), and the host that goes with it.
    fn take_target(&mut self, head: &[u8], target: &str, limits: HeadLimits) -> Result<(), Error> {
        if target.len() > limits.target {
            return Err(Error::TargetTooLong);
        }
        let whole = Span::of_part(head, target.as_bytes());
        let (start, end) = (whole.start as usize, whole.end as usize);
        self.host = match self.fields.host {
            Some(at) => self.fields.table[at as usize].value,
            None => Span::default(),
        };
        if self.fields.host.is_some() {
            check_authority(self.host.of(head))?;
        }
        let asterisk = target == "*" && self.method == Method::Options;
        let path_start = if target.as_bytes().first() == Some(&b'/') || asterisk {
            start
        } else {
            self.take_absolute(head, start, target)?
        };
        let mark = scan::position(&head[path_start..end], b'?');
        let path_end = mark.map_or(end, |at| path_start + at);
        self.path = Span::new(path_start, path_end);
        self.has_query = mark.is_some();
        self.query = Span::new((path_end + usize::from(self.has_query)).min(end), end);
        Ok(())
    }

    /// An absolute target: its authority is the host, and a Host that says otherwise is refused
    /// (RFC 9112 §3.2.2 would have us ignore it, but the origin might not).
    fn take_absolute(&mut self, head: &[u8], start: usize, target: &str) -> Result<usize, Error> {
        let bytes = target.as_bytes();
        let scheme = ["http://", "https://"]
            .into_iter()
            .find(|scheme| starts_with_ignore_case(bytes, scheme.as_bytes()))
            .ok_or(Error::TargetMalformed)?;
        let rest = &bytes[scheme.len()..];
        let authority_len = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
            .unwrap_or(rest.len());
        let authority = &rest[..authority_len];
        check_authority(authority)?;
        if self.fields.host.is_some() && !self.host.of(head).eq_ignore_ascii_case(authority) {
            return Err(Error::HostMalformed);
        }
        let authority_start = start + scheme.len();
        self.host = Span::new(authority_start, authority_start + authority_len);
        Ok(authority_start + authority_len)
    }

    /// What only the whole head can tell.
    fn check(&self) -> Result<(), Error> {
        if self.fields.host.is_none() && self.version == Version::Http11 {
            return Err(Error::HostMissing);
        }
        // RFC 9112 §6.1: HTTP/1.0 has no transfer codings; one there is another's smuggling.
        if self.version == Version::Http10 && self.declared() == Declared::Chunked {
            return Err(Error::TransferEncodingRefused);
        }
        Ok(())
    }

    fn check_expect(&self, head: &[u8]) -> Result<(), Error> {
        let mut expectations = self.fields.values(FieldId::Expect, head);
        if self.version == Version::Http11
            && expectations.any(|value| !value.eq_ignore_ascii_case(b"100-continue"))
        {
            return Err(Error::ExpectationUnknown);
        }
        Ok(())
    }
}

/// Checks a Host or an authority: `uri-host [":" port]` (RFC 9110 §7.2) and not a byte more, so
/// no list, no user, no path, no backslash.
pub fn check_authority(authority: &[u8]) -> Result<(), Error> {
    let (host, port) = match authority {
        [b'[', ..] => {
            let end = memchr::memchr(b']', authority).ok_or(Error::HostMalformed)?;
            let address = &authority[1..end];
            let text = std::str::from_utf8(address).map_err(|_| Error::HostMalformed)?;
            if text.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Error::HostMalformed);
            }
            (address, &authority[end + 1..])
        }
        _ => {
            let is_other = |byte: &u8| !HOST_BYTES[usize::from(*byte)];
            let end = authority.iter().position(is_other);
            authority.split_at(end.unwrap_or(authority.len()))
        }
    };
    let port_is_plain = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    if host.is_empty() || host.len() > 255 || !port_is_plain {
        return Err(Error::HostMalformed);
    }
    Ok(())
}

/// Digits of a number that TCP has. None at all is RFC 3986 §3.2.3's way to say the default.
fn is_port(digits: &[u8]) -> bool {
    let number = digits
        .iter()
        .take(6)
        .fold(0, |number, digit| number * 10 + u32::from(digit & 0xf));
    digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) && number <= u32::from(u16::MAX)
}

fn starts_with_ignore_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Letters, digits and the marks that names in the wild carry. RFC 3986 would also let
/// percent-encoding and sub-delims stand in a host; DNS does not, and they only serve tricks.
static HOST_BYTES: [bool; 256] = {
    let mut taken = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        taken[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    taken
};

/// httparse takes a request line that ends in a bare LF.
fn request_line_ends_in_crlf(head: &[u8], target: &str) -> Result<(), Error> {
    let version_end = Span::of_part(head, target.as_bytes()).end as usize + " HTTP/1.1".len();
    match head.get(version_end..version_end + 2) {
        Some(b"\r\n") => Ok(()),
        _ => Err(Error::RequestLineMalformed),
    }
}

/// What `seen`, the beginning of a head, is refused for before its end is looked for: the first of
/// these that a reader of single bytes would meet. The bytes before `from` hold no bare LF.
///
/// - An empty line where a request line should stand.
/// - A request line that is too long, whatever follows.
/// - A line that ends in a bare LF, which RFC 9112 §2.2 lets us take and half of all smuggling
///   rests on. Not to wait for an end that may never come is also a kindness to whoever tries by
///   hand.
fn refused_early(seen: &[u8], from: usize, limits: HeadLimits) -> Option<Error> {
    if matches!(seen, [b'\r' | b'\n', _, ..] | [b'\n']) {
        return Some(Error::RequestLineMalformed);
    }
    let line_bytes_max = bounds::METHOD_BYTES_MAX + limits.target + "  HTTP/1.1\r\n".len();
    let first_line = memchr::memchr(b'\n', &seen[..seen.len().min(line_bytes_max)]);
    if first_line.is_none() && seen.len() >= line_bytes_max {
        return Some(line_too_long(seen));
    }
    let bare = memchr::memchr_iter(b'\n', &seen[from..])
        .map(|at| from + at)
        .find(|at| *at == 0 || seen[at - 1] != b'\r')?;
    Some(if first_line == Some(bare) {
        Error::RequestLineMalformed
    } else {
        Error::FieldMalformed
    })
}

/// Whose fault it is that the request line does not end (RFC 9112 §3).
#[cold]
fn line_too_long(seen: &[u8]) -> Error {
    let method = &seen[..seen.len().min(bounds::METHOD_BYTES_MAX + 1)];
    if memchr::memchr(b' ', method).is_none() {
        Error::MethodRefused
    } else {
        Error::TargetTooLong
    }
}

#[cold]
fn too_large(seen: &[u8], limits: HeadLimits) -> Error {
    let line = memchr::memchr(b'\n', seen).unwrap_or(seen.len());
    if line > limits.target + bounds::METHOD_BYTES_MAX {
        line_too_long(seen)
    } else {
        Error::HeadTooLarge
    }
}

/// What httparse's complaint means in our words.
#[cold]
fn refusal(error: httparse::Error, head: &[u8]) -> Error {
    match error {
        httparse::Error::TooManyHeaders => Error::FieldsTooMany,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Error::FieldMalformed,
        httparse::Error::Version if names_other_version(head) => Error::VersionUnsupported,
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => Error::RequestLineMalformed,
    }
}

/// Whether the request line ends in a well-formed `HTTP/d.d` (RFC 9112 §2.3), then certainly one
/// that we do not speak.
fn names_other_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Some(name) = line.rsplit(|byte| *byte == b' ').next() else {
        return false;
    };
    matches!(name, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
        && line.iter().filter(|byte| **byte == b' ').count() == 2
}

#[cfg(test)]
mod tests;
