//! The URI of an integration: its text, however a template wrote it, and its parts.
//!
//! It fills nothing in: what Amazon or CloudFormation would put in place of `${...}` stays and is
//! told.

use serde_json::Value;

/// The text of a URI. CloudFormation's ways to write one are taken where they hold the text;
/// `None` where there is none.
pub(super) fn text(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let (name, of) = value
        .as_object()
        .filter(|map| map.len() == 1)?
        .iter()
        .next()?;
    match (name.as_str(), of) {
        ("Fn::Sub", Value::String(text)) => Some(text.clone()),
        ("Fn::Sub", Value::Array(parts)) => substituted(parts),
        ("Fn::Join", Value::Array(parts)) => joined(parts),
        ("Ref", Value::String(name)) => Some(format!("${{{name}}}")),
        ("Fn::GetAtt", Value::String(name)) => Some(format!("${{{name}}}")),
        ("Fn::GetAtt", Value::Array(parts)) => {
            let names: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            Some(format!("${{{}}}", names?.join(".")))
        }
        _ => None,
    }
}

/// `[text, {name: value}]`, with the values that are texts in their places.
fn substituted(parts: &[Value]) -> Option<String> {
    let mut text = parts.first()?.as_str()?.to_owned();
    for (name, value) in parts.get(1)?.as_object()? {
        if let Some(value) = self::text(value) {
            text = text.replace(&format!("${{{name}}}"), &value);
        }
    }
    Some(text)
}

/// `[separator, [texts]]`.
fn joined(parts: &[Value]) -> Option<String> {
    let separator = parts.first()?.as_str()?;
    let texts: Option<Vec<String>> = parts.get(1)?.as_array()?.iter().map(text).collect();
    Some(texts?.join(separator))
}

/// The `${...}` in `text` that are no stage variables, without the braces.
pub(super) fn placeholders(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, from)) = rest.split_once("${") {
        let (name, after) = from.split_once('}').unwrap_or((from, ""));
        if !name.starts_with("stageVariables.") {
            found.push(name);
        }
        rest = after;
    }
    found
}

/// The parts of an origin's URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uri<'u> {
    /// `http`, `https`, or empty where a stage variable holds it. In lower case.
    pub(super) scheme: String,
    /// Host and port, or the stage variable that holds all of the origin.
    pub(super) authority: &'u str,
    /// Empty, or from its slash on.
    pub(super) path: &'u str,
    /// What follows the question mark.
    pub(super) query: Option<&'u str>,
}

impl<'u> Uri<'u> {
    /// Reads a URI.
    pub(super) fn parse(text: &'u str) -> Result<Self, &'static str> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['$', '/', '?']) => {
                (scheme.to_ascii_lowercase(), rest)
            }
            _ if text.starts_with("${stageVariables.") => (String::new(), text),
            _ => return Err("a URI begins with http:// or https://"),
        };
        if !matches!(&*scheme, "http" | "https" | "") {
            return Err("only http and https lead to an origin");
        }
        if rest.contains('#') {
            return Err("an origin's URI has no fragment");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a name and password in a URI are not taken");
        }
        if authority.is_empty() {
            return Err("the URI has no host");
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Self {
            scheme,
            authority,
            path,
            query,
        })
    }

    /// The origin, with the port that its scheme implies where the host is written out.
    pub(super) fn origin(&self) -> String {
        let Self {
            scheme, authority, ..
        } = self;
        let has_port = authority.rfind(':') > authority.rfind(']');
        match &**scheme {
            "" => (*authority).to_owned(),
            "http" if !has_port && !authority.contains('$') => format!("http://{authority}:80"),
            scheme => format!("{scheme}://{authority}"),
        }
    }
}

/// Whether `prefix` (an origin, perhaps with a path) is what `uri` begins with. Scheme and host are
/// compared without regard to case.
pub(super) fn begins_with(uri: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let Some(head) = uri.get(..prefix.len()) else {
        return false;
    };
    let host = |text: &str| text.find("://").map_or(0, |at| at + 3);
    let path = prefix[host(prefix)..].find('/').map(|at| at + host(prefix));
    let (origin, rest) = prefix.split_at(path.unwrap_or(prefix.len()));
    let same = head.is_char_boundary(origin.len())
        && head[..origin.len()].eq_ignore_ascii_case(origin)
        && &head[origin.len()..] == rest;
    same && matches!(
        uri.as_bytes().get(prefix.len()),
        None | Some(b'/' | b'?' | b'#')
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    #[rustfmt::skip]
    fn texts() {
        let check = |value: Value, expected: Option<&str>| {
            assert_eq!(text(&value).as_deref(), expected, "{value}");
        };
        check(json!("http://a"),                                           Some("http://a"));
        check(json!({"Fn::Sub": "http://${Host}/a"}),                      Some("http://${Host}/a"));
        check(json!({"Fn::Sub": ["http://${H}/${P}", {"H": "a.test"}]}),   Some("http://a.test/${P}"));
        check(json!({"Fn::Join": ["", ["http://", {"Ref": "Host"}, "/"]]}), Some("http://${Host}/"));
        check(json!({"Fn::Join": ["/", ["a", {"Fn::GetAtt": ["F", "Arn"]}]]}), Some("a/${F.Arn}"));
        check(json!({"Fn::ImportValue": "x"}),                             None);
        check(json!({"Fn::Join": ["", "a"]}),                              None);
        check(json!(5),                                                    None);
    }

    #[test]
    fn what_is_filled_in_elsewhere_is_found() {
        let text = "${AWS::Region}${stageVariables.a}/${F.Arn}/{id}${open";
        assert_eq!(placeholders(text), ["AWS::Region", "F.Arn", "open"]);
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str, Option<&str>), &str>) {
        let parsed = Uri::parse(text);
        let origin = parsed.as_ref().map(Uri::origin).unwrap_or_default();
        let shown = parsed.map(|uri| (origin.as_str(), uri.path, uri.query));
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    #[rustfmt::skip]
    fn uris() {
        check("http://a.test/b",                 Ok(("http://a.test:80", "/b", None)));
        check("HTTP://a.test:81",                Ok(("http://a.test:81", "", None)));
        check("http://[::1]/",                   Ok(("http://[::1]:80", "/", None)));
        check("https://a.test?x=1",              Ok(("https://a.test", "", Some("x=1"))));
        check("http://${stageVariables.h}/{id}", Ok(("http://${stageVariables.h}", "/{id}", None)));
        check("${stageVariables.url}/a",         Ok(("${stageVariables.url}", "/a", None)));
        check("ftp://a",                         Err("only http and https lead to an origin"));
        check("a.test/b",                        Err("a URI begins with http:// or https://"));
        check("http:///b",                       Err("the URI has no host"));
        check("http://u:p@a/b",                  Err("a name and password in a URI are not taken"));
        check("http://a/b#c",                    Err("an origin's URI has no fragment"));
        check("",                                Err("a URI begins with http:// or https://"));
    }

    #[test]
    fn prefixes_end_where_an_origin_ends() {
        assert!(begins_with("https://A.test/b", "https://a.test"));
        assert!(begins_with("https://a.test", "https://a.test/"));
        assert!(begins_with("https://a.test/b/c", "https://a.test/b"));
        assert!(!begins_with("https://a.test/B/c", "https://a.test/b"));
        assert!(!begins_with("https://a.test.evil/b", "https://a.test"));
        assert!(!begins_with("https://a.test:8443/b", "https://a.test"));
        assert!(!begins_with("https://a", "https://a.test"));
        assert!(!begins_with("äöü", "h"));
    }
}
