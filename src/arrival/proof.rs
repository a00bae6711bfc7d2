//! Looks for delivered records in the table, and reports the result.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tracing::{info, warn};

use super::error::AskError;
use super::question::{AT_ONCE, Question, TABLE};
use crate::azure::log_query::LogQuery;
use crate::clock::{Clock, to_seconds};
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::record::{LogId, is_future};
use crate::report::{Report, alone};
use crate::settings::SettingsError;
use crate::state::{ArrivalStore, Found, Timing, Wanted, by_hour};

/// Time limit for a look, however many queries it takes.
const LOOKING: Duration = Duration::from_mins(1);
/// Time limit for reading the ids of an hour, so that one that cannot be read keeps no other from its turn.
const READING: Duration = Duration::from_secs(10);
/// Time limit for reading the result after the run.
const TELLING: Duration = Duration::from_secs(5);
/// Pause after a failed query.
const PAUSE: TimeDelta = TimeDelta::minutes(10);
/// Maximum log ids in a message.
const NAMED: usize = 20;

/// A replay of what is missing begins so long before the first of these records was stored, and ends so
/// long after the last was. Its times are those of the records' dates, which differ by seconds.
const AROUND: TimeDelta = TimeDelta::minutes(10);

/// Records are missing for good.
#[derive(Debug, thiserror::Error)]
#[error(
    "{count} records that the destination acknowledged are not in the table, and no more is done \
     about it: {names}; see that the workspace of WorkspaceID is the one that is delivered to, look \
     at its ingestion errors, and deliver them by `auth0-poller replay --from {from} --to {to}` when \
     the cause is gone ({only})"
)]
struct Lost {
    count: usize,
    names: String,
    from: String,
    to: String,
    only: String,
}

impl Lost {
    /// These records of the destination with this label.
    fn of(ids: &BTreeSet<LogId>, label: &str) -> Self {
        let stored = || ids.iter().filter_map(LogId::stored_at);
        // Only ids that contain a time are kept.
        let time = |it: Option<DateTime<Utc>>| it.map_or_else(|| "…".to_owned(), to_seconds);
        Self {
            count: ids.len(),
            names: names(ids),
            from: time(stored().min().map(|it| it - AROUND)),
            to: time(stored().max().map(|it| it + AROUND)),
            only: alone(label),
        }
    }
}

/// Missing records could not be delivered again.
#[derive(Debug, thiserror::Error)]
#[error(
    "{count} records that the destination acknowledged are not in the table, and could not be \
     delivered again, which is tried after the next look, unless two parts of an hour were delivered \
     and nothing of them arrived: {why}"
)]
struct NotSentAgain {
    count: usize,
    why: String,
}

/// The proof for one destination of one tenant.
pub(crate) struct Proof {
    /// Identifies the destination in messages.
    label: String,
    pub(super) store: ArrivalStore,
    timing: Timing,
    /// The workspace to query, or why it cannot be queried.
    table: Result<LogQuery, SettingsError>,
    clock: Clock,
    unasked: Mutex<Option<Unasked>>,
    /// Why the ids of an hour could not be read at the last look.
    unread: Mutex<Option<String>>,
    /// Records whose arrival will not be checked, until they are reported.
    given_up: AtomicU64,
    /// The same, of those that could not be noted.
    unnoted: AtomicU64,
}

/// A failed query.
struct Unasked {
    at: DateTime<Utc>,
    why: String,
    /// The hour that the query was about.
    hour: Option<DateTime<Utc>>,
}

impl Proof {
    pub fn new(
        label: String,
        store: ArrivalStore,
        timing: Timing,
        table: Result<LogQuery, SettingsError>,
        clock: &Clock,
    ) -> Self {
        Self {
            label,
            store,
            timing,
            table,
            clock: clock.clone(),
            unasked: Mutex::default(),
            unread: Mutex::default(),
            given_up: AtomicU64::default(),
            unnoted: AtomicU64::default(),
        }
    }

    /// Notes what the destination has acknowledged. Returns whether the note is stored.
    pub(super) async fn accept(&self, ids: &BTreeSet<LogId>, deadline: Deadline) -> bool {
        let now = self.now();
        let given_up = self.note(self.store.accept(ids, now, deadline).await);
        self.given_up
            .fetch_add(given_up.unwrap_or_default(), Ordering::Relaxed);
        given_up.is_some()
    }

    /// Gives up so many acknowledged records, which could not be noted.
    pub(super) fn give_up_unnoted(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.unnoted.fetch_add(count, Ordering::Relaxed);
    }

