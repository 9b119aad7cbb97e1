//! JSON pointers (RFC 6901) and the references that are made of them.
//!
//! A reference is followed inside the document alone: nothing is ever fetched.

use serde_json::Value;
use std::{borrow::Cow, fmt};

/// References that lead to references: more is a circle, or might as well be one.
const HOPS_MAX: usize = 32;

/// The pointer of the value of `key` in the value at `at`.
pub(super) fn child(at: &str, key: &str) -> String {
    let mut pointer = String::with_capacity(at.len() + key.len() + 1);
    pointer.push_str(at);
    push(&mut pointer, key);
    pointer
}

/// Goes down to the value of `key`.
pub(super) fn push(at: &mut String, key: &str) {
    at.push('/');
    for c in key.chars() {
        match c {
            '~' => at.push_str("~0"),
            '/' => at.push_str("~1"),
            c => at.push(c),
        }
    }
}

/// The pointer one level up; `None` above the root.
pub(super) fn parent(at: &str) -> Option<&str> {
    at.rfind('/').map(|slash| &at[..slash])
}

/// Sends every reference in `value` to where `moved` says that it leads now.
pub(super) fn move_references(value: &mut Value, moved: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("$ref")
                && let Some(moved) = moved(text)
            {
                *text = moved;
            }
            let values = fields.values_mut();
            values.for_each(|value| move_references(value, moved));
        }
        Value::Array(entries) => {
            let entries = entries.iter_mut();
            entries.for_each(|value| move_references(value, moved));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing stands at this pointer.
    Nothing(String),
    /// It leads out of the document.
    Remote(String),
    /// It leads back to itself.
    Circle(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(text) => write!(f, "nothing stands at {text:?}"),
            Self::Remote(text) => write!(f, "{text:?} is another document: none is fetched"),
            Self::Circle(text) => write!(f, "{text:?} leads back to itself"),
        }
    }
}

/// The pointer of a reference: percent-decoded, still with `~0` and `~1`.
pub(super) fn of(reference: &str) -> Result<Cow<'_, str>, Broken> {
    let Some(fragment) = reference.strip_prefix('#') else {
        return Err(Broken::Remote(reference.to_owned()));
    };
    match decode(fragment) {
        Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => Ok(pointer),
        _ => Err(Broken::Nothing(reference.to_owned())),
    }
}

/// Percent-decoding. `None` if what comes out is no text.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|b| (*b as char).to_digit(16));
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                &tail[2..]
            }
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// The reference that `value` consists of, if it is one.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref").and_then(Value::as_str)
}

/// What `value`, which stands at `at`, is when its references are followed, and where that stands.
pub(super) fn resolve<'d>(
    document: &'d Value,
    value: &'d Value,
    at: &str,
) -> Result<(&'d Value, String), Broken> {
    let (mut value, mut at) = (value, at.to_owned());
    for _ in 0..HOPS_MAX {
        let Some(reference) = reference(value) else {
            return Ok((value, at));
        };
        let pointer = of(reference)?;
        let target = document.pointer(&pointer);
        value = target.ok_or_else(|| Broken::Nothing(reference.to_owned()))?;
        at = pointer.into_owned();
    }
    Err(Broken::Circle(
        reference(value).unwrap_or_default().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_are_made_and_cut() {
        assert_eq!(child("/paths", "/a~b"), "/paths/~1a~0b");
        assert_eq!(parent("/paths/~1a"), Some("/paths"));
        assert_eq!(parent("/paths"), Some(""));
        assert_eq!(parent(""), None);
    }

    #[track_caller]
    fn check(reference: &str, expected: Result<Value, &str>) {
        let document = json!({
            "a": {"b/c": 1, "d~e": 2, "f g": 3, "ü": 4, "": 5},
            "list": [{"x": 6}],
            "hop": {"$ref": "#/a"},
            "round": {"$ref": "#/about"}, "about": {"$ref": "#/round"},
        });
        let value = json!({ "$ref": reference });
        let found = resolve(&document, &value, "/here").map(|(value, _)| value.clone());
        let found = found.map_err(|broken| broken.to_string());
        assert_eq!(
            found.as_ref().map_err(|text| &**text),
            expected.as_ref().map_err(|t| *t)
        );
    }

    #[test]
    #[rustfmt::skip]
    fn references() {
        check("#/a/b~1c",          Ok(json!(1)));
        check("#/a/b%7E1c",        Ok(json!(1)));
        check("#/a/d~0e",          Ok(json!(2)));
        check("#/a/f%20g",         Ok(json!(3)));
        check("#/a/%C3%BC",        Ok(json!(4)));
        check("#/a/",              Ok(json!(5)));
        check("#/list/0/x",        Ok(json!(6)));
        check("#/hop",             Ok(json!({"b/c": 1, "d~e": 2, "f g": 3, "ü": 4, "": 5})));
        check("#/hop/f g",         Err("nothing stands at \"#/hop/f g\""));
        check("#/nope",            Err("nothing stands at \"#/nope\""));
        check("#a",                Err("nothing stands at \"#a\""));
        check("#/%ff",             Err("nothing stands at \"#/%ff\""));
        check("other.yaml#/a",     Err("\"other.yaml#/a\" is another document: none is fetched"));
        check("https://a.test/x",  Err("\"https://a.test/x\" is another document: none is fetched"));
        check("",                  Err("\"\" is another document: none is fetched"));
        check("#/round",           Err("\"#/round\" leads back to itself"));
    }
}
