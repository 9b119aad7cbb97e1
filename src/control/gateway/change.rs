//! Changes of what a stage serves: prepared, compiled beside what runs, written to the disk, and
//! only then published. A failure before that leaves everything as it was.

use super::{Gateway, start};
use crate::{
    bounds, clock,
    control::{
        compile::{self, Addresses, Kept},
        compiler::Registries,
        deployments::{Change, ChangeRequest, Prepared, StageKey},
        failure::Failure,
        load::load,
        status::Live,
    },
    deploy::{By, Difference, Side, StageState, Verdict, Watch, diff},
    model::{Checked, Definition},
    observe::routes::RouteTotals,
    snapshot::{Snapshot, Stage},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// A change that is live.
#[derive(Clone, Debug)]
pub(in crate::control) struct Changed {
    /// The stage's state now.
    pub state: StageState,
    /// What is served.
    pub live: Live,
}

/// How often canaries are judged.
pub(super) const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// What was counted of the canaries that have a condition, by stage and the canary's beginning.
pub(super) type Watches = HashMap<(StageKey, u64), Watch>;

impl Gateway {
    /// Makes a change of a stage and waits until all workers serve it.
    pub(super) async fn change(&mut self, request: ChangeRequest) -> Result<Changed, Failure> {
        let what = format!("{}/{}", request.api, request.stage);
        let changed = self.try_change(request).await;
        match &changed {
            Ok(changed) => {
                let last = changed.state.history.last();
                let action = last.map_or("", |last| last.action.name());
                let actor = last.map_or("", |last| last.actor.as_str());
                let why = last.map_or("", |last| last.why.as_str());
                let deployment = last.and_then(|last| last.deployment).map(|id| id.short());
                tracing::info!(
                    stage = what,
                    action,
                    deployment,
                    actor,
                    why,
                    "stage changed"
                );
            }
            Err(failure) => tracing::error!("the stage {what} stays as it was: {failure}"),
        }
        changed
    }

    async fn try_change(&mut self, request: ChangeRequest) -> Result<Changed, Failure> {
        let begun = clock::now();
        if request.by.why.len() > bounds::REASON_BYTES_MAX {
            return Err(Failure::ReasonTooLong);
        }
        let key = (request.api.clone(), request.stage.clone());
        let definition = match request.change {
            Change::Deploy => Some(self.definition_now(&request.api).await?),
            Change::Promote { .. }
            | Change::Rollback { .. }
            | Change::Canary { .. }
            | Change::CanaryPromote
            | Change::CanaryAbort => None,
        };
        let mut checked = Arc::clone(&self.checked);
        let (prepared, checked) = self
            .compiler
            .run(move |registries: &mut Registries| {
                let deployments = registries.deployments()?;
                let prepared = deployments.prepare(&checked, request, definition.as_ref())?;
                compile::add_origins(&mut checked, &prepared.sources);
                Ok::<_, Failure>((prepared, checked))
            })
            .await??;
        let addresses = self.names.look_up_new(&checked).await;
        let before = self.shared.published.load();
        let generation = self.carry_out(prepared, &key, &checked, addresses).await?;
        let _ = self.reaper.send(before);
        if !Arc::ptr_eq(&self.checked, &checked) {
            self.names.follow(&checked);
            self.checked = checked;
        }
        self.probes.follow(&self.shared.published.load().upstreams);
        self.follow_shared_limits().await;
        self.show_stages().await?;
        let state = self.shared.stages().get(&key).cloned().unwrap_or_default();
        let needs_restart = start::needs_restart(&self.options, &self.begun, &self.checked);
        let live = self.say_live(begun, generation, needs_restart).await;
        Ok(Changed { state, live })
    }

    /// Compiles what was prepared, writes it, publishes it; the new generation. The steps that
    /// cannot fail come last.
    async fn carry_out(
        &self,
        prepared: Prepared,
        key: &StageKey,
        checked: &Arc<Checked>,
        addresses: Arc<Addresses>,
    ) -> Result<u64, Failure> {
        let (shared, checked) = (Arc::clone(&self.shared), Arc::clone(checked));
        let key = key.clone();
        self.compiler
            .run(move |registries: &mut Registries| {
                let served = shared.published.load();
                let now = clock::now();
                let keys = registries.key_ring();
                let mut buckets = registries.buckets.amendment();
                let mut kept = Kept {
                    buckets: &mut buckets,
                    metrics: &shared.metrics,
                    gates: &mut registries.gates,
                    states: &mut registries.states,
                    canaries: &mut registries.canaries,
                    keys: &keys,
                    now,
                };
                let sources = &prepared.sources;
                let stage = (&*key.0, &*key.1);
                let snapshot = compile::recompile_stage(
                    &served, &checked, stage, sources, &addresses, &mut kept,
                )?;
                let generation = snapshot.generation;
                let deployments = registries.deployments.as_mut();
                deployments.ok_or(Failure::Draining)?.commit(prepared)?;
                shared.published.publish(Arc::new(snapshot));
                buckets.publish(clock::now());
                registries
                    .canaries
                    .retain(|_, sides| Arc::strong_count(&sides[0]) > 1);
                Ok(generation)
            })
            .await?
    }

    /// The API's definition as the configuration file now has it.
    async fn definition_now(&self, api: &str) -> Result<Arc<Definition>, Failure> {
        let path = self.options.config.clone();
        let checked = self.compiler.run(move |_| load(&path)).await??;
        let found = checked.apis.into_iter().find(|known| known.name == api);
        let found = found.map(|api| api.definition);
        found.ok_or_else(|| Failure::Unknown {
            what: "API",
            name: api.to_owned(),
            known: String::new(),
        })
    }

    /// What a deploy to the stage would change.
    pub(super) async fn differences(&self, key: StageKey) -> Result<Vec<Difference>, Failure> {
        let now = self.definition_now(&key.0).await?;
        self.compiler
            .run(move |registries: &mut Registries| {
                let before = registries.deployments()?.definition(&key);
                Ok(diff(&before.unwrap_or_default(), &now))
            })
            .await?
    }

    /// Removes old deployments of an API; how many.
    pub(super) async fn collect(&self, api: String, keep: usize) -> Result<usize, Failure> {
        self.compiler
            .run(move |registries: &mut Registries| registries.deployments()?.collect(&api, keep))
            .await?
    }

    /// Lets the admin API see the stages as they now are.
    pub(super) async fn show_stages(&self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        self.compiler
            .run(move |registries: &mut Registries| {
                shared.show_stages(registries.deployments()?.stages().clone());
                Ok(())
            })
            .await?
    }

    /// Judges the canaries that have a condition, and takes back those that it is true of.
    pub(super) async fn judge_canaries(&mut self) {
        let (stages, snapshot) = (self.shared.stages(), self.shared.published.load());
        let mut aborted = Vec::new();
        let mut watches = Watches::new();
        for (key, state) in stages.iter() {
            let canary = state.canary.as_ref();
            let Some((canary, condition)) =
                canary.and_then(|canary| Some((canary, canary.plan.abort_when.as_ref()?)))
            else {
                continue;
            };
            let Some((own, its)) = sides(&snapshot, key) else {
                continue;
            };
            let id = (key.clone(), canary.since_ms);
            let mut watch = self.watches.remove(&id).unwrap_or_default();
            if let Verdict::Aborts(why) = watch.judge(condition, clock::now(), own, its) {
                aborted.push((key.clone(), state.sequence, why));
            }
            watches.insert(id, watch);
        }
        self.watches = watches;
        for ((api, stage), sequence, why) in aborted {
            let request = ChangeRequest {
                api,
                stage,
                change: Change::CanaryAbort,
                sequence: Some(sequence),
                by: By {
                    at_ms: clock::wall().as_millis() as u64,
                    actor: "sluice".to_owned(),
                    why,
                },
            };
            // What came of it has been logged.
            let _ = self.change(request).await;
        }
    }
}

/// What was counted of both sides of a stage that has a canary.
fn sides(snapshot: &Snapshot, (api, stage): &StageKey) -> Option<(Side, Side)> {
    let is_it = |known: &&Arc<Stage>| *known.api == **api && *known.name == **stage;
    let stage = snapshot.routing.stages.iter().find(is_it)?;
    let canary = stage.canary.as_ref()?;
    let counted = |side: &crate::snapshot::Side| {
        let metrics = side.metrics.as_ref()?;
        Some(metrics.totals().map(counted).unwrap_or_default())
    };
    Some((counted(&stage.own.side)?, counted(&canary.served.side)?))
}

fn counted(totals: RouteTotals) -> Side {
    Side {
        requests: totals.status.iter().sum(),
        client_errors: totals.status[3],
        server_errors: totals.status[4],
        latency_ns: totals.latency.sum_ns,
    }
}
