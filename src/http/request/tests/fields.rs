//! Tests of the fields of a request: lines, framing, connection options, upgrades, expectations.

use super::*;

#[test]
fn field_lines() {
    let malformed = Err(Error::FieldMalformed);
    check_fields("a: b", Ok(""));
    check_fields("a:", Ok("")); // RFC 9110 §5.5: a value may be empty
    check_fields("a: \t ", Ok(""));
    check_fields("a:b:c", Ok(""));
    check_fields("!#$%&'*+-.^_`|~09aZ: x", Ok("")); // RFC 9110 §5.6.2: all of a token
    check_fields("a: \u{fc} tab\there", Ok("")); // §5.5: obs-text and tabs within
    // RFC 9112 §5.1: no white space between name and colon.
    check_fields("a : b", malformed);
    check_fields("a\t: b", malformed);
    check_fields("Content-Length : 5", malformed);
    check_fields("Transfer-Encoding : chunked", malformed);
    check_fields("Content-Length\x0b: 5", malformed);
    check_fields("\x0bContent-Length: 5", malformed);
    // §5.2: no folding; §2.2: no white space before the first field.
    check_fields("a: b\r\n c", malformed);
    check_fields("a: b\r\n\tc", malformed);
    check_fields("Content-Length: 5\r\n 5", malformed);
    check_fields("Transfer-Encoding:\r\n chunked", malformed);
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", malformed);
    check("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", malformed);
    // RFC 9110 §5.1: a name is a token, and not empty.
    check_fields(": b", malformed);
    check_fields("a", malformed);
    check_fields("a b: c", malformed);
    check_fields("a\0: c", malformed);
    check_fields("(a): c", malformed);
    check_fields("a\"b: c", malformed);
    check_fields("\u{fc}: c", malformed);
    check_fields("GET / HTTP/1.1", malformed);
    // §5.5: no CR, LF, NUL or other control in a value.
    check_fields("a: b\rc", malformed);
    check_fields("a: b\r", malformed);
    check_fields("a: b\nc: d", malformed);
    check_fields("a: b\n", malformed);
    check_fields("a:\n", malformed);
    check_fields("a: \0", malformed);
    check_fields("a: b\x0bc", malformed);
    check_fields("a: b\x0c", malformed);
    check_fields("a: b\x7f", malformed);
    check_fields("a: b\x1b[31m", malformed);
    check_fields("a: b\r\n\n", malformed);
    // RFC 9112 §2.2: half an empty line is none.
    check(
        "GET / HTTP/1.1\r\nHost: a\r\n\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        malformed,
    );
    check(
        "GET / HTTP/1.1\r\nHost: a\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        malformed,
    );
    check(
        "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n",
        Err(Error::RequestLineMalformed),
    );
}

#[test]
fn lengths() {
    // RFC 9110 §8.6: digits. The white space around a value is not part of it (§5.5).
    check_fields("Content-Length: 0", Ok(" 0"));
    check_fields("content-LENGTH:5", Ok(" 5"));
    check_fields("Content-Length:  \t5\t ", Ok(" 5"));
    check_fields("Content-Length: 0005", Ok(" 5"));
    check_fields(
        "Content-Length: 18446744073709551615",
        Ok(" 18446744073709551615"),
    );
    for refused in [
        "",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5a",
        "5 5",
        "5\t5",
        "5,5",
        "5, 5",
        "5,",
        ",5",
        "5;",
        "5.0",
        "5e1",
        "\"5\"",
        "five",
        "\u{665}",
        "1_000",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        check_fields(
            &format!("Content-Length: {refused}"),
            Err(Error::LengthMalformed),
        );
    }
    // RFC 9112 §6.3: several lengths, even equal ones, which we could take, and do not.
    check_fields(
        "Content-Length: 5\r\nContent-Length: 6",
        Err(Error::LengthMalformed),
    );
    check_fields(
        "Content-Length: 5\r\ncontent-length: 5",
        Err(Error::LengthMalformed),
    );
    check_fields(
        "Content-Length: 0\r\na: b\r\nContent-Length: 5",
        Err(Error::LengthMalformed),
    );
    // In disguise it means nothing to us, and is not passed on (tests of `write.rs`).
    check_fields("Content_Length: 5", Ok(""));
    check_fields("Content-Length: 5\r\nContent_Length: 6", Ok(" 5"));
}

