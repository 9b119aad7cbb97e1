//! Opens connections, lets each carry a request, and holds them while their memory is measured.
//!
//! It prints `held N` when all are open, then obeys lines on standard input: `burst` sends a
//! request on many of them at once and prints `burst N`, `close` closes all and prints
//! `closed N` with the number that were still open. Client addresses are 127.0.0.x, so that ports
//! do not run out. It blocks: order matters here, speed does not.

use std::io::{BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::arguments::Arguments;
use crate::response;

/// Connections from one client address.
const PER_ADDRESS: usize = 4000;
/// Connections opened and asked together: few, as what requests in flight leave on the heap would
/// count as memory of idle connections.
const TOGETHER: usize = 8;
/// A connection that does not answer for this long has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Runs until `close` or the end of standard input.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let target: SocketAddr = arguments.required("target")?;
    let count: usize = arguments.required("connections")?;
    let burst: usize = arguments.or("burst", 2000)?;
    let path: String = arguments.or("path", "/".to_owned())?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes();
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let first = held.len();
        for number in first..count.min(first + TOGETHER) {
            held.push(open(target, number).map_err(|e| format!("connection {number}: {e}"))?);
        }
        let answered = at_once(&mut held[first..], TOGETHER, &request);
        if answered < held.len() - first {
            return Err(format!(
                "{} of connections {first} to {} were not answered",
                held.len() - first - answered,
                held.len()
            ));
        }
    }
    println!("held {}", held.len());
    for line in std::io::stdin().lock().lines() {
        match line.map_err(|e| e.to_string())?.trim() {
            "burst" => println!("burst {}", at_once(&mut held, burst, &request)),
            "close" => {
                let open = held.iter().filter(|stream| still_open(stream)).count();
                held.clear();
                println!("closed {open}");
            }
            other => return Err(format!("not a command: {other}")),
        }
    }
    Ok(())
}

/// A connection from the client address that `number` falls to.
fn open(target: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let from = Ipv4Addr::new(127, 0, 0, 2 + (number / PER_ADDRESS) as u8);
    // Port 0: without this option the port is taken for all targets at once.
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(from, 0))?;
    rustix::net::connect(&socket, &target)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(stream)
}

fn read_answer(stream: &mut TcpStream) -> Result<(), String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("closed before the answer".to_owned()),
            Ok(count) => bytes.extend(&buffer[..count]),
            Err(error) => return Err(error.to_string()),
        }
        match response::whole(&bytes) {
            Ok(Some(answer)) if answer.status == 200 => return Ok(()),
            Ok(Some(answer)) => return Err(format!("status {}", answer.status)),
            Ok(None) => {}
            Err(_) => return Err("an answer that cannot be read".to_owned()),
        }
    }
}

/// Requests on every connection, `burst` of them in flight at once; how many were answered.
fn at_once(held: &mut [TcpStream], burst: usize, request: &[u8]) -> usize {
    let mut answered = 0;
    for group in held.chunks_mut(burst.max(1)) {
        let sent: Vec<bool> = group
            .iter_mut()
            .map(|stream| stream.write_all(request).is_ok())
            .collect();
        let answers = group
            .iter_mut()
            .zip(sent)
            .map(|(stream, sent)| sent && read_answer(stream).is_ok());
        answered += answers.filter(|&answer| answer).count();
    }
    answered
}

/// Whether the peer has kept the connection: nothing to read is what an idle one looks like.
fn still_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.set_nonblocking(true).is_ok()
        && matches!(stream.peek(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
