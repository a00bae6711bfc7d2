//! Which part of a stretch Auth0 still keeps, judging by its oldest record.

use chrono::{DateTime, TimeDelta, Utc};

use super::AuditError;
use crate::app::oldest::Oldest;
use crate::audit::Audited;
use crate::record::SHORTEST_RETENTION;
use crate::report::Gap;
use crate::run::{Mark, Stretch};

/// The age beyond which no record is looked for: a day more than the longest retention of any plan, and
/// an hour for those who ask for exactly 31 days.
const OLDEST_LOOKED_FOR: TimeDelta = TimeDelta::hours(31 * 24 + 1);

/// Which part of a stretch is compared, and which is not.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub begin: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The part at the beginning for which Auth0 has no records.
    pub gap: Option<Gap>,
    /// The part beyond the longest retention, which is not queried.
    beyond: Option<Gap>,
    oldest: Oldest,
    now: DateTime<Utc>,
}

impl Kept {
    /// Divides this stretch, given the oldest record at Auth0.
    pub fn of(stretch: &Stretch, oldest: Oldest, now: DateTime<Utc>) -> Self {
        let date = match oldest {
            Oldest::At(date) => Some(date),
            Oldest::None | Oldest::Later | Oldest::NotLater => None,
        };
        let first = date.unwrap_or(now).min(now - OLDEST_LOOKED_FOR);
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
            begin: from.or(date).unwrap_or(now).max(first),
            end: stretch.to.stored_before().unwrap_or(now).min(now),
            gap: until(date.unwrap_or(now)).filter(|_| oldest != Oldest::NotLater),
            beyond: until(first),
            oldest,
            now,
        }
    }

    /// Whether there may be records stored before this time.
    pub fn has_any_before(&self, time: DateTime<Utc>) -> bool {
        match self.oldest {
            Oldest::At(date) => date < time,
            Oldest::None => false,
            Oldest::Later | Oldest::NotLater => true,
        }
    }

    /// Notes when the first record read was stored, if only that tells where the gap ends.
    pub fn meet(&mut self, first: Option<DateTime<Utc>>) {
        if let (Oldest::Later, Some(first)) = (self.oldest, first) {
            self.oldest = Oldest::At(first);
            let gap = self.gap.map(|gap| Gap {
                to: gap.to.min(first),
                ..gap
            });
            self.gap = gap.filter(|gap| gap.from < Some(gap.to));
        }
    }

    /// Notes why an audit that read everything still proves nothing.
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
        let undated = audited.undated;
        if undated > 0 {
            audited.fail(AuditError::Undated { undated }.to_string());
        }
        if self.may_be_dropped() || self.begin >= self.end {
            audited.fail(AuditError::Nothing.to_string());
        }
    }

    /// Whether Auth0 may have dropped the beginning, or has records that cannot be found by date.
    fn may_be_dropped(&self) -> bool {
        let from = self.gap.and_then(|it| it.from);
        self.oldest == Oldest::Later
            || from.is_some_and(|from| from < self.now - SHORTEST_RETENTION)
    }
}
