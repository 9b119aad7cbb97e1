//! A client that says exactly the bytes that a test wants, and reads what comes with a deadline.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// How long a test waits for something that should come.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to the gateway.
pub(crate) struct Client {
    stream: TcpStream,
    /// What has come and was not looked at.
    bytes: Vec<u8>,
}

/// A response, taken apart as far as tests need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The head, its last empty line included, in lower case but for values.
    pub(crate) head: String,
    /// The body, without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The trailer section of a chunked body.
    pub(crate) trailers: String,
}

impl Response {
    /// The value of the first field named `name` (in lower case).
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a duration above zero");
        Self {
            stream,
            bytes: Vec::new(),
        }
    }

    /// Sends bytes. An error means that the gateway closed, which reading will tell.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Says that nothing more comes.
    pub(crate) fn finish(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    fn read_some(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(read) => {
                self.bytes.extend_from_slice(&buffer[..read]);
                read
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// Waits until `count` bytes have come, or the end.
    fn need(&mut self, count: usize) -> bool {
        while self.bytes.len() < count {
            if self.read_some() == 0 {
                return false;
            }
        }
        true
    }

    /// Reads up to and with `end`.
    pub(crate) fn read_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.bytes.windows(end.len()).position(|part| part == end);
            if let Some(at) = found {
                let rest = self.bytes.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.bytes, rest));
            }
            if self.read_some() == 0 {
                return None;
            }
        }
    }

    /// Reads one response head.
    pub(crate) fn head(&mut self) -> Option<String> {
        let head = self.read_until(b"\r\n\r\n")?;
        Some(String::from_utf8(head).expect("a head in ASCII"))
    }

    /// Reads one response to a request that was no HEAD. `None`: the connection ended before it.
    pub(crate) fn response(&mut self) -> Option<Response> {
        let head = self.head()?;
        let status = head[9..12].parse().expect("a status line");
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
            trailers: String::new(),
        };
        if matches!(status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        if response.field("transfer-encoding") == Some("chunked") {
            self.read_chunks(&mut response)?;
        } else if let Some(length) = response.field("content-length") {
            let length = length.parse().expect("a length");
            if !self.need(length) {
                return None;
            }
            let rest = self.bytes.split_off(length);
            response.body = std::mem::replace(&mut self.bytes, rest);
        } else {
            while self.read_some() > 0 {}
            response.body = std::mem::take(&mut self.bytes);
        }
        Some(response)
    }

    fn read_chunks(&mut self, response: &mut Response) -> Option<()> {
        loop {
            let line = self.read_until(b"\r\n")?;
            let line = std::str::from_utf8(&line).expect("a size").trim();
            let size = usize::from_str_radix(line, 16).expect("a size");
            if size == 0 {
                break;
            }
            if !self.need(size + 2) {
                return None;
            }
            let rest = self.bytes.split_off(size + 2);
            let chunk = std::mem::replace(&mut self.bytes, rest);
            assert!(chunk.ends_with(b"\r\n"), "a chunk ends in CRLF");
            response.body.extend_from_slice(&chunk[..size]);
        }
        loop {
            let line = self.read_until(b"\r\n")?;
            if line == b"\r\n" {
                return Some(());
            }
            response.trailers += std::str::from_utf8(&line).expect("a trailer");
        }
    }

    /// Whether the gateway ends the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.bytes.is_empty() && self.read_some() == 0
    }
}
