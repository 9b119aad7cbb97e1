//! What a start does, and what it refuses.

use super::config;
use crate::support::{DRIVERS, Gateway, Origin, Reply, get, program, test_folder, until};
use std::{fs, net::TcpListener};

#[test]
fn it_serves_what_is_configured() {
    for driver in DRIVERS {
        let origin = Origin::start(|head| Reply::with(200, head.lines().next().unwrap()));
        let gateway = Gateway::start(driver, &config("one", origin.address));
        assert_eq!(get(gateway.address(0), "/version").unwrap().body, "one");
        let answer = get(gateway.address(0), "/x?y=z").unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "GET /x?y=z HTTP/1.1"));
        gateway.has_said("generation 1 live on 2/2 workers");
        gateway.has_said(&format!("listening on {}", gateway.address(0)));
        let (_, page) = gateway.ask("GET", "/generation").unwrap();
        assert_eq!(
            (&page["generation"], &page["workers_live"]),
            (&1.into(), &2.into())
        );
        if driver == "epoll" {
            assert_eq!(page["driver"], "epoll");
        }
        let log = gateway.folder.join("access.log");
        until("the log's lines", || {
            // Two connections may be two workers', whose lines keep no order between them.
            let text = fs::read_to_string(&log).unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            (lines == ["200 /version", "200 /x"]).then_some(())
        });
    }
}

/// Starts the program where it cannot serve; it must say `expected` and leave nothing behind.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let folder = test_folder();
    fs::write(folder.join("sluice.yaml"), text).unwrap();
    let mut run = program(&folder, &["run", "--config", "sluice.yaml"]);
    let status = run.status().unwrap();
    let said = fs::read_to_string(folder.join("stderr")).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(expected), "{expected:?} is not in: {said}");
    assert!(!folder.join("state/sluice.sock").exists());
    assert!(!folder.join("state/sluice.pid").exists());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_served_is_refused_with_a_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let good = config("one", taken);
    let at = |address: &str| good.replacen("127.0.0.1:0", address, 1);
    refused("apis: {", "sluice.yaml:1:");
    refused(
        &good.replace("upstream: u", "upstream: v"),
        "there is no upstream called \"v\"",
    );
    refused(
        &at(&taken.to_string()),
        &format!("cannot listen on {taken}: another socket"),
    );
    refused(
        &at("192.0.2.1:80"),
        "cannot listen on 192.0.2.1:80: this machine has no such",
    );
    refused(
        &at("unix:/nowhere/at/all"),
        "cannot listen on unix:/nowhere/at/all: ",
    );
    let admin = good.replace(
        "admin: { address: 127.0.0.1:0",
        &format!("admin: {{ address: {taken}"),
    );
    refused(&admin, &format!("admin API: cannot listen on {taken}"));
    refused(
        &good.replace("access.log", "no/such/folder"),
        "cannot write the access log to ",
    );
    refused(
        &format!("{good}state_dir: /proc/nowhere\n"),
        "cannot use the state folder /proc/nowhere",
    );
}

#[test]
fn a_second_process_is_told_that_one_runs() {
    let origin = Origin::start(|_| Reply::with(200, ""));
    let gateway = Gateway::start("auto", &config("one", origin.address));
    let run = ["run", "--config", "sluice.yaml"];
    assert_eq!(
        program(&gateway.folder, &run).status().unwrap().code(),
        Some(1)
    );
    gateway.has_said("already running: another process serves from");
    assert_eq!(get(gateway.address(0), "/version").unwrap().status, 200);
    assert_eq!(gateway.ask("GET", "/ready").unwrap().0, 200);
}
