//! Stage variables in texts: `${stageVariables.name}`.
//!
//! They are filled in when a stage is compiled, never while a request is served. What a variable's
//! value does not suit (a path that is none) is found by whoever reads the filled text.

use std::{borrow::Cow, fmt};

/// What a reference to a variable begins with.
const BEGIN: &str = "${stageVariables.";

/// The variables of one stage, by name; names are unique.
pub type Variables = [(String, String)];

/// Why a text cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableError {
    /// The stage has no variable of this name.
    Missing(String),
    /// What follows `${` is no reference to a stage variable, or has no end.
    Malformed(String),
}

impl fmt::Display for VariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the stage has no variable {name:?}"),
            Self::Malformed(text) => {
                write!(f, "{text:?} is not of the form ${{stageVariables.name}}")
            }
        }
    }
}

impl std::error::Error for VariableError {}

/// The text with every variable's value in its place.
///
/// # Errors
/// The first reference that has no value.
pub fn fill<'t>(text: &'t str, variables: &Variables) -> Result<Cow<'t, str>, VariableError> {
    fill_with(text, |name| {
        let known = variables.iter().find(|(known, _)| known == name);
        known.map(|(_, value)| value.as_str())
    })
}

/// The text with a letter in place of every variable: for checks of form before any stage is known.
///
/// # Errors
/// The first `${` that begins no reference.
pub fn stand_in(text: &str) -> Result<Cow<'_, str>, VariableError> {
    fill_with(text, |_| Some("x"))
}

/// The names of the variables in a text, as far as it can be read.
pub fn names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, reference)) = rest.split_once(BEGIN) {
        let Some((name, after)) = reference.split_once('}') else {
            break;
        };
        names.push(name);
        rest = after;
    }
    names
}

fn fill_with<'t, 'v>(
    text: &'t str,
    mut value: impl FnMut(&str) -> Option<&'v str>,
) -> Result<Cow<'t, str>, VariableError> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let malformed = || {
            let end = reference.find('}').map_or(reference.len(), |end| end + 1);
            VariableError::Malformed(reference[..end].to_owned())
        };
        let inner = reference.strip_prefix(BEGIN).ok_or_else(malformed)?;
        let (name, after) = inner.split_once('}').ok_or_else(malformed)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(malformed());
        }
        let value = value(name).ok_or_else(|| VariableError::Missing(name.to_owned()))?;
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, VariableError>) {
        let variables = [
            ("host".to_owned(), "a.example".to_owned()),
            ("v_1".to_owned(), "${stageVariables.host}".to_owned()),
        ];
        let filled = fill(text, &variables);
        assert_eq!(filled.as_deref(), expected.as_ref().copied(), "{text}");
    }

    #[test]
    #[rustfmt::skip]
    fn texts() {
        let missing = |name: &str| Err(VariableError::Missing(name.to_owned()));
        let malformed = |text: &str| Err(VariableError::Malformed(text.to_owned()));
        check("",                                       Ok(""));
        check("/a/{id}$x",                              Ok("/a/{id}$x"));
        check("http://${stageVariables.host}:80/{id}",  Ok("http://a.example:80/{id}"));
        check("${stageVariables.host}${stageVariables.host}", Ok("a.examplea.example"));
        // A value is a value: it is not read again.
        check("${stageVariables.v_1}",                  Ok("${stageVariables.host}"));
        check("x${stageVariables.table}",               missing("table"));
        check("${stageVariables.}",                     malformed("${stageVariables.}"));
        check("${stageVariables.host",                  malformed("${stageVariables.host"));
        check("${stageVariables.a-b}",                  malformed("${stageVariables.a-b}"));
        check("${context.stage}",                       malformed("${context.stage}"));
    }

    #[test]
    fn names_and_stand_ins() {
        let text = "${stageVariables.a}/${stageVariables.b}/{c}";
        assert_eq!(names(text), ["a", "b"]);
        assert_eq!(stand_in(text).as_deref(), Ok("x/x/{c}"));
        assert_eq!(names("${stageVariables.a"), [""; 0]);
    }
}
