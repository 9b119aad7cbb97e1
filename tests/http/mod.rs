//! HTTP/1.1 as another implementation reads it.

mod differential;
mod messages;
mod oracle;
