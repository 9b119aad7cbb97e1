//! The rules of the house, as a test. Each failure names the file, the rule and the remedy; all are
//! reported at once. What clippy and rustfmt hold is not repeated here.

use std::{fs, path::Path};

mod rules;
mod text;

/// One file of the tree.
pub(crate) struct File {
    /// From the root of the tree, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl File {
    /// Whether the program is made of it, its own tests included.
    pub(crate) fn is_source(&self) -> bool {
        self.path.starts_with("src/") && self.is_rust()
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The first name under `src/`: `http` of `src/http/date.rs`, `clock` of `src/clock.rs`.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let name = inside.split('/').next().unwrap_or(inside);
        name.strip_suffix(".rs").unwrap_or(name)
    }
}

/// Folders and files that are looked through. What is not there yet is passed over.
const TREE: &[&str] = &[
    ".ci",
    "CHANGELOG.md",
    "Cargo.toml",
    "README.md",
    "benches",
    "config",
    "docs",
    "fuzz/Cargo.toml",
    "fuzz/fuzz_targets",
    "fuzz/targets",
    "loadtest",
    "src",
    "tests",
];

/// Names that are never looked into: what is made by running things.
const MADE: &[&str] = &["target", "results", ".venv", "node_modules", "__pycache__"];

/// All files under [`TREE`] that are text.
fn tree() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for name in TREE {
        collect(root, &root.join(name), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, path: &Path, files: &mut Vec<File>) {
    if path
        .file_name()
        .is_some_and(|name| MADE.iter().any(|made| name == *made))
    {
        return;
    }
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            collect(root, &entry.path(), files);
        }
        return;
    }
    // What is no text has no rules.
    if let (Ok(text), Ok(inside)) = (fs::read_to_string(path), path.strip_prefix(root)) {
        let path = inside.to_string_lossy().replace('\\', "/");
        files.push(File { path, text });
    }
}

#[test]
fn the_tree_is_tidy() {
    let files = tree();
    let sources = files.iter().filter(|file| file.is_source()).count();
    assert!(sources > 50, "only {sources} sources were found");
    let mut faults = Vec::new();
    for file in &files {
        for rule in rules::OF_A_FILE {
            faults.extend(rule(file));
        }
    }
    faults.extend(rules::contracts_have_benches(&files));
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
