//! App settings: names and values as the platform or a file provides them, the [`Reader`] that judges
//! them, and what values of common forms say.
//!
//! Each room reads its own settings with a reader: the storage, the tenant, the run, each destination.
//! So a layer that is badly set stops only what needs it. This room knows none of their names.
//!
//! No message quotes a value, since any may be a secret in the wrong place.

mod local;
mod misspelt;
mod reader;
pub(crate) mod values;

use std::collections::HashMap;

pub(crate) use self::misspelt::Misspelt;
pub(crate) use self::reader::{Reader, SettingsError};

/// Names and values, as the platform or a file provides them.
#[derive(Clone, Default)]
pub(crate) struct AppSettings(HashMap<String, String>);

impl AppSettings {
    /// A setting's value without white space around it. A blank setting is an unset one.
    pub fn get(&self, name: &str) -> Option<&str> {
        Some(self.0.get(name)?.trim()).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for AppSettings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        let settings = settings.into_iter();
        Self(settings.map(|(n, v)| (n.into(), v.into())).collect())
    }
}

#[cfg(test)]
mod tests;
