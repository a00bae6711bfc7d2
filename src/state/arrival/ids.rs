//! The ids of an hour: if they are few, with the state of the hour; otherwise in an object of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::store::warn_of_unusable;
use super::{Arrivals, ArrivalsError, Hour};
use crate::net::retry::Deadline;
use crate::record::LogId;
use crate::state::packed::{pack, unpack};
use crate::storage::{Storage, StorageError, Version};

/// Version of the stored form.
const FORMAT: u32 = 1;
/// Maximum number of ids of an hour: two or three megabytes.
pub(crate) const MOST_IDS: usize = 150_000;
/// Maximum number of ids that have no object of their own: a quiet tenant needs no more requests to the
/// storage, and a thousand hours take no more than one or two megabytes.
const FEW: usize = 100;
/// Maximum size of the ids of an hour when they are unpacked, in bytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of hours that are changed at once.
const AT_ONCE: usize = 8;

#[derive(Deserialize, Serialize)]
struct Form<'a> {
    format: u32,
    /// Packed ids.
    ids: &'a str,
}

/// The ids kept of an hour.
pub(super) struct KeptIds {
    pub count: u64,
    /// The packed ids; `None` if they have an object of their own.
    pub here: Option<String>,
}

/// What came of adding ids.
#[derive(Default)]
pub(super) struct Added {
    /// What is kept now of each hour that they belong to.
    pub hours: BTreeMap<DateTime<Utc>, KeptIds>,
    /// How many were left out, because their hour has too many.
    pub left_out: u64,
}

/// What an hour had before.
#[derive(Clone, Copy)]
enum Past {
    /// Nothing, as far as is known.
    None,
    /// An object with its ids.
    Stored,
    /// An object with its ids, but it was forgotten. They do not belong to the hour that begins anew.
    Gone,
}

/// The ids of each hour; those that are many in `arrival/<tenant>/<destination>/<hour>.json`.
pub(super) struct Ids {
    storage: Arc<Storage>,
    folder: String,
}

impl Ids {
    /// In this folder.
    pub fn new(storage: &Arc<Storage>, folder: String) -> Self {
        let storage = Arc::clone(storage);
        Self { storage, folder }
    }

    fn path(&self, hour: DateTime<Utc>) -> String {
        format!("{}/{}.json", self.folder, hour.format("%Y-%m-%dT%H"))
    }

