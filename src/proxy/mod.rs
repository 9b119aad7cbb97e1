//! One request: from a connection that has something to say to the record of what became of it.
//!
//! `connection.rs` is a connection's life, `serve.rs` the request's way, `exchange.rs` one attempt
//! at an origin, `relay.rs` bodies, `reply.rs` what the gateway says itself, `tunnel.rs` what
//! follows on 101. `core.rs` is what all requests of a worker share.

mod answer;
mod api_key;
mod connection;
mod core;
mod exchange;
mod limits;
mod origin;
mod relay;
mod reply;
mod serve;
mod session;
mod tunnel;

pub use self::core::{Core, CoreParts, View};
pub use connection::connection;
