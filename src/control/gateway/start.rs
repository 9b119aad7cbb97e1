//! The start: everything that can fail does so before the first connection is accepted.

use super::{Gateway, Options, answered, listeners::Listeners, logging::LogLevel};
use crate::{
    clock::{self, Instant},
    control::{
        admin,
        cluster::Cluster,
        compile::{self, Addresses, Kept, Sources},
        compiler::{Compiler, Registries},
        deployments::Deployments,
        dns::Names,
        failure::Failure,
        fleet::{FleetParts, Launch},
        health::Probes,
        keys::{Keeper, Keys},
        listeners::Change,
        reaper,
        state_dir::StateDir,
        status::{Live, Phase, Shared, Status},
    },
    guard,
    model::{
        Checked,
        checked::{AccessLog, Output},
    },
    observe::{LogTarget, LogWriter, Registry, WorkerCells},
    snapshot::{Published, Snapshot},
};
use std::{collections::HashMap, num::NonZeroU16, sync::Arc};

/// The generation of the first configuration.
const FIRST: u64 = 1;

pub(super) async fn start(
    options: Options,
    checked: Checked,
    level: LogLevel,
    launch: Launch,
) -> Result<Gateway, Failure> {
    let begun = clock::now();
    let (state_dir, socket) = StateDir::claim(&checked.state_dir)?;
    let workers = workers(&options, &checked);
    let metrics = Arc::new(Registry::new(workers));
    let cells: Vec<_> = (0..workers).map(|_| Arc::new(WorkerCells::new())).collect();
    let compiler = Compiler::start().map_err(thread)?;
    let (checked, sources, keeper) = deployed(&compiler, checked).await?;
    let names = Names::start(&checked).await;
    let (snapshot, change) = first(
        &compiler,
        &checked,
        sources,
        names.addresses(),
        &metrics,
        workers,
    )
    .await?;
    let admin = admin::Listeners::bind(socket, checked.admin.as_ref())?;
    let (log, logs) =
        LogWriter::start(log_target(checked.access_log.as_ref()), &cells).map_err(|error| {
            Failure::AccessLog {
                target: log_target_name(&checked),
                error,
            }
        })?;
    let reaper = reaper::start(Arc::clone(&metrics)).map_err(thread)?;
    let published = Arc::new(Published::new(snapshot));
    let fleet = launch(FleetParts {
        driver: options.driver.unwrap_or(checked.driver),
        published: Arc::clone(&published),
        cells: cells.clone(),
        logs,
        reaper: reaper.clone(),
    })
    .map_err(Failure::Workers)?;
    let status = first_status(&options, &admin, workers, fleet.driver());
    let cluster = match checked.cluster.clone() {
        Some(settings) => Some(Cluster::start(settings).await),
        None => None,
    };
    let folder = checked.state_dir.clone();
    let shared = Shared::new(published, cells, metrics, log, status, folder);
    let numbers = cluster.as_ref().map(|cluster| Arc::clone(cluster.cells()));
    let shared = Arc::new(shared.with_cluster(numbers));
    shared.let_in(checked.admin_tokens.clone());
    let orders = admin.serve(&shared);
    let mut gateway = Gateway {
        options,
        begun: Arc::clone(&checked),
        checked,
        level,
        compiler,
        fleet,
        reaper,
        listeners: Listeners::default(),
        names,
        probes: Probes::default(),
        cluster,
        shared,
        orders,
        watches: HashMap::new(),
        keeper,
        _state_dir: state_dir,
    };
    gateway.begin(change, begun).await?;
    Ok(gateway)
}

fn first_status(
    options: &Options,
    admin: &admin::Listeners,
    workers: usize,
    driver: &'static str,
) -> Status {
    Status {
        phase: Phase::Starting,
        live: Live {
            generation: FIRST,
            workers_live: 0,
            workers,
            took_ms: 0,
            needs_restart: Vec::new(),
        },
        live_since_wall: clock::wall(),
        config: options.config.display().to_string(),
        listeners: Vec::new(),
        admin: admin.local().map(|local| local.to_string()),
        driver,
    }
}

/// How many workers there are: the command line decides, then the file, then the machine.
fn workers(options: &Options, checked: &Checked) -> usize {
    let asked = options.workers.or(checked.workers);
    asked
        .map_or(options.workers_auto, |workers| workers.get().into())
        .max(1)
}

fn thread(error: std::io::Error) -> Failure {
    Failure::System {
        what: "a thread",
        error,
    }
}

/// Reads the API keys, and what is deployed to the stages of `checked`, and gives it the origins that that names.
async fn deployed(
    compiler: &Compiler,
    checked: Checked,
) -> Result<(Arc<Checked>, Sources, Keeper), Failure> {
    compiler
        .run(move |registries: &mut Registries| {
            let deployments = Deployments::open(&checked.state_dir, &checked)?;
            let sources = deployments.sources();
            registries.deployments = Some(deployments);
            let keys = Keys::open(&checked.state_dir)?;
            let keeper = keys.keep().map_err(thread)?;
            registries.keys = Some(keys);
            let mut checked = Arc::new(checked);
            compile::add_origins(&mut checked, &sources);
            Ok((checked, sources, keeper))
        })
        .await?
}

