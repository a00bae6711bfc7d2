//! The place in the log where a run reads next.

use chrono::{DateTime, Utc};

use crate::record::{LogId, STORING_DELAY};

/// Where reading continues.
#[derive(Debug)]
pub(super) struct Next {
    pub after: LogId,
    /// Whether that id is synthetic, not a record's.
    pub is_synthetic: bool,
    /// Where to read if the source rejects the id.
    pub instead: Option<Instead>,
}

/// Where to read if the source rejects an id.
#[derive(Debug)]
pub(super) enum Instead {
    After(LogId),
    /// From this time on in the same series: after a synthetic id or, if that is rejected too, from the
    /// smallest id of the records dated then or later.
    Smallest(DateTime<Utc>),
}

impl Next {
    /// After the last record that was read.
    pub fn on(last: LogId) -> Self {
        Self {
            after: last,
            is_synthetic: false,
            instead: None,
        }
    }

    /// After a cursor or, if the source no longer has its record, by time.
    pub fn after_cursor(cursor: LogId) -> Self {
        let stored = cursor.stored_at();
        Self {
            after: cursor,
            is_synthetic: false,
            instead: stored.map(|it| Instead::Smallest(it - STORING_DELAY)),
        }
    }

    /// From that time on in the series of this prefix.
    pub fn by_time(prefix: &str, begin: DateTime<Utc>) -> Self {
        Self {
            after: LogId::synthetic(prefix, begin),
            is_synthetic: true,
            instead: Some(Instead::Smallest(begin)),
        }
    }
}
