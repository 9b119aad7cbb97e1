//! APIs: route keys, integrations, stages.

use super::{Walk, narrow};
use crate::{
    http::Method,
    model::{
        checked::{Api, Compat, Follows, PathTemplate, Stage, StageRoute},
        definition::{AllowPaths, Definition, Integration, Limit, MethodMiss, Route, Throttles},
        document::{self, Allowed},
        mistake::{Path, Place, Source, nearest},
        names::{self, Wrong},
        openapi::{self, BasePath, ImportOptions},
        scalar::{Or, Size, Unlimited},
        setting::{Map, Named, Placed},
        template::TargetPath,
        variables,
    },
};
use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

/// The stage of an API that names none.
const DEFAULT_STAGE: &str = "$default";

/// Where the names of upstreams lead.
type Upstreams = HashMap<String, usize>;

impl Walk<'_> {
    pub(super) fn apis(&mut self, map: Map<document::Api>, upstreams: &Upstreams) -> Vec<Api> {
        let root = Path::ROOT;
        let section = root.key("apis");
        map.0
            .into_iter()
            .map(|Named { name, place, value }| {
                let path = section.key(&name);
                self.kept(place, path, names::name(&name));
                // What was refused already stays, so that domains find it.
                let mut definition = Definition::default();
                let (mut places, mut stages) = (HashMap::new(), None);
                let mut throttle = Throttles::default();
                if let Some(written) = value {
                    definition.description = written.description.value.unwrap_or_default();
                    definition.compat = written.compat.value;
                    if written.method_not_allowed.value {
                        definition.method_miss = MethodMiss::NotAllowed;
                    }
                    definition.api_key =
                        self.key_source(written.api_key.value, path.key("api_key"));
                    if let Some(openapi) = written.openapi.value {
                        let imported = self.openapi(openapi, path.key("openapi"));
                        definition = merged(definition, imported);
                    } else if written.routes.value.0.is_empty() {
                        let what = "\"routes\" is missing";
                        self.wrong(
                            place,
                            path,
                            what,
                            "write at least one, or name an \"openapi\" document",
                        );
                    }
                    for (key, place, route) in self.routes(written.routes.value, path, upstreams) {
                        places.insert(key.clone(), place);
                        definition.routes.insert(key, route);
                    }
                    stages = written.stages.value;
                    throttle = self.throttles(&written.throttle, path);
                }
                Api {
                    place,
                    throttle,
                    stages: self.stages(stages, place, path),
                    name,
                    definition: Arc::new(definition),
                    places: Arc::new(places),
                }
            })
            .collect()
    }

    /// The definition that an OpenAPI document holds; empty where it is wrong, which is recorded.
    fn openapi(&mut self, written: document::OpenApi, path: Path<'_>) -> Definition {
        let place = written.file.place;
        let file = self.folder.join(&written.file.value);
        let text = match (self.files)(&file) {
            Ok(text) => text,
            Err(why) => {
                let what = format!("cannot read {}: {why}", file.display());
                self.wrong(place, path, what, "");
                return Definition::default();
            }
        };
        let mut options = ImportOptions::default();
        if let Some(written) = written.options {
            options.base_path = match written.base_path.value {
                document::BasePath::Ignore => BasePath::Ignore,
                document::BasePath::Prepend => BasePath::Prepend,
                document::BasePath::Split => BasePath::Split,
            };
            options.origins = pairs(written.origins.value).into_iter().collect();
            options.lambda_endpoint = written.lambda_endpoint.value;
        }
        let source = Source::new(&written.file.value, &text);
        match openapi::import(&source, &options) {
            Ok(imported) => imported.definition,
            Err(mistakes) => {
                let what = format!("the document cannot be served:\n{mistakes}");
                self.wrong(place, path, what.trim_end(), "");
                Definition::default()
            }
        }
    }

    fn routes(
        &mut self,
        map: Map<document::Route>,
        api: Path<'_>,
        upstreams: &Upstreams,
    ) -> Vec<(String, Place, Route)> {
        let section = api.key("routes");
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                let path = section.key(&name);
                let template = self.kept(place, path, route_path(&name));
                let written = value?;
                let parameters: Option<Vec<&str>> = template
                    .as_ref()
                    .map(|path| path.iter().flat_map(PathTemplate::parameters).collect());
                let section = path.key("integration");
                let integration = match written.integration.value {
                    document::Integration::Http(http) => {
                        self.http(http, section, parameters.as_deref(), upstreams)
                    }
                    document::Integration::Mock(mock) => {
                        if written.timeout.value.is_some() {
                            let what = "\"timeout\" has no meaning with a mock";
                            self.wrong(written.timeout.place, path.key("timeout"), what, "");
                        }
                        self.mock(mock, section)
                    }
                };
                template?;
                let route = Route {
                    integration: integration?,
                    throttle: self.throttles(&written.throttle, path),
                    concurrency: concurrency(written.concurrency.value),
                    allow_paths: allow_paths(&written.allow_paths.value),
                    body_bytes: limit(written.body_bytes.value, |size: Size| size.0),
                    timeout_ms: limit(written.timeout.value, milliseconds),
                    api_key_required: written.api_key_required.value,
                    missing: Vec::new(),
                    operation: None,
                };
                Some((name, place, route))
            })
            .collect()
    }

    fn http(
        &mut self,
        written: document::HttpIntegration,
        section: Path<'_>,
        parameters: Option<&[&str]>,
        upstreams: &Upstreams,
    ) -> Option<Integration> {
        let place = written.place;
        let mut known = Some(());
        let (upstream, path) = match (written.upstream.value, written.uri.value) {
            (Some(name), None) => {
                let name = Placed {
                    place: written.upstream.place,
                    value: name,
                };
                known = self.upstream_name(&name, section.key("upstream"), upstreams);
                (name.value, written.path)
            }
            (None, Some(uri)) => {
                let uri_path = section.key("uri");
                if written.path.value.is_some() {
                    let what = "\"path\" has no meaning beside \"uri\", which has one";
                    self.wrong(written.path.place, section.key("path"), what, "");
                }
                let (origin, path) = self.kept(written.uri.place, uri_path, split_uri(&uri))?;
                let path = Placed {
                    place: written.uri.place,
                    value: path.map(str::to_owned),
                };
                (origin.to_owned(), path)
            }
            (None, None) => {
                let what = "\"upstream\" is missing";
                self.wrong(
                    place,
                    section,
                    what,
                    "name an upstream, or an origin as \"uri\"",
                );
                return None;
            }
            (Some(_), Some(_)) => {
                let what = "\"upstream\" and \"uri\" exclude each other";
                self.wrong(place, section, what, "keep one of them");
                return None;
            }
        };
        // Without the route's parameters nothing can be said of the path.
        if let (Some(text), Some(parameters)) = (&path.value, parameters) {
            let filled = variables::stand_in(text);
            let filled = filled.map_err(|error| Wrong::new(error.to_string(), ""));
            let parsed = filled.and_then(|text| TargetPath::parse(&text, parameters).map(drop));
            self.kept(path.place, section.key("path"), parsed)?;
        }
        known?;
        Some(Integration::Http {
            upstream,
            path: path.value,
        })
    }

    /// A name that no variable is part of must be known; of others only the form can be told.
    fn upstream_name(
        &mut self,
        name: &Placed<String>,
        path: Path<'_>,
        upstreams: &Upstreams,
    ) -> Option<()> {
        match variables::stand_in(&name.value) {
            Ok(std::borrow::Cow::Borrowed(_)) => {
                self.looked_up(name, path, "upstream", upstreams).map(drop)
            }
            Ok(std::borrow::Cow::Owned(_)) => Some(()),
            Err(error) => {
                self.wrong(name.place, path, error.to_string(), "");
                None
            }
        }
    }

    fn mock(
        &mut self,
        written: document::MockIntegration,
        section: Path<'_>,
    ) -> Option<Integration> {
        let status = narrow(written.status.value);
        let body = written.body.value;
        let body_path = section.key("body");
        let form = variables::stand_in(&body).map_err(|error| Wrong::new(error.to_string(), ""));
        self.kept(written.body.place, body_path, form.map(drop));
        if matches!(status, 204 | 304) && !body.is_empty() {
            let what = format!("a response with status {status} has no body");
            self.wrong(written.body.place, body_path, what, "take the body out");
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
            if names::WRITTEN_BY_GATEWAY.contains(&&*field) {
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
        let empty = |name: &str, place| Stage {
            place,
            name: name.to_owned(),
            description: String::new(),
            variables: Vec::new(),
            throttle: Throttles::default(),
            routes: Vec::new(),
            tags: Vec::new(),
            follows: Follows::ReloadUntilDeployed,
        };
        let Some(map) = map else {
            return vec![empty(DEFAULT_STAGE, place)];
        };
        let section = api.key("stages");
        map.0
            .into_iter()
            .map(|Named { name, place, value }| {
                let path = section.key(&name);
                self.kept(place, path, names::stage(&name));
                let mut stage = empty(&name, place);
                if let Some(written) = value {
                    for variable in &written.variables.value.0 {
                        let path = path.key("variables");
                        let path = path.key(&variable.name);
                        self.kept(variable.place, path, names::variable(&variable.name));
                    }
                    stage.description = written.description.value.unwrap_or_default();
                    stage.variables = pairs(written.variables.value);
                    stage.throttle = self.throttles(&written.throttle, path);
                    stage.routes = self.stage_routes(written.routes.value, path.key("routes"));
                    stage.tags = pairs(written.tags.value);
                    stage.follows = match written.auto_deploy.value {
                        Some(true) => Follows::Reload,
                        Some(false) => Follows::Deployment,
                        None => Follows::ReloadUntilDeployed,
                    };
                }
                stage
            })
            .collect()
    }

    /// Whether the API has such routes is not asked: a deployment may have others.
    fn stage_routes(
        &mut self,
        map: Map<document::StageRoute>,
        section: Path<'_>,
    ) -> Vec<StageRoute> {
        map.0
            .into_iter()
            .filter_map(|Named { name, place, value }| {
                self.kept(place, section.key(&name), route_path(&name))?;
                let written = value?;
                let throttle = self.throttles(&written.throttle, section.key(&name));
                let concurrency = concurrency(written.concurrency.value);
                if throttle.is_empty() && concurrency.is_none() {
                    let what = "it says nothing of the route";
                    let hint = "give it a \"throttle\" or a \"concurrency\", or take it out";
                    self.wrong(place, section.key(&name), what, hint);
                }
                Some(StageRoute {
                    place,
                    throttle,
                    concurrency,
                    key: name,
                })
            })
            .collect()
    }
}

/// What the configuration says of an API, over what its document says.
fn merged(written: Definition, imported: Definition) -> Definition {
    let mut merged = imported;
    if !written.description.is_empty() {
        merged.description = written.description;
    }
    if written.method_miss == MethodMiss::NotAllowed {
        merged.method_miss = written.method_miss;
    }
    if !written.api_key.is_default() {
        merged.api_key = written.api_key;
    }
    if written.compat != Compat::None && written.compat != merged.compat {
        merged.compat = written.compat;
        // What can be served was decided under the document's own rules.
        openapi::refresh(&mut merged);
    }
    merged
}

fn pairs(map: Map<String>) -> Vec<(String, String)> {
    map.0
        .into_iter()
        .filter_map(|entry| Some((entry.name, entry.value?)))
        .collect()
}

fn concurrency(written: Option<u64>) -> Option<NonZeroU32> {
    written.and_then(|most| NonZeroU32::new(narrow(most)))
}

fn limit<T>(written: Option<Or<Unlimited, T>>, count: impl FnOnce(T) -> u64) -> Limit {
    match written {
        None => Limit::Default,
        Some(Or::Word(Unlimited)) => Limit::Unlimited,
        Some(Or::Value(value)) => Limit::Of(count(value)),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The origin of a URI, and its path if it has one. `https` cannot be served yet.
fn split_uri(uri: &str) -> Result<(&str, Option<&str>), Wrong> {
    const FORM: &str = "write http://host:port/path";
    let Some(rest) = uri.strip_prefix("http://") else {
        return match uri.starts_with("https://") {
            true => Err(Wrong::new(
                "this build does not speak TLS to origins yet",
                "",
            )),
            false => Err(Wrong::new(format!("{uri:?} is no HTTP URI"), FORM)),
        };
    };
    let scheme = uri.len() - rest.len();
    // A variable's braces hold no slash.
    let end = rest.find('/').map_or(uri.len(), |slash| scheme + slash);
    let filled = variables::stand_in(&uri[scheme..end]);
    let authority = filled.map_err(|error| Wrong::new(error.to_string(), ""))?;
    names::authority(&authority)?;
    let path = &uri[end..];
    Ok((&uri[..end], (!path.is_empty()).then_some(path)))
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

/// Reads the key of a route: `METHOD /path`, `ANY /path` or `$default`, which has no path.
fn route_path(key: &str) -> Result<Option<PathTemplate>, Wrong> {
    const FORM: &str = "write \"GET /path\", \"ANY /path\" or \"$default\"";
    if key == "$default" {
        return Ok(None);
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
    route_method(method)?;
    PathTemplate::parse(path).map(Some)
}

/// Whether a route can have this method.
fn route_method(token: &str) -> Result<(), Wrong> {
    if token == "ANY" {
        return Ok(());
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
        Method::Delete
        | Method::Get
        | Method::Head
        | Method::Options
        | Method::Patch
        | Method::Post
        | Method::Put
        | Method::Trace => Ok(()),
    }
}
