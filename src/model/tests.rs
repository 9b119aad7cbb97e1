//! Reading as a whole: cases in files, properties, the shipped files.

use super::{
    Checked, Mistakes,
    checked::{Api, Domain, HostPattern, Upstream},
    definition::Limit,
    read, schema,
};
use proptest::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_text(text: &str) -> Result<Checked, Mistakes> {
    read("sluice.yaml", text, Path::new("/etc/sluice"))
}

/// The YAML files of a folder, in order.
fn cases(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries
        .filter(|path| path.extension() == Some("yaml".as_ref()))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "{folder} has no cases");
    cases
}

/// Holds `made` against the file at `path`; `UPDATE_EXPECT=1` rewrites the file.
#[track_caller]
pub(super) fn expect_file(path: &Path, made: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, made).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        made,
        kept,
        "{} differs: UPDATE_EXPECT=1 rewrites it",
        path.display()
    );
}

#[test]
fn mistakes_are_reported_as_in_the_files() {
    for case in cases("tests/data/config/mistakes") {
        let mistakes = read_text(&text(&case)).expect_err(&case.display().to_string());
        expect_file(&case.with_extension("txt"), &mistakes.to_string());
    }
}

#[test]
fn valid_files_are_accepted() {
    for case in cases("tests/data/config/valid") {
        if let Err(mistakes) = read_text(&text(&case)) {
            panic!("{}:\n{mistakes}", case.display());
        }
    }
}

#[test]
fn the_shipped_file_is_accepted() {
    let shipped = read_text(&text(&home("config/sluice.yaml"))).unwrap_or_else(|m| panic!("{m}"));
    assert_eq!(shipped.apis[0].definition.routes.len(), 4);
}

#[test]
fn the_schema_has_not_drifted() {
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file(&home("config/sluice.schema.json"), &made);
}

/// A file with one upstream and one API, and `more` at its end.
fn small(more: &str) -> String {
    format!(
        "listeners: [{{ address: 127.0.0.1:8080 }}]\n\
         upstreams: {{ u: {{ endpoints: [127.0.0.1:1], timeouts: {{ total: 7s }} }} }}\n{more}"
    )
}

/// A file whose only API has one route: an HTTP integration with `more` beside it.
fn route(more: &str) -> String {
    small(&format!(
        "apis: {{ a: {{ routes: {{ \"GET /a/{{id}}\": \
         {{ integration: {{ type: http, upstream: u }}{more} }} }} }} }}\n"
    ))
}

#[track_caller]
fn check_timeout(more: &str, expected: Limit) {
    let checked = read_text(&route(more)).unwrap_or_else(|m| panic!("{m}"));
    let route = &checked.apis[0].definition.routes["GET /a/{id}"];
    assert_eq!(route.timeout_ms, expected);
    let total = checked.upstreams[0].timeouts.total;
    assert_eq!(total, Some(Duration::from_secs(7)));
}

#[test]
fn the_timeout_of_a_route_is_its_own_or_left_to_the_upstream() {
    check_timeout("", Limit::Default);
    check_timeout(", timeout: 3s", Limit::Of(3000));
    check_timeout(", timeout: none", Limit::Unlimited);
}

#[track_caller]
fn check_body(more: &str, limits: &str, expected: Option<u64>) {
    let checked = read_text(&(route(more) + limits)).unwrap_or_else(|m| panic!("{m}"));
    let route = &checked.apis[0].definition.routes["GET /a/{id}"];
    assert_eq!(route.body_bytes.or(checked.limits.body_bytes), expected);
}

#[test]
fn the_body_limit_of_a_route_comes_before_that_of_the_file() {
    check_body("", "", None);
    check_body("", "limits: { body_bytes: 10MB }", Some(10_000_000));
    check_body(
        ", body_bytes: 16KiB",
        "limits: { body_bytes: 10MB }",
        Some(16_384),
    );
    check_body(", body_bytes: none", "limits: { body_bytes: 10MB }", None);
    check_body(", body_bytes: 0", "limits: { body_bytes: 10 KiB }", Some(0));
}

#[test]
fn without_domains_the_only_stage_answers_to_everything() {
    let checked = read_text(&route("")).unwrap();
    let [
        Domain {
            pattern: HostPattern::Any,
            mappings,
            ..
        },
    ] = &checked.domains[..]
    else {
        panic!("{:?}", checked.domains);
    };
    assert_eq!(
        (&*mappings[0].base_path, mappings[0].api, mappings[0].stage),
        ("/", 0, 0)
    );
    assert_eq!(checked.apis[0].stages[0].name, "$default");
}

#[test]
fn paths_start_from_the_folder_of_the_file() {
    let text = route("") + "access_log: { path: logs/a.log }\nstate_dir: ../state\n";
    let checked = read_text(&text).unwrap();
    assert_eq!(checked.state_dir, Path::new("/etc/sluice/../state"));
    let output = checked.access_log.map(|log| log.output);
    assert_eq!(
        output,
        Some(super::checked::Output::File(
            "/etc/sluice/logs/a.log".into()
        ))
    );
}

#[test]
fn a_route_and_its_name_have_their_place() {
    let checked = read_text(&text(&home("config/sluice.yaml"))).unwrap();
    for Api { places, .. } in &checked.apis {
        for (key, place) in places.iter() {
            let line = checked
                .source
                .text
                .lines()
                .nth(place.line as usize - 1)
                .unwrap();
            let at = &line[place.column as usize - 1..];
            assert!(at.starts_with(key), "{at:?} is not {key:?}");
        }
    }
    let Upstream { name, place, .. } = &checked.upstreams[0];
    assert_eq!((name.as_str(), place.column), ("orders", 3));
}

/// A text that is near to a valid one: bytes of it are replaced, taken out, doubled.
fn mutated() -> impl Strategy<Value = String> {
    let whole = text(&home("tests/data/config/valid/everything.yaml"));
    let length = whole.chars().count();
    const PIECES: &[&str] = &[
        "",
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "\n",
        "- ",
        "&a ",
        "*a",
        "\"",
        "-1",
        "1e99",
        "<<: ",
        "\t",
        "!x ",
        "|",
        "$",
        "\u{0}",
        "é",
        "99999999999999999999",
        "# ",
        "? ",
        "none",
        "off",
    ];
    let edit = (0..length, 0..6_usize, proptest::sample::select(PIECES));
    proptest::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut text: Vec<char> = whole.chars().collect();
        for (at, taken, piece) in edits {
            let at = at.min(text.len());
            let end = (at + taken).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// Reads `text`; a refusal must point into it and be showable.
fn never_panics(text: &str) -> Result<(), TestCaseError> {
    let Err(mistakes) = read_text(text) else {
        return Ok(());
    };
    prop_assert!(!mistakes.all().is_empty());
    prop_assert!(!mistakes.to_string().is_empty());
    let lines = u32::try_from(text.split('\n').count()).unwrap();
    for mistake in mistakes.all() {
        prop_assert!((1..=lines + 1).contains(&mistake.place.line), "{mistake:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        never_panics(&text)?;
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "([a-c]: |- |[{}\\[\\]:,&*!|>'\"%@#?-]|[a-c]| |\n){0,60}") {
        never_panics(&text)?;
    }

    #[test]
    fn no_change_to_a_valid_text_makes_it_panic(text in mutated()) {
        never_panics(&text)?;
    }
}
