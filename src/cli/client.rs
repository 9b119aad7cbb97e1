//! Asking the running gateway, by the socket in its state folder.

use super::fail;
use crate::control;
use clap::Args;
use serde_json::Value;
use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// How long an order may take: names are waited for, and a large configuration is compiled.
const WAIT: Duration = Duration::from_secs(120);

/// Bytes of an answer. A hundred mistakes with their lines stay far below, and so does the history
/// of a stage.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which gateway.
#[derive(Debug, Args)]
pub(super) struct Gateway {
    /// The configuration file, which says where the state folder is.
    #[arg(long, short, global = true, default_value = super::CONFIG, value_name = "FILE")]
    config: PathBuf,
    /// The state folder of the running gateway.
    #[arg(long, global = true, value_name = "FOLDER", conflicts_with = "config")]
    state_dir: Option<PathBuf>,
}

/// An answer: its status, and its body.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) page: Value,
}

impl Answer {
    /// What it says to people.
    pub(super) fn message(&self) -> &str {
        self.page["message"].as_str().unwrap_or_default()
    }
}

impl Gateway {
    /// Asks, and gives the page of a good answer; of any other the exit code, told already.
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ExitCode> {
        let state_dir = match &self.state_dir {
            Some(state_dir) => state_dir.clone(),
            // A file that is wrong would not be taken up, so this is the answer already.
            None => match control::load(&self.config) {
                Ok(checked) => checked.state_dir,
                Err(failure) => return Err(fail(&failure)),
            },
        };
        match ask(&state_dir.join(control::SOCKET), method, path, body) {
            Ok(answer) if answer.status == 200 => Ok(answer.page),
            Ok(answer) => Err(fail(&answer.message())),
            Err(error) => Err(fail(&unreachable(&state_dir, &error))),
        }
    }
}

/// `name` as a segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte.into()),
            _ => write!(out, "%{byte:02X}").expect("a String takes all"),
        }
    }
    out
}

#[allow(clippy::wildcard_enum_match_arm)] // The standard library's kinds grow.
fn unreachable(state_dir: &Path, error: &io::Error) -> String {
    let folder = state_dir.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "no gateway runs with the state folder {folder}; name the one of the running gateway \
             by --state-dir, or its configuration by --config"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("the gateway of {folder} runs as another user; use its account")
        }
        io::ErrorKind::WouldBlock => {
            format!("the gateway of {folder} did not answer within {WAIT:?}")
        }
        _ => format!("cannot ask the gateway of {folder}: {error}"),
    }
}

fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::Error::other("its answer is not understood"))
}

fn read(answer: &[u8]) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else {
        return None;
    };
    let page = serde_json::from_slice(answer.get(length..)?).ok()?;
    Some(Answer {
        status: head.code?,
        page,
    })
}

#[cfg(test)]
mod tests {
    use super::{read, segment};

    #[track_caller]
    fn check(answer: &str, expected: Option<(u16, &str)>) {
        let found = read(answer.as_bytes());
        let found = found
            .as_ref()
            .map(|answer| (answer.status, answer.message()));
        assert_eq!(found, expected, "{answer:?}");
    }

    #[test]
    fn answers() {
        let ok = "HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"message\":\"generation 2\"}";
        check(ok, Some((200, "generation 2")));
        check(
            "HTTP/1.1 422 X\r\n\r\n{\"message\":\"no\"}",
            Some((422, "no")),
        );
        check("HTTP/1.1 200 OK\r\n\r\n{}", Some((200, "")));
        check("HTTP/1.1 200 OK\r\n\r\nno", None);
        check("HTTP/1.1 200 OK\r\n", None);
        check("", None);
    }

    #[test]
    fn segments() {
        assert_eq!(segment("$default"), "%24default");
        assert_eq!(segment("a/b ü"), "a%2Fb%20%C3%BC");
        assert_eq!(segment("v1.2-x_y"), "v1.2-x_y");
    }
}
