//! What becomes of a batch that the destination does not accept as a whole: accepted records are noted,
//! the records at fault are found and set aside, and the rest are delivered.
//!
//! If every record is refused, including those tried from after the batch, the fault is not in the
//! records but in an address, a table or a schema. Then nothing is set aside, and the run fails. There
//! are two exceptions: a few records that have been all there is for an hour are set aside all the
//! same, and so is all that is left of a replay that has delivered other records.

use std::iter;
use std::time::Duration;

use bytes::Bytes;

use super::Delivering;
use super::beyond::Beyond;
use crate::destination::{Delivery, DeliveryError, Outcome, Quarantine};
use crate::error::BoxError;
use crate::record::{Record, Source};
use crate::run::{DeadLetters, Handled, Ledger, RunError, Stop};

/// Records tried alone before a run concludes that every record is refused.
pub(super) const SAMPLE: usize = 10;
/// How long a few refused records may be all there is, in the batch and after it, before they are set
/// aside.
const PATIENCE: Duration = Duration::from_hours(1);

/// Records of the batch, as indices.
pub(super) type Part = Vec<usize>;

/// A refused record of the batch, as its index, and the reason.
pub(super) type Culprit = (usize, BoxError);

/// What a delivery left unresolved.
#[derive(Default)]
pub(super) struct Leftover {
    culprits: Vec<Culprit>,
    /// Records whose outcome is not known.
    pub(super) suspects: Part,
    /// Set if several records got no answer in time. Fewer at a time may get one.
    pub(super) late: Option<BoxError>,
    /// Set if the service failed internally, which may be because of one of the records.
    pub(super) internal: Option<BoxError>,
    /// Set if the outcome cannot be found out now.
    error: Option<BoxError>,
    /// Whether anything was accepted.
    pub(super) is_taken: bool,
}

impl Leftover {
    /// Whether everything was accepted.
    pub fn is_none(&self) -> bool {
        self.culprits.is_empty() && self.suspects.is_empty() && self.error.is_none()
    }

    /// Takes into account whether other records of the batch were accepted. If so, a refused record is
    /// itself at fault.
    pub(super) fn after(self, are_taken: bool) -> Self {
        let is_taken = self.is_taken || are_taken;
        Self { is_taken, ..self }
    }

