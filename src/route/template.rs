//! What people write: path templates and route keys, parsed.
//!
//! The control plane makes these when it compiles a configuration; a request never meets them, but
//! for the names of a route's parameters, which live here in the order of their values. Literals
//! are brought into the same normal form as a request's path, so that comparing is comparing
//! bytes.

use std::fmt;

use super::path::{self, Peculiarities};
use crate::bounds;
use crate::error::Error;
use crate::http::Method;

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes, in normal form. Empty only as the last one: the path ends with a slash.
    Literal(Box<[u8]>),
    /// `{name}`: one segment of at least one byte.
    Parameter(Box<str>),
    /// `{name+}`: the rest of the path, at least one byte. Always the last segment.
    Greedy(Box<str>),
}

/// The path of a route: `/orders/{id}/{proxy+}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Box<[Segment]>,
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Byte of the text at which it is wrong.
    pub at: usize,
    /// What is wrong.
    pub fault: TemplateFault,
}

/// What can be wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// It does not begin with a slash.
    SlashMissing,
    /// A brace without its partner, or text beside a parameter in one segment.
    ParameterPartial,
    /// A name that is empty or holds anything but letters, digits and `_ - . $ :`.
    NameMalformed,
    /// Two parameters of one name.
    NameRepeated,
    /// A greedy parameter before the end.
    GreedyNotLast,
    /// A literal that is no path: a space, control, `?`, `#` or a byte that is not ASCII.
    CharacterRefused,
    /// `%` without two hexadecimal digits, or an encoded control.
    EscapeMalformed,
    /// A literal `.` or `..`.
    DotSegment,
    /// More segments than [`bounds::PATH_SEGMENTS_MAX`].
    SegmentsTooMany,
    /// More parameters than [`bounds::PATH_PARAMETERS_MAX`].
    ParametersTooMany,
    /// Longer than [`bounds::TARGET_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SlashMissing => f.write_str("a path begins with `/`"),
            Self::ParameterPartial => {
                f.write_str("a parameter is a whole segment: `/{name}` or `/{name+}`")
            }
            Self::NameMalformed => {
                f.write_str("a parameter's name is letters, digits and `_ - . $ :`")
            }
            Self::NameRepeated => f.write_str("two parameters of one path have this name"),
            Self::GreedyNotLast => f.write_str("`{name+}` takes the rest, so it must be the last segment"),
            Self::CharacterRefused => {
                f.write_str("a path holds no space, control, `?`, `#` or non-ASCII character (write it as `%XX`)")
            }
            Self::EscapeMalformed => {
                f.write_str("`%` is followed by two hexadecimal digits, and never stands for a control character")
            }
            Self::DotSegment => f.write_str("`.` and `..` cannot be segments of a route"),
            Self::SegmentsTooMany => {
                write!(f, "a path has at most {} segments", bounds::PATH_SEGMENTS_MAX)
            }
            Self::ParametersTooMany => {
                write!(f, "a path has at most {} parameters", bounds::PATH_PARAMETERS_MAX)
            }
            Self::TooLong => write!(f, "a path has at most {} bytes", bounds::TARGET_BYTES_MAX),
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.fault)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads a template. Runs of slashes are one slash; a slash at the end counts.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let fail = |at, fault| Err(TemplateError { at, fault });
        if !text.starts_with('/') {
            return fail(0, TemplateFault::SlashMissing);
        }
        if text.len() > bounds::TARGET_BYTES_MAX {
            return fail(bounds::TARGET_BYTES_MAX, TemplateFault::TooLong);
        }
        let mut segments: Vec<Segment> = Vec::new();
        let mut parameters = 0;
        let mut at = 1;
        for piece in text[1..].split('/') {
            let last = at + piece.len() == text.len();
            if !piece.is_empty() || last {
                if let Some(Segment::Greedy(_)) = segments.last() {
                    return fail(at - 1, TemplateFault::GreedyNotLast);
                }
                if segments.len() == bounds::PATH_SEGMENTS_MAX {
                    return fail(at, TemplateFault::SegmentsTooMany);
                }
                let segment = Segment::parse(piece, at)?;
                if let Some(name) = segment.name() {
                    parameters += 1;
                    if segments.iter().any(|earlier| earlier.name() == Some(name)) {
                        return fail(at, TemplateFault::NameRepeated);
                    }
                    if parameters > bounds::PATH_PARAMETERS_MAX {
                        return fail(at, TemplateFault::ParametersTooMany);
                    }
                }
                segments.push(segment);
            }
            at += piece.len() + 1;
        }
        Ok(Self {
            segments: segments.into(),
        })
    }

    /// The segments from the left. Never empty: `/` is one empty literal.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of the parameters, in the order of their values in [`super::Params`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// Whether the last segment is a greedy parameter.
    pub fn is_greedy(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Greedy(_)))
    }
}

