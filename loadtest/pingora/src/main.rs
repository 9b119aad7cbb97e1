//! A pingora proxy as its users would write it: two upstreams in turn, keep-alive both sides, an
//! access log.
//!
//! It is a peer of the load tests and nothing else. One thread without work stealing, as the
//! others have one; log lines go to a file through a buffer of 64 KiB. The service asks for no
//! cache, TLS or HTTP/2.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

/// Bytes of log lines that wait for a write, as nginx's `buffer=64k`.
const LOG_BUFFER_BYTES: usize = 64 * 1024;
/// Idle connections kept to the upstreams.
const POOL_CONNECTIONS: usize = 1024;

struct Proxy {
    upstreams: Vec<String>,
    next: AtomicUsize,
    log: Option<Mutex<BufWriter<File>>>,
}

/// What is kept of a request while it is carried.
struct Context {
    begun: Instant,
    /// The upstream tried first; a second try goes to the one after it.
    tried: Option<usize>,
    /// Whether a failed connection may be tried again.
    retry_left: bool,
}

thread_local! {
    /// The line being written, so that no request allocates one.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            begun: Instant::now(),
            tried: None,
            retry_left: true,
        }
    }

    async fn upstream_peer(&self, _: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let turn = match context.tried {
            Some(first) => first + 1,
            None => self.next.fetch_add(1, Ordering::Relaxed),
        };
        context.retry_left = context.tried.is_none();
        context.tried = Some(turn);
        let upstream = self.upstreams[turn % self.upstreams.len()].as_str();
        Ok(Box::new(HttpPeer::new(upstream, false, String::new())))
    }

    /// A connection that could not be opened is tried at the next upstream, once.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(context.retry_left);
        error
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let Some(log) = &self.log else { return };
        let status = session
            .response_written()
            .map_or(0, |response| response.status.as_u16());
        let head = session.req_header();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        LINE.with_borrow_mut(|line| {
            line.clear();
            // Writing to memory cannot fail, and a log that cannot be written stops no request.
            let _ = writeln!(
                line,
                "{{\"time\":{}.{:03},\"method\":\"{}\",\"path\":\"{}\",\"status\":{status},\"bytes\":{},\"us\":{},\"error\":{}}}",
                now.as_secs(),
                now.subsec_millis(),
                head.method,
                head.uri.path(),
                session.body_bytes_sent(),
                context.begun.elapsed().as_micros(),
                error.is_some(),
            );
            if let Ok(mut file) = log.lock() {
                let _ = file.write_all(line);
            }
        });
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstreams, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: pingora-peer LISTEN UPSTREAM[,UPSTREAM] [ACCESS-LOG]");
        std::process::exit(2);
    };
    let log = rest.first().map(|path| {
        let file = File::create(path).expect("the access log can be created");
        Mutex::new(BufWriter::with_capacity(LOG_BUFFER_BYTES, file))
    });
    let conf = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: POOL_CONNECTIONS,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let upstreams = upstreams.split(',').map(str::to_owned).collect();
    let proxy = Proxy {
        upstreams,
        next: AtomicUsize::new(0),
        log,
    };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}
