//! Usage plans: what each stage says of the keys that are good for it.

use super::{Kept, limits};
use crate::{
    guard,
    model::{
        Checked,
        checked::{Period, Quota, UsagePlan},
    },
    scope::Scope,
    snapshot::{Limit, Plan, PlanAtStage},
};
use std::{collections::HashMap, sync::Arc};

/// What plans say of stages, by the names of API and stage.
pub(super) type Plans = HashMap<(String, String), Vec<PlanAtStage>>;

/// The plans of every stage that has any, in the order of their names. Cost: linear in what they
/// say, but for sorting.
pub(super) fn plans(checked: &Checked, kept: &mut Kept<'_, '_>) -> Plans {
    let mut all = Plans::new();
    for written in &checked.usage_plans {
        let plan = Arc::new(plan(written, kept));
        for at in &written.stages {
            let api = &checked.apis[at.api];
            let names = (api.name.clone(), api.stages[at.stage].name.clone());
            let mut routes: Vec<(Box<str>, Arc<Limit>)> = at
                .routes
                .iter()
                .filter_map(|(key, throttle)| {
                    let of = format!("{} {}/{} {key}", written.name, names.0, names.1);
                    let limit = limits::of_keys(throttle, Scope::PlanRoute, &of, kept)?;
                    Some((key.as_str().into(), limit))
                })
                .collect();
            routes.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            all.entry(names).or_default().push(PlanAtStage {
                plan: Arc::clone(&plan),
                routes: routes.into(),
            });
        }
    }
    for plans in all.values_mut() {
        plans.sort_unstable_by(|one, other| one.plan.name.cmp(&other.plan.name));
    }
    all
}

fn plan(written: &UsagePlan, kept: &mut Kept<'_, '_>) -> Plan {
    let throttle = written.throttle.as_ref();
    Plan {
        name: written.name.as_str().into(),
        throttle: throttle.and_then(|one| limits::of_keys(one, Scope::Plan, &written.name, kept)),
        quota: written.quota.map(quota),
    }
}

/// A quota in the words of `guard`.
pub fn quota(written: Quota) -> guard::Quota {
    guard::Quota {
        limit: written.limit,
        period: match written.period {
            Period::Day => guard::Period::Day,
            Period::Week => guard::Period::Week,
            Period::Month => guard::Period::Month,
        },
        offset: written.offset,
    }
}