impl Segment {
    fn parse(piece: &str, at: usize) -> Result<Self, TemplateError> {
        let fail = |at, fault| Err(TemplateError { at, fault });
        if let Some(inner) = piece
            .strip_prefix('{')
            .and_then(|piece| piece.strip_suffix('}'))
        {
            let (name, greedy) = match inner.strip_suffix('+') {
                Some(name) => (name, true),
                None => (inner, false),
            };
            if name.contains(['{', '}']) {
                return fail(at, TemplateFault::ParameterPartial);
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.$:".contains(c);
            if name.is_empty() || !name.chars().all(allowed) {
                return fail(at + 1, TemplateFault::NameMalformed);
            }
            return Ok(if greedy {
                Self::Greedy(name.into())
            } else {
                Self::Parameter(name.into())
            });
        }
        if let Some(brace) = piece.find(['{', '}']) {
            return fail(at + brace, TemplateFault::ParameterPartial);
        }
        match literal(piece) {
            Ok(bytes) => Ok(Self::Literal(bytes)),
            Err(fault) => fail(at, fault),
        }
    }

    /// The parameter's name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Greedy(name) => Some(name),
        }
    }
}

/// A literal segment in normal form.
fn literal(text: &str) -> Result<Box<[u8]>, TemplateFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let found = path::decode(text.as_bytes(), &mut bytes).map_err(fault_of)?;
    if found.contains(Peculiarities::DOT_SEGMENTS) {
        return Err(TemplateFault::DotSegment);
    }
    Ok(bytes.into())
}

/// What a request's mistake is called in a template.
pub(super) fn fault_of(error: Error) -> TemplateFault {
    if error == Error::TargetMalformed {
        TemplateFault::CharacterRefused
    } else {
        TemplateFault::EscapeMalformed
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(bytes) => write!(f, "/{}", String::from_utf8_lossy(bytes))?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
                Segment::Greedy(name) => write!(f, "/{{{name}+}}")?,
            }
        }
        Ok(())
    }
}

/// The method part of a route key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyMethod {
    /// `ANY`: every method, tokens that nobody has heard of included.
    Any,
    /// A method with a number of its own. Never `Other`.
    Known(Method),
    /// Another token, matched by its bytes.
    Token(Box<[u8]>),
}

/// What a route is written under: `GET /orders/{id}`, `ANY /x`, `$default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKey {
    /// `$default`: what no other route takes.
    Default,
    /// A method and a path.
    Path {
        /// The method.
        method: KeyMethod,
        /// The path.
        template: Template,
    },
}

/// What is wrong with a route key, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKeyError {
    /// Byte of the text at which it is wrong.
    pub at: usize,
    /// What is wrong.
    pub fault: RouteKeyFault,
}

/// What can be wrong with a route key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKeyFault {
    /// Neither `$default` nor `METHOD /path`.
    FormUnknown,
    /// A method that is no token (RFC 9110 §5.6.2), or over [`bounds::METHOD_BYTES_MAX`].
    MethodMalformed,
    /// A well-known method not in upper case: it would never match.
    MethodCase,
    /// CONNECT, which a gateway does not serve.
    MethodRefused,
    /// The path is wrong.
    Template(TemplateFault),
}

