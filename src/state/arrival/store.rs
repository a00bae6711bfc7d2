//! What was acknowledged lately, in the storage that the settings name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::ids::{Added, Ids, KeptIds, count};
use super::{Arrivals, FORMAT, Wanted, by_hour};
use crate::net::retry::Deadline;
use crate::record::LogId;
use crate::storage::{Storage, StorageError, Version};

/// Time limit for writing; a run does not wait longer. It is also limited to half of the time left for
/// saving, because the checkpoint is saved afterwards.
const SAVING: Duration = Duration::from_secs(5);

/// Why it could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalsError {
    /// The storage could not be read.
    #[error("reading the list of accepted records {place}")]
    Read { place: String, source: StorageError },
    /// It could not be written.
    #[error("writing the list of accepted records {place}")]
    Write { place: String, source: StorageError },
}

impl ArrivalsError {
    pub(super) fn read(storage: &Storage, path: &str, source: StorageError) -> Self {
        let place = storage.location(path);
        Self::Read { place, source }
    }

    pub(super) fn write(storage: &Storage, path: &str, source: StorageError) -> Self {
        let place = storage.location(path);
        Self::Write { place, source }
    }

    fn is_conflict(&self) -> bool {
        match self {
            Self::Write { source, .. } => matches!(source, StorageError::Conflict),
            Self::Read { .. } => false,
        }
    }

    /// Whether the change may have been made: it was written, and there was no answer.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Write { .. } => !self.is_conflict(),
            Self::Read { .. } => false,
        }
    }
}

pub(super) fn warn_of_unusable(place: &str) {
    warn!(
        "the list of accepted records {place} cannot be used, so a new one is begun: whether what was \
         delivered before has arrived is not checked"
    );
}

/// What was acknowledged lately by one destination, in `arrival/<tenant>/<destination>.json`, and the
/// ids of hours that have many in the folder of that name.
pub(crate) struct ArrivalStore {
    storage: Arc<Storage>,
    path: String,
    ids: Ids,
    /// What this process read or wrote last.
    known: Mutex<Option<Known>>,
}

struct Known {
    arrivals: Arrivals,
    version: Option<Version>,
    /// The hours whose ids this process tried to remove, and whether it has.
    tidied: BTreeMap<DateTime<Utc>, bool>,
}

impl Known {
    fn new(arrivals: Arrivals, version: Option<Version>) -> Self {
        Self {
            arrivals,
            version,
            tidied: BTreeMap::new(),
        }
    }
}

