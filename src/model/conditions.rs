//! The conditions of routing rules: names and values of header fields, base paths.
//!
//! Like `names.rs`, functions from text to what cannot hold anything else, or to what is wrong with
//! the text. What can be asked is what Amazon lets one ask, so that a rule means the same there.

use super::names::{self, Wrong};

/// Characters of a header's name, of a value and of the middle of `*x*`: Amazon's bounds.
const NAME_MAX: usize = 39;
const VALUE_MAX: usize = 127;
const INFIX_MAX: usize = 39;

/// Fields that no rule may look at: credentials, framing, and what the gateway itself writes or
/// replaces. A star stands for any end of the name.
const RESTRICTED: &[&str] = &[
    "access-control-*",
    "apigw-*",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "forwarded",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amz-*",
    "x-amzn-*",
    "x-apigw-api-id",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-restapi",
];

/// What a rule asks of a header field's value. No text is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueGlob {
    /// `*`: any value.
    Any,
    /// `x`: this value.
    Exact(String),
    /// `x*`: a value that begins so.
    Prefix(String),
    /// `*x`: a value that ends so.
    Suffix(String),
    /// `*x*`: a value that has this in it.
    Infix(String),
}

/// The name of a header field that a rule may look at, in lower case.
pub(super) fn header_name(text: &str) -> Result<String, Wrong> {
    let name = names::field_name(text).map_err(|wrong| match text.contains('*') {
        true => Wrong::new(wrong.what, "only a value can have a \"*\" in it"),
        false => wrong,
    })?;
    if name.contains('*') {
        let what = format!("{text:?} has a \"*\" in it");
        return Err(Wrong::new(what, "only a value can; write the whole name"));
    }
    if name.len() > NAME_MAX {
        let what = format!("{text:?} is longer than {NAME_MAX} characters");
        return Err(Wrong::new(what, ""));
    }
    let covers = |rule: &&&str| match rule.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == **rule,
    };
    match RESTRICTED.iter().find(covers) {
        Some(rule) => Err(Wrong::new(
            format!("no rule can look at {text:?}"),
            format!("refused as by Amazon: {rule}"),
        )),
        None => Ok(name),
    }
}

