//! A quick check before the search, which rules out the values for most strings.
//!
//! The check samples a string at regular positions. If a value occurs in the string unencoded, one
//! sample is a group of letters near the beginning of that value. The table knows for each group how far
//! from the beginning of a value it may be. So the check compares the values only at these distances
//! before the sample.

use std::ops::Range;

use super::Kind;
use super::aliases::{Whole, for_each_alias};
use super::search::{LONG, SHORTEST, looked_for};

/// How many letters a group has.
const GROUP: usize = 3;
/// How many bytes at the beginning of a value are split into groups.
const BEGINNING: usize = 8;
/// Slots in the table of groups, and the bits of a slot's index.
const PLACES: usize = 1 << PLACES_BITS;
const PLACES_BITS: u32 = 10;
/// The most values that are compared with a string: callers of the API choose how many there are.
const MOST: usize = 32;
/// How many bytes of a value are compared, since many values may begin alike. A string that agrees with
/// them is searched.
const COMPARED: usize = 40;
/// An odd multiplier with irregular bits.
const MIX: u32 = 0x9e37_79b1;

const _: () = assert!(GROUP <= SHORTEST && SHORTEST <= BEGINNING);

/// What is known about the values that are searched for.
pub(super) struct Prefilter {
    /// Bytes of the shortest value, of which at most `LONG` count.
    shortest: usize,
    /// For each group, its possible distances from the beginning of a value, one bit each.
    groups: [u8; PLACES],
    /// The values; one more than `MOST` if there are too many to compare.
    values: Vec<Value>,
    /// The bytes that follow the beginnings of the values, as far as they are compared.
    tails: Vec<u8>,
}

/// A value, prepared for comparison.
struct Value {
    /// Its beginning, in lower case.
    letters: u64,
    /// Which bits of a text are compared.
    mask: u64,
    /// The range of the bytes in `tails` that follow the beginning.
    tail: Range<usize>,
}

/// The first letters of a text as a number that is the same for both cases.
fn first_letters(text: &[u8]) -> u64 {
    const LOWER: u64 = u64::from_le_bytes([0x20; BEGINNING]);
    let letters = text.first_chunk().copied().unwrap_or_else(|| {
        let mut letters = [0; BEGINNING];
        letters[..text.len()].copy_from_slice(text);
        letters
    });
    u64::from_le_bytes(letters) | LOWER
}

impl Prefilter {
    fn new() -> Self {
        Self {
            shortest: usize::MAX,
            groups: [0; PLACES],
            values: Vec::with_capacity(8),
            tails: Vec::with_capacity(128),
        }
    }

