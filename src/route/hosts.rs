//! Host and base path to whatever the configuration hangs there.
//!
//! The first table that a request meets: it chooses the API and the stage, and takes the base path
//! off before the API's own [`super::Table`] is asked. An exact host goes before the longest
//! wildcard, that before `*`. Then, among that host's base paths, the longest that takes the path.
//!
//! A host that has no base path for a request has no answer for it: there is no falling back to a
//! wildcard or to `*`, because whoever configures a host means to say all that it serves.

use std::fmt;

use super::edges::{Edges, Step};
use super::template::{Segment, Template, TemplateError};

/// Bytes of a host name (RFC 1035 §2.3.4, with room for the dot that we take off).
const HOST_BYTES_MAX: usize = 255;

/// How a base path takes a request's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasePathRule {
    /// By whole segments: `/shop` takes `/shop` and `/shop/x`, not `/shopping`.
    Segments,
    /// As Amazon does: by the letters, on a host that has a base path of more than one segment, so
    /// that `/shop` takes `/shopping` there; by whole segments on others. What is taken off is
    /// whole segments still: `/shopping` goes on as `/shopping`. (Amazon does not say what it does.)
    Amazon,
}

/// What is wrong with a host or a base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostsError {
    /// No host name, `*.` and a host name, `*`, or IPv6 address in brackets; a port is not part of
    /// a host.
    HostMalformed,
    /// The base path is no path.
    BasePath(TemplateError),
    /// The base path has a parameter.
    BasePathParameter,
    /// This host has this base path already.
    Repeated,
}

impl fmt::Display for HostsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostMalformed => f.write_str(
                "a host is `name.example.com`, `*.example.com`, `*` or `[IPv6 address]`, without a port",
            ),
            Self::BasePath(error) => error.fmt(f),
            Self::BasePathParameter => f.write_str("a base path has no parameters"),
            Self::Repeated => f.write_str("this host has this base path already"),
        }
    }
}

impl std::error::Error for HostsError {}

/// What hangs at a host and base path.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'h, 'p, T> {
    /// What hangs there.
    pub value: &'h T,
    /// Bytes of the path that the base path took.
    pub base_bytes: usize,
    /// The rest of the path, `/` if nothing is left.
    pub rest: &'p [u8],
}

/// The parent of the exact hosts in `Hosts::edges`.
const EXACT: u32 = 0;
/// The parent of what follows `*.` there.
const WILDCARD: u32 = 1;
/// The number of the first node that is a domain or a segment under one.
const FIRST: u32 = 2;

/// Host patterns, base paths and what hangs there; compiled, immutable.
#[derive(Clone, Debug)]
pub struct Hosts<T> {
    /// From [`EXACT`] and [`WILDCARD`] by whole hosts to domains, from these by segments.
    edges: Edges,
    /// The value at each node, as its place in `values` and one; 0 for none.
    places: Vec<u32>,
    values: Vec<T>,
    /// The domain of `*`.
    any: Option<u32>,
    /// Labels of the longest wildcard, the star not counted; 0 if there are no wildcards. It bounds
    /// how many ends of a host are looked up.
    wildcard_labels_max: usize,
    /// The domains that go by letters, sorted by node.
    lettered: Vec<(u32, Vec<Prefix>)>,
}

/// A base path that goes by letters.
#[derive(Clone, Debug)]
struct Prefix {
    /// The base path with its slash; `/` alone takes everything.
    text: Box<[u8]>,
    place: u32,
}

impl<T> Hosts<T> {
    /// Begins a table.
    pub fn builder(rule: BasePathRule) -> HostsBuilder<T> {
        HostsBuilder {
            rule,
            bases: Vec::new(),
            hosts: Self {
                edges: Edges::new(),
                places: vec![0; FIRST as usize],
                values: Vec::new(),
                any: None,
                wildcard_labels_max: 0,
                lettered: Vec::new(),
            },
        }
    }

    /// What hangs at `host` (as it came: any case, with or without a port and a dot at its end) and
    /// `path` (normalised). A host over 255 bytes matches nothing; an empty one (HTTP/1.0) matches
    /// `*`.
    ///
    /// Cost: no allocation; one hash look-up for an exact host or a label of the longest wildcard,
    /// and one for each segment of the path while base paths go on. Bench: `route/hosts`.
    pub fn find<'h, 'p>(&'h self, host: &[u8], path: &'p [u8]) -> Option<Found<'h, 'p, T>> {
        let domain = self.domain(host)?;
        let (place, base_bytes) = match self.lettered_at(domain) {
            Some(prefixes) => by_letters(prefixes, path)?,
            None => self.by_segments(domain, path)?,
        };
        let rest = path
            .get(base_bytes..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(b"/");
        Some(Found {
            value: &self.values[place as usize - 1],
            base_bytes,
            rest,
        })
    }

    /// Every value.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    fn domain(&self, host: &[u8]) -> Option<u32> {
        let host = without_port(host)?;
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.len() > HOST_BYTES_MAX {
            return None;
        }
        let mut lower = [0; HOST_BYTES_MAX];
        let lower = &mut lower[..host.len()];
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let exact = self.edges.find(EXACT, lower).map(|step| step.child);
        exact.or_else(|| self.wildcard(lower)).or(self.any)
    }

