//! The variables of an access-log format: their names, and what a record says of each.
//!
//! The names are Amazon's (`$context.` of REST and HTTP APIs) and, under `sluice.`, what Amazon
//! has no name for. A name that Amazon has and the gateway does not know is absent in every line,
//! so that a format moves over unchanged. Nothing here is written to a line.

use super::record::Record;
use crate::error::Fault;
use std::time::Duration;

/// One variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A name of Amazon's for which nothing is known.
    Unknown,
    ApiId,
    Attempts,
    BasePathMatched,
    DataProcessed,
    Deployment,
    DomainName,
    DomainPrefix,
    Endpoint,
    ErrorMessage,
    ErrorName,
    Generation,
    Host,
    IntegrationError,
    IntegrationLatency,
    IntegrationLatencyMs,
    IntegrationStatus,
    IsCanary,
    Latency,
    LatencyMs,
    Method,
    Path,
    Protocol,
    Query,
    Referer,
    RequestBytes,
    RequestId,
    ResourcePath,
    ResponseBodyBytes,
    ResponseBytes,
    RouteKey,
    RoutingRuleIdMatched,
    SourceIp,
    Stage,
    Status,
    TimeClf,
    TimeEpochMs,
    TimeRfc3339,
    Upstream,
    UserAgent,
}

/// What a record says of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Absent,
    Number(u64),
    /// Seconds, written with microseconds.
    Seconds(Duration),
    /// Bytes that somebody else chose.
    Text(&'a [u8]),
    /// Bytes among which nothing needs escaping: printable ASCII without quotes and backslashes.
    Plain(&'a [u8]),
    /// Time since 1970, as RFC 3339.
    TimeRfc3339(Duration),
    /// Time since 1970, as the Common Log Format.
    TimeClf(Duration),
}

impl Field {
    /// The field of this name (without `$context.`).
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let is_unfilled = || {
            UNFILLED.contains(&name)
                || PARAMETRIC
                    .iter()
                    .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
        };
        known
            .map(|(_, field)| *field)
            .or_else(|| is_unfilled().then_some(Self::Unknown))
    }

    /// Whether it is the same for all requests of a route.
    pub(super) const fn is_of_route(self) -> bool {
        matches!(
            self,
            Self::ApiId | Self::Stage | Self::RouteKey | Self::ResourcePath
        )
    }

    /// What `record` says of it. Empty text counts as absent.
    pub(super) fn value<'a>(self, record: &'a Record<'_>) -> Value<'a> {
        match self {
            Self::Unknown => Value::Absent,
            Self::ApiId => text(record.api.as_bytes()),
            Self::Attempts => Value::Number(u64::from(record.attempts)),
            Self::BasePathMatched => text(record.base_path.as_bytes()),
            Self::DataProcessed => Value::Number(record.request_bytes + record.response_bytes),
            Self::Deployment => plain(record.deployment.as_bytes()),
            Self::DomainName => text(name_of(record.host)),
            Self::DomainPrefix => text(prefix_of(name_of(record.host))),
            Self::Endpoint => text(record.endpoint.as_bytes()),
            Self::ErrorMessage => name(record.error.map(|error| error.answer().message)),
            Self::ErrorName => name(record.error.map(|error| error.name())),
            Self::Generation => Value::Number(record.generation),
            Self::Host => text(record.host),
            Self::IntegrationError => name(
                record
                    .error
                    .filter(|error| error.fault() == Fault::Upstream)
                    .map(|error| error.name()),
            ),
            Self::IntegrationLatency => record
                .integration_latency
                .map_or(Value::Absent, Value::Seconds),
            Self::IntegrationLatencyMs => record.integration_latency.map_or(Value::Absent, ms),
            Self::IntegrationStatus => number(record.integration_status),
            Self::IsCanary => match record.is_canary {
                Some(true) => Value::Plain(b"true"),
                Some(false) => Value::Plain(b"false"),
                None => Value::Absent,
            },
            Self::Latency => Value::Seconds(record.latency),
            Self::LatencyMs => ms(record.latency),
            Self::Method => plain(record.method_token),
            Self::Path => text(record.path),
            Self::Protocol => plain(record.protocol.as_bytes()),
            Self::Query => text(record.query),
            Self::Referer => text(record.referer),
            Self::RequestBytes => Value::Number(record.request_bytes),
            Self::RequestId => plain(record.request_id),
            Self::ResourcePath => text(path_of(record.route).as_bytes()),
            Self::ResponseBodyBytes => Value::Number(record.response_body_bytes),
            Self::ResponseBytes => Value::Number(record.response_bytes),
            Self::RouteKey => text(record.route.as_bytes()),
            Self::RoutingRuleIdMatched => plain(record.routing_rule.as_bytes()),
            Self::SourceIp => plain(record.source_ip),
            Self::Stage => text(record.stage.as_bytes()),
            Self::Status => number(Some(record.status)),
            Self::TimeClf => Value::TimeClf(record.started_wall),
            Self::TimeEpochMs => ms(record.started_wall),
            Self::TimeRfc3339 => Value::TimeRfc3339(record.started_wall),
            Self::Upstream => text(record.upstream.as_bytes()),
            Self::UserAgent => text(record.user_agent),
        }
    }
}

