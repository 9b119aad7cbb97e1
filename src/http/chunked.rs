//! A chunked body, read (RFC 9112 §7.1).
//!
//! The decoder takes the framing out in place: the data of all chunks in a window of the buffer
//! is moved together at the window's front, so that it can be written on in one piece, framed
//! anew or not at all. Nothing of the peer's framing is ever forwarded: chunk extensions are read
//! over, sizes are written afresh, trailers are parsed and filtered.

use super::field::{FieldId, NOT_IN_TRAILERS};
use crate::{bounds, error::Error};

/// Where a chunked body has been read to.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of the current chunk's data still to come.
    remaining: u64,
    /// Hexadecimal digits of the current size line.
    digits: u8,
    /// Bytes of the current size line.
    line_bytes: usize,
    /// The trailer section as it arrives. Stays empty, and unallocated, for a body without one.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerLine,
    LastLf,
    Done,
}

/// What one call of [`ChunkedDecoder::decode`] did with its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the window that were read. What lies behind belongs to the next message once the
    /// body is done.
    pub consumed: usize,
    /// Bytes of data, now at the window's front. `data <= consumed`.
    pub data: usize,
}

impl ChunkedDecoder {
    /// Makes it ready for another body. Keeps its storage.
    pub fn reset(&mut self) {
        self.state = State::Size;
        self.remaining = 0;
        self.digits = 0;
        self.line_bytes = 0;
        self.trailers.clear();
    }

    /// Whether the last chunk and the trailer section have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields that may be forwarded, each line with its CRLF. Empty unless done.
    pub fn trailers(&self) -> &[u8] {
        if self.is_done() { &self.trailers } else { &[] }
    }

    /// Reads as much of `window` as there is, up to the end of the body.
    ///
    /// Cost: framing byte by byte, data by one `memmove` a chunk; no allocation unless there are
    /// trailers. Bench: `http/chunked`.
    pub fn decode(&mut self, window: &mut [u8]) -> Result<Decoded, Error> {
        let mut at = 0;
        let mut data = 0;
        while at < window.len() && self.state != State::Done {
            if self.state == State::Data {
                let here = self.remaining.min((window.len() - at) as u64) as usize;
                if data != at {
                    window.copy_within(at..at + here, data);
                }
                data += here;
                at += here;
                self.remaining -= here as u64;
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.step(window[at])?;
                at += 1;
            }
        }
        Ok(Decoded { consumed: at, data })
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<(), Error> {
        match self.state {
            State::Size => self.size(byte)?,
            State::Extension => match byte {
                b'\r' => self.state = State::SizeLf,
                // A bare LF, or a control: one parser ends the line here, another does not.
                0..=8 | b'\n'..=0x1f | 0x7f => return Err(Error::ChunkMalformed),
                _ => {}
            },
            State::SizeLf => {
                expect(byte, b'\n')?;
                self.line_bytes = 0;
                self.digits = 0;
                self.state = if self.remaining == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                };
                return Ok(());
            }
            State::DataCr => {
                expect(byte, b'\r')?;
                self.state = State::DataLf;
            }
            State::DataLf => {
                expect(byte, b'\n')?;
                self.state = State::Size;
                self.line_bytes = 0;
                return Ok(());
            }
            // An empty section never reaches the storage, so that it costs no allocation.
            State::TrailerStart if byte == b'\r' => {
                self.state = State::LastLf;
                return Ok(());
            }
            State::TrailerStart | State::TrailerLine => return self.trailer(byte),
            State::LastLf => {
                expect(byte, b'\n')?;
                self.state = State::Done;
                return Ok(());
            }
            State::Data | State::Done => {}
        }
        self.line_bytes += 1;
        if self.line_bytes > bounds::CHUNK_LINE_BYTES_MAX {
            return Err(Error::ChunkMalformed);
        }
        Ok(())
    }

    fn size(&mut self, byte: u8) -> Result<(), Error> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            // A space or tab before the extension is bad white space (RFC 9112 §7.1.1): refused,
            // as `4 ;x` and `4 \r\n` are what parsers differ on.
            b';' if self.digits > 0 => {
                self.state = State::Extension;
                return Ok(());
            }
            b'\r' if self.digits > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            _ => return Err(Error::ChunkMalformed),
        };
        if self.digits == 0 {
            self.remaining = 0;
        }
        // Sixteen digits fill 64 bits; leading zeros count, they have no use but to hide.
        if self.digits == 16 {
            return Err(Error::ChunkMalformed);
        }
        self.digits += 1;
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), Error> {
        let bare_lf = byte == b'\n' && self.trailers.last() != Some(&b'\r');
        if bare_lf || self.trailers.len() == bounds::TRAILER_BYTES_MAX {
            return Err(Error::ChunkMalformed);
        }
        self.state = State::TrailerLine;
        self.trailers.push(byte);
        if self.trailers.ends_with(b"\r\n\r\n") {
            self.trailers = forwardable(&self.trailers)?;
            self.state = State::Done;
        }
        Ok(())
    }
}

fn expect(byte: u8, expected: u8) -> Result<(), Error> {
    if byte == expected {
        Ok(())
    } else {
        Err(Error::ChunkMalformed)
    }
}

/// Names without an id of ours that no trailer may have (RFC 9110 §6.5.1, and the list of RFC 7230
/// §4.1.2): who merges trailers into the head would take them for what was checked there.
const NEVER_TRAILERS: [&str; 20] = [
    "age",
    "cache-control",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
];

fn is_never_a_trailer(name: &str) -> bool {
    NOT_IN_TRAILERS.has(FieldId::of(name.as_bytes()))
        || NEVER_TRAILERS
            .iter()
            .any(|never| name.eq_ignore_ascii_case(never))
}

/// The lines of a trailer section that may go on.
#[cold]
fn forwardable(section: &[u8]) -> Result<Vec<u8>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; bounds::TRAILER_FIELDS_MAX];
    let fields = match httparse::parse_headers(section, &mut headers) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => fields,
        _ => return Err(Error::ChunkMalformed),
    };
    let mut kept = Vec::with_capacity(section.len());
    for field in fields {
        if !is_never_a_trailer(field.name) {
            kept.extend_from_slice(field.name.as_bytes());
            kept.extend_from_slice(b": ");
            kept.extend_from_slice(field.value);
            kept.extend_from_slice(b"\r\n");
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
