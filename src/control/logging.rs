//! The process's own log: on standard error, at a level that a reload may change.

use crate::model::checked::{Level, Log, LogFormat};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Changes the level of the log that was begun.
#[derive(Clone, Debug)]
pub(super) struct LogLevel(reload::Handle<LevelFilter, Registry>);

impl LogLevel {
    /// From now on, nothing less severe than `level`.
    pub(super) fn set(&self, level: Level) {
        // Only a log that is gone cannot be changed.
        let _ = self.0.reload(filter(level));
    }
}

/// Begins the log, and sends what a panic says there. Once a process; a second call changes
/// nothing but that its handle has no effect.
pub(super) fn begin(log: Log) -> LogLevel {
    let (level, handle) = reload::Layer::new(filter(log.level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // It would say so on standard error, and panic where that is what cannot be written.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(level);
    // An error means that somebody else (a test) has begun one.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        tracing::error!(thread, "a bug: {panic}");
    }));
    LogLevel(handle)
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
