//! Mistakes in what people wrote: where, what, and what would be right.
//!
//! Reading collects [`Mistake`]s and goes on, so that one run tells them all; [`Mistakes`] shows
//! them against the [`Source`] they stand in. The compiler reports what it still refuses by the
//! same types. Nothing here decides what is a mistake.

use std::{fmt, sync::Arc};

/// Mistakes shown in full. The rest are counted: nobody reads a thousand, and a hostile file could
/// make millions.
const SHOWN_MAX: usize = 100;

/// Characters of a source line that are shown; a longer one is cut around the place.
const LINE_SHOWN_MAX: usize = 160;

/// Mistakes for which the nearest name is looked for. Each look compares with every known name, so
/// that a hundred thousand of them would take longer than all the rest.
const HINTED_MAX: usize = 1000;

/// Whether one more mistake should say what was most likely meant.
pub(super) fn worth_a_hint(found: &[Mistake]) -> bool {
    found.len() < HINTED_MAX
}

/// A point in the text: both numbers begin at 1, columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Place {
    /// The beginning of the text: for what is wrong with the whole.
    pub const BEGINNING: Self = Self { line: 1, column: 1 };
}

/// The text that was read, and the name to call it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file's name as the person gave it.
    pub file: Arc<str>,
    /// Its whole text.
    pub text: Arc<str>,
}

impl Source {
    /// The source called `file` with this `text`. Copies the text once.
    pub fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where in the text.
    pub place: Place,
    /// Where in the structure: `upstreams.users.endpoints[1].weight`. Empty for the whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What would be right; empty where `what` says it already.
    pub hint: String,
}

impl Mistake {
    /// A mistake without a hint.
    pub fn new(place: Place, path: impl fmt::Display, what: impl Into<String>) -> Self {
        Self {
            place,
            path: path.to_string(),
            what: what.into(),
            hint: String::new(),
        }
    }

    /// The same with what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// All that is wrong with one source, in the order of its text. Never empty. Shown by `Display`,
/// each with its line and a caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    source: Source,
    all: Vec<Mistake>,
}

impl std::error::Error for Mistakes {}

impl Mistakes {
    /// The mistakes of `source`, sorted by place; `None` if there are none.
    pub fn of(source: &Source, mut all: Vec<Mistake>) -> Option<Self> {
        if all.is_empty() {
            return None;
        }
        all.sort();
        all.dedup();
        Some(Self {
            source: source.clone(),
            all,
        })
    }

    /// The mistakes, sorted by place. At least one.
    pub fn all(&self) -> &[Mistake] {
        &self.all
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The mistakes are sorted, so one walk through the lines serves all of them.
        let mut lines = (1_u32..).zip(self.source.text.lines()).peekable();
        for (index, mistake) in self.all.iter().take(SHOWN_MAX).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            while lines
                .next_if(|(number, _)| *number < mistake.place.line)
                .is_some()
            {}
            let line = lines
                .peek()
                .filter(|(number, _)| *number == mistake.place.line);
            show(f, &self.source.file, line.map(|(_, text)| *text), mistake)?;
        }
        match self.all.len().checked_sub(SHOWN_MAX) {
            Some(more @ 1..) => writeln!(f, "\nand {more} more"),
            _ => Ok(()),
        }
    }
}

fn show(
    f: &mut fmt::Formatter<'_>,
    file: &str,
    line: Option<&str>,
    mistake: &Mistake,
) -> fmt::Result {
    let Mistake {
        place,
        path,
        what,
        hint,
    } = mistake;
    write!(f, "{file}:{}:{}: ", place.line, place.column)?;
    if !path.is_empty() {
        write!(f, "{path}: ")?;
    }
    writeln!(f, "{what}")?;
    if let Some(line) = line {
        let (line, column) = cut(line, place.column as usize);
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(
            f,
            " {number} | {line}\n {margin} | {}^",
            " ".repeat(column - 1)
        )?;
    }
    if !hint.is_empty() {
        writeln!(f, "   = {hint}")?;
    }
    Ok(())
}

/// The part of `line` to show and the column of the caret in it, from 1. Control characters are
/// shown as spaces, so that a file cannot write to the terminal.
fn cut(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    let column = column.clamp(1, length + 1);
    let skipped = match length > LINE_SHOWN_MAX {
        true => column.saturating_sub(LINE_SHOWN_MAX / 2),
        false => 0,
    };
    let shown = line.chars().skip(skipped).take(LINE_SHOWN_MAX);
    let shown: String = shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    (shown, column - skipped)
}

