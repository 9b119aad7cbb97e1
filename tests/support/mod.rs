//! What the integration tests stand on: the real program, an origin and a client, all over real
//! sockets of this machine. Nothing sleeps for a time that "should do": it waits for an event, and
//! fails when that does not come.

mod client;
mod gateway;
mod origin;

pub(crate) use client::{Client, get};
pub(crate) use gateway::{Gateway, Signal, folder as test_folder, program};
pub(crate) use origin::{Gate, Origin, Reply};

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long an event may take. Far more than it does, even on a machine that does other things.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Both ways in which workers wait for sockets.
pub(crate) const DRIVERS: [&str; 2] = ["auto", "epoll"];

/// Waits until `look` finds something.
#[track_caller]
#[allow(clippy::disallowed_methods)] // The clock of the program is not the tests'.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}
