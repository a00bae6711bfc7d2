//! The delivering half: records that were read and not handled before go into batches, and each batch
//! to the destination. What is handled is saved in the ledger, in order.
//!
//! Each step is a method of [`Delivering`]. This file fills batches and sends them. Once a batch is
//! answered, [what was accepted is noted](attempt), [the rest is sorted out](sort_out), and [the cursor
//! passes the batch](sent).

mod attempt;
mod batch;
mod sent;
mod sort_out;

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::sync::mpsc;

use self::batch::Batch;
use self::sent::Sent;
use super::read::Read;
use super::{
    ActiveRun, Comparison, DeadLetter, DeadLetters, Handled, Ledger, RunError, Stop, Tally,
};
use crate::error::with_causes;
use crate::record::{LogId, Misfit, Reach, Record, Source};

/// How long records wait for others to fill a batch.
const LINGER: Duration = Duration::from_secs(5);
/// Number of answered batches after which a run may have one more batch in flight.
const BATCHES_EACH: usize = 4;
/// Records left out after which the cursor is saved, if nothing is being delivered meanwhile. If the
/// run is killed later, the next one does not read them again.
const LEFT_OUT_AT_ONCE: usize = 1_000;
/// Records left out after a batch that was sent, while no batch that was sent is handled. More of them wait
/// for the answer: until the cursor moves, the ledger holds the id of each, and a checkpoint has an end.
const LEFT_OUT_MEANWHILE: usize = 20_000;
/// How many elements without an id are set aside at the same time.
const MISFITS_AT_ONCE: usize = 16;
/// Their JSON at most, unless one alone is larger: each is copied several times.
const MISFIT_BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

/// The delivering half of a run.
pub(super) struct Delivering<'c, S, A, L> {
    active: &'c ActiveRun<'c, S, A>,
    ledger: &'c mut L,
    /// The batch that is being filled, or that is being sorted out.
    batch: Batch,
    /// The batches being delivered, in order.
    sent: Sent<'c>,
    /// The largest id of each series met in this run, whether handled or still in the batch.
    met: Reach,
    /// The comparison to save once everything read is handled: only it leads to the records it found.
    comparison: Option<Comparison>,
    /// Records left out since the cursor was last moved, or a batch sent.
    left_out: usize,
    /// Whether the run has saved before its first delivery, which shows that it may.
    is_claimed: bool,
    /// The last record that was delivered ahead of its batch.
    accepted_ahead: Option<LogId>,
    /// Batches that were answered.
    batches: usize,
    /// What the run is judged by, as far as this half knows it.
    tally: Tally,
    /// Whether the ledger holds notes that are not saved.
    is_unsaved: bool,
}

/// What the delivering half leaves when it has ended.
pub(super) struct Summary {
    /// Whether anything was sent to the destination.
    pub was_sent: bool,
    /// The largest id of each series met in this run, whether handled or not.
    pub met: Reach,
    /// The time of the oldest record that was read but not handled.
    pub oldest_left: Option<DateTime<Utc>>,
    /// What the run is judged by, but for what its report counts and whether delivering failed.
    pub tally: Tally,
}

impl<'c, S: Source, A: DeadLetters, L: Ledger> Delivering<'c, S, A, L> {
    pub(super) fn new(active: &'c ActiveRun<'c, S, A>, ledger: &'c mut L) -> Self {
        Self {
            active,
            ledger,
            batch: Batch::new(active.run.destination.limits(), active.run.share.hold(0)),
            sent: Sent::default(),
            met: Reach::default(),
            comparison: None,
            left_out: 0,
            is_claimed: false,
            accepted_ahead: None,
            batches: 0,
            tally: Tally::default(),
            is_unsaved: false,
        }
    }

    /// Delivers the records read that were not handled before, and saves after each batch.
    pub(super) async fn deliver(&mut self, incoming: mpsc::Receiver<Read>) -> Result<(), Stop> {
        let delivered = self.deliver_all(incoming).await;
        if let Err(stop) = &delivered {
            let may_save = !matches!(stop, Stop::Failed(RunError::Ledger(_)));
            let waited = self.wait_for_all(may_save).await;
            self.active.note_stop(waited);
        }
        delivered
    }

