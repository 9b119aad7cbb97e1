//! Sluice, an API gateway: Amazon API Gateway's model on a thread-per-core data plane.
//!
//! The modules stand in the order in which a request meets them; `docs/ARCHITECTURE.md` has the
//! map, and `proxy/serve.rs` has the request's way in one function.
//!
//! Layers, each importing only from those above it (held by `tests/tidy.rs`):
//!
//! ```text
//! bounds  error  scope  clock  buffer                the ground: imports nothing of ours
//! net  http                                          sockets; bytes and messages
//! route  guard  upstream  observe  model             decisions: pure, side by side
//! deploy                                             definitions frozen, and who serves which
//! snapshot                                           the compiled whole: where the planes meet
//! proxy | control                                    one request | everything about configuration
//! worker                                             one core
//! cli                                                the command line
//! ```
//!
//! `proxy` and `control` never import each other, and `worker` and `control` do not either:
//! `control` says what it asks of workers as a trait (`control::Fleet`), and `cli/fleet.rs` puts
//! the two together.

pub mod bounds;
pub mod buffer;
pub mod clock;
pub mod error;
pub mod scope;

pub mod http;
pub mod net;

pub mod guard;
pub mod observe;
pub mod route;
pub mod upstream;

pub mod deploy;
pub mod model;
pub mod snapshot;

pub mod control;
pub mod proxy;
pub mod worker;

pub mod cli;
