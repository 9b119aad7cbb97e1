//! Listening sockets: bound once by the control plane, accepted from by every worker.
//!
//! TCP listeners have one socket a worker (SO_REUSEPORT), so that the kernel spreads connections
//! and no worker wakes for another's. A Unix listener is one socket that the workers share. The
//! loop waits for readiness and accepts until nothing is left: no future of an accept is ever
//! dropped with a descriptor in it, and accepted sockets are close-on-exec.

use super::stream::{Driver, Stream};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    fmt, io,
    net::{IpAddr, Shutdown, SocketAddr},
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    path::{Path, PathBuf},
};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address.
    Ip(SocketAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket that listens, not yet in any worker's hands.
#[derive(Debug)]
pub struct Bound(Socket);

impl Bound {
    /// Binds one socket for each of `workers`. Fails as a whole: no socket is left behind.
    pub fn bind_all(
        address: &ListenAddress,
        backlog: i32,
        workers: usize,
    ) -> io::Result<Vec<Self>> {
        match address {
            ListenAddress::Ip(address) => {
                let mut all = Vec::with_capacity(workers);
                let mut address = *address;
                for _ in 0..workers {
                    let bound = bind_tcp(address, backlog)?;
                    // Port 0 is one free port for all workers, not one for each.
                    address = bound.local_addr().unwrap_or(address);
                    all.push(bound);
                }
                Ok(all)
            }
            ListenAddress::Unix(path) => {
                let first = bind_unix(path, backlog)?;
                let mut all = Vec::with_capacity(workers);
                for _ in 1..workers {
                    all.push(Self(first.try_clone()?));
                }
                all.push(Self(first));
                Ok(all)
            }
        }
    }

    /// The address that it got: with port 0 asked for, the port that was free.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()?.as_socket()
    }

    /// Another handle on the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

fn bind_tcp(address: SocketAddr, backlog: i32) -> io::Result<Bound> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // `[::]` is IPv6 alone: with 0.0.0.0 beside it, both bind and neither is a surprise.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(Bound(socket))
}

fn bind_unix(path: &Path, backlog: i32) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket {
        // A socket file outlives its process. One that nobody answers on is a leftover.
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        probe.set_nonblocking(true)?;
        match probe.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client.
    Ip(IpAddr),
    /// A process on this machine, through a Unix socket.
    Local,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// Its other end.
    pub peer: Peer,
}

/// A listening socket in a worker's hands.
#[derive(Debug)]
pub struct Listener {
    /// Tells when there is somebody to accept.
    ready: monoio::net::TcpListener,
    /// The same socket for the accepting itself.
    socket: Socket,
}

impl Listener {
    /// Takes a bound socket into this worker's runtime.
    pub fn new(bound: Bound) -> io::Result<Self> {
        let handle = std::net::TcpListener::from(OwnedFd::from(bound.0.try_clone()?));
        Ok(Self {
            ready: monoio::net::TcpListener::from_std(handle)?,
            socket: bound.0,
        })
    }

    /// Waits until somebody is there. May be dropped at any time.
    pub async fn ready(&self) -> io::Result<()> {
        self.ready.readable(false).await
    }

    /// Stops listening now, where the socket is this worker's alone: TCP.
    ///
    /// Closing does it later: the ring holds the socket until a wait on it is cancelled, and when
    /// the process ends the kernel does that after the process is gone. Until then clients would
    /// be let in and reset, and the next process would find the address taken. A Unix socket is
    /// shared by all workers, of which others may not have taken what waits; and it is its file
    /// that makes the address.
    pub fn stop(&self) {
        let address = self.socket.local_addr();
        if address.is_ok_and(|address| address.as_socket().is_some()) {
            // It fails only for a socket that does not listen.
            let _ = self.socket.shutdown(Shutdown::Read);
        }
    }

    /// Accepts one connection, or says `WouldBlock`.
    pub fn accept(&self, driver: Driver) -> io::Result<Accepted> {
        // accept4 with SOCK_CLOEXEC; the flags of the listening socket are not inherited.
        let (socket, address) = self.socket.accept()?;
        let peer = match address.as_socket() {
            Some(address) => {
                socket.set_tcp_nodelay(true)?;
                Peer::Ip(address.ip().to_canonical())
            }
            None => Peer::Local,
        };
        let stream = std::net::TcpStream::from(OwnedFd::from(socket));
        Ok(Accepted {
            stream: Stream::adopt(stream, driver)?,
            peer,
        })
    }
}
