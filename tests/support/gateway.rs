//! The real program in a folder of its own.

use super::{Client, DEADLINE, until};
use serde_json::Value;
use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

pub(crate) use nix::sys::signal::Signal;

/// A gateway that runs. It is ended when it is dropped.
pub(crate) struct Gateway {
    child: Child,
    /// Its folder: the configuration, the log, the state.
    pub folder: PathBuf,
}

/// A folder that no other test uses.
pub(crate) fn folder() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sluice-test-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// The program with these arguments, its output in `folder`.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    prepared(
        Command::new(env!("CARGO_BIN_EXE_sluice")),
        folder,
        arguments,
    )
}

/// The program with these arguments, which may open so many files and no more.
fn limited(folder: &Path, arguments: &[&str], descriptors: u32) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c");
    command.arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_sluice"));
    prepared(command, folder, arguments)
}

/// The program with these arguments, whose files may become so long and no longer: a disk that is
/// full is told in the same way, by a write that fails.
fn cramped(folder: &Path, arguments: &[&str], kibibytes: u32) -> Command {
    let mut command = Command::new("bash");
    command.arg("-c");
    command.arg(format!(
        "trap '' XFSZ && ulimit -f {kibibytes} && exec \"$0\" \"$@\""
    ));
    command.arg(env!("CARGO_BIN_EXE_sluice"));
    prepared(command, folder, arguments)
}

fn prepared(mut command: Command, folder: &Path, arguments: &[&str]) -> Command {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("stderr"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.unwrap());
    command
}

impl Gateway {
    /// Starts one with this configuration, and waits until it serves.
    pub(crate) fn start(driver: &str, config: &str) -> Self {
        Self::start_by(driver, config, program)
    }

    /// The same, but it may open so many files and no more.
    pub(crate) fn start_limited(driver: &str, config: &str, descriptors: u32) -> Self {
        Self::start_by(driver, config, |folder, arguments| {
            limited(folder, arguments, descriptors)
        })
    }

    /// The same, but its files may become so long and no longer.
    pub(crate) fn start_cramped(driver: &str, config: &str, kibibytes: u32) -> Self {
        Self::start_by(driver, config, |folder, arguments| {
            cramped(folder, arguments, kibibytes)
        })
    }

    fn start_by(
        driver: &str,
        config: &str,
        program: impl FnOnce(&Path, &[&str]) -> Command,
    ) -> Self {
        let folder = folder();
        fs::write(folder.join("sluice.yaml"), config).unwrap();
        let arguments = ["run", "--config", "sluice.yaml", "--driver", driver];
        let mut gateway = Self {
            child: program(&folder, &arguments).spawn().unwrap(),
            folder,
        };
        gateway.await_readiness();
        gateway
    }

    fn await_readiness(&mut self) {
        until("readiness", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.log());
            self.ask("GET", "/ready")
                .ok()
                .filter(|(status, _)| *status == 200)
        });
    }

    /// Kills it as a power cut would, and starts another one in the same folder.
    pub(crate) fn restart_after_kill(&mut self, driver: &str) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let arguments = ["run", "--config", "sluice.yaml", "--driver", driver];
        self.child = program(&self.folder, &arguments).spawn().unwrap();
        self.await_readiness();
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap()
    }

    /// Writes another configuration.
    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.folder.join("sluice.yaml"), config).unwrap();
    }

    /// Has it take up what is written; the status and the message.
    pub(crate) fn reload(&self) -> (u16, String) {
        let (status, page) = self.ask("POST", "/reload").unwrap();
        (status, page["message"].as_str().unwrap().to_owned())
    }

    /// Asks the admin API by its socket.
    pub(crate) fn ask(&self, method: &str, path: &str) -> io::Result<(u16, Value)> {
        let mut client = Client::connect_unix(&self.folder.join("state/sluice.sock"))?;
        let response = client.ask(method, path)?;
        Ok((response.status, serde_json::from_str(&response.body)?))
    }

    /// Gives the admin API an order by its socket.
    pub(crate) fn order(&self, path: &str, body: &Value) -> io::Result<(u16, Value)> {
        let mut client = Client::connect_unix(&self.folder.join("state/sluice.sock"))?;
        let body = body.to_string();
        client.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))?;
        let response = client.response()?;
        Ok((response.status, serde_json::from_str(&response.body)?))
    }

    /// The status that the admin API answers.
    pub(crate) fn status(&self, method: &str, path: &str) -> u16 {
        let mut client = Client::connect_unix(&self.folder.join("state/sluice.sock")).unwrap();
        client.ask(method, path).unwrap().status
    }

    /// A text of the admin API.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut client = Client::connect_unix(&self.folder.join("state/sluice.sock")).unwrap();
        client.ask("GET", path).unwrap().body
    }

    /// Where its listener of this number is.
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        let (_, page) = self.ask("GET", "/generation").unwrap();
        page["listeners"][index].as_str().unwrap().parse().unwrap()
    }

    /// Where its admin API is.
    pub(crate) fn admin(&self) -> SocketAddr {
        let (_, page) = self.ask("GET", "/generation").unwrap();
        page["admin"].as_str().unwrap().parse().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits until it ends by itself; its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        until("the end", || self.child.try_wait().unwrap()).code()
    }

    /// Waits until it has said `text`.
    pub(crate) fn has_said(&self, text: &str) {
        let what = format!("{text:?} within {DEADLINE:?}");
        until(&what, || self.log().contains(text).then_some(()));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what the gateway said:\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
