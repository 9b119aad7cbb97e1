//! Host and base path to whatever the configuration hangs there.
//!
//! The first table that a request meets: it chooses the API and the stage, and takes the base path
//! off before the API's own [`super::Table`] is asked. An exact host goes before the longest
//! wildcard, that before `*`. Then the first of that host's routing rules that takes the request, if
//! it has any; then, among its base paths, the longest that takes the path.
//!
//! A host that has no base path for a request has no answer for it: there is no falling back to a
//! wildcard or to `*`, because whoever configures a host means to say all that it serves.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use super::edges::{Edges, Step};
use super::rules::Rules;
use super::template::{Segment, Template, TemplateError};
use crate::http::{FieldLines, scan};

/// Bytes of a host name (RFC 1035 §2.3.4, with room for the dot that we take off).
const HOST_BYTES_MAX: usize = 255;

/// How the base paths of a host take a request's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasePathRule {
    /// By whole segments: `/shop` takes `/shop` and `/shop/x`, not `/shopping`.
    Segments,
    /// As Amazon does: by the letters, if the host has a base path of more than one segment, so
    /// that `/shop` takes `/shopping` there; by whole segments if not. What is taken off is
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

/// Which rule and base path took a request. Shared by pointer, so that a response that streams for
/// hours holds it and not the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The id of the routing rule; empty where a mapping took it.
    pub rule: Box<str>,
    /// The base path without a slash at either end; empty where there was none to match.
    pub base_path: Box<str>,
}

/// What hangs at a host and base path.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'h, 'p, T> {
    /// What hangs there.
    pub value: &'h T,
    /// Which rule and base path took the request; absent where the mapping of `/` did.
    pub matched: Option<&'h Arc<Matched>>,
    /// Bytes of the path that were taken off.
    pub base_bytes: usize,
    /// The rest of the path, `/` if nothing is left.
    pub rest: &'p [u8],
}

impl<'h, 'p, T> Found<'h, 'p, T> {
    /// `value`, once `base_bytes` were taken off `path`.
    pub(super) fn new(
        value: &'h T,
        matched: Option<&'h Arc<Matched>>,
        path: &'p [u8],
        base_bytes: usize,
    ) -> Self {
        let rest = path.get(base_bytes..).filter(|rest| !rest.is_empty());
        Self {
            value,
            matched,
            base_bytes,
            rest: rest.unwrap_or(b"/"),
        }
    }
}

/// The parent of the exact hosts in `Hosts::edges`.
const EXACT: u32 = 0;
/// The parent of what follows `*.` there.
const WILDCARD: u32 = 1;
/// The number of the first node that is a domain or a segment under one.
const FIRST: u32 = 2;

/// Host patterns, routing rules, base paths and what hangs there; compiled, immutable.
#[derive(Clone, Debug)]
pub struct Hosts<T> {
    /// From [`EXACT`] and [`WILDCARD`] by whole hosts to domains, from these by segments.
    edges: Edges,
    nodes: Vec<Node>,
    hung: Vec<Hung<T>>,
    /// The domain of `*`.
    any: Option<u32>,
    /// Labels of the longest wildcard, the star not counted; 0 if there are no wildcards. It bounds
    /// how many ends of a host are looked up.
    wildcard_labels_max: usize,
    /// The domains that have more to them than base paths by segments.
    particular: Vec<Particular<T>>,
}

/// A domain or a segment under one.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The index in `Hosts::hung` of what hangs here, and one; 0 for nothing.
    place: u32,
    /// Of a domain: its index in `Hosts::particular`, and one; 0 if it is an ordinary one.
    particular: u32,
    /// Whether an edge leaves it: most base paths end a look-up here, with no hash of what follows.
    leads_on: bool,
}

/// What hangs at a base path.
#[derive(Clone, Debug)]
struct Hung<T> {
    value: T,
    /// The base path; absent for `/`.
    matched: Option<Arc<Matched>>,
}

/// A domain that does not go by segments alone.
#[derive(Clone, Debug)]
struct Particular<T> {
    /// What is asked before the base paths.
    rules: Option<Rules<T>>,
    /// The base paths, the longest first; absent where they go by segments.
    lettered: Option<Box<[Prefix]>>,
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
    pub fn builder() -> HostsBuilder<T> {
        HostsBuilder {
            bases: Vec::new(),
            lettered: Vec::new(),
            hosts: Self {
                edges: Edges::new(),
                nodes: vec![Node::default(); FIRST as usize],
                hung: Vec::new(),
                any: None,
                wildcard_labels_max: 0,
                particular: Vec::new(),
            },
        }
    }

