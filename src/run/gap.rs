//! What may be missing: where reading resumes if the source has dropped the cursor's record, which gap
//! is reported then, and a warning before that happens.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::time::{time_before, time_of};
use super::{ActiveRun, DeadLetters, Newest, Opening};
use crate::clock::to_seconds;
use crate::error::with_causes;
use crate::record::{
    LONGEST_RETENTION, LogId, Page, Position, Reach, SHORTEST_RETENTION, STORING_DELAY, Source,
    SourceError, Start,
};
use crate::report::Gap;

/// After so long a record is taken to be visible, however long the overlap is.
const LATEST: Duration = Duration::from_hours(1);
/// How often a source is asked whether it has dropped the record of the cursor, in a tenant where
/// nothing happens.
const ASK_AGAIN: TimeDelta = TimeDelta::hours(1);
/// How far behind a run may end without asking how long the source will wait: three quarters of
/// the shortest retention.
const FAR_BEHIND: TimeDelta = TimeDelta::hours(18);

/// The first page of a run, and what is known of the records before it.
pub(super) struct First {
    /// Where reading starts over, if the source rejects the cursor.
    pub anew: Option<Start>,
    pub gap: Option<Gap>,
    /// When the oldest record of the page was stored, if reading begins with the oldest that there is.
    pub oldest: Option<DateTime<Utc>>,
    pub page: Page,
}

impl<S: Source, A: DeadLetters> ActiveRun<'_, S, A> {
    /// Reads the page after the cursor. If the source no longer has the cursor's record, reads the
    /// first page of a new reading instead.
    pub(super) async fn first_page(&self, opening: &Opening) -> Result<First, SourceError> {
        let source = self.run.source;
        let lost_since = self.lost_since(opening).await?;
        let first = |anew: Option<Start>, page: Page| {
            let timely = page.records.iter().filter(|it| time_of(it).is_some());
            let stored = timely.filter_map(|it| it.log_id.stored_at()).min();
            let oldest = page.records.iter().filter_map(time_of).min();
            let is_all = opening.position == Position::Start(Start::Oldest);
            First {
                anew,
                gap: lost_since.map(|since| gap(opening, since, oldest, self.began)),
                oldest: stored.filter(|it| is_all && *it <= self.began),
                page,
            }
        };
        let cursor = match &opening.position {
            Position::Start(start) => {
                return Ok(first(None, source.first(*start, self.reading).await?));
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
                page => return Ok(first(None, page?)),
            }
        };
        warn!(
            "{}: the source does not read on after {cursor}, so it is read by time: {why}",
            self.run.label
        );
        let start = restart_of(cursor);
        let page = source.first(start, self.reading).await?;
        Ok(first(Some(start), page))
    }

    /// The time up to which everything is handled, if the source may have dropped records since then.
    ///
    /// This is one overlap before the log was last read to its end or, for a series that was read
    /// further since, its cursor. The newest delivered record does not count: others below it may have
    /// become visible late, or have been in a part of its batch that failed.
    async fn lost_since(&self, opening: &Opening) -> Result<Option<DateTime<Utc>>, SourceError> {
        if opening.is_replay() {
            return Ok(None);
        }
        let handled = handled_up_to(opening);
        let expected = expected_since(opening);
        let is_in_time = |time: &DateTime<Utc>| self.began - *time <= LONGEST_RETENTION;
        // An id with a time older than the longest retention does not tell when it was read.
        let others = opening.also_after.iter().filter_map(LogId::stored_at);
        let places = others.filter(is_in_time).chain(opening.position.time());
        // Before the beginning of a reading, nothing is handled.
        let is_begun =
            |time: &DateTime<Utc>| opening.wanted_since.is_none_or(|since| since < *time);
        let places = places.map(|it| Some(it).filter(is_begun).or(expected));
        let is_nowhere = opening.position == Position::Start(Start::Oldest);
        let places = places.chain(is_nowhere.then_some(expected));
        // The same applies to a prefix whose cursor is still at its beginning.
        let is_untouched = is_nowhere || opening.cursors.ends().any(|it| opening.begins_after(it));
        let places = places.chain(is_untouched.then_some(opening.oldest_found));
        let reached = places.flatten().min();
        // Without any such time, nothing can be missing.
        match reached.map(|it| handled.map_or(it, |handled| it.max(handled))) {
            Some(reached) if self.is_lost(reached, opening).await? => Ok(Some(reached)),
            _ => Ok(None),
        }
    }

    /// What may be missing of prefixes that were never met, after the log was read to its end: all
    /// records of such a prefix may have been dropped since the log was last read to its end. `oldest`
    /// is the time of the oldest record read in this run.
    pub(super) async fn gap_of_unmet(
        &self,
        opening: &Opening,
        oldest: Option<DateTime<Utc>>,
    ) -> Result<Option<Gap>, SourceError> {
        // A first reading has checked this at its beginning.
        let is_first = known(opening).is_none() && opening.cursors.ends().next().is_none();
        match expected_since(opening).max(handled_up_to(opening)) {
            Some(reached) if !is_first && self.is_lost(reached, opening).await? => {
                // A first reading may begin long before the oldest record, and take several runs. Then
                // the oldest record read in this run is not the oldest that is left.
                let left = match begun(opening) {
                    Some(_) => self.run.source.oldest(self.reading).await?,
                    None => None,
                };
                let oldest = left.into_iter().chain(oldest).min();
                Ok(Some(gap(opening, reached, oldest, self.began)))
            }
            _ => Ok(None),
        }
    }

    /// Whether the source may have dropped records stored after this time.
    async fn is_lost(&self, since: DateTime<Utc>, opening: &Opening) -> Result<bool, SourceError> {
        let id = LogId::synthetic("900", since);
        Ok(self.may_be_dropped(&id, opening)
            && self.run.source.has_dropped(&id, self.reading).await?)
    }

    /// Whether the record at which reading resumes may be older than the source's retention. The source
    /// is asked only after an outage, and once an hour in a tenant without activity.
    fn may_be_dropped(&self, cursor: &LogId, opening: &Opening) -> bool {
        let is_older =
            |time: Option<DateTime<Utc>>, age| time.is_none_or(|time| self.began - time >= age);
        is_older(cursor.stored_at(), SHORTEST_RETENTION)
            && is_older(opening.caught_up_at, ASK_AGAIN)
    }

    /// Up to when the log was read, by this run or an earlier one, whatever became of the records. The
    /// newest delivered record may be much older.
    pub(super) fn read_to(
        &self,
        opening: &Opening,
        met: &Reach,
        newest: Option<&Newest>,
    ) -> Option<DateTime<Utc>> {
        let now = self.now();
        let newest = newest.and_then(|it| time_before(now, &it.log_id, it.date));
        let cursor = match &opening.position {
            Position::After(cursor) => Some(cursor),
            Position::Start(_) => None,
        };
        let stored = cursor.into_iter().chain(met.ends());
        let stored = stored.filter_map(|it| time_before(now, it, None));
        stored.chain(newest).chain(opening.caught_up_at).max()
    }

    /// Warns if the source will soon drop records that were not read yet: if less than a quarter of its
    /// retention is left. Only if the run is far behind is the source asked how far back it goes.
    pub(super) async fn warn_of_retention(&self, read_to: Option<DateTime<Utc>>) {
        let now = self.now();
        let Some(read_to) = read_to.filter(|read_to| now - *read_to >= FAR_BEHIND) else {
            return;
        };
        if let Ok(Some(oldest)) = self.run.source.oldest(self.deadline).await
            && let Some(left) = short_time_left(oldest, read_to, now)
        {
            warn!(
                "{}: {} hours behind, and the oldest record that Auth0 still has was written at {}: \
                 in {} hours records will be lost that were not read",
                self.run.label,
                (now - read_to).num_hours(),
                to_seconds(oldest),
                left.num_hours()
            );
        }
    }
}

