//! Usage plans: what each stage says of the keys that are good for it.

use crate::{
    guard::{self, Rate},
    model::{
        Checked,
        checked::{Period, Quota, UsagePlan},
        definition::Throttle,
    },
    snapshot::{Plan, PlanAtStage},
};
use std::{collections::HashMap, sync::Arc};

/// What plans say of stages, by the names of API and stage.
pub(super) type Plans = HashMap<(String, String), Vec<PlanAtStage>>;

/// The plans of every stage that has any, in the order of their names. Cost: linear in what they
/// say, but for sorting.
pub(super) fn plans(checked: &Checked) -> Plans {
    let mut all = Plans::new();
    for written in &checked.usage_plans {
        let plan = Arc::new(plan(written));
        for at in &written.stages {
            let api = &checked.apis[at.api];
            let mut routes: Vec<(Box<str>, Rate)> = at
                .routes
                .iter()
                .filter_map(|(key, throttle)| Some((key.as_str().into(), rate(*throttle)?)))
                .collect();
            routes.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            let names = (api.name.clone(), api.stages[at.stage].name.clone());
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

fn plan(written: &UsagePlan) -> Plan {
    Plan {
        name: written.name.as_str().into(),
        throttle: written.throttle.and_then(rate),
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

/// The model admits no other rates.
fn rate(throttle: Throttle) -> Option<Rate> {
    Rate::new(throttle.rate, throttle.burst)
}
