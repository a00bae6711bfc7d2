//! The reading half: from where the ledger stands, page after page, to the end of the log.

use tokio::sync::mpsc;
use tracing::warn;

use super::in_flight::Held;
use super::{Course, DeadLetters, Opening, RunError, Stop};
use crate::error::{BoxError, with_causes};
use crate::record::{Page, Source, SourceError, Start};
use crate::report::Gap;

/// What the reading half hands to the delivering half.
#[derive(Debug)]
pub(super) enum Read {
    /// The source no longer takes the cursor; what follows is read from this start.
    Anew(Start),
    /// Records that may be missing before what follows.
    Gap(Gap),
    /// A page, and the room that it takes.
    Page(Page, Held),
    /// Nothing more is read before what was read is handled.
    NoRoom,
}

impl<S: Source, A: DeadLetters> Course<'_, S, A> {
    /// Reads page after page.
    pub(super) async fn read(
        &self,
        opening: &Opening,
        out: mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        if self.reading.is_over() || *self.run.stopping.borrow() {
            return Err(Stop::OutOfTime);
        }
        let first = tokio::select! {
            // In order, so that a run is the same each time.
            biased;
            first = self.first_page(opening) => in_time(first)?,
            () = out.closed() => return Err(Stop::OutOfTime),
            () = self.asked_to_stop() => return Err(Stop::OutOfTime),
        };
        if let Some(start) = first.anew {
            hand_over(&out, Read::Anew(start)).await?;
        }
        if let Some(gap) = first.gap {
            hand_over(&out, Read::Gap(gap)).await?;
        }
        let mut page = first.page;
        let mut after = None;
        loop {
            page.records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
            let last = page.records.last().map(|record| record.log_id.clone());
            let is_last = page.is_last;
            let count = page.records.len() + page.misfits.len();
            self.report(|report| report.fetched += count as u64);
            let bytes = page.bytes();
            let held = self.run.share.hold(bytes);
            hand_over(&out, Read::Page(page, held)).await?;

            if is_last {
                return Ok(());
            }
            let last = last.ok_or(RunError::NoId)?;
            if let Some(after) = after.filter(|after| last <= *after) {
                return Err(RunError::NoProgress { after, last }.into());
            }
            // The next page is likely to be as large.
            if !self.run.share.has_room_for(bytes) {
                hand_over(&out, Read::NoRoom).await?;
                tokio::select! {
                    biased;
                    () = self.run.share.room_for(bytes) => {}
                    () = out.closed() => return Err(Stop::OutOfTime),
                }
            }
            if self.reading.is_over() {
                return Err(Stop::OutOfTime);
            }
            page = tokio::select! {
                biased;
                page = self.run.source.after(&last, self.reading) => match page {
                    // Something was read, and the next run asks for this page first.
                    Err(SourceError::Slow(why)) => {
                        leave_to_the_next_run(&why);
                        return Err(Stop::OutOfTime);
                    }
                    page => in_time(page)?,
                },
                () = out.closed() => return Err(Stop::OutOfTime),
                () = self.asked_to_stop() => return Err(Stop::OutOfTime),
            };
            after = Some(last);
        }
    }

    async fn asked_to_stop(&self) {
        let mut stopping = self.run.stopping.clone();
        if stopping.wait_for(|it| *it).await.is_err() {
            // Nobody is there any more who could ask.
            std::future::pending::<()>().await;
        }
    }
}

/// What was read, unless there is no time for it in this run.
fn in_time<T>(read: Result<T, SourceError>) -> Result<T, Stop> {
    match read {
        Err(SourceError::OutOfTime(why)) => {
            leave_to_the_next_run(&why);
            Err(Stop::OutOfTime)
        }
        read => Ok(read?),
    }
}

fn leave_to_the_next_run(why: &BoxError) {
    warn!("the rest is left to the next run: {}", with_causes(&**why));
}

/// Hands what was read to the delivering half, which may have stopped.
async fn hand_over(out: &mpsc::Sender<Read>, read: Read) -> Result<(), Stop> {
    out.send(read).await.map_err(|_| Stop::OutOfTime)
}
