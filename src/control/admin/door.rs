//! Who is let in to the admin API, and how much of it one client may take.
//!
//! A connection carries one request, which must have come within a deadline; there are so many
//! connections at most; one that takes nothing of its answer is closed. A browser is kept out: it
//! could be led here by a page of somebody else's (DNS rebinding, forged posts).

use super::{Api, refusal};
use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
    serve::{IncomingStream, Listener},
};
use sha2::{Digest, Sha256};
use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, timeout},
};

/// Connections at one time, for each listener. More wait in the backlog.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to send its request, and to take a piece of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing is accepted after accepting failed.
const PAUSE: Duration = Duration::from_millis(250);

/// A listener that bounds what comes in.
#[derive(Debug)]
pub(super) struct Door<L> {
    listener: L,
    places: Arc<Semaphore>,
}

/// A Unix listener.
#[derive(Debug)]
pub(super) struct Local(pub(super) UnixListener);

/// A connection, as its requests see it: whether one has come already.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    came: Arc<AtomicBool>,
    /// Who is at the other end.
    peer: Peer,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default)]
enum Peer {
    #[default]
    Unknown,
    /// A process of this user.
    User(u32),
    /// Somebody at this address.
    Address(std::net::IpAddr),
}

/// Who gives an order: for the record that is kept of it.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// A user of this machine.
    User(u32),
    /// The holder of a token, by its name.
    Token(String),
    /// Somebody at an address, where no tokens are asked for.
    Address(String),
}

impl Caller {
    /// The name in a stage's history.
    pub(super) fn name(&self) -> String {
        match self {
            Self::User(uid) => {
                let user = nix::unistd::User::from_uid((*uid).into()).ok().flatten();
                match user {
                    Some(user) => format!("{} (uid {uid})", user.name),
                    None => format!("uid {uid}"),
                }
            }
            Self::Token(name) => format!("token {name}"),
            Self::Address(address) => address.clone(),
        }
    }
}

impl<L> Door<L> {
    pub(super) fn new(listener: L) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// Accepts by `accept` as soon as there is a place.
    async fn admit<S>(
        &self,
        accept: impl AsyncFn(&L) -> io::Result<(S, Peer)>,
    ) -> (Visit<S>, Call) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (stream, peer) = loop {
            match accept(&self.listener).await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    tracing::debug!(%error, "the admin API cannot accept for now");
                    sleep(PAUSE).await;
                }
            }
        };
        let call = Call {
            peer,
            ..Call::default()
        };
        let visit = Visit {
            stream,
            call: call.clone(),
            deadline: Box::pin(sleep(PATIENCE)),
            stuck: Stuck::No,
            _place: place,
        };
        (visit, call)
    }
}

impl Listener for Door<TcpListener> {
    type Io = Visit<TcpStream>;
    type Addr = Call;

    async fn accept(&mut self) -> (Self::Io, Call) {
        self.admit(async |listener: &TcpListener| {
            let (stream, address) = listener.accept().await?;
            Ok((stream, Peer::Address(address.ip())))
        })
        .await
    }

    fn local_addr(&self) -> io::Result<Call> {
        Ok(Call::default())
    }
}

impl Listener for Door<Local> {
    type Io = Visit<UnixStream>;
    type Addr = Call;

    async fn accept(&mut self) -> (Self::Io, Call) {
        self.admit(async |listener: &Local| {
            let (stream, _) = listener.0.accept().await?;
            let user = stream.peer_cred().map(|user| Peer::User(user.uid()));
            Ok((stream, user.unwrap_or_default()))
        })
        .await
    }

    fn local_addr(&self) -> io::Result<Call> {
        Ok(Call::default())
    }
}

impl Connected<IncomingStream<'_, Door<TcpListener>>> for Call {
    fn connect_info(stream: IncomingStream<'_, Door<TcpListener>>) -> Self {
        stream.remote_addr().clone()
    }
}

impl Connected<IncomingStream<'_, Door<Local>>> for Call {
    fn connect_info(stream: IncomingStream<'_, Door<Local>>) -> Self {
        stream.remote_addr().clone()
    }
}

