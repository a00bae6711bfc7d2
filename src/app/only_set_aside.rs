//! Judges a run that delivers nothing by what the runs before it set aside. By itself a run that sets
//! everything aside proves nothing: in a quiet tenant each run has only one record.

use std::time::Duration;

use super::Stores;
use crate::net::retry::Deadline;
use crate::report::{OnlySetAside, Report};

/// Time limit for counting the dead letters; a run does not wait longer.
const COUNTING: Duration = Duration::from_secs(5);

/// Notes in the report if several records were set aside since one was last delivered, and are dead
/// letters still. Fails the run if it set one of them aside.
pub(super) async fn judge_set_aside(stores: &Stores, report: &mut Report, deadline: Deadline) {
    if report.delivered + report.quarantined > 0 {
        return;
    }
    let count = report.dead_lettered + stores.history.only_set_aside(deadline).await;
    if OnlySetAside::find(count, None).is_none() {
        return;
    }
    let deadline = deadline.for_saving().within(COUNTING);
    let left = stores.dead_letters.names(deadline);
    let left = left.await.ok().map(|names| names.len());
    report.only_set_aside = OnlySetAside::find(count, left);
    if let Some(error) = report.only_set_aside
        && report.dead_lettered > 0
        && report.is_success()
    {
        report.fail(&error);
    }
}
