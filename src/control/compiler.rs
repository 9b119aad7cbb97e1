//! The thread that compiles: apart from the control plane's loop, and behind the workers.
//!
//! On a machine whose every CPU has a worker, compiling competes with them; so the thread runs at
//! a lower priority and gives way wherever a worker has something to do. It alone holds the state
//! that snapshots share, and does one thing at a time.

use super::{compile::Canaries, deployments::Deployments, failure::Failure, keys::Keys};
use crate::{
    guard::{self, KeyRing},
    upstream::States,
};
use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};
use tokio::sync::oneshot;

/// How far behind the workers: a tenth of their weight in the kernel's scheduler.
const NICE: i32 = 10;

/// The state that snapshots share, found again by identity.
#[derive(Debug, Default)]
pub(super) struct Registries {
    /// Token buckets.
    pub buckets: guard::Buckets<guard::LimitIdentity>,
    /// Requests in flight, where routes limit them.
    pub gates: guard::Gates<guard::LimitIdentity>,
    /// Health, ejections and open connections of endpoints.
    pub states: States,
    /// What canaries are judged by.
    pub canaries: Canaries,
    /// What is deployed; absent until the state folder has been claimed.
    pub deployments: Option<Deployments>,
    /// The API keys; absent until then.
    pub keys: Option<Keys>,
}

impl Registries {
    /// What is deployed.
    ///
    /// # Errors
    /// The process has not begun.
    pub(super) fn deployments(&mut self) -> Result<&mut Deployments, Failure> {
        self.deployments.as_mut().ok_or(Failure::Draining)
    }

    /// The API keys.
    ///
    /// # Errors
    /// The process has not begun.
    pub(super) fn keys(&mut self) -> Result<&mut Keys, Failure> {
        self.keys.as_mut().ok_or(Failure::Draining)
    }

    /// What workers look API keys up in.
    pub(super) fn key_ring(&self) -> Arc<KeyRing> {
        let keys = self.keys.as_ref();
        keys.map(|keys| Arc::clone(keys.ring())).unwrap_or_default()
    }
}

type Job = Box<dyn FnOnce(&mut Registries) + Send>;

/// The control plane's end. Dropping it ends the thread after the job at hand.
#[derive(Debug)]
pub(super) struct Compiler {
    jobs: mpsc::Sender<Job>,
}

/// A job that panicked: a bug, which the panic hook has logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLost;

impl fmt::Display for JobLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an internal error; the log says which")
    }
}

impl std::error::Error for JobLost {}

impl Compiler {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("compiler".into())
            .spawn(move || {
                step_back();
                let mut registries = Registries::default();
                for job in inbox {
                    // A job that panics has dropped its answer, and the next finds a thread.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(&mut registries)));
                }
            })?;
        Ok(Self { jobs })
    }

    /// Does `job` on the thread, after those before it.
    ///
    /// # Errors
    /// If the job panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Registries) -> T + Send + 'static,
    ) -> Result<T, JobLost> {
        let (answer, done) = oneshot::channel();
        let job: Job = Box::new(move |registries| {
            // Who asked waits, unless the process ends.
            let _ = answer.send(job(registries));
        });
        self.jobs.send(job).map_err(|_| JobLost)?;
        done.await.map_err(|_| JobLost)
    }
}

/// Lowers this thread's priority: on Linux the niceness is a thread's, not the process's.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "cannot lower a thread's priority");
    }
}
