//! The head of an origin's response, and what body follows it.
//!
//! Held to the same strictness as requests: an origin that two parsers read differently splits
//! responses. Every refusal becomes 502, so only one error is told apart: too large.

use super::{
    fields::{Declared, Fields, Span, find_end, tokens},
    method::Method,
    request::{Parsed, Version},
    scan,
};
use crate::{bounds, error::Error};

/// The head of one response, as offsets into the buffer it was parsed from.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The reason phrase; may be empty.
    pub reason: Span,
    /// The fields.
    pub fields: Fields,
    /// Bytes of the head, its last empty line included.
    pub len: usize,
    /// Bytes known to hold no end of head.
    scanned: usize,
}

/// How a response's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            status: 0,
            version: Version::Http11,
            reason: Span::default(),
            fields: Fields::with_capacity(bounds::HEAD_FIELDS_USUAL),
            len: 0,
            scanned: 0,
        }
    }
}

impl ResponseHead {
    /// Forgets what was parsed: the next call of [`Self::parse`] begins a new head.
    pub fn reset(&mut self) {
        self.scanned = 0;
        self.len = 0;
        self.fields.clear();
    }

    /// Whether it is interim: another head follows for the same request (RFC 9110 §15.2). 101 is
    /// not, it ends HTTP on the connection.
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Whether the origin lets the connection live on after this response. After one that tells
    /// of a body where none can be (RFC 9112 §6.1, RFC 9110 §8.6), it may still send that body:
    /// the next response would begin with it.
    pub const fn keeps_alive(&self) -> bool {
        let bodiless = matches!(self.status, 100..=199 | 204);
        if bodiless
            && !matches!(
                self.fields.declared,
                Declared::Nothing | Declared::Length(0)
            )
        {
            return false;
        }
        match self.version {
            Version::Http11 => !self.fields.connection.close,
            Version::Http10 => self.fields.connection.keep_alive && !self.fields.connection.close,
        }
    }

    /// Whether a 101 changes to one of the protocols that the request `asked` for, and says to
    /// which: an origin must not choose another (RFC 9110 §7.8), and what we do not let a client
    /// ask for must not come by the back door.
    pub fn changes_to(&self, asked: Option<&[u8]>, buffer: &[u8]) -> bool {
        let Some(asked) = asked else {
            return false;
        };
        let chosen = self.fields.value_at(self.fields.upgrade, buffer);
        let was_asked = |name: &[u8]| tokens(asked).any(|one| one.eq_ignore_ascii_case(name));
        tokens(chosen).next().is_some() && tokens(chosen).all(was_asked)
    }

    /// How the body ends, in answer to a request with `method`.
    pub const fn body(&self, method: Method) -> ResponseBody {
        if matches!(method, Method::Head) || matches!(self.status, 100..=199 | 204 | 304) {
            return ResponseBody::None;
        }
        match self.fields.declared {
            Declared::Chunked => ResponseBody::Chunked,
            Declared::Length(0) => ResponseBody::None,
            Declared::Length(length) => ResponseBody::Length(length),
            Declared::Nothing => ResponseBody::UntilClose,
        }
    }

    /// Parses the head at the front of `buffer`. Every breach of the rules is
    /// [`Error::UpstreamMalformed`].
    ///
    /// Cost: as for a request's head. Bench: `http/response_head`.
    pub fn parse(&mut self, buffer: &[u8]) -> Result<Parsed, Error> {
        // An origin that drips must drip the beginning of a response; and httparse would skip
        // empty lines in front of it, where the end of another message could stand.
        let begins = b"HTTP/1.";
        let shown = buffer.len().min(begins.len());
        if buffer[..shown] != begins[..shown] {
            return Err(Error::UpstreamMalformed);
        }
        // As for requests: one that comes in one piece needs no search for its end.
        if self.scanned == 0
            && self
                .read(&buffer[..buffer.len().min(bounds::HEAD_BYTES_MAX)])
                .is_ok()
        {
            return Ok(Parsed::Complete);
        }
        let from = self.scanned.min(buffer.len()).saturating_sub(3);
        let end = find_end(&buffer[from..]).map(|end| from + end);
        match end {
            Some(end) if end <= bounds::HEAD_BYTES_MAX => {
                self.read(&buffer[..end])?;
                Ok(Parsed::Complete)
            }
            None if buffer.len() < bounds::HEAD_BYTES_MAX => {
                // A head in bare LFs would never end: better told now than when time is up.
                let seen = self.scanned.min(buffer.len());
                let bare = |at: usize| seen + at == 0 || buffer[seen + at - 1] != b'\r';
                if memchr::memchr_iter(b'\n', &buffer[seen..]).any(bare) {
                    return Err(Error::UpstreamMalformed);
                }
                self.scanned = buffer.len();
                Ok(Parsed::Partial)
            }
            Some(_) | None => Err(Error::UpstreamMalformed),
        }
    }

    /// Takes over the head at the front of `seen`. Refuses one that does not end there too.
    fn read(&mut self, seen: &[u8]) -> Result<(), Error> {
        let mut headers = [const { std::mem::MaybeUninit::uninit() }; bounds::HEAD_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, seen, &mut headers)
            .map_err(|_| Error::UpstreamMalformed)?;
        let head = match status {
            httparse::Status::Complete(end) if seen[..end].ends_with(b"\r\n\r\n") => &seen[..end],
            httparse::Status::Complete(_) | httparse::Status::Partial => {
                return Err(Error::UpstreamMalformed);
            }
        };
        self.fields.clear();
        self.take_status_line(head, &response)?;
        self.fields
            .take(head, response.headers)
            .and_then(|()| self.fields.nominate(head))
            .map_err(|_| Error::UpstreamMalformed)?;
        // RFC 9112 §6.1: HTTP/1.0 has no transfer codings.
        if self.version == Version::Http10 && self.fields.declared == Declared::Chunked {
            return Err(Error::UpstreamMalformed);
        }
        self.len = head.len();
        Ok(())
    }

    fn take_status_line(
        &mut self,
        head: &[u8],
        response: &httparse::Response<'_, '_>,
    ) -> Result<(), Error> {
        let (Some(version), Some(status), Some(reason)) =
            (response.version, response.code, response.reason)
        else {
            return Err(Error::UpstreamMalformed);
        };
        if !(100..=999).contains(&status) {
            return Err(Error::UpstreamMalformed);
        }
        self.version = if version == 0 {
            Version::Http10
        } else {
            Version::Http11
        };
        self.status = status;
        let line_end = scan::position(head, b'\n').unwrap_or(0);
        if line_end == 0 || head[line_end - 1] != b'\r' {
            return Err(Error::UpstreamMalformed);
        }
        // httparse gives an empty reason that lies elsewhere when it holds obs-text.
        const REASON_AT: usize = "HTTP/1.1 200 ".len();
        debug_assert!(reason.len() <= line_end);
        self.reason = Span::new(REASON_AT.min(line_end - 1), line_end - 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
