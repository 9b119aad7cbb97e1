//! The task that goes round: once an interval it looks at the buckets that were asked, leases for
//! them what they need, and notices whether the store is there.

use super::{
    Cells, Follow, Shared,
    account::Account,
    ledger::{Ask, HOLD},
    store::{Failed, Query, Store},
};
use crate::{
    clock::{self, Instant},
    model::checked::{self, OnStoreFailure},
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep_until};

/// How often a node gives a sign of life.
const SIGN: Duration = Duration::from_secs(1);

/// Between two tries to reach a store that is gone.
const RETRY: Duration = Duration::from_millis(250);

/// Buckets that nobody asks, looked at in one round; the others have their turn in the next ones.
const IDLE_LOOKED_AT: usize = 4096;

/// Questions of one round. A store answers as many in about 20 ms.
const QUESTIONS_MAX: usize = 2048;

/// How long a smaller number of nodes must hold before it is believed: a store that has forgotten
/// all hears of them one by one.
const FEWER_AFTER: Duration = Duration::from_secs(5);

/// Where the store is at.
#[derive(Debug)]
enum Link {
    Up(Store),
    /// Gone; tried again at this time, or just now.
    Down {
        retry_at: Instant,
        trying: Option<JoinHandle<Result<Store, Failed>>>,
    },
}

/// Everything that the task knows.
#[derive(Debug)]
pub(super) struct Task {
    settings: checked::Cluster,
    /// This node's name at the store: drawn when the process began.
    node: u64,
    cells: Arc<Cells>,
    link: Link,
    accounts: Vec<(Box<str>, Account)>,
    /// Accounts that are asked: looked at in every round.
    busy: Vec<usize>,
    /// Where the next round's look at the others begins.
    cursor: usize,
    nodes: NonZeroU32,
    /// Since when fewer nodes are heard of.
    fewer_since: Option<Instant>,
    signed_at: Option<Instant>,
    heard_at: Instant,
    random: u64,
}

impl Task {
    /// Connects, or finds that it cannot.
    pub(super) async fn begin(settings: checked::Cluster, cells: Arc<Cells>) -> Self {
        let node = RandomState::new().hash_one(clock::wall());
        let now = clock::now();
        let nodes = settings.nodes.unwrap_or(NonZeroU32::MIN);
        cells.nodes.store(nodes.get().into(), Relaxed);
        let mut task = Self {
            node,
            cells,
            link: Link::Down {
                retry_at: now,
                trying: None,
            },
            accounts: Vec::new(),
            busy: Vec::new(),
            cursor: 0,
            nodes,
            fewer_since: None,
            signed_at: None,
            heard_at: now,
            random: node | 1,
            settings,
        };
        match Store::connect(&task.settings.store, node).await {
            Ok(store) => task.go_up(store),
            Err(failed) => task.go_down(&failed),
        }
        task
    }

