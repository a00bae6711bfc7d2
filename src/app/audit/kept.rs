//! What Auth0 has of a stretch by the oldest record that it keeps, and what follows where it has none.

use chrono::{DateTime, TimeDelta, Utc};

use super::AuditError;
use crate::app::oldest::Oldest;
use crate::audit::Audited;
use crate::record::SHORTEST_RETENTION;
use crate::report::Gap;
use crate::run::{Mark, Stretch};

/// No record is looked for that is older, since no plan keeps any so long: 31 days, and an hour for
/// those who ask for just these.
const OLDEST_LOOKED_FOR: TimeDelta = TimeDelta::hours(31 * 24 + 1);

/// What is compared of a stretch, and what of it is not.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub begin: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// What of its beginning Auth0 has no records of.
    pub gap: Option<Gap>,
    /// What is so old that nobody needs to ask.
    beyond: Option<Gap>,
    oldest: Oldest,
    now: DateTime<Utc>,
}

impl Kept {
    /// Of this stretch, where that is the oldest record at Auth0.
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
            end: stretch.to.stored_by().unwrap_or(now).min(now),
            gap: until(date.unwrap_or(now)).filter(|_| oldest != Oldest::NotLater),
            beyond: until(first),
            oldest,
            now,
        }
    }

    /// Whether there may be records that were stored before this time.
    pub fn has_any_before(&self, time: DateTime<Utc>) -> bool {
        match self.oldest {
            Oldest::At(date) => date < time,
            Oldest::None => false,
            Oldest::Later | Oldest::NotLater => true,
        }
    }

    /// Takes note of when the first record was stored that was read, where only that tells how far the
    /// gap reaches.
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
        let undated = audited.undated;
        if undated > 0 {
            audited.fail(AuditError::Undated { undated }.to_string());
        }
        if self.may_be_dropped() || self.begin >= self.end {
            audited.fail(AuditError::Nothing.to_string());
        }
    }

    /// Whether Auth0 may have dropped the beginning, or has what cannot be found by its date.
    fn may_be_dropped(&self) -> bool {
        let from = self.gap.and_then(|it| it.from);
        self.oldest == Oldest::Later
            || from.is_some_and(|from| from < self.now - SHORTEST_RETENTION)
    }
}
