//! An awake connection: what serving requests on it needs, from one request to the next.
//!
//! It lives in a box for as long as requests keep coming and is let go when the connection falls
//! asleep, so that an idle connection holds no buffer and no table.

use super::{core::Core, limits::Allowance};
use crate::{
    bounds::{AWAKE_IDLE_MS, BUFFERS_KEPT_MAX},
    buffer::Buffer,
    clock::{self, Instant},
    error::Error,
    guard::Permit,
    guard::Remembered,
    http::{Declared, Parsed, RequestHead, ResponseHead},
    net::{Deadline, Peer, Stream},
    route::Matched,
    snapshot::{ClientTimeouts, Forwarding, Route, Served, Settings, Side, Snapshot, Stage},
    upstream::Upstream,
};
use std::{io::Write, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

/// Empty lines borne before a request line (RFC 9112 §2.2 asks for at least one).
const EMPTY_LINES_MAX: usize = 2;

/// An awake connection.
pub(super) struct Session<'c> {
    /// The worker.
    pub(super) core: &'c Rc<Core>,
    /// The client's connection.
    pub(super) client: &'c mut Stream,
    /// The limit of the step at hand with the client.
    pub(super) deadline: &'c Deadline,
    /// Who is at the other end.
    pub(super) peer: Peer,
    /// The peer's address as text; empty on a Unix socket.
    pub(super) peer_text: PeerText,
    /// What the client sent: while a request is served, its head at the front.
    pub(super) inbound: Buffer,
    /// What goes out next: a request to the origin, then a response to the client.
    pub(super) out: Buffer,
    /// What the origin sent.
    pub(super) origin_in: Buffer,
    /// The request's head.
    pub(super) head: RequestHead,
    /// The response's head.
    pub(super) response: ResponseHead,
    /// The path in normal form, where it was not already.
    pub(super) scratch: Vec<u8>,
    /// The target that the origin is asked for.
    pub(super) target: Vec<u8>,
    /// What the balance hashes of the request.
    pub(super) hash_key: Vec<u8>,
    /// What a limit counts the request by.
    pub(super) client_key: Vec<u8>,
    /// The API key that the connection brought last.
    pub(super) api_key: Remembered,
    /// The request id.
    pub(super) request_id: RequestId,
    /// The client's address, after trusted proxies.
    pub(super) source_ip: Option<IpAddr>,
    /// The same as text, where it is not the peer's.
    pub(super) source_text: Option<PeerText>,
    /// Whether the peer is a trusted proxy.
    pub(super) trusted: bool,
    /// The limits and times of the settings that the last request was served by.
    pub(super) timeouts: ClientTimeouts,
}

/// An address as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerText {
    bytes: [u8; 45],
    length: u8,
}

impl PeerText {
    fn of(peer: Peer) -> Self {
        let mut text = Self {
            bytes: [0; 45],
            length: 0,
        };
        if let Peer::Ip(address) = peer {
            let mut left = &mut text.bytes[..];
            let room = left.len();
            // The longest IPv6 address, with an IPv4 one in it, has 45 characters.
            if write!(left, "{address}").is_ok() {
                text.length = (room - left.len()) as u8;
            }
        }
        text
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }
}

/// A request id: given by a trusted peer, or made here.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

/// Where the bytes of a UUID stand in its text.
const UUID_PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Every byte as two hexadecimal digits.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 0xf]];
        byte += 1;
    }
    pairs
};

impl RequestId {
    /// Bytes of an id at most. A longer one from outside is replaced.
    pub(super) const BYTES_MAX: usize = 64;

    /// A version 4 UUID (RFC 9562 §5.4) out of 128 bits of chance.
    fn made(high: u64, low: u64) -> Self {
        let bits = u128::from(high) << 64 | u128::from(low);
        let bits = bits & !(0xf << 76) | 4 << 76;
        let bits = bits & !(0b11 << 62) | 0b10 << 62;
        let mut bytes = [b'-'; Self::BYTES_MAX];
        for (byte, at) in bits.to_be_bytes().into_iter().zip(UUID_PLACES) {
            bytes[at..at + 2].copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
        }
        Self { bytes, length: 36 }
    }

