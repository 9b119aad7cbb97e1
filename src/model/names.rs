//! The small grammars: addresses, hosts, base paths, names, field names, status lists.
//!
//! Each is a function from text to a type that cannot hold anything else, or to what is wrong with
//! the text. Nothing here looks a name up.

use super::{mistake::Path, template};
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
};

/// What is wrong with a text, and what would be right (may be empty).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong.
    pub(super) what: String,
    /// What would be right.
    pub(super) hint: String,
}

impl Wrong {
    /// A text that is wrong like this.
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// As a mistake.
    pub(super) fn at(self, place: super::Place, path: Path<'_>) -> super::Mistake {
        super::Mistake::new(place, path, self.what).hint(self.hint)
    }
}

/// Where a listener stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP address. Port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A Unix socket at this absolute path.
    Unix(PathBuf),
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// A TCP address. Its port is not 0.
    Tcp(SocketAddr),
    /// A name to look up, in lower case, and a port that is not 0.
    Name(String, u16),
    /// A Unix socket at this absolute path.
    Unix(PathBuf),
}

/// Which hosts a domain takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host, in lower case, without a port.
    Exact(String),
    /// Every host with one or more labels in front of this one (`example.com` for
    /// `*.example.com`), in lower case.
    Wildcard(String),
    /// Every host.
    Any,
}

/// The address of a listener.
pub(super) fn address(text: &str) -> Result<Address, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(Address::Unix);
    }
    text.parse().map(Address::Tcp).map_err(|_| {
        let what = format!("{text:?} is not an address to listen at");
        Wrong::new(
            what,
            "write ip:port (0.0.0.0:8080, [::]:8080) or unix:/path",
        )
    })
}

/// The address of an endpoint.
pub(super) fn endpoint(text: &str) -> Result<EndpointAddress, Wrong> {
    let wrong = || {
        let what = format!("{text:?} is not the address of an endpoint");
        Wrong::new(what, "write ip:port, name:port or unix:/path")
    };
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(EndpointAddress::Unix);
    }
    if text.contains("://") {
        let what = format!("{text:?} is a URL");
        return Err(Wrong::new(
            what,
            "write name:port alone, as in users.internal:8080",
        ));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(wrong()),
            _ => Ok(EndpointAddress::Tcp(address)),
        };
    }
    let Some((name, port)) = text.rsplit_once(':') else {
        let hint = "a port is missing: write ip:port, name:port or unix:/path";
        return Err(Wrong::new(wrong().what, hint));
    };
    match (host_name(name), port.parse::<u16>()) {
        (Some(name), Ok(port @ 1..)) if !looks_like_ip(&name) => {
            Ok(EndpointAddress::Name(name, port))
        }
        _ => Err(wrong()),
    }
}

fn unix(path: &str) -> Result<PathBuf, Wrong> {
    /// What `sockaddr_un` holds, without its closing NUL.
    const BYTES_MAX: usize = 107;
    let wrong = |what: &str| Wrong::new(what, "write unix:/absolute/path");
    match path {
        _ if !path.starts_with('/') => Err(wrong("the path of a Unix socket is not absolute")),
        _ if path.len() > BYTES_MAX => {
            Err(wrong("the path of a Unix socket is longer than 107 bytes"))
        }
        _ if path.contains('\0') => Err(wrong("NUL in the path of a Unix socket")),
        _ => Ok(PathBuf::from(path)),
    }
}

/// `1.2.3` and the like: a name that a resolver might take for an address.
fn looks_like_ip(name: &str) -> bool {
    name.rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

/// A DNS name in lower case (underscores are seen in the wild and let through).
fn host_name(text: &str) -> Option<String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let right = text.len() <= 253 && text.split('.').all(label);
    right.then(|| text.to_ascii_lowercase())
}

/// The host of a domain.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, Wrong> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some(rest) = text.strip_prefix("*.")
        && let Some(name) = host_name(rest)
    {
        return Ok(HostPattern::Wildcard(name));
    }
    host(text).map(HostPattern::Exact).map_err(|_| {
        let what = format!("{text:?} is not a host");
        let hint = match text {
            _ if text.contains("://") => "write the host alone, without scheme",
            _ if text.contains('/') => "write the host alone; the path stands below it",
            _ if text.contains(':') => "write the host without port",
            _ if text.contains('*') => "a wildcard is the whole first label: *.example.com, or *",
            _ => "write example.com, *.example.com or \"*\"",
        };
        Wrong::new(what, hint)
    })
}

