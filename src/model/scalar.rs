//! The kinds of values: text, numbers, durations, sizes, words, lists, mappings.
//!
//! Each says how it is read, its schema and how it is written. Nothing here knows a key.

use super::{
    mistake::{Mistake, Path, Place},
    setting::{self, Map, Named, Placed, Setting},
    tree::{Node, Value},
};
use crate::bounds;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;
use std::time::Duration;

/// One second, in the unit of a duration's range.
pub(super) const SECOND: u64 = 1000;
/// One minute.
pub(super) const MINUTE: u64 = 60 * SECOND;
/// One hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// One day.
pub(super) const DAY: u64 = 24 * HOUR;

/// Bytes of a kibibyte and its powers.
pub(super) const KIB: u64 = 1024;
/// Bytes of a mebibyte.
pub(super) const MIB: u64 = 1024 * KIB;
/// Bytes of a gibibyte.
pub(super) const GIB: u64 = 1024 * MIB;

/// A count of bytes: `16KiB`, `10MB`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) u64);

/// Events per second, above zero; fractions are allowed.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Rate(pub(super) f64);

/// Either one fixed word or a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Or<W, T> {
    /// The word.
    Word(W),
    /// The value.
    Value(T),
}

/// A word that stands in place of a value.
pub(super) trait Word: Sized {
    /// The word.
    const WORD: &'static str;
    /// The only value there is.
    const SELF: Self;
}

macro_rules! fixed {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::model) struct $name;

        impl Word for $name {
            const WORD: &'static str = $word;
            const SELF: Self = Self;
        }
    )*};
}

fixed! {
    /// `auto`: found out from the machine.
    Auto = "auto";
    /// `off`: not done at all.
    Off = "off";
    /// `none`: without a limit.
    Unlimited = "none";
}

impl<W, T> Or<W, T> {
    /// The value, if it is not the word.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Word(_) => None,
            Self::Value(value) => Some(value),
        }
    }
}

impl<W: Word, T: Setting> Setting for Or<W, T> {
    const EDGES: (&'static str, &'static str) = T::EDGES;

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        if matches!(&node.value, Value::String(text) if text == W::WORD) {
            return Some(Self::Word(W::SELF));
        }
        let before = found.len();
        let value = T::decode(node, path, found).map(Self::Value);
        if let [mistake] = &mut found[before..]
            && mistake.place == node.place
        {
            let joint = if mistake.hint.is_empty() { "" } else { "; " };
            mistake.hint = format!("{}{joint}{:?} can stand here too", mistake.hint, W::WORD);
        }
        value
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let value = T::schema(generator);
        json_schema!({ "anyOf": [{ "const": W::WORD }, value] })
    }

    fn written(&self) -> Option<Json> {
        match self {
            Self::Word(_) => Some(W::WORD.into()),
            Self::Value(value) => value.written(),
        }
    }

    fn measure(&self) -> Option<u64> {
        match self {
            Self::Word(_) => None,
            Self::Value(value) => value.measure(),
        }
    }

    fn edge(edge: u64) -> Json {
        T::edge(edge)
    }
}

impl<T: Setting> Setting for Option<T> {
    const EDGES: (&'static str, &'static str) = T::EDGES;

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        T::decode(node, path, found).map(Some)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }

    fn written(&self) -> Option<Json> {
        self.as_ref().and_then(T::written)
    }

    fn measure(&self) -> Option<u64> {
        self.as_ref().and_then(T::measure)
    }

    fn edge(edge: u64) -> Json {
        T::edge(edge)
    }
}

impl Setting for bool {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        setting::expected(node, path, found, "true or false")
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }

    fn written(&self) -> Option<Json> {
        Some((*self).into())
    }
}

impl Setting for u64 {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let number = node.value.count();
        number.or_else(|| setting::expected(node, path, found, "a whole number from 0 up"))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }

    fn written(&self) -> Option<Json> {
        Some((*self).into())
    }

    fn measure(&self) -> Option<u64> {
        Some(*self)
    }
}

/// The least rate of a throttle: one token in the longest time that a limit may take for one.
const RATE_LEAST: f64 = 1e9 / bounds::TOKEN_INTERVAL_NS_MAX as f64;

