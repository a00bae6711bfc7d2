//! The first page of a reading that has no id to resume from.
//!
//! Reading by checkpoint needs an id, and a beginning is a time. The obvious way, to search for
//! the first record of that time and to read on behind its id, loses that record and every other
//! of the window whose id is smaller, because ids follow the time of storing and not the date.
//! So the reading begins below the window:
//!
//! 1. behind a [synthetic id](LogId::synthetic) made of the time, which Auth0 takes although it
//!    does not say so; and where it does not:
//! 2. behind a real record from before the window; and where the tenant has none:
//! 3. with the window's record of the smallest id, found by search, which is delivered itself.

use super::log_id::{LogId, STORING_DELAY};
use super::logs::{Logs, LogsError, PAGE, SEARCH_LIMIT, Search};
use super::record::Record;
use crate::checkpoint::Start;
use crate::poll::Page;
use crate::retry::{Deadline, GaveUp};

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
    let Some(earliest) = earliest.into_iter().next() else {
        return Ok(Page::last(Vec::new()));
    };
    let begin = window.from.or(earliest.date);

    let bound = begin.zip(earliest.log_id.prefix());
    if let Some((begin, prefix)) = bound {
        let bound = LogId::synthetic(prefix, begin - STORING_DELAY);
        match logs.after(&bound, deadline).await {
            // The search has found a record, so an empty page means that the id was not taken
            // for what it is.
            Ok(records) if records.is_empty() => {}
            Err(error) if matches!(error.error, LogsError::BadRequest { .. }) => {}
            result => return result.map(page),
        }
    }

    let before = Search {
        from: None,
        to: begin.map(|begin| begin - STORING_DELAY),
        descending: true,
    };
    if before.to.is_some() {
        let older = logs.search(before, 0, PAGE, deadline).await?;
        if let Some(bound) = older.iter().map(|record| &record.log_id).min() {
            return logs.after(bound, deadline).await.map(page);
        }
    }

    let first = smallest_id(logs, window, deadline).await?;
    Ok(Page {
        records: first.into_iter().collect(),
        is_last: false,
    })
}

/// The record of the smallest id in the window.
///
/// Searching goes by date, so it goes on until the dates are past the time of the smallest id so
/// far: a record is never stored before its date, so no smaller id can follow.
async fn smallest_id(
    logs: &Logs,
    window: Search,
    deadline: Deadline,
) -> Result<Option<Record>, GaveUp<LogsError>> {
    let mut smallest: Option<Record> = None;
    for number in 0..SEARCH_LIMIT / PAGE {
        let found = logs.search(window, number, PAGE, deadline).await?;
        let is_last = found.len() < PAGE;
        let latest_date = found.last().and_then(|record| record.date);
        smallest = smallest
            .into_iter()
            .chain(found)
            .min_by(|a, b| a.log_id.cmp(&b.log_id));
        let stored = smallest
            .as_ref()
            .and_then(|record| record.log_id.stored_at());
        if is_last
            || latest_date
                .zip(stored)
                .is_some_and(|(date, stored)| date > stored)
        {
            break;
        }
    }
    Ok(smallest)
}

/// A page read by checkpoint.
pub fn page(records: Vec<Record>) -> Page {
    Page {
        is_last: records.len() < PAGE,
        records,
    }
}
