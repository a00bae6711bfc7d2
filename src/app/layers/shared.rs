//! Objects that the tenants of an app share if they are made from the same settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Layers;
use crate::auth0;
use crate::run::MemoryBudget;
use crate::storage::Storage;

/// What the tenants of an app share.
#[derive(Default)]
pub(in crate::app) struct Shared {
    /// For what the runs hold in memory.
    pub memory: MemoryBudget,
    /// For pages that are read ahead, or kept for other readers.
    pub pages: auth0::PageBudget,
    pub(super) clients: Memo<reqwest::Client>,
    pub(super) storages: Memo<Arc<Storage>>,
}

/// Objects by the settings that they were made from.
pub(super) struct Memo<T>(Mutex<HashMap<Key, T>>);

/// The values of some settings, in a fixed order.
pub(super) type Key = Vec<Option<Value>>;

/// A setting's value.
#[derive(Eq, Hash, PartialEq)]
pub(super) struct Value {
    pub text: String,
    /// Whether it is the tenant's own, which takes precedence over the shared one.
    pub is_own: bool,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    /// The object that was made from these values before, or a new one.
    pub fn get_or_make<E>(&self, key: Key, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = known.get(&key) {
            return Ok(it.clone());
        }
        let it = make()?;
        known.insert(key, it.clone());
        Ok(it)
    }
}

impl Layers {
    /// The values of these settings.
    pub(super) fn key(&self, settings: &[&str]) -> Key {
        let value = |name: &&str| {
            Some(Value {
                text: self.settings.get(name)?.to_owned(),
                is_own: self.settings.is_own(name),
            })
        };
        settings.iter().map(value).collect()
    }
}
