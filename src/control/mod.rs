//! Everything about configuration at run time: load, check, compile, swap; signals, health, names.
//!
//! ```text
//! load -> compile -> listeners -> Published      one change, in order; compiler.rs is its thread
//! gateway                                        the life of the process, which makes changes
//! admin  health  dns  cluster                    who asks for them, and what goes on beside
//! fleet                                          the workers, as seen from here
//! ```
//!
//! One thread with a runtime of its own; it never touches a request.

mod admin;
mod check;
mod cluster;
pub mod compile;
mod compiler;
mod deployments;
mod dns;
mod failure;
mod fleet;
mod gateway;
mod health;
mod keys;
mod listeners;
mod load;
mod logging;
mod reaper;
mod state_dir;
mod status;

pub use check::{Summary, check};
pub use failure::Failure;
pub use fleet::{Answers, Fleet, FleetParts, Launch, ListenerId};
pub use gateway::{Options, run};
pub use load::load;
pub use state_dir::SOCKET;
