//! What can go wrong with a request: what happened, whose fault it is, what the client is told.
//!
//! One vocabulary for the whole data plane, and one table to the wire: [`Error::answer`]. The log
//! says the error's own name ([`Error::name`]); the client reads only the answer's message, which
//! tells nothing about the inside.

/// Why a request (or a connection) ended without the origin's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    // The client's: what arrived cannot be served as it stands.
    /// `/../`, `/./`, in plain or encoded form, on a route that does not permit them.
    PathDotSegment,
    /// An encoded slash (`%2F`) on a route that does not permit it.
    PathEncodedSlash,
    /// A backslash, plain or encoded.
    PathBackslash,
    /// NUL or another control character, encoded.
    PathControl,
    /// `%` without two hexadecimal digits after it.
    PathEncoding,
    /// A request line that is not `method SP target SP version`.
    RequestLineMalformed,
    /// A request target in no form that RFC 9112 §3.2 allows for its method.
    TargetMalformed,
    /// A request target over [`crate::bounds::TARGET_BYTES_MAX`].
    TargetTooLong,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    VersionUnsupported,
    /// A method token that is too long or not a token; also CONNECT.
    MethodRefused,
    /// A field line that breaks RFC 9112 §5: a space before the colon, folding, a bare CR or LF,
    /// NUL, an empty name.
    FieldMalformed,
    /// More fields than [`crate::bounds::HEAD_FIELDS_MAX`].
    FieldsTooMany,
    /// A head over [`crate::bounds::HEAD_BYTES_MAX`].
    HeadTooLarge,
    /// No Host in HTTP/1.1.
    HostMissing,
    /// Two Host fields, or a list in one.
    HostRepeated,
    /// A Host that is no authority, or that disagrees with an absolute target.
    HostMalformed,
    /// Content-Length that is no plain number, or two that differ.
    LengthMalformed,
    /// A Transfer-Encoding whose last coding is not `chunked`, one given twice or in disguise, or
    /// any in HTTP/1.0 (RFC 9112 §6.1, §6.3).
    TransferEncodingRefused,
    /// A well-formed list of transfer codings before a last `chunked`: none is implemented.
    TransferCodingUnknown,
    /// Content-Length and Transfer-Encoding together.
    FramingAmbiguous,
    /// A Connection field that nominates a field meant for every recipient: Host, Authorization,
    /// Content-Length and their like (RFC 9110 §7.6.1).
    ConnectionOptionRefused,
    /// A chunked body that breaks RFC 9112 §7.1.
    ChunkMalformed,
    /// An Expect other than `100-continue`.
    ExpectationUnknown,
    /// A body over the route's limit.
    BodyTooLarge,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body stopped arriving.
    BodyTimeout,
    /// The client went away before the answer was written.
    ClientGone,

    // Routing's: no such thing here.
    /// No domain or base path of the configuration takes this host and path.
    DomainUnknown,
    /// The API has no route for the path.
    RouteUnknown,
    /// The API has the path under other methods, and answers 405 by setting.
    MethodNotAllowed,
    /// A route that asks for an API key, and a request that has none.
    ApiKeyMissing,
    /// An API key that is not known.
    ApiKeyUnknown,
    /// An API key that has been disabled.
    ApiKeyDisabled,
    /// An API key that is in no plan that is good for the stage.
    ApiKeyWithoutPlan,
    /// A miss on an API that answers as an Amazon REST API does.
    AuthenticationTokenMissing,
    /// The stage serves what is deployed to it, and nothing is.
    StageNotDeployed,
    /// The route's definition asks for something that this build does not do.
    RouteNotServed,
    /// The stage's or the route's token bucket is empty.
    Throttled,
    /// The client's API key has used up what its plan gives it for the period.
    QuotaSpent,
    /// As many requests as the route's or the upstream's `concurrency` allows are in flight.
    ConcurrencyExceeded,

    // The origin's.
    /// More requests are in flight than the upstream now serves without letting them queue.
    LoadShed,
    /// Every endpoint is down, ejected or full.
    UpstreamUnavailable,
    /// A connection was refused or reset while it was made.
    UpstreamRefused,
    /// A connection took longer than the connect timeout.
    UpstreamConnectTimeout,
    /// No response head within the response timeout.
    UpstreamTimeout,
    /// The connection ended before a whole response head.
    UpstreamClosed,
    /// The response head or its framing breaks the rules we hold the origin to.
    UpstreamMalformed,
    /// The response body ended early or stalled, after its head was forwarded.
    UpstreamTruncated,

    // The gateway's own.
    /// A bug: a panic caught at the connection's border.
    Internal,
    /// The worker is draining and takes no further request.
    Draining,
    /// The process has no file descriptor left for a connection to the origin.
    DescriptorsExhausted,
}

/// Whose doing an error is. Decides the log level and the health accounting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client sent what cannot be served.
    Client,
    /// The origin failed.
    Upstream,
    /// The gateway failed.
    Gateway,
}

