//! `local.settings.json`, as the Functions tools use it on a laptop.

use std::collections::HashMap;

use serde::Deserialize;

use super::AppSettings;

#[derive(Deserialize)]
struct LocalSettings {
    #[serde(rename = "Values")]
    values: HashMap<String, String>,
    #[serde(rename = "IsEncrypted", default)]
    is_encrypted: bool,
}

/// Why `local.settings.json` is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalSettingsError {
    /// It is not what the Functions tools write.
    #[error(
        "local.settings.json is not of the form {{\"Values\": {{\"NAME\": \"value\"}}}} \
         (line {}, column {})", .0.line(), .0.column()
    )]
    Form(#[from] serde_json::Error),
    /// Only the Functions tools can read it.
    #[error("local.settings.json is encrypted; `func settings decrypt` makes it readable")]
    Encrypted,
}

impl AppSettings {
    /// Adds the values of a `local.settings.json` where there is none of that name yet.
    pub fn or_local(mut self, json: &str) -> Result<Self, LocalSettingsError> {
        let file: LocalSettings = serde_json::from_str(json.trim_start_matches('\u{feff}'))?;
        if file.is_encrypted {
            return Err(LocalSettingsError::Encrypted);
        }
        for (name, value) in file.values {
            if self.get(&name).is_none() {
                self.0.insert(name, value);
            }
        }
        Ok(self)
    }
}
