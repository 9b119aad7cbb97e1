//! Checked to compiled: a configuration becomes the snapshot that workers serve.
//!
//! `routing.rs` makes the tables, `upstreams.rs` the origins, this file what holds for every
//! request. What outlives a snapshot (buckets, metrics, health) is found again by its identity in
//! [`Kept`]. Names have been looked up before: [`Addresses`] is an argument. Nothing here binds,
//! waits or publishes.

mod routing;
mod upstreams;

#[cfg(test)]
mod tests;

pub use upstreams::recompile_upstreams;

use crate::{
    clock::Instant,
    guard,
    http::HeadLimits,
    model::{
        Checked, Mistake, Mistakes,
        checked::{AccessLogFormat, ForwardedHeaders},
    },
    observe::{Format, FormatError, Registry},
    snapshot::{ClientTimeouts, Forwarding, Settings, Snapshot},
    upstream::States,
};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// What every name was last looked up to be, in the order of preference. A name that is missing
/// has no address.
pub type Addresses = HashMap<String, Vec<IpAddr>>;

/// Where the state is found that outlives a snapshot.
#[derive(Debug)]
pub struct Kept<'a, 'd> {
    /// Token buckets; the caller publishes the draft after the snapshot.
    pub buckets: &'a mut guard::Draft<'d, guard::RouteIdentity>,
    /// The routes' numbers.
    pub metrics: &'a Registry,
    /// Health, ejections and open connections of endpoints.
    pub states: &'a mut States,
    /// Now, for buckets and endpoints that are new.
    pub now: Instant,
}

/// Compiles `checked`. All that is still wrong with it is reported at once.
///
/// Cost: linear in the routes of all stages, but for one sort of each stage's routes. Bench:
/// `snapshot/compile_100000`.
///
/// # Errors
/// Routes that take the same requests, tables that a path could walk for too long, hosts or an
/// access-log format that cannot be read.
pub fn compile(
    checked: &Checked,
    addresses: &Addresses,
    generation: u64,
    kept: &mut Kept<'_, '_>,
) -> Result<Snapshot, Mistakes> {
    let mut found = Vec::new();
    let settings = settings(checked, &mut found);
    let routing = routing::routing(checked, settings.log.as_ref(), kept, &mut found);
    if let Some(mistakes) = Mistakes::of(&checked.source, found) {
        return Err(mistakes);
    }
    Ok(Snapshot {
        generation,
        routing: Arc::new(routing),
        upstreams: upstreams::upstreams(checked, addresses, kept.states, kept.now),
        settings: Arc::new(settings),
    })
}

fn settings(checked: &Checked, found: &mut Vec<Mistake>) -> Settings {
    let (limits, timeouts) = (&checked.limits, &checked.timeouts);
    Settings {
        head: HeadLimits {
            bytes: limits.head_bytes,
            fields: limits.head_fields,
            target: limits.target_bytes,
        },
        connections_max: limits.connections as usize,
        timeouts: ClientTimeouts {
            head: timeouts.head,
            body: timeouts.body,
            idle: timeouts.idle,
            send: timeouts.send,
            tunnel_idle: timeouts.tunnel_idle,
            drain: timeouts.drain,
        },
        forwarding: forwarding(checked),
        log: log_format(checked, found),
    }
}

fn forwarding(checked: &Checked) -> Forwarding {
    let forwarded = &checked.forwarded;
    let (x_forwarded, rfc_7239) = match forwarded.headers {
        ForwardedHeaders::XForwarded => (true, false),
        ForwardedHeaders::Forwarded => (false, true),
        ForwardedHeaders::Both => (true, true),
        ForwardedHeaders::None => (false, false),
    };
    Forwarding {
        x_forwarded,
        forwarded: rfc_7239,
        via: forwarded.via,
        request_id: forwarded.request_id.as_deref().map(Into::into),
        trusted: forwarded.trusted_proxies.clone().into(),
    }
}

fn log_format(checked: &Checked, found: &mut Vec<Mistake>) -> Option<Format> {
    let format = &checked.access_log.as_ref()?.format;
    match &format.value {
        AccessLogFormat::Json => Some(Format::json()),
        AccessLogFormat::Text(text) => {
            let mistake = |error: FormatError| {
                Mistake::new(format.place, "access_log.format", error.to_string())
            };
            Format::parse(text)
                .map_err(|error| found.push(mistake(error)))
                .ok()
        }
    }
}
