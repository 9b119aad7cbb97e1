//! The room of a line that is being made: what is appended goes to its front, and it shrinks.
//!
//! Most of what a line is made of is short, and a copy of a length that is not known is a call.
//! So pieces are moved by moves of fixed length: those of a longer piece overlap, and what a
//! shorter one brought too much is overwritten by the next. Nothing here knows what is said.

/// Bytes that one move may bring too much. A line's room has them beyond its longest line.
pub(super) const SLACK_BYTES: usize = 32;

/// What is left of a line's room. It comes and goes by value, so that it stays in registers.
///
/// Panics where more is appended than there is room for: whoever appends what somebody else chose
/// asks for the room first.
#[derive(Debug)]
pub(super) struct Line<'a> {
    rest: &'a mut [u8],
}

impl<'a> Line<'a> {
    pub(super) const fn new(room: &'a mut [u8]) -> Self {
        Self { rest: room }
    }

    /// Bytes of the room that is left.
    #[inline]
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Appends one byte.
    #[inline]
    pub(super) fn byte(self, byte: u8) -> Self {
        self.piece(&[byte], 1)
    }

    /// Appends the first `len` bytes of `piece`. Cost: moves of a fixed length.
    #[inline]
    pub(super) fn piece<const N: usize>(self, piece: &[u8; N], len: usize) -> Self {
        debug_assert!(len <= N, "a piece holds no more");
        self.rest[..N].copy_from_slice(piece);
        Self {
            rest: &mut self.rest[len..],
        }
    }

    /// Appends `bytes`. Cost: up to 64 of them, two moves of a fixed length.
    #[inline(never)]
    pub(super) fn extend(self, bytes: &[u8]) -> Self {
        let (to, rest) = self.rest.split_at_mut(bytes.len());
        if !copy(to, bytes) {
            to.copy_from_slice(bytes);
        }
        Self { rest }
    }

    /// Appends `bytes` between quotes. Cost: as [`Self::extend`].
    #[inline(always)]
    pub(super) fn quoted(self, bytes: &[u8]) -> Self {
        if bytes.len() > COPY_BYTES_MAX {
            return self.quoted_long(bytes);
        }
        let (to, rest) = self.rest.split_at_mut(bytes.len() + 2);
        if let [open, to @ .., close] = to {
            (*open, *close) = (b'"', b'"');
            copy(to, bytes);
        }
        Self { rest }
    }

    #[inline(never)]
    fn quoted_long(self, bytes: &[u8]) -> Self {
        self.byte(b'"').extend(bytes).byte(b'"')
    }

    /// Appends `n` in decimal. Cost: one move where it is under ten thousand, as most are.
    #[inline(always)]
    pub(super) fn number(self, n: u64) -> Self {
        if n < 10 {
            self.byte(b'0' + n as u8)
        } else if n < 10_000 {
            let digits = digits([n / 100, n % 100, 0]);
            let zeros = digits.trailing_zeros() / 8;
            let text = ((digits | ZEROS) >> (8 * zeros)) as u32;
            self.piece(&text.to_le_bytes(), 4 - zeros as usize)
        } else {
            self.long_number(n)
        }
    }

    #[cold]
    fn long_number(self, n: u64) -> Self {
        self.extend(itoa::Buffer::new().format(n).as_bytes())
    }

    /// Appends a point and `millionths` as six decimals.
    #[inline]
    pub(super) fn decimals(self, millionths: u32) -> Self {
        debug_assert!(millionths < 1_000_000, "less than one");
        let n = u64::from(millionths);
        let digits = digits([n / 10_000, n / 100 % 100, n % 100]);
        let text = (digits | ZEROS) << 8 | u64::from(b'.');
        self.piece(&text.to_le_bytes(), 7)
    }
}

/// Eight digits `0`, as a word.
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// The two decimal digits of each of three numbers under a hundred: a byte a digit, the first one
/// lowest. All are made at once, in 16 bits of a word each.
#[inline]
const fn digits(pairs: [u64; 3]) -> u64 {
    let pairs = pairs[0] | (pairs[1] << 16) | (pairs[2] << 32);
    // 103 are a tenth of 1,024, near enough.
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - tens * 10) << 8)
}

/// Bytes that [`copy`] copies.
const COPY_BYTES_MAX: usize = 64;

/// Copies between slices of one length, unless they are longer than [`COPY_BYTES_MAX`].
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) -> bool {
    match from.len() {
        0 => {}
        1..4 => {
            let (middle, last) = (from.len() / 2, from.len() - 1);
            (to[0], to[middle], to[last]) = (from[0], from[middle], from[last]);
        }
        4..8 => copy_ends::<4>(to, from),
        8..16 => copy_ends::<8>(to, from),
        16..32 => copy_ends::<16>(to, from),
        32..=COPY_BYTES_MAX => copy_ends::<32>(to, from),
        _ => return false,
    }
    true
}

/// Copies the first and the last `N` bytes: all, of `N` to twice as many.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    let end = from.len() - N;
    to[..N].copy_from_slice(&from[..N]);
    to[end..].copy_from_slice(&from[end..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `write` appends to a room that holds something else.
    fn made(write: impl FnOnce(Line<'_>) -> Line<'_>) -> Vec<u8> {
        let mut room = vec![0xaa; 1_000];
        let len = 1_000 - write(Line::new(&mut room)).left();
        room.truncate(len);
        room
    }

    #[track_caller]
    fn number(n: u64) {
        assert_eq!(made(|line| line.number(n)), n.to_string().as_bytes());
    }

    #[test]
    fn numbers() {
        (0..20_000).for_each(number);
        for digits in 0..20 {
            let power = 10_u64.pow(digits);
            [power - 1, power, power + 1, power / 7 * 8]
                .into_iter()
                .for_each(number);
        }
        number(u64::MAX);
    }

    #[test]
    fn six_decimals() {
        for millionths in 0..1_000_000 {
            let mut room = [0xaa; 16];
            let left = Line::new(&mut room).decimals(millionths).left();
            assert_eq!(room[..16 - left], *format!(".{millionths:06}").as_bytes());
        }
    }

    #[test]
    fn every_length_is_copied_whole() {
        let bytes: Vec<u8> = (0..200).collect();
        for len in 0..bytes.len() {
            let bytes = &bytes[..len];
            let made = made(|line| line.extend(bytes).quoted(bytes).byte(b'.'));
            assert_eq!(made, [bytes, b"\"", bytes, b"\"."].concat());
        }
    }

    proptest! {
        #[test]
        fn any_number(n in any::<u64>(), shift in 0..64) {
            number(n >> shift);
        }
    }
}
