//! Hosts, stages and routes: the tables that a request is looked up in.
//!
//! An API's routes are read once and compiled once for each of its stages, because a stage's
//! buckets and numbers are its own. It reports every route that cannot stand and leaves it out.

use super::Kept;
use crate::{
    guard::{self, Bucket, Rate},
    model::{
        Checked, Mistake, Path,
        checked::{
            AllowPaths, Api, Compat, HostPattern, Integration as Written, MethodMiss, Stage,
            TargetPath, Throttle,
        },
    },
    observe::{Block, Format, RouteIdentity, RouteMetrics},
    route::{
        BasePathRule, Hosts, Peculiarities, Precedence, RouteKey, Table, TableBuilder, Target,
    },
    snapshot::{self, HttpIntegration, Integration, Miss, Mock, Route, Routing},
};
use std::sync::Arc;

pub(super) fn routing(
    checked: &Checked,
    log: Option<&Format>,
    kept: &mut Kept<'_, '_>,
    found: &mut Vec<Mistake>,
) -> Routing {
    let mut stages = Vec::new();
    let mut line = Block::default();
    // Of each API: where its stages begin.
    let mut firsts = Vec::with_capacity(checked.apis.len());
    for api in &checked.apis {
        firsts.push(stages.len());
        let read = read_api(api, found);
        for (index, stage) in api.stages.iter().enumerate() {
            // What is wrong with the routes is wrong in every stage; once is enough.
            let mut again = Vec::new();
            let found = if index == 0 { &mut *found } else { &mut again };
            let mut around = Around {
                api: api.name.as_str().into(),
                stage: stage.name.as_str().into(),
                log,
                line: &mut line,
                kept,
            };
            stages.push(compile_stage(api, stage, &read, &mut around, found));
        }
    }
    Routing {
        hosts: hosts(checked, &firsts, found),
        stages: stages.into(),
    }
}

fn hosts(checked: &Checked, firsts: &[usize], found: &mut Vec<Mistake>) -> Hosts<u32> {
    let mut hosts = Hosts::builder(BasePathRule::Segments);
    for domain in &checked.domains {
        let host = match &domain.pattern {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::Wildcard(host) => format!("*.{host}"),
            HostPattern::Any => "*".to_owned(),
        };
        for mapping in &domain.mappings {
            let stage = (firsts[mapping.api] + mapping.stage) as u32;
            if let Err(error) = hosts.insert(&host, &mapping.base_path, stage) {
                let path = Path::ROOT;
                let path = path.key("domains");
                let path = path.key(&host);
                found.push(Mistake::new(
                    mapping.place,
                    path.key(&mapping.base_path),
                    error.to_string(),
                ));
            }
        }
    }
    hosts.build()
}

/// A route of an API, read: what all of its stages share.
struct Read {
    key: RouteKey,
    name: Arc<str>,
    target: Option<Target>,
}

/// The routes of `api` in order; `None` for those that cannot be read.
fn read_api(api: &Api, found: &mut Vec<Mistake>) -> Vec<Option<Read>> {
    let root = Path::ROOT;
    let path = root.key("apis");
    let path = path.key(&api.name);
    let path = path.key("routes");
    api.routes
        .iter()
        .map(|route| {
            let path = path.key(&route.key);
            let key = RouteKey::parse(&route.key)
                .map_err(|error| found.push(Mistake::new(route.place, path, error.to_string())))
                .ok()?;
            let target = match &route.integration {
                Written::Http {
                    path: Some(TargetPath { text, .. }),
                    ..
                } => match Target::parse(text, key.template()) {
                    Ok(target) => Some(target),
                    Err(error) => {
                        let path = path.key("integration");
                        let path = path.key("path");
                        found.push(Mistake::new(route.place, path, error.to_string()));
                        return None;
                    }
                },
                Written::Http { path: None, .. } | Written::Mock { .. } => None,
            };
            let name = route.key.as_str().into();
            Some(Read { key, name, target })
        })
        .collect()
}

