//! The path that an integration asks its origin for, written out of the route's parameters.
//!
//! Compiled with a configuration; a request writes through it after its route was found. Values go
//! in as they were matched, still encoded, so the origin sees the bytes that the matcher saw. It
//! knows no queries and no hosts.

use std::fmt;

use super::params::Params;
use super::path::{self, Peculiarities};
use super::template::{self, Template, TemplateFault};
use crate::bounds;

/// A compiled path template: `/v1/orders/{id}/x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The literals, one after the other.
    text: Box<[u8]>,
    /// What follows what.
    parts: Box<[Part]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// So many bytes of `text`.
    Literal(u16),
    /// The value of the parameter at this place.
    Parameter(u8),
}

/// What is wrong with a target, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    /// Byte of the text at which it is wrong.
    pub at: usize,
    /// What is wrong.
    pub fault: TargetFault,
}

/// What can be wrong with a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetFault {
    /// It does not begin with a slash.
    SlashMissing,
    /// A brace without its partner.
    BraceUnpaired,
    /// The route has no parameter of this name.
    NameUnknown(String),
    /// A literal that is no path, or too much of it.
    Literal(TemplateFault),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: ", self.at)?;
        match &self.fault {
            TargetFault::SlashMissing => f.write_str("a path begins with `/`"),
            TargetFault::BraceUnpaired => f.write_str("a brace without its partner"),
            TargetFault::NameUnknown(name) => {
                write!(f, "the route's path has no parameter `{{{name}}}`")
            }
            TargetFault::Literal(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// Reads a target. Its `{name}`s (or `{name+}`s) are parameters of `route`, the template of the
    /// route that the integration belongs to (`None` for `$default`, which has none), and may stand
    /// anywhere and more than once.
    pub fn parse(text: &str, route: Option<&Template>) -> Result<Self, TargetError> {
        let fail = |at, fault| Err(TargetError { at, fault });
        if !text.starts_with('/') {
            return fail(0, TargetFault::SlashMissing);
        }
        if text.len() > bounds::TARGET_BYTES_MAX {
            return fail(
                bounds::TARGET_BYTES_MAX,
                TargetFault::Literal(TemplateFault::TooLong),
            );
        }
        let (mut literals, mut parts) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let brace = rest.find(['{', '}']).unwrap_or(rest.len());
            let literal = literal(&rest[..brace]).map_err(|fault| TargetError {
                at,
                fault: TargetFault::Literal(fault),
            })?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.len() as u16));
                literals.extend_from_slice(&literal);
            }
            at += brace;
            if at == text.len() {
                break;
            }
            let Some((name, _)) = text[at..]
                .strip_prefix('{')
                .and_then(|rest| rest.split_once('}'))
            else {
                return fail(at, TargetFault::BraceUnpaired);
            };
            let bare = name.strip_suffix('+').unwrap_or(name);
            let Some(place) = route.and_then(|route| route.names().position(|known| known == bare))
            else {
                return fail(at, TargetFault::NameUnknown(bare.to_owned()));
            };
            parts.push(Part::Parameter(place as u8));
            at += name.len() + 2;
        }
        let target = Self {
            text: literals.into(),
            parts: parts.into(),
        };
        if target.has_dot_segment() {
            return fail(0, TargetFault::Literal(TemplateFault::DotSegment));
        }
        Ok(target)
    }

    /// Whether the literals make a dot segment by themselves. One that a value makes has been
    /// reported as a peculiarity of the request's path.
    fn has_dot_segment(&self) -> bool {
        let mut whole = Vec::new();
        let mut rest = &*self.text;
        for part in &self.parts {
            match *part {
                Part::Literal(bytes) => {
                    let (literal, tail) = rest.split_at(usize::from(bytes));
                    whole.extend_from_slice(literal);
                    rest = tail;
                }
                Part::Parameter(_) => whole.push(b'x'),
            }
        }
        let found = path::decode(&whole, &mut Vec::new()).unwrap_or_default();
        found.contains(Peculiarities::DOT_SEGMENTS)
    }

    /// Appends the path for a request whose path was `path` and whose parameters are `params`.
    /// Cost: one copy of each part; allocates only if `out` is full.
    pub fn write(&self, out: &mut Vec<u8>, path: &[u8], params: &Params) {
        let mut rest = &*self.text;
        for part in &self.parts {
            match *part {
                Part::Literal(bytes) => {
                    let (literal, tail) = rest.split_at(usize::from(bytes));
                    out.extend_from_slice(literal);
                    rest = tail;
                }
                Part::Parameter(place) => {
                    out.extend_from_slice(params.value(usize::from(place), path));
                }
            }
        }
    }
}

