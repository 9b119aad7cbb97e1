//! Bodies: they stream both ways, whole and in time, and a broken one is never passed off as whole.

use super::{
    OK, carries_on,
    client::Client,
    gateway, on_both_drivers,
    origin::{After, Asked, Origin},
};
use crate::support::{DRIVERS, Gate};

/// Bytes that differ from place to place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

/// Bytes of the bodies that are echoed.
const LENGTH: usize = 3_000_000;

/// Answers with the body that it was sent, in the framing that the path asks for.
fn echo(asked: &mut Asked<'_>) -> After {
    let chunked = asked.head.contains("transfer-encoding: chunked");
    let body = if chunked {
        let mut framed = asked.body_until(b"\r\n0\r\n\r\n");
        unframe(&mut framed);
        framed
    } else {
        asked.body(LENGTH)
    };
    let head = if asked.head.contains("/o/length") {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
    } else if asked.head.contains("/o/chunked") {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
    } else {
        "HTTP/1.1 200 OK\r\n\r\n".to_owned()
    };
    asked.say(head);
    if asked.head.contains("/o/chunked") {
        for part in body.chunks(70_001) {
            asked.say(format!("{:x};ext=1\r\n", part.len()));
            asked.say(part);
            asked.say("\r\n");
        }
        asked.say("0\r\nX-Sum: 7\r\nHost: evil\r\n\r\n");
        return After::Keep;
    }
    asked.say(&body);
    if asked.head.contains("/o/length") {
        After::Keep
    } else {
        After::Close
    }
}

