//! Small named objects that survive the process, each with a version.
//!
//! Two places can hold them: a container of an Azure storage account ([`azure`]) and a folder
//! ([`folder`]). What is kept, and under which names, is the callers' business.

pub(crate) mod azure;
pub(crate) mod folder;
pub(crate) mod settings;

use std::fmt::Write as _;
use std::future::Future;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::azure::identity::IdentityError;
use crate::error::BoxError;
use crate::net::retry::{self, Again, Deadline, GaveUp, Jitter, Transient};

/// What a storage calls this state of an object; another state is called otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version(String);

impl Version {
    /// A version by the name that the storage gives it.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// Why an object was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
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
    /// Several attempts failed.
    #[error(transparent)]
    GaveUp(Box<GaveUp<StorageError>>),
}

impl StorageError {
    /// Whether the storage may be there again later, although it was tried for a while.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(..) => true,
            Self::NoToken(error) => error.again() != Again::Never,
            Self::GaveUp(gave_up) => gave_up.error.may_pass(),
            Self::Conflict | Self::Denied(..) | Self::OutOfTime | Self::Locked(_) => false,
        }
    }
}

impl Transient for StorageError {
    fn again(&self) -> Again {
        match self {
            Self::Unavailable(..) => Again::Soon,
            Self::NoToken(error) => error.again(),
            Self::Conflict
            | Self::Denied(..)
            | Self::OutOfTime
            | Self::Locked(_)
            | Self::GaveUp(_) => Again::Never,
        }
    }
}

/// A name made of a content: its SHA-256 in hexadecimal.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    let mut name = String::with_capacity(64);
    for byte in Sha256::digest(content) {
        // invariant: writing to a String does not fail
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Where objects are kept.
enum Place {
    Azure(azure::Container),
    Folder(folder::Folder),
}

/// The storage that the settings name.
pub struct Storage {
    place: Place,
    jitter: Jitter,
}

impl Storage {
    /// Keeps objects in a container of an Azure storage account.
    #[must_use]
    pub fn azure(container: azure::Container, jitter: Jitter) -> Self {
        Self {
            place: Place::Azure(container),
            jitter,
        }
    }

    /// Keeps objects in a folder.
    #[must_use]
    pub fn folder(folder: folder::Folder, jitter: Jitter) -> Self {
        Self {
            place: Place::Folder(folder),
            jitter,
        }
    }

    /// Makes sure that no other process of this machine writes here.
    ///
    /// In a storage account nobody can be kept from writing; there the versions tell.
    pub async fn claim(&self, deadline: Deadline) -> Result<(), StorageError> {
        self.attempt(deadline, || async move {
            match &self.place {
                Place::Azure(_) => Ok(()),
                Place::Folder(folder) => folder.claim().await,
            }
        })
        .await
    }

    /// An object's content and version; `None` if there is no such object.
    pub async fn read(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Option<(Bytes, Version)>, StorageError> {
        self.attempt(deadline, || async move {
            match &self.place {
                Place::Azure(container) => container.read(path).await,
                Place::Folder(folder) => folder.read(path).await,
            }
        })
        .await
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
        self.attempt(deadline, || {
            let content = content.clone();
            async move {
                match &self.place {
                    Place::Azure(container) => container.write(path, content, over).await,
                    Place::Folder(folder) => folder.write(path, content, over).await,
                }
            }
        })
        .await
    }

    /// The paths of the objects in a folder.
    pub async fn list(
        &self,
        folder: &str,
        deadline: Deadline,
    ) -> Result<Vec<String>, StorageError> {
        let mut paths = self
            .attempt(deadline, || async move {
                match &self.place {
                    Place::Azure(container) => container.list(folder).await,
                    Place::Folder(root) => root.list(folder).await,
                }
            })
            .await?;
        paths.sort();
        Ok(paths)
    }

    /// Removes an object. It need not be there.
    pub async fn remove(&self, path: &str, deadline: Deadline) -> Result<(), StorageError> {
        self.attempt(deadline, || async move {
            match &self.place {
                Place::Azure(container) => container.remove(path).await,
                Place::Folder(folder) => folder.remove(path).await,
            }
        })
        .await
    }

    /// Where an object is, for people.
    #[must_use]
    pub fn location(&self, path: &str) -> String {
        match &self.place {
            Place::Azure(container) => container.location(path),
            Place::Folder(folder) => folder.location(path),
        }
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
            async { attempt.await.unwrap_or(Err(StorageError::OutOfTime)) }
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
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_storage_that_hangs_does_not_hold_up_the_end_of_a_run() {
        let temp = tempfile::tempdir().unwrap();
        let folder = folder::Folder::new(temp.path().into());
        let storage = Storage::folder(folder, Jitter::seeded(1));
        let began = Instant::now();
        let deadline = Deadline::after(Duration::from_mins(4));
        let hang = || std::future::pending::<Result<(), StorageError>>();

        let read = storage.attempt(deadline, hang).await;
        assert_eq!(began.elapsed(), Duration::from_secs(245));
        // A save may begin after the answers' grace is over, and still ends in time.
        let save = storage.attempt(deadline.for_saving(), hang).await;
        assert_eq!(began.elapsed(), Duration::from_secs(249));
        for outcome in [read, save] {
            let error = outcome.unwrap_err().to_string();
            assert_eq!(
                error,
                "the storage did not answer before the run's time was over"
            );
        }
    }
}
