//! The tables of `docs/configuration.md`, made of the schema and held against the file.
//!
//! The prose around the tables is written by hand; a table stands between `<!-- keys: Name -->` and
//! `<!-- end -->`, and every mapping of the schema must have one.

use super::{schema, tests::expect_file};
use serde_json::Value as Json;
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

const OPEN: &str = "<!-- keys: ";
const CLOSE: &str = "<!-- end -->";

#[test]
fn the_documentation_has_every_key_with_its_default_and_bounds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = fs::read_to_string(&path).unwrap();
    let schema = schema();
    let mut missing: BTreeSet<&str> = schema["$defs"]
        .as_object()
        .unwrap()
        .keys()
        .map(|k| &**k)
        .collect();
    missing.insert("Document");
    let mut made = String::new();
    let mut rest = written.as_str();
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (name, after) = after.split_once(" -->").unwrap();
        let (_, after) = after
            .split_once(CLOSE)
            .unwrap_or_else(|| panic!("{name} has no end"));
        let keys = if name == "Document" {
            &schema
        } else {
            &schema["$defs"][name]
        };
        write!(made, "{before}{OPEN}{name} -->\n{}{CLOSE}", table(keys)).unwrap();
        missing.remove(name);
        rest = after;
    }
    made.push_str(rest);
    assert!(
        missing.is_empty(),
        "docs/configuration.md has no table for {missing:?}"
    );
    expect_file(&path, &made);
}

/// The table of one mapping's keys.
fn table(mapping: &Json) -> String {
    let mut table =
        "\n| Key | Default | What can stand there | Meaning |\n| --- | --- | --- | --- |\n"
            .to_owned();
    let required: Vec<&str> = mapping["required"]
        .as_array()
        .map_or_else(Vec::new, |r| r.iter().filter_map(Json::as_str).collect());
    for (key, setting) in mapping["properties"].as_object().unwrap() {
        let default = match setting.get("default") {
            Some(Json::String(text)) if text.is_empty() => "`\"\"`".to_owned(),
            Some(Json::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
            None if required.contains(&&**key) => "required".to_owned(),
            None => String::new(),
        };
        let meaning = setting["description"].as_str().unwrap().replace('|', "\\|");
        writeln!(
            table,
            "| `{key}` | {default} | {} | {meaning} |",
            kind(setting)
        )
        .unwrap();
    }
    // Keys that are the person's own, and of which only the beginning is given.
    for (pattern, setting) in mapping["patternProperties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let beginning = pattern.trim_start_matches('^');
        let meaning = setting["description"].as_str().unwrap_or_default();
        writeln!(
            table,
            "| `{beginning}`... |  | {} | {meaning} |",
            kind(setting)
        )
        .unwrap();
    }
    table.push('\n');
    table
}

/// What values a schema takes, in words.
fn kind(schema: &Json) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return format!("a mapping: [{name}](#{})", anchor(name));
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    let bounds = bounds(schema);
    if let Some(choices) = schema["anyOf"]
        .as_array()
        .or_else(|| schema["oneOf"].as_array())
    {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ") + &bounds;
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|w| format!("`{}`", w.as_str().unwrap()))
            .collect::<Vec<_>>()
            .join(", ");
    }
    let has = |kind: &str| match &schema["type"] {
        Json::Array(kinds) => kinds.iter().any(|k| k == kind),
        other @ (Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::String(_)
        | Json::Object(_)) => other == kind,
    };
    if let Some([(name, value)]) = schema["properties"]
        .as_object()
        .map(|all| all.iter().collect::<Vec<_>>())
        .as_deref()
    {
        return format!("`{{ {name}: {} }}`", kind(value));
    }
    let plain = if has("object") {
        format!("by name, {}", kind(&schema["additionalProperties"]))
    } else if has("array") {
        format!("a list of {}", kind(&schema["items"]))
    } else if has("string") && has("integer") {
        "a size".to_owned()
    } else if has("string") && schema.get("pattern").is_some() {
        "a duration".to_owned()
    } else if has("string") {
        "text".to_owned()
    } else if has("integer") {
        "a whole number".to_owned()
    } else if has("number") {
        "a number".to_owned()
    } else if has("boolean") {
        "`true`, `false`".to_owned()
    } else {
        panic!("no words for {schema}")
    };
    plain + &bounds
}

fn bounds(schema: &Json) -> String {
    let plain = |edge: &Json| {
        edge.as_str()
            .map_or_else(|| edge.to_string(), str::to_owned)
    };
    let edges = [
        ("minimum", "maximum", ""),
        ("x-minimum", "x-maximum", ""),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
        ("minLength", "maxLength", " characters"),
    ];
    for (least, most, unit) in edges {
        if let (Some(least), Some(most)) = (schema.get(least), schema.get(most)) {
            return format!(", {} to {}{unit}", plain(least), plain(most));
        }
    }
    String::new()
}

/// The heading's anchor: headings are the names in words.
fn anchor(name: &str) -> String {
    name.to_ascii_lowercase()
}
