//! The plain part of YAML, read fast: what a person or a generator writes on most days.
//!
//! The full parser takes about 2 microseconds a value, which makes seconds of a file with 100,000
//! routes. This one reads block mappings and lists, one-line flow collections, plain and simply
//! quoted scalars, and comments, in ASCII. At anything else (anchors, tags, block scalars, escapes,
//! continued lines, doubtful scalars, every mistake) it gives up and says nothing: then `tree` has
//! the full parser read the whole text. So it never decides what is a mistake, and a property holds
//! it against the full parser: where it answers, both give the same tree.

use super::{
    mistake::Place,
    tree::{Key, Node, Value},
};
use crate::bounds;
use std::borrow::Cow;

/// Bytes of a key; the full parser looks only 1024 characters ahead for the colon.
const KEY_BYTES_MAX: usize = 1000;

/// The tree of `text`, if all of it is plain. Cost: linear, one pass.
pub(super) fn parse(text: &str) -> Option<Node<'_>> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\n';
    if !text.bytes().all(printable) {
        return None;
    }
    let mut reader = Reader {
        rest: text,
        number: 0,
        line: None,
        nodes: 0,
    };
    reader.advance();
    if reader.line?.at != 0 {
        return None;
    }
    let root = reader.block(0)?;
    reader.line.is_none().then_some(root)
}

/// The text, line by line.
struct Reader<'a> {
    /// What comes after the line.
    rest: &'a str,
    /// The line's number, from 1.
    number: u32,
    /// The line that is read at present; `None` at the end. Never blank, never only a comment.
    line: Option<Line<'a>>,
    /// Nodes made so far.
    nodes: usize,
}

/// A line and how much of it has been read. `at <= text.len()`.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// The column (from 0) of what comes next.
    at: usize,
}

impl<'a> Line<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Steps over blanks.
    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(' ').len();
    }

    /// Steps over `byte`, if it comes next.
    fn eat(&mut self, byte: u8) -> Option<()> {
        let next = self.rest().as_bytes().first() == Some(&byte);
        next.then(|| self.at += 1)
    }

    /// Nothing but blanks and a comment comes next.
    fn ended(&self) -> bool {
        let rest = self.rest().trim_start_matches(' ');
        rest.is_empty() || (rest.starts_with('#') && rest.len() < self.rest().len())
    }
}

impl<'a> Reader<'a> {
    /// Goes to the next line that says something.
    fn advance(&mut self) {
        self.line = None;
        while !self.rest.is_empty() && self.line.is_none() {
            let (text, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            (self.rest, self.number) = (rest, self.number.saturating_add(1));
            let at = text.len() - text.trim_start_matches(' ').len();
            if !matches!(text.as_bytes().get(at), None | Some(b'#')) {
                self.line = Some(Line { text, at });
            }
        }
    }

    fn place(&self, at: usize) -> Place {
        Place {
            line: self.number,
            column: at as u32 + 1,
        }
    }

    fn node(&mut self, value: Value<'a>, place: Place) -> Option<Node<'a>> {
        self.nodes += 1;
        (self.nodes <= bounds::CONFIG_NODES_MAX).then_some(Node { value, place })
    }

    /// A block mapping or list that begins where the line stands.
    fn block(&mut self, depth: usize) -> Option<Node<'a>> {
        let line = self.line?;
        if depth >= bounds::CONFIG_DEPTH_MAX {
            return None;
        }
        let place = self.place(line.at);
        let value = match line.rest().starts_with("- ") {
            true => self.list(line.at, depth)?,
            false => self.mapping(line.at, depth)?,
        };
        self.node(value, place)
    }

    fn list(&mut self, indent: usize, depth: usize) -> Option<Value<'a>> {
        let mut entries = Vec::new();
        while let Some(mut line) = self.line.filter(|line| line.at == indent) {
            if line.eat(b'-').is_none() {
                break;
            }
            line.eat(b' ')?;
            line.skip();
            self.line = Some(line);
            let entry = match begins_mapping(line.rest()) {
                true => self.block(depth + 1)?,
                false => self.value(indent, depth + 1)?,
            };
            entries.push(entry);
            self.dedented(indent)?;
        }
        Some(Value::List(entries))
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Option<Value<'a>> {
        let mut entries = Vec::new();
        while let Some(mut line) = self.line.filter(|line| line.at == indent) {
            let place = self.place(line.at);
            let name = key(&mut line, b"")?;
            self.line = Some(line);
            let node = match line.ended() {
                true => self.below(indent, depth)?,
                false => {
                    line.eat(b' ')?;
                    line.skip();
                    self.line = Some(line);
                    self.value(indent, depth + 1)?
                }
            };
            entries.push((
                Key {
                    name: Cow::Borrowed(name),
                    place,
                },
                node,
            ));
            self.dedented(indent)?;
        }
        Some(Value::Map(entries))
    }

