//! What becomes of a batch that is not answered in time: it is delivered in parts, because the
//! destination, or the network path to it, may be fast enough for fewer records. As a whole it would be
//! sent again and again.
//!
//! If a single record gets no answer, either the destination or something on the path to it fails over
//! that record.

use super::beyond::Beyond;
use super::halves;
use super::internal::fail_if_any;
use crate::error::BoxError;
use crate::record::Source;
use crate::run::deliver::Delivering;
use crate::run::deliver::attempt::Part;
use crate::run::{DeadLetters, Ledger, RunError, Stop};

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Delivers some records of the batch in halves, and halves a part again if it is late too. Refused
    /// records are looked for within their part. Later deliveries have no more records than the parts.
    pub(super) async fn deliver_in_parts(
        &mut self,
        late: Part,
        mut error: BoxError,
    ) -> Result<(), Stop> {
        let pace = self.active.run.pace;
        // A post that the end of a run cuts off comes first in the next run, which has more time for
        // it.
        if self.active.deadline.is_over() && self.batches > 1 {
            return Err(RunError::Destination(error).into());
        }
        pace.late(late.len());
        let (mut parts, mut others_accepted, mut failing) = (vec![late], false, Vec::new());
        while let Some(mut part) = parts.pop() {
            // Some of them may have been delivered meanwhile, to sort out the records before them.
            part.retain(|it| self.is_left(*it));
            if part.is_empty() {
                continue;
            }
            if part.len() > pace.most() {
                parts.extend(halves(&part));
                continue;
            }
            let mut leftover = match self.attempt_part(&part).await {
                Err(Stop::OutOfTime) => return Err(RunError::Destination(error).into()),
                tried => tried?,
            };
            if let Some(again) = leftover.late.take() {
                error = again;
                if self.active.deadline.is_over() {
                    return Err(RunError::Destination(error).into());
                }
                pace.late(part.len());
                parts.push(part);
                continue;
            }
            let mut has_accepted = leftover.has_accepted;
            match leftover.internal.take() {
                Some(again) if !self.has_waited() => {
                    return Err(RunError::Destination(again).into());
                }
                Some(again) => match part[..] {
                    [index] => {
                        failing.push((index, again));
                        has_accepted = self.try_beyond().await? == Beyond::Accepted;
                    }
                    _ => parts.extend(halves(&part)),
                },
                None => {
                    others_accepted = self
                        .sort_out_refused(leftover.after(others_accepted))
                        .await?;
                }
            }
            if has_accepted {
                self.confirm(&mut failing).await?;
            }
        }
        fail_if_any(failing)
    }
}
