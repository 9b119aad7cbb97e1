//! JSON text to a tree of nodes with places, as `tree` makes it of YAML.
//!
//! YAML's parsers refuse some of what JSON allows (tabs, surrogate pairs, long keys) and take a
//! minified line badly. Duplicate keys are kept, with their places. It never looks at what the keys
//! mean, and never goes deeper than [`bounds::OPENAPI_DEPTH_MAX`].

use crate::{
    bounds,
    model::{
        mistake::{Mistake, Path, Place},
        tree::{Key, Node, Value},
    },
};
use std::borrow::Cow;

/// The tree of `text`, which is JSON as RFC 8259 has it. Cost: linear, one pass.
pub(super) fn parse(text: &str) -> Result<Node<'_>, Mistake> {
    let mut reader = Reader {
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
        at: 0,
        marked: 0,
        place: Place::BEGINNING,
    };
    let node = reader.node(0)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.wrong("something follows the document's end")),
    }
}

/// The text and how far it is read. `marked <= at <= text.len()`.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The byte that `place` is of.
    marked: usize,
    place: Place,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Where `at` is. Counts on from the last place, so that a long line is counted once.
    fn here(&mut self) -> Place {
        for c in self.text[self.marked..self.at].chars() {
            match c {
                '\n' => {
                    self.place.line = self.place.line.saturating_add(1);
                    self.place.column = 1;
                }
                _ => self.place.column = self.place.column.saturating_add(1),
            }
        }
        self.marked = self.at;
        self.place
    }

    #[cold]
    fn wrong(&mut self, what: &str) -> Mistake {
        while !self.text.is_char_boundary(self.at) {
            self.at -= 1;
        }
        self.at = self.at.max(self.marked);
        let place = self.here();
        Mistake::new(place, Path::ROOT, what)
    }

    fn node(&mut self, depth: usize) -> Result<Node<'a>, Mistake> {
        self.blanks();
        let place = self.here();
        if depth > bounds::OPENAPI_DEPTH_MAX {
            return Err(self.wrong("nested too deeply"));
        }
        let value = match self.peek() {
            Some(b'{') => self.mapping(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            None => return Err(self.wrong("the text ends where a value belongs")),
            Some(_) => return Err(self.wrong("no value begins like this")),
        };
        Ok(Node { value, place })
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Mistake> {
        match self.text[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(value)
            }
            false => Err(self.wrong("no value begins like this")),
        }
    }

    fn number(&mut self) -> Result<Value<'a>, Mistake> {
        let rest = &self.text[self.at..];
        let known = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
        let end = rest.bytes().position(|b| !known(b)).unwrap_or(rest.len());
        let text = &rest[..end];
        let digits = text.strip_prefix('-').unwrap_or(text);
        let led = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let value = match text.parse::<i128>() {
            Ok(whole) if !led => Some(Value::Int(whole)),
            Ok(_) => None,
            Err(_) if led || !digits.starts_with(|c: char| c.is_ascii_digit()) => None,
            Err(_) => text
                .parse::<f64>()
                .ok()
                .filter(|float| float.is_finite())
                .map(Value::Float),
        };
        let Some(value) = value else {
            return Err(self.wrong("not a number of JSON"));
        };
        self.at += end;
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Mistake> {
        self.at += 1;
        let mut entries = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(entries));
        }
        loop {
            entries.push(self.node(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.wrong("a comma or \"]\" belongs here")),
            }
        }
        self.at += 1;
        Ok(Value::List(entries))
    }

    fn mapping(&mut self, depth: usize) -> Result<Value<'a>, Mistake> {
        self.at += 1;
        let mut entries = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(entries));
        }
        loop {
            self.blanks();
            let place = self.here();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in quotes belongs here"));
            }
            let name = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.wrong("a colon belongs here"));
            }
            self.at += 1;
            entries.push((Key { name, place }, self.node(depth + 1)?));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong("a comma or \"}\" belongs here")),
            }
        }
        self.at += 1;
        Ok(Value::Map(entries))
    }

    /// The string whose quote comes next.
    fn string(&mut self) -> Result<Cow<'a, str>, Mistake> {
        self.at += 1;
        let mut owned: Option<String> = None;
        let mut from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let c = self.escape()?;
                    owned.get_or_insert_default().push(c);
                    from = self.at;
                }
                Some(0..=0x1f) => return Err(self.wrong("a control character inside quotes")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("the text ends inside quotes")),
            }
        }
        let last = &self.text[from..self.at];
        self.at += 1;
        Ok(match owned {
            None => Cow::Borrowed(last),
            Some(text) => Cow::Owned(text + last),
        })
    }

    /// The character behind a backslash.
    fn escape(&mut self) -> Result<char, Mistake> {
        let plain = match self.peek() {
            Some(b'u') => return self.unicode(),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(byte @ (b'"' | b'\\' | b'/')) => byte.into(),
            _ => return Err(self.wrong("JSON has no such escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// The character of `uXXXX`, or of two of them that are a surrogate pair.
    fn unicode(&mut self) -> Result<char, Mistake> {
        let high = self.hexadecimal()?;
        if let Some(c) = char::from_u32(high) {
            return Ok(c);
        }
        if self.text[self.at..].starts_with("\\u") {
            self.at += 1;
            let low = self.hexadecimal()?;
            if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                if let Some(c) = char::from_u32(code) {
                    return Ok(c);
                }
            }
        }
        Err(self.wrong("half of a surrogate pair"))
    }

    fn hexadecimal(&mut self) -> Result<u32, Mistake> {
        let digits = self.text.get(self.at + 1..self.at + 5);
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return Err(self.wrong("four hexadecimal digits belong behind \\u"));
        };
        self.at += 5;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::to_json;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = parse(text).map(|node| to_json(&node, "", &mut Vec::new()).to_string());
        let shown = shown.map_err(|m| format!("{}:{}: {}", m.place.line, m.place.column, m.what));
        assert_eq!(shown.as_deref().map_err(|m| &**m), expected, "{text}");
    }

    #[test]
    #[rustfmt::skip]
    fn texts() {
        check("{}",                                 Ok("{}"));
        check("\u{feff}{\t\"a\"\t:\t[1,\t-2.5e1]}", Ok(r#"{"a":[1,-25.0]}"#));
        check(r#""\u00e4\ud83d\ude00\/\n""#,        Ok("\"ä😀/\\n\""));
        check("[true, false, null, 0, 0.5]",        Ok("[true,false,null,0,0.5]"));
        check("",                                   Err("1:1: the text ends where a value belongs"));
        check("[1,]",                               Err("1:4: no value begins like this"));
        check("{\"a\" 1}",                          Err("1:6: a colon belongs here"));
        check("{a: 1}",                             Err("1:2: a key in quotes belongs here"));
        check("[\n 1 2]",                           Err("2:4: a comma or \"]\" belongs here"));
        check("{\"a\":1 \"b\"}",                    Err("1:8: a comma or \"}\" belongs here"));
        check("\"\\ud83d\"",                        Err("1:8: half of a surrogate pair"));
        check("\"\\u12é4\"",                        Err("1:3: four hexadecimal digits belong behind \\u"));
        check("\"\\x\"",                            Err("1:3: JSON has no such escape"));
        check("\"a",                                Err("1:3: the text ends inside quotes"));
        check("\"ä\n\"",                            Err("1:3: a control character inside quotes"));
        check("01",                                 Err("1:1: not a number of JSON"));
        check("1e999",                              Err("1:1: not a number of JSON"));
        check("-",                                  Err("1:1: not a number of JSON"));
        check("{} {}",                              Err("1:4: something follows the document's end"));
        check(&"[".repeat(1000),                    Err("1:66: nested too deeply"));
    }
}
