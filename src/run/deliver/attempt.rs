//! One attempt to deliver some records of a batch: what was accepted is noted, and what is left is
//! returned. Used for a whole batch, and for the parts in which it is sorted out.

use std::iter;

use bytes::Bytes;

use super::Delivering;
use crate::destination::{Delivery, DeliveryError, Outcome, Quarantine};
use crate::error::BoxError;
use crate::record::{Record, Source};
use crate::report::Fault;
use crate::run::{DeadLetters, Handled, Ledger, RunError, Stop};

/// Records of the batch, as indices.
pub(super) type Part = Vec<usize>;

/// A refused record of the batch, as its index, and the reason.
pub(super) type Culprit = (usize, BoxError);

/// What a delivery left unresolved.
#[derive(Default)]
pub(super) struct Leftover {
    /// Records that the destination refused.
    pub(super) culprits: Vec<Culprit>,
    /// Records whose outcome is not known.
    pub(super) suspects: Part,
    /// Set if several records got no answer in time. Fewer at a time may get one.
    pub(super) late: Option<BoxError>,
    /// Set if the service failed internally, which may be because of one of the records.
    pub(super) internal: Option<BoxError>,
    /// Set if the outcome cannot be found out now.
    error: Option<BoxError>,
    /// Whether anything was accepted.
    pub(super) has_accepted: bool,
}

impl Leftover {
    /// Whether everything was accepted.
    pub fn is_none(&self) -> bool {
        self.culprits.is_empty() && self.suspects.is_empty() && self.error.is_none()
    }

    /// Takes into account whether other records of the batch were accepted. If so, a refused record is
    /// itself at fault.
    pub(super) fn after(self, others_accepted: bool) -> Self {
        let has_accepted = self.has_accepted || others_accepted;
        Self {
            has_accepted,
            ..self
        }
    }

    /// Fails if it is not known which record is at fault, or whether one is.
    pub(super) fn or_error(mut self) -> Result<Self, Stop> {
        match self.error.take().or(self.internal.take()) {
            Some(error) => Err(RunError::Destination(error).into()),
            None => Ok(self),
        }
    }
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Delivers a part of the batch. Saves accepted records at once.
    pub(super) async fn try_part(&mut self, part: &[usize]) -> Result<Leftover, Stop> {
        self.attempt_part(part).await?.or_error()
    }

    /// Like [`try_part`](Self::try_part), but a failed delivery is no error.
    pub(super) async fn attempt_part(&mut self, part: &[usize]) -> Result<Leftover, Stop> {
        let active = self.active;
        if active.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let rows: Vec<Bytes> = part
            .iter()
            .map(|index| self.batch.rows[*index].clone())
            .collect();
        let destination = active.run.destination;
        let delivery = destination.deliver(&rows, active.deadline).await;
        let records = std::mem::take(&mut self.batch.records);
        let leftover = self.acknowledge(&records, part, delivery);
        self.batch.records = records;
        self.save_unsaved().await?;
        Ok(leftover)
    }

    /// Notes which of these records the destination accepted, and returns what is left.
    pub(super) fn acknowledge(
        &mut self,
        records: &[Record],
        part: &[usize],
        delivery: Delivery,
    ) -> Leftover {
        let Delivery {
            outcomes,
            bytes,
            error,
            quarantine,
        } = delivery;
        let mut found = Leftover::default();
        let mut accepted = 0;
        // A row without an outcome counts as open.
        let outcomes = outcomes
            .into_iter()
            .chain(iter::repeat_with(|| Outcome::Open));
        for (index, outcome) in part.iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted => {
                    accepted += 1;
                    self.ledger.note(&records[*index], Handled::Accepted);
                }
                Outcome::Refused(reason) => found.culprits.push((*index, reason)),
                Outcome::Open => found.suspects.push(*index),
            }
        }
        found.has_accepted = accepted > 0;
        if accepted == part.len() as u64 {
            self.active.run.pace.taken(part.len());
        }
        if accepted > 0 {
            self.report_accepted(accepted, bytes, quarantine);
            self.is_unsaved = true;
        }
        if let Some(error) = &error {
            let fault = match error {
                DeliveryError::Late(_) | DeliveryError::Internal(_) => Fault::Record,
                DeliveryError::Failed(_) | DeliveryError::Refused(_) => Fault::Elsewhere,
            };
            self.active.report(|report| report.fault = Some(fault));
        }
        match error {
            Some(DeliveryError::Failed(error)) => found.error = Some(error),
            Some(DeliveryError::Late(error)) => found.late = Some(error),
            Some(DeliveryError::Internal(error)) => found.internal = Some(error),
            None if !found.suspects.is_empty() => {
                let error = "the destination did not say what became of a record";
                found.error = Some(error.into());
            }
            Some(DeliveryError::Refused(_)) | None => {}
        }
        if found.late.is_some() || found.internal.is_some() {
            // Records refused in the same delivery will be refused again.
            let culprits = std::mem::take(&mut found.culprits).into_iter();
            found.suspects.extend(culprits.map(|(index, _)| index));
            found.suspects.sort_unstable();
        }
        found
    }

    /// Reports a post of which the destination accepted this many records, some of them into
    /// quarantine.
    pub(super) fn report_accepted(
        &mut self,
        accepted: u64,
        bytes: usize,
        quarantine: Option<Quarantine>,
    ) {
        let quarantined = quarantine.as_ref().map_or(0, |it| it.rows);
        let advice = quarantine.map(|it| it.advice);
        self.tally.advice = advice.or(self.tally.advice.take());
        self.active.report(|report| {
            report.delivered += accepted.saturating_sub(quarantined);
            report.quarantined += quarantined;
            report.batches += 1;
            report.bytes += bytes as u64;
        });
        self.active.report_newest(self.ledger.newest());
    }
}
