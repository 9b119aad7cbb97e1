//! The checks before the integration: may this request go on?
//!
//! Order is policy: cheap before dear, anonymous before known, head before body. What is here decides
//! and never waits; time is an argument.

pub mod admit;
pub mod claim;
pub mod concurrency;
pub mod identity;
pub mod key;
mod lease;
pub mod limit;
pub mod query;
pub mod quota;
pub mod rate;
pub mod registry;
pub mod reservoir;
pub mod share;
pub mod table;
pub mod word;

pub use admit::{Limit, Refusal, admit};
pub use claim::claim;
pub use concurrency::{Concurrency, Gate, Gates, Permit};
pub use identity::LimitIdentity;
pub use key::{Key, KeyHash, KeyRing, Membership, Remembered};
pub use limit::Bucket;
pub use query::query_value;
pub use quota::{Period, Quota, Usage, Used, UsedUp};
pub use rate::{Rate, Spent};
pub use registry::{Buckets, Draft};
pub use reservoir::Reservoir;
pub use share::share;
pub use table::{ClientTable, KeyHasher};
