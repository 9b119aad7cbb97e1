//! What the gateway says itself: refusals, by the one table of `error.rs`, and mocks.

use super::session::{Session, Trail};
use crate::{
    error::Error,
    http::{After, FieldId, Method, OwnResponse, RequestHead, Version, tokens, write_own},
    snapshot::{Forwarding, Miss, Mock, Snapshot},
};
use std::{io, net::IpAddr};

/// Writes the answer to a request that `error` ended. Nothing of another answer has been written.
#[cold]
pub(super) async fn refuse(
    session: &mut Session<'_>,
    snapshot: &Snapshot,
    trail: &mut Trail<'_>,
    error: Error,
) -> io::Result<()> {
    let answer = error.answer();
    let mut lines = b"content-type: application/json\r\n".to_vec();
    if let Some(name) = type_of(error, trail) {
        lines.extend_from_slice(format!("x-amzn-errortype: {name}\r\n").as_bytes());
    }
    if error == Error::MethodNotAllowed {
        write_allow(session, trail, &mut lines);
    }
    if let Some(after) = trail.retry_after {
        let seconds = after.as_secs() + 1;
        lines.extend_from_slice(format!("retry-after: {seconds}\r\n").as_bytes());
    }
    let body = format!(r#"{{"message":"{}"}}"#, answer.message);
    let own = Own {
        status: answer.status,
        field_lines: &lines,
        body: body.as_bytes(),
    };
    write(session, snapshot, trail, &own).await
}

/// What an Amazon REST API calls the error, for the API that answers as one.
fn type_of(error: Error, trail: &Trail<'_>) -> Option<&'static str> {
    if error == Error::AuthenticationTokenMissing {
        return Some("MissingAuthenticationTokenException");
    }
    let served = trail.served.filter(|served| served.names_errors);
    served.and_then(|_| error.amazon_type())
}

/// Answers as a mock integration says.
pub(super) async fn mock(
    session: &mut Session<'_>,
    snapshot: &Snapshot,
    trail: &mut Trail<'_>,
    mock: &Mock,
) -> io::Result<()> {
    let own = Own {
        status: mock.status,
        field_lines: &mock.field_lines,
        body: &mock.body,
    };
    write(session, snapshot, trail, &own).await
}

struct Own<'a> {
    status: u16,
    field_lines: &'a [u8],
    body: &'a [u8],
}

async fn write(
    session: &mut Session<'_>,
    snapshot: &Snapshot,
    trail: &mut Trail<'_>,
    own: &Own<'_>,
) -> io::Result<()> {
    let after = write_head_and_body(session, snapshot, trail, own);
    trail.status = own.status;
    trail.head_sent = true;
    trail.keeps_alive = after != After::Close;
    trail.response_bytes = session.out.filled().len() as u64;
    if response_has_body(session.head.method, own.status) {
        trail.response_body_bytes = own.body.len() as u64;
    }
    session.deadline.limit(session.timeouts.send);
    let result = session.client.write.drain(&mut session.out).await;
    session.deadline.clear();
    result
}

/// Puts the whole answer into `out`; what follows on it.
fn write_head_and_body(
    session: &mut Session<'_>,
    snapshot: &Snapshot,
    trail: &Trail<'_>,
    own: &Own<'_>,
) -> After {
    let after = after(session, trail);
    let date = session.core.date(trail.now);
    session.out.ensure();
    let mut out = std::mem::take(session.out.storage());
    out.clear();
    let scratch = &mut session.core.scratch.borrow_mut();
    let field_lines = field_lines(own.field_lines, trail, scratch);
    let response = OwnResponse {
        status: own.status,
        field_lines,
        body: own.body,
        body_sent: session.head.method != Method::Head,
        after,
        date: &date,
        request_id: session.request_id_field(snapshot),
    };
    write_own(&mut out, &response);
    session.out.clear();
    *session.out.storage() = out;
    after
}

/// The lines of an answer with those that every answer of this kind has.
fn field_lines<'l>(own: &'l [u8], trail: &Trail<'_>, scratch: &'l mut Vec<u8>) -> &'l [u8] {
    let of_side = trail.side.map(|side| &*side.field_line).unwrap_or_default();
    if of_side.is_empty() && trail.allowance.is_none() {
        return own;
    }
    scratch.clear();
    scratch.extend_from_slice(own);
    scratch.extend_from_slice(of_side);
    if let Some(allowance) = trail.allowance {
        allowance.write(scratch);
    }
    scratch
}

const fn response_has_body(method: Method, status: u16) -> bool {
    !matches!(method, Method::Head) && !matches!(status, 100..=199 | 204 | 304)
}

/// How the connection goes on after a response of known length to the request in hand.
pub(super) fn after(session: &Session<'_>, trail: &Trail<'_>) -> After {
    let lives = trail.request_read && !session.core.is_draining();
    after_request(&session.head, lives)
}

/// The same, where `lives` tells whether anything but the client's own word speaks against it.
pub(super) fn after_request(head: &RequestHead, lives: bool) -> After {
    match (lives && head.keeps_alive(), head.version) {
        (false, _) => After::Close,
        (true, Version::Http11) => After::KeepAlive,
        (true, Version::Http10) => After::KeepAliveSaid,
    }
}

fn write_allow(session: &Session<'_>, trail: &Trail<'_>, lines: &mut Vec<u8>) {
    if let Some(served) = trail.served {
        lines.extend_from_slice(b"allow: ");
        served.table.methods(&session.target).write(lines);
        lines.extend_from_slice(b"\r\n");
    }
}

/// The error that a request ends with when no route of an API takes it; `has_methods` tells
/// whether the path has routes under other methods.
#[cold]
pub(super) fn miss(miss: Miss, has_methods: impl FnOnce() -> bool) -> Error {
    match miss {
        Miss::NotFound => Error::RouteUnknown,
        Miss::MethodNotAllowed if has_methods() => Error::MethodNotAllowed,
        Miss::MethodNotAllowed => Error::RouteUnknown,
        Miss::AuthenticationToken => Error::AuthenticationTokenMissing,
        Miss::NotDeployed => Error::StageNotDeployed,
    }
}

/// The client's address as trusted proxies tell it: the last in X-Forwarded-For that is not a
/// proxy that we trust; whatever stands before it may be made up.
pub(super) fn source_behind(
    head: &RequestHead,
    buffer: &[u8],
    forwarding: &Forwarding,
) -> Option<IpAddr> {
    let mut source = None;
    let mut values: Vec<&[u8]> = head.fields.values(FieldId::XForwardedFor, buffer).collect();
    values.reverse();
    for value in values {
        let mut elements: Vec<&[u8]> = tokens(value).collect();
        elements.reverse();
        for element in elements {
            let text = std::str::from_utf8(element).ok()?;
            let Ok(address) = text.parse::<IpAddr>() else {
                return source;
            };
            source = Some(address);
            if !forwarding.trusts(address) {
                return source;
            }
        }
    }
    source
}
