//! Tests of request heads: one row a rule, each fed whole, byte by byte, and cut everywhere.

use super::{HeadLimits, Parsed, RequestHead, Version};
use crate::{
    bounds::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX},
    error::Error,
    http::{Declared, FieldId},
};

mod fields;

/// What was understood: `GET /path?query @host body flags`, with `-` for a host that is not there.
fn show(head: &RequestHead, buffer: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut shown = text(head.method_token.of(buffer)) + " " + &text(head.path(buffer));
    if head.has_query {
        shown += &("?".to_owned() + &text(head.query.of(buffer)));
    }
    shown += " @";
    shown += if head.host.is_empty() { "-" } else { "" };
    shown += &text(head.host.of(buffer));
    match head.declared() {
        Declared::Nothing => {}
        Declared::Length(length) => shown += &format!(" {length}"),
        Declared::Chunked => shown += " chunked",
    }
    for (flag, set) in [
        (" 1.0", head.version == Version::Http10),
        (" close", !head.keeps_alive()),
        (" continue", head.expects_continue()),
    ] {
        shown += if set { flag } else { "" };
    }
    if let Some(protocol) = head.upgrade(buffer) {
        shown += &(" upgrade=".to_owned() + &text(protocol));
    }
    shown
}

/// The verdict when `buffer` is seen up to each of `ends` in turn.
fn feed(
    buffer: &[u8],
    limits: HeadLimits,
    ends: impl Iterator<Item = usize>,
) -> Result<String, Error> {
    let mut head = RequestHead::default();
    for end in ends {
        if head.parse(&buffer[..end], limits)? == Parsed::Complete {
            return Ok(show(&head, buffer));
        }
    }
    Ok("partial".to_owned())
}

#[track_caller]
fn check_within(limits: HeadLimits, bytes: &[u8], expected: Result<&str, Error>) {
    let shown = bytes.escape_ascii().to_string();
    let shown = &shown[..shown.len().min(300)];
    let expected = expected.map(str::to_owned);
    let length = bytes.len();
    let whole = feed(bytes, limits, std::iter::once(length));
    assert_eq!(whole, expected, "{shown}");
    assert_eq!(
        feed(bytes, limits, 0..=length),
        expected,
        "by bytes: {shown}"
    );
    // Long heads are cut near their ends, where the limits are, and here and there.
    for cut in (0..length).filter(|cut| length < 600 || cut % 997 == 0 || length - cut < 9) {
        let cut_once = feed(bytes, limits, [cut, length].into_iter());
        assert_eq!(cut_once, expected, "cut at {cut}: {shown}");
    }
}

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: Result<&str, Error>) {
    check_within(HeadLimits::default(), bytes.as_ref(), expected);
}

/// A GET with `lines` after its Host.
#[track_caller]
fn check_fields(lines: &str, expected: Result<&str, Error>) {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
    check(
        head,
        expected
            .map(|seen| format!("GET / @a{seen}"))
            .as_deref()
            .map_err(|e| *e),
    );
}

/// A GET whose only field is `line`.
#[track_caller]
fn check_host(line: &str, expected: Result<&str, Error>) {
    let head = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
    check(
        head,
        expected
            .map(|host| format!("GET / @{host}"))
            .as_deref()
            .map_err(|e| *e),
    );
}

/// A GET of `target` from the host `a`.
#[track_caller]
fn check_target(target: &str, expected: Result<&str, Error>) {
    check(
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        expected,
    );
}

