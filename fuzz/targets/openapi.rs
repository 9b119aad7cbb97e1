//! OpenAPI documents: never a panic, and what is imported comes back from its export.

use sluice::model::{
    Source,
    openapi::{self, About, ImportOptions, Version},
};

/// Panics where a promise does not hold.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let options = ImportOptions::default();
    let made = match openapi::import(&Source::new("api.yaml", text), &options) {
        Ok(made) => made,
        Err(mistakes) => {
            let shown = mistakes.to_string();
            assert!(shown.contains("api.yaml"), "{shown}");
            return;
        }
    };
    assert!(!made.report.to_string().is_empty());
    let written = openapi::export(&made.definition, &About::default(), Version::Oas30);
    let written = Source::new("export.json", &written.to_string());
    let again = openapi::import(&written, &options).expect("an export can be imported");
    assert_eq!(again.definition, made.definition);
    let mut refreshed = made.definition.clone();
    openapi::refresh(&mut refreshed);
    assert_eq!(refreshed, made.definition);
    // Not every document has the same form in the older version; it is written all the same.
    let _ = openapi::export(&made.definition, &About::default(), Version::Swagger20);
}
