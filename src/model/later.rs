//! Keys of the format that this build does not serve yet.
//!
//! They are refused with a reason rather than ignored: a gateway that drops a policy in silence is
//! worse than one that does not start. A line goes when its feature comes. Nothing else lives here.

/// A mapping's name in the schema, one of its keys, and why it is refused.
const LATER: &[(&str, &str, &str)] = &[
    ("Listener", "tls", "this build does not terminate TLS yet"),
    (
        "ApiKey",
        "authorizer",
        "this build has no authorizers yet that could tell the key",
    ),
    ("Api", "authorizers", "this build has no authorizers yet"),
    ("Route", "authorizer", "this build has no authorizers yet"),
    (
        "Route",
        "cors",
        "this build does not answer CORS requests yet",
    ),
    (
        "Api",
        "cors",
        "this build does not answer CORS requests yet",
    ),
    (
        "Upstream",
        "tls",
        "this build does not speak TLS to origins yet",
    ),
    (
        "Stage",
        "canary",
        "a canary is begun by `sluice canary`, not here",
    ),
    (
        "Stage",
        "deployment",
        "a deployment is chosen by `sluice deploy`, `promote` or `rollback`, not here",
    ),
];

/// Why `key` of the mapping `of` is refused, if it belongs to the format at all.
pub(super) fn what(of: &str, key: &str) -> Option<&'static str> {
    LATER
        .iter()
        .find(|(name, later, _)| *name == of && *later == key)
        .map(|(_, _, what)| *what)
}
