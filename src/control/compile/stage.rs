//! One stage: the definitions that it serves, compiled with its variables.
//!
//! Nothing of a stage is shared with another but the upstreams, so one can be compiled anew beside
//! all others. What is wrong with a route of the configuration is told at its place; what is wrong
//! with one of a deployment, at the stage's.

use super::{Deployed, Kept, Sources, limits, plans::Plans};
use crate::{
    deploy::{self, Deployment},
    guard::{Concurrency, LimitIdentity},
    model::{
        Checked, Definition, Mistake, Path, Place,
        checked::{Api, Compat, Follows, Stage, StageRoute, Upstream},
        definition::{AllowPaths, Integration as Written, KeySource, MethodMiss, Route as Defined},
        origins,
        variables::{self, VariableError},
    },
    observe::{Block, Format, RouteIdentity, RouteMetrics},
    route::{Peculiarities, Precedence, RouteKey, TableBuilder, Target},
    scope::Scope,
    snapshot::{
        self, Canary, HttpIntegration, Integration, Limit, Miss, Mock, PlanAtStage, Route, Served,
        Side, Sticky,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

/// What the stages of one compilation share.
pub(super) struct Around<'a, 'k, 'd> {
    /// Where the names of upstreams lead.
    pub(super) upstreams: HashMap<&'a str, u32>,
    /// All of an exchange with each, where a route says nothing of it.
    pub(super) totals: Vec<Option<Duration>>,
    /// Bytes of a body where a route says nothing of it.
    pub(super) body_bytes: Option<u64>,
    /// The field that names deployments to clients.
    pub(super) deployment_header: Option<&'a str>,
    /// What all requests are under.
    pub(super) gateway: Vec<Arc<Limit>>,
    /// Whether responses say what limits leave.
    pub(super) says_limits: bool,
    /// What usage plans say of stages.
    pub(super) plans: Plans,
    /// The access log's format.
    pub(super) log: Option<&'a Format>,
    /// Where a piece of a line is made.
    pub(super) line: Block,
    pub(super) kept: &'a mut Kept<'k, 'd>,
    pub(super) found: &'a mut Vec<Mistake>,
}

/// Whether the API's other stages have told what is wrong with its routes already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Routes,
}

/// Compiles one stage.
pub(super) fn compile(
    api: &Api,
    stage: &Stage,
    sources: &Sources,
    told: Told,
    around: &mut Around<'_, '_, '_>,
) -> snapshot::Stage {
    let names = Names {
        api: api.name.as_str().into(),
        stage: stage.name.as_str().into(),
    };
    let deployed = sources.get(&(api.name.clone(), stage.name.clone()));
    let canary = deployed.and_then(|deployed| deployed.canary.as_ref());
    let canary = canary.filter(|_| stage.follows != Follows::Reload);
    let compared = canary.map(|(canary, _)| around.compared(&names, canary.since_ms));
    let compiler = StageCompiler {
        api,
        stage,
        overrides: stage
            .routes
            .iter()
            .map(|route| (route.key.as_str(), route))
            .collect(),
        of_api: limits::limits(&api.throttle, Scope::Api, &names.api, around.kept),
        of_stage: limits::limits(&stage.throttle, Scope::Stage, &names.text(), around.kept),
        names: &names,
        told,
    };
    let variables = variables_of(stage, deployed, None);
    let side = compiler.side(deployed.and_then(|d| d.own.as_deref()), around);
    let side = Side {
        is_canary: canary.map(|_| false),
        metrics: compared.as_ref().map(|[own, _]| Arc::clone(own)),
        ..side
    };
    let own = match source(api, stage, deployed) {
        Some(source) => compiler.served(&source, &variables, side, around),
        None => empty(side, Miss::NotDeployed),
    };
    let canary = canary.map(|(canary, deployment)| {
        let variables = variables_of(stage, deployed, Some(&canary.plan.variables));
        let side = Side {
            is_canary: Some(true),
            metrics: compared.as_ref().map(|[_, its]| Arc::clone(its)),
            ..compiler.side(Some(deployment), around)
        };
        let source = Source::Deployment(deployment);
        let served = compiler.served(&source, &variables, side, around);
        Box::new(compile_canary(canary, served))
    });
    snapshot::Stage {
        own: Arc::new(own),
        canary,
        plans: around.plans_of(&names),
        metrics: around.metrics(&names, &"".into()),
        api: names.api,
        name: names.stage,
    }
}

