//! How densely records lie in the log, as far as a page shows it.

use chrono::TimeDelta;

use crate::record::{LogId, Page};

/// The span of a page counts as at least this.
const NEAREST: TimeDelta = TimeDelta::milliseconds(1);
/// The records of a page with a shorter span do not show how many follow.
const AT_ONCE: TimeDelta = TimeDelta::milliseconds(10);
/// Memory that a record takes besides its text, in bytes.
const OVERHEAD: usize = 256;

/// Bytes that a page takes in memory.
pub(super) fn weight(page: &Page) -> usize {
    page.bytes() + page.records.len() * OVERHEAD
}

/// How densely records lie in the log, by one page.
#[derive(Clone, Copy)]
pub(super) struct Density {
    /// Time from the first record to the last.
    span: TimeDelta,
    pub bytes: usize,
}

impl Density {
    pub fn of(page: &Page) -> Option<Self> {
        let stored = |id: &LogId| id.stored_at();
        let first = stored(&page.records.first()?.log_id)?;
        let last = stored(&page.records.last()?.log_id)?;
        (page.records.len() > 1).then_some(Self {
            span: (last - first).max(NEAREST),
            bytes: weight(page),
        })
    }

    /// Whether it can tell how much follows the page.
    pub fn tells_of_more(&self) -> bool {
        self.span >= AT_ONCE
    }

    /// The number of pages that are likely to cover `time`.
    pub fn pages(&self, time: TimeDelta) -> usize {
        let pages = time.num_milliseconds() / self.span.num_milliseconds().max(1);
        usize::try_from(pages).unwrap_or_default()
    }

    /// The time that `pages` pages are likely to cover.
    pub fn time(&self, pages: usize) -> TimeDelta {
        let pages = i32::try_from(pages).unwrap_or(i32::MAX);
        self.span.checked_mul(pages).unwrap_or(TimeDelta::MAX)
    }
}
