//! The fuzz targets as plain tests: each over its corpus, which holds what was once found too.
//!
//! The target `route` needs the naive matcher: `cargo test --features fuzzing`.

use std::{fs, path::Path};

#[path = "../fuzz/targets/mod.rs"]
mod targets;

/// Runs `target` over the files of `fuzz/corpus/<name>`, and over each with its end cut off.
#[track_caller]
fn check(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("every target has a corpus") {
        let path = entry.expect("a readable folder").path();
        let input = fs::read(&path).expect("a readable file");
        let shown = Shown(&path);
        target(&input);
        for cut in [1, 2, input.len() / 2] {
            target(&input[..input.len().saturating_sub(cut)]);
        }
        drop(shown);
        files += 1;
    }
    assert!(files >= 10, "{name} has only {files} files");
}

/// Names the file that was being read when a target panicked.
struct Shown<'p>(&'p Path);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input is {}", self.0.display());
        }
    }
}

#[test]
fn request_heads() {
    check("request_head", targets::request_head::run);
}

#[test]
fn response_heads() {
    check("response_head", targets::response_head::run);
}

#[test]
fn chunked_bodies() {
    check("chunked", targets::chunked::run);
}

#[cfg(feature = "fuzzing")]
#[test]
fn routes() {
    check("route", targets::route::run);
}

#[test]
fn paths() {
    check("path", targets::path::run);
}

#[test]
fn openapi_documents() {
    check("openapi", targets::openapi::run);
}

#[test]
fn configurations() {
    check("config", targets::config::run);
}
