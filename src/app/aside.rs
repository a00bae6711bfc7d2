//! Fails a run that delivers nothing and sets everything aside, as the runs before it did. By itself such a
//! run proves nothing: in a quiet tenant each run has only one record.

use crate::net::retry::Deadline;
use crate::report::{OnlySetAside, Report};
use crate::state::HistoryStore;

/// Fails the run if several records were set aside since one was last delivered.
pub(super) async fn judge_set_aside(
    history: &HistoryStore,
    report: &mut Report,
    deadline: Deadline,
) {
    let is_taken = report.delivered + report.quarantined > 0;
    if is_taken || report.dead_lettered == 0 || !report.is_success() {
        return;
    }
    let count = report.dead_lettered + history.only_set_aside(deadline).await;
    if let Some(error) = OnlySetAside::find(count) {
        report.fail(&error);
    }
}
