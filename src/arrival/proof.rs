//! Looks for delivered records in the table, and reports the result.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tracing::{info, warn};

use super::question::{AT_ONCE, AskError, Question, TABLE};
use crate::azure::log_query::LogQuery;
use crate::clock::{Clock, to_seconds};
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::record::LogId;
use crate::report::{Report, alone};
use crate::settings::SettingsError;
use crate::state::{ArrivalStore, Found, Timing, Wanted};

/// Time limit for a look, however many queries it takes.
const LOOKING: Duration = Duration::from_mins(1);
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
     delivered again, which is tried once more after the next look: {why}"
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
    /// Records whose arrival will not be checked, until they are reported.
    given_up: AtomicU64,
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
            given_up: AtomicU64::default(),
        }
    }

    /// Notes what the destination has acknowledged. Returns whether the note is stored.
    pub(super) async fn accept(&self, ids: &BTreeSet<LogId>, deadline: Deadline) -> bool {
        let now = self.now();
        let changed = self.store.change(deadline, |it| {
            it.accept(ids, now);
            it.take_given_up()
        });
        let given_up = self.note(changed.await);
        self.given_up
            .fetch_add(given_up.unwrap_or_default(), Ordering::Relaxed);
        given_up.is_some()
    }

    /// Looks for all hours that are due. A failed query is logged, and is no error.
    pub async fn look(&self, deadline: Deadline) -> Vec<Found> {
        let deadline = deadline.within(LOOKING);
        let now = self.now();
        let (is_pause, last) = {
            let unasked = self.unasked();
            let last = unasked.as_ref();
            (
                last.is_some_and(|it| now - it.at < PAUSE),
                last.and_then(|it| it.hour),
            )
        };
        if is_pause {
            return Vec::new();
        }
        let due = self.store.see(deadline, |it| it.due(self.timing, now));
        let mut due = self.note(due.await).unwrap_or_default();
        // The query may fail for that hour only, so the hours after it come first.
        let after = due.iter().position(|it| Some(it.hour) > last);
        due.rotate_left(after.unwrap_or_default());
        let (mut found, mut hour) = (Vec::new(), None);
        let mut failure = match &self.table {
            Err(problem) => Some(problem.clone().into()),
            Ok(_) => None,
        };
        for wanted in &due {
            match self.find(wanted, deadline).await {
                Ok(it) => found.push(it),
                Err(error) => {
                    failure = Some(error);
                    hour = Some(wanted.hour);
                    break;
                }
            }
        }
        let is_over = !due.is_empty() || failure.is_some();
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

    /// Which records of an hour are in the table.
    async fn find(&self, wanted: &Wanted, deadline: Deadline) -> Result<Found, AskError> {
        let table = self.table.as_ref().map_err(Clone::clone)?;
        let ids: Vec<_> = wanted.ids.iter().collect();
        let mut found = Found {
            hour: wanted.hour,
            accepted: u64::try_from(ids.len()).unwrap_or(u64::MAX),
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
        report.unasked = unread.or_else(|| Some(self.unasked().as_ref()?.why.clone()));
        let count = self.given_up.swap(0, Ordering::Relaxed);
        if count > 0 {
            let why = AskError::TooMany { count }.to_string();
            warn!("{}: {why}", self.label);
            report.unasked.get_or_insert(why);
        }
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
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicI64};

    use axum::http::StatusCode;
    use tokio::time::Instant;

    use super::*;
    use crate::arrival::simulated;
    use crate::net::retry::Jitter;
    use crate::storage::Storage;
    use crate::storage::faulty::{Fault, Faulty, Operation};
    use crate::storage::memory::Memory;

    /// The address of a workspace that responds to queries about hour `silent` with an error, and to
    /// all others with one record in hour `other`.
    async fn workspace(silent: &'static str, other: &'static str) -> String {
        let answer = move |question: String| {
            if question.contains(&format!("'900{silent}")) {
                let error = r#"{"error":{"code":"BadArgumentError","message":"no"}}"#;
                return (StatusCode::BAD_REQUEST, error.to_owned());
            }
            let columns = r#"[{"name":"Hour"},{"name":"Landed"}]"#;
            let table = format!(r#"{{"columns":{columns},"rows":[["{other}",1]]}}"#);
            (StatusCode::OK, format!(r#"{{"tables":[{table}]}}"#))
        };
        simulated::serve(answer).await
    }

    /// A proof that queries the workspace at this address.
    fn proof(address: &str, clock: &Clock) -> Proof {
        let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
        let timing = Timing {
            after: TimeDelta::minutes(20),
            again: TimeDelta::hours(1),
        };
        Proof::new(
            "log-analytics".into(),
            ArrivalStore::new(storage, "acme", "log-analytics"),
            timing,
            simulated::query(address, clock),
            clock,
        )
    }

    #[tokio::test]
    async fn what_is_given_up_before_anybody_looked_for_it_is_told_once() {
        let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
        let clock: Clock = Arc::new(move || begin);
        let proof = proof("http://127.0.0.1:9", &clock);
        let deadline = || Deadline::after(Duration::from_mins(1));
        for (hour, count) in [(1, 100_000), (2, 50_001)] {
            let hour = begin - TimeDelta::hours(hour);
            let id = |n| LogId::synthetic("900", hour + TimeDelta::microseconds(n));
            assert!(
                proof
                    .accept(&(0..count).map(id).collect(), deadline())
                    .await
            );
        }
        let mut told = Vec::new();
        for _ in 0..2 {
            let mut report = Report::default();
            proof.tell(&mut report, deadline()).await;
            told.push(report.unasked);
        }
        let why = "50001 acknowledged records will not be looked for, as no more than 150000 are \
                   kept until then; `auth0-poller audit` looks for all of an hour";
        assert_eq!(told, [Some(why.to_owned()), None]);
    }

    #[tokio::test]
    async fn an_hour_of_which_nothing_is_answered_keeps_no_other_from_its_turn() {
        let address = workspace("2026112108", "2026112109").await;
        let begin: DateTime<Utc> = "2026-11-21T09:30:00Z".parse().unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let clock: Clock = Arc::new({
            let minutes = Arc::clone(&minutes);
            move || begin + TimeDelta::minutes(minutes.load(Ordering::Relaxed))
        });
        let proof = proof(&address, &clock);
        let deadline = || Deadline::after(Duration::from_mins(1));
        let ids = [90, 30].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
        proof.accept(&ids.into(), deadline()).await;
        let mut found = Vec::new();
        // After a failure nobody asks for ten minutes.
        for minute in [20, 29, 30, 41] {
            minutes.store(minute, Ordering::Relaxed);
            let hours = proof.look(deadline()).await;
            proof
                .settle(&hours, &mut Report::default(), deadline())
                .await;
            found.push(hours.iter().map(|it| it.landed).collect::<Vec<_>>());
        }
        assert_eq!(found, [vec![], vec![], vec![1], vec![]]);
    }

    #[tokio::test]
    async fn a_failure_is_told_until_a_look_that_has_something_to_ask_succeeds() {
        let address = workspace("2026112108", "2026112109").await;
        let begin: DateTime<Utc> = "2026-11-21T09:30:00Z".parse().unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let clock: Clock = Arc::new({
            let minutes = Arc::clone(&minutes);
            move || begin + TimeDelta::minutes(minutes.load(Ordering::Relaxed))
        });
        let proof = proof(&address, &clock);
        let deadline = || Deadline::after(Duration::from_mins(1));
        let [silent, other] =
            [90, 30].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
        let look = async |minute: i64| {
            minutes.store(minute, Ordering::Relaxed);
            proof.look(deadline()).await;
            let mut report = Report::default();
            proof.tell(&mut report, deadline()).await;
            report.unasked.is_some()
        };
        proof.accept(&[silent].into(), deadline()).await;
        assert!(!look(10).await, "nothing is due, and nothing was asked");
        assert!(look(20).await);
        // Another process has asked about that hour, so here nothing is left to ask.
        let found = Found {
            hour: "2026-11-21T08:00:00Z".parse().unwrap(),
            accepted: 1,
            landed: 1,
            missing: BTreeSet::new(),
        };
        let mut report = Report::default();
        proof.settle(&[found], &mut report, deadline()).await;
        assert!(look(31).await, "nothing shows that the table answers again");
        proof.accept(&[other].into(), deadline()).await;
        assert!(!look(52).await);
    }

    #[tokio::test]
    async fn a_workspace_that_is_not_set_is_told_before_there_is_anything_to_ask() {
        let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
        let clock: Clock = Arc::new(move || begin);
        let problem = SettingsError::new("WorkspaceID".to_owned(), "is missing");
        let proof = Proof {
            table: Err(problem),
            ..proof("http://127.0.0.1:9", &clock)
        };
        let deadline = || Deadline::after(Duration::from_mins(1));
        assert_eq!(proof.look(deadline()).await.len(), 0);
        let mut report = Report::default();
        proof.tell(&mut report, deadline()).await;
        let told = report.unasked.unwrap();
        assert!(told.contains("WorkspaceID is missing"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_storage_that_hangs_holds_no_run_up_for_long() {
        let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
        let clock: Clock = Arc::new(move || begin);
        let hangs = Faulty::over(Memory::default(), |_, _| Fault::Hang);
        let storage = Arc::new(Storage::over(hangs, Jitter::seeded(1)));
        let proof = Proof {
            store: ArrivalStore::new(storage, "acme", "log-analytics"),
            ..proof("http://127.0.0.1:9", &clock)
        };
        let deadline = || Deadline::after(Duration::from_hours(1));
        let until = |seconds| Deadline::after(Duration::from_secs(seconds)).for_answers();
        let latest = until(60);
        proof.look(deadline()).await;
        assert!(Instant::now() <= latest);
        let (latest, mut report) = (until(5), Report::default());
        proof.tell(&mut report, deadline()).await;
        assert!(Instant::now() <= latest);
        assert!(report.unasked.is_some());
    }

    #[tokio::test]
    async fn of_two_processes_one_delivers_what_is_missing_again() {
        let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let clock: Clock = Arc::new({
            let minutes = Arc::clone(&minutes);
            move || begin + TimeDelta::minutes(minutes.load(Ordering::Relaxed))
        });
        let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
        let proofs = [(); 2].map(|()| Proof {
            store: ArrivalStore::new(Arc::clone(&storage), "acme", "log-analytics"),
            ..proof("http://127.0.0.1:9", &clock)
        });
        let deadline = || Deadline::after(Duration::from_mins(1));
        let ids = [10, 20, 30].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
        let [missing, ..] = &ids;
        proofs[0].accept(&ids.clone().into(), deadline()).await;
        let mut again = Vec::new();
        for (minute, missing) in [(20, None), (80, Some(missing))] {
            minutes.store(minute, Ordering::Relaxed);
            // Both query the table before either stores its result.
            let found = Found {
                hour: begin - TimeDelta::hours(1),
                accepted: 3,
                landed: 2,
                missing: missing.cloned().into_iter().collect(),
            };
            for proof in &proofs {
                let see = proof
                    .store
                    .see(deadline(), |it| it.due(proof.timing, (proof.clock)()));
                assert_eq!(see.await.unwrap().len(), 1);
            }
            for proof in &proofs {
                let (found, mut report) = ([found.clone()], Report::default());
                again.push(proof.settle(&found, &mut report, deadline()).await.len());
            }
        }
        assert_eq!(again, [0, 0, 1, 0]);
    }

    /// Once it is stored that the verdict was given, no later run gives it.
    #[tokio::test(start_paused = true)]
    async fn what_is_missing_for_good_is_told_although_the_note_of_it_has_no_answer() {
        let begin: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let clock: Clock = Arc::new({
            let minutes = Arc::clone(&minutes);
            move || begin + TimeDelta::minutes(minutes.load(Ordering::Relaxed))
        });
        let ids = [10, 20].map(|it| LogId::synthetic("900", begin - TimeDelta::minutes(it)));
        for (of_write, of_read, told) in [
            (Fault::LoseAnswer, Fault::None, 1),
            (Fault::Fail, Fault::None, 1),
            // Another process has written, and tells it.
            (Fault::Conflict, Fault::None, 0),
            (Fault::Conflict, Fault::Fail, 0),
        ] {
            minutes.store(0, Ordering::Relaxed);
            let fails = Arc::new(AtomicBool::new(false));
            let decide = {
                let fails = Arc::clone(&fails);
                move |operation, _: &str| match operation {
                    _ if !fails.load(Ordering::Relaxed) => Fault::None,
                    Operation::Write => of_write,
                    Operation::Read => of_read,
                    _ => Fault::None,
                }
            };
            let objects = Faulty::over(Memory::default(), decide);
            let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
            let proof = Proof {
                store: ArrivalStore::new(storage, "acme", "log-analytics"),
                ..proof("http://127.0.0.1:9", &clock)
            };
            let deadline = || Deadline::after(Duration::from_mins(1));
            proof.accept(&ids.clone().into(), deadline()).await;
            let found = [Found {
                hour: begin - TimeDelta::hours(1),
                accepted: 2,
                landed: 1,
                missing: [ids[0].clone()].into(),
            }];
            for minute in [20, 80] {
                minutes.store(minute, Ordering::Relaxed);
                let mut report = Report::default();
                let missing = proof.settle(&found, &mut report, deadline()).await;
                proof.send_again(&missing, 1, deadline()).await;
                assert!(report.is_success(), "{report:?}");
            }
            fails.store(true, Ordering::Relaxed);
            minutes.store(140, Ordering::Relaxed);
            let mut report = Report::default();
            proof.settle(&found, &mut report, deadline()).await;
            assert_eq!(
                report.errors.len(),
                told,
                "{of_write:?} {of_read:?} {report:?}"
            );
        }
    }

    #[test]
    fn what_is_lost_is_told_with_the_replay_that_delivers_it() {
        let stored = ["23:59:58.9", "12:30:00", "23:00:00"];
        let stored = stored.map(|it| format!("2026-12-31T{it}Z").parse().unwrap());
        let ids = stored.map(|it| LogId::synthetic("900", it)).into();
        let told = Lost::of(&ids, "acme/log-analytics").to_string();
        let expected = "deliver them by `auth0-poller replay --from 2026-12-31T12:20:00Z \
                        --to 2027-01-01T00:09:58Z` when the cause is gone (for this alone with \
                        --tenant acme --destination log-analytics)";
        assert!(told.starts_with("3 records"), "{told}");
        assert!(told.ends_with(expected), "{told}");
    }

    #[test]
    fn of_many_ids_the_first_are_named() {
        let ids = |count: usize| {
            (10..10 + count)
                .map(|n| LogId::new(n.to_string()))
                .collect()
        };
        assert_eq!(names(&ids(2)), "10, 11");
        assert!(names(&ids(20)).ends_with(", 28, 29"));
        assert!(names(&ids(23)).ends_with(", 28, 29 and 3 more"));
    }
}
