//! What may be missing: where reading resumes if the source has dropped the record of the cursor,
//! which stretch of time is reported then, and warnings before it comes to that.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::{HEARTBEAT, Read, Run};
use crate::auth0::{LogId, STORING_DELAY};
use crate::checkpoint::{Checkpoint, CheckpointStore, Loss, Position};
use crate::dead_letter::DeadLetters;
use crate::destination::Destination;
use crate::report::{Gap, to_seconds, with_causes};
use crate::source::{Page, Source, SourceError, Start};

/// The shortest retention of any Auth0 plan: what was read to its end within it has lost nothing.
const SHORTEST_RETENTION: Duration = Duration::from_hours(24);
/// How long the loss of a checkpoint is reported, unless a person sets another one.
const LOSS_REPORTED: Duration = Duration::from_hours(24);
/// How far behind a run may end without asking how long the source will wait: three quarters of
/// the shortest retention.
const FAR_BEHIND: TimeDelta = TimeDelta::hours(18);

impl<S: Source, D: Destination, C: CheckpointStore, L: DeadLetters> Run<'_, S, D, C, L> {
    /// Reads the page behind the cursor, or if the source no longer has that record, the page
    /// with which a new reading begins.
    pub(super) async fn first_page(
        &self,
        before: &Checkpoint,
    ) -> Result<(Option<Read>, Page), SourceError> {
        let source = &self.poller.source;
        let cursor = match before.position() {
            Position::Start(start) => {
                let gap_from = self.dropped_start(start, before).await?;
                let page = source.first(start, self.reading).await?;
                let gap = gap(before, gap_from, &page, self.began);
                return Ok((
                    gap.map(|gap| Read::Restart {
                        start,
                        gap: Some(gap),
                    }),
                    page,
                ));
            }
            Position::After(cursor) => cursor,
        };
        let why = if self.may_be_dropped(&cursor, before)
            && source.has_dropped(&cursor, self.reading).await?
        {
            "it no longer has that record".to_owned()
        } else {
            match source.after(&cursor, self.reading).await {
                Err(SourceError::Rejected(why)) => with_causes(&*why),
                page => return Ok((None, page?)),
            }
        };
        warn!("the source does not read on behind {cursor}, so it is read by time: {why}");
        let start = restart_of(&cursor);
        let page = source.first(start, self.reading).await?;
        let gap = gap(before, cursor.stored_at(), &page, self.began);
        Ok((Some(Read::Restart { start, gap }), page))
    }

    /// The time of a start, if the source may have dropped records since then that no run has read.
    async fn dropped_start(
        &self,
        start: Start,
        before: &Checkpoint,
    ) -> Result<Option<DateTime<Utc>>, SourceError> {
        let Start::At(time) = start else {
            return Ok(None);
        };
        let id = LogId::synthetic("900", time);
        let is_dropped = self.may_be_dropped(&id, before)
            && self.poller.source.has_dropped(&id, self.reading).await?;
        Ok(is_dropped.then_some(time))
    }

    /// Whether the record at which reading resumes may be older than the source's retention. That
    /// is asked only after an outage, and once an hour in a tenant where nothing happens.
    fn may_be_dropped(&self, cursor: &LogId, before: &Checkpoint) -> bool {
        let is_older = |time: Option<DateTime<Utc>>, age| {
            time.is_none_or(|time| (self.began - time).to_std().is_ok_and(|it| it >= age))
        };
        is_older(cursor.stored_at(), SHORTEST_RETENTION)
            && is_older(before.caught_up_at(), HEARTBEAT)
    }

    /// Warns if the source is about to drop what comes next: where less than a quarter of its
    /// retention is left. Only one that is far behind is asked how far back it goes.
    pub(super) async fn warn_of_retention(&self, newest: Option<DateTime<Utc>>) {
        let now = self.now();
        let Some(newest) = newest.filter(|newest| now - *newest >= FAR_BEHIND) else {
            return;
        };
        if let Ok(Some(oldest)) = self.poller.source.oldest(self.deadline).await
            && (newest - oldest) * 4 < now - oldest
        {
            let left = (newest - oldest).max(TimeDelta::zero());
            warn!(
                "{} hours behind, and the oldest record that Auth0 still has is of {}: in {} hours \
                 records will be lost that were not read",
                (now - newest).num_hours(),
                to_seconds(oldest),
                left.num_hours()
            );
        }
    }

    /// Reports for a day that a lost checkpoint may have left records out.
    pub(super) fn report_loss(&self, checkpoint: &Checkpoint) {
        let Some(Loss {
            noticed_at,
            began_at: Some(to),
        }) = checkpoint.loss()
        else {
            return;
        };
        if (self.began - noticed_at)
            .to_std()
            .is_ok_and(|age| age >= LOSS_REPORTED)
        {
            return;
        }
        let gap = Gap { from: None, to };
        warn!(
            "the checkpoint was lost, so that records {gap} may not have been delivered; \
             `auth0-poller checkpoint set --from …` delivers them"
        );
        self.report(|report| report.gap = Some(gap));
    }
}

/// Where to begin when the cursor is of no use any more: where it was, by time. If the source has
/// dropped those records, that is with the oldest record left.
fn restart_of(cursor: &LogId) -> Start {
    cursor
        .stored_at()
        .map_or(Start::Oldest, |stored| Start::At(stored - STORING_DELAY))
}

/// The time between what is known to be delivered, which is all up to `settled`, and what can be
/// read now, if records may be missing there. The newest record delivered tells nothing: others
/// below it may have become visible late, or have been in a part of its batch that failed.
fn gap(
    before: &Checkpoint,
    settled: Option<DateTime<Utc>>,
    page: &Page,
    now: DateTime<Utc>,
) -> Option<Gap> {
    let is_retained = |time: DateTime<Utc>| {
        (now - time)
            .to_std()
            .is_ok_and(|age| age < SHORTEST_RETENTION)
    };
    let from = before.caught_up_at().max(Some(settled?))?;
    if is_retained(from) {
        return None;
    }
    let oldest = page.records.iter().min_by_key(|record| &record.log_id);
    let to = oldest.and_then(|record| record.date).unwrap_or(now);
    (from < to).then_some(Gap {
        from: Some(from),
        to,
    })
}
