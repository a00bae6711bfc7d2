//! What one destination may see of a record: secrets are masked, and then personal data is treated as
//! its policy says.
//!
//! The order matters, since replacing personal data could remove what marks a secret: a user named
//! `Bearer` could expose the token after that word.

use std::borrow::Cow;
use std::sync::Arc;

use super::Policy;
use super::pieces::{left, written};
use crate::json::without_halves;
use crate::record::id_of;
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
        let record = &*readable(record);
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
        let record = &*readable(record);
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

/// The record without halves of surrogate pairs. Services, and programs that read an archive, refuse
/// JSON with such a half, and whoever logs in can put one into a record. It has nothing to do with the
/// policy, but this is where every destination gets its records.
///
/// Two names that differ only in such a half become the same name. A record whose id would become another is left as it is.
fn readable(record: &str) -> Cow<'_, str> {
    match without_halves(record) {
        Cow::Owned(readable) if id_of(&readable) == id_of(record) => Cow::Owned(readable),
        _ => Cow::Borrowed(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_is_replaced_unless_that_changes_the_id() {
        let keep = Privacy::from(Redaction::On);
        let record = r#"{"log_id":"1","user_name":"\ud800","details":{"a\udc00":"\ud83d\ude00"}}"#;
        let line = keep.line(record);
        let readable =
            r#"{"log_id":"1","user_name":"\ufffd","details":{"a\ufffd":"\ud83d\ude00"}}"#;
        assert_eq!(line, readable);
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        for api in [Api::DataCollector, Api::LogsIngestion] {
            let row = keep.row(record, api).unwrap();
            assert!(
                serde_json::from_str::<serde_json::Value>(&row).is_ok(),
                "{row}"
            );
        }
        // `_id` supplies the id, since the other one is no text.
        let record = r#"{"log_id":"\ud800","_id":"1"}"#;
        assert_eq!(keep.line(record), record);
    }
}
