//! Batches that are being delivered, and the settling of them.

use std::collections::VecDeque;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use super::batch::Batch;
use super::deliver::Delivering;
use super::refused::Leftover;
use super::{DeadLetters, Ledger, Stop};
use crate::destination::{Delivery, Destination};
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Record, Source};

/// What became of a batch of this number, and its rows.
pub(super) struct Answer {
    number: u64,
    rows: Vec<Bytes>,
    delivery: Delivery,
}

/// What is being delivered.
#[derive(Default)]
pub(super) struct Sent<'c> {
    answers: FuturesUnordered<BoxFuture<'c, Answer>>,
    /// Those that came while something else was waited for.
    came: VecDeque<Answer>,
    /// In order.
    batches: VecDeque<UnderWay>,
    numbers: u64,
}

/// A batch that is under way, or comes after one that is.
struct UnderWay {
    number: u64,
    batch: Batch,
    /// What was met up to its end.
    met: Reach,
    /// What is left of it to be found out, once it is answered.
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

    /// Delivers a batch. Once it and those before are handled, all of `met` is.
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

    /// What became of the next one that is answered.
    pub async fn next(&mut self) -> Option<Answer> {
        match self.came.pop_front() {
            None => self.answers.next().await,
            answer => answer,
        }
    }

    /// Waits for something else. Answers are taken meanwhile: one that nobody takes for as long as a
    /// request may last counts as none, and the batch is posted again.
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

    /// Those at the beginning that are answered, in order.
    fn pop_answered(&mut self) -> Option<UnderWay> {
        self.batches.front()?.leftover.as_ref()?;
        self.batches.pop_front()
    }
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Takes note of what became of a batch. The cursor passes it once those before it are answered;
    /// what is accepted is kept at once. Where it was not taken whole, what else is under way is waited
    /// for, and then the records at fault are found.
    pub(super) async fn settle_sent(&mut self, answer: Answer) -> Result<(), Stop> {
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

    /// Notes what else is answered by now, so that one save keeps all of it. Answers whether everything
    /// was accepted.
    fn acknowledge_those_that_came(&mut self) -> bool {
        let mut are_whole = true;
        while let Some(Some(answer)) = self.sent.next().now_or_never() {
            are_whole &= self.acknowledge_sent(answer);
        }
        are_whole
    }

    /// Notes what was accepted of a batch. Answers whether that is all of it.
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

    /// Waits for what is under way, and keeps what is accepted as soon as that is known: the slowest
    /// answer may be long in coming, and until then another poller would send it again. In the last
    /// seconds of a run there is time for one save, after all answers.
    pub(super) async fn wait_for_all(&mut self, may_save: bool) -> Result<(), Stop> {
        let mut is_kept_at_once = may_save;
        loop {
            self.acknowledge_those_that_came();
            if is_kept_at_once && !self.course.deadline.is_over() {
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

    async fn save_unsaved(&mut self) -> Result<(), Stop> {
        if self.is_unsaved {
            self.save().await?;
        }
        Ok(())
    }

    /// Records of the batch, and of those under way, that are not handled.
    pub(super) fn left(&self) -> impl Iterator<Item = &Record> {
        let under_way = self.sent.batches.iter().map(|it| &it.batch);
        let records = under_way.chain([&self.batch]).flat_map(|it| &it.records);
        records.filter(|it| !self.ledger.has_handled(&it.log_id))
    }
}
