//! The result of an audit, as it is reported.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Compared, Counts};
use crate::record::LogId;
use crate::report::{Gap, label};

/// Maximum missing ids to name, for all hours together.
const NAMED: usize = 1_000;

/// The result for one destination.
#[derive(Debug, Serialize)]
pub(crate) struct Audited {
    pub tenant: Option<String>,
    pub destination: &'static str,
    /// The part for which Auth0 has no records, dropped or never there. It is not compared.
    pub gap: Option<Gap>,
    /// The source of `late`.
    pub late_by: Option<Witness>,
    /// The hours with anything to report, oldest first.
    pub hours: Vec<Compared>,
    pub total: Counts,
    /// Records without an id, and those whose ids are malformed or hold no time. They are not compared.
    pub undated: u64,
    /// Why hours are not compared, or missing records were not delivered again.
    pub error: Option<String>,
    /// Whether the audit was asked to stop before it was done.
    pub is_interrupted: bool,
    /// Whether this kind of destination cannot be audited, but another destination was.
    #[serde(skip)]
    pub is_left_to_another: bool,
}

/// The source that tells which records came late.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Witness {
    Archive,
    History,
}

impl Audited {
    /// A result for a tenant's destination, before anything is compared.
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

    /// The name of the destination in messages.
    pub fn name(&self) -> String {
        label(self.tenant.as_deref(), self.destination)
    }

    /// Whether nothing is missing in what was compared.
    pub fn is_good(&self) -> bool {
        self.is_left_to_another || self.error.is_none() && self.left() == 0
    }

    /// Records that are missing and were not delivered again.
    pub fn left(&self) -> u64 {
        self.total.missing.saturating_sub(self.total.delivered)
    }

    /// Notes why the comparison is missing or incomplete. The first reason counts.
    pub fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }

    /// Adds an hour and its missing ids.
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
