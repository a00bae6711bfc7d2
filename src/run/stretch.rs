//! A part of the log that is sent again, and the ledger of doing that: it keeps nothing, so that the
//! checkpoint stays where it is, and what was sent again once may be sent again.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Comparison, Handled, Ledger, Newest, Opening};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Position, Reach, Record, Source, SourceError, Start};

/// How long after the end of a stretch a record of it may be stored, by its id. The longest delay
/// seen in real records is some seconds.
const STORED_BY: Duration = Duration::from_mins(10);

/// An end of a stretch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// By the record's date.
    At(DateTime<Utc>),
    /// By its id.
    Id(LogId),
}

impl Mark {
    /// When it is; `None` for an id that tells no time.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(time) => Some(*time),
            Self::Id(id) => id.stored_at(),
        }
    }

    /// Whether a record comes before it. One without a date goes by when it was stored.
    fn is_after(&self, record: &Record) -> bool {
        match self {
            Self::At(time) => {
                let date = record.date.or_else(|| record.log_id.stored_at());
                date.is_some_and(|date| date < *time)
            }
            Self::Id(id) => record.log_id < *id,
        }
    }
}

/// A part of the log: from its beginning, inclusive, to its end, exclusive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stretch {
    /// `None` for the oldest record that there is.
    pub from: Option<Mark>,
    pub to: Mark,
}

impl Stretch {
    /// Whether it holds a record.
    fn holds(&self, record: &Record) -> bool {
        let is_before = self.from.as_ref().is_some_and(|from| from.is_after(record));
        !is_before && self.to.is_after(record)
    }

    /// Where reading begins: no later than its first record.
    fn position(&self) -> Position {
        Position::Start(match &self.from {
            None => Start::Oldest,
            Some(Mark::At(time)) => Start::At(*time),
            // Of a record its date is known no better than that it is not after this.
            Some(Mark::Id(id)) => id
                .stored_at()
                .map_or(Start::Oldest, |time| Start::At(time - STORED_BY)),
        })
    }

    /// Whether no record that is stored after this one is of the stretch.
    fn ends_before(&self, record: &Record) -> bool {
        match &self.to {
            Mark::At(time) => {
                let stored = record.log_id.stored_at();
                stored.is_some_and(|stored| stored > *time + STORED_BY)
            }
            Mark::Id(id) => record.log_id >= *id,
        }
    }
}

/// A source that ends with a stretch.
pub(crate) struct Until<'a, S> {
    pub source: &'a S,
    pub stretch: &'a Stretch,
}

impl<S: Source> Until<'_, S> {
    fn end(&self, mut page: Page) -> Page {
        page.is_last |= page.records.iter().any(|it| self.stretch.ends_before(it));
        page
    }
}

impl<S: Source> Source for Until<'_, S> {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        Ok(self.end(self.source.first(start, deadline).await?))
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        Ok(self.end(self.source.after(id, deadline).await?))
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        self.source.has_dropped(id, deadline).await
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        self.source.oldest(deadline).await
    }

    fn requests(&self) -> u64 {
        self.source.requests()
    }
}

/// The ledger of a stretch. What lies outside is left out, and nothing is handled before.
pub(crate) struct StretchLedger<'a> {
    stretch: &'a Stretch,
    now: DateTime<Utc>,
    newest: Option<Newest>,
}

impl<'a> StretchLedger<'a> {
    /// For a stretch that is sent again now.
    pub fn new(stretch: &'a Stretch, now: DateTime<Utc>) -> Self {
        Self {
            stretch,
            now,
            newest: None,
        }
    }
}

impl Ledger for StretchLedger<'_> {
    async fn open(&mut self, _: Deadline) -> Result<Opening, BoxError> {
        Ok(Opening {
            position: self.stretch.position(),
            ahead: Vec::new(),
            cursors: Reach::default(),
            since: None,
            comparison: None,
            was_handled: Arc::new(|_| false),
            caught_up_at: None,
            loss: None,
        })
    }

    fn leaves_out(&self, record: &Record) -> bool {
        !self.stretch.holds(record)
    }

    fn has_handled(&self, _: &LogId) -> bool {
        false
    }

    fn note(&mut self, record: &Record, handled: Handled) {
        let newest = self.newest.as_ref();
        if handled != Handled::LeftOut && newest.is_none_or(|it| it.log_id < record.log_id) {
            self.newest = Some(Newest {
                log_id: record.log_id.clone(),
                date: record.date,
            });
        }
    }

    fn begin_anew(&mut self, _: Start) {}

    fn begin_series(&mut self, _: &LogId) {}

    fn compared(&mut self, _: Comparison) {}

    /// Since now: patience, after which records are set aside all the same, is for a run that comes
    /// again each minute.
    fn refuses_all(&mut self) -> DateTime<Utc> {
        self.now
    }

    fn refused_since(&self) -> Option<DateTime<Utc>> {
        None
    }

    fn newest(&self) -> Option<&Newest> {
        self.newest.as_ref()
    }

    fn reach(&mut self, _: &Reach) {}

    async fn save(&mut self, _: Deadline) -> Result<(), BoxError> {
        Ok(())
    }

    async fn close(&mut self, _: bool, _: Deadline) -> Result<(), BoxError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(clock: &str) -> DateTime<Utc> {
        format!("2026-11-21T{clock}Z").parse().unwrap()
    }

    fn record(stored: &str, date: Option<&str>) -> Record {
        Record {
            log_id: LogId::synthetic("900", at(stored)),
            date: date.map(at),
            json: Bytes::new(),
        }
    }

    fn stretch(from: Option<Mark>, to: Mark) -> Stretch {
        Stretch { from, to }
    }

    #[test]
    fn times_mean_the_date_from_inclusive_and_to_not() {
        let hour = stretch(Some(Mark::At(at("08:00:00"))), Mark::At(at("09:00:00")));
        for (stored, date, is_held) in [
            ("08:00:05", Some("07:59:59"), false),
            ("08:00:05", Some("08:00:00"), true),
            ("09:00:05", Some("08:59:59"), true),
            ("09:00:05", Some("09:00:00"), false),
            ("08:30:00", None, true),
            ("09:00:00", None, false),
        ] {
            assert_eq!(
                hour.holds(&record(stored, date)),
                is_held,
                "{stored} {date:?}"
            );
        }
        assert!(stretch(None, Mark::At(at("09:00:00"))).holds(&record("01:00:00", None)));
    }

    #[test]
    fn ids_mean_the_id() {
        let (first, last) = (record("08:00:00", None), record("09:00:00", None));
        let ids = stretch(
            Some(Mark::Id(first.log_id.clone())),
            Mark::Id(last.log_id.clone()),
        );
        assert!(ids.holds(&first) && !ids.holds(&last));
        // Whatever its date.
        assert!(ids.holds(&record("08:30:00", Some("01:00:00"))));
        assert!(ids.ends_before(&last) && !ids.ends_before(&first));
        assert_eq!(ids.position(), Position::Start(Start::At(at("07:50:00"))));
    }

    #[test]
    fn reading_goes_on_until_nothing_of_the_stretch_can_be_stored_any_more() {
        let hour = stretch(None, Mark::At(at("09:00:00")));
        assert!(!hour.ends_before(&record("09:10:00", None)));
        assert!(hour.ends_before(&record("09:10:01", None)));
        assert_eq!(hour.position(), Position::Start(Start::Oldest));
        let mut odd = record("09:30:00", None);
        odd.log_id = LogId::new("odd");
        assert!(!hour.ends_before(&odd));
    }
}
