//! A record that cannot be read: Auth0 fails over it, or something on the way blocks it. It would stop
//! every destination of the tenant for good, so it is passed once it is certain that the fault is in it.
//!
//! In an outage everything fails, and nothing may be passed; when one ends, or comes and goes, some
//! requests fail and others do not. So a record is passed only if it has waited for an hour, and if it
//! fails each time, in turns with a record after it that is read each time.

use std::time::Duration;

use tokio::time::Instant;

use super::{Forward, marker_of_unreadable};
use crate::auth0::error::LogsError;
use crate::auth0::logs::{Logs, PAGE, Search};
use crate::auth0::start;
use crate::net::retry::{Again, Deadline, GaveUp, LONGEST_ASKED, Transient as _};
use crate::record::{LogId, Page, Record, has_waited};

/// How often the record has to fail in turns with one that is read.
const TURNS: usize = 6;
/// How often at least, where these turns are slow, so that they fit into a run.
const SLOW_TURNS: usize = 3;
/// Time after which turns count as slow.
const SLOW: Duration = Duration::from_secs(45);
/// Which of the records after it are tried, until one can be read: others may be as unreadable. Where there
/// are fewer, it is the last one.
const TRIED: [usize; 4] = [1, 5, 20, 80];

/// What comes next after an id, of which a request for `asked` records failed: a marker in place of a
/// record that cannot be read, or the one record before it. If neither is certain, returns `error`, with
/// which the request failed.
pub(super) async fn pass(
    log: &Forward,
    id: &LogId,
    asked: usize,
    error: GaveUp<LogsError>,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    if asked > 1
        && let Some(page) = one_before(&log.logs, id, deadline).await
    {
        return Ok(page);
    }
    match find(log, id, deadline).await {
        Some((head, why)) => Ok(Page::of(marker_of_unreadable(head, &why))),
        None => Err(error),
    }
}

/// The next record after an id that is not a record's, if that record is not the one at fault. A search
/// shows that Auth0 honoured the id.
async fn one_before(logs: &Logs, id: &LogId, deadline: Deadline) -> Option<Page> {
    let found = logs.after_at_once(id, 1, deadline).await.ok()?;
    let first = &found.records.first()?.log_id;
    let is_next = start::shown_after(logs, id, deadline).await?.log_id == *first;
    is_next.then_some(Page {
        is_last: false,
        records: found.records,
        misfits: found.misfits,
    })
}

/// The next record after an id, if the fault is in that record, and how it fails.
async fn find(
    Forward { logs, clock, .. }: &Forward,
    id: &LogId,
    deadline: Deadline,
) -> Option<(Record, LogsError)> {
    // What comes after it was stored later.
    if !has_waited([id.stored_at(), None], clock()) {
        return None;
    }
    let head = start::shown_after(logs, id, deadline).await?;
    if !has_waited([head.log_id.stored_at(), head.date], clock()) {
        return None;
    }
    let read = read_after(logs, &head, deadline).await?;
    let (began, mut turn) = (Instant::now(), 0);
    loop {
        failure(logs.after_at_once(id, 1, deadline).await, deadline).await?;
        let why = failure(logs.one_at_once(&head.log_id, deadline).await, deadline).await?;
        if !is_read(logs, &read, deadline).await.ok()? {
            return None;
        }
        turn += 1;
        if are_enough(turn, began.elapsed()) {
            return Some((head, why));
        }
    }
}

/// Whether this many turns, which took this long, show that the fault is in the record.
fn are_enough(turns: usize, took: Duration) -> bool {
    turns >= TURNS || turns >= SLOW_TURNS && took >= SLOW
}

/// How a request failed, if the cause may be the record that it is for, after the time that the service
/// asked to wait.
async fn failure<T>(answer: Result<T, LogsError>, deadline: Deadline) -> Option<LogsError> {
    let error = answer.err().filter(LogsError::may_be_for_a_record)?;
    if let Again::NotBefore(least) = error.again() {
        let wait = least.min(LONGEST_ASKED);
        if wait >= deadline.remaining() {
            return None;
        }
        tokio::time::sleep(wait).await;
    }
    Some(error)
}

