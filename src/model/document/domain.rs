//! A domain as it is written: base paths, and the keys that may stand beside them.

use super::Mapping;
use crate::model::{
    mistake::{Mistake, Path},
    setting::{self, Map, Named, Placed, Setting, settings, words},
    tree::{Node, Value},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::borrow::Cow;

/// What answers at one host.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Domain {
    /// The base paths.
    pub(in crate::model) mappings: Map<Mapping>,
    /// What stands beside them.
    pub(in crate::model) keys: DomainKeys,
    /// Whether rules were written, if only such as were refused.
    pub(in crate::model) has_rules: bool,
}

settings! {
    /// What answers at one host: base paths (`/` or `/a/b`), routing rules, or both.
    struct DomainKeys {
        /// How base paths take a path. `segments`: whole segments, so that `/shop` does not take
        /// `/shopping`. `prefix`: as Amazon does, by the letters where the host has a base path of
        /// several segments.
        base_paths: BasePaths, default(BasePaths::Segments);
        /// What is asked. Left out: `rules_then_mappings` where there are rules, `mappings` where
        /// there are none.
        routing: Option<Routing>, default(None);
        /// The routing rules. The first, by priority, whose conditions all hold takes the request.
        rules: Vec<Placed<Listed<Rule>>>, default(Vec::new()), within(0..=RULES_MAX);
    }

    /// A routing rule: conditions, and the API and stage that answer where all of them hold. One
    /// without conditions takes every request.
    struct Rule {
        /// Its place in the order: the lowest is asked first. No two of a host are the same.
        priority: u64, required, within(1..=1_000_000);
        /// Its name in logs: letters, digits, `_`, `-` and `.`. Left out: the priority.
        id: Option<String>, default(None), within(1..=128);
        /// Header fields that the request must have, with their values: `x` the whole value, `x*`
        /// its beginning, `*x` its end, `*x*` any part of it, `*` whatever it is. Letter case counts
        /// in values. Each line of a field is compared on its own, as it came.
        headers: Map<String>, default(Map(Vec::new())), within(0..=2);
        /// What the path must begin with, segment by segment, without a slash at either end
        /// (`shop/v1`). Letter case counts.
        base_path: Option<String>, default(None), within(1..=127);
        /// The API's name.
        api: String, required;
        /// The stage's name. Left out where the API has one stage: that one.
        stage: Option<String>, default(None);
        /// Whether the base path is taken off before the API's routes are looked at.
        strip_base_path: bool, default(true);
    }
}

/// Routing rules of one host: Amazon's number. Each may look through all of a request's fields, so
/// that this bounds what a request can cost.
const RULES_MAX: u64 = 50;

words! {
    /// How base paths take a path.
    pub enum BasePaths {
        /// By whole segments.
        Segments = "segments",
        /// By the letters, where the host has a base path of several segments.
        Prefix = "prefix",
    }

    /// What is asked of a host with rules and base paths.
    pub(in crate::model) enum Routing {
        /// The base paths alone.
        Mappings = "mappings",
        /// The rules alone.
        Rules = "rules",
        /// The rules, and the base paths where no rule takes the request.
        RulesThenMappings = "rules_then_mappings",
    }
}

/// An entry of a list that keeps its place there when it is refused, so that what is told of those
/// behind it counts right.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Listed<T>(pub(in crate::model) Option<T>);

impl<T: Setting> Setting for Listed<T> {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        Some(Self(T::decode(node, path, found)))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl Setting for Domain {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let entries = setting::entries(node, path, found)?;
        setting::repeated(entries, path, found);
        let mut mappings = Vec::with_capacity(entries.len());
        let mut others = Vec::new();
        for (key, node) in entries {
            if !key.name.starts_with('/') {
                others.push((key.clone(), node.clone()));
                continue;
            }
            mappings.push(Named {
                name: key.name.clone().into_owned(),
                place: key.place,
                value: Mapping::decode(node, path.key(&key.name), found),
            });
        }
        let is_written = |node: &Node<'_>| match &node.value {
            Value::Null => false,
            Value::List(list) => !list.is_empty(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Map(_) => {
                true
            }
        };
        let mut rules = others.iter().filter(|(key, _)| key.name == "rules");
        let has_rules = rules.any(|(_, node)| is_written(node));
        let before = found.len();
        let others = Node {
            value: Value::Map(others),
            place: node.place,
        };
        let keys = DomainKeys::decode(&others, path, found);
        for mistake in &mut found[before..] {
            let mut keys = entries.iter().map(|(key, _)| key);
            // What is like no key may have been meant for a base path.
            if let Some(key) = keys.find(|key| key.place == mistake.place)
                && mistake.what.starts_with("unknown key")
                && mistake.hint.starts_with("known keys")
            {
                let hint = &mistake.hint;
                mistake.hint = format!("{hint}; a base path begins with \"/\": /{}", key.name);
            }
        }
        Some(Self {
            mappings: Map(mappings),
            keys: keys?,
            has_rules,
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl JsonSchema for Domain {
    fn schema_name() -> Cow<'static, str> {
        "Domain".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = DomainKeys::json_schema(generator);
        let mut mapping = Mapping::schema(generator);
        let meaning = "A base path, `/` or `/a/b`: the longest that takes the path is asked.";
        mapping.insert("description".to_owned(), meaning.into());
        let base_paths = serde_json::json!({ "^/": mapping });
        schema.insert("patternProperties".to_owned(), base_paths);
        schema
    }
}
