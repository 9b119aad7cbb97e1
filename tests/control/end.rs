//! The end: a drain loses nothing, and a second signal waits for nothing.

use super::config;
use crate::support::{Client, DRIVERS, Gate, Gateway, Origin, Reply, Signal, get, until};
use std::{
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
};

/// An origin that holds `/slow` between its head and its body.
fn slow() -> (Origin, Gate, Gate) {
    let (asked, go) = (Gate::default(), Gate::default());
    let (asked_too, go_too) = (asked.clone(), go.clone());
    let origin = Origin::start(move |head| match head.starts_with("GET /slow") {
        true => Reply::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
            .open(&asked_too)
            .wait(&go_too)
            .send("done"),
        false => Reply::with(200, "fast"),
    });
    (origin, asked, go)
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    for driver in DRIVERS {
        let (origin, asked, go) = slow();
        let mut gateway = Gateway::start(driver, &config("one", origin.address));
        let address = gateway.address(0);
        let mut idle = Client::connect(address).unwrap();
        assert_eq!(idle.ask("GET", "/fast").unwrap().body, "fast");
        let mut busy = Client::connect(address).unwrap();
        busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        asked.wait();
        gateway.signal(Signal::SIGTERM);
        until("unreadiness", || {
            (gateway.ask("GET", "/ready").ok()?.0 == 503).then_some(())
        });
        assert_eq!(gateway.ask("GET", "/health").unwrap().0, 200);
        assert!(idle.is_closed());
        until("the end of listening", || {
            Client::connect(address).is_err().then_some(())
        });
        assert_eq!(gateway.ask("POST", "/reload").unwrap().0, 503);
        go.open();
        assert_eq!(busy.response().unwrap().body, "done");
        assert_eq!(gateway.exit_code(), Some(0));
        gateway.has_said("drained");
        let state = gateway.folder.join("state");
        assert_eq!(fs::read_dir(state).unwrap().count(), 0);
        let log = fs::read_to_string(gateway.folder.join("access.log")).unwrap();
        let mut lines: Vec<&str> = log.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["200 /fast", "200 /slow"]);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for driver in DRIVERS {
        let (origin, asked, _go) = slow();
        let mut gateway = Gateway::start(driver, &config("one", origin.address));
        let mut busy = Client::connect(gateway.address(0)).unwrap();
        busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        asked.wait();
        gateway.signal(Signal::SIGTERM);
        gateway.has_said("draining");
        gateway.signal(Signal::SIGTERM);
        assert_eq!(gateway.exit_code(), Some(0));
        gateway.has_said("told to end at once");
        assert!(busy.response().is_err());
        _go.open();
    }
}

#[test]
fn a_drain_has_an_end() {
    let (origin, asked, go) = slow();
    let config = config("one", origin.address).replace("drain: 20s", "drain: 0s");
    let mut gateway = Gateway::start("auto", &config);
    let mut busy = Client::connect(gateway.address(0)).unwrap();
    busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    asked.wait();
    gateway.signal(Signal::SIGINT);
    assert_eq!(gateway.exit_code(), Some(0));
    gateway.has_said("connections cut off: 1");
    go.open();
}

#[test]
fn a_listener_s_socket_file_goes_with_the_process() {
    let origin = Origin::start(|_| Reply::with(200, ""));
    let folder = crate::support::test_folder();
    let socket = folder.join("in.sock");
    let config = config("one", origin.address).replacen(
        "127.0.0.1:0",
        &format!("'unix:{}'", socket.display()),
        1,
    );
    let mut gateway = Gateway::start("epoll", &config);
    assert!(socket.exists());
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.exit_code(), Some(0));
    assert!(!socket.exists());
    fs::remove_dir(&folder).unwrap();
}

#[test]
fn the_access_log_is_opened_again() {
    let origin = Origin::start(|_| Reply::with(200, ""));
    let gateway = Gateway::start("auto", &config("one", origin.address));
    let (log, rotated) = (
        gateway.folder.join("access.log"),
        gateway.folder.join("access.1"),
    );
    let ask = |path: &str| get(gateway.address(0), path).unwrap();
    let has = |log: &std::path::Path, text: &str| {
        until("a line", || {
            (fs::read_to_string(log).unwrap_or_default() == text).then_some(())
        });
    };
    ask("/a");
    has(&log, "200 /a\n");
    fs::rename(&log, &rotated).unwrap();
    gateway.signal(Signal::SIGUSR1);
    gateway.has_said("access log reopened");
    ask("/b");
    has(&log, "200 /b\n");
    fs::rename(&log, &rotated).unwrap();
    assert_eq!(gateway.ask("POST", "/logs/reopen").unwrap().0, 200);
    ask("/c");
    has(&log, "200 /c\n");
    has(&rotated, "200 /b\n");
}

#[test]
fn once_it_has_ended_nobody_is_let_in_and_its_address_is_free() {
    for driver in DRIVERS {
        // What the kernel does after a process is gone takes longer at one time than at another.
        for _ in 0..10 {
            let origin = Origin::start(|_| Reply::with(200, ""));
            let mut gateway = Gateway::start(driver, &config("one", origin.address));
            let address = gateway.address(0);
            for _ in 0..5 {
                assert_eq!(get(address, "/version").unwrap().body, "one");
            }
            gateway.signal(Signal::SIGTERM);
            assert_eq!(gateway.exit_code(), Some(0));
            let refused = TcpStream::connect(address).map_err(|error| error.kind());
            assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
            TcpListener::bind(address).unwrap();
        }
    }
}
