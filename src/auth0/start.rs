//! The first page of a read that has no id to resume from.
//!
//! Reading by checkpoint needs an id, but a start is a time. The obvious way is to search for the
//! first record of that time and to read on after its id. That loses this record and every other
//! record of the window with a smaller id, because ids follow the storage time and not the date. So
//! the read begins below the window:
//!
//! 1. after a [synthetic id](LogId::synthetic) made from the time, which Auth0 accepts although it
//!    is undocumented;
//! 2. if Auth0 does not accept it, with the window's record of the smallest id, which is found by
//!    search and itself delivered.

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use tracing::warn;

use super::ahead::Log as _;
use super::error::LogsError;
use super::forward::{self, Forward};
use super::logs::{COMFORTABLE, Logs, PAGE, SEARCH_LIMIT, Search};
use crate::net::retry::{Deadline, GaveUp};
use crate::record::{
    CLOCK_ERROR, Elements, LogId, MOST_MISFITS, Misfit, Page, Record, STORING_DELAY, Start,
};

/// Why a misfit is set aside of which a search shows only the date and the type.
const UNREAD: &str =
    "it has no log_id, and is too large for more than its date and type to be read";

/// Whether a search showed only a part of this misfit.
pub(super) fn is_unread(misfit: &Misfit) -> bool {
    misfit.reason == UNREAD
}

/// The misfits that a search meets, each once.
#[derive(Default)]
pub(super) struct Misfits {
    pub met: Vec<Misfit>,
    known: HashSet<Bytes>,
    bytes: usize,
    /// Whether the search has not seen all: they were too many, or more had one date than it shows.
    pub is_cut: bool,
}

impl Misfits {
    /// Adds those that were not met before. Returns whether they are too many to search on.
    pub fn add(&mut self, misfits: Vec<Misfit>) -> bool {
        for misfit in misfits {
            if self.known.insert(misfit.json.clone()) {
                self.bytes += misfit.json.len();
                self.met.push(misfit);
            }
        }
        let are_too_many = self.bytes > MOST_MISFITS;
        self.is_cut |= are_too_many;
        are_too_many
    }
}

/// Reads the first page from `start`. It may include records from shortly before, and never skips a record.
pub(crate) async fn first_page(
    log: &Forward,
    start: Start,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    let logs = &log.logs;
    let window = Search {
        from: start.time(),
        ..Search::OLDEST
    };
    let brief = Search {
        is_brief: true,
        ..window
    };
    let earliest = logs.search(brief, 0, PAGE, deadline).await?;
    if earliest.count() == 0 {
        return Ok(Page::last(Vec::new()));
    }
    // The smallest prefix: with a larger one, the bound would lie above the records of the smaller ones.
    let prefixes = earliest.records.iter().filter_map(|it| it.log_id.prefix());
    if let Some(prefix) = prefixes.min() {
        // Of what has no date, or no id, a search need not show the oldest.
        let begin = window.from.map(|it| it - STORING_DELAY);
        let bound = LogId::synthetic(prefix, begin.unwrap_or(DateTime::UNIX_EPOCH));
        let shown = earliest.records.iter().map(|it| &it.log_id);
        let shown = shown.filter(|it| **it > bound).min();
        match log.after(&bound, deadline).await {
            // If Auth0 did not treat the id as a lower bound, what the search found is missing.
            Ok(found) if !begins_by(&found, shown) => {}
            Err(error) if forward::is_not_taken(&error) => {}
            result => return result,
        }
    }

    let mut misfits = Misfits::default();
    let first = smallest_id(logs, window, |_| true, &mut misfits, deadline).await?;
    Ok(Page {
        // Misfits alone do not mean the end of the log: they only leave no id to read on after.
        is_last: first.is_none() && misfits.met.is_empty(),
        records: first.into_iter().collect(),
        misfits: misfits.met,
    })
}

