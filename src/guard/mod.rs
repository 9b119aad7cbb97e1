//! The checks before the integration: may this request go on?
//!
//! Order is policy: cheap before dear, anonymous before known, head before body. What is here decides
//! and never waits; time is an argument.

pub mod limit;
pub mod registry;
pub mod reservoir;
pub mod share;

pub use limit::{Bucket, Rate, Spent, spend_all};
pub use registry::{Buckets, Draft, RouteIdentity, Tokens};
pub use reservoir::Reservoir;
pub use share::share;
