//! Reload: read, check, look names up, compile and bind aside; only then change anything.
//!
//! A failure leaves what runs untouched. A change of a name's addresses publishes new upstreams
//! beside the present tables and is no new generation.

use super::{Gateway, answered, start};
use crate::{
    clock::{self, Instant},
    control::{
        check::not_served,
        compile::{self, Addresses, Kept, Sources},
        compiler::Registries,
        failure::Failure,
        listeners::Change,
        load::load,
        status::Live,
    },
    model::Checked,
    snapshot::Snapshot,
};
use std::{sync::Arc, time::Duration};

impl Gateway {
    /// Takes up the configuration file as it now stands.
    pub(super) async fn reload(&mut self) -> Result<Live, Failure> {
        let begun = clock::now();
        let reloaded = self.try_reload(begun).await;
        if let Err(failure) = &reloaded {
            tracing::error!("the configuration stays as it was: {failure}");
        }
        reloaded
    }

    async fn try_reload(&mut self, begun: Instant) -> Result<Live, Failure> {
        let path = self.options.config.clone();
        let (checked, sources) = self
            .compiler
            .run(move |registries: &mut Registries| {
                let mut checked = Arc::new(load(&path)?);
                let deployments = registries.deployments()?;
                deployments.follow(&checked)?;
                let sources = deployments.sources();
                compile::add_origins(&mut checked, &sources);
                Ok::<_, Failure>((checked, sources))
            })
            .await??;
        let addresses = self.names.look_up_new(&checked).await;
        let before = self.shared.published.load();
        let generation = before.generation + 1;
        let change = self.swap(&checked, sources, addresses, generation).await?;
        // The last holder frees a snapshot, and that should not be this thread.
        let _ = self.reaper.send(before);
        let needs_restart = start::needs_restart(&self.options, &self.begun, &checked);
        self.level.set(checked.log.level);
        self.shared.let_in(checked.admin_tokens.clone());
        self.names.follow(&checked);
        self.checked = checked;
        self.say_not_served();
        self.show_stages().await?;
        self.probes.follow(&self.shared.published.load().upstreams);
        self.follow_shared_limits().await;
        let live = self.say_live(begun, generation, needs_restart).await;
        self.listen(change).await;
        Ok(live)
    }

    /// Compiles `checked`, binds what it adds, points the log where it says, publishes: on the
    /// compiler's thread, and the steps that cannot fail last.
    async fn swap(
        &self,
        checked: &Arc<Checked>,
        sources: Sources,
        addresses: Arc<Addresses>,
        generation: u64,
    ) -> Result<Change, Failure> {
        let (checked, shared) = (Arc::clone(checked), Arc::clone(&self.shared));
        let listeners = self.listeners.clone();
        self.compiler
            .run(move |registries: &mut Registries| {
                let keys = registries.key_ring();
                let mut buckets = registries.buckets.draft();
                let mut kept = Kept {
                    buckets: &mut buckets,
                    metrics: &shared.metrics,
                    gates: &mut registries.gates,
                    states: &mut registries.states,
                    canaries: &mut registries.canaries,
                    keys: &keys,
                    now: clock::now(),
                };
                let snapshot =
                    compile::compile(&checked, &sources, &addresses, generation, &mut kept)?;
                let change = listeners.change(&checked.listeners, shared.cells.len())?;
                let target = start::log_target(checked.access_log.as_ref());
                let retargeted = shared.log().retarget(target);
                retargeted.map_err(|error| Failure::AccessLog {
                    target: start::log_target_name(&checked),
                    error,
                })?;
                shared.published.publish(Arc::new(snapshot));
                buckets.publish(clock::now());
                Ok(change)
            })
            .await?
    }

    /// Says which routes answer 501, and for want of what.
    pub(super) fn say_not_served(&self) {
        for (missing, routes) in not_served(&self.checked) {
            tracing::warn!(%missing, routes, "routes are answered 501 for want of something");
        }
    }

    /// Waits until the workers serve `generation`, and says so.
    pub(super) async fn say_live(
        &mut self,
        begun: Instant,
        generation: u64,
        needs_restart: Vec<String>,
    ) -> Live {
        let served = answered(self.fleet.revalidate()).await;
        let live = Live {
            generation,
            workers_live: served
                .iter()
                .filter(|served| **served >= generation)
                .count(),
            workers: self.shared.cells.len(),
            took_ms: milliseconds(clock::now().since(begun)),
            needs_restart,
        };
        self.shared.tell(|status| {
            status.live = live.clone();
            status.live_since_wall = clock::wall();
        });
        tracing::info!("{live}");
        live
    }

    /// Publishes the upstreams at the addresses that their names have now.
    pub(super) async fn take_up_names(&mut self) {
        let before = self.shared.published.load();
        let (checked, shared) = (Arc::clone(&self.checked), Arc::clone(&self.shared));
        let addresses = self.names.addresses();
        let published = self
            .compiler
            .run(move |registries: &mut Registries| {
                let served = shared.published.load();
                let upstreams = compile::recompile_upstreams(
                    &checked,
                    &served.upstreams,
                    &addresses,
                    &mut registries.states,
                    clock::now(),
                );
                shared.published.publish(Arc::new(Snapshot {
                    generation: served.generation,
                    routing: Arc::clone(&served.routing),
                    upstreams,
                    keys: Arc::clone(&served.keys),
                    settings: Arc::clone(&served.settings),
                }));
            })
            .await;
        if published.is_err() {
            return;
        }
        let _ = self.reaper.send(before);
        self.probes.follow(&self.shared.published.load().upstreams);
        answered(self.fleet.revalidate()).await;
    }
}

/// Whole milliseconds, rounded up: nothing takes none.
fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}