    /// What it has done, once nothing is delivered any more.
    pub(super) fn end(self) -> Summary {
        Summary {
            was_sent: self.is_claimed,
            oldest_left: self.oldest_left(),
            met: self.met,
            tally: self.tally,
        }
    }

    async fn deliver_all(&mut self, mut incoming: mpsc::Receiver<Read>) -> Result<(), Stop> {
        loop {
            let linger = self.batch.began + LINGER;
            let next = tokio::select! {
                // Polled in order, so that a run is deterministic.
                biased;
                Some(answer) = self.sent.next() => {
                    self.take_answer(answer).await?;
                    continue;
                }
                next = incoming.recv() => next,
                () = tokio::time::sleep_until(linger), if !self.batch.is_empty() => {
                    self.flush().await?;
                    continue;
                }
            };
            match next {
                Some(Read::Page(page, held)) => {
                    let ahead = self.active.run.source.clock_ahead();
                    self.ledger.clock_is_ahead(ahead);
                    self.set_misfits_aside(&page.misfits).await?;
                    for record in page.records {
                        self.take(record).await?;
                    }
                    if !self.batch.is_empty() {
                        self.batch.hold(held);
                    }
                }
                Some(Read::NoRoom) => self.flush_all().await?,
                Some(Read::Anew(start)) => self.ledger.begin_anew(start),
                Some(Read::Oldest(stored)) => self.ledger.found_oldest(stored),
                Some(Read::Series(below)) => self.ledger.begin_series(&below),
                Some(Read::End(comparison)) => self.comparison = Some(comparison),
                Some(Read::Gap(gap)) => self.active.report_gap(gap),
                None => return self.finish().await,
            }
        }
    }

    /// Puts a record into the batch, unless it was handled before or is not wanted. Delivers the
    /// batch first if it has no room.
    async fn take(&mut self, record: Record) -> Result<(), Stop> {
        let id = record.log_id.clone();
        if self.ledger.has_handled(&id) || self.batch.has(&id) || self.sent.has(&id) {
            self.active.report(|report| report.skipped += 1);
        } else if self.ledger.leaves_out(&record) {
            self.active.report(|report| report.before_start += 1);
            self.leave_out(&record);
        } else if self.active.run.filter.leaves_out(&record) {
            self.active.report(|report| report.filtered += 1);
            self.leave_out(&record);
        } else {
            match self.active.run.destination.encode(&record) {
                Ok(row) => {
                    let is_full = self.batch.rows.len() >= self.active.run.pace.most();
                    if self.is_closed_to(&id) || is_full || !self.batch.has_room_for(&row) {
                        self.flush().await?;
                    }
                    // It may have been delivered meanwhile, to sort out the records before it.
                    if self.ledger.has_handled(&id) {
                        self.active.report(|report| report.skipped += 1);
                    } else {
                        self.batch.push(record, row);
                    }
                }
                Err(reason) => {
                    self.flush_all().await?;
                    let why = with_causes(&*reason);
                    let Some(row) = self.active.run.destination.shortened(&record, &why) else {
                        self.keep_dead_letter(&record, &*reason).await?;
                        self.tally.unfit += 1;
                        self.met.meet(&id);
                        return Ok(self.move_cursor().await?);
                    };
                    // The whole record is set aside first, but it is handled only once its row is
                    // delivered: an earlier run may have set it aside and got no further.
                    self.set_aside(DeadLetter::of(&record, &why)).await?;
                    self.batch.push(record, row);
                }
            }
        }
        self.met.meet(&id);
        let is_idle = self.batch.is_empty() && self.sent.is_empty();
        if is_idle && self.left_out >= LEFT_OUT_AT_ONCE {
            self.move_cursor().await?;
        } else if self.left_out >= LEFT_OUT_MEANWHILE {
            self.flush_all().await?;
            self.move_cursor().await?;
        }
        Ok(())
    }

    /// Whether the destination wants the batch closed before this id.
    fn is_closed_to(&self, id: &LogId) -> bool {
        let last = self.batch.records.last();
        let destination = self.active.run.destination;
        last.is_some_and(|last| destination.closes_between(&last.log_id, id))
    }

    fn leave_out(&mut self, record: &Record) {
        self.ledger.note(record, Handled::LeftOut);
        self.left_out += 1;
    }

