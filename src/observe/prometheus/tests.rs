//! The exposition, held against a strict reader of its format.

use super::*;
use crate::observe::Record;
use std::collections::{BTreeMap, HashSet};

type Labels = BTreeMap<String, String>;

/// One family as a strict reader of the format sees it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(String, Labels, f64)>,
}

/// Reads a page, and fails at whatever the format does not allow: a family without its two
/// comments, one in two places, a sample of another family, a series twice, a counter without
/// `_total`, an unknown escape.
fn read(page: &str) -> BTreeMap<String, Family> {
    assert!(page.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut series = HashSet::new();
    let mut current = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help has a text");
            assert!(!text.is_empty() && !text.contains('\\'), "{line}");
            let kind = lines.next().and_then(|l| l.strip_prefix("# TYPE "));
            let kind = kind.and_then(|l| l.strip_prefix(name)).expect("a type");
            let kind = kind.trim_start().to_owned();
            assert!(["counter", "gauge", "histogram"].contains(&&*kind));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            current = name.to_owned();
            let family = Family {
                kind,
                samples: Vec::new(),
            };
            assert!(families.insert(current.clone(), family).is_none(), "{line}");
            continue;
        }
        let (name, labels, value) = sample(line);
        let family = families.get_mut(&current).expect("a sample has a family");
        let part = name
            .strip_prefix(&*current)
            .expect("a sample of this family");
        let parts: &[&str] = match &*family.kind {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(parts.contains(&part), "{line}");
        assert!(
            series.insert((name.clone(), labels.clone())),
            "twice: {line}"
        );
        family.samples.push((name, labels, value));
    }
    families
}

fn sample(line: &str) -> (String, Labels, f64) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name: String = line.chars().take_while(|c| is_name(*c)).collect();
    assert!(
        name.starts_with(|c: char| c.is_ascii_alphabetic()),
        "{line}"
    );
    let mut rest = &line[name.len()..];
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(!label.is_empty() && label.chars().all(is_name), "{line}");
            let (text, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), text).is_none(), "{line}");
            if let Some(end) = after.strip_prefix('}') {
                rest = end;
                break;
            }
            rest = after.strip_prefix(',').expect("a comma between labels");
        }
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    (name, labels, value.parse().expect("a number"))
}

fn quoted(text: &str) -> (String, &str) {
    let mut read = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (read, &text[at + 1..]),
            '\\' => read.push(match chars.next().expect("something is escaped").1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                c => panic!("escape of {c}"),
            }),
            c => read.push(c),
        }
    }
    panic!("an open label")
}

fn find(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = ["", "_bucket", "_sum", "_count"]
        .iter()
        .find_map(|part| families.get(name.strip_suffix(part)?))
        .expect("the family");
    let matches = |(of, have, _): &&(String, Labels, f64)| {
        of == name
            && labels
                .iter()
                .all(|(l, t)| have.get(*l).is_some_and(|h| h == t))
    };
    let mut found = family.samples.iter().filter(matches);
    let value = found.next().expect("the sample").2;
    assert!(found.next().is_none(), "{name} {labels:?} is ambiguous");
    value
}

/// A process with two workers, one awkwardly named route, one endpoint.
fn page() -> String {
    let workers: Vec<Arc<WorkerCells>> = (0..2).map(|_| Arc::default()).collect();
    workers[0].driver.set("uring").unwrap();
    workers[0].generation.set(7);
    workers[0].connections_accepted.add(3);
    workers[1].connections_accepted.add(4);
    workers[1].refused(Error::Throttled);
    workers[1].closed(Closed::Idle);
    workers[1].log_lines_dropped.add(2);
    let registry = Registry::new(2);
    let route = registry.route(RouteIdentity {
        api: "orders".into(),
        stage: "prod".into(),
        route: "GET /a\"b\\c\nd\\\"é".into(),
    });
    let record = Record::example();
    route.observe(0, &record);
    let slow = Record {
        latency: Duration::from_secs(61),
        integration_latency: None,
        status: 504,
        error: Some(Error::UpstreamTimeout),
        ..record
    };
    route.observe(1, &slow);
    render(&Exposition {
        workers: &workers,
        routes: &registry,
        endpoints: &[EndpointLine {
            upstream: "users",
            address: "[::1]:9001",
            healthy: true,
            falls: 0,
            ejected: false,
            open_connections: 5,
            failures: 1,
            ejections: 1,
        }],
        limits: &[LimitLine {
            upstream: "users",
            limit: 30,
            in_flight: 29,
            shed: 4,
        }],
        log: LogCounts {
            bytes_written: 100,
            lines_lost: 5,
            write_errors: 1,
        },
        generation: 8,
        keys: 3,
        version: "0.1.0",
        process: ProcessFacts {
            started_wall: Duration::from_millis(1_790_000_000_500),
            ..ProcessFacts::default()
        },
        cluster: Some(ClusterFacts {
            store_up: true,
            leased: 7,
            ..ClusterFacts::default()
        }),
    })
}

