//! A request's head: every feeding gives the same verdict, every span lies inside the head, and
//! what is written on says the same again, without a field of this connection.

use sluice::{
    error::Error,
    http::{Declared, HOP_BY_HOP, HeadLimits, Parsed, Provenance, RequestHead, write_request},
};

const WAY: Provenance<'static> = Provenance {
    x_forwarded: true,
    forwarded: true,
    via: true,
    trusted: false,
    peer: b"2001:db8::1",
    scheme: "https",
    request_id_name: Some("x-request-id"),
    request_id: b"7",
};

/// Panics where a promise does not hold.
pub(crate) fn run(input: &[u8]) {
    for limits in [HeadLimits::default(), small_limits(input)] {
        let mut head = RequestHead::default();
        let whole = head.parse(input, limits);
        let step = if input.len() <= 1024 {
            1
        } else {
            1 + input.len() % 509
        };
        assert_eq!(pieces(input, limits, step), whole, "fed by {step}");
        if whole == Ok(Parsed::Complete) {
            check_spans(&head, input);
            check_written(&head, input);
        }
    }
}

/// Limits near the size of the input, so that each is met.
fn small_limits(input: &[u8]) -> HeadLimits {
    HeadLimits {
        bytes: 16 + input.len() / 2 * 2,
        fields: 1 + input.len() % 5,
        target: 1 + input.len() % 64,
    }
}

/// The verdict when `step` more bytes are seen at each call.
fn pieces(input: &[u8], limits: HeadLimits, step: usize) -> Result<Parsed, Error> {
    let mut head = RequestHead::default();
    let mut seen = 0;
    loop {
        let verdict = head.parse(&input[..seen], limits)?;
        if verdict == Parsed::Complete || seen == input.len() {
            return Ok(verdict);
        }
        seen = (seen + step).min(input.len());
    }
}

fn check_spans(head: &RequestHead, input: &[u8]) {
    let bytes = &input[..head.len];
    assert!(bytes.ends_with(b"\r\n\r\n"));
    assert!(!head.method_token.of(bytes).is_empty());
    assert!(!head.path(bytes).is_empty());
    assert!(head.has_query || head.query.is_empty());
    let _ = (
        head.query.of(bytes),
        head.host.of(bytes),
        head.upgrade(bytes),
    );
    for field in &head.fields.table {
        assert!(field.line(bytes).ends_with(b"\r\n"));
        assert!(!field.name.of(bytes).is_empty());
        let value = field.value.of(bytes);
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert_eq!(
        lines,
        head.fields.table.len() + 3,
        "a line that is no field"
    );
}

fn check_written(head: &RequestHead, input: &[u8]) {
    let host = if head.host.is_empty() {
        b"origin"
    } else {
        head.host.of(input)
    };
    let mut out = Vec::new();
    write_request(&mut out, head, input, b"/t", host, &WAY);
    // What we add may bring a head that was just within the bounds over them.
    let limits = HeadLimits {
        bytes: 32_000,
        ..HeadLimits::default()
    };
    let mut again = RequestHead::default();
    match again.parse(&out, limits) {
        Err(Error::FieldsTooMany) => return,
        verdict => assert_eq!(verdict, Ok(Parsed::Complete), "{}", out.escape_ascii()),
    }
    assert_eq!(again.len, out.len());
    assert_eq!(again.method_token.of(&out), head.method_token.of(input));
    assert_eq!(again.declared(), head.declared());
    assert_eq!(again.host.of(&out), host);
    assert_eq!(again.upgrade(&out), head.upgrade(input));
    let tunnel = head.upgrade(input).is_some();
    for field in &again.fields.table {
        let name = field.name.of(&out);
        let ours = name == b"transfer-encoding" && head.declared() == Declared::Chunked
            || tunnel && (name == b"upgrade" || name == b"connection");
        assert!(ours || !HOP_BY_HOP.has(field.id), "{}", name.escape_ascii());
    }
}
