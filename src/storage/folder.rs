//! Objects as files below one folder, for a laptop; a version is a digest of the content.
//!
//! The folder belongs to the process that claimed it. The lock is the operating system's, so that
//! a process that dies leaves none behind. Reading needs no claim: a file is replaced whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{StorageError, Version};

/// A folder of objects.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    /// The lock file, once it is locked.
    lock: Arc<Mutex<Option<File>>>,
}

impl Folder {
    /// Prepares the use of a folder; makes and locks nothing yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            lock: Arc::default(),
        }
    }

    /// An object's path.
    #[must_use]
    pub fn location(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }

    /// A file's content and version.
    pub async fn read(&self, path: &str) -> Result<Option<(Bytes, Version)>, StorageError> {
        self.blocking(path, |file| {
            match fs::read(file) {
                Ok(content) => Ok(Some((Bytes::from(content.clone()), version(&content)))),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
            .map_err(|error| unavailable("reading", file, error))
        })
        .await
    }

    /// Replaces the file with this version, or makes one.
    pub async fn write(
        &self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Result<Version, StorageError> {
        let over = over.cloned();
        self.blocking(path, move |file| {
            let stored = match fs::read(file) {
                Ok(content) => Some(version(&content)),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(unavailable("reading", file, error)),
            };
            if stored != over {
                return Err(StorageError::Conflict);
            }
            replace(file, &content).map_err(|error| unavailable("writing", file, error))?;
            Ok(version(&content))
        })
        .await
    }

    /// The paths of the files in a folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        let prefix = folder.to_owned();
        self.blocking(folder, move |folder| {
            let names = || {
                fs::read_dir(folder)?
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect::<io::Result<Vec<_>>>()
            };
            match names() {
                Ok(names) => Ok(names.iter().map(|it| format!("{prefix}/{it}")).collect()),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(unavailable("listing", folder, error)),
            }
        })
        .await
    }

    /// Removes a file.
    pub async fn remove(&self, path: &str) -> Result<(), StorageError> {
        self.blocking(path, |file| match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(unavailable("removing", file, error))
            }
            _ => Ok(()),
        })
        .await
    }

    /// Takes the folder for this process until it ends.
    pub async fn claim(&self) -> Result<(), StorageError> {
        let held = Arc::clone(&self.lock);
        self.blocking("lock", move |path| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.is_some() {
                return Ok(());
            }
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder).map_err(|error| unavailable("creating", folder, error))?;
            let file = File::create(path).map_err(|error| unavailable("creating", path, error))?;
            match file.try_lock() {
                Ok(()) => {
                    *held = Some(file);
                    Ok(())
                }
                Err(TryLockError::WouldBlock) => {
                    Err(StorageError::Locked(folder.display().to_string()))
                }
                Err(TryLockError::Error(error)) => Err(unavailable("locking", path, error)),
            }
        })
        .await
    }

    /// Does work that blocks, on one file, where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Path) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let file = self.root.join(path);
        tokio::task::spawn_blocking(move || work(&file))
            .await
            .map_err(|error| {
                StorageError::Unavailable(format!("using {}", self.location(path)), error.into())
            })?
    }
}

/// Writes beside the file and renames, so that at every moment one whole version is there.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = file.with_extension("new");
    let mut new = File::create(&beside)?;
    new.write_all(content)?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

fn version(content: &[u8]) -> Version {
    use base64::Engine as _;
    Version(base64::prelude::BASE64_STANDARD.encode(Sha256::digest(content)))
}

fn unavailable(doing: &str, path: &Path, error: io::Error) -> StorageError {
    StorageError::Unavailable(format!("{doing} {}", path.display()), error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn an_object_is_written_over_the_version_that_was_read_and_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().join("deep/er"));
        assert!(folder.read("a/b.json").await.unwrap().is_none());

        let first = folder.write("a/b.json", content("1"), None).await.unwrap();
        let (stored, version) = folder.read("a/b.json").await.unwrap().unwrap();
        assert_eq!((&stored[..], &version), (&b"1"[..], &first));

        folder
            .write("a/b.json", content("2"), Some(&first))
            .await
            .unwrap();
        for stale in [None, Some(&first)] {
            let refused = folder.write("a/b.json", content("3"), stale).await;
            assert!(
                matches!(refused, Err(StorageError::Conflict)),
                "{refused:?}"
            );
        }
        let (stored, _) = folder.read("a/b.json").await.unwrap().unwrap();
        assert_eq!(&stored[..], b"2");
    }

    #[tokio::test]
    async fn a_second_owner_is_refused_until_the_first_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let first = Folder::new(temp.path().into());
        let second = Folder::new(temp.path().into());
        first.claim().await.unwrap();
        first.claim().await.unwrap();
        let refused = second.claim().await.unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("in use by another auth0-poller")
        );
        assert!(second.read("a").await.unwrap().is_none());
        drop(first);
        second.claim().await.unwrap();
    }

    #[tokio::test]
    async fn the_objects_of_a_folder_are_listed_and_removed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().into());
        assert_eq!(folder.list("a").await.unwrap(), Vec::<String>::new());
        folder.write("a/b.json", content("1"), None).await.unwrap();
        assert_eq!(folder.list("a").await.unwrap(), ["a/b.json"]);
        for _ in 0..2 {
            folder.remove("a/b.json").await.unwrap();
            assert_eq!(folder.list("a").await.unwrap(), Vec::<String>::new());
        }
    }

    #[tokio::test]
    async fn a_write_leaves_nothing_beside_the_object() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::new(temp.path().into());
        folder.write("a/b.json", content("1"), None).await.unwrap();
        let names: Vec<_> = fs::read_dir(temp.path().join("a"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["b.json"]);
    }
}
