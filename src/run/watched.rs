//! A ledger with an observer, which is told what the ledger notes and saves.

use std::future::{Future, ready};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Comparison, Handled, Ledger, Newest, Opening};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Record, Start};

/// The observer of a ledger. It does not change what the ledger does.
pub(crate) trait Watch: Send {
    /// The ledger was opened.
    fn opened(&mut self, _: &Opening) {}

    /// A record is handled.
    fn noted(&mut self, record: &Record, handled: Handled);

    /// What was noted is about to be saved.
    fn before_save(&mut self, _: Deadline) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// What was noted is saved.
    fn saved(&mut self) {}
}

/// A ledger with an observer.
pub(crate) struct Watched<L, W> {
    ledger: L,
    watch: W,
}

impl<L, W> Watched<L, W> {
    pub fn new(ledger: L, watch: W) -> Self {
        Self { ledger, watch }
    }

    /// The observer, once nothing more is noted.
    pub fn end(self) -> W {
        self.watch
    }
}

impl<L: Ledger, W: Watch> Ledger for Watched<L, W> {
    async fn open(&mut self, deadline: Deadline) -> Result<Opening, BoxError> {
        let opening = self.ledger.open(deadline).await?;
        self.watch.opened(&opening);
        Ok(opening)
    }

    fn leaves_out(&self, record: &Record) -> bool {
        self.ledger.leaves_out(record)
    }

    fn has_handled(&self, id: &LogId) -> bool {
        self.ledger.has_handled(id)
    }

    fn note(&mut self, record: &Record, handled: Handled) {
        self.watch.noted(record, handled);
        self.ledger.note(record, handled);
    }

    fn begin_anew(&mut self, start: Start) {
        self.ledger.begin_anew(start);
    }

    fn found_oldest(&mut self, oldest: DateTime<Utc>) {
        self.ledger.found_oldest(oldest);
    }

    fn begin_series(&mut self, below: &LogId) {
        self.ledger.begin_series(below);
    }

    fn compared(&mut self, comparison: Comparison) {
        self.ledger.compared(comparison);
    }

    fn refuses_all(&mut self) -> Option<DateTime<Utc>> {
        self.ledger.refuses_all()
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        self.ledger.refused_since()
    }

    fn suspect(&mut self, id: &LogId) -> bool {
        self.ledger.suspect(id)
    }

    fn is_suspect(&self, id: &LogId) -> bool {
        self.ledger.is_suspect(id)
    }

    fn newest(&self) -> Option<&Newest> {
        self.ledger.newest()
    }

    fn clock_is_ahead(&mut self, by: TimeDelta) {
        self.ledger.clock_is_ahead(by);
    }

    fn reach(&mut self, read: &Reach) {
        self.ledger.reach(read);
    }

    async fn save(&mut self, deadline: Deadline) -> Result<(), BoxError> {
        self.watch.before_save(deadline).await;
        self.ledger.save(deadline).await?;
        self.watch.saved();
        Ok(())
    }

    async fn close(&mut self, caught_up: bool, deadline: Deadline) -> Result<(), BoxError> {
        self.watch.before_save(deadline).await;
        self.ledger.close(caught_up, deadline).await?;
        self.watch.saved();
        Ok(())
    }
}