/// The way from the root of the document to a node. Lives on the stack of the walk and is written
/// out only where there is a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    above: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The root.
    pub const ROOT: Path<'static> = Path {
        above: None,
        step: Step::Root,
    };

    /// The value of `key` in this mapping.
    pub fn key(&'a self, key: &'a str) -> Self {
        Self {
            above: Some(self),
            step: Step::Key(key),
        }
    }

    /// The entry `index` of this list.
    pub fn index(&'a self, index: usize) -> Self {
        Self {
            above: Some(self),
            step: Step::Index(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else {
            return Ok(());
        };
        write!(f, "{above}")?;
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => {
                if !matches!(above.step, Step::Root) {
                    f.write_str(".")?;
                }
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-$*".contains(c);
                match key.chars().all(plain) && !key.is_empty() {
                    true => f.write_str(key),
                    false => write!(f, "{key:?}"),
                }
            }
        }
    }
}

/// The entry of `known` that somebody who wrote `wrong` most likely meant: at most a third of its
/// letters differ. Cost: the product of the lengths for each entry.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A name of any length may stand in a file; a typing mistake is made in a short one.
    const LENGTH_MAX: usize = 64;
    if wrong.len() > LENGTH_MAX {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .filter(|name| name.len() <= LENGTH_MAX)
        .map(|name| {
            (
                distance(&wrong, &name.to_ascii_lowercase().replace('-', "_")),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= 1.max(name.len().max(wrong.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to say to somebody who wrote `wrong` where only `known` can stand.
pub(super) fn suggest<'a>(
    wrong: &str,
    kind: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    /// Names listed in full.
    const LISTED_MAX: usize = 24;
    let near = nearest(wrong, known.clone());
    let mut listed: Vec<&str> = known.into_iter().take(LISTED_MAX + 1).collect();
    let more = listed.len() > LISTED_MAX;
    listed.truncate(LISTED_MAX);
    let listed = listed.join(", ") + if more { ", ..." } else { "" };
    let listed = if listed.is_empty() {
        "none".to_owned()
    } else {
        listed
    };
    match near {
        Some(near) => format!("did you mean {near:?}? {kind}: {listed}"),
        None => format!("{kind}: {listed}"),
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_nearest(wrong: &str, expected: Option<&str>) {
        let known = [
            "integration",
            "throttle",
            "timeout",
            "timeouts",
            "body_bytes",
            "path",
        ];
        assert_eq!(nearest(wrong, known), expected);
    }

    #[test]
    fn the_nearest_name_is_found() {
        check_nearest("integraton", Some("integration"));
        check_nearest("Integration", Some("integration"));
        check_nearest("throtlte", Some("throttle"));
        check_nearest("body-bytes", Some("body_bytes"));
        check_nearest("timeotus", Some("timeouts"));
        check_nearest("apth", Some("path"));
        check_nearest("upstream", None);
        check_nearest("", None);
        check_nearest(&"x".repeat(100_000), None);
    }

    #[track_caller]
    fn check_shown(text: &str, place: (u32, u32), expected: &str) {
        let place = Place {
            line: place.0,
            column: place.1,
        };
        let root = Path::ROOT;
        let mistake = Mistake::new(place, root.key("a").index(2).key("b c"), "wrong").hint("right");
        let shown = Mistakes::of(&Source::new("f", text), vec![mistake])
            .unwrap()
            .to_string();
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_line_is_shown_with_a_caret() {
        let right = "   = right\n";
        check_shown(
            "x\nyä: z\n",
            (2, 5),
            &format!("f:2:5: a[2].\"b c\": wrong\n 2 | yä: z\n   |     ^\n{right}"),
        );
        check_shown(
            "x",
            (1, 99),
            &format!("f:1:99: a[2].\"b c\": wrong\n 1 | x\n   |  ^\n{right}"),
        );
        check_shown("x", (7, 1), &format!("f:7:1: a[2].\"b c\": wrong\n{right}"));
        check_shown(
            "\u{1b}[2J",
            (1, 1),
            &format!("f:1:1: a[2].\"b c\": wrong\n 1 |  [2J\n   | ^\n{right}"),
        );
        let long = "a".repeat(1000);
        let shown = "a".repeat(160);
        let caret = " ".repeat(79);
        check_shown(
            &long,
            (1, 500),
            &format!("f:1:500: a[2].\"b c\": wrong\n 1 | {shown}\n   | {caret}^\n{right}"),
        );
    }

    #[test]
    fn mistakes_stand_in_the_order_of_the_text_and_are_counted() {
        let at = |line| Mistake::new(Place { line, column: 1 }, "", format!("m{line}"));
        let source = Source::new("f", "");
        let all = (1..=103).rev().map(at).collect();
        let mistakes = Mistakes::of(&source, all).unwrap();
        assert_eq!(mistakes.all()[0].what, "m1");
        assert!(
            mistakes
                .to_string()
                .ends_with("f:100:1: m100\n\nand 3 more\n")
        );
        assert_eq!(Mistakes::of(&source, Vec::new()), None);
    }
}