    /// Goes round until it is aborted.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Follow>) {
        let mut next = tokio::time::Instant::now();
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some((buckets, done)) = order else { return };
                    self.follow(buckets);
                    self.round().await;
                    // Who asked may have given up.
                    let _ = done.send(());
                }
                () = sleep_until(next) => {
                    self.round().await;
                    next = tokio::time::Instant::now() + self.pause();
                }
            }
        }
    }

    /// An interval, a quarter less or more: so that no node is always the one before another.
    fn pause(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let quarters = 0.75 + (self.random >> 40) as f64 / (1_u64 << 25) as f64;
        self.settings.interval.mul_f64(quarters)
    }

    fn follow(&mut self, buckets: Vec<Shared>) {
        let mut before: HashMap<Box<str>, Account> = self.accounts.drain(..).collect();
        let open = self.is_open();
        for Shared {
            key,
            rate,
            reservoir,
        } in buckets
        {
            let known = before.remove(&key);
            let known = known.filter(|known| Arc::ptr_eq(&known.reservoir, &reservoir));
            let account = match known {
                Some(known) => known.at(rate),
                None => Account::new(rate, reservoir),
            };
            if open {
                account.reservoir.open();
            }
            self.accounts.push((key, account));
        }
        self.busy.clear();
        self.cursor = 0;
    }

    /// Whether everything passes.
    fn is_open(&self) -> bool {
        let down = matches!(self.link, Link::Down { .. });
        down && self.settings.on_store_failure == OnStoreFailure::Open
    }

    async fn round(&mut self) {
        self.take_up_store().await;
        if matches!(self.link, Link::Up(_)) {
            return self.lease().await;
        }
        let now = clock::now();
        match self.settings.on_store_failure {
            OnStoreFailure::Share => self.go_alone(now),
            OnStoreFailure::Open => {}
            OnStoreFailure::Closed => {
                if now.since(self.heard_at) > HOLD {
                    let accounts = self.accounts.iter_mut();
                    accounts.for_each(|(_, account)| account.forget());
                }
            }
        }
    }

    /// The accounts of a round: those that are asked, and a turn of the others.
    fn looked_at(&mut self) -> Vec<usize> {
        let end = self.accounts.len().min(self.cursor + IDLE_LOOKED_AT);
        let mut indices = std::mem::take(&mut self.busy);
        indices.extend(self.cursor..end);
        self.cursor = if end == self.accounts.len() { 0 } else { end };
        indices.sort_unstable();
        indices.dedup();
        indices
    }

    /// Asks the store for what is needed.
    async fn lease(&mut self) {
        let now = clock::now();
        let mut asks: Vec<(usize, Ask)> = Vec::new();
        for index in self.looked_at() {
            let account = &mut self.accounts[index].1;
            if asks.len() < QUESTIONS_MAX
                && let Some(ask) = account.look(self.nodes, now)
            {
                asks.push((index, ask));
            }
            if account.is_asked() {
                self.busy.push(index);
            }
        }
        let signs = self
            .signed_at
            .is_none_or(|signed| now.since(signed) >= SIGN);
        if asks.is_empty() && !signs {
            return;
        }
        let prefix = &self.settings.prefix;
        let keyed = |index: usize| format!("{prefix}{}", self.accounts[index].0);
        let keys: Vec<String> = asks.iter().map(|(index, _)| keyed(*index)).collect();
        let nodes_key = format!("{prefix}nodes");
        let questions = asks.iter().zip(&keys).map(|((index, ask), key)| {
            let (rate, ask) = (self.accounts[*index].1.rate, *ask);
            Query::Tokens { key, rate, ask }
        });
        let mut questions: Vec<_> = questions.collect();
        if signs {
            questions.push(Query::Alive { key: &nodes_key });
        }
        let Link::Up(store) = &mut self.link else {
            return;
        };
        self.cells.rounds.fetch_add(1, Relaxed);
        let mut grants = match store.ask(&questions).await {
            Ok(grants) => grants,
            Err(failed) => {
                self.cells.rounds_failed.fetch_add(1, Relaxed);
                return self.go_down(&failed);
            }
        };
        self.heard_at = now;
        if signs {
            self.signed_at = Some(now);
            let nodes = grants.pop().map_or(1, |grant| grant.granted);
            self.hear_of(nodes, now);
        }
        for ((index, ask), grant) in asks.into_iter().zip(grants) {
            self.accounts[index].1.settle(grant, now);
            self.cells.leased.fetch_add(grant.granted, Relaxed);
            self.cells.returned.fetch_add(ask.back, Relaxed);
        }
    }

    /// So many nodes have given a sign of life. A greater number is believed at once.
    fn hear_of(&mut self, nodes: u64, now: Instant) {
        if self.settings.nodes.is_some() {
            return;
        }
        let nodes = u32::try_from(nodes).ok().and_then(NonZeroU32::new);
        let nodes = nodes.unwrap_or(NonZeroU32::MIN);
        let since = *self.fewer_since.get_or_insert(now);
        if nodes >= self.nodes || now.since(since) > FEWER_AFTER {
            self.fewer_since = None;
            if nodes != self.nodes {
                tracing::info!(nodes, "the number of nodes has changed");
            }
            self.nodes = nodes;
            self.cells.nodes.store(nodes.get().into(), Relaxed);
        }
    }

    /// Leases from this node's share of each limit.
    fn go_alone(&mut self, now: Instant) {
        for index in self.looked_at() {
            let account = &mut self.accounts[index].1;
            let granted = account.go_alone(self.nodes, now);
            self.cells.leased_alone.fetch_add(granted, Relaxed);
            if account.is_asked() {
                self.busy.push(index);
            }
        }
    }

    /// Tries again to reach a store that is gone, beside everything else.
    async fn take_up_store(&mut self) {
        let now = clock::now();
        let Link::Down { retry_at, trying } = &mut self.link else {
            return;
        };
        match trying {
            Some(attempt) if attempt.is_finished() => {
                let attempt = trying.take().expect("it was looked at");
                *retry_at = now.after(RETRY);
                match attempt.await {
                    Ok(Ok(store)) => self.go_up(store),
                    Ok(Err(failed)) => tracing::debug!("the store is still gone: {failed}"),
                    Err(lost) => tracing::error!("an attempt to reach the store was lost: {lost}"),
                }
            }
            None if now >= *retry_at => {
                let (address, node) = (self.settings.store.clone(), self.node);
                *trying = Some(tokio::spawn(
                    async move { Store::connect(&address, node).await },
                ));
            }
            Some(_) | None => {}
        }
    }

    fn go_up(&mut self, store: Store) {
        self.link = Link::Up(store);
        self.signed_at = None;
        self.cells.store_up.store(true, Relaxed);
        for (_, account) in &mut self.accounts {
            account.rejoin();
            account.reservoir.close();
        }
        tracing::info!(store = %self.settings.store, "limits are shared by the store");
    }

    fn go_down(&mut self, failed: &Failed) {
        self.link = Link::Down {
            retry_at: clock::now(),
            trying: None,
        };
        self.cells.store_up.store(false, Relaxed);
        if self.is_open() {
            let accounts = self.accounts.iter();
            accounts.for_each(|(_, account)| account.reservoir.open());
        }
        let (store, nodes) = (&self.settings.store, self.nodes);
        let meanwhile = match self.settings.on_store_failure {
            OnStoreFailure::Share => "this node admits its share",
            OnStoreFailure::Open => "everything is admitted",
            OnStoreFailure::Closed => "only what is at hand is admitted",
        };
        tracing::warn!(%store, nodes, "the store of limits is gone: {failed}; {meanwhile}");
    }
}
