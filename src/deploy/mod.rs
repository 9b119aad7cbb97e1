//! Deployments: an API's definition frozen, and the pointers by which stages serve it.
//!
//! ```text
//! deployment   a definition with the hash of its content as its name; never changed
//! stage        which deployment a stage serves, its canary, and how it came to that: pure changes
//! condition    when a canary is taken back by itself: read and judged, pure
//! diff         what two definitions differ in, route by route
//! store        all of it in the state folder: written whole, synced, renamed
//! ```
//!
//! Only `store.rs` touches files. Nothing here compiles or serves anything; `control` does.

pub mod condition;
mod deployment;
mod diff;
mod stage;
mod store;

pub use condition::{Condition, Side, Verdict, Watch};
pub use deployment::{Deployment, DeploymentId, ThawError};
pub use diff::{Difference, diff};
pub use stage::{Action, By, Canary, CanaryPlan, Entry, Force, Refusal, StageState, Sticky};
pub use store::{Store, StoreError, Stored};
