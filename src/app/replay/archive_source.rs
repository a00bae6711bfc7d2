//! Reads an archive as a source of records.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::hour;
use crate::destination::Archived;
use crate::net::retry::Deadline;
use crate::record::{LogId, Page, Source, SourceError, Start};
use crate::run::{Mark, Stretch};

/// How long after the hour of its date a record may be stored.
const HOURS_AFTER: TimeDelta = TimeDelta::hours(1);
/// No record is stored later than this after now. Each further hour would cost a request, and a year
/// with a typing error has millions of them.
const LATEST: TimeDelta = TimeDelta::days(1);
/// No record was stored before 2013: the days until then since 1970.
const EARLIEST: TimeDelta = TimeDelta::days(15_706);

/// Reads archived records hour by hour, and then the undated ones, whose dates tell whether they
/// belong to the stretch.
pub(super) struct ArchiveSource<'a> {
    archived: &'a dyn Archived,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    progress: Mutex<Progress>,
}

/// How far the archive has been read.
#[derive(Default)]
struct Progress {
    /// The hour to read next.
    hour: DateTime<Utc>,
    /// Objects of the previous hour that are not read yet.
    groups: VecDeque<Vec<String>>,
    /// Whether those are the undated ones, which come last.
    is_undated: bool,
}

impl<'a> ArchiveSource<'a> {
    pub fn new(archived: &'a dyn Archived, stretch: &Stretch, now: DateTime<Utc>) -> Self {
        let from = stretch.from.as_ref().and_then(Mark::time);
        let to = stretch.to.time().unwrap_or_default();
        Self {
            archived,
            first: hour(from.unwrap_or(to)).max(DateTime::UNIX_EPOCH + EARLIEST),
            last: hour((to + HOURS_AFTER).min(now + LATEST)),
            progress: Mutex::default(),
        }
    }

    /// The next group of objects: of this hour, the next hour that has any, or the undated ones;
    /// `None` at the end.
    async fn next(&self, deadline: Deadline) -> Result<Option<Vec<String>>, SourceError> {
        loop {
            let hour = {
                let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(group) = progress.groups.pop_front() {
                    return Ok(Some(group));
                }
                if progress.is_undated {
                    return Ok(None);
                }
                let hour = progress.hour;
                progress.hour = hour + TimeDelta::hours(1);
                progress.is_undated = hour > self.last;
                (!progress.is_undated).then_some(hour)
            };
            let groups = match hour {
                Some(hour) => self.archived.groups(hour, deadline).await,
                None => self.archived.undated(deadline).await,
            };
            let groups = groups.map_err(SourceError::Failed)?;
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.groups = groups.into();
        }
    }

    async fn page(&self, deadline: Deadline) -> Result<Page, SourceError> {
        while let Some(group) = self.next(deadline).await? {
            let records = self.archived.read(&group, deadline).await;
            let records = records.map_err(SourceError::Failed)?;
            if !records.is_empty() {
                return Ok(Page {
                    records,
                    misfits: Vec::new(),
                    is_last: false,
                });
            }
        }
        Ok(Page::last(Vec::new()))
    }
}

impl Source for ArchiveSource<'_> {
    async fn first(&self, _: Start, deadline: Deadline) -> Result<Page, SourceError> {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Progress {
            hour: self.first,
            ..Progress::default()
        };
        self.page(deadline).await
    }

    /// The next page, whatever its ids: a tenant may have moved to a smaller prefix.
    async fn after(&self, _: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.page(deadline).await
    }

    /// The page after a record, looked up by its id from its hour on.
    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        let stored = id.stored_at().filter(|_| !id.is_synthetic());
        let Some(stored) = stored else {
            let why = "an archive cannot be read after an id that is not that of a record";
            return Err(SourceError::Rejected(why.into()));
        };
        let mut hour = hour(stored);
        while hour <= self.last {
            let groups = self.archived.groups(hour, deadline).await;
            for group in groups.map_err(SourceError::Failed)? {
                let records = self.archived.read(&group, deadline).await;
                let mut records = records.map_err(SourceError::Failed)?;
                records.retain(|it| it.log_id > *id);
                if !records.is_empty() {
                    return Ok(Page {
                        is_last: false,
                        ..Page::last(records)
                    });
                }
            }
            hour += TimeDelta::hours(1);
        }
        Ok(Page::last(Vec::new()))
    }

    async fn has_dropped(&self, _: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Ok(false)
    }

    async fn oldest(&self, _: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        Ok(None)
    }

    fn requests(&self) -> u64 {
        0
    }
}