#[test]
fn long_bodies_pass_both_ways_in_every_framing() {
    on_both_drivers(
        || Origin::start(echo),
        |_, address| {
            let body = pattern(LENGTH);
            for path in ["/o/length", "/o/chunked", "/o/close"] {
                let mut client = Client::connect(address);
                client.send(format!(
                    "PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"
                ));
                client.send(&body);
                let response = client.response().expect("an answer");
                assert!(
                    response.body == body,
                    "{path}: {} bytes",
                    response.body.len()
                );
                client.send(format!(
                    "PUT {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                ));
                for part in body.chunks(50_000) {
                    client
                        .send(format!("{:X}\r\n", part.len()))
                        .send(part)
                        .send("\r\n");
                }
                client.send("0\r\n\r\n");
                let response = client.response().expect("an answer");
                assert!(
                    response.body == body,
                    "{path}: {} bytes",
                    response.body.len()
                );
                let trailers = if path == "/o/chunked" {
                    "X-Sum: 7\r\n"
                } else {
                    ""
                };
                assert_eq!(response.trailers, trailers, "{path}");
                assert!(carries_on(&mut client), "{path}");
            }
        },
    );
}

/// Takes the chunk framing that the gateway wrote out of `body`.
fn unframe(body: &mut Vec<u8>) {
    let mut data = Vec::new();
    let mut rest = &body[..];
    loop {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .expect("a size line");
        let size = std::str::from_utf8(&rest[..end]).expect("hexadecimal digits");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal digits");
        if size == 0 {
            break;
        }
        data.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    *body = data;
}

#[test]
fn events_arrive_as_they_are_sent() {
    on_both_drivers(
        || {
            Origin::start(|asked| {
                asked.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
                // Each event is sent when the one before has come back around.
                for event in ["one", "two", "three"] {
                    asked.say(format!("{:x}\r\n{event}\r\n", event.len()));
                    asked.body_until(format!("{event}\r\n").as_bytes());
                }
                asked.say("0\r\n\r\n");
                After::Close
            })
        },
        |_, address| {
            let mut client = Client::connect(address);
            client.send("POST /o/sse HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.head().expect("the head comes before any event");
            for event in ["one", "two", "three"] {
                let frame = format!("{:x}\r\n{event}\r\n", event.len());
                assert_eq!(
                    client.read_until(b"\r\n"),
                    Some(frame.as_bytes()[..3].to_vec())
                );
                assert_eq!(
                    client.read_until(b"\r\n"),
                    Some(frame.as_bytes()[3..].to_vec())
                );
                client.send(&frame);
            }
            assert_eq!(client.read_until(b"0\r\n\r\n"), Some(b"0\r\n\r\n".to_vec()));
        },
    );
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_origin() {
    on_both_drivers(
        || {
            Origin::start(|asked| {
                asked.say(
                    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
                );
                assert_eq!(asked.body(5), b"hello");
                asked.say(OK);
                After::Keep
            })
        },
        |origin, address| {
            let mut client = Client::connect(address);
            client.send("POST /o/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
            assert!(client.head().expect("hints").starts_with("HTTP/1.1 103 "));
            assert!(
                client
                    .head()
                    .expect("a go-ahead")
                    .starts_with("HTTP/1.1 100 ")
            );
            client.send("hello");
            assert_eq!(client.response().expect("an answer").text(), "ok");
            assert!(
                origin
                    .next_head()
                    .to_ascii_lowercase()
                    .contains("expect: 100-continue")
            );
        },
    );
}

#[test]
fn an_early_answer_ends_the_connection_and_what_follows_is_no_request() {
    on_both_drivers(
        || {
            Origin::start(|asked| {
                asked.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                After::Close
            })
        },
        |origin, address| {
            let mut client = Client::connect(address);
            client.send("POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
            let response = client.response().expect("an answer");
            assert_eq!((response.status, &*response.text()), (403, "no"));
            assert_eq!(response.field("connection"), Some("close"));
            origin.next_head();
            client.send("GET /o/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(client.is_closed());
            assert!(!origin.was_asked());
        },
    );
}

#[test]
fn a_truncated_answer_is_not_passed_off_as_whole() {
    for (answer, begins) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
            "short",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            "5\r\nshort\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
            "5\r\nshort\r\n",
        ),
    ] {
        on_both_drivers(
            || {
                Origin::start(move |asked| {
                    // The head and the beginning go out before the break can be seen.
                    asked.say(&answer[..answer.len() - 4]);
                    asked.say(&answer[answer.len() - 4..]);
                    After::Close
                })
            },
            |_, address| {
                let mut client = Client::connect(address);
                client.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
                match client.head() {
                    Some(head) if head.starts_with("HTTP/1.1 200") => {
                        assert_eq!(client.read_until(b"0\r\n\r\n"), None, "{begins}");
                    }
                    // Where all of it came at once, the break was seen in time.
                    Some(head) => assert!(head.starts_with("HTTP/1.1 502"), "{head}"),
                    None => {}
                }
            },
        );
    }
}

#[test]
fn malformed_answers_are_bad_gateways_and_their_connections_are_not_used_again() {
    for driver in DRIVERS {
        for answer in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "HTTP/1.1 99 Low\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let origin = Origin::saying(answer);
            let gateway = gateway(driver, &[origin.address], "", "");
            let mut client = Client::connect(gateway.address(0));
            for _ in 0..2 {
                client.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
                let response = client.response().expect("an answer");
                assert_eq!(response.status, 502, "{answer:?}");
                assert_eq!(response.text(), "{\"message\":\"Bad Gateway\"}");
            }
            assert!(origin.connections() >= 2, "{answer:?}: used again");
        }
    }
}

#[test]
fn bytes_behind_an_answer_poison_its_connection() {
    on_both_drivers(
        || {
            Origin::saying(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            )
        },
        |_, address| {
            let mut client = Client::connect(address);
            for _ in 0..5 {
                client.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
                assert_eq!(client.response().expect("an answer").text(), "ok");
            }
        },
    );
}

#[test]
fn bytes_that_come_after_an_answer_poison_its_connection() {
    for driver in DRIVERS {
        for (method, body) in [("GET", "ok"), ("HEAD", "")] {
            let (answered, said) = (Gate::default(), Gate::default());
            let (is_answered, has_said) = (answered.clone(), said.clone());
            let origin = Origin::start(move |asked| {
                asked.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
                asked.say(body);
                is_answered.wait();
                asked.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                has_said.open();
                After::Keep
            });
            let gateway = gateway(driver, &[origin.address], "", "");
            let mut client = Client::connect(gateway.address(0));
            for _ in 0..2 {
                client.send(format!("{method} /o/x HTTP/1.1\r\nHost: a\r\n\r\n"));
                let head = client.head().expect("an answer").to_ascii_lowercase();
                assert!(head.contains("\r\ncontent-length: 2\r\n"), "{head}");
                if !body.is_empty() {
                    assert_eq!(client.read_until(b"ok"), Some(b"ok".to_vec()));
                }
                answered.open();
                said.wait();
            }
        }
    }
}

#[test]
fn a_storm_of_interim_answers_is_ended() {
    let storm = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100) + OK;
    on_both_drivers(
        || Origin::saying(storm.clone()),
        |_, address| {
            let mut client = Client::connect(address);
            client.send("GET /o/x HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut hints = 0;
            loop {
                let head = client.head().expect("an answer in the end");
                if !head.starts_with("HTTP/1.1 103 ") {
                    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
                    break;
                }
                hints += 1;
            }
            assert!(hints < 100);
        },
    );
}