/// The origins that what is deployed names by itself and `checked` does not have.
pub(super) fn missing_origins(checked: &Checked, sources: &Sources) -> Vec<Upstream> {
    let mut missing: BTreeMap<String, Upstream> = BTreeMap::new();
    for api in &checked.apis {
        for stage in &api.stages {
            let names = (api.name.clone(), stage.name.clone());
            let Some(deployed) = sources.get(&names) else {
                continue;
            };
            let own = deployed.own.iter().map(|own| (own, None));
            let canary = deployed.canary.iter();
            let canary = canary.map(|(canary, its)| (its, Some(&canary.plan.variables)));
            for (deployment, over) in own.chain(canary) {
                let variables = variables_of(stage, Some(deployed), over);
                let new = origins::missing(checked, &deployment.definition, &variables);
                missing.extend(new.into_iter().map(|origin| (origin.name.clone(), origin)));
            }
        }
    }
    missing.into_values().collect()
}

fn compile_canary(canary: &deploy::Canary, served: Served) -> Canary {
    let plan = &canary.plan;
    Canary {
        served: Arc::new(served),
        share: Canary::share_of(plan.percent),
        sticky: plan.sticky.as_ref().map(|sticky| match sticky {
            deploy::Sticky::Cookie(name) => Sticky::Cookie(name.as_str().into()),
            deploy::Sticky::Header(name) => Sticky::Header(name.as_str().into()),
            deploy::Sticky::Address => Sticky::Address,
        }),
        force: plan
            .force
            .as_ref()
            .map(|force| (force.header.as_str().into(), force.value.as_bytes().into())),
        seed: canary.since_ms,
    }
}

/// The names of a stage.
struct Names {
    api: Arc<str>,
    stage: Arc<str>,
}

impl Names {
    fn text(&self) -> String {
        format!("{}/{}", self.api, self.stage)
    }

    fn identity(&self, route: &str) -> LimitIdentity {
        LimitIdentity {
            scope: Scope::Route,
            of: format!("{} {route}", self.text()).into(),
            per: Box::default(),
            nth: 0,
        }
    }
}

/// Where a definition comes from.
enum Source<'a> {
    /// The configuration, as it now stands.
    Api(&'a Api),
    /// It was frozen.
    Deployment(&'a Deployment),
}

impl Source<'_> {
    fn definition(&self) -> &Definition {
        match self {
            Self::Api(api) => &api.definition,
            Self::Deployment(deployment) => &deployment.definition,
        }
    }
}

/// What a stage serves; `None`: it waits for its first deployment.
fn source<'a>(api: &'a Api, stage: &Stage, deployed: Option<&'a Deployed>) -> Option<Source<'a>> {
    let own = deployed.and_then(|deployed| deployed.own.as_deref());
    match (stage.follows, own) {
        (Follows::Reload, _) | (Follows::ReloadUntilDeployed, None) => Some(Source::Api(api)),
        (Follows::Deployment | Follows::ReloadUntilDeployed, Some(own)) => {
            Some(Source::Deployment(own))
        }
        (Follows::Deployment, None) => None,
    }
}