impl ArrivalStore {
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        let path = format!("arrival/{tenant}/{destination}");
        Self {
            ids: Ids::new(&storage, path.clone()),
            storage,
            path: format!("{path}.json"),
            known: Mutex::default(),
        }
    }

    /// Loads what is stored. If it cannot be used, warns, and begins with nothing.
    async fn load(&self, deadline: Deadline) -> Result<Known, ArrivalsError> {
        let read = self.storage.read(&self.path, deadline).await;
        let object = read.map_err(|it| ArrivalsError::read(&self.storage, &self.path, it))?;
        let (json, version) = object.unzip();
        let Some(json) = json else {
            return Ok(Known::new(Arrivals::default(), version));
        };
        let arrivals = serde_json::from_slice::<Arrivals>(&json).ok();
        let arrivals = arrivals.filter(|it| it.format == FORMAT && it.is_sound());
        if arrivals.is_none() {
            warn_of_unusable(&self.storage.location(&self.path));
        }
        Ok(Known::new(arrivals.unwrap_or_default(), version))
    }

    /// Reads from what is stored.
    pub async fn see<T>(
        &self,
        deadline: Deadline,
        see: impl FnOnce(&Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut known = self.known.lock().await;
        let latest = self.latest(&mut known, deadline).await?;
        Ok(see(&latest.arrivals))
    }

    async fn latest<'a>(
        &self,
        known: &'a mut Option<Known>,
        deadline: Deadline,
    ) -> Result<&'a mut Known, ArrivalsError> {
        let latest = match known.take() {
            Some(latest) => latest,
            None => self.load(deadline).await?,
        };
        Ok(known.insert(latest))
    }

    /// Adds records that were acknowledged. Ids without a time are left out, because they belong to no
    /// hour. Returns how many records are given up, although it is not known whether they arrived.
    pub async fn accept(
        &self,
        ids: &BTreeSet<LogId>,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<u64, ArrivalsError> {
        let hours = by_hour(ids);
        let accepted = self.change_with(&hours, deadline, |it, added| {
            it.keep(&added.hours, now);
            it.take_given_up() + added.left_out
        });
        accepted.await
    }

    /// The ids to look for. `None` if they are not those that were counted, as when an object was removed:
    /// then that is noted, and what is left is looked for later.
    pub async fn ids(
        &self,
        wanted: &Wanted,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<BTreeSet<LogId>>, ArrivalsError> {
        let ids = {
            let mut known = self.known.lock().await;
            let latest = self.latest(&mut known, deadline).await?;
            self.ids.of(wanted.hour, &latest.arrivals, deadline).await?
        };
        let count = count(&ids);
        if count == wanted.accepted {
            return Ok(Some(ids));
        }
        let kept = KeptIds { count, here: None };
        let hours = [(wanted.hour, kept)].into();
        self.change(deadline, |it| it.keep(&hours, now)).await?;
        Ok(None)
    }

    /// Removes the ids of hours that are forgotten. One that fails is left to the next process.
    pub async fn tidy(&self, deadline: Deadline) -> Result<(), ArrivalsError> {
        let mut known = self.known.lock().await;
        let Known {
            arrivals, tidied, ..
        } = self.latest(&mut known, deadline).await?;
        for hour in &arrivals.gone {
            if !tidied.contains_key(hour) {
                let removed = self.ids.remove(*hour, deadline).await;
                tidied.insert(*hour, removed.is_ok());
                removed?;
            }
        }
        Ok(())
    }

    /// Changes what is stored, and writes it if it is different. If another process has written
    /// meanwhile, changes what that process wrote.
    pub async fn change<T>(
        &self,
        deadline: Deadline,
        mut change: impl FnMut(&mut Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let none = BTreeMap::new();
        self.change_with(&none, deadline, |it, _| change(it)).await
    }

    /// The same, after these ids were added.
    async fn change_with<T>(
        &self,
        hours: &BTreeMap<DateTime<Utc>, BTreeSet<LogId>>,
        deadline: Deadline,
        change: impl FnMut(&mut Arrivals, &Added) -> T,
    ) -> Result<T, ArrivalsError> {
        let deadline = deadline.for_saving();
        let last = deadline.for_answers();
        let left = last.saturating_duration_since(Instant::now());
        let most = SAVING.min(left / 2);
        let changed = self.change_within(hours, deadline.within(most), change);
        let changed = timeout(most, changed).await;
        changed.unwrap_or_else(|_| {
            let source = StorageError::OutOfTime;
            Err(ArrivalsError::write(&self.storage, &self.path, source))
        })
    }

    async fn change_within<T>(
        &self,
        hours: &BTreeMap<DateTime<Utc>, BTreeSet<LogId>>,
        deadline: Deadline,
        mut change: impl FnMut(&mut Arrivals, &Added) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut known = self.known.lock().await;
        let mut is_second = false;
        loop {
            let latest = match known.take() {
                Some(latest) => latest,
                None => self.load(deadline).await?,
            };
            match self.change_once(hours, latest, deadline, &mut change).await {
                Ok((changed, latest)) => {
                    *known = Some(latest);
                    return Ok(changed);
                }
                // The next attempt reads again first.
                Err(error) if error.is_conflict() && !is_second => is_second = true,
                Err(error) => return Err(error),
            }
        }
    }

    async fn change_once<T>(
        &self,
        hours: &BTreeMap<DateTime<Utc>, BTreeSet<LogId>>,
        mut latest: Known,
        deadline: Deadline,
        change: &mut impl FnMut(&mut Arrivals, &Added) -> T,
    ) -> Result<(T, Known), ArrivalsError> {
        let added = self.ids.add(hours, &latest.arrivals, deadline).await?;
        let before = latest.arrivals.clone();
        let changed = change(&mut latest.arrivals, &added);
        if latest.arrivals != before {
            let tidied = &latest.tidied;
            let is_left = |hour: &DateTime<Utc>| tidied.get(hour) != Some(&true);
            latest.arrivals.gone.retain(is_left);
            let gone = &latest.arrivals.gone;
            latest.tidied.retain(|hour, _| gone.contains(hour));
            let json = Bytes::from(serde_json::to_vec(&latest.arrivals).unwrap_or_default());
            let over = latest.version.as_ref();
            let written = (self.storage).write_or_meet(&self.path, json, over, deadline);
            let written = written.await;
            let version =
                written.map_err(|it| ArrivalsError::write(&self.storage, &self.path, it))?;
            latest.version = Some(version);
        }
        Ok((changed, latest))
    }
}
