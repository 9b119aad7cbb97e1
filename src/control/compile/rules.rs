//! What a host has besides its base paths: routing rules, and how base paths take a path.

use crate::{
    model::{
        Mistake, Path,
        checked::{self, BasePaths, Domain},
    },
    route::{
        BasePathRule, BasePathUse, HeaderCondition, HostsBuilder, Matched, Rule, Rules, ValueGlob,
    },
};
use std::sync::Arc;

/// Gives `host` the rules of `domain`, which lead to stages by the `firsts` of each API.
pub(super) fn attach(
    domain: &Domain,
    host: &str,
    firsts: &[usize],
    hosts: &mut HostsBuilder<u32>,
    found: &mut Vec<Mistake>,
) {
    let mut told = match domain.base_paths {
        BasePaths::Segments => Ok(()),
        BasePaths::Prefix => hosts.base_path_rule(host, BasePathRule::Amazon),
    };
    if !domain.rules.is_empty() {
        let rules = domain.rules.iter();
        let rules =
            rules.map(|written| rule(written, (firsts[written.api] + written.stage) as u32));
        let rules = Rules::new(rules.collect());
        told = told.and_then(|()| hosts.rules(host, rules));
    }
    if let Err(error) = told {
        let path = Path::ROOT;
        let path = path.key("domains");
        found.push(Mistake::new(
            domain.place,
            path.key(host),
            error.to_string(),
        ));
    }
}

fn rule(written: &checked::Rule, stage: u32) -> Rule<u32> {
    Rule {
        priority: written.priority,
        matched: Arc::new(Matched {
            rule: written.id.as_str().into(),
            base_path: written.base_path.as_deref().unwrap_or_default().into(),
        }),
        base_path_use: match written.strip_base_path {
            true => BasePathUse::Strip,
            false => BasePathUse::Keep,
        },
        headers: written.headers.iter().map(condition).collect(),
        value: stage,
    }
}

fn condition(written: &checked::HeaderCondition) -> HeaderCondition {
    let bytes = |text: &String| text.as_bytes().into();
    HeaderCondition {
        name: written.name.as_str().into(),
        value: match &written.value {
            checked::ValueGlob::Any => ValueGlob::Any,
            checked::ValueGlob::Exact(text) => ValueGlob::Exact(bytes(text)),
            checked::ValueGlob::Prefix(text) => ValueGlob::Prefix(bytes(text)),
            checked::ValueGlob::Suffix(text) => ValueGlob::Suffix(bytes(text)),
            checked::ValueGlob::Infix(text) => ValueGlob::infix(text.as_bytes()),
        },
    }
}
