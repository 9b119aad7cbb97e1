//! Hosts, base paths and Amazon's mappings, as rows.

use super::*;
use serde_json::Value;

fn hosts(rule: BasePathRule, rows: &[(&str, &str)]) -> Hosts<String> {
    let mut builder = Hosts::builder();
    for (host, base) in rows {
        builder.insert(host, base, format!("{host}{base}")).unwrap();
        builder.base_path_rule(host, rule).unwrap();
    }
    builder.build()
}

fn ask(hosts: &Hosts<String>, host: &str, path: &str) -> String {
    let found = hosts.find(host.as_bytes(), path.as_bytes(), FieldLines::default());
    found.map_or_else(
        || "none".to_owned(),
        |found| {
            format!(
                "{} {}",
                found.value,
                std::str::from_utf8(found.rest).unwrap()
            )
        },
    )
}

#[test]
fn exact_before_longest_wildcard_before_star() {
    let rows = [
        ("api.example.com", "/"),
        ("*.example.com", "/"),
        ("*.eu.example.com", "/"),
        ("*", "/dev"),
        ("[::1]", "/"),
        ("10.0.0.1", "/"),
        ("Upper.Example.org.", "/"),
    ];
    let hosts = hosts(BasePathRule::Segments, &rows);
    let check =
        |host: &str, expected: &str| assert_eq!(ask(&hosts, host, "/dev"), expected, "{host}");
    check("api.example.com", "api.example.com/ /dev");
    check("API.Example.COM:8443", "api.example.com/ /dev");
    check("api.example.com.", "api.example.com/ /dev");
    check("api.example.com.:80", "api.example.com/ /dev");
    check("api.example.com:", "api.example.com/ /dev");
    check("a.example.com", "*.example.com/ /dev");
    check("a.b.example.com", "*.example.com/ /dev");
    check("a.b.eu.example.com", "*.eu.example.com/ /dev");
    check("eu.example.com", "*.example.com/ /dev");
    check("upper.example.org", "Upper.Example.org./ /dev");
    check("[::1]:80", "[::1]/ /dev");
    check("[::1]", "[::1]/ /dev");
    check("10.0.0.1:80", "10.0.0.1/ /dev");
    // The star of a wildcard stands for at least one whole label; these are `*`'s.
    for host in [
        "example.com",
        "xexample.com",
        ".example.com",
        "a..example.com",
        "other",
        "",
        "a.example.com..",
    ] {
        check(host, "*/dev /");
    }
    for host in ["a:x", "a:1:2", "[::1", "[::1]x", &"a".repeat(256)] {
        check(host, "none");
    }
    assert_eq!(
        ask(&hosts, &format!("{}.example.com", "a".repeat(200)), "/"),
        "*.example.com/ /"
    );
}

#[test]
fn no_falling_back_to_another_host() {
    let hosts = hosts(
        BasePathRule::Segments,
        &[("a.x", "/shop"), ("*.x", "/"), ("*", "/")],
    );
    assert_eq!(ask(&hosts, "a.x", "/shop/1"), "a.x/shop /1");
    assert_eq!(ask(&hosts, "a.x", "/other"), "none");
    assert_eq!(ask(&hosts, "b.x", "/other"), "*.x/ /other");
}

#[test]
fn base_paths_end_at_segments() {
    let rows = [("*", "/shop"), ("*", "/shop/a/b/"), ("*", "/~x")];
    let hosts = hosts(BasePathRule::Segments, &rows);
    let check = |path: &str, expected: &str| assert_eq!(ask(&hosts, "h", path), expected, "{path}");
    check("/shop", "*/shop /");
    check("/shop/", "*/shop /");
    check("/shop/x", "*/shop /x");
    check("/shop/a", "*/shop /a");
    check("/shop/a/b", "*/shop/a/b/ /");
    check("/shop/a/b/c/", "*/shop/a/b/ /c/");
    check("/shop/a/bc", "*/shop /a/bc");
    check("/~x/1", "*/~x /1");
    check("/shopping", "none");
    check("/Shop", "none");
    check("/", "none");
    check("*", "none");
    check("", "none");
}

/// The hosts of one part of Amazon's cases.
fn amazon(part: &Value, rule: BasePathRule) -> Hosts<String> {
    let mut builder = Hosts::builder();
    builder.base_path_rule("*", rule).unwrap();
    for (base, api) in part["mappings"].as_object().unwrap() {
        let api = api.as_str().unwrap().to_owned();
        builder.insert("*", &format!("/{base}"), api).unwrap();
    }
    builder.build()
}

