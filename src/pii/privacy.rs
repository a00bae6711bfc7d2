//! What one destination may see of a record: secrets are masked, and then personal data is treated
//! as its policy says.
//!
//! In this order, since what is replaced may be what tells a secret: whoever took `Bearer` for a name
//! could show what follows it.

use std::borrow::Cow;
use std::sync::Arc;

use super::Policy;
use crate::redact::Redaction;

/// What one destination may see.
#[derive(Clone, Debug)]
pub(crate) struct Privacy {
    redaction: Redaction,
    /// `None` where all personal data is kept.
    policy: Option<Arc<Policy>>,
}

impl Privacy {
    pub fn new(redaction: Redaction, policy: Option<Policy>) -> Self {
        let policy = policy.map(Arc::new);
        Self { redaction, policy }
    }

    /// The same secrets, and other personal data.
    pub fn with(&self, policy: Option<Policy>) -> Self {
        Self::new(self.redaction, policy)
    }

    /// A record on one line, as it may be seen.
    pub fn line(&self, record: &str) -> String {
        let line = self.redaction.line(record);
        let Some(policy) = &self.policy else {
            return line;
        };
        match policy.apply(&line) {
            Cow::Owned(line) => line,
            Cow::Borrowed(_) => line,
        }
    }

    /// A record for code that masks secrets by itself, and what it is to do about them.
    pub fn record<'a>(&self, record: &'a str) -> (Cow<'a, str>, Redaction) {
        match self.policy {
            Some(_) => (self.line(record).into(), Redaction::Off),
            None => (record.into(), self.redaction),
        }
    }
}
