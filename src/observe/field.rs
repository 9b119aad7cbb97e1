//! The variables of an access-log format: their names, and what a record says of each.
//!
//! The names are Amazon's (`$context.` of REST and HTTP APIs) and, under `sluice.`, what Amazon
//! has no name for. A name that Amazon has and the gateway does not know is absent in every line,
//! so that a format moves over unchanged. Nothing here is written to a line.

use super::record::Record;
use crate::error::{Error, Fault};
use std::time::Duration;

/// One variable: what kind of value it has, and where a record holds it. Absent are numbers and
/// times that a record has not, and empty text.
///
/// Read by functions, not by a `match` in the loop over a format's pieces: a compiler takes all
/// that such a loop might read out of the record before it begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    /// A name of Amazon's for which nothing is known: always absent.
    Unknown,
    Number(fn(&Record<'_>) -> Option<u64>),
    /// Seconds, written with microseconds.
    Seconds(fn(&Record<'_>) -> Option<Duration>),
    /// Bytes that somebody else chose.
    Text(Read),
    /// The same, of the route: equal for all of its requests.
    OfRoute(Read),
    /// Bytes among which nothing needs escaping: printable ASCII without quotes and backslashes.
    Plain(Read),
    /// When the request came, as RFC 3339.
    TimeRfc3339,
    /// When the request came, as the Common Log Format.
    TimeClf,
}

/// Where a record holds bytes.
type Read = for<'a> fn(&'a Record<'_>) -> &'a [u8];

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
        matches!(self, Self::OfRoute(_))
    }
}

const fn ms(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// What an error is called where there is one.
fn error_text(error: Option<Error>, text: fn(Error) -> &'static str) -> &'static [u8] {
    error.map_or(b"", |error| text(error).as_bytes())
}

const fn truth(is: Option<bool>) -> &'static [u8] {
    match is {
        Some(true) => b"true",
        Some(false) => b"false",
        None => b"",
    }
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

#[rustfmt::skip]
const KNOWN: &[(&str, Field)] = &[
    ("apiId",                             Field::OfRoute(|r| r.api.as_bytes())),
    ("customDomain.basePathMatched",      Field::Text(|r| r.base_path.as_bytes())),
    ("customDomain.routingRuleIdMatched", Field::Plain(|r| r.routing_rule.as_bytes())),
    ("dataProcessed",                     Field::Number(|r| Some(r.request_bytes + r.response_bytes))),
    ("deploymentId",                      Field::Plain(|r| r.deployment.as_bytes())),
    ("domainName",                        Field::Text(|r| name_of(r.host))),
    ("domainPrefix",                      Field::Text(|r| prefix_of(name_of(r.host)))),
    ("error.message",                     ERROR_MESSAGE),
    // Amazon's is the message in quotes; a format decides about quotes by itself here.
    ("error.messageString",               ERROR_MESSAGE),
    ("error.responseType",                Field::Plain(|r| error_text(r.error, Error::name))),
    ("extendedRequestId",                 REQUEST_ID),
    ("httpMethod",                        Field::Plain(|r| r.method_token)),
    ("identity.apiKeyId",                 Field::Plain(|r| r.api_key_id.as_bytes())),
    ("identity.sourceIp",                 Field::Plain(|r| r.source_ip)),
    ("identity.userAgent",                Field::Text(|r| r.user_agent)),
    ("integration.error",                 INTEGRATION_ERROR),
    ("integration.integrationStatus",     INTEGRATION_STATUS),
    ("integration.latency",               INTEGRATION_LATENCY_MS),
    ("integration.status",                INTEGRATION_STATUS),
    ("integration.timeToAllHeaders",      INTEGRATION_LATENCY_MS),
    ("integrationErrorMessage",           INTEGRATION_ERROR),
    ("integrationLatency",                INTEGRATION_LATENCY_MS),
    ("integrationStatus",                 INTEGRATION_STATUS),
    ("isCanaryRequest",                   Field::Plain(|r| truth(r.is_canary))),
    ("path",                              Field::Text(|r| r.path)),
    ("protocol",                          Field::Plain(|r| r.protocol.as_bytes())),
    ("requestId",                         REQUEST_ID),
    ("requestTime",                       Field::TimeClf),
    ("requestTimeEpoch",                  Field::Number(|r| Some(ms(r.started_wall)))),
    ("resourcePath",                      Field::OfRoute(|r| path_of(r.route).as_bytes())),
    ("responseLatency",                   Field::Number(|r| Some(ms(r.latency)))),
    ("responseLength",                    Field::Number(|r| Some(r.response_body_bytes))),
    ("routeKey",                          Field::OfRoute(|r| r.route.as_bytes())),
    ("sluice.attempts",                   Field::Number(|r| Some(r.attempts.into()))),
    ("sluice.endpoint",                   Field::Text(|r| r.endpoint.as_bytes())),
    ("sluice.generation",                 Field::Number(|r| Some(r.generation))),
    ("sluice.host",                       Field::Text(|r| r.host)),
    ("sluice.integrationLatency",         Field::Seconds(|r| r.integration_latency)),
    ("sluice.latency",                    Field::Seconds(|r| Some(r.latency))),
    ("sluice.query",                      Field::Text(|r| r.query)),
    ("sluice.referer",                    Field::Text(|r| r.referer)),
    ("sluice.requestBytes",               Field::Number(|r| Some(r.request_bytes))),
    ("sluice.responseBytes",              Field::Number(|r| Some(r.response_bytes))),
    ("sluice.time",                       Field::TimeRfc3339),
    ("sluice.usagePlan",                  Field::Text(|r| r.usage_plan.as_bytes())),
    ("sluice.upstream",                   Field::Text(|r| r.upstream.as_bytes())),
    ("stage",                             Field::OfRoute(|r| r.stage.as_bytes())),
    ("status",                            Field::Number(|r| Some(r.status.into()))),
];

const ERROR_MESSAGE: Field = Field::Plain(|r| error_text(r.error, |error| error.answer().message));
const INTEGRATION_ERROR: Field = Field::Plain(|r| {
    let upstreams = r.error.filter(|error| error.fault() == Fault::Upstream);
    error_text(upstreams, Error::name)
});
const INTEGRATION_LATENCY_MS: Field = Field::Number(|r| r.integration_latency.map(ms));
const INTEGRATION_STATUS: Field = Field::Number(|r| r.integration_status.map(u64::from));
const REQUEST_ID: Field = Field::Plain(|r| r.request_id);

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