/// A host without port: a DNS name or an address, in lower case.
pub(super) fn host(text: &str) -> Result<String, Wrong> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Some(address) = inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
        return Ok(format!("[{address}]"));
    }
    host_name(text).ok_or_else(|| Wrong::new(format!("{text:?} is not a host"), ""))
}

/// What a `Host` field can hold: a host, perhaps with a port.
pub(super) fn authority(text: &str) -> Result<String, Wrong> {
    if let Ok(host) = host(text) {
        return Ok(host);
    }
    let parts = text.rsplit_once(':');
    match parts.map(|(name, port)| (host(name), port.parse::<u16>())) {
        Some((Ok(host), Ok(port))) => Ok(format!("{host}:{port}")),
        _ => Err(Wrong::new(
            format!("{text:?} is not a host"),
            "write name or name:port",
        )),
    }
}

/// A base path: `/` or `/a/b`.
pub(super) fn base_path(text: &str) -> Result<String, Wrong> {
    let Some(rest) = text.strip_prefix('/') else {
        let what = format!("the base path {text:?} does not begin with \"/\"");
        return Err(Wrong::new(what, format!("write /{text}")));
    };
    if text != "/" && text.ends_with('/') {
        let what = format!("the base path {text:?} ends with \"/\"");
        return Err(Wrong::new(
            what,
            format!("write {}", text.trim_end_matches('/')),
        ));
    }
    if text.len() > 1024 {
        return Err(Wrong::new("the base path is longer than 1024 bytes", ""));
    }
    for segment in rest.split('/') {
        template::literal(segment, rest.is_empty())?;
    }
    Ok(text.to_owned())
}

/// The name of an upstream or an API.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    named(text, "_-.", "letters, digits, \"_\", \"-\" and \".\"")
}

/// The name of a stage.
pub(super) fn stage(text: &str) -> Result<String, Wrong> {
    match text {
        "$default" => Ok(text.to_owned()),
        _ => named(text, "_-", "letters, digits, \"_\" and \"-\", or $default"),
    }
}

/// The name of a stage variable.
pub(super) fn variable(text: &str) -> Result<String, Wrong> {
    named(text, "_", "letters, digits and \"_\"")
}

fn named(text: &str, marks: &str, hint: &str) -> Result<String, Wrong> {
    let known = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    match (1..=128).contains(&text.len()) && text.chars().all(known) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("{text:?} cannot be a name"),
            format!("1 to 128 {hint}"),
        )),
    }
}

/// The name of a header field, in lower case (RFC 9110 §5.1).
pub(super) fn field_name(text: &str) -> Result<String, Wrong> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text.len() <= 256 && text.bytes().all(token) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Wrong::new(
            format!("{text:?} cannot name a header field"),
            "",
        )),
    }
}

/// The value of a header field (RFC 9110 §5.5): no control characters, no blanks around it.
pub(super) fn field_value(text: &str) -> Result<String, Wrong> {
    match text.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(Wrong::new("a control character in a header field", "")),
        false => Ok(text.trim_matches([' ', '\t']).to_owned()),
    }
}

/// An address or CIDR block.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let address = text.parse::<IpAddr>().map(IpNet::from).ok();
    address
        .or_else(|| text.parse::<IpNet>().ok().map(|net| net.trunc()))
        .ok_or_else(|| {
            let what = format!("{text:?} is not an address or CIDR block");
            Wrong::new(what, "write 10.0.0.0/8, 192.0.2.7 or fd00::/8")
        })
}

/// Fields that frame the message or belong to the connection: the gateway writes them itself.
pub(super) const WRITTEN_BY_GATEWAY: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A SHA-256 in hexadecimal digits.
pub(super) fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(hash)
}