    /// One that came with the request, if it is short and of plain characters.
    fn given(text: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(byte);
        if text.is_empty() || text.len() > Self::BYTES_MAX || !text.iter().all(plain) {
            return None;
        }
        let mut bytes = [0; Self::BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self {
            bytes,
            length: text.len() as u8,
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// What came of waiting for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A whole head.
    Request,
    /// Nothing, for a while: the connection goes to sleep.
    Asleep,
    /// The client is done.
    End,
}

/// What is known of a request besides its bytes: filled in as it goes its way, read for the
/// record at its end.
pub(super) struct Trail<'v> {
    pub(super) started: Instant,
    /// The last time that was read off the clock.
    pub(super) now: Instant,
    pub(super) stage: Option<&'v Stage>,
    /// What of the stage serves the request.
    pub(super) served: Option<&'v Served>,
    /// Which deployment that is.
    pub(super) side: Option<&'v Arc<Side>>,
    pub(super) route: Option<&'v Arc<Route>>,
    /// Whether the session's API key is this request's.
    pub(super) has_api_key: bool,
    /// By which of the key's plans it is good for the stage.
    pub(super) plan: Option<usize>,
    /// Which routing rule and base path chose the stage; absent where the mapping of `/` did.
    pub(super) matched: Option<&'v Arc<Matched>>,
    pub(super) upstream: Option<&'v Arc<Upstream>>,
    /// The endpoint that was tried last: its index in the upstream.
    pub(super) endpoint: Option<usize>,
    pub(super) attempts: u8,
    pub(super) status: u16,
    pub(super) integration_status: Option<u16>,
    pub(super) integration_latency: Option<Duration>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) response_body_bytes: u64,
    pub(super) error: Option<Error>,
    /// How long until the client may try again, where a limit said no.
    pub(super) retry_after: Option<Duration>,
    /// What the limits that the request was under leave to its client, where responses say so.
    pub(super) allowance: Option<Allowance<'v>>,
    /// The places that the request holds until its response has ended.
    pub(super) permits: Permits,
    /// Whether the final response's head has been written: nothing else can be said then.
    pub(super) head_sent: bool,
    /// Whether another request may follow on the connection.
    pub(super) keeps_alive: bool,
    /// Whether the request's body has been read to its end, or is all in the buffer.
    pub(super) request_read: bool,
}

/// Places among requests in flight. They are free again when this is dropped, however the request
/// ends.
#[derive(Debug, Default)]
pub(super) struct Permits {
    pub(super) route: Option<Permit>,
    pub(super) upstream: Option<Permit>,
}

impl Trail<'_> {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            started,
            now: started,
            stage: None,
            served: None,
            side: None,
            route: None,
            has_api_key: false,
            plan: None,
            matched: None,
            upstream: None,
            endpoint: None,
            attempts: 0,
            status: 0,
            integration_status: None,
            integration_latency: None,
            request_bytes: 0,
            response_bytes: 0,
            response_body_bytes: 0,
            error: None,
            retry_after: None,
            allowance: None,
            permits: Permits::default(),
            head_sent: false,
            keeps_alive: false,
            request_read: false,
        }
    }
}

impl Trail<'_> {
    /// The same facts, held by others than the snapshot.
    pub(super) fn moved<'k>(
        &mut self,
        side: Option<&'k Arc<Side>>,
        route: Option<&'k Arc<Route>>,
        matched: Option<&'k Arc<Matched>>,
        upstream: Option<&'k Arc<Upstream>>,
    ) -> Trail<'k> {
        Trail {
            stage: None,
            served: None,
            side,
            route,
            matched,
            upstream,
            started: self.started,
            now: self.now,
            has_api_key: self.has_api_key,
            plan: self.plan,
            endpoint: self.endpoint,
            attempts: self.attempts,
            status: self.status,
            integration_status: self.integration_status,
            integration_latency: self.integration_latency,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            response_body_bytes: self.response_body_bytes,
            error: self.error,
            retry_after: self.retry_after,
            // The head that tells of it has been written.
            allowance: None,
            permits: std::mem::take(&mut self.permits),
            head_sent: self.head_sent,
            keeps_alive: self.keeps_alive,
            request_read: self.request_read,
        }
    }
}

impl<'c> Session<'c> {
    pub(super) fn new(
        core: &'c Rc<Core>,
        client: &'c mut Stream,
        deadline: &'c Deadline,
        peer: Peer,
        settings: &Settings,
    ) -> Self {
        Self {
            core,
            client,
            deadline,
            peer,
            peer_text: PeerText::of(peer),
            inbound: core.buffers.rent(),
            out: core.buffers.rent(),
            origin_in: core.buffers.rent(),
            head: RequestHead::default(),
            response: ResponseHead::default(),
            scratch: Vec::new(),
            target: Vec::with_capacity(256),
            hash_key: Vec::new(),
            client_key: Vec::new(),
            api_key: Remembered::default(),
            request_id: RequestId {
                bytes: [0; RequestId::BYTES_MAX],
                length: 0,
            },
            source_ip: None,
            source_text: None,
            trusted: false,
            timeouts: settings.timeouts,
        }
    }

    /// Reads until a whole head stands at the front of `inbound`, with the time at which its
    /// first byte was seen in `started`.
    pub(super) async fn read_head(
        &mut self,
        settings: &Settings,
        started: &mut Option<Instant>,
    ) -> Result<Arrival, Error> {
        self.timeouts = settings.timeouts;
        self.head.reset();
        let mut empty_lines = 0;
        loop {
            while empty_lines < EMPTY_LINES_MAX && self.inbound.filled().starts_with(b"\r\n") {
                self.inbound.consume(2);
                empty_lines += 1;
            }
            if self.inbound.filled().is_empty() {
                let arrival = self.wait().await;
                if arrival != Arrival::Request {
                    return Ok(arrival);
                }
                continue;
            }
            if started.is_none() {
                *started = Some(clock::now());
            }
            if self.head.parse(self.inbound.filled(), settings.head)? == Parsed::Complete {
                self.deadline.clear();
                return Ok(Arrival::Request);
            }
            if !self.read_more_of_head().await? {
                return Ok(Arrival::End);
            }
        }
    }

