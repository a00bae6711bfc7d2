//! From when on Auth0 has records.

use chrono::{DateTime, Utc};

use crate::auth0::LogReader;
use crate::net::retry::Deadline;
use crate::record::{LogId, Source as _, SourceError};

/// The oldest record that Auth0 has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Oldest {
    /// It is dated so.
    At(DateTime<Utc>),
    /// There is none.
    None,
    /// It has no date, and whatever has one is later than what is asked for.
    Later,
    /// It has no date, and there is a record that is not later.
    NotLater,
}

impl Oldest {
    /// Asks for it, and where it has no date, whether there are records of this time or before.
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
