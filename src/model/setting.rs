//! What a setting is: how it is read from a node, what its schema is, how its value is written.
//!
//! One table per mapping ([`settings!`]) holds each key's name, meaning, type, default and bounds;
//! the struct, its reader and its JSON Schema are made of that table and cannot disagree. Reading
//! records every mistake and goes on. What depends on other settings is for `check`.

use super::{
    later,
    mistake::{Mistake, Path, Place, nearest, suggest, worth_a_hint},
    tree::{Key, Node, Value},
};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value as Json;
use std::{collections::HashMap, ops::RangeInclusive};

/// A value that somebody can write.
pub(super) trait Setting: Sized {
    /// The schema's words for the least and the most that a range allows.
    const EDGES: (&'static str, &'static str) = ("minimum", "maximum");

    /// The value that stands at `node`. `None` if there is a mistake in it, which is in `found`
    /// then.
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self>;

    /// The JSON Schema of what `decode` takes.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// This value as one would write it; `None` where there is no way to say it but leave it out.
    fn written(&self) -> Option<Json> {
        None
    }

    /// What a range of this setting is about: the number, the milliseconds, the bytes, the count
    /// of entries. `None` where a range does not apply.
    fn measure(&self) -> Option<u64> {
        None
    }

    /// `edge` of a range as one would write it.
    fn edge(edge: u64) -> Json {
        edge.into()
    }
}

/// A value and where it stands; where the mapping stands that lacks it, for a default.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// An entry of a mapping whose keys are the person's own names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named<T> {
    /// The key.
    pub(super) name: String,
    /// Where the key stands.
    pub(super) place: Place,
    /// The value; `None` where it was refused already, so that the name is still known to others.
    pub(super) value: Option<T>,
}

/// A mapping whose keys are the person's own names, in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map<T>(pub(super) Vec<Named<T>>);

/// What one key of a mapping held.
pub(super) enum Taken<T> {
    /// The key is not there.
    Absent,
    /// There is a mistake in the value; it is recorded.
    Wrong,
    /// The value.
    Given(Placed<T>),
}

/// The keys of one mapping, while they are read.
pub(super) struct Fields<'n, 'f> {
    entries: &'n [(Key<'n>, Node<'n>)],
    path: Path<'n>,
    place: Place,
    of: &'static str,
    keys: &'static [&'static str],
    found: &'f mut Vec<Mistake>,
}

