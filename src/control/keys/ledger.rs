//! What keys have used of their plans: in memory for the workers, on the disk twice a second.
//!
//! A thread of its own writes, so that neither a reload nor a slow look-up holds it up: when the
//! process is killed, what is lost is what was used since the last write, and that is begun every
//! [`EVERY`]. At a clean stop nothing is lost.

use super::store::{DayUsed, Days, KeyStoreError, Member, Store};
use crate::{
    bounds, clock,
    guard::{Quota, Usage, Used, quota::day_of},
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often what was used is written.
const EVERY: Duration = Duration::from_millis(500);

/// What keys have used of their plans.
#[derive(Debug)]
pub(super) struct Ledger {
    store: Arc<Store>,
    entries: Mutex<HashMap<Member, Entry>>,
}

#[derive(Debug)]
struct Entry {
    usage: Arc<Usage>,
    /// What stands on the disk.
    written: Used,
}

impl Ledger {
    /// Goes on where `used` was kept.
    pub(super) fn begin(store: Arc<Store>, used: Vec<(Member, Used)>) -> Self {
        let entry = |used| Entry {
            usage: Arc::new(Usage::begin(used)),
            written: used,
        };
        let entries = used.into_iter().map(|(member, used)| (member, entry(used)));
        Self {
            store,
            entries: Mutex::new(entries.collect()),
        }
    }

    /// What the key has used of the plan; nothing yet where it was never in it.
    pub(super) fn usage(&self, key: &str, plan: &str) -> Arc<Usage> {
        let mut entries = self.entries();
        let entry = entries.entry((key.to_owned(), plan.to_owned()));
        let entry = entry.or_insert_with(|| Entry {
            usage: Arc::default(),
            written: Used::default(),
        });
        Arc::clone(&entry.usage)
    }

    /// Runs `change`, which removes the key from the disk, and forgets what it has used. Nothing
    /// is written of it in between.
    pub(super) fn forget(
        &self,
        key: &str,
        change: impl FnOnce(&[String]) -> Result<(), KeyStoreError>,
    ) -> Result<(), KeyStoreError> {
        let mut entries = self.entries();
        let plans = entries.keys().filter(|(known, _)| known == key);
        let plans: Vec<String> = plans.map(|(_, plan)| plan.clone()).collect();
        change(&plans)?;
        entries.retain(|(known, _), _| known != key);
        Ok(())
    }

    /// Has so many requests be left, on the disk first; how many are.
    pub(super) fn extend(
        &self,
        member: &Member,
        quota: &Quota,
        remaining: u64,
    ) -> Result<u64, KeyStoreError> {
        let today = day_of(clock::wall());
        let usage = self.usage(&member.0, &member.1);
        let before = usage.used();
        let left = usage.extend(quota, today, remaining);
        match self.flush() {
            Ok(()) => Ok(left),
            Err(error) => {
                usage.take_back(before);
                Err(error)
            }
        }
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// The disk does not take it; it is written with what is used later.
    pub(super) fn flush(&self) -> Result<(), KeyStoreError> {
        let mut entries = self.entries();
        let changed: Vec<_> = entries
            .iter_mut()
            .map(|(member, entry)| (member, entry.usage.used(), entry))
            // A window that begins at this moment is written the next time, in whole.
            .filter(|(_, used, entry)| {
                *used != entry.written && used.total() >= entry.written.total()
            })
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let today = day_of(clock::wall());
        self.store.write(|change| {
            for (member, used, entry) in &changed {
                change.used(member, *used)?;
                let new = used.total().saturating_sub(entry.written.total());
                if new > 0 {
                    change.add(today, member, new)?;
                }
            }
            change.forget_before(today.saturating_sub(bounds::USAGE_DAYS_KEPT))
        })?;
        for (_, used, entry) in changed {
            entry.written = used;
        }
        Ok(())
    }

    /// What was used on which day, up to now.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn days(&self, wanted: &Days) -> Result<Vec<DayUsed>, KeyStoreError> {
        self.flush()?;
        self.store.days(wanted)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Member, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(in crate::control) struct Keeper {
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(ledger: Arc<Ledger>) -> io::Result<Self> {
        let (end, told) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("usage".into())
            .spawn(move || keep(&ledger, &told))?;
        Ok(Self { end, thread })
    }

    /// Writes the last of it and ends. The workers have ended already.
    pub(in crate::control) fn end(self) {
        let _ = self.end.send(());
        let _ = self.thread.join();
    }
}

fn keep(ledger: &Ledger, told: &mpsc::Receiver<()>) {
    let mut failing = false;
    loop {
        let goes_on = matches!(told.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout));
        match ledger.flush() {
            Ok(()) if failing => {
                failing = false;
                tracing::info!("what API keys have used is written again");
            }
            Ok(()) => {}
            // Said once: it is tried again twice a second.
            Err(error) if !failing => {
                failing = true;
                tracing::error!("what API keys have used cannot be written: {error}");
            }
            Err(_) => {}
        }
        if !goes_on {
            return;
        }
    }
}
