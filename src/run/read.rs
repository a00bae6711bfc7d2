//! The reading half: page after page, from where the ledger stands to the end of the log.
//!
//! `seen.rs` decides the order of reading, and which records of a page are used. `compare.rs` finds
//! records that this order does not reach.

mod compare;
mod next;
mod seen;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tracing::warn;

pub(crate) use self::compare::Comparison;
use self::next::{Instead, Next};
use self::seen::NoId;
pub(super) use self::seen::Seen;
use super::memory::Held;
use super::{ActiveRun, DeadLetters, Opening, RunError, Stop};
use crate::error::{BoxError, with_causes};
use crate::record::{LogId, MOST_MISFITS, Page, Position, Source, SourceError, Start};
use crate::report::{Gap, alone};

/// What the reading half hands to the delivering half.
#[derive(Debug)]
pub(super) enum Read {
    /// The source rejects the cursor; what follows is read from this start.
    Anew(Start),
    /// When the oldest record was stored, if a first reading begins with it.
    Oldest(DateTime<Utc>),
    /// Records that may be missing before those that follow.
    Gap(Gap),
    /// A page, and the memory held for it.
    Page(Page, Held),
    /// There is no room for another page until records read before are handled.
    NoRoom,
    /// Reading of another prefix begins after this id.
    Series(LogId),
    /// Everything was read; this comparison is to be saved.
    End(Comparison),
}

