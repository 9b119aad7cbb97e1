//! The matcher as prose would have it: the oracle of tests and of the fuzz target.
//!
//! It lists all routes that take the request, sorts them by the rule of [`super`], and takes the
//! first. It shares nothing with [`super::table`] but the parsed templates, costs time linear in
//! the routes, and is never part of the program.

use std::ops::Range;

use super::table::Precedence;
use super::template::{KeyMethod, RouteKey, Segment};

/// How one segment of a candidate compares with that of another: less goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Literal,
    Parameter,
    Greedy,
}

/// Place of the route that takes the request, and the values of its parameters.
pub fn find(
    routes: &[RouteKey],
    precedence: Precedence,
    method: &str,
    path: &str,
) -> Option<(usize, Vec<Range<usize>>)> {
    if !path.starts_with('/') {
        return None;
    }
    let mut candidates = Vec::new();
    for (index, key) in routes.iter().enumerate() {
        let RouteKey::Path {
            method: wanted,
            template,
        } = key
        else {
            continue;
        };
        let is_any = *wanted == KeyMethod::Any;
        let takes_method = match wanted {
            KeyMethod::Any => true,
            KeyMethod::Known(known) => known.name() == method,
            KeyMethod::Token(token) => **token == *method.as_bytes(),
        };
        if !takes_method {
            continue;
        }
        if let Some((kinds, values)) = fits(template.segments(), precedence, path) {
            let greedy_last = precedence == Precedence::FullMatchFirst && template.is_greedy();
            candidates.push(((greedy_last, kinds, is_any), index, values));
        }
    }
    candidates.sort_by(|a, b| a.0.cmp(&b.0));
    let best = candidates
        .into_iter()
        .next()
        .map(|(_, index, values)| (index, values));
    let default = || routes.iter().position(|key| *key == RouteKey::Default);
    best.or_else(|| default().map(|index| (index, Vec::new())))
}

/// The kinds of the template's segments and the places of its values, if it takes the path.
fn fits(
    segments: &[Segment],
    precedence: Precedence,
    path: &str,
) -> Option<(Vec<Kind>, Vec<Range<usize>>)> {
    let (mut start, mut end) = (1, path.len());
    let mut segments = segments.to_vec();
    if precedence == Precedence::LeftToRight {
        start = path.len() - path.trim_start_matches('/').len();
        if end > start && path.ends_with('/') {
            end -= 1;
        }
        if segments.len() > 1 && segments.last() == Some(&Segment::Literal(Box::default())) {
            segments.pop();
        }
    }
    let (mut kinds, mut values) = (Vec::new(), Vec::new());
    let mut rest = Some(start);
    for segment in segments {
        let from = rest?;
        let to = path[from..end]
            .find('/')
            .map_or(end, |length| from + length);
        rest = (to < end).then_some(to + 1);
        match segment {
            Segment::Literal(bytes) if *bytes == path.as_bytes()[from..to] => {
                kinds.push(Kind::Literal)
            }
            Segment::Parameter(_) if from < to => {
                kinds.push(Kind::Parameter);
                values.push(from..to);
            }
            Segment::Greedy(_) if from < end => {
                kinds.push(Kind::Greedy);
                values.push(from..end);
                rest = None;
            }
            Segment::Literal(_) | Segment::Parameter(_) | Segment::Greedy(_) => return None,
        }
    }
    rest.is_none().then_some((kinds, values))
}
