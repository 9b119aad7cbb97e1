//! The command line: one file a subcommand, and where workers and the control plane meet.

mod check;
mod client;
mod completions;
mod csv;
mod demo;
mod export;
mod fleet;
mod import;
mod keys;
mod limits;
mod reload;
mod run;
mod schema;
mod stage;
mod status;
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
    Deploy(stage::Deploy),
    Promote(stage::Promote),
    Rollback(stage::Rollback),
    Canary(stage::Canary),
    Status(status::Status),
    Limits(limits::Limits),
    History(status::History),
    Diff(status::Diff),
    Gc(stage::Gc),
    Keys(keys::Keys),
    Usage(keys::Usage),
    Export(export::Export),
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
        Command::Deploy(deploy) => deploy.execute(),
        Command::Promote(promote) => promote.execute(),
        Command::Rollback(rollback) => rollback.execute(),
        Command::Canary(canary) => canary.execute(),
        Command::Status(status) => status.execute(),
        Command::Limits(limits) => limits.execute(),
        Command::History(history) => history.execute(),
        Command::Diff(diff) => diff.execute(),
        Command::Gc(gc) => gc.execute(),
        Command::Keys(keys) => keys.execute(),
        Command::Usage(usage) => usage.execute(),
        Command::Export(export) => export.execute(),
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
        check("sluice deploy a --stage s -m why", Ok(()));
        check("sluice keys create a --plan gold --config b", Ok(()));
        check("sluice keys list", Ok(()));
        check("sluice keys assign a", Err(2));
        check("sluice usage --plan gold --from 2026-12-01", Ok(()));
        check(
            "sluice usage extend --plan gold --key a --remaining 5",
            Ok(()),
        );
        check("sluice usage extend --plan gold --key a", Err(2));
        check("sluice deploy a", Err(2));
        check("sluice promote a --from dev --to prod", Ok(()));
        check("sluice promote a --from dev", Err(2));
        check("sluice rollback a --stage s --to abcd", Ok(()));
        check(
            "sluice canary a --stage s --percent 10 --deployment abcd --var k=v --sticky address",
            Ok(()),
        );
        check("sluice canary a --stage s", Err(2));
        check("sluice canary a --stage s --abort", Ok(()));
        check("sluice canary a --stage s --promote --percent 1", Err(2));
        check("sluice status --json", Ok(()));
        check("sluice limits", Ok(()));
        check("sluice history a", Ok(()));
        check("sluice diff a --stage s", Ok(()));
        check("sluice gc a --keep 3", Ok(()));
        check("sluice export a --stage s --swagger", Ok(()));
        check("sluice export a --oas30 --swagger", Err(2));
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
