//! Judges a run that delivers nothing by what the runs before it set aside or had quarantined. By itself a
//! run that sets everything aside proves nothing: in a quiet tenant each run has only one record.

use std::time::Duration;

use tracing::warn;

use super::Stores;
use crate::net::retry::Deadline;
use crate::report::{OnlyQuarantined, OnlySetAside, Report};
use crate::state::Undelivered;

/// Time limit for counting the dead letters; a run does not wait longer.
const COUNTING: Duration = Duration::from_secs(5);

/// Notes in the report if several records were quarantined since one was last delivered, or were set
/// aside and are dead letters still. Fails the run if it set one of them aside.
pub(super) async fn judge_undelivered(stores: &Stores, report: &mut Report, deadline: Deadline) {
    if report.delivered > 0 {
        return;
    }
    let before = stores.history.undelivered(deadline).await;
    note_undelivered(stores, before, report, deadline).await;
    if let Some(error) = report.only_set_aside
        && report.dead_lettered > 0
        && report.is_success()
    {
        report.fail(&error);
    }
}

/// Repeats, after a run that had nothing to deliver and no error, what its fault would be: by itself such a
/// run tells nothing of one. Asks the storage for nothing but the number of dead letters, and only if
/// several records were set aside.
pub(super) async fn repeat_undelivered(stores: &Stores, report: &mut Report, deadline: Deadline) {
    let did = report.delivered + report.quarantined + report.dead_lettered;
    if did > 0 || !report.is_success() || report.refused_since.is_some() {
        return;
    }
    if report.only_set_aside.is_none() && report.only_quarantined.is_none() {
        let before = stores.history.known_undelivered().await;
        note_undelivered(stores, before, report, deadline).await;
    }
    let label = &stores.label;
    if let Some(error) = report.only_set_aside {
        warn!("{label}: {error}");
    }
    if let Some(error) = report.only_quarantined {
        warn!("{label}: {error}");
    }
}

