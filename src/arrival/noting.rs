//! The ledger of a run, and beside it a note of what the destination acknowledged.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Proof;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Record, Start};
use crate::run::{Comparison, Handled, Ledger, Newest, Opening};

/// Ids that are held where they cannot be kept; of more it is not told whether they arrived.
const HELD: usize = 10_000;

/// A ledger whose acknowledgements are noted, before they are saved: of a run that is killed in
/// between they are made again, and that counts once.
pub(crate) struct Noting<'a, L> {
    ledger: L,
    proof: Option<&'a Proof>,
    accepted: BTreeSet<LogId>,
}

impl<'a, L: Ledger> Noting<'a, L> {
    pub fn new(ledger: L, proof: Option<&'a Proof>) -> Self {
        Self {
            ledger,
            proof,
            accepted: BTreeSet::new(),
        }
    }

    async fn keep(&mut self, deadline: Deadline) {
        let Some(proof) = self.proof.filter(|_| !self.accepted.is_empty()) else {
            return;
        };
        if proof.accept(&self.accepted, deadline).await || self.accepted.len() > HELD {
            self.accepted.clear();
        }
    }
}

impl<L: Ledger> Ledger for Noting<'_, L> {
    async fn open(&mut self, deadline: Deadline) -> Result<Opening, BoxError> {
        self.ledger.open(deadline).await
    }

    fn leaves_out(&self, record: &Record) -> bool {
        self.ledger.leaves_out(record)
    }

    fn has_handled(&self, id: &LogId) -> bool {
        self.ledger.has_handled(id)
    }

    fn note(&mut self, record: &Record, handled: Handled) {
        if self.proof.is_some() && handled == Handled::Accepted {
            self.accepted.insert(record.log_id.clone());
        }
        self.ledger.note(record, handled);
    }

    fn begin_anew(&mut self, start: Start) {
        self.ledger.begin_anew(start);
    }

    fn begin_series(&mut self, below: &LogId) {
        self.ledger.begin_series(below);
    }

    fn compared(&mut self, comparison: Comparison) {
        self.ledger.compared(comparison);
    }

    fn refuses_all(&mut self) -> DateTime<Utc> {
        self.ledger.refuses_all()
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        self.ledger.refused_since()
    }

    fn newest(&self) -> Option<&Newest> {
        self.ledger.newest()
    }

    fn reach(&mut self, read: &Reach) {
        self.ledger.reach(read);
    }

    async fn save(&mut self, deadline: Deadline) -> Result<(), BoxError> {
        self.keep(deadline).await;
        self.ledger.save(deadline).await
    }

    async fn close(&mut self, caught_up: bool, deadline: Deadline) -> Result<(), BoxError> {
        self.keep(deadline).await;
        self.ledger.close(caught_up, deadline).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use chrono::TimeDelta;

    use super::*;
    use crate::clock::Clock;
    use crate::net::retry::Jitter;
    use crate::record::StartFrom;
    use crate::settings::SettingsError;
    use crate::state::{ArrivalStore, CheckpointLedger, CheckpointStore, Timing};
    use crate::storage::Storage;
    use crate::storage::memory::Memory;

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
        let jitter = Jitter::seeded(1);
        let storage = Arc::new(Storage::over(Memory::default(), jitter.clone()));
        let store = |writer: &str| {
            let storage = Arc::clone(&storage);
            CheckpointStore::new(storage, "acme", "log-analytics", writer.to_owned())
        };
        let timing = Timing {
            after: TimeDelta::zero(),
            again: TimeDelta::zero(),
        };
        let http = crate::net::http::client(None).unwrap();
        let proof = Proof::new(
            "log-analytics".into(),
            ArrivalStore::new(Arc::clone(&storage), "acme", "log-analytics"),
            timing,
            Err(SettingsError::default()),
            (&http, &jitter, &clock),
        );
        let deadline = Deadline::after(Duration::from_mins(1));
        let start = StartFrom::Ago(Duration::from_hours(1));
        let (ours, theirs) = (store("ours"), store("theirs"));
        let ledger = |store| CheckpointLedger::new(store, start, Duration::from_mins(1), &clock);
        let mut noting = Noting::new(ledger(&ours), Some(&proof));
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
        let due = proof.store.see(deadline, |it| it.due(timing, now)).await;
        let noted: Vec<_> = due.unwrap().remove(0).ids.into_iter().collect();
        assert_eq!(noted, [record(1).log_id, record(4).log_id]);
    }
}
