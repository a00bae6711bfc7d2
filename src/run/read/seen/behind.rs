//! How far behind a run ends, where ids of several prefixes are in use.

use chrono::{DateTime, Utc};

use super::Seen;
use crate::record::{LONGEST_RETENTION, LogId, Position, is_future};

impl Seen<'_> {
    /// Up to when the series in use were read, apart from those that this run has read to their end. The
    /// one that was read least counts. `newest` is the newest record that was handled, which tells more of
    /// its own series.
    pub(in crate::run) fn read_least_to(&self, newest: &LogId) -> Option<DateTime<Utc>> {
        let opening = self.opening;
        if opening.is_replay() {
            return None;
        }
        let cursor = match &opening.position {
            Position::After(cursor) => Some(cursor),
            Position::Start(_) => None,
        };
        let in_use = cursor.into_iter().chain(&opening.also_after);
        let in_use = in_use.map(LogId::series).chain(self.current.as_deref());
        let unread = in_use.filter(|it| *it != newest.series() && !self.done.contains(*it));
        let read_to = unread.filter_map(|it| self.floor(it)?.stored_at());
        // An older id does not tell when it was read.
        let is_in_time = |it: &DateTime<Utc>| {
            !is_future(*it, self.began) && self.began - *it <= LONGEST_RETENTION
        };
        // A cursor is as old as its record. What came until the log was last read to its end is handled.
        let handled = |it: DateTime<Utc>| opening.caught_up_at.map_or(it, |at| at.max(it));
        read_to.filter(is_in_time).min().map(handled)
    }
}
