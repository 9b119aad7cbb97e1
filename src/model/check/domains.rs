//! Domains: which API and stage answers at a host, by base path or by routing rule.

use super::Walk;
use crate::model::{
    checked::{Api, BasePaths, Domain, HostPattern, Mapping},
    document::{self, Routing},
    mistake::{Path, Place},
    names,
    setting::{Map, Named, Placed},
};
use std::collections::HashMap;

/// Where the names of APIs and of each API's stages lead.
pub(super) struct Targets<'a> {
    apis: HashMap<String, usize>,
    pub(super) list: &'a [Api],
}

impl<'a> Targets<'a> {
    pub(super) fn of(list: &'a [Api]) -> Self {
        let names = (0..).zip(list);
        let apis = names
            .map(|(index, api)| (api.name.clone(), index))
            .collect();
        Self { apis, list }
    }
}

impl Walk<'_> {
    /// The domains; those that are left out are everything where there is one API with one stage.
    pub(super) fn domains(
        &mut self,
        written: Option<Map<document::Domain>>,
        apis: &[Api],
        place: Place,
    ) -> Vec<Domain> {
        let Some(written) = written else {
            return self.everything(apis, place);
        };
        let root = Path::ROOT;
        let section = root.key("domains");
        let targets = Targets::of(apis);
        let mut lines: HashMap<HostPattern, u32> = HashMap::new();
        let mut domains = Vec::with_capacity(written.0.len());
        for Named { name, place, value } in written.0 {
            let path = section.key(&name);
            let pattern = self.kept(place, path, names::host_pattern(&name));
            let domain = value.map(|written| self.domain(written, place, path, &targets));
            let Some(pattern) = pattern else { continue };
            if let Some(line) = lines.insert(pattern.clone(), place.line) {
                let what = format!("the host {name:?} stands here twice");
                self.wrong(place, path, what, &format!("the first is on line {line}"));
            }
            if let Some(domain) = domain {
                domains.push(Domain { pattern, ..domain });
            }
        }
        if domains.is_empty() && lines.is_empty() {
            let hint = "name a host, or take the key out if there is one API with one stage";
            self.wrong(place, section, "no request would be answered", hint);
        }
        domains
    }

    /// What answers at one host, whatever its pattern. Rules and base paths that are not asked are
    /// checked all the same, and left out.
    fn domain(
        &mut self,
        written: document::Domain,
        place: Place,
        path: Path<'_>,
        targets: &Targets<'_>,
    ) -> Domain {
        let document::Domain {
            mappings,
            keys,
            has_rules,
        } = written;
        let has = (!mappings.0.is_empty(), has_rules);
        let routing = keys.routing.value.unwrap_or(match has {
            (_, true) => Routing::RulesThenMappings,
            (_, false) => Routing::Mappings,
        });
        match (routing, has) {
            (Routing::Rules, (_, false)) => {
                let hint = "write rules: [{ priority: 10, api: NAME, stage: NAME }] beside it";
                let what = "no rule at this host, and nothing else is asked";
                self.wrong(keys.routing.place, path.key("routing"), what, hint);
            }
            (Routing::Mappings, (false, true)) => {
                let hint = "write /: { api: NAME, stage: NAME } beside it";
                let what = "no base path at this host, and nothing else is asked";
                self.wrong(keys.routing.place, path.key("routing"), what, hint);
            }
            (_, (false, false)) => {
                let hint = "write /: { api: NAME, stage: NAME } below it";
                self.wrong(place, path, "no base path at this host", hint);
            }
            _ => {}
        }
        let mut domain = Domain {
            place,
            pattern: HostPattern::Any,
            base_paths: keys.base_paths.value,
            mappings: self.mappings(mappings, path, targets),
            rules: self.rules(keys.rules.value, path, targets),
        };
        match routing {
            Routing::Mappings => domain.rules.clear(),
            Routing::Rules => domain.mappings.clear(),
            Routing::RulesThenMappings => {}
        }
        domain
    }

    fn mappings(
        &mut self,
        map: Map<document::Mapping>,
        section: Path<'_>,
        targets: &Targets<'_>,
    ) -> Vec<Mapping> {
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                let path = section.key(&name);
                let base_path = self.kept(place, path, names::base_path(&name));
                let written = value?;
                let (api, stage) =
                    self.target(&written.api, &written.stage, written.place, targets, path)?;
                Some(Mapping {
                    place,
                    base_path: base_path?,
                    api,
                    stage,
                })
            })
            .collect()
    }

    /// The API and the stage of it that the mapping or rule at `path` names.
    pub(super) fn target(
        &mut self,
        api: &Placed<String>,
        stage: &Placed<Option<String>>,
        place: Place,
        targets: &Targets<'_>,
        path: Path<'_>,
    ) -> Option<(usize, usize)> {
        let index = self.looked_up(api, path.key("api"), "API", &targets.apis)?;
        let stages = &targets.list.get(index)?.stages;
        let named = || {
            (0..)
                .zip(stages)
                .map(|(index, stage)| (stage.name.clone(), index))
        };
        let stage = match &stage.value {
            Some(name) => {
                let known = stages.iter().position(|stage| stage.name == *name);
                known.or_else(|| {
                    let name = Placed {
                        value: name.clone(),
                        place: stage.place,
                    };
                    self.looked_up(&name, path.key("stage"), "stage", &named().collect())
                })
            }
            None if stages.len() == 1 => Some(0),
            None => {
                let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
                let what = format!("\"stage\" is missing: {:?} has several", api.value);
                let hint = format!("its stages: {}", names.join(", "));
                self.wrong(place, path, what, &hint);
                None
            }
        };
        Some((index, stage?))
    }

    fn everything(&mut self, apis: &[Api], place: Place) -> Vec<Domain> {
        let root = Path::ROOT;
        match apis {
            [api] if api.stages.len() == 1 => {
                let mapping = Mapping {
                    place,
                    base_path: "/".to_owned(),
                    api: 0,
                    stage: 0,
                };
                return vec![Domain {
                    place,
                    pattern: HostPattern::Any,
                    base_paths: BasePaths::Segments,
                    mappings: vec![mapping],
                    rules: Vec::new(),
                }];
            }
            // That there is no API has been said.
            [] => {}
            [_] | [_, _, ..] => {
                let what = match apis.len() {
                    1 => "\"domains\" is missing: the API has several stages".to_owned(),
                    count => format!("\"domains\" is missing: there are {count} APIs"),
                };
                let name = &apis[0].name;
                let hint =
                    format!("for instance domains: {{ \"*\": {{ /: {{ api: {name}, ... }} }} }}");
                self.wrong(place, root, what, &hint);
            }
        }
        Vec::new()
    }
}
