//! `sluice demo`: an origin and a gateway in front of it, in one process, and lines to try.
//!
//! The configuration is written to a folder of its own, so that it can be looked at, changed and
//! reloaded; the folder goes at the end.

mod origin;

use super::{fail, say};
use crate::{control, net::ListenAddress, worker};
use clap::Args;
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Try it: an echo origin and a gateway in front of it, on free ports of this machine.
///
/// Prints three lines to paste into another terminal. Ctrl-C ends it and leaves nothing behind.
#[derive(Debug, Args)]
pub(super) struct Demo {}

/// The folder of a demo. Removed when it is dropped.
struct Folder(PathBuf);

impl Demo {
    pub(super) fn execute(self) -> ExitCode {
        let (origin, folder) = match begin() {
            Ok(begun) => begun,
            Err(error) => return fail(&format!("cannot begin the demo: {error}")),
        };
        let config = folder.0.join("sluice.yaml");
        let options = control::Options {
            config: config.clone(),
            driver: None,
            workers: None,
            workers_auto: worker::usable_cpus().workers(),
        };
        let shown = |open: &[ListenAddress]| show(open, origin, &config);
        match super::serve(options, shown) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => fail(&failure),
        }
    }
}

fn begin() -> io::Result<(SocketAddr, Folder)> {
    let origin = origin::start()?;
    let folder = Folder(std::env::temp_dir().join(format!("sluice-demo-{}", std::process::id())));
    fs::create_dir(&folder.0)?;
    let config = include_str!("sluice.yaml").replace("ORIGIN", &origin.to_string());
    fs::write(folder.0.join("sluice.yaml"), config)?;
    Ok((origin, folder))
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A temporary folder that stays is swept by the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn show(open: &[ListenAddress], origin: SocketAddr, config: &Path) {
    let gateway = open.first().map(ToString::to_string).unwrap_or_default();
    let (config, pid) = (config.display(), std::process::id());
    say(&format_args!(
        "\nThe gateway listens on http://{gateway}, an echo origin on http://{origin}.\n\n\
         Try, in another terminal:\n\n\
         \x20 curl -i http://{gateway}/hello\n\
         \x20 curl -i 'http://{gateway}/orders/7?colour=blue'\n\
         \x20 curl -i -d 'some text' http://{gateway}/anything/else\n\n\
         Its configuration is {config}. Change it, then: kill -HUP {pid}\n\
         Ctrl-C ends the demo.\n"
    ));
}
