//! Origins that fail: what is tried again, what is not, and what the client is told.

use super::{
    OK,
    client::Client,
    gateway,
    origin::{After, Origin},
};
use crate::support::{DRIVERS, Gateway};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An address that refuses connections.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

fn status(client: &mut Client, request: &str) -> u16 {
    client.send(request);
    client.response().expect("an answer").status
}

const GET: &str = "GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_refused_connection_costs_no_request() {
    for driver in DRIVERS {
        let origin = Origin::saying(OK);
        let gateway = gateway(driver, &[nobody(), origin.address], "", "");
        let mut client = Client::connect(gateway.address(0));
        for _ in 0..20 {
            assert_eq!(status(&mut client, GET), 200);
            assert_eq!(
                status(&mut client, POST),
                200,
                "nothing was sent, so it may be tried"
            );
        }
    }
}

#[test]
fn with_nobody_there_the_answer_is_immediate() {
    for driver in DRIVERS {
        let gateway = gateway(driver, &[nobody()], "", "");
        let mut client = Client::connect(gateway.address(0));
        for _ in 0..10 {
            assert_eq!(status(&mut client, GET), 503);
        }
    }
}

#[test]
fn a_stale_connection_is_replaced_for_what_can_be_repeated() {
    for driver in DRIVERS {
        // Every other request on a connection finds it closed.
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let origin = Origin::start(move |request| {
            counted.fetch_add(1, Ordering::SeqCst);
            request.say(OK);
            After::Close
        });
        let gateway = gateway(driver, &[origin.address], "", "");
        let mut client = Client::connect(gateway.address(0));
        for _ in 0..30 {
            assert_eq!(status(&mut client, GET), 200);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 30);
    }
}

#[test]
fn a_post_that_was_sent_is_not_sent_again() {
    for driver in DRIVERS {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let origin = Origin::start(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            After::Close
        });
        let gateway = gateway(
            driver,
            &[origin.address],
            "    retries: { attempts: 3 }",
            "",
        );
        let mut client = Client::connect(gateway.address(0));
        assert_eq!(status(&mut client, POST), 502);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_retry_that_the_budget_denies_is_counted() {
    for driver in DRIVERS {
        let (one, two) = (
            Origin::start(|_| After::Close),
            Origin::start(|_| After::Close),
        );
        let more = "    retries: { attempts: 3, budget: 0, budget_min: 0 }";
        let gateway = gateway(driver, &[one.address, two.address], more, "");
        let mut client = Client::connect(gateway.address(0));
        assert_eq!(status(&mut client, GET), 502);
        assert_eq!(status(&mut client, POST), 502);
        let metrics = gateway.text("/metrics");
        // The POST may not be repeated, whatever the budget.
        assert!(
            metrics.contains("\nsluice_upstream_retries_denied_total 1\n"),
            "{metrics}"
        );
        assert!(metrics.contains("\nsluice_upstream_retries_total 0\n"));
    }
}

#[test]
fn two_upstreams_at_one_address_share_no_connection() {
    for driver in DRIVERS {
        let origin = Origin::saying(OK);
        let second = format!(
            "    pool: {{ idle: 0 }}\n  v:\n    endpoints: [\"{}\"]\n    connections_max: 1",
            origin.address
        );
        let config = super::config(&[origin.address], &second, "").replace(
            "      POST /small:",
            "      GET /v: { integration: { type: http, upstream: v } }\n      POST /small:",
        );
        let gateway = Gateway::start(driver, &config);
        let mut client = Client::connect(gateway.address(0));
        for _ in 0..3 {
            assert_eq!(
                status(&mut client, "GET /v HTTP/1.1\r\nHost: a\r\n\r\n"),
                200
            );
        }
        assert_eq!(origin.connections(), 1, "the other's settings keep none");
        for _ in 0..3 {
            assert_eq!(status(&mut client, GET), 200);
        }
        assert_eq!(origin.connections(), 4, "nor is the other's taken");
    }
}

#[test]
fn a_silent_origin_times_out() {
    for driver in DRIVERS {
        let origin = Origin::start(|asked| {
            asked.body_until(b"never");
            After::Close
        });
        let more = "    timeouts: { response: 300ms }\n    retries: { attempts: 1 }";
        let gateway = gateway(driver, &[origin.address], more, "");
        let mut client = Client::connect(gateway.address(0));
        client.send(GET);
        let response = client.response().expect("an answer");
        assert_eq!(response.status, 504);
        assert_eq!(
            response.text(),
            "{\"message\":\"Endpoint request timed out\"}"
        );
    }
}

#[test]
fn an_exchange_ends_in_time_however_its_bodies_come() {
    const CHUNKED: &str = "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for driver in DRIVERS {
        let origin = Origin::start(|asked| {
            asked.body_until(b"never");
            After::Close
        });
        let more = "    timeouts: { response: 1h, total: 300ms }\n    retries: { attempts: 1 }";
        let gateway = gateway(driver, &[origin.address], more, "");
        for (request, expected) in [
            (GET.to_owned(), 504),
            (POST.to_owned(), 504),
            (format!("{CHUNKED}2\r\nhi\r\n0\r\n\r\n"), 504),
            // The client's own slowness is not the origin's fault.
            (format!("{CHUNKED}2\r\nhi\r\n"), 408),
        ] {
            let mut client = Client::connect(gateway.address(0));
            assert_eq!(status(&mut client, &request), expected, "{request}");
        }
    }
}

#[test]
fn a_full_endpoint_makes_requests_wait_and_then_refuses_them() {
    for driver in DRIVERS {
        let origin = Origin::start(|asked| {
            if asked.head.contains("/o/long") {
                asked.body_until(b"never");
            }
            asked.say(OK);
            After::Keep
        });
        let more = "    connections_max: 1\n    pending_max: 1\n    pending_timeout: 300ms";
        let gateway = gateway(driver, &[origin.address], more, "");
        let mut long = Client::connect(gateway.address(0));
        long.send("GET /o/long HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(origin.next_head().contains("/o/long"));
        let mut waits = Client::connect(gateway.address(0));
        assert_eq!(status(&mut waits, GET), 503);
    }
}
