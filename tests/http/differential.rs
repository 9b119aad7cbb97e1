//! Our reading of messages against hyper's, over rows and seeded mutations of them.
//!
//! What both take must be the same: start line, body, and where the next message begins. What
//! only hyper takes, we refuse by a rule that stands in a table here, and the table holds no rule
//! that nothing needs. Any other difference is a bug, or stands in the other table with its reason.

use super::{
    messages::{Numbers, corpus, mutated},
    oracle::{self, Seen},
};
use sluice::{
    error::Error,
    http::{
        ChunkedDecoder, Declared, HeadLimits, Method, Parsed, RequestHead, ResponseBody,
        ResponseHead,
    },
    route::{check_query, normalise},
};
use std::collections::BTreeSet;

/// Mutations of each message. The message is the seed.
const MUTATIONS: usize = 400;

/// Empty lines that are skipped before a request (RFC 9112 §2.2), as a connection does.
const EMPTY_LINES_MAX: usize = 2;

/// The rules by which we refuse what hyper takes.
const STRICTER: &[(Error, &str)] = &[
    (
        Error::RequestLineMalformed,
        "RFC 9112 §2.2: a line ends in CRLF, not in a bare LF; §3",
    ),
    (
        Error::FieldMalformed,
        "RFC 9112 §2.2: a line ends in CRLF, not in a bare LF",
    ),
    (Error::HostMissing, "RFC 9112 §3.2: HTTP/1.1 has a Host"),
    (Error::HostRepeated, "RFC 9112 §3.2: one Host"),
    (
        Error::HostMalformed,
        "RFC 9110 §7.2: a Host is an authority; RFC 9112 §3.2.2",
    ),
    (
        Error::LengthMalformed,
        "RFC 9112 §6.3: two lengths, even equal ones, are refused",
    ),
    (
        Error::FramingAmbiguous,
        "RFC 9112 §6.1: a length beside a transfer coding is refused",
    ),
    (
        Error::TransferEncodingRefused,
        "RFC 9112 §6.1: chunked, once, and plainly",
    ),
    (
        Error::TransferCodingUnknown,
        "RFC 9112 §6.1: other codings are not implemented",
    ),
    (
        Error::ConnectionOptionRefused,
        "RFC 9110 §7.6.1: some fields are for every recipient",
    ),
    (
        Error::ExpectationUnknown,
        "RFC 9110 §10.1.1: an unknown expectation is answered 417",
    ),
    (
        Error::MethodRefused,
        "CONNECT, TRACE, and methods longer than any that is registered",
    ),
    (
        Error::TargetMalformed,
        "RFC 9112 §3.2: the forms of a target; printable ASCII, no fragment",
    ),
    (
        Error::ChunkMalformed,
        "RFC 9112 §7.1: no white space, no bare LF, no control in a size line",
    ),
    (
        Error::PathControl,
        "the path policy: no encoded control reaches an origin",
    ),
    (Error::PathEncoding, "RFC 3986 §2.1: two digits after `%`"),
];

/// Whether an input is of a kind, and the reason that goes with the kind.
type Row = (fn(&[u8]) -> bool, &'static str);

/// What we take and hyper refuses, or both read differently, and why that is right.
const OTHERWISE: &[Row] = &[
    (
        has_excluded_byte_in_a_target,
        "bytes that RFC 3986 leaves out of URIs and clients send all the same: passed on untouched",
    ),
    (
        has_obs_text_in_connection,
        "hyper passes over a Connection field with obs-text, we still take its `close`",
    ),
];

fn has_excluded_byte_in_a_target(input: &[u8]) -> bool {
    let mut lines = input.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        let target = words.next().unwrap_or_default();
        let is_last = words
            .next()
            .is_some_and(|version| version.starts_with(b"HTTP/1."));
        is_last && target.iter().any(|byte| b"\"<>\\^`{|}".contains(byte))
    })
}

fn has_obs_text_in_connection(input: &[u8]) -> bool {
    let mut lines = input.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let name = line.get(..11).unwrap_or_default();
        name.eq_ignore_ascii_case(b"connection:") && line.iter().any(|byte| *byte >= 0x80)
    })
}

/// What we make of a stream of requests, and the refusal that ends it.
fn our_requests(input: &[u8]) -> (Vec<Seen>, Option<Error>) {
    let mut seen = Vec::new();
    let mut left = input;
    loop {
        for _ in 0..EMPTY_LINES_MAX {
            left = left.strip_prefix(b"\r\n").unwrap_or(left);
        }
        match our_request(&mut left) {
            Ok(None) => return (seen, None),
            Ok(Some((request, lives))) => {
                let whole = request.body.is_some();
                seen.push(request);
                if !lives || !whole {
                    return (seen, None);
                }
            }
            Err(error) => return (seen, Some(error)),
        }
    }
}

/// The request at the front of `left`, which is moved behind it, and whether another may follow.
fn our_request(left: &mut &[u8]) -> Result<Option<(Seen, bool)>, Error> {
    let mut head = RequestHead::default();
    if head.parse(left, HeadLimits::default())? == Parsed::Partial {
        return Ok(None);
    }
    let path = head.path(left);
    if path != b"*" {
        normalise(path, &mut Vec::new())?;
    }
    check_query(head.query.of(left))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut start = text(head.method_token.of(left)) + " " + &text(path);
    if head.has_query {
        start += &("?".to_owned() + &text(head.query.of(left)));
    }
    let lives = head.keeps_alive();
    *left = &left[head.len..];
    let body = match head.declared() {
        Declared::Nothing => Some(Vec::new()),
        Declared::Length(length) => sized(left, length),
        Declared::Chunked => chunked(left)?,
    };
    Ok(Some((Seen { start, body }, lives)))
}

