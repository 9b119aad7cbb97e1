//! Untrusted bytes into a line: nothing that they hold can end a string, a field or a line.
//!
//! Values without anything to escape, which nearly all are, are told by looking at many bytes at
//! once, and copied whole. What is invalid UTF-8 or a control character is written as its code, so that a
//! line is always text.

use super::line::Line;

/// How what cannot stand as it is gets written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// Inside a JSON string. A byte that is not UTF-8 becomes the four characters `\xNN` (in JSON
    /// `\\xNN`): JSON has no way to say a byte.
    Json,
    /// In plain text: `\"`, `\\`, `\n`, `\r`, `\t`, and `\xNN` for every other byte.
    Text,
}

/// Appends `value`, escaped, but leaves at least `reserve` bytes of the room: the rest of the value
/// is left out, never half of a character.
#[cold]
pub(super) fn push<'a>(
    mut line: Line<'a>,
    value: &[u8],
    escaping: Escaping,
    reserve: usize,
) -> Line<'a> {
    let mut rest = value;
    loop {
        let room = line.left().saturating_sub(reserve);
        let run = plain_run(rest);
        line = line.extend(&rest[..run.min(room)]);
        if run > room {
            return line;
        }
        rest = &rest[run..];
        let Some(&first) = rest.first() else {
            return line;
        };
        let mut unit = Unit::default();
        let taken = match character(rest) {
            Some(c) if c.is_ascii() => {
                unit.ascii(first, escaping);
                1
            }
            Some(c) => {
                unit.character(c, &rest[..c.len_utf8()], escaping);
                c.len_utf8()
            }
            None => {
                unit.byte(first, escaping);
                1
            }
        };
        if unit.len + reserve > line.left() {
            return line;
        }
        line = line.extend(&unit.text[..unit.len]);
        rest = &rest[taken..];
    }
}

/// The character at the beginning of `bytes`, if it is valid UTF-8.
fn character(bytes: &[u8]) -> Option<char> {
    let head = &bytes[..bytes.len().min(4)];
    head.utf8_chunks().next()?.valid().chars().next()
}

/// What one character or byte is written as: at most three bytes as `\xNN` each.
#[derive(Default)]
struct Unit {
    text: [u8; 12],
    len: usize,
}

impl Unit {
    fn push(&mut self, text: &[u8]) {
        self.text[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    fn hex(&mut self, n: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.push(&[DIGITS[usize::from(n >> 4)], DIGITS[usize::from(n & 15)]]);
    }

    fn ascii(&mut self, byte: u8, escaping: Escaping) {
        match (byte, escaping) {
            (b'"', _) => self.push(b"\\\""),
            (b'\\', _) => self.push(b"\\\\"),
            (b'\n', _) => self.push(b"\\n"),
            (b'\r', _) => self.push(b"\\r"),
            (b'\t', _) => self.push(b"\\t"),
            (_, Escaping::Json) => {
                self.push(b"\\u00");
                self.hex(byte);
            }
            (_, Escaping::Text) => self.byte(byte, escaping),
        }
    }

    /// A character beyond ASCII. Controls (C1) and the two line separators of Unicode are escaped:
    /// terminals obey the former, and some readers of logs break lines at the latter.
    fn character(&mut self, c: char, utf8: &[u8], escaping: Escaping) {
        let code = c as u32;
        let is_break = c.is_control() || code == 0x2028 || code == 0x2029;
        match escaping {
            _ if !is_break => self.push(utf8),
            Escaping::Json => {
                self.push(b"\\u");
                self.hex((code >> 8) as u8);
                self.hex(code as u8);
            }
            Escaping::Text => utf8.iter().for_each(|byte| self.byte(*byte, escaping)),
        }
    }

    fn byte(&mut self, byte: u8, escaping: Escaping) {
        match escaping {
            Escaping::Json => self.push(b"\\\\x"),
            Escaping::Text => self.push(b"\\x"),
        }
        self.hex(byte);
    }
}

/// How many bytes at the beginning of `bytes` are plain.
fn plain_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return at * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + rest.iter().take_while(|byte| is_plain_byte(**byte)).count()
}

/// Whether all of `bytes` are plain: printable ASCII other than `"` and `\`. Looks at chunks of a
/// fixed length, the last of which overlaps the one before it.
#[inline(always)]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    match bytes.len() {
        0..4 => bytes.iter().all(|byte| is_plain_byte(*byte)),
        4..8 => {
            let [first, last] = ends(bytes).map(|half| u64::from(u32::from_le_bytes(half)));
            marks(first | last << 32) == 0
        }
        8..16 => are_plain(ends::<8>(bytes).as_flattened()),
        16..32 => are_plain(ends::<16>(bytes).as_flattened()),
        _ => {
            let (chunks, _) = bytes.as_chunks::<32>();
            chunks.iter().all(|chunk| are_plain(chunk)) && are_plain(&ends::<32>(bytes)[1])
        }
    }
}

