//! What Auth0 has of a stretch by the oldest record that it keeps, and what follows where it has none.

use chrono::{DateTime, TimeDelta, Utc};

use super::AuditError;
use crate::audit::Audited;
use crate::report::Gap;
use crate::run::{Mark, Stretch};

/// Auth0 keeps no records longer than this: 31 days, and an hour for those who ask for just these.
const LONGEST_RETENTION: TimeDelta = TimeDelta::hours(31 * 24 + 1);
/// Whatever the plan, it keeps them so long.
const SHORTEST_RETENTION: TimeDelta = TimeDelta::days(1);

/// What is compared of a stretch, and what of it is not.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub begin: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// What of its beginning Auth0 has no records of.
    pub gap: Option<Gap>,
    /// What is so old that nobody needs to ask.
    beyond: Option<Gap>,
    oldest: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Kept {
    /// Of this stretch, where the oldest record at Auth0 is dated so.
    pub fn of(stretch: &Stretch, oldest: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let first = oldest.unwrap_or(now).min(now - LONGEST_RETENTION);
        let from = stretch.from.as_ref().and_then(Mark::time);
        let to = stretch.to.time().unwrap_or(now).min(now);
        let until = |end: DateTime<Utc>| {
            let is_before = from.is_some_and(|from| from < end);
            is_before.then_some(Gap {
                from,
                to: end.min(to),
            })
        };
        Self {
            begin: from.or(oldest).unwrap_or(now).max(first),
            end: stretch.to.stored_by().unwrap_or(now).min(now),
            gap: until(oldest.unwrap_or(now)),
            beyond: until(first),
            oldest,
            now,
        }
    }

    /// Whether there may be records that were stored before this time.
    pub fn has_any_before(&self, time: DateTime<Utc>) -> bool {
        self.oldest.is_some_and(|oldest| oldest < time)
    }

    /// Notes what keeps an audit that came to its end from proving anything.
    pub fn judge(&self, audited: &mut Audited) {
        if let Some(beyond) = self.beyond {
            audited.fail(AuditError::Beyond(beyond).to_string());
        }
        let (at_auth0, surplus) = (audited.total.at_auth0, audited.total.surplus);
        if at_auth0 > 0 {
            return;
        }
        if surplus > 0 {
            audited.fail(AuditError::Gone { surplus }.to_string());
        }
        if self.may_be_dropped() || self.begin >= self.end {
            audited.fail(AuditError::Nothing.to_string());
        }
    }

    /// Whether Auth0 may have dropped the beginning.
    fn may_be_dropped(&self) -> bool {
        let from = self.gap.and_then(|it| it.from);
        from.is_some_and(|from| from < self.now - SHORTEST_RETENTION)
    }
}
