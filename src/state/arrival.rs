//! What a destination has acknowledged lately, hour by hour of the time in the log ids, and how much of
//! it was found in the table.
//!
//! The ids of an hour are kept as long as the hour is, so a record that is delivered again does not
//! count twice. If they are many, they have an object of their own, which is in memory only while the
//! hour is looked for or changed. They are written before the hour's state is, and that before the
//! checkpoint: a run that is killed in between delivers the records again.

mod forget;
mod ids;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use self::ids::KeptIds;
pub(crate) use self::ids::MOST_IDS;
pub(crate) use self::store::ArrivalStore;
use self::store::ArrivalsError;
use crate::clock::{hour, is_reckonable};
use crate::record::LogId;
use crate::report::Arrival;

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Maximum number of hours: more than there are in the 30 days that Auth0 keeps records at most.
pub(crate) const MOST_HOURS: usize = 1_000;
/// How often a part of what is missing from an hour is delivered again, while no more of it arrives.
const MOST_PARTS: u32 = 2;

/// When to look for records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Time after the delivery.
    pub after: TimeDelta,
    /// Time after the previous look.
    pub again: TimeDelta,
}

/// What was acknowledged lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    format: u32,
    /// By the hour's beginning.
    hours: BTreeMap<DateTime<Utc>, Hour>,
    looked_at: Option<DateTime<Utc>>,
    /// Hours that are forgotten, and the objects of whose ids are to be removed.
    #[serde(default)]
    gone: BTreeSet<DateTime<Utc>>,
    /// The last hour whose missing records could not be delivered again, so that others were not tried.
    #[serde(default)]
    stuck_hour: Option<DateTime<Utc>>,
    /// Records that were given up although it is not known whether they arrived.
    #[serde(skip)]
    given_up: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hour {
    /// How many ids are kept.
    accepted: u64,
    /// The packed ids; `None` if they have an object of their own. Earlier versions kept all of them here.
    ids: Option<String>,
    /// When the newest of them was noted.
    delivered_at: DateTime<Utc>,
    stage: Stage,
    seen: Option<Seen>,
    /// When the missing records were delivered again.
    sent_again_at: Option<DateTime<Utc>>,
    /// How many are missing for good, or could not be delivered again, as long as they are not found.
    /// Stays if more records come to the hour.
    #[serde(default)]
    lost: u64,
    /// Whether not one of them was there at a second look. That is no row's fault, but an outage of the table.
    #[serde(default)]
    was_void: bool,
    /// Whether the missing records were, or are to be, delivered once more after an outage.
    #[serde(default)]
    is_retried: bool,
    /// How often only a part of the missing records was delivered again, since more of them were found.
    #[serde(default)]
    sent_in_part: u32,
}

/// The state of an hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Records were delivered that were not looked for yet.
    Delivered,
    /// Some were missing at the first look.
    Short,
    /// The missing ones were delivered again.
    SentAgain,
    /// Some are missing, and nothing more is done about it, unless it was an outage and that is over.
    Lost,
    /// All were found.
    Whole,
}

/// What was found of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    at: DateTime<Utc>,
    /// Out of this many.
    accepted: u64,
    landed: u64,
}

/// What to look for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub hour: DateTime<Utc>,
    /// When the newest of these records was delivered.
    pub delivered_at: DateTime<Utc>,
    /// How many these are.
    pub accepted: u64,
    /// Whether the answer must say which of them are missing.
    pub by_name: bool,
}

/// What was found of a [`Wanted`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub hour: DateTime<Utc>,
    /// Out of this many.
    pub accepted: u64,
    pub landed: u64,
    /// The missing ones, if they were asked for by name.
    pub missing: BTreeSet<LogId>,
}

/// What follows from what was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// To be delivered again.
    pub missing: BTreeSet<LogId>,
    /// Missing for good.
    pub lost: BTreeSet<LogId>,
}

impl Hour {
    fn is_due(&self, timing: Timing, now: DateTime<Utc>) -> bool {
        let seen_at = self.seen.map_or(self.delivered_at, |it| it.at);
        let due = match self.stage {
            Stage::Delivered => self.delivered_at + timing.after,
            Stage::SentAgain => self.sent_again_at.unwrap_or(seen_at) + timing.after,
            Stage::Short | Stage::Lost => seen_at + timing.again,
            Stage::Whole => return false,
        };
        due <= now
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Whole | Stage::Lost)
    }

    /// When any of its records was last delivered. Others may have come since the missing ones were delivered
    /// again.
    fn last_sent_at(&self) -> DateTime<Utc> {
        let sent_again_at = self.sent_again_at.unwrap_or(self.delivered_at);
        sent_again_at.max(self.delivered_at)
    }

    /// Whether this program may have written it.
    fn is_sound(&self) -> bool {
        let seen_at = self.seen.map(|it| it.at);
        let times = [Some(self.delivered_at), self.sent_again_at, seen_at];
        times.into_iter().flatten().all(is_reckonable) && ids::is_sound(self)
    }
}