/// The configuration's variables, over them those that promoted canaries brought, over them the
/// canary's.
fn variables_of(
    stage: &Stage,
    deployed: Option<&Deployed>,
    canary: Option<&BTreeMap<String, String>>,
) -> Vec<(String, String)> {
    let mut all: BTreeMap<&String, &String> = BTreeMap::new();
    all.extend(stage.variables.iter().map(|(name, value)| (name, value)));
    let promoted = deployed.map(|deployed| &deployed.variables);
    for over in promoted.into_iter().chain(canary) {
        all.extend(over);
    }
    all.into_iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn empty(side: Side, miss: Miss) -> Served {
    let table = TableBuilder::new(Precedence::FullMatchFirst).build();
    Served {
        side: Arc::new(side),
        table: table.expect("no routes are not tangled"),
        miss,
        names_errors: false,
    }
}

struct StageCompiler<'a> {
    api: &'a Api,
    stage: &'a Stage,
    /// What the stage says of single routes, by their keys.
    of_api: Vec<Arc<Limit>>,
    of_stage: Vec<Arc<Limit>>,
    overrides: HashMap<&'a str, &'a StageRoute>,
    names: &'a Names,
    told: Told,
}

impl StageCompiler<'_> {
    fn side(&self, deployment: Option<&Deployment>, around: &Around<'_, '_, '_>) -> Side {
        // A stage that follows its API serves no deployment, whatever was once deployed to it.
        let deployment = deployment.filter(|_| self.stage.follows != Follows::Reload);
        let name = deployment
            .map(|deployment| deployment.id.short())
            .unwrap_or_default();
        let told = around.deployment_header.filter(|_| !name.is_empty());
        Side {
            field_line: told
                .map(|header| format!("{header}: {name}\r\n").into_bytes().into())
                .unwrap_or_default(),
            deployment: name.into(),
            ..Side::default()
        }
    }

    fn served(
        &self,
        source: &Source<'_>,
        variables: &[(String, String)],
        side: Side,
        around: &mut Around<'_, '_, '_>,
    ) -> Served {
        let definition = source.definition();
        let precedence = precedence(definition.compat);
        let mut table = TableBuilder::new(precedence);
        for (key, defined) in &definition.routes {
            let api_key = defined
                .api_key_required
                .then(|| key_source(&definition.api_key));
            let compiled = self.route(key, defined, variables, around);
            let (parsed, route) = match compiled {
                Ok((parsed, route)) => (parsed, Route { api_key, ..route }),
                Err(wrong) => {
                    self.tell(source, Some(key), wrong, around);
                    continue;
                }
            };
            if let Err(conflict) = table.insert(&parsed, Arc::new(route)) {
                let wrong = Wrong::route(conflict.to_string())
                    .hint("remove one of the two, or change its path");
                self.tell(source, Some(key), wrong, around);
            }
        }
        match table.build() {
            Ok(table) => Served {
                side: Arc::new(side),
                table,
                miss: miss(definition),
                names_errors: definition.compat == Compat::RestApi,
            },
            Err(tangled) => {
                self.tell(source, None, Wrong::route(tangled.to_string()), around);
                empty(side, miss(definition))
            }
        }
    }

    fn route(
        &self,
        key: &str,
        defined: &Defined,
        variables: &[(String, String)],
        around: &mut Around<'_, '_, '_>,
    ) -> Result<(RouteKey, Route), Wrong> {
        let parsed = RouteKey::parse(key).map_err(|error| Wrong::route(error.to_string()))?;
        let integration = match defined.missing.is_empty() {
            true => integration(defined, &parsed, variables, around)?,
            false => Integration::NotServed,
        };
        let name: Arc<str> = key.into();
        let of_stage = self.overrides.get(key).copied();
        let concurrency = of_stage.and_then(|of_stage| of_stage.concurrency);
        let throttle = of_stage.map(|of_stage| &of_stage.throttle);
        let throttle = throttle.filter(|throttle| !throttle.is_empty());
        let throttle = throttle.unwrap_or(&defined.throttle);
        let own = match throttle.is_empty() {
            true => Vec::new(),
            false => {
                let of = format!("{} {key}", self.names.text());
                limits::limits(throttle, Scope::Route, &of, around.kept)
            }
        };
        let narrowest_first = [&own[..], &self.of_stage, &self.of_api, &around.gateway];
        let limits = limits::of_route(narrowest_first, around.says_limits);
        let route = Route {
            api: Arc::clone(&self.names.api),
            stage: Arc::clone(&self.names.stage),
            log: around.log(self.names, &name),
            allowed: peculiarities(defined.allow_paths),
            body_bytes_max: defined.body_bytes.or(around.body_bytes).unwrap_or(u64::MAX),
            limits,
            api_key: None,
            concurrency: around.concurrency(self.names, key, concurrency.or(defined.concurrency)),
            integration,
            metrics: around.metrics(self.names, &name),
            key: name,
        };
        Ok((parsed, route))
    }

    /// Records what is wrong, at the place of whoever can mend it.
    fn tell(
        &self,
        source: &Source<'_>,
        key: Option<&str>,
        wrong: Wrong,
        around: &mut Around<'_, '_, '_>,
    ) {
        let root = Path::ROOT;
        let apis = root.key("apis");
        let api = apis.key(&self.api.name);
        let stages = api.key("stages");
        let of_stage = stages.key(&self.stage.name);
        let mistake = match source {
            Source::Api(_) if wrong.of == Of::Route && self.told == Told::Routes => return,
            Source::Api(api_source) => {
                let routes = api.key("routes");
                let place = key.and_then(|key| api_source.places.get(key));
                let place: Place = place.copied().unwrap_or(self.api.place);
                let of_route;
                let path = match key {
                    Some(key) => {
                        of_route = routes.key(key);
                        of_route
                    }
                    None => routes,
                };
                let what = match wrong.of {
                    Of::Route => wrong.what,
                    Of::Stage => format!("in the stage {:?}: {}", self.stage.name, wrong.what),
                };
                Mistake::new(place, path, what)
            }
            Source::Deployment(deployment) => {
                let route = key.map(|key| format!("{key}: ")).unwrap_or_default();
                let id = deployment.id.short();
                let what = format!(
                    "its deployment {id} cannot be served: {route}{}",
                    wrong.what
                );
                Mistake::new(self.stage.place, of_stage, what)
            }
        };
        around.found.push(mistake.hint(wrong.hint));
    }
}

