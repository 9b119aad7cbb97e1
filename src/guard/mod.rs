//! The checks before the integration: may this request go on?
//!
//! Order is policy: cheap before dear, anonymous before known, head before body. What is here decides
//! and never waits; time is an argument.

pub mod key;
pub mod limit;
pub mod quota;
pub mod registry;

pub use key::{Key, KeyHash, KeyRing, Membership, Remembered};
pub use limit::{Bucket, Rate, Spent, spend_all};
pub use quota::{Period, Quota, Usage, Used, UsedUp};
pub use registry::{Buckets, Draft, RouteIdentity};
