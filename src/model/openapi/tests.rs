//! Importing and exporting as a whole: files with what is expected beside them, and Amazon's.
//!
//! What holds of every document is in `properties.rs`.

use super::*;
use crate::model::{definition::Missing, tests::expect_file};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The documents of a folder, in order.
pub(super) fn documents(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_document = |path: &PathBuf| {
        path.extension()
            .is_some_and(|kind| kind == "json" || kind == "yaml")
    };
    let mut documents: Vec<PathBuf> = entries.filter(is_document).collect();
    documents.sort();
    assert!(!documents.is_empty(), "{folder} is empty");
    documents
}

pub(super) fn options() -> ImportOptions {
    ImportOptions {
        base_path: BasePath::Ignore,
        origins: BTreeMap::from([
            ("https://api.example.com".to_owned(), "users".to_owned()),
            (
                "https://api.example.com:8443/".to_owned(),
                "users-8443".to_owned(),
            ),
        ]),
        lambda_endpoint: Some("http://127.0.0.1:9001".to_owned()),
    }
}

pub(super) fn source(path: &Path) -> Source {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap();
    Source::new(name, &fs::read_to_string(path).unwrap())
}

#[track_caller]
pub(super) fn imported(text: &str, options: &ImportOptions) -> Imported {
    import(&Source::new("api.json", text), options).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The report, and what became of each route.
fn shown(imported: &Imported) -> String {
    let mut out = imported.report.to_string();
    let definition = &imported.definition;
    writeln!(out, "\n{:?}", definition.compat).unwrap();
    for (key, route) in &definition.routes {
        let integration = serde_json::to_value(&route.integration).unwrap();
        write!(out, "{key}: {integration}").unwrap();
        if !route.timeout_ms.is_default() {
            write!(out, " {:?}", route.timeout_ms).unwrap();
        }
        if !route.missing.is_empty() {
            write!(out, " {:?}", route.missing).unwrap();
        }
        out.push('\n');
    }
    out
}

#[test]
fn documents_become_what_stands_beside_them() {
    for folder in ["tests/data/openapi/valid", "tests/data/amazon/openapi"] {
        for path in documents(folder) {
            let imported = import(&source(&path), &options());
            let imported = imported.unwrap_or_else(|m| panic!("{}:\n{m}", path.display()));
            expect_file(&path.with_extension("txt"), &shown(&imported));
        }
    }
}

#[test]
fn what_is_unfit_is_refused_with_its_places() {
    for path in documents("tests/data/openapi/refused") {
        let mistakes = import(&source(&path), &options()).expect_err(&path.display().to_string());
        expect_file(&path.with_extension("txt"), &mistakes.to_string());
    }
}

/// Every pointer of `value` that has nothing below it.
fn leaves(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(value, &pointer::child(at, key), out);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for (index, value) in entries.iter().enumerate() {
                leaves(value, &pointer::child(at, &index.to_string()), out);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => out.push(at.to_owned()),
    }
}

#[test]
fn the_report_accounts_for_every_value() {
    for path in documents("tests/data/openapi/valid") {
        let source = source(&path);
        let report = import(&source, &options()).unwrap().report;
        let root = text::parse(&source.text).unwrap();
        let mut all = Vec::new();
        leaves(&text::to_json(&root, "", &mut Vec::new()), "", &mut all);
        for leaf in all {
            let mut above = Some(leaf.as_str());
            let covered = std::iter::from_fn(|| {
                let at = above?;
                above = pointer::parent(at).filter(|at| !at.is_empty());
                Some(at)
            });
            let covered = covered
                .into_iter()
                .any(|at| report.lines.iter().any(|line| line.pointer == at));
            assert!(covered, "{}: nothing is said of {leaf}", path.display());
        }
    }
}

#[test]
fn every_extension_of_amazons_is_spoken_of() {
    let path = home("tests/data/openapi/valid/every_extension.yaml");
    let report = import(&source(&path), &options()).unwrap().report;
    let unknown = report.lines.iter().filter(|line| {
        matches!(&line.outcome, Outcome::Ignored(why) if why.contains("no extension") || why.contains("no such key"))
    });
    let unknown: Vec<&str> = unknown.map(|line| line.what.as_str()).collect();
    assert!(
        report
            .wrong()
            .any(|line| line.what == "x-amazon-apigateway-future")
    );
    assert_eq!(
        unknown,
        [
            "x-owner",
            "x-server",
            "x-tag",
            "x-paths",
            "x-item",
            "x-operation",
            "nonsense",
            "x-auth",
            "x-integration",
            "x-scheme",
            "x-authorizer",
            "x-components",
            "x-root",
        ]
    );
}

#[track_caller]
fn check_base_path(document: &str, way: BasePath, listed: &Value, mapping: Option<&str>) {
    let options = ImportOptions {
        base_path: way,
        ..ImportOptions::default()
    };
    let made = imported(document, &options);
    let paths: Vec<&str> = made
        .definition
        .routes
        .keys()
        .map(|key| &key["GET ".len()..])
        .collect();
    let listed: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path.as_str().unwrap())
        .collect();
    // Amazon lists what lies on the way to a path too.
    for path in &paths {
        assert!(listed.contains(path), "{path} in {listed:?}");
    }
    for path in listed {
        let below = |own: &&str| *own == path || own.starts_with(path.trim_end_matches('/'));
        assert!(paths.iter().any(below), "{path} in {paths:?}");
    }
    assert_eq!(made.mapping.as_deref(), mapping);
    // What is exported has the base path in its paths, and keeps them.
    let written = export(&made.definition, &About::default(), Version::Oas30).to_string();
    for options in [options, ImportOptions::default()] {
        let again = imported(&written, &options);
        assert_eq!(again.definition, made.definition);
        assert_eq!(again.mapping, made.mapping);
    }
}

