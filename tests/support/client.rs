//! A client that sends what it is told, byte by byte if need be, and reads responses.

use super::DEADLINE;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

/// A connection.
pub(crate) struct Client {
    input: BufReader<Box<dyn Read>>,
    output: Box<dyn Write>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    /// The status code.
    pub status: u16,
    /// The field lines, with CRLF.
    pub fields: String,
    /// The body.
    pub body: String,
}

impl Response {
    /// The value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.fields.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            input: BufReader::new(Box::new(stream.try_clone()?)),
            output: Box::new(stream),
        })
    }

    /// Connects to a Unix socket.
    pub(crate) fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self {
            input: BufReader::new(Box::new(stream.try_clone()?)),
            output: Box::new(stream),
        })
    }

    /// Sends these bytes as they are.
    pub(crate) fn send(&mut self, bytes: &str) -> io::Result<()> {
        self.output.write_all(bytes.as_bytes())
    }

    /// Sends a request without a body.
    pub(crate) fn ask(&mut self, method: &str, path: &str) -> io::Result<Response> {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"
        ))?;
        self.response()
    }

    /// Reads the next response; `UnexpectedEof` if the connection ends first.
    pub(crate) fn response(&mut self) -> io::Result<Response> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.input.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let (line, fields) = head.split_once("\r\n").unwrap();
        let mut response = Response {
            status: line.split(' ').nth(1).unwrap().parse().unwrap(),
            fields: fields.to_owned(),
            body: String::new(),
        };
        let mut body = Vec::new();
        if let Some(length) = response.field("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.input.read_exact(&mut body)?;
        } else if response.field("transfer-encoding").is_some() {
            self.read_chunks(&mut body)?;
        } else if !matches!(response.status, 204 | 304) {
            self.input.read_to_end(&mut body)?;
        }
        response.body = String::from_utf8(body).unwrap();
        Ok(response)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut line = String::new();
            self.input.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; length + 2];
            self.input.read_exact(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    /// Whether the other side has closed the connection, and sent nothing before that.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.input.fill_buf(), Ok([]) | Err(_))
    }
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    Client::connect(address)?.ask("GET", path)
}