    /// Looks for all hours that are due, or for as many as the time allows. A failed query is logged,
    /// and is no error.
    pub async fn look(&self, deadline: Deadline) -> Vec<Found> {
        let deadline = deadline.within(LOOKING);
        let now = self.now();
        let (is_pause, last) = {
            let unasked = self.unasked();
            let last = unasked.as_ref();
            (
                last.is_some_and(|it| now - it.at < PAUSE && !is_future(it.at, now)),
                last.and_then(|it| it.hour),
            )
        };
        if is_pause {
            return Vec::new();
        }
        self.note(self.store.tidy(deadline).await);
        let due = self.store.see(deadline, |it| it.due(self.timing, now));
        let due = self.note(due.await);
        let is_known = due.is_some();
        let mut due = due.unwrap_or_default();
        // The query may fail for that hour only, so the hours after it come first.
        let after = due.iter().position(|it| Some(it.hour) > last);
        due.rotate_left(after.unwrap_or_default());
        let (mut found, mut hour, mut unread) = (Vec::new(), None, None);
        let mut failure = match &self.table {
            Err(problem) => Some(problem.clone().into()),
            Ok(_) => None,
        };
        // The table answers, but not for all hours in time. The next look goes on with those that are left.
        let is_late = |found: &[Found]| deadline.is_over() && !found.is_empty();
        for wanted in &due {
            let Ok(table) = &self.table else {
                break;
            };
            let ids = (self.store).ids(wanted, now, deadline.within(READING));
            let ids = match ids.await {
                Ok(Some(ids)) => ids,
                Ok(None) => continue,
                Err(_) if is_late(&found) => break,
                Err(error) => {
                    unread.get_or_insert_with(|| with_causes(&error));
                    continue;
                }
            };
            match self.find(wanted, &ids, table, deadline).await {
                Ok(it) => found.push(it),
                Err(_) if is_late(&found) => break,
                Err(error) => {
                    failure = Some(error);
                    hour = Some(wanted.hour);
                    break;
                }
            }
        }
        // Otherwise nobody knows whether the ids of all hours can be read.
        let is_whole = is_known && failure.is_none() && !is_late(&found);
        if unread.is_some() || is_whole {
            self.note_unread(unread);
        }
        let is_over = !found.is_empty() || failure.is_some();
        if is_over {
            let why = failure.map(|error: AskError| with_causes(&error));
            if let Some(why) = &why {
                warn!(
                    "{}: the table could not be queried for what has arrived: {why}",
                    self.label
                );
            }
            *self.unasked() = why.map(|why| Unasked { at: now, why, hour });
        }
        found
    }

    /// Which of these records of an hour are in the table.
    async fn find(
        &self,
        wanted: &Wanted,
        ids: &BTreeSet<LogId>,
        table: &LogQuery,
        deadline: Deadline,
    ) -> Result<Found, AskError> {
        let ids: Vec<_> = ids.iter().collect();
        let mut found = Found {
            hour: wanted.hour,
            accepted: wanted.accepted,
            landed: 0,
            missing: BTreeSet::new(),
        };
        for ids in ids.chunks(AT_ONCE) {
            if deadline.is_over() {
                return Err(AskError::OutOfTime);
            }
            let question = Question {
                hour: wanted.hour,
                since: wanted.hour.min(wanted.delivered_at),
                ids,
                by_name: wanted.by_name,
            };
            let timespan = question.timespan(self.now());
            let query = question.query();
            let rows = table.ask(&query, TABLE, &timespan, deadline).await?;
            let answer = question.answer(rows.as_ref()).ok_or(AskError::Form)?;
            found.landed += answer.landed;
            found.missing.extend(answer.missing);
        }
        Ok(found)
    }

    /// Stores what was found, and reports what is missing. Returns the records to deliver again. Records
    /// missing for good fail the run. If another process has checked an hour in the meantime, it does
    /// all this for that hour.
    pub async fn settle(
        &self,
        found: &[Found],
        report: &mut Report,
        deadline: Deadline,
    ) -> BTreeSet<LogId> {
        let now = self.now();
        let mut lost = BTreeSet::new();
        let settled = self.store.change(deadline, |it| {
            let found = found.iter();
            let due = found.filter(|found| it.is_due(found.hour, self.timing, now));
            let due: Vec<_> = due.cloned().collect();
            let verdict = it.find(&due, now);
            lost = verdict.lost;
            verdict.missing
        });
        let settled = settled.await;
        // A write without an answer may have been made, and then no later run judges these again.
        if settled.as_ref().is_err_and(|error| !error.is_unanswered()) {
            lost.clear();
        }
        let missing = self.note(settled).unwrap_or_default();
        if !missing.is_empty() {
            let (count, names) = (missing.len(), names(&missing));
            warn!(
                "{}: {count} records that the destination acknowledged are not in the table, and are \
                 delivered again: {names}",
                self.label
            );
        }
        if !lost.is_empty() {
            report.fail(&Lost::of(&lost, &self.label));
        }
        missing
    }

