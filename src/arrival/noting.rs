//! Notes what the destination acknowledges, beside a run's ledger.

use std::collections::BTreeSet;

use super::Proof;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record};
use crate::run::{Handled, Watch};

/// Maximum ids held while they cannot be stored. Beyond that, their arrival is not proved.
const HELD: usize = 10_000;

/// Notes acknowledged records before the ledger saves them. If a run is killed in between, they are
/// noted again, and count once.
pub(crate) struct Noting<'a> {
    proof: Option<&'a Proof>,
    accepted: BTreeSet<LogId>,
    /// How many of them the ledger has saved, so that no later run delivers them again.
    saved: usize,
    /// Ids that are held no more, and that the ledger has not saved.
    dropped: usize,
}

impl<'a> Noting<'a> {
    pub fn new(proof: Option<&'a Proof>) -> Self {
        Self {
            proof,
            accepted: BTreeSet::new(),
            saved: 0,
            dropped: 0,
        }
    }
}

/// What the ledger has saved and could not be noted by the end of a run is not known any more.
impl Drop for Noting<'_> {
    fn drop(&mut self) {
        if let Some(proof) = self.proof {
            proof.give_up_unnoted(self.saved);
        }
    }
}

impl Watch for Noting<'_> {
    fn noted(&mut self, record: &Record, handled: Handled) {
        if self.proof.is_some() && handled == Handled::Accepted {
            self.accepted.insert(record.log_id.clone());
        }
    }

    async fn before_save(&mut self, deadline: Deadline) {
        let Some(proof) = self.proof.filter(|_| !self.accepted.is_empty()) else {
            return;
        };
        if !proof.accept(&self.accepted, deadline).await {
            if self.accepted.len() <= HELD {
                return;
            }
            proof.give_up_unnoted(self.saved);
            self.dropped += self.accepted.len() - self.saved;
        }
        self.accepted.clear();
        self.saved = 0;
    }

    fn saved(&mut self) {
        if let Some(proof) = self.proof {
            proof.give_up_unnoted(std::mem::take(&mut self.dropped));
            self.saved = self.accepted.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::{DateTime, TimeDelta, Utc};
    use tokio::time::Instant;

    use super::*;
    use crate::clock::Clock;
    use crate::net::retry::Jitter;
    use crate::record::StartFrom;
    use crate::run::{Ledger as _, Watched};
    use crate::settings::SettingsError;
    use crate::state::{ArrivalStore, CheckpointLedger, CheckpointStore, Timing};
    use crate::storage::Storage;
    use crate::storage::faulty::{Fault, Faulty};
    use crate::storage::memory::Memory;

    const AT_ONCE: Timing = Timing {
        after: TimeDelta::zero(),
        again: TimeDelta::zero(),
    };

    fn proof(storage: &Arc<Storage>, clock: &Clock) -> Proof {
        Proof::new(
            "log-analytics".into(),
            ArrivalStore::new(Arc::clone(storage), "acme", "log-analytics"),
            AT_ONCE,
            Err(SettingsError::default()),
            clock,
        )
    }

    fn record(minute: i64) -> Record {
        let stored = "2026-11-21T08:00:00Z".parse::<DateTime<Utc>>().unwrap();
        Record {
            log_id: LogId::synthetic("900", stored + TimeDelta::minutes(minute)),
            date: None,
            json: Bytes::new(),
        }
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_noted_although_the_checkpoint_cannot_be_saved() {
        let now = "2026-11-21T08:30:00Z".parse::<DateTime<Utc>>().unwrap();
        let clock: Clock = Arc::new(move || now);
        let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
        let store = |writer: &str| {
            let storage = Arc::clone(&storage);
            CheckpointStore::new(storage, "acme", "log-analytics", writer.to_owned())
        };
        let proof = proof(&storage, &clock);
        let deadline = Deadline::after(Duration::from_mins(1));
        let start = StartFrom::Ago(Duration::from_hours(1));
        let (ours, theirs) = (store("ours"), store("theirs"));
        let ledger = |store| CheckpointLedger::new(store, start, Duration::from_mins(1), &clock);
        let mut noting = Watched::new(ledger(&ours), Noting::new(Some(&proof)));
        noting.open(deadline).await.unwrap();
        noting.note(&record(1), Handled::Accepted);
        noting.note(&record(2), Handled::LeftOut);
        noting.note(&record(3), Handled::SetAside);
        noting.note(&record(4), Handled::Accepted);

        let mut other = ledger(&theirs);
        other.open(deadline).await.unwrap();
        other.note(&record(9), Handled::Accepted);
        other.save(deadline).await.unwrap();
        assert!(noting.save(deadline).await.is_err());
        let due = proof.store.see(deadline, |it| it.due(AT_ONCE, now)).await;
        let noted = proof.store.ids(&due.unwrap()[0], now, deadline).await;
        let expected = [record(1).log_id, record(4).log_id].into();
        assert_eq!(noted.unwrap(), Some(expected));
    }

    #[test]
    fn without_a_proof_nothing_is_held() {
        let mut noting = Noting::new(None);
        noting.noted(&record(1), Handled::Accepted);
        assert_eq!(noting.accepted.len(), 0);
    }

    #[tokio::test]
    async fn where_nothing_was_acknowledged_nothing_is_stored() {
        let now = "2026-11-21T08:30:00Z".parse::<DateTime<Utc>>().unwrap();
        let clock: Clock = Arc::new(move || now);
        let memory = Memory::default();
        let storage = Arc::new(Storage::over(memory.clone(), Jitter::seeded(1)));
        let proof = proof(&storage, &clock);
        let deadline = Deadline::after(Duration::from_mins(1));
        for (handled, paths) in [(Handled::LeftOut, 0), (Handled::Accepted, 1)] {
            let mut noting = Noting::new(Some(&proof));
            noting.noted(&record(1), handled);
            noting.before_save(deadline).await;
            let stored = storage.list("arrival/acme", deadline).await.unwrap();
            assert_eq!(stored.len(), paths, "{handled:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_kept_is_held_as_long_as_there_is_room() {
        let now = "2026-11-21T08:30:00Z".parse::<DateTime<Utc>>().unwrap();
        let clock: Clock = Arc::new(move || now);
        for (fault, number, held) in [
            (Fault::None, 1, 0),
            (Fault::Fail, 1, 1),
            (Fault::Fail, 10_000, 10_000),
            (Fault::Fail, 10_001, 0),
        ] {
            let storage = Faulty::over(Memory::default(), move |_, _| fault);
            let storage = Arc::new(Storage::over(storage, Jitter::seeded(1)));
            let proof = proof(&storage, &clock);
            let mut noting = Noting::new(Some(&proof));
            for minute in 0..number {
                noting.noted(&record(minute), Handled::Accepted);
            }
            let deadline = Deadline::after(Duration::from_mins(1));
            noting.before_save(deadline).await;
            assert_eq!(noting.accepted.len(), held, "{fault:?} {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_that_hangs_leaves_the_checkpoint_time_to_be_saved() {
        let now = "2026-11-21T08:30:00Z".parse::<DateTime<Utc>>().unwrap();
        let clock: Clock = Arc::new(move || now);
        let hangs = |_, path: &str| {
            if path.starts_with("arrival/") {
                Fault::Hang
            } else {
                Fault::None
            }
        };
        let storage = Faulty::over(Memory::default(), hangs);
        let storage = Arc::new(Storage::over(storage, Jitter::seeded(1)));
        let proof = proof(&storage, &clock);
        for (budget, passed) in [(1, 0), (60, 0), (60, 58), (60, 60), (60, 64)] {
            let deadline = Deadline::after(Duration::from_secs(budget));
            tokio::time::advance(Duration::from_secs(passed)).await;
            let mut noting = Noting::new(Some(&proof));
            noting.noted(&record(1), Handled::Accepted);
            let last = deadline.for_saving().for_answers();
            let before = last - Instant::now();
            noting.before_save(deadline).await;
            let left = last.saturating_duration_since(Instant::now());
            assert!(
                left >= before / 2,
                "{budget} {passed}: {left:?} of {before:?}"
            );
        }
    }
}