fn text(bytes: &[u8]) -> Value<'_> {
    if bytes.is_empty() {
        Value::Absent
    } else {
        Value::Text(bytes)
    }
}

fn plain(bytes: &[u8]) -> Value<'_> {
    if bytes.is_empty() {
        Value::Absent
    } else {
        Value::Plain(bytes)
    }
}

fn name(name: Option<&'static str>) -> Value<'static> {
    name.map_or(Value::Absent, |name| Value::Plain(name.as_bytes()))
}

fn number(n: Option<u16>) -> Value<'static> {
    n.map_or(Value::Absent, |n| Value::Number(u64::from(n)))
}

fn ms(time: Duration) -> Value<'static> {
    Value::Number(time.as_millis() as u64)
}

/// A Host without its port.
fn name_of(host: &[u8]) -> &[u8] {
    // In an address in brackets the port's colon is the one after the bracket.
    let from = memchr::memchr(b']', host).unwrap_or(0);
    let port = memchr::memchr(b':', &host[from..]);
    port.map_or(host, |colon| &host[..from + colon])
}

/// The first label of a domain name.
fn prefix_of(name: &[u8]) -> &[u8] {
    memchr::memchr(b'.', name).map_or(name, |dot| &name[..dot])
}

/// The path of a route's key; `$default` stands for itself.
fn path_of(route: &str) -> &str {
    route.split_once(' ').map_or(route, |(_, path)| path)
}

/// The known name that `name` is most like, if it is like any: at most a third of it is wrong.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let all = KNOWN.iter().map(|(known, _)| *known);
    let (distance, known) = all
        .chain(UNFILLED.iter().copied())
        .map(|known| (distance(name.as_bytes(), known.as_bytes()), known))
        .min()?;
    (distance <= known.len() / 3).then_some(known)
}

/// How many bytes must be put in, left out or changed to make `b` of `a`, letter case aside.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const KNOWN: &[(&str, Field)] = &[
    ("apiId", Field::ApiId),
    ("customDomain.basePathMatched", Field::BasePathMatched),
    (
        "customDomain.routingRuleIdMatched",
        Field::RoutingRuleIdMatched,
    ),
    ("dataProcessed", Field::DataProcessed),
    ("deploymentId", Field::Deployment),
    ("domainName", Field::DomainName),
    ("domainPrefix", Field::DomainPrefix),
    ("error.message", Field::ErrorMessage),
    // Amazon's is the message in quotes; a format decides about quotes by itself here.
    ("error.messageString", Field::ErrorMessage),
    ("error.responseType", Field::ErrorName),
    ("extendedRequestId", Field::RequestId),
    ("httpMethod", Field::Method),
    ("identity.sourceIp", Field::SourceIp),
    ("identity.userAgent", Field::UserAgent),
    ("integration.error", Field::IntegrationError),
    ("integration.integrationStatus", Field::IntegrationStatus),
    ("integration.latency", Field::IntegrationLatencyMs),
    ("integration.status", Field::IntegrationStatus),
    ("integration.timeToAllHeaders", Field::IntegrationLatencyMs),
    ("integrationErrorMessage", Field::IntegrationError),
    ("integrationLatency", Field::IntegrationLatencyMs),
    ("integrationStatus", Field::IntegrationStatus),
    ("isCanaryRequest", Field::IsCanary),
    ("path", Field::Path),
    ("protocol", Field::Protocol),
    ("requestId", Field::RequestId),
    ("requestTime", Field::TimeClf),
    ("requestTimeEpoch", Field::TimeEpochMs),
    ("resourcePath", Field::ResourcePath),
    ("responseLatency", Field::LatencyMs),
    ("responseLength", Field::ResponseBodyBytes),
    ("routeKey", Field::RouteKey),
    ("sluice.attempts", Field::Attempts),
    ("sluice.endpoint", Field::Endpoint),
    ("sluice.generation", Field::Generation),
    ("sluice.host", Field::Host),
    ("sluice.integrationLatency", Field::IntegrationLatency),
    ("sluice.latency", Field::Latency),
    ("sluice.query", Field::Query),
    ("sluice.referer", Field::Referer),
    ("sluice.requestBytes", Field::RequestBytes),
    ("sluice.responseBytes", Field::ResponseBytes),
    ("sluice.time", Field::TimeRfc3339),
    ("sluice.upstream", Field::Upstream),
    ("stage", Field::Stage),
    ("status", Field::Status),
];