    /// The block below a key: further in, or a list right below it.
    fn below(&mut self, indent: usize, depth: usize) -> Option<Node<'a>> {
        self.advance();
        let line = self.line?;
        let list = line.at == indent && line.rest().starts_with("- ");
        (line.at > indent || list).then_some(())?;
        let mut node = self.block(depth + 1)?;
        // The full parser has such a list begin at its first entry rather than at the dash.
        if let (true, Value::List(entries)) = (line.at == indent, &node.value) {
            node.place = entries.first()?.place;
        }
        Some(node)
    }

    /// Nothing further in may follow an entry: it would belong to it in some way.
    fn dedented(&self, indent: usize) -> Option<()> {
        self.line.is_none_or(|line| line.at <= indent).then_some(())
    }

    /// A value that ends with its line.
    fn value(&mut self, indent: usize, depth: usize) -> Option<Node<'a>> {
        let mut line = self.line?;
        let node = match line.rest().as_bytes().first()? {
            b'{' | b'[' => self.flow(&mut line, depth)?,
            b'"' | b'\'' => self.quoted(&mut line)?,
            _ => {
                let place = self.place(line.at);
                let text = line.rest();
                let end = text.find(" #").unwrap_or(text.len());
                let text = text[..end].trim_end_matches(' ');
                if text.contains(": ") || text.ends_with(':') {
                    return None;
                }
                line.at += text.len();
                self.node(scalar(text)?, place)?
            }
        };
        line.ended().then_some(())?;
        self.advance();
        self.dedented(indent)?;
        Some(node)
    }

    fn quoted(&mut self, line: &mut Line<'a>) -> Option<Node<'a>> {
        let place = self.place(line.at);
        let text = quoted(line)?;
        self.node(Value::String(Cow::Borrowed(text)), place)
    }

    /// A value inside a flow collection, or the collection itself.
    fn flow(&mut self, line: &mut Line<'a>, depth: usize) -> Option<Node<'a>> {
        if depth >= bounds::CONFIG_DEPTH_MAX {
            return None;
        }
        let place = self.place(line.at);
        match line.rest().as_bytes().first()? {
            b'[' => {
                let list =
                    self.flow_entries(line, b']', |reader, line| reader.flow(line, depth + 1))?;
                self.node(Value::List(list), place)
            }
            b'{' => {
                let map = self.flow_entries(line, b'}', |reader, line| {
                    let place = reader.place(line.at);
                    let name = Cow::Borrowed(key(line, b",[]{}#")?);
                    line.eat(b' ')?;
                    line.skip();
                    Some((Key { name, place }, reader.flow(line, depth + 1)?))
                })?;
                self.node(Value::Map(map), place)
            }
            b'"' | b'\'' => self.quoted(line),
            _ => {
                let text = line.rest();
                let end = text.find([',', '[', ']', '{', '}', '#'])?;
                let text = text[..end].trim_end_matches(' ');
                if text.contains(": ") || text.ends_with(':') {
                    return None;
                }
                line.at += text.len();
                self.node(scalar(text)?, place)
            }
        }
    }

    fn flow_entries<T>(
        &mut self,
        line: &mut Line<'a>,
        close: u8,
        mut entry: impl FnMut(&mut Self, &mut Line<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut entries = Vec::new();
        line.at += 1;
        line.skip();
        if line.eat(close).is_some() {
            return Some(entries);
        }
        loop {
            entries.push(entry(self, line)?);
            line.skip();
            if line.eat(close).is_some() {
                return Some(entries);
            }
            line.eat(b',')?;
            line.eat(b' ')?;
            line.skip();
        }
    }
}

/// Whether what follows a dash is an entry of a mapping, or another list.
fn begins_mapping(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'{' | b'[') | None => false,
        Some(b'"' | b'\'') => {
            let mut line = Line { text, at: 0 };
            quoted(&mut line).is_some() && line.rest().starts_with(':')
        }
        Some(_) => {
            let text = text
                .split(" #")
                .next()
                .unwrap_or(text)
                .trim_end_matches(' ');
            text.starts_with("- ") || text.contains(": ") || text.ends_with(':')
        }
    }
}

/// A key and its colon, none of whose bytes is one of `refused`.
fn key<'a>(line: &mut Line<'a>, refused: &[u8]) -> Option<&'a str> {
    let text = line.rest();
    let name = match text.as_bytes().first()? {
        b'"' | b'\'' => quoted(line)?,
        first => {
            let end = text.find(": ").unwrap_or(text.len());
            let name = &text[..end];
            // The last byte of a line that ends with the key is its colon.
            let name = if end == text.len() {
                name.trim_end_matches(' ').strip_suffix(':')?
            } else {
                name
            };
            let doubtful = name.ends_with(' ')
                || name.contains(" #")
                || name.bytes().any(|byte| refused.contains(&byte))
                || !(first.is_ascii_alphanumeric() || b"/$_".contains(first))
                || name.eq_ignore_ascii_case("null");
            if doubtful {
                return None;
            }
            line.at += name.len();
            name
        }
    };
    (name.len() <= KEY_BYTES_MAX).then_some(())?;
    line.eat(b':')?;
    Some(name)
}

