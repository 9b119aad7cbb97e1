//! The path policy: what the bytes of a request's path are, decided once.
//!
//! It runs on every request before the host table and the matcher, and the origin is sent what it
//! made, so that no two parties read one path in two ways. Escapes of unreserved characters are
//! decoded, all other escapes get upper-case digits (RFC 3986 §6.2.2), runs of slashes are merged.
//! What origins are known to read differently (dot segments, encoded slashes, backslashes) stays
//! in the path and is reported as [`Peculiarities`]: the route that is found decides whether it
//! permits them. It never resolves a dot segment, never decodes twice and never looks at the
//! query's meaning.
//!
//! Escapes over `%7F` pass untouched: whether they are UTF-8 is the origin's business, and no
//! overlong form is decoded here.

use crate::bounds;
use crate::error::Error;
use crate::http::scan;

/// What was found in a path that origins are known to read differently. Also the set of what a
/// route permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peculiarities(u8);

impl Peculiarities {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A segment `.` or `..`, plain or encoded; also with a `;` suffix, which servlet containers
    /// cut off before they resolve the segment.
    pub const DOT_SEGMENTS: Self = Self(1);
    /// `%2F`.
    pub const ENCODED_SLASH: Self = Self(2);
    /// A backslash, or `%5C`.
    pub const BACKSLASH: Self = Self(4);
    /// A run of slashes. Never refused: without the permit the run is merged.
    pub const EMPTY_SEGMENTS: Self = Self(8);

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Lets a path with what was `found` pass a route that permits this set, or says which of them
    /// it does not permit. Cost: one comparison where nothing was found.
    pub fn permits(self, found: Self) -> Result<(), Error> {
        let missing = Self(found.0 & !self.0);
        if missing.is_empty() {
            return Ok(());
        }
        if missing.contains(Self::DOT_SEGMENTS) {
            return Err(Error::PathDotSegment);
        }
        if missing.contains(Self::ENCODED_SLASH) {
            return Err(Error::PathEncodedSlash);
        }
        if missing.contains(Self::BACKSLASH) {
            return Err(Error::PathBackslash);
        }
        Ok(())
    }
}

/// A path after [`normalise`], in the two forms that differ only in runs of slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalised<'a> {
    merged: &'a [u8],
    kept: &'a [u8],
    peculiarities: Peculiarities,
}

impl<'a> Normalised<'a> {
    /// The path with runs of slashes merged: what is matched, and what is forwarded unless the
    /// route permits [`Peculiarities::EMPTY_SEGMENTS`].
    pub const fn merged(&self) -> &'a [u8] {
        self.merged
    }

    /// The path with runs of slashes as they came, otherwise the same.
    pub const fn kept(&self) -> &'a [u8] {
        self.kept
    }

    /// What was found in it.
    pub const fn peculiarities(&self) -> Peculiarities {
        self.peculiarities
    }

    /// The end of the kept path that stands for `merged()[consumed..]`: what is forwarded with its
    /// runs of slashes once a base path of `consumed` bytes was taken off. `/` when that is empty.
    pub fn kept_rest(&self, consumed: usize) -> &'a [u8] {
        let mut rest = self.kept;
        let mut left = consumed;
        while left > 0
            && let Some((_, tail)) = rest.split_first()
        {
            rest = tail;
            left -= 1;
            if left == 0 {
                break;
            }
            rest = skip_repeats(rest, self.kept);
        }
        if rest.is_empty() { b"/" } else { rest }
    }
}

/// `rest`, a tail of `whole`, without the slashes that repeat the one before it.
fn skip_repeats<'a>(mut rest: &'a [u8], whole: &[u8]) -> &'a [u8] {
    let before = whole.len() - rest.len();
    if before > 0 && whole[before - 1] == b'/' {
        while let Some((b'/', tail)) = rest.split_first() {
            rest = tail;
        }
    }
    rest
}

/// Whether a byte needs a second look: an escape, a backslash, or what no path may hold.
const fn needs_look(byte: u8) -> bool {
    (byte < 0x21)
        | (byte > 0x7E)
        | (byte == b'%')
        | (byte == b'\\')
        | (byte == b'#')
        | (byte == b'?')
}

/// Whether what follows a slash needs a second look: another one, or a dot.
const fn pair_needs_look(byte: u8, next: u8) -> bool {
    (byte == b'/') & ((next == b'/') | (next == b'.'))
}

/// Bytes of which the first was looked at before: sixteen are looked at together.
type Window = [u8; 17];

