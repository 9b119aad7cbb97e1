//! What an import made of every part of a document: an ordered list of lines, shown as a table.
//!
//! Nothing of a document goes unmentioned: each of its values stands at or below the pointer of
//! some line. What makes a document unfit to be imported at all is no line but a mistake.

use super::{pointer, text};
use crate::model::{
    definition::Missing,
    mistake::{Mistake, Place},
    tree::Node,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

/// Characters of a pointer and of a description that the table shows.
const WHERE_MAX: usize = 48;
const WHAT_MAX: usize = 72;

/// What comes of a part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does what it says, or says nothing that a gateway would do.
    Works,
    /// It is kept, and works once these come; until then the routes that it is about answer 501.
    Later(Vec<Missing>),
    /// It is kept and has no effect here, for this reason.
    Ignored(String),
    /// It is not as it should be.
    Wrong(String),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where in the text.
    pub place: Place,
    /// Where in the document, as a JSON pointer.
    pub pointer: String,
    /// The route's key, of a line about a whole operation.
    pub route: Option<String>,
    /// What stands there.
    pub what: String,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What an import made of every part of a document, in the order of its text. Shown by `Display`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The lines.
    pub lines: Vec<Line>,
}

impl Report {
    /// Lines about what is not as it should be.
    pub fn wrong(&self) -> impl Iterator<Item = &Line> {
        let wrong = |line: &&Line| matches!(line.outcome, Outcome::Wrong(_));
        self.lines.iter().filter(wrong)
    }

    /// Lines about what this build does not do yet.
    pub fn later(&self) -> impl Iterator<Item = &Line> {
        let later = |line: &&Line| matches!(line.outcome, Outcome::Later(_));
        self.lines.iter().filter(later)
    }
}

impl Outcome {
    fn words(&self) -> String {
        match self {
            Self::Works => "works".to_owned(),
            Self::Later(missing) => {
                let names: Vec<&str> = missing.iter().map(|missing| missing.name()).collect();
                format!("later: {}", names.join(", "))
            }
            Self::Ignored(why) => format!("ignored: {why}"),
            Self::Wrong(why) => format!("WRONG: {why}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |line: &Line| {
            [
                format!("{}:{}", line.place.line, line.place.column),
                ending(&plain(&line.pointer), WHERE_MAX),
                beginning(&plain(&line.what), WHAT_MAX),
                plain(&line.outcome.words()),
            ]
        };
        let head = ["line", "where", "what", "outcome"].map(str::to_owned);
        let rows: Vec<[String; 4]> = std::iter::once(head)
            .chain(self.lines.iter().map(row))
            .collect();
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let (first, second, third) = (width(0), width(1), width(2));
        for [place, at, what, outcome] in &rows {
            writeln!(f, "{place:first$}  {at:second$}  {what:third$}  {outcome}")?;
        }
        writeln!(f)?;
        self.summary(f)
    }
}

impl Report {
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| line.route.is_some())
            .collect();
        let work = routes.iter().filter(|line| line.outcome == Outcome::Works);
        let plural = if routes.len() == 1 { "" } else { "s" };
        writeln!(f, "{} of {} route{plural} work", work.count(), routes.len())?;
        let mut waiting: BTreeMap<Missing, usize> = BTreeMap::new();
        for line in &routes {
            if let Outcome::Later(missing) = &line.outcome {
                for missing in missing {
                    *waiting.entry(*missing).or_default() += 1;
                }
            }
        }
        for (missing, count) in waiting {
            writeln!(f, "  {count} answer 501 until there is: {missing}")?;
        }
        let ignored = |line: &&Line| matches!(line.outcome, Outcome::Ignored(_));
        let ignored = self.lines.iter().filter(ignored).count();
        writeln!(f, "{ignored} ignored, {} wrong", self.wrong().count())
    }
}

/// Without control characters, so that a document cannot write to the terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn beginning(text: &str, length_max: usize) -> String {
    match text.chars().count() > length_max {
        true => text.chars().take(length_max - 3).collect::<String>() + "...",
        false => text.to_owned(),
    }
}

