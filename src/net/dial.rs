//! Connections to origins. Names are resolved elsewhere: it takes addresses only.

use super::stream::{Driver, Stream};
use monoio::net::TcpStream;
use socket2::{Domain, SockAddr, Socket, Type};
use std::{io, net::SocketAddr, os::fd::OwnedFd, path::Path, time::Duration};

/// Why there is no connection.
#[derive(Debug)]
pub enum DialError {
    /// It was refused, reset, or has no way.
    Refused(io::Error),
    /// It took longer than it may.
    Timeout,
    /// The process has no descriptor left.
    DescriptorsExhausted,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        use nix::libc::{EMFILE, ENFILE};
        match error.raw_os_error() {
            Some(EMFILE | ENFILE) => Self::DescriptorsExhausted,
            _ => Self::Refused(error),
        }
    }
}

/// Where an origin listens.
#[derive(Clone, Copy, Debug)]
pub enum DialAddress<'a> {
    /// A TCP address.
    Ip(SocketAddr),
    /// A Unix socket.
    Unix(&'a Path),
}

/// Connects to `address` within `timeout`.
pub async fn dial(
    address: DialAddress<'_>,
    timeout: Duration,
    driver: Driver,
) -> Result<Stream, DialError> {
    match address {
        DialAddress::Ip(address) => {
            let connect = TcpStream::connect_addr(address);
            // Dropping a connect loses nothing: the socket goes with it.
            let stream = monoio::time::timeout(timeout, connect)
                .await
                .map_err(|_| DialError::Timeout)??;
            stream.set_nodelay(true)?;
            Ok(Stream::new(stream))
        }
        DialAddress::Unix(path) => Ok(dial_unix(path, driver)?),
    }
}

/// A Unix socket connects at once or not at all: when its backlog is full it says so, and the
/// worker does not wait in the kernel.
fn dial_unix(path: &Path, driver: Driver) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Stream::adopt(std::net::TcpStream::from(OwnedFd::from(socket)), driver)
}
