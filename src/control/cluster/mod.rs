//! Limits across machines: tokens are leased from a store in the background.
//!
//! ```text
//! account  demand  ledger      what to ask, what to hold, the books: pure
//! resp  store  *.lua           how the store is spoken to
//! task                         goes round
//! ```
//!
//! A shared bucket spends from its [`Reservoir`]; no request waits for the store. Once an interval
//! the task asks, in one batch, for the tokens that will be needed until the next round. While the
//! store is gone, the configuration's policy holds.

mod account;
mod demand;
mod ledger;
mod resp;
mod store;
mod task;

#[cfg(test)]
mod tests;

use crate::{
    guard::{Buckets, LimitIdentity, Rate, Reservoir},
    model::checked,
    observe::prometheus::ClusterFacts,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};

/// How long a publication waits for the first leases of its buckets.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A shared bucket of the published snapshot.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    /// Its name at the store, after the prefix.
    key: Box<str>,
    rate: Rate,
    reservoir: Arc<Reservoir>,
}

/// The shared buckets of what is published.
pub(super) fn shared(buckets: &Buckets<LimitIdentity>) -> Vec<Shared> {
    let leased = buckets.of_leases().filter_map(|(identity, bucket)| {
        Some(Shared {
            key: key(identity),
            rate: bucket.rate(),
            reservoir: Arc::clone(bucket.reservoir()?),
        })
    });
    leased.collect()
}

/// No scope's name holds a slash, and nothing else but a number follows what a limit holds for, so
/// no two identities have one key.
fn key(identity: &LimitIdentity) -> Box<str> {
    let LimitIdentity { scope, of, nth, .. } = identity;
    format!("limit:{}/{of}/{nth}", scope.name()).into()
}

/// The buckets that the task is to look after from now on, and who waits for their first leases.
type Follow = (Vec<Shared>, oneshot::Sender<()>);

/// The task, as the gateway sees it.
#[derive(Debug)]
pub(super) struct Cluster {
    follow: mpsc::UnboundedSender<Follow>,
    cells: Arc<Cells>,
    task: AbortHandle,
}

impl Cluster {
    /// Connects, or finds that it cannot, and begins to go round.
    pub(super) async fn start(settings: checked::Cluster) -> Self {
        let (follow, orders) = mpsc::unbounded_channel();
        let cells = Arc::new(Cells::default());
        let task = task::Task::begin(settings, Arc::clone(&cells)).await;
        Self {
            follow,
            cells,
            task: tokio::spawn(task.run(orders)).abort_handle(),
        }
    }

    /// Looks after these buckets from now on, and no others; those that stay keep what is known of
    /// them. Waits a little for the first leases of those that are new.
    pub(super) async fn follow(&self, buckets: Vec<Shared>) {
        let (done, leased) = oneshot::channel();
        // The task lives as long as this does.
        let _ = self.follow.send((buckets, done));
        let _ = timeout(FIRST_WAIT, leased).await;
    }

    /// Its numbers.
    pub(super) fn cells(&self) -> &Arc<Cells> {
        &self.cells
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task's numbers, for who scrapes.
#[derive(Debug, Default)]
pub(super) struct Cells {
    store_up: AtomicBool,
    nodes: AtomicU64,
    rounds: AtomicU64,
    rounds_failed: AtomicU64,
    leased: AtomicU64,
    leased_alone: AtomicU64,
    returned: AtomicU64,
}

impl Cells {
    /// What a scrape shows.
    pub(super) fn facts(&self) -> ClusterFacts {
        ClusterFacts {
            store_up: self.store_up.load(Relaxed),
            nodes: self.nodes.load(Relaxed),
            rounds: self.rounds.load(Relaxed),
            rounds_failed: self.rounds_failed.load(Relaxed),
            leased: self.leased.load(Relaxed),
            leased_alone: self.leased_alone.load(Relaxed),
            returned: self.returned.load(Relaxed),
        }
    }
}