/// A literal run in normal form. It may end in the middle of a segment, so dot segments are looked
/// for in the whole.
fn literal(text: &str) -> Result<Vec<u8>, TemplateFault> {
    let mut bytes = Vec::new();
    path::decode(text.as_bytes(), &mut bytes).map_err(template::fault_of)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;
    use crate::route::{Precedence, RouteKey, TableBuilder};

    #[track_caller]
    fn check(route: &str, target: &str, request: &str, expected: &str) {
        let key = RouteKey::parse(&format!("GET {route}")).unwrap();
        let target = Target::parse(target, key.template()).unwrap();
        let mut builder = TableBuilder::new(Precedence::FullMatchFirst);
        builder.insert(&key, ()).unwrap();
        let table = builder.build().unwrap();
        let mut params = Params::new();
        table
            .find(Method::Get, b"GET", request.as_bytes(), &mut params)
            .unwrap();
        let mut out = b"GET ".to_vec();
        target.write(&mut out, request.as_bytes(), &params);
        assert_eq!(String::from_utf8(out).unwrap(), format!("GET {expected}"));
    }

    #[test]
    fn values_go_where_their_names_stand() {
        check("/a", "/b", "/a", "/b");
        check("/a", "/", "/a", "/");
        check(
            "/orders/{id}",
            "/v1/orders/{id}/x",
            "/orders/7",
            "/v1/orders/7/x",
        );
        check("/{a}/{b}", "/{b}-{a}.json", "/1/2", "/2-1.json");
        check("/{a}", "/{a}{a}/{a}", "/1", "/11/1");
        check("/p/{proxy+}", "/x/{proxy}", "/p/a/b%2Bc/", "/x/a/b%2Bc/");
        check("/p/{proxy+}", "/x/{proxy+}", "/p/a", "/x/a");
        check("/a", "/b//c/%7e%2b", "/a", "/b//c/~%2B");
    }

    #[test]
    fn mistakes() {
        #[track_caller]
        fn check(target: &str, at: usize, fault: TargetFault) {
            let route = Template::parse("/{id}/{rest+}").unwrap();
            assert_eq!(
                Target::parse(target, Some(&route)),
                Err(TargetError { at, fault }),
                "{target}"
            );
        }
        check("", 0, TargetFault::SlashMissing);
        check("x/{id}", 0, TargetFault::SlashMissing);
        check("/{id", 1, TargetFault::BraceUnpaired);
        check("/a}", 2, TargetFault::BraceUnpaired);
        check("/{id}/{it}", 6, TargetFault::NameUnknown("it".to_owned()));
        check(
            "/a?x={id}",
            0,
            TargetFault::Literal(TemplateFault::CharacterRefused),
        );
        check(
            "/{id}/%2{id}",
            5,
            TargetFault::Literal(TemplateFault::EscapeMalformed),
        );
        check(
            "/a/../{id}",
            0,
            TargetFault::Literal(TemplateFault::DotSegment),
        );
        assert!(Target::parse("/a/.{id}", Some(&Template::parse("/{id}").unwrap())).is_ok());
        assert!(Target::parse("/{id}", None).is_err());
    }
}
