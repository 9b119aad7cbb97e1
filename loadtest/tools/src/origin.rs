//! The origin: a small HTTP/1.1 server, cheap enough that the proxy in front of it is what is
//! measured.
//!
//! One thread, one epoll. Any path is answered with 13 bytes; what else there is stands in
//! `request.rs`. A request with Content-Length has its body read, counted and thrown away. Every
//! answer names the process in `x-origin`. It trusts its clients: a chunked request or a head over
//! 16 KiB ends the connection.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::poller::{Interest, Poller};
use crate::request::{Action, Request};

/// The small answer's body.
const HELLO: &[u8; 13] = b"hello, world\n";
/// A larger head is not a request of these tests.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What is read at once, and what `/bytes/N` sends again and again.
const BLOCK_BYTES: usize = 256 * 1024;
/// Between two events of `/sse`.
const EVENT_EVERY: Duration = Duration::from_millis(100);
/// Events of one `/sse` answer.
const EVENTS: u32 = 50;
/// The listener's token.
const LISTENER: u64 = u64::MAX;

/// What all connections use.
struct Shared {
    poller: Poller,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    /// The body of `/bytes/N`, one block of it.
    block: Vec<u8>,
    /// Where reads land.
    scratch: Vec<u8>,
    /// The whole small answer, ready to be copied.
    hello: Vec<u8>,
    name: String,
}

struct Connection {
    token: u64,
    stream: TcpStream,
    /// Bytes read and not yet parsed.
    input: Vec<u8>,
    /// Bytes to be written first.
    output: Vec<u8>,
    /// Bytes of the block to be written after `output`.
    body_left: u64,
    /// Bytes of an upload still to be read, and how many it has in all.
    upload_left: u64,
    upload_bytes: u64,
    /// What the next timer does; requests wait meanwhile.
    later: Later,
    interest: Interest,
}

#[derive(Clone, Copy, PartialEq)]
enum Later {
    Nothing,
    Hello,
    Event(u32),
}

/// The connection is over; the caller drops it.
struct Over;

/// Serves until it is killed.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let address: SocketAddr = arguments.required("listen")?;
    let name: String = arguments.or("name", address.port().to_string())?;
    let listener = TcpListener::bind(address).map_err(|e| format!("{address}: {e}"))?;
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    let mut shared = Shared {
        poller: Poller::new()?,
        timers: BinaryHeap::new(),
        block: vec![b'x'; BLOCK_BYTES],
        scratch: vec![0; BLOCK_BYTES],
        hello: head(&name, HELLO.len() as u64)
            .into_iter()
            .chain(*HELLO)
            .collect(),
        name,
    };
    shared.poller.add(&listener, LISTENER, Interest::Read)?;
    let mut connections = HashMap::new();
    let (mut tokens, mut next) = (Vec::new(), 0);
    loop {
        let first = shared.timers.peek().map(|Reverse((at, _))| *at);
        let timeout = first.map(|at| at.saturating_duration_since(Instant::now()));
        shared.poller.wait(&mut tokens, timeout)?;
        fire_timers(&mut shared, &mut connections);
        for &token in &tokens {
            if token == LISTENER {
                accept(&shared, &listener, &mut connections, &mut next)?;
            } else if let Some(connection) = connections.get_mut(&token)
                && connection
                    .read(&mut shared)
                    .and_then(|()| connection.advance(&mut shared))
                    .is_err()
            {
                connections.remove(&token);
            }
        }
    }
}

fn accept(
    shared: &Shared,
    listener: &TcpListener,
    connections: &mut HashMap<u64, Connection>,
    next: &mut u64,
) -> Result<(), String> {
    while let Ok((stream, _)) = listener.accept() {
        if stream
            .set_nonblocking(true)
            .and_then(|()| stream.set_nodelay(true))
            .is_err()
        {
            continue;
        }
        shared.poller.add(&stream, *next, Interest::Read)?;
        connections.insert(*next, Connection::new(*next, stream));
        *next += 1;
    }
    Ok(())
}

fn fire_timers(shared: &mut Shared, connections: &mut HashMap<u64, Connection>) {
    let now = Instant::now();
    while let Some(&Reverse((at, token))) = shared.timers.peek() {
        if at > now {
            return;
        }
        shared.timers.pop();
        if let Some(connection) = connections.get_mut(&token) {
            connection.wake(shared);
            if connection.advance(shared).is_err() {
                connections.remove(&token);
            }
        }
    }
}

impl Connection {
    fn new(token: u64, stream: TcpStream) -> Self {
        Self {
            token,
            stream,
            input: Vec::new(),
            output: Vec::new(),
            body_left: 0,
            upload_left: 0,
            upload_bytes: 0,
            later: Later::Nothing,
            interest: Interest::Read,
        }
    }

