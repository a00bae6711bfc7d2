//! How records lie in the log, as far as a page shows it.

use chrono::TimeDelta;

use crate::record::{LogId, Page};

/// Two records of a page are taken to be so far apart at least.
const NEAREST: TimeDelta = TimeDelta::milliseconds(1);
/// A page whose records were written within less tells nothing of how many come after it.
const AT_ONCE: TimeDelta = TimeDelta::milliseconds(10);
/// Bytes of a record beside those of its text.
const OVERHEAD: usize = 256;

/// Bytes that a page takes in memory.
pub(super) fn weight(page: &Page) -> usize {
    page.bytes() + page.records.len() * OVERHEAD
}

/// How records lie in the log, by the page that was read last.
#[derive(Clone, Copy)]
pub(super) struct Density {
    /// Time from the first to the last of them.
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

    /// Whether it tells anything of what comes after the page.
    pub fn tells_of_more(&self) -> bool {
        self.span >= AT_ONCE
    }

    /// Pages that are likely to cover so much time.
    pub fn pages(&self, time: TimeDelta) -> usize {
        let pages = time.num_milliseconds() / self.span.num_milliseconds().max(1);
        usize::try_from(pages).unwrap_or_default()
    }

    /// Time that so many pages are likely to cover.
    pub fn time(&self, pages: usize) -> TimeDelta {
        let pages = i32::try_from(pages).unwrap_or(i32::MAX);
        self.span.checked_mul(pages).unwrap_or(TimeDelta::MAX)
    }
}
