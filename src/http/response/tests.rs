//! Tests of response heads: one row a rule, each fed whole, byte by byte, and cut everywhere.

use super::{Parsed, ResponseBody, ResponseHead};
use crate::{
    bounds::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX},
    error::Error,
    http::{Method, Version},
};

const MALFORMED: Result<&str, Error> = Err(Error::UpstreamMalformed);

/// What was understood: `status reason body flags`.
fn show(head: &ResponseHead, buffer: &[u8], method: Method) -> String {
    let reason = String::from_utf8_lossy(head.reason.of(buffer));
    let body = match head.body(method) {
        ResponseBody::None => "none".to_owned(),
        ResponseBody::Length(length) => length.to_string(),
        ResponseBody::Chunked => "chunked".to_owned(),
        ResponseBody::UntilClose => "until-close".to_owned(),
    };
    let mut shown = format!("{} {reason}: {body}", head.status);
    for (flag, set) in [
        (" 1.0", head.version == Version::Http10),
        (" interim", head.is_interim()),
        (" close", !head.keeps_alive()),
    ] {
        shown += if set { flag } else { "" };
    }
    shown
}

/// The verdict when `buffer` is seen up to each of `ends` in turn.
fn feed(buffer: &[u8], method: Method, ends: impl Iterator<Item = usize>) -> Result<String, Error> {
    let mut head = ResponseHead::default();
    for end in ends {
        if head.parse(&buffer[..end])? == Parsed::Complete {
            return Ok(show(&head, buffer, method));
        }
    }
    Ok("partial".to_owned())
}

#[track_caller]
fn check_to(method: Method, bytes: impl AsRef<[u8]>, expected: Result<&str, Error>) {
    let bytes = bytes.as_ref();
    let shown = bytes.escape_ascii().to_string();
    let shown = &shown[..shown.len().min(300)];
    let expected = expected.map(str::to_owned);
    let length = bytes.len();
    let whole = feed(bytes, method, std::iter::once(length));
    assert_eq!(whole, expected, "{shown}");
    let by_bytes = feed(bytes, method, 0..=length);
    assert_eq!(by_bytes, expected, "by bytes: {shown}");
    for cut in (0..length).filter(|cut| length < 600 || cut % 997 == 0 || length - cut < 9) {
        let cut_once = feed(bytes, method, [cut, length].into_iter());
        assert_eq!(cut_once, expected, "cut at {cut}: {shown}");
    }
}

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: Result<&str, Error>) {
    check_to(Method::Get, bytes, expected);
}

/// A 200 with `lines`.
#[track_caller]
fn check_fields(lines: &str, expected: Result<&str, Error>) {
    let seen = expected.map(|seen| format!("200 OK: {seen}"));
    let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    check(head, seen.as_deref().map_err(|error| *error));
}

