//! Configuration text: never a panic, and every mistake can be shown.

use std::path::Path;

/// Panics where a promise does not hold.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Err(mistakes) = sluice::model::read("sluice.yaml", text, Path::new("/nowhere")) {
        let shown = mistakes.to_string();
        assert!(shown.contains("sluice.yaml"), "{shown}");
    }
}