impl<'n, 'f> Fields<'n, 'f> {
    /// Opens the mapping at `node`, which is called `of` in the schema and may hold `keys`. What
    /// else it holds is recorded, as is what it holds twice. Nothing counts as an empty mapping.
    pub(super) fn open(
        node: &'n Node<'n>,
        path: Path<'n>,
        of: &'static str,
        keys: &'static [&'static str],
        found: &'f mut Vec<Mistake>,
    ) -> Option<Self> {
        let entries = entries(node, path, found)?;
        repeated(entries, path, found);
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| !keys.contains(&&*key.name))
        {
            found.push(match later::what(of, &key.name) {
                Some(what) => Mistake::new(key.place, path.key(&key.name), what)
                    .hint("take the key out; it is refused rather than ignored"),
                None => {
                    let mistake =
                        Mistake::new(key.place, path, format!("unknown key {:?}", key.name));
                    match worth_a_hint(found) {
                        true => {
                            mistake.hint(suggest(&key.name, "known keys", keys.iter().copied()))
                        }
                        false => mistake,
                    }
                }
            });
        }
        let place = node.place;
        Some(Self {
            entries,
            path,
            place,
            of,
            keys,
            found,
        })
    }

    /// The value of `name`, which must lie in `range` if there is one.
    pub(super) fn take<T: Setting>(
        &mut self,
        name: &'static str,
        range: Option<RangeInclusive<u64>>,
    ) -> Taken<T> {
        let Some((key, node)) = self.entries.iter().find(|(key, _)| key.name == name) else {
            return Taken::Absent;
        };
        let path = self.path.key(name);
        let before = self.found.len();
        let Some(value) = T::decode(node, path, self.found) else {
            // Only what is wrong with the value itself, not with what stands in it.
            if let ([mistake], Some(range)) = (&mut self.found[before..], &range)
                && mistake.place == node.place
                && T::EDGES.0.ends_with("minimum")
            {
                let joint = if mistake.hint.is_empty() { "" } else { "; " };
                mistake.hint = format!("{}{joint}{}", edges::<T>(range), mistake.hint);
            }
            return Taken::Wrong;
        };
        if let (Some(measure), Some(range)) = (value.measure(), range)
            && !range.contains(&measure)
        {
            self.found
                .push(outside::<T>(&value, &range, node.place, path));
            return Taken::Wrong;
        }
        // A block mapping or list begins on a line of its own; the key is what a person looks for.
        let place = match node.value {
            Value::Map(_) | Value::List(_) | Value::Null => key.place,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => node.place,
        };
        Taken::Given(Placed { value, place })
    }

    /// [`Self::take`] for a key that must be there.
    pub(super) fn required<T: Setting>(
        &mut self,
        name: &'static str,
        range: Option<RangeInclusive<u64>>,
    ) -> Option<Placed<T>> {
        match self.take(name, range) {
            Taken::Given(given) => Some(given),
            Taken::Wrong => None,
            Taken::Absent => {
                if !self.stands_otherwise(name) {
                    let what = format!("{name:?} is missing");
                    self.found.push(Mistake::new(self.place, self.path, what));
                }
                None
            }
        }
    }

    /// Whether an unknown key that was refused already is most likely this one: misspelt, or what
    /// a later build takes in its place.
    fn stands_otherwise(&self, name: &str) -> bool {
        let near = |key: &str| worth_a_hint(self.found) && nearest(key, [name]).is_some();
        self.entries.iter().any(|(key, _)| {
            let unknown = !self.keys.contains(&&*key.name);
            unknown && (later::what(self.of, &key.name).is_some() || near(&key.name))
        })
    }

    /// [`Self::take`] for a key that may be left out. A mistaken value counts as left out, so that
    /// what stands around it is still checked.
    pub(super) fn or<T: Setting>(
        &mut self,
        name: &'static str,
        range: Option<RangeInclusive<u64>>,
        default: impl FnOnce() -> T,
    ) -> Option<Placed<T>> {
        match self.take(name, range) {
            Taken::Given(given) => Some(given),
            Taken::Wrong | Taken::Absent => Some(Placed {
                value: default(),
                place: self.place,
            }),
        }
    }

    /// [`Self::required`] with a value that stands in where it is missing or mistaken, so that
    /// what stands around it is still checked.
    pub(super) fn needed<T: Setting>(
        &mut self,
        name: &'static str,
        range: Option<RangeInclusive<u64>>,
        instead: impl FnOnce() -> T,
    ) -> Option<Placed<T>> {
        let given = self.required(name, range);
        Some(given.unwrap_or_else(|| Placed {
            value: instead(),
            place: self.place,
        }))
    }

    /// [`Self::take`] for a mapping that may be left out: then it is as if it were empty.
    pub(super) fn nested<T: Setting>(&mut self, name: &'static str) -> Option<Placed<T>> {
        if let Taken::Given(given) = self.take(name, None) {
            return Some(given);
        }
        let empty = Node {
            value: Value::Null,
            place: self.place,
        };
        let value = T::decode(&empty, self.path.key(name), self.found)?;
        Some(Placed {
            value,
            place: self.place,
        })
    }
}

/// The entries of a mapping; nothing is an empty one, as it is what stays where somebody comments
/// out all that stood below a key.
pub(super) fn entries<'n>(
    node: &'n Node<'n>,
    path: Path<'_>,
    found: &mut Vec<Mistake>,
) -> Option<&'n [(Key<'n>, Node<'n>)]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        Value::Null => Some(&[]),
        other @ (Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::List(_)) => {
            let what = format!("{} where a mapping belongs", other.described());
            found.push(Mistake::new(node.place, path, what));
            None
        }
    }
}

/// Records every key that stands a second time.
pub(super) fn repeated(entries: &[(Key<'_>, Node<'_>)], path: Path<'_>, found: &mut Vec<Mistake>) {
    let mut first: HashMap<&str, Place> = HashMap::with_capacity(entries.len());
    for (key, _) in entries {
        let place = *first.entry(&key.name).or_insert(key.place);
        if place != key.place {
            let what = format!("{:?} stands here twice", key.name);
            let hint = format!("the first is on line {}", place.line);
            found.push(Mistake::new(key.place, path.key(&key.name), what).hint(hint));
        }
    }
}

