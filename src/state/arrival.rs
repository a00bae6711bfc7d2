//! What a destination has acknowledged lately, hour by hour of the log id's own time, and how much of it
//! was found where it should be.
//!
//! The ids of an hour are kept as long as the hour is, so that a record which is delivered again does
//! not count twice. They are written before the checkpoint is: a run that is killed in between
//! delivers them again.

mod store;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use self::store::ArrivalStore;
use super::packed::{pack, unpack};
use crate::clock::{hour, is_reckonable};
use crate::record::{LogId, is_future};
use crate::report::Arrival;

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Ids that are kept, of all hours: two or three megabytes.
pub(crate) const MOST_IDS: u64 = 150_000;
/// Bytes of the ids of an hour.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How long it is told of an hour.
const TOLD: TimeDelta = TimeDelta::days(1);
/// When it is time to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// After the delivery.
    pub after: TimeDelta,
    /// After the look before.
    pub again: TimeDelta,
}

/// What was acknowledged lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    format: u32,
    /// By its beginning.
    hours: BTreeMap<DateTime<Utc>, Hour>,
    looked_at: Option<DateTime<Utc>>,
    /// Records that were given up although it is not known what became of them.
    #[serde(skip)]
    given_up: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hour {
    /// Packed.
    ids: String,
    /// How many these are.
    accepted: u64,
    /// When the newest of them was noted.
    delivered_at: DateTime<Utc>,
    stage: Stage,
    seen: Option<Seen>,
    /// When those that were missing were delivered again.
    sent_again_at: Option<DateTime<Utc>>,
    /// How many are missing for good, as long as they are not found: also where more came since.
    #[serde(default)]
    lost: u64,
}

/// How it stands with an hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Something was delivered that was not looked for.
    Delivered,
    /// At the first look something was missing.
    Short,
    /// That was delivered again.
    SentAgain,
    /// Something is missing, and nothing is done about it any more.
    Lost,
    /// All of it is there.
    Whole,
}

/// What was found of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    at: DateTime<Utc>,
    /// Of so many.
    accepted: u64,
    landed: u64,
}

/// What is to be looked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub hour: DateTime<Utc>,
    /// When the newest of them was delivered.
    pub delivered_at: DateTime<Utc>,
    pub ids: BTreeSet<LogId>,
    /// Whether it has to be told which of them are missing.
    pub by_name: bool,
}

/// What was found of that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub hour: DateTime<Utc>,
    /// Of so many.
    pub accepted: u64,
    pub landed: u64,
    /// Those that are not there, where they were asked for by name.
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

    /// Whether it is one that this program may have written.
    fn is_sound(&self) -> bool {
        let seen_at = self.seen.map(|it| it.at);
        let times = [Some(self.delivered_at), self.sent_again_at, seen_at];
        times.into_iter().flatten().all(is_reckonable) && count(&ids_of(&self.ids)) == self.accepted
    }
}

impl Arrivals {
    fn is_sound(&self) -> bool {
        let mut hours = self.hours.iter();
        hours.all(|(begin, hour)| is_reckonable(*begin) && hour.is_sound())
    }

    /// Takes note of records that were acknowledged. Ids that tell no time are left out, as they
    /// belong to no hour. Answers with whether any of them is new.
    pub fn accept(&mut self, ids: &BTreeSet<LogId>, now: DateTime<Utc>) -> bool {
        let mut by_hour: BTreeMap<_, BTreeSet<LogId>> = BTreeMap::new();
        for id in ids {
            if let Some(hour) = id.stored_at().map(hour) {
                by_hour.entry(hour).or_default().insert(id.clone());
            }
        }
        let mut is_news = false;
        for (hour, new) in by_hour {
            let known = self.hours.get(&hour);
            let mut all = known.map(|it| ids_of(&it.ids)).unwrap_or_default();
            let before = all.len();
            all.extend(new);
            if all.len() == before {
                continue;
            }
            is_news = true;
            let changed = Hour {
                ids: pack(&all),
                accepted: count(&all),
                delivered_at: now,
                stage: Stage::Delivered,
                seen: known.and_then(|it| it.seen),
                sent_again_at: known.and_then(|it| it.sent_again_at),
                lost: known.map_or(0, |it| it.lost),
            };
            self.hours.insert(hour, changed);
        }
        self.forget(now);
        is_news
    }