fn ending(text: &str, length_max: usize) -> String {
    let length = text.chars().count();
    match length > length_max {
        true => {
            let rest: String = text.chars().skip(length - (length_max - 3)).collect();
            format!("...{rest}")
        }
        false => text.to_owned(),
    }
}

/// What is found while a document is read: by pointers, before places are known.
#[derive(Debug, Default)]
pub(super) struct Notes {
    lines: Vec<Line>,
    /// Pointer, what is wrong, what would be right.
    mistakes: Vec<(String, String, String)>,
}

impl Notes {
    fn line(&mut self, at: &str, route: Option<&str>, what: String, outcome: Outcome) {
        self.lines.push(Line {
            place: Place::BEGINNING,
            pointer: at.to_owned(),
            route: route.map(str::to_owned),
            what,
            outcome,
        });
    }

    /// What stands at `at` does what it says.
    pub(super) fn works(&mut self, at: &str, what: impl Into<String>) {
        self.line(at, None, what.into(), Outcome::Works);
    }

    /// What stands at `at` has no effect.
    pub(super) fn ignored(&mut self, at: &str, what: impl Into<String>, why: impl Into<String>) {
        self.line(at, None, what.into(), Outcome::Ignored(why.into()));
    }

    /// What stands at `at` works once `missing` comes.
    pub(super) fn later(&mut self, at: &str, what: impl Into<String>, missing: Missing) {
        self.line(at, None, what.into(), Outcome::Later(vec![missing]));
    }

    /// What stands at `at` is not as it should be.
    pub(super) fn wrong(&mut self, at: &str, what: impl Into<String>, why: impl Into<String>) {
        self.line(at, None, what.into(), Outcome::Wrong(why.into()));
    }

    /// The operation at `at`, as the route `key`.
    pub(super) fn route(&mut self, at: &str, key: &str, what: String, missing: &[Missing]) {
        let outcome = match missing {
            [] => Outcome::Works,
            missing => Outcome::Later(missing.to_vec()),
        };
        self.line(at, Some(key), what, outcome);
    }

    /// What stands at `at` makes the document unfit.
    pub(super) fn mistake(&mut self, at: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.mistakes
            .push((at.to_owned(), what.into(), hint.into()));
    }

    /// The report and the mistakes, with the places that `root` knows.
    pub(super) fn placed(self, root: &Node<'_>) -> (Report, Vec<Mistake>) {
        let Self {
            mut lines,
            mistakes,
        } = self;
        let pointers = lines.iter().map(|line| &line.pointer);
        let pointers = pointers.chain(mistakes.iter().map(|(at, ..)| at));
        let mut known: HashMap<String, Place> = HashMap::new();
        for at in pointers {
            // What is missing stands where it would: its parents are asked too.
            let mut above = Some(at.as_str());
            while let Some(at) = above {
                if known.insert(at.to_owned(), NOWHERE).is_some() {
                    break;
                }
                above = pointer::parent(at);
            }
        }
        text::places(root, &mut known);
        for line in &mut lines {
            line.place = place(&known, &line.pointer);
        }
        lines.sort_by_key(|line| line.place);
        // What stands at the root is met once for every operation.
        lines.dedup();
        let mistakes = mistakes.into_iter().map(|(at, what, hint)| {
            let path = if at.is_empty() {
                at.clone()
            } else {
                format!("#{at}")
            };
            Mistake::new(place(&known, &at), path, what).hint(hint)
        });
        (Report { lines }, mistakes.collect())
    }
}

/// Stands for a place that is not known.
const NOWHERE: Place = Place { line: 0, column: 0 };

fn place(known: &HashMap<String, Place>, at: &str) -> Place {
    let mut above = Some(at);
    while let Some(at) = above {
        match known.get(at) {
            Some(place) if *place != NOWHERE => return *place,
            _ => above = pointer::parent(at),
        }
    }
    Place::BEGINNING
}
