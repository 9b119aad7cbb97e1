//! Limits, compiled: what a request must pass, and what it is told of it.

use crate::{
    guard::{Bucket, ClientTable, Rate},
    scope::Scope,
};
use std::{net::IpAddr, sync::Arc};

/// A limit that requests are under. Shared by all routes that it holds for.
#[derive(Debug)]
pub struct Limit {
    /// What it holds for.
    pub scope: Scope,
    /// Which one of those, for people: `shop/prod GET /orders/{id}`; empty for the gateway.
    pub of: Box<str>,
    /// Its name among the limits of a route, in `RateLimit`: of letters, digits, `-` and `_`.
    pub name: Box<str>,
    /// A line `RateLimit-Policy` for a limit that is not among its route's; else empty.
    pub policy: Box<[u8]>,
    /// What has its tokens.
    pub held: Held,
}

/// What has a limit's tokens.
#[derive(Debug)]
pub enum Held {
    /// One bucket for all.
    Together(Arc<Bucket>),
    /// One for each client.
    Apart(Arc<ClientTable>, ClientKey),
}

/// What of a request tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// The client's address.
    Address {
        /// The bits of an IPv6 address that make one client: 1 to 128.
        ipv6_prefix: u8,
    },
    /// The API key that it came with.
    ApiKey,
    /// The value of the header field of this name, which is in lower case.
    Header(Box<str>),
    /// The value of the cookie of this name.
    Cookie(Box<str>),
    /// The value of the query's parameter of this name, decoded.
    Query(Box<str>),
    /// The claim of this name in the bearer token.
    Claim(Box<str>),
}

impl ClientKey {
    /// What it is, in a word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address { .. } => "address",
            Self::ApiKey => "api_key",
            Self::Header(_) => "header",
            Self::Cookie(_) => "cookie",
            Self::Query(_) => "query",
            Self::Claim(_) => "claim",
        }
    }
}

impl Limit {
    /// The rate and burst of its buckets.
    pub fn rate(&self) -> Rate {
        match &self.held {
            Held::Together(bucket) => bucket.rate(),
            Held::Apart(table, _) => table.rate(),
        }
    }

    /// Seconds in which a whole burst comes; at least 1.
    pub fn window_seconds(&self) -> u64 {
        let window = self.rate().window();
        let seconds = window.as_secs() + u64::from(window.subsec_nanos() > 0);
        seconds.max(1)
    }
}

/// The limits of a route, in the order in which they are asked, and what a response says of them.
#[derive(Debug, Default)]
pub struct Limits {
    /// From the narrowest: the first that refuses is named.
    pub all: Box<[Arc<Limit>]>,
    /// The line `RateLimit-Policy` with its CRLF; empty where responses say nothing.
    pub policy: Box<[u8]>,
}

/// The bytes of an address that make one client. An IPv4 address in IPv6's clothes is itself.
pub fn address_key(address: IpAddr, ipv6_prefix: u8) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => {
            let drop = u32::from(128 - ipv6_prefix.min(128));
            let mask = u128::MAX.checked_shl(drop).unwrap_or(0);
            (six.to_bits() & mask).to_be_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::address_key;

    #[track_caller]
    fn check(prefix: u8, one: &str, other: &str, alike: bool) {
        let key = |text: &str| address_key(text.parse().expect("an address"), prefix);
        assert_eq!(
            key(one) == key(other),
            alike,
            "{one} and {other} at {prefix}"
        );
    }

    #[test]
    fn an_ipv6_client_is_a_prefix_and_an_ipv4_client_an_address() {
        check(64, "2001:db8::1", "2001:db8::2", true);
        check(64, "2001:db8::1", "2001:db8:0:1::1", false);
        check(56, "2001:db8::1", "2001:db8:0:1::1", true);
        check(128, "2001:db8::1", "2001:db8::2", false);
        check(64, "192.0.2.1", "192.0.2.2", false);
        check(1, "192.0.2.1", "192.0.2.2", false);
        check(1, "192.0.2.1", "::ffff:192.0.2.1", true);
    }
}
