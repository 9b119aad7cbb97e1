//! Checked to compiled: a configuration becomes the snapshot that workers serve.
//!
//! `routing.rs` makes the tables, `stage.rs` one stage of them, `rules.rs` the hosts' routing rules,
//! `upstreams.rs` the origins, this file what holds for every request. What outlives a snapshot
//! (buckets, metrics, health) is found again by its identity in
//! [`Kept`]. Names have been looked up before: [`Addresses`] is an argument. Nothing here binds,
//! waits or publishes.

mod limits;
mod plans;
mod routing;
mod rules;
mod stage;
mod upstreams;

#[cfg(test)]
mod tests;

pub use plans::quota;
pub use upstreams::recompile_upstreams;

use crate::{
    clock::Instant,
    deploy::{Canary, Deployment},
    guard,
    http::HeadLimits,
    model::{
        Checked, Mistake, Mistakes, Place,
        checked::{AccessLogFormat, ForwardedHeaders},
    },
    observe::{Format, FormatError, FormatMistake, Registry, RouteMetrics},
    snapshot::{ClientTimeouts, Forwarding, Settings, Snapshot},
    upstream::States,
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// What every name was last looked up to be, in the order of preference. A name that is missing
/// has no address.
pub type Addresses = HashMap<String, Vec<IpAddr>>;

/// What is deployed to each stage that anything was deployed to, by the names of API and stage.
pub type Sources = HashMap<(String, String), Deployed>;

/// What is deployed to a stage.
#[derive(Clone, Debug, Default)]
pub struct Deployed {
    /// What it serves.
    pub own: Option<Arc<Deployment>>,
    /// Its canary.
    pub canary: Option<(Canary, Arc<Deployment>)>,
    /// Variables that go before the configuration's.
    pub variables: BTreeMap<String, String>,
}

/// The numbers by which canaries are compared with their stages, by API, stage and beginning.
pub type Canaries = HashMap<(Arc<str>, Arc<str>, u64), [Arc<RouteMetrics>; 2]>;

/// Where the state is found that outlives a snapshot.
#[derive(Debug)]
pub struct Kept<'a, 'd> {
    /// Token buckets; the caller publishes the draft after the snapshot.
    pub buckets: &'a mut guard::Draft<'d, guard::LimitIdentity>,
    /// The routes' numbers.
    pub metrics: &'a Registry,
    /// Requests in flight, where routes limit them.
    pub gates: &'a mut guard::Gates<guard::LimitIdentity>,
    /// Health, ejections and open connections of endpoints.
    pub states: &'a mut States,
    /// What canaries are judged by.
    pub canaries: &'a mut Canaries,
    /// The API keys, as they are.
    pub keys: &'a Arc<guard::KeyRing>,
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
    sources: &Sources,
    addresses: &Addresses,
    generation: u64,
    kept: &mut Kept<'_, '_>,
) -> Result<Snapshot, Mistakes> {
    let mut found = Vec::new();
    let settings = settings(checked, &mut found);
    let routing = routing::routing(checked, sources, settings.log.as_ref(), kept, &mut found);
    if let Some(mistakes) = Mistakes::of(&checked.source, found) {
        return Err(mistakes);
    }
    Ok(Snapshot {
        generation,
        routing: Arc::new(routing),
        upstreams: upstreams::upstreams(checked, addresses, kept.states, kept.now),
        keys: Arc::clone(kept.keys),
        settings: Arc::new(settings),
    })
}

/// Gives `checked` the origins that what is deployed names by itself. To be called before names
/// are looked up and anything is compiled.
pub fn add_origins(checked: &mut Arc<Checked>, sources: &Sources) {
    let missing = stage::missing_origins(checked, sources);
    if !missing.is_empty() {
        Arc::make_mut(checked).upstreams.extend(missing);
    }
}

/// The snapshot `before` with one stage compiled anew and whatever upstreams `checked` has beyond
/// it. `checked` is what `before` was compiled of, but for such upstreams at its end.
///
/// Cost: linear in the routes of the stage.
///
/// # Errors
/// What is wrong with what is deployed to the stage.
pub fn recompile_stage(
    before: &Snapshot,
    checked: &Checked,
    (api, stage): (&str, &str),
    sources: &Sources,
    addresses: &Addresses,
    kept: &mut Kept<'_, '_>,
) -> Result<Snapshot, Mistakes> {
    let mut found = Vec::new();
    let log = before.settings.log.as_ref();
    let names = (api, stage);
    let routing = routing::with_stage(
        &before.routing,
        checked,
        names,
        sources,
        log,
        kept,
        &mut found,
    );
    if let Some(mistakes) = Mistakes::of(&checked.source, found) {
        return Err(mistakes);
    }
    Ok(Snapshot {
        generation: before.generation + 1,
        routing: routing.map_or_else(|| Arc::clone(&before.routing), Arc::new),
        upstreams: upstreams::and_new(&before.upstreams, checked, addresses, kept.states, kept.now),
        keys: Arc::clone(&before.keys),
        settings: Arc::clone(&before.settings),
    })
}

/// What [`compile`] would refuse in `checked`, without a use for what it makes: for a configuration
/// that is wrong already.
pub fn refusals(checked: &Checked) -> Vec<Mistake> {
    let mut found = Vec::new();
    settings(checked, &mut found);
    let (metrics, mut states) = (Registry::new(1), States::default());
    let (mut buckets, mut canaries) = (guard::Buckets::default(), Canaries::new());
    let mut kept = Kept {
        buckets: &mut buckets.draft(),
        metrics: &metrics,
        gates: &mut guard::Gates::default(),
        states: &mut states,
        canaries: &mut canaries,
        keys: &Arc::default(),
        now: Instant::default(),
    };
    routing::routing(checked, &Sources::new(), None, &mut kept, &mut found);
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
        rate_limit_headers: checked.rate_limit_headers,
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
