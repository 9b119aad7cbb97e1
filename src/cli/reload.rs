//! `sluice reload`: has the running gateway take up its configuration, and says what came of it.

use super::{client::Gateway, say};
use clap::Args;
use std::process::ExitCode;

/// Have the running gateway take up its configuration file.
///
/// The whole file is read, checked and compiled first; a mistake leaves what runs as it was, is
/// printed with its place, and the exit code is 1. No request is lost either way.
#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    gateway: Gateway,
}

impl Reload {
    pub(super) fn execute(self) -> ExitCode {
        match self.gateway.ask("POST", "/reload", None) {
            Ok(page) => say(&page["message"].as_str().unwrap_or_default()),
            Err(code) => code,
        }
    }
}