/// What is wrong with a route.
struct Wrong {
    what: String,
    hint: &'static str,
    of: Of,
}

/// Whether it is wrong in every stage alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Route,
    Stage,
}

impl Wrong {
    fn route(what: String) -> Self {
        Self {
            what,
            hint: "",
            of: Of::Route,
        }
    }

    /// Wrong for the variables of one stage.
    fn stage(what: String) -> Self {
        Self {
            what,
            hint: "",
            of: Of::Stage,
        }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

impl From<VariableError> for Wrong {
    fn from(error: VariableError) -> Self {
        match error {
            VariableError::Missing(_) => Self::stage(error.to_string())
                .hint("give it a value under \"variables\" of the stage"),
            VariableError::Malformed(_) => Self::route(error.to_string()),
        }
    }
}

impl Around<'_, '_, '_> {
    /// The numbers by which a canary and the stage's own deployment are compared.
    fn compared(&mut self, names: &Names, since_ms: u64) -> [Arc<RouteMetrics>; 2] {
        let identity = (Arc::clone(&names.api), Arc::clone(&names.stage), since_ms);
        let made = || [(); 2].map(|()| self.kept.metrics.unlisted());
        self.kept
            .canaries
            .entry(identity)
            .or_insert_with(made)
            .clone()
    }

    /// How many requests of a route may be in flight.
    fn concurrency(
        &mut self,
        names: &Names,
        route: &str,
        max: Option<NonZeroU32>,
    ) -> Option<Concurrency> {
        Some(Concurrency {
            max: max?.get(),
            gate: self.kept.gates.gate(names.identity(route)),
        })
    }

    /// What of an access-log line is the same for all requests of a route.
    fn log(&mut self, names: &Names, route: &str) -> Box<[u8]> {
        let line = &mut self.line;
        let log = self
            .log
            .map(|log| log.of_route(line, &names.api, &names.stage, route));
        log.unwrap_or_default()
    }

    /// What usage plans say of a stage.
    fn plans_of(&self, names: &Names) -> Box<[PlanAtStage]> {
        let plans = self
            .plans
            .get(&(names.api.to_string(), names.stage.to_string()));
        plans.cloned().unwrap_or_default().into()
    }

    fn metrics(&self, names: &Names, route: &Arc<str>) -> Arc<RouteMetrics> {
        self.kept.metrics.route(RouteIdentity {
            api: Arc::clone(&names.api),
            stage: Arc::clone(&names.stage),
            route: Arc::clone(route),
        })
    }
}

fn key_source(source: &KeySource) -> snapshot::KeySource {
    match source {
        KeySource::Header(name) => snapshot::KeySource::Header(name.as_str().into()),
        KeySource::Query(name) => snapshot::KeySource::Query(name.as_str().into()),
    }
}

fn precedence(compat: Compat) -> Precedence {
    match compat {
        Compat::None | Compat::HttpApi => Precedence::FullMatchFirst,
        Compat::RestApi => Precedence::LeftToRight,
    }
}

fn miss(definition: &Definition) -> Miss {
    match (definition.method_miss, definition.compat) {
        (MethodMiss::NotAllowed, _) => Miss::MethodNotAllowed,
        (MethodMiss::NotFound, Compat::RestApi) => Miss::AuthenticationToken,
        (MethodMiss::NotFound, Compat::None | Compat::HttpApi) => Miss::NotFound,
    }
}

fn peculiarities(allow: AllowPaths) -> Peculiarities {
    [
        (allow.encoded_slash, Peculiarities::ENCODED_SLASH),
        (allow.backslash, Peculiarities::BACKSLASH),
        (allow.dot_segments, Peculiarities::DOT_SEGMENTS),
        (allow.empty_segments, Peculiarities::EMPTY_SEGMENTS),
    ]
    .into_iter()
    .filter(|(allowed, _)| *allowed)
    .fold(Peculiarities::NONE, |all, (_, one)| all.with(one))
}

fn integration(
    defined: &Defined,
    key: &RouteKey,
    variables: &[(String, String)],
    around: &Around<'_, '_, '_>,
) -> Result<Integration, Wrong> {
    match &defined.integration {
        Written::Http { upstream, path } => {
            let name = variables::fill(upstream, variables)?;
            let Some(index) = around.upstreams.get(&*name) else {
                return Err(Wrong::stage(format!(
                    "there is no upstream called {name:?}"
                )));
            };
            let target = match path {
                Some(path) => {
                    let path = variables::fill(path, variables)?;
                    let target = Target::parse(&path, key.template());
                    Some(target.map_err(|error| Wrong::route(error.to_string()))?)
                }
                None => None,
            };
            let total = around.totals.get(*index as usize).copied().flatten();
            let total_ms = total.map(|total| total.as_millis() as u64);
            Ok(Integration::Http(HttpIntegration {
                upstream: *index,
                target,
                timeout: defined.timeout_ms.or(total_ms).map(Duration::from_millis),
            }))
        }
        Written::Mock {
            status,
            body,
            headers,
        } => mock(*status, body, headers, variables),
        Written::Lambda { .. } | Written::Aws { .. } | Written::Unset => Ok(Integration::NotServed),
    }
}

fn mock(
    status: u16,
    body: &str,
    headers: &[(String, String)],
    variables: &[(String, String)],
) -> Result<Integration, Wrong> {
    let mut field_lines = Vec::new();
    for (name, value) in headers {
        let value = variables::fill(value, variables)?;
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Wrong::stage(format!(
                "the value of {name:?} has a control character"
            )));
        }
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            field_lines.extend_from_slice(part);
        }
    }
    let body = variables::fill(body, variables)?;
    Ok(Integration::Mock(Mock {
        status,
        field_lines: field_lines.into(),
        body: body.as_bytes().into(),
    }))
}
