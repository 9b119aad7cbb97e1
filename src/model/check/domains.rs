//! Domains: which API and stage answers at a host and base path.

use super::Walk;
use crate::model::{
    checked::{Api, Domain, HostPattern, Mapping},
    document,
    mistake::{Path, Place},
    names,
    setting::{Map, Named, Placed},
};
use std::collections::HashMap;

/// Where the names of APIs and of each API's stages lead.
struct Targets<'a> {
    apis: HashMap<String, usize>,
    list: &'a [Api],
}

impl Walk<'_> {
    /// The domains; those that are left out are everything where there is one API with one stage.
    pub(super) fn domains(
        &mut self,
        written: Option<Map<Map<document::Mapping>>>,
        apis: &[Api],
        place: Place,
    ) -> Vec<Domain> {
        let Some(written) = written else {
            return self.everything(apis, place);
        };
        let root = Path::ROOT;
        let section = root.key("domains");
        let names = (0..)
            .zip(apis)
            .map(|(index, api)| (api.name.clone(), index))
            .collect();
        let targets = Targets {
            apis: names,
            list: apis,
        };
        let mut lines: HashMap<HostPattern, u32> = HashMap::new();
        let mut domains = Vec::with_capacity(written.0.len());
        for Named { name, place, value } in written.0 {
            let path = section.key(&name);
            let pattern = self.kept(place, path, names::host_pattern(&name));
            let mappings =
                value.map_or_else(Vec::new, |map| self.mappings(map, place, path, &targets));
            let Some(pattern) = pattern else { continue };
            if let Some(line) = lines.insert(pattern.clone(), place.line) {
                let what = format!("the host {name:?} stands here twice");
                self.wrong(place, path, what, &format!("the first is on line {line}"));
            }
            domains.push(Domain {
                place,
                pattern,
                mappings,
            });
        }
        if domains.is_empty() && lines.is_empty() {
            let hint = "name a host, or take the key out if there is one API with one stage";
            self.wrong(place, section, "no request would be answered", hint);
        }
        domains
    }

    fn mappings(
        &mut self,
        map: Map<document::Mapping>,
        host: Place,
        section: Path<'_>,
        targets: &Targets<'_>,
    ) -> Vec<Mapping> {
        if map.0.is_empty() {
            let hint = "write /: { api: NAME, stage: NAME } below it";
            self.wrong(host, section, "no base path at this host", hint);
        }
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                let path = section.key(&name);
                let base_path = self.kept(place, path, names::base_path(&name));
                let written = value?;
                let api = self.looked_up(&written.api, path.key("api"), "API", &targets.apis)?;
                let stage = self.stage(&written, api, targets, path);
                Some(Mapping {
                    place,
                    base_path: base_path?,
                    api,
                    stage: stage?,
                })
            })
            .collect()
    }

    fn stage(
        &mut self,
        written: &document::Mapping,
        api: usize,
        targets: &Targets<'_>,
        path: Path<'_>,
    ) -> Option<usize> {
        let stages = &targets.list.get(api)?.stages;
        let named = || {
            (0..)
                .zip(stages)
                .map(|(index, stage)| (stage.name.clone(), index))
        };
        match &written.stage.value {
            Some(name) => {
                if let Some(index) = stages.iter().position(|stage| stage.name == *name) {
                    return Some(index);
                }
                let name = Placed {
                    value: name.clone(),
                    place: written.stage.place,
                };
                self.looked_up(&name, path.key("stage"), "stage", &named().collect())
            }
            None if stages.len() == 1 => Some(0),
            None => {
                let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
                let what = format!("\"stage\" is missing: {:?} has several", written.api.value);
                let hint = format!("its stages: {}", names.join(", "));
                self.wrong(written.place, path, what, &hint);
                None
            }
        }
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
                    mappings: vec![mapping],
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