    /// The ids in the object of an hour. Warns if they cannot be used, and returns none.
    pub async fn stored(
        &self,
        hour: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<BTreeSet<LogId>, ArrivalsError> {
        let (ids, _) = self.load(hour, Past::Stored, deadline).await?;
        Ok(ids)
    }

    /// Adds ids of these hours to what is kept.
    pub async fn add(
        &self,
        hours: &BTreeMap<DateTime<Utc>, BTreeSet<LogId>>,
        arrivals: &Arrivals,
        deadline: Deadline,
    ) -> Result<Added, ArrivalsError> {
        let add = hours.iter();
        let add: Vec<_> = add
            .map(|(hour, new)| self.add_to(*hour, new, arrivals, deadline))
            .collect();
        let mut added = Added::default();
        let mut all = stream::iter(add).buffer_unordered(AT_ONCE);
        while let Some((hour, kept, left_out)) = all.try_next().await? {
            added.hours.insert(hour, kept);
            added.left_out += left_out;
        }
        Ok(added)
    }

    /// Returns the hour, what is kept of it, and how many ids were left out.
    async fn add_to(
        &self,
        hour: DateTime<Utc>,
        new: &BTreeSet<LogId>,
        arrivals: &Arrivals,
        deadline: Deadline,
    ) -> Result<(DateTime<Utc>, KeptIds, u64), ArrivalsError> {
        let known = arrivals.hours.get(&hour);
        let here = known.map_or(Some(BTreeSet::new()), here);
        let past = match known {
            _ if arrivals.gone.contains(&hour) => Past::Gone,
            Some(_) if here.is_none() => Past::Stored,
            _ => Past::None,
        };
        let all = here.as_ref().map(|it| it | new);
        if let Some(all) = all.filter(|it| it.len() <= FEW) {
            let kept = KeptIds {
                count: count(&all),
                here: Some(pack(&all)),
            };
            return Ok((hour, kept, 0));
        }
        let (mut ids, version) = self.load(hour, past, deadline).await?;
        let (before, mut left_out) = (ids.len(), 0);
        for id in here.iter().flatten().chain(new) {
            if ids.len() < MOST_IDS || ids.contains(id) {
                ids.insert(id.clone());
            } else {
                left_out += 1;
            }
        }
        if ids.len() > before {
            self.write(hour, &ids, version.as_ref(), deadline).await?;
        }
        let kept = KeptIds {
            count: count(&ids),
            here: None,
        };
        Ok((hour, kept, left_out))
    }

    /// What the object of an hour has, and its version, which is needed to replace it. Warns if it was
    /// to be there and cannot be used, and begins with nothing.
    async fn load(
        &self,
        hour: DateTime<Utc>,
        past: Past,
        deadline: Deadline,
    ) -> Result<(BTreeSet<LogId>, Option<Version>), ArrivalsError> {
        let path = self.path(hour);
        let read = self.storage.read(&path, deadline).await;
        let object = read.map_err(|source| ArrivalsError::read(&self.storage, &path, source))?;
        let (json, version) = object.unzip();
        let ids = match (past, json) {
            (Past::Gone, _) | (Past::None, None) => Some(BTreeSet::new()),
            (Past::Stored, None) => None,
            (_, Some(json)) => serde_json::from_slice::<Form>(&json)
                .ok()
                .filter(|it| it.format == FORMAT)
                .and_then(|it| unpack(it.ids, MOST_BYTES)),
        };
        if ids.is_none() {
            warn_of_unusable(&self.storage.location(&path));
        }
        Ok((ids.unwrap_or_default(), version))
    }

    async fn write(
        &self,
        hour: DateTime<Utc>,
        ids: &BTreeSet<LogId>,
        over: Option<&Version>,
        deadline: Deadline,
    ) -> Result<(), ArrivalsError> {
        let path = self.path(hour);
        let (format, ids) = (FORMAT, &*pack(ids));
        let json = serde_json::to_vec(&Form { format, ids }).unwrap_or_default();
        let written = (self.storage).write_or_meet(&path, Bytes::from(json), over, deadline);
        let written = written.await;
        written.map_err(|source| ArrivalsError::write(&self.storage, &path, source))?;
        Ok(())
    }

    /// Removes the object of an hour.
    pub async fn remove(
        &self,
        hour: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<(), ArrivalsError> {
        let path = self.path(hour);
        let removed = self.storage.remove(&path, deadline).await;
        removed.map_err(|source| ArrivalsError::remove(&self.storage, &path, source))
    }

    /// The error if there was no time to remove it.
    pub fn not_removed(&self, hour: DateTime<Utc>) -> ArrivalsError {
        ArrivalsError::remove(&self.storage, &self.path(hour), StorageError::OutOfTime)
    }
}

/// The ids that are kept with the hour; `None` if they have an object of their own.
pub(super) fn here(hour: &Hour) -> Option<BTreeSet<LogId>> {
    let packed = hour.ids.as_ref()?;
    Some(unpack(packed, MOST_BYTES).unwrap_or_default())
}

/// Whether the ids that are kept with the hour are as many as it says.
pub(super) fn is_sound(hour: &Hour) -> bool {
    here(hour).is_none_or(|it| count(&it) == hour.accepted)
}

pub(super) fn count(ids: &BTreeSet<LogId>) -> u64 {
    u64::try_from(ids.len()).unwrap_or(u64::MAX)
}