/// Whether `path`, which begins with a slash, needs a second look.
fn path_needs_look(path: &[u8]) -> bool {
    let in_window = |window: &Window| {
        let mut found = false;
        for at in 1..window.len() {
            let (byte, next) = (window[at - 1], window[at]);
            found |= needs_look(next) | pair_needs_look(byte, next);
        }
        found
    };
    let Some(last) = path.last_chunk() else {
        let mut padded = [b'x'; size_of::<Window>()];
        padded[..path.len()].copy_from_slice(path);
        return in_window(&padded);
    };
    let mut rest = path;
    while let Some(window) = rest.first_chunk() {
        if in_window(window) {
            return true;
        }
        rest = &rest[window.len() - 1..];
    }
    in_window(last)
}

/// Decides what the bytes of the path `raw` (without the query) are.
///
/// `raw` comes back borrowed if it was normal already; `scratch` is overwritten otherwise and keeps
/// its memory for the next request.
///
/// Errors: [`Error::TargetMalformed`] for a path that does not begin with a slash or holds a raw
/// control, a space, `#`, `?` or a byte over 0x7E; [`Error::PathEncoding`] for `%` without two
/// hexadecimal digits; [`Error::PathControl`] for an encoded control.
///
/// Cost: one pass, no allocation and no copy for a plain path; up to four passes and a copy
/// otherwise. Bench: `route/normalise`.
pub fn normalise<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Normalised<'a>, Error> {
    if raw.first() != Some(&b'/') {
        return Err(Error::TargetMalformed);
    }
    if !path_needs_look(raw) {
        return Ok(Normalised {
            merged: raw,
            kept: raw,
            peculiarities: Peculiarities::NONE,
        });
    }
    rewrite(raw, scratch)
}

/// The rest of [`normalise`]: a path in which at least one byte needs a second look.
fn rewrite<'a>(raw: &[u8], scratch: &'a mut Vec<u8>) -> Result<Normalised<'a>, Error> {
    scratch.clear();
    let mut peculiarities = decode(raw, scratch)?;
    let kept_bytes = scratch.len();
    if !scratch.windows(2).any(|pair| pair == b"//") {
        return Ok(Normalised {
            merged: scratch,
            kept: scratch,
            peculiarities,
        });
    }
    peculiarities = peculiarities.with(Peculiarities::EMPTY_SEGMENTS);
    let mut before = 0;
    for index in 0..kept_bytes {
        let byte = scratch[index];
        if !(byte == b'/' && before == b'/') {
            scratch.push(byte);
        }
        before = byte;
    }
    let (kept, merged) = scratch.split_at(kept_bytes);
    Ok(Normalised {
        merged,
        kept,
        peculiarities,
    })
}

/// Appends `raw` to `out` with its escapes in normal form, and says what was found (all but empty
/// segments). `raw` may be a part of a path, as the literals of templates are.
pub(super) fn decode(raw: &[u8], out: &mut Vec<u8>) -> Result<Peculiarities, Error> {
    let mut found = Peculiarities::NONE;
    // A dot segment counts between any two bytes that some origin takes for a slash: `..%2F..` is
    // as good a way out as `../..` once a route permits encoded slashes.
    let mut segment = out.len();
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let border = match byte {
            b'/' => {
                found = found.with(dots_in(&out[segment..]));
                out.push(byte);
                true
            }
            b'\\' => {
                found = found
                    .with(dots_in(&out[segment..]))
                    .with(Peculiarities::BACKSLASH);
                out.push(byte);
                true
            }
            b'%' => {
                let value = escaped(rest)?;
                rest = &rest[2..];
                let escape = escape_found(value);
                if !escape.is_empty() {
                    found = found.with(dots_in(&out[segment..])).with(escape);
                }
                push_escape(value, out);
                !escape.is_empty()
            }
            b'#' | b'?' | 0..=0x20 | 0x7F..=0xFF => return Err(Error::TargetMalformed),
            _ => {
                out.push(byte);
                false
            }
        };
        if border {
            segment = out.len();
        }
    }
    Ok(found.with(dots_in(&out[segment..])))
}

/// The byte that the two digits at the head of `digits` stand for.
fn escaped(digits: &[u8]) -> Result<u8, Error> {
    let Some(&[high, low]) = digits.first_chunk::<2>() else {
        return Err(Error::PathEncoding);
    };
    let digit = |byte: u8| (byte as char).to_digit(16).ok_or(Error::PathEncoding);
    let value = (digit(high)? << 4 | digit(low)?) as u8;
    if value < 0x20 || value == 0x7F {
        return Err(Error::PathControl);
    }
    Ok(value)
}

/// What an escape of `value` is reported as.
const fn escape_found(value: u8) -> Peculiarities {
    match value {
        b'/' => Peculiarities::ENCODED_SLASH,
        b'\\' => Peculiarities::BACKSLASH,
        _ => Peculiarities::NONE,
    }
}

