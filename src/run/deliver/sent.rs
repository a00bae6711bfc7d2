//! Batches that are being delivered, and what follows their answers.

use std::collections::VecDeque;
use std::pin::pin;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use super::Delivering;
use super::attempt::Leftover;
use super::batch::Batch;
use crate::destination::{Delivery, Destination};
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Record, Source};
use crate::run::time::time_before;
use crate::run::{DeadLetters, Ledger, Stop};

/// The result of delivering the batch with this number, and the batch's rows.
pub(super) struct Answer {
    number: u64,
    rows: Vec<Bytes>,
    delivery: Delivery,
}

/// The batches being delivered.
#[derive(Default)]
pub(super) struct Sent<'c> {
    answers: FuturesUnordered<BoxFuture<'c, Answer>>,
    /// Answers that came while the run waited for something else.
    came: VecDeque<Answer>,
    /// The batches, in the order in which they were sent.
    batches: VecDeque<UnderWay>,
    numbers: u64,
}

/// A batch that is in flight, or is answered and comes after one that is in flight.
struct UnderWay {
    number: u64,
    batch: Batch,
    /// The largest ids met up to its end.
    met: Reach,
    /// What its answer left unresolved; `None` until it is answered.
    leftover: Option<Leftover>,
}

impl<'c> Sent<'c> {
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn len(&self) -> usize {
        self.batches.len()
    }

    pub fn has(&self, id: &LogId) -> bool {
        self.batches.iter().any(|it| it.batch.has(id))
    }

    /// Sends a batch. Once it and the batches before it are handled, everything up to `met` is.
    pub fn send(
        &mut self,
        destination: &'c dyn Destination,
        mut batch: Batch,
        met: Reach,
        deadline: Deadline,
    ) {
        self.numbers += 1;
        let number = self.numbers;
        let rows = std::mem::take(&mut batch.rows);
        self.batches.push_back(UnderWay {
            number,
            batch,
            met,
            leftover: None,
        });
        self.answers.push(Box::pin(async move {
            let delivery = destination.deliver(&rows, deadline).await;
            Answer {
                number,
                rows,
                delivery,
            }
        }));
    }

    /// The next answer to a batch.
    pub async fn next(&mut self) -> Option<Answer> {
        match self.came.pop_front() {
            None => self.answers.next().await,
            answer => answer,
        }
    }

    /// Waits for `other`, and receives answers meanwhile: an answer that is not received within the
    /// request timeout counts as missing, and the batch is posted again.
    pub async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                biased;
                done = &mut other => return done,
                Some(answer) = self.answers.next() => self.came.push_back(answer),
            }
        }
    }

    /// Removes the first batch, if it is answered.
    fn pop_answered(&mut self) -> Option<UnderWay> {
        self.batches.front()?.leftover.as_ref()?;
        self.batches.pop_front()
    }
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Processes the answer to a batch. Saves accepted records at once; the cursor passes the batch
    /// once all batches before it are answered. If the batch was not accepted as a whole, waits for the
    /// other batches in flight, and then finds the records at fault.
    pub(super) async fn take_answer(&mut self, answer: Answer) -> Result<(), Stop> {
        let is_whole = self.acknowledge_sent(answer);
        if !(self.acknowledge_those_that_came() && is_whole) {
            self.wait_for_all(true).await?;
        }
        while let Some(it) = self.sent.pop_answered() {
            let leftover = it.leftover.unwrap_or_default();
            if !leftover.is_none() {
                let filling = std::mem::replace(&mut self.batch, it.batch);
                self.save_unsaved().await?;
                self.sort_out_batch(leftover).await?;
                self.batch = filling;
            }
            self.ledger.reach(&it.met);
        }
        Ok(self.save().await?)
    }

    /// Processes the other answers that have come by now, so that one save covers them all. Returns
    /// whether all their rows were accepted.
    fn acknowledge_those_that_came(&mut self) -> bool {
        let mut are_whole = true;
        while let Some(Some(answer)) = self.sent.next().now_or_never() {
            are_whole &= self.acknowledge_sent(answer);
        }
        are_whole
    }

    /// Notes which records of a batch were accepted. Returns whether all were.
    fn acknowledge_sent(&mut self, answer: Answer) -> bool {
        let Answer {
            number,
            rows,
            delivery,
        } = answer;
        let mut batches = self.sent.batches.iter();
        let Some(place) = batches.position(|it| it.number == number) else {
            return true;
        };
        let records = std::mem::take(&mut self.sent.batches[place].batch.records);
        let whole: Vec<usize> = (0..records.len()).collect();
        let leftover = self.acknowledge(&records, &whole, delivery);
        self.batches += 1;
        let is_whole = leftover.is_none();
        let answered = &mut self.sent.batches[place];
        answered.batch.rows = rows;
        answered.batch.records = records;
        answered.leftover = Some(leftover);
        is_whole
    }

    /// Waits for all batches in flight, and saves accepted records as soon as their answer comes: the
    /// slowest answer may take long, and until the save another poller would send the records again. In
    /// the last seconds of a run there is time for only one save, after all answers.
    pub(super) async fn wait_for_all(&mut self, may_save: bool) -> Result<(), Stop> {
        let mut is_kept_at_once = may_save;
        loop {
            self.acknowledge_those_that_came();
            if is_kept_at_once && !self.active.deadline.is_over() {
                is_kept_at_once = self.save_unsaved().await.is_ok();
            }
            match self.sent.next().await {
                Some(answer) => self.acknowledge_sent(answer),
                None => break,
            };
        }
        if may_save {
            self.save_unsaved().await?;
        }
        Ok(())
    }

    /// The unhandled records of the batch and of the batches in flight.
    pub(super) fn left(&self) -> impl Iterator<Item = &Record> {
        let under_way = self.sent.batches.iter().map(|it| &it.batch);
        let records = under_way.chain([&self.batch]).flat_map(|it| &it.records);
        records.filter(|it| !self.ledger.has_handled(&it.log_id))
    }

    /// The time of the oldest unhandled record of the batch and of the batches in flight.
    pub(super) fn oldest_left(&self) -> Option<DateTime<Utc>> {
        let now = self.active.now();
        let times = self.left().map(|it| time_before(now, &it.log_id, it.date));
        times.flatten().min()
    }
}
