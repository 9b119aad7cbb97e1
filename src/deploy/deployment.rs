//! A deployment: an API's definition that no longer changes, named by the hash of its content.
//!
//! The same definition frozen twice is the same deployment. Its bytes are canonical JSON: keys
//! sorted, no white space. Pure: where the bytes lie is the store's affair.

use crate::{
    bounds,
    model::{Definition, openapi},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::Arc};

/// The format of the bytes. A newer one is refused, not guessed at.
const FORMAT: u32 = 1;

/// The SHA-256 of a deployment's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentId([u8; 32]);

impl DeploymentId {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first twelve digits: what people read and write.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// No 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDeploymentId;

impl fmt::Display for NoDeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a deployment is named by 64 hexadecimal digits in lower case")
    }
}

impl std::error::Error for NoDeploymentId {}

impl FromStr for DeploymentId {
    type Err = NoDeploymentId;

    fn from_str(text: &str) -> Result<Self, NoDeploymentId> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * bytes.len() {
            return Err(NoDeploymentId);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| match pair[at] {
                b @ b'0'..=b'9' => Ok(b - b'0'),
                b @ b'a'..=b'f' => Ok(b - b'a' + 10),
                _ => Err(NoDeploymentId),
            };
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for DeploymentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeploymentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A frozen definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Its name.
    pub id: DeploymentId,
    /// The API whose definition it is.
    pub api: String,
    /// The definition.
    pub definition: Arc<Definition>,
}

/// What the bytes hold.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frozen<D> {
    format: u32,
    api: String,
    definition: D,
}

/// Why bytes are no deployment.
#[derive(Debug)]
pub enum ThawError {
    /// They are not the ones that were frozen under this name.
    Altered,
    /// They are of another version of this program.
    Format(u32),
    /// They cannot be read.
    Malformed(serde_json::Error),
}

impl fmt::Display for ThawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("its content is not what its name says: it was altered"),
            Self::Format(format) => write!(f, "it is of format {format}, of another version"),
            Self::Malformed(error) => write!(f, "it cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ThawError {}

impl Deployment {
    /// Freezes `definition`; the deployment and its bytes.
    ///
    /// Cost: linear in the definition.
    ///
    /// # Errors
    /// It is longer than [`bounds::DEPLOYMENT_BYTES_MAX`]: the number of bytes.
    pub fn freeze(api: &str, definition: &Arc<Definition>) -> Result<(Self, Vec<u8>), usize> {
        let frozen = Frozen {
            format: FORMAT,
            api: api.to_owned(),
            definition: &**definition,
        };
        let bytes = serde_json::to_vec(&frozen).expect("a definition's keys are all strings");
        if bytes.len() > bounds::DEPLOYMENT_BYTES_MAX {
            return Err(bytes.len());
        }
        let deployment = Self {
            id: DeploymentId::of(&bytes),
            api: api.to_owned(),
            definition: Arc::clone(definition),
        };
        Ok((deployment, bytes))
    }

    /// The deployment of `bytes`, which were frozen under `id`.
    ///
    /// # Errors
    /// They are not what was frozen, or of another version.
    pub fn thaw(id: DeploymentId, bytes: &[u8]) -> Result<Self, ThawError> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Any {
            format: u32,
        }
        if DeploymentId::of(bytes) != id {
            return Err(ThawError::Altered);
        }
        let any: Any = serde_json::from_slice(bytes).map_err(ThawError::Malformed)?;
        if any.format != FORMAT {
            return Err(ThawError::Format(any.format));
        }
        let mut frozen: Frozen<Definition> =
            serde_json::from_slice(bytes).map_err(ThawError::Malformed)?;
        // An older build may have served less of it than this one does.
        openapi::refresh(&mut frozen.definition);
        Ok(Self {
            id,
            api: frozen.api,
            definition: Arc::new(frozen.definition),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(json: &str) -> Arc<Definition> {
        Arc::new(serde_json::from_str(json).expect("a definition"))
    }

    #[test]
    fn the_same_content_has_the_same_name_however_it_was_written() {
        let one = definition(
            r#"{"routes":{"GET /b":{"integration":{"type":"mock","status":200}},"GET /a":{"integration":{"type":"unset"}}},
                "openapi":{"z":1,"a":{"y":1,"b":2}}}"#,
        );
        let other = definition(
            r#"{"openapi":{"a":{"b":2,"y":1},"z":1},"routes":{"GET /a":{"integration":{"type":"unset"}},
                "GET /b":{"integration":{"status":200,"type":"mock"}}},"compat":"none"}"#,
        );
        let (frozen, bytes) = Deployment::freeze("a", &one).expect("small");
        assert_eq!(
            Deployment::freeze("a", &other).expect("small").0.id,
            frozen.id
        );
        assert_ne!(
            Deployment::freeze("b", &one).expect("small").0.id,
            frozen.id
        );
        let thawed = Deployment::thaw(frozen.id, &bytes).expect("what was frozen");
        assert_eq!(thawed, frozen);
    }

    #[test]
    fn altered_bytes_and_other_formats_are_refused() {
        let (frozen, mut bytes) =
            Deployment::freeze("a", &definition(r#"{"routes":{}}"#)).expect("small");
        bytes.push(b' ');
        assert!(matches!(
            Deployment::thaw(frozen.id, &bytes),
            Err(ThawError::Altered)
        ));
        let newer = br#"{"format":2,"api":"a","definition":{"new":true}}"#;
        let refused = Deployment::thaw(DeploymentId::of(newer), newer);
        assert!(matches!(refused, Err(ThawError::Format(2))));
        let text = DeploymentId::of(b"").to_string();
        assert_eq!(text.parse(), Ok(DeploymentId::of(b"")));
        for wrong in ["", "ab", &text[1..], &text.to_uppercase()] {
            assert!(wrong.parse::<DeploymentId>().is_err(), "{wrong}");
        }
    }
}
