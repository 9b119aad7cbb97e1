//! What is known of a request when it ends, and who is told.

pub mod record;

pub use record::Record;
