//! Limits that several machines share, as they are written.

use crate::model::{
    scalar::{Auto, Or, SECOND},
    setting::{settings, words},
};
use std::time::Duration;

settings! {
    /// Limits that several machines share.
    struct Cluster {
        /// The store, Valkey or Redis from 5 on: `redis://host:port`, with the number of a database
        /// (`/1`) or a login (`redis://user:password@host:port`) if need be.
        valkey: String, required;
        /// What holds while the store does not answer.
        on_store_failure: OnStoreFailure, default(OnStoreFailure::Share);
        /// How many nodes there are, for their shares. `auto`: as many as give signs of life.
        nodes: Or<Auto, u64>, default(Or::Word(Auto)), within(1..=1000);
        /// What the keys in the store begin with. Nodes with the same prefix share their limits.
        prefix: String, default("sluice:".to_owned()), within(1..=64);
        /// Between two rounds of leasing tokens.
        interval: Duration, default(Duration::from_millis(50)), within(10..=SECOND);
    }
}

words! {
    /// What holds while the store does not answer.
    pub enum OnStoreFailure {
        /// Each node admits its share: the rate and the burst divided by the number of nodes.
        Share = "share",
        /// Everything is admitted.
        Open = "open",
        /// Nothing is admitted beyond the tokens that a node has leased already.
        Closed = "closed",
    }
}
