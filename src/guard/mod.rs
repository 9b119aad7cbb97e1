//! The checks before the integration: may this request go on?
//!
//! Order is policy: cheap before dear, anonymous before known, head before body. What is here decides
//! and never waits; time is an argument.

pub mod concurrency;
pub mod limit;
pub mod registry;

pub use concurrency::{Concurrency, Gate, Gates, Permit};
pub use limit::{Bucket, Rate, Spent, spend_all};
pub use registry::{Buckets, Draft, RouteIdentity};
