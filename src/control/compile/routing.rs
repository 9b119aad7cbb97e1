//! Hosts and stages: the tables that a request is looked up in.

use super::{
    Kept, Sources, limits, plans, rules,
    stage::{self, Around, Told},
};
use crate::{
    model::{
        Checked, Mistake, Path,
        checked::{HostPattern, Upstream},
    },
    observe::{Block, Format},
    route::Hosts,
    scope::Scope,
    snapshot::{Routing, Stage},
};
use std::sync::Arc;

pub(super) fn routing(
    checked: &Checked,
    sources: &Sources,
    log: Option<&Format>,
    kept: &mut Kept<'_, '_>,
    found: &mut Vec<Mistake>,
) -> Routing {
    let mut stages = Vec::new();
    // Of each API: where its stages begin.
    let mut firsts = Vec::with_capacity(checked.apis.len());
    let mut around = around(checked, log, kept, found);
    for api in &checked.apis {
        firsts.push(stages.len());
        let mut told = Told::Nothing;
        for stage in &api.stages {
            let compiled = stage::compile(api, stage, sources, told, &mut around);
            stages.push(Arc::new(compiled));
            // What is wrong with the routes is wrong in every stage; once is enough.
            told = Told::Routes;
        }
    }
    Routing {
        hosts: Arc::new(hosts(checked, &firsts, found)),
        stages: stages.into(),
    }
}

/// The tables of `before` with one stage compiled anew; `None` if `checked` has no such stage.
pub(super) fn with_stage(
    before: &Routing,
    checked: &Checked,
    (api, stage): (&str, &str),
    sources: &Sources,
    log: Option<&Format>,
    kept: &mut Kept<'_, '_>,
    found: &mut Vec<Mistake>,
) -> Option<Routing> {
    let api = checked.apis.iter().find(|known| known.name == api)?;
    let stage = api.stages.iter().find(|known| known.name == stage)?;
    let is_it = |known: &Arc<Stage>| *known.api == api.name && *known.name == stage.name;
    let index = before.stages.iter().position(is_it)?;
    let mut around = around(checked, log, kept, found);
    let compiled = stage::compile(api, stage, sources, Told::Nothing, &mut around);
    let mut stages = before.stages.clone();
    stages[index] = Arc::new(compiled);
    Some(Routing {
        hosts: Arc::clone(&before.hosts),
        stages,
    })
}

fn around<'a, 'k, 'd>(
    checked: &'a Checked,
    log: Option<&'a Format>,
    kept: &'a mut Kept<'k, 'd>,
    found: &'a mut Vec<Mistake>,
) -> Around<'a, 'k, 'd> {
    let name = |upstream: &'a Upstream| upstream.name.as_str();
    Around {
        upstreams: checked.upstreams.iter().map(name).zip(0..).collect(),
        totals: checked
            .upstreams
            .iter()
            .map(|known| known.timeouts.total)
            .collect(),
        body_bytes: checked.limits.body_bytes,
        deployment_header: checked.deployment_header.as_deref(),
        gateway: limits::limits(&checked.throttle, Scope::Gateway, "", kept),
        says_limits: checked.rate_limit_headers,
        plans: plans::plans(checked, kept),
        log,
        line: Block::default(),
        kept,
        found,
    }
}

fn hosts(checked: &Checked, firsts: &[usize], found: &mut Vec<Mistake>) -> Hosts<u32> {
    let mut hosts = Hosts::builder();
    for domain in &checked.domains {
        let host = match &domain.pattern {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::Wildcard(host) => format!("*.{host}"),
            HostPattern::Any => "*".to_owned(),
        };
        rules::attach(domain, &host, firsts, &mut hosts, found);
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
