//! What one worker keeps of an upstream for itself: cells that no other core touches.
//!
//! Made anew for each snapshot; a request in flight keeps the one that it began with.

use super::{Samples, Upstream};
use std::{cell::Cell, rc::Rc, time::Duration};

/// One worker's cells of one compiled upstream.
#[derive(Debug)]
pub struct Local {
    /// The next turn of round robin: a place in the upstream's sequence.
    pub cursor: Cell<u64>,
    /// This worker's requests in flight, by endpoint. As long as `Upstream::endpoints`.
    pub in_flight: Box<[Cell<u32>]>,
    /// Requests since the last report to the retry budget.
    requests: Cell<u32>,
    /// Latencies since the last report to the limiter; none where the upstream sheds no load.
    samples: Cell<Samples>,
}

impl Local {
    /// The cells of worker `worker` of `workers`. Workers begin their rounds at places apart, so
    /// that together they do not all ask the first endpoint first.
    pub fn new(upstream: &Upstream, worker: usize, workers: usize) -> Rc<Self> {
        let turns = upstream.sequence.len();
        Rc::new(Self {
            cursor: Cell::new((turns * worker / workers.max(1)) as u64),
            in_flight: upstream.endpoints.iter().map(|_| Cell::new(0)).collect(),
            requests: Cell::new(0),
            samples: Cell::default(),
        })
    }

    /// Counts a request of a client for this upstream: once, however often it is tried.
    pub fn count_request(&self) {
        self.requests.set(self.requests.get().saturating_add(1));
    }

    /// Requests counted since this was last asked: for [`super::RetryBudget::report`], once a tick.
    pub fn take_requests(&self) -> u32 {
        self.requests.take()
    }

    /// Takes note of how long the upstream took for a request. Cost: no atomic.
    pub fn sample(&self, latency: Duration) {
        let one = Samples {
            count: 1,
            sum_ns: u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX),
        };
        self.samples.set(self.samples.get().and(one));
    }

    /// Hands what was noted to `report`, and forgets it if that says so: once a tick.
    pub fn hand_over_samples(&self, report: impl FnOnce(Samples) -> bool) {
        if report(self.samples.get()) {
            self.samples.take();
        }
    }

    /// Counts an attempt at `endpoint` in flight until the guard is dropped.
    ///
    /// Cost: no atomic; the reference count is this worker's.
    pub fn enter(self: &Rc<Self>, endpoint: usize) -> InFlight {
        let cell = &self.in_flight[endpoint];
        cell.set(cell.get().saturating_add(1));
        InFlight {
            local: Rc::clone(self),
            endpoint,
        }
    }
}

/// One attempt in a worker's count of those in flight; dropping it takes it out.
#[derive(Debug)]
pub struct InFlight {
    local: Rc<Local>,
    endpoint: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let cell = &self.local.in_flight[self.endpoint];
        cell.set(cell.get().saturating_sub(1));
    }
}
