//! What one destination may see of a record: secrets are masked, and then personal data is treated as
//! its policy says.
//!
//! The order matters, since replacing personal data could remove what marks a secret: a user named
//! `Bearer` could expose the token after that word.

use std::sync::Arc;

use super::Policy;
use super::pieces::{left, written};
use crate::redact::Redaction;
use crate::settings::{AppSettings, Reader};
use crate::table::Api;
use crate::table::row::{TooLarge, row, row_of};
use crate::table::shortened::shortened;

/// What one destination may see of records.
#[derive(Clone, Debug)]
pub struct Privacy {
    redaction: Redaction,
    /// `None` where all personal data is kept.
    policy: Option<Arc<Policy>>,
}

impl From<Redaction> for Privacy {
    /// All personal data is kept.
    fn from(redaction: Redaction) -> Self {
        Self::new(redaction, Policy::default())
    }
}

impl Privacy {
    pub(crate) fn new(redaction: Redaction, policy: Policy) -> Self {
        let policy = (!policy.is_empty()).then(|| Arc::new(policy));
        Self { redaction, policy }
    }

    /// What a destination without a setting of its own may see. An error says what is wrong with
    /// the settings.
    pub fn of_settings(
        redaction: Redaction,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let settings: AppSettings = settings.into_iter().collect();
        let policy = Reader::read(&settings, |reader| {
            Policy::read(reader, super::settings::PII)
        });
        let policy = policy.map_err(|problems| problems.to_string())?;
        Ok(Self::new(redaction, policy))
    }

    /// The same treatment of secrets, with another policy for personal data.
    pub(crate) fn with(&self, policy: Policy) -> Self {
        Self::new(self.redaction, policy)
    }

    /// A record on one line, as the destination may see it.
    #[must_use]
    pub fn line(&self, record: &str) -> String {
        let Some(policy) = &self.policy else {
            return self.redaction.line(record);
        };
        match policy.plain(self.redaction, record, &mut None) {
            Some(plain) => self.redaction.line_of(plain.into_iter(), record),
            None => written(&policy.apply(self.redaction, record), record.len()),
        }
    }

    /// The row of a record, as the destination may see it.
    pub fn row(&self, record: &str, api: Api) -> Result<String, TooLarge> {
        let Some(policy) = &self.policy else {
            return row(record, api, self.redaction);
        };
        if let Some(plain) = policy.plain(self.redaction, record, &mut None) {
            return row_of(&mut plain.iter().copied(), record, api, self.redaction);
        }
        let pieces = policy.apply(self.redaction, record);
        row_of(&mut left(&pieces), record, api, Redaction::Off)
    }

    /// A shortened row for a record that [has none](Self::row), with the reason `why`. Masking comes
    /// before shortening, since a secret that was cut may not look like one.
    #[must_use]
    pub fn shortened(&self, record: &str, api: Api, why: &str) -> Option<String> {
        shortened(&self.line(record), api, why)
    }
}
