//! What the system says of this process, out of `/proc/self`.
//!
//! What cannot be read is zero: a scrape is better incomplete than refused.

use crate::{clock, observe::prometheus::ProcessFacts};
use nix::{
    sys::resource::{Resource, UsageWho, getrlimit, getrusage},
    sys::time::TimeValLike,
};
use std::{fs, sync::OnceLock, time::Duration};

/// The facts as they are now. Cost: a few system calls, and one for each open descriptor.
pub(super) fn facts() -> ProcessFacts {
    ProcessFacts {
        started_wall: started_wall(),
        cpu: cpu(),
        resident_bytes: resident_bytes().unwrap_or_default(),
        // The folder's own descriptor is among them.
        descriptors_open: fs::read_dir("/proc/self/fd")
            .map_or(0, |open| open.count().saturating_sub(1) as u64),
        descriptors_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
    }
}

/// When the process began: the wall clock less the monotonic clock, which begins with it. Taken
/// once, or a step of the wall clock would look like a restart.
fn started_wall() -> Duration {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let running = Duration::from_nanos(clock::now().as_ns());
        clock::wall().saturating_sub(running)
    })
}

fn cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(microseconds).unwrap_or_default())
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
