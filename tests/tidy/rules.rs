//! The rules themselves, each a function from a file to its faults, each with its own test.

use super::{
    File,
    text::{code, literals, live_code},
};

/// The rules that look at one file.
pub(crate) const OF_A_FILE: &[fn(&File) -> Vec<String>] = &[
    first_line_is_a_module_doc,
    imports_point_down,
    pure_files_do_not_wait,
    unsafe_stands_where_it_is_named,
    nothing_is_left_over,
    files_are_short,
    prose_cites_no_lines,
    no_words_of_the_workplace,
];

const GROUND: &[&str] = &["bounds", "error", "scope", "clock", "buffer"];

/// Each module and what it may import, besides [`GROUND`] for all but the ground itself. The map
/// in `src/lib.rs` says the same as a picture. Not named: `lib`, `main` and `cli`, which may
/// import all.
const LAYERS: &[(&str, &[&str])] = &[
    ("bounds", &[]),
    ("clock", &["bounds"]),
    ("error", &["bounds"]),
    ("scope", &["bounds"]),
    ("buffer", &["bounds"]),
    ("net", &[]),
    ("http", &[]),
    ("route", &["http"]),
    ("guard", &["http"]),
    ("upstream", &["http", "guard"]),
    ("observe", &["http"]),
    ("model", &["http"]),
    ("deploy", &["model"]),
    (
        "snapshot",
        &["http", "route", "guard", "upstream", "observe"],
    ),
    (
        "control",
        &[
            "net", "http", "route", "guard", "upstream", "observe", "model", "deploy", "snapshot",
        ],
    ),
    // The data plane never sees a configuration: no `model`, no `control`.
    (
        "proxy",
        &[
            "net", "http", "route", "guard", "upstream", "observe", "snapshot",
        ],
    ),
    (
        "worker",
        &[
            "net", "http", "route", "guard", "upstream", "observe", "snapshot", "proxy",
        ],
    ),
];

/// Modules whose files wait for nothing: time and chance are arguments.
const PURE: &[&str] = &[
    "bounds", "buffer", "deploy", "error", "guard", "http", "model", "observe", "route", "scope",
    "snapshot", "upstream",
];

/// Files in them that do input and output all the same, each with its reason.
const PURE_BUT_FOR: &[&str] = &[
    "src/deploy/store.rs",   // keeps deployments and stages in the state folder
    "src/observe/file.rs",   // is the access log's file
    "src/observe/sender.rs", // wakes the thread that writes the access log
    "src/observe/writer.rs", // is that thread
];

const WAITS: &[&str] = &[
    ".await",
    "monoio::",
    "tokio::",
    "std::net::Tcp",
    "std::fs::",
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "thread::sleep",
    "thread::park",
];

/// Files that hold `unsafe`, each of which opens with the reason.
const UNSAFE: &[&str] = &[
    "loadtest/tools/src/relay.rs", // the floor: a relay on the bare ring
    "src/net/stream.rs",
    "src/worker/memory.rs",
    "tests/allocation.rs",
];

/// Lines of a file: what somebody reads in one sitting.
const LINES_MAX: usize = 600;

fn fault(file: &File, line: usize, what: &str) -> String {
    format!("{}, line {line}: {what}", file.path)
}

/// One fault for each line of `text` on which `is_bad` finds something.
fn by_line<'t>(
    file: &File,
    text: &'t str,
    mut is_bad: impl FnMut(&'t str) -> Option<String>,
) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(at, line)| is_bad(line).map(|what| fault(file, at + 1, &what)))
        .collect()
}

fn first_line_is_a_module_doc(file: &File) -> Vec<String> {
    let opens = file.text.starts_with("//! ");
    if !file.is_rust() || opens {
        return Vec::new();
    }
    vec![fault(
        file,
        1,
        "opens without `//!`: say what the file is for",
    )]
}

