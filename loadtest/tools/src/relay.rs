//! The floor: a relay of bytes on raw io_uring that knows no HTTP.
//!
//! One thread, one receive and one send at a time in each direction, each client connection
//! tied to one origin connection for its life. What it costs is what the kernel asks for moving
//! the bytes; a proxy that parses, routes and logs cannot cost less. It does nothing else: no
//! pooling, no timeouts, no log.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::arguments::Arguments;

/// Entries of the submission queue: more than the connections of any scene can have in flight
/// between two submissions.
const ENTRIES: u32 = 4096;
/// Bytes of a direction's buffer.
const BUFFER_BYTES: usize = 16 * 1024;
/// The accept's `user_data`; a direction's is its index times two, plus one while it sends.
const ACCEPT: u64 = u64::MAX;

/// One direction of one connection pair.
struct Direction {
    from: i32,
    to: i32,
    /// Never moved or resized while the kernel may hold its address.
    buffer: Box<[u8]>,
    sent: usize,
    filled: usize,
}

struct Relay {
    ring: IoUring,
    /// Directions 2n and 2n + 1 are the two halves of pair n.
    directions: Vec<Direction>,
    pairs: Vec<Pair>,
    free: Vec<usize>,
}

/// The two sockets of a connection, closed when both directions are over.
struct Pair {
    sockets: Option<(OwnedFd, TcpStream)>,
    directions_open: u8,
}

/// Relays until it is killed.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let address: SocketAddr = arguments.required("listen")?;
    let origins = arguments.addresses("origin")?;
    let listener = TcpListener::bind(address).map_err(|e| format!("{address}: {e}"))?;
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .build(ENTRIES)
        .map_err(|e| format!("io_uring is not to be had here: {e}"))?;
    let mut relay = Relay {
        ring,
        directions: Vec::new(),
        pairs: Vec::new(),
        free: Vec::new(),
    };
    relay.push(
        &opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .build()
            .user_data(ACCEPT),
    );
    let mut accepted = 0_usize;
    let mut completions: Vec<(u64, i32)> = Vec::with_capacity(ENTRIES as usize * 2);
    loop {
        relay
            .ring
            .submit_and_wait(1)
            .map_err(|e| format!("io_uring: {e}"))?;
        completions.extend(
            relay
                .ring
                .completion()
                .map(|c: cqueue::Entry| (c.user_data(), c.result())),
        );
        for (user_data, result) in completions.drain(..) {
            if user_data != ACCEPT {
                relay.moved((user_data / 2) as usize, user_data % 2 == 1, result);
            } else if result >= 0 {
                relay.open(result, origins[accepted % origins.len()])?;
                accepted += 1;
            } else {
                return Err(format!(
                    "accept: {}",
                    std::io::Error::from_raw_os_error(-result)
                ));
            }
        }
    }
}

impl Relay {
    fn open(&mut self, client: i32, origin: SocketAddr) -> Result<(), String> {
        // SAFETY: the accept has just returned this descriptor and nothing else owns it.
        let client = unsafe { OwnedFd::from_raw_fd(client) };
        // Connecting blocks the thread, once a connection and only over loopback.
        let stream = TcpStream::connect(origin).map_err(|e| format!("{origin}: {e}"))?;
        let fds = (client.as_raw_fd(), stream.as_raw_fd());
        let nodelay = stream
            .set_nodelay(true)
            .and_then(|()| Ok(rustix::net::sockopt::set_tcp_nodelay(&client, true)?));
        nodelay.map_err(|e| format!("TCP_NODELAY: {e}"))?;
        let index = self.free.pop().unwrap_or_else(|| {
            for _ in 0..2 {
                let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
                self.directions.push(Direction {
                    from: -1,
                    to: -1,
                    buffer,
                    sent: 0,
                    filled: 0,
                });
            }
            self.pairs.push(Pair {
                sockets: None,
                directions_open: 0,
            });
            self.pairs.len() - 1
        });
        self.pairs[index] = Pair {
            sockets: Some((client, stream)),
            directions_open: 2,
        };
        for (half, (from, to)) in [fds, (fds.1, fds.0)].into_iter().enumerate() {
            let direction = &mut self.directions[2 * index + half];
            (direction.from, direction.to) = (from, to);
            self.receive(2 * index + half);
        }
        Ok(())
    }

    /// A receive or a send of a direction has completed.
    fn moved(&mut self, index: usize, was_send: bool, result: i32) {
        if result <= 0 {
            return self.end(index);
        }
        let direction = &mut self.directions[index];
        if was_send {
            direction.sent += result as usize;
            if direction.sent == direction.filled {
                return self.receive(index);
            }
        } else {
            (direction.sent, direction.filled) = (0, result as usize);
        }
        self.send(index);
    }

    fn receive(&mut self, index: usize) {
        let direction = &mut self.directions[index];
        let entry = opcode::Recv::new(
            types::Fd(direction.from),
            direction.buffer.as_mut_ptr(),
            BUFFER_BYTES as u32,
        );
        self.push(&entry.build().user_data(2 * index as u64));
    }

    fn send(&mut self, index: usize) {
        let direction = &self.directions[index];
        let rest = &direction.buffer[direction.sent..direction.filled];
        let entry = opcode::Send::new(types::Fd(direction.to), rest.as_ptr(), rest.len() as u32);
        self.push(&entry.build().user_data(2 * index as u64 + 1));
    }

    /// One direction is over: the other ends too, and the last one closes both sockets.
    fn end(&mut self, index: usize) {
        let pair = &mut self.pairs[index / 2];
        pair.directions_open -= 1;
        if pair.directions_open == 0 {
            pair.sockets = None;
            self.free.push(index / 2);
        } else if let Some((client, origin)) = &pair.sockets {
            // An error means that the peer was faster; the other direction ends all the same.
            let _ = rustix::net::shutdown(client, rustix::net::Shutdown::Both);
            let _ = rustix::net::shutdown(origin, rustix::net::Shutdown::Both);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the entry points into a boxed buffer that lives in `directions` until the
        // process ends, and a direction has at most one operation in flight.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring
                .submit()
                .expect("a ring that was set up takes submissions");
        }
    }
}
