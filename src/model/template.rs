//! Paths with parameters: the path of a route and the path that an origin sees.
//!
//! A route's parameter is a whole segment; in the origin's path it may stand anywhere. Which route
//! wins a request is decided in `route`, not here.

use super::names::Wrong;
use crate::bounds;

/// A route's path: `/orders/{id}`, `/files/{proxy+}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTemplate {
    /// As written. Begins with `/`.
    pub text: String,
    /// What stands between the slashes. Empty for `/`; a trailing slash is an empty literal at the
    /// end. At most [`bounds::PATH_SEGMENTS_MAX`].
    pub segments: Vec<Segment>,
}

/// One segment of a route's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// These bytes. Percent-encoding stays as written.
    Literal(String),
    /// Any one segment, under this name.
    Parameter(String),
    /// One segment or more, to the end. Stands last.
    Greedy(String),
}

/// The path that an origin sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TargetPath {
    /// As written. Begins with `/`.
    pub text: String,
    /// What it is put together of, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of an origin's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    /// These bytes.
    Literal(String),
    /// The value of the route's parameter with this index, as the client sent it.
    Parameter(usize),
}

impl PathTemplate {
    /// Reads the path of a route.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Wrong::new(
                format!("the path {text:?} does not begin with \"/\""),
                "",
            ));
        };
        if text.len() > bounds::TARGET_BYTES_MAX {
            return Err(Wrong::new("the path is longer than any request's", ""));
        }
        let mut segments = Vec::new();
        if !rest.is_empty() {
            let count = rest.split('/').count();
            for (index, text) in rest.split('/').enumerate() {
                segments.push(segment(text, index + 1 == count)?);
            }
        }
        let template = Self {
            text: text.to_owned(),
            segments,
        };
        template.bounded()?;
        Ok(template)
    }

    /// The names of the parameters, in the order of the path.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) | Segment::Greedy(name) => Some(name.as_str()),
        })
    }

    fn bounded(&self) -> Result<(), Wrong> {
        if self.segments.len() > bounds::PATH_SEGMENTS_MAX {
            let what = format!("more than {} segments", bounds::PATH_SEGMENTS_MAX);
            return Err(Wrong::new(what, ""));
        }
        let names: Vec<&str> = self.parameters().collect();
        if names.len() > bounds::PATH_PARAMETERS_MAX {
            let what = format!("more than {} parameters", bounds::PATH_PARAMETERS_MAX);
            return Err(Wrong::new(what, ""));
        }
        match (1..names.len()).find(|&index| names[..index].contains(&names[index])) {
            Some(index) => Err(Wrong::new(
                format!("the parameter {{{}}} stands twice", names[index]),
                "give each parameter a name of its own",
            )),
            None => Ok(()),
        }
    }
}

fn segment(text: &str, last: bool) -> Result<Segment, Wrong> {
    if !text.contains(['{', '}']) {
        literal(text, last)?;
        return Ok(Segment::Literal(text.to_owned()));
    }
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) else {
        let what = format!("the parameter in {text:?} is not a whole segment");
        return Err(Wrong::new(what, "write /{name}/ or, at the end, /{name+}"));
    };
    match inner.strip_suffix('+') {
        Some(name) if last => parameter_name(name).map(Segment::Greedy),
        Some(_) => Err(Wrong::new(
            format!("{text} does not stand last"),
            "nothing can follow {name+}",
        )),
        None => parameter_name(inner).map(Segment::Parameter),
    }
}

fn parameter_name(name: &str) -> Result<String, Wrong> {
    let known = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match (1..=64).contains(&name.len()) && name.chars().all(known) {
        true => Ok(name.to_owned()),
        false => Err(Wrong::new(
            format!("{name:?} cannot name a parameter"),
            "1 to 64 letters, digits, \"_\", \"-\" and \".\"",
        )),
    }
}

/// Whether a segment without parameters can be matched at all.
pub(super) fn literal(text: &str, last: bool) -> Result<(), Wrong> {
    if text.is_empty() && !last {
        return Err(Wrong::new(
            "an empty segment (//) in the path",
            "write one slash",
        ));
    }
    if text == "." || text == ".." {
        let what = format!("the segment {text:?} in the path");
        return Err(Wrong::new(what, "no request reaches a route by it"));
    }
    bytes(text)
}

/// Whether `text` is made of what RFC 3986 §3.3 lets stand in a path.
fn bytes(text: &str) -> Result<(), Wrong> {
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                tail
            }
            (b'%', _) => {
                return Err(Wrong::new(
                    format!("a \"%\" without two hexadecimal digits in {text:?}"),
                    "write %25 for the character itself",
                ));
            }
            (byte, tail) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(byte) => {
                tail
            }
            _ => return Err(foreign(text)),
        };
    }
    Ok(())
}

#[cold]
fn foreign(text: &str) -> Wrong {
    let known = |c: &char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%".contains(*c);
    match text.chars().find(|c| !known(c)) {
        Some('?' | '#') => Wrong::new(
            format!("a query or fragment in the path {text:?}"),
            "write the path alone",
        ),
        Some(c) => Wrong::new(
            format!("the character {c:?} in the path"),
            "percent-encode it",
        ),
        None => Wrong::new(format!("the path {text:?} is malformed"), ""),
    }
}