fn imports_point_down(file: &File) -> Vec<String> {
    let layer = LAYERS.iter().find(|(module, _)| *module == file.module());
    let (true, Some((module, below))) = (file.is_source(), layer) else {
        return Vec::new();
    };
    let ground = if GROUND.contains(module) { &[] } else { GROUND };
    let mut faults = Vec::new();
    for (line, name) in crate_names(&live_code(file)) {
        if name != *module && !below.contains(&&*name) && !ground.contains(&&*name) {
            let what = format!("`{module}` imports `{name}`, which does not stand below it");
            faults.push(fault(file, line, &what));
        }
    }
    faults
}

/// The modules that code names by `crate::`, groups included, each with its line.
fn crate_names(code: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + found.len()..];
        match rest.trim_start().strip_prefix('{') {
            Some(group) => names.extend(heads_of_group(group).map(|name| (line, name))),
            None => names.push((line, name_at(rest))),
        }
    }
    names.retain(|(_, name)| name.starts_with(char::is_lowercase));
    names
}

fn name_at(text: &str) -> String {
    let name = text.trim_start().chars();
    name.take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first names of the elements of a group, of which `group` is what follows its brace.
fn heads_of_group(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    let mut heads = vec![name_at(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(name_at(&group[at + 1..])),
            _ => {}
        }
    }
    heads.into_iter().filter(|name| !name.is_empty())
}

fn pure_files_do_not_wait(file: &File) -> Vec<String> {
    let excepted = PURE_BUT_FOR.contains(&&*file.path);
    if !file.is_source() || !PURE.contains(&file.module()) || excepted {
        return Vec::new();
    }
    by_line(file, &live_code(file), |line| {
        let word = WAITS.iter().find(|word| line.contains(**word))?;
        Some(format!("`{word}` in a pure file: make it an argument"))
    })
}

fn unsafe_stands_where_it_is_named(file: &File) -> Vec<String> {
    if !file.is_rust() || UNSAFE.contains(&&*file.path) {
        return Vec::new();
    }
    by_line(file, &code(&file.text), |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let found = words.any(|word| word == "unsafe" || word == "unsafe_code");
        found.then(|| "`unsafe` in a file that is not named for it".to_owned())
    })
}

fn nothing_is_left_over(file: &File) -> Vec<String> {
    // In pieces, so that this file passes its own rule.
    let notes = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let macros = ["dbg!", "todo!", "unimplemented!", "#[ignore"];
    let speaks = file.path.starts_with("src/cli/") || file.path == "src/main.rs";
    if !file.is_rust() {
        return Vec::new();
    }
    let what = |word: &str| Some(format!("`{word}` is left over: do it, or file it"));
    let mut faults = by_line(file, &file.text, |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        words.find(|word| notes.contains(word)).and_then(what)
    });
    faults.extend(by_line(file, &code(&file.text), |line| {
        macros
            .iter()
            .find(|word| line.contains(**word))
            .and_then(|word| what(word))
    }));
    if file.is_source() && !speaks {
        faults.extend(by_line(file, &live_code(file), |line| {
            let found = line.contains("println!") || line.contains("print!(");
            found.then(|| "prints: only `cli` speaks to a terminal, the rest logs".to_owned())
        }));
    }
    faults
}

fn files_are_short(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    if !file.is_rust() || lines <= LINES_MAX {
        return Vec::new();
    }
    let what = format!("{lines} lines, {LINES_MAX} at most: part it along its seams");
    vec![fault(file, LINES_MAX + 1, &what)]
}

fn prose_cites_no_lines(file: &File) -> Vec<String> {
    if !file.is_rust() && !file.path.ends_with(".md") {
        return Vec::new();
    }
    by_line(file, &file.text, |line| {
        let mut cited = line
            .match_indices(".rs:")
            .map(|(at, found)| at + found.len());
        cited
            .any(|end| line[end..].starts_with(|c: char| c.is_ascii_digit()))
            .then(|| "cites a line of a file: lines move, name the item".to_owned())
    })
}

fn no_words_of_the_workplace(file: &File) -> Vec<String> {
    let words = [concat!("/wo", "rk/"), concat!("issue", " #")];
    by_line(file, &file.text, |line| {
        let word = words.iter().find(|word| line.contains(**word))?;
        Some(format!(
            "`{word}` means nothing to who reads this elsewhere"
        ))
    })
}

