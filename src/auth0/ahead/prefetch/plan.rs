//! Decides which range is read next, and how long a new one is.
//!
//! Pages are handed out in order, and the pages of a range are read one after the other. So while one
//! range is read, each of the others yields as many pages as it does. Pages that come before it in the
//! log are handed out in the meantime; the others take up room. A range with more pages left than there
//! is room for makes all others wait, and is cut in two.

use super::{Prefetch, Range};
use crate::auth0::ahead::density::Density;
use crate::record::LogId;

/// The most pages of a range. About half of its last page is read twice, so a longer range would
/// save nothing that counts.
const LONGEST: usize = 64;
/// The fewest pages of a range.
const SHORTEST: usize = 4;
/// Pages of the first range. Its end shows whether the log honours synthetic ids.
const FIRST: usize = 2;
/// One in this many pages of the room is spare, for ranges that are longer than estimated. A range
/// for which the others would need more than half of the spare pages is cut.
const SPARE: usize = 8;
/// The fewest pages of each part, if a range is cut because the others would wait for it.
const PART: usize = 3;
/// The fewest pages of each part, if a range is cut near the end of a prefetch with fewer than
/// [`LONG_WAY`] pages, where a few more requests are many. In a longer prefetch no lane idles while
/// another has pages left.
const LAST_PART: usize = 12;
const LONG_WAY: usize = 400;

/// The next step.
pub(super) enum Next {
    /// Read on in the range at this index.
    Open(usize),
    /// Cut the range at this index in two at this id, and read the second part.
    Cut(usize, LogId),
    /// Begin a new range that ends at this id.
    New(LogId),
}

impl Range {
    /// Whether it has not ended and no request reads it.
    fn is_open(&self) -> bool {
        self.end.is_none() && !self.is_being_read
    }

    /// The pages that are likely to be left. Until its first page has arrived, the density `near`
    /// it counts.
    fn pages_left(&self, near: Density) -> usize {
        let stored = self.after.stored_at().zip(self.to.stored_at());
        let stored = stored.filter(|_| self.end.is_none());
        let density = self.density.unwrap_or(near);
        stored.map_or(0, |(from, to)| density.pages(to - from))
    }
}

impl Prefetch {
    /// The next step, while up to `room` bytes may be held.
    pub(super) fn plan(&self, room: usize) -> Option<Next> {
        // Whatever the room: nothing else is handed out before it.
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

    /// A new range that is likely to have `pages` pages, at the density `near` it.
    fn another(&self, near: Density, pages: usize) -> Option<Next> {
        let from = self.frontier.stored_at()?;
        let pages = if self.numbers == 0 { FIRST } else { pages };
        let to = from.checked_add_signed(near.time(pages));
        let to = to.map_or(self.end, |it| it.min(self.end));
        Some(Next::New(LogId::synthetic(&self.prefix, to)))
    }

    /// Cuts the longest range, where no new one can be begun.
    fn cut_longest(&self) -> Option<Next> {
        let ranges = self.ranges.iter().enumerate();
        let lengths = ranges.filter_map(|(place, it)| Some((it.pages_left(it.density?), place)));
        let (_, place) = lengths.max()?;
        let part = if self.read < LONG_WAY { LAST_PART } else { 1 };
        Some(Next::Cut(place, self.half(&self.ranges[place], part)?))
    }

    /// The middle of what is left of a range, if each part is likely to have at least `part` pages.
    /// Only the range's own density counts.
    fn half(&self, range: &Range, part: usize) -> Option<LogId> {
        if range.pages_left(range.density?) < 2 * part {
            return None;
        }
        let (from, to) = range.after.stored_at().zip(range.to.stored_at())?;
        let half = LogId::synthetic(&self.prefix, from + (to - from) / 2);
        (half > range.after && half < range.to).then_some(half)
    }
}

/// The part of the room that is used if each range is as long as estimated.
fn usual(room: usize) -> usize {
    room - room / SPARE
}
