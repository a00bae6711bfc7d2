//! Objects in memory, for tests: with versions as in the real places, and without delays.
//!
//! A clone is another process's handle: it sees the same objects and has a claim of its own. So
//! stored objects survive the crash of the process that a handle represents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{Attempt, LONGEST_LIST, Object, Objects, StorageError, Version};

/// One process's handle to objects in memory.
#[derive(Default)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    /// Lives as long as this handle.
    handle: Arc<()>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    writes: u64,
    owner: Weak<()>,
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            handle: Arc::default(),
        }
    }
}

impl Memory {
    /// Overwrites an object, as another process would.
    pub(crate) fn put(&self, path: &str, content: Bytes) -> Version {
        self.state().put(path, content)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, path: &str, content: Bytes) -> Version {
        self.writes += 1;
        let version = Version::new(self.writes.to_string());
        let object = (content, version.clone());
        self.objects.insert(path.to_owned(), object);
        version
    }

    fn write(
        &mut self,
        path: &str,
        content: Bytes,
        over: Option<&Version>,
    ) -> Result<Version, StorageError> {
        let stored = self.objects.get(path).map(|(_, version)| version);
        if stored != over {
            return Err(StorageError::Conflict);
        }
        Ok(self.put(path, content))
    }

    fn claim(&mut self, handle: &Arc<()>) -> Result<(), StorageError> {
        match self.owner.upgrade() {
            Some(owner) if !Arc::ptr_eq(&owner, handle) => {
                Err(StorageError::Locked("the memory".into()))
            }
            _ => {
                self.owner = Arc::downgrade(handle);
                Ok(())
            }
        }
    }
}

/// Each call does its work when it is first polled, not when it is created.
impl Objects for Memory {
    fn claim(&self) -> Attempt<'_, ()> {
        async { self.state().claim(&self.handle) }.boxed()
    }

    fn read<'a>(&'a self, path: &'a str) -> Attempt<'a, Option<Object>> {
        async { Ok(self.state().objects.get(path).cloned()) }.boxed()
    }

    fn write<'a>(
        &'a self,
        path: &'a str,
        content: Bytes,
        over: Option<&'a Version>,
    ) -> Attempt<'a, Version> {
        async move { self.state().write(path, content, over) }.boxed()
    }

    fn list<'a>(&'a self, folder: &'a str) -> Attempt<'a, Vec<String>> {
        let is_in = move |path: &&String| {
            let name = path
                .strip_prefix(folder)
                .and_then(|it| it.strip_prefix('/'));
            name.is_some_and(|name| !name.contains('/'))
        };
        async move {
            Ok(self
                .state()
                .objects
                .keys()
                .filter(is_in)
                .take(LONGEST_LIST)
                .cloned()
                .collect())
        }
        .boxed()
    }

    fn remove<'a>(&'a self, path: &'a str) -> Attempt<'a, ()> {
        async {
            self.state().objects.remove(path);
            Ok(())
        }
        .boxed()
    }

    fn location(&self, path: &str) -> String {
        format!("memory:{path}")
    }
}
