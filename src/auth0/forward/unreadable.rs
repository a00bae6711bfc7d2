//! A record that cannot be read: Auth0 fails over it, or something on the way blocks it. It would stop
//! every destination of the tenant for good, so it is passed once it is certain that the fault is in it.
//!
//! In an outage everything fails, and nothing may be passed. So a record is passed only if it has waited
//! for an hour, a record after it can be read, and it fails alone again after that.

use super::{Forward, marker_of_unreadable};
use crate::auth0::error::LogsError;
use crate::auth0::logs::{Logs, PAGE, Search};
use crate::auth0::start::{self, Misfits};
use crate::net::retry::{Deadline, GaveUp};
use crate::record::{LogId, Page, Record, has_waited};

/// How often a record has to fail alone, after another was read.
const CONFIRMED: u32 = 6;
/// Which of the records after it are tried, until one can be read: others may be as unreadable.
const TRIED: [usize; 4] = [1, 5, 20, 80];

/// Passes the next record after an id, which cannot be read, and returns a marker in its place. If that
/// is not certain, returns `error`, with which the request for it failed.
pub(super) async fn pass(
    log: &Forward,
    id: &LogId,
    error: GaveUp<LogsError>,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    match find(log, id, deadline).await {
        Some((head, why)) => Ok(Page::of(marker_of_unreadable(head, &why))),
        None => Err(error),
    }
}

/// The next record after an id, if the fault is in that record, and how it fails.
async fn find(
    Forward { logs, clock, .. }: &Forward,
    id: &LogId,
    deadline: Deadline,
) -> Option<(Record, GaveUp<LogsError>)> {
    // What comes after it was stored later.
    if !has_waited([id.stored_at(), None], clock()) {
        return None;
    }
    let window = Search {
        is_brief: true,
        ..Search::after(id)
    };
    let mut misfits = Misfits::default();
    let head = start::smallest_id(logs, window, |it| it > id, &mut misfits, deadline).await;
    let head = head.ok().flatten()?;
    let is_next = misfits.met.is_empty() && !misfits.is_cut;
    if !is_next || !has_waited([head.log_id.stored_at(), head.date], clock()) {
        return None;
    }
    if !is_any_read_after(logs, &head, deadline).await {
        return None;
    }
    let mut failed = 0;
    loop {
        match logs.one(&head.log_id, deadline).await {
            Err(alone) if alone.error.may_be_for_a_record() => {
                failed += alone.attempts();
                if failed >= CONFIRMED {
                    return Some((head, alone));
                }
            }
            _ => return None,
        }
    }
}

/// Whether Auth0 returns any of the records that follow this one.
async fn is_any_read_after(logs: &Logs, head: &Record, deadline: Deadline) -> bool {
    let reads = async |id: &LogId| match logs.after_at_once(id, 1, deadline).await {
        Ok(found) => Some(!found.records.is_empty()),
        Err(error) => (!error.may_be_for_a_record()).then_some(false),
    };
    if let Some(is_read) = reads(&head.log_id).await {
        return is_read;
    }
    let window = Search {
        from: head.date,
        is_brief: true,
        ..Search::OLDEST
    };
    let Ok(found) = logs.search(window, 0, PAGE, deadline).await else {
        return false;
    };
    let ids = found.records.into_iter().map(|it| it.log_id);
    let mut ids: Vec<_> = ids.filter(|it| *it > head.log_id).collect();
    ids.sort();
    for id in TRIED.iter().filter_map(|index| ids.get(*index)) {
        if let Some(is_read) = reads(id).await {
            return is_read;
        }
    }
    false
}