    /// Stores a record as a dead letter, and notes it as handled.
    async fn keep_dead_letter(
        &mut self,
        record: &Record,
        reason: &(dyn Error + Send + Sync),
    ) -> Result<(), Stop> {
        let why = with_causes(reason);
        if !self.set_aside(DeadLetter::of(record, &why)).await? {
            self.active.report(|report| report.skipped += 1);
        }
        self.ledger.note(record, Handled::SetAside);
        self.active.report_newest(self.ledger.newest());
        Ok(())
    }

    /// Stores elements without an id as dead letters. No cursor passes them, so each run reads them
    /// again and recognises them here. Several are stored at the same time, unless they are large.
    async fn set_misfits_aside(&mut self, misfits: &[Misfit]) -> Result<(), Stop> {
        let mut left = misfits;
        while !left.is_empty() {
            let mut bytes = 0;
            let at_once = left.iter().take(MISFITS_AT_ONCE).take_while(|it| {
                bytes += it.json.len();
                bytes <= MISFIT_BYTES_AT_ONCE
            });
            let (now, later) = left.split_at(at_once.count().max(1));
            left = later;
            let letters = now.iter().map(|misfit| DeadLetter {
                log_id: None,
                json: std::str::from_utf8(&misfit.json).unwrap_or("null"),
                reason: misfit.reason,
            });
            let kept = join_all(letters.map(|it| self.active.set_aside(it)));
            for is_new in self.sent.meanwhile(kept).await {
                if !is_new? {
                    self.active.report(|report| report.skipped += 1);
                }
            }
        }
        Ok(())
    }

    /// Stores a dead letter. Returns whether it is new.
    async fn set_aside(&mut self, letter: DeadLetter<'_>) -> Result<bool, Stop> {
        self.sent.meanwhile(self.active.set_aside(letter)).await
    }

    /// Sends the batch, unless it is empty. A run with many batches may have several in flight; if it is
    /// killed, all of them are sent again. Otherwise waits for the answer.
    async fn flush(&mut self) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.active.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        if !self.is_claimed {
            // Saved before the first delivery: a run that cannot save would repeat the delivery
            // forever, and of two pollers only one should make it.
            self.save().await?;
            self.is_claimed = true;
        }
        let (destination, deadline) = (self.active.run.destination, self.active.deadline);
        let limits = destination.limits();
        let next = Batch::new(limits, self.active.run.share.hold(0));
        let batch = std::mem::replace(&mut self.batch, next);
        self.sent
            .send(destination, batch, self.met.clone(), deadline);
        self.left_out = 0;
        let side_by_side = (1 + self.batches / BATCHES_EACH).min(limits.side_by_side);
        while self.sent.len() >= side_by_side {
            self.take_next_answer().await?;
        }
        Ok(())
    }

    /// Sends the batch, and waits until every batch that was sent is handled.
    async fn flush_all(&mut self) -> Result<(), Stop> {
        self.flush().await?;
        while !self.sent.is_empty() {
            self.take_next_answer().await?;
        }
        Ok(())
    }

    async fn take_next_answer(&mut self) -> Result<(), Stop> {
        match self.sent.next().await {
            Some(answer) => self.take_answer(answer).await,
            None => Ok(()),
        }
    }

    /// Delivers what is left. The batch is then empty, so everything met is handled, and the ledger may
    /// be closed.
    async fn finish(&mut self) -> Result<(), Stop> {
        self.flush_all().await?;
        self.ledger.reach(&self.met);
        if let Some(comparison) = self.comparison {
            self.ledger.compared(comparison);
        }
        Ok(())
    }

    /// Moves the cursor past everything met, all of which is handled, and saves.
    async fn move_cursor(&mut self) -> Result<(), RunError> {
        self.left_out = 0;
        self.ledger.reach(&self.met);
        self.save().await
    }

    async fn save(&mut self) -> Result<(), RunError> {
        let save = self.ledger.save(self.active.deadline);
        let saved = self.sent.meanwhile(save).await;
        saved.map_err(RunError::Ledger)?;
        self.is_unsaved = false;
        Ok(())
    }

    async fn save_unsaved(&mut self) -> Result<(), RunError> {
        if self.is_unsaved {
            self.save().await?;
        }
        Ok(())
    }
}