impl Arrivals {
    fn is_sound(&self) -> bool {
        let mut hours = self.hours.iter();
        hours.all(|(begin, hour)| is_reckonable(*begin) && hour.is_sound())
            && self.gone.iter().copied().all(is_reckonable)
    }

    /// Notes which ids are kept of these hours. Returns whether their number has changed.
    fn keep(&mut self, hours: &BTreeMap<DateTime<Utc>, KeptIds>, now: DateTime<Utc>) -> bool {
        let mut is_news = false;
        for (hour, kept) in hours {
            if kept.here.is_none() {
                self.gone.remove(hour);
            }
            let known = self.hours.get_mut(hour);
            if let Some(known) = known
                && known.accepted == kept.count
            {
                // They may have got an object.
                known.ids.clone_from(&kept.here);
                continue;
            }
            is_news = true;
            let known = self.hours.get(hour);
            // If all that was sent again has arrived, the turn is that of the new ones.
            let unfinished = known.filter(|it| it.stage != Stage::Whole);
            let changed = Hour {
                accepted: kept.count,
                ids: kept.here.clone(),
                delivered_at: now,
                stage: Stage::Delivered,
                seen: known.and_then(|it| it.seen),
                sent_again_at: unfinished.and_then(|it| it.sent_again_at),
                lost: known.map_or(0, |it| it.lost),
                was_void: known.is_some_and(|it| it.was_void),
                is_retried: unfinished.is_some_and(|it| it.is_retried),
                sent_in_part: unfinished.map_or(0, |it| it.sent_in_part),
            };
            self.hours.insert(*hour, changed);
        }
        self.forget(now);
        is_news
    }

    /// The hour to look for, unless more has come to it or it was forgotten.
    fn unchanged(&self, wanted: &Wanted) -> Option<&Hour> {
        let hour = self.hours.get(&wanted.hour);
        hour.filter(|it| it.accepted == wanted.accepted)
    }

    /// Notes that the object of an hour has so many ids, unless the hour has changed.
    fn recount(&mut self, wanted: &Wanted, count: u64, now: DateTime<Utc>) {
        let hour = self.unchanged(wanted);
        if hour.is_some_and(|it| it.ids.is_none()) {
            let kept = KeptIds { count, here: None };
            self.keep(&[(wanted.hour, kept)].into(), now);
        }
    }

    /// The hours that are due to be looked for, the oldest first.
    pub fn due(&self, timing: Timing, now: DateTime<Utc>) -> Vec<Wanted> {
        let due = self.hours.iter().filter(|(_, it)| it.is_due(timing, now));
        let wanted = due.map(|(hour, it)| Wanted {
            hour: *hour,
            delivered_at: it.delivered_at,
            accepted: it.accepted,
            by_name: it.stage != Stage::Delivered,
        });
        wanted.collect()
    }

    /// Whether it is time to look for the records of this hour.
    pub fn is_due(&self, hour: DateTime<Utc>, timing: Timing, now: DateTime<Utc>) -> bool {
        let hour = self.hours.get(&hour);
        hour.is_some_and(|it| it.is_due(timing, now))
    }

    /// Since when at least the table takes rows: something that was delivered after this arrived. `None` if
    /// nothing did. What an hour has was delivered after it began, unless the ids' time is wrong.
    fn takes_rows_since(&self, found: &[Found], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let has_landed = |hour: &DateTime<Utc>| {
            let found = found.iter().find(|it| it.hour == *hour);
            let seen = self.hours.get(hour).and_then(|it| it.seen);
            found.map(|it| it.landed).or(seen.map(|it| it.landed)) > Some(0)
        };
        let past = self.hours.keys().filter(|it| **it <= now);
        past.filter(|it| has_landed(it)).max().copied()
    }

