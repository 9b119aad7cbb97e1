//! An API's definition: what a deployment freezes, and what a stage is compiled of.
//!
//! It is whole: everything that an API consists of and nothing of where it is served (stages,
//! upstreams, domains are looked up when it is compiled). It is the same for an API whose routes
//! stand in the configuration and for one that was imported; of the latter it keeps the parts of
//! the OpenAPI document as they came, so that nothing of it is lost. Its JSON is what lies in the
//! state folder: keys are never renamed, and unknown ones are refused rather than dropped.

pub use super::throttle::{Per, Throttle, Throttles};

use super::document::Compat;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, num::NonZeroU32};

/// An API's definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// For people; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whose rules decide where the format leaves a choice.
    #[serde(default)]
    pub compat: Compat,
    /// What a path that has routes, but none for the method, is answered.
    #[serde(default)]
    pub method_miss: MethodMiss,
    /// Where clients put their API key.
    #[serde(default, skip_serializing_if = "KeySource::is_default")]
    pub api_key: KeySource,
    /// The routes by their keys: `METHOD /path`, `ANY /path` or `$default`.
    pub routes: BTreeMap<String, Route>,
    /// Of an imported API: its OpenAPI 3 document without the operations that are routes here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi: Option<Box<Value>>,
}

#[allow(clippy::derivable_impls)] // A macro makes the enum, and derives alike for all.
impl Default for Compat {
    fn default() -> Self {
        Self::None
    }
}

impl Serialize for Compat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Compat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        [Self::None, Self::HttpApi, Self::RestApi]
            .into_iter()
            .find(|compat| compat.word() == word)
            .ok_or_else(|| de::Error::unknown_variant(&word, Self::WORDS))
    }
}

/// What a path that has routes, but none for the method, is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodMiss {
    /// As any other miss.
    #[default]
    NotFound,
    /// 405 with `Allow`.
    NotAllowed,
}

/// What happens to the requests that a route takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What answers.
    pub integration: Integration,
    /// How many requests it takes, in each stage.
    #[serde(default, skip_serializing_if = "Throttles::is_empty")]
    pub throttle: Throttles,
    /// How many of its requests may be in flight at once, in each stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// Dangerous spellings of a path that it takes.
    #[serde(default, skip_serializing_if = "AllowPaths::is_none")]
    pub allow_paths: AllowPaths,
    /// Bytes of a request's body.
    #[serde(default, skip_serializing_if = "Limit::is_default")]
    pub body_bytes: Limit,
    /// Milliseconds from the first attempt at an origin to the response's end.
    #[serde(default, skip_serializing_if = "Limit::is_default")]
    pub timeout_ms: Limit,
    /// Whether it takes only requests with an API key that is good for the stage.
    #[serde(default, skip_serializing_if = "is_false")]
    pub api_key_required: bool,
    /// What its definition asks for and this build does not do. A route with any answers 501: to
    /// leave out a check or a mapping in silence would be worse. Sorted, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// Of an imported API: its operation object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Box<Value>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Serde asks by reference.
const fn is_false(is: &bool) -> bool {
    !*is
}

/// Where clients put their API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The header field of this name, in lower case.
    Header(String),
    /// The parameter of the query of this name.
    Query(String),
}

impl Default for KeySource {
    fn default() -> Self {
        Self::Header("x-api-key".to_owned())
    }
}

impl KeySource {
    /// Whether it is Amazon's.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A bound that has a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The configuration's, or the upstream's.
    #[default]
    Default,
    /// None.
    Unlimited,
    /// This many.
    Of(u64),
}

impl Limit {
    /// Whether it is left to the default.
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }

    /// The bound, where the default is `default`; `None`: none.
    pub fn or(self, default: Option<u64>) -> Option<u64> {
        match self {
            Self::Default => default,
            Self::Unlimited => None,
            Self::Of(count) => Some(count),
        }
    }
}

