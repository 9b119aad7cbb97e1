//! `sluice version`.

use clap::Args;
use std::process::ExitCode;

/// Print the version.
#[derive(Debug, Args)]
pub(super) struct Version {}

impl Version {
    pub(super) fn execute(self) -> ExitCode {
        super::say(&concat!("sluice ", env!("CARGO_PKG_VERSION")))
    }
}