    /// Waits for the first bytes of a request.
    async fn wait(&mut self) -> Arrival {
        const AWAKE_IDLE: Duration = Duration::from_millis(AWAKE_IDLE_MS);
        if self.core.is_draining() {
            return Arrival::End;
        }
        self.inbound.clear();
        self.core.cells.connections_idle.up();
        // While the pool would keep the buffers of all that are awake, sleep would free nothing,
        // and a read that can be cancelled costs more than one that cannot.
        let read = if self.core.awake() <= BUFFERS_KEPT_MAX {
            self.deadline.limit_idle(self.timeouts.idle);
            self.client.read.fill(&mut self.inbound, 0).await
        } else {
            let time = AWAKE_IDLE.min(self.timeouts.idle);
            let cancel = self.deadline.cancel_idle_read(time);
            self.client
                .read
                .fill_or_cancel(&mut self.inbound, cancel)
                .await
        };
        self.core.cells.connections_idle.down();
        match read {
            Ok(0) => Arrival::End,
            Ok(_) => {
                self.deadline.clear();
                Arrival::Request
            }
            Err(error) if error.raw_os_error() == Some(nix::libc::ECANCELED) => Arrival::Asleep,
            Err(_) => Arrival::End,
        }
    }

    /// Whether more of a head that has begun came. All of it must be there in time, however many
    /// pieces it comes in.
    async fn read_more_of_head(&mut self) -> Result<bool, Error> {
        self.inbound.compact();
        self.deadline.limit_read_once(self.timeouts.head);
        match self.client.read.fill(&mut self.inbound, 0).await {
            Ok(0) if self.deadline.expired() => Err(Error::HeadTimeout),
            Ok(0) | Err(_) => Ok(false),
            Ok(_) => Ok(true),
        }
    }

    /// Who asks, by which id: decided once a request, before anything is refused by it.
    pub(super) fn identify(&mut self, forwarding: &Forwarding) {
        let (trusted, address) = match self.peer {
            Peer::Ip(address) => (forwarding.trusts(address), Some(address)),
            Peer::Local => (false, None),
        };
        self.trusted = trusted;
        self.source_ip = address;
        let buffer = self.inbound.filled();
        if trusted {
            let behind = super::reply::source_behind(&self.head, buffer, forwarding);
            self.source_ip = behind.or(address);
            self.source_text = behind.map(|behind| PeerText::of(Peer::Ip(behind)));
        }
        let given = match &forwarding.request_id {
            Some(name) if trusted => self.head.fields.named(name, buffer),
            _ => None,
        };
        self.request_id = given
            .and_then(RequestId::given)
            .unwrap_or_else(|| RequestId::made(self.core.random(), self.core.random()));
    }

    /// The client's address as text, after trusted proxies; empty on a Unix socket.
    pub(super) fn source_text(&self) -> &[u8] {
        self.source_text
            .as_ref()
            .unwrap_or(&self.peer_text)
            .as_bytes()
    }

    /// How many bytes of the request's body stand behind its head, if that is all of it.
    pub(super) fn whole_body(&self) -> Option<usize> {
        let there = self.inbound.filled().len() - self.head.len;
        match self.head.declared() {
            Declared::Nothing => Some(0),
            Declared::Length(length) if length <= there as u64 => Some(length as usize),
            Declared::Length(_) | Declared::Chunked => None,
        }
    }

    /// The snapshot's word on how a request id is passed on.
    pub(super) fn request_id_field<'s>(
        &'s self,
        snapshot: &'s Snapshot,
    ) -> Option<(&'s str, &'s [u8])> {
        let name = snapshot.settings.forwarding.request_id.as_deref()?;
        Some((name, self.request_id.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn a_made_id_is_a_version_4_uuid() {
        for (high, low) in [(0, 0), (u64::MAX, u64::MAX), (0x0123_4567_89ab_cdef, 42)] {
            let id = RequestId::made(high, low);
            let text = std::str::from_utf8(id.as_bytes()).expect("hexadecimal digits");
            let parts: Vec<usize> = text.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
            assert_eq!(&text[14..15], "4", "{text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        }
    }

    #[test]
    fn a_given_id_is_short_and_plain() {
        let long = "x".repeat(RequestId::BYTES_MAX + 1);
        for refused in ["", "a b", "a\"b", "a\u{7f}", long.as_str()] {
            assert!(
                RequestId::given(refused.as_bytes()).is_none(),
                "{refused:?}"
            );
        }
        let given = RequestId::given(b"Root=1-67891233-abcdef012345678912345678");
        assert_eq!(
            given.expect("a trace id").as_bytes(),
            b"Root=1-67891233-abcdef012345678912345678"
        );
    }
}