impl<S: Source, A: DeadLetters> ActiveRun<'_, S, A> {
    /// Reads everything that is new, and notes in `seen` what was read.
    pub(super) async fn read(
        &self,
        opening: &Opening,
        seen: &mut Seen<'_>,
        out: mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        if self.reading.is_over() || *self.run.stopping.borrow() {
            return Err(Stop::OutOfTime);
        }
        let first = self.unless_asked_to_stop(&out, self.first_page(opening));
        let first = self.in_time(first.await?)?;
        if let Some(start) = first.anew {
            hand_over(&out, Read::Anew(start)).await?;
        }
        if let Some(stored) = first.oldest {
            hand_over(&out, Read::Oldest(stored)).await?;
        }
        let is_gap_told = first.gap.is_some();
        if let Some(gap) = first.gap {
            hand_over(&out, Read::Gap(gap)).await?;
        }
        let by_time = match (&opening.position, first.anew) {
            (Position::Start(start), None) => Some(*start),
            (_, anew) => anew,
        };
        let after = match (&opening.position, by_time) {
            (Position::After(cursor), None) => {
                seen.begin(cursor.series());
                Some(cursor.clone())
            }
            _ => None,
        };
        let is_taken = by_time.is_none_or(|start| seen.begin_at(start, &first.page));
        let page = is_taken.then_some(first.page);
        self.read_on(page, after, seen, &out).await?;
        let is_compared = seen.is_comparison_due();
        if is_compared {
            // A comparison may have become due only by what was read.
            seen.read_quiet();
            self.read_on(None, None, seen, &out).await?;
            self.compare(seen, &out).await?;
        }
        if !is_gap_told {
            let gap = self.unless_asked_to_stop(&out, self.gap_of_unmet(opening, seen.oldest));
            if let Some(gap) = self.later(gap.await?)? {
                hand_over(&out, Read::Gap(gap)).await?;
            }
        }
        hand_over(&out, Read::End(seen.comparison(is_compared))).await
    }

    /// Reads page after page, and goes on with the next series where one ends. `page` is `None` if the
    /// current series has no records to read.
    async fn read_on(
        &self,
        mut page: Option<Page>,
        mut after: Option<LogId>,
        seen: &mut Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        loop {
            let mut bytes = 0;
            let next = if let Some(mut page) = page {
                page.records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
                let last = page.records.last().map(|record| record.log_id.clone());
                let is_last = page.is_last;
                seen.take(&mut page);
                let count = page.records.len() + page.misfits.len();
                self.report(|report| report.fetched += count as u64);
                bytes = page.bytes();
                let held = self.run.share.hold(bytes);
                hand_over(out, Read::Page(page, held)).await?;
                if let Some((after, last)) = after.zip(last.clone())
                    && last <= after
                    && !is_last
                {
                    return Err(RunError::NoProgress { after, last }.into());
                }
                seen.next(last, is_last).map_err(|NoId| {
                    let only = alone(self.run.label);
                    if bytes > MOST_MISFITS {
                        RunError::TooManyWithoutId { only }
                    } else {
                        RunError::NoId { only }
                    }
                })?
            } else {
                seen.end_series();
                seen.next_series()
            };
            let Some(next) = next else {
                return Ok(());
            };
            // The next page is likely to be as large.
            if !self.run.share.has_room_for(bytes) {
                hand_over(out, Read::NoRoom).await?;
                tokio::select! {
                    biased;
                    () = self.run.share.room_for(bytes) => {}
                    () = out.closed() => return Err(Stop::OutOfTime),
                }
            }
            if self.reading.is_over() {
                return Err(Stop::OutOfTime);
            }
            page = self.fetch(&next, out).await?;
            if next.is_synthetic && seen.is_first(&next.after) {
                hand_over(out, Read::Series(next.after.clone())).await?;
            }
            // The page read instead may begin below `next.after`.
            after = next.instead.is_none().then_some(next.after);
        }
    }

    /// The page after an id, or the page to read instead if the source rejects the id; `None` if the
    /// series has no such records.
    async fn fetch(&self, next: &Next, out: &mpsc::Sender<Read>) -> Result<Option<Page>, Stop> {
        let source = self.run.source;
        let is_empty = |page: &Page| page.records.is_empty() && page.misfits.is_empty();
        let fetch = async {
            let page = source.after(&next.after, self.reading).await;
            let is_untaken = match &page {
                Err(SourceError::Rejected(_)) => true,
                // The source may treat an id that it never issued as the end of its log.
                Ok(page) => next.is_synthetic && is_empty(page),
                Err(_) => false,
            };
            match &next.instead {
                Some(Instead::After(id)) if is_untaken => {
                    source.after(id, self.reading).await.map(Some)
                }
                Some(Instead::Smallest(from)) if is_untaken => {
                    let prefix = next.after.series();
                    let by_time = LogId::synthetic(prefix, *from);
                    if next.after != by_time {
                        match source.after(&by_time, self.reading).await {
                            Err(SourceError::Rejected(_)) => {}
                            Ok(page) if is_empty(&page) => {}
                            page => return page.map(Some),
                        }
                    }
                    source.smallest(prefix, *from, self.reading).await
                }
                _ => page.map(Some),
            }
        };
        self.later(self.unless_asked_to_stop(out, fetch).await?)
    }

    /// The result of a request, unless delivery has stopped or the process is asked to end.
    async fn unless_asked_to_stop<T>(
        &self,
        out: &mpsc::Sender<Read>,
        request: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        tokio::select! {
            // Polled in order, so that a run is deterministic.
            biased;
            answer = request => Ok(answer),
            () = out.closed() => Err(Stop::OutOfTime),
            () = self.asked_to_stop() => Err(Stop::OutOfTime),
        }
    }

    /// What was read; stops reading without an error if the source had no time for this run, and a later
    /// one goes on.
    fn in_time<T>(&self, read: Result<T, SourceError>) -> Result<T, Stop> {
        match read {
            Err(SourceError::OutOfTime(why)) if self.run.budget.is_some() => {
                leave_to_the_next_run(&why);
                Err(Stop::OutOfTime)
            }
            read => Ok(read?),
        }
    }

    /// Like [`in_time`](Self::in_time), but once something was read: a slow response stops reading without
    /// an error too, because the next run asks for that page first.
    pub(super) fn later<T>(&self, read: Result<T, SourceError>) -> Result<T, Stop> {
        match read {
            Err(SourceError::Slow(why)) if self.run.budget.is_some() => {
                leave_to_the_next_run(&why);
                Err(Stop::OutOfTime)
            }
            read => self.in_time(read),
        }
    }

    /// Waits until the process is asked to end.
    pub(super) async fn asked_to_stop(&self) {
        let mut stopping = self.run.stopping.clone();
        if stopping.wait_for(|it| *it).await.is_err() {
            // The sender is gone, so nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

fn leave_to_the_next_run(why: &BoxError) {
    warn!("the rest is left to the next run: {}", with_causes(&**why));
}

/// Hands what was read to the delivering half. Stops reading if that half has stopped.
async fn hand_over(out: &mpsc::Sender<Read>, read: Read) -> Result<(), Stop> {
    out.send(read).await.map_err(|_| Stop::OutOfTime)
}
