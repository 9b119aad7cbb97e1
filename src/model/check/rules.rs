//! Routing rules of a domain: their order, their conditions, the API and stage that they lead to.

use super::{Walk, domains::Targets, narrow};
use crate::model::{
    checked::{HeaderCondition, Rule},
    conditions, document,
    mistake::{Path, Place},
    names,
    setting::{Map, Named, Placed},
};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Debug,
    hash::Hash,
};

/// What no two rules of a domain share, and the lines where it stood first.
#[derive(Default)]
struct Taken {
    priorities: HashMap<u32, u32>,
    ids: HashMap<String, u32>,
}

impl Walk<'_> {
    /// The rules of the domain at `domain`, in the order of the text.
    pub(super) fn rules(
        &mut self,
        written: Vec<Placed<document::Listed<document::Rule>>>,
        domain: Path<'_>,
        targets: &Targets<'_>,
    ) -> Vec<Rule> {
        let list = domain.key("rules");
        let mut taken = Taken::default();
        (0..)
            .zip(written)
            .filter_map(|(index, rule)| {
                self.rule(rule.value.0?, list.index(index), targets, &mut taken)
            })
            .collect()
    }

    fn rule(
        &mut self,
        written: document::Rule,
        path: Path<'_>,
        targets: &Targets<'_>,
        taken: &mut Taken,
    ) -> Option<Rule> {
        let priority = narrow(written.priority.value);
        let place = written.priority.place;
        let is_first = self.is_first(&mut taken.priorities, priority, place, path.key("priority"));
        let id_place = written.id.place;
        let id = match written.id.value {
            Some(id) => self.kept(id_place, path.key("id"), names::name(&id)),
            None => Some(priority.to_string()),
        };
        // What has a priority that stands twice has been told of.
        if let Some(id) = &id
            && is_first
        {
            self.is_first(&mut taken.ids, id.clone(), id_place, path.key("id"));
        }
        let headers = self.header_conditions(written.headers.value, path.key("headers"));
        let base_path = match written.base_path.value {
            Some(text) => {
                let read = conditions::base_path(&text);
                let read = self.kept(written.base_path.place, path.key("base_path"), read);
                read.map(Some)
            }
            None => Some(None),
        };
        let (api, stage) =
            self.target(&written.api, &written.stage, written.place, targets, path)?;
        Some(Rule {
            place,
            priority,
            id: id?,
            headers,
            base_path: base_path?,
            strip_base_path: written.strip_base_path.value,
            api,
            stage,
        })
    }

    /// Whether `value` stands here for the first time; a second time is recorded.
    fn is_first<T: Hash + Eq + Debug>(
        &mut self,
        lines: &mut HashMap<T, u32>,
        value: T,
        place: Place,
        path: Path<'_>,
    ) -> bool {
        match lines.entry(value) {
            Entry::Vacant(vacant) => {
                vacant.insert(place.line);
                true
            }
            Entry::Occupied(taken) => {
                let what = format!("{:?} stands at another rule of this host too", taken.key());
                let hint = format!("the first is on line {}", taken.get());
                self.wrong(place, path, what, &hint);
                false
            }
        }
    }

    fn header_conditions(&mut self, written: Map<String>, path: Path<'_>) -> Vec<HeaderCondition> {
        let mut conditions: Vec<HeaderCondition> = Vec::new();
        for Named { name, place, value } in written.0 {
            let path = path.key(&name);
            let field = self.kept(place, path, conditions::header_name(&name));
            let value =
                value.and_then(|text| self.kept(place, path, conditions::value_glob(&text)));
            let (Some(name), Some(value)) = (field, value) else {
                continue;
            };
            if conditions.iter().any(|condition| condition.name == name) {
                let what = format!("{name:?} stands here twice");
                self.wrong(place, path, what, "letter case does not count in names");
            }
            conditions.push(HeaderCondition { name, value });
        }
        conditions
    }
}