async fn note_undelivered(
    stores: &Stores,
    before: Undelivered,
    report: &mut Report,
    deadline: Deadline,
) {
    // Someone else may have written the history.
    let quarantined = report.quarantined.saturating_add(before.quarantined);
    report.only_quarantined = OnlyQuarantined::find(quarantined);
    let count = report.dead_lettered.saturating_add(before.set_aside);
    if report.quarantined > 0 || OnlySetAside::find(count, None).is_none() {
        return;
    }
    let deadline = deadline.for_saving().within(COUNTING);
    let left = stores.dead_letters.names(deadline);
    let left = left.await.ok().map(|names| names.len());
    report.only_set_aside = OnlySetAside::find(count, left);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::net::retry::Jitter;
    use crate::redact::Redaction;
    use crate::state::{CheckpointStore, DeadLetterStore, HistoryStore};
    use crate::storage::Storage;
    use crate::storage::faulty::{Fault, Faulty, Operation};
    use crate::storage::memory::Memory;

    /// The stores of a destination that has so many dead letters.
    fn stores(
        dead_letters: usize,
        decide: impl Fn(Operation) -> Fault + Send + Sync + 'static,
    ) -> Stores {
        let memory = Memory::default();
        for n in 0..dead_letters {
            let path = format!("dead-letter/acme/memory/{n}.json");
            memory.put(&path, Bytes::from_static(b"{}"));
        }
        let objects = Faulty::over(memory, move |operation, _| decide(operation));
        let storage = Arc::new(Storage::over(objects, Jitter::seeded(1)));
        let (tenant, name) = ("acme", "memory");
        let storage = || Arc::clone(&storage);
        Stores {
            name,
            label: name.to_owned(),
            checkpoints: CheckpointStore::new(storage(), tenant, name, "w".to_owned()),
            dead_letters: DeadLetterStore::new(storage(), tenant, name, Redaction::On.into()),
            history: HistoryStore::new(storage(), tenant, name),
        }
    }

    /// The report of a run after one that set `earlier` records aside, judged while `left` dead letters
    /// are stored, or while they cannot be listed.
    async fn judged(earlier: u64, left: Option<usize>, mut report: Report) -> Report {
        let stores = stores(left.unwrap_or_default(), move |operation| match operation {
            Operation::List if left.is_none() => Fault::Fail,
            _ => Fault::None,
        });
        let before = Report {
            dead_lettered: earlier,
            ..Report::default()
        };
        let now: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
        let deadline = Deadline::after(Duration::from_mins(4));
        stores.history.add(&before, now, deadline).await.unwrap();
        judge_undelivered(&stores, &mut report, deadline).await;
        report
    }

    /// How many records a report says were only set aside, and how many errors it has.
    fn told(report: &Report) -> (Option<String>, usize) {
        let told = report.only_set_aside.map(|it| it.to_string());
        let count =
            told.and_then(|it| Some(it.strip_prefix("all ")?.split(' ').next()?.to_owned()));
        (count, report.errors.len())
    }

    fn report(delivered: u64, quarantined: u64, dead_lettered: u64) -> Report {
        Report {
            delivered,
            quarantined,
            dead_lettered,
            ..Report::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_fails_if_it_set_aside_what_came_and_so_did_those_before() {
        for (earlier, left, run, expected) in [
            (1, Some(2), (0, 0, 1), Some("2")),
            (1, Some(9), (0, 0, 2), Some("3")),
            (0, Some(2), (0, 0, 2), Some("2")),
            // A single record proves nothing.
            (0, Some(9), (0, 0, 1), None),
            // Others were removed, or delivered after all.
            (1, Some(1), (0, 0, 1), None),
            (5, Some(3), (0, 0, 1), Some("3")),
            // It is not known what is left.
            (5, None, (0, 0, 1), Some("6")),
            (u64::MAX, Some(2), (0, 0, 1), Some("2")),
            // The destination took some.
            (1, Some(2), (1, 0, 1), None),
            (1, Some(2), (0, 1, 1), None),
            (1, Some(2), (1, 1, 1), None),
        ] {
            let (delivered, quarantined, dead_lettered) = run;
            let report = report(delivered, quarantined, dead_lettered);
            let judged = judged(earlier, left, report).await;
            let expected = (expected.map(str::to_owned), usize::from(expected.is_some()));
            assert_eq!(told(&judged), expected, "{earlier} {left:?} {run:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_another_reason_or_sets_nothing_aside_only_tells_it() {
        let quiet = judged(2, Some(2), report(0, 0, 0)).await;
        assert_eq!(told(&quiet), (Some("2".to_owned()), 0));
        let mut failed = report(0, 0, 1);
        failed.errors.push("another".to_owned());
        let failed = judged(1, Some(2), failed).await;
        assert_eq!(told(&failed), (Some("2".to_owned()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_noted_if_all_that_was_sent_was_quarantined() {
        for (run, expected) in [
            ((0, 2, 0), true),
            ((0, 2, 1), true),
            ((0, 1, 0), false),
            ((1, 2, 0), false),
            ((0, 0, 0), false),
        ] {
            let (delivered, quarantined, dead_lettered) = run;
            let report = judged(0, None, report(delivered, quarantined, dead_lettered)).await;
            assert_eq!(report.only_quarantined.is_some(), expected, "{run:?}");
            assert!(report.is_success(), "{run:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_idle_run_repeats_what_is_known_and_none_asks_for_the_history() {
        let requests = Arc::new(AtomicUsize::new(0));
        let stores = stores(2, {
            let requests = Arc::clone(&requests);
            move |_| {
                requests.fetch_add(1, Ordering::Relaxed);
                Fault::None
            }
        });
        let deadline = Deadline::after(Duration::from_mins(4));
        let repeated = async |mut run| {
            repeat_undelivered(&stores, &mut run, deadline).await;
            let requests = requests.swap(0, Ordering::Relaxed);
            let is_told = [run.only_set_aside.is_some(), run.only_quarantined.is_some()];
            (is_told, requests)
        };
        // The history was not read yet, or could not be.
        assert_eq!(repeated(Report::default()).await, ([false, false], 0));
        let now: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
        let after = async |run| {
            stores.history.add(&run, now, deadline).await.unwrap();
            requests.store(0, Ordering::Relaxed);
            repeated(Report::default()).await
        };
        assert_eq!(after(report(0, 2, 0)).await, ([false, true], 0));
        // The dead letters are counted.
        assert_eq!(after(report(0, 0, 2)).await, ([true, true], 1));
        let mut failed = Report::default();
        failed.errors.push("another".to_owned());
        let refused = Report {
            refused_since: Some(now),
            ..Report::default()
        };
        let not_idle = [
            report(1, 0, 0),
            report(0, 1, 0),
            report(0, 0, 1),
            failed,
            refused,
        ];
        for run in not_idle {
            assert_eq!(repeated(run).await, ([false, false], 0));
        }
        assert_eq!(after(report(1, 0, 0)).await, ([false, false], 0));
    }
}