    /// What hangs at `host` (as it came: any case, with or without a port and a dot at its end) and
    /// `path` (normalised), for a request with these field `lines`. A host over 255 bytes matches
    /// nothing; an empty one (HTTP/1.0) matches `*`.
    ///
    /// Cost: no allocation; one hash look-up for an exact host or a label of the longest wildcard,
    /// and one for each segment of the path while base paths go on. A host without rules pays one
    /// branch for those of others. Bench: `route/hosts`.
    pub fn find<'h, 'p>(
        &'h self,
        host: &[u8],
        path: &'p [u8],
        lines: FieldLines<'_>,
    ) -> Option<Found<'h, 'p, T>> {
        let domain = self.domain(host)?;
        let (place, base_bytes) = match self.nodes[domain as usize].particular {
            0 => self.by_segments(domain, path)?,
            index => {
                let particular = &self.particular[index as usize - 1];
                let rules = particular.rules.as_ref();
                if let Some(found) = rules.and_then(|rules| rules.find(path, lines)) {
                    return Some(found);
                }
                match &particular.lettered {
                    Some(prefixes) => by_letters(prefixes, path)?,
                    None => self.by_segments(domain, path)?,
                }
            }
        };
        let hung = &self.hung[place as usize - 1];
        let matched = hung.matched.as_ref();
        Some(Found::new(&hung.value, matched, path, base_bytes))
    }

    fn domain(&self, host: &[u8]) -> Option<u32> {
        let host = without_port(host)?;
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.len() > HOST_BYTES_MAX {
            return None;
        }
        let mut lower;
        let host = if scan::holds(host, |byte| byte.is_ascii_uppercase()) {
            lower = [0; HOST_BYTES_MAX];
            let lower = &mut lower[..host.len()];
            lower.copy_from_slice(host);
            lower.make_ascii_lowercase();
            lower
        } else {
            host
        };
        let exact = self.edges.find(EXACT, host).map(|step| step.child);
        exact.or_else(|| self.wildcard(host)).or(self.any)
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
        let mut best = (self.nodes[domain as usize].place, 0);
        let (mut node, mut at) = (domain, 0);
        while self.nodes[node as usize].leads_on
            && let Some((b'/', rest)) = path.get(at..).and_then(|rest| rest.split_first())
        {
            let length = scan::position(rest, b'/').unwrap_or(rest.len());
            let Some(step) = self.edges.find(node, &rest[..length]) else {
                break;
            };
            node = step.child;
            at += 1 + length;
            let place = self.nodes[node as usize].place;
            if place != 0 {
                best = (place, at);
            }
        }
        (best.0 != 0).then_some(best)
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
        _ => scan::position(host, b':').unwrap_or(host.len()),
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

/// Collects hosts, base paths and rules.
#[derive(Clone, Debug)]
pub struct HostsBuilder<T> {
    /// For each value: its domain, and the segments of its base path.
    bases: Vec<(u32, Vec<Box<[u8]>>)>,
    /// The domains that go by [`BasePathRule::Amazon`].
    lettered: Vec<u32>,
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
        if self.hosts.nodes[node as usize].place != 0 {
            return Err(HostsError::Repeated);
        }
        let matched = (!segments.is_empty()).then(|| {
            Arc::new(Matched {
                rule: "".into(),
                base_path: base_path.trim_matches('/').into(),
            })
        });
        self.hosts.hung.push(Hung { value, matched });
        self.hosts.nodes[node as usize].place = self.hosts.hung.len() as u32;
        self.bases.push((domain, segments));
        Ok(())
    }

    /// How the base paths of `host` take a path; by segments where nothing is said.
    pub fn base_path_rule(&mut self, host: &str, rule: BasePathRule) -> Result<(), HostsError> {
        let domain = self.domain_of(host)?;
        self.lettered.retain(|lettered| *lettered != domain);
        if rule == BasePathRule::Amazon {
            self.lettered.push(domain);
        }
        Ok(())
    }

    /// Has `host` ask these rules before its base paths, and none that it had.
    pub fn rules(&mut self, host: &str, rules: Rules<T>) -> Result<(), HostsError> {
        let domain = self.domain_of(host)?;
        self.particular(domain).rules = Some(rules);
        Ok(())
    }

    fn particular(&mut self, domain: u32) -> &mut Particular<T> {
        let all = &mut self.hosts.particular;
        let index = &mut self.hosts.nodes[domain as usize].particular;
        if *index == 0 {
            all.push(Particular {
                rules: None,
                lettered: None,
            });
            *index = all.len() as u32;
        }
        &mut all[*index as usize - 1]
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
        self.hosts.nodes[parent as usize].leads_on = true;
        self.hosts
            .edges
            .insert(parent, text, Step { child, offset: 0 });
        child
    }

    fn add_node(&mut self) -> u32 {
        self.hosts.nodes.push(Node::default());
        self.hosts.nodes.len() as u32 - 1
    }

    /// Compiles the table.
    pub fn build(mut self) -> Hosts<T> {
        self.build_lettered();
        self.hosts.edges.settle();
        self.hosts
    }

    fn build_lettered(&mut self) {
        let mut lettered: HashMap<u32, Vec<Prefix>> = HashMap::new();
        let mut has_long = HashSet::new();
        let by_letters: HashSet<u32> = self.lettered.drain(..).collect();
        for (place, (domain, segments)) in (1..).zip(&self.bases) {
            if !by_letters.contains(domain) {
                continue;
            }
            let mut text = b"/".to_vec();
            text.extend_from_slice(&segments.join(&b'/'));
            let text = text.into();
            lettered
                .entry(*domain)
                .or_default()
                .push(Prefix { text, place });
            if segments.len() > 1 {
                has_long.insert(*domain);
            }
        }
        for (domain, mut prefixes) in lettered {
            if has_long.contains(&domain) {
                prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.text.len()));
                self.particular(domain).lettered = Some(prefixes.into());
            }
        }
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
mod tests;
