//! Long bodies: how fast they pass in one direction, and that every byte arrived.
//!
//! One thread per connection, blocking. It counts bytes and does not look into them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::response;

/// Bytes of one read or write.
const BLOCK_BYTES: usize = 256 * 1024;
/// A body that stands still for this long has failed.
const PROGRESS_WITHIN: Duration = Duration::from_secs(20);

/// Moves `--bytes` per connection and prints what it took.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let target: SocketAddr = arguments.required("target")?;
    let bytes: usize = arguments.required("bytes")?;
    let connections: usize = arguments.or("connections", 1)?;
    let direction: String = arguments.required("direction")?;
    let transfer: fn(SocketAddr, usize) -> Result<(), String> = match direction.as_str() {
        "down" => download,
        "up" => upload,
        _ => return Err("--direction is down or up".to_owned()),
    };
    let start = Instant::now();
    let threads: Vec<_> = (0..connections)
        .map(|_| std::thread::spawn(move || transfer(target, bytes)))
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| "a transfer panicked".to_owned())??;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{{\"bytes\": {}, \"seconds\": {seconds:.3}}}",
        bytes * connections
    );
    Ok(())
}

fn connect(target: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(target).map_err(|e| e.to_string())?;
    let limits = stream.set_read_timeout(Some(PROGRESS_WITHIN));
    limits
        .and_then(|()| stream.set_write_timeout(Some(PROGRESS_WITHIN)))
        .map_err(|e| e.to_string())?;
    Ok(stream)
}

fn download(target: SocketAddr, bytes: usize) -> Result<(), String> {
    let mut stream = connect(target)?;
    let request = format!("GET /bytes/{bytes} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|e| e.to_string())?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut head, mut left) = (Vec::new(), None);
    while left != Some(0) {
        let count = stream
            .read(&mut block)
            .map_err(|e| format!("download: {e}"))?;
        if count == 0 {
            return Err(format!("download ended with {left:?} bytes to come"));
        }
        left = Some(match left {
            Some(left) => count.min(left).abs_diff(left),
            None => {
                head.extend(&block[..count]);
                let Ok(Some(answer)) = response::head(&head) else {
                    continue;
                };
                if answer.status != 200 || answer.body_bytes != bytes {
                    return Err(format!(
                        "status {}, {} bytes announced",
                        answer.status, answer.body_bytes
                    ));
                }
                answer.bytes - head.len().min(answer.bytes)
            }
        });
    }
    Ok(())
}

fn upload(target: SocketAddr, bytes: usize) -> Result<(), String> {
    let mut stream = connect(target)?;
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: {target}\r\nContent-Length: {bytes}\r\n\r\n");
    stream
        .write_all(head.as_bytes())
        .map_err(|e| e.to_string())?;
    let block = vec![b'x'; BLOCK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let count = stream
            .write(&block[..left.min(BLOCK_BYTES)])
            .map_err(|e| format!("upload: {e}"))?;
        left -= count;
    }
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream
            .read(&mut buffer)
            .map_err(|e| format!("upload's answer: {e}"))?;
        answer.extend(&buffer[..count]);
        match response::whole(&answer) {
            Ok(None) if count > 0 => {}
            Ok(Some(whole)) if whole.status == 200 => {
                let body = String::from_utf8_lossy(&answer[whole.head_bytes..]).into_owned();
                let counted = body.lines().any(|line| line.trim() == bytes.to_string());
                return if counted {
                    Ok(())
                } else {
                    Err(format!("the origin counted {body:?}"))
                };
            }
            Ok(_) | Err(_) => return Err(format!("upload: {}", String::from_utf8_lossy(&answer))),
        }
    }
}
