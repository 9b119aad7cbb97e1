//! An open-loop client: requests at fixed moments, latency counted from the moment meant.
//!
//! A closed loop sends its next request when the last one has been answered, so a server that
//! stalls for a second is asked once in that second and reports one slow request. Here the
//! schedule does not wait: a request whose moment has come while all connections are busy
//! queues, and its latency includes the wait (coordinated omission is corrected by measuring, not
//! by arithmetic afterwards). Every failed request is counted by kind and by the time at which it
//! failed; none is tried again.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::poller::{Interest, Poller};
use crate::response;
use crate::tally::{Failure, Tally};

/// What is read at once; answers of this client's requests are small.
const READ_BYTES: usize = 64 * 1024;
/// A connection that cannot be opened is tried again after this time, not at once.
const REDIAL_AFTER: Duration = Duration::from_millis(10);
/// How often requests are looked at for having waited too long.
const TIMEOUT_CHECK_EVERY: Duration = Duration::from_millis(50);

/// A connection and the request that it carries.
struct Lane {
    stream: Option<TcpStream>,
    /// The moment for which the request in flight was meant, and when it was sent.
    in_flight: Option<(Instant, Instant)>,
    answered: Vec<u8>,
    redial_at: Instant,
}

struct Load {
    poller: Poller,
    target: SocketAddr,
    request: Vec<u8>,
    timeout: Duration,
    lanes: Vec<Lane>,
    /// Lanes without a request; the one idle for longest goes first, so all stay in use.
    idle: VecDeque<usize>,
    tally: Tally,
}

/// Runs the schedule and prints the tally.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let target: SocketAddr = arguments.required("target")?;
    let rate: f64 = arguments.required("rate")?;
    let seconds: f64 = arguments.required("seconds")?;
    let connections: usize = arguments.or("connections", 64)?;
    let path: String = arguments.or("path", "/".to_owned())?;
    let timeout = Duration::from_millis(arguments.or("timeout-ms", 5000)?);
    if !(rate > 0.0 && seconds > 0.0 && connections > 0) {
        return Err("--rate, --seconds and --connections must be above 0".to_owned());
    }
    let start = Instant::now();
    let mut load = Load {
        poller: Poller::new()?,
        target,
        request: format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes(),
        timeout,
        lanes: (0..connections).map(|_| Lane::new(start)).collect(),
        idle: (0..connections).collect(),
        tally: Tally::new(start, seconds),
    };
    for lane in 0..connections {
        load.dial(lane, start);
    }
    load.follow(rate, seconds)?;
    println!("{}", load.tally.json(rate, seconds, connections));
    Ok(())
}

impl Load {
    /// Sends every request of the schedule when its moment has come, then waits for the answers.
    fn follow(&mut self, rate: f64, seconds: f64) -> Result<(), String> {
        let (total, start) = ((rate * seconds) as u64, Instant::now());
        self.tally.start = start;
        let moment = |number: u64| start + Duration::from_secs_f64(number as f64 / rate);
        let last_moment = moment(total) + self.timeout + 2 * TIMEOUT_CHECK_EVERY;
        let (mut sent, mut check_at, mut tokens) = (0, start + TIMEOUT_CHECK_EVERY, Vec::new());
        loop {
            let now = Instant::now();
            while sent < total && moment(sent) <= now {
                let Some(lane) = self.next_lane(now) else {
                    break;
                };
                self.send(lane, moment(sent), now);
                sent += 1;
            }
            if now >= check_at {
                self.expire(now);
                check_at = now + TIMEOUT_CHECK_EVERY;
            }
            let all_answered = sent == total && self.idle.len() == self.lanes.len();
            if all_answered || now >= last_moment {
                self.tally.unsent = total - sent;
                return Ok(());
            }
            let due = if sent < total && moment(sent) > now {
                moment(sent).min(check_at)
            } else {
                check_at
            };
            let due = if sent < total && moment(sent) <= now {
                self.soonest_redial(now, due)
            } else {
                due
            };
            self.poller
                .wait(&mut tokens, Some(due.saturating_duration_since(now)))?;
            let now = Instant::now();
            for &token in &tokens {
                self.readable(token as usize, now);
            }
        }
    }

