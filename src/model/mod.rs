//! What people write: text to [`Checked`], in three steps, each a type.
//!
//! ```text
//! text      --tree-->      Node       YAML with places; nothing of what keys mean
//! Node      --setting-->   Document   as written: keys, types, ranges, defaults
//! Document  --check-->     Checked    no invalid state: names resolved, texts parsed
//! ```
//!
//! Every step records all mistakes it finds, with their places; [`Mistakes`] shows them. `control`
//! reads the file, calls [`read`] and compiles the snapshot from what it gives; nothing here opens
//! a file, and nothing here is used by a request.

mod check;
pub mod checked;
mod conditions;
pub mod definition;
mod document;
#[cfg(test)]
mod documentation;
mod later;
mod mistake;
mod names;
pub mod openapi;
pub mod origins;
mod plain;
mod scalar;
mod setting;
mod store;
mod template;
#[cfg(test)]
mod tests;
pub mod throttle;
mod tree;
pub mod variables;

pub use checked::Checked;
pub use definition::Definition;
pub use mistake::{Mistake, Mistakes, Path, Place, Source};
pub use setting::Placed;

/// Gives the text of a file that the configuration names, or why there is none.
pub type Files<'a> = &'a dyn Fn(&std::path::Path) -> Result<String, String>;

/// Reads `text`, which the person knows as `file_name` and whose relative paths start from
/// `folder`.
///
/// Cost: linear in the text, which is at most [`crate::bounds::CONFIG_BYTES_MAX`] long. Never
/// panics, whatever the text.
pub fn read(file_name: &str, text: &str, folder: &std::path::Path) -> Result<Checked, Mistakes> {
    let none = |_: &std::path::Path| Err("other files are not read here".to_owned());
    read_and(file_name, text, folder, &none, |_| Vec::new())
}

/// [`read`], with `files` to read what the text refers to; and where something is wrong, `further` looks at all that could be made of the text
/// all the same, so that what a later step would refuse is told in the same run.
///
/// What it finds at a place that is known to be wrong is left out: it may be about what stands in
/// for the mistake.
pub fn read_and(
    file_name: &str,
    text: &str,
    folder: &std::path::Path,
    files: Files<'_>,
    further: impl FnOnce(&Checked) -> Vec<Mistake>,
) -> Result<Checked, Mistakes> {
    let source = Source::new(file_name, text);
    let mut found = Vec::new();
    let checked = match tree::parse(text) {
        Ok(root) => document::Document::read(&root, &mut found)
            .map(|document| check::check(document, &source, (folder, files), &mut found)),
        Err(mistake) => {
            found.push(mistake);
            None
        }
    };
    if !found.is_empty()
        && let Some(checked) = &checked
    {
        let known: std::collections::HashSet<Place> = found.iter().map(|m| m.place).collect();
        let more = further(checked).into_iter();
        found.extend(more.filter(|mistake| !known.contains(&mistake.place)));
    }
    match (Mistakes::of(&source, found), checked) {
        (Some(mistakes), _) => Err(mistakes),
        (None, Some(checked)) => Ok(checked),
        (None, None) => unreachable!("a reader that gives nothing records why"),
    }
}

/// The JSON Schema of the configuration, for editors and the documentation.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(document::Document).to_value()
}