/// The first and the last `N` bytes, of which there are at least so many.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> [[u8; N]; 2] {
    let mut ends = [[0; N]; 2];
    ends[0].copy_from_slice(&bytes[..N]);
    ends[1].copy_from_slice(&bytes[bytes.len() - N..]);
    ends
}

/// Whether all bytes of whole words are plain. Without a branch, so that it compiles to vectors.
#[inline(always)]
fn are_plain(words: &[u8]) -> bool {
    let words = words.as_chunks().0.iter();
    words.fold(0, |all, word| all | marks(u64::from_le_bytes(*word))) == 0
}

/// Whether a byte is plain.
const fn is_plain_byte(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

/// Marks the high bit of bytes of `word` that are not plain. A byte above a marked one may be
/// marked by what is carried or borrowed; the lowest mark is always true.
#[inline(always)]
const fn marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Space and `!` change places with `"` and `#`: then a quote is next to the controls.
    let control_or_quote = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let delete = word.wrapping_add(ONES);
    (word | control_or_quote | backslash | delete) & HIGH
}

#[cfg(test)]
mod tests {
    use super::{super::line::SLACK_BYTES, *};
    use proptest::prelude::*;

    /// `value`, escaped, in at most `end` bytes.
    fn escaped(value: &[u8], escaping: Escaping, end: usize) -> Vec<u8> {
        let mut room = vec![0; end + SLACK_BYTES];
        let left = push(Line::new(&mut room), value, escaping, SLACK_BYTES).left();
        room.truncate(end + SLACK_BYTES - left);
        room
    }

    #[track_caller]
    fn check(value: &[u8], json: &str, text: &str) {
        for (escaping, expected) in [(Escaping::Json, json), (Escaping::Text, text)] {
            let made = escaped(value, escaping, 4_000);
            assert_eq!(std::str::from_utf8(&made).unwrap(), expected);
        }
    }

    #[test]
    #[rustfmt::skip]
    fn rows() {
        check(b"",                      "",                         "");
        check(b"/orders/42?x=1 y~",     "/orders/42?x=1 y~",        "/orders/42?x=1 y~");
        check(b"a\"b\\c",               r#"a\"b\\c"#,               r#"a\"b\\c"#);
        check(b"a\r\n{\"x\":1}\t",      r#"a\r\n{\"x\":1}\t"#,      r#"a\r\n{\"x\":1}\t"#);
        check(b"\0\x1b[31m\x7f",        r"\u0000\u001b[31m\u007f",  r"\x00\x1b[31m\x7f");
        check("é 漢 😀".as_bytes(),     "é 漢 😀",                  "é 漢 😀");
        check("\u{85}\u{2028}".as_bytes(), r"\u0085\u2028",         r"\xc2\x85\xe2\x80\xa8");
        check(b"\xff\xc3(\xe6\xbc",     r"\\xff\\xc3(\\xe6\\xbc",   r"\xff\xc3(\xe6\xbc");
        check(b"\xed\xa0\x80\xc0\xaf",  r"\\xed\\xa0\\x80\\xc0\\xaf", r"\xed\xa0\x80\xc0\xaf");
    }

    #[track_caller]
    fn cut(value: &[u8], end: usize, expected: &str) {
        let made = escaped(value, Escaping::Json, end);
        assert_eq!(std::str::from_utf8(&made).unwrap(), expected);
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        cut(b"abcdef", 6, "abcdef");
        cut(b"abcdef", 5, "abcde");
        cut(b"abcdef", 0, "");
        cut(b"a\nb", 2, "a");
        cut(b"a\nb", 3, "a\\n");
        cut("aé".as_bytes(), 2, "a");
        cut("aéb".as_bytes(), 3, "aé");
        cut(b"a\x01", 6, "a");
    }

    proptest! {
        #[test]
        fn a_run_is_what_a_look_at_each_byte_says(bytes in prop::collection::vec(prop_oneof![
            8 => 0x20u8..0x7f, 1 => any::<u8>()], 0..64)) {
            let expected = bytes.iter().position(|b| !is_plain_byte(*b)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_run(&bytes), expected);
            prop_assert_eq!(is_plain(&bytes), expected == bytes.len());
        }

        #[test]
        fn json_strings_decode_to_what_was_valid(text in any::<String>()) {
            let made = [b"\"", &*escaped(text.as_bytes(), Escaping::Json, 4_000), b"\""].concat();
            prop_assert_eq!(serde_json::from_slice::<String>(&made).unwrap(), text);
        }

        #[test]
        fn text_has_no_control_and_no_bare_quote(bytes in any::<Vec<u8>>(), end in 0usize..64) {
            let made = escaped(&bytes, Escaping::Text, end);
            prop_assert!(made.len() <= end);
            let text = String::from_utf8(made).unwrap();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert!(!text.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }
    }
}
