//! Origins that integrations name by themselves (`http://host:port`): upstreams with the defaults.
//!
//! They stand behind the configuration's upstreams under their own text as a name, which no
//! upstream of a configuration can have.

use super::{
    Definition,
    check::implied_upstream,
    checked::{Checked, Upstream},
    definition::Integration,
    variables::{self, Variables},
};
use std::collections::{BTreeSet, HashSet};

/// What an origin begins with.
const SCHEME: &str = "http://";

/// The origins that `definition` names with these variables and `checked` does not have, by their
/// names. What cannot be read is left to the compiler, which knows whose mistake it is.
pub fn missing(checked: &Checked, definition: &Definition, variables: &Variables) -> Vec<Upstream> {
    let named = of(definition, variables);
    if named.is_empty() {
        return Vec::new();
    }
    let known: HashSet<&str> = checked
        .upstreams
        .iter()
        .map(|known| known.name.as_str())
        .collect();
    let new = named.iter().filter(|name| !known.contains(&***name));
    new.filter_map(|name| upstream(name)).collect()
}

fn of(definition: &Definition, variables: &Variables) -> BTreeSet<String> {
    let named = definition
        .routes
        .values()
        .filter_map(|route| match &route.integration {
            Integration::Http { upstream, .. }
                if upstream.contains(SCHEME) || upstream.contains("${") =>
            {
                variables::fill(upstream, variables).ok()
            }
            Integration::Http { .. }
            | Integration::Mock { .. }
            | Integration::Lambda { .. }
            | Integration::Aws { .. }
            | Integration::Unset => None,
        });
    named
        .filter(|name| name.starts_with(SCHEME))
        .map(|name| name.into_owned())
        .collect()
}

fn upstream(name: &str) -> Option<Upstream> {
    let authority = name.strip_prefix(SCHEME)?;
    // A port stands behind the last colon, unless that is inside an IPv6 address.
    let has_port = authority.rfind(':') > authority.rfind(']');
    let address = match has_port {
        true => authority.to_owned(),
        false => format!("{authority}:80"),
    };
    implied_upstream(name, &address)
}

#[cfg(test)]
mod tests {
    use super::upstream;

    #[track_caller]
    fn check(name: &str, address: Option<&str>) {
        let found = upstream(name);
        let text = found.as_ref().map(|found| found.endpoints[0].text.as_str());
        assert_eq!(text, address, "{name}");
        assert!(found.is_none_or(|found| found.name == name));
    }

    #[test]
    fn origins() {
        check("http://127.0.0.1:9001", Some("127.0.0.1:9001"));
        check("http://a.example", Some("a.example:80"));
        check("http://[::1]", Some("[::1]:80"));
        check("http://[::1]:81", Some("[::1]:81"));
        check("http://", None);
        check("http://a b", None);
        check("http://a:99999", None);
        check("http://'", None);
    }
}
