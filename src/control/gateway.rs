//! The gateway's life: start, serve, reload, change stages, drain, end.
//!
//! One task on the main thread does these one after the other, so no two changes ever meet. It
//! waits for signals, the admin API and changes of names, and never touches a request.

mod change;
mod drain;
mod keys;
mod reload;
mod start;

pub(super) use change::Changed;

use super::{
    admin::Order,
    cluster::{self, Cluster},
    compiler::{Compiler, Registries},
    dns::Names,
    failure::Failure,
    fleet::{Answers, Fleet, Launch},
    health::Probes,
    keys::Keeper,
    listeners::{self, Listeners},
    load::load,
    logging::{self, LogLevel},
    state_dir::StateDir,
    status::{Phase, Shared},
};
use crate::{
    model::{Checked, checked::Driver},
    net::ListenAddress,
    snapshot::Snapshot,
};
use std::{
    num::NonZeroU16,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc as orders,
    time::{MissedTickBehavior, interval, timeout},
};

/// How long workers may take to answer. One that is busy answers within a turn of its loop; one
/// that does not is reported, not waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// What the command line decides.
#[derive(Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Instead of the file's `driver`.
    pub driver: Option<Driver>,
    /// Instead of the file's `workers`.
    pub workers: Option<NonZeroU16>,
    /// Where neither says: how many suit this machine.
    pub workers_auto: usize,
}

/// Runs a gateway until it is told to end.
///
/// `started` is called once it serves, with the addresses that it listens on.
///
/// # Errors
/// It could not start. What goes wrong later is logged, and it goes on serving.
pub fn run(
    options: Options,
    launch: Launch,
    started: impl FnOnce(&[ListenAddress]),
) -> Result<(), Failure> {
    let checked = load(&options.config)?;
    let level = logging::begin(checked.log);
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System {
            what: "a runtime",
            error,
        })?;
    runtime.block_on(async {
        let signals = Signals::listen()?;
        let gateway = start::start(options, checked, level, launch).await?;
        let open = gateway.listeners.open();
        let at: Vec<_> = open.iter().map(|open| open.local.clone()).collect();
        started(&at);
        gateway.serve(signals).await;
        Ok(())
    })
}

/// A gateway that serves.
struct Gateway {
    options: Options,
    /// The configuration that is served.
    checked: Arc<Checked>,
    /// What the file said at the start, for what a reload cannot change.
    begun: Arc<Checked>,
    level: LogLevel,
    compiler: Compiler,
    fleet: Box<dyn Fleet>,
    reaper: mpsc::Sender<Arc<Snapshot>>,
    listeners: Listeners,
    names: Names,
    probes: Probes,
    /// Who leases tokens where limits are shared by several machines.
    cluster: Option<Cluster>,
    shared: Arc<Shared>,
    orders: orders::Receiver<Order>,
    /// What was counted of canaries that are judged.
    watches: change::Watches,
    /// Writes what API keys have used.
    keeper: Keeper,
    /// Removed last.
    _state_dir: StateDir,
}

impl Gateway {
    async fn serve(mut self, mut signals: Signals) {
        let mut judged = interval(change::JUDGED_EVERY);
        judged.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = signals.hangup.recv() => self.reload_and_say().await,
                _ = signals.user1.recv() => self.reopen_logs_and_say(),
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                () = self.names.changed() => self.take_up_names().await,
                Some(order) = self.orders.recv() => self.obey(order).await,
                _ = judged.tick() => self.judge_canaries().await,
            }
        }
        self.end(signals).await;
    }

    async fn obey(&mut self, order: Order) {
        // Who asked may have gone.
        match order {
            Order::Reload(answer) => drop(answer.send(self.reload().await)),
            Order::ReopenLogs(answer) => drop(answer.send(self.reopen_logs())),
            Order::Change(request, answer) => drop(answer.send(self.change(*request).await)),
            Order::Differences(key, answer) => drop(answer.send(self.differences(key).await)),
            Order::Keys(request, answer) => drop(answer.send(self.keys(*request).await)),
            Order::Collect(api, keep, answer) => drop(answer.send(self.collect(api, keep).await)),
        }
    }

    /// Has tokens leased for the shared limits of what is published now.
    async fn follow_shared_limits(&self) {
        let Some(cluster) = &self.cluster else {
            return;
        };
        let shared = |registries: &mut Registries| cluster::shared(&registries.buckets);
        // A job that was lost has been logged; the task goes on with the buckets it knows.
        if let Ok(shared) = self.compiler.run(shared).await {
            cluster.follow(shared).await;
        }
    }

    async fn reload_and_say(&mut self) {
        // The reload itself says what came of it.
        let _ = self.reload().await;
    }

    fn reopen_logs_and_say(&self) {
        if let Err(failure) = self.reopen_logs() {
            tracing::error!("{failure}");
        }
    }

    fn reopen_logs(&self) -> Result<(), Failure> {
        let reopened = self.shared.log().reopen();
        reopened.map_err(|error| Failure::AccessLog {
            target: start::log_target_name(&self.checked),
            error,
        })?;
        tracing::info!("access log reopened");
        Ok(())
    }
}

/// The answers that came in time.
async fn answered<T>(answers: Answers<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(answers.len());
    let collect = async {
        for answer in answers {
            all.extend(answer.await.ok());
        }
    };
    // What is missing is missing from the list.
    let _ = timeout(ANSWER_WAIT, collect).await;
    all
}

/// The signals that the gateway obeys.
struct Signals {
    hangup: Signal,
    user1: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::System {
                what: "signals",
                error,
            })
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }
}

/// As many descriptors as the system lets us have: each connection takes one, a proxied one two.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    match raised {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors"),
    }
}