/// A list of statuses and ranges of them: `200-299,304`.
pub(super) fn statuses(text: &str) -> Result<Vec<RangeInclusive<u16>>, Wrong> {
    let status = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|code| (100..=599).contains(code))
    };
    text.split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (status(first), status(last)) {
                (Some(first), Some(last)) if first <= last => Ok(first..=last),
                _ => Err(Wrong::new(
                    format!("{part:?} is not a status or range of them"),
                    "write 200-299 or 200,204,301-302",
                )),
            }
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fmt::Debug;

    /// The debug form of what was read, or `!` and what is wrong.
    #[track_caller]
    pub(in crate::model) fn check<T: Debug>(read: Result<T, Wrong>, expected: &str) {
        let shown = read.map_or_else(|wrong| format!("!{}", wrong.what), |it| format!("{it:?}"));
        assert_eq!(shown, expected);
    }

    #[test]
    fn listeners_have_addresses() {
        check(address("0.0.0.0:8080"), "Tcp(0.0.0.0:8080)");
        check(address("[::]:0"), "Tcp([::]:0)");
        check(address("unix:/run/s"), "Unix(\"/run/s\")");
        check(
            address("unix:s"),
            "!the path of a Unix socket is not absolute",
        );
        check(
            address("localhost:80"),
            "!\"localhost:80\" is not an address to listen at",
        );
        check(address("8080"), "!\"8080\" is not an address to listen at");
    }

    #[test]
    fn endpoints_have_addresses_or_names() {
        check(endpoint("127.0.0.1:1"), "Tcp(127.0.0.1:1)");
        check(
            endpoint("Users_1.Example:65535"),
            "Name(\"users_1.example\", 65535)",
        );
        check(endpoint("unix:/run/s"), "Unix(\"/run/s\")");
        check(
            endpoint("127.0.0.1:0"),
            "!\"127.0.0.1:0\" is not the address of an endpoint",
        );
        check(
            endpoint("users:0"),
            "!\"users:0\" is not the address of an endpoint",
        );
        check(
            endpoint("users:65536"),
            "!\"users:65536\" is not the address of an endpoint",
        );
        check(
            endpoint("1.2.3:80"),
            "!\"1.2.3:80\" is not the address of an endpoint",
        );
        check(
            endpoint("-a:80"),
            "!\"-a:80\" is not the address of an endpoint",
        );
        check(endpoint("https://a"), "!\"https://a\" is a URL");
        check(
            endpoint(":80"),
            "!\":80\" is not the address of an endpoint",
        );
    }

    #[test]
    fn hosts_and_base_paths() {
        check(
            host_pattern("API.example.com"),
            "Exact(\"api.example.com\")",
        );
        check(host_pattern("*.Example.com"), "Wildcard(\"example.com\")");
        check(host_pattern("*"), "Any");
        check(host_pattern("[::0:1]"), "Exact(\"[::1]\")");
        check(host_pattern("a.*.com"), "!\"a.*.com\" is not a host");
        check(
            host_pattern("example.com:80"),
            "!\"example.com:80\" is not a host",
        );
        check(host_pattern("a..b"), "!\"a..b\" is not a host");
        check(host_pattern(""), "!\"\" is not a host");
        check(base_path("/"), "\"/\"");
        check(base_path("/a/b"), "\"/a/b\"");
        check(
            base_path(""),
            "!the base path \"\" does not begin with \"/\"",
        );
        check(base_path("/a/"), "!the base path \"/a/\" ends with \"/\"");
        check(base_path("/a//b"), "!an empty segment (//) in the path");
        check(base_path("/{a}"), "!the character '{' in the path");
        check(base_path("/.."), "!the segment \"..\" in the path");
    }

    #[test]
    fn names_fields_and_statuses() {
        check(stage("$default"), "\"$default\"");
        check(stage("prod-1_a"), "\"prod-1_a\"");
        check(stage("a.b"), "!\"a.b\" cannot be a name");
        check(name("a.b"), "\"a.b\"");
        check(name(""), "!\"\" cannot be a name");
        check(field_name("X-Id"), "\"x-id\"");
        check(field_name("x id"), "!\"x id\" cannot name a header field");
        check(field_value(" a\tb "), "\"a\\tb\"");
        check(
            field_value("a\r\nb: c"),
            "!a control character in a header field",
        );
        check(network("10.1.2.3/8"), "10.0.0.0/8");
        check(network("::1"), "::1/128");
        check(
            network("10.0.0.0/33"),
            "!\"10.0.0.0/33\" is not an address or CIDR block",
        );
        check(statuses("200-299, 304"), "[200..=299, 304..=304]");
        check(
            statuses("299-200"),
            "!\"299-200\" is not a status or range of them",
        );
        check(statuses("20"), "!\"20\" is not a status or range of them");
    }
}
