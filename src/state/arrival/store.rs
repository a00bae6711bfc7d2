//! What was acknowledged lately, in the storage that the settings name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::ids::{Added, Ids, count, here};
use super::{Arrivals, FORMAT, Wanted, by_hour};
use crate::net::retry::Deadline;
use crate::record::LogId;
use crate::storage::{Storage, StorageError, Version};

/// Time limit for writing; a run does not wait longer. It is also limited to half of the time left for
/// saving, because the checkpoint is saved afterwards.
const SAVING: Duration = Duration::from_secs(5);

/// Time limit for removing what is not needed any more: a run that saves waits for it.
const TIDYING: Duration = Duration::from_secs(2);
/// Maximum number of objects that are removed at once.
const REMOVED: usize = 20;
/// How often a change is made again on what another process has written: once for the hour and its ids each.
const CONFLICTS: u32 = 2;

/// Why it could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrivalsError {
    /// The storage could not be read.
    #[error("reading the list of accepted records {place}")]
    Read { place: String, source: StorageError },
    /// It could not be written.
    #[error("writing the list of accepted records {place}")]
    Write { place: String, source: StorageError },
    /// What is not needed any more could not be removed.
    #[error("removing the list of accepted records {place}")]
    Remove { place: String, source: StorageError },
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

    pub(super) fn remove(storage: &Storage, path: &str, source: StorageError) -> Self {
        let place = storage.location(path);
        Self::Remove { place, source }
    }

    fn is_conflict(&self) -> bool {
        match self {
            Self::Write { source, .. } => matches!(source, StorageError::Conflict),
            Self::Read { .. } | Self::Remove { .. } => false,
        }
    }

    /// Whether the change may have been made: it was written, and there was no answer.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Write { .. } => !self.is_conflict(),
            Self::Read { .. } | Self::Remove { .. } => false,
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
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// What this process read or wrote last.
    known: Option<Known>,
    /// The hours whose objects this process has removed, until that is stored.
    removed: BTreeSet<DateTime<Utc>>,
    /// Whether a removal failed.
    is_stuck: bool,
}

struct Known {
    arrivals: Arrivals,
    version: Option<Version>,
}

impl ArrivalStore {
    pub fn new(storage: Arc<Storage>, tenant: &str, destination: &str) -> Self {
        let path = format!("arrival/{tenant}/{destination}");
        Self {
            ids: Ids::new(&storage, path.clone()),
            storage,
            path: format!("{path}.json"),
            books: Mutex::default(),
        }
    }

    /// Loads what is stored. If it cannot be used, warns, and begins with nothing.
    async fn load(&self, deadline: Deadline) -> Result<Known, ArrivalsError> {
        let read = self.storage.read(&self.path, deadline).await;
        let object = read.map_err(|it| ArrivalsError::read(&self.storage, &self.path, it))?;
        let (json, version) = object.unzip();
        let Some(json) = json else {
            let arrivals = Arrivals::default();
            return Ok(Known { arrivals, version });
        };
        let arrivals = serde_json::from_slice::<Arrivals>(&json).ok();
        let arrivals = arrivals.filter(|it| it.format == FORMAT && it.is_sound());
        if arrivals.is_none() {
            warn_of_unusable(&self.storage.location(&self.path));
        }
        let arrivals = arrivals.unwrap_or_default();
        Ok(Known { arrivals, version })
    }

    /// Takes what is known, or loads it.
    async fn take(&self, books: &mut Books, deadline: Deadline) -> Result<Known, ArrivalsError> {
        match books.known.take() {
            Some(latest) => Ok(latest),
            None => self.load(deadline).await,
        }
    }

    /// Reads from what is stored.
    pub async fn see<T>(
        &self,
        deadline: Deadline,
        see: impl FnOnce(&Arrivals) -> T,
    ) -> Result<T, ArrivalsError> {
        let mut books = self.books.lock().await;
        let latest = self.take(&mut books, deadline).await?;
        let seen = see(&latest.arrivals);
        books.known = Some(latest);
        Ok(seen)
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

    /// The ids to look for. `None` if they are not those that were counted: because the hour has changed
    /// since, or something has happened to its object. That is noted, and what is left is looked for later.
    pub async fn ids(
        &self,
        wanted: &Wanted,
        now: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Option<BTreeSet<LogId>>, ArrivalsError> {
        let here = self.see(deadline, |it| it.unchanged(wanted).map(here));
        let Some(here) = here.await? else {
            return Ok(None);
        };
        let ids = match here {
            Some(ids) => ids,
            None => self.ids.stored(wanted.hour, deadline).await?,
        };
        let count = count(&ids);
        if count == wanted.accepted {
            return Ok(Some(ids));
        }
        let recount = |it: &mut Arrivals| it.recount(wanted, count, now);
        self.change(deadline, recount).await?;
        Ok(None)
    }

    /// Removes the objects of hours that are forgotten, some at a time. If that fails, the others are left
    /// to the next process.
    pub async fn tidy(&self, deadline: Deadline) -> Result<(), ArrivalsError> {
        let deadline = deadline.within(TIDYING);
        let mut books = self.books.lock().await;
        let latest = self.take(&mut books, deadline).await?;
        let is_tidy = latest.arrivals.gone.is_subset(&books.removed);
        books.known = Some(latest);
        if is_tidy || books.is_stuck {
            return Ok(());
        }
        // Another process may have begun such an hour anew.
        books.known = None;
        let latest = self.take(&mut books, deadline).await?;
        let left = latest.arrivals.gone.difference(&books.removed);
        let left: Vec<_> = left.take(REMOVED).copied().collect();
        books.known = Some(latest);
        let end = Instant::now() + TIDYING;
        for hour in left {
            let removed = timeout_at(end, self.ids.remove(hour, deadline)).await;
            books.is_stuck = !matches!(removed, Ok(Ok(())));
            removed.unwrap_or_else(|_| Err(self.ids.not_removed(hour)))?;
            books.removed.insert(hour);
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
        let mut books = self.books.lock().await;
        // Another process may have begun a forgotten hour anew, whose ids must not be overwritten.
        let is_gone = |it: &Known| hours.keys().any(|hour| it.arrivals.gone.contains(hour));
        books.known.take_if(|it| is_gone(it));
        let mut conflicts = 0;
        loop {
            let latest = self.take(&mut books, deadline).await?;
            let changed = self.change_once(hours, latest, &books.removed, deadline, &mut change);
            match changed.await {
                Ok((changed, latest)) => {
                    let gone = &latest.arrivals.gone;
                    books.removed.retain(|hour| gone.contains(hour));
                    books.known = Some(latest);
                    return Ok(changed);
                }
                // The next attempt reads again first. This one may have written an object that was removed.
                Err(error) if error.is_conflict() && conflicts < CONFLICTS => {
                    conflicts += 1;
                    books.removed.clear();
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn change_once<T>(
        &self,
        hours: &BTreeMap<DateTime<Utc>, BTreeSet<LogId>>,
        mut latest: Known,
        removed: &BTreeSet<DateTime<Utc>>,
        deadline: Deadline,
        change: &mut impl FnMut(&mut Arrivals, &Added) -> T,
    ) -> Result<(T, Known), ArrivalsError> {
        let added = self.ids.add(hours, &latest.arrivals, deadline).await?;
        let before = latest.arrivals.clone();
        let changed = change(&mut latest.arrivals, &added);
        if latest.arrivals != before {
            latest.arrivals.gone.retain(|hour| !removed.contains(hour));
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
