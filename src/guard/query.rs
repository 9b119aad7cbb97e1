//! The value of a query's parameter, so that two spellings of one value count as one.

/// Appends the decoded value of the first parameter `name` of `query`; whether there is one.
///
/// Decoded as forms are (WHATWG URL, application/x-www-form-urlencoded): `+` is a space, `%41` is
/// `A`; a `%` that stands before no two digits stands for itself. Cost: one walk over the query.
pub fn query_value(query: &[u8], name: &str, out: &mut Vec<u8>) -> bool {
    for pair in query.split(|byte| *byte == b'&') {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (given, value) = pair.split_at(end);
        if decoded(given).eq(name.bytes()) {
            out.extend(decoded(value.strip_prefix(b"=").unwrap_or_default()));
            return true;
        }
    }
    false
}

fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        rest = after;
        match (first, after) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    Some(high << 4 | low)
                }
                _ => Some(first),
            },
            _ => Some(first),
        }
    })
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::query_value;

    #[track_caller]
    fn check(query: &str, expected: Option<&str>) {
        let mut out = Vec::new();
        let there = query_value(query.as_bytes(), "user", &mut out);
        assert_eq!(there, expected.is_some(), "{query}");
        assert_eq!(out, expected.unwrap_or_default().as_bytes(), "{query}");
    }

    #[test]
    fn a_value_is_the_same_in_all_its_spellings() {
        check("user=ann", Some("ann"));
        check("a=b&user=ann&user=bob", Some("ann"));
        check("user=%61n%6E", Some("ann"));
        check("%75ser=ann", Some("ann"));
        check("user=a+b%20c", Some("a b c"));
        check("user=a=b", Some("a=b"));
        check("user=%zz%4", Some("%zz%4"));
        check("user", Some(""));
        check("user=", Some(""));
        check("users=ann&USER=ann", None);
        check("", None);
    }
}
