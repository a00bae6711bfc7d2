//! `archive`: records as compressed lines of JSON, one immutable object per batch.
//!
//! [`place`] reads where the objects are, [`object`] defines their content and names, and
//! [`read_back`] reads them again.

mod object;
mod place;
mod read_back;

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use self::object::{Ends, Lines, Object, folder_of_id, id_of};
use super::{Archived, Delivery, Destination, Kind, Limits, Probe, Tools};
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::{LogId, Record};
use crate::settings::Reader;
use crate::storage::{Storage, StorageError};

pub(super) const KIND: Kind = Kind {
    name: "archive",
    about: "compressed lines of JSON in a container, a bucket or a folder",
    settings: &[
        "ARCHIVE_URL",
        "ARCHIVE_CONNECTION_STRING",
        "ARCHIVE_ENDPOINT",
    ],
    filter: "FILTER_ARCHIVE",
    pii: "PII_ARCHIVE",
    is_for_a_look: false,
    takes_heartbeats: false,
    build,
};

const LIMITS: Limits = Limits {
    rows: 1_000,
    bytes: 8_000_000,
    // Serial, so that a batch after a kill ends at the same record and yields the same object.
    side_by_side: 1,
    ..Limits::LINES
};
/// Maximum unpacked size of an object read for comparison. This program writes smaller ones.
const LONGEST_OBJECT: u64 = 64 * 1024 * 1024;

struct Archive {
    storage: Storage,
    /// The folder that holds the tenant's objects.
    folder: String,
    privacy: Privacy,
}

/// The storage did not carry out an operation.
#[derive(Debug, thiserror::Error)]
enum ArchiveError {
    #[error("writing {location}")]
    Writing {
        location: String,
        source: StorageError,
    },
    #[error("reading {location}")]
    Reading {
        location: String,
        source: StorageError,
    },
}

impl ArchiveError {
    /// Whether an object is larger than the storage, or something before it, takes. A smaller batch
    /// makes a smaller object.
    fn is_too_much(&self) -> bool {
        matches!(self, Self::Writing { source, .. } if source.is_too_much())
    }
}

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let place = place::read(reader, tools)?;
    Some(Box::new(Archive {
        folder: format!("{}{}", place.prefix, tools.tenant),
        storage: place.storage,
        privacy: tools.privacy.clone(),
    }))
}

impl Archive {
    /// Writes those of these rows that the archive does not hold yet, as one object.
    ///
    /// A run that is killed after this write, but before the checkpoint is saved, is followed by a
    /// run that delivers the same records again, and perhaps more. So the ids in the stored objects
    /// of that hour are read first: each record is stored once, and no object is overwritten.
    async fn write(&self, rows: &[Bytes], deadline: Deadline) -> Result<(), ArchiveError> {
        let lines = Lines::of(rows);
        let is_there = self.known(&lines.ends(), deadline).await?;
        let missing = lines.without(&is_there);
        if missing.is_empty() {
            return Ok(());
        }
        let object = missing.object();
        let path = format!("{}/{}", self.folder, object.name());
        if self.keep(&path, &object, deadline).await? {
            return Ok(());
        }
        let path = format!("{}/{}", self.folder, object.name_with_digest());
        if self.keep(&path, &object, deadline).await? {
            return Ok(());
        }
        // The name holds the content's digest, so the object is missing or damaged.
        Err(self.unwritten(&path, StorageError::Conflict))
    }

    /// Creates an object unless the name is taken. Returns whether its records are stored
    /// afterwards.
    async fn keep(
        &self,
        path: &str,
        object: &Object,
        deadline: Deadline,
    ) -> Result<bool, ArchiveError> {
        let kept = match self.create(path, object, deadline).await {
            // The name is taken by an attempt whose response was lost or by another writer, or a
            // concurrent write caused the conflict and then failed.
            Err(error)
                if matches!(error, StorageError::Conflict)
                    || error.forbids_overwriting()
                    || error.is_too_large() =>
            {
                self.holds(path, object, deadline).await
            }
            written => written.map(|()| true),
        };
        kept.map_err(|source| self.unwritten(path, source))
    }

