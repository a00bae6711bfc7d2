//! Finds records that are not reached by reading after any cursor.
//!
//! This is how unusual log ids are treated, all in one place:
//!
//! - Auth0 orders ids as text, so ids tell which record is later only within one prefix. Each prefix has
//!   its own cursor. A run reads after the cursor of each prefix in use (`state/advance.rs` says which
//!   those are), and every ten minutes after all cursors.
//! - Every record is delivered, whatever its id. An id that cannot be right is logged ([`Seen`] judges
//!   that). Its time never makes a cursor the main one, and no cursor passes an id with a time in the
//!   future.
//! - Records of a prefix that was never met, and is below the others, follow no cursor. So from time to
//!   time the newest records, found by search, are compared with those read, and the unknown ones are
//!   read as well. A hundred newer records may hide such a record, so the log is then also asked for
//!   its first record. If Auth0 rejects ids that are not a record's, the newest thousand records are
//!   compared instead; what these hide is not found.
//!
//! A run without activity should cost one request, so the search is made only at these times: by the
//! first run that reads to the end, as there may have been records before it; once more by the second
//! run in a row that finds nothing new, as the tenant may have moved to another prefix; every ten
//! minutes; and at once if an id cannot be right, or a cursor may not lead to new records.
//!
//! If the first of these runs reads many records, the first record of the log tells more than the
//! newest ones: if its prefix was met, so were those above it. Then only that record is asked for.
//! Records that have no prefix and come before all that is read are left to the next search.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::warn;

use super::seen::Seen;
use super::{Read, hand_over};
use crate::error::with_causes;
use crate::record::{LONGEST_RETENTION, LogId, Page, Record, Source, SourceError};
use crate::run::{ActiveRun, DeadLetters, Stop};

/// How often the newest records are compared with those read.
const AGAIN: TimeDelta = TimeDelta::minutes(10);

/// Timeout for a request for the log's first record, and for the whole further search for hidden
/// records.
const LOOK: Duration = Duration::from_secs(10);
/// How many times the first record is asked for: unwanted records may come first.
const STEPS: usize = 4;
/// How many of the newest records are compared if the first record cannot be asked for.
const FURTHER: usize = 1_000;
/// Maximum number of searches for these: one may return only a few records.
const SEARCHES: usize = 20;

/// What is stored about the last comparison of the newest records with those read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// When the run began that made it; before the first comparison, when the first run began.
    pub at: DateTime<Utc>,
    /// Whether any comparison was made.
    pub was_made: bool,
    /// Whether the next run makes one, if it finds nothing new.
    #[serde(default)]
    pub is_next: bool,
    /// Whether a run that found nothing new has ever made one.
    #[serde(default)]
    pub was_quiet: bool,
}

impl Comparison {
    /// What is stored from the first run on, which began at `now`, until a comparison is made.
    pub(crate) fn none_since(now: DateTime<Utc>) -> Self {
        Self {
            at: now,
            was_made: false,
            is_next: false,
            was_quiet: false,
        }
    }

    /// Whether a run that began at `now` makes a comparison.
    pub(super) fn is_due(last: Option<Self>, has_news: bool, now: DateTime<Utc>) -> bool {
        let is_first_or_next = |it: Self| !it.was_made || it.is_next && !has_news;
        last.is_some_and(is_first_or_next) || Self::is_due_again(last, now)
    }

    /// Whether the last comparison is so old that another is made, whatever is read.
    pub(super) fn is_due_again(last: Option<Self>, now: DateTime<Utc>) -> bool {
        last.is_some_and(|it| it.was_made && now - it.at >= AGAIN)
    }

    /// What is stored after a run that began at `now`, with or without a comparison.
    pub(super) fn after(
        last: Option<Self>,
        is_made: bool,
        is_quiet: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let last = last.unwrap_or(Self::none_since(now));
        let was_quiet = last.was_quiet || is_made && is_quiet;
        Self {
            at: if is_made { now } else { last.at },
            was_made: last.was_made || is_made,
            is_next: is_quiet && !was_quiet,
            was_quiet,
        }
    }
}

