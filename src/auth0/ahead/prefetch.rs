//! A part of the log that is far behind, cut at synthetic ids ([`LogId::synthetic`]) into ranges that
//! are read in parallel and handed out in order.
//!
//! Nobody knows how many records a range has before it is read. So a range that turns out long is
//! cut again. A range that nobody has begun is joined to the one before it once that one has been
//! read beyond its own end. The length of a new range follows from the latest pages.
//!
//! The reader gets the records that it would get by reading sequentially, or is sent back to do
//! that. The last page of a range shows the first record after the range, and the next range has to
//! begin with that very record. If it does not, the log does not honour synthetic ids, or a record
//! has appeared there; then the rest of what was read is discarded.

mod plan;

use std::collections::VecDeque;

use chrono::{DateTime, SubsecRound as _, Utc};

use self::plan::Next;
use super::density::{Density, weight};
use crate::record::{LogId, Misfit, Page};

/// Ranges that are read in parallel at first. There are more while the reader waits for pages and
/// no request is queued, and fewer while requests are queued.
const FIRST_LANES: usize = 4;
const LEAST_LANES: usize = 2;
const MOST_LANES: usize = 64;

/// A part of the log that is read ahead.
pub(super) struct Prefetch {
    /// The last id handed out: the reader asks for the page after it.
    pub next: LogId,
    prefix: String,
    /// In order. Pages are handed out from the first one.
    ranges: VecDeque<Range>,
    /// Where the next range begins.
    frontier: LogId,
    /// Where the last range ends.
    end: DateTime<Utc>,
    /// Ranges that may be read in parallel.
    lanes: usize,
    /// Requests under way.
    active: usize,
    /// Bytes that were read and not yet handed out.
    bytes: usize,
    /// Whether the reader waits for a page.
    pub is_starved: bool,
    /// The density of the latest page.
    density: Density,
    /// Misfits of a page whose records are all in the next range as well.
    misfits: Vec<Misfit>,
    /// Whether the log does not honour synthetic ids.
    pub is_untaken: bool,
    numbers: u64,
    /// Pages that were read.
    read: usize,
}

struct Range {
    number: u64,
    /// The id after which reading continues.
    after: LogId,
    /// Whether `after` is synthetic, not a record's.
    is_synthetic: bool,
    /// Its records have smaller ids.
    to: LogId,
    /// Pages that were read and not yet handed out.
    pages: VecDeque<Page>,
    /// The density of its last page; `None` until a page has arrived since it was made or cut.
    density: Option<Density>,
    is_begun: bool,
    is_being_read: bool,
    end: Option<End>,
}

/// How the reading of a range ended.
enum End {
    /// Its last page shows the first record after it.
    Whole,
    /// It was the last one. The next one to be made begins after its last record.
    Joined,
    /// No page came that makes sense. The reader requests it itself: much depends on that answer.
    Nothing {
        /// Whether the likely reason is that the id is synthetic.
        is_untaken: bool,
    },
}

/// A page to read.
pub(super) struct Job {
    pub range: u64,
    pub after: LogId,
}

/// Why a page was not read.
pub(super) struct NotRead {
    /// Whether the log rejected the id after which the page was requested.
    pub is_rejected: bool,
}

/// What the reader gets.
pub(super) enum Taken {
    Page(Page),
    /// The page has not arrived yet.
    Wait,
    /// From here on the reader reads sequentially.
    Over,
}

impl Prefetch {
    /// What is read ahead after a page, up to `end`, if that is likely to be at least `pages` pages.
    pub fn after(page: &Page, end: DateTime<Utc>, pages: usize) -> Option<Self> {
        let last = &page.records.last()?.log_id;
        let left = end - last.stored_at()?;
        let density = Density::of(page)?;
        let is_long = density.tells_of_more() && density.pages(left) >= pages;
        is_long.then(|| Self {
            next: last.clone(),
            prefix: last.series().to_owned(),
            ranges: VecDeque::new(),
            frontier: last.clone(),
            // To the microsecond, like the time in an id.
            end: end.trunc_subsecs(6),
            lanes: FIRST_LANES,
            active: 0,
            bytes: 0,
            is_starved: false,
            density,
            misfits: Vec::new(),
            is_untaken: false,
            numbers: 0,
            read: 0,
        })
    }

