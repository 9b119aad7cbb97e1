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
        Checked, Mistake, Mistakes, Place,
        checked::{AccessLogFormat, ForwardedHeaders},
    },
    observe::{Format, FormatError, FormatMistake, Registry},
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

/// What [`compile`] would refuse in `checked`, without a use for what it makes: for a configuration
/// that is wrong already.
pub fn refusals(checked: &Checked) -> Vec<Mistake> {
    let mut found = Vec::new();
    settings(checked, &mut found);
    let (metrics, mut states) = (Registry::new(1), States::default());
    let mut buckets = guard::Buckets::default();
    let mut kept = Kept {
        buckets: &mut buckets.draft(),
        metrics: &metrics,
        states: &mut states,
        now: Instant::default(),
    };
    routing::routing(checked, None, &mut kept, &mut found);
    found
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
        AccessLogFormat::Text(text) => match Format::parse(text) {
            Ok(format) => Some(format),
            Err(error) => {
                format_mistakes(text, error, format.place, found);
                None
            }
        },
    }
}

/// Tells of `first`, and of the variables behind it that are unknown as well.
#[cold]
fn format_mistakes(text: &str, first: FormatError, place: Place, found: &mut Vec<Mistake>) {
    let mistake = |what: String| Mistake::new(place, "access_log.format", what);
    if first.what != FormatMistake::VariableUnknown {
        found.push(mistake(first.to_string()));
        return;
    }
    let mut text = text.to_owned();
    let mut unknown = Some(first);
    while let Some(FormatError { at, nearest, .. }) = unknown {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = text[at + 1..].split(|c| !is_name(c)).next();
        let name = name.unwrap_or_default().trim_end_matches(['.', '-']);
        let hint = match nearest {
            Some(nearest) => format!("did you mean $context.{nearest}?"),
            None => "a variable is $context. and one of Amazon's names".to_owned(),
        };
        found.push(mistake(format!("there is no variable ${name}")).hint(hint));
        // The same text without this one, to find the next.
        text.replace_range(at..=at, "0");
        unknown = Format::parse(&text)
            .err()
            .filter(|error| error.what == FormatMistake::VariableUnknown);
    }
}