fn sized(left: &mut &[u8], length: u64) -> Option<Vec<u8>> {
    let (body, rest) = left.split_at_checked(usize::try_from(length).ok()?)?;
    *left = rest;
    Some(body.to_vec())
}

fn chunked(left: &mut &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut decoder = ChunkedDecoder::default();
    let mut window = left.to_vec();
    let decoded = decoder.decode(&mut window)?;
    *left = &left[decoded.consumed..];
    window.truncate(decoded.data);
    Ok(decoder.is_done().then_some(window))
}

/// What we make of a response: the final one, or the refusal.
fn our_response(method: &str, input: &[u8]) -> Result<Option<Seen>, Error> {
    let mut left = input;
    loop {
        let mut head = ResponseHead::default();
        if head.parse(left)? == Parsed::Partial {
            return Ok(None);
        }
        left = &left[head.len..];
        if head.is_interim() {
            continue;
        }
        // A gateway relays 101 only to who asked for it.
        if head.status == 101 {
            return Err(Error::UpstreamMalformed);
        }
        let body = match head.body(Method::from_token(method.as_bytes())) {
            ResponseBody::None => Some(Vec::new()),
            ResponseBody::Length(length) => sized(&mut left, length),
            ResponseBody::Chunked => chunked(&mut left).unwrap_or_default(),
            ResponseBody::UntilClose => Some(left.to_vec()),
        };
        let start = head.status.to_string();
        return Ok(Some(Seen { start, body }));
    }
}

/// How two readings of one input differ.
#[derive(Debug)]
enum Difference {
    Stricter(Error),
    Laxer,
    Other,
}

fn difference(ours: &[Seen], refusal: Option<Error>, theirs: &[Seen]) -> Option<Difference> {
    let whole = |seen: &[Seen]| {
        let whole = seen.iter().take_while(|message| message.body.is_some());
        whole.cloned().collect::<Vec<_>>()
    };
    let (ours, theirs) = (whole(ours), whole(theirs));
    if ours == theirs {
        return None;
    }
    match refusal {
        Some(error) if theirs.starts_with(&ours) => Some(Difference::Stricter(error)),
        _ if ours.starts_with(&theirs) => Some(Difference::Laxer),
        _ => Some(Difference::Other),
    }
}

/// Rules that were needed, and what none explains.
#[derive(Default)]
struct Tally {
    inputs: usize,
    needed: BTreeSet<&'static str>,
    unexplained: Vec<String>,
}

impl Tally {
    fn judge(&mut self, input: &[u8], difference: Option<Difference>, told: &str) {
        self.inputs += 1;
        let rule = match difference {
            None => return,
            Some(Difference::Stricter(error)) => STRICTER
                .iter()
                .find(|(known, _)| *known == error)
                .map(|(_, rule)| *rule),
            Some(Difference::Laxer | Difference::Other) => OTHERWISE
                .iter()
                .find(|(is, _)| is(input))
                .map(|(_, reason)| *reason),
        };
        match rule {
            Some(rule) => {
                self.needed.insert(rule);
            }
            None => {
                let shown = input.escape_ascii();
                let how = format!("{difference:?}: {shown}\n{told}\n");
                self.unexplained.push(how);
            }
        }
    }

    #[track_caller]
    fn conclude(&self) {
        let count = self.unexplained.len();
        let first: Vec<_> = self.unexplained.iter().take(10).cloned().collect();
        assert!(count == 0, "{count} unexplained:\n{}", first.join("\n"));
        let stricter = STRICTER.iter().map(|(_, rule)| rule);
        let unneeded: Vec<_> = stricter
            .chain(OTHERWISE.iter().map(|(_, reason)| reason))
            .filter(|rule| !self.needed.contains(*rule))
            .collect();
        assert!(unneeded.is_empty(), "nothing needs {unneeded:#?}");
    }
}

fn inputs(name: &str, mut visit: impl FnMut(&[u8])) {
    for message in &corpus(name) {
        visit(message);
        let mut numbers = Numbers::new(message);
        for _ in 0..MUTATIONS {
            visit(&mutated(message, &mut numbers));
        }
    }
}

#[test]
fn requests_are_read_as_hyper_reads_them_or_refused_by_a_rule() {
    let mut tally = Tally::default();
    inputs("request_head", |message| {
        let next = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        let input = [message, next].concat();
        let (ours, refusal) = our_requests(&input);
        let theirs = oracle::requests(&input);
        let told = format!("ours: {ours:?} {refusal:?}\nhyper: {theirs:?}");
        tally.judge(&input, difference(&ours, refusal, &theirs), &told);
    });
    assert!(tally.inputs > 10_000);
    tally.conclude();
}

#[test]
fn responses_are_read_as_hyper_reads_them_or_refused() {
    let mut tally = Tally::default();
    inputs("response_head", |input| {
        for method in ["GET", "HEAD"] {
            let ours = our_response(method, input);
            let theirs = oracle::response(method, input);
            let told = format!("{method}\nours: {ours:?}\nhyper: {theirs:?}");
            tally.inputs += 1;
            let (Ok(Some(ours)), Some(theirs)) = (ours, theirs) else {
                continue;
            };
            let broken = ours.body.is_none() || theirs.body.is_none();
            assert_eq!(ours.start, theirs.start, "{}\n{told}", input.escape_ascii());
            assert!(broken || ours == theirs, "{}\n{told}", input.escape_ascii());
        }
    });
    assert!(tally.inputs > 10_000);
}
