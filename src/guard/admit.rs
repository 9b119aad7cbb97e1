//! Several limits at once: a request takes a token of each, or of none.

use super::{Bucket, ClientTable, Spent};
use crate::clock::Instant;

/// One limit that a request is under.
#[derive(Clone, Copy, Debug)]
pub enum Limit<'a> {
    /// A bucket that all requests of a stage, a route or an API key share.
    Bucket(&'a Bucket),
    /// A client's bucket, by the client's key.
    Client(&'a ClientTable, u64),
}

/// A request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the limits refused: the first in order.
    pub index: usize,
    /// When to ask again.
    pub spent: Spent,
}

impl Limit<'_> {
    fn spend(&self, worker: usize, now: Instant) -> Result<(), Spent> {
        match self {
            Self::Bucket(bucket) => bucket.spend(worker, now),
            Self::Client(table, key) => table.spend(*key, now),
        }
    }

    fn check(&self, worker: usize, now: Instant) -> Result<(), Spent> {
        match self {
            Self::Bucket(bucket) => bucket.check(worker, now),
            Self::Client(table, key) => table.check(*key, now),
        }
    }

    fn refund(&self, worker: usize, spent_at: Instant, now: Instant) {
        match self {
            Self::Bucket(bucket) => bucket.refund(worker, spent_at, now),
            Self::Client(table, key) => table.refund(*key, spent_at, now),
        }
    }
}

/// Takes one token under each limit, or none: a request that one of them refuses costs the others
/// nothing. The refusal is the first in order. `worker` is the number of the worker that asks.
///
/// All are looked at before any is spent. If another core empties one in between, what was taken
/// from those before it is given back; for that moment they had a token less. Cost: one more look
/// at each than `spend`, where there are several; no allocation.
pub fn admit(limits: &[Limit<'_>], worker: usize, now: Instant) -> Result<(), Refusal> {
    let refusal = |index| move |spent| Refusal { index, spent };
    if limits.len() > 1 {
        for (index, limit) in limits.iter().enumerate() {
            limit.check(worker, now).map_err(refusal(index))?;
        }
    }
    for (index, limit) in limits.iter().enumerate() {
        if let Err(spent) = limit.spend(worker, now) {
            let before = limits[..index].iter();
            before.for_each(|limit| limit.refund(worker, now, now));
            return Err(refusal(index)(spent));
        }
    }
    Ok(())
}
