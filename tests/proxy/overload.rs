//! Requests in flight and their limits: one too many is refused at once, and every place comes back.

use super::{
    OK,
    client::{Client, Response},
    origin::{After, Origin},
};
use crate::support::{DRIVERS, Gate, Gateway, until};
use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Two workers before `origin`, with keys for the upstream, the route and the stage.
fn config(origin: SocketAddr, upstream: &str, route: &str, stage: &str) -> String {
    format!(
        "workers: 2
listeners: [{{ address: 127.0.0.1:0 }}]
upstreams: {{ u: {{ endpoints: [\"{origin}\"], {upstream} }} }}
apis:
  a:
    stages: {{ s: {{ {stage} }} }}
    routes:
      ANY /o/{{proxy+}}: {{ integration: {{ type: http, upstream: u }}, {route} }}
domains: {{ \"*\": {{ /: {{ api: a }} }} }}
"
    )
}

/// Answers at once, but for `/o/hold`, which waits for the gate, `/o/long`, whose body does, and
/// `/o/ws`, which is a tunnel.
fn origin(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |asked| {
        if asked.head.contains("/o/ws") {
            asked.say(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            );
            asked.body_until(b"never");
            return After::Close;
        }
        if asked.head.contains("/o/hold") {
            gate.wait();
        }
        if asked.head.contains("/o/long") {
            asked.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
            gate.wait();
            asked.say("lf");
        } else {
            asked.say(OK);
        }
        After::Keep
    })
}

const UPGRADE: &str = "GET /o/ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

fn asking(gateway: &Gateway, path: &str) -> Client {
    let mut client = Client::connect(gateway.address(0));
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

fn ask(gateway: &Gateway, path: &str) -> Response {
    asking(gateway, path).response().expect("an answer")
}

/// Holds a request at the origin.
fn hold(gateway: &Gateway, origin: &Origin, path: &str) -> Client {
    let client = asking(gateway, path);
    assert!(origin.next_head().contains(path));
    client
}

#[track_caller]
fn is_refused(gateway: &Gateway) {
    let refused = ask(gateway, "/o/x");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.text(), r#"{"message":"Service Unavailable"}"#);
}

#[track_caller]
fn has_room(gateway: &Gateway) {
    until("a place", || {
        (ask(gateway, "/o/x").status == 200).then_some(())
    });
}

#[test]
fn one_too_many_is_refused_at_once() {
    let of_stage = "routes: { \"ANY /o/{proxy+}\": { concurrency: 2 } }";
    for driver in DRIVERS {
        for (upstream, route, stage) in [
            ("", "concurrency: 2", ""),
            ("concurrency: 2", "", ""),
            ("", "concurrency: 100", of_stage),
        ] {
            let gate = Gate::default();
            let origin = origin(&gate);
            let config = config(origin.address, upstream, route, stage);
            let gateway = Gateway::start(driver, &config);
            let mut held = [(); 2].map(|()| hold(&gateway, &origin, "/o/hold"));
            for _ in 0..8 {
                is_refused(&gateway);
            }
            assert!(!origin.was_asked());
            let metrics = gateway.text("/metrics");
            let counted = "\nsluice_refusals_total{error=\"concurrency_exceeded\"} 8\n";
            assert!(metrics.contains(counted), "{metrics}");
            if !upstream.is_empty() {
                for line in ["requests_limit", "requests_in_flight"] {
                    let line = format!("\nsluice_upstream_{line}{{upstream=\"u\"}} 2\n");
                    assert!(metrics.contains(&line), "{metrics}");
                }
                assert!(metrics.contains("\nsluice_upstream_shed_total{upstream=\"u\"} 8\n"));
            }
            gate.open();
            for client in &mut held {
                assert_eq!(client.response().expect("an answer").status, 200);
            }
            has_room(&gateway);
        }
    }
}

#[test]
fn a_place_is_held_until_the_body_or_the_tunnel_has_ended() {
    for driver in DRIVERS {
        for route in ["concurrency: 1", ""] {
            let upstream = if route.is_empty() {
                "concurrency: 1"
            } else {
                ""
            };
            let gate = Gate::default();
            let origin = origin(&gate);
            let gateway = Gateway::start(driver, &config(origin.address, upstream, route, ""));
            let mut long = hold(&gateway, &origin, "/o/long");
            assert!(long.read_until(b"ha").is_some());
            is_refused(&gateway);
            gate.open();
            assert!(long.read_until(b"lf").is_some());
            has_room(&gateway);
            // The place of the last answer is free a moment after its client has read it.
            let tunnel = until("a place", || {
                let mut tunnel = Client::connect(gateway.address(0));
                tunnel.send(UPGRADE);
                tunnel.head()?.starts_with("HTTP/1.1 101").then_some(tunnel)
            });
            is_refused(&gateway);
            drop(tunnel);
            has_room(&gateway);
        }
    }
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    for driver in DRIVERS {
        for path in ["/o/hold", "/o/long"] {
            let gate = Gate::default();
            let origin = origin(&gate);
            let config = config(origin.address, "concurrency: 3", "concurrency: 1", "");
            let gateway = Gateway::start(driver, &config);
            drop(hold(&gateway, &origin, path));
            gate.open();
            has_room(&gateway);
        }
    }
}

#[test]
fn what_an_old_snapshot_serves_counts_on_the_new_one() {
    for driver in DRIVERS {
        for [one, two] in [
            [("concurrency: 1", ""), ("concurrency: 2", "")],
            [("", "concurrency: 1"), ("", "concurrency: 2")],
        ] {
            let gate = Gate::default();
            let origin = origin(&gate);
            let config = |(upstream, route)| config(origin.address, upstream, route, "");
            let gateway = Gateway::start(driver, &config(one));
            let mut held = vec![hold(&gateway, &origin, "/o/hold")];
            is_refused(&gateway);
            gateway.configure(&config(two));
            assert_eq!(gateway.reload().0, 200);
            held.push(hold(&gateway, &origin, "/o/long"));
            is_refused(&gateway);
            gate.open();
            assert_eq!(held[0].response().expect("an answer").status, 200);
            assert_eq!(held[1].response().expect("an answer").status, 200);
            gateway.configure(&config(one));
            assert_eq!(gateway.reload().0, 200);
            has_room(&gateway);
        }
    }
}

#[test]
fn load_that_is_shed_is_told_when_to_come_back() {
    for driver in DRIVERS {
        let gate = Gate::default();
        let origin = origin(&gate);
        let upstream = "load_shedding: { min: 1, max: 1 }";
        let gateway = Gateway::start(driver, &config(origin.address, upstream, "", ""));
        let held = hold(&gateway, &origin, "/o/hold");
        is_refused(&gateway);
        assert_eq!(ask(&gateway, "/o/x").field("retry-after"), Some("1"));
        let metrics = gateway.text("/metrics");
        let counted = "\nsluice_refusals_total{error=\"load_shed\"} 2\n";
        assert!(metrics.contains(counted), "{metrics}");
        gate.open();
        drop(held);
        has_room(&gateway);
    }
}

/// An origin that serves one request at a time.
#[test]
fn a_queue_at_the_origin_is_noticed_and_shed() {
    for driver in DRIVERS {
        let place = Mutex::new(());
        let origin = Origin::start(move |asked| {
            let held = place.lock();
            thread::sleep(Duration::from_millis(4));
            drop(held);
            asked.say(OK);
            After::Keep
        });
        let upstream = "load_shedding: { min: 1 }";
        let gateway = Gateway::start(driver, &config(origin.address, upstream, "", ""));
        // Alone, nobody is refused.
        let mut alone = Client::connect(gateway.address(0));
        for _ in 0..150 {
            alone.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(alone.response().expect("an answer").status, 200);
        }
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let mut client = Client::connect(gateway.address(0));
                    for _ in 0..1000 {
                        if enough.load(Ordering::Relaxed) {
                            break;
                        }
                        client.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
                        match client.response().expect("an answer").status {
                            200 => {}
                            503 => enough.store(true, Ordering::Relaxed),
                            other => panic!("{other}"),
                        }
                    }
                });
            }
        });
        assert!(enough.load(Ordering::Relaxed), "nobody was refused");
        has_room(&gateway);
    }
}
