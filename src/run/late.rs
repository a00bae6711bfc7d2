//! What becomes of a batch that is not answered in time: it is delivered in parts, since of fewer records
//! the destination, or the way to it, may be fast enough. As a whole it would be sent again and again.

use super::deliver::Delivering;
use super::refused::{Part, halves};
use super::{DeadLetters, Ledger, RunError, Stop};
use crate::error::BoxError;
use crate::record::Source;

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Delivers halves of some records of the batch, and halves of a half that is late too. What is
    /// refused of a part is found in it. What comes after it has no more records.
    pub(super) async fn deliver_in_parts(
        &mut self,
        late: Part,
        mut error: BoxError,
    ) -> Result<(), Stop> {
        let pace = self.course.run.pace;
        pace.late(late.len());
        let (mut parts, mut are_taken) = (vec![late], false);
        while let Some(mut part) = parts.pop() {
            // One of it may have been tried for the sake of those before it.
            part.retain(|it| self.is_left(*it));
            if part.is_empty() {
                continue;
            }
            if part.len() > pace.most() {
                parts.extend(halves(&part));
                continue;
            }
            let mut leftover = match self.try_part(&part).await {
                Err(Stop::OutOfTime) => return Err(RunError::Destination(error).into()),
                tried => tried?,
            };
            if let Some(again) = leftover.late.take() {
                error = again;
                pace.late(part.len());
                parts.push(part);
            } else {
                self.sort_out(leftover.after(are_taken)).await?;
                are_taken |= self.is_taken;
            }
        }
        Ok(())
    }
}
