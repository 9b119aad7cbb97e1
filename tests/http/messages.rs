//! Messages to disagree about: the fuzz corpora, and seeded mutations of them.

use std::{fs, path::Path};

/// The files of `fuzz/corpus/<name>`, in the order of their names.
pub(crate) fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(folder).expect("every target has a corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a readable file"))
        .collect()
}

/// What mutations put in: what parsers are known to differ on.
const PIECES: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\xa0",
    b"\xff",
    b":",
    b",",
    b";",
    b"_",
    b"-",
    b"+",
    b"0",
    b"1",
    b"/",
    b"#",
    b"%",
    b"\\",
    b"\"",
    b"chunked",
    b"identity, ",
    b"Content-Length: 3\r\n",
    b"content-length:0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Host: b\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.0",
    b"http://a",
];

/// A generator of numbers, so that every run is the same run: xorshift64*.
pub(crate) struct Numbers(u64);

impl Numbers {
    /// The numbers that belong to `seed`: FNV-1a of it is where they begin.
    pub(crate) fn new(seed: &[u8]) -> Self {
        let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        Self(hash | 1)
    }

    /// A number under `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// `message` with one to three changes.
pub(crate) fn mutated(message: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut message = message.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(message.len() + 1);
        match numbers.below(5) {
            0 | 1 => {
                let piece = PIECES[numbers.below(PIECES.len())];
                message.splice(at..at, piece.iter().copied());
            }
            2 if at < message.len() => {
                message.remove(at);
            }
            3 if at < message.len() => {
                let piece = PIECES[numbers.below(PIECES.len())];
                message.splice(at..=at, piece.iter().copied());
            }
            _ => {
                // A stretch once more: repeated lines, repeated heads.
                let end = (at + 1 + numbers.below(40)).min(message.len());
                let stretch = message[at.min(end)..end].to_vec();
                message.splice(end..end, stretch);
            }
        }
    }
    message
}