/// A quoted text without escapes.
fn quoted<'a>(line: &mut Line<'a>) -> Option<&'a str> {
    let text = line.rest();
    let quote = char::from(*text.as_bytes().first()?);
    let inner = &text[1..];
    let end = inner.find(quote)?;
    let escaped =
        (quote == '"' && inner[..end].contains('\\')) || inner[end + 1..].starts_with(quote);
    if escaped {
        return None;
    }
    line.at += end + 2;
    Some(&inner[..end])
}

/// What a plain scalar is, if there is no doubt.
fn scalar(text: &str) -> Option<Value<'_>> {
    /// Words that some version of YAML takes for something else than text.
    const DOUBTFUL: &[&str] = &[
        "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf",
    ];
    let first = *text.as_bytes().first()?;
    let string = Some(Value::String(Cow::Borrowed(text)));
    match first {
        b'a'..=b'z' | b'A'..=b'Z' => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "off" => string,
            _ if DOUBTFUL.iter().any(|word| text.eq_ignore_ascii_case(word)) => None,
            _ => string,
        },
        b'/' | b'$' | b'_' => string,
        b'.' if text.starts_with("./") || text.starts_with("../") => string,
        b'0'..=b'9' => number(text).or_else(|| {
            // No number has a letter like these, or two dots.
            let foreign =
                |byte: u8| byte.is_ascii_alphabetic() && !b"abcdefoxABCDEFOX".contains(&byte);
            let dots = text.bytes().filter(|byte| *byte == b'.').count();
            (dots > 1 || text.bytes().any(foreign))
                .then_some(string)
                .flatten()
        }),
        _ => None,
    }
}

/// A decimal number without sign, leading zeros, exponent.
fn number(text: &str) -> Option<Value<'_>> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let short = text.len() <= 15 && (whole == "0" || !whole.starts_with('0'));
    if !short || !digits(whole) || !digits(fraction) {
        return None;
    }
    match text.len() == whole.len() {
        true => whole.parse().ok().map(Value::Int),
        false => text.parse().ok().map(Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tree;
    use proptest::prelude::*;

    #[track_caller]
    fn agrees(text: &str) -> Result<bool, TestCaseError> {
        let Some(plain) = parse(text) else {
            return Ok(false);
        };
        let full = tree::parse_fully(text);
        prop_assert_eq!(Ok(plain), full.map_err(|m| m.what), "{:?}", text);
        Ok(true)
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(agrees(text).unwrap(), expected, "{text:?}");
    }

    #[test]
    fn plain_texts_are_read_and_others_are_left() {
        check(
            "a: 1\nb:\n  - x\n  - { c: true, d: [5s, 1.5, \"q\"] } # note\n\n# end\n",
            true,
        );
        check("a:\n- b: 1\n  c: 2\n-   d:\n      e: f\n", true);
        check("a:\n  - - x\n    - z\n  - \"k\": v\n", true);
        check(
            "a: { \"*\": {}, b: [] }\n\"b c\": './x'\nGET /a/{id+}:\n  $d: off\n",
            true,
        );
        check(
            "a: 127.0.0.1:80\nb: 10MB\nc: 0.5\nd: 0\ne: a#b\nf: a:b\n",
            true,
        );
        check("", false);
        check("a:\n", false);
        check("a: &x 1\n", false);
        check("a: 1\n  b\n", false);
        check("a: x\n  y: z\n", false);
        check("a: 1\n b: 2\n", false);
        check("  a: 1\nb: 2\n", false);
        check("a: \"\\n\"\n", false);
        check("a: 'it''s'\n", false);
        check("a: yes\n", false);
        check("a: 010\n", false);
        check("a: 1e3\n", false);
        check("a: 0x1f\n", false);
        check("a: { b: /c/{d} }\n", false);
        check("a: |\n  x\n", false);
        check("a: b: c\n", false);
        check("<<: x\n", false);
        check("---\na: 1\n", false);
        check("a: 1\n...\n", false);
        check("a: é\n", false);
        check("a:\t1\n", false);
        check("a: \"x\"y\n", false);
        check("a: {b: 1}#\n", false);
        check(&format!("a: {}\n", "[".repeat(64)), false);
    }

    #[test]
    fn the_shipped_file_is_plain() {
        check(include_str!("../../config/sluice.yaml"), true);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn where_it_answers_the_full_parser_gives_the_same(
            text in "([ab]: |[ab]:\n|\n|  |- |\\{ ?| ?\\}|\\[|\\]|, |,|'|\"| #|#|:|-|[a-c/$.01~<]|off|5s|0x|1e){0,24}"
        ) {
            agrees(&text)?;
        }

        #[test]
        fn structured_texts_are_read_alike(
            lines in proptest::collection::vec(
                ("( |  |   |    ){0,2}(- ){0,2}", "(a|b c|\"q\"|'r'|GET /\\{x\\}|\\$d)", "(|:|: |: x|: 5|: \\{\\}|: \\[1, y\\]|: \\{ a: 1, b: \"2\" \\}|: 'z' # c)"),
                1..8,
            )
        ) {
            let text: String = lines.iter().map(|(i, k, v)| format!("{i}{k}{v}\n")).collect();
            agrees(&text)?;
        }
    }
}
