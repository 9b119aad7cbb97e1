//! What a request asks of the origin, read from its head.
//!
//! The path's first segment chooses; whatever is not known here is the small answer, so that a
//! proxy may be given any set of routes. It reads no body.

use std::time::Duration;

/// What the origin is to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// 13 bytes: any other path.
    Hello,
    /// `/bytes/N`: a body of N bytes.
    Bytes(u64),
    /// `/slow/MS`: the small answer after a wait; other connections go on.
    Slow(Duration),
    /// `/stall/MS`: the whole process stops, as an origin that collects garbage does.
    Stall(Duration),
    /// `/sse`: events, one every 100 ms.
    Events,
}

/// One request.
pub struct Request {
    /// Chosen by the path.
    pub action: Action,
    /// HEAD: the answer has no body.
    pub head_only: bool,
    /// Content-Length of the request.
    pub body_bytes: u64,
}

impl Request {
    /// Reads a head without its empty line; `None` for what the origin does not take.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let line_end = head
            .iter()
            .position(|&byte| byte == b'\r')
            .unwrap_or(head.len());
        let line = std::str::from_utf8(&head[..line_end]).ok()?;
        let (method, rest) = line.split_once(' ')?;
        let path = rest.split([' ', '?']).next()?;
        let mut request = Self {
            action: action(path),
            head_only: method == "HEAD",
            body_bytes: 0,
        };
        // Most requests are GETs without a body: their fields are not looked at.
        if method == "GET" || method == "HEAD" {
            return Some(request);
        }
        let fields = std::str::from_utf8(&head[line_end..]).ok()?;
        for (name, value) in fields.lines().filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                request.body_bytes = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return None;
            }
        }
        Some(request)
    }
}

fn action(path: &str) -> Action {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (kind, number) = path.split_once('/').unwrap_or((path, ""));
    let milliseconds = || Duration::from_millis(number.parse().unwrap_or(0));
    match kind {
        "bytes" => Action::Bytes(number.parse().unwrap_or(0)),
        "slow" => Action::Slow(milliseconds()),
        "stall" => Action::Stall(milliseconds()),
        "sse" => Action::Events,
        _ => Action::Hello,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expected: Option<(Action, bool, u64)>) {
        let found = Request::parse(head.as_bytes()).map(|r| (r.action, r.head_only, r.body_bytes));
        assert_eq!(found, expected);
    }

    #[test]
    fn requests() {
        check("GET / HTTP/1.1\r\nhost: a", Some((Action::Hello, false, 0)));
        check(
            "HEAD /healthz HTTP/1.1\r\nhost: a",
            Some((Action::Hello, true, 0)),
        );
        check(
            "GET /bytes/70?x HTTP/1.1",
            Some((Action::Bytes(70), false, 0)),
        );
        check(
            "GET /slow/5 HTTP/1.1",
            Some((Action::Slow(Duration::from_millis(5)), false, 0)),
        );
        check("GET /sse HTTP/1.1", Some((Action::Events, false, 0)));
        check(
            "POST /u HTTP/1.1\r\nContent-Length: 9\r\nhost: a",
            Some((Action::Hello, false, 9)),
        );
        check("POST /u HTTP/1.1\r\nTransfer-Encoding: chunked", None);
        check("GET  HTTP/1.1", Some((Action::Hello, false, 0)));
        check("nonsense", None);
    }
}