impl Setting for Rate {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let rate = match node.value {
            // The largest rate is far below where a float loses whole numbers.
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            Value::Null | Value::Bool(_) | Value::String(_) | Value::List(_) | Value::Map(_) => 0.0,
        };
        match (RATE_LEAST..=1e9).contains(&rate) {
            true => Some(Self(rate)),
            false => {
                let expected = "a number from 0.000001 to 1000000000";
                setting::expected(node, path, found, expected)
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": RATE_LEAST, "maximum": 1_000_000_000 })
    }

    fn written(&self) -> Option<Json> {
        Some(self.0.into())
    }
}

impl Setting for String {
    const EDGES: (&'static str, &'static str) = ("minLength", "maxLength");

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(text.clone().into_owned()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                setting::expected(node, path, found, "text; put it in quotes")
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                setting::expected(node, path, found, "text")
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }

    fn written(&self) -> Option<Json> {
        Some(self.as_str().into())
    }

    fn measure(&self) -> Option<u64> {
        Some(self.chars().count() as u64)
    }
}

/// `text` as a whole number and one of `units`, whose factors stand beside them.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// `amount` in the largest of `units` that divides it. The units stand in rising order.
fn amount(amount: u64, units: &[(&str, u64)]) -> String {
    let divides = |(_, factor): &&(&str, u64)| amount > 0 && amount.is_multiple_of(*factor);
    let (name, factor) = units.iter().rev().find(divides).unwrap_or(&units[0]);
    format!("{}{name}", amount / factor)
}

const TIMES: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
    ("d", DAY),
];

impl Setting for Duration {
    // JSON Schema compares no durations: the words are our own, for people and the documentation.
    const EDGES: (&'static str, &'static str) = ("x-minimum", "x-maximum");

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let written = node.value.text().and_then(|text| quantity(text, TIMES));
        written.map(Self::from_millis).or_else(|| {
            setting::expected(node, path, found, "a duration such as 250ms, 5s, 1m, 1h")
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$" })
    }

    fn written(&self) -> Option<Json> {
        Some(Self::edge(self.measure()?))
    }

    fn measure(&self) -> Option<u64> {
        u64::try_from(self.as_millis()).ok()
    }

    fn edge(edge: u64) -> Json {
        match edge {
            0 => "0s".into(),
            edge => amount(edge, TIMES).into(),
        }
    }
}

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", KIB),
    ("MiB", MIB),
    ("GiB", GIB),
];

impl Setting for Size {
    const EDGES: (&'static str, &'static str) = ("x-minimum", "x-maximum");

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let written = node.value.text().and_then(|text| quantity(text, SIZES));
        node.value
            .count()
            .or(written)
            .map(Self)
            .or_else(|| setting::expected(node, path, found, "a size such as 512, 16KiB, 10MB"))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB)?$",
            "minimum": 0,
        })
    }

    fn written(&self) -> Option<Json> {
        Some(Self::edge(self.0))
    }

    fn measure(&self) -> Option<u64> {
        Some(self.0)
    }

    fn edge(edge: u64) -> Json {
        let units = [("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB)];
        match edge {
            0 => 0.into(),
            edge => amount(edge, &units).into(),
        }
    }
}

impl<T: Setting> Setting for Vec<Placed<T>> {
    const EDGES: (&'static str, &'static str) = ("minItems", "maxItems");

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let Value::List(list) = &node.value else {
            return setting::expected(node, path, found, "a list");
        };
        let before = found.len();
        let mut entries = Self::with_capacity(list.len());
        for (index, node) in list.iter().enumerate() {
            if let Some(value) = T::decode(node, path.index(index), found) {
                entries.push(Placed {
                    value,
                    place: node.place,
                });
            }
        }
        // A list that lost an entry to a mistake is not too short on top of it.
        (found.len() == before || !entries.is_empty()).then_some(entries)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = T::schema(generator);
        json_schema!({ "type": "array", "items": items })
    }

    fn written(&self) -> Option<Json> {
        self.is_empty().then(|| Json::Array(Vec::new()))
    }

    fn measure(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

impl<T: Setting> Setting for Map<T> {
    const EDGES: (&'static str, &'static str) = ("minProperties", "maxProperties");

    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        let entries = setting::entries(node, path, found)?;
        setting::repeated(entries, path, found);
        let mut map = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let place: Place = key.place;
            let value = T::decode(node, path.key(&key.name), found);
            map.push(Named {
                name: key.name.clone().into_owned(),
                place,
                value,
            });
        }
        Some(Self(map))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let values = T::schema(generator);
        json_schema!({ "type": ["object", "null"], "additionalProperties": values })
    }

    fn measure(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}
