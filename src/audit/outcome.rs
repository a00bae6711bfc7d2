//! What came of an audit, as it is told.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Compared, Counts};
use crate::record::LogId;
use crate::report::{Gap, label};

/// Missing ids that are named, of all hours.
const NAMED: usize = 1_000;

/// What came of it for one destination.
#[derive(Debug, Serialize)]
pub(crate) struct Audited {
    pub tenant: Option<String>,
    pub destination: &'static str,
    /// Of what Auth0 has no more, or never had: that is not compared.
    pub gap: Option<Gap>,
    /// What `late` is told by.
    pub late_by: Option<Witness>,
    /// Those with anything in them, the oldest first.
    pub hours: Vec<Compared>,
    pub total: Counts,
    /// Records whose ids are none, or tell no time. They are not compared.
    pub undated: u64,
    /// Why hours are not compared, or missing records were not delivered again.
    pub error: Option<String>,
    /// Whether it was asked to end before it was done.
    pub is_interrupted: bool,
    /// Whether it cannot be audited by its nature, and another destination was.
    #[serde(skip)]
    pub is_left_to_another: bool,
}

/// What knows which records came late.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Witness {
    Archive,
    History,
}

impl Audited {
    /// Of a destination of a tenant, before anything is compared.
    pub fn of(tenant: Option<String>, destination: &'static str) -> Self {
        Self {
            tenant,
            destination,
            gap: None,
            late_by: None,
            hours: Vec::new(),
            total: Counts {
                late: Some(0),
                ..Counts::default()
            },
            undated: 0,
            error: None,
            is_interrupted: false,
            is_left_to_another: false,
        }
    }

    /// What tells it from the others.
    pub fn name(&self) -> String {
        label(self.tenant.as_deref(), self.destination)
    }

    /// Whether nothing is missing, as far as was asked.
    pub fn is_good(&self) -> bool {
        self.is_left_to_another || self.error.is_none() && self.left() == 0
    }

    /// Records that are missing and were not delivered again.
    pub fn left(&self) -> u64 {
        self.total.missing.saturating_sub(self.total.delivered)
    }

    /// Notes why it is not compared, or not to the end; the first reason counts.
    pub fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }

    /// Adds an hour, of which these are missing.
    pub fn add(&mut self, hour: DateTime<Utc>, counts: Counts, missing: BTreeSet<LogId>) {
        self.total.add(&counts);
        if !counts.is_nothing() {
            let named: usize = self.hours.iter().map(|it| it.missing_ids.len()).sum();
            self.hours.push(Compared {
                hour,
                counts,
                missing_ids: missing.into_iter().take(NAMED - named).collect(),
            });
        }
    }
}
