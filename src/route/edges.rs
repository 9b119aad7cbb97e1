//! The edges of the route and host trees: (node, segment) to child node, in one flat hash table.
//!
//! Both [`super::table`] and [`super::hosts`] grow it while a configuration is compiled and only
//! look things up afterwards. A short segment stands in the slot itself, so that following an edge
//! is one hash and, most often, one cache line. It never removes anything.
//!
//! Nothing that a request carries is ever put in, so a client cannot make the table degenerate:
//! what it can choose is which of the operator's chains it walks, and [`Edges::settle`] holds the
//! longest of those at [`PROBES_MAX`] slots. That is why the hash needs no secret.

/// Slots that a look-up may read. Linear probing at half load seldom needs more than thirty.
const PROBES_MAX: usize = 64;

/// Bytes of a segment that stand in the slot: it makes a slot half a cache line.
const INLINE_BYTES: usize = 18;

/// One edge.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Slot {
    /// The node that the edge leaves.
    parent: u32,
    /// The node it leads to; [`VACANT`] in a free slot.
    child: u32,
    /// See [`Step::offset`].
    offset: u32,
    /// Bytes of the segment.
    bytes: u16,
    /// The segment; a longer one's index in `Edges::long` stands in the first four bytes instead.
    inline: [u8; INLINE_BYTES],
}

const _: () = assert!(size_of::<Slot>() == 32);

/// Where an edge leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The child node. Never 0.
    pub(super) child: u32,
    /// What the caller adds up on its way down.
    pub(super) offset: u32,
}

/// The `child` of a free slot. No edge leads to node 0.
const VACANT: u32 = 0;

const FREE: Slot = Slot {
    parent: 0,
    child: VACANT,
    offset: 0,
    bytes: 0,
    inline: [0; INLINE_BYTES],
};

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    /// A power of two of slots, at most half of them taken.
    slots: Vec<Slot>,
    /// Slots taken.
    taken: usize,
    /// What the hash starts from; changed by `settle` if chains came out long.
    seed: u64,
    /// Bytes of the longest segment: longer ones are not worth a hash, so that a client's longest
    /// path costs no more than the routes' longest literal.
    bytes_max: usize,
    /// Segments that do not fit a slot.
    long: Vec<Box<[u8]>>,
}