    /// The number of pages that are likely to be left for new ranges.
    pub fn pages_left(&self) -> usize {
        let stored = self.frontier.stored_at();
        stored.map_or(0, |it| self.density.pages(self.end - it))
    }

    /// The page to read next, while up to `room` bytes may be held.
    pub fn job(&mut self, room: usize) -> Option<Job> {
        let place = self.choose(room)?;
        let range = self.ranges.get_mut(place)?;
        range.is_being_read = true;
        range.is_begun = true;
        self.active += 1;
        Some(Job {
            range: range.number,
            after: range.after.clone(),
        })
    }

    /// The index of the range to read next, which may be a new one.
    fn choose(&mut self, room: usize) -> Option<usize> {
        match self.plan(room)? {
            Next::Open(place) => Some(place),
            Next::Cut(place, half) => {
                let range = &mut self.ranges[place];
                let to = std::mem::replace(&mut range.to, half.clone());
                // It is cut again only if its next page is as dense: this one may have been a burst.
                range.density = None;
                self.insert(place + 1, half, to);
                Some(place + 1)
            }
            Next::New(to) => {
                let from = std::mem::replace(&mut self.frontier, to.clone());
                self.insert(self.ranges.len(), from, to);
                Some(self.ranges.len() - 1)
            }
        }
    }

    /// Whether the part between the frontier and the end needs another range.
    fn may_begin(&self) -> bool {
        let stored = self.frontier.stored_at();
        self.frontier.series() == self.prefix && stored.is_some_and(|it| it < self.end)
    }

    fn insert(&mut self, place: usize, after: LogId, to: LogId) {
        self.numbers += 1;
        let range = Range {
            number: self.numbers,
            // The id of the last record, or of the last one that a range has read, is not synthetic.
            is_synthetic: after
                == LogId::synthetic(&self.prefix, after.stored_at().unwrap_or_default()),
            after,
            to,
            pages: VecDeque::new(),
            density: None,
            is_begun: false,
            is_being_read: false,
            end: None,
        };
        self.ranges.insert(place, range);
    }

    /// The likely size of a page, in bytes.
    pub fn page_bytes(&self) -> usize {
        self.density.bytes
    }

    /// Allows one more range in parallel if the reader waits for a page, or one fewer if requests
    /// are queued.
    pub fn adapt(&mut self, is_crowded: bool) {
        if is_crowded {
            self.lanes = (self.lanes - 1).max(LEAST_LANES);
        } else if self.is_starved {
            self.lanes = (self.lanes + 1).min(MOST_LANES);
        }
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.active == 0
    }

    /// Whether the page to hand out next has not been requested yet.
    pub fn is_first_wanted(&self) -> bool {
        let first = self.ranges.front();
        first.is_none_or(|it| it.end.is_none() && !it.is_being_read && it.pages.is_empty())
    }

    /// Stores a page that was read for a range, or ends the range if the page was not read.
    pub fn settle(&mut self, number: u64, read: Result<Page, NotRead>) {
        self.active -= 1;
        let Some(place) = self.ranges.iter().position(|it| it.number == number) else {
            return;
        };
        let range = &mut self.ranges[place];
        range.is_being_read = false;
        let mut page = match read {
            Ok(page) => page,
            Err(NotRead { is_rejected }) => {
                let is_untaken = range.is_synthetic && is_rejected;
                return self.stop_at(place, End::Nothing { is_untaken });
            }
        };
        page.records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
        let last = page.records.last().map(|it| it.log_id.clone());
        let Some(last) = last.filter(|it| *it > range.after && it.stored_at().is_some()) else {
            let is_untaken = range.is_synthetic;
            return self.stop_at(place, End::Nothing { is_untaken });
        };
        if let Some(density) = Density::of(&page) {
            range.density = Some(density);
            self.density = density;
        }
        let is_last = page.is_last;
        page.is_last = false;
        range.after = last;
        range.is_synthetic = false;
        self.bytes += weight(&page);
        self.read += 1;
        range.pages.push_back(page);
        match self.join(place) {
            None if is_last => self.stop_at(place, End::Nothing { is_untaken: false }),
            end => self.ranges[place].end = end,
        }
    }

