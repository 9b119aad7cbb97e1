//! `sluice schema`: the JSON Schema of the configuration, for editors.

use crate::model;
use clap::Args;
use std::process::ExitCode;

/// Print the JSON Schema of the configuration.
///
/// Editors that know YAML check and complete by it. The first line of the file names it:
/// `# yaml-language-server: $schema=sluice.schema.json`.
#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn execute(self) -> ExitCode {
        super::say(&format_args!("{:#}", model::schema()))
    }
}
