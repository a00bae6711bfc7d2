//! The first page of a reading that has no id to resume from.
//!
//! Reading by checkpoint needs an id, and a beginning is a time. The obvious way, to search for
//! the first record of that time and to read on behind its id, loses that record and every other
//! of the window whose id is smaller, because ids follow the time of storing and not the date.
//! So the reading begins below the window:
//!
//! 1. behind a [synthetic id](LogId::synthetic) made of the time, which Auth0 takes although it
//!    does not say so; and where it does not:
//! 2. with the window's record of the smallest id, found by search, which is delivered itself.

use bytes::Bytes;

use super::logs::{Logs, LogsError, PAGE, SEARCH_LIMIT, Search};
use crate::net::retry::{Deadline, GaveUp};
use crate::record::{Elements, LogId, Page, Record, STORING_DELAY, Start};

/// Reads the page with which a reading from `start` begins. It may hold records from shortly
/// before, never from after a record that it leaves out.
pub async fn first_page(
    logs: &Logs,
    start: Start,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    let window = Search {
        from: match start {
            Start::At(time) => Some(time),
            Start::Oldest => None,
        },
        to: None,
        descending: false,
    };
    let earliest = logs.search(window, 0, 1, deadline).await?;
    if earliest.count() == 0 {
        return Ok(Page::last(Vec::new()));
    }
    let earliest = earliest.records.first();
    let begin = window.from.or(earliest.and_then(|it| it.date));

    let bound = begin.zip(earliest.and_then(|it| it.log_id.prefix()));
    if let Some((begin, prefix)) = bound {
        let bound = LogId::synthetic(prefix, begin - STORING_DELAY);
        match logs.after(&bound, deadline).await {
            // The search has found a record, so an empty page means that the id was not taken
            // for what it is.
            Ok(found) if found.count() == 0 => {}
            Err(error) if matches!(error.error, LogsError::BadRequest { .. }) => {}
            result => return result.map(page),
        }
    }

    let mut misfits = Vec::new();
    let first = smallest_id(logs, window, &mut misfits, deadline).await?;
    Ok(Page {
        // Without a single record there is nothing to read on behind.
        is_last: first.is_none(),
        records: first.into_iter().collect(),
        misfits,
    })
}

/// The record of the smallest id in the window.
///
/// Searching goes by date, so it goes on until the dates are past the time of the smallest id so
/// far: a record is never stored before its date, so no smaller id can follow. Where the search's
/// limit comes first, the search begins anew at the date reached.
async fn smallest_id(
    logs: &Logs,
    mut window: Search,
    misfits: &mut Vec<Bytes>,
    deadline: Deadline,
) -> Result<Option<Record>, GaveUp<LogsError>> {
    let mut smallest: Option<Record> = None;
    loop {
        let mut reached = None;
        for number in 0..SEARCH_LIMIT / PAGE {
            let found = logs.search(window, number, PAGE, deadline).await?;
            let is_last = found.count() < PAGE;
            let last = found.records.last();
            reached = last.and_then(|record| record.date).or(reached);
            misfits.extend(found.misfits);
            smallest = smallest
                .into_iter()
                .chain(found.records)
                .min_by(|a, b| a.log_id.cmp(&b.log_id));
            let stored = smallest.as_ref().and_then(|it| it.log_id.stored_at());
            if is_last
                || reached
                    .zip(stored)
                    .is_some_and(|(date, stored)| date > stored)
            {
                return Ok(smallest);
            }
        }
        if reached <= window.from {
            // A whole search of records of one millisecond: nothing tells them apart by date.
            return Ok(smallest);
        }
        window.from = reached;
    }
}

/// A page read by checkpoint.
pub fn page(found: Elements) -> Page {
    Page {
        is_last: found.count() < PAGE,
        records: found.records,
        misfits: found.misfits,
    }
}
