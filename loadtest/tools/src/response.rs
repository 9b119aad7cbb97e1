//! Reading a response as far as a measuring client must: status, length, and whether to go on.
//!
//! It reads Content-Length and chunked bodies and nothing else that is rare: no trailers with
//! meaning, no interim responses, no bodies that end with the connection. A response that it
//! cannot frame is an error, which the clients count as a failed request.

/// Where a response ends and what it was.
pub struct Response {
    /// The three digits of the status line.
    pub status: u16,
    /// Whether the server will close after it.
    pub close: bool,
    /// Bytes of the whole response, head included.
    pub bytes: usize,
    /// Bytes of the body alone (of the coded body, where chunked).
    pub body_bytes: usize,
    /// Bytes of the head, the empty line included.
    pub head_bytes: usize,
}

/// Why the bytes are no response that these clients understand.
#[derive(Debug)]
pub struct Unreadable;

/// Looks for one whole response at the start of `bytes`; `None` while bytes are missing.
pub fn whole(bytes: &[u8]) -> Result<Option<Response>, Unreadable> {
    let Some(response) = head(bytes)? else {
        return Ok(None);
    };
    if response.body_bytes != usize::MAX {
        return Ok((bytes.len() >= response.bytes).then_some(response));
    }
    let Some(body_bytes) = chunked_bytes(&bytes[response.head_bytes..])? else {
        return Ok(None);
    };
    Ok(Some(Response {
        bytes: response.head_bytes + body_bytes,
        body_bytes,
        ..response
    }))
}

/// Reads the head alone. A chunked body's length is not known yet: `usize::MAX`.
pub fn head(bytes: &[u8]) -> Result<Option<Response>, Unreadable> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| Unreadable)?;
    let mut lines = text.split("\r\n");
    let status_line = lines.next().ok_or(Unreadable)?;
    let status = status_line
        .get(9..12)
        .and_then(|digits| digits.parse().ok())
        .ok_or(Unreadable)?;
    let head_bytes = end + 4;
    let mut response = Response {
        status,
        close: status_line.starts_with("HTTP/1.0"),
        bytes: head_bytes,
        body_bytes: 0,
        head_bytes,
    };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Unreadable)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            response.body_bytes = value.parse().map_err(|_| Unreadable)?;
            response.bytes = head_bytes + response.body_bytes;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            response.body_bytes = usize::MAX;
        } else if name.eq_ignore_ascii_case("connection") {
            response.close |= value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(response))
}

/// Bytes of a chunked body, its last chunk and empty line included; `None` while incomplete.
fn chunked_bytes(bytes: &[u8]) -> Result<Option<usize>, Unreadable> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(line_end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = std::str::from_utf8(&rest[..line_end]).map_err(|_| Unreadable)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| Unreadable)?;
        at += line_end + 2 + size + 2;
        if at > bytes.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u16, usize, bool)>) {
        let found = whole(text.as_bytes()).unwrap();
        assert_eq!(found.map(|r| (r.status, r.bytes, r.close)), expected);
    }

    #[test]
    fn framing() {
        check("HTTP/1.1 200 OK\r\ncontent-le", None);
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh", None);
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!",
            Some((200, 40, false)),
        );
        check(
            "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Some((503, 57, true)),
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
            None,
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            Some((200, 59, false)),
        );
        assert!(whole(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