    /// Ends a range early, and discards the ranges after it.
    fn stop_at(&mut self, place: usize, end: End) {
        self.ranges[place].end = Some(end);
        self.ranges.truncate(place + 1);
        self.end = DateTime::UNIX_EPOCH;
        let pages = self.ranges.iter().flat_map(|it| &it.pages);
        self.bytes = pages.map(weight).sum();
    }

    /// Joins to a range those after it that it has reached, unless they have been begun. Returns
    /// how the range ends, if it does.
    fn join(&mut self, place: usize) -> Option<End> {
        while self.ranges[place].after >= self.ranges[place].to {
            match self.ranges.get(place + 1) {
                Some(next) if next.is_begun => return Some(End::Whole),
                Some(next) => {
                    self.ranges[place].to = next.to.clone();
                    self.ranges.remove(place + 1);
                }
                None => {
                    self.frontier = self.ranges[place].after.clone();
                    return Some(End::Joined);
                }
            }
        }
        None
    }

    /// Hands out the next page.
    pub fn take(&mut self) -> Taken {
        loop {
            let may_begin = self.may_begin();
            let Some(range) = self.ranges.front_mut() else {
                return if may_begin { Taken::Wait } else { Taken::Over };
            };
            let is_whole = matches!(range.end, Some(End::Whole));
            // The last page of a range has to be compared with the first page of the next.
            if (!is_whole || range.pages.len() > 1)
                && let Some(page) = range.pages.pop_front()
            {
                return self.hand_out(page);
            }
            match &range.end {
                None => return Taken::Wait,
                Some(End::Whole) => {
                    if let Some(taken) = self.take_last() {
                        return taken;
                    }
                }
                Some(End::Joined) => {
                    self.ranges.pop_front();
                }
                Some(End::Nothing { is_untaken }) => {
                    self.is_untaken |= is_untaken;
                    return Taken::Over;
                }
            }
        }
    }

    /// Hands out the last page of the first range, without the records that are also in the next
    /// range; `None` if that leaves no record.
    fn take_last(&mut self) -> Option<Taken> {
        let (range, next) = (self.ranges.front()?, self.ranges.get(1)?);
        let shown = range.pages.front()?.records.iter();
        let mut shown = shown.map(|it| &it.log_id).filter(|it| **it >= range.to);
        let mut is_untaken = true;
        let is_seamless = match (next.pages.front(), &next.end) {
            (Some(first), _) => first.records.first().map(|it| &it.log_id) == shown.next(),
            (None, None) => return Some(Taken::Wait),
            (None, Some(End::Nothing { is_untaken: it })) => {
                is_untaken = *it;
                false
            }
            (None, Some(_)) => false,
        };
        let Range { mut pages, to, .. } = self.ranges.pop_front()?;
        let mut page = pages.pop_front()?;
        if is_seamless {
            self.bytes = self.bytes.saturating_sub(weight(&page));
            page.records.retain(|it| it.log_id < to);
            self.bytes += weight(&page);
            if page.records.is_empty() {
                self.misfits.extend(page.misfits);
                return None;
            }
        } else {
            // The rest is read again, sequentially.
            self.is_untaken |= is_untaken;
            self.ranges.clear();
            self.end = DateTime::UNIX_EPOCH;
        }
        Some(self.hand_out(page))
    }

    fn hand_out(&mut self, mut page: Page) -> Taken {
        self.bytes = self.bytes.saturating_sub(weight(&page));
        page.misfits.append(&mut self.misfits);
        if let Some(last) = page.records.last() {
            self.next = last.log_id.clone();
        }
        Taken::Page(page)
    }
}

#[cfg(test)]
mod tests;
