//! The path policy: what it made is made no further, and holds nothing that a route must not see.

use sluice::route::{Peculiarities, normalise};

/// Panics where a promise does not hold.
pub(crate) fn run(input: &[u8]) {
    let mut scratch = Vec::new();
    let Ok(first) = normalise(input, &mut scratch) else {
        return;
    };
    let found = first.peculiarities();
    check_safe(first.merged(), found);
    check_safe(first.kept(), found);
    assert!(!first.merged().windows(2).any(|pair| pair == b"//"));
    assert!(first.merged().len() <= first.kept().len());
    assert!(first.kept().len() <= input.len());
    assert_eq!(
        found.contains(Peculiarities::EMPTY_SEGMENTS),
        first.merged() != first.kept()
    );
    for consumed in 0..=first.merged().len().min(64) {
        let rest = first.kept_rest(consumed);
        assert!(!rest.is_empty() && rest.len() <= first.kept().len().max(1));
    }

    let mut again = Vec::new();
    let kept = normalise(first.kept(), &mut again).expect("a normal path is normal");
    assert_eq!((kept.kept(), kept.merged()), (first.kept(), first.merged()));
    assert_eq!(kept.peculiarities(), found);
    let mut again = Vec::new();
    let merged = normalise(first.merged(), &mut again).expect("a normal path is normal");
    assert_eq!(merged.merged(), first.merged());
}

fn check_safe(path: &[u8], found: Peculiarities) {
    assert_eq!(path.first(), Some(&b'/'));
    assert!(path.iter().all(|byte| matches!(byte, 0x21..=0x7e)));
    assert!(!path.iter().any(|byte| matches!(byte, b'?' | b'#')));
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        let digits = path.get(at + 1..at + 3).expect("two digits");
        let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F');
        assert!(digits.iter().all(plain), "an escape in two spellings");
        assert!(!matches!(digits, [b'0' | b'1', _] | b"7F"), "a control");
    }
    let backslash = path.contains(&b'\\') || path.windows(3).any(|escape| escape == b"%5C");
    assert_eq!(backslash, found.contains(Peculiarities::BACKSLASH));
    let slash = path.windows(3).any(|escape| escape == b"%2F");
    assert_eq!(slash, found.contains(Peculiarities::ENCODED_SLASH));
    let dots = path
        .split(|byte| *byte == b'/')
        .any(|s| s == b"." || s == b"..");
    assert!(!dots || found.contains(Peculiarities::DOT_SEGMENTS));
}
