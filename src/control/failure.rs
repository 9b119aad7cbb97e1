//! Why a start or a reload did not come about, in words for whoever asked for it.

use super::{
    compiler::JobLost,
    keys::{self, KeyStoreError},
    listeners::BindError,
};
use crate::{
    bounds,
    deploy::{Refusal, StoreError},
    model::Mistakes,
};
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
    /// What is deployed cannot be read or written.
    Store(StoreError),
    /// The API keys cannot be read or written.
    KeyStore(KeyStoreError),
    /// The change of API keys is refused.
    KeyRefused(keys::Refusal),
    /// The stage's state does not permit the change.
    Refused(Refusal),
    /// There is no such thing in the configuration that runs.
    Unknown {
        /// What it would be.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is; may be empty.
        known: String,
    },
    /// The stage follows its API at each reload.
    StageFollows {
        /// Which.
        stage: String,
    },
    /// Nothing is deployed to the stage that was to be promoted.
    NothingToPromote {
        /// Which.
        stage: String,
    },
    /// A definition is too long to be deployed: its bytes.
    DefinitionTooLong(usize),
    /// The reason for a change is too long.
    ReasonTooLong,
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
            Self::Store(error) => error.fmt(f),
            Self::KeyStore(error) => error.fmt(f),
            Self::KeyRefused(refusal) => refusal.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unknown { what, name, known } => {
                write!(f, "there is no {what} called {name:?}")?;
                match known.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; known: {known}"),
                }
            }
            Self::StageFollows { stage } => write!(
                f,
                "the stage {stage:?} follows its API at each reload (auto_deploy: true): it is not \
                 deployed to"
            ),
            Self::NothingToPromote { stage } => {
                write!(f, "nothing has been deployed to the stage {stage:?} yet")
            }
            Self::DefinitionTooLong(bytes) => write!(
                f,
                "the definition takes {bytes} bytes; {} at most",
                bounds::DEPLOYMENT_BYTES_MAX
            ),
            Self::ReasonTooLong => {
                write!(f, "a reason has {} bytes at most", bounds::REASON_BYTES_MAX)
            }
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

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<KeyStoreError> for Failure {
    fn from(error: KeyStoreError) -> Self {
        Self::KeyStore(error)
    }
}

impl From<keys::Refusal> for Failure {
    fn from(refusal: keys::Refusal) -> Self {
        Self::KeyRefused(refusal)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
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
