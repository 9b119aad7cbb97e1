//! Routing rules of a host: header values and a base path to whatever hangs there.
//!
//! They come before the host's base paths ([`super::Hosts`] asks them). The rules are looked at in
//! the order of their priorities, the lowest first, and the first all of whose conditions hold is
//! taken. A condition is literal: it compares with the raw value of each field line on its own, so
//! two lines are two chances and a list in one line is one text. It never decodes, never splits a
//! value and never looks at the query.

use super::hosts::{Found, Matched};
use crate::http::FieldLines;
use memchr::memmem::Finder;
use std::sync::Arc;

/// What a condition asks of a header field's value. Letter case counts.
#[derive(Clone, Debug)]
pub enum ValueGlob {
    /// `*`: any value, the empty one too.
    Any,
    /// `x`: this value.
    Exact(Box<[u8]>),
    /// `x*`: a value that begins so.
    Prefix(Box<[u8]>),
    /// `*x`: a value that ends so.
    Suffix(Box<[u8]>),
    /// `*x*`: a value that has this in it.
    Infix(Box<Finder<'static>>),
}

impl ValueGlob {
    /// A value that has `part` in it.
    pub fn infix(part: &[u8]) -> Self {
        Self::Infix(Box::new(Finder::new(part).into_owned()))
    }

    /// Whether it takes `value`. Cost: at most linear in the value.
    pub fn takes(&self, value: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => value == &**text,
            Self::Prefix(text) => value.starts_with(text),
            Self::Suffix(text) => value.ends_with(text),
            Self::Infix(finder) => finder.find(value).is_some(),
        }
    }
}

/// A header field that a request must have, in one line at least, with such a value.
#[derive(Clone, Debug)]
pub struct HeaderCondition {
    /// The field's name; its letter case does not count.
    pub name: Box<str>,
    /// What its value must be.
    pub value: ValueGlob,
}

/// What becomes of the base path that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasePathUse {
    /// It is taken off, as the base path of a mapping is.
    Strip,
    /// The whole path goes on.
    Keep,
}

/// One rule. All of its conditions must hold; one without any takes every request.
#[derive(Clone, Debug)]
pub struct Rule<T> {
    /// Its place in the order, the lowest first.
    pub priority: u32,
    /// Its id; and the base path that the request's must begin with, segment by segment, without a
    /// slash at either end: empty for any.
    pub matched: Arc<Matched>,
    /// What becomes of that base path.
    pub base_path_use: BasePathUse,
    /// The header fields that the request must have.
    pub headers: Box<[HeaderCondition]>,
    /// What hangs there.
    pub value: T,
}

impl<T> Rule<T> {
    /// The bytes of `path` that the base path covers, if the rule takes it.
    fn covers(&self, path: &[u8]) -> Option<usize> {
        let base_path = self.matched.base_path.as_bytes();
        if base_path.is_empty() {
            return Some(0);
        }
        let rest = path.strip_prefix(b"/")?.strip_prefix(base_path)?;
        matches!(rest.first(), None | Some(b'/')).then(|| path.len() - rest.len())
    }

    fn holds_for(&self, lines: FieldLines<'_>) -> bool {
        self.headers.iter().all(|condition| {
            let mut values = lines.values(&condition.name);
            values.any(|value| condition.value.takes(value))
        })
    }
}

/// The rules of one host; immutable.
#[derive(Clone, Debug)]
pub struct Rules<T> {
    /// In the order in which they are looked at.
    rules: Box<[Rule<T>]>,
}

impl<T> Rules<T> {
    /// These rules, in whatever order they come. Priorities are unique.
    pub fn new(mut rules: Vec<Rule<T>>) -> Self {
        rules.sort_by_key(|rule| rule.priority);
        Self {
            rules: rules.into(),
        }
    }

    /// What hangs at the first rule that takes a request for `path` (normalised) with these field
    /// lines.
    ///
    /// Cost: no allocation; each rule up to that one compares its base path, and then its header
    /// names with all of the request's and their values with those of that name. Bench:
    /// `route/hosts_rules`.
    pub fn find<'h, 'p>(
        &'h self,
        path: &'p [u8],
        lines: FieldLines<'_>,
    ) -> Option<Found<'h, 'p, T>> {
        self.rules.iter().find_map(|rule| {
            let covered = rule.covers(path)?;
            if !rule.holds_for(lines) {
                return None;
            }
            let base_bytes = match rule.base_path_use {
                BasePathUse::Strip => covered,
                BasePathUse::Keep => 0,
            };
            Some(Found::new(
                &rule.value,
                Some(&rule.matched),
                path,
                base_bytes,
            ))
        })
    }
}

#[cfg(test)]
mod tests;
