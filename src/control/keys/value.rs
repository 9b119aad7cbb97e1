//! The values of API keys, and their ids: made of the system's randomness, or given.

use super::{record::Hash, refusal::Refusal};
use crate::{
    control::failure::Failure,
    guard::key::{VALUE_BYTES, hash_of},
};
use std::ops::RangeInclusive;

/// Characters of a value that is given.
pub(super) const VALUE_LENGTHS: RangeInclusive<usize> = VALUE_BYTES;

/// Characters of a value that is made: 238 bits of chance.
const MADE_LENGTH: usize = 40;

/// Characters of an id.
pub(super) const ID_LENGTH: usize = 10;

/// What ids are made of.
pub(super) const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// What values are made of.
const ALL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The value, as given or made, and its hash.
pub(super) fn given_or_made(value: Option<String>) -> Result<(String, Hash), Failure> {
    let value = match value {
        Some(value) => value,
        None => made(MADE_LENGTH, ALL)?,
    };
    let hash = hash_of_given(&value)?;
    Ok((value, hash))
}

/// The hash of a value that is given.
pub(super) fn hash_of_given(value: &str) -> Result<Hash, Refusal> {
    let fits = VALUE_LENGTHS.contains(&value.len());
    match fits && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Hash(hash_of(value.as_bytes()))),
        false => Err(Refusal::ValueMalformed),
    }
}

/// `length` characters, each as likely as any other of `of`.
pub(super) fn made(length: usize, of: &[u8]) -> Result<String, Failure> {
    // Bytes beyond the last whole round would favour the first characters.
    let round = 256 / of.len() * of.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        let flags = rustix::rand::GetRandomFlags::empty();
        let filled = rustix::rand::getrandom(&mut bytes, flags);
        let filled = filled.map_err(|error| Failure::System {
            what: "randomness",
            error: error.into(),
        })?;
        let usable = bytes[..filled].iter().map(|byte| usize::from(*byte));
        let usable = usable.filter(|byte| *byte < round);
        let chosen = usable.map(|byte| char::from(of[byte % of.len()]));
        text.extend(chosen.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_has_its_length_and_characters() {
        let value = made(MADE_LENGTH, ALL).unwrap();
        assert_eq!(value.len(), 40);
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(value, made(MADE_LENGTH, ALL).unwrap());
        let all = made(20_000, LOWER).unwrap();
        for byte in LOWER {
            let count = all.bytes().filter(|made| made == byte).count();
            // 556 are expected; 8 standard deviations are 186.
            assert!((370..=742).contains(&count), "{count} of {byte}");
        }
    }

    #[test]
    fn what_is_given_is_long_and_printable() {
        let check = |value: &str| hash_of_given(value).is_ok();
        assert!(check("12345678901234567890") && check(&"~".repeat(128)));
        assert!(!check("1234567890123456789") && !check(&"a".repeat(129)));
        assert!(!check("1234567890 1234567890") && !check("äääääääääääääääääääääää"));
    }
}
