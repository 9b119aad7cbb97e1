//! Usage plans, and where API keys stand.

use super::{Walk, domains::Targets, narrow};
use crate::model::{
    checked::{Api, Period, PlanStage, Quota, UsagePlan},
    definition::KeySource,
    document,
    mistake::{self, Path},
    names,
    setting::{Map, Named, Placed},
    throttle::Throttle,
};

impl Walk<'_> {
    pub(super) fn usage_plans(
        &mut self,
        map: Map<document::UsagePlan>,
        apis: &[Api],
    ) -> Vec<UsagePlan> {
        let root = Path::ROOT;
        let section = root.key("usage_plans");
        let targets = Targets::of(apis);
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                let path = section.key(&name);
                self.kept(place, path, names::name(&name));
                let written = value?;
                let quota = written.quota.value;
                Some(UsagePlan {
                    place,
                    description: written.description.value.unwrap_or_default(),
                    stages: self.plan_stages(written.stages.value, path.key("stages"), &targets),
                    throttle: written.throttle.value.as_ref().map(throttle),
                    quota: quota.and_then(|quota| self.quota(&quota, path.key("quota"))),
                    name,
                })
            })
            .collect()
    }

    fn plan_stages(
        &mut self,
        list: Vec<Placed<document::PlanStage>>,
        section: Path<'_>,
        targets: &Targets<'_>,
    ) -> Vec<PlanStage> {
        let mut stages: Vec<PlanStage> = Vec::new();
        for (index, written) in list.into_iter().enumerate() {
            let (place, written) = (written.place, written.value);
            let path = section.index(index);
            let Some((api, stage)) =
                self.target(&written.api, &written.stage, place, targets, path)
            else {
                continue;
            };
            if stages
                .iter()
                .any(|known| (known.api, known.stage) == (api, stage))
            {
                let what = "the plan names this stage twice";
                self.wrong(place, path, what, "put both together");
                continue;
            }
            let section = path.key("throttle");
            let routes = written.throttle.value.0.into_iter();
            let routes = routes.filter_map(|Named { name, place, value }| {
                self.route_of(&targets.list[api], &name, place, section.key(&name))?;
                Some((name, throttle(&value?)))
            });
            stages.push(PlanStage {
                api,
                stage,
                routes: routes.collect(),
            });
        }
        stages
    }

    /// Whether the API has the route; that it has not is recorded.
    fn route_of(
        &mut self,
        api: &Api,
        route: &str,
        place: mistake::Place,
        path: Path<'_>,
    ) -> Option<()> {
        let known = &api.definition.routes;
        if known.contains_key(route) {
            return Some(());
        }
        let what = format!("the API {:?} has no route {route:?}", api.name);
        let hint = match mistake::worth_a_hint(self.found) {
            true => mistake::suggest(route, "known routes", known.keys().map(String::as_str)),
            false => String::new(),
        };
        self.wrong(place, path, what, &hint);
        None
    }

    fn quota(&mut self, written: &document::Quota, path: Path<'_>) -> Option<Quota> {
        let offset: u8 = narrow(written.offset.value);
        let (most, of) = match written.period.value {
            Period::Day => (0, "a day begins at midnight"),
            Period::Week => (6, "0 (Sunday) to 6 can stand here for a week"),
            Period::Month => (27, "0 (the first) to 27 can stand here for a month"),
        };
        if offset > most {
            let what = format!("{offset} is out of range");
            self.wrong(written.offset.place, path.key("offset"), what, of);
            return None;
        }
        Some(Quota {
            limit: written.limit.value,
            period: written.period.value,
            offset,
        })
    }

    /// Where the API's clients put their keys.
    pub(super) fn key_source(
        &mut self,
        written: Option<document::ApiKey>,
        path: Path<'_>,
    ) -> KeySource {
        let Some(written) = written else {
            return KeySource::default();
        };
        match (written.header.value, written.query.value) {
            (Some(name), None) => {
                let place = written.header.place;
                let name = self.kept(place, path.key("header"), names::field_name(&name));
                name.map_or_else(KeySource::default, KeySource::Header)
            }
            (None, Some(name)) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
                if !name.bytes().all(plain) {
                    let what = format!("{name:?} is no name of a parameter here");
                    let hint = "letters, digits, -, _, . and ~ can stand here";
                    self.wrong(written.query.place, path.key("query"), what, hint);
                }
                KeySource::Query(name)
            }
            (None, None) => {
                let hint = "write header: x-api-key, or query: NAME";
                self.wrong(
                    written.place,
                    path,
                    "neither \"header\" nor \"query\"",
                    hint,
                );
                KeySource::default()
            }
            (Some(_), Some(_)) => {
                let what = "\"header\" and \"query\" exclude each other";
                self.wrong(written.place, path, what, "keep one of them");
                KeySource::default()
            }
        }
    }
}

fn throttle(written: &document::KeyThrottle) -> Throttle {
    Throttle::shared(written.rate.value.0, narrow(written.burst.value))
}
