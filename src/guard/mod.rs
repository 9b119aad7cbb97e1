//! The checks before the integration: may this request go on?
//!
//! Order is policy: cheap before dear, anonymous before known, head before body. What is here decides
//! and never waits; time is an argument.

pub mod admit;
mod lease;
pub mod limit;
pub mod rate;
pub mod registry;
pub mod table;
pub mod word;

pub use admit::{Limit, Refusal, admit};
pub use limit::Bucket;
pub use rate::{Rate, Spent};
pub use registry::{Buckets, Draft, RouteIdentity};
pub use table::{ClientTable, KeyHasher};
