//! A configuration looked at from all sides, without serving it.

use super::{
    compile::{self, Addresses, Kept},
    failure::Failure,
    load::load,
};
use crate::{
    clock, guard,
    model::{Checked, definition::Missing},
    observe::Registry,
    upstream::States,
};
use std::{collections::BTreeMap, fmt, path::Path};

/// What a configuration holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    listeners: usize,
    upstreams: usize,
    apis: usize,
    stages: usize,
    routes: usize,
    /// Routes that ask for what this build does not do, by what it is.
    not_served: BTreeMap<Missing, usize>,
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
        for (missing, routes) in &self.not_served {
            let plural = if *routes == 1 { "" } else { "s" };
            write!(
                f,
                "\nanswered 501 for want of {missing}: {routes} route{plural}"
            )?;
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
        gates: &mut guard::Gates::default(),
        states: &mut states,
        canaries: &mut canaries,
        keys: &Default::default(),
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
        not_served: not_served(&checked),
    })
}

/// How many routes answer 501, by what is missing. A route may want several things.
pub(super) fn not_served(checked: &Checked) -> BTreeMap<Missing, usize> {
    let routes = checked
        .apis
        .iter()
        .flat_map(|api| api.definition.routes.values());
    let mut all = BTreeMap::new();
    for missing in routes.flat_map(|route| &route.missing) {
        *all.entry(*missing).or_default() += 1;
    }
    all
}
