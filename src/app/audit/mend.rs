//! Delivers records again that an audit found missing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{ASKING, Target};
use crate::app::App;
use crate::clock::to_seconds;
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::record::LogId;

/// Notes which records are dead letters.
pub(super) async fn note_set_aside(targets: &mut [Target<'_>]) {
    for target in targets {
        let dead_letters = &target.route.stores.dead_letters;
        match dead_letters.names(Deadline::after(ASKING)).await {
            Ok(names) => target.set_aside = names.into_iter().collect(),
            Err(error) => warn!("{}: {}", target.audited.name(), with_causes(&error)),
        }
    }
}

/// What came of delivering the missing records of an hour again.
pub(super) struct Mended {
    /// How many were acknowledged.
    pub delivered: u64,
    /// Why no more can be delivered. A record that the destination refuses is no such reason: it may be
    /// the only one missing in this hour, and says nothing about the other hours.
    pub problem: Option<String>,
}

impl App {
    /// Delivers the missing records of an hour again. Dead letters come last.
    pub(super) async fn mend(
        &self,
        target: &Target<'_>,
        hour: DateTime<Utc>,
        missing: &BTreeSet<LogId>,
    ) -> Mended {
        let is_set_aside = |id: &LogId| target.set_aside.contains(id.as_str());
        let (set_aside, others) = missing.iter().cloned().partition(is_set_aside);
        let name = target.audited.name();
        let report = self.deliver_again(target.route, &others, None).await;
        if !report.is_success() {
            let why = report.errors.join("; ");
            if !report.caught_up && !report.refuses_all {
                return Mended {
                    delivered: report.delivered,
                    problem: Some(why),
                };
            }
            let hour = to_seconds(hour);
            warn!("{name}: of the hour from {hour}, not all was delivered again: {why}");
        }
        let last = self.deliver_again(target.route, &set_aside, None).await;
        if !last.is_success() {
            let why = last.errors.join("; ");
            warn!("{name}: what was set aside was not delivered: {why}");
        }
        Mended {
            delivered: report.delivered + last.delivered,
            problem: None,
        }
    }
}
