//! Reading on after an id: when the log has ended, and how to skip a record that is too large to read.

mod take;
mod unreadable;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use tracing::warn;

pub(crate) use self::take::Take;
use super::ahead::Log;
use super::error::LogsError;
use super::logs::{Logs, Search};
use super::start::{self, Misfits};
use crate::clock::Clock;
use crate::error::with_causes;
use crate::net::http::MAX_PAGE;
use crate::net::retry::{self, Again, Deadline, GaveUp, Transient as _};
use crate::record::{Elements, LogId, Misfit, Page, Record};

/// A short page counts as the end of the log only if its last record was stored this recently. If
/// it is not the end, the next run reads the rest in time. This is longer than the usual overlap
/// plus the minute between two runs, so that a quiet run stays one request.
const FRESH: TimeDelta = TimeDelta::minutes(3);

/// A tenant's log, read forward.
pub(crate) struct Forward {
    pub logs: Arc<Logs>,
    pub take: Arc<Take>,
    pub clock: Clock,
    /// Whether no later run goes on where this one ends, so that what is blocked is asked for in smaller
    /// parts at once.
    pub is_for_one_run: bool,
}

impl Log for Forward {
    type Error = GaveUp<LogsError>;

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, Self::Error> {
        after(self, id, deadline).await
    }

    /// Auth0 does not document its answer for an id that it no longer has.
    fn is_rejected(error: &Self::Error) -> bool {
        matches!(
            error.error,
            LogsError::BadRequest { .. } | LogsError::NotFound { .. } | LogsError::NotHeeded { .. }
        )
    }

    fn is_crowded(&self) -> bool {
        self.logs.is_crowded()
    }
}

/// Whether the tenant does not read on after a synthetic id.
pub(super) fn is_not_taken(error: &GaveUp<LogsError>) -> bool {
    Forward::is_rejected(error) || matches!(error.error, LogsError::NoProgress { .. })
}

