//! How far back Auth0 has records.

use chrono::{DateTime, Utc};

use crate::auth0::LogReader;
use crate::net::retry::Deadline;
use crate::record::{LogId, Source as _, SourceError};

/// The oldest record that Auth0 has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Oldest {
    /// It has this date.
    At(DateTime<Utc>),
    /// Auth0 has no record.
    None,
    /// It has no date, and all dated records are later than the requested time.
    Later,
    /// It has no date, and there is a record that is not later than the requested time.
    NotLater,
}

impl Oldest {
    /// Asks for the oldest record. If it has no date, asks whether there are records up to `from`.
    pub async fn ask(
        source: &LogReader,
        from: Option<DateTime<Utc>>,
        deadline: Deadline,
    ) -> Result<Self, SourceError> {
        if let Some(date) = source.oldest(deadline).await? {
            return Ok(Self::At(date));
        }
        if source.latest(deadline).await?.is_empty() {
            return Ok(Self::None);
        }
        let Some(from) = from else {
            return Ok(Self::Later);
        };
        let at = LogId::synthetic("900", from);
        let is_later = source.has_dropped(&at, deadline).await?;
        Ok(if is_later {
            Self::Later
        } else {
            Self::NotLater
        })
    }
}