    /// Forgets what was told long enough, and what is too much: first what is all there, as of it there
    /// is nothing left to say.
    fn forget(&mut self, now: DateTime<Utc>) {
        self.format = FORMAT;
        self.bring_back(now);
        self.hours.retain(|_, hour| {
            let told_since = hour.sent_again_at.unwrap_or(hour.delivered_at);
            !hour.is_done() || now - told_since < TOLD
        });
        let all = |hours: &BTreeMap<_, Hour>| hours.values().map(|it| it.accepted).sum::<u64>();
        while all(&self.hours) > MOST_IDS {
            let whole = self.hours.iter().find(|(_, it)| it.stage == Stage::Whole);
            let oldest = whole.or(self.hours.iter().next()).map(|(hour, _)| *hour);
            let Some(hour) = oldest.and_then(|it| self.hours.remove(&it)) else {
                break;
            };
            if !hour.is_done() {
                self.given_up += hour.accepted;
            }
        }
    }

    /// How many records were given up since this was asked last, although it is not known what became
    /// of them.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// What was noted while a clock was ahead counts as noted now: otherwise nobody would look for it, nor
    /// forget it, until then. Where records are of a later time, it is this clock that is behind, and
    /// nothing is brought back.
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

    /// The hours that it is time to look for, the oldest first.
    pub fn due(&self, timing: Timing, now: DateTime<Utc>) -> Vec<Wanted> {
        let due = self.hours.iter().filter(|(_, it)| it.is_due(timing, now));
        let wanted = due.map(|(hour, it)| Wanted {
            hour: *hour,
            delivered_at: it.delivered_at,
            ids: ids_of(&it.ids),
            by_name: it.stage != Stage::Delivered,
        });
        wanted.collect()
    }

    /// Takes note of what was found. What came to an hour meanwhile is looked for later.
    pub fn find(&mut self, found: &[Found], now: DateTime<Utc>) -> Verdict {
        let mut verdict = Verdict::default();
        let seen = self.hours.values().filter_map(|it| it.seen);
        let before = sum(seen.map(|it| it.landed));
        // Where nothing ever landed, it is not rows that are missing: it is another workspace, and to
        // deliver all again would help nobody.
        let is_the_place = before > 0 || found.iter().any(|it| it.landed > 0);
        for found in found {
            let Some(hour) = self.hours.get_mut(&found.hour) else {
                continue;
            };
            if hour.accepted != found.accepted {
                continue;
            }
            let is_whole = found.landed >= found.accepted;
            hour.stage = match hour.stage {
                _ if is_whole => Stage::Whole,
                Stage::Delivered => Stage::Short,
                Stage::Short if is_the_place && hour.sent_again_at.is_none() => {
                    verdict.missing.extend(found.missing.iter().cloned());
                    Stage::Short
                }
                Stage::Lost => Stage::Lost,
                Stage::Short | Stage::SentAgain | Stage::Whole => {
                    verdict.lost.extend(found.missing.iter().cloned());
                    Stage::Lost
                }
            };
            let missing = found.accepted.saturating_sub(found.landed);
            hour.lost = match hour.stage {
                Stage::Lost => missing,
                // What came since may be on its way.
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

    /// Takes note that what was missing was delivered again.
    pub fn send_again(&mut self, ids: &BTreeSet<LogId>, now: DateTime<Utc>) {
        let hours: BTreeSet<_> = ids.iter().filter_map(LogId::stored_at).map(hour).collect();
        for (begin, hour) in &mut self.hours {
            if hours.contains(begin) && hour.stage == Stage::Short {
                hour.stage = Stage::SentAgain;
                hour.sent_again_at = Some(now);
            }
        }
    }

    /// What is told of all hours that were looked for.
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

    /// How many records are missing for good.
    pub fn lost(&self) -> u64 {
        sum(self.hours.values().map(|it| it.lost))
    }
}

/// What is stored, others may have written.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

fn ids_of(packed: &str) -> BTreeSet<LogId> {
    unpack(packed, MOST_BYTES).unwrap_or_default()
}

fn count(ids: &BTreeSet<LogId>) -> u64 {
    u64::try_from(ids.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
