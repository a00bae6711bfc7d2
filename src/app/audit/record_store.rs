//! Where a destination's records are, and which of an hour it holds.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::ASKING;
use crate::arrival::Table;
use crate::audit::{Archive, AtAuth0, AtDestination};
use crate::destination::Archived;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::LogId;

/// Where a destination's records are, and can be queried.
pub(super) enum RecordStore<'a> {
    Table(Box<Table>),
    Archive(&'a dyn Archived),
}

/// An hour, and the part of it that is audited.
pub(super) struct AuditedHour {
    pub hour: DateTime<Utc>,
    pub begin: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// What a destination holds of an hour.
pub(super) struct Stored {
    pub there: AtDestination,
    /// Which of them came late, if the store tells.
    pub late: Option<BTreeSet<LogId>>,
}

impl RecordStore<'_> {
    /// Reads which records of an hour are stored.
    pub async fn read_hour(
        &self,
        of_hour: &AuditedHour,
        at_auth0: &AtAuth0,
        number: usize,
    ) -> Result<Stored, BoxError> {
        match self {
            Self::Table(table) => {
                let mut there = table.list(of_hour.begin, of_hour.end).await?;
                // Some may have arrived so late that the table lists them under another time.
                let sought = at_auth0.missing(number, &there);
                let missing = table.lacks(&sought).await?;
                let found = sought.difference(&missing);
                there.extend(found.map(|id| (id.clone(), String::new())));
                Ok(Stored { there, late: None })
            }
            Self::Archive(archived) => {
                let deadline = Deadline::after(ASKING);
                let read = Archive::read(*archived, of_hour.hour, deadline).await?;
                let Archive { mut there, late } = read;
                let is_within = |id: &LogId| {
                    let stored = id.stored_at();
                    stored.is_some_and(|it| of_hour.begin <= it && it < of_hour.end)
                };
                // A record at Auth0 may be dated within the stretch but stored after its end.
                there.retain(|id, _| is_within(id) || at_auth0.has(id));
                let late = Some(late);
                Ok(Stored { there, late })
            }
        }
    }
}
