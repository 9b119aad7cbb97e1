//! YAML text to a tree of nodes, each with its place.
//!
//! The first step of reading: it knows YAML and its dangers (aliases that multiply, endless
//! nesting), and nothing of what the keys mean. Duplicate keys are kept, so that `setting.rs` can
//! report all of them with their places.

use super::{
    mistake::{Mistake, Path, Place},
    plain,
};
use crate::bounds;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    DuplicateKeyPolicy, Location, MergeKeyPolicy, NonFiniteFloatPolicy, Options, Spanned,
};
use std::{borrow::Cow, fmt};

/// One value of the document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'a> {
    /// What stands there.
    pub(super) value: Value<'a>,
    /// Where it begins. For an alias: where the alias stands.
    pub(super) place: Place,
}

/// What a node can be. Text that was quoted is always a string.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`; `yes`, `on` and their like are strings.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction or exponent; finite.
    Float(f64),
    /// Text.
    String(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// A mapping in the order of the text; a key may stand in it twice.
    Map(Vec<(Key<'a>, Node<'a>)>),
}

/// The key of a mapping's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    /// The text.
    pub(super) name: Cow<'a, str>,
    /// Where it begins.
    pub(super) place: Place,
}

/// The tree of one document. An empty text is `Null`.
///
/// Cost: linear in the text, which is bounded, as are the nodes that aliases may make of it.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Mistake> {
    if text.len() > bounds::CONFIG_BYTES_MAX {
        let what = format!("longer than {} bytes", bounds::CONFIG_BYTES_MAX);
        return Err(Mistake::new(Place::BEGINNING, Path::ROOT, what));
    }
    plain::parse(text).map_or_else(|| parse_fully(text), Ok)
}

/// [`parse`] by the full parser alone.
pub(super) fn parse_fully(text: &str) -> Result<Node<'_>, Mistake> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let place = error.location().map_or(Place::BEGINNING, place);
        let said = error.without_snippet().to_string();
        match in_our_words(&said) {
            Some((what, hint)) => Mistake::new(place, Path::ROOT, what).hint(hint),
            None => Mistake::new(place, Path::ROOT, reason(&said)).hint(advice(text, place)),
        }
    })
}

/// What to do about a syntax error at `place`, where the parser's words do not say it.
fn advice(text: &str, place: Place) -> &'static str {
    let line = text
        .lines()
        .nth(place.line as usize - 1)
        .unwrap_or_default();
    let column = place.column as usize - 1;
    // `{ path: /orders/{id} }`: YAML ends the text at the brace.
    match line.chars().nth(column) {
        Some('{' | '}') => "inside { }, put a text with braces in quotes: \"/orders/{id}\"",
        Some('@' | '`' | '%' | '*' | '&' | '!') => "put a text that begins like this in quotes",
        Some('\t') => "indent with spaces",
        _ => "",
    }
}

fn options() -> Options {
    // A tree is at most this much larger than its nodes: start, end and one anchor event each.
    let events = bounds::CONFIG_NODES_MAX * 3;
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: bounds::CONFIG_DEPTH_MAX,
            flow_nesting_limit: bounds::CONFIG_DEPTH_MAX,
            max_nodes: bounds::CONFIG_NODES_MAX,
            max_events: events,
            max_recorded_anchor_events: events,
            max_total_scalar_bytes: bounds::CONFIG_BYTES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: bounds::CONFIG_ALIASED_MAX,
        },
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn place(location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place {
        line: number(location.line()),
        column: number(location.column()),
    }
}

/// What is wrong and what would be right, where the parser speaks of itself rather than of the
/// file.
fn in_our_words(said: &str) -> Option<(&'static str, &'static str)> {
    const BUDGETS: &[(&str, &str)] = &[
        ("Documents", "only one document can stand in the file"),
        ("Depth", "nested too deeply"),
        ("recursion limit", "nested too deeply"),
        ("alias", "the aliases make too much of too little"),
        ("Nodes", "too many values"),
        ("Events", "too many values"),
    ];
    const OTHERS: &[(&str, &str, &str)] = &[
        (
            "recursive references",
            "the alias stands inside the value that it names",
            "name another anchor, or write the value out",
        ),
        (
            "unknown anchor",
            "the alias names no anchor that stands before it",
            "write &name at the value that is shared; put a text that begins with * in quotes",
        ),
        (
            "unsupported tag",
            "tags (!) have no meaning here",
            "take the tag out",
        ),
    ];
    if said.contains("budget breached") || said.contains("limit exceeded") {
        let budget = BUDGETS.iter().find(|(word, _)| said.contains(word));
        return budget.map(|(_, plain)| (*plain, ""));
    }
    let other = OTHERS.iter().find(|(word, ..)| said.contains(word));
    other.map(|(_, what, hint)| (*what, *hint))
}

/// The parser's own words without its own idea of the place.
fn reason(said: &str) -> String {
    let text = said.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text);
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.trim_end_matches([',', ':', ' ']).to_owned()
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value<'de>>::deserialize(deserializer)?;
        Ok(Self {
            place: place(spanned.referenced),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Text<'de>>::deserialize(deserializer)?;
        Ok(Self {
            place: place(spanned.referenced),
            name: spanned.value.0,
        })
    }
}

