//! How many workers, and where: one for each CPU that the process may use.
//!
//! The affinity mask says which CPUs, the control group's quota how much of them: a container
//! with two CPUs' worth of time on a machine of 64 gets two workers, not 64 that are throttled.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::{fs, path::Path};

/// The CPUs to run workers on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// The CPUs in the affinity mask, ascending.
    pub allowed: Vec<usize>,
    /// How many CPUs' time the control group grants; absent: no limit.
    pub quota: Option<usize>,
}

impl Cpus {
    /// How many workers suit it.
    pub fn workers(&self) -> usize {
        let allowed = self.allowed.len().max(1);
        self.quota.map_or(allowed, |quota| quota.clamp(1, allowed))
    }

    /// The CPU of worker number `worker` of `workers`; none if there are more workers than CPUs,
    /// where pinning would only hinder the kernel.
    pub fn of_worker(&self, worker: usize, workers: usize) -> Option<usize> {
        if workers > self.allowed.len() {
            return None;
        }
        self.allowed.get(worker).copied()
    }
}

/// What this process may use.
pub fn usable_cpus() -> Cpus {
    let me = Pid::from_raw(0);
    let allowed = match sched_getaffinity(me) {
        Ok(set) => (0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .collect(),
        Err(_) => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    };
    Cpus {
        allowed,
        quota: quota(),
    }
}

/// Pins this thread. A CPU that went away meanwhile leaves it where the kernel puts it.
pub(super) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    let pinned = set
        .set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(error) = pinned {
        tracing::warn!(%error, cpu, "cannot pin a worker");
    }
}

/// The tightest quota of this process's control groups, in whole CPUs.
fn quota() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"));
    if let Some(path) = path {
        let root = Path::new("/sys/fs/cgroup");
        let group = root.join(path.trim_start_matches('/'));
        // A limit above binds as well as one's own.
        return group
            .ancestors()
            .take_while(|folder| folder.starts_with(root))
            .filter_map(|folder| fs::read_to_string(folder.join("cpu.max")).ok())
            .filter_map(|text| of_cpu_max(&text))
            .min();
    }
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/cpu/{name}")).ok();
    of_quota_and_period(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

/// The line of a `cpu.max` file: `max 100000` or `250000 100000`.
fn of_cpu_max(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    of_quota_and_period(quota, period)
}

fn of_quota_and_period(quota: &str, period: &str) -> Option<usize> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok()?;
    if period == 0 {
        return None;
    }
    Some(quota.div_ceil(period).max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::{Cpus, of_cpu_max, of_quota_and_period};

    #[test]
    fn quotas() {
        assert_eq!(of_cpu_max("max 100000\n"), None);
        assert_eq!(of_cpu_max("200000 100000\n"), Some(2));
        assert_eq!(of_cpu_max("150000 100000"), Some(2));
        assert_eq!(of_cpu_max("1000 100000"), Some(1));
        assert_eq!(of_cpu_max("1000 0"), None);
        assert_eq!(of_cpu_max(""), None);
        assert_eq!(of_quota_and_period("-1", "100000"), None);
    }

    #[test]
    fn workers_and_where() {
        let cpus = |allowed: &[usize], quota| Cpus {
            allowed: allowed.to_vec(),
            quota,
        };
        assert_eq!(cpus(&[0, 1, 5], None).workers(), 3);
        assert_eq!(cpus(&[0, 1, 5], Some(2)).workers(), 2);
        assert_eq!(cpus(&[0, 1, 5], Some(9)).workers(), 3);
        assert_eq!(cpus(&[], None).workers(), 1);
        assert_eq!(cpus(&[0, 1, 5], None).of_worker(2, 3), Some(5));
        assert_eq!(cpus(&[0, 1, 5], None).of_worker(2, 4), None);
    }
}