impl TargetPath {
    /// Reads an origin's path, whose parameters are among `parameters`.
    pub(super) fn parse(text: &str, parameters: &[&str]) -> Result<Self, Wrong> {
        if !text.starts_with('/') {
            return Err(Wrong::new(
                format!("the path {text:?} does not begin with \"/\""),
                "",
            ));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            let Some(close) = from.find('}') else {
                return Err(Wrong::new("\"{\" without \"}\"", ""));
            };
            push_literal(before, &mut pieces)?;
            pieces.push(Piece::Parameter(index(&from[1..close], parameters)?));
            rest = &from[close + 1..];
        }
        push_literal(rest, &mut pieces)?;
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }
}

fn push_literal(text: &str, pieces: &mut Vec<Piece>) -> Result<(), Wrong> {
    for segment in text.split('/') {
        if segment == "." || segment == ".." {
            return Err(Wrong::new(
                format!("the segment {segment:?} in the path"),
                "",
            ));
        }
        bytes(segment)?;
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.to_owned()));
    }
    Ok(())
}

fn index(name: &str, parameters: &[&str]) -> Result<usize, Wrong> {
    parameters
        .iter()
        .position(|known| *known == name)
        .ok_or_else(|| {
            let what = format!("the route has no parameter {{{name}}}");
            let plain = name
                .strip_suffix('+')
                .filter(|plain| parameters.contains(plain));
            Wrong::new(
                what,
                match plain {
                    Some(plain) => format!("here it is written {{{plain}}}"),
                    None => {
                        let known = parameters.iter().copied();
                        super::mistake::suggest(name, "parameters of the route", known)
                    }
                },
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = PathTemplate::parse(text).map(|template| {
            let show = |segment: &Segment| match segment {
                Segment::Literal(text) => text.clone(),
                Segment::Parameter(name) => format!("<{name}>"),
                Segment::Greedy(name) => format!("<{name}...>"),
            };
            template
                .segments
                .iter()
                .map(show)
                .collect::<Vec<_>>()
                .join("|")
        });
        assert_eq!(shown.as_deref().map_err(|wrong| &*wrong.what), expected);
    }

    #[test]
    fn route_paths() {
        check("/", Ok(""));
        check("/orders", Ok("orders"));
        check("/orders/", Ok("orders|"));
        check("/orders/{id}/items", Ok("orders|<id>|items"));
        check("/{proxy+}", Ok("<proxy...>"));
        check("/a%20b/~x@y:z", Ok("a%20b|~x@y:z"));
        check("/...", Ok("..."));
        check("", Err("the path \"\" does not begin with \"/\""));
        check(
            "orders",
            Err("the path \"orders\" does not begin with \"/\""),
        );
        check("//", Err("an empty segment (//) in the path"));
        check("/a//b", Err("an empty segment (//) in the path"));
        check("/a/../b", Err("the segment \"..\" in the path"));
        check(
            "/a-{id}",
            Err("the parameter in \"a-{id}\" is not a whole segment"),
        );
        check(
            "/{a}{b}",
            Err("the parameter in \"{a}{b}\" is not a whole segment"),
        );
        check("/{a", Err("the parameter in \"{a\" is not a whole segment"));
        check("/{}", Err("\"\" cannot name a parameter"));
        check("/{+}", Err("\"\" cannot name a parameter"));
        check("/{a b}", Err("\"a b\" cannot name a parameter"));
        check("/{p+}/x", Err("{p+} does not stand last"));
        check("/{p+}/", Err("{p+} does not stand last"));
        check("/{a}/{a}", Err("the parameter {a} stands twice"));
        check(
            "/a%2",
            Err("a \"%\" without two hexadecimal digits in \"a%2\""),
        );
        check("/a b", Err("the character ' ' in the path"));
        check("/é", Err("the character 'é' in the path"));
        check("/a?b=c", Err("a query or fragment in the path \"a?b=c\""));
        check(&"/{p}".replace('p', &"n".repeat(65)), Err(&long_name()));
        check(&"/a".repeat(65), Err("more than 64 segments"));
        let many: String = (0..17).map(|n| format!("/{{p{n}}}")).collect();
        check(&many, Err("more than 16 parameters"));
    }

    fn long_name() -> String {
        format!("{:?} cannot name a parameter", "n".repeat(65))
    }

    #[track_caller]
    fn check_target(text: &str, expected: Result<&str, &str>) {
        let shown = TargetPath::parse(text, &["id", "proxy"]).map(|path| {
            let show = |piece: &Piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Parameter(index) => format!("<{index}>"),
            };
            path.pieces.iter().map(show).collect::<Vec<_>>().join("|")
        });
        assert_eq!(shown.as_deref().map_err(|wrong| &*wrong.what), expected);
    }

    #[test]
    fn origin_paths() {
        check_target("/", Ok("/"));
        check_target("/v1/{id}.json", Ok("/v1/|<0>|.json"));
        check_target("/{id}{proxy}", Ok("/|<0>|<1>"));
        check_target("v1", Err("the path \"v1\" does not begin with \"/\""));
        check_target("/{nope}", Err("the route has no parameter {nope}"));
        check_target("/{proxy+}", Err("the route has no parameter {proxy+}"));
        check_target("/{id", Err("\"{\" without \"}\""));
        check_target("/id}", Err("the character '}' in the path"));
        check_target("/a/./b", Err("the segment \".\" in the path"));
        check_target("/a?b", Err("a query or fragment in the path \"a?b\""));
    }
}
