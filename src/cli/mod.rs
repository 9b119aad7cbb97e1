//! The command line: one file a subcommand, and where workers and the control plane meet.

mod check;
mod completions;
mod demo;
mod fleet;
mod import;
mod reload;
mod run;
mod schema;
mod version;

use crate::control;
use clap::{Parser, Subcommand};
use std::{
    fmt,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

/// Where the configuration is looked for.
const CONFIG: &str = "config/sluice.yaml";

/// Sluice, a self-hosted API gateway.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, max_term_width = 100)]
#[command(after_help = "Begin with `sluice demo`, which needs nothing but a free port.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Import(import::Import),
    Demo(demo::Demo),
    Reload(reload::Reload),
    Schema(schema::Schema),
    Version(version::Version),
    Completions(completions::Completions),
}

/// Serves until told to end, with workers of this process: what `run` does, for programs that
/// have Sluice inside.
///
/// `started` is called once it serves, with the addresses that it listens on.
///
/// # Errors
/// It could not start.
pub fn serve(
    options: control::Options,
    started: impl FnOnce(&[crate::net::ListenAddress]),
) -> Result<(), control::Failure> {
    crate::worker::use_small_pages();
    control::run(options, Box::new(fleet::launch), started)
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
        Command::Check(check) => check.execute(),
        Command::Import(import) => import.execute(),
        Command::Demo(demo) => demo.execute(),
        Command::Reload(reload) => reload.execute(),
        Command::Schema(schema) => schema.execute(),
        Command::Version(version) => version.execute(),
        Command::Completions(completions) => completions.execute(),
    }
}

/// Writes `text` and a newline to standard output. A reader that has gone is no failure of ours.
fn say(text: &dyn fmt::Display) -> ExitCode {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write to standard output: {error}")),
    }
}

/// Says on standard error what failed.
fn fail(failure: &dyn fmt::Display) -> ExitCode {
    let text = failure.to_string();
    // Nobody may be there to read it; the exit code stands.
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
    ExitCode::FAILURE
}

/// What to do about a configuration that is not where it is looked for by default.
fn hint_for(config: &Path) -> &'static str {
    match config == Path::new(CONFIG) && !config.exists() {
        true => "\nName the file by --config, or try `sluice demo`, which needs none.",
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[track_caller]
    fn check(line: &str, expected: Result<(), i32>) {
        let parsed = Arguments::try_parse_from(line.split(' '));
        let parsed = parsed.map(|_| ()).map_err(|error| error.exit_code());
        assert_eq!(parsed, expected, "{line}");
    }

    #[test]
    fn lines() {
        check("sluice run", Ok(()));
        check(
            "sluice run --config a.yaml --driver epoll --workers 3",
            Ok(()),
        );
        check("sluice run --driver kqueue", Err(2));
        check("sluice run --workers 0", Err(2));
        check("sluice run --workers 1025", Err(2));
        check("sluice check -c a.yaml", Ok(()));
        check("sluice demo", Ok(()));
        check("sluice import a.json", Ok(()));
        check(
            "sluice import a.yaml --name a --base-path split --origin https://a.test=users --write",
            Ok(()),
        );
        check("sluice import", Err(2));
        check("sluice import a.json --base-path keep", Err(2));
        check("sluice import a.json --origin users", Err(2));
        check("sluice reload --state-dir /run/sluice", Ok(()));
        check("sluice reload --state-dir a --config b", Err(2));
        check("sluice schema", Ok(()));
        check("sluice completions zsh", Ok(()));
        check("sluice completions tcsh", Err(2));
        check("sluice version", Ok(()));
        check("sluice", Err(2));
        check("sluice serve", Err(2));
        check("sluice --help", Err(0));
        check("sluice --version", Err(0));
    }
}
