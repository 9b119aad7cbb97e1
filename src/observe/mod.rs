//! What is known of a request when it ends, and who is told.
//!
//! A [`Record`] is filled while a request is served. At its end the worker counts it
//! ([`RouteMetrics::observe`]) and logs it ([`LogSender::line`]); neither waits nor allocates. A
//! scrape adds the workers' cells up ([`prometheus::render`]), and one thread writes the log
//! ([`LogWriter`]).

mod block;
pub mod cells;
mod escape;
mod field;
mod file;
pub mod format;
pub mod limited;
mod line;
pub mod prometheus;
pub mod record;
pub mod routes;
pub mod sender;
mod time_text;
pub mod writer;

pub use block::Block;
pub use cells::{Closed, Counter, Gauge, WorkerCells};
pub use format::{Format, FormatError, FormatMistake};
pub use limited::{Limited, Refused, most_refused};
pub use record::Record;
pub use routes::{Registry, RouteIdentity, RouteMetrics};
pub use sender::LogSender;
pub use time_text::TimeText;
pub use writer::{LogCounts, LogEnd, LogTarget, LogWriter};
