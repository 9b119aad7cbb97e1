//! APIs: route keys, integrations, stages.

use super::{Walk, narrow};
use crate::{
    http::Method,
    model::{
        checked::{
            AllowPaths, Api, Follows, Integration, MethodMiss, PathTemplate, Route, RouteMatch,
            Stage, TargetPath, Throttle,
        },
        document::{self, Allowed},
        mistake::{Path, Place, nearest},
        names::{self, Wrong},
        scalar::{Or, Size, Unlimited},
        setting::{Map, Named, Placed},
    },
};
use std::{collections::HashMap, num::NonZeroU32, time::Duration};

/// The stage of an API that names none.
const DEFAULT_STAGE: &str = "$default";

/// Fields that frame the message or belong to the connection: the gateway writes them itself.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a route needs to know of the rest of the document.
pub(super) struct Around {
    /// Where the names of upstreams lead.
    pub(super) upstreams: HashMap<String, usize>,
    /// The `total` of each upstream.
    pub(super) totals: Vec<Option<Duration>>,
    /// The file's limit of a body.
    pub(super) body_bytes: Option<u64>,
}

impl Walk<'_> {
    pub(super) fn apis(&mut self, map: Map<document::Api>, around: &Around) -> Vec<Api> {
        let root = Path::ROOT;
        let section = root.key("apis");
        map.0
            .into_iter()
            .map(|Named { name, place, value }| {
                let path = section.key(&name);
                self.kept(place, path, names::name(&name));
                // What was refused already stays, so that domains find it.
                let (routes, stages, rest) = match value {
                    None => (Vec::new(), None, None),
                    Some(written) => {
                        let routes = self.routes(written.routes.value, path, around);
                        let rest = (
                            written.description,
                            written.compat,
                            written.method_not_allowed,
                        );
                        (routes, written.stages.value, Some(rest))
                    }
                };
                let stages = self.stages(stages, place, path);
                let (description, compat, method_miss) = rest.map_or(
                    (None, document::Compat::None, MethodMiss::NotFound),
                    |(description, compat, not_allowed)| {
                        let miss = match not_allowed.value {
                            true => MethodMiss::NotAllowed,
                            false => MethodMiss::NotFound,
                        };
                        (description.value, compat.value, miss)
                    },
                );
                let description = description.unwrap_or_default();
                Api {
                    place,
                    name,
                    description,
                    compat,
                    method_miss,
                    routes,
                    stages,
                }
            })
            .collect()
    }

    fn routes(&mut self, map: Map<document::Route>, api: Path<'_>, around: &Around) -> Vec<Route> {
        let section = api.key("routes");
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                let path = section.key(&name);
                let matches = self.kept(place, path, route_match(&name));
                let written = value?;
                let parameters: Option<Vec<&str>> = matches.as_ref().map(|m| match m {
                    RouteMatch::Default => Vec::new(),
                    RouteMatch::Path { path, .. } => path.parameters().collect(),
                });
                let timeout = written.timeout.value;
                let integration = written.integration.value;
                let section = path.key("integration");
                let integration = match integration {
                    document::Integration::Http(http) => {
                        self.http(http, section, parameters.as_deref(), timeout, around)
                    }
                    document::Integration::Mock(mock) => {
                        if timeout.is_some() {
                            let what = "\"timeout\" has no meaning with a mock";
                            self.wrong(written.timeout.place, path.key("timeout"), what, "");
                        }
                        self.mock(mock, section)
                    }
                };
                Some(Route {
                    place,
                    matches: matches?,
                    integration: integration?,
                    throttle: throttle(written.throttle.value),
                    allow_paths: allow_paths(&written.allow_paths.value),
                    body_bytes: body_bytes(written.body_bytes.value, around),
                    key: name,
                })
            })
            .collect()
    }

    fn http(
        &mut self,
        written: document::HttpIntegration,
        section: Path<'_>,
        parameters: Option<&[&str]>,
        timeout: Option<Or<Unlimited, Duration>>,
        around: &Around,
    ) -> Option<Integration> {
        let known = &around.upstreams;
        let upstream = self.looked_up(
            &written.upstream,
            section.key("upstream"),
            "upstream",
            known,
        );
        let path = match (&written.path.value, parameters) {
            (Some(text), Some(parameters)) => {
                let parsed = TargetPath::parse(text, parameters);
                Some(self.kept(written.path.place, section.key("path"), parsed)?)
            }
            // Without the route's parameters nothing can be said of this path.
            (Some(_), None) | (None, _) => None,
        };
        let upstream = upstream?;
        let timeout = match timeout {
            Some(own) => own.value(),
            None => around.totals.get(upstream).copied().flatten(),
        };
        Some(Integration::Http {
            upstream,
            path,
            timeout,
        })
    }

    fn mock(
        &mut self,
        written: document::MockIntegration,
        section: Path<'_>,
    ) -> Option<Integration> {
        let status = narrow(written.status.value);
        let body = written.body.value;
        if matches!(status, 204 | 304) && !body.is_empty() {
            let what = format!("a response with status {status} has no body");
            self.wrong(
                written.body.place,
                section.key("body"),
                what,
                "take the body out",
            );
        }
        let list = section.key("headers");
        let mut headers: Vec<(String, String)> = Vec::new();
        for Named { name, place, value } in written.headers.value.0 {
            let path = list.key(&name);
            let field = self.kept(place, path, names::field_name(&name));
            let value = value.and_then(|text| self.kept(place, path, names::field_value(&text)));
            let (Some(field), Some(value)) = (field, value) else {
                continue;
            };
            if FRAMING.contains(&&*field) {
                let what = format!("{name:?} is written by the gateway");
                self.wrong(place, path, what, "take it out");
            }
            headers.push((field, value));
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        Some(Integration::Mock {
            status,
            body,
            headers,
        })
    }

    fn stages(
        &mut self,
        map: Option<Map<document::Stage>>,
        place: Place,
        api: Path<'_>,
    ) -> Vec<Stage> {
        let Some(map) = map else {
            return vec![Stage {
                place,
                name: DEFAULT_STAGE.to_owned(),
                description: String::new(),
                variables: Vec::new(),
                throttle: None,
                tags: Vec::new(),
                follows: Follows::Reload,
            }];
        };
        let section = api.key("stages");
        map.0
            .into_iter()
            .map(|Named { name, place, value }| {
                let path = section.key(&name);
                self.kept(place, path, names::stage(&name));
                let mut stage = Stage {
                    place,
                    name: name.clone(),
                    description: String::new(),
                    variables: Vec::new(),
                    throttle: None,
                    tags: Vec::new(),
                    follows: Follows::Reload,
                };
                if let Some(written) = value {
                    for variable in &written.variables.value.0 {
                        let path = path.key("variables");
                        let path = path.key(&variable.name);
                        self.kept(variable.place, path, names::variable(&variable.name));
                    }
                    stage.description = written.description.value.unwrap_or_default();
                    stage.variables = pairs(written.variables.value);
                    stage.throttle = throttle(written.throttle.value);
                    stage.tags = pairs(written.tags.value);
                    if !written.auto_deploy.value {
                        stage.follows = Follows::Deployment;
                    }
                }
                stage
            })
            .collect()
    }
}