    /// An idle lane with an open connection, opening one where that is due.
    fn next_lane(&mut self, now: Instant) -> Option<usize> {
        for _ in 0..self.idle.len() {
            let lane = self.idle.pop_front()?;
            if self.lanes[lane].stream.is_none() && self.lanes[lane].redial_at <= now {
                self.dial(lane, now);
            }
            if self.lanes[lane].stream.is_some() {
                return Some(lane);
            }
            self.idle.push_back(lane);
        }
        None
    }

    fn soonest_redial(&self, now: Instant, otherwise: Instant) -> Instant {
        let redials = self
            .idle
            .iter()
            .map(|&lane| self.lanes[lane].redial_at.max(now));
        redials.min().map_or(otherwise, |at| at.min(otherwise))
    }

    /// Opens a lane's connection; a refusal is a failed request of its own kind.
    fn dial(&mut self, lane: usize, now: Instant) {
        let opened = TcpStream::connect_timeout(&self.target, self.timeout)
            .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        match opened {
            Ok(stream) => {
                self.poller
                    .add(&stream, lane as u64, Interest::Read)
                    .expect("a new descriptor can be watched");
                self.lanes[lane].stream = Some(stream);
                self.tally.connections_opened += 1;
            }
            Err(_) => {
                self.tally.fail(Failure::Connect, now);
                self.lanes[lane].redial_at = now + REDIAL_AFTER;
            }
        }
    }

    fn send(&mut self, lane: usize, meant: Instant, now: Instant) {
        let Some(stream) = &mut self.lanes[lane].stream else {
            return;
        };
        // A request is smaller than an empty socket buffer: it goes whole or not at all.
        let written = stream.write(&self.request);
        self.lanes[lane].in_flight = Some((meant, now));
        self.tally.sent += 1;
        if !matches!(written, Ok(count) if count == self.request.len()) {
            self.finish(lane, Err(Failure::Reset), now);
        }
    }

    fn readable(&mut self, lane: usize, now: Instant) {
        let mut buffer = [0; READ_BYTES];
        let Some(stream) = &mut self.lanes[lane].stream else {
            return;
        };
        let count = match stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return;
            }
            Err(_) => return self.broken(lane, Failure::Reset, now),
        };
        if count == 0 {
            return self.broken(lane, Failure::Closed, now);
        }
        let lane_state = &mut self.lanes[lane];
        lane_state.answered.extend(&buffer[..count]);
        match response::whole(&lane_state.answered) {
            Ok(None) => {}
            Ok(Some(answer)) if answer.status == 200 => {
                if answer.close {
                    lane_state.stream = None;
                }
                self.finish(lane, Ok(()), now);
            }
            Ok(Some(answer)) => self.finish(lane, Err(Failure::status(answer.status)), now),
            Err(_) => self.finish(lane, Err(Failure::Unreadable), now),
        }
    }

    /// The peer ended the connection: a failure only where a request was in flight.
    fn broken(&mut self, lane: usize, failure: Failure, now: Instant) {
        if self.lanes[lane].in_flight.is_some() {
            self.finish(lane, Err(failure), now);
        } else {
            self.tally.closed_while_idle += 1;
            self.lanes[lane].stream = None;
        }
    }

    /// The request of a lane is over; after a failure its connection is, too.
    fn finish(&mut self, lane: usize, outcome: Result<(), Failure>, now: Instant) {
        let state = &mut self.lanes[lane];
        state.answered.clear();
        let Some((meant, sent)) = state.in_flight.take() else {
            return;
        };
        match outcome {
            Ok(()) => self.tally.answer(meant, sent, now),
            Err(failure) => {
                self.tally.fail(failure, now);
                if !matches!(failure, Failure::Status5xx | Failure::StatusOther) {
                    state.stream = None;
                }
            }
        }
        self.idle.push_back(lane);
    }

    fn expire(&mut self, now: Instant) {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane]
                .in_flight
                .is_some_and(|(_, sent)| now - sent >= self.timeout)
            {
                self.finish(lane, Err(Failure::Timeout), now);
            }
        }
    }
}

impl Lane {
    fn new(now: Instant) -> Self {
        Self {
            stream: None,
            in_flight: None,
            answered: Vec::new(),
            redial_at: now,
        }
    }
}