fn amazon_file() -> Value {
    let text = include_str!("../../../tests/data/amazon/domain_api_mappings.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn amazon_domain_api_mappings() {
    let file = amazon_file();
    for rule in [BasePathRule::Amazon, BasePathRule::Segments] {
        for part in [&file, &file["single_level_only"]] {
            let hosts = amazon(part, rule);
            for case in part["cases"].as_array().unwrap() {
                let path = case["path"].as_str().unwrap();
                let found = hosts.find(b"h", path.as_bytes(), FieldLines::default());
                let found = found.unwrap();
                // The one case in which the two differ: a prefix that is no whole segment.
                let expected = match (rule, path) {
                    (BasePathRule::Segments, "/ordersandmore") => Some("API 1"),
                    (BasePathRule::Segments | BasePathRule::Amazon, _) => case["api"].as_str(),
                };
                assert_eq!(Some(found.value.as_str()), expected, "{rule:?} {case}");
                if let Some(target) = case["target_path"].as_str() {
                    assert_eq!(found.rest, target.as_bytes(), "{rule:?} {case}");
                }
            }
        }
    }
}

#[test]
fn amazon_takes_the_base_path_off() {
    let strip = &amazon_file()["strip"];
    let mapping = strip["mapping"].as_str().unwrap();
    for rule in [BasePathRule::Amazon, BasePathRule::Segments] {
        let base = format!("/{mapping}");
        let hosts = hosts(rule, &[("*", &base)]);
        let path = strip["path"].as_str().unwrap();
        let expected = format!("*{base} {}", strip["target_path"].as_str().unwrap());
        assert_eq!(ask(&hosts, "h", path), expected);
    }
}

#[test]
fn the_matched_base_path_is_told_without_slashes() {
    let rows = [("*", "/"), ("*", "/shop/"), ("*", "/shop/v1")];
    for rule in [BasePathRule::Amazon, BasePathRule::Segments] {
        let hosts = hosts(rule, &rows);
        let check = |path: &str, expected: Option<&str>| {
            let found = hosts.find(b"h", path.as_bytes(), FieldLines::default());
            let matched = found.unwrap().matched.map(|matched| &**matched);
            let expected = expected.map(|base_path| Matched {
                rule: "".into(),
                base_path: base_path.into(),
            });
            assert_eq!(matched, expected.as_ref(), "{path}");
        };
        check("/other", None);
        check("/shop/x", Some("shop"));
        check("/shop/v1", Some("shop/v1"));
    }
}

#[test]
fn each_host_has_its_own_base_path_rule() {
    let mut builder = Hosts::builder();
    for (host, rule) in [
        ("a.x", BasePathRule::Amazon),
        ("b.x", BasePathRule::Segments),
    ] {
        builder.base_path_rule(host, rule).unwrap();
        for base in ["/", "/shop", "/shop/v1"] {
            builder.insert(host, base, format!("{host}{base}")).unwrap();
        }
    }
    let hosts = builder.build();
    assert_eq!(ask(&hosts, "a.x", "/shopping"), "a.x/shop /shopping");
    assert_eq!(ask(&hosts, "b.x", "/shopping"), "b.x/ /shopping");
}

#[test]
fn what_is_taken_off_by_letters_is_whole_segments() {
    let rows = [("*", "/a/b"), ("*", "/shop"), ("x", "/shop")];
    let hosts = hosts(BasePathRule::Amazon, &rows);
    assert_eq!(ask(&hosts, "h", "/shopping"), "*/shop /shopping");
    assert_eq!(ask(&hosts, "h", "/a/bc/d"), "*/a/b /bc/d");
    assert_eq!(ask(&hosts, "h", "/a"), "none");
    assert_eq!(ask(&hosts, "x", "/shopping"), "none");
}

#[test]
fn mistakes() {
    #[track_caller]
    fn check(host: &str, base: &str, expected: Result<(), HostsError>) {
        let mut builder = Hosts::builder();
        builder.insert("taken.x", "/shop", 0).unwrap();
        assert_eq!(builder.insert(host, base, 1), expected, "{host} {base}");
    }
    let bad = || Err(HostsError::HostMalformed);
    check("a.x", "/", Ok(()));
    for host in [
        "", ".", "a b", "a.x:80", "*.*", "a.*.x", "**", "*x", "*.", "[::g]", "*.[::1]", "a..x",
        "é.x",
    ] {
        check(host, "/", bad());
    }
    check(&"a".repeat(64), "/", bad());
    check("TAKEN.x", "/shop/", Err(HostsError::Repeated));
    check("a.x", "/{id}", Err(HostsError::BasePathParameter));
    let error = Template::parse("shop").unwrap_err();
    check("a.x", "shop", Err(HostsError::BasePath(error)));
}
