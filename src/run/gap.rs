//! What may be missing: where reading resumes if the source has dropped the record of the cursor,
//! which stretch of time is reported then, and warnings before it comes to that.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::{Course, DeadLetters, Opening};
use crate::clock::to_seconds;
use crate::error::with_causes;
use crate::record::{LogId, Page, Position, STORING_DELAY, Source, SourceError, Start};
use crate::report::Gap;

/// The shortest retention of any Auth0 plan: what was read to its end within it has lost nothing.
const SHORTEST_RETENTION: Duration = Duration::from_hours(24);
/// How often a source is asked whether it has dropped the record of the cursor, in a tenant where
/// nothing happens.
const ASK_AGAIN: Duration = Duration::from_hours(1);
/// How far behind a run may end without asking how long the source will wait: three quarters of
/// the shortest retention.
const FAR_BEHIND: TimeDelta = TimeDelta::hours(18);

/// The page with which a run begins, and what is known of the records before it.
pub(super) struct First {
    /// Where reading began anew, if the source does not take the cursor.
    pub anew: Option<Start>,
    pub gap: Option<Gap>,
    pub page: Page,
}

impl<S: Source, A: DeadLetters> Course<'_, S, A> {
    /// Reads the page after the cursor, or if the source no longer has that record, the page with
    /// which a new reading begins.
    pub(super) async fn first_page(&self, opening: &Opening) -> Result<First, SourceError> {
        let source = self.run.source;
        let cursor = match &opening.position {
            Position::Start(start) => {
                let gap_from = self.dropped_start(*start, opening).await?;
                let page = source.first(*start, self.reading).await?;
                let gap = gap(opening, gap_from, &page, self.began);
                let anew = None;
                return Ok(First { anew, gap, page });
            }
            Position::After(cursor) => cursor,
        };
        let why = if self.may_be_dropped(cursor, opening)
            && source.has_dropped(cursor, self.reading).await?
        {
            "it no longer has that record".to_owned()
        } else {
            match source.after(cursor, self.reading).await {
                Err(SourceError::Rejected(why)) => with_causes(&*why),
                page => {
                    return Ok(First {
                        anew: None,
                        gap: None,
                        page: page?,
                    });
                }
            }
        };
        warn!("the source does not read on after {cursor}, so it is read by time: {why}");
        let start = restart_of(cursor);
        let page = source.first(start, self.reading).await?;
        Ok(First {
            anew: Some(start),
            gap: gap(opening, cursor.stored_at(), &page, self.began),
            page,
        })
    }

    /// The time of a start, if the source may have dropped records since then that no run has read.
    async fn dropped_start(
        &self,
        start: Start,
        opening: &Opening,
    ) -> Result<Option<DateTime<Utc>>, SourceError> {
        let Start::At(time) = start else {
            return Ok(None);
        };
        let id = LogId::synthetic("900", time);
        let is_dropped = self.may_be_dropped(&id, opening)
            && self.run.source.has_dropped(&id, self.reading).await?;
        Ok(is_dropped.then_some(time))
    }

    /// Whether the record at which reading resumes may be older than the source's retention. That
    /// is asked only after an outage, and once an hour in a tenant where nothing happens.
    fn may_be_dropped(&self, cursor: &LogId, opening: &Opening) -> bool {
        let is_older = |time: Option<DateTime<Utc>>, age| {
            time.is_none_or(|time| (self.began - time).to_std().is_ok_and(|it| it >= age))
        };
        is_older(cursor.stored_at(), SHORTEST_RETENTION)
            && is_older(opening.caught_up_at, ASK_AGAIN)
    }

    /// Warns if the source is about to drop what comes next: where less than a quarter of its
    /// retention is left. Only one that is far behind is asked how far back it goes.
    pub(super) async fn warn_of_retention(&self, newest: Option<DateTime<Utc>>) {
        let now = self.now();
        let Some(newest) = newest.filter(|newest| now - *newest >= FAR_BEHIND) else {
            return;
        };
        if let Ok(Some(oldest)) = self.run.source.oldest(self.deadline).await
            && (newest - oldest) * 4 < now - oldest
        {
            let left = (newest - oldest).max(TimeDelta::zero());
            warn!(
                "{} hours behind, and the oldest record that Auth0 still has was written at {}: in \
                 {} hours records will be lost that were not read",
                (now - newest).num_hours(),
                to_seconds(oldest),
                left.num_hours()
            );
        }
    }
}

/// Where to begin when the cursor is of no use any more: where it was, by time. If the source has
/// dropped those records, that is with the oldest record left.
fn restart_of(cursor: &LogId) -> Start {
    cursor
        .stored_at()
        .map_or(Start::Oldest, |stored| Start::At(stored - STORING_DELAY))
}

/// The time between what is known to be handled and what can be read now, if records may be missing
/// there. `settled` is where reading was to resume.
///
/// Up to there is handled what has that prefix. Of the others the cursors tell, and of prefixes that
/// were never met only the last time at which the log was read to its end. The newest record delivered
/// tells nothing: others below it may have become visible late, or have been in a part of its batch
/// that failed.
fn gap(
    opening: &Opening,
    settled: Option<DateTime<Utc>>,
    page: &Page,
    now: DateTime<Utc>,
) -> Option<Gap> {
    let is_retained = |time: DateTime<Utc>| {
        (now - time)
            .to_std()
            .is_ok_and(|age| age < SHORTEST_RETENTION)
    };
    let ahead = opening.ahead.iter().filter_map(LogId::stored_at);
    let reached = ahead.chain(settled).min().filter(|_| settled.is_some())?;
    let compared_at = opening.comparison.map(|it| it.at);
    let known = opening
        .caught_up_at
        .map(|time| compared_at.map_or(time, |it| it.min(time)));
    if is_retained(known.max(Some(reached))?) {
        return None;
    }
    let begun = opening.since.filter(|it| *it > DateTime::UNIX_EPOCH);
    let from = known.or(begun);
    let oldest = page.records.iter().min_by_key(|record| &record.log_id);
    let to = oldest.and_then(|record| match (record.log_id.stored_at(), record.date) {
        // What was dropped is what was stored before it, and its date tells of long before.
        (Some(stored), Some(date))
            if (stored - date).to_std().is_ok_and(|it| it > STORING_DELAY) =>
        {
            Some(stored)
        }
        (stored, date) => date.or(stored),
    });
    let to = to.unwrap_or(now);
    from.is_none_or(|from| from < to)
        .then_some(Gap { from, to })
}
