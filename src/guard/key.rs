//! API keys: whose is this value, and what may it do?
//!
//! A value is known by its SHA-256 alone, so the ring can lie in memory and on the disk without
//! giving a key away. A ring is immutable; a change makes a new one that shares all but a 256th
//! with the one before. The control plane makes rings, workers look keys up in them.

use super::Usage;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Bytes of a key's value, least and most.
pub const VALUE_BYTES: std::ops::RangeInclusive<usize> = 20..=128;

/// The SHA-256 of a key's value.
pub type KeyHash = [u8; 32];

/// The hash by which a value is known.
pub fn hash_of(value: &[u8]) -> KeyHash {
    Sha256::digest(value).into()
}

/// What is known of an API key.
#[derive(Debug)]
pub struct Key {
    /// Its id, for logs: ten lower-case letters and digits.
    pub id: Box<str>,
    /// The hash of its value: what a client's buckets are found by.
    pub hash: KeyHash,
    /// Whether it may be used.
    pub enabled: bool,
    /// The plans that it is in, in the order in which it was assigned.
    pub plans: Box<[Membership]>,
}

/// A plan that a key is in.
#[derive(Debug)]
pub struct Membership {
    /// The plan's name.
    pub plan: Arc<str>,
    /// What the key has used of it.
    pub usage: Arc<Usage>,
}

/// Shards of a ring: the first byte of a hash chooses.
const SHARDS: usize = 256;

/// Keys of one first byte, in the order of their hashes.
type Shard = Arc<[Arc<Key>]>;

/// All keys of the process.
#[derive(Clone, Debug)]
pub struct KeyRing {
    shards: Box<[Shard]>,
    revision: u64,
}

impl Default for KeyRing {
    /// A ring without keys.
    fn default() -> Self {
        Self {
            shards: std::iter::repeat_n(Shard::default(), SHARDS).collect(),
            revision: 0,
        }
    }
}

impl KeyRing {
    /// A ring of these keys, whose hashes differ.
    pub fn of(keys: impl IntoIterator<Item = Arc<Key>>) -> Self {
        let mut shards = vec![Vec::new(); SHARDS];
        for key in keys {
            shards[usize::from(key.hash[0])].push(key);
        }
        let sorted = |mut shard: Vec<Arc<Key>>| {
            shard.sort_unstable_by_key(|key| key.hash);
            shard.into()
        };
        Self {
            shards: shards.into_iter().map(sorted).collect(),
            revision: 1,
        }
    }

    /// The ring without the key of `gone`, and with `come`. Cost: a copy of the shards concerned
    /// and of the 256 pointers to shards.
    #[must_use]
    pub fn changed(&self, gone: Option<&KeyHash>, come: Option<Arc<Key>>) -> Self {
        let mut next = self.clone();
        next.revision += 1;
        if let Some(gone) = gone {
            let shard = &mut next.shards[usize::from(gone[0])];
            let others = shard.iter().filter(|key| key.hash != *gone);
            *shard = others.cloned().collect();
        }
        if let Some(come) = come {
            let shard = &mut next.shards[usize::from(come.hash[0])];
            let mut keys = shard.to_vec();
            match keys.binary_search_by_key(&come.hash, |key| key.hash) {
                Ok(at) => keys[at] = come,
                Err(at) => keys.insert(at, come),
            }
            *shard = keys.into();
        }
        next
    }

    /// The key whose value has this hash. Cost: a binary search among a 256th of the keys.
    pub fn find(&self, hash: &KeyHash) -> Option<&Arc<Key>> {
        let shard = &self.shards[usize::from(hash[0])];
        let at = shard.binary_search_by_key(hash, |key| key.hash).ok()?;
        Some(&shard[at])
    }