#[test]
#[rustfmt::skip]
fn a_page_says_what_the_cells_hold() {
    let page = read(&page());
    let check = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(find(&page, name, labels), expected, "{name}{labels:?}");
    };
    let route = "GET /a\"b\\c\nd\\\"é";
    check("sluice_build_info",                     &[("version", "0.1.0")],                     1.0);
    check("sluice_generation",                     &[],                                         8.0);
    check("sluice_api_keys",                       &[],                                         3.0);
    check("sluice_worker_generation",              &[("worker", "0")],                          7.0);
    check("sluice_driver_info",                    &[("worker", "0"), ("driver", "uring")],     1.0);
    check("sluice_connections_accepted_total",     &[],                                         7.0);
    check("sluice_connections_closed_total",       &[("reason", "idle")],                       1.0);
    check("sluice_refusals_total",                 &[("error", "throttled")],                   1.0);
    check("sluice_cluster_store_up",               &[],                                         1.0);
    check("sluice_cluster_leased_tokens_total",    &[],                                         7.0);
    check("sluice_refusals_total",                 &[("error", "internal")],                    0.0);
    check("sluice_access_log_dropped_total",       &[("reason", "backlog_full")],                  2.0);
    check("sluice_access_log_dropped_total",       &[("reason", "write_error")],                5.0);
    check("sluice_upstream_healthy",               &[("upstream", "users")],                    1.0);
    check("sluice_upstream_ejections_total",       &[("endpoint", "[::1]:9001")],               1.0);
    check("sluice_upstream_requests_limit",        &[("upstream", "users")],                    30.0);
    check("sluice_upstream_requests_in_flight",    &[("upstream", "users")],                    29.0);
    check("sluice_upstream_shed_total",            &[("upstream", "users")],                    4.0);
    check("sluice_requests_total",                 &[("route", route), ("status_class", "2xx")], 1.0);
    check("sluice_requests_total",                 &[("route", route), ("status_class", "5xx")], 1.0);
    check("sluice_requests_total",                 &[("api", "orders"), ("status_class", "4xx")], 0.0);
    check("sluice_route_errors_total",             &[("stage", "prod"), ("error", "upstream_timeout")], 1.0);
    check("sluice_request_duration_seconds_bucket", &[("le", "0.001")],                         0.0);
    check("sluice_request_duration_seconds_bucket", &[("le", "0.0025")],                        1.0);
    check("sluice_request_duration_seconds_bucket", &[("le", "60")],                            1.0);
    check("sluice_request_duration_seconds_bucket", &[("le", "+Inf")],                          2.0);
    check("sluice_request_duration_seconds_sum",   &[],                                         61.001234567);
    check("sluice_request_duration_seconds_count", &[],                                         2.0);
    check("sluice_integration_duration_seconds_count", &[],                                     1.0);
    check("sluice_response_bytes_total",           &[],                                         360.0);
    check("process_start_time_seconds",            &[],                                         1_790_000_000.5);
}

#[test]
fn histograms_are_cumulative_and_end_in_their_count() {
    let page = read(&page());
    let histograms = page.iter().filter(|(_, family)| family.kind == "histogram");
    for (name, family) in histograms {
        let buckets: Vec<_> = family
            .samples
            .iter()
            .filter(|(n, ..)| n.ends_with("_bucket"))
            .collect();
        assert_eq!(buckets.len(), BUCKET_BOUNDS.len() + 1);
        assert!(buckets.windows(2).all(|pair| pair[0].2 <= pair[1].2));
        let last = buckets.last().unwrap();
        assert_eq!(last.1["le"], "+Inf");
        assert_eq!(last.2, find(&page, &format!("{name}_count"), &[]));
    }
}

#[test]
fn a_process_without_traffic_has_a_page() {
    let page = render(&Exposition {
        workers: &[],
        routes: &Registry::new(0),
        endpoints: &[],
        limits: &[],
        log: LogCounts::default(),
        generation: 1,
        keys: 0,
        version: "0.1.0",
        process: ProcessFacts::default(),
        cluster: None,
    });
    assert_eq!(find(&read(&page), "sluice_connections_open", &[]), 0.0);
}
