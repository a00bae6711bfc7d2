//! Delivering again what an audit found missing.

use std::collections::BTreeSet;

use tracing::warn;

use super::{ASKING, Target};
use crate::app::App;
use crate::app::replay::NO_END;
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::record::LogId;

/// Finds out what was set aside.
pub(super) async fn note_set_aside(targets: &mut [Target<'_>]) {
    for target in targets {
        let dead_letters = &target.way.books.dead_letters;
        match dead_letters.names(Deadline::after(ASKING)).await {
            Ok(names) => target.set_aside = names.into_iter().collect(),
            Err(error) => warn!("{}: {}", target.audited.name(), with_causes(&error)),
        }
    }
}

impl App {
    /// Delivers what is missing again. Answers with how much was acknowledged, and with why no more can
    /// be delivered. What was set aside comes last: that it is refused as ever says nothing of the rest.
    pub(super) async fn mend(
        &self,
        target: &Target<'_>,
        missing: &BTreeSet<LogId>,
    ) -> (u64, Option<String>) {
        let is_set_aside = |id: &LogId| target.set_aside.contains(id.as_str());
        let (set_aside, others) = missing.iter().cloned().partition(is_set_aside);
        let again = (target.pipeline, target.way);
        let report = self.deliver_again(again, &others, NO_END).await;
        if !report.is_success() {
            return (report.delivered, Some(report.errors.join("; ")));
        }
        let last = self.deliver_again(again, &set_aside, NO_END).await;
        if !last.is_success() {
            let why = last.errors.join("; ");
            warn!(
                "{}: what was set aside was not delivered: {why}",
                target.audited.name()
            );
        }
        (report.delivered + last.delivered, None)
    }
}