    /// A check for these values.
    pub fn for_values<'v>(values: impl Iterator<Item = (Kind, &'v str)>) -> Self {
        let mut prefilter = Self::new();
        for (kind, value) in values {
            prefilter.add_all_of(kind, value);
        }
        prefilter
    }

    /// Adds a value and its aliases.
    fn add_all_of(&mut self, kind: Kind, value: &str) {
        let is_short = |it: u8| it.is_ascii_digit() || it == b'.';
        if kind == Kind::Ip && value.bytes().all(is_short) {
            self.add(value);
            self.add_mapped_addresses();
            return;
        }
        let mut is_within = false;
        for_each_alias(kind, value, |alias, of| {
            let is_added = self.add(alias);
            is_within |= is_added && matches!(of, Whole::UserId);
        });
        // Whatever contains a user id also contains the id without the connection, unless the value is
        // cut.
        if !is_within || value.len() > LONG {
            self.add(value);
        }
    }

    /// Adds a value if it is long enough to search for. Returns whether it is.
    fn add(&mut self, value: &str) -> bool {
        let Some(value) = looked_for(value) else {
            return false;
        };
        let value = &value.as_bytes()[..value.floor_char_boundary(LONG)];
        self.shortest = self.shortest.min(value.len());
        let (beginning, tail) = value.split_at(value.len().min(BEGINNING));
        for (distance, group) in beginning.windows(GROUP).enumerate() {
            self.groups[place_of(letters_of(group[0], group[1], group[2]))] |= 1 << distance;
        }
        self.add_value(beginning, tail);
        true
    }

    fn add_value(&mut self, beginning: &[u8], tail: &[u8]) {
        if self.values.len() > MOST {
            return;
        }
        let mask = u64::MAX >> (u64::BITS as usize - 8 * beginning.len());
        let begin = self.tails.len();
        let tail = &tail[..tail.len().min(COMPARED - BEGINNING)];
        self.tails.extend_from_slice(tail);
        self.values.push(Value {
            letters: first_letters(beginning) & mask,
            mask,
            tail: begin..self.tails.len(),
        });
    }

    /// Adds the IPv4-mapped IPv6 forms of an address, which all begin alike.
    fn add_mapped_addresses(&mut self) {
        for (groups, more) in self.groups.iter_mut().zip(&OF_MAPPED_ADDRESSES) {
            *groups |= more;
        }
        self.add_value(MAPPED, &[]);
    }

    /// Whether a string, as written in JSON, may contain one of the values.
    pub fn may_be_in(&self, raw: &str) -> bool {
        // Neither decoding nor a change of case makes a string longer. A string that is not simple is
        // left to the search.
        raw.len() >= self.shortest && (!is_simple(raw) || self.is_in(raw))
    }

    /// Whether a text contains one of the values unencoded, in either case, or what may be an
    /// IPv4-mapped address.
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        if text.len() < self.shortest {
            return false;
        }
        // With this step, one sample lies within the beginning of each value in the text.
        let step = self.shortest.min(BEGINNING) + 1 - GROUP;
        let mut at = 0;
        // Four bytes are read at once. The last one is not part of the group.
        while let Some(group) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let distances = self.groups[place_of(u32::from_le_bytes(*group))];
            if distances != 0 && self.begins_before(text, at, distances) {
                return true;
            }
            at += step;
        }
        match text.get(at..) {
            Some([first, second, third]) => {
                let group = u32::from_le_bytes([*first, *second, *third, 0]);
                self.begins_before(text, at, self.groups[place_of(group)])
            }
            _ => false,
        }
    }

    /// Whether one of the values begins at one of these distances before a position.
    fn begins_before(&self, text: &[u8], at: usize, mut distances: u8) -> bool {
        if self.values.len() > MOST {
            return distances != 0;
        }
        while distances != 0 {
            let distance = distances.trailing_zeros() as usize;
            distances &= distances - 1;
            if let Some(begin) = at.checked_sub(distance)
                && self.begins_with_any(&text[begin..])
            {
                return true;
            }
        }
        false
    }

    fn begins_with_any(&self, text: &[u8]) -> bool {
        let letters = first_letters(text);
        let mut values = self.values.iter();
        values.any(|it| {
            letters & it.mask == it.letters && {
                let tail = &self.tails[it.tail.clone()];
                let ahead = text.get(BEGINNING..BEGINNING + tail.len());
                tail.is_empty() || ahead.is_some_and(|it| it.eq_ignore_ascii_case(tail))
            }
        })
    }
}

/// Whether a string is simple: it has no escapes and no encoded characters, and only ASCII letters,
/// which have one byte in either case.
pub(super) fn is_simple(raw: &str) -> bool {
    let is_other = |it: u8| matches!(it, b'%' | b'\\' | b'+' | b'&' | 0x80..);
    // Without an early exit, so that many bytes are examined at once.
    !raw.bytes().fold(false, |any, it| any | is_other(it))
}

/// What IPv4-mapped IPv6 addresses begin with.
const MAPPED: &[u8] = b"::ffff:";

/// The groups at the beginning of addresses such as `::ffff:cb00:7107`.
static OF_MAPPED_ADDRESSES: [u8; PLACES] = {
    let mut groups = [0; PLACES];
    let digits = b"0123456789abcdef";
    let mut digit = 0;
    while digit < digits.len() {
        let beginning = [b':', b':', b'f', b'f', b'f', b'f', b':', digits[digit]];
        let mut at = 0;
        while at + GROUP <= BEGINNING {
            let group = letters_of(beginning[at], beginning[at + 1], beginning[at + 2]);
            groups[place_of(group)] |= 1 << at;
            at += 1;
        }
        digit += 1;
    }
    groups
};

/// A group as a number.
#[allow(clippy::cast_lossless, reason = "`from` is not constant")]
const fn letters_of(first: u8, second: u8, third: u8) -> u32 {
    first as u32 | (second as u32) << 8 | (third as u32) << 16
}

/// The slot of a group, which is the same for both cases of a letter.
const fn place_of(group: u32) -> usize {
    let letters = (group | 0x20_20_20) & 0xff_ff_ff;
    (letters.wrapping_mul(MIX) >> (u32::BITS - PLACES_BITS)) as usize
}
