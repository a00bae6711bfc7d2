//! App settings: names and values from the platform or a file, the [`Reader`] that checks them, and
//! parsers for common forms of values.
//!
//! Each module reads its own settings with a reader: the storage, the tenant, the run, each destination.
//! So bad settings of one layer affect only what needs that layer. This module does not know their names.
//!
//! No message quotes a value, because it may be a misplaced secret.

mod local;
mod misspelt;
mod reader;
pub(crate) mod tenants;
pub(crate) mod values;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use self::misspelt::Names;
pub(crate) use self::misspelt::{Misspelt, as_seen};
pub(crate) use self::reader::{Reader, SettingsError};
use self::tenants::Owner;

/// Replaces an invalid name of a tenant or destination. The name is not quoted, because it may be a
/// misplaced secret.
pub(crate) const UNKNOWN: &str = "unknown";

/// Azure App Service sets each app setting twice: under its name, and with this prefix. The copy is no
/// setting that somebody may have misspelt.
const COPY: &str = "APPSETTING_";

/// Names and values from the platform or a file, or those that apply to one tenant.
#[derive(Clone, Default)]
pub(crate) struct AppSettings {
    values: HashMap<String, String>,
    /// The tenant that they belong to, if an app has several.
    owner: Option<Owner>,
    /// What is known of names, once somebody has asked.
    names: OnceLock<Arc<Names>>,
}

impl AppSettings {
    /// A setting's value, trimmed. A blank setting counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        Some(self.values.get(name)?.trim()).filter(|value| !value.is_empty())
    }

    /// Whether a setting is the tenant's own, and not one for all tenants.
    pub fn is_own(&self, name: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.is_own(name))
    }

    /// The name under which a person finds a setting, or would set it. Options and commands, which
    /// problems may also name, never have a tenant's prefix.
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
        let settings = settings.into_iter().map(|(n, v)| (n.into(), v.into()));
        let mut values: HashMap<String, String> = settings.collect();
        let is_copy = |(name, value): &(&String, &String)| {
            let copied = name.strip_prefix(COPY).and_then(|it| values.get(it));
            copied == Some(*value)
        };
        let copies: Vec<_> = values
            .iter()
            .filter(is_copy)
            .map(|it| it.0.clone())
            .collect();
        for name in copies {
            values.remove(&name);
        }
        Self {
            values,
            owner: None,
            names: OnceLock::new(),
        }
    }
}

#[cfg(test)]
mod tests;
