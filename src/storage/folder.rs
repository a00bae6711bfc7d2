//! Stores objects as files below one folder, for a laptop. A version is a digest of the content.
//!
//! The folder belongs to the process that claimed it. The lock is the operating system's, so a process
//! that dies leaves none behind. Reading needs no claim, because a file is replaced atomically.

mod file;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;

use self::file::{advise, failed};
use super::{Attempt, Object, Objects, StorageError, Version};

/// The file that is locked.
const LOCK: &str = "lock";

/// A folder of objects.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// The setting that names the folder.
    setting: &'static str,
    /// Whether nobody but the owner is to read its files, whoever could before.
    is_private: bool,
    /// The lock file, once it is locked.
    lock: Arc<Mutex<Option<File>>>,
    /// Held from the version check until the file is replaced.
    writing: Arc<Mutex<()>>,
}

impl Folder {
    /// Prepares access to the folder that a setting names. Creates and locks nothing yet.
    pub fn new(root: PathBuf, setting: &'static str) -> Self {
        Self {
            root,
            setting,
            is_private: true,
            lock: Arc::default(),
            writing: Arc::default(),
        }
    }

    /// Leaves it to the owner who may read the files that are there.
    pub fn shared(self) -> Self {
        Self {
            is_private: false,
            ..self
        }
    }

    fn lock(&self) -> Result<(), StorageError> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        file::make_folder(&self.root)?;
        let path = self.root.join(LOCK);
        let lock = file::open_to_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => {
                *held = Some(lock);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => {
                Err(StorageError::Locked(self.root.display().to_string()))
            }
            Err(TryLockError::Error(error)) => Err(failed("locking", &path, error)),
        }
    }

    /// Whether another process holds the lock. Releases the lock at once, so that it blocks nobody.
    fn is_locked_elsewhere(&self) -> Result<bool, StorageError> {
        let held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.root.join(LOCK);
        if held.is_some() || !path.exists() {
            return Ok(false);
        }
        match file::open_to_lock(&path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(failed("locking", &path, error)),
        }
    }

    fn replace(
        &self,
        path: &str,
        content: &[u8],
        over: Option<&Version>,
    ) -> Result<Version, StorageError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let target = self.resolve(path)?;
        let stored = file::read(&target)?.map(|content| file::version(&content));
        if stored.as_ref() != over {
            return Err(StorageError::Conflict);
        }
        file::replace(&target, content)?;
        Ok(file::version(content))
    }

    /// The file of this object, after a check that no folder on its path is a link.
    fn resolve(&self, path: &str) -> Result<PathBuf, StorageError> {
        let folders = Path::new(path).parent().unwrap_or(Path::new(""));
        file::see_folders(&self.root, folders)?;
        Ok(self.root.join(path))
    }

    /// Runs blocking work on a thread for it.
    fn blocking<'a, T: Send + 'static>(
        &'a self,
        path: &'a str,
        work: impl FnOnce(&Self, &str) -> Result<T, StorageError> + Send + 'static,
    ) -> Attempt<'a, T> {
        async move {
            let folder = self.clone();
            let name = path.to_owned();
            let done = tokio::task::spawn_blocking(move || work(&folder, &name))
                .await
                .map_err(|error| {
                    StorageError::Unavailable(
                        format!("using {}", self.location(path)),
                        error.into(),
                    )
                })?;
            done.map_err(|error| advise(error, self.setting))
        }
        .boxed()
    }
}

impl Objects for Folder {
    fn claim(&self) -> Attempt<'_, ()> {
        self.blocking(LOCK, |folder, _| folder.lock())
    }

    fn is_claimed_elsewhere(&self) -> Attempt<'_, bool> {
        self.blocking(LOCK, |folder, _| folder.is_locked_elsewhere())
    }

    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>> {
        self.blocking(path, |folder, path| {
            let path = folder.resolve(path)?;
            let content = file::read(&path)?;
            if folder.is_private && content.is_some() {
                file::protect(&path);
            }
            Ok(content.map(|content| {
                let version = file::version(&content);
                (content.into(), version)
            }))
        })
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version> {
        let over = over.cloned();
        self.blocking(path, move |folder, path| {
            folder.replace(path, &content, over.as_ref())
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>> {
        self.blocking(folder, |root, folder| {
            file::see_folders(&root.root, Path::new(folder))?;
            let place = root.root.join(folder);
            let names = file::list(&place)?;
            if root.is_private {
                for name in &names {
                    file::protect(&place.join(name));
                }
            }
            Ok(names.iter().map(|it| format!("{folder}/{it}")).collect())
        })
    }

    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()> {
        self.blocking(path, |folder, path| file::remove(&folder.resolve(path)?))
    }

    fn location(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