/// What the client is told: a status and a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The text of the body's `message`.
    pub message: &'static str,
}

const fn answer(status: u16, message: &'static str) -> Answer {
    Answer { status, message }
}

impl Error {
    /// All of them, in the order of their declaration: for tables, metrics and tests.
    pub const ALL: [Self; 51] = [
        Self::PathDotSegment,
        Self::PathEncodedSlash,
        Self::PathBackslash,
        Self::PathControl,
        Self::PathEncoding,
        Self::RequestLineMalformed,
        Self::TargetMalformed,
        Self::TargetTooLong,
        Self::VersionUnsupported,
        Self::MethodRefused,
        Self::FieldMalformed,
        Self::FieldsTooMany,
        Self::HeadTooLarge,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostMalformed,
        Self::LengthMalformed,
        Self::TransferEncodingRefused,
        Self::TransferCodingUnknown,
        Self::FramingAmbiguous,
        Self::ConnectionOptionRefused,
        Self::ChunkMalformed,
        Self::ExpectationUnknown,
        Self::BodyTooLarge,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::ClientGone,
        Self::DomainUnknown,
        Self::RouteUnknown,
        Self::MethodNotAllowed,
        Self::ApiKeyMissing,
        Self::ApiKeyUnknown,
        Self::ApiKeyDisabled,
        Self::ApiKeyWithoutPlan,
        Self::AuthenticationTokenMissing,
        Self::StageNotDeployed,
        Self::RouteNotServed,
        Self::Throttled,
        Self::QuotaSpent,
        Self::ConcurrencyExceeded,
        Self::LoadShed,
        Self::UpstreamUnavailable,
        Self::UpstreamRefused,
        Self::UpstreamConnectTimeout,
        Self::UpstreamTimeout,
        Self::UpstreamClosed,
        Self::UpstreamMalformed,
        Self::UpstreamTruncated,
        Self::Internal,
        Self::Draining,
        Self::DescriptorsExhausted,
    ];

    /// The table: what the client is told. `ClientGone` and `UpstreamTruncated` have nobody left
    /// to tell or a head already sent; their status stands in the log only (499 is nginx's).
    pub const fn answer(self) -> Answer {
        match self {
            Self::PathDotSegment
            | Self::PathEncodedSlash
            | Self::PathBackslash
            | Self::PathControl
            | Self::PathEncoding
            | Self::RequestLineMalformed
            | Self::TargetMalformed
            | Self::FieldMalformed
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostMalformed
            | Self::LengthMalformed
            | Self::FramingAmbiguous
            | Self::ChunkMalformed
            | Self::ConnectionOptionRefused
            | Self::TransferEncodingRefused => answer(400, "Bad Request"),
            Self::TransferCodingUnknown | Self::MethodRefused | Self::RouteNotServed => {
                answer(501, "Not Implemented")
            }
            Self::TargetTooLong => answer(414, "Request URI too long"),
            Self::VersionUnsupported => answer(505, "HTTP Version Not Supported"),
            Self::FieldsTooMany | Self::HeadTooLarge => {
                answer(431, "Request Header Fields Too Large")
            }
            Self::ExpectationUnknown => answer(417, "Expectation Failed"),
            Self::BodyTooLarge => answer(413, "Request Entity Too Large"),
            Self::HeadTimeout | Self::BodyTimeout => answer(408, "Request Timeout"),
            Self::ClientGone => answer(499, "Client Closed Request"),
            Self::DomainUnknown
            | Self::ApiKeyMissing
            | Self::ApiKeyUnknown
            | Self::ApiKeyDisabled
            | Self::ApiKeyWithoutPlan => answer(403, "Forbidden"),
            Self::RouteUnknown | Self::StageNotDeployed => answer(404, "Not Found"),
            Self::MethodNotAllowed => answer(405, "Method Not Allowed"),
            Self::AuthenticationTokenMissing => answer(403, "Missing Authentication Token"),
            Self::Throttled => answer(429, "Too Many Requests"),
            Self::QuotaSpent => answer(429, "Limit Exceeded"),
            Self::ConcurrencyExceeded
            | Self::LoadShed
            | Self::UpstreamUnavailable
            | Self::UpstreamRefused
            | Self::Draining
            | Self::DescriptorsExhausted => answer(503, "Service Unavailable"),
            Self::UpstreamClosed | Self::UpstreamMalformed | Self::UpstreamTruncated => {
                answer(502, "Bad Gateway")
            }
            Self::UpstreamConnectTimeout | Self::UpstreamTimeout => {
                answer(504, "Endpoint request timed out")
            }
            Self::Internal => answer(500, "Internal Server Error"),
        }
    }

