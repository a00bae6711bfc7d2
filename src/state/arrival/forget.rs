//! Which hours are forgotten, and when.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Arrivals, FORMAT, MOST_HOURS, Stage};
use crate::record::is_future;

/// How long an hour is reported.
const TOLD: TimeDelta = TimeDelta::days(1);
/// How long an hour is reported of which records are missing. After a daily cap, which may last for a day, it
/// takes up to two hours and a half until an hour that arrived has been looked for.
const LOST_TOLD: TimeDelta = TimeDelta::hours(27);

impl Arrivals {
    /// Forgets hours that were reported long enough, or of which no id is left. If too many hours are left,
    /// forgets more: first those of which all records were found, because there is nothing left to report.
    pub(super) fn forget(&mut self, now: DateTime<Utc>) {
        self.format = FORMAT;
        self.bring_back(now);
        let told_enough = self.hours.extract_if(.., |_, hour| {
            let told = match hour.stage {
                Stage::Lost => LOST_TOLD,
                _ => TOLD,
            };
            hour.accepted == 0 || hour.is_done() && now - hour.last_sent_at() >= told
        });
        let told_enough = told_enough.filter(|(_, it)| it.ids.is_none());
        self.gone.extend(told_enough.map(|(hour, _)| hour));
        while self.hours.len() > MOST_HOURS {
            let whole = self.hours.iter().find(|(_, it)| it.stage == Stage::Whole);
            let oldest = whole.or(self.hours.iter().next()).map(|(hour, _)| *hour);
            let Some((begin, hour)) = oldest.and_then(|it| self.hours.remove_entry(&it)) else {
                break;
            };
            if hour.ids.is_none() {
                self.gone.insert(begin);
            }
            self.given_up += match hour.stage {
                Stage::Whole => 0,
                // What is missing may still arrive, or be delivered once more.
                Stage::Lost => hour.lost,
                Stage::Delivered | Stage::Short | Stage::SentAgain => hour.accepted,
            };
        }
        while self.gone.len() > MOST_HOURS {
            self.gone.pop_first();
        }
    }

    /// How many records were given up since the last call, although it is not known whether they
    /// arrived.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// Replaces times noted while the clock was ahead with the present; otherwise nobody would look for
    /// the records, or forget them, until then. If there are records of a later time, this clock is
    /// behind, and nothing is changed.
    fn bring_back(&mut self, now: DateTime<Utc>) {
        let newest = self.hours.keys().next_back();
        if newest.is_some_and(|it| is_future(*it, now)) {
            return;
        }
        let of_hours = self.hours.values_mut().flat_map(|hour| {
            let seen_at = hour.seen.as_mut().map(|it| &mut it.at);
            let sent_again_at = hour.sent_again_at.as_mut();
            [Some(&mut hour.delivered_at), sent_again_at, seen_at]
        });
        for at in of_hours.flatten().chain(self.looked_at.as_mut()) {
            if is_future(*at, now) {
                *at = now;
            }
        }
    }
}
