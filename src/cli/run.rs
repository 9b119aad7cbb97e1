//! `sluice run`: the gateway, until it is told to end.

use super::fleet;
use crate::{control, model::checked::Driver, worker};
use clap::{Args, ValueEnum};
use std::{num::NonZeroU16, path::PathBuf, process::ExitCode};

/// Serve, until SIGTERM or SIGINT.
///
/// SIGHUP takes up the configuration file as it then stands, without losing a request. SIGTERM
/// finishes what is in flight; a second one ends at once. SIGUSR1 opens the access log again.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration file.
    #[arg(long, short, default_value = super::CONFIG, value_name = "FILE")]
    config: PathBuf,
    /// How workers wait for sockets, instead of the file's `driver`.
    #[arg(long, value_enum)]
    driver: Option<DriverArgument>,
    /// How many worker threads, instead of the file's `workers`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DriverArgument {
    /// io_uring where the kernel permits it, else epoll.
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

impl Run {
    pub(super) fn execute(self) -> ExitCode {
        let hint = super::hint_for(&self.config);
        let options = control::Options {
            config: self.config,
            driver: self.driver.map(|driver| match driver {
                DriverArgument::Auto => Driver::Auto,
                DriverArgument::Uring => Driver::Uring,
                DriverArgument::Epoll => Driver::Epoll,
            }),
            workers: self.workers.and_then(NonZeroU16::new),
            workers_auto: worker::usable_cpus().workers(),
        };
        match control::run(options, Box::new(fleet::launch), |_| ()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => super::fail(&format!("{}{hint}", failure.to_string().trim_end())),
        }
    }
}