    /// The missing records hour by hour, in the order in which they are to be delivered again.
    pub async fn turns(
        &self,
        missing: &BTreeSet<LogId>,
        deadline: Deadline,
    ) -> Vec<(DateTime<Utc>, BTreeSet<LogId>)> {
        let deadline = deadline.for_saving();
        let turns = self.store.see(deadline, |it| it.turns(missing)).await;
        let turns = self.note(turns);
        turns.unwrap_or_else(|| by_hour(missing).into_iter().collect())
    }

    /// Notes the hour whose missing records could not be delivered again, so that others were not tried.
    pub async fn note_stuck(&self, hour: DateTime<Utc>, deadline: Deadline) {
        let noted = self.store.change(deadline, |it| it.note_stuck(hour));
        self.note(noted.await);
    }

    /// Notes that missing records were delivered again.
    pub async fn send_again(&self, ids: &BTreeSet<LogId>, count: u64, deadline: Deadline) {
        info!(
            "{}: {count} missing records were delivered again",
            self.label
        );
        let now = self.now();
        let noted = self.store.change(deadline, |it| it.send_again(ids, now));
        self.note(noted.await);
    }

    /// Notes that only some of these missing records were delivered again.
    pub async fn send_part_again(&self, ids: &BTreeSet<LogId>, deadline: Deadline) {
        let noted = self.store.change(deadline, |it| it.send_part_again(ids));
        self.note(noted.await);
    }

    /// Notes that missing records could not be delivered again, and fails the run.
    pub async fn keep_missing(
        &self,
        ids: &BTreeSet<LogId>,
        why: String,
        report: &mut Report,
        deadline: Deadline,
    ) {
        let count = ids.len();
        report.fail(&NotSentAgain { count, why });
        let noted = self.store.change(deadline, |it| it.keep_missing(ids));
        self.note(noted.await);
    }

    /// Adds the state of the proof to a report.
    pub async fn tell(&self, report: &mut Report, deadline: Deadline) {
        let deadline = deadline.for_saving().within(TELLING);
        let told = self.store.see(deadline, |it| (it.told(), it.lost())).await;
        let unread = told.as_ref().err().map(|error| with_causes(error));
        if let Some((arrival, lost)) = self.note(told) {
            report.arrival = Some(arrival);
            report.lost = lost;
        }
        let unread = unread.or_else(|| self.unread().clone());
        let mut reasons: Vec<_> = unread
            .or_else(|| Some(self.unasked().as_ref()?.why.clone()))
            .into_iter()
            .collect();
        let taken = |count: &AtomicU64| Some(count.swap(0, Ordering::Relaxed)).filter(|it| *it > 0);
        let too_many = taken(&self.given_up).map(|count| AskError::TooMany { count });
        let unnoted = taken(&self.unnoted).map(|count| AskError::Unnoted { count });
        for why in too_many.into_iter().chain(unnoted) {
            let why = why.to_string();
            warn!("{}: {why}", self.label);
            reasons.push(why);
        }
        report.unasked = (!reasons.is_empty()).then(|| reasons.join("; "));
    }

    /// Notes why the ids of an hour could not be read, or that all could. It is tried in each run, so the
    /// same reason is logged once.
    fn note_unread(&self, why: Option<String>) {
        let mut unread = self.unread();
        if let Some(why) = why.as_ref().filter(|_| *unread != why) {
            warn!("{}: {why}", self.label);
        }
        *unread = why;
    }

    fn unread(&self) -> MutexGuard<'_, Option<String>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unasked(&self) -> MutexGuard<'_, Option<Unasked>> {
        self.unasked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs an error of the bookkeeping, which must not prevent deliveries.
    fn note<T, E: std::error::Error>(&self, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| warn!("{}: {}", self.label, with_causes(&error)))
            .ok()
    }

    fn now(&self) -> DateTime<Utc> {
        (self.clock)().trunc_subsecs(3)
    }
}

/// The first of these ids, and the number of the others.
fn names(ids: &BTreeSet<LogId>) -> String {
    let named: Vec<_> = ids.iter().take(NAMED).map(LogId::as_str).collect();
    let more = ids.len() - named.len();
    let named = named.join(", ");
    if more == 0 {
        named
    } else {
        format!("{named} and {more} more")
    }
}

#[cfg(test)]
mod tests;
