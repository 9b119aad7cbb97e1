//! Sockets: listening, dialling, reading and writing rented buffers, deadlines.
//!
//! The only place besides `worker/` that knows monoio. It moves bytes and never looks at them.

mod deadline;
mod dial;
mod listener;
mod stream;

pub use deadline::{Deadline, Deadlines};
pub use dial::{DialAddress, DialError, dial};
pub use listener::{Accepted, Bound, ListenAddress, Listener, Peer};
pub use stream::{Driver, ReadHalf, Stream, WriteHalf, is_alive};
