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
pub(crate) mod tenants;
pub(crate) mod values;

use std::collections::HashMap;

pub(crate) use self::misspelt::{Misspelt, as_seen};
pub(crate) use self::reader::{Reader, SettingsError};
use self::tenants::Owner;

/// Stands in place of a name that is none of a tenant or a destination. That is not quoted: it may be
/// a secret in the wrong place.
pub(crate) const UNKNOWN: &str = "unknown";

/// Names and values, as the platform or a file provides them, or those that count for one tenant.
#[derive(Clone, Default)]
pub(crate) struct AppSettings {
    values: HashMap<String, String>,
    /// Whose they are, where an app has several tenants.
    owner: Option<Owner>,
}

impl AppSettings {
    /// A setting's value without white space around it. A blank setting is an unset one.
    pub fn get(&self, name: &str) -> Option<&str> {
        Some(self.values.get(name)?.trim()).filter(|value| !value.is_empty())
    }

    /// Whether a setting is one tenant's own, and not what counts for all.
    pub fn is_own(&self, name: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.is_own(name))
    }

    /// The name under which a person finds a setting, or would set it. Options and commands, which are
    /// told of as well, are nobody's own.
    pub fn told(&self, name: &str) -> String {
        let is_setting = name.contains(|it: char| it == '_' || it.is_ascii_uppercase());
        match &self.owner {
            Some(owner) if owner.is_own(name) || is_setting && self.get(name).is_none() => {
                owner.own(name)
            }
            _ => name.to_owned(),
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for AppSettings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        let settings = settings.into_iter();
        Self {
            values: settings.map(|(n, v)| (n.into(), v.into())).collect(),
            owner: None,
        }
    }
}

#[cfg(test)]
mod tests;