#[test]
fn transfer_encodings() {
    check_fields("Transfer-Encoding: chunked", Ok(" chunked"));
    check_fields("transfer-ENCODING:\tChunKED ", Ok(" chunked")); // RFC 9112 §7: any case
    // RFC 9112 §6.1: `chunked` last and once.
    for refused in [
        "",
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "chunked, gzip",
        "chunked, chunked",
        "gzip, chunked, chunked",
        "chunked,",
        ",chunked",
        ", chunked",
        "gzip,, chunked",
        "chunked;q=1",
        "chunked;",
        "gzip;q=1, chunked",
        "chunked chunked",
        "\"chunked\"",
        "'chunked'",
        "chunked\u{a0}",
        "x\u{fc}, chunked",
        "cow chunked",
    ] {
        let line = format!("Transfer-Encoding: {refused}");
        check_fields(&line, Err(Error::TransferEncodingRefused));
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    ] {
        check_fields(lines, Err(Error::TransferEncodingRefused));
    }
    check_fields("Transfer-Encoding: chunked\x0b", Err(Error::FieldMalformed));
    check_fields("Transfer-Encoding: \x0bchunked", Err(Error::FieldMalformed));
    check_fields("Transfer-Encoding\t: chunked", Err(Error::FieldMalformed));
    // RFC 9112 §6.1: codings that we do not know are answered 501.
    check_fields(
        "Transfer-Encoding: gzip, chunked",
        Err(Error::TransferCodingUnknown),
    );
    check_fields(
        "Transfer-Encoding: identity,chunked",
        Err(Error::TransferCodingUnknown),
    );
    // In disguise it means nothing to us, and is not passed on (tests of `write.rs`).
    check_fields("Transfer_Encoding: chunked", Ok(""));
    check_fields("Content-Length: 5\r\ntransfer_encoding: chunked", Ok(" 5"));
    // §6.1: both are an attack or a mistake, in either order; and HTTP/1.0 has no codings.
    let ambiguous = Err(Error::FramingAmbiguous);
    check_fields("Content-Length: 5\r\nTransfer-Encoding: chunked", ambiguous);
    check_fields("Transfer-Encoding: chunked\r\nContent-Length: 5", ambiguous);
    check_fields("Transfer-Encoding: chunked\r\nContent-Length: 0", ambiguous);
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(old, Err(Error::TransferEncodingRefused));
}

#[test]
fn connection_options() {
    // RFC 9112 §9.3.
    check_fields("Connection: close", Ok(" close"));
    check_fields("Connection: ,, Close ,", Ok(" close"));
    check_fields("Connection: keep-alive\r\nConnection: close", Ok(" close"));
    check_fields("Connection: keep-alive, close", Ok(" close"));
    check_fields("Connection: keep-alive", Ok(""));
    check_fields("Connection: xclose", Ok(""));
    check_fields("Connection:", Ok(""));
    check(
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        Ok("GET / @- 1.0"),
    );
    // A field that is meant for every recipient cannot be nominated (RFC 9110 §7.6.1).
    for refused in [
        "Authorization",
        "close, authorization",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded-proto",
        "X-Forwarded-Host",
        "X-Request-Id",
        "Via",
        "X_Forwarded_For",
    ] {
        check_fields(
            &format!("Connection: {refused}"),
            Err(Error::ConnectionOptionRefused),
        );
    }
    let names = |count| format!("Connection: {}", vec!["x"; count].join(","));
    check_fields(&names(32), Ok(""));
    check_fields(&names(33), Err(Error::ConnectionOptionRefused));
}

#[test]
fn nominated_fields_are_marked_wherever_they_stand() {
    let bytes =
        b"GET / HTTP/1.1\r\nx-a: 1\r\nConnection: X-A, te\r\nX-a: 2\r\nte: x\r\nHost: a\r\n\r\n";
    let mut head = RequestHead::default();
    assert_eq!(
        head.parse(bytes, HeadLimits::default()),
        Ok(Parsed::Complete)
    );
    let ids: Vec<_> = head.fields.table.iter().map(|field| field.id).collect();
    let nominated = FieldId::Nominated;
    assert_eq!(
        ids,
        [
            nominated,
            FieldId::Connection,
            nominated,
            nominated,
            FieldId::Host
        ]
    );
}

#[test]
fn upgrades() {
    // RFC 9110 §7.8: both fields, HTTP/1.1, and no body.
    check_fields(
        "Connection: upgrade\r\nUpgrade: websocket",
        Ok(" upgrade=websocket"),
    );
    check_fields(
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade",
        Ok(" upgrade=websocket"),
    );
    check_fields("Upgrade: websocket", Ok(""));
    check_fields("Connection: upgrade", Ok(""));
    check_fields("Connection: upgrade\r\nUpgrade:", Ok(""));
    check_fields(
        "Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 5",
        Ok(" 5"),
    );
    check_fields(
        "Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 0",
        Ok(" 0 upgrade=a"),
    );
    check_fields(
        "Connection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: chunked",
        Ok(" chunked"),
    );
    check(
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        Ok("GET / @- 1.0 close"),
    );
    // Requests past us: `h2c` (RFC 9113 §3.1 took it away), other HTTP, TLS (RFC 2817).
    for ignored in [
        "h2c",
        "H2C",
        "h2",
        "h2c, websocket",
        "websocket,h2c",
        "HTTP/2.0",
        "TLS/1.0",
    ] {
        check_fields(
            &format!("Connection: upgrade\r\nUpgrade: {ignored}"),
            Ok(""),
        );
    }
}

#[test]
fn expectations() {
    // RFC 9110 §10.1.1.
    check_fields(
        "Expect: 100-continue\r\nContent-Length: 5",
        Ok(" 5 continue"),
    );
    check_fields("expect: 100-Continue", Ok(" continue"));
    check_fields(
        "Expect: 100-continue\r\nExpect: 100-continue",
        Ok(" continue"),
    );
    for unknown in ["", "100", "100-continue, x", "200-ok", "100-continue;x"] {
        check_fields(
            &format!("Expect: {unknown}"),
            Err(Error::ExpectationUnknown),
        );
    }
    check_fields(
        "Expect: 100-continue\r\nExpect: x",
        Err(Error::ExpectationUnknown),
    );
    check(
        "GET / HTTP/1.0\r\nExpect: x\r\n\r\n",
        Ok("GET / @- 1.0 close"),
    );
}
