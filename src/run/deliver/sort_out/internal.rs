//! What becomes of a batch over which the service fails internally run after run, or of a record that
//! gets no answer even alone. Usually the service fails whatever it is sent, until its fault has
//! passed, and there is nothing to do. But it may fail over one of the records, a poison record, and
//! would do so forever. Once a record of the batch has waited for an hour, or nothing tells how long it
//! has, that record is looked for, and set aside if others are accepted before and after it, in this run
//! or in the next one.

use std::time::Duration;

use tokio::time::Instant;

use super::beyond::Beyond;
use super::{halves, sample};
use crate::error::{BoxError, with_causes};
use crate::record::{Source, has_waited};
use crate::run::deliver::Delivering;
use crate::run::deliver::attempt::{Culprit, Part};
use crate::run::{DeadLetters, Ledger, RunError, Stop};

/// Poison records of a batch that are set aside before the rest is delivered. Each takes several attempts,
/// so if there are more, the rest comes first: it would have to wait for many runs.
const FEW: usize = 3;
/// How often a record is retried once others were accepted: a service may fail now and then whatever it
/// is sent.
const CONFIRMED: usize = 3;
/// Time after which a record is not retried: if it gets no answer, each attempt takes a minute.
const CONFIRMING: Duration = Duration::from_secs(45);

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Whether any unhandled record of the batch has waited so long that the fault may be in it.
    pub(super) fn has_waited(&self) -> bool {
        let mut records = self.batch.records.iter().enumerate();
        records.any(|(index, it)| {
            self.is_left(index) && has_waited([it.log_id.stored_at(), it.date], self.active.began)
        })
    }

    /// Delivers what the service accepts of some records of the batch, and sets aside those over which
    /// it fails. If it accepts none of them, none of the others in the batch (`others_accepted`), and none
    /// after it, the fault is not in the records.
    pub(super) async fn find_poison_records(
        &mut self,
        suspects: Part,
        others_accepted: bool,
        error: BoxError,
    ) -> Result<(), Stop> {
        let (known, mut open) = self.of_earlier_runs(suspects);
        let (mut failing, mut is_up) = (Vec::new(), others_accepted);
        for index in self.tried_alone(&open) {
            if is_up {
                break;
            }
            open.retain(|it| *it != index);
            is_up = self
                .try_piece(vec![index], false, &mut Vec::new(), &mut failing)
                .await?;
        }
        if !is_up && self.try_beyond().await? != Beyond::Accepted {
            return Err(RunError::Destination(error).into());
        }
        self.remember(&failing);
        // The records over which it fails, and after which it has accepted others.
        let mut poison = std::mem::take(&mut failing);
        let mut parts = halves(&open);
        let mut found = poison.len();
        while let Some(part) = parts.pop() {
            if found <= FEW {
                self.confirm(&mut poison).await?;
            }
            let before = failing.len();
            let has_accepted = self.try_piece(part, true, &mut parts, &mut failing).await?;
            found += failing.len() - before;
            self.remember(&failing);
            if has_accepted {
                poison.append(&mut failing);
            }
            if found > FEW {
                // The largest comes next.
                parts.sort_by_key(Vec::len);
            }
        }
        // It may accept nothing any more.
        if !failing.is_empty() && self.try_beyond().await? != Beyond::Accepted {
            return fail_if_any(failing);
        }
        let reason = with_causes(&*error);
        poison.append(&mut failing);
        poison.extend(known.into_iter().map(|it| (it, reason.clone().into())));
        self.confirm(&mut poison).await
    }

    /// Two records of these to try alone, to see whether the service takes anything: one that differs
    /// from run to run, and the last, since the service may have failed over all others in runs before.
    fn tried_alone(&self, open: &[usize]) -> Part {
        let sample = sample(open, self.shift());
        let first = sample.first();
        let others = open.last().into_iter().chain(sample.get(1));
        let second = others.into_iter().find(|it| Some(*it) != first);
        first.into_iter().chain(second).copied().collect()
    }

    /// The same for a batch of one record, which was just tried alone.
    pub(super) async fn judge_alone(&mut self, index: usize, error: BoxError) -> Result<(), Stop> {
        let mut failing = vec![(index, error)];
        if self.try_beyond().await? == Beyond::Accepted {
            self.confirm(&mut failing).await?;
        }
        fail_if_any(failing)
    }

    /// Remembers the records over which the service failed for the next run, in case this one does not
    /// come to set them aside.
    fn remember(&mut self, failing: &[Culprit]) {
        for (index, _) in failing {
            let id = &self.batch.records[*index].log_id;
            self.is_unsaved |= self.ledger.suspect(id);
        }
    }

    /// Divides some records of the batch into those over which the service failed in earlier runs, and
    /// the rest.
    fn of_earlier_runs(&self, part: Part) -> (Part, Part) {
        let is_known = |it: &usize| self.ledger.is_suspect(&self.batch.records[*it].log_id);
        part.into_iter().partition(is_known)
    }

    /// Delivers a part. If the service fails over it, adds its halves to `parts`, or a single record to
    /// `failing`. `others_accepted` says whether other records of the batch were accepted before.
    /// Returns whether any was accepted now.
    async fn try_piece(
        &mut self,
        mut part: Part,
        others_accepted: bool,
        parts: &mut Vec<Part>,
        failing: &mut Vec<Culprit>,
    ) -> Result<bool, Stop> {
        // Some of them may have been delivered meanwhile, to sort out the records before them.
        part.retain(|it| self.is_left(*it));
        if part.is_empty() {
            return Ok(false);
        }
        let mut leftover = self.attempt_part(&part).await?;
        let has_accepted = leftover.has_accepted;
        match (leftover.internal.take(), &part[..]) {
            (Some(error), [index]) => failing.push((*index, error)),
            (Some(_), _) => parts.extend(halves(&leftover.suspects)),
            (None, _) => self.sort_out_part(leftover.after(others_accepted)).await?,
        }
        Ok(has_accepted)
    }

    /// Retries the records over which the service failed, now that it has accepted others since, and
    /// sets aside those over which it still fails. Of many it sets aside a few at a time, as long as it may
    /// accept others.
    pub(super) async fn confirm(&mut self, failing: &mut Vec<Culprit>) -> Result<(), Stop> {
        let mut left = std::mem::take(failing);
        let are_many = left.len() > FEW;
        while !left.is_empty() {
            let later = left.split_off(left.len().min(FEW));
            let poison = self.retry_alone(left).await?;
            if are_many && !poison.is_empty() && !self.may_accept().await? {
                return fail_if_any(poison);
            }
            self.set_aside_all(poison).await?;
            left = later;
        }
        Ok(())
    }

    /// Whether it accepts a record after the batch, or there is none.
    async fn may_accept(&mut self) -> Result<bool, Stop> {
        let beyond = self.try_beyond().await?;
        Ok(matches!(beyond, Beyond::Accepted | Beyond::Few(0)))
    }

    /// Retries records alone. Returns those over which the service fails each time.
    async fn retry_alone(&mut self, failing: Vec<Culprit>) -> Result<Vec<Culprit>, Stop> {
        let mut poison = Vec::new();
        'records: for (index, mut reason) in failing {
            let began = Instant::now();
            for _ in 0..CONFIRMED {
                if !self.is_left(index) {
                    continue 'records;
                }
                if began.elapsed() >= CONFIRMING {
                    break;
                }
                let mut leftover = self.attempt_part(&[index]).await?;
                let Some(again) = leftover.internal.take() else {
                    self.sort_out_refused(leftover.after(true)).await?;
                    continue 'records;
                };
                reason = again;
            }
            poison.push((index, reason));
        }
        Ok(poison)
    }
}

/// Fails the run if any of these records are left.
pub(super) fn fail_if_any(mut failing: Vec<Culprit>) -> Result<(), Stop> {
    match failing.pop() {
        Some((_, error)) => Err(RunError::Destination(error).into()),
        None => Ok(()),
    }
}