fn pairs(map: Map<String>) -> Vec<(String, String)> {
    map.0
        .into_iter()
        .filter_map(|entry| Some((entry.name, entry.value?)))
        .collect()
}

fn throttle(written: Option<document::Throttle>) -> Option<Throttle> {
    let written = written?;
    let burst = NonZeroU32::new(narrow(written.burst.value))?;
    Some(Throttle {
        rate: written.rate.value.0,
        burst,
    })
}

fn body_bytes(written: Option<Or<Unlimited, Size>>, around: &Around) -> Option<u64> {
    match written {
        None => around.body_bytes,
        Some(own) => own.value().map(|size| size.0),
    }
}

fn allow_paths(written: &[Placed<Allowed>]) -> AllowPaths {
    let has = |allowed| written.iter().any(|entry| entry.value == allowed);
    AllowPaths {
        encoded_slash: has(Allowed::EncodedSlash),
        backslash: has(Allowed::Backslash),
        dot_segments: has(Allowed::DotSegments),
        empty_segments: has(Allowed::EmptySegments),
    }
}

/// Reads the key of a route: `METHOD /path`, `ANY /path` or `$default`.
fn route_match(key: &str) -> Result<RouteMatch, Wrong> {
    const FORM: &str = "write \"GET /path\", \"ANY /path\" or \"$default\"";
    if key == "$default" {
        return Ok(RouteMatch::Default);
    }
    let Some((method, path)) = key.split_once(' ') else {
        let hint = match key.starts_with('/') {
            true => format!("write \"ANY {key}\" for all methods"),
            false => FORM.to_owned(),
        };
        return Err(Wrong::new(
            format!("{key:?} is not the key of a route"),
            hint,
        ));
    };
    if path.starts_with(' ') || path.ends_with(' ') {
        return Err(Wrong::new(
            format!("blanks around the path of {key:?}"),
            FORM,
        ));
    }
    let method = route_method(method)?;
    PathTemplate::parse(path).map(|path| RouteMatch::Path { method, path })
}

/// A method of a route; `None` is any.
fn route_method(token: &str) -> Result<Option<Method>, Wrong> {
    if token == "ANY" {
        return Ok(None);
    }
    match Method::from_token(token.as_bytes()) {
        Method::Connect => {
            let what = "CONNECT cannot be routed: a gateway is no forward proxy";
            Err(Wrong::new(what, ""))
        }
        Method::Other => {
            let served = |method: &&Method| !matches!(method, Method::Connect | Method::Other);
            let known = Method::ALL
                .iter()
                .filter(served)
                .map(|method| method.name());
            let near = nearest(token, known.clone().chain(["ANY"]));
            let known = known.collect::<Vec<_>>().join(", ");
            let guess = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
            let hint = format!("{guess}methods: {known}; ANY takes all others too");
            Err(Wrong::new(format!("unknown method {token:?}"), hint))
        }
        method @ (Method::Delete
        | Method::Get
        | Method::Head
        | Method::Options
        | Method::Patch
        | Method::Post
        | Method::Put
        | Method::Trace) => Ok(Some(method)),
    }
}
