//! An API as it is written: routes, integrations, stages, and the domains that lead to them.

use super::ApiKey;
use super::throttle::Throttles;
use crate::{
    bounds,
    model::{
        mistake::{Mistake, Path},
        scalar::{DAY, Or, Size, Unlimited},
        setting::{self, Map, Placed, Setting, settings, words},
        tree::{Node, Value},
    },
};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::time::Duration;

settings! {
    /// An API: routes, and the stages that serve them.
    struct Api {
        /// For people.
        description: Option<String>, default(None), within(0..=1024);
        /// Whose rules decide where this format leaves a choice: which route wins, what a miss
        /// answers.
        compat: Compat, default(Compat::None);
        /// Whether a path that has routes, but none for the method, is answered 405 with `Allow`
        /// rather than 404.
        method_not_allowed: bool, default(false);
        /// The routes: `METHOD /path`, `ANY /path` or `$default`. In a path `{name}` takes one
        /// segment and `{name+}`, at the end, the rest.
        routes: Map<Route>, default(Map(Vec::new())), within(0..=1_000_000);
        /// An OpenAPI document (3.1, 3.0 or Swagger 2.0, with Amazon's extensions) whose operations
        /// are routes. A route written here goes before one of the document under the same key.
        openapi: Option<OpenApi>, default(None);
        /// How many requests the API takes, all stages together: one token bucket or a list of
        /// them.
        throttle: Throttles, default(Throttles(Vec::new()));
        /// Where clients put their API key. Left out: in the header field `x-api-key`.
        api_key: Option<ApiKey>, default(None);
        /// The stages, by name: letters, digits, `_`, `-`, or `$default`. Left out: one stage
        /// called `$default`.
        stages: Option<Map<Stage>>, default(None), within(1..=1000);
    }

    /// An OpenAPI document, with what it does not say itself.
    struct OpenApiFile {
        /// The document's file, relative to this file's folder.
        file: String, required, within(1..=4096);
        /// What the document's base path does: nothing, or it stands in front of the paths, whole
        /// or without its first segment.
        base_path: BasePath, default(BasePath::Ignore);
        /// Upstreams for the origins that the document names: `https://host:port` to an upstream's
        /// name. So a document runs elsewhere than it was written for.
        origins: Map<String>, default(Map(Vec::new())), within(0..=1000);
        /// Where Lambda functions are invoked. Left out: at AWS.
        lambda_endpoint: Option<String>, default(None), within(1..=2048);
    }

    /// What happens to the requests that a route takes.
    struct Route {
        /// What answers.
        integration: Integration, required;
        /// How many requests it takes, in each stage: one token bucket or a list of them.
        throttle: Throttles, default(Throttles(Vec::new()));
        /// How many of its requests may be in flight at once, in each stage, over all workers. One
        /// more is answered 503 at once. Left out: any number.
        concurrency: Option<u64>, default(None), within(1..=1_000_000);
        /// Dangerous spellings of a path that this route takes all the same. Others are answered
        /// 400 before they reach an origin.
        allow_paths: Vec<Placed<Allowed>>, default(Vec::new()), within(0..=4);
        /// Bytes of a request's body. Left out: as in the file's `limits`.
        body_bytes: Option<Or<Unlimited, Size>>, default(None);
        /// All of an exchange with the origin. Left out: the upstream's `total`.
        timeout: Option<Or<Unlimited, Duration>>, default(None), within(1..=DAY);
        /// Whether it takes only requests with an API key that a usage plan makes good for the
        /// stage. Others are answered 403.
        api_key_required: bool, default(false);
    }

    /// A stage: a name under which an API is served, with its own variables and throttle.
    struct Stage {
        /// For people.
        description: Option<String>, default(None), within(0..=1024);
        /// Values for this stage, by name: letters, digits and `_`.
        variables: Map<String>, default(Map(Vec::new())), within(0..=100);
        /// How many requests the stage takes, all routes together: one token bucket or a list.
        throttle: Throttles, default(Throttles(Vec::new()));
        /// Whether the stage follows its API at each reload (`true`) or serves what was deployed
        /// to it (`false`). Left out: it follows until it is first deployed.
        auto_deploy: Option<bool>, default(None);
        /// Settings of single routes in this stage, by the routes' keys.
        routes: Map<StageRoute>, default(Map(Vec::new())), within(0..=100_000);
        /// For people and their tools.
        tags: Map<String>, default(Map(Vec::new())), within(0..=50);
    }

    /// What a stage says of one route.
    struct StageRoute {
        /// How many requests the route takes in this stage, instead of what the API says: one
        /// token bucket or a list of them.
        throttle: Throttles, default(Throttles(Vec::new()));
        /// How many of its requests may be in flight at once in this stage, instead of what the
        /// API says.
        concurrency: Option<u64>, default(None), within(1..=1_000_000);
    }

    /// The API and stage that answer at a host and base path.
    struct Mapping {
        /// The API's name.
        api: String, required;
        /// The stage's name. Left out where the API has one stage: that one.
        stage: Option<String>, default(None);
    }

    /// An origin that speaks HTTP.
    struct HttpIntegration {
        /// `http`.
        r#type: Http, required;
        /// The upstream's name. Here and in the other texts of an integration,
        /// `${stageVariables.name}` stands for the value that each stage gives.
        upstream: Option<String>, default(None);
        /// The path that the origin sees, with the route's parameters in it
        /// (`/v1/orders/{id}`). Left out: the path of the request after the base path.
        path: Option<String>, default(None), within(1..=bounds::TARGET_BYTES_MAX as u64);
        /// Instead of both: an origin by itself and, if there is more, the path
        /// (`http://127.0.0.1:9001/v1/orders/{id}`).
        uri: Option<String>, default(None), within(1..=bounds::TARGET_BYTES_MAX as u64);
    }

    /// An answer out of the configuration.
    struct MockIntegration {
        /// `mock`.
        r#type: Mock, required;
        /// The status.
        status: u64, default(200), within(200..=599);
        /// The body.
        body: String, default(String::new()), within(0..=MOCK_BODY_MAX);
        /// The header fields. Without a `content-type` here, a body is sent as
        /// `application/json`.
        headers: Map<String>, default(Map(Vec::new())), within(0..=bounds::HEAD_FIELDS_MAX as u64);
    }
}