    /// Notes what was found. Records that came to an hour meanwhile are looked for later.
    pub fn find(&mut self, found: &[Found], now: DateTime<Utc>) -> Verdict {
        let mut verdict = Verdict::default();
        let seen = self.hours.values().filter_map(|it| it.seen);
        let before = sum(seen.map(|it| it.landed));
        // If nothing was ever found, the workspace asked is not the one that receives the records, and
        // delivering them all again would not help.
        let is_the_place = before > 0 || found.iter().any(|it| it.landed > 0);
        let takes_rows_since = self.takes_rows_since(found, now);
        let was_out = self.hours.values().any(|it| it.was_void);
        for found in found {
            let Some(hour) = self.hours.get_mut(&found.hour) else {
                continue;
            };
            if hour.accepted != found.accepted {
                continue;
            }
            hour.was_void |= found.landed == 0 && hour.stage != Stage::Delivered;
            let is_whole = found.landed >= found.accepted;
            let more_landed = hour.seen.is_some_and(|it| found.landed > it.landed);
            if more_landed && hour.stage == Stage::Short {
                hour.sent_in_part = 0;
            }
            let may_send_again = hour.sent_again_at.is_none() && hour.sent_in_part < MOST_PARTS;
            hour.stage = match hour.stage {
                _ if is_whole => Stage::Whole,
                Stage::Delivered => Stage::Short,
                Stage::Short if is_the_place && may_send_again => {
                    verdict.missing.extend(found.missing.iter().cloned());
                    Stage::Short
                }
                Stage::Lost
                    if was_out
                        && !hour.is_retried
                        && takes_rows_since > Some(hour.last_sent_at()) =>
                {
                    verdict.missing.extend(found.missing.iter().cloned());
                    hour.is_retried = true;
                    hour.sent_again_at = None;
                    hour.sent_in_part = 0;
                    Stage::Short
                }
                Stage::Lost => Stage::Lost,
                Stage::Short | Stage::SentAgain | Stage::Whole => {
                    verdict.lost.extend(found.missing.iter().cloned());
                    if hour.sent_in_part > 0 {
                        // The last part was delivered after the look before.
                        let seen_at = hour.seen.map(|it| it.at);
                        hour.sent_again_at = hour.sent_again_at.or(seen_at);
                    }
                    Stage::Lost
                }
            };
            let missing = found.accepted.saturating_sub(found.landed);
            hour.lost = match hour.stage {
                Stage::Lost => missing,
                // Records that came since may be on their way.
                _ => hour.lost.min(missing),
            };
            hour.seen = Some(Seen {
                at: now,
                accepted: found.accepted,
                landed: found.landed,
            });
            self.looked_at = Some(now);
        }
        self.forget(now);
        verdict
    }

    /// Notes that the missing records were delivered again.
    pub fn send_again(&mut self, ids: &BTreeSet<LogId>, now: DateTime<Utc>) {
        let hours: BTreeSet<_> = ids.iter().filter_map(LogId::stored_at).map(hour).collect();
        for (begin, hour) in &mut self.hours {
            if hours.contains(begin) && hour.stage == Stage::Short {
                hour.stage = Stage::SentAgain;
                hour.sent_again_at = Some(now);
            }
        }
    }

    /// Notes that only a part of the missing records was delivered again. The rest is tried after the next
    /// look. A part that does not arrive is not delivered without end.
    pub fn send_part_again(&mut self, ids: &BTreeSet<LogId>) {
        let hours: BTreeSet<_> = ids.iter().filter_map(LogId::stored_at).map(hour).collect();
        for (begin, hour) in &mut self.hours {
            if hours.contains(begin) && hour.stage == Stage::Short {
                hour.sent_in_part = hour.sent_in_part.saturating_add(1);
            }
        }
    }

    /// Notes that missing records could not be delivered again. That is tried after the next look, and may
    /// fail each time.
    pub fn keep_missing(&mut self, ids: &BTreeSet<LogId>) {
        let hours: BTreeSet<_> = ids.iter().filter_map(LogId::stored_at).map(hour).collect();
        for (begin, hour) in &mut self.hours {
            if let Some(seen) = hour.seen.filter(|_| hours.contains(begin))
                && hour.stage == Stage::Short
            {
                hour.lost = seen.accepted.saturating_sub(seen.landed);
            }
        }
    }

    /// Notes that the missing records of this hour could not be delivered again, and that those of others
    /// were not tried after them.
    pub fn note_stuck(&mut self, hour: DateTime<Utc>) {
        self.stuck_hour = Some(hour);
    }

    /// Missing records, hour by hour, in the order in which they are to be delivered again. The hour that
    /// others were not tried after may fail each time, so the hours after it come first.
    pub fn turns(&self, missing: &BTreeSet<LogId>) -> Vec<(DateTime<Utc>, BTreeSet<LogId>)> {
        let mut turns: Vec<_> = by_hour(missing).into_iter().collect();
        let after = turns.iter().position(|(it, _)| Some(*it) > self.stuck_hour);
        turns.rotate_left(after.unwrap_or_default());
        turns
    }

    /// The totals of all hours that were looked for.
    pub fn told(&self) -> Arrival {
        let seen = || self.hours.values().filter_map(|it| it.seen);
        let accepted = sum(seen().map(|it| it.accepted));
        let landed = sum(seen().map(|it| it.landed));
        Arrival {
            accepted,
            landed,
            missing: accepted.saturating_sub(landed),
            looked_at: self.looked_at,
        }
    }

    /// How many records are missing for good, or could not be delivered again.
    pub fn lost(&self) -> u64 {
        sum(self.hours.values().map(|it| it.lost))
    }
}

/// These ids by the hour in which their records were stored. Ids without a time belong to no hour.
pub(crate) fn by_hour(ids: &BTreeSet<LogId>) -> BTreeMap<DateTime<Utc>, BTreeSet<LogId>> {
    let mut hours: BTreeMap<_, BTreeSet<LogId>> = BTreeMap::new();
    for id in ids {
        if let Some(hour) = id.stored_at().map(hour) {
            hours.entry(hour).or_default().insert(id.clone());
        }
    }
    hours
}

/// Saturating, because someone else may have written what is stored.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