/// What answers. Texts may hold `${stageVariables.name}`, which is filled in for each stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Integration {
    /// An HTTP origin.
    Http {
        /// The name of an upstream of the configuration, or an origin by itself:
        /// `http://host:port`.
        upstream: String,
        /// The path that it sees, with the route's parameters in braces; absent: the request's
        /// after the base path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// A fixed answer.
    Mock {
        /// The status: 200 to 599.
        status: u16,
        /// The body. Empty for 204 and 304.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        body: String,
        /// The header fields: names in lower case, none of framing. Has a `content-type` if
        /// there is a body.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    /// An AWS Lambda function.
    Lambda {
        /// Its name or ARN.
        function: String,
        /// The version of the event that it gets: `1.0` or `2.0`.
        payload: String,
        /// Where it is invoked; absent: at AWS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    /// Another AWS service.
    Aws {
        /// The URI or subtype that says which service and action.
        action: String,
        /// Where it is called; absent: at AWS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
    /// An operation of an imported API that says nothing of what answers.
    Unset,
}

/// Dangerous spellings of a path that a route takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllowPaths {
    /// `%2F`.
    pub encoded_slash: bool,
    /// `\` and `%5C`.
    pub backslash: bool,
    /// `.` and `..`, plain or encoded.
    pub dot_segments: bool,
    /// `//`.
    pub empty_segments: bool,
}

impl AllowPaths {
    /// Whether it takes none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a definition may ask for and this build does not do. A line goes when its feature comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// API keys.
    ApiKey,
    /// Lambda and JWT authorizers.
    Authorizer,
    /// Calls to AWS services.
    AwsService,
    /// Signatures of AWS clients (`AWS_IAM`).
    IamAuth,
    /// An operation that names no integration.
    Integration,
    /// Lambda functions.
    Lambda,
    /// Another method towards the origin than the client's.
    MethodOverride,
    /// Requests and responses with header fields, query or body made of other parts.
    ParameterMapping,
    /// Velocity templates.
    MappingTemplate,
    /// Validation of parameters and bodies.
    RequestValidation,
    /// Policies by address, account or VPC.
    ResourcePolicy,
    /// Origins by `https`.
    TlsToOrigin,
    /// Private links into a VPC.
    VpcLink,
}

impl Missing {
    /// The missing piece by name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "API keys",
            Self::Authorizer => "authorizers",
            Self::AwsService => "AWS service integrations",
            Self::IamAuth => "IAM authorization",
            Self::Integration => "an integration",
            Self::Lambda => "Lambda integrations",
            Self::MethodOverride => "another method towards the origin",
            Self::ParameterMapping => "parameter mapping",
            Self::MappingTemplate => "mapping templates",
            Self::RequestValidation => "request validation",
            Self::ResourcePolicy => "resource policies",
            Self::TlsToOrigin => "TLS to origins",
            Self::VpcLink => "VPC links",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies in state folders today must be read for ever.
    #[test]
    fn the_json_of_a_definition_stays_as_it_is() {
        let json = r#"{"compat":"rest_api","method_miss":"not_found","routes":{
            "GET /a/{id}":{"integration":{"type":"http","upstream":"users","path":"/v1/{id}"},
                "throttle":{"rate":0.5,"burst":2},"concurrency":3,"allow_paths":{"encoded_slash":true,
                "backslash":false,"dot_segments":false,"empty_segments":false},
                "body_bytes":"unlimited","timeout_ms":{"of":250},"missing":["authorizer"],
                "operation":{"security":[{"key":[]}]}},
            "$default":{"integration":{"type":"mock","status":404}}},
            "openapi":{"info":{"title":"x"}}}"#;
        let value: Value = serde_json::from_str(json).expect("JSON");
        let definition: Definition = serde_json::from_value(value.clone()).expect("a definition");
        let route = &definition.routes["GET /a/{id}"];
        assert_eq!(route.timeout_ms, Limit::Of(250));
        assert_eq!(route.missing, [Missing::Authorizer]);
        assert_eq!(serde_json::to_value(&definition).expect("JSON"), value);
    }

    #[test]
    fn unknown_keys_are_refused_and_not_dropped() {
        for json in [
            r#"{"routes":{},"authorizers":{}}"#,
            r#"{"routes":{"GET /":{"integration":{"type":"unset"},"cors":{}}}}"#,
            r#"{"routes":{"GET /":{"integration":{"type":"mock","status":200,"delay":1}}}}"#,
            r#"{"compat":"soap","routes":{}}"#,
        ] {
            assert!(serde_json::from_str::<Definition>(json).is_err(), "{json}");
        }
    }
}
