//! Which range is read next, and how long a new one is.
//!
//! Pages are handed out in order, and those of a range come one after the other. So while one range is
//! read, each of the others brings as many pages as it does, and they have to go somewhere: those that
//! come before the end of that range are handed out by then, the others take room. A range of which
//! more is left than there is room for makes all others wait, and is cut in two.

use super::{Course, Range};
use crate::auth0::ahead::density::Density;
use crate::record::LogId;

/// Pages of a range at the most. Of the last page of each about half is read twice, so that a longer
/// one would save nothing that counts.
const LONGEST: usize = 64;
/// Pages of a range at the least.
const SHORTEST: usize = 4;
/// Pages of the first one, with the end of which shows whether made-up ids are taken for what they are.
const FIRST: usize = 2;
/// One in so many pages of the room is left to ranges that are longer than they were taken for. Half of
/// those may wait for one before it is cut.
const SPARE: usize = 8;
/// Pages of either part of a range that is cut since the others would wait for it.
const PART: usize = 3;
/// Pages of either part at the end, of a way of fewer pages than this: some requests more are many there.
/// On a longer one nobody idles while another has pages left.
const LAST_PART: usize = 12;
const LONG_WAY: usize = 400;

/// What is to be done next.
pub(super) enum Next {
    /// A range that is there is read.
    Open(usize),
    /// One is cut in two there, and the second part is read.
    Cut(usize, LogId),
    /// Another one is begun that ends there.
    New(LogId),
}

impl Range {
    /// Whether nobody reads it, and it is not at its end.
    fn is_open(&self) -> bool {
        self.end.is_none() && !self.is_being_read
    }

    /// Pages that are likely to be left of it. Before its first one is here it is taken to be like those
    /// near it.
    fn pages_left(&self, near: Density) -> usize {
        let stored = self.after.stored_at().zip(self.to.stored_at());
        let stored = stored.filter(|_| self.end.is_none());
        let density = self.density.unwrap_or(near);
        stored.map_or(0, |(from, to)| density.pages(to - from))
    }
}

impl Course {
    /// What is to be done next, if so many bytes may be here.
    pub(super) fn plan(&self, room: usize) -> Option<Next> {
        // Whatever the room: the others are handed out after it.
        if !self.ranges.is_empty() && self.is_first_wanted() {
            return Some(Next::Open(0));
        }
        let page = self.density.bytes.max(1);
        let lanes = self.lanes.min(usual(room) / page / SHORTEST).max(1);
        if self.active >= lanes || self.bytes + (self.active + 1) * page > room {
            return None;
        }
        let mut fitting = usual(room).saturating_sub(self.bytes) / page;
        let mut near = self.density;
        for (place, range) in self.ranges.iter().enumerate() {
            if range.is_open() {
                return Some(Next::Open(place));
            }
            near = range.density.unwrap_or(near);
            let left = range.pages_left(near);
            fitting += range.pages.len() + left;
            let is_late = left * (self.active + 1) > fitting + room / page / SPARE / 2;
            if is_late && let Some(half) = self.half(range, PART) {
                return Some(Next::Cut(place, half));
            }
        }
        if self.may_begin() {
            let longest = fitting / (lanes - 1).max(1);
            self.another(near, longest.clamp(SHORTEST, LONGEST))
        } else {
            self.cut_longest()
        }
    }

    /// Another range of so many pages, if they are like those before it.
    fn another(&self, near: Density, pages: usize) -> Option<Next> {
        let from = self.frontier.stored_at()?;
        let pages = if self.numbers == 0 { FIRST } else { pages };
        let to = from.checked_add_signed(near.time(pages));
        let to = to.map_or(self.end, |it| it.min(self.end));
        Some(Next::New(LogId::synthetic(&self.prefix, to)))
    }

    /// Where there are no more to begin, the longest is cut.
    fn cut_longest(&self) -> Option<Next> {
        let ranges = self.ranges.iter().enumerate();
        let lengths = ranges.filter_map(|(place, it)| Some((it.pages_left(it.density?), place)));
        let (_, place) = lengths.max()?;
        let part = if self.read < LONG_WAY { LAST_PART } else { 1 };
        Some(Next::Cut(place, self.half(&self.ranges[place], part)?))
    }

    /// The middle of what is left of a range, if either part is likely to have so many pages. How many
    /// there are is known from its own.
    fn half(&self, range: &Range, part: usize) -> Option<LogId> {
        if range.pages_left(range.density?) < 2 * part {
            return None;
        }
        let (from, to) = range.after.stored_at().zip(range.to.stored_at())?;
        let half = LogId::synthetic(&self.prefix, from + (to - from) / 2);
        (half > range.after && half < range.to).then_some(half)
    }
}

/// As much of the room as is used where each range is as long as it was taken to be.
fn usual(room: usize) -> usize {
    room - room / SPARE
}
