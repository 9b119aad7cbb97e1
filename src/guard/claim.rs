//! A claim of a bearer token, read without a check of its signature.
//!
//! For what a request is counted by, never for what it may do: whoever can choose the token can
//! choose the claim, as with any header field.

use crate::bounds::CLAIMS_BYTES_MAX;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::{borrow::Cow, fmt};

/// The text of the claim `name` in the JSON Web Token (RFC 7519) of an Authorization field, if it
/// is a text, a number or a truth value.
///
/// Cost: one walk over the token; allocates its decoded claims. `None` for whatever is no token.
pub fn claim(authorization: &[u8], name: &str) -> Option<String> {
    let (scheme, token) = authorization.split_at_checked(b"Bearer ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return None;
    }
    let claims = token.split(|byte| *byte == b'.').nth(1)?;
    if claims.len() > CLAIMS_BYTES_MAX {
        return None;
    }
    let decoded = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let mut reader = serde_json::Deserializer::from_slice(&decoded);
    reader.deserialize_map(Pick(name)).ok()?
}

/// Takes one entry of a mapping and passes by the others.
struct Pick<'n>(&'n str);

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the claims of a token")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key != self.0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            picked = match map.next_value::<serde_json::Value>()? {
                serde_json::Value::String(text) => Some(text),
                serde_json::Value::Number(number) => Some(number.to_string()),
                serde_json::Value::Bool(truth) => Some(truth.to_string()),
                serde_json::Value::Null
                | serde_json::Value::Array(_)
                | serde_json::Value::Object(_) => None,
            };
        }
        Ok(picked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(claims: &str) -> Vec<u8> {
        let claims = URL_SAFE_NO_PAD.encode(claims);
        format!("Bearer eyJhbGciOiJub25lIn0.{claims}.c2ln").into_bytes()
    }

    #[track_caller]
    fn check(claims: &str, name: &str, expected: Option<&str>) {
        assert_eq!(claim(&token(claims), name).as_deref(), expected);
    }

    #[test]
    fn a_claim_is_its_text() {
        check(r#"{"sub":"ann","n":7}"#, "sub", Some("ann"));
        check(r#"{"sub":"ann","n":7}"#, "n", Some("7"));
        check(r#"{"admin":true}"#, "admin", Some("true"));
        check(r#"{"s\u0075b":"\u00e4"}"#, "sub", Some("\u{e4}"));
        check(r#"{"a":{"sub":"no"},"sub":"ann"}"#, "sub", Some("ann"));
        check(r#"{"sub":["ann"]}"#, "sub", None);
        check(r#"{"sub":null}"#, "sub", None);
        check(r#"{}"#, "sub", None);
        check(r#"[]"#, "sub", None);
        check(r#"{"sub":"ann""#, "sub", None);
    }

    #[test]
    fn what_is_no_token_has_no_claim() {
        for text in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer a",
            "Bearer a.b",
            "Bearer a.!.c",
            "Basic YTpi",
        ] {
            assert_eq!(claim(text.as_bytes(), "sub"), None, "{text}");
        }
        let mut lower = token(r#"{"sub":"ann"}"#);
        lower[..6].copy_from_slice(b"bearer");
        assert_eq!(claim(&lower, "sub").as_deref(), Some("ann"));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>, claims: String) {
            claim(&bytes, "sub");
            claim(&token(&claims), "sub");
        }
    }
}