async fn after(log: &Forward, id: &LogId, deadline: Deadline) -> Result<Page, GaveUp<LogsError>> {
    let Forward {
        logs, take, clock, ..
    } = log;
    // A single record does not show whether Auth0 honoured an id that is not a record's.
    let mut fewest = if id.is_synthetic() || id.is_end() {
        2
    } else {
        1
    };
    loop {
        let (asked, found) = request(log, id, fewest, deadline).await;
        let found = match found {
            Ok(found) => found,
            Err(error) if error.error.is_too_large() => {
                take.learn(asked, usize::MAX);
                fewest = 1;
                if asked > 1 {
                    continue;
                }
                return pass(logs, id, error, deadline).await;
            }
            Err(error) if asked <= fewest && error.error.may_be_for_a_record() => {
                return unreadable::pass(log, id, asked, error, deadline).await;
            }
            Err(error)
                if log.is_for_one_run
                    && error.error.may_be_for_a_record()
                    && error.error.again() == Again::Never
                    && !deadline.is_over() =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_short = take.is_short(asked, found.count());
        let is_last = found.count() == 0 || is_short && is_fresh(&found, clock());
        let last = found.records.iter().map(|it| &it.log_id).max();
        take.note_page(id, asked, last.filter(|_| !is_last), found.bytes());
        if found.records.is_empty() && !found.misfits.is_empty() {
            return pass_misfits(log, id, found.misfits, deadline).await;
        }
        let mut records = found.records;
        // Records that Auth0 repeats from earlier pages were handled with those.
        records.retain(|record| record.log_id > *id);
        return Ok(Page {
            is_last,
            records,
            misfits: found.misfits,
        });
    }
}

/// Requests the page after an id, of at least `fewest` records. Returns how many the last attempt asked
/// for.
///
/// Where fewer records may be answered, fewer are asked for: from the third attempt on, since the first
/// failure may have been the connection's, and in the next run where there is no other attempt in this one.
async fn request(
    Forward { logs, take, .. }: &Forward,
    id: &LogId,
    fewest: usize,
    deadline: Deadline,
) -> (usize, Result<Elements, GaveUp<LogsError>>) {
    let (asked, attempts) = (AtomicUsize::new(0), AtomicU32::new(0));
    let note = |error: &LogsError| note(take, id, asked.load(Ordering::Relaxed), error);
    let found = retry::retry(logs.jitter(), deadline, || async {
        let size = take.after(id).max(fewest);
        asked.store(size, Ordering::Relaxed);
        let found = logs.after_at_once(id, size, deadline).await;
        let is_first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        found.inspect_err(|error| {
            if !is_first {
                note(error);
            }
        })
    })
    .await;
    if let Err(error) = &found
        && error.attempts() == 1
    {
        note(&error.error);
    }
    (asked.into_inner(), found)
}

/// Notes that a request for `asked` records after an id failed, if fewer may be answered.
fn note(take: &Take, id: &LogId, asked: usize, error: &LogsError) {
    match error.again() {
        _ if !error.may_be_for_a_record() && !error.is_time_out() => {}
        Again::Never => take.note_blocked(id, asked),
        Again::Soon | Again::NotBefore(_) => take.note_failure(asked),
    }
}

/// Reads on after a page of misfits only, which has no id to read on after.
async fn pass_misfits(
    log: &Forward,
    id: &LogId,
    on_page: Vec<Misfit>,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    let mut misfits = Misfits::default();
    let mut last = on_page.last().cloned();
    misfits.add(on_page);
    while let Some(from) = last.take().filter(|_| !misfits.is_cut) {
        let found = page_with(log, id, &from, deadline).await?;
        let Some(mut found) = found else { break };
        found.records.retain(|record| record.log_id > *id);
        let known = misfits.met.len();
        last = found.misfits.last().cloned();
        misfits.add(found.misfits);
        if !found.records.is_empty() {
            return Ok(Page {
                is_last: false,
                records: found.records,
                misfits: misfits.met,
            });
        }
        if misfits.met.len() == known {
            break;
        }
    }
    search_past(&log.logs, id, misfits, deadline).await
}

/// The page after a synthetic id of the time at which a misfit is dated. It skips nothing if it has
/// that misfit, which was stored no earlier; `None` if it does not.
async fn page_with(
    Forward { logs, take, .. }: &Forward,
    id: &LogId,
    misfit: &Misfit,
    deadline: Deadline,
) -> Result<Option<Elements>, GaveUp<LogsError>> {
    let by_date = id.prefix().zip(misfit.date);
    let by_date = by_date.map(|(prefix, date)| LogId::synthetic(prefix, date));
    let Some(by_date) = by_date.filter(|it| it > id) else {
        return Ok(None);
    };
    match logs.after(&by_date, take.get(), deadline).await {
        Ok(found) => Ok(found.misfits.contains(misfit).then_some(found)),
        Err(error) if is_not_taken(&error) || error.error.is_too_large() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads on after an id, and misfits that were met. A search by date finds the next record, and the
/// misfits on the way to it.
async fn search_past(
    logs: &Logs,
    id: &LogId,
    mut misfits: Misfits,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    if misfits.is_cut {
        return Ok(Page {
            is_last: false,
            records: Vec::new(),
            misfits: misfits.met,
        });
    }
    let window = Search::after(id);
    let next = start::smallest_id(logs, window, |it| it > id, &mut misfits, deadline).await?;
    // What the search has not seen may come before what it found.
    let next = next.filter(|_| !misfits.is_cut);
    Ok(Page {
        is_last: next.is_none() && !misfits.is_cut,
        records: next.into_iter().collect(),
        misfits: misfits.met,
    })
}

/// Whether the last record was stored recently. A recent record before it may have another prefix,
/// whose end is within the page.
fn is_fresh(found: &Elements, now: DateTime<Utc>) -> bool {
    let last = found.records.iter().map(|it| &it.log_id).max();
    let stored = last.and_then(LogId::stored_at);
    stored.is_some_and(|it| (now - it).abs() <= FRESH)
}

/// Skips the next record, which is too large to read, and returns a marker in its place.
///
/// A page that was not read does not show its ids, but a search for ids only does. A request for
/// the record found by that search proves that it is the large one: if it were another, skipping it
/// would lose the large one.
///
/// If the large one may be a misfit, or has misfits before it, a search with all fields finds them.
async fn pass(
    logs: &Logs,
    id: &LogId,
    mut error: GaveUp<LogsError>,
    deadline: Deadline,
) -> Result<Page, GaveUp<LogsError>> {
    error.error = LogsError::RecordTooLarge {
        host: logs.host(),
        after: id.clone(),
    };
    let window = Search {
        is_brief: true,
        ..Search::after(id)
    };
    let mut misfits = Misfits::default();
    let next = start::smallest_id(logs, window, |it| it > id, &mut misfits, deadline).await;
    let head = match next {
        Err(search) if search.error.is_too_large() => return Err(error),
        head => head?,
    };
    let large = match head {
        None => None,
        Some(head) => match logs.one(&head.log_id, deadline).await {
            Err(alone) if alone.error.is_too_large() => Some(head),
            // What failed for now may succeed in the next run.
            Err(alone) => return Err(alone),
            Ok(_) => None,
        },
    };
    if !misfits.met.is_empty() {
        let page = search_past(logs, id, Misfits::default(), deadline).await?;
        let is_passed = large.is_some() || page.misfits.iter().any(start::is_unread);
        return if is_passed { Ok(page) } else { Err(error) };
    }
    let Some(head) = large else {
        return Err(error);
    };
    Ok(Page::of(marker(head)))
}

/// What is delivered instead of a record that is too large to be read.
pub(crate) fn marker(head: Record) -> Record {
    warn!(
        "the record {} is larger than {MAX_PAGE} bytes and was not read; a record that says so is \
         delivered in its place",
        head.log_id
    );
    in_place_of(head, &format!("which is larger than {MAX_PAGE} bytes"))
}

/// What is delivered instead of a record that fails like this whenever it is read.
fn marker_of_unreadable(head: Record, error: &LogsError) -> Record {
    warn!(
        "the record {} cannot be read ({}), although others after it can; a record that says so is \
         delivered in its place",
        head.log_id,
        with_causes(error)
    );
    in_place_of(
        head,
        "over which Auth0 fails, or which something on the way blocks",
    )
}

/// A record with what is known of one that was not read, for this reason.
fn in_place_of(head: Record, why: &str) -> Record {
    let mut fields: Map<String, Value> = serde_json::from_slice(&head.json).unwrap_or_default();
    fields.retain(|name, _| matches!(name.as_str(), "log_id" | "date" | "type"));
    let description =
        format!("auth0-poller could not read this record, {why}: its other fields are not here");
    fields.insert("description".to_owned(), description.into());
    Record {
        json: Value::Object(fields).to_string().into(),
        ..head
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::StatusCode;

    use super::*;
    use crate::net::http::SendError;

    fn at(clock: &str) -> DateTime<Utc> {
        format!("2026-11-21T{clock}Z").parse().unwrap()
    }

    fn found(stored: &[&str]) -> Elements {
        let ids = stored.iter().map(|it| LogId::synthetic("900", at(it)));
        let records = ids.map(|log_id| Record {
            log_id,
            date: None,
            json: Bytes::new(),
        });
        Elements {
            records: records.collect(),
            misfits: Vec::new(),
        }
    }

    #[test]
    fn only_after_what_fewer_records_may_help_with_are_fewer_asked_for() {
        let host = || "acme.eu.auth0.com".to_owned();
        let status = |status, again| LogsError::Status {
            host: host(),
            status,
            said: String::new(),
            is_blocked: status == StatusCode::FORBIDDEN,
            again,
        };
        let out_of_time = LogsError::Send {
            host: host(),
            source: SendError::OutOfTime,
        };
        for (error, expected) in [
            (status(StatusCode::BAD_GATEWAY, Again::Soon), 25),
            (status(StatusCode::FORBIDDEN, Again::Never), 50),
            (out_of_time, 50),
            (status(StatusCode::PAYLOAD_TOO_LARGE, Again::Never), 100),
            (LogsError::NotFound { host: host() }, 100),
        ] {
            let (take, id) = (Take::default(), LogId::new("1"));
            note(&take, &id, 100, &error);
            assert_eq!(take.after(&id), expected, "{error}");
        }
    }

    #[test]
    fn a_page_is_fresh_by_its_last_record() {
        let is_fresh = |stored: &[&str]| is_fresh(&found(stored), at("08:00:00"));
        assert!(!is_fresh(&[]));
        assert!(is_fresh(&["07:00:00", "07:57:00"]));
        assert!(is_fresh(&["07:57:00"]));
        assert!(!is_fresh(&["07:56:59"]));
        // This machine's clock may be slow, but not by more than that.
        assert!(is_fresh(&["08:03:00"]));
        assert!(!is_fresh(&["08:03:01"]));
    }

    #[test]
    fn what_is_fresh_ends_no_log_where_another_prefix_follows() {
        let now = at("08:00:00");
        let of = |[first, last]: [(&str, &str); 2]| {
            let ids = [first, last].map(|(prefix, clock)| LogId::synthetic(prefix, at(clock)));
            let mut found = found(&["07:00:00", "07:00:00"]);
            for (record, log_id) in found.records.iter_mut().zip(ids) {
                record.log_id = log_id;
            }
            is_fresh(&found, now)
        };
        assert!(!of([("800", "07:59:00"), ("900", "07:00:00")]));
        assert!(of([("800", "07:00:00"), ("900", "07:59:00")]));
    }

    #[test]
    fn an_id_without_a_time_ends_nothing() {
        let mut found = found(&["07:00:00"]);
        found.records[0].log_id = LogId::new("9001");
        assert!(!is_fresh(&found, at("08:00:00")));
    }

    #[test]
    fn a_marker_has_the_id_the_date_and_the_type_and_says_why() {
        let json = br#"{"type":"w","log_id":"9001","date":"2026-11-21T08:00:00Z","ip":"1.2.3.4"}"#;
        let head = Record {
            log_id: LogId::new("9001"),
            date: Some(at("08:00:00")),
            json: Bytes::from_static(json),
        };
        let marker = marker(head);
        assert_eq!(
            marker.text(),
            "{\"date\":\"2026-11-21T08:00:00Z\",\"description\":\"auth0-poller could not read this \
             record, which is larger than 67108864 bytes: its other fields are not here\",\
             \"log_id\":\"9001\",\"type\":\"w\"}"
        );
        assert_eq!(marker.log_id, LogId::new("9001"));
    }
}
