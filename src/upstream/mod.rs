//! Which endpoint takes a request, and whether it may be tried again.
//!
//! An [`Upstream`] is compiled once per snapshot and never changes; what must outlive a snapshot
//! (health, ejections, open connections, the retry budget) stands in [`UpstreamState`] and
//! [`EndpointState`], shared by all workers. What is one worker's own (its place in the round, its
//! requests in flight) stands in [`Local`].
//!
//! A request's way through here: [`Upstream::pick`] an endpoint, take a connection from its
//! [`Pool`] or open one under an [`OpenPermit`], [`Upstream::observe`] what became of it, and where
//! it failed ask [`Attempts::next`] what to do.
//!
//! Nothing here opens a socket, reads the clock or draws a random number.

mod balance;
mod budget;
mod ejection;
mod endpoint;
#[cfg(test)]
mod fixture;
mod health;
mod local;
mod overload;
mod pool;
mod retry;
mod ring;
mod sequence;
mod settings;
mod state;

pub use balance::{Choice, Tried};
pub use budget::RetryBudget;
pub use ejection::{Ejected, Failure, Outcome};
pub use endpoint::{Address, Endpoint, EndpointState, OpenPermit};
pub use health::{Change, Health, HealthCheck, Probe, ProbeResult, Standing};
pub use local::{InFlight, Local};
pub use overload::{Limiter, Overload, Samples};
pub use pool::{ConnectionIdentity, Pool};
pub use retry::{Attempts, Body, Connection, Failed, Next, Progress};
pub use settings::{
    Balance, Ejection, EndpointSettings, HashKey, HostPolicy, PoolSettings, Retry, Settings,
    Shedding, Timeouts,
};
pub use state::{PendingPermit, States, UpstreamState};

use crate::{bounds::ENDPOINTS_MAX, clock::Instant, error::Error, guard::Permit};
use ring::Ring;
use std::sync::Arc;

/// A compiled upstream: immutable, one per snapshot, shared by its routes.
#[derive(Debug)]
pub struct Upstream {
    /// What the operator set.
    pub settings: Settings,
    /// Where it is served, in the order of the configuration. Indexes into it are valid for this
    /// value only.
    pub endpoints: Box<[Endpoint]>,
    /// What outlives the snapshot.
    pub state: Arc<UpstreamState>,
    /// Endpoints of a weight above zero. Every index is below `endpoints.len()`.
    members: Box<[u16]>,
    /// One cycle of weighted turns over `members`; empty only if they are.
    sequence: Box<[u16]>,
    /// The consistent-hash ring over `members`; present where `settings.balance` hashes.
    ring: Option<Ring>,
}

/// More endpoints than [`ENDPOINTS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointsTooMany {
    /// How many there were.
    pub count: usize,
}

impl Upstream {
    /// A place among the requests in flight, if the upstream limits them.
    ///
    /// Cost: two comparisons without a limit; with one, that of [`crate::guard::Gate::enter`] and a
    /// load.
    ///
    /// # Errors
    /// There is no room by its `concurrency`, or by what its latency allows now.
    pub fn enter(&self) -> Result<Option<Permit>, Error> {
        let most = self.settings.concurrency.unwrap_or(u32::MAX);
        let overload = &self.state.overload;
        let shedding = self.settings.load_shedding.as_ref();
        let (max, full) = match shedding.map(|shedding| overload.allowed(shedding)) {
            None if most == u32::MAX => return Ok(None),
            Some(allowed) if allowed < most => (allowed, Error::LoadShed),
            _ => (most, Error::ConcurrencyExceeded),
        };
        let permit = self.state.gate.enter(max);
        if permit.is_none() {
            overload.count_shed();
        }
        permit.map(Some).ok_or(full)
    }

    /// How many requests may be in flight now; `None`: any number.
    pub fn limit(&self) -> Option<u32> {
        let shedding = self.settings.load_shedding.as_ref();
        let allowed = shedding.map(|shedding| self.state.overload.allowed(shedding));
        [self.settings.concurrency, allowed]
            .into_iter()
            .flatten()
            .min()
    }

    /// Compiles an upstream and joins it with the state kept under its name.
    ///
    /// No endpoint at all is allowed (a name may resolve to nothing): `pick` then finds none.
    /// Cost: O(turns x endpoints) for the sequence, O(points) for a ring; not for a worker.
    ///
    /// # Errors
    /// Over [`ENDPOINTS_MAX`] endpoints.
    pub fn new(
        settings: Settings,
        endpoints: Vec<EndpointSettings>,
        states: &mut States,
        now: Instant,
    ) -> Result<Self, EndpointsTooMany> {
        if endpoints.len() > ENDPOINTS_MAX {
            return Err(EndpointsTooMany {
                count: endpoints.len(),
            });
        }
        let addresses = endpoints.iter().map(|endpoint| &endpoint.address);
        let (state, endpoint_states) = states.join(&settings.name, addresses, now);
        let endpoints: Box<[Endpoint]> = endpoints
            .into_iter()
            .zip(endpoint_states)
            .map(|(endpoint, state)| Endpoint {
                text: endpoint.address.to_string().into(),
                address: endpoint.address,
                authority: endpoint.authority,
                weight: endpoint.weight,
                state,
            })
            .collect();
        let weights: Vec<u16> = endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let hashes = matches!(settings.balance, Balance::Hash(_));
        Ok(Self {
            members: (0..endpoints.len())
                .filter(|&index| endpoints[index].weight > 0)
                .map(|index| index as u16)
                .collect(),
            sequence: sequence::turns(&weights),
            ring: hashes.then(|| Ring::new(&endpoints)),
            settings,
            endpoints,
            state,
        })
    }
}