#[test]
fn status_lines() {
    check("HTTP/1.1 200 OK\r\n\r\n", Ok("200 OK: until-close"));
    check(
        "HTTP/1.0 200 OK\r\n\r\n",
        Ok("200 OK: until-close 1.0 close"),
    );
    check(
        "HTTP/1.1 404 Not  Found \r\n\r\n",
        Ok("404 Not  Found : until-close"),
    );
    check(
        "HTTP/1.1 599 \u{fc}\t!\r\n\r\n",
        Ok("599 \u{fc}\t!: until-close"),
    );
    // RFC 9112 §4: the space before an empty reason stays; we take a missing one too.
    check("HTTP/1.1 200 \r\n\r\n", Ok("200 : until-close"));
    check("HTTP/1.1 200\r\n\r\n", Ok("200 : until-close"));
    // RFC 9110 §15: three digits, the first not a zero.
    check("HTTP/1.1 999 x\r\n\r\n", Ok("999 x: until-close"));
    check("HTTP/1.1 099 x\r\n\r\n", MALFORMED);
    check("HTTP/1.1 000 x\r\n\r\n", MALFORMED);
    check("HTTP/1.1 20 x\r\n\r\n", MALFORMED);
    check("HTTP/1.1 2000 x\r\n\r\n", MALFORMED);
    check("HTTP/1.1 2xx x\r\n\r\n", MALFORMED);
    check("HTTP/1.1 -20 x\r\n\r\n", MALFORMED);
    check("HTTP/1.1 200OK\r\n\r\n", MALFORMED);
    check("HTTP/1.1  200 OK\r\n\r\n", MALFORMED);
    check("HTTP/1.1\t200 OK\r\n\r\n", MALFORMED);
    check("HTTP/1.1\r\n\r\n", MALFORMED);
    // RFC 9112 §2.3.
    check("HTTP/2.0 200 OK\r\n\r\n", MALFORMED);
    check("HTTP/1.2 200 OK\r\n\r\n", MALFORMED);
    check("HTTP/1.10 200 OK\r\n\r\n", MALFORMED);
    check("http/1.1 200 OK\r\n\r\n", MALFORMED);
    check("ICY 200 OK\r\n\r\n", MALFORMED);
    check("SSH-2.0-OpenSSH_9.2\r\n", MALFORMED);
    check("<html>", MALFORMED);
    // §2.2: bare CR, bare LF, NUL; and nothing in front of a status line, where the end of
    // another message could stand.
    check("HTTP/1.1 200 OK\nA: b\r\n\r\n", MALFORMED);
    check("HTTP/1.1 200 O\rK\r\n\r\n", MALFORMED);
    check("HTTP/1.1 200 O\0K\r\n\r\n", MALFORMED);
    check("\r\nHTTP/1.1 200 OK\r\n\r\n", MALFORMED);
    check("\nHTTP/1.1 200 OK\r\n\r\n", MALFORMED);
    check("x\r\nHTTP/1.1 200 OK\r\n\r\n", MALFORMED);
    check(" HTTP/1.1 200 OK\r\n\r\n", MALFORMED);
    check("HTTP/1.1 200 OK\r\nA: b\r\n", Ok("partial"));
    check("HTTP/1", Ok("partial"));
    check("", Ok("partial"));
}

#[test]
fn field_lines() {
    check_fields("A: b", Ok("until-close"));
    check_fields("A:", Ok("until-close"));
    // RFC 9112 §5.1: a proxy may also strip this space; an origin that sends it is broken.
    check_fields("A : b", MALFORMED);
    check_fields("Content-Length : 5", MALFORMED);
    check_fields("A: b\r\n c", MALFORMED); // §5.2
    check_fields(" A: b", MALFORMED);
    check_fields(": b", MALFORMED);
    check_fields("A", MALFORMED);
    check_fields("A: b\rSet-Cookie: c", MALFORMED); // a response split
    check_fields("A: b\nSet-Cookie: c", MALFORMED);
    check_fields("A: \0", MALFORMED);
    check_fields("A: b\r\n\nbody", MALFORMED);
    check_fields("Connection: content-length", MALFORMED);
    let fields = |count: usize| vec!["a: b"; count].join("\r\n");
    check_fields(&fields(HEAD_FIELDS_MAX), Ok("until-close"));
    check_fields(&fields(HEAD_FIELDS_MAX + 1), MALFORMED);
}

#[test]
fn lengths_and_codings() {
    check_fields("Content-Length: 5", Ok("5"));
    check_fields("Content-Length: 0", Ok("none"));
    check_fields("Transfer-Encoding: Chunked", Ok("chunked"));
    for refused in [
        "Content-Length: 5, 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        // RFC 9112 §6.3: the length could be ignored; not by both sides alike.
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        check_fields(refused, MALFORMED);
    }
    check(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        MALFORMED,
    ); // §6.1
    // A disguise means nothing, and goes no further.
    check_fields("Content_Length: 5", Ok("until-close"));
}