/// Records that something else was expected at `node`.
pub(super) fn expected<T>(
    node: &Node<'_>,
    path: Path<'_>,
    found: &mut Vec<Mistake>,
    expected: &str,
) -> Option<T> {
    let what = format!("{} is not {expected}", node.value.described());
    let what = if node.value == Value::Null {
        "has no value".to_owned()
    } else {
        what
    };
    let hint = if node.value == Value::Null {
        format!("write {expected}")
    } else {
        String::new()
    };
    found.push(Mistake::new(node.place, path, what).hint(hint));
    None
}

#[cold]
fn outside<T: Setting>(
    value: &T,
    range: &RangeInclusive<u64>,
    place: Place,
    path: Path<'_>,
) -> Mistake {
    let value = match T::EDGES.0 {
        "minItems" | "minProperties" => {
            format!("{} entries", value.measure().unwrap_or_default())
        }
        "minLength" => format!(
            "a text of {} characters",
            value.measure().unwrap_or_default()
        ),
        _ => value.written().map_or_else(String::new, plain),
    };
    let verb = if value.ends_with("entries") {
        "are"
    } else {
        "is"
    };
    let what = format!("{value} {verb} out of range");
    Mistake::new(place, path, what).hint(edges::<T>(range))
}

/// What can stand where there is a range.
fn edges<T: Setting>(range: &RangeInclusive<u64>) -> String {
    let (least, most) = (plain(T::edge(*range.start())), plain(T::edge(*range.end())));
    format!("{least} to {most} can stand here")
}

