//! An OpenAPI file's text to a tree with places, and the tree to a JSON value.
//!
//! The value is what the rest works on; the tree stays to find where a JSON pointer of it stands in
//! the text. Nothing here knows what OpenAPI is.

use super::{json, pointer};
use crate::{
    bounds,
    model::{
        mistake::{Mistake, Path, Place},
        tree::{self, Node, Value},
    },
};
use serde_json::{Map, Number, Value as Json};
use std::collections::HashMap;

/// The tree of `text`, JSON or YAML. Cost: linear in the text.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Mistake> {
    if text.len() > bounds::OPENAPI_BYTES_MAX {
        let what = format!("longer than {} bytes", bounds::OPENAPI_BYTES_MAX);
        return Err(Mistake::new(Place::BEGINNING, Path::ROOT, what));
    }
    let inner = text.trim_start_matches('\u{feff}').trim_start();
    if !inner.starts_with(['{', '[']) {
        return tree::parse(text);
    }
    // A mapping in braces that is no JSON may be YAML all the same; if not, JSON was meant.
    json::parse(text).or_else(|mistake| tree::parse(text).map_err(|_| mistake))
}

/// The value of a tree. Of a key that stands twice the last counts, and it is recorded; `at` is
/// the pointer of `node`.
pub(super) fn to_json(node: &Node<'_>, at: &str, found: &mut Vec<Mistake>) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => i64::try_from(*value).map_or_else(
            |_| match u64::try_from(*value) {
                Ok(value) => value.into(),
                Err(_) => Number::from_f64(*value as f64).map_or(Json::Null, Json::Number),
            },
            Json::from,
        ),
        Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::String(text) => Json::String(text.to_string()),
        Value::List(entries) => {
            let entry = |(index, node): (usize, &Node<'_>)| {
                to_json(node, &pointer::child(at, &index.to_string()), found)
            };
            Json::Array(entries.iter().enumerate().map(entry).collect())
        }
        Value::Map(entries) => {
            let mut map = Map::new();
            for (key, node) in entries {
                let at = pointer::child(at, &key.name);
                let value = to_json(node, &at, found);
                if map.insert(key.name.to_string(), value).is_some() {
                    let what = format!("{:?} stands here twice", key.name);
                    found.push(Mistake::new(key.place, format!("#{at}"), what));
                }
            }
            Json::Object(map)
        }
    }
}

/// Where the values at these pointers stand: a key's value at its key. Cost: one walk through the
/// tree.
pub(super) fn places(root: &Node<'_>, wanted: &mut HashMap<String, Place>) {
    let mut at = String::new();
    walk(root, root.place, &mut at, wanted);
}

fn walk(node: &Node<'_>, place: Place, at: &mut String, wanted: &mut HashMap<String, Place>) {
    if let Some(found) = wanted.get_mut(at.as_str()) {
        *found = place;
    }
    let length = at.len();
    if let Value::List(entries) = &node.value {
        for (index, entry) in entries.iter().enumerate() {
            pointer::push(at, &index.to_string());
            walk(entry, entry.place, at, wanted);
            at.truncate(length);
        }
    } else if let Value::Map(entries) = &node.value {
        for (key, entry) in entries {
            pointer::push(at, &key.name);
            walk(entry, key.place, at, wanted);
            at.truncate(length);
        }
    }
}
