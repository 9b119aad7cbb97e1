//! An origin that says what it was asked: enough HTTP/1.1 for a gateway in front of it.
//!
//! A thread a connection, of which there are few: the gateway keeps them. It is for the demo, and
//! listens on loopback only.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Bytes of a request's head, and of the part of its body that is told.
const BYTES_MAX: u64 = 64 * 1024;

/// How long a silent connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Starts the origin on a free port, for the rest of the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("origin".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                // Where there is no thread to be had, the connection closes.
                let _ = thread::Builder::new().spawn(move || serve(stream));
            }
        })?;
    Ok(address)
}

/// Answers requests until the connection ends or does not make sense.
fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE_MAX))?;
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(request) = read(&mut input)? {
        let body = request.to_string();
        let response = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        out.write_all(response.as_bytes())?;
    }
    Ok(())
}

/// A request as it came.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "The origin was asked:\n\n{}",
            self.head.replace('\r', "")
        )?;
        f.write_str(&String::from_utf8_lossy(&self.body))
    }
}

/// The next request; `None` at the end of the connection, or where the request is too long.
fn read(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = String::new();
    let mut rest = input.by_ref().take(BYTES_MAX);
    while !head.ends_with("\r\n\r\n") {
        if rest.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let field = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let body = if let Some(length) = field("content-length") {
        take(input, length.parse().unwrap_or(u64::MAX))?
    } else if field("transfer-encoding").is_some() {
        chunks(input)?
    } else {
        Some(Vec::new())
    };
    Ok(body.map(|body| Request { head, body }))
}

fn take(input: &mut impl BufRead, length: u64) -> io::Result<Option<Vec<u8>>> {
    if length > BYTES_MAX {
        return Ok(None);
    }
    let mut body = vec![0; length as usize];
    input.read_exact(&mut body)?;
    Ok(Some(body))
}

fn chunks(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        input.by_ref().take(BYTES_MAX).read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).unwrap_or(u64::MAX);
        let Some(chunk) = take(input, length.saturating_add(2))? else {
            return Ok(None);
        };
        if length == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&chunk[..length as usize]);
        if body.len() as u64 > BYTES_MAX {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut input = text.as_bytes();
        let mut found = Vec::new();
        while let Ok(Some(request)) = read(&mut input) {
            found.push(String::from_utf8(request.body).unwrap());
        }
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn bodies() {
        check("", &[]);
        check("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", &["", ""]);
        let two = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        check(&two.repeat(2), &["ab", "ab"]);
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        check(&chunked.repeat(2), &["abc", "abc"]);
        check("POST / HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n", &[]);
        check("POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab", &[]);
        check(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            &[],
        );
    }
}