    /// Reads once; what remains is reported again by the level-triggered poller.
    fn read(&mut self, shared: &mut Shared) -> Result<(), Over> {
        if self.interest != Interest::Read {
            // Room to write, or the peer's end while a timer runs; writing finds out which.
            return if self.interest == Interest::Nothing {
                Err(Over)
            } else {
                Ok(())
            };
        }
        let count = match self.stream.read(&mut shared.scratch) {
            Ok(0) => return Err(Over),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Over),
        };
        let of_upload = self.upload_left.min(count as u64);
        self.input
            .extend(&shared.scratch[of_upload as usize..count]);
        if of_upload > 0 {
            self.upload_progress(of_upload, shared);
        }
        Ok(())
    }

    /// Does all that can be done without waiting, then says what to wait for.
    fn advance(&mut self, shared: &mut Shared) -> Result<(), Over> {
        let interest = loop {
            if !self.flush(&shared.block)? {
                break Interest::Write;
            }
            if self.later != Later::Nothing {
                break Interest::Nothing;
            }
            if self.upload_left > 0 || !self.answer_next(shared)? {
                break Interest::Read;
            }
        };
        if self.interest != interest {
            shared.poller.change(&self.stream, self.token, interest);
            self.interest = interest;
        }
        Ok(())
    }

    /// Answers the next whole request of the input; `false` when there is none.
    fn answer_next(&mut self, shared: &mut Shared) -> Result<bool, Over> {
        let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if self.input.len() > HEAD_BYTES_MAX {
                Err(Over)
            } else {
                Ok(false)
            };
        };
        let request = Request::parse(&self.input[..end]).ok_or(Over)?;
        self.input.drain(..end + 4);
        if request.body_bytes > 0 {
            let at_hand = request.body_bytes.min(self.input.len() as u64);
            self.input.drain(..at_hand as usize);
            self.upload_left = request.body_bytes;
            self.upload_bytes = request.body_bytes;
            self.upload_progress(at_hand, shared);
            return Ok(true);
        }
        match request.action {
            Action::Hello if request.head_only => {
                self.output.extend(head(&shared.name, HELLO.len() as u64))
            }
            Action::Hello => self.output.extend(&shared.hello),
            Action::Bytes(count) => {
                self.output.extend(head(&shared.name, count));
                self.body_left = count;
            }
            Action::Stall(wait) => {
                std::thread::sleep(wait);
                self.output.extend(&shared.hello);
            }
            Action::Slow(wait) => self.schedule(wait, Later::Hello, shared),
            Action::Events => {
                self.output.extend(event_head(&shared.name));
                self.schedule(EVENT_EVERY, Later::Event(0), shared);
            }
        }
        Ok(true)
    }

    fn upload_progress(&mut self, count: u64, shared: &Shared) {
        self.upload_left -= count;
        if self.upload_left == 0 {
            let body = format!("{}\n", self.upload_bytes);
            self.output.extend(head(&shared.name, body.len() as u64));
            self.output.extend(body.as_bytes());
        }
    }

    fn schedule(&mut self, wait: Duration, later: Later, shared: &mut Shared) {
        self.later = later;
        shared
            .timers
            .push(Reverse((Instant::now() + wait, self.token)));
    }

    /// The timer of this connection has come.
    fn wake(&mut self, shared: &mut Shared) {
        match self.later {
            Later::Nothing => {}
            Later::Hello => {
                self.output.extend(&shared.hello);
                self.later = Later::Nothing;
            }
            Later::Event(EVENTS) => {
                self.output.extend(b"0\r\n\r\n");
                self.later = Later::Nothing;
            }
            Later::Event(number) => {
                let event = format!("data: {number}\n\n");
                self.output
                    .extend(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
                self.schedule(EVENT_EVERY, Later::Event(number + 1), shared);
            }
        }
    }

    /// Writes what waits; `true` when all of it has gone.
    fn flush(&mut self, block: &[u8]) -> Result<bool, Over> {
        let mut written = 0;
        while written < self.output.len() {
            let Some(count) = write_some(&mut self.stream, &self.output[written..])? else {
                self.output.drain(..written);
                return Ok(false);
            };
            written += count;
        }
        self.output.clear();
        while self.body_left > 0 {
            let next = self.body_left.min(block.len() as u64) as usize;
            let Some(count) = write_some(&mut self.stream, &block[..next])? else {
                return Ok(false);
            };
            self.body_left -= count as u64;
        }
        Ok(true)
    }
}

/// Bytes written, or `None` where there is no room now.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<Option<usize>, Over> {
    match stream.write(bytes) {
        Ok(0) => Err(Over),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(Over),
    }
}

fn head(name: &str, length: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nX-Origin: {name}\r\n\r\n")
        .into_bytes()
}

fn event_head(name: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Origin: {name}\r\n\r\n"
    )
    .into_bytes()
}