/// Compiles and binds the first configuration.
async fn first(
    compiler: &Compiler,
    checked: &Arc<Checked>,
    sources: Sources,
    addresses: Arc<Addresses>,
    metrics: &Arc<Registry>,
    workers: usize,
) -> Result<(Arc<Snapshot>, Change), Failure> {
    let (checked, metrics) = (Arc::clone(checked), Arc::clone(metrics));
    compiler
        .run(move |registries: &mut Registries| {
            let now = clock::now();
            registries.buckets = match checked.cluster {
                None => guard::Buckets::for_workers(workers),
                Some(_) => guard::Buckets::leased(),
            };
            let keys = registries.key_ring();
            let mut buckets = registries.buckets.draft();
            let mut kept = Kept {
                buckets: &mut buckets,
                metrics: &metrics,
                gates: &mut registries.gates,
                states: &mut registries.states,
                canaries: &mut registries.canaries,
                keys: &keys,
                now,
            };
            let snapshot = compile::compile(&checked, &sources, &addresses, FIRST, &mut kept)?;
            let change = Listeners::default().change(&checked.listeners, workers)?;
            buckets.publish(now);
            Ok((Arc::new(snapshot), change))
        })
        .await?
}

/// Where the access log goes, in the words of `observe`.
pub(super) fn log_target(log: Option<&AccessLog>) -> LogTarget {
    match log.map(|log| &log.output) {
        None => LogTarget::Off,
        Some(Output::Stdout) => LogTarget::Stdout,
        Some(Output::File(path)) => LogTarget::File(path.clone()),
    }
}

/// The same in words.
pub(super) fn log_target_name(checked: &Checked) -> String {
    match log_target(checked.access_log.as_ref()) {
        LogTarget::Off => "nowhere".to_owned(),
        LogTarget::Stdout => "standard output".to_owned(),
        LogTarget::File(path) => path.display().to_string(),
    }
}

/// What `next` says otherwise than `begun`, of what only a start can change.
pub(super) fn needs_restart(options: &Options, begun: &Checked, next: &Checked) -> Vec<String> {
    let effective = |file: Option<NonZeroU16>| options.workers.or(file);
    let driver = |checked: &Checked| options.driver.unwrap_or(checked.driver);
    [
        (
            "workers",
            effective(begun.workers) != effective(next.workers),
        ),
        ("driver", driver(begun) != driver(next)),
        ("state_dir", begun.state_dir != next.state_dir),
        ("admin", begun.admin != next.admin),
        ("cluster", begun.cluster != next.cluster),
        ("log.format", begun.log.format != next.log.format),
        ("listeners.backlog", backlogs_differ(begun, next)),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect()
}

fn backlogs_differ(begun: &Checked, next: &Checked) -> bool {
    begun.listeners.iter().any(|before| {
        let same = |after: &&crate::model::checked::Listener| after.address == before.address;
        let after = next.listeners.iter().find(same);
        after.is_some_and(|after| after.backlog != before.backlog)
    })
}

impl Gateway {
    /// Lets clients in and says so.
    async fn begin(&mut self, change: Change, begun: Instant) -> Result<(), Failure> {
        let upstreams = &self.shared.published.load().upstreams;
        self.probes.follow(upstreams);
        self.follow_shared_limits().await;
        let (count, driver) = (self.shared.cells.len(), self.fleet.driver());
        tracing::info!("workers: {count}, waiting by {driver}");
        self.say_not_served();
        self.show_stages().await?;
        self.listen(change).await;
        self.say_live(begun, FIRST, Vec::new()).await;
        self.shared.tell(|status| status.phase = Phase::Serving);
        Ok(())
    }

    /// Has the new listeners served and the gone ones closed. Bound already, so nothing can fail.
    pub(super) async fn listen(&mut self, change: Change) {
        for (open, sockets) in change.opened {
            answered(self.fleet.listen(open.id, sockets)).await;
            tracing::info!("listening on {}", open.local);
        }
        if !change.closed.is_empty() {
            let ids: Vec<_> = change.closed.iter().map(|open| open.id).collect();
            answered(self.fleet.unlisten(&ids)).await;
            for open in &change.closed {
                super::listeners::remove_file(&open.local);
                tracing::info!("no longer listening on {}", open.local);
            }
        }
        self.listeners = change.after;
        let open = self.listeners.open().iter();
        let listeners = open.map(|open| open.local.to_string()).collect();
        self.shared.tell(|status| status.listeners = listeners);
    }
}
