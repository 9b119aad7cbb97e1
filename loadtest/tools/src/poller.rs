//! Readiness: a level-triggered epoll with waits finer than a millisecond.
//!
//! It knows tokens and descriptors only; whoever adds a descriptor closes it, which removes it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read.
    Read,
    /// Room to write; reading waits (backpressure).
    Write,
    /// Nothing but the connection's end.
    Nothing,
}

/// One epoll instance and the events of its last wait.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

impl Poller {
    /// Makes an epoll instance and asks for precise timers, or pacing would be 50 us late.
    pub fn new() -> Result<Self, String> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| format!("epoll: {e}"))?;
        // A generator that may not have precise timers is late by 50 us, which is not fatal.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        Ok(Self {
            epoll,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Watches `source` under `token`.
    pub fn add(&self, source: &impl AsFd, token: u64, interest: Interest) -> Result<(), String> {
        epoll::add(
            &self.epoll,
            source,
            epoll::EventData::new_u64(token),
            flags(interest),
        )
        .map_err(|e| format!("epoll add: {e}"))
    }

    /// Changes what `source` waits for.
    pub fn change(&self, source: &impl AsFd, token: u64, interest: Interest) {
        epoll::modify(
            &self.epoll,
            source,
            epoll::EventData::new_u64(token),
            flags(interest),
        )
        .expect("the descriptor was added and is open");
    }

    /// Waits for events or until `timeout`; the tokens are written over `tokens`.
    pub fn wait(&mut self, tokens: &mut Vec<u64>, timeout: Option<Duration>) -> Result<(), String> {
        tokens.clear();
        self.events.clear();
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs() as i64,
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) => tokens.extend(self.events.iter().map(|event| { event.data }.u64())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("epoll wait: {error}")),
        }
        Ok(())
    }
}

fn flags(interest: Interest) -> epoll::EventFlags {
    match interest {
        Interest::Read => epoll::EventFlags::IN,
        Interest::Write => epoll::EventFlags::OUT,
        Interest::Nothing => epoll::EventFlags::empty(),
    }
}
