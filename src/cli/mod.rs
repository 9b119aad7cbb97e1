//! The command line: one file a subcommand, and where workers and the control plane meet.

mod fleet;
mod run;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Sluice, a self-hosted API gateway.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
}

/// Runs the program: 0 for success, 1 for failure, 2 for arguments that are wrong.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; a closed pipe is no matter.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match arguments.command {
        Command::Run(run) => run.execute(),
    }
}

/// Says what failed.
fn fail(failure: &dyn std::fmt::Display) -> ExitCode {
    use std::io::Write;
    let text = failure.to_string();
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    ExitCode::FAILURE
}