impl Edges {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![FREE; 16],
            taken: 0,
            seed: 0x9E37_79B9_7F4A_7C15,
            bytes_max: 0,
            long: Vec::new(),
        }
    }

    /// Where `segment` leads from `parent`. Cost: one hash and at most [`PROBES_MAX`]
    /// slots once settled, most often one.
    #[inline]
    pub(super) fn find(&self, parent: u32, segment: &[u8]) -> Option<Step> {
        if segment.len() > self.bytes_max {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut index = hash(self.seed, parent, segment) as usize & mask;
        loop {
            let slot = &self.slots[index];
            if slot.child == VACANT {
                return None;
            }
            if slot.parent == parent
                && slot.bytes as usize == segment.len()
                && self.segment(slot) == segment
            {
                return Some(Step {
                    child: slot.child,
                    offset: slot.offset,
                });
            }
            index = (index + 1) & mask;
        }
    }

    /// Adds an edge that is not there yet. `segment` is shorter than 64 KiB, The child is not 0.
    pub(super) fn insert(&mut self, parent: u32, segment: &[u8], step: Step) {
        let Step { child, offset } = step;
        debug_assert!(child != VACANT && self.find(parent, segment).is_none());
        if (self.taken + 1) * 2 > self.slots.len() {
            self.place(self.slots.len() * 2);
        }
        let mut inline = [0; INLINE_BYTES];
        if segment.len() <= INLINE_BYTES {
            inline[..segment.len()].copy_from_slice(segment);
        } else {
            inline[..4].copy_from_slice(&(self.long.len() as u32).to_le_bytes());
            self.long.push(segment.into());
        }
        self.taken += 1;
        self.bytes_max = self.bytes_max.max(segment.len());
        self.put(Slot {
            parent,
            child,
            offset,
            bytes: segment.len() as u16,
            inline,
        });
    }

    /// Brings the longest chain under [`PROBES_MAX`]: first by other seeds, then by more room.
    pub(super) fn settle(&mut self) {
        let mut tries = 0;
        while self.chain_longest() > PROBES_MAX {
            tries += 1;
            self.seed = self
                .seed
                .wrapping_mul(0x2545_F491_4F6C_DD1D)
                .wrapping_add(tries);
            let grown = if tries % 4 == 0 { 2 } else { 1 };
            self.place(self.slots.len() * grown);
        }
    }

    /// Puts all edges into a table of `size` slots.
    fn place(&mut self, size: usize) {
        let old = std::mem::replace(&mut self.slots, vec![FREE; size]);
        for slot in old {
            if slot.child != VACANT {
                self.put(slot);
            }
        }
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut index = hash(self.seed, slot.parent, self.segment(&slot)) as usize & mask;
        while self.slots[index].child != VACANT {
            index = (index + 1) & mask;
        }
        self.slots[index] = slot;
    }

    /// Slots of the longest run of taken ones: no look-up reads more than that and one.
    fn chain_longest(&self) -> usize {
        let (mut longest, mut run) = (0, 0);
        // Once round and on to the first free slot: a run may go over the end.
        for slot in self.slots.iter().chain(&self.slots) {
            run = if slot.child == VACANT { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
    }

    #[inline]
    fn segment<'a>(&'a self, slot: &'a Slot) -> &'a [u8] {
        let bytes = slot.bytes as usize;
        match slot.inline.get(..bytes) {
            Some(segment) => segment,
            None => {
                let [a, b, c, d, ..] = slot.inline;
                &self.long[u32::from_le_bytes([a, b, c, d]) as usize]
            }
        }
    }
}

/// A hash of node and segment: multiply and fold, eight bytes at a time.
#[inline]
fn hash(seed: u64, parent: u32, segment: &[u8]) -> u64 {
    let mut state = fold(seed ^ u64::from(parent), 0xA076_1D64_78BD_642F);
    let mut rest = segment;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        state = fold(state ^ u64::from_le_bytes(*chunk), 0xE703_7ED1_A0B4_28DB);
        rest = tail;
    }
    let tail = match rest {
        [] => 0,
        [a] => u64::from(*a),
        [a, .., b] if rest.len() < 4 => {
            u64::from(*a) | u64::from(rest[rest.len() / 2]) << 8 | u64::from(*b) << 16
        }
        _ => {
            let word =
                |chunk: Option<&[u8; 4]>| u64::from(u32::from_le_bytes(*chunk.unwrap_or(&[0; 4])));
            word(rest.first_chunk()) | word(rest.last_chunk()) << 32
        }
    };
    fold(state ^ tail, 0x8EBC_6AF0_9C88_C6E3 ^ segment.len() as u64)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(child: u32) -> Step {
        Step {
            child,
            offset: child * 3,
        }
    }

    #[test]
    fn edges_are_found_again_and_others_are_not() {
        let mut edges = Edges::new();
        let segment = |n: u32| format!("{n}{}", "x".repeat(n as usize % 40));
        for n in 1..=5_000 {
            edges.insert(n / 10, segment(n).as_bytes(), to(n));
        }
        edges.insert(3, b"", to(9_000));
        edges.settle();
        for n in 1..=5_000 {
            assert_eq!(edges.find(n / 10, segment(n).as_bytes()), Some(to(n)));
            assert_eq!(edges.find(n / 10 + 1, segment(n).as_bytes()), None);
            assert_eq!(edges.find(n / 10, &segment(n).as_bytes()[1..]), None);
        }
        assert_eq!(edges.find(3, b""), Some(to(9_000)));
        assert_eq!(edges.find(4, b""), None);
    }

    #[test]
    fn settling_shortens_chains() {
        let mut edges = Edges::new();
        for n in 1..=100_000_u32 {
            edges.insert(n % 7, &n.to_le_bytes(), to(n));
        }
        edges.settle();
        assert!(edges.chain_longest() <= PROBES_MAX);

        // Segments chosen to fall on one slot under the first seed, as nobody's routes do.
        let mut edges = Edges::new();
        let seed = edges.seed;
        let alike = (0..u32::MAX).filter(|n| hash(seed, 0, &n.to_le_bytes()) & 0xFFF == 0);
        for n in alike.take(100) {
            edges.insert(0, &n.to_le_bytes(), to(n + 1));
        }
        assert!(edges.chain_longest() > PROBES_MAX);
        edges.settle();
        assert!(edges.chain_longest() <= PROBES_MAX);
    }
}