/// Characters of a mock's body: it is held in memory once for each route.
const MOCK_BODY_MAX: u64 = 1024 * 1024;

words! {
    /// Whose rules decide where the format leaves a choice.
    pub enum Compat {
        /// Sluice's own, which are those of an HTTP API.
        None = "none",
        /// Amazon's HTTP APIs.
        HttpApi = "http_api",
        /// Amazon's REST APIs: a miss is 403 `Missing Authentication Token`.
        RestApi = "rest_api",
    }

    /// A dangerous spelling of a path.
    pub(in crate::model) enum Allowed {
        /// `%2F`.
        EncodedSlash = "encoded_slash",
        /// `\` and `%5C`.
        Backslash = "backslash",
        /// `.` and `..`, plain or encoded.
        DotSegments = "dot_segments",
        /// `//`.
        EmptySegments = "empty_segments",
    }

    /// The type of an HTTP integration.
    pub(in crate::model) enum Http {
        /// The only word.
        Http = "http",
    }

    /// The type of a mock integration.
    pub(in crate::model) enum Mock {
        /// The only word.
        Mock = "mock",
    }
}

words! {
    /// What a document's base path does to its paths.
    pub(in crate::model) enum BasePath {
        /// Nothing.
        Ignore = "ignore",
        /// It stands in front of them.
        Prepend = "prepend",
        /// All of it but its first segment does.
        Split = "split",
    }
}

/// An OpenAPI document: its file alone, or with options.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct OpenApi {
    /// The file.
    pub(in crate::model) file: Placed<String>,
    /// The options, if any were given.
    pub(in crate::model) options: Option<OpenApiFile>,
}

impl Setting for OpenApi {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        if let Value::String(text) = &node.value {
            let file = Placed {
                value: text.clone().into_owned(),
                place: node.place,
            };
            return Some(Self {
                file,
                options: None,
            });
        }
        let options = OpenApiFile::decode(node, path, found)?;
        Some(Self {
            file: options.file.clone(),
            options: Some(options),
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let with_options = OpenApiFile::schema(generator);
        json_schema!({ "anyOf": [{ "type": "string" }, with_options] })
    }
}

/// What answers the requests of a route.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) enum Integration {
    /// An origin.
    Http(HttpIntegration),
    /// The configuration itself.
    Mock(MockIntegration),
}

impl Setting for Integration {
    fn decode(node: &Node<'_>, path: Path<'_>, found: &mut Vec<Mistake>) -> Option<Self> {
        const TYPES: &[&str] = &["http", "mock"];
        let entries = setting::entries(node, path, found)?;
        let Some((_, kind)) = entries.iter().find(|(key, _)| key.name == "type") else {
            let mistake = Mistake::new(node.place, path, "\"type\" is missing");
            found.push(mistake.hint("what can stand here: http, mock"));
            return None;
        };
        match setting::word(kind, path.key("type"), found, TYPES)? {
            "http" => HttpIntegration::decode(node, path, found).map(Self::Http),
            _ => MockIntegration::decode(node, path, found).map(Self::Mock),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (http, mock) = (
            HttpIntegration::schema(generator),
            MockIntegration::schema(generator),
        );
        json_schema!({ "oneOf": [http, mock] })
    }
}