    fn wildcard(&self, host: &[u8]) -> Option<u32> {
        if self.wildcard_labels_max == 0 {
            return None;
        }
        // The star stands for whole labels, and no label is empty.
        if host.first() == Some(&b'.') || host.windows(2).any(|pair| pair == b"..") {
            return None;
        }
        let mut labels = labels_of(host);
        let mut rest = host;
        while let Some(dot) = rest.iter().position(|&byte| byte == b'.') {
            rest = &rest[dot + 1..];
            labels -= 1;
            if labels <= self.wildcard_labels_max
                && let Some(step) = self.edges.find(WILDCARD, rest)
            {
                return Some(step.child);
            }
        }
        None
    }

    fn by_segments(&self, domain: u32, path: &[u8]) -> Option<(u32, usize)> {
        let mut best = (self.places[domain as usize], 0);
        let (mut node, mut at) = (domain, 0);
        while let Some((b'/', rest)) = path.get(at..).and_then(|rest| rest.split_first()) {
            let length = rest
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(rest.len());
            let Some(step) = self.edges.find(node, &rest[..length]) else {
                break;
            };
            node = step.child;
            at += 1 + length;
            if self.places[node as usize] != 0 {
                best = (self.places[node as usize], at);
            }
        }
        (best.0 != 0).then_some(best)
    }

    fn lettered_at(&self, domain: u32) -> Option<&[Prefix]> {
        let index = self
            .lettered
            .binary_search_by_key(&domain, |(node, _)| *node)
            .ok()?;
        Some(&self.lettered[index].1)
    }
}

/// The longest of `prefixes` (which come longest first) that `path` begins with, and the bytes of
/// the whole segments that it covers.
fn by_letters(prefixes: &[Prefix], path: &[u8]) -> Option<(u32, usize)> {
    let prefix = prefixes
        .iter()
        .find(|prefix| path.starts_with(&prefix.text))?;
    let end = prefix.text.len();
    let covered = match path.get(end) {
        _ if end == 1 => 0,
        None | Some(b'/') => end,
        Some(_) => path[..end]
            .iter()
            .rposition(|&byte| byte == b'/')
            .unwrap_or(0),
    };
    Some((prefix.place, covered))
}

/// The host without `:port`. `None` if what follows the host is no port.
fn without_port(host: &[u8]) -> Option<&[u8]> {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|&byte| byte == b']')? + 1,
        _ => host
            .iter()
            .position(|&byte| byte == b':')
            .unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    match port {
        [] => Some(name),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => Some(name),
        _ => None,
    }
}

fn labels_of(host: &[u8]) -> usize {
    1 + host.iter().filter(|&&byte| byte == b'.').count()
}

/// Collects hosts and base paths.
#[derive(Clone, Debug)]
pub struct HostsBuilder<T> {
    rule: BasePathRule,
    /// For each value: its domain, and the segments of its base path.
    bases: Vec<(u32, Vec<Box<[u8]>>)>,
    hosts: Hosts<T>,
}

impl<T> HostsBuilder<T> {
    /// Hangs `value` at `host` (`name.example.com`, `*.example.com` for one or more labels before
    /// it, `*` for every host, `[::1]`) and `base_path` (`/` takes what no longer one does; a slash
    /// at the end does not count). IPv6 addresses are compared as they are written.
    pub fn insert(&mut self, host: &str, base_path: &str, value: T) -> Result<(), HostsError> {
        let segments = base_segments(base_path)?;
        let mut node = self.domain_of(host)?;
        let domain = node;
        for segment in &segments {
            node = self.child_of(node, segment);
        }
        if self.hosts.places[node as usize] != 0 {
            return Err(HostsError::Repeated);
        }
        self.hosts.values.push(value);
        self.hosts.places[node as usize] = self.hosts.values.len() as u32;
        self.bases.push((domain, segments));
        Ok(())
    }

