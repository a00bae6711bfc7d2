//! Small named objects that survive the process, each with a version.
//!
//! Three places can hold them: a container of an Azure storage account ([`azure`]), an S3 bucket
//! ([`s3`]) and a folder ([`folder`]). A place makes one attempt per call; this module decides when
//! to retry and when to stop. The callers decide what is stored, under which names.

pub(crate) mod azure;
pub(crate) mod folder;
mod foreign;
mod in_use;
mod remote;
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

/// Maximum bytes of an object that is read. A checkpoint has about 70 kB, and at most 16 MB; a dead
/// letter has one record, and Auth0 sends a hundred in one response. Anything larger is not this
/// program's, and is not loaded into memory.
const LARGEST: usize = 32 * 1024 * 1024;
/// Maximum paths in a list: about 10 MB of text.
const LONGEST_LIST: usize = 100_000;

/// The storage's identifier for one state of an object. Every state has a different one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Version(String);

impl Version {
    /// A version with this identifier.
    #[cfg(test)]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// Why an object was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// Somebody else wrote the object after the caller read it.
    #[error("somebody else wrote it meanwhile")]
    Conflict,
    /// The storage refuses this program permanently.
    #[error("{0}")]
    Denied(String, #[source] BoxError),
    /// There is no token for the account.
    #[error(transparent)]
    NoToken(Box<IdentityError>),
    /// The storage is temporarily unusable.
    #[error("{0}")]
    Unavailable(String, #[source] BoxError),
    /// The storage did not respond within the run's time.
    #[error("the storage did not answer before the run's time was over")]
    OutOfTime,
    /// Another process has locked the folder.
    #[error(
        "{0} is in use by another auth0-poller; stop that one first \
         (under `func start` it stays in use until Functions is stopped)"
    )]
    Locked(String),
    /// The object is too large to read. This program writes none so large but the dead letter of such a
    /// record.
    #[error(
        "{0} is larger than {mib} MiB, and is not read; if it is a dead letter, keep it; nothing else \
         so large comes from auth0-poller, so look at it, and move it away",
        mib = LARGEST / 1024 / 1024
    )]
    TooLarge(String),
    /// Several attempts failed.
    #[error(transparent)]
    GaveUp(Box<GaveUp<StorageError>>),
}

impl StorageError {
    /// Whether the object exists but is too large to read.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::TooLarge(_) => true,
            Self::GaveUp(gave_up) => gave_up.error.is_too_large(),
            _ => false,
        }
    }

    /// Whether the storage refuses this program the object permanently.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied(..) => true,
            Self::GaveUp(gave_up) => gave_up.error.is_denied(),
            _ => false,
        }
    }

    /// Whether the object exists and must not be overwritten.
    pub fn forbids_overwriting(&self) -> bool {
        match self {
            Self::Denied(_, source) => source
                .downcast_ref()
                .is_some_and(azure::AzureRefusal::forbids_overwriting),
            Self::GaveUp(gave_up) => gave_up.error.forbids_overwriting(),
            _ => false,
        }
    }

    /// Whether what was to be written is larger than the storage, or something before it, takes.
    pub fn is_too_much(&self) -> bool {
        match self {
            Self::Denied(_, source) => {
                let azure = source.downcast_ref::<azure::AzureRefusal>();
                let s3 = source.downcast_ref::<s3::S3Refusal>();
                azure.is_some_and(azure::AzureRefusal::is_too_much)
                    || s3.is_some_and(s3::S3Refusal::is_too_much)
            }
            Self::GaveUp(gave_up) => gave_up.error.is_too_much(),
            _ => false,
        }
    }

    /// Whether the storage can currently store nothing at all.
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

    /// Whether the storage may work again later, although retries have failed.
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
                let azure = source.downcast_ref::<azure::AzureRefusal>();
                let s3 = source.downcast_ref::<s3::S3Refusal>();
                let again = azure.map(azure::AzureRefusal::again);
                again
                    .or(s3.map(s3::S3Refusal::again))
                    .unwrap_or(Again::Soon)
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

