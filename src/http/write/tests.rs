//! Tests of what is written: heads in, heads out, line by line.

use super::*;
use crate::http::{HeadLimits, Method, Parsed, ResponseBody};
use proptest::prelude::*;

mod properties;

/// Nothing of the way is told.
const SILENT: Provenance<'static> = Provenance {
    x_forwarded: false,
    forwarded: false,
    via: false,
    trusted: false,
    peer: b"192.0.2.7",
    scheme: "http",
    request_id_name: None,
    request_id: b"7",
};

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn parsed(bytes: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    let verdict = head.parse(bytes, HeadLimits::default());
    assert_eq!(verdict, Ok(Parsed::Complete), "{}", bytes.escape_ascii());
    head
}

fn parsed_response(bytes: &[u8]) -> ResponseHead {
    let mut head = ResponseHead::default();
    let verdict = head.parse(bytes);
    assert_eq!(verdict, Ok(Parsed::Complete), "{}", bytes.escape_ascii());
    head
}

/// Lines that end in CRLF.
fn crlf(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Checks what goes on of a request with `lines`, written as `way` says.
#[track_caller]
fn check_head(way: &Provenance<'_>, start: &str, lines: &[&str], expected: &[&str]) {
    let bytes = format!("{start}\r\n{}\r\nbody", crlf(lines));
    let head = parsed(bytes.as_bytes());
    let mut out = b"before".to_vec();
    write_request(
        &mut out,
        &head,
        bytes.as_bytes(),
        b"/to?x",
        b"origin:80",
        way,
    );
    let method = start.split(' ').next().unwrap();
    let expected = format!(
        "before{method} /to?x HTTP/1.1\r\nhost: origin:80\r\n{}\r\n",
        crlf(expected)
    );
    assert_eq!(String::from_utf8_lossy(&out), expected, "of {lines:?}");
}

#[track_caller]
fn check(lines: &[&str], expected: &[&str]) {
    let lines = [&["Host: a"], lines].concat();
    check_head(&SILENT, "GET /from HTTP/1.1", &lines, expected);
}

#[track_caller]
fn check_way(way: &Provenance<'_>, lines: &[&str], expected: &[&str]) {
    let lines = [&["Host: a:8080"], lines].concat();
    check_head(way, "GET /from HTTP/1.1", &lines, expected);
}

#[test]
fn fields_that_go_on() {
    check(&[], &[]);
    check(&["A:b", "c:  d ", "E:"], &["A:b", "c:  d ", "E:"]);
    check(
        &["Cookie: x", "Authorization: y"],
        &["Cookie: x", "Authorization: y"],
    );
    check(
        &["User-Agent: z", "Referer: r"],
        &["User-Agent: z", "Referer: r"],
    );
    check(&["Trailer: t", "Date: d"], &["Trailer: t", "Date: d"]);
    check(&["Expect: 100-continue"], &["Expect: 100-continue"]);
    check(
        &["\u{fc}".replace('\u{fc}', "x-a: \u{fc}").as_str()],
        &["x-a: \u{fc}"],
    );
    // HTTP/1.0 knows no expectations (RFC 9110 §10.1.1).
    check_head(&SILENT, "GET / HTTP/1.0", &["Expect: x", "A: b"], &["A: b"]);
}

#[test]
fn fields_of_this_connection_stay_here() {
    // RFC 9110 §7.6.1.
    check(
        &["Connection: keep-alive", "Keep-Alive: timeout=5", "A: b"],
        &["A: b"],
    );
    check(
        &["A: b", "Proxy-Connection: keep-alive", "C: d"],
        &["A: b", "C: d"],
    );
    check(&["TE: trailers", "A: b", "te: x"], &["A: b"]);
    check(&["Proxy-Authorization: x", "Proxy-Authenticate: y"], &[]);
    check(&["Upgrade: websocket"], &[]);
    check(
        &["X-Hop: 1", "Connection: close, x-hop", "x-HOP: 2", "A: b"],
        &["A: b"],
    );
    check(
        &[
            "Connection: x-one",
            "Connection: x-two",
            "X-Two: 2",
            "X-One: 1",
        ],
        &[],
    );
    // What a CGI-like origin would read as another name.
    check(
        &["Content_Length: 5", "transfer_encoding: chunked", "A_b: c"],
        &["A_b: c"],
    );
    check(
        &[
            "X_Forwarded_For: x",
            "Authorization: y",
            "author_ization: z",
        ],
        &["Authorization: y", "author_ization: z"],
    );
}

#[test]
fn framing_is_written_afresh() {
    check(
        &["Content-Length: 005", "A: b"],
        &["A: b", "content-length: 5"],
    );
    check(&["Content-Length: 0"], &["content-length: 0"]);
    check(
        &["Transfer-Encoding:\tChunked"],
        &["transfer-encoding: chunked"],
    );
    let old = &["Content-Length: 5", "Connection: keep-alive"];
    check_head(&SILENT, "POST / HTTP/1.0", old, &["content-length: 5"]);
}

#[test]
fn upgrades_go_on() {
    check(
        &[
            "Connection: Upgrade, keep-alive",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: k",
        ],
        &[
            "Sec-WebSocket-Key: k",
            "upgrade: websocket",
            "connection: upgrade",
        ],
    );
    check(
        &["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: x"],
        &["HTTP2-Settings: x"],
    );
    check(
        &["Connection: upgrade", "Upgrade: a", "Content-Length: 2"],
        &["content-length: 2"],
    );
}

#[test]
fn the_way_as_an_untrusted_client_tells_it_is_not_passed_on() {
    let lies = &[
        "X-Forwarded-For: 1.1.1.1",
        "x-forwarded-proto: https",
        "X-Forwarded-Host: evil",
        "Forwarded: for=1.1.1.1",
        "A: b",
    ];
    check_way(&SILENT, lies, &["A: b"]);
    let x_forwarded = Provenance {
        x_forwarded: true,
        ..SILENT
    };
    let told = &[
        "A: b",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: http",
        "x-forwarded-host: a:8080",
    ];
    check_way(&x_forwarded, lies, told);
    let forwarded = Provenance {
        forwarded: true,
        ..SILENT
    };
    let told = &[
        "A: b",
        "forwarded: for=192.0.2.7;host=\"a:8080\";proto=http",
    ];
    check_way(&forwarded, lies, told);
}

#[test]
fn the_way_as_a_trusted_proxy_tells_it_is_added_to() {
    let trusted = Provenance {
        trusted: true,
        ..SILENT
    };
    let told = &[
        "X-Forwarded-For: 198.51.100.1",
        "X-Forwarded-For: 198.51.100.2, 198.51.100.3",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop",
        "Forwarded: for=198.51.100.1",
    ];
    // Nothing is to be written, so what came goes on as it came.
    check_way(&trusted, told, told);
    let x_forwarded = Provenance {
        x_forwarded: true,
        ..trusted
    };
    check_way(
        &x_forwarded,
        told,
        &[
            "x-forwarded-for: 198.51.100.1, 198.51.100.2, 198.51.100.3, 192.0.2.7",
            "x-forwarded-proto: https",
            "x-forwarded-host: shop",
        ],
    );
    check_way(
        &x_forwarded,
        &["X-Forwarded-For:", "X-Forwarded-Proto:"],
        &[
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-proto: http",
            "x-forwarded-host: a:8080",
        ],
    );
    let forwarded = Provenance {
        forwarded: true,
        ..trusted
    };
    check_way(
        &forwarded,
        told,
        &["forwarded: for=198.51.100.1, for=192.0.2.7;host=\"a:8080\";proto=http"],
    );
}

#[test]
fn peers() {
    let both = Provenance {
        x_forwarded: true,
        forwarded: true,
        scheme: "https",
        ..SILENT
    };
    let host = &["x-forwarded-proto: https", "x-forwarded-host: a:8080"];
    let six = Provenance {
        peer: b"2001:db8::1",
        ..both
    };
    check_way(
        &six,
        &[],
        &[
            "x-forwarded-for: 2001:db8::1",
            host[0],
            host[1],
            // RFC 7239 §6: in brackets and so in quotes.
            "forwarded: for=\"[2001:db8::1]\";host=\"a:8080\";proto=https",
        ],
    );
    // A Unix socket has no address: no X-Forwarded-For, and `unknown` (§6.2).
    let local = Provenance { peer: b"", ..both };
    let unknown = "forwarded: for=unknown;host=\"a:8080\";proto=https";
    check_way(
        &local,
        &["X-Forwarded-For: 1.1.1.1"],
        &[host[0], host[1], unknown],
    );
    let trusted = Provenance {
        trusted: true,
        ..local
    };
    check_way(
        &trusted,
        &["X-Forwarded-For: 198.51.100.1"],
        &["x-forwarded-for: 198.51.100.1", host[0], host[1], unknown],
    );
    // HTTP/1.0 without a Host: there is none to tell.
    check_head(
        &both,
        "GET / HTTP/1.0",
        &[],
        &[
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-proto: https",
            "forwarded: for=192.0.2.7;proto=https",
        ],
    );
}

#[test]
fn via_and_request_ids() {
    let via = Provenance {
        via: true,
        ..SILENT
    };
    // RFC 9110 §7.6.3: the version received; what came before stays before.
    check_way(
        &via,
        &["Via: 1.0 other", "A: b"],
        &["Via: 1.0 other", "A: b", "via: 1.1 sluice"],
    );
    check_head(&via, "GET / HTTP/1.0", &[], &["via: 1.0 sluice"]);
    let id = Provenance {
        request_id_name: Some("X-Trace-Id"),
        ..SILENT
    };
    let given = &["x-trace-id: 1", "A: b", "X_Trace-ID: 2", "X-Trace-Ids: 3"];
    check_way(&id, given, &["A: b", "X-Trace-Ids: 3", "X-Trace-Id: 7"]);
    check_way(&SILENT, &["X-Request-Id: 1"], &["X-Request-Id: 1"]);
}

/// Checks a response with `lines` as the client gets it.
#[track_caller]
fn check_response(
    start: &str,
    lines: &[&str],
    (framing, after): (Framing, After),
    expected: &[&str],
) {
    let bytes = format!("{start}\r\n{}\r\nbody", crlf(lines));
    let head = parsed_response(bytes.as_bytes());
    let mut out = b"before".to_vec();
    write_response(
        &mut out,
        &head,
        bytes.as_bytes(),
        framing,
        after,
        DATE,
        None,
    );
    let expected = format!("before{}\r\n", crlf(expected));
    assert_eq!(String::from_utf8_lossy(&out), expected, "of {lines:?}");
}

const LENGTH: (Framing, After) = (Framing::Length(5), After::KeepAlive);
const UNSAID: (Framing, After) = (Framing::Unsaid, After::KeepAlive);
const CHUNKED: (Framing, After) = (Framing::Chunked, After::KeepAlive);
const DATED: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn responses() {
    let ok = "HTTP/1.1 200 OK";
    check_response(
        ok,
        &["Content-Length: 5"],
        LENGTH,
        &[ok, "Content-Length: 5", DATED],
    );
    check_response(
        "HTTP/1.0 404 Gone \u{fc}",
        &["Content-Length: 5"],
        LENGTH,
        &["HTTP/1.1 404 Gone \u{fc}", "Content-Length: 5", DATED],
    );
    check_response(
        "HTTP/1.1 200",
        &["Content-Length: 5"],
        LENGTH,
        &["HTTP/1.1 200 ", "Content-Length: 5", DATED],
    );
    // RFC 9110 §6.6.1: a Date only where there is none; a nominated one is none.
    check_response(
        ok,
        &["dAtE: x", "A: b"],
        CHUNKED,
        &[ok, "dAtE: x", "A: b", "transfer-encoding: chunked"],
    );
    check_response(ok, &["Date: x", "Connection: date"], UNSAID, &[ok, DATED]);
    // §7.6.1: what was meant for this connection stays here.
    let hops = &[
        "Connection: keep-alive, x-hop",
        "Keep-Alive: timeout=5",
        "X-Hop: 1",
        "A: b",
        "Proxy-Authenticate: x",
        "Upgrade: h2c",
        "TE: x",
        "Transfer-Encoding: chunked",
        "Content_Length: 7",
        "Set-Cookie: c",
    ];
    let left = &[
        ok,
        "A: b",
        "Set-Cookie: c",
        "transfer-encoding: chunked",
        DATED,
    ];
    check_response(ok, hops, CHUNKED, left);
    // To a client that knows no chunks: the connection's end ends the body.
    let until_close = (Framing::Unsaid, After::Close);
    let closed = &[ok, "A: b", "Set-Cookie: c", DATED, "connection: close"];
    check_response(ok, hops, until_close, closed);
    let said = (Framing::Length(5), After::KeepAliveSaid);
    check_response(
        ok,
        &["Content-Length: 5"],
        said,
        &[ok, "Content-Length: 5", DATED, "connection: keep-alive"],
    );
}

#[test]
fn lengths_of_bodies_that_are_not_sent() {
    // RFC 9110 §8.6: told on HEAD and 304, never on 1xx and 204.
    let five = &["Content-Length: 5"];
    for start in ["HTTP/1.1 200 OK", "HTTP/1.1 304 Not Modified"] {
        check_response(start, five, UNSAID, &[start, "Content-Length: 5", DATED]);
    }
    check_response("HTTP/1.1 204 x", five, UNSAID, &["HTTP/1.1 204 x", DATED]);
    let early = "HTTP/1.1 103 Early Hints";
    // An interim response says no more than the origin did.
    check_response(
        early,
        &["Content-Length: 5", "Link: x"],
        UNSAID,
        &[early, "Link: x"],
    );
    check_response(
        "HTTP/1.1 200 OK",
        five,
        CHUNKED,
        &["HTTP/1.1 200 OK", "transfer-encoding: chunked", DATED],
    );
}

#[test]
fn a_protocol_changes() {
    let switching = "HTTP/1.1 101 Switching Protocols";
    let lines = &[
        "Upgrade: websocket",
        "Connection: upgrade",
        "Sec-WebSocket-Accept: x",
    ];
    check_response(
        switching,
        lines,
        (Framing::Unsaid, After::Upgrade),
        &[
            switching,
            "Sec-WebSocket-Accept: x",
            "upgrade: websocket",
            "connection: upgrade",
        ],
    );
}

#[test]
fn a_response_carries_our_request_id_only() {
    let bytes = b"HTTP/1.1 200 OK\r\nx-id: 1\r\nX_Id: 2\r\nA: b\r\nDate: d\r\n\r\n";
    let head = parsed_response(bytes);
    let mut out = Vec::new();
    let id = Some(("X-Id", &b"7"[..]));
    write_response(
        &mut out,
        &head,
        bytes,
        Framing::Unsaid,
        After::Close,
        DATE,
        id,
    );
    let expected = "HTTP/1.1 200 OK\r\nA: b\r\nDate: d\r\nX-Id: 7\r\nconnection: close\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

#[track_caller]
fn check_own(status: u16, after: After, body_sent: bool, expected: &[&str]) {
    let own = OwnResponse {
        status,
        field_lines: b"a: b\r\n",
        body: b"{}",
        body_sent,
        after,
        date: DATE,
        request_id: Some(("x-id", b"7")),
    };
    let mut out = Vec::new();
    write_own(&mut out, &own);
    assert_eq!(String::from_utf8_lossy(&out), expected.join("\r\n"));
}

#[test]
fn responses_of_our_own() {
    let id = "x-id: 7";
    let found = "HTTP/1.1 404 Not Found";
    check_own(
        404,
        After::KeepAlive,
        true,
        &[found, "a: b", DATED, "content-length: 2", id, "", "{}"],
    );
    // To HEAD: told of, not sent.
    check_own(
        404,
        After::KeepAlive,
        false,
        &[found, "a: b", DATED, "content-length: 2", id, "", ""],
    );
    check_own(
        204,
        After::Close,
        true,
        &[
            "HTTP/1.1 204 No Content",
            "a: b",
            DATED,
            id,
            "connection: close",
            "",
            "",
        ],
    );
    check_own(
        299,
        After::KeepAliveSaid,
        true,
        &[
            "HTTP/1.1 299 ",
            "a: b",
            DATED,
            "content-length: 2",
            id,
            "connection: keep-alive",
            "",
            "{}",
        ],
    );
}

#[test]
fn chunk_sizes() {
    for (length, expected) in [
        (0, "0\r\n"),
        (9, "9\r\n"),
        (16, "10\r\n"),
        (0xabc, "abc\r\n"),
    ] {
        let mut room = [b'?'; CHUNK_SIZE_ROOM];
        let written = write_chunk_size(&mut room, length);
        assert_eq!(&room[CHUNK_SIZE_ROOM - written..], expected.as_bytes());
        assert!(
            room[..CHUNK_SIZE_ROOM - written]
                .iter()
                .all(|byte| *byte == b'?')
        );
    }
    let mut room = [0; CHUNK_SIZE_ROOM];
    assert_eq!(write_chunk_size(&mut room, usize::MAX), CHUNK_SIZE_ROOM);
}
