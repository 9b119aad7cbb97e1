//! Looks for bytes, several at a time: what is too short for a vector search to pay, as names and
//! segments are, and too long for a loop over single bytes.

/// Where `wanted` stands first in `bytes`. Cost: one look at each eight bytes.
#[inline]
pub fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().position(|byte| *byte == wanted);
    };
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        if let Some(found) = position_in(word, wanted) {
            return Some(at + found);
        }
        at += 8;
    }
    position_in(last, wanted).map(|found| bytes.len() - 8 + found)
}

#[inline]
const fn position_in(word: &[u8; 8], wanted: u8) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let differs = u64::from_le_bytes(*word) ^ (LOW * wanted as u64);
    // A byte of zero borrows and gets its highest bit. So may a later one that the borrow reaches,
    // but not one before.
    let zero = differs.wrapping_sub(LOW) & !differs & HIGH;
    if zero == 0 {
        None
    } else {
        Some(zero.trailing_zeros() as usize / 8)
    }
}

/// Whether any of `bytes` is what `is` says, which should be made of comparisons alone: then
/// sixteen are looked at together.
#[inline]
pub fn holds(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let in_some = |bytes: &[u8]| bytes.iter().fold(false, |found, byte| found | is(*byte));
    let in_chunk = |chunk: &[u8; 16]| in_some(chunk);
    match bytes.last_chunk::<16>() {
        Some(last) => bytes.as_chunks::<16>().0.iter().any(in_chunk) || in_chunk(last),
        None => in_some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_borrow_finds_nothing() {
        assert_eq!(position(b"/.......", b'/'), Some(0));
        assert_eq!(position(b"........", b'/'), None);
        assert_eq!(position(b"..../.....", b'/'), Some(4));
        assert_eq!(position(b"./", b'/'), Some(1));
        assert_eq!(position(b"", b'/'), None);
    }

    proptest! {
        #[test]
        fn as_one_by_one(bytes in proptest::collection::vec(0x2d_u8..0x31, 0..50)) {
            let expected = bytes.iter().position(|byte| *byte == b'/');
            prop_assert_eq!(position(&bytes, b'/'), expected);
            prop_assert_eq!(holds(&bytes, |byte| byte == b'/'), expected.is_some());
            let (before, _) = bytes.split_at(expected.unwrap_or(0));
            prop_assert!(!holds(before, |byte| byte == b'/'));
        }
    }
}
