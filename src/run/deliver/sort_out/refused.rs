//! What becomes of records that the destination refuses, or among which it refuses some: those at fault
//! are found and set aside, and the rest are delivered.
//!
//! If every record is refused, including those tried from after the batch, the fault is not in the
//! records but in an address, a table or a schema. Then nothing is set aside, and the run fails. There
//! are two exceptions: a few records that have been all there is for an hour are set aside all the
//! same, and so is all that is left of a replay that has delivered other records.

use std::time::Duration;

use super::beyond::Beyond;
use super::{SAMPLE, halves, sample};
use crate::record::Source;
use crate::run::deliver::Delivering;
use crate::run::deliver::attempt::{Culprit, Leftover};
use crate::run::{DeadLetters, Ledger, RunError, Stop};

/// How long a few refused records may be all there is, in the batch and after it, before they are set
/// aside.
const PATIENCE: Duration = Duration::from_hours(1);

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Sets aside what the destination refuses of a part of the batch that was answered in time, and
    /// delivers the rest. Returns whether it has accepted anything of the batch or after it. That it
    /// accepted other batches before proves nothing: it may refuse everything by now.
    pub(super) async fn sort_out_refused(&mut self, leftover: Leftover) -> Result<bool, Stop> {
        let Leftover {
            mut culprits,
            suspects: mut open,
            mut has_accepted,
            ..
        } = leftover.or_error()?;
        if !has_accepted {
            for index in sample(&open, self.shift()) {
                open.retain(|it| *it != index);
                let tried = self.try_part(&[index]).await?;
                culprits.extend(tried.culprits);
                if tried.has_accepted {
                    has_accepted = true;
                    culprits = self.try_again(culprits).await?;
                    break;
                }
            }
        }
        if !has_accepted && !culprits.is_empty() {
            let beyond = if self.try_others(&open, &culprits).await? {
                Beyond::Accepted
            } else {
                self.try_beyond().await?
            };
            if beyond == Beyond::Accepted {
                has_accepted = true;
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
            let tried = self.try_part(&part).await?;
            has_accepted |= tried.has_accepted;
            if tried.late.is_some() && !self.active.deadline.is_over() {
                self.active.run.pace.late(part.len());
            }
            self.set_aside_all(tried.culprits).await?;
            parts.extend(halves(&tried.suspects));
        }
        Ok(has_accepted)
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
            if leftover.or_error()?.has_accepted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the fault is in the destination, after none of the records was accepted.
    fn refuses_all(&mut self, there_are_more: bool) -> bool {
        let is_patient = self.ledger.refuses_all().is_some_and(|since| {
            let waited = (self.active.began - since).to_std().unwrap_or_default();
            waited < PATIENCE
        });
        there_are_more || is_patient
    }
}
