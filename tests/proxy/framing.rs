//! What is refused, and what becomes of the connection: each row is a message on which two parsers
//! could differ.

use super::{OK, client::Client, gateway, on_both_drivers, origin::Origin};
use crate::support::DRIVERS;

/// Messages that are refused before an origin hears of them: name and rule, bytes, status.
const REFUSED: &[(&str, &str, u16)] = &[
    (
        "CL.TE, RFC 9112 §6.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE.CL, RFC 9112 §6.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE with a tab, RFC 9112 §6.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "TE twice",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunked is not last, RFC 9112 §6.3",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "an unknown coding, RFC 9112 §6.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "a coding that we do not have, RFC 9112 §6.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "TE in HTTP/1.0, RFC 9112 §6.1",
        "POST /o/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "a list of lengths, RFC 9110 §8.6",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nhello",
        400,
    ),
    (
        "two lengths, RFC 9112 §6.3",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        400,
    ),
    (
        "a signed length",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        400,
    ),
    (
        "a negative length",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        400,
    ),
    (
        "a hexadecimal length",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        400,
    ),
    (
        "a length over 64 bits",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
        400,
    ),
    (
        "a bare LF, RFC 9112 §2.2",
        "GET /mock HTTP/1.1\nHost: a\n\n",
        400,
    ),
    (
        "a bare LF in a field",
        "GET /mock HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        400,
    ),
    (
        "a bare CR in a value",
        "GET /mock HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
        400,
    ),
    (
        "NUL in a value",
        "GET /mock HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        400,
    ),
    (
        "folding, RFC 9112 §5.2",
        "GET /mock HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        400,
    ),
    (
        "a space before the colon, RFC 9112 §5.1",
        "GET /mock HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        400,
    ),
    (
        "an empty name",
        "GET /mock HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        400,
    ),
    ("no Host, RFC 9112 §3.2", "GET /mock HTTP/1.1\r\n\r\n", 400),
    (
        "two Hosts",
        "GET /mock HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        400,
    ),
    (
        "a list of Hosts",
        "GET /mock HTTP/1.1\r\nHost: a,b\r\n\r\n",
        400,
    ),
    (
        "a user in the Host",
        "GET /mock HTTP/1.1\r\nHost: u@a\r\n\r\n",
        400,
    ),
    (
        "an absolute target for another host",
        "GET http://b/mock HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
    ),
    (
        "CONNECT",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        501,
    ),
    ("TRACE", "TRACE /mock HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("HTTP/0.9", "GET /mock\r\n\r\n", 400),
    (
        "HTTP/2 as text",
        "GET /mock HTTP/2.0\r\nHost: a\r\n\r\n",
        505,
    ),
    ("HTTP/3.7", "GET /mock HTTP/3.7\r\nHost: a\r\n\r\n", 505),
    ("two spaces", "GET  /mock HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (
        "an unknown expectation, RFC 9110 §10.1.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx",
        417,
    ),
    (
        "a nominated length, RFC 9110 §7.6.1",
        "POST /o/x HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 1\r\n\r\nx",
        400,
    ),
    (
        "a nominated Host",
        "GET /mock HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
        400,
    ),
];

/// Messages whose head is fine and whose body is not; the origin may have heard of them.
const BROKEN_BODIES: &[(&str, &str)] = &[
    ("no hexadecimal digit", "zz\r\nhello\r\n0\r\n\r\n"),
    ("a size over 64 bits", "11111111111111111\r\nx\r\n0\r\n\r\n"),
    ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("LF alone after a size", "5\nhello\r\n0\r\n\r\n"),
    ("more data than was said", "3\r\nhello\r\n0\r\n\r\n"),
    ("a space before the extension", "5 ;a\r\nhello\r\n0\r\n\r\n"),
];

#[test]
fn ambiguous_heads_are_refused_and_end_the_connection() {
    on_both_drivers(
        || Origin::saying(OK),
        |origin, address| {
            for (name, bytes, status) in REFUSED {
                let mut client = Client::connect(address);
                // What stands behind it must never be taken for a request.
                client
                    .send(bytes)
                    .send("GET /o/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
                let response = client
                    .response()
                    .unwrap_or_else(|| panic!("{name}: no answer"));
                assert_eq!(response.status, *status, "{name}: {}", response.head);
                assert_eq!(response.field("connection"), Some("close"), "{name}");
                assert!(response.text().starts_with("{\"message\":\""), "{name}");
                assert!(client.is_closed(), "{name}: the connection lives on");
                assert!(!origin.was_asked(), "{name}: the origin heard of it");
            }
        },
    );
}

#[test]
fn a_broken_chunked_body_is_refused_and_never_forwarded_as_whole() {
    for driver in DRIVERS {
        for (name, body) in BROKEN_BODIES {
            let origin = Origin::start(|asked| {
                let body = asked.body_until(b"0\r\n\r\n");
                assert!(!body.ends_with(b"0\r\n\r\n"), "the body came whole");
                super::origin::After::Close
            });
            let gateway = gateway(driver, &[origin.address], "", "");
            let mut client = Client::connect(gateway.address(0));
            client.send("POST /o/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(body);
            let response = client
                .response()
                .unwrap_or_else(|| panic!("{name}: no answer"));
            assert_eq!(response.status, 400, "{name}");
            assert!(client.is_closed(), "{name}: the connection lives on");
        }
    }
}

#[test]
fn a_body_that_is_too_large_is_never_taken_for_the_next_request() {
    const SMUGGLED: &str = "GET /o/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n", SMUGGLED.len());
    on_both_drivers(
        || {
            Origin::start(|asked| {
                asked.body_until(b"never");
                super::origin::After::Close
            })
        },
        |_, address| {
            for body in [
                format!("{chunk}0\r\n\r\n"),
                format!("1\r\nx\r\n{chunk}0\r\n\r\n"),
            ] {
                let mut client = Client::connect(address);
                let head = "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
                client.send(format!("{head}{body}{SMUGGLED}"));
                assert_eq!(client.response().expect("an answer").status, 413, "{body}");
                assert!(client.is_closed(), "{body}: the connection lives on");
            }
        },
    );
}

#[test]
fn too_much_is_refused() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    let many_fields: String = (0..120).map(|n| format!("X-{n}: y\r\n")).collect();
    let many_fields = format!("GET /mock HTTP/1.1\r\nHost: a\r\n{many_fields}\r\n");
    let long_field = format!(
        "GET /mock HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "y".repeat(20_000)
    );
    let long_method = format!("{} /mock HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(9 * 1024));
    on_both_drivers(
        || Origin::saying(OK),
        |_, address| {
            for (bytes, statuses) in [
                (&long_target, &[414][..]),
                (&many_fields, &[431]),
                (&long_field, &[431]),
                (&long_method, &[400, 414, 501]),
            ] {
                let mut client = Client::connect(address);
                client.send(bytes);
                let response = client.response().expect("an answer");
                let begin = &bytes[..20];
                assert!(
                    statuses.contains(&response.status),
                    "{begin}: {}",
                    response.status
                );
                assert!(client.is_closed(), "{begin}");
            }
        },
    );
}

#[test]
fn paths_that_are_read_in_two_ways_are_refused_and_the_connection_lives() {
    on_both_drivers(
        || Origin::saying(OK),
        |origin, address| {
            let mut client = Client::connect(address);
            for (path, status) in [
                ("/o/../mock", 400),
                ("/o/%2e%2e/mock", 400),
                ("/o/./x", 400),
                ("/o/a%2Fb", 400),
                ("/o/a%5cb", 400),
                ("/o/a\\b", 400),
                ("/o/a%00b", 400),
                ("/o/a%zz", 400),
                ("/files/a%2Fb", 200),
                ("/nowhere", 404),
            ] {
                client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                let response = client.response().expect("an answer");
                assert_eq!(response.status, status, "{path}");
                assert_eq!(origin.was_asked(), status == 200, "{path}");
            }
        },
    );
}

#[test]
fn the_origin_sees_the_path_that_was_matched() {
    on_both_drivers(
        || Origin::saying(OK),
        |origin, address| {
            let mut client = Client::connect(address);
            for (path, seen) in [
                ("/o/x", "/o/x"),
                ("/o/x?a=%2F..&b", "/o/x?a=%2F..&b"),
                ("/o/x?", "/o/x?"),
                ("/o//x", "/o/x"),
                ("//o/x", "/o/x"),
                ("/%6F/x%2a", "/o/x%2A"),
                ("/files//a%2fb", "/files//a%2Fb"),
                ("/mapped/42/x?q=1", "/v1/42?q=1"),
                ("http://a/o/x", "/o/x"),
            ] {
                client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                assert_eq!(client.response().expect("an answer").status, 200, "{path}");
                let head = origin.next_head();
                assert_eq!(
                    head.lines().next(),
                    Some(&*format!("GET {seen} HTTP/1.1")),
                    "{path}"
                );
            }
        },
    );
}