/// A name for a content: its SHA-256 in hexadecimal.
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
/// One attempt at an operation.
pub(crate) type Attempt<'a, T> = BoxFuture<'a, Result<T, StorageError>>;

/// A place that holds objects. Each call is one attempt without a timeout of its own. It may be
/// dropped at any moment, and its work is then done or not.
pub(crate) trait Objects: Send + Sync {
    /// Obtains what all other calls need, by the deadline.
    fn prepare(&self, _deadline: Deadline) -> Attempt<'_, ()> {
        ready(Ok(())).boxed()
    }

    /// Claims the place, so that no other process of this machine writes here.
    fn claim(&self) -> Attempt<'_, ()> {
        ready(Ok(())).boxed()
    }

    /// Whether another process has claimed the place. Blocks no other process.
    fn is_claimed_elsewhere(&self) -> Attempt<'_, bool> {
        ready(Ok(false)).boxed()
    }

    /// Reads an object; `None` if it does not exist.
    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>>;

    /// Replaces the object whose version is `over`, or creates one that must not exist yet.
    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version>;

    /// The paths of the objects directly in a folder, in any order; at most [`LONGEST_LIST`].
    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>>;

    /// Removes an object. It need not exist.
    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()>;

    /// An object's location, for messages.
    fn location(&self, path: &str) -> String;
}

/// The configured storage.
pub(crate) struct Storage {
    objects: Box<dyn Objects>,
    jitter: Jitter,
}

impl Storage {
    /// Stores objects in this place.
    pub fn over(objects: impl Objects + 'static, jitter: Jitter) -> Self {
        Self {
            objects: Box::new(objects),
            jitter,
        }
    }

    /// Claims the storage, so that no other process of this machine writes here.
    ///
    /// A storage account cannot be claimed: there, versions detect other writers.
    pub async fn claim(&self, deadline: Deadline) -> Result<(), StorageError> {
        self.attempt(deadline, || self.objects.claim()).await
    }

    /// Whether a claim would be refused because another process has one.
    pub async fn is_claimed_elsewhere(&self, deadline: Deadline) -> Result<bool, StorageError> {
        self.attempt(deadline, || self.objects.is_claimed_elsewhere())
            .await
    }

    /// Reads an object and its version; `None` if it does not exist.
    pub async fn read(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Option<(Bytes, Version)>, StorageError> {
        self.attempt(deadline, || self.objects.read(path)).await
    }

    /// Replaces the object whose version is `over`, or creates one that must not exist yet.
    ///
    /// If a response is lost, the write is retried. So [`StorageError::Conflict`] may mean that an
    /// earlier attempt of the same call succeeded.
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

    /// The same, but a write whose answer was lost counts as made: if a later attempt meets exactly this
    /// content, an earlier attempt has written it.
    pub async fn write_or_meet(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
        deadline: Deadline,
    ) -> Result<Version, StorageError> {
        let mut attempts = 0;
        let write = || {
            attempts += 1;
            self.objects.write(path, content.clone(), over)
        };
        match self.attempt(deadline, write).await {
            // Without an answer to this read it is unknown who wrote.
            Err(StorageError::Conflict) if attempts > 1 => match self.read(path, deadline).await? {
                Some((stored, version)) if stored == content => Ok(version),
                _ => Err(StorageError::Conflict),
            },
            written => written,
        }
    }

    /// Tests access by reading and writing an object that exists only for this.
    ///
    /// The test also passes if another probe, or an earlier attempt of this one, has written
    /// meanwhile: the storage has then accepted the write except for its version.
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

    /// The paths of the objects in a folder, sorted. A list that is too long is truncated, with a
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

    /// Removes an object. It need not exist.
    pub async fn remove(&self, path: &str, deadline: Deadline) -> Result<(), StorageError> {
        self.attempt(deadline, || self.objects.remove(path)).await
    }

    /// An object's location, for messages.
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
