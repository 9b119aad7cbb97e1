//! Token buckets that a request must pass, as a definition has them.

use crate::bounds::CLIENTS_KEPT;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Token buckets, all of which a request must pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Throttles(pub Vec<Throttle>);

/// A token bucket, or one for each client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests per second: above 0, at most 1e9.
    pub rate: f64,
    /// Requests that may come at once. At least 1.
    pub burst: u32,
    /// Whose requests are counted together; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// Clients that are counted apart at once.
    #[serde(default = "clients_kept", skip_serializing_if = "is_clients_kept")]
    pub clients: u32,
}

/// What of a request tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Per {
    /// The client's address.
    Address {
        /// The bits of an IPv6 address that make one client: 1 to 128.
        ipv6_prefix: u8,
    },
    /// The API key that it came with.
    ApiKey,
    /// The value of the header field of this name, which is in lower case.
    Header(String),
    /// The value of the cookie of this name.
    Cookie(String),
    /// The value of the query's parameter of this name.
    Query(String),
    /// The claim of this name in the bearer token.
    Claim(String),
}

impl Per {
    /// A text that no other has: what is counted by another key finds no state of this one's.
    pub fn text(&self) -> String {
        match self {
            Self::Address { ipv6_prefix } => format!("address/{ipv6_prefix}"),
            Self::ApiKey => "api_key".to_owned(),
            Self::Header(name) => format!("header.{name}"),
            Self::Cookie(name) => format!("cookie.{name}"),
            Self::Query(name) => format!("query.{name}"),
            Self::Claim(name) => format!("claim.{name}"),
        }
    }
}

const fn clients_kept() -> u32 {
    CLIENTS_KEPT
}

const fn is_clients_kept(clients: &u32) -> bool {
    *clients == CLIENTS_KEPT
}

impl Throttle {
    /// One for all requests together.
    pub const fn shared(rate: f64, burst: u32) -> Self {
        Self {
            rate,
            burst,
            per: None,
            clients: CLIENTS_KEPT,
        }
    }
}

impl Throttles {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One is written as itself, several as a list.
impl Serialize for Throttles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Throttles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            All(Vec<Throttle>),
            One(Throttle),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::All(all) => Self(all),
            Written::One(one) => Self(vec![one]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(throttles: Throttles, json: &str) {
        assert_eq!(serde_json::to_string(&throttles).unwrap(), json);
        assert_eq!(serde_json::from_str::<Throttles>(json).unwrap(), throttles);
    }

    #[test]
    fn one_stands_by_itself_and_several_in_a_list() {
        let one = Throttle::shared(0.5, 2);
        check(Throttles(vec![one.clone()]), r#"{"rate":0.5,"burst":2}"#);
        let per = Throttle {
            per: Some(Per::Address { ipv6_prefix: 64 }),
            ..one.clone()
        };
        let keyed = Throttle {
            per: Some(Per::Header("x-tenant".to_owned())),
            clients: 9,
            ..one.clone()
        };
        check(
            Throttles(vec![one, per, keyed]),
            concat!(
                r#"[{"rate":0.5,"burst":2},"#,
                r#"{"rate":0.5,"burst":2,"per":{"address":{"ipv6_prefix":64}}},"#,
                r#"{"rate":0.5,"burst":2,"per":{"header":"x-tenant"},"clients":9}]"#
            ),
        );
        assert!(serde_json::from_str::<Throttles>(r#"{"rate":1,"burst":1,"b":1}"#).is_err());
    }
}
