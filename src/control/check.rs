//! A configuration looked at from all sides, without serving it.

use super::{
    compile::{self, Addresses, Kept},
    failure::Failure,
    load::load,
};
use crate::{clock, guard, observe::Registry, upstream::States};
use std::{fmt, path::Path};

/// What a configuration holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    listeners: usize,
    upstreams: usize,
    apis: usize,
    stages: usize,
    routes: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.listeners, "listener"),
            (self.upstreams, "upstream"),
            (self.apis, "API"),
            (self.stages, "stage"),
            (self.routes, "route"),
        ];
        for (index, (count, name)) in counts.into_iter().enumerate() {
            let before = if index == 0 { "" } else { ", " };
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{before}{count} {name}{plural}")?;
        }
        Ok(())
    }
}

/// Reads, checks and compiles the file at `path`. Looks no name up and binds nothing.
///
/// # Errors
/// All that is wrong with it.
pub fn check(path: &Path) -> Result<Summary, Failure> {
    let checked = load(path)?;
    let (metrics, mut states) = (Registry::new(1), States::default());
    let (mut buckets, mut canaries) = (guard::Buckets::default(), compile::Canaries::new());
    let mut kept = Kept {
        buckets: &mut buckets.draft(),
        metrics: &metrics,
        states: &mut states,
        canaries: &mut canaries,
        now: clock::now(),
    };
    compile::compile(
        &checked,
        &compile::Sources::new(),
        &Addresses::new(),
        1,
        &mut kept,
    )?;
    Ok(Summary {
        listeners: checked.listeners.len(),
        upstreams: checked.upstreams.len(),
        apis: checked.apis.len(),
        stages: checked.apis.iter().map(|api| api.stages.len()).sum(),
        routes: checked
            .apis
            .iter()
            .map(|api| api.definition.routes.len())
            .sum(),
    })
}