/// How soon the source drops what follows `read_to`, if less than a quarter of its retention is left.
/// Its retention is the age of its oldest record.
fn short_time_left(
    oldest: DateTime<Utc>,
    read_to: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let left = read_to - oldest;
    (left * 4 < now - oldest).then_some(left.max(TimeDelta::zero()))
}

/// Where to resume when the cursor can no longer be used: at its time. If the source has dropped the
/// records from then, reading begins with the oldest record left.
fn restart_of(cursor: &LogId) -> Start {
    cursor
        .stored_at()
        .map_or(Start::Oldest, |stored| Start::At(stored - STORING_DELAY))
}

/// When the last run began that read the log to its end, in every prefix. Unknown before the first
/// comparison, as there may be any number of records that follow no cursor.
fn known(opening: &Opening) -> Option<DateTime<Utc>> {
    let compared = opening.comparison.filter(|it| it.was_made)?;
    opening.caught_up_at.map(|time| time.min(compared.at))
}

/// Up to when everything is handled: records stored later may have become visible after that run.
fn handled_up_to(opening: &Opening) -> Option<DateTime<Utc>> {
    Some(known(opening)? - opening.overlap.min(LATEST))
}

/// The time since when records are expected, whatever their prefix. If reading was to begin with the
/// oldest record, this is the time of the first run: nothing is known of earlier records with a prefix
/// that was never met.
fn expected_since(opening: &Opening) -> Option<DateTime<Utc>> {
    let first_run = opening.comparison.filter(|it| !it.was_made);
    begun(opening).or(first_run.map(|it| it.at))
}

/// When reading was to begin; `None` if with the oldest record.
fn begun(opening: &Opening) -> Option<DateTime<Utc>> {
    opening.wanted_since.filter(|it| *it > DateTime::UNIX_EPOCH)
}

/// The time between what is known to be handled and the oldest record that can still be read: the
/// source drops the oldest records first. If that record is older than the last reading to the end,
/// only records that became visible after that reading can be missing. What was handled since then, in
/// one series or another, tells nothing about prefixes that were never met.
fn gap(
    opening: &Opening,
    reached: DateTime<Utc>,
    oldest: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Gap {
    let to = oldest.filter(|it| *it > reached).unwrap_or(now).min(now);
    let from = known(opening).or(begun(opening));
    Gap {
        from: from.map(|it| if it < to { it } else { reached }),
        to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_quarter_of_the_retention_is_a_short_time() {
        let hours = TimeDelta::hours;
        let now = "2026-11-21T08:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for (read_to, left) in [
            (19, Some(hours(5))),
            (18, None), // just a quarter
            (17, None),
            (24, Some(hours(0))),
            (30, Some(hours(0))), // the source has dropped records already
        ] {
            let told = short_time_left(now - hours(24), now - hours(read_to), now);
            assert_eq!(told, left, "{read_to}");
        }
    }
}
