//! Which sockets are listened on, and what a new configuration changes about that.
//!
//! A listener is known by its address as configured. New ones are bound before anything else
//! changes, so that a port which is taken leaves everything as it was. Who accepts is not known
//! here.

use super::fleet::ListenerId;
use crate::{
    model::checked::{Address, Listener},
    net::{Bound, ListenAddress},
};
use socket2::{Domain, Socket, Type};
use std::{fmt, io, net::SocketAddr, path::Path};

/// A listener that is or will be served.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// Its number.
    pub id: ListenerId,
    /// Its address as configured.
    pub address: Address,
    /// Where it is in fact: with port 0 configured, the port that was free.
    pub local: ListenAddress,
}

/// All listeners that are served.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners {
    open: Vec<Open>,
    next_id: ListenerId,
}

/// What a new configuration changes.
#[derive(Debug)]
pub(super) struct Change {
    /// The listeners as they will be.
    pub after: Listeners,
    /// New ones, bound: a socket for each worker.
    pub opened: Vec<(Open, Vec<Bound>)>,
    /// Those that go.
    pub closed: Vec<Open>,
}

/// A listener that cannot be bound.
#[derive(Debug)]
pub struct BindError {
    /// Where.
    pub address: ListenAddress,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    #[allow(clippy::wildcard_enum_match_arm)] // The standard library's kinds grow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.address)?;
        let why = match self.error.kind() {
            io::ErrorKind::AddrInUse => Some("another socket has this address"),
            io::ErrorKind::AddrNotAvailable => Some("this machine has no such address"),
            io::ErrorKind::PermissionDenied => Some("this user may not use it"),
            _ => None,
        };
        match why {
            Some(why) => write!(f, "{why} ({})", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

impl Listeners {
    /// The listeners that are served.
    pub(super) fn open(&self) -> &[Open] {
        &self.open
    }

    /// Binds what `wanted` has beyond the present ones, for this many workers.
    ///
    /// # Errors
    /// The first address that cannot be bound; nothing is left bound then.
    pub(super) fn change(&self, wanted: &[Listener], workers: usize) -> Result<Change, BindError> {
        let mut after = Self {
            open: Vec::with_capacity(wanted.len()),
            next_id: self.next_id,
        };
        let mut opened = Vec::new();
        for listener in wanted {
            let known = self
                .open
                .iter()
                .find(|open| open.address == listener.address);
            if let Some(known) = known {
                after.open.push(known.clone());
                continue;
            }
            let (local, sockets) = self.bind(listener, workers)?;
            let open = Open {
                id: after.next_id,
                address: listener.address.clone(),
                local,
            };
            after.next_id += 1;
            after.open.push(open.clone());
            opened.push((open, sockets));
        }
        let stays = |open: &&Open| after.open.iter().all(|after| after.id != open.id);
        let closed = self.open.iter().filter(stays).cloned().collect();
        Ok(Change {
            after,
            opened,
            closed,
        })
    }

    fn bind(
        &self,
        listener: &Listener,
        workers: usize,
    ) -> Result<(ListenAddress, Vec<Bound>), BindError> {
        let wanted = listen_address(&listener.address);
        let failed = |error| BindError {
            address: wanted.clone(),
            error,
        };
        if let ListenAddress::Ip(address) = wanted
            && !self.has_port(address.port())
        {
            is_free(address).map_err(failed)?;
        }
        let sockets = Bound::bind_all(&wanted, listener.backlog.into(), workers).map_err(failed)?;
        let local = sockets.first().and_then(Bound::local_addr);
        Ok((local.map_or(wanted, ListenAddress::Ip), sockets))
    }

    fn has_port(&self, port: u16) -> bool {
        self.open.iter().any(|open| match &open.local {
            ListenAddress::Ip(local) => local.port() == port,
            ListenAddress::Unix(_) => false,
        })
    }
}

/// Whether nobody else listens at `address`. With SO_REUSEPORT a second process of the same user
/// would be let in and take half of the connections; this socket has not set it, so it is told.
/// Not asked beside a listener of our own on the same port, which would be in the way.
pub(super) fn is_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// The address in the words of `net`.
pub(super) fn listen_address(address: &Address) -> ListenAddress {
    match address {
        Address::Tcp(address) => ListenAddress::Ip(*address),
        Address::Unix(path) => ListenAddress::Unix(path.clone()),
    }
}

/// Removes the socket file of a listener that is served no longer; TCP ones have none.
pub(super) fn remove_file(address: &ListenAddress) {
    if let ListenAddress::Unix(path) = address {
        remove_socket(path);
    }
}

/// Removes a socket file. One that is gone already is no matter.
pub(super) fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "cannot remove a socket file");
    }
}