/// Every ``Bench: `a/b` `` of a doc comment is the name of a bench.
pub(crate) fn contracts_have_benches(files: &[File]) -> Vec<String> {
    let benches: Vec<&str> = files
        .iter()
        .filter(|file| file.path.starts_with("benches/"))
        .flat_map(|file| literals(&file.text))
        .collect();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.is_source()) {
        faults.extend(by_line(file, &file.text, |line| {
            let (_, contract) = line.split_once("Bench: `")?;
            let (name, _) = contract.split_once('`')?;
            let what = || format!("the bench `{name}` does not exist");
            (!is_a_bench(name, &benches)).then(what)
        }));
    }
    faults
}

/// Whether `name` is among the literals as it is; or as a group and a name in it; or as a literal
/// with a `{placeholder}` that stands for part of it.
fn is_a_bench(name: &str, literals: &[&str]) -> bool {
    if literals.contains(&name) {
        return true;
    }
    let Some((group, last)) = name.split_once('/') else {
        return false;
    };
    let in_group = literals.contains(&last);
    literals
        .iter()
        .any(|literal| match literal.split_once('{') {
            None => *literal == group && in_group,
            Some((before, _)) if before == format!("{group}/") => in_group,
            Some((before, _)) => before.len() > group.len() + 1 && name.starts_with(before),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[track_caller]
    fn check(rule: fn(&File) -> Vec<String>, path: &str, text: &str, faults: usize) {
        let found = rule(&file(path, text));
        assert_eq!(found.len(), faults, "{found:?} in {path}: {text}");
    }

    #[test]
    fn module_docs() {
        check(first_line_is_a_module_doc, "src/a.rs", "//! What.\n", 0);
        check(first_line_is_a_module_doc, "src/a.rs", "use a;\n", 1);
        check(first_line_is_a_module_doc, "tests/a.rs", "//!\n", 1);
        check(first_line_is_a_module_doc, "src/a.rs", "", 1);
        check(first_line_is_a_module_doc, "README.md", "# A", 0);
    }

    #[test]
    fn layers() {
        let check = |path: &str, text: &str, faults| check(imports_point_down, path, text, faults);
        check(
            "src/http/a.rs",
            "use crate::error::Error;\nuse crate::{bounds, buffer::Pool};",
            0,
        );
        check("src/http/a.rs", "use crate::http::Method;", 0);
        check("src/http/a.rs", "use crate::route::Table;", 1);
        check(
            "src/http/a.rs",
            "use crate::{\n    bounds,\n    route::{Table, normalise},\n};",
            1,
        );
        check(
            "src/http/a.rs",
            "use crate::{route::{a, b}, model, error};",
            2,
        );
        check(
            "src/http/a.rs",
            "fn a() -> crate::proxy::A { crate::snapshot::b() }",
            2,
        );
        check(
            "src/http/a.rs",
            "// use crate::route;\nconst A: &str = \"crate::route\";",
            0,
        );
        check(
            "src/http/a.rs",
            "#[cfg(test)]\nmod tests {\nuse crate::route;\n}",
            0,
        );
        check("src/http/a/tests.rs", "use crate::route;", 0);
        check("src/clock.rs", "use crate::bounds;", 0);
        check("src/clock.rs", "use crate::buffer;", 1);
        check("src/proxy/a.rs", "use crate::{control, snapshot};", 1);
        check("src/control/a.rs", "use crate::{proxy, snapshot};", 1);
        check("src/proxy/a.rs", "use crate::model;", 1);
        check("src/worker/a.rs", "use crate::{control, proxy};", 1);
        check("src/cli/a.rs", "use crate::{control, proxy, worker};", 0);
        check("tests/a.rs", "use crate::route;", 0);
    }

    #[test]
    fn pure_files() {
        let check = |path: &str, text: &str, faults| {
            check(pure_files_do_not_wait, path, text, faults);
        };
        check(
            "src/http/a.rs",
            "a.await;\nb();\nstd::time::Instant::now();",
            2,
        );
        check("src/http/a.rs", "// `.await` is not for us\n", 0);
        check(
            "src/http/a.rs",
            "#[cfg(test)]\nmod tests {\nstd::fs::read(a);\n}",
            0,
        );
        check("src/snapshot.rs", "use tokio::task;", 1);
        check("src/proxy/a.rs", "a.await", 0);
        check("src/observe/writer.rs", "std::thread::spawn(a)", 0);
        check("src/observe/field.rs", "std::thread::spawn(a)", 1);
    }

    #[test]
    fn blocks_that_are_not_safe() {
        let check = |path: &str, text: &str, faults| {
            check(unsafe_stands_where_it_is_named, path, text, faults);
        };
        check("src/http/a.rs", "unsafe { a() }", 1);
        check("src/http/a.rs", "#![allow(unsafe_code)]", 1);
        check(
            "src/http/a.rs",
            "// unsafe is not needed\nlet a = \"unsafe\"; unsafely();",
            0,
        );
        check("src/net/stream.rs", "unsafe { a() }", 0);
    }

    #[test]
    fn leftovers() {
        let check = |path: &str, text: &str, faults| {
            check(nothing_is_left_over, path, text, faults);
        };
        check("src/a.rs", concat!("// TO", "DO: more"), 1);
        check("src/a.rs", concat!("a(); // FIX", "ME"), 1);
        check("tests/a.rs", concat!("// XX", "X"), 1);
        check("src/a.rs", "dbg!(a);\ntodo!()\nunimplemented!()", 3);
        check("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}", 1);
        check("src/a.rs", "println!(\"a\"); eprintln!(\"b\")", 1);
        check("src/cli/a.rs", "println!(\"a\")", 0);
        check("tests/a.rs", "println!(\"a\")", 0);
        check("src/a.rs", "let a = \"dbg!\"; // todo!", 0);
    }

    #[test]
    fn lengths() {
        check(files_are_short, "src/a.rs", &"a\n".repeat(600), 0);
        check(files_are_short, "src/a.rs", &"a\n".repeat(601), 1);
        check(files_are_short, "docs/a.md", &"a\n".repeat(601), 0);
    }

    #[test]
    fn citations() {
        check(
            prose_cites_no_lines,
            "docs/a.md",
            concat!("see `a.rs", ":12`"),
            1,
        );
        check(
            prose_cites_no_lines,
            "src/a.rs",
            concat!("// b.rs", ":7, c.rs", ":8"),
            1,
        );
        check(
            prose_cites_no_lines,
            "docs/a.md",
            "`a.rs`: this, `b.rs::c`",
            0,
        );
    }

    #[test]
    fn workplace() {
        check(
            no_words_of_the_workplace,
            "docs/a.md",
            concat!("in /wo", "rk/a"),
            1,
        );
        check(
            no_words_of_the_workplace,
            "src/a.rs",
            concat!("// issue", " #2"),
            1,
        );
        check(
            no_words_of_the_workplace,
            "src/a.rs",
            "// an issue of work",
            0,
        );
    }

    #[test]
    fn benches() {
        let literals = [
            "http/head",
            "route/find_{count}{suffix}",
            "pick/{name}",
            "robin",
            "g",
            "x",
        ];
        for (name, expected) in [
            ("http/head", true),
            ("http/heads", false),
            ("route/find_1000", true),
            ("route/other", false),
            ("pick/robin", true),
            ("pick/least", false),
            ("g/x", true),
            ("g/y", false),
        ] {
            assert_eq!(is_a_bench(name, &literals), expected, "{name}");
        }
        let contract = file("src/a.rs", "//! A.\n/// Bench: `a/b`.");
        let bench = |text: &str| file("benches/a.rs", text);
        let with =
            |text: &str| contracts_have_benches(&[file("src/a.rs", &contract.text), bench(text)]);
        assert!(with("f(\"a/b\")").is_empty());
        assert_eq!(with("f(\"a/c\") // \"a/b\"").len(), 1);
    }
}
