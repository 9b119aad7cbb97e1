//! `sluice completions`: what a shell needs to complete our arguments.

use super::Arguments;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::process::ExitCode;

/// Print the completions for a shell.
///
/// For bash: sluice completions bash > /etc/bash_completion.d/sluice
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "sluice", &mut script);
        super::say(&String::from_utf8_lossy(&script))
    }
}