/// One connection, with its deadline.
#[derive(Debug)]
pub(super) struct Visit<S> {
    stream: S,
    call: Call,
    /// For the request at first, then for each piece of the answer that the client is slow to take.
    deadline: Pin<Box<Sleep>>,
    stuck: Stuck,
    _place: OwnedSemaphorePermit,
}

/// Whether the last write found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuck {
    No,
    Yes,
}

impl<S: AsyncRead + Unpin> AsyncRead for Visit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.call.came.load(Relaxed) && self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Visit<S> {
    /// What a write came to; an error once it has been stuck for too long.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stuck = Stuck::No;
            return result;
        }
        if self.stuck == Stuck::No {
            self.stuck = Stuck::Yes;
            self.deadline.as_mut().reset(Instant::now() + PATIENCE);
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Visit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Takes the body within its time, and lets the connection end after the answer: a reload may
/// take longer than a client may take to send its request.
pub(super) async fn one_request(
    ConnectInfo(call): ConnectInfo<Call>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > super::BODY_BYTES_MAX as u64 {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long");
    }
    let body = match timeout(PATIENCE, to_bytes(body, super::BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return refusal(StatusCode::BAD_REQUEST, "the body cannot be read"),
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
    };
    call.came.store(true, Relaxed);
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Refuses who has no token, where tokens are asked for, and tells the handlers who asks. Whether
/// the process lives may be asked by everybody.
pub(super) async fn authorised(
    State(api): State<Api>,
    ConnectInfo(call): ConnectInfo<Call>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match call.peer {
        Peer::User(uid) => Caller::User(uid),
        Peer::Unknown => Caller::Address("a local process".to_owned()),
        Peer::Address(address) => {
            let tokens = api.shared.tokens();
            match holder(&tokens, request.headers()) {
                Some(name) => Caller::Token(name),
                None if tokens.is_empty() || is_open(request.uri().path()) => {
                    Caller::Address(address.to_string())
                }
                None => {
                    let mut refused = refusal(StatusCode::UNAUTHORIZED, "a bearer token is needed");
                    let scheme = HeaderValue::from_static("Bearer");
                    refused
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, scheme);
                    return refused;
                }
            }
        }
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Whether everybody may ask for this page.
fn is_open(path: &str) -> bool {
    matches!(path, "/health" | "/ready")
}

/// Whose token the request carries. Every hash is compared whole, so that time tells nothing.
fn holder(tokens: &[(String, [u8; 32])], headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return None;
    }
    let hash: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
    let mut found = None;
    for (name, known) in tokens {
        let differs = known
            .iter()
            .zip(&hash)
            .fold(0, |all, (one, other)| all | one ^ other);
        if differs == 0 {
            found = Some(name.clone());
        }
    }
    found
}

/// Refuses a request that names another host than this one: a name that somebody else's server
/// resolves to this address. Addresses cannot be made to lead elsewhere.
pub(super) async fn known_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    match is_known_host(host) {
        true => next.run(request).await,
        false => refusal(
            StatusCode::FORBIDDEN,
            "the Host must be localhost or an address; this is a guard against DNS rebinding",
        ),
    }
}

/// Refuses what a browser sends on behalf of a page. Programs send no Origin.
pub(super) async fn own_origin(request: Request, next: Next) -> Response {
    let is_order = request.method() == Method::POST;
    match is_order && request.headers().contains_key(header::ORIGIN) {
        true => refusal(StatusCode::FORBIDDEN, "orders are not taken from web pages"),
        false => next.run(request).await,
    }
}

/// `localhost` or an address, with or without a port.
fn is_known_host(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    // A colon in brackets belongs to the address; one without them is no host at all.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let bracketed = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_known_host;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(is_known_host(host), expected, "{host:?}");
    }

    #[test]
    fn hosts() {
        check("localhost", true);
        check("LocalHost:9901", true);
        check("127.0.0.1:9901", true);
        check("10.1.2.3", true);
        check("[::1]:9901", true);
        check("[::1]", true);
        check("", false);
        check("::1", false);
        check("evil.example", false);
        check("evil.example:9901", false);
        check("localhost.evil.example", false);
        check("127.0.0.1.evil.example:80", false);
        check("localhost:", false);
        check("[evil]:80", false);
        check("[127.0.0.1]:80", false);
    }
}
