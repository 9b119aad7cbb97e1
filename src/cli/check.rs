//! `sluice check`: whether a configuration can be served, without serving it.

use super::{fail, hint_for, say};
use crate::control;
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Check a configuration and compile it, without serving.
///
/// Prints every mistake with its place and what would be right. Names of endpoints are not looked
/// up, and no address is bound. Exits with 0 if the file can be served, with 1 if not.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration file.
    #[arg(long, short, default_value = super::CONFIG, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(super) fn execute(self) -> ExitCode {
        match control::check(&self.config) {
            Ok(summary) => say(&format!("{}: {summary}", self.config.display())),
            Err(failure) => {
                let hint = hint_for(&self.config);
                fail(&format!("{}{hint}", failure.to_string().trim_end()))
            }
        }
    }
}