    /// What an Amazon REST API calls it, if it has an error like it and clients look for its name.
    #[allow(clippy::wildcard_enum_match_arm)] // Most have none.
    pub const fn amazon_type(self) -> Option<&'static str> {
        match self {
            Self::ApiKeyMissing
            | Self::ApiKeyUnknown
            | Self::ApiKeyDisabled
            | Self::ApiKeyWithoutPlan => Some("ForbiddenException"),
            Self::Throttled => Some("TooManyRequestsException"),
            Self::QuotaSpent => Some("LimitExceededException"),
            _ => None,
        }
    }

    /// Whose doing it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::PathDotSegment
            | Self::PathEncodedSlash
            | Self::PathBackslash
            | Self::PathControl
            | Self::PathEncoding
            | Self::RequestLineMalformed
            | Self::TargetMalformed
            | Self::TargetTooLong
            | Self::VersionUnsupported
            | Self::MethodRefused
            | Self::FieldMalformed
            | Self::FieldsTooMany
            | Self::HeadTooLarge
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostMalformed
            | Self::LengthMalformed
            | Self::TransferEncodingRefused
            | Self::TransferCodingUnknown
            | Self::FramingAmbiguous
            | Self::ConnectionOptionRefused
            | Self::ChunkMalformed
            | Self::ExpectationUnknown
            | Self::BodyTooLarge
            | Self::HeadTimeout
            | Self::BodyTimeout
            | Self::ClientGone
            | Self::DomainUnknown
            | Self::RouteUnknown
            | Self::MethodNotAllowed
            | Self::ApiKeyMissing
            | Self::ApiKeyUnknown
            | Self::ApiKeyDisabled
            | Self::ApiKeyWithoutPlan
            | Self::AuthenticationTokenMissing
            | Self::Throttled
            | Self::QuotaSpent
            | Self::ConcurrencyExceeded => Fault::Client,
            Self::LoadShed
            | Self::UpstreamUnavailable
            | Self::UpstreamRefused
            | Self::UpstreamConnectTimeout
            | Self::UpstreamTimeout
            | Self::UpstreamClosed
            | Self::UpstreamMalformed
            | Self::UpstreamTruncated => Fault::Upstream,
            Self::Internal
            | Self::Draining
            | Self::DescriptorsExhausted
            | Self::StageNotDeployed
            | Self::RouteNotServed => Fault::Gateway,
        }
    }

    /// The name in logs (`$context.error.responseType`) and metrics: stable, snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PathDotSegment => "path_dot_segment",
            Self::PathEncodedSlash => "path_encoded_slash",
            Self::PathBackslash => "path_backslash",
            Self::PathControl => "path_control",
            Self::PathEncoding => "path_encoding",
            Self::RequestLineMalformed => "request_line_malformed",
            Self::TargetMalformed => "target_malformed",
            Self::TargetTooLong => "target_too_long",
            Self::VersionUnsupported => "version_unsupported",
            Self::MethodRefused => "method_refused",
            Self::FieldMalformed => "field_malformed",
            Self::FieldsTooMany => "fields_too_many",
            Self::HeadTooLarge => "head_too_large",
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostMalformed => "host_malformed",
            Self::LengthMalformed => "length_malformed",
            Self::TransferEncodingRefused => "transfer_encoding_refused",
            Self::TransferCodingUnknown => "transfer_coding_unknown",
            Self::FramingAmbiguous => "framing_ambiguous",
            Self::ConnectionOptionRefused => "connection_option_refused",
            Self::ChunkMalformed => "chunk_malformed",
            Self::ExpectationUnknown => "expectation_unknown",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::ClientGone => "client_gone",
            Self::DomainUnknown => "domain_unknown",
            Self::RouteUnknown => "route_unknown",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ApiKeyMissing => "api_key_missing",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::ApiKeyDisabled => "api_key_disabled",
            Self::ApiKeyWithoutPlan => "api_key_without_plan",
            Self::AuthenticationTokenMissing => "authentication_token_missing",
            Self::StageNotDeployed => "stage_not_deployed",
            Self::RouteNotServed => "route_not_served",
            Self::Throttled => "throttled",
            Self::QuotaSpent => "quota_spent",
            Self::ConcurrencyExceeded => "concurrency_exceeded",
            Self::LoadShed => "load_shed",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamConnectTimeout => "upstream_connect_timeout",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamMalformed => "upstream_malformed",
            Self::UpstreamTruncated => "upstream_truncated",
            Self::Internal => "internal",
            Self::Draining => "draining",
            Self::DescriptorsExhausted => "descriptors_exhausted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn every_error_stands_once_in_all_under_its_own_name() {
        for (index, error) in Error::ALL.iter().enumerate() {
            assert_eq!(*error as usize, index, "{error:?} is out of order");
            let status = error.answer().status;
            assert!((400..600).contains(&status), "{error:?} answers {status}");
            assert_eq!(
                Error::ALL
                    .iter()
                    .filter(|other| other.name() == error.name())
                    .count(),
                1
            );
        }
    }
}