    fn or_error(mut self) -> Result<Self, Stop> {
        match self.error.take().or(self.internal.take()) {
            Some(error) => Err(RunError::Destination(error).into()),
            None => Ok(self),
        }
    }
}

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Sets aside what the destination refuses of the batch, and delivers the rest.
    ///
    /// Saves what was found out, even if there is no time to find out the rest: the next run continues
    /// from there.
    pub(super) async fn sort_out_batch(&mut self, leftover: Leftover) -> Result<(), Stop> {
        let sorted = match leftover {
            Leftover {
                internal: Some(error),
                suspects,
                is_taken,
                ..
            } if self.has_waited() => match suspects[..] {
                [index] if !is_taken => self.judge_alone(index, error).await,
                _ => self.find_stumbling_block(suspects, is_taken, error).await,
            },
            leftover => self.sort_out_part(leftover).await,
        };
        let Err(stop) = sorted else {
            return Ok(());
        };
        if self.is_unsaved {
            self.save().await?;
        }
        match stop {
            Stop::OutOfTime => {
                let left = self.left().count();
                Err(RunError::NotSortedOut { left }.into())
            }
            failed @ Stop::Failed(_) => Err(failed),
        }
    }

    /// Like [`sort_out_batch`](Self::sort_out_batch), for a part of the batch.
    pub(super) async fn sort_out_part(&mut self, leftover: Leftover) -> Result<(), Stop> {
        match leftover {
            Leftover {
                late: Some(error),
                suspects,
                ..
            } => self.deliver_in_parts(suspects, error).await,
            leftover => self.sort_out(leftover).await,
        }
    }

    /// Like [`sort_out_part`](Self::sort_out_part), for a part that was answered in time.
    pub(super) async fn sort_out(&mut self, leftover: Leftover) -> Result<(), Stop> {
        let Leftover {
            mut culprits,
            suspects,
            is_taken,
            ..
        } = leftover.or_error()?;
        // That it accepted other batches before proves nothing: it may refuse everything by now.
        self.is_taken = is_taken;
        let mut open = suspects;
        if !self.is_taken {
            for index in sample(&open, self.shift()) {
                open.retain(|it| *it != index);
                let found = self.try_part(&[index]).await?.culprits;
                culprits.extend(found);
                if self.is_taken {
                    culprits = self.try_again(culprits).await?;
                    break;
                }
            }
        }
        if !self.is_taken && !culprits.is_empty() {
            let beyond = if self.try_others(&open, &culprits).await? {
                Beyond::Taken
            } else {
                self.try_beyond().await?
            };
            if beyond == Beyond::Taken {
                // Earlier refusals prove nothing, so these records are sorted out again.
                open.extend(culprits.drain(..).map(|(index, _)| index));
                open.sort_unstable();
            } else {
                // If this is a part of the batch, the rest of it is not tried yet.
                let left = self.all_left().len();
                let is_few = |others| left + others <= SAMPLE;
                let is_all =
                    open.is_empty() && matches!(beyond, Beyond::Few(others) if is_few(others));
                if let Some((_, reason)) = culprits.pop_if(|_| self.refuses_all(!is_all)) {
                    self.save().await?;
                    return Err(RunError::AllRefused(reason).into());
                }
            }
        }
        self.set_aside_all(culprits).await?;
        let mut parts = halves(&open);
        while let Some(part) = parts.pop() {
            let Leftover {
                culprits,
                suspects,
                late,
                ..
            } = self.try_part(&part).await?;
            if late.is_some() && !self.course.deadline.is_over() {
                self.course.run.pace.late(part.len());
            }
            self.set_aside_all(culprits).await?;
            parts.extend(halves(&suspects));
        }
        Ok(())
    }

    /// Where a sample begins. This differs from run to run, because the batch stays the same until one
    /// of its records is accepted.
    pub(super) fn shift(&self) -> usize {
        let minutes = self.course.began.timestamp() / 60;
        usize::try_from(minutes).unwrap_or_default()
    }

    /// Tries records alone again that were refused before anything was accepted. Such a refusal proves
    /// nothing: the destination may have refused everything until then.
    async fn try_again(&mut self, refused: Vec<Culprit>) -> Result<Vec<Culprit>, Stop> {
        let mut culprits = Vec::new();
        for (index, _) in refused {
            culprits.extend(self.try_part(&[index]).await?.culprits);
        }
        Ok(culprits)
    }

    /// If this is a part of the batch, tries records of the rest. Returns whether one is accepted.
    async fn try_others(&mut self, open: &[usize], culprits: &[Culprit]) -> Result<bool, Stop> {
        let mut others = self.all_left();
        others.retain(|it| !open.contains(it) && culprits.iter().all(|(index, _)| index != it));
        for index in sample(&others, self.shift()) {
            let mut leftover = self.attempt_part(&[index]).await?;
            // The service may fail internally because of this record, and still accept others.
            leftover.internal = None;
            leftover.or_error()?;
            if self.is_taken {
                break;
            }
        }
        Ok(self.is_taken)
    }

    /// The unhandled records of the batch.
    fn all_left(&self) -> Part {
        let records = 0..self.batch.records.len();
        records.filter(|it| self.is_left(*it)).collect()
    }

    /// Whether a record of the batch is unhandled.
    pub(super) fn is_left(&self, index: usize) -> bool {
        !self.ledger.has_handled(&self.batch.records[index].log_id)
    }

    /// Whether the fault is in the destination, after none of the records was accepted.
    fn refuses_all(&mut self, there_are_more: bool) -> bool {
        let is_patient = self.ledger.refuses_all().is_some_and(|since| {
            let waited = (self.course.began - since).to_std().unwrap_or_default();
            waited < PATIENCE
        });
        there_are_more || is_patient
    }

    pub(super) async fn set_aside_all(&mut self, culprits: Vec<Culprit>) -> Result<(), Stop> {
        for (index, reason) in culprits {
            let record = self.batch.records[index].clone();
            self.keep_dead_letter(&record, &*reason).await?;
            self.refused += 1;
            self.is_unsaved = true;
        }
        Ok(())
    }

    /// Delivers a part of the batch. Saves accepted records at once.
    pub(super) async fn try_part(&mut self, part: &[usize]) -> Result<Leftover, Stop> {
        self.attempt_part(part).await?.or_error()
    }

    /// Like [`try_part`](Self::try_part), but a failed delivery is no error.
    pub(super) async fn attempt_part(&mut self, part: &[usize]) -> Result<Leftover, Stop> {
        let course = self.course;
        if course.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let rows: Vec<Bytes> = part
            .iter()
            .map(|index| self.batch.rows[*index].clone())
            .collect();
        let destination = course.run.destination;
        let delivery = destination.deliver(&rows, course.deadline).await;
        let records = std::mem::take(&mut self.batch.records);
        let leftover = self.acknowledge(&records, part, delivery);
        self.batch.records = records;
        if self.is_unsaved {
            self.save().await?;
        }
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
        found.is_taken = accepted > 0;
        if accepted == part.len() as u64 {
            self.course.run.pace.taken(part.len());
        }
        if accepted > 0 {
            self.report_taken(accepted, bytes, quarantine);
            self.is_unsaved = true;
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
    pub(super) fn report_taken(
        &mut self,
        accepted: u64,
        bytes: usize,
        quarantine: Option<Quarantine>,
    ) {
        self.is_taken = true;
        let quarantined = quarantine.as_ref().map_or(0, |it| it.rows);
        self.advice = quarantine.map(|it| it.advice).or(self.advice.take());
        self.course.report(|report| {
            report.delivered += accepted.saturating_sub(quarantined);
            report.quarantined += quarantined;
            report.batches += 1;
            report.bytes += bytes as u64;
        });
        self.course.report_newest(self.ledger.newest());
    }
}

/// Up to [`SAMPLE`] records of a part, spread evenly over it, and shifted so that they vary from run to
/// run.
pub(super) fn sample(part: &[usize], shift: usize) -> Part {
    let count = part.len();
    let tried = count.min(SAMPLE);
    let place = |n| n * count.saturating_sub(1) / tried.saturating_sub(1).max(1);
    (0..tried)
        .map(|n| part[(place(n) + shift) % count])
        .collect()
}

pub(super) fn halves(part: &[usize]) -> Vec<Part> {
    let (first, second) = part.split_at(part.len() / 2);
    // The caller pops the last, so the first half comes last.
    let halves = [second, first].into_iter().filter(|it| !it.is_empty());
    halves.map(<[usize]>::to_vec).collect()
}
