//! hyper's reading of a byte stream, as server and as client, over a connection in memory.

use http_body_util::{BodyExt, Empty};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client, server,
    service::service_fn,
};
use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// A message as somebody understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `GET /path?query`, or a status.
    pub(crate) start: String,
    /// The body's bytes; `None` where it broke off or was malformed.
    pub(crate) body: Option<Vec<u8>>,
}

/// A connection whose other side says `input`: at once and then no more, or, where it waits, once
/// it was spoken to, and then it ends.
struct Wire {
    input: Vec<u8>,
    read: usize,
    waits: bool,
    ends: bool,
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waits {
            return Poll::Pending;
        }
        // A server takes an end for a client that went away, and serves nothing that waits.
        if self.read == self.input.len() && !self.ends {
            return Poll::Pending;
        }
        let end = self.input.len().min(self.read + cursor.remaining());
        cursor.put_slice(&self.input[self.read..end]);
        self.read = end;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits = false;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls `future` to its end, or until nothing more can come of it: everything it waits for is in
/// memory, so a few rounds without progress are for ever.
fn finish<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..64 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

/// The requests that hyper's server takes from `input`.
pub(crate) fn requests(input: &[u8]) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let uri = request.uri();
            let query = uri.query().map(|query| format!("?{query}"));
            let start = format!(
                "{} {}{}",
                request.method(),
                uri.path(),
                query.unwrap_or_default()
            );
            let body = request.into_body().collect().await;
            let body = body.ok().map(|body| body.to_bytes().to_vec());
            let broken = body.is_none();
            seen.borrow_mut().push(Seen { start, body });
            if broken {
                return Err(io::Error::other("the body is malformed"));
            }
            Ok(Response::new(Empty::<Bytes>::new()))
        }
    });
    let wire = Wire {
        input: input.to_vec(),
        read: 0,
        waits: false,
        ends: false,
    };
    let connection = server::conn::http1::Builder::new()
        .max_buf_size(64 * 1024)
        .serve_connection(wire, service);
    let _ = finish(connection);
    seen.take()
}

/// The final response that hyper's client takes from `input`, asked by `method`; `None` where it
/// refuses.
pub(crate) fn response(method: &str, input: &[u8]) -> Option<Seen> {
    let wire = Wire {
        input: input.to_vec(),
        read: 0,
        waits: true,
        ends: true,
    };
    finish(async {
        let (mut sender, connection) = client::conn::http1::handshake(wire).await.ok()?;
        let mut connection = Box::pin(connection);
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).ok()?)
            .uri("/")
            .header("host", "a")
            .body(Empty::<Bytes>::new())
            .ok()?;
        let exchange = async {
            let response = sender.send_request(request).await.ok()?;
            let start = response.status().as_u16().to_string();
            let body = response.into_body().collect().await.ok();
            let body = body.map(|body| body.to_bytes().to_vec());
            Some(Seen { start, body })
        };
        let mut exchange = Box::pin(exchange);
        std::future::poll_fn(|context| {
            let _ = connection.as_mut().poll(context);
            exchange.as_mut().poll(context)
        })
        .await
    })
    .flatten()
}