/// Text that is borrowed where it can be: serde's own impl for `Cow` always copies.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value<'de>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value<'de>, E> {
        let number = i128::try_from(value);
        number
            .map(Value::Int)
            .map_err(|_| E::custom("a number too large to be meant"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text)))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Value<'de>, E> {
        Err(E::custom("binary values have no use here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = entries.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        if map.len() > bounds::CONFIG_NODES_MAX {
            return Err(A::Error::custom("more entries than a document may have"));
        }
        Ok(Value::Map(map))
    }
}

impl Value<'_> {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The whole number, if it is one that is not negative.
    pub(super) fn count(&self) -> Option<u64> {
        if let Self::Int(number) = self {
            u64::try_from(*number).ok()
        } else {
            None
        }
    }

    /// What stands there, for a mistake: `the number 5`, `a list`.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("{value}"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::String(text) if text.chars().count() > 60 => "a long text".to_owned(),
            Self::String(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// `kind@line:column` of every node, keys included.
    fn written(node: &Node<'_>, out: &mut String) {
        let Place { line, column } = node.place;
        match &node.value {
            Value::List(list) => {
                write!(out, "[@{line}:{column}").unwrap();
                for node in list {
                    out.push(' ');
                    written(node, out);
                }
                out.push(']');
            }
            Value::Map(map) => {
                write!(out, "{{@{line}:{column}").unwrap();
                for (key, node) in map {
                    write!(
                        out,
                        " {}@{}:{}=",
                        key.name, key.place.line, key.place.column
                    )
                    .unwrap();
                    written(node, out);
                }
                out.push('}');
            }
            scalar @ (Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::String(_)) => write!(out, "{}@{line}:{column}", scalar.described()).unwrap(),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut out = String::new();
        match parse(text) {
            Ok(node) => written(&node, &mut out),
            Err(m) => write!(out, "{}:{}: {}", m.place.line, m.place.column, m.what).unwrap(),
        }
        assert_eq!(out, expected);
    }

    #[test]
    fn every_node_and_key_has_its_place() {
        check("", "nothing@1:1");
        check(
            "a: 1\nb:\n  - x\n  - {c: true}\n",
            "{@1:1 a@1:1=the number 1@1:4 b@2:1=[@3:3 \"x\"@3:5 {@4:5 c@4:6=true@4:9}]}",
        );
        check(
            "a: &x 5\nb: *x\n",
            "{@1:1 a@1:1=the number 5@1:7 b@2:1=the number 5@2:4}",
        );
        check("\u{feff}ä: |\n  x\n", "{@1:1 ä@1:1=\"x\\n\"@2:3}");
        check(
            "404: x\ntrue: y\n",
            "{@1:1 404@1:1=\"x\"@1:6 true@2:1=\"y\"@2:7}",
        );
    }

    #[test]
    fn scalars_are_what_yaml_1_2_says() {
        check(
            "[off, yes, 'true', true]",
            "[@1:1 \"off\"@1:2 \"yes\"@1:7 \"true\"@1:12 true@1:20]",
        );
        check(
            "[0x1f, 1e3, .inf]",
            "[@1:1 the number 31@1:2 the number 1000@1:8 \".inf\"@1:13]",
        );
        check(
            "[~, 127.0.0.1:80, '5']",
            "[@1:1 nothing@1:2 \"127.0.0.1:80\"@1:5 \"5\"@1:19]",
        );
        check("!!str 5", "\"5\"@1:7");
    }

    #[test]
    fn a_key_that_stands_twice_is_kept_and_a_merged_one_gives_way() {
        check(
            "a: 1\na: 2\n",
            "{@1:1 a@1:1=the number 1@1:4 a@2:1=the number 2@2:4}",
        );
        check(
            "d: &d {x: 1, y: 2}\ne:\n  <<: *d\n  y: 3\n",
            "{@1:1 d@1:1={@1:7 x@1:8=the number 1@1:11 y@1:14=the number 2@1:17} \
             e@2:1={@3:3 y@4:3=the number 3@4:6 x@3:7=the number 1@3:7}}",
        );
    }

    #[test]
    fn syntax_errors_have_a_place() {
        check(
            "a: [1, 2\nb: 3\n",
            "2:2: illegal placement of ':' indicator",
        );
        check(
            "a: b: c\n",
            "1:5: mapping values are not allowed in this context",
        );
        check(
            "a: *nope\n",
            "1:4: the alias names no anchor that stands before it",
        );
        check("a: \"x\n", "1:4: unclosed quote");
        check(
            "a: &a [*a]",
            "1:8: the alias stands inside the value that it names",
        );
        check("a: !!x/y { b: 1 }", "1:10: tags (!) have no meaning here");
        check(
            "a: 1\n---\nb: 2\n",
            "2:1: only one document can stand in the file",
        );
    }

    #[test]
    fn hostile_texts_are_refused() {
        check(&"[".repeat(100_000), "1:33: nested too deeply");
        check(&"a: [".repeat(100_000), "1:65: nested too deeply");
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(",");
            writeln!(bomb, "a{i}: &a{i} [{aliases}]").unwrap();
        }
        check(&bomb, "6:10: the aliases make too much of too little");
    }
}
