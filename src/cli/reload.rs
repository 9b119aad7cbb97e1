//! `sluice reload`: has the running gateway take up its configuration, and says what came of it.
//!
//! The running one is found by the socket in its state folder.

use super::{fail, say};
use crate::control;
use clap::Args;
use serde_json::Value;
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// How long a reload may take: names are waited for, and a large configuration is compiled.
const WAIT: Duration = Duration::from_secs(120);

/// Bytes of an answer. A hundred mistakes with their lines stay far below.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Have the running gateway take up its configuration file.
///
/// The whole file is read, checked and compiled first; a mistake leaves what runs as it was, is
/// printed with its place, and the exit code is 1. No request is lost either way.
#[derive(Debug, Args)]
pub(super) struct Reload {
    /// The configuration file, which says where the state folder is.
    #[arg(long, short, default_value = super::CONFIG, value_name = "FILE")]
    config: PathBuf,
    /// The state folder of the running gateway.
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    state_dir: Option<PathBuf>,
}

impl Reload {
    pub(super) fn execute(self) -> ExitCode {
        let state_dir = match self.state_dir {
            Some(state_dir) => state_dir,
            // A file that is wrong would not be taken up, so this is the answer already.
            None => match control::load(&self.config) {
                Ok(checked) => checked.state_dir,
                Err(failure) => return fail(&failure),
            },
        };
        match post(&state_dir.join(control::SOCKET), "/reload") {
            Ok((200, message)) => say(&message),
            Ok((_, message)) => fail(&message),
            Err(error) => fail(&unreachable(&state_dir, &error)),
        }
    }
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

/// The status and the message that a POST is answered.
fn post(socket: &Path, path: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::Error::other("its answer is not understood"))
}

fn read(answer: &[u8]) -> Option<(u16, String)> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else {
        return None;
    };
    let body: Value = serde_json::from_slice(answer.get(length..)?).ok()?;
    Some((head.code?, body["message"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(answer: &str, expected: Option<(u16, &str)>) {
        let found = read(answer.as_bytes());
        let expected = expected.map(|(status, message)| (status, message.to_owned()));
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
        check("HTTP/1.1 200 OK\r\n\r\n{}", None);
        check("HTTP/1.1 200 OK\r\n\r\nno", None);
        check("HTTP/1.1 200 OK\r\n", None);
        check("", None);
    }
}