    /// The ids in the stored objects of the same hour that may overlap the range of these ends.
    async fn known(
        &self,
        ends: &Ends,
        deadline: Deadline,
    ) -> Result<BTreeSet<String>, ArchiveError> {
        let folder = format!("{}/{}", self.folder, ends.folder());
        let paths = self.storage.list(&folder, deadline).await;
        let mut ids = BTreeSet::new();
        for path in paths.map_err(|source| self.unread(&folder, source))? {
            if ends.may_share_with(&path) {
                let stored = self.stored(&path, deadline).await;
                let stored = stored.map_err(|source| self.unread(&path, source))?;
                ids.extend(stored.iter().flat_map(ids_in));
            }
        }
        Ok(ids)
    }

    async fn create(
        &self,
        path: &str,
        object: &Object,
        deadline: Deadline,
    ) -> Result<(), StorageError> {
        let content = object.content.clone();
        let written = self.storage.write(path, content, None, deadline).await;
        written.map(drop)
    }

    /// Whether the stored object holds every record of this one.
    async fn holds(
        &self,
        path: &str,
        object: &Object,
        deadline: Deadline,
    ) -> Result<bool, StorageError> {
        let Some(stored) = self.stored(path, deadline).await? else {
            return Ok(false);
        };
        Ok(stored == object.content || object.ids.is_subset(&ids_in(&stored)))
    }

    /// The content of an object; `None` if there is none, or one that is larger than this program
    /// writes: it may hold nothing, and must not stop deliveries.
    async fn stored(&self, path: &str, deadline: Deadline) -> Result<Option<Bytes>, StorageError> {
        match self.storage.read(path, deadline).await {
            Ok(stored) => Ok(stored.map(|(content, _)| content)),
            Err(error) if error.is_too_large() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn unwritten(&self, path: &str, source: StorageError) -> ArchiveError {
        let location = self.storage.location(path);
        ArchiveError::Writing { location, source }
    }

    fn unread(&self, path: &str, source: StorageError) -> ArchiveError {
        let location = self.storage.location(path);
        ArchiveError::Reading { location, source }
    }
}

/// The ids of the records in an object. An unreadable object has none; lines that are not records
/// are skipped.
fn ids_in(content: &Bytes) -> BTreeSet<String> {
    let lines = read_back::unpacked(content).unwrap_or_default();
    let records = lines
        .lines()
        .filter(|line| read_back::record_on(line).is_some());
    records.map(id_of).collect()
}

impl Destination for Archive {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn closes_between(&self, last: &LogId, next: &LogId) -> bool {
        folder_of_id(last) != folder_of_id(next)
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(self.privacy.line(record.text()).into())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let bytes = rows.iter().map(|row| row.len() + 1).sum();
            match self.write(rows, deadline).await {
                Ok(()) => Delivery::accepted(rows.len(), bytes),
                Err(error) if error.is_too_much() => Delivery::refused(rows.len(), error.into()),
                Err(error) => Delivery::failed(rows.len(), error.into()),
            }
        })
    }

    fn archived(&self) -> Option<&dyn Archived> {
        Some(self)
    }

    /// Reads and writes an object that is not a record, under a name that readers of the archive
    /// skip, and lists an empty folder, as each delivery lists one.
    ///
    /// It is no fault if the object of an earlier probe may not be overwritten: the archive
    /// overwrites nothing else.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async move {
            let path = format!("{}/_check.txt", self.folder);
            let text = "auth0-poller check\n".into();
            let done = match self.storage.probe(&path, text, deadline).await {
                Ok(()) => "read and written",
                Err(source) if source.forbids_overwriting() => {
                    "read; it may not be written over, which no delivery does"
                }
                Err(source) => return Probe::Fails(self.unwritten(&path, source).into()),
            };
            let folder = format!("{}/_check", self.folder);
            match self.storage.list(&folder, deadline).await {
                Ok(_) => Probe::Works(format!("{} was {done}", self.storage.location(&path))),
                Err(source) => Probe::Fails(self.unread(&folder, source).into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