#[test]
fn responses_without_a_body() {
    // RFC 9112 §6.3: by the method, by the status, whatever the fields say.
    let five = |status: &str| format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
    check_to(Method::Head, five("200"), Ok("200 x: none"));
    check_to(Method::Head, "HTTP/1.1 200 x\r\n\r\n", Ok("200 x: none"));
    let chunked = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_to(Method::Head, chunked, Ok("200 x: none"));
    check(five("304"), Ok("304 x: none"));
    check("HTTP/1.1 204 x\r\n\r\n", Ok("204 x: none"));
    check(
        "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n",
        Ok("204 x: none"),
    );
    check("HTTP/1.1 100 x\r\n\r\n", Ok("100 x: none interim"));
    check(
        "HTTP/1.1 103 x\r\nLink: </a>\r\n\r\nHTTP/1.1 200",
        Ok("103 x: none interim"),
    );
    check("HTTP/1.1 101 x\r\n\r\n", Ok("101 x: none"));
    // §6.1: told of a body all the same, it may be about to send one, on a connection that must
    // not carry another response.
    check(five("204"), Ok("204 x: none close"));
    check(
        "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
        Ok("204 x: none close"),
    );
    check(five("100"), Ok("100 x: none interim close"));
    // 205 has no body by meaning, not by framing.
    check(five("205"), Ok("205 x: 5"));
}

#[test]
fn only_a_protocol_that_was_asked_for_is_changed_to() {
    #[track_caller]
    fn check(asked: Option<&str>, fields: &str, expected: bool) {
        let bytes = format!("HTTP/1.1 101 x\r\n{fields}\r\n");
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(bytes.as_bytes()), Ok(Parsed::Complete));
        let changes = head.changes_to(asked.map(str::as_bytes), bytes.as_bytes());
        assert_eq!(changes, expected, "{asked:?} {fields:?}");
    }
    check(Some("websocket"), "Upgrade: websocket\r\n", true);
    check(Some("WebSocket"), "Upgrade: websocket\r\n", true);
    check(Some("irc/6.9, websocket"), "Upgrade: websocket\r\n", true);
    check(None, "Upgrade: websocket\r\n", false);
    check(Some("websocket"), "", false);
    check(Some("websocket"), "Upgrade: ,\r\n", false);
    check(Some("websocket"), "Upgrade: h2c\r\n", false);
    check(Some("websocket"), "Upgrade: websocket, h2c\r\n", false);
    check(Some("websockets"), "Upgrade: websocket\r\n", false);
}

#[test]
fn connection_options() {
    check_fields("Connection: close\r\nContent-Length: 5", Ok("5 close"));
    check_fields(
        "Connection: Keep-Alive, Close\r\nContent-Length: 5",
        Ok("5 close"),
    );
    let old = "HTTP/1.0 200 x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n";
    check(old, Ok("200 x: 5 1.0"));
}

#[test]
fn sizes() {
    let padded = |bytes: usize| {
        let rest = "HTTP/1.1 200 OK\r\nx: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(bytes - rest))
    };
    check(padded(HEAD_BYTES_MAX), Ok("200 OK: until-close"));
    check(padded(HEAD_BYTES_MAX + 1), MALFORMED);
    check(padded(4 * HEAD_BYTES_MAX), MALFORMED);
    check(
        &padded(4 * HEAD_BYTES_MAX)[..HEAD_BYTES_MAX - 1],
        Ok("partial"),
    );
}

#[test]
fn a_head_is_reused_for_the_next_response() {
    let mut head = ResponseHead::default();
    let first = b"HTTP/1.0 100 first\r\nConnection: close, x\r\nContent-Length: 5\r\nX: y\r\n\r\n";
    assert_eq!(head.parse(first), Ok(Parsed::Complete));
    head.reset();
    let last = b"HTTP/1.1 200 last\r\n\r\n";
    assert_eq!(head.parse(last), Ok(Parsed::Complete));
    assert_eq!(show(&head, last, Method::Get), "200 last: until-close");
}