#[test]
fn base_paths_as_amazon_has_them() {
    let vectors = include_str!("../../../tests/data/amazon/openapi_basepath_import.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let paths: Map<String, Value> = vectors["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| {
            (
                path.as_str().unwrap().to_owned(),
                serde_json::json!({ "get": {} }),
            )
        })
        .collect();
    let base = &vectors["basePath"];
    for document in [
        serde_json::json!({ "swagger": "2.0", "basePath": base, "paths": paths }),
        serde_json::json!({ "openapi": "3.0.1", "servers": [{ "url": format!("https://a.test{}", base.as_str().unwrap()) }], "paths": paths }),
        serde_json::json!({ "openapi": "3.0.1", "servers": [
            { "url": "https://a.test/{basePath}", "variables": { "basePath": { "default": base } } }, { "url": "/other" },
        ], "paths": paths }),
    ] {
        let document = document.to_string();
        check_base_path(&document, BasePath::Ignore, &vectors["ignore"], None);
        check_base_path(&document, BasePath::Prepend, &vectors["prepend"], None);
        check_base_path(&document, BasePath::Split, &vectors["split"], Some("/a"));
    }
}

#[test]
fn references_to_paths_follow_the_base_path() {
    let document = r##"{"swagger": "2.0", "basePath": "/v1", "paths": {
        "/a": {"get": {"x-amazon-apigateway-integration": {"type": "mock"}}},
        "/b": {"$ref": "#/paths/~1a"}, "/": {"$ref": "#/paths/~1a"}}}"##;
    let options = ImportOptions {
        base_path: BasePath::Prepend,
        ..ImportOptions::default()
    };
    let made = imported(document, &options).definition;
    let keys: Vec<&String> = made.routes.keys().collect();
    assert_eq!(keys, ["GET /v1", "GET /v1/a", "GET /v1/b"]);
}

