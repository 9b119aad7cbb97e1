//! A warm request allocates nothing.
//!
//! A test program of its own, as it replaces the allocator with one that counts. The gateway runs
//! in this process, with everything on that a route can have: a JSON access log, metrics, two
//! endpoints, throttles, a rewritten path with parameters. The client and the origins use fixed
//! buffers, so that whatever is counted is the gateway's.

#![allow(unsafe_code)] // A global allocator is an unsafe trait.

use sluice::{cli, control};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Requests that are counted. What the process does by itself (a tick ten times a second, the
/// log's thread) may allocate a little; anything per request would show a thousandfold.
const REQUESTS: u64 = 10_000;

/// A route that asks for an API key, and a key that is good for it.
const KEYED: &str = "/keyed";
const KEY: &str = "a-key-for-the-allocation-test";

/// Allocations in all of them where what keys use is written to the disk twice a second: more the
/// longer they take, and far fewer than one a request.
const WRITING_MAX: u64 = REQUESTS / 4;

/// Allocations in all of them that are the process's own affairs.
const OTHER_MAX: u64 = 100;

fn main() {
    // The name of the driver comes first, as the two cannot run in one process one after the other.
    let driver = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'));
    match driver.as_deref() {
        Some(driver @ ("uring" | "epoll" | "auto")) => count(driver),
        _ => {
            for driver in ["auto", "epoll"] {
                let program = std::env::current_exe().expect("this program");
                let status = std::process::Command::new(program).arg(driver).status();
                assert!(status.expect("this program runs").success(), "{driver}");
            }
            println!("2 passed, 0 failed");
        }
    }
}

fn count(driver: &str) {
    let origins = [origin(), origin()];
    let address = gateway(driver, origins);
    for path in [
        "/plain",
        "/a/1/b/2/c/3/d/4?q=1",
        "/users/me/x",
        "/mock",
        "/ruled/plain",
        KEYED,
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\nAccept: */*\r\n\
             Cookie: a=b\r\nX-Api-Key: {KEY}\r\n\r\n"
        );
        let mut client = TcpStream::connect(address).expect("the gateway listens");
        client.set_nodelay(true).expect("a TCP socket");
        ask(&mut client, request.as_bytes(), REQUESTS / 10);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        ask(&mut client, request.as_bytes(), REQUESTS);
        let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!("{driver} {path}: {made} allocations in {REQUESTS} requests");
        let other_max = if path == KEYED {
            WRITING_MAX
        } else {
            OTHER_MAX
        };
        assert!(made <= other_max, "{driver} {path}: {made} allocations");
    }
    // The gateway's threads end with the process.
    std::process::exit(0);
}

/// Asks `times` times, one after the other, on one connection.
fn ask(client: &mut TcpStream, request: &[u8], times: u64) {
    let mut buffer = [0; 4096];
    for _ in 0..times {
        client.write_all(request).expect("the gateway reads");
        let mut filled = 0;
        loop {
            let read = client.read(&mut buffer[filled..]).expect("an answer");
            assert!(read > 0, "the gateway closed");
            filled += read;
            // Every body in this test ends so.
            if buffer[..filled].ends_with(b"body!") {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 "));
    }
}

/// An origin that answers whatever it is asked.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(read) => filled += read,
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: test\r\n\r\nbody!";
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}

/// Starts the gateway in this process; where it listens.
fn gateway(driver: &str, [one, two]: [SocketAddr; 2]) -> SocketAddr {
    let folder = std::env::temp_dir().join(format!("sluice-allocation-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let config = folder.join("sluice.yaml");
    let text = format!(
        "workers: 1
driver: {driver}
listeners: [{{ address: 127.0.0.1:0 }}]
access_log: {{ path: access.log, format: json }}
upstreams:
  u: {{ endpoints: [\"{one}\", \"{two}\"], balance: least_request }}
apis:
  a:
    routes:
      GET /plain: {{ integration: {{ type: http, upstream: u }}, throttle: {{ rate: 1000000, burst: 1000000 }} }}
      GET /a/{{a}}/b/{{b}}/c/{{c}}/d/{{d}}: {{ integration: {{ type: http, upstream: u, path: \"/{{d}}/{{c}}/{{b}}/{{a}}\" }} }}
      GET /users/me: {{ integration: {{ type: http, upstream: u }} }}
      GET /users/{{id}}/x: {{ integration: {{ type: http, upstream: u }} }}
      GET /mock: {{ integration: {{ type: mock, body: body! }} }}
      GET {KEYED}: {{ integration: {{ type: http, upstream: u }}, api_key_required: true }}
    stages: {{ s: {{ throttle: {{ rate: 1000000, burst: 1000000 }} }} }}
usage_plans:
  p: {{ stages: [{{ api: a }}], quota: {{ limit: 1000000, period: day }} }}
domains:
  \"*\":
    /: {{ api: a }}
    rules:
      - {{ priority: 1, headers: {{ cookie: '*a=c*' }}, api: a }}
      - {{ priority: 2, headers: {{ accept: '*/*', cookie: 'a=*' }}, base_path: ruled, api: a }}
"
    );
    fs::write(&config, text).expect("a file");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let options = control::Options {
            config,
            driver: None,
            workers: None,
            workers_auto: 1,
        };
        let ended = cli::serve(options, |listeners| {
            sender.send(listeners[0].clone()).expect("the test waits");
        });
        panic!("the gateway ended: {ended:?}");
    });
    let started = receiver.recv().expect("the gateway starts");
    make_key(&folder.join("state/sluice.sock"));
    match started {
        sluice::net::ListenAddress::Ip(address) => address,
        sluice::net::ListenAddress::Unix(path) => panic!("{}", path.display()),
    }
}

/// Has the gateway know [`KEY`].
fn make_key(socket: &std::path::Path) {
    let body = format!(r#"{{"keys":[{{"name":"k","value":"{KEY}","plans":["p"]}}]}}"#);
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("the admin API");
    let length = body.len();
    let head = format!("POST /keys/import HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}");
    write!(stream, "{head}\r\n\r\n{body}").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