/// The id of one of the records that follow this one, after which Auth0 returns another.
async fn read_after(logs: &Logs, head: &Record, deadline: Deadline) -> Option<LogId> {
    match is_read(logs, &head.log_id, deadline).await {
        Ok(is_read) => return is_read.then(|| head.log_id.clone()),
        Err(error) => failure::<()>(Err(error), deadline).await?,
    };
    let window = Search {
        from: head.date,
        is_brief: true,
        ..Search::OLDEST
    };
    let found = logs.search(window, 0, PAGE, deadline).await.ok()?;
    let ids = found.records.into_iter().map(|it| it.log_id);
    let mut ids: Vec<_> = ids.filter(|it| *it > head.log_id).collect();
    ids.sort();
    // After the last but one comes the last.
    let last = ids.len().checked_sub(2)?;
    let mut tried = TRIED.map(|index| index.min(last)).to_vec();
    tried.dedup();
    for id in tried.into_iter().map(|index| &ids[index]) {
        match is_read(logs, id, deadline).await {
            Ok(is_read) => return is_read.then(|| id.clone()),
            Err(error) => failure::<()>(Err(error), deadline).await?,
        };
    }
    None
}

/// Whether Auth0 returns the record after this id.
async fn is_read(logs: &Logs, id: &LogId, deadline: Deadline) -> Result<bool, LogsError> {
    let found = logs.after_at_once(id, 1, deadline).await?;
    Ok(!found.records.is_empty())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn slow_turns_need_not_be_as_many() {
        for (turns, seconds, expected) in [
            (5, 44, false),
            (6, 0, true),
            (2, 240, false),
            (3, 44, false),
            (3, 45, true),
            (4, 46, true),
        ] {
            let found = are_enough(turns, Duration::from_secs(seconds));
            assert_eq!(found, expected, "{turns} {seconds}");
        }
    }

    /// How a request failed, after which the service asks to wait this long, and how long that took with
    /// `left` until the deadline. `None` if that is too long.
    async fn waited(again: Again, left: Duration) -> Option<Duration> {
        let answer = Err::<(), _>(LogsError::Status {
            host: "acme.eu.auth0.com".to_owned(),
            status: StatusCode::SERVICE_UNAVAILABLE,
            said: String::new(),
            is_blocked: false,
            again,
        });
        let began = Instant::now();
        let failed = failure(answer, Deadline::after(left)).await;
        if failed.is_none() {
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
        failed.map(|_| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_not_asked_for_again_before_the_service_allows_it() {
        let seconds = Duration::from_secs;
        for (asked, left, expected) in [
            (seconds(0), seconds(60), Some(seconds(0))),
            (seconds(7), seconds(60), Some(seconds(7))),
            (seconds(59), seconds(60), Some(seconds(59))),
            (seconds(60), seconds(60), None),
            (seconds(61), seconds(60), None),
        ] {
            let found = waited(Again::NotBefore(asked), left).await;
            assert_eq!(found, expected, "{asked:?}");
        }
        for again in [Again::Soon, Again::Never] {
            let found = waited(again, seconds(60)).await;
            assert_eq!(found, Some(seconds(0)), "{again:?}");
        }
    }

    /// A replay has no end of its time.
    #[tokio::test(start_paused = true)]
    async fn however_long_a_service_asks_to_wait_it_is_no_more_than_an_hour() {
        for asked in [24 * HOUR, Duration::from_secs(u64::MAX)] {
            let found = waited(Again::NotBefore(asked), 365 * 24 * HOUR).await;
            assert_eq!(found, Some(HOUR), "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_record_is_at_fault_for_tells_nothing_of_one() {
        let host = || "acme.eu.auth0.com".to_owned();
        let deadline = Deadline::after(HOUR);
        let not_found = LogsError::NotFound { host: host() };
        assert!(failure::<()>(Err(not_found), deadline).await.is_none());
        assert!(failure(Ok(()), deadline).await.is_none());
    }
}
