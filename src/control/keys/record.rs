//! An API key as it is kept: everything but its value.

use crate::{bounds, deploy::By, guard::KeyHash};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// An API key. Its JSON lies in the state folder: keys are never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Record {
    /// Ten lower-case letters and digits.
    pub id: String,
    /// For people; not unique.
    pub name: String,
    /// For people; may be empty.
    #[serde(default)]
    pub description: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// The SHA-256 of its value.
    pub hash: Hash,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed.
    pub updated_ms: u64,
    /// The names of the plans that it is in, in the order in which it was assigned. At most
    /// [`bounds::KEY_PLANS_MAX`], none twice.
    #[serde(default)]
    pub plans: Vec<String>,
    /// What was done to it, the newest last. At most [`bounds::KEY_HISTORY_MAX`].
    #[serde(default)]
    pub history: Vec<Deed>,
}

/// What somebody did to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Deed {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Why; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Record {
    /// Notes what was done.
    pub(super) fn note(&mut self, by: &By, action: &str) {
        self.updated_ms = by.at_ms;
        self.history.push(Deed {
            at_ms: by.at_ms,
            actor: by.actor.clone(),
            action: action.to_owned(),
            why: by.why.clone(),
        });
        let over = self.history.len().saturating_sub(bounds::KEY_HISTORY_MAX);
        self.history.drain(..over);
    }
}

/// The SHA-256 of a key's value; hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::control) struct Hash(pub KeyHash);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = KeyHash::default();
        let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let read = digits
            && (hash.iter_mut().enumerate()).all(|(at, byte)| {
                let pair = u8::from_str_radix(&text[2 * at..2 * at + 2], 16);
                pair.map(|pair| *byte = pair).is_ok()
            });
        match read {
            true => Ok(Self(hash)),
            false => Err(de::Error::custom("no SHA-256 in hexadecimal digits")),
        }
    }
}
