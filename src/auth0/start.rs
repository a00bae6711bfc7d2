//! The first page of a reading that has no id to resume from.
//!
//! Reading by checkpoint needs an id, and a start is a time. The obvious way, to search for
//! the first record of that time and to read on after its id, loses that record and every other
//! of the window whose id is smaller, because ids follow the time of storing and not the date.
//! So the reading begins below the window:
//!
//! 1. after a [synthetic id](LogId::synthetic) made of the time, which Auth0 takes although it
//!    does not say so; and where it does not:
//! 2. with the window's record of the smallest id, found by search, which is delivered itself.

use chrono::{DateTime, Utc};

use super::ahead::Log as _;
use super::error::LogsError;
use super::forward::{self, Forward};
use super::logs::{Logs, PAGE, SEARCH_LIMIT, Search};
use crate::net::retry::{Deadline, GaveUp};
use crate::record::{LogId, Misfit, Page, Record, STORING_DELAY, Start};

/// Reads the page with which a reading from `start` begins. It may hold records from shortly
/// before, never from after a record that it leaves out.
pub(crate) async fn first_page(
    log: &Forward,
    start: Start,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    let logs = &log.logs;
    let window = Search {
        from: match start {
            Start::At(time) => Some(time),
            Start::Oldest => None,
        },
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
    let date = earliest.records.iter().find_map(|it| it.date);
    // The smallest of the prefixes: of another one, the bound would lie above most of the records.
    let prefixes = earliest.records.iter().filter_map(|it| it.log_id.prefix());
    let bound = window.from.or(date).zip(prefixes.min());
    if let Some((begin, prefix)) = bound {
        let bound = LogId::synthetic(prefix, begin - STORING_DELAY);
        match log.after(&bound, deadline).await {
            // The search has found a record, so an empty page means that the id was not taken
            // for what it is.
            Ok(found) if found.records.is_empty() && found.misfits.is_empty() => {}
            Err(error)
                if matches!(
                    error.error,
                    LogsError::BadRequest { .. }
                        | LogsError::NoProgress { .. }
                        | LogsError::NotHeeded { .. }
                ) => {}
            result => return result,
        }
    }

    let mut misfits = Vec::new();
    let first = smallest_id(logs, window, |_| true, &mut misfits, deadline).await?;
    Ok(Page {
        // Misfits alone are not the end: there is nothing to read on after.
        is_last: first.is_none() && misfits.is_empty(),
        records: first.into_iter().collect(),
        misfits,
    })
}

/// The record of the smallest id in the window, of those that are wanted.
///
/// Searching goes by date, so it goes on until the dates are past the time of the smallest id so
/// far: a record is never stored before its date, so no smaller id can follow. Where the search's
/// limit comes first, the search begins anew at the date reached; so it does after a short page,
/// which is not the end where a tenant returns fewer records than it was asked for.
///
/// Where records are too large to be searched a page at a time, only their ids are, and the record
/// is asked for alone.
pub(crate) async fn smallest_id(
    logs: &Logs,
    mut window: Search,
    is_wanted: impl Fn(&LogId) -> bool,
    misfits: &mut Vec<Misfit>,
    deadline: Deadline,
) -> Result<Option<Record>, GaveUp<LogsError>> {
    let is_brief = window.is_brief;
    let mut smallest: Option<Record> = None;
    'windows: loop {
        let mut reached = None;
        for number in 0..SEARCH_LIMIT / PAGE {
            let found = match logs.search(window, number, PAGE, deadline).await {
                Err(error) if error.error.is_too_large() && !window.is_brief => {
                    window.is_brief = true;
                    window.from = reached.or(window.from);
                    continue 'windows;
                }
                found => found?,
            };
            let count = found.count();
            let dates = found.records.iter().map(|it| it.date);
            let dates = dates.chain(found.misfits.iter().map(|it| it.date));
            reached = dates.max().flatten().or(reached);
            if !window.is_brief {
                misfits.extend(found.misfits);
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
            if count < PAGE {
                break;
            }
        }
        if reached <= window.from {
            // A whole search of records of one millisecond: nothing tells them apart by date.
            break;
        }
        window.from = reached;
    }
    match smallest {
        Some(head) if window.is_brief && !is_brief => whole(logs, head, deadline).await.map(Some),
        smallest => Ok(smallest),
    }
}

/// When a record was stored, if that is not before its date: an id that says so has another shape.
fn stored_at(record: &Record) -> Option<DateTime<Utc>> {
    let stored = record.log_id.stored_at()?;
    record
        .date
        .is_none_or(|date| date <= stored)
        .then_some(stored)
}

/// The whole record, of which only the head is known.
async fn whole(logs: &Logs, head: Record, deadline: Deadline) -> Result<Record, GaveUp<LogsError>> {
    match logs.one(&head.log_id, deadline).await {
        Err(error) if error.error.is_too_large() => Ok(forward::marker(head)),
        found => found,
    }
}
