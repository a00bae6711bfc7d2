//! A look at a text that tells of most that none of the values is in it, before they are searched
//! for: by its length, and by groups of letters.
//!
//! A value that stands in a text as it is has a group of letters, near its beginning, at one of the
//! places in the text that are looked at. A group that is met may be that of something else: then
//! there is a search for nothing.

use super::search::{SHORTEST, looked_for};

/// Letters of a group.
const GROUP: usize = 3;
/// Bytes at the beginning of a value of which the groups are known.
const BEGINNING: usize = 8;
/// Words of the set of groups, and how many bits tell a place in it.
const WORDS: usize = 1 << (PLACES_BITS - 6);
const PLACES_BITS: u32 = 11;
/// An odd number whose bits have no order.
const MIX: u32 = 0x9e37_79b1;

const _: () = assert!(GROUP <= SHORTEST && SHORTEST <= BEGINNING);

/// What is known of the values that are looked for.
pub(super) struct Look {
    /// Bytes of the shortest.
    shortest: usize,
    /// The groups of their beginnings, in either case.
    groups: [u64; WORDS],
}

impl Look {
    pub fn new() -> Self {
        Self {
            shortest: usize::MAX,
            groups: [0; WORDS],
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: &str) {
        let Some(value) = looked_for(value) else {
            return;
        };
        self.shortest = self.shortest.min(value.len());
        let beginning = &value.as_bytes()[..value.len().min(BEGINNING)];
        for group in beginning.windows(GROUP) {
            let (word, bit) = place(group[0], group[1], group[2]);
            self.groups[word] |= bit;
        }
    }

    /// Adds the ways to write an address of the fourth version as one of the sixth, which all begin
    /// alike.
    pub fn add_mapped_addresses(&mut self) {
        for (groups, more) in self.groups.iter_mut().zip(OF_MAPPED_ADDRESSES) {
            *groups |= more;
        }
    }

    /// Whether one of the values may be in a text, as it stands in JSON.
    pub fn may_be_in(&self, raw: &str) -> bool {
        let bytes = raw.as_bytes();
        // Nothing is longer when it is decoded or in another case.
        if bytes.len() < self.shortest {
            return false;
        }
        // What is encoded or has other letters is read by who knows how.
        let is_encoded = memchr::memchr3(b'%', b'\\', b'+', bytes).is_some();
        if is_encoded || !raw.is_ascii() || memchr::memchr(b'&', bytes).is_some() {
            return true;
        }
        // Wherever a value begins, one of these groups lies within its beginning.
        let step = self.shortest.min(BEGINNING) + 1 - GROUP;
        let mut groups = bytes.windows(GROUP).step_by(step);
        groups.any(|it| {
            let (word, bit) = place(it[0], it[1], it[2]);
            self.groups[word] & bit != 0
        })
    }
}

/// The groups at the beginning of `::ffff:cb00:7107`.
const OF_MAPPED_ADDRESSES: [u64; WORDS] = {
    let mut groups = [0; WORDS];
    let digits = b"0123456789abcdef";
    let mut digit = 0;
    while digit < digits.len() {
        let beginning = [b':', b':', b'f', b'f', b'f', b'f', b':', digits[digit]];
        let mut at = 0;
        while at + GROUP <= BEGINNING {
            let (word, bit) = place(beginning[at], beginning[at + 1], beginning[at + 2]);
            groups[word] |= bit;
            at += 1;
        }
        digit += 1;
    }
    groups
};

/// The word of a group and its bit there, the same for both cases of a letter.
#[allow(clippy::cast_lossless, reason = "`from` is not constant")]
const fn place(first: u8, second: u8, third: u8) -> (usize, u64) {
    let letters =
        (first | 0x20) as u32 | ((second | 0x20) as u32) << 8 | ((third | 0x20) as u32) << 16;
    let place = letters.wrapping_mul(MIX) >> (u32::BITS - PLACES_BITS);
    ((place >> 6) as usize, 1 << (place & 63))
}
