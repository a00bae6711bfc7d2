//! Small named objects that survive the process, each with a version.
//!
//! Three places can hold them: a container of an Azure storage account ([`azure`]), a bucket of S3
//! ([`s3`]) and a folder ([`folder`]). A place makes one attempt at a time; when to make another, and when to stop, is
//! decided here. What is kept, and under which names, is the callers' business.

pub(crate) mod azure;
pub(crate) mod folder;
mod in_use;
pub(crate) mod s3;
pub(crate) mod settings;
mod wire;

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) mod memory;

use std::fmt::Write as _;
use std::future::{Future, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::azure::identity::IdentityError;
use crate::error::BoxError;
use crate::net::retry::{self, Again, Deadline, GaveUp, Jitter, Transient};

/// Bytes of an object that are read. A checkpoint has some 70 kB, and 16 MB at the most; a dead letter
/// has one record, of which Auth0 sends a hundred in an answer. What is larger is none of ours, and is
/// kept out of the process's memory.
const LARGEST: usize = 32 * 1024 * 1024;
/// Paths that a list holds: some 10 MB of them.
const LONGEST_LIST: usize = 100_000;

/// What a storage calls this state of an object; another state is called otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Version(String);

impl Version {
    /// A version by the name that the storage gives it.
    #[cfg(test)]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// Why an object was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The object is not the one that the caller has seen: someone else wrote it.
    #[error("somebody else wrote it meanwhile")]
    Conflict,
    /// The account refuses this program.
    #[error("{0}")]
    Denied(String, #[source] BoxError),
    /// There is no token to open the account with.
    #[error(transparent)]
    NoToken(Box<IdentityError>),
    /// The storage could not be used just now.
    #[error("{0}")]
    Unavailable(String, #[source] BoxError),
    /// It did not answer before the run's time was over.
    #[error("the storage did not answer before the run's time was over")]
    OutOfTime,
    /// The folder is another process's.
    #[error(
        "{0} is in use by another auth0-poller; stop that one first \
         (under `func start` it stays in use until Functions is stopped)"
    )]
    Locked(String),
    /// The object is none of this program's: it is too large to be read.
    #[error(
        "{0} is larger than {mib} MiB, so auth0-poller did not write it; look at it, and \
         move it away",
        mib = LARGEST / 1024 / 1024
    )]
    TooLarge(String),
    /// Several attempts failed.
    #[error(transparent)]
    GaveUp(Box<GaveUp<StorageError>>),
}

impl StorageError {
    /// Whether there is an object, which is too large to be read.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::TooLarge(_) => true,
            Self::GaveUp(gave_up) => gave_up.error.is_too_large(),
            _ => false,
        }
    }

    /// Whether there is an object, which nobody may write over.
    pub fn forbids_overwriting(&self) -> bool {
        match self {
            Self::Denied(_, source) => source
                .downcast_ref()
                .is_some_and(azure::Refusal::forbids_overwriting),
            Self::GaveUp(gave_up) => gave_up.error.forbids_overwriting(),
            _ => false,
        }
    }

    /// Whether nothing can be kept there now, whatever it is.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Denied(..)
            | Self::NoToken(_)
            | Self::Unavailable(..)
            | Self::OutOfTime
            | Self::Locked(_) => true,
            Self::GaveUp(gave_up) => gave_up.error.is_away(),
            Self::Conflict | Self::TooLarge(_) => false,
        }
    }

    /// Whether the storage may be there again later, although it was tried for a while.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(..) => true,
            Self::NoToken(error) => error.again() != Again::Never,
            Self::GaveUp(gave_up) => gave_up.error.may_pass(),
            Self::Conflict
            | Self::Denied(..)
            | Self::OutOfTime
            | Self::Locked(_)
            | Self::TooLarge(_) => false,
        }
    }
}

impl Transient for StorageError {
    fn again(&self) -> Again {
        match self {
            Self::Unavailable(_, source) => {
                let azure = source.downcast_ref::<azure::Refusal>();
                let s3 = source.downcast_ref::<s3::Refusal>();
                let again = azure.map(azure::Refusal::again);
                again.or(s3.map(s3::Refusal::again)).unwrap_or(Again::Soon)
            }
            Self::NoToken(error) => error.again(),
            Self::Conflict
            | Self::Denied(..)
            | Self::OutOfTime
            | Self::Locked(_)
            | Self::TooLarge(_)
            | Self::GaveUp(_) => Again::Never,
        }
    }
}