fn compile_stage(
    api: &Api,
    stage: &Stage,
    read: &[Option<Read>],
    around: &mut Around<'_, '_, '_>,
    found: &mut Vec<Mistake>,
) -> snapshot::Stage {
    let root = Path::ROOT;
    let path = root.key("apis");
    let path = path.key(&api.name);
    let path = path.key("routes");
    let precedence = precedence(api.compat);
    let mut table = TableBuilder::new(precedence);
    for (written, read) in api.routes.iter().zip(read) {
        let Some(read) = read else { continue };
        let route = Arc::new(Route {
            api: Arc::clone(&around.api),
            stage: Arc::clone(&around.stage),
            key: Arc::clone(&read.name),
            log: around.log(&read.name),
            allowed: peculiarities(written.allow_paths),
            body_bytes_max: written.body_bytes.unwrap_or(u64::MAX),
            throttle: around.bucket(Some(&written.key), written.throttle),
            integration: integration(&written.integration, read),
            metrics: around.metrics(&read.name),
        });
        if let Err(conflict) = table.insert(&read.key, route) {
            let mistake = Mistake::new(written.place, path.key(&written.key), conflict.to_string());
            found.push(mistake.hint("remove one of the two, or change its path"));
        }
    }
    let table = table.build().unwrap_or_else(|tangled| {
        found.push(Mistake::new(api.place, path, tangled.to_string()));
        empty(precedence)
    });
    snapshot::Stage {
        table,
        miss: miss(api),
        throttle: around.bucket(None, stage.throttle),
        metrics: around.metrics(&"".into()),
        api: Arc::clone(&around.api),
        name: Arc::clone(&around.stage),
    }
}

fn empty(precedence: Precedence) -> Table<Arc<Route>> {
    let table = TableBuilder::new(precedence).build();
    table.expect("no routes are not tangled")
}

/// The stage that is compiled, and where its state is found.
struct Around<'a, 'k, 'd> {
    api: Arc<str>,
    stage: Arc<str>,
    log: Option<&'a Format>,
    /// Where a piece of a line is made.
    line: &'a mut Block,
    kept: &'a mut Kept<'k, 'd>,
}

impl Around<'_, '_, '_> {
    /// The bucket of a route, or of the stage as a whole.
    fn bucket(&mut self, route: Option<&str>, throttle: Option<Throttle>) -> Option<Arc<Bucket>> {
        let throttle = throttle?;
        let identity = guard::RouteIdentity {
            api: (*self.api).into(),
            stage: (*self.stage).into(),
            route: route.map(Into::into),
        };
        let rate = Rate::new(throttle.rate, throttle.burst.get());
        let rate = rate.expect("the model admits positive rates only");
        Some(self.kept.buckets.bucket(identity, rate, self.kept.now))
    }

    /// What of an access-log line is the same for all requests of a route.
    fn log(&mut self, route: &str) -> Box<[u8]> {
        let log = self
            .log
            .map(|log| log.of_route(self.line, &self.api, &self.stage, route));
        log.unwrap_or_default()
    }

    fn metrics(&self, route: &Arc<str>) -> Arc<RouteMetrics> {
        self.kept.metrics.route(RouteIdentity {
            api: Arc::clone(&self.api),
            stage: Arc::clone(&self.stage),
            route: Arc::clone(route),
        })
    }
}

fn precedence(compat: Compat) -> Precedence {
    match compat {
        Compat::None | Compat::HttpApi => Precedence::FullMatchFirst,
        Compat::RestApi => Precedence::LeftToRight,
    }
}

fn miss(api: &Api) -> Miss {
    match (api.method_miss, api.compat) {
        (MethodMiss::NotAllowed, _) => Miss::MethodNotAllowed,
        (MethodMiss::NotFound, Compat::RestApi) => Miss::AuthenticationToken,
        (MethodMiss::NotFound, Compat::None | Compat::HttpApi) => Miss::NotFound,
    }
}

fn peculiarities(allow: AllowPaths) -> Peculiarities {
    [
        (allow.encoded_slash, Peculiarities::ENCODED_SLASH),
        (allow.backslash, Peculiarities::BACKSLASH),
        (allow.dot_segments, Peculiarities::DOT_SEGMENTS),
        (allow.empty_segments, Peculiarities::EMPTY_SEGMENTS),
    ]
    .into_iter()
    .filter(|(allowed, _)| *allowed)
    .fold(Peculiarities::NONE, |all, (_, one)| all.with(one))
}

fn integration(written: &Written, read: &Read) -> Integration {
    match written {
        Written::Http {
            upstream, timeout, ..
        } => Integration::Http(HttpIntegration {
            upstream: *upstream as u32,
            target: read.target.clone(),
            timeout: *timeout,
        }),
        Written::Mock {
            status,
            body,
            headers,
        } => Integration::Mock(Mock {
            status: *status,
            field_lines: headers
                .iter()
                .flat_map(|(name, value)| [name.as_str(), ": ", value, "\r\n"])
                .collect::<String>()
                .into_bytes()
                .into(),
            body: body.as_bytes().into(),
        }),
    }
}
