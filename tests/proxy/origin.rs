//! An origin that says exactly the bytes that a test wants, and keeps what it was sent.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// What an origin does with a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Waits for another request.
    Keep,
    /// Closes it.
    Close,
}

/// A request as the origin saw it, and the connection that it came on.
pub(crate) struct Asked<'s> {
    /// The head, its last empty line included.
    pub(crate) head: String,
    /// What came with the head.
    pub(crate) rest: Vec<u8>,
    /// The connection.
    pub(crate) stream: &'s mut TcpStream,
}

impl Asked<'_> {
    /// Writes `bytes`; an error means that the gateway left, which the test sees by itself.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads until `count` bytes of the body are there.
    pub(crate) fn body(&mut self, count: usize) -> Vec<u8> {
        let mut buffer = [0; 16 * 1024];
        while self.rest.len() < count {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => self.rest.extend_from_slice(&buffer[..read]),
            }
        }
        let mut body = std::mem::take(&mut self.rest);
        self.rest = body.split_off(count.min(body.len()));
        body
    }

    /// Reads until what came ends with `end`.
    pub(crate) fn body_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 16 * 1024];
        while !self.rest.ends_with(end) {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => self.rest.extend_from_slice(&buffer[..read]),
            }
        }
        std::mem::take(&mut self.rest)
    }
}

/// A running origin. It ends with the test's process.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Mutex<mpsc::Receiver<String>>,
}

impl Origin {
    /// Starts an origin that answers each request by `answer`.
    pub(crate) fn start(answer: impl Fn(&mut Asked<'_>) -> After + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, heads) = mpsc::channel();
        let (answer, counted) = (Arc::new(answer), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (answer, sender) = (Arc::clone(&answer), sender.clone());
                thread::spawn(move || serve(stream, &*answer, &sender));
            }
        });
        Self {
            address,
            connections,
            heads: Mutex::new(heads),
        }
    }

    /// An origin that answers everything with `response` and keeps the connection.
    pub(crate) fn saying(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |asked| {
            asked.say(&response);
            After::Keep
        })
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The head of the next request that it saw.
    pub(crate) fn next_head(&self) -> String {
        let heads = self.heads.lock().expect("no test panics with it");
        heads
            .recv_timeout(Duration::from_secs(10))
            .expect("the origin was asked")
    }

    /// Whether it was asked anything that has not been looked at.
    pub(crate) fn was_asked(&self) -> bool {
        let heads = self.heads.lock().expect("no test panics with it");
        heads.try_recv().is_ok()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&mut Asked<'_>) -> After + Send + Sync),
    heads: &mpsc::Sender<String>,
) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
            continue;
        };
        let rest = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let _ = heads.send(head.clone());
        let mut asked = Asked {
            head,
            rest,
            stream: &mut stream,
        };
        if answer(&mut asked) == After::Close {
            return;
        }
        bytes = asked.rest;
    }
}
