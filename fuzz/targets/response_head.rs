//! A response's head: every feeding gives the same verdict, every span lies inside the head, and
//! what is written on says the same again, without a field of this connection.

use sluice::{
    error::Error,
    http::{
        After, Framing, HOP_BY_HOP, Method, Parsed, ResponseBody, ResponseHead, write_response,
    },
};

/// Panics where a promise does not hold.
pub(crate) fn run(input: &[u8]) {
    let mut head = ResponseHead::default();
    let whole = head.parse(input);
    let step = if input.len() <= 1024 {
        1
    } else {
        1 + input.len() % 509
    };
    assert_eq!(pieces(input, step), whole, "fed by {step}");
    if whole == Ok(Parsed::Complete) {
        check_spans(&head, input);
        for method in [Method::Get, Method::Head] {
            check_written(&head, input, method);
        }
    }
}

/// The verdict when `step` more bytes are seen at each call.
fn pieces(input: &[u8], step: usize) -> Result<Parsed, Error> {
    let mut head = ResponseHead::default();
    let mut seen = 0;
    loop {
        let verdict = head.parse(&input[..seen])?;
        if verdict == Parsed::Complete || seen == input.len() {
            return Ok(verdict);
        }
        seen = (seen + step).min(input.len());
    }
}

fn check_spans(head: &ResponseHead, input: &[u8]) {
    let bytes = &input[..head.len];
    assert!(bytes.starts_with(b"HTTP/1.") && bytes.ends_with(b"\r\n\r\n"));
    assert!((100..=999).contains(&head.status));
    let reason = head.reason.of(bytes);
    assert!(!reason.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
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

fn check_written(head: &ResponseHead, input: &[u8], method: Method) {
    let body = head.body(method);
    let (framing, after) = match body {
        _ if head.status == 101 => (Framing::Unsaid, After::Upgrade),
        ResponseBody::None => (Framing::Unsaid, After::KeepAlive),
        ResponseBody::Length(length) => (Framing::Length(length), After::KeepAlive),
        ResponseBody::Chunked | ResponseBody::UntilClose => (Framing::Chunked, After::KeepAlive),
    };
    let mut out = Vec::new();
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    let id = Some(("x-request-id", &b"7"[..]));
    write_response(&mut out, head, input, framing, after, date, id);
    let mut again = ResponseHead::default();
    match again.parse(&out) {
        // What we add may bring a head that was just within the bounds over them.
        Err(_) if input.len() > 15_000 || head.fields.table.len() > 95 => return,
        verdict => assert_eq!(verdict, Ok(Parsed::Complete), "{}", out.escape_ascii()),
    }
    assert_eq!((again.status, again.len), (head.status, out.len()));
    let expected = match body {
        ResponseBody::UntilClose => ResponseBody::Chunked,
        ResponseBody::None | ResponseBody::Length(_) | ResponseBody::Chunked => body,
    };
    assert_eq!(again.body(method), expected);
    for field in &again.fields.table {
        let name = field.name.of(&out);
        let ours = name == b"transfer-encoding" && framing == Framing::Chunked
            || head.status == 101 && (name == b"upgrade" || name == b"connection");
        assert!(ours || !HOP_BY_HOP.has(field.id), "{}", name.escape_ascii());
    }
}
