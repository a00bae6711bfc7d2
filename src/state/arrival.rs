//! What a destination has acknowledged lately, hour by hour of the log id's own time, and how much of it
//! was found where it should be.
//!
//! The ids of an hour are kept as long as the hour is, so that a record which is delivered again does
//! not count twice. They are written before the checkpoint is: a run that is killed in between
//! delivers them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::packed::{pack, unpack};
use crate::clock::hour;
use crate::net::retry::Deadline;
use crate::record::{LogId, is_future};
use crate::report::Arrival;
use crate::storage::{Storage, StorageError, Version};

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Ids that are kept, of all hours: two or three megabytes.
const MOST_IDS: u64 = 150_000;
/// Bytes of the ids of an hour.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How long it is told of an hour.
const TOLD: TimeDelta = TimeDelta::days(1);
/// Time for writing it; a run does not wait longer for it, and no longer than half of the time that is
/// left for saving: the checkpoint comes after it.
const SAVING: Duration = Duration::from_secs(5);

/// Why it was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalsError {
    /// The storage could not be read.
    #[error("reading what was accepted lately, {place}")]
    Read { place: String, source: StorageError },
    /// It could not be written.
    #[error("writing what was accepted lately, {place}")]
    Write { place: String, source: StorageError },
}

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
}

impl Arrivals {
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
            let Some(oldest) = oldest else { break };
            self.hours.remove(&oldest);
        }
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
        let before: u64 = self
            .hours
            .values()
            .filter_map(|it| it.seen)
            .map(|it| it.landed)
            .sum();
        // Where nothing ever landed, it is not rows that are missing: it is another workspace, and to
        // deliver all again would help nobody.
        let is_the_place = before + found.iter().map(|it| it.landed).sum::<u64>() > 0;
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
        let accepted = seen().map(|it| it.accepted).sum::<u64>();
        let landed = seen().map(|it| it.landed).sum::<u64>();
        Arrival {
            accepted,
            landed,
            missing: accepted.saturating_sub(landed),
            looked_at: self.looked_at,
        }
    }

    /// How many records are missing for good.
    pub fn lost(&self) -> u64 {
        self.hours.values().map(|it| it.lost).sum()
    }
}

fn ids_of(packed: &str) -> BTreeSet<LogId> {
    unpack(packed, MOST_BYTES).unwrap_or_default()
}

fn count(ids: &BTreeSet<LogId>) -> u64 {
    u64::try_from(ids.len()).unwrap_or(u64::MAX)
}

/// What was acknowledged lately by one destination, in `arrival/<tenant>/<destination>.json`.
pub(crate) struct ArrivalStore {
    storage: Arc<Storage>,
    path: String,
    /// What this process read or wrote last.
    known: Mutex<Option<Known>>,
}

struct Known {
    arrivals: Arrivals,
    version: Option<Version>,
}

impl ArrivalStore {
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        Self {
            storage,
            path: format!("arrival/{tenant}/{destination}.json"),
            known: Mutex::default(),
        }
    }

    /// What is stored. What is nothing of this version is nothing, which is said.
    async fn load(&self, deadline: Deadline) -> Result<Known, ArrivalsError> {
        let read = self.storage.read(&self.path, deadline).await;
        let object = read.map_err(|source| ArrivalsError::Read {
            place: self.storage.location(&self.path),
            source,
        })?;
        let (json, version) = object.unzip();
        let Some(json) = json else {
            let arrivals = Arrivals::default();
            return Ok(Known { arrivals, version });
        };
        let arrivals = serde_json::from_slice::<Arrivals>(&json).ok();
        let arrivals = arrivals.filter(|it| it.format == FORMAT);
        if arrivals.is_none() {
            warn!(
                "what was accepted lately, {}, cannot be used, so it is begun anew: of what was \
                 delivered before, it is not told whether it arrived",
                self.storage.location(&self.path)
            );
        }
        let arrivals = arrivals.unwrap_or_default();
        Ok(Known { arrivals, version })
    }

    /// Looks at it.
    pub async fn see<T>(
        &self,
        deadline: Deadline,
        see: impl FnOnce(&Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut known = self.known.lock().await;
        let latest = match known.take() {
            Some(latest) => latest,
            None => self.load(deadline).await?,
        };
        let seen = see(&latest.arrivals);
        *known = Some(latest);
        Ok(seen)
    }

    /// Changes it, and writes it where that is different. Where another process wrote meanwhile, what
    /// that one wrote is changed.
    pub async fn change<T>(
        &self,
        deadline: Deadline,
        change: impl FnMut(&mut Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let deadline = deadline.for_saving();
        let last = deadline.for_answers();
        let left = last.saturating_duration_since(Instant::now());
        let most = SAVING.min(left / 2);
        let changed = timeout(most, self.change_within(deadline.within(most), change)).await;
        changed.unwrap_or_else(|_| {
            Err(ArrivalsError::Write {
                place: self.storage.location(&self.path),
                source: StorageError::OutOfTime,
            })
        })
    }

    async fn change_within<T>(
        &self,
        deadline: Deadline,
        mut change: impl FnMut(&mut Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut known = self.known.lock().await;
        let mut is_second = false;
        loop {
            let mut latest = match known.take() {
                Some(latest) => latest,
                None => self.load(deadline).await?,
            };
            let before = latest.arrivals.clone();
            let changed = change(&mut latest.arrivals);
            if latest.arrivals == before {
                *known = Some(latest);
                return Ok(changed);
            }
            let json = Bytes::from(serde_json::to_vec(&latest.arrivals).unwrap_or_default());
            let over = latest.version.as_ref();
            match self.storage.write(&self.path, json, over, deadline).await {
                Ok(version) => {
                    latest.version = Some(version);
                    *known = Some(latest);
                    return Ok(changed);
                }
                // What is there is read before the next attempt.
                Err(StorageError::Conflict) if !is_second => is_second = true,
                Err(source) => {
                    return Err(ArrivalsError::Write {
                        place: self.storage.location(&self.path),
                        source,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
