//! How a worker waits for the kernel: io_uring with the flags that suit one thread, or epoll.
//!
//! The flags matter more than any code: monoio's default ring costs 19 to 42 % more CPU than its
//! own epoll driver, this one less than either. A ring belongs to the thread that made it, so it
//! is made here. Container runtimes often forbid io_uring; then epoll serves, as well tested.

use crate::net::Driver;
use io_uring::IoUring;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::{future::Future, io, sync::mpsc::SyncSender};

/// Entries of the submission queue. monoio panics on a full queue that it cannot submit, so it is
/// ample: one turn of the loop submits at most what its tasks started.
const RING_ENTRIES: u32 = 8192;

/// Which driver a worker may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring where the kernel lets us, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

/// Runs `main` on a runtime of this thread until it ends. Says through `ready` by which driver,
/// or why not, before `main` begins.
pub(super) fn run<F: Future<Output = ()>>(
    choice: DriverChoice,
    ready: &SyncSender<io::Result<Driver>>,
    main: impl FnOnce(Driver) -> F,
) {
    // The receiver waits for exactly this message.
    let tell = |result| drop(ready.send(result));
    if choice != DriverChoice::Epoll {
        match uring() {
            Ok(mut runtime) => {
                tell(Ok(Driver::Uring));
                return runtime.block_on(main(Driver::Uring));
            }
            Err(error) if choice == DriverChoice::Uring => return tell(Err(error)),
            Err(error) => tracing::debug!(%error, "no io_uring here, using epoll"),
        }
    }
    match RuntimeBuilder::<LegacyDriver>::new()
        .with_entries(RING_ENTRIES)
        .enable_timer()
        .build()
    {
        Ok(mut runtime) => {
            tell(Ok(Driver::Epoll));
            runtime.block_on(main(Driver::Epoll));
        }
        Err(error) => tell(Err(error)),
    }
}

type UringRuntime = monoio::Runtime<monoio::time::TimeDriver<IoUringDriver>>;

/// The ring with the best flags that this kernel knows: completions are worked off when the loop
/// asks for them, and only this thread submits (Linux 6.1); failing that, without the former.
fn uring() -> io::Result<UringRuntime> {
    let mut best = IoUring::builder();
    best.setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun();
    let mut plain = IoUring::builder();
    plain.setup_coop_taskrun();
    build(best).or_else(|_| build(plain))
}

fn build(flags: io_uring::Builder) -> io::Result<UringRuntime> {
    RuntimeBuilder::<IoUringDriver>::new()
        .uring_builder(flags)
        .with_entries(RING_ENTRIES)
        .enable_timer()
        .build()
}