#[test]
fn a_newer_build_makes_more_of_what_an_older_one_imported() {
    for path in documents("tests/data/openapi/valid") {
        let made = import(&source(&path), &options()).unwrap().definition;
        let mut older = made.clone();
        for route in older.routes.values_mut() {
            route.missing = vec![Missing::Integration];
            route.integration = crate::model::definition::Integration::Unset;
        }
        refresh(&mut older);
        assert_eq!(older, made, "{}", path.display());
    }
}

#[test]
fn a_guard_counts_for_a_route_of_ours_too() {
    let document = r#"{"openapi": "3.0.1", "paths": {"/a": {"get": {"security": [{"key": []}],
        "x-sluice-route": {"integration": {"type": "mock", "status": 200}}}}}}"#;
    let made = imported(document, &ImportOptions::default()).definition;
    assert_eq!(made.routes["GET /a"].missing, [Missing::Authorizer]);
}

#[test]
fn what_is_long_is_read() {
    let mut document = String::from("openapi: 3.0.1\npaths:\n");
    for number in 0..5_000 {
        writeln!(
            document,
            "  /orders/{number}/{{id}}:\n    get:\n      responses: {{\"200\": {{description: a description that is as long as they are}}}}\n      \
             x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: \"http://orders.internal/{number}/{{id}}\"}}"
        )
        .unwrap();
    }
    assert!(document.len() > 1_000_000);
    let made = imported(&document, &ImportOptions::default());
    assert_eq!(made.definition.routes.len(), 5_000);
    assert!(
        made.definition
            .routes
            .values()
            .all(|route| route.missing.is_empty())
    );
    let json = export(&made.definition, &About::default(), Version::Oas30).to_string();
    assert_eq!(
        imported(&json, &ImportOptions::default()).definition,
        made.definition
    );

    let longer = " ".repeat(crate::bounds::OPENAPI_BYTES_MAX + 1);
    let mistakes = import(&Source::new("f", &longer), &ImportOptions::default()).unwrap_err();
    assert_eq!(mistakes.all()[0].what, "longer than 6291456 bytes");
}

#[test]
fn the_deepest_document_fits_on_the_stack() {
    let nested = |depth: usize| "{\"a\": ".repeat(depth) + "1" + &"}".repeat(depth);
    let json = nested(crate::bounds::OPENAPI_DEPTH_MAX - 1);
    let json = format!("{{\"openapi\": \"3.0.1\", \"x-deep\": {json}}}");
    let made = imported(&json, &ImportOptions::default()).definition;
    let json = export(&made, &About::default(), Version::Oas30).to_string();
    let again = imported(&json, &ImportOptions::default()).definition;
    assert_eq!(again, made);
    let yaml = nested(crate::bounds::CONFIG_DEPTH_MAX - 1);
    let yaml = format!("openapi: 3.0.1\nx-deep: {yaml}\n");
    imported(&yaml, &ImportOptions::default());
}

#[test]
fn an_export_names_its_stage_and_an_import_leaves_that_out() {
    let about = About {
        name: "shop".to_owned(),
        stage: Some("prod".to_owned()),
        variables: vec![("host".to_owned(), "a.test".to_owned())],
        url: Some("https://api.example.com/v1".to_owned()),
    };
    let document =
        r#"{"openapi": "3.0.1", "servers": [{"url": "/own"}], "paths": {"/a": {"get": {}}}}"#;
    let made = imported(document, &ImportOptions::default()).definition;
    let written = export(&made, &about, Version::Oas30);
    assert_eq!(written["info"]["title"], "shop");
    assert_eq!(written["servers"][0]["url"], "https://api.example.com/v1");
    assert_eq!(
        written["servers"][0]["x-sluice-added"]["variables"]["host"],
        "a.test"
    );
    assert_eq!(
        imported(&written.to_string(), &ImportOptions::default()).definition,
        made
    );
    let written = export(&made, &about, Version::Swagger20);
    assert_eq!(written["swagger"], "2.0");
    assert_eq!(written["basePath"], "/own");
    assert_eq!(
        imported(&written.to_string(), &ImportOptions::default()).definition,
        made
    );
}
