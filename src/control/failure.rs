//! Why a start or a reload did not come about, in words for whoever asked for it.

use super::{compiler::JobLost, listeners::BindError};
use crate::model::Mistakes;
use std::{fmt, io, path::PathBuf};

/// Why a start or a reload did not come about.
#[derive(Debug)]
pub enum Failure {
    /// The configuration cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The configuration is wrong.
    Mistakes(Mistakes),
    /// A listener cannot be bound.
    Bind(BindError),
    /// The admin API cannot be served.
    Admin(BindError),
    /// The access log cannot be written.
    AccessLog {
        /// Where it goes.
        target: String,
        /// Why.
        error: io::Error,
    },
    /// Another process serves from this state folder.
    AlreadyRunning {
        /// The folder.
        state_dir: PathBuf,
    },
    /// The state folder cannot be used.
    StateDir {
        /// The folder.
        state_dir: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The workers cannot be started.
    Workers(io::Error),
    /// The process cannot have what it needs from the system.
    System {
        /// What it needs.
        what: &'static str,
        /// Why it has it not.
        error: io::Error,
    },
    /// A bug.
    Internal(JobLost),
    /// The process is about to end.
    Draining,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            Self::Mistakes(mistakes) => mistakes.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Admin(error) => write!(f, "admin API: {error}"),
            Self::AccessLog { target, error } => {
                write!(f, "cannot write the access log to {target}: {error}")
            }
            Self::AlreadyRunning { state_dir } => write!(
                f,
                "already running: another process serves from {}; stop it, or give this one a \
                 state_dir of its own",
                state_dir.display()
            ),
            Self::StateDir { state_dir, error } => {
                write!(
                    f,
                    "cannot use the state folder {}: {error}",
                    state_dir.display()
                )
            }
            Self::Workers(error) => write!(f, "cannot start the workers: {error}"),
            Self::System { what, error } => write!(f, "cannot have {what}: {error}"),
            Self::Internal(lost) => lost.fmt(f),
            Self::Draining => f.write_str("the process is about to end"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<JobLost> for Failure {
    fn from(lost: JobLost) -> Self {
        Self::Internal(lost)
    }
}