    fn domain_of(&mut self, host: &str) -> Result<u32, HostsError> {
        if host == "*" {
            let any = self.hosts.any;
            let domain = any.unwrap_or_else(|| self.add_node());
            self.hosts.any = Some(domain);
            return Ok(domain);
        }
        let host = host.to_ascii_lowercase();
        let (parent, name) = match host.strip_prefix("*.") {
            Some(name) => (WILDCARD, name),
            None => (EXACT, host.as_str()),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        if !(is_host_name(name) || parent == EXACT && is_ipv6_literal(name)) {
            return Err(HostsError::HostMalformed);
        }
        if parent == WILDCARD {
            let most = &mut self.hosts.wildcard_labels_max;
            *most = labels_of(name.as_bytes()).max(*most);
        }
        Ok(self.child_of(parent, name.as_bytes()))
    }

    fn child_of(&mut self, parent: u32, text: &[u8]) -> u32 {
        if let Some(step) = self.hosts.edges.find(parent, text) {
            return step.child;
        }
        let child = self.add_node();
        self.hosts
            .edges
            .insert(parent, text, Step { child, offset: 0 });
        child
    }

    fn add_node(&mut self) -> u32 {
        self.hosts.places.push(0);
        self.hosts.places.len() as u32 - 1
    }

    /// Compiles the table.
    pub fn build(mut self) -> Hosts<T> {
        if self.rule == BasePathRule::Amazon {
            self.build_lettered();
        }
        self.hosts.edges.settle();
        self.hosts
    }

    fn build_lettered(&mut self) {
        let mut domains: Vec<u32> = self
            .bases
            .iter()
            .filter(|(_, base)| base.len() > 1)
            .map(|base| base.0)
            .collect();
        domains.sort_unstable();
        domains.dedup();
        let mut lettered: Vec<(u32, Vec<Prefix>)> = domains
            .into_iter()
            .map(|domain| (domain, Vec::new()))
            .collect();
        for (index, (domain, segments)) in self.bases.iter().enumerate() {
            if let Ok(at) = lettered.binary_search_by_key(domain, |(node, _)| *node) {
                let mut text = b"/".to_vec();
                text.extend_from_slice(&segments.join(&b'/'));
                lettered[at].1.push(Prefix {
                    text: text.into(),
                    place: index as u32 + 1,
                });
            }
        }
        for (_, prefixes) in &mut lettered {
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.text.len()));
        }
        self.hosts.lettered = lettered;
    }
}

/// The segments of a base path in normal form, none for `/`.
fn base_segments(base_path: &str) -> Result<Vec<Box<[u8]>>, HostsError> {
    let template = Template::parse(base_path).map_err(HostsError::BasePath)?;
    let mut segments = Vec::new();
    for segment in template.segments() {
        match segment {
            // Empty only at the end: a slash there does not count.
            Segment::Literal(bytes) if bytes.is_empty() => {}
            Segment::Literal(bytes) => segments.push(bytes.clone()),
            Segment::Parameter(_) | Segment::Greedy(_) => {
                return Err(HostsError::BasePathParameter);
            }
        }
    }
    Ok(segments)
}

fn is_host_name(name: &str) -> bool {
    let of_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(of_label);
    name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label)
}

fn is_ipv6_literal(name: &str) -> bool {
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn hosts(rule: BasePathRule, rows: &[(&str, &str)]) -> Hosts<String> {
        let mut builder = Hosts::builder(rule);
        for (host, base) in rows {
            builder.insert(host, base, format!("{host}{base}")).unwrap();
        }
        builder.build()
    }

    fn ask(hosts: &Hosts<String>, host: &str, path: &str) -> String {
        let found = hosts.find(host.as_bytes(), path.as_bytes());
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
        let check =
            |path: &str, expected: &str| assert_eq!(ask(&hosts, "h", path), expected, "{path}");
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

    #[test]
    fn amazon_domain_api_mappings() {
        let text = include_str!("../../tests/data/amazon/domain_api_mappings.json");
        let file: Value = serde_json::from_str(text).unwrap();
        for part in [&file, &file["single_level_only"]] {
            let mut builder = Hosts::builder(BasePathRule::Amazon);
            for (base, api) in part["mappings"].as_object().unwrap() {
                builder
                    .insert("*", &format!("/{base}"), api.as_str().unwrap())
                    .unwrap();
            }
            let hosts = builder.build();
            for case in part["cases"].as_array().unwrap() {
                let path = case["path"].as_str().unwrap();
                let found = hosts.find(b"h", path.as_bytes()).unwrap();
                assert_eq!(Some(*found.value), case["api"].as_str(), "{case}");
                if let Some(target) = case["target_path"].as_str() {
                    assert_eq!(found.rest, target.as_bytes(), "{case}");
                }
            }
        }
        let strip = &file["strip"];
        let mut builder = Hosts::builder(BasePathRule::Amazon);
        builder
            .insert("*", &format!("/{}", strip["mapping"].as_str().unwrap()), ())
            .unwrap();
        let hosts = builder.build();
        let found = hosts
            .find(b"h", strip["path"].as_str().unwrap().as_bytes())
            .unwrap();
        assert_eq!(
            Some(found.rest),
            strip["target_path"].as_str().map(str::as_bytes)
        );
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
            let mut builder = Hosts::builder(BasePathRule::Segments);
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
}