#[test]
fn request_lines() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok("GET / @a"));
    check(
        "GET /a/b?c=d HTTP/1.1\r\nhost: a:80\r\n\r\nGET /next",
        Ok("GET /a/b?c=d @a:80"),
    );
    check("GET /? HTTP/1.1\r\nhost: a\r\n\r\n", Ok("GET /? @a"));
    check("GET / HTTP/1.0\r\n\r\n", Ok("GET / @- 1.0 close"));
    check("GET / HTTP/1.1\r\nHost: a\r\n", Ok("partial"));
    check("", Ok("partial"));
    // RFC 9112 §3: exactly one space between the parts, none before or behind.
    let malformed = Err(Error::RequestLineMalformed);
    check("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", malformed);
    check(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET /\x0bx HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET\r\nHost: a\r\n\r\n", malformed);
    check("\r\n\r\n", malformed);
    // §2.2: the caller skips one empty line; httparse would skip any number.
    check("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    // §2.2: a bare CR or LF ends no line, and a NUL is nowhere.
    check("GET / HTTP/1.1\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1.1\rHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", malformed);
    check("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1.1\n\n", malformed);
    check("CONNECT / HTTP/9.9\nHost: a\r\n\r\n", malformed);
    // TLS spoken to a plain port.
    check(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        malformed,
    );
}

#[test]
fn methods() {
    let refused = Err(Error::MethodRefused);
    check("PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", Ok("PURGE / @a"));
    // RFC 9110 §9.1: case-sensitive, so this is another method, for `ANY` routes only.
    check("get / HTTP/1.1\r\nHost: a\r\n\r\n", Ok("get / @a"));
    check(
        "M-SEARCH! / HTTP/1.1\r\nHost: a\r\n\r\n",
        Ok("M-SEARCH! / @a"),
    );
    // A gateway opens no tunnels, and does not read cookies back to scripts.
    check("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", refused);
    check("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    let longest = "M".repeat(METHOD_BYTES_MAX);
    let seen = format!("{longest} / @a");
    check(
        format!("{longest} / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Ok(&seen),
    );
    check(format!("{longest}M / HTTP/1.1\r\nHost: a\r\n\r\n"), refused);
    let huge = "M".repeat(9 * 1024);
    check(format!("{huge} / HTTP/1.1\r\nHost: a\r\n\r\n"), refused);
    check(&huge, refused);
    check(huge.repeat(2), refused);
    // RFC 9110 §5.6.2: a method is a token.
    let malformed = Err(Error::RequestLineMalformed);
    check("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("G\"T / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET: / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check(b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
}

#[test]
fn versions() {
    // RFC 9112 §2.3: `HTTP/` DIGIT `.` DIGIT; what is not that is no version at all.
    let unsupported = Err(Error::VersionUnsupported);
    let malformed = Err(Error::RequestLineMalformed);
    check("GET / HTTP/0.9\r\nHost: a\r\n\r\n", unsupported);
    check("GET / HTTP/1.2\r\nHost: a\r\n\r\n", unsupported);
    check("GET / HTTP/2.0\r\nHost: a\r\n\r\n", unsupported);
    check("GET / HTTP/3.7\r\nHost: a\r\n\r\n", unsupported);
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", unsupported);
    check("GET / HTTP/1.10\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/11\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1,1\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP/1.\r\nHost: a\r\n\r\n", malformed);
    check("GET / http/1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET / HTTP /1.1\r\nHost: a\r\n\r\n", malformed);
    check("GET / ICAP/1.0\r\nHost: a\r\n\r\n", malformed);
    check("GET / \r\nHost: a\r\n\r\n", malformed);
    check("GET /\r\n\r\n", malformed);
}

#[test]
fn targets() {
    let malformed = Err(Error::TargetMalformed);
    // RFC 9112 §3.2.2: an absolute target's authority is the host, and Host must say the same.
    check_target("http://a/b?c", Ok("GET /b?c @a"));
    check_target("HTTP://A/b", Ok("GET /b @A"));
    check_target("https://a", Ok("GET / @a"));
    check_target("http://a?b", Ok("GET /?b @a"));
    check_target("http://b/", Err(Error::HostMalformed));
    check_target("http://a:80/", Err(Error::HostMalformed));
    check_target("http://a.evil/", Err(Error::HostMalformed));
    check("GET http://a/ HTTP/1.1\r\n\r\n", Err(Error::HostMissing));
    check("GET http://a/ HTTP/1.0\r\n\r\n", Ok("GET / @a 1.0 close"));
    // RFC 9110 §4.2.4: user information in an authority is an attack or a mistake.
    check_target("http://user@a/", Err(Error::HostMalformed));
    check_target("http://a@b/", Err(Error::HostMalformed));
    check_target("http://a\\@b/", Err(Error::HostMalformed));
    check_target("http://a\\b/", Err(Error::HostMalformed));
    check_target("http:///b", Err(Error::HostMalformed));
    check_target("http://", Err(Error::HostMalformed));
    check_target("http://a:b/", Err(Error::HostMalformed));
    check_target("http:/a", malformed);
    check_target("ftp://a/", malformed);
    check_target("a/b", malformed);
    check_target("a:443", malformed);
    check_target("?b", malformed);
    check_target("#", malformed);
    check_target("\\", malformed);
    // §3.2.4: `*` is for OPTIONS only.
    check_target("*", malformed);
    check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Ok("OPTIONS * @a"));
    check("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    check("OPTIONS *?x HTTP/1.1\r\nHost: a\r\n\r\n", malformed);
    // What a path may hold is decided by `route/path.rs`; the head only finds where it is.
    check_target("//a/../b?c?d#e", Ok("GET //a/../b?c?d#e @a"));
    check(
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        Err(Error::RequestLineMalformed),
    );
}

#[test]
fn hosts() {
    // RFC 9112 §3.2: one Host in HTTP/1.1, `uri-host [":" port]`.
    check_host("Accept: */*", Err(Error::HostMissing));
    check_host("Host: a\r\nHost: a", Err(Error::HostRepeated));
    check_host("Host: a\r\nhOsT: b", Err(Error::HostRepeated));
    check(
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        Err(Error::HostRepeated),
    );
    check_host("Host:a", Ok("a"));
    check_host("Host: \t a \t", Ok("a"));
    check_host("Host: A_b-c.example.com.", Ok("A_b-c.example.com."));
    check_host("Host: 192.0.2.1:8080", Ok("192.0.2.1:8080"));
    check_host("Host: [::1]", Ok("[::1]"));
    check_host("Host: [2001:db8::1]:443", Ok("[2001:db8::1]:443"));
    check_host("Host: [::ffff:192.0.2.1]", Ok("[::ffff:192.0.2.1]"));
    check_host("Host: a:", Ok("a:")); // RFC 3986 §3.2.3: an empty port
    check_host("Host: a:65535", Ok("a:65535"));
    let long = "a".repeat(255);
    check_host(&format!("Host: {long}"), Ok(&long));
    for refused in [
        "",
        "a,b",
        "a, b",
        "a b",
        "a:80:80",
        "a:65536",
        "a:-1",
        "a:+80",
        "a:0x50",
        "a: 80",
        "a:000080",
        "a:99999999999999999999",
        ":80",
        "user@a",
        "user:password@a",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "http://a",
        "a%2eb",
        "a%00",
        "a;b",
        "a'b",
        "\"a\"",
        "[::1",
        "::1",
        "[::1]a",
        "[::1]:",
        "[::1]:x",
        "[]",
        "[a]",
        "[::1%25eth0]",
        "[v1.a]",
        "[[::1]]",
        "b\u{fc}cher.example",
        &format!("{long}a"),
    ] {
        let expected = match refused {
            "[::1]:" => Ok(refused),
            _ => Err(Error::HostMalformed),
        };
        check_host(&format!("Host: {refused}"), expected);
    }
}

#[test]
fn sizes() {
    let fields = |count: usize| "a: b\r\n".repeat(count - 1);
    let most = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        fields(HEAD_FIELDS_MAX)
    );
    check(most, Ok("GET / @a"));
    let more = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        fields(HEAD_FIELDS_MAX + 1)
    );
    check(more, Err(Error::FieldsTooMany));

    let padded = |bytes: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nx: \r\n\r\n".len();
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n",
            "x".repeat(bytes - rest)
        )
    };
    check(padded(HEAD_BYTES_MAX), Ok("GET / @a"));
    check(padded(HEAD_BYTES_MAX + 1), Err(Error::HeadTooLarge));
    check(padded(4 * HEAD_BYTES_MAX), Err(Error::HeadTooLarge));
    check(
        &padded(4 * HEAD_BYTES_MAX)[..HEAD_BYTES_MAX - 1],
        Ok("partial"),
    );
    // A bare LF counts by where it stands: this one nobody gets to see.
    check(
        padded(2 * HEAD_BYTES_MAX).replace("x\r\n\r\n", "x\n\r\n\r\n"),
        Err(Error::HeadTooLarge),
    );

    let longest = "a".repeat(TARGET_BYTES_MAX - 1);
    check_target(&format!("/{longest}"), Ok(&format!("GET /{longest} @a")));
    check_target(&format!("/{longest}a"), Err(Error::TargetTooLong));
    check_target(
        &format!("/{}", longest.repeat(9)),
        Err(Error::TargetTooLong),
    );
    check(format!("GET /{longest}a"), Ok("partial"));
    check(
        format!("GET /{longest}{}", "a".repeat(60)),
        Err(Error::TargetTooLong),
    );
}

