//! Batches that are being delivered, and the settling of them in order.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;

use super::batch::Batch;
use super::deliver::Delivering;
use super::refused::Leftover;
use super::{DeadLetters, Ledger, Stop};
use crate::destination::{Delivery, Destination};
use crate::net::retry::Deadline;
use crate::record::{LogId, Reach, Source};

/// The rows of a batch, and what became of them.
pub(super) type Answer = (Vec<Bytes>, Delivery);

/// What is being delivered, in order.
#[derive(Default)]
pub(super) struct Sent<'c> {
    answers: FuturesOrdered<BoxFuture<'c, Answer>>,
    batches: VecDeque<(Batch, Reach)>,
}

impl<'c> Sent<'c> {
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn len(&self) -> usize {
        self.batches.len()
    }

    pub fn has(&self, id: &LogId) -> bool {
        self.batches.iter().any(|(batch, _)| batch.has(id))
    }

    /// Delivers a batch. Once it and those before are handled, all of `met` is.
    pub fn send(
        &mut self,
        destination: &'c dyn Destination,
        mut batch: Batch,
        met: Reach,
        deadline: Deadline,
    ) {
        let rows = std::mem::take(&mut batch.rows);
        self.batches.push_back((batch, met));
        self.answers.push_back(Box::pin(async move {
            let delivery = destination.deliver(&rows, deadline).await;
            (rows, delivery)
        }));
    }

    /// What became of the oldest.
    pub async fn next(&mut self) -> Option<Answer> {
        self.answers.next().await
    }
}

/// A batch of which is known what became of it.
struct Answered {
    batch: Batch,
    met: Reach,
    leftover: Leftover,
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Takes note of what became of the oldest batch. Where it was not taken whole, what else is under
    /// way is waited for, and then the records at fault are found.
    pub(super) async fn settle_sent(&mut self, answer: Answer) -> Result<(), Stop> {
        // What it took before, it may refuse by now like everything else.
        self.is_taken = false;
        let mut answered: VecDeque<Answered> = VecDeque::new();
        let mut next = Some(answer);
        while let Some(answer) = next {
            answered.extend(self.acknowledge_sent(answer));
            let is_whole = answered.iter().all(|it| it.leftover.is_none());
            next = if is_whole {
                None
            } else {
                self.sent.next().await
            };
        }
        while let Some(Answered {
            batch,
            met,
            leftover,
        }) = answered.pop_front()
        {
            if !leftover.is_none() {
                let filling = std::mem::replace(&mut self.batch, batch);
                self.save_unsaved().await?;
                self.sort_out_batch(leftover).await?;
                self.batch = filling;
            }
            self.ledger.reach(&met);
        }
        Ok(self.save().await?)
    }

    /// Notes what was accepted of the oldest batch.
    fn acknowledge_sent(&mut self, (rows, delivery): Answer) -> Option<Answered> {
        let (mut batch, met) = self.sent.batches.pop_front()?;
        batch.rows = rows;
        self.batches += 1;
        let whole: Vec<usize> = (0..batch.rows.len()).collect();
        let leftover = self.acknowledge(&batch.records, &whole, delivery);
        Some(Answered {
            batch,
            met,
            leftover,
        })
    }

    /// Waits for what is under way when the run ends early, so that what is accepted is not sent again.
    pub(super) async fn wait_for_all(&mut self, may_save: bool) -> Result<(), Stop> {
        while let Some(answer) = self.sent.next().await {
            if let Some(it) = self.acknowledge_sent(answer)
                && !it.leftover.is_none()
            {
                self.batch = it.batch;
            }
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
}