/// Whether a page has this record, or one before it.
fn begins_by(page: &Page, shown: Option<&LogId>) -> bool {
    let first = page.records.iter().map(|it| &it.log_id).min();
    match (first, shown) {
        (Some(first), Some(shown)) => first <= shown,
        (first, _) => first.is_some() || !page.misfits.is_empty(),
    }
}

/// The sizes of a page of a search. Each is a multiple of the next, so that a smaller page begins where
/// a larger one would.
const SIZES: [usize; 5] = [PAGE, 50, 25, 5, 1];

/// The next record after an id, with its id, its date and its type only, if a search shows that nothing
/// comes before it.
pub(super) async fn shown_after(logs: &Logs, id: &LogId, deadline: Deadline) -> Option<Record> {
    let window = Search {
        is_brief: true,
        ..Search::after(id)
    };
    let mut misfits = Misfits::default();
    let next = smallest_id(logs, window, |it| it > id, &mut misfits, deadline).await;
    let next = next.ok().flatten()?;
    let stored = stored_at(&next);
    // What has no id may come before it, unless it happened after the record was stored. The two times may
    // be those of two clocks.
    let is_later = |it: &Misfit| {
        it.date
            .zip(stored)
            .is_some_and(|(date, stored)| date > stored + CLOCK_ERROR)
    };
    let is_next = !misfits.is_cut && misfits.met.iter().all(is_later);
    is_next.then_some(next)
}

/// The record with the smallest id among those in the window that `is_wanted` accepts, and the
/// misfits on the way.
///
/// Results come by date, so the search continues until the dates pass the storage time of the
/// smallest id so far: a record is never stored before its date, so no smaller id can follow. When
/// the search reaches its limit first, a new search begins at the last date. The same happens after
/// a short page, which is not the end if the tenant returns fewer records than requested; where the new
/// search gets no further, as many are requested as were returned.
///
/// A page that is too large is requested again with fewer records. Of one that is too large by itself
/// the search shows only the id, the date and the type, and the record is then fetched alone.
///
/// Where misfits are too many, the search ends without having seen all. Of more records of one
/// millisecond than a search can show it has not seen all, either.
pub(super) async fn smallest_id(
    logs: &Logs,
    mut window: Search,
    is_wanted: impl Fn(&LogId) -> bool,
    misfits: &mut Misfits,
    deadline: Deadline,
) -> Result<Option<Record>, GaveUp<LogsError>> {
    let mut smallest: Option<Record> = None;
    let (mut limit, mut size, mut most, mut has_brief) = (PAGE, PAGE, 0, false);
    'windows: loop {
        let (mut reached, mut offset) = (None, 0);
        let mut short = None;
        while offset < SEARCH_LIMIT {
            let found = match logs.search(window, offset / size, size, deadline).await {
                Err(error) if error.error.is_too_large() && size > 1 => {
                    size = largest(|it| it < size);
                    continue;
                }
                Err(error) if error.error.is_too_large() && !window.is_brief => {
                    has_brief = true;
                    in_brief(logs, window, offset, deadline).await?
                }
                found => found?,
            };
            let (count, bytes) = (found.count(), found.bytes());
            let dates = found.records.iter().map(|it| it.date);
            let dates = dates.chain(found.misfits.iter().map(|it| it.date));
            reached = dates.max().flatten().or(reached);
            if misfits.add(found.misfits) {
                return Ok(None);
            }
            let wanted = found.records.into_iter().filter(|it| is_wanted(&it.log_id));
            smallest = smallest
                .into_iter()
                .chain(wanted)
                .min_by(|a, b| a.log_id.cmp(&b.log_id));
            let stored = smallest.as_ref().and_then(stored_at);
            let is_past = reached
                .zip(stored)
                .is_some_and(|(date, stored)| date > stored);
            if count == 0 || is_past {
                break 'windows;
            }
            most = most.max(count);
            if count < size {
                short = Some(count);
                break;
            }
            offset += size;
            // The next records are likely to be as large.
            let fits = |it| it <= limit && bytes / count * it <= COMFORTABLE;
            size = largest(|it| offset.is_multiple_of(it) && fits(it));
        }
        window.from = match (reached, short) {
            (reached, _) if reached > window.from => reached,
            // All records found are of one millisecond, so a new search by date gets no further.
            (_, Some(count)) if count < size.min(most) => break,
            (_, Some(count)) => {
                // They may be all that the tenant returns at once.
                limit = largest(|it| it <= count);
                size = limit;
                window.from
            }
            (Some(date), None) => {
                warn_of_crowd(date);
                misfits.is_cut = true;
                Some(date + TimeDelta::milliseconds(1))
            }
            (None, None) => {
                misfits.is_cut = true;
                break;
            }
        };
    }
    match smallest {
        Some(head) if has_brief => whole(logs, head, deadline).await.map(Some),
        smallest => Ok(smallest),
    }
}

