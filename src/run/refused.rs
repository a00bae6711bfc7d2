//! What becomes of a batch that the destination does not take whole: what it accepts is noted, the
//! records at fault are found and set aside, and the others are delivered.
//!
//! Where every record is refused, also those that are tried from after the batch, the fault is not in
//! the records, but in an address, a table or a schema; then nothing is set aside and the run fails.
//! Only a few records that are all there is for an hour are set aside all the same, or all that is left
//! of a replay which has delivered others.

use std::iter;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::beyond::Beyond;
use super::deliver::Delivering;
use super::gap::time_before;
use super::{DeadLetters, Handled, Ledger, RunError, Stop};
use crate::destination::{Delivery, DeliveryError, Outcome, Quarantine};
use crate::error::BoxError;
use crate::record::{Record, Source};

/// Records that are tried alone before it is said that every record is refused.
pub(super) const SAMPLE: usize = 10;
/// How long so few records, those of the batch and those after it, may be all there is, and be refused.
const PATIENCE: Duration = Duration::from_hours(1);

/// Records of the batch, by their places in it.
pub(super) type Part = Vec<usize>;

/// A record of the batch that was refused, and why.
pub(super) type Culprit = (usize, BoxError);

/// What a delivery left to be found out.
#[derive(Default)]
pub(super) struct Leftover {
    culprits: Vec<Culprit>,
    /// Records of which some are refused, nobody knows which.
    pub(super) suspects: Part,
    /// Why nothing is known of several, of fewer of which it may be.
    pub(super) late: Option<BoxError>,
    /// Why nothing is known of records, at one of which the service may fail.
    pub(super) internal: Option<BoxError>,
    /// Why it cannot be found out now.
    error: Option<BoxError>,
    /// Whether anything was accepted.
    pub(super) is_taken: bool,
}

impl Leftover {
    /// Whether everything was accepted.
    pub fn is_none(&self) -> bool {
        self.culprits.is_empty() && self.suspects.is_empty() && self.error.is_none()
    }

    /// The same after others of the batch were taken, or not: what is refused is then at fault itself.
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
    /// What was found out is kept, also where there is no time to find out the rest: the next run goes
    /// on from there.
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

    /// The same for a part of the batch.
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

    /// The same for what was answered in time.
    pub(super) async fn sort_out(&mut self, leftover: Leftover) -> Result<(), Stop> {
        let Leftover {
            mut culprits,
            suspects,
            is_taken,
            ..
        } = leftover.or_error()?;
        // What it took before or of other batches, it may refuse by now like everything else.
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
                // What was refused before proves nothing, so all of it is sorted out.
                open.extend(culprits.drain(..).map(|(index, _)| index));
                open.sort_unstable();
            } else {
                // Where this is a part of the batch, the rest of it is not tried yet.
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

    /// Where a sample begins: elsewhere in each run, since the batch is the same until one of it is
    /// taken.
    pub(super) fn shift(&self) -> usize {
        let minutes = self.course.began.timestamp() / 60;
        usize::try_from(minutes).unwrap_or_default()
    }

    /// Tries records alone that were refused before anything was taken, which proves nothing: until
    /// then, the destination may have refused whatever it was sent.
    async fn try_again(&mut self, refused: Vec<Culprit>) -> Result<Vec<Culprit>, Stop> {
        let mut culprits = Vec::new();
        for (index, _) in refused {
            culprits.extend(self.try_part(&[index]).await?.culprits);
        }
        Ok(culprits)
    }

    /// Tries others of the batch, where this is a part of it. Answers whether one is taken.
    async fn try_others(&mut self, open: &[usize], culprits: &[Culprit]) -> Result<bool, Stop> {
        let mut others = self.all_left();
        others.retain(|it| !open.contains(it) && culprits.iter().all(|(index, _)| index != it));
        for index in sample(&others, self.shift()) {
            let mut leftover = self.attempt_part(&[index]).await?;
            // Over this one it may stumble, and still take others.
            leftover.internal = None;
            leftover.or_error()?;
            if self.is_taken {
                break;
            }
        }
        Ok(self.is_taken)
    }

    /// The records of the batch that are not handled.
    fn all_left(&self) -> Part {
        let records = 0..self.batch.records.len();
        records.filter(|it| self.is_left(*it)).collect()
    }

    /// Whether a record of the batch is not handled.
    pub(super) fn is_left(&self, index: usize) -> bool {
        !self.ledger.has_handled(&self.batch.records[index].log_id)
    }

    /// Whether the fault is not in the records, since none is taken.
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

    /// When the oldest record of the batch happened that is not handled.
    pub(super) fn oldest_left(&self) -> Option<DateTime<Utc>> {
        let now = self.course.now();
        let times = self.left().map(|it| time_before(now, &it.log_id, it.date));
        times.flatten().min()
    }

    /// Delivers a part of the batch. What is accepted of it is kept at once.
    pub(super) async fn try_part(&mut self, part: &[usize]) -> Result<Leftover, Stop> {
        self.attempt_part(part).await?.or_error()
    }

    /// The same, whatever comes of it.
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

    /// Notes what the destination accepted of some records, and answers with the rest.
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
        // What is not told of is not known.
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
            // What was refused beside them is refused again.
            let culprits = std::mem::take(&mut found.culprits).into_iter();
            found.suspects.extend(culprits.map(|(index, _)| index));
            found.suspects.sort_unstable();
        }
        found
    }

    /// Reports a post of which the destination took so many records, some of them into quarantine.
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

/// Some of these, as far from each other as they can be, from a place on that is not always the same.
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
    // The first is to be taken first.
    let halves = [second, first].into_iter().filter(|it| !it.is_empty());
    halves.map(<[usize]>::to_vec).collect()
}
