//! Delivers records again that an audit found missing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{ASKING, AuditError, Target};
use crate::app::App;
use crate::clock::to_seconds;
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::record::LogId;
use crate::report::Fault;

/// An audit ends after so many hours in a row of whose missing records none could be delivered again.
const MOST_FAILED_HOURS: u32 = 2;

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
    /// Why not all were delivered. A record that the destination refuses is no failure: it may be the only
    /// one missing in this hour, and says nothing about the other hours.
    failure: Option<Failure>,
}

struct Failure {
    why: String,
    /// Whether the fault may be in one of the records. Any other failure would repeat itself.
    may_be_a_record: bool,
}

impl Target<'_> {
    /// Notes what came of delivering the missing records of an hour again. One over which the destination
    /// fails may be the only one missing in this hour, so the audit goes on. If nothing is delivered of
    /// several hours, most likely the destination takes nothing.
    pub(super) fn note_mended(&mut self, hour: DateTime<Utc>, mended: Mended) {
        if mended.delivered > 0 {
            self.failed_hours = 0;
        }
        let Some(failure) = mended.failure else {
            return;
        };
        if mended.delivered == 0 {
            self.failed_hours += 1;
        }
        let (hour, why) = (to_seconds(hour), failure.why);
        if !failure.may_be_a_record || self.failed_hours >= MOST_FAILED_HOURS {
            let ended = AuditError::Mending { hour, why };
            self.audited.fail(ended.to_string());
            return;
        }
        let unmended = AuditError::Unmended { hour, why }.to_string();
        warn!("{}: {unmended}", self.audited.name());
        self.unmended.get_or_insert(unmended);
    }
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
        let mut failure = None;
        if !report.is_success() {
            let why = report.errors.join("; ");
            let may_be_a_record = report.fault == Some(Fault::Record);
            if report.caught_up || report.refuses_all {
                let hour = to_seconds(hour);
                warn!("{name}: of the hour from {hour}, not all was delivered again: {why}");
            } else {
                failure = Some(Failure {
                    why,
                    may_be_a_record,
                });
            }
        }
        if failure.as_ref().is_some_and(|it| !it.may_be_a_record) {
            return Mended {
                delivered: report.delivered,
                failure,
            };
        }
        let last = self.deliver_again(target.route, &set_aside, None).await;
        if !last.is_success() {
            let why = last.errors.join("; ");
            warn!("{name}: what was set aside was not delivered: {why}");
        }
        Mended {
            delivered: report.delivered + last.delivered,
            failure,
        }
    }
}