/// Appends the normal form of an escape of `value`: itself if unreserved (RFC 3986 §2.3), else the
/// escape in upper case.
fn push_escape(value: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
        out.push(value);
    } else {
        out.extend([
            b'%',
            DIGITS[(value >> 4) as usize],
            DIGITS[(value & 15) as usize],
        ]);
    }
}

/// `DOT_SEGMENTS` if the segment is one.
fn dots_in(segment: &[u8]) -> Peculiarities {
    match segment {
        b"." | b".." | [b'.', b';', ..] | [b'.', b'.', b';', ..] => Peculiarities::DOT_SEGMENTS,
        _ => Peculiarities::NONE,
    }
}

/// Lets a query (the bytes after `?`) pass that is printable ASCII without `#` and space.
/// Otherwise [`Error::TargetMalformed`]. It is forwarded as it came.
pub fn check_query(query: &[u8]) -> Result<(), Error> {
    if scan::holds(query, |byte| !matches!(byte, 0x21..=0x7E) | (byte == b'#')) {
        Err(Error::TargetMalformed)
    } else {
        Ok(())
    }
}

/// Positions in a path are kept as `u16`.
const _: () = assert!(bounds::TARGET_BYTES_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOTS: Peculiarities = Peculiarities::DOT_SEGMENTS;
    const SLASHES: Peculiarities = Peculiarities::EMPTY_SEGMENTS;

    #[track_caller]
    fn check(raw: &str, expected: Result<(&str, &str, Peculiarities), Error>) {
        let mut scratch = Vec::new();
        let found = normalise(raw.as_bytes(), &mut scratch);
        let found = found.map(|path| {
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            (text(path.merged()), text(path.kept()), path.peculiarities())
        });
        assert_eq!(found, expected, "{raw}");
    }

    #[track_caller]
    fn same(raw: &str, normal: &str, found: Peculiarities) {
        check(raw, Ok((normal, normal, found)));
    }

    #[test]
    fn plain_paths_are_borrowed() {
        for raw in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/d;v=1,2/@me/a+b",
            "/[x]|{y}",
            "/a./b..",
            "/a.;b",
        ] {
            same(raw, raw, Peculiarities::NONE);
            let mut scratch = Vec::new();
            let path = normalise(raw.as_bytes(), &mut scratch).unwrap();
            assert!(std::ptr::eq(path.merged(), raw.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn escapes() {
        same(
            "/%7euser/%41%2d%5F%2E1",
            "/~user/A-_.1",
            Peculiarities::NONE,
        );
        same(
            "/a%2bb%20c%e2%82%ac",
            "/a%2Bb%20c%E2%82%AC",
            Peculiarities::NONE,
        );
        same("/%252e%252E", "/%252e%252E", Peculiarities::NONE);
        same("/.well-known/x", "/.well-known/x", Peculiarities::NONE);
        same("/%C0%AE%c0%af", "/%C0%AE%C0%AF", Peculiarities::NONE);
        for raw in ["/%", "/%4", "/%zz", "/%4g", "/a%2", "/%+1", "/%%41"] {
            check(raw, Err(Error::PathEncoding));
        }
        for raw in ["/%00", "/a%0d%0a", "/%1f", "/%7F"] {
            check(raw, Err(Error::PathControl));
        }
    }

    #[test]
    fn what_no_path_may_hold() {
        for raw in [
            "",
            "a",
            "*",
            "http://a/",
            "/a b",
            "/a#b",
            "/a?b",
            "/a\0",
            "/a\tb",
            "/\u{7f}",
            "/é",
        ] {
            check(raw, Err(Error::TargetMalformed));
        }
    }

    #[test]
    fn peculiar_paths_are_kept_and_flagged() {
        same("/..", "/..", DOTS);
        same("/a/./b", "/a/./b", DOTS);
        same("/a/%2e%2E/b", "/a/../b", DOTS);
        same("/a/.%2e", "/a/..", DOTS);
        same("/a/..;/b", "/a/..;/b", DOTS);
        same("/a/.;x=1", "/a/.;x=1", DOTS);
        same("/.../a", "/.../a", Peculiarities::NONE);
        same("/a%2fb", "/a%2Fb", Peculiarities::ENCODED_SLASH);
        same(
            "/a%2f..",
            "/a%2F..",
            Peculiarities::ENCODED_SLASH.with(DOTS),
        );
        same(
            "/..%2fa",
            "/..%2Fa",
            Peculiarities::ENCODED_SLASH.with(DOTS),
        );
        same("/a\\b", "/a\\b", Peculiarities::BACKSLASH);
        same(
            "/a\\..\\b",
            "/a\\..\\b",
            Peculiarities::BACKSLASH.with(DOTS),
        );
        same("/a%5cb", "/a%5Cb", Peculiarities::BACKSLASH);
        check("//a///b//", Ok(("/a/b/", "//a///b//", SLASHES)));
        check(
            "/a//../%7e",
            Ok(("/a/../~", "/a//../~", SLASHES.with(DOTS))),
        );
    }

    #[test]
    fn permits() {
        #[track_caller]
        fn check(permitted: Peculiarities, found: Peculiarities, expected: Result<(), Error>) {
            assert_eq!(permitted.permits(found), expected);
        }
        let (none, slash, back) = (
            Peculiarities::NONE,
            Peculiarities::ENCODED_SLASH,
            Peculiarities::BACKSLASH,
        );
        check(none, none, Ok(()));
        check(none, SLASHES, Ok(()));
        check(none, DOTS, Err(Error::PathDotSegment));
        check(none, slash, Err(Error::PathEncodedSlash));
        check(none, back, Err(Error::PathBackslash));
        check(slash, slash, Ok(()));
        check(slash, slash.with(DOTS), Err(Error::PathDotSegment));
        check(slash.with(DOTS), slash.with(DOTS).with(SLASHES), Ok(()));
    }

    #[test]
    fn the_kept_rest_after_a_base_path() {
        #[track_caller]
        fn check(raw: &str, consumed: usize, expected: &str) {
            let mut scratch = Vec::new();
            let path = normalise(raw.as_bytes(), &mut scratch).unwrap();
            assert_eq!(
                path.kept_rest(consumed),
                expected.as_bytes(),
                "{raw} {consumed}"
            );
        }
        check("/shop//x", 5, "//x");
        check("//shop//x", 5, "//x");
        check("//shop", 5, "/");
        check("//shop", 0, "//shop");
        check("/a//b///c", 4, "///c");
        check("/a/b", 2, "/b");
    }

    #[test]
    fn queries() {
        #[track_caller]
        fn check(query: &str, expected: Result<(), Error>) {
            assert_eq!(check_query(query.as_bytes()), expected, "{query}");
        }
        check("", Ok(()));
        check("a=1&b=%zz&c=/?[]{}|\\\"<>", Ok(()));
        for query in ["a b", "a#b", "a\0", "\u{7f}", "é", "a\r\n"] {
            check(query, Err(Error::TargetMalformed));
        }
    }

    /// All escapes decoded and slashes merged, by other means than the code under test.
    fn plain_meaning(path: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        let mut index = 0;
        while index < path.len() {
            if path[index] == b'/' && index > 0 && path[index - 1] == b'/' {
                index += 1;
            } else if path[index] == b'%' {
                let digits = std::str::from_utf8(&path[index + 1..index + 3]).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                index += 3;
            } else {
                out.push(path[index]);
                index += 1;
            }
        }
        out
    }

    fn peculiar_path() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/"),
            Just("/"),
            Just("."),
            Just("a"),
            Just("B"),
            Just("%2e"),
            Just("%2F"),
            Just("%2f"),
            Just("\\"),
            Just("%5c"),
            Just("%25"),
            Just("%41"),
            Just(";"),
            Just("~"),
            Just("%e2"),
            Just("+"),
            Just("%00"),
            Just("%"),
            Just(" "),
            Just("é"),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn normal_form(raw in peculiar_path()) {
            let mut scratch = Vec::new();
            let Ok(path) = normalise(raw.as_bytes(), &mut scratch) else { return Ok(()) };
            let (mut second, mut third) = (Vec::new(), Vec::new());
            let again = normalise(path.merged(), &mut second).unwrap();
            prop_assert_eq!(again.merged(), path.merged());
            let again = normalise(path.kept(), &mut third).unwrap();
            prop_assert_eq!(again, path);
            prop_assert_eq!(plain_meaning(path.merged()), plain_meaning(raw.as_bytes()));

            let text = std::str::from_utf8(path.merged()).unwrap();
            let found = path.peculiarities();
            let has = |what| found.contains(what);
            prop_assert_eq!(text.contains("%2F"), has(Peculiarities::ENCODED_SLASH));
            prop_assert!(!text.contains("//") && !text.contains("%2f") && !text.contains("%2E"));
            prop_assert_eq!(text.contains('\\') || text.contains("%5C"), has(Peculiarities::BACKSLASH));
            prop_assert_eq!(raw.contains("//"), has(SLASHES));
            let dots = text.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
            let dots = dots.split('/').any(|s| matches!(s.split(';').next(), Some("." | "..")));
            prop_assert_eq!(dots, has(DOTS));
        }

        #[test]
        fn any_bytes(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut scratch = Vec::new();
            let _ = normalise(&raw, &mut scratch);
        }
    }
}
