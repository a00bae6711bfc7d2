//! When a record happened, where its id and its date may disagree or be wrong.

use chrono::{DateTime, Utc};

use crate::record::{LogId, Record, STORING_DELAY, is_future};

/// When a record with this id and date happened. If it has no date, or one in the future, when it was
/// stored.
pub(super) fn time_before(
    now: DateTime<Utc>,
    id: &LogId,
    date: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let mut times = [date, id.stored_at()].into_iter().flatten();
    times.find(|it| !is_future(*it, now))
}

/// When a record happened. If its date is more than [`STORING_DELAY`] before the time in its id, when it
/// was stored. `None` if the id is older than the date, because then neither can be trusted.
pub(super) fn time_of(record: &Record) -> Option<DateTime<Utc>> {
    match (record.log_id.stored_at(), record.date) {
        (Some(stored), Some(date)) if stored < date => None,
        (Some(stored), Some(date))
            if (stored - date).to_std().is_ok_and(|it| it > STORING_DELAY) =>
        {
            Some(stored)
        }
        (stored, date) => date.or(stored),
    }
}
