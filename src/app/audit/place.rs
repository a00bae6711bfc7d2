//! Where a destination's records are, and what it has of an hour.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::ASKING;
use crate::arrival::Table;
use crate::audit::{Archive, AtAuth0, There};
use crate::destination::Archived;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::LogId;

/// Where a destination's records are, to be asked for.
pub(super) enum Place<'a> {
    Table(Box<Table>),
    Archive(&'a dyn Archived),
}

/// An hour, and what of it is asked for.
pub(super) struct OfHour {
    pub hour: DateTime<Utc>,
    pub begin: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl Place<'_> {
    /// What is there of an hour; with an archive, also which of it came late.
    pub async fn there(
        &self,
        of_hour: &OfHour,
        at_auth0: &AtAuth0,
        number: usize,
    ) -> Result<(There, Option<BTreeSet<LogId>>), BoxError> {
        match self {
            Self::Table(table) => {
                let mut there = table.list(of_hour.begin, of_hour.end).await?;
                // Some of them may have arrived so late that they were listed under another time.
                let sought = at_auth0.missing(number, &there);
                let missing = table.lacks(&sought).await?;
                let found = sought.difference(&missing);
                there.extend(found.map(|id| (id.clone(), String::new())));
                Ok((there, None))
            }
            Self::Archive(archived) => {
                let deadline = Deadline::after(ASKING);
                let read = Archive::read(*archived, of_hour.hour, deadline).await?;
                let Archive { mut there, late } = read;
                let is_within = |id: &LogId| {
                    let stored = id.stored_at();
                    stored.is_some_and(|it| of_hour.begin <= it && it < of_hour.end)
                };
                // What is at Auth0 may be dated in the stretch, and have been stored after it.
                there.retain(|id, _| is_within(id) || at_auth0.has(id));
                Ok((there, Some(late)))
            }
        }
    }
}
