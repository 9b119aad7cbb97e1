//! A scripted origin: HTTP/1.1 with kept connections, a thread for each, and gates to hold it at.

use super::DEADLINE;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Something that happens once, and that others wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody through, now and later.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let closed = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(closed, DEADLINE, |open| !*open);
        assert!(!waited.unwrap().1.timed_out(), "a gate stayed closed");
    }
}

/// What the origin does about a request, step by step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Open(Gate),
    Wait(Gate),
    Close,
}

impl Reply {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A whole response.
    pub(crate) fn with(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::new().send(&format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// Then sends these bytes.
    pub(crate) fn send(mut self, bytes: &str) -> Self {
        self.0.push(Step::Send(bytes.as_bytes().to_vec()));
        self
    }

    /// Then opens `gate`.
    pub(crate) fn open(mut self, gate: &Gate) -> Self {
        self.0.push(Step::Open(gate.clone()));
        self
    }

    /// Then waits for `gate`.
    pub(crate) fn wait(mut self, gate: &Gate) -> Self {
        self.0.push(Step::Wait(gate.clone()));
        self
    }

    /// Then closes the connection.
    #[allow(dead_code)] // For scripts to come.
    pub(crate) fn close(mut self) -> Self {
        self.0.push(Step::Close);
        self
    }
}

type Script = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// A running origin. It stops when it is dropped.
pub(crate) struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts one on a free port. `script` says what is done about a request, of which it is given
    /// the head.
    pub(crate) fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), script)
    }

    /// Starts one at this address: again, for one that was stopped.
    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let mut origin = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            stopped: Arc::default(),
            open: Arc::default(),
            accepting: None,
        };
        let script: Script = Arc::new(script);
        let (requests, stopped) = (Arc::clone(&origin.requests), Arc::clone(&origin.stopped));
        let open = Arc::clone(&origin.open);
        origin.accepting = Some(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
                thread::spawn(move || serve(stream, &script, &requests));
            }
        }));
        origin
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which closes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, script: &Script, requests: &AtomicUsize) {
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(input.read_line(&mut head), Ok(1..)) {
                return;
            }
        }
        let lower = head.to_ascii_lowercase();
        if let Some(length) = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
        {
            let mut body = vec![0; length.trim().parse().unwrap()];
            if input.read_exact(&mut body).is_err() {
                return;
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        for step in script(&head).0 {
            match step {
                Step::Send(bytes) => {
                    if output.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Step::Open(gate) => gate.open(),
                Step::Wait(gate) => gate.wait(),
                Step::Close => return drop(output.shutdown(Shutdown::Both)),
            }
        }
    }
}