/// The pattern of a header field's value.
pub(super) fn value_glob(text: &str) -> Result<ValueGlob, Wrong> {
    const FORMS: &str = "write x, x*, *x, *x* or *";
    if text.is_empty() {
        return Err(Wrong::new("an empty value", "write * for any value"));
    }
    if text.chars().count() > VALUE_MAX {
        let what = format!("longer than {VALUE_MAX} characters");
        return Err(Wrong::new(what, "a part of the value will do: *x*"));
    }
    // The blanks around a value are not part of it, so that no value would match.
    if names::field_value(text)? != text {
        let what = format!("blanks around the value {text:?}");
        return Err(Wrong::new(what, "take them out"));
    }
    let (rest, open_before) = match text.strip_prefix('*') {
        Some("") => return Ok(ValueGlob::Any),
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (part, open_after) = match rest.strip_suffix('*') {
        Some(part) => (part, true),
        None => (rest, false),
    };
    if part.is_empty() || part.contains('*') {
        let what = format!("the \"*\" in {text:?} does not stand at the beginning or the end");
        let hint = match text.bytes().all(|byte| byte == b'*') {
            true => "write * for any value",
            false => FORMS,
        };
        return Err(Wrong::new(what, hint));
    }
    let part = part.to_owned();
    match (open_before, open_after) {
        (true, true) if part.chars().count() > INFIX_MAX => {
            let what = format!("the part between the stars is longer than {INFIX_MAX} characters");
            Err(Wrong::new(what, "a shorter part will do"))
        }
        (true, true) => Ok(ValueGlob::Infix(part)),
        (true, false) => Ok(ValueGlob::Suffix(part)),
        (false, true) => Ok(ValueGlob::Prefix(part)),
        (false, false) => Ok(ValueGlob::Exact(part)),
    }
}

/// The base path of a rule: segments without a slash at either end.
pub(super) fn base_path(text: &str) -> Result<String, Wrong> {
    let trimmed = text.trim_matches('/');
    if trimmed.is_empty() {
        let what = format!("{text:?} is no base path");
        let hint = "take the key out: a rule without it takes every path";
        return Err(Wrong::new(what, hint));
    }
    if trimmed != text {
        let what = format!("the base path {text:?} begins or ends with \"/\"");
        return Err(Wrong::new(what, format!("write {trimmed}")));
    }
    let known = |c: &char| c.is_ascii_alphanumeric() || "$-_.+!*'()/".contains(*c);
    if let Some(other) = text.chars().find(|c| !known(c)) {
        let what = format!("the character {other:?} in the base path");
        return Err(Wrong::new(what, "letters, digits and $-_.+!*'()/"));
    }
    // A request's path has none of these when it is compared.
    for segment in text.split('/') {
        match segment {
            "" => return Err(Wrong::new("an empty segment (//) in the base path", "")),
            "." | ".." => {
                let what = format!("the segment {segment:?} in the base path");
                return Err(Wrong::new(what, ""));
            }
            _ => {}
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::names::tests::check, *};

    #[test]
    fn header_names() {
        check(header_name("X-Version"), "\"x-version\"");
        check(header_name("Host"), "\"host\"");
        check(header_name("Cookie"), "\"cookie\"");
        check(header_name("x-amzon"), "\"x-amzon\"");
        check(
            header_name(&"a".repeat(39)),
            &format!("{:?}", "a".repeat(39)),
        );
        let long = "a".repeat(40);
        check(
            header_name(&long),
            &format!("!{long:?} is longer than 39 characters"),
        );
        check(header_name("x-*"), "!\"x-*\" has a \"*\" in it");
        check(header_name("a b"), "!\"a b\" cannot name a header field");
        check(header_name(""), "!\"\" cannot name a header field");
        for name in RESTRICTED {
            let name = name.replace('*', "a").to_ascii_uppercase();
            check(
                header_name(&name),
                &format!("!no rule can look at {name:?}"),
            );
        }
    }

    #[test]
    fn values() {
        check(value_glob("*"), "Any");
        check(value_glob("v2"), "Exact(\"v2\")");
        check(value_glob("v2*"), "Prefix(\"v2\")");
        check(value_glob("*v2"), "Suffix(\"v2\")");
        check(value_glob("*ux=beta*"), "Infix(\"ux=beta\")");
        check(value_glob("a b"), "Exact(\"a b\")");
        check(value_glob(""), "!an empty value");
        check(value_glob(" a"), "!blanks around the value \" a\"");
        check(value_glob("a\n"), "!a control character in a header field");
        for text in ["a*b", "**", "***", "*a*b", "**a", "a**", "*a*b*"] {
            let what = format!("!the \"*\" in {text:?} does not stand at the beginning or the end");
            check(value_glob(text), &what);
        }
        let long = |count| "a".repeat(count);
        check(value_glob(&long(127)), &format!("Exact({:?})", long(127)));
        check(value_glob(&long(128)), "!longer than 127 characters");
        let infix = |count| format!("*{}*", long(count));
        check(value_glob(&infix(39)), &format!("Infix({:?})", long(39)));
        let what = "!the part between the stars is longer than 39 characters";
        check(value_glob(&infix(40)), what);
    }

    #[test]
    fn base_paths() {
        check(
            base_path("PetStoreShopper/dogs"),
            "\"PetStoreShopper/dogs\"",
        );
        check(base_path("a$-_.+!*'()"), "\"a$-_.+!*'()\"");
        check(base_path("/"), "!\"/\" is no base path");
        check(
            base_path("/a"),
            "!the base path \"/a\" begins or ends with \"/\"",
        );
        check(
            base_path("a/"),
            "!the base path \"a/\" begins or ends with \"/\"",
        );
        check(base_path("a//b"), "!an empty segment (//) in the base path");
        check(base_path("a/../b"), "!the segment \"..\" in the base path");
        check(base_path("a/{b}"), "!the character '{' in the base path");
        check(base_path("a%20"), "!the character '%' in the base path");
    }
}