#[test]
fn the_operators_limits() {
    let limits = HeadLimits {
        bytes: 64,
        fields: 2,
        target: 10,
    };
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let check = |head: &str, expected| check_within(limits, head.as_bytes(), expected);
    check(&get("/234567890", "b: c\r\n"), Ok("GET /234567890 @a"));
    check(&get("/2345678901", ""), Err(Error::TargetTooLong));
    check(&get("/", "b: c\r\nd: e\r\n"), Err(Error::FieldsTooMany));
    check(
        &get("/", &format!("b: {}\r\n", "c".repeat(32))),
        Ok("GET / @a"),
    );
    check(
        &get("/", &format!("b: {}\r\n", "c".repeat(33))),
        Err(Error::HeadTooLarge),
    );
    check(&get(&"/".repeat(100), ""), Err(Error::TargetTooLong));
    // Limits that contradict each other refuse all the same.
    let limits = HeadLimits {
        bytes: 20,
        ..HeadLimits::default()
    };
    check_within(limits, get("/", "").as_bytes(), Err(Error::HeadTooLarge));
    check_within(
        limits,
        get(&"/".repeat(100), "").as_bytes(),
        Err(Error::HeadTooLarge),
    );
}

#[test]
fn a_head_is_reused_without_a_trace_of_the_one_before() {
    let mut head = RequestHead::default();
    let first =
        b"HEAD /first?q HTTP/1.0\r\nHost: first\r\nConnection: x\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(
        head.parse(first, HeadLimits::default()),
        Ok(Parsed::Complete)
    );
    head.reset();
    assert_eq!(show(&head, b""), " / @-");
    let refused = b"GET / HTTP/1.1\r\nbad line\r\n\r\n";
    let verdict = head.parse(refused, HeadLimits::default());
    assert_eq!(verdict, Err(Error::FieldMalformed));
    head.reset();
    let last = b"GET /last HTTP/1.1\r\nHost: last\r\nX: y\r\n\r\n";
    assert_eq!(
        head.parse(last, HeadLimits::default()),
        Ok(Parsed::Complete)
    );
    assert_eq!(show(&head, last), "GET /last @last");
    assert_eq!(head.fields.table[1].id, FieldId::Other);
}

#[test]
fn a_caller_may_take_something_off_the_front_between_two_looks() {
    let mut head = RequestHead::default();
    assert_eq!(
        head.parse(b"\r", HeadLimits::default()),
        Ok(Parsed::Partial)
    );
    assert_eq!(head.parse(b"", HeadLimits::default()), Ok(Parsed::Partial));
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(
        head.parse(bytes, HeadLimits::default()),
        Ok(Parsed::Complete)
    );
}