/// Names that Amazon has and nothing is known of.
const UNFILLED: &[&str] = &[
    "accountId",
    "authenticate.error",
    "authenticate.latency",
    "authenticate.status",
    "authorize.error",
    "authorize.latency",
    "authorize.status",
    "authorizer.error",
    "authorizer.integrationLatency",
    "authorizer.integrationStatus",
    "authorizer.latency",
    "authorizer.principalId",
    "authorizer.requestId",
    "authorizer.status",
    "awsEndpointRequestId",
    "awsEndpointRequestId2",
    "cipherSuite",
    "endpointType",
    "error.validationErrorString",
    "identity.accountId",
    "identity.apiKey",
    "identity.apiKeyId",
    "identity.caller",
    "identity.clientCert.clientCertPem",
    "identity.clientCert.issuerDN",
    "identity.clientCert.serialNumber",
    "identity.clientCert.subjectDN",
    "identity.clientCert.validity.notAfter",
    "identity.clientCert.validity.notBefore",
    "identity.cognitoAuthenticationProvider",
    "identity.cognitoAuthenticationType",
    "identity.cognitoIdentityId",
    "identity.cognitoIdentityPoolId",
    "identity.principalOrgId",
    "identity.user",
    "identity.userArn",
    "identity.vpcId",
    "identity.vpceId",
    "integration.requestId",
    "integration.responseTransferMode",
    "integration.timeToFirstContent",
    "resourceId",
    "responseOverride.status",
    "tlsVersion",
    "waf.error",
    "waf.latency",
    "waf.status",
    "wafResponseCode",
    "webaclArn",
    "xrayTraceId",
];

/// Beginnings of names whose end the writer of the configuration chooses; not known either.
pub(super) const PARAMETRIC: &[&str] = &[
    "authorizer.",
    "requestOverride.header.",
    "requestOverride.path.",
    "requestOverride.querystring.",
    "responseOverride.header.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(name: &str, expected: Option<&str>) {
        assert_eq!(nearest(name), expected, "{name}");
    }

    #[test]
    fn the_nearest_name() {
        near("requestid", Some("requestId"));
        near("identity.sourceIP", Some("identity.sourceIp"));
        near("staus", Some("status"));
        near("integration.latncy", Some("integration.latency"));
        near("weather", None);
        near("", None);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = KNOWN.iter().map(|(name, _)| *name).collect();
        names.extend(UNFILLED);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[track_caller]
    fn domain(host: &str, name: &str, prefix: &str) {
        let found = name_of(host.as_bytes());
        assert_eq!(found, name.as_bytes());
        assert_eq!(prefix_of(found), prefix.as_bytes());
    }

    #[test]
    fn domains() {
        domain("api.example.com:8080", "api.example.com", "api");
        domain("localhost", "localhost", "localhost");
        domain("[::1]:80", "[::1]", "[::1]");
        domain("[::1]", "[::1]", "[::1]");
        domain("", "", "");
    }
}
