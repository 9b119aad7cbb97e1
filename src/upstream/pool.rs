//! One worker's idle connections to one endpoint: the newest is used first, the oldest goes first.
//!
//! Last in, first out keeps few connections warm and lets the rest grow old and be closed; and the
//! newest is the least likely to have been closed by the origin. Which connection is alive is for
//! the caller to find out: nothing here touches a socket.

use super::{Address, PoolSettings};
use crate::clock::Instant;
use std::collections::VecDeque;

/// Places that an empty pool keeps, so that one that runs empty now and then does not allocate each
/// time.
const CAPACITY_KEPT: usize = 16;

/// What makes two connections interchangeable: all of it, so that a request never leaves by a
/// connection that was made under other terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionIdentity {
    /// Whose it is: its place counts against that upstream's `connections_max`, and it is kept by
    /// that one's settings. Two upstreams at one address share nothing.
    pub upstream: Box<str>,
    /// Where it leads.
    pub address: Address,
}

/// The idle connections of one identity.
#[derive(Debug)]
pub struct Pool<C> {
    settings: PoolSettings,
    /// Oldest first, so the times since which they are idle never fall. `len <= idle_max`.
    idle: VecDeque<(C, Instant)>,
}

impl<C> Pool<C> {
    /// An empty pool. Allocates nothing until something is put in.
    pub const fn new(settings: PoolSettings) -> Self {
        Self {
            settings,
            idle: VecDeque::new(),
        }
    }

    /// How many connections are idle.
    pub fn len(&self) -> usize {
        self.idle.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }

    /// Keeps `connection` as the newest. Returns what must be closed for it: the oldest if the pool
    /// is full, the connection itself if the pool keeps none.
    ///
    /// Cost: O(1); allocates only while the pool grows past what it has held since it was last
    /// empty.
    #[must_use = "what comes back must be closed"]
    pub fn put(&mut self, connection: C, now: Instant) -> Option<C> {
        let idle_max = self.settings.idle_max as usize;
        if idle_max == 0 {
            return Some(connection);
        }
        let oldest = if self.idle.len() >= idle_max {
            self.idle.pop_front()
        } else {
            None
        };
        // A worker's time does not step back; if it did, the order by age would still hold.
        let now = self.idle.back().map_or(now, |&(_, newest)| newest.max(now));
        self.idle.push_back((connection, now));
        oldest.map(|(connection, _)| connection)
    }

    /// Takes the newest, and since when it was idle; `None` if there is none young enough. What is
    /// too old stays for [`Self::expire`].
    pub fn take(&mut self, now: Instant) -> Option<(C, Instant)> {
        let &(_, since) = self.idle.back()?;
        if now.since(since) >= self.settings.idle_timeout {
            return None;
        }
        self.idle.pop_back()
    }

    /// Hands the connections that have been idle for too long to `close`, oldest first. Once empty,
    /// the pool gives back the memory of more than a few. Once a tick; cost: one comparison if there are none.
    pub fn expire(&mut self, now: Instant, mut close: impl FnMut(C)) {
        while let Some(&(_, since)) = self.idle.front() {
            if now.since(since) < self.settings.idle_timeout {
                return;
            }
            self.idle
                .pop_front()
                .into_iter()
                .for_each(|(connection, _)| close(connection));
        }
        if self.idle.capacity() > CAPACITY_KEPT {
            self.idle = VecDeque::new();
        }
    }

    /// Takes on the settings of a new snapshot; hands what is now too many to `close`, oldest
    /// first.
    pub fn resize(&mut self, settings: PoolSettings, mut close: impl FnMut(C)) {
        self.settings = settings;
        let surplus = self.idle.len().saturating_sub(settings.idle_max as usize);
        self.idle
            .drain(..surplus)
            .for_each(|(connection, _)| close(connection));
    }

    /// Hands all connections to `close`, oldest first: the endpoint is gone, or the worker drains.
    pub fn clear(&mut self, mut close: impl FnMut(C)) {
        std::mem::take(&mut self.idle)
            .into_iter()
            .for_each(|(connection, _)| close(connection));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn settings(idle_max: u32) -> PoolSettings {
        PoolSettings {
            idle_max,
            idle_timeout: Duration::from_secs(60),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn newest_first_and_the_oldest_makes_room() {
        let mut pool = Pool::new(settings(2));
        assert_eq!(pool.put('a', at(1)), None);
        assert_eq!(pool.put('b', at(2)), None);
        assert_eq!(pool.put('c', at(3)), Some('a'));
        assert_eq!(pool.take(at(4)), Some(('c', at(3))));
        assert_eq!(pool.take(at(4)), Some(('b', at(2))));
        assert_eq!(pool.take(at(4)), None);
    }

    #[test]
    fn a_pool_of_none_keeps_none() {
        let mut pool = Pool::new(settings(0));
        assert_eq!(pool.put('a', at(1)), Some('a'));
        assert!(pool.is_empty());
    }

    #[test]
    fn what_is_too_old_is_not_taken_but_closed() {
        let mut pool = Pool::new(settings(8));
        for (name, second) in [('a', 0), ('b', 10), ('c', 20)] {
            assert_eq!(pool.put(name, at(second)), None);
        }
        let mut closed = String::new();
        pool.expire(at(59), |name| closed.push(name));
        assert_eq!((closed.as_str(), pool.len()), ("", 3));
        pool.expire(at(70), |name| closed.push(name));
        assert_eq!((closed.as_str(), pool.len()), ("ab", 1));
        assert_eq!(pool.take(at(80)), None);
        pool.expire(at(80), |name| closed.push(name));
        assert_eq!((closed.as_str(), pool.len()), ("abc", 0));
        assert!(
            pool.idle.capacity() <= CAPACITY_KEPT,
            "an empty pool holds little memory"
        );
    }

    #[test]
    fn a_smaller_pool_closes_the_oldest() {
        let mut pool = Pool::new(settings(8));
        for (name, second) in [('a', 0), ('b', 10), ('c', 20)] {
            assert_eq!(pool.put(name, at(second)), None);
        }
        let mut closed = String::new();
        pool.resize(settings(1), |name| closed.push(name));
        assert_eq!((closed.as_str(), pool.len()), ("ab", 1));
        pool.clear(|name| closed.push(name));
        assert_eq!((closed.as_str(), pool.len()), ("abc", 0));
    }

    proptest! {
        /// Every connection that goes in comes out exactly once, none too old, never too many.
        #[test]
        fn no_connection_is_lost_or_doubled(
            idle_max in 0_u32..6,
            steps in prop::collection::vec((0_u64..30, 0_u8..3), 0..100),
        ) {
            let mut pool = Pool::new(settings(idle_max));
            let (mut now, mut came, mut left) = (0, 0_usize, Vec::new());
            for (wait, action) in steps {
                now += wait;
                match action {
                    0 => {
                        left.extend(pool.put(came, at(now)));
                        came += 1;
                    }
                    1 => {
                        if let Some((connection, since)) = pool.take(at(now)) {
                            prop_assert!(at(now).since(since) < Duration::from_secs(60));
                            left.push(connection);
                        }
                    }
                    _ => pool.expire(at(now), |connection| left.push(connection)),
                }
                prop_assert!(pool.len() <= idle_max as usize);
            }
            pool.clear(|connection| left.push(connection));
            left.sort_unstable();
            prop_assert_eq!(left, (0..came).collect::<Vec<_>>());
        }
    }
}