/// A name made of a content: its SHA-256 in hexadecimal.
pub(crate) fn digest(content: &[u8]) -> String {
    let mut name = String::with_capacity(64);
    for byte in Sha256::digest(content) {
        // invariant: writing to a String does not fail
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// An object's content and version.
pub(crate) type Object = (Bytes, Version);
/// One attempt at something.
pub(crate) type Attempt<'a, T> = BoxFuture<'a, Result<T, StorageError>>;

/// A place that holds objects. Each call is one attempt, which has no end of its own: it may be
/// dropped at any moment, and what it was to do is then done or not.
pub(crate) trait Objects: Send + Sync {
    /// Gets what every other call needs, by the deadline.
    fn prepare(&self, _deadline: Deadline) -> Attempt<'_, ()> {
        ready(Ok(())).boxed()
    }

    /// Makes sure that no other process of this machine writes here.
    fn claim(&self) -> Attempt<'_, ()> {
        ready(Ok(())).boxed()
    }

    /// Whether another process has made sure of that. Nothing is kept from anybody.
    fn is_claimed_elsewhere(&self) -> Attempt<'_, bool> {
        ready(Ok(false)).boxed()
    }

    /// An object; `None` if there is none of this name.
    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>>;

    /// Replaces the object whose version is `over`, or makes one that must not exist yet.
    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version>;

    /// The paths of the objects in a folder, in any order, but not of those in folders of that
    /// one; at most [`LONGEST_LIST`].
    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>>;

    /// Removes an object. It need not be there.
    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()>;

    /// Where an object is, for people.
    fn location(&self, path: &str) -> String;
}

/// The storage that the settings name.
pub(crate) struct Storage {
    objects: Box<dyn Objects>,
    jitter: Jitter,
}

impl Storage {
    /// Keeps objects in a container of an Azure storage account.
    pub fn azure(container: azure::Container, jitter: Jitter) -> Self {
        Self::over(container, jitter)
    }

    /// Keeps objects in a bucket of S3.
    pub fn s3(bucket: s3::S3, jitter: Jitter) -> Self {
        Self::over(bucket, jitter)
    }

    /// Keeps objects in a folder.
    pub fn folder(folder: folder::Folder, jitter: Jitter) -> Self {
        Self::over(folder, jitter)
    }

    /// Keeps objects in this place.
    pub(crate) fn over(objects: impl Objects + 'static, jitter: Jitter) -> Self {
        Self {
            objects: Box::new(objects),
            jitter,
        }
    }

    /// Makes sure that no other process of this machine writes here.
    ///
    /// In a storage account nobody can be kept from writing; there the versions tell.
    pub async fn claim(&self, deadline: Deadline) -> Result<(), StorageError> {
        self.attempt(deadline, || self.objects.claim()).await
    }

    /// Whether a claim would be refused, since another process has one.
    pub async fn is_claimed_elsewhere(&self, deadline: Deadline) -> Result<bool, StorageError> {
        self.attempt(deadline, || self.objects.is_claimed_elsewhere())
            .await
    }

    /// An object's content and version; `None` if there is no such object.
    pub async fn read(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Option<(Bytes, Version)>, StorageError> {
        self.attempt(deadline, || self.objects.read(path)).await
    }

    /// Replaces the object whose version is `over`, or makes one that must not exist yet.
    ///
    /// Where an answer is lost the write is repeated; [`StorageError::Conflict`] may therefore
    /// mean that an earlier attempt of the same call succeeded.
    pub async fn write(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
        deadline: Deadline,
    ) -> Result<Version, StorageError> {
        let write = || self.objects.write(path, content.clone(), over);
        self.attempt(deadline, write).await
    }

    /// Reads and writes an object that is there for nothing else, to see whether that works.
    ///
    /// It does where another probe, or an earlier attempt of this one, has written meanwhile: the
    /// storage has then judged the write, and nothing but the version was in the way.
    pub async fn probe(
        &self,
        path: &str,
        content: Bytes,
        deadline: Deadline,
    ) -> Result<(), StorageError> {
        let before = self.version(path, deadline).await?;
        match self.write(path, content, before.as_ref(), deadline).await {
            Err(StorageError::Conflict) if self.version(path, deadline).await? != before => Ok(()),
            written => written.map(drop),
        }
    }

    async fn version(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Option<Version>, StorageError> {
        let object = self.read(path, deadline).await?;
        Ok(object.map(|(_, version)| version))
    }

    /// The paths of the objects in a folder, sorted. Of very many the rest is left out, with a
    /// warning.
    pub async fn list(
        &self,
        folder: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, StorageError> {
        let list = || self.objects.list(folder);
        let mut paths = self.attempt(deadline, list).await?;
        if paths.len() >= LONGEST_LIST {
            let location = self.location(folder);
            warn!("{location} holds {LONGEST_LIST} objects or more; only so many are listed");
        }
        paths.sort();
        Ok(paths)
    }

    /// Removes an object. It need not be there.
    pub async fn remove(&self, path: &str, deadline: Deadline) -> Result<(), StorageError> {
        self.attempt(deadline, || self.objects.remove(path)).await
    }

    /// Where an object is, for people.
    pub fn location(&self, path: &str) -> String {
        self.objects.location(path)
    }

    async fn attempt<T, F>(
        &self,
        deadline: Deadline,
        mut once: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let bounded = || {
            let attempt = tokio::time::timeout_at(deadline.for_answers(), once());
            async {
                self.objects.prepare(deadline).await?;
                attempt.await.unwrap_or(Err(StorageError::OutOfTime))
            }
        };
        retry::retry(&self.jitter, deadline, bounded)
            .await
            .map_err(|gave_up| match gave_up.error {
                StorageError::Conflict => StorageError::Conflict,
                _ => StorageError::GaveUp(Box::new(gave_up)),
            })
    }
}

#[cfg(test)]
mod tests;
