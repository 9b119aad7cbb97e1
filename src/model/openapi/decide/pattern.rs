//! The patterns that choose an integration response, as far as statuses need them.
//!
//! A regular expression of digits, `.`, `\d`, sets, groups, `|`, `?`, `*`, `+` and `{n}`, which
//! must match the whole text. Anything else is not guessed at.

/// Steps that one match may take: patterns are short and statuses have three digits.
const STEPS_MAX: u32 = 10_000;

/// Whether `pattern` matches all of `text`; `None` if this is more than is understood here.
pub(super) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let mut parser = Parser {
        rest: pattern.as_bytes(),
        depth: 0,
    };
    let tree = parser.either()?;
    if !parser.rest.is_empty() {
        return None;
    }
    let mut steps = 0;
    let ends = tree.ends(text.as_bytes(), &mut steps)?;
    Some(ends.contains(&text.len()))
}

enum Part {
    /// One byte among these.
    Set(Vec<u8>),
    All(Vec<Self>),
    Either(Vec<Self>),
    Repeat(Box<Self>, u32, u32),
}

struct Parser<'p> {
    rest: &'p [u8],
    depth: u32,
}

impl Parser<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let next = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(next)..];
        next
    }

    fn either(&mut self) -> Option<Part> {
        self.depth += 1;
        if self.depth > 16 {
            return None;
        }
        let mut ways = vec![self.all()?];
        while self.eat(b'|') {
            ways.push(self.all()?);
        }
        self.depth -= 1;
        Some(Part::Either(ways))
    }

    fn all(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        while let Some(next) = self.rest.first() {
            if matches!(next, b'|' | b')') {
                break;
            }
            let part = self.one()?;
            parts.push(self.repeated(part)?);
        }
        Some(Part::All(parts))
    }

    fn one(&mut self) -> Option<Part> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        match first {
            b'.' => Some(Part::Set((b' '..=b'~').collect())),
            b'\\' if self.eat(b'd') => Some(Part::Set((b'0'..=b'9').collect())),
            b'(' => {
                if self.eat(b'?') && !self.eat(b':') {
                    return None;
                }
                let part = self.either()?;
                self.eat(b')').then_some(part)
            }
            b'[' => self.set(),
            byte if byte.is_ascii_alphanumeric() || byte == b' ' => Some(Part::Set(vec![byte])),
            _ => None,
        }
    }

    fn set(&mut self) -> Option<Part> {
        let outside = self.eat(b'^');
        let mut within = Vec::new();
        while !self.eat(b']') {
            let (&from, rest) = self.rest.split_first()?;
            self.rest = rest;
            let mut to = from;
            if self.eat(b'-') {
                let (&last, rest) = self.rest.split_first()?;
                (to, self.rest) = (last, rest);
            }
            if !from.is_ascii_alphanumeric() || !to.is_ascii_alphanumeric() {
                return None;
            }
            within.extend(from..=to);
        }
        let chosen = (b' '..=b'~').filter(|byte| within.contains(byte) != outside);
        Some(Part::Set(chosen.collect()))
    }

    fn repeated(&mut self, part: Part) -> Option<Part> {
        /// More than a status has digits.
        const MANY: u32 = 8;
        let (least, most) = match () {
            () if self.eat(b'?') => (0, 1),
            () if self.eat(b'*') => (0, MANY),
            () if self.eat(b'+') => (1, MANY),
            () if self.eat(b'{') => {
                let (&digit, rest) = self.rest.split_first()?;
                let count = char::from(digit).to_digit(10)?;
                self.rest = rest;
                if !self.eat(b'}') {
                    return None;
                }
                (count, count)
            }
            () => return Some(part),
        };
        Some(Part::Repeat(Box::new(part), least, most))
    }
}

impl Part {
    /// Where a match that begins `text` can end.
    fn ends(&self, text: &[u8], steps: &mut u32) -> Option<Vec<usize>> {
        *steps += 1;
        if *steps > STEPS_MAX {
            return None;
        }
        let mut ends = match self {
            Self::Set(bytes) => {
                let one = text.first().is_some_and(|byte| bytes.contains(byte));
                if one { vec![1] } else { Vec::new() }
            }
            Self::Either(ways) => {
                let mut ends = Vec::new();
                for way in ways {
                    ends.extend(way.ends(text, steps)?);
                }
                ends
            }
            Self::All(parts) => {
                let mut ends = vec![0];
                for part in parts {
                    ends = part.after(&ends, text, steps)?;
                }
                ends
            }
            Self::Repeat(part, least, most) => {
                let mut now = vec![0];
                let mut ends = if *least == 0 { vec![0] } else { Vec::new() };
                for count in 1..=*most {
                    now = part.after(&now, text, steps)?;
                    if count >= *least {
                        ends.extend(&now);
                    }
                }
                ends
            }
        };
        ends.sort_unstable();
        ends.dedup();
        Some(ends)
    }

    /// Where a match can end that begins at one of `starts`.
    fn after(&self, starts: &[usize], text: &[u8], steps: &mut u32) -> Option<Vec<usize>> {
        let mut ends = Vec::new();
        for start in starts {
            let found = self.ends(&text[*start..], steps)?;
            ends.extend(found.into_iter().map(|end| start + end));
        }
        ends.sort_unstable();
        ends.dedup();
        Some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    #[rustfmt::skip]
    fn patterns() {
        let check = |pattern: &str, text: &str, expected: Option<bool>| {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        };
        check("200",            "200", Some(true));
        check("200",            "2000", Some(false));
        check("20",             "200", Some(false));
        check("2\\d{2}",        "204", Some(true));
        check("2\\d{2}",        "304", Some(false));
        check("4\\d+|5..",      "503", Some(true));
        check("[45][0-9]*",     "404", Some(true));
        check("[^2]..",         "200", Some(false));
        check("(200|201)",      "201", Some(true));
        check("(?:2(0|1)){1}4", "204", Some(true));
        check(".*",             "200", Some(true));
        check("",               "200", Some(false));
        check(".*Error.*",      "200", Some(false));
        check("^200$",          "200", None);
        check("(?!2)..",        "200", None);
        check("(2",             "200", None);
        check("[2",             "200", None);
        check("2{1,2}",         "200", None);
        check(&"(".repeat(99),  "200", None);
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let nested = "((((((.*)*)*)*)*)*)*".to_owned() + "x";
        assert!(matches(&nested, "200").is_none_or(|found| !found));
    }
}