/// A text without its quotes, anything else as JSON writes it.
fn plain(json: Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

/// One key of a mapping, for its schema.
pub(super) struct Entry {
    /// The key.
    pub(super) name: &'static str,
    /// Its meaning, as the doc comment's lines.
    pub(super) doc: &'static str,
    /// What its values are.
    pub(super) schema: Schema,
    /// Whether it may not be left out.
    pub(super) presence: Presence,
    /// The schema's words for its bounds and their values.
    pub(super) bounds: Vec<(&'static str, Json)>,
}

/// Whether a key must be there, and what it is if not.
pub(super) enum Presence {
    /// It must be there.
    Required,
    /// What it is if it is left out; `None` where that has no writing.
    Default(Option<Json>),
}

/// The bounds that `range` puts on a `T`, as the schema says them.
pub(super) fn bounds_of<T: Setting>(
    range: Option<RangeInclusive<u64>>,
) -> Vec<(&'static str, Json)> {
    range.map_or_else(Vec::new, |range| {
        vec![
            (T::EDGES.0, T::edge(*range.start())),
            (T::EDGES.1, T::edge(*range.end())),
        ]
    })
}

/// The lines of a doc comment as one line.
pub(super) fn prose(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The schema of a mapping with these keys and no others.
pub(super) fn schema_of(doc: &str, entries: Vec<Entry>) -> Schema {
    let mut properties = serde_json::Map::new();
    let mut required: Vec<Json> = Vec::new();
    for Entry {
        name,
        doc,
        mut schema,
        presence,
        bounds,
    } in entries
    {
        schema.insert("description".to_owned(), prose(doc).into());
        for (word, edge) in bounds {
            schema.insert(word.to_owned(), edge);
        }
        match presence {
            Presence::Required => required.push(name.into()),
            Presence::Default(Some(default)) => {
                schema.insert("default".to_owned(), default);
            }
            Presence::Default(None) => {}
        }
        properties.insert(name.to_owned(), schema.to_value());
    }
    let mut schema = schemars::json_schema!({
        "description": prose(doc),
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("type".to_owned(), "object".into());
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

/// A key's name out of a field's: a keyword of Rust is written `r#type` there.
pub(super) const fn key_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Makes a struct whose fields are the keys of a mapping, with its reader and its schema.
///
/// Each row is `key: Type, presence [, within(range)];` under the key's meaning. The presence is
/// `required`, `needed(value)` (required too, and the value stands in so that the rest is still
/// checked), `default(value)`, or `nested` for a mapping all of whose keys have defaults. The field
/// is a [`Placed`] of the type, and the struct's own place is its field `place`.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])*
        struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $type:ty, $presence:ident $(($default:expr))?
                    $(, within($range:expr))?;
            )*
        }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub(in crate::model) struct $name {
            /// Where the mapping begins.
            pub(in crate::model) place: $crate::model::mistake::Place,
            $(
                $(#[doc = $doc])*
                pub(in crate::model) $field: $crate::model::setting::Placed<$type>,
            )*
        }

        impl $crate::model::setting::Setting for $name {
            fn decode(
                node: &$crate::model::tree::Node<'_>,
                path: $crate::model::mistake::Path<'_>,
                found: &mut Vec<$crate::model::mistake::Mistake>,
            ) -> Option<Self> {
                use $crate::model::setting::{Fields, key_name};
                const KEYS: &[&str] = &[$(key_name(stringify!($field))),*];
                let mut fields = Fields::open(node, path, stringify!($name), KEYS, found)?;
                $(
                    let $field = $crate::model::setting::field!(
                        fields, key_name(stringify!($field)), $presence $(($default))?
                        $(, $range)?
                    );
                )*
                Some(Self { place: node.place, $($field: $field?),* })
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::model::setting::{Entry, Setting, bounds_of, key_name, schema_of};
                let entries = vec![$(Entry {
                    name: key_name(stringify!($field)),
                    doc: concat!($($doc, "\n"),*),
                    schema: <$type as Setting>::schema(generator),
                    presence: $crate::model::setting::presence!(
                        $type, $presence $(($default))?
                    ),
                    bounds: bounds_of::<$type>(None $(.or(Some($range)))?),
                }),*];
                schema_of(concat!($($about, "\n"),*), entries)
            }
        }
    )*};
}

/// One field of [`settings!`], read.
macro_rules! field {
    ($fields:ident, $key:expr, required $(, $range:expr)?) => {
        $fields.required($key, None $(.or(Some($range)))?)
    };
    ($fields:ident, $key:expr, needed($instead:expr) $(, $range:expr)?) => {
        $fields.needed($key, None $(.or(Some($range)))?, || $instead)
    };
    ($fields:ident, $key:expr, nested) => {
        $fields.nested($key)
    };
    ($fields:ident, $key:expr, default($default:expr) $(, $range:expr)?) => {
        $fields.or($key, None $(.or(Some($range)))?, || $default)
    };
}

/// The presence of one field of [`settings!`], for its schema.
macro_rules! presence {
    ($type:ty, required) => {
        $crate::model::setting::Presence::Required
    };
    ($type:ty, needed($instead:expr)) => {
        $crate::model::setting::Presence::Required
    };
    ($type:ty, nested) => {
        $crate::model::setting::Presence::Default(None)
    };
    ($type:ty, default($default:expr)) => {{
        let default: $type = $default;
        $crate::model::setting::Presence::Default(Setting::written(&default))
    }};
}

/// Makes an enum whose variants are the words that can stand at a key.
macro_rules! words {
    ($(
        $(#[doc = $about:literal])*
        $vis:vis enum $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)* }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $name {
            /// The words, in the order of the variants.
            $vis const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word for this variant.
            $vis const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::model::setting::Setting for $name {
            fn decode(
                node: &$crate::model::tree::Node<'_>,
                path: $crate::model::mistake::Path<'_>,
                found: &mut Vec<$crate::model::mistake::Mistake>,
            ) -> Option<Self> {
                match $crate::model::setting::word(node, path, found, Self::WORDS)? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
            }

            fn written(&self) -> Option<serde_json::Value> {
                Some(self.word().into())
            }
        }
    )*};
}

pub(super) use {field, presence, settings, words};

/// The one of `words` that stands at `node`; what else stands there is recorded.
pub(super) fn word(
    node: &Node<'_>,
    path: Path<'_>,
    found: &mut Vec<Mistake>,
    words: &'static [&'static str],
) -> Option<&'static str> {
    let text = node.value.text().unwrap_or_default();
    let known = words.iter().copied().find(|word| *word == text);
    if known.is_none() {
        let what = match node.value == Value::Null {
            true => "has no value".to_owned(),
            false => format!("{} is not known here", node.value.described()),
        };
        let hint = suggest(text, "what can stand here", words.iter().copied());
        found.push(Mistake::new(node.place, path, what).hint(hint));
    }
    known
}
