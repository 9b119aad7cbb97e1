//! Routing rules as rows: Amazon's examples first, then a naive reading of the same words.

use super::*;
use crate::{
    http::{HeadLimits, RequestHead},
    route::{BasePathRule, Hosts},
};
use proptest::prelude::*;

/// A rule as a row: its id, `name: glob` of its headers, its base path, what becomes of that.
type Row<'a> = (&'a str, &'a [&'a str], &'a str, BasePathUse);

use BasePathUse::{Keep, Strip};

fn glob(text: &str) -> ValueGlob {
    let boxed = |text: &str| text.as_bytes().into();
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(""), _) => ValueGlob::Any,
        (Some(rest), Some(_)) => ValueGlob::infix(rest.trim_end_matches('*').as_bytes()),
        (Some(end), None) => ValueGlob::Suffix(boxed(end)),
        (None, Some(beginning)) => ValueGlob::Prefix(boxed(beginning)),
        (None, None) => ValueGlob::Exact(boxed(text)),
    }
}

/// The rules of these rows, in their order.
fn rules(rows: &[Row<'_>]) -> Rules<String> {
    let rule = |(priority, (id, headers, base_path, base_path_use)): (u32, &Row<'_>)| Rule {
        priority,
        matched: Arc::new(Matched {
            rule: (*id).into(),
            base_path: (*base_path).into(),
        }),
        base_path_use: *base_path_use,
        headers: headers
            .iter()
            .map(|header| {
                let (name, value) = header.split_once(": ").unwrap();
                HeaderCondition {
                    name: name.into(),
                    value: glob(value),
                }
            })
            .collect(),
        value: (*id).to_owned(),
    };
    // The order in which they are given is not the one in which they are looked at.
    let mut given: Vec<_> = (1..).zip(rows).map(rule).collect();
    given.reverse();
    Rules::new(given)
}

/// Gives `use_lines` the field lines of a request that has these, in CRLF lines.
fn with_lines<T>(lines: &str, use_lines: impl FnOnce(FieldLines<'_>) -> T) -> T {
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    if !lines.to_ascii_lowercase().contains("host:") {
        bytes.extend_from_slice(b"Host: petstore.example.com\r\n");
    }
    bytes.extend_from_slice(lines.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let mut head = RequestHead::default();
    head.parse(&bytes, HeadLimits::default()).unwrap();
    use_lines(head.fields.lines(&bytes))
}

/// `id rest` of the rule that takes the request, or `none`.
fn ask(rules: &Rules<String>, path: &str, lines: &str) -> String {
    with_lines(lines, |lines| {
        let found = rules.find(path.as_bytes(), lines);
        found.map_or_else(
            || "none".to_owned(),
            |found| {
                assert_eq!(&*found.matched.unwrap().rule, found.value);
                format!(
                    "{} {}",
                    found.value,
                    std::str::from_utf8(found.rest).unwrap()
                )
            },
        )
    })
}

#[track_caller]
fn strips(base_path: &str, base_path_use: BasePathUse, path: &str, expected: Option<&str>) {
    let rules = rules(&[("r", &[], base_path, base_path_use)]);
    let expected = expected.map_or_else(|| "none".to_owned(), |rest| format!("r {rest}"));
    assert_eq!(ask(&rules, path, ""), expected, "{base_path} {path}");
}

#[test]
#[rustfmt::skip]
fn amazon_base_path_examples() {
    strips("PetStoreShopper/dogs", Strip, "/PetStoreShopper/dogs", Some("/"));
    strips("PetStoreShopper/dogs", Keep,  "/PetStoreShopper/dogs", Some("/PetStoreShopper/dogs"));
    strips("PetStoreShopper",      Strip, "/PetStoreShopper/dogs", Some("/dogs"));
    strips("PetStoreShopper",      Keep,  "/PetStoreShopper/dogs", Some("/PetStoreShopper/dogs"));
    // With the query `birds=available`, which does not come here.
    strips("PetStoreShopper",      Strip, "/PetStoreShopper",      Some("/"));
    strips("PetStoreShopper",      Keep,  "/PetStoreShopper",      Some("/PetStoreShopper"));
}

#[test]
#[rustfmt::skip]
fn base_paths_end_at_segments_and_keep_their_case() {
    strips("New/Users", Strip, "/New/Users/",  Some("/"));
    strips("New/Users", Strip, "/New/Users/1", Some("/1"));
    strips("New/Users", Strip, "/new/users",   None);
    strips("New/Users", Strip, "/New/Users1",  None);
    strips("New/Users", Strip, "/New",         None);
    strips("New/Users", Strip, "/x/New/Users", None);
    strips("New/Users", Strip, "*",            None);
    strips("New/Users", Strip, "",             None);
    strips("",          Strip, "/New/Users",   Some("/New/Users"));
    strips("",          Keep,  "/",            Some("/"));
}

/// Which of the requests with `x-version` of each of Amazon's values a rule with these headers
/// takes.
#[track_caller]
fn versions(headers: &[&str], expected: &str) {
    let rules = rules(&[("r", headers, "", Keep)]);
    let taken: Vec<&str> = ["account", "alpha", "backup", "beta", "users"]
        .into_iter()
        .filter(|value| ask(&rules, "/", &format!("X-Version: {value}\r\n")) != "none")
        .collect();
    assert_eq!(taken.join(" "), expected, "{headers:?}");
}

#[test]
fn amazon_wildcard_examples() {
    versions(&["x-version: a*"], "account alpha");
    versions(&["x-version: *a"], "alpha beta");
    versions(&["x-version: *a*"], "account alpha backup beta");
    versions(&["x-version: *a*", "x-version: *b*"], "backup beta");
    versions(&["x-version: b*", "x-version: *a"], "beta");
    versions(&["x-version: *"], "account alpha backup beta users");
    versions(&["x-version: alpha"], "alpha");
    versions(&["x-version: Alpha"], "");
    versions(&["x-other: *"], "");
}

#[track_caller]
fn takes(header: &str, lines: &str, expected: bool) {
    let rules = rules(&[("r", &[header], "", Keep)]);
    assert_eq!(
        ask(&rules, "/", lines) != "none",
        expected,
        "{header}: {lines}"
    );
}

#[test]
fn amazon_lines_are_read_literally() {
    let two = "Accept: application/json\r\nAccept: text/xml\r\n";
    let list = "Accept: application/json,text/xml\r\n";
    takes("accept: *json", two, true);
    takes("accept: *json", list, false);
    takes("accept: *json*", two, true);
    takes("accept: *json*", list, true);
    takes("accept: *xml", two, true);
    takes("hello: World", "Hello: World\r\n", true);
    takes("hello: World", "hello:  World \r\n", true);
    takes("hello: World", "Hello: world\r\n", false);
    takes("hello: World", "Hello: World2\r\n", false);
    takes("cookie: *ux=beta*", "Cookie: lang=en-us;ux=beta\r\n", true);
    takes("cookie: *ux=beta*", "Cookie: ux=alpha\r\n", false);
    takes("host: a.example.com", "Host: a.example.com\r\n", true);
    takes("host: a.example.com", "Host: b.example.com\r\n", false);
    takes("x-empty: *", "X-Empty:\r\n", true);
    takes("x-aa: aa*", "X-Aa: a\r\n", false);
    takes("x-aa: *aa", "X-Aa: a\r\n", false);
}

#[test]
fn the_conditions_of_a_rule_may_hold_in_different_lines() {
    let rules = rules(&[("r", &["x: a*", "x: *b"], "", Keep)]);
    assert_eq!(ask(&rules, "/", "X: a1\r\nX: 2b\r\n"), "r /");
    assert_eq!(ask(&rules, "/", "X: ab\r\n"), "r /");
    assert_eq!(ask(&rules, "/", "X: a1\r\nX: b2\r\n"), "none");
}

#[test]
fn amazon_rules_alone() {
    let pet: &[&str] = &["Accept: image/webp", "Pet: Dog-*"];
    let rules = rules(&[
        ("abc123", &["Hello: World"], "", Keep),
        ("zzz000", pet, "PetStoreShopper", Keep),
        ("efg456", &[], "", Keep),
    ]);
    let check = |path: &str, lines: &str, expected: &str| {
        let found = ask(&rules, path, lines);
        assert_eq!(found.split(' ').next(), Some(expected), "{path} {lines}");
    };
    let all = "Hello: World\r\nPet: Dog-Bella\r\nAccept: image/webp\r\n";
    check("/", "Hello: World\r\n", "abc123");
    check("/PetStoreShopper", all, "abc123");
    let two = "Pet: Dog-Bella\r\nAccept: image/webp\r\n";
    check("/PetStoreShopper", two, "zzz000");
    check("/PetStoreShopper", "Pet: Dog-Bella\r\n", "efg456");
}

/// `value rest` of what the host table finds, or `none`.
fn ask_host(hosts: &Hosts<String>, host: &str, path: &str, lines: &str) -> String {
    with_lines(lines, |lines| {
        let found = hosts.find(host.as_bytes(), path.as_bytes(), lines);
        found.map_or_else(|| "none".to_owned(), |found| found.value.clone())
    })
}

#[test]
fn amazon_rules_before_mappings() {
    let beta: Row<'_> = ("beta", &["Cookie: *ux=beta*"], "refunds", Keep);
    let mut builder = Hosts::builder();
    let pets: Row<'_> = ("pets", &[], "pets", Strip);
    builder.rules("a.x", rules(&[pets, beta])).unwrap();
    for (base, value) in [("/refunds", "refunds"), ("/", "search")] {
        builder.insert("a.x", base, value.to_owned()).unwrap();
    }
    let pet: &[&str] = &["Accept: image/webp", "Pet: Dog-*"];
    let hello: Row<'_> = ("hello", &["Hello: World"], "", Keep);
    let dogs: Row<'_> = ("dogs", pet, "PetStoreShopper", Keep);
    builder.rules("b.x", rules(&[hello, dogs])).unwrap();
    for rule in [BasePathRule::Segments, BasePathRule::Amazon] {
        builder.base_path_rule("b.x", rule).unwrap();
    }
    for (base, value) in [
        ("/PetStoreShopper", "three"),
        ("/PetStoreShopper/cats", "four"),
    ] {
        builder.insert("b.x", base, value.to_owned()).unwrap();
    }
    let hosts = builder.build();
    let check = |host: &str, path: &str, lines: &str, expected: &str| {
        let found = ask_host(&hosts, host, path, lines);
        assert_eq!(found, expected, "{host}{path} {lines}");
    };
    check("a.x", "/pets", "", "pets");
    let cookie = "Cookie: lang=en-us;ux=beta\r\n";
    check("a.x", "/refunds", cookie, "beta");
    check("a.x", "/refunds", "", "refunds");
    check("a.x", "/", "", "search");
    let cats = "Accept: image/webp\r\nPet: Cats\r\n";
    check("b.x", "/PetStoreShopper", cats, "three");
    check("b.x", "/PetStoreShopper/cats", "Hello: World\r\n", "hello");
    check("b.x", "/PetStoreShopper/cats", "", "four");
    check("b.x", "/Admin", "Pet: Dog-Bella\r\n", "none");
}

#[test]
fn amazon_rules_tell_the_hosts_of_a_wildcard_apart() {
    let mut builder = Hosts::builder();
    let rows: [Row<'_>; 3] = [
        ("one", &["Host: a.example.com"], "", Keep),
        ("two", &["Host: b.example.com"], "", Keep),
        ("three", &[], "", Keep),
    ];
    builder.rules("*.example.com", rules(&rows)).unwrap();
    builder.insert("c.other", "/", "other".to_owned()).unwrap();
    let hosts = builder.build();
    for (host, expected) in [
        ("a.example.com", "one"),
        ("b.example.com", "two"),
        ("testing.example.com", "three"),
        ("c.other", "other"),
        ("d.other", "none"),
    ] {
        let line = format!("Host: {host}\r\n");
        assert_eq!(ask_host(&hosts, host, "/", &line), expected, "{host}");
    }
}

/// What the words say, done with strings and splits: the id of the rule and the path that goes on.
fn naively(rows: &[Row<'_>], path: &str, lines: &[(String, String)]) -> String {
    for (id, headers, base_path, base_path_use) in rows {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let wanted: Vec<&str> = base_path.split('/').filter(|s| !s.is_empty()).collect();
        let headers_hold = headers.iter().all(|header| {
            let (name, glob) = header.split_once(": ").unwrap();
            lines
                .iter()
                .any(|(n, v)| n.eq_ignore_ascii_case(name) && naively_globbed(glob, v))
        });
        if !headers_hold || !segments.starts_with(&wanted) {
            continue;
        }
        let rest = match base_path_use {
            Strip => format!("/{}", segments[wanted.len()..].join("/")),
            Keep => path.to_owned(),
        };
        return format!("{id} {rest}");
    }
    "none".to_owned()
}

/// A star is any text, wherever it stands.
fn naively_globbed(glob: &str, value: &str) -> bool {
    match glob.split_once('*') {
        None => glob == value,
        Some((before, after)) => value.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|skipped| naively_globbed(after, &rest[skipped..]))
        }),
    }
}

proptest! {
    #[test]
    fn rules_do_what_a_naive_reading_says(
        rows in proptest::collection::vec(
            (
                proptest::collection::vec("[xX][ab]: ([ab]{1,3}|\\*|[ab]{1,2}\\*|\\*[ab]{1,2}|\\*[ab]{1,2}\\*)", 0..3),
                "|a|b|ab|a/b|a/a/b",
                any::<bool>(),
            ),
            0..6,
        ),
        path in "(/(a|b|ab)){0,4}/?",
        lines in proptest::collection::vec(("[xX][abc]", "[ab]{0,4}"), 0..4),
    ) {
        let path = if path.is_empty() { "/" } else { &path };
        let headers: Vec<Vec<&str>> = rows
            .iter()
            .map(|(headers, ..)| headers.iter().map(String::as_str).collect())
            .collect();
        let ids: Vec<String> = (0..rows.len()).map(|index| format!("r{index}")).collect();
        let rows: Vec<Row<'_>> = rows
            .iter()
            .zip(&headers)
            .zip(&ids)
            .map(|(((_, base_path, strip), headers), id)| {
                (id.as_str(), &**headers, base_path.as_str(), if *strip { Strip } else { Keep })
            })
            .collect();
        let text: String = lines.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        prop_assert_eq!(ask(&rules(&rows), path, &text), naively(&rows, path, &lines));
    }
}