/// The id, the date and the type of one element of a search, which is too large to be read.
async fn in_brief(
    logs: &Logs,
    window: Search,
    number: usize,
    deadline: Deadline,
) -> Result<Elements, GaveUp<LogsError>> {
    let brief = Search {
        is_brief: true,
        ..window
    };
    let mut found = logs.search(brief, number, 1, deadline).await?;
    for misfit in &mut found.misfits {
        misfit.reason = UNREAD;
    }
    Ok(found)
}

/// The record with the smallest id of a prefix, among those dated `from` or later, and the misfits on the
/// way; `None` if there is no such record.
pub(super) async fn smallest_of(
    logs: &Logs,
    prefix: &str,
    from: DateTime<Utc>,
    deadline: Deadline,
) -> Result<Option<Page>, GaveUp<LogsError>> {
    let window = Search {
        from: Some(from),
        ..Search::OLDEST
    };
    let is_wanted = |id: &LogId| id.prefix() == Some(prefix);
    let mut misfits = Misfits::default();
    let found = smallest_id(logs, window, is_wanted, &mut misfits, deadline).await?;
    let is_there = found.is_some() || misfits.is_cut;
    Ok(is_there.then(|| Page {
        is_last: false,
        records: found.into_iter().collect(),
        misfits: misfits.met,
    }))
}

fn warn_of_crowd(date: DateTime<Utc>) {
    warn!(
        "more than {SEARCH_LIMIT} records have the date {}, and a search shows no more of them; the others \
         are read only if their ids come after those that it shows",
        date.to_rfc3339_opts(SecondsFormat::Millis, true)
    );
}

/// The largest size of a page that is right.
fn largest(is_right: impl Fn(usize) -> bool) -> usize {
    let mut sizes = SIZES.into_iter();
    sizes.find(|it| is_right(*it)).unwrap_or(1)
}

/// When a record was stored. `None` if that would be before its date: the id then has another format.
fn stored_at(record: &Record) -> Option<DateTime<Utc>> {
    let stored = record.log_id.stored_at()?;
    record
        .date
        .is_none_or(|date| date <= stored)
        .then_some(stored)
}

/// Fetches the full record of a `head`, or its marker if the record is too large.
pub(super) async fn whole(
    logs: &Logs,
    head: Record,
    deadline: Deadline,
) -> Result<Record, GaveUp<LogsError>> {
    match logs.one(&head.log_id, deadline).await {
        Err(error) if error.error.is_too_large() => Ok(forward::marker(head)),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(begin: u8, length: usize) -> Misfit {
        let mut json = vec![0; length];
        json[0] = begin;
        Misfit {
            json: json.into(),
            date: None,
            reason: "it has no log_id",
        }
    }

    #[test]
    fn misfits_are_counted_once_each_until_they_are_too_many() {
        let half = MOST_MISFITS / 2;
        let mut misfits = Misfits::default();
        assert!(!misfits.add(vec![misfit(1, half), misfit(1, half), misfit(2, half)]));
        assert!(!misfits.add(vec![misfit(2, half)]));
        assert!(misfits.add(vec![misfit(3, 1)]));
        assert_eq!(misfits.met.len(), 3);
    }
}
