//! A look at a text that tells of most that none of the values is in it, before they are searched
//! for: by its length, by groups of letters, and by how the values begin.
//!
//! A value that stands in a text as it is has a group of letters, near its beginning, at one of the
//! places in the text that are looked at. A group that is met may be that of something else: then
//! it is seen whether a value begins there.

use super::search::{LONG, SHORTEST, looked_for};

/// Letters of a group.
const GROUP: usize = 3;
/// Bytes at the beginning of a value of which the groups are known.
const BEGINNING: usize = 8;
/// Words of the set of groups, and how many bits tell a place in it.
const WORDS: usize = 1 << (PLACES_BITS - 6);
const PLACES_BITS: u32 = 11;
/// Beginnings that are held against a text, at the most: whoever calls the API chooses how many there are.
const MOST: usize = 32;
/// An odd number whose bits have no order.
const MIX: u32 = 0x9e37_79b1;

const _: () = assert!(GROUP <= SHORTEST && SHORTEST <= BEGINNING);

/// What is known of the values that are looked for.
pub(super) struct Look {
    /// Bytes of the shortest, or of what is enough of it.
    shortest: usize,
    /// The groups of their beginnings, in either case.
    groups: [u64; WORDS],
    /// The beginnings; one more than `MOST` where there are too many to be held against a text.
    beginnings: Vec<Beginning>,
}

/// The first bytes of a value.
#[derive(PartialEq)]
struct Beginning {
    letters: u64,
    /// Which bits of a text count.
    mask: u64,
}

impl Beginning {
    fn of(value: &[u8]) -> Self {
        let bytes = value.len().min(BEGINNING);
        let mask = u64::MAX >> (u64::BITS as usize - 8 * bytes);
        Self {
            letters: first_letters(value) & mask,
            mask,
        }
    }
}

/// The first letters of a text, the same for both cases.
fn first_letters(text: &[u8]) -> u64 {
    const LOWER: u64 = u64::from_le_bytes([0x20; BEGINNING]);
    let letters = text.first_chunk().copied().unwrap_or_else(|| {
        let mut letters = [0; BEGINNING];
        letters[..text.len()].copy_from_slice(text);
        letters
    });
    u64::from_le_bytes(letters) | LOWER
}

impl Look {
    pub fn new() -> Self {
        Self {
            shortest: usize::MAX,
            groups: [0; WORDS],
            beginnings: Vec::with_capacity(16),
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: &str) {
        let Some(value) = looked_for(value) else {
            return;
        };
        self.shortest = self.shortest.min(value.len()).min(LONG);
        let beginning = &value.as_bytes()[..value.len().min(BEGINNING)];
        for group in beginning.windows(GROUP) {
            let (word, bit) = place(group[0], group[1], group[2]);
            self.groups[word] |= bit;
        }
        self.add_beginning(beginning);
    }

    fn add_beginning(&mut self, beginning: &[u8]) {
        let beginning = Beginning::of(beginning);
        if self.beginnings.len() <= MOST && !self.beginnings.contains(&beginning) {
            self.beginnings.push(beginning);
        }
    }

    /// Adds the ways to write an address of the fourth version as one of the sixth, which all begin
    /// alike.
    pub fn add_mapped_addresses(&mut self) {
        for (groups, more) in self.groups.iter_mut().zip(OF_MAPPED_ADDRESSES) {
            *groups |= more;
        }
        self.add_beginning(MAPPED);
    }

    /// Whether one of the values may be in a text, as it stands in JSON.
    pub fn may_be_in(&self, raw: &str) -> bool {
        // Nothing is longer when it is decoded or in another case. What is encoded or has other
        // letters is read by who knows how.
        raw.len() >= self.shortest && (!is_simple(raw) || self.may_be_in_simple(raw))
    }

    /// The same of a text that `is_simple`.
    pub fn may_be_in_simple(&self, raw: &str) -> bool {
        let bytes = raw.as_bytes();
        if bytes.len() < self.shortest {
            return false;
        }
        // Wherever a value begins, one of these groups lies within its beginning.
        let step = self.shortest.min(BEGINNING) + 1 - GROUP;
        let mut groups = bytes.windows(GROUP).enumerate().step_by(step);
        groups.any(|(at, it)| {
            let (word, bit) = place(it[0], it[1], it[2]);
            self.groups[word] & bit != 0 && self.may_begin_before(bytes, at)
        })
    }

    /// Whether one of the values may have its first group, or one of the next, at this place.
    fn may_begin_before(&self, text: &[u8], at: usize) -> bool {
        let first = at.saturating_sub(BEGINNING - GROUP);
        self.beginnings.len() > MOST
            || (first..=at).any(|begin| {
                let letters = first_letters(&text[begin..]);
                let mut beginnings = self.beginnings.iter();
                beginnings.any(|it| letters & it.mask == it.letters)
            })
    }
}

/// Whether what a text says is what is written, in letters of which each has as many bytes in either
/// case.
pub(super) fn is_simple(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    memchr::memchr3(b'%', b'\\', b'+', bytes).is_none()
        && memchr::memchr(b'&', bytes).is_none()
        && raw.is_ascii()
}

/// What those addresses begin with.
const MAPPED: &[u8] = b"::ffff:";

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