    /// Which state of the keys this is: another number, other keys.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The value that a connection brought last, and whose it is: a client that stays pays for the
/// hash once, and for the look-up once for each change of the keys.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The value; empty before the first.
    value: Vec<u8>,
    hash: KeyHash,
    /// The ring that `key` was found in.
    revision: u64,
    key: Option<Arc<Key>>,
}

impl Remembered {
    /// The key of `value`, if `ring` has one.
    ///
    /// Cost: a comparison of the value where the connection brought the same before and no key has
    /// changed; no allocation then, and no write to memory that is shared. Otherwise SHA-256 of at
    /// most 128 bytes, and a look-up. Bench: `guard/key_remembered`, `guard/key_found`.
    pub fn find(&mut self, ring: &KeyRing, value: &[u8]) -> Option<&Arc<Key>> {
        let same = is_same(&self.value, value);
        if !same || self.revision != ring.revision {
            self.look_up(ring, value, same);
        }
        self.key.as_ref()
    }

    #[cold]
    fn look_up(&mut self, ring: &KeyRing, value: &[u8], same: bool) {
        self.key = None;
        if !VALUE_BYTES.contains(&value.len()) {
            self.value.clear();
            return;
        }
        if !same {
            self.hash = hash_of(value);
            self.value.clear();
            self.value.extend_from_slice(value);
        }
        self.revision = ring.revision;
        self.key = ring.find(&self.hash).cloned();
    }

    /// The key that was found last.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref()
    }
}

/// Whether two values are one, without telling by the time it takes where they differ: a proxy in
/// front may lead many clients over one connection.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && !b.is_empty() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn value(n: u16) -> Vec<u8> {
        format!("a value of a key, {n:05}").into_bytes()
    }

    fn key(n: u16, enabled: bool) -> Arc<Key> {
        Arc::new(Key {
            id: n.to_string().into(),
            hash: hash_of(&value(n)),
            enabled,
            plans: Box::default(),
        })
    }

    #[test]
    fn a_connection_sees_every_change_of_the_ring() {
        let ring = KeyRing::of([key(1, true), key(2, true)]);
        let mut remembered = Remembered::default();
        let mut id = |ring: &KeyRing, value: &[u8]| {
            let key = remembered.find(ring, value);
            key.map(|key| (key.id.to_string(), key.enabled))
        };
        assert_eq!(id(&ring, &value(1)), Some(("1".to_owned(), true)));
        assert_eq!(id(&ring, &value(2)), Some(("2".to_owned(), true)));
        assert_eq!(id(&ring, &value(3)), None);
        assert_eq!(id(&ring, b""), None);
        assert_eq!(id(&ring, &[b'x'; 129]), None);
        assert_eq!(id(&ring, &value(1)), Some(("1".to_owned(), true)));
        let ring = ring.changed(None, Some(key(1, false)));
        assert_eq!(id(&ring, &value(1)), Some(("1".to_owned(), false)));
        let ring = ring.changed(Some(&hash_of(&value(1))), None);
        assert_eq!(id(&ring, &value(1)), None);
        assert_eq!(id(&ring, &value(2)), Some(("2".to_owned(), true)));
    }

    proptest! {
        #[test]
        fn a_ring_is_a_map(steps in proptest::collection::vec((0..40_u16, any::<bool>()), 0..200)) {
            let (mut ring, mut map) = (KeyRing::default(), BTreeMap::new());
            for (n, comes) in steps {
                let hash = hash_of(&value(n));
                ring = match comes {
                    true => ring.changed(None, Some(key(n, true))),
                    false => ring.changed(Some(&hash), None),
                };
                match comes {
                    true => drop(map.insert(hash, n)),
                    false => drop(map.remove(&hash)),
                }
                prop_assert_eq!(ring.len(), map.len());
            }
            for n in 0..40 {
                let found = ring.find(&hash_of(&value(n))).map(|key| key.id.to_string());
                prop_assert_eq!(found, map.get(&hash_of(&value(n))).map(u16::to_string));
            }
        }
    }
}