/// The result of looking at the beginning of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bottom {
    /// The prefix at the beginning has been read, and so have those above it.
    Read,
    /// The source rejects an id that is not a record's, or returns nothing after it.
    NotTaken,
    /// There was no answer, or only unwanted records came first.
    Unknown,
}

impl<S: Source, A: DeadLetters> ActiveRun<'_, S, A> {
    /// Compares the newest records with those read, and reads those that were not met.
    pub(super) async fn compare(
        &self,
        seen: &mut Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        if self.reading.is_over() {
            return Err(Stop::OutOfTime);
        }
        seen.read_again();
        let mut bottom = Bottom::Unknown;
        let looks_first = seen.looks_first();
        if looks_first {
            bottom = self.read_below(seen, out).await?;
            if bottom == Bottom::Read {
                return Ok(());
            }
        }
        let latest = self.unless_asked_to_stop(out, self.run.source.latest(self.reading));
        let latest = self.later(latest.await?)?;
        let compared = latest.len();
        let oldest = latest.iter().filter_map(|it| it.date).min();
        self.read_unknown(latest, seen, out).await?;
        if seen.is_bottom_due(compared) {
            if !looks_first {
                bottom = self.read_below(seen, out).await?;
            }
            if bottom == Bottom::NotTaken {
                self.search_further(compared, oldest, seen, out).await?;
            }
        }
        Ok(())
    }

    /// Reads the unknown ones among records that were found by search.
    async fn read_unknown(
        &self,
        found: Vec<Record>,
        seen: &mut Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        // Of each series the record with the smallest id: the others follow it.
        let mut unknown: BTreeMap<String, Record> = BTreeMap::new();
        for head in found.into_iter().filter(|it| !seen.is_known(&it.log_id)) {
            match unknown.get_mut(head.log_id.series()) {
                Some(smallest) if smallest.log_id <= head.log_id => {}
                Some(smallest) => *smallest = head,
                None => {
                    unknown.insert(head.log_id.series().to_owned(), head);
                }
            }
        }
        for head in unknown.into_values() {
            // It may have been read after one of another series.
            if !seen.is_known(&head.log_id) {
                self.read_from(&head, seen, out).await?;
            }
        }
        Ok(())
    }

    /// Reads the prefix at the beginning of the log, if it was never met. If no answer comes, the log
    /// is looked at again ten minutes later.
    async fn read_below(
        &self,
        seen: &mut Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<Bottom, Stop> {
        let begin = seen.wanted_below(self.began - LONGEST_RETENTION);
        let mut after = LogId::synthetic("000", begin);
        for _ in 0..STEPS {
            let deadline = self.reading.within(LOOK);
            let next = self.run.source.next(&after, deadline);
            let head = match self.unless_asked_to_stop(out, next).await? {
                Ok(Some(head)) if head.log_id > after => head,
                // A source may treat such an id as the end of its log.
                Ok(_) | Err(SourceError::Rejected(_)) => return Ok(Bottom::NotTaken),
                Err(error) => {
                    tell_unseen(&error);
                    break;
                }
            };
            let id = &head.log_id;
            if id.prefix().is_some_and(|it| seen.has_met(it)) {
                return Ok(Bottom::Read);
            }
            let is_old = id.stored_at().max(head.date) < Some(begin);
            if !is_old && !seen.is_known(id) {
                self.read_from(&head, seen, out).await?;
                return Ok(Bottom::Read);
            }
            // All records up to here may be from before the first reading began; newer ones may follow.
            let above_old = id.prefix().map(|it| LogId::synthetic(it, begin));
            after = above_old.filter(|it| it > id).unwrap_or(head.log_id);
        }
        Ok(Bottom::Unknown)
    }

    /// Compares more of the newest records. This many have been compared already, down to this date.
    /// The search goes by date, because a page of results may be short. If no answer comes, it is
    /// repeated ten minutes later.
    async fn search_further(
        &self,
        mut compared: usize,
        mut to: Option<DateTime<Utc>>,
        seen: &mut Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        let deadline = self.reading.within(LOOK);
        for _ in 0..SEARCHES {
            let Some(date) = to.filter(|_| compared < FURTHER) else {
                break;
            };
            let earlier = self.run.source.earlier(date, deadline);
            let found = match self.unless_asked_to_stop(out, earlier).await? {
                Ok(found) => found,
                Err(error) => {
                    tell_unseen(&error);
                    break;
                }
            };
            // Records of this date may have been counted before. There may be a whole page of them, so
            // the next search begins before this date in any case.
            compared += found.iter().filter(|it| it.date < to).count();
            let oldest = found.iter().filter_map(|it| it.date).min();
            to = oldest.map(|it| it.min(date - TimeDelta::milliseconds(1)));
            self.read_unknown(found, seen, out).await?;
        }
        Ok(())
    }

    /// Announces that records of another prefix, that of `id`, are read from now on. The first prefix
    /// of all is no news.
    async fn begin_prefix(
        &self,
        id: &LogId,
        below: &LogId,
        seen: &Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        if seen.has_prefixes() {
            warn!(
                "the record {id} has another prefix than those read so far; records of that prefix \
                 are read as well from now on"
            );
        }
        hand_over(out, Read::Series(below.clone())).await
    }

    /// Reads a record that was found by search, and what comes after it.
    async fn read_from(
        &self,
        head: &Record,
        seen: &mut Seen<'_>,
        out: &mpsc::Sender<Read>,
    ) -> Result<(), Stop> {
        let id = &head.log_id;
        if id.prefix().is_none() {
            // It is not known where to find other such ids: this record is read alone, and then those
            // after it.
            let one = self.unless_asked_to_stop(out, self.run.source.one(id, self.reading));
            let Some(record) = self.later(one.await?)? else {
                warn!(
                    "{}: the record {id} was found by a search, and could not be read by its id, so it \
                     is not delivered; it is looked for again while it is among the newest",
                    self.run.label
                );
                return Ok(());
            };
            seen.begin(id.series());
            return self.read_on(Some(Page::of(record)), None, seen, out).await;
        }
        let Some(next) = seen.way_to(head, self.now()) else {
            return Ok(());
        };
        if seen.is_first(id) {
            self.begin_prefix(id, &next.after, seen, out).await?;
        }
        let page = self.fetch(&next, out).await?;
        seen.begin(next.after.series());
        // The page read instead may begin below `next.after`.
        let after = next.instead.is_none().then_some(next.after);
        self.read_on(page, after, seen, out).await
    }
}

