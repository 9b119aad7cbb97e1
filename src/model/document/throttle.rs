//! Throttles as they are written: one token bucket, or several that a request must pass.

use crate::{
    bounds::{self, CLIENTS_KEPT_MAX, THROTTLES_MAX},
    model::{
        mistake::{Mistake, Path},
        scalar::Rate,
        setting::{self, Setting, settings},
        tree::{Node, Value},
    },
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

settings! {
    /// A token bucket: requests beyond it are answered 429.
    struct Throttle {
        /// Requests per second in the long run. Fractions are allowed, down to one request in
        /// 11.6 days.
        rate: Rate, required;
        /// Requests that may come at once.
        burst: u64, required, within(1..=1_000_000_000);
        /// Whose requests are counted together: those of one `address`, of one `api_key`, or with
        /// one value of a `{ header: name }`, `{ cookie: name }`, `{ query: name }` or
        /// `{ claim: name }` of the bearer token. Each has a bucket of its own; those without the
        /// value share one. Left out: all requests are counted together. What a client chooses
        /// itself (all but its address and its key) keeps apart clients that behave, and holds
        /// nobody who does not.
        per: Option<Per>, default(None);
        /// With `per: address`: the bits of an IPv6 address that make one client. Behind most
        /// lines are 64 bits of addresses.
        ipv6_prefix: u64, default(64), within(1..=128);
        /// With `per`: clients that are counted apart at once, 32 to 64 bytes of memory for each.
        /// A client counts while its bucket is not full again. Beyond them new ones share
        /// buckets.
        clients: u64, default(bounds::CLIENTS_KEPT as u64), within(1..=CLIENTS_KEPT_MAX as u64);
    }
}

/// One token bucket or several.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Throttles(pub(in crate::model) Vec<Throttle>);

impl Setting for Throttles {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let Value::List(entries) = &node.value else {
            return Throttle::decode(node, path, found).map(|one| Self(vec![one]));
        };
        if entries.len() > THROTTLES_MAX {
            let what = format!("{} throttles are too many", entries.len());
            let hint = format!("at most {THROTTLES_MAX} can stand in one place");
            found.push(Mistake::new(node.place, path, what).hint(hint));
            return None;
        }
        let read: Vec<Option<Throttle>> = (0..)
            .zip(entries)
            .map(|(index, entry)| Throttle::decode(entry, path.index(index), found))
            .collect();
        read.into_iter().collect::<Option<Vec<_>>>().map(Self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = Throttle::schema(generator);
        json_schema!({
            "anyOf": [one, { "type": "array", "items": one, "minItems": 0, "maxItems": THROTTLES_MAX }]
        })
    }

    fn written(&self) -> Option<Json> {
        self.0.is_empty().then(|| Json::Array(Vec::new()))
    }
}

/// What of a request tells whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) enum Per {
    /// The client's address.
    Address,
    /// The API key that it came with.
    ApiKey,
    /// The value of a header field.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a parameter of the query.
    Query(String),
    /// A claim of the bearer token.
    Claim(String),
}

const WORDS: &[&str] = &["address", "api_key"];
const NAMED: &[&str] = &["header", "cookie", "query", "claim"];

impl Setting for Per {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Some(match setting::word(node, path, found, WORDS)? {
                "address" => Self::Address,
                _ => Self::ApiKey,
            });
        }
        let entries = setting::entries(node, path, found)?;
        let [(key, value)] = entries else {
            let what = format!("has {} keys", entries.len());
            let hint = "one can stand here: header, cookie, query or claim";
            found.push(Mistake::new(node.place, path, what).hint(hint));
            return None;
        };
        let path = path.key(&key.name);
        if !NAMED.contains(&&*key.name) {
            let what = format!("unknown key {:?}", key.name);
            let hint = "what can stand here: header, cookie, query, claim";
            found.push(Mistake::new(key.place, path, what).hint(hint));
            return None;
        }
        let name = String::decode(value, path, found)?;
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            let hint = format!("a name has 1 to {NAME_BYTES_MAX} characters");
            found.push(Mistake::new(value.place, path, "is no name").hint(hint));
            return None;
        }
        Some(match &*key.name {
            "header" => Self::Header(name.to_ascii_lowercase()),
            "cookie" => Self::Cookie(name),
            "query" => Self::Query(name),
            _ => Self::Claim(name),
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let name = json_schema!({ "type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX });
        let named = NAMED.iter().map(|key| {
            json_schema!({
                "type": "object",
                "properties": { *key: name.clone() },
                "required": [*key],
                "additionalProperties": false,
            })
        });
        let mut all = vec![json_schema!({ "type": "string", "enum": WORDS })];
        all.extend(named);
        json_schema!({ "anyOf": all })
    }
}

/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 256;