impl fmt::Display for RouteKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: ", self.at)?;
        match self.fault {
            RouteKeyFault::FormUnknown => {
                f.write_str("a route is `METHOD /path`, `ANY /path` or `$default`")
            }
            RouteKeyFault::MethodMalformed => write!(
                f,
                "a method is a token of at most {} letters, digits and !#$%&'*+-.^_`|~",
                bounds::METHOD_BYTES_MAX
            ),
            RouteKeyFault::MethodCase => f.write_str("methods are written in upper case"),
            RouteKeyFault::MethodRefused => f.write_str("CONNECT is never served"),
            RouteKeyFault::Template(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for RouteKeyError {}

impl RouteKey {
    /// Reads a route key. Method and path are parted by one space.
    pub fn parse(text: &str) -> Result<Self, RouteKeyError> {
        if text == "$default" {
            return Ok(Self::Default);
        }
        let fail = |at, fault| Err(RouteKeyError { at, fault });
        let Some((token, path)) = text.split_once(' ') else {
            return fail(0, RouteKeyFault::FormUnknown);
        };
        let method = KeyMethod::parse(token).map_err(|fault| RouteKeyError { at: 0, fault })?;
        let at = token.len() + 1;
        match Template::parse(path) {
            Ok(template) => Ok(Self::Path { method, template }),
            Err(error) => fail(at + error.at, RouteKeyFault::Template(error.fault)),
        }
    }

    /// The template, if the key has a path.
    pub fn template(&self) -> Option<&Template> {
        match self {
            Self::Default => None,
            Self::Path { template, .. } => Some(template),
        }
    }
}

impl KeyMethod {
    fn parse(token: &str) -> Result<Self, RouteKeyFault> {
        if token.is_empty() || token.len() > bounds::METHOD_BYTES_MAX {
            return Err(RouteKeyFault::MethodMalformed);
        }
        let of_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !token.bytes().all(of_token) {
            return Err(RouteKeyFault::MethodMalformed);
        }
        let upper = token.to_ascii_uppercase();
        let known = Method::from_token(upper.as_bytes());
        if known == Method::Connect {
            return Err(RouteKeyFault::MethodRefused);
        }
        if upper != token && (upper == "ANY" || known != Method::Other) {
            return Err(RouteKeyFault::MethodCase);
        }
        Ok(match (token, known) {
            ("ANY", _) => Self::Any,
            (_, Method::Other) => Self::Token(token.as_bytes().into()),
            _ => Self::Known(known),
        })
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("$default"),
            Self::Path {
                method: KeyMethod::Any,
                template,
            } => write!(f, "ANY {template}"),
            Self::Path {
                method: KeyMethod::Known(method),
                template,
            } => {
                write!(f, "{} {template}", method.name())
            }
            Self::Path {
                method: KeyMethod::Token(token),
                template,
            } => {
                write!(f, "{} {template}", String::from_utf8_lossy(token))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, (usize, TemplateFault)>) {
        let found = Template::parse(text).map(|template| template.to_string());
        let found = found.map_err(|error| (error.at, error.fault));
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn templates() {
        use TemplateFault as Fault;
        for text in [
            "/",
            "/a",
            "/a/",
            "/orders/{id}/{proxy+}",
            "/{a}/b/{c.d}",
            "/{proxy+}",
            "/a:b,c",
        ] {
            check(text, Ok(text));
        }
        check("//a///b", Ok("/a/b"));
        check("/%7e/%2f%20", Ok("/~/%2F%20"));
        check("", Err((0, Fault::SlashMissing)));
        check("a/b", Err((0, Fault::SlashMissing)));
        check("/a/{}", Err((4, Fault::NameMalformed)));
        check("/a/{+}", Err((4, Fault::NameMalformed)));
        check("/a/{b c}", Err((4, Fault::NameMalformed)));
        check("/a/{b", Err((3, Fault::ParameterPartial)));
        check("/a/b}", Err((4, Fault::ParameterPartial)));
        check("/a/x{b}", Err((4, Fault::ParameterPartial)));
        check("/{a}{b}", Err((1, Fault::ParameterPartial)));
        check("/{a}.json", Err((1, Fault::ParameterPartial)));
        check("/{a}/{a}", Err((5, Fault::NameRepeated)));
        check("/{a+}/b", Err((5, Fault::GreedyNotLast)));
        check("/{a+}/", Err((5, Fault::GreedyNotLast)));
        check("/a b", Err((1, Fault::CharacterRefused)));
        check("/x/é", Err((3, Fault::CharacterRefused)));
        check("/a?b", Err((1, Fault::CharacterRefused)));
        check("/%zz", Err((1, Fault::EscapeMalformed)));
        check("/%00", Err((1, Fault::EscapeMalformed)));
        check("/a/../b", Err((3, Fault::DotSegment)));
        check("/a/%2e", Err((3, Fault::DotSegment)));
        check(&"/a".repeat(64), Ok(&"/a".repeat(64)));
        check(&"/a".repeat(65), Err((129, Fault::SegmentsTooMany)));
        let many: String = (0..17).map(|n| format!("/{{p{n}}}")).collect();
        assert_eq!(
            Template::parse(&many).unwrap_err().fault,
            Fault::ParametersTooMany
        );
        let long = format!("/{}", "a".repeat(bounds::TARGET_BYTES_MAX));
        check(&long, Err((bounds::TARGET_BYTES_MAX, Fault::TooLong)));
    }

    #[test]
    fn names_stand_in_the_order_of_the_values() {
        let template = Template::parse("/{b}/x/{a}/{rest+}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["b", "a", "rest"]);
        assert!(template.is_greedy());
    }

    #[test]
    fn route_keys() {
        #[track_caller]
        fn check(text: &str, expected: Result<&str, (usize, RouteKeyFault)>) {
            let found = RouteKey::parse(text).map(|key| key.to_string());
            let found = found.map_err(|error| (error.at, error.fault));
            assert_eq!(found, expected.map(str::to_owned), "{text}");
        }
        use RouteKeyFault as Fault;
        for text in [
            "$default",
            "GET /orders/{id}",
            "ANY /x",
            "PURGE /x",
            "purge /x",
            "M-SEARCH /{a+}",
        ] {
            check(text, Ok(text));
        }
        check("", Err((0, Fault::FormUnknown)));
        check("GET", Err((0, Fault::FormUnknown)));
        check("/x", Err((0, Fault::FormUnknown)));
        check("$DEFAULT", Err((0, Fault::FormUnknown)));
        check(" /x", Err((0, Fault::MethodMalformed)));
        check("G,T /x", Err((0, Fault::MethodMalformed)));
        check("get /x", Err((0, Fault::MethodCase)));
        check("Any /x", Err((0, Fault::MethodCase)));
        check("CONNECT /x", Err((0, Fault::MethodRefused)));
        check(
            &format!("{} /x", "A".repeat(33)),
            Err((0, Fault::MethodMalformed)),
        );
        check(
            "GET  /x",
            Err((4, Fault::Template(TemplateFault::SlashMissing))),
        );
        check(
            "GET /x/{",
            Err((7, Fault::Template(TemplateFault::ParameterPartial))),
        );
    }
}