/// Warns that the search for hidden records was not completed.
fn tell_unseen(error: &SourceError) {
    warn!(
        "it is not known whether newer records hide some of another prefix, which are looked for again in \
         ten minutes: {}",
        with_causes(error)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    /// In which of these runs, a minute apart, the newest records are compared. `finds` says of each
    /// run whether it finds anything new.
    fn compared(finds: &[bool]) -> Vec<i64> {
        let (mut last, mut compared) = (Comparison::none_since(at(0)), Vec::new());
        for (minute, has_news) in (0..).zip(finds) {
            let is_due = Comparison::is_due(Some(last), *has_news, at(minute));
            if is_due {
                compared.push(minute);
            }
            last = Comparison::after(Some(last), is_due, !has_news, at(minute));
        }
        compared
    }

    #[test]
    fn the_first_run_that_comes_to_the_end_compares_and_then_one_in_ten_minutes() {
        assert_eq!(compared(&[true; 35]), [0, 10, 20, 30]);
    }

    #[test]
    fn the_second_run_in_a_row_that_finds_nothing_new_compares_once() {
        let (t, f) = (true, false);
        assert_eq!(compared(&[t, f, t, f, t, f, f, f, f, t, f, f]), [0, 6]);
        assert_eq!(compared(&[&[t][..], &[f; 30]].concat()), [0, 2, 12, 22]);
    }

    #[test]
    fn a_part_of_the_log_is_compared_with_nothing() {
        assert!(!Comparison::is_due(None, false, at(10)));
    }
}
