//! What the gateway is doing, for those who ask: the admin API and the log.
//!
//! The gateway's loop writes it whole; everybody else reads. It never holds a secret: it is shown.

use super::{cluster, deployments::StageStates};
use crate::{
    observe::{LogWriter, Registry, WorkerCells},
    snapshot::Published,
};
use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What the process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Not yet listening.
    Starting,
    /// Serving.
    Serving,
    /// Finishing what is in flight.
    Draining,
}

/// A state of the configuration that workers serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Live {
    /// Which.
    pub generation: u64,
    /// Workers that said that they serve it.
    pub workers_live: usize,
    /// Workers there are.
    pub workers: usize,
    /// From the request for it to the last worker's word, in milliseconds.
    pub took_ms: u64,
    /// Settings that differ from what runs, and take effect at the next start only.
    pub needs_restart: Vec<String>,
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            generation,
            workers_live,
            workers,
            took_ms,
            needs_restart,
        } = self;
        write!(
            f,
            "generation {generation} live on {workers_live}/{workers} workers in {took_ms} ms"
        )?;
        if !needs_restart.is_empty() {
            write!(
                f,
                " (changed, but needs a restart: {})",
                needs_restart.join(", ")
            )?;
        }
        Ok(())
    }
}

/// What the gateway is doing.
#[derive(Clone, Debug)]
pub(super) struct Status {
    /// What the process is at.
    pub phase: Phase,
    /// What is served.
    pub live: Live,
    /// When that was published, since 1970.
    pub live_since_wall: Duration,
    /// The configuration's file.
    pub config: String,
    /// Where clients are listened for.
    pub listeners: Vec<String>,
    /// Where the admin API is, beside the state folder's socket.
    pub admin: Option<String>,
    /// How workers wait for the kernel.
    pub driver: &'static str,
}

/// What the gateway's loop shares with the admin API.
#[derive(Debug)]
pub(super) struct Shared {
    /// The snapshot that is served.
    pub published: Arc<Published>,
    /// The workers' counters.
    pub cells: Vec<Arc<WorkerCells>>,
    /// The routes' numbers.
    pub metrics: Arc<Registry>,
    /// The numbers of shared limits, if there are any.
    pub cluster: Option<Arc<cluster::Cells>>,
    log: Mutex<LogWriter>,
    status: Mutex<Status>,
    stages: Mutex<Arc<StageStates>>,
    tokens: Mutex<Arc<Tokens>>,
    state_dir: PathBuf,
}

/// Who may use the admin API over TCP: names, and the hashes of their tokens.
pub(super) type Tokens = Vec<(String, [u8; 32])>;

impl Shared {
    /// What is shared of a gateway that begins.
    pub(super) fn new(
        published: Arc<Published>,
        cells: Vec<Arc<WorkerCells>>,
        metrics: Arc<Registry>,
        log: LogWriter,
        status: Status,
        state_dir: PathBuf,
    ) -> Self {
        Self {
            published,
            cells,
            metrics,
            cluster: None,
            log: Mutex::new(log),
            status: Mutex::new(status),
            stages: Mutex::default(),
            tokens: Mutex::default(),
            state_dir,
        }
    }

    /// With the numbers of shared limits.
    pub(super) fn with_cluster(self, cells: Option<Arc<cluster::Cells>>) -> Self {
        Self {
            cluster: cells,
            ..self
        }
    }

    /// The access log. Held for a moment at a time, never across an `.await`.
    pub(super) fn log(&self) -> MutexGuard<'_, LogWriter> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stages that anything was deployed to.
    pub(super) fn stages(&self) -> Arc<StageStates> {
        Arc::clone(&self.stages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is said of the stages.
    pub(super) fn show_stages(&self, stages: StageStates) {
        *self.stages.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(stages);
    }

    /// Who may use the admin API over TCP.
    pub(super) fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes who may.
    pub(super) fn let_in(&self, tokens: Tokens) {
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    /// The state folder.
    pub(super) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// What the gateway is doing now.
    pub(super) fn status(&self) -> Status {
        self.locked().clone()
    }

    /// Changes what is said of the gateway.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.locked());
    }

    fn locked(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
