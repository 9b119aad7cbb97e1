//! By which name a limit finds its state again.

use crate::scope::Scope;

/// By what a limit's state is found again after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LimitIdentity {
    /// What it holds for.
    pub scope: Scope,
    /// Which one of those: names that no two share.
    pub of: Box<str>,
    /// Whose requests it counts together; empty: all.
    pub per: Box<str>,
    /// Which one of several alike.
    pub nth: usize,
}
