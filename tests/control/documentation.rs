//! `docs/operating.md` names everything that there is, and nothing else.

use super::config;
use crate::support::{Gateway, Origin, Reply};
use sluice::error::Error;
use std::collections::BTreeSet;

fn documentation() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_refusal_is_explained() {
    let text = documentation();
    for error in Error::ALL {
        let answer = error.answer();
        let (status, message) = (answer.status, answer.message);
        let begin = format!("| `{}` | {status} | {message} | ", error.name());
        let row = text.lines().find(|line| line.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("no row of the table begins with: {begin}"));
        let explained = row.split(" | ").skip(3).filter(|cell| cell.len() > 5);
        assert_eq!(explained.count(), 2, "when, and what to do: {row}");
    }
}

#[test]
fn every_metric_is_named_with_its_type_and_meaning() {
    let origin = Origin::start(|_| Reply::with(200, ""));
    // No store is there, and the numbers of shared limits are all the same.
    let cluster = "cluster: { valkey: 'redis://127.0.0.1:1' }\n";
    let config = config("one", origin.address) + cluster;
    let gateway = Gateway::start("epoll", &config);
    let page = gateway.text("/metrics");
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
    let exposed: BTreeSet<String> = lines
        .chunks(2)
        .map(|pair| {
            let (name, help) = pair[0]["# HELP ".len()..].split_once(' ').unwrap();
            let kind = pair[1].rsplit(' ').next().unwrap();
            format!("| `{name}` | {kind} | {help} |")
        })
        .collect();
    let is_row = |line: &&str| line.starts_with("| `sluice_") || line.starts_with("| `process_");
    let text = documentation();
    let written: BTreeSet<String> = text.lines().filter(is_row).map(str::to_owned).collect();
    assert_eq!(written, exposed);
}

#[test]
fn every_request_of_the_admin_api_is_named() {
    let origin = Origin::start(|_| Reply::with(200, ""));
    let gateway = Gateway::start("epoll", &config("one", origin.address));
    let index = gateway.text("/");
    let text = documentation();
    let requests: Vec<String> = index
        .lines()
        .map(|line| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert!(requests.len() > 5, "{index}");
    for request in requests {
        assert!(text.contains(&format!("| `{request}` | ")), "{request}");
        let (method, path) = request.split_once(' ').unwrap();
        assert_eq!(gateway.status(method, path), 200, "{request}");
    }
}
