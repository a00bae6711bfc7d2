//! The proof of arrival for a destination. Records missing from the table are delivered again, once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::layers::Built;
use super::{App, Layers, Route};
use crate::arrival::{self, Proof, WORKSPACE, Workspace};
use crate::azure::cloud::Cloud;
use crate::destination::{KINDS, Kind, Tools};
use crate::net::retry::Deadline;
use crate::record::LogId;
use crate::report::{Report, label};
use crate::run::{Stretch, StretchLedger, Until};
use crate::settings::SettingsError;
use crate::state::{ArrivalStore, Found, Timing};

impl Layers {
    /// Whether `ARRIVAL` is on.
    pub fn proves_arrival(&self) -> bool {
        let timing = self.read(arrival::timing);
        timing.is_ok_and(|it| it.is_some())
    }

    /// The proof of arrival for this destination; `None` if `ARRIVAL` is off or it fills no table.
    pub(super) fn proof(
        &self,
        kind: &Kind,
        built: &Built,
        timing: Option<Timing>,
        tools: &Tools,
        store: ArrivalStore,
    ) -> Option<Proof> {
        let (timing, cloud) = timing.zip(built.destination.table())?;
        let workspace = self.workspace(kind.name, arrival::SETTINGS[0], cloud, tools);
        let query = workspace.map(|it| it.query(&tools.http, &tools.jitter));
        let label = label(self.tenant.as_deref(), kind.name);
        Some(Proof::new(label, store, timing, query, &tools.clock))
    }

    /// The workspace whose table a destination of this name fills. If the setting belongs to another
    /// destination in use, the rows in that workspace are the other's, and prove nothing of this one.
    pub(super) fn workspace(
        &self,
        destination: &str,
        wanted_by: &'static str,
        cloud: &'static Cloud,
        tools: &Tools,
    ) -> Result<Workspace, SettingsError> {
        if let Some(owner) = self.owner_of_workspace().filter(|it| *it != destination) {
            let problem = format!(
                "is the workspace of {owner}, and {destination} fills the table of another one, which is \
                 not queried while both are named"
            );
            return self.read(|it| it.problem(WORKSPACE, &problem));
        }
        let (http, clock) = (&tools.http, &tools.clock);
        self.read(|it| arrival::workspace(it, wanted_by, cloud, http, clock))
    }

    /// The destination in use to which the setting of the workspace belongs, if there is one.
    fn owner_of_workspace(&self) -> Option<&'static str> {
        // A bad setting is reported where its destinations are built.
        let in_use = self.kinds_in_use().unwrap_or_default();
        let mut owners = KINDS.iter().filter(|it| it.settings.contains(&WORKSPACE));
        owners
            .find(|it| in_use.contains(&it.name))
            .map(|it| it.name)
    }
}

impl App {
    /// Settles what the look at the table found, and adds it to the report of the run made at the
    /// same time.
    pub(super) async fn prove(
        &self,
        route: &Route,
        proof: &Proof,
        mut report: Report,
        found: &[Found],
        deadline: Deadline,
    ) -> Report {
        let missing = proof.settle(found, &mut report, deadline).await;
        if !missing.is_empty() {
            self.send_again(route, proof, &missing, &mut report, deadline)
                .await;
        }
        proof.tell(&mut report, deadline).await;
        report
    }

    /// Delivers these records again, as a replay does, hour by hour: reading everything between two
    /// distant hours could take more time than there is. Other records of these hours count as skipped.
    /// If the replay does not finish, it is retried after the next look at the table, but not without end
    /// if what it delivers does not arrive, and not before the hours that had no turn because of it. Until
    /// then the records stay missing, so the run fails, unless it only had no time or requests left for them.
    async fn send_again(
        &self,
        route: &Route,
        proof: &Proof,
        missing: &BTreeSet<LogId>,
        report: &mut Report,
        deadline: Deadline,
    ) {
        let (mut done, mut delivered) = (BTreeSet::new(), 0);
        let (mut problems, mut in_part) = (BTreeSet::new(), BTreeSet::new());
        let mut stuck_hour = None;
        for (hour, ids) in proof.turns(missing, deadline).await {
            let again = self.deliver_again(route, &ids, Some(deadline.remaining()));
            let again = again.await;
            report.count_in(&again);
            // `before_start` here counts the records between the missing ones, not records older than
            // `START_FROM`.
            report.before_start -= again.before_start;
            report.skipped += again.before_start;
            if again.caught_up {
                for error in &again.errors {
                    warn!(
                        "{}: delivering missing records again: {error}",
                        route.stores.label
                    );
                }
                delivered += again.delivered;
                done.extend(ids);
                continue;
            }
            if again.delivered > 0 {
                in_part.extend(ids);
            }
            problems.extend(again.errors);
            // If all records of an hour are refused, others may be accepted. Any other failure would
            // repeat itself.
            if !again.refuses_all {
                stuck_hour = Some(hour);
                break;
            }
        }
        if !done.is_empty() {
            proof.send_again(&done, delivered, deadline).await;
        }
        if !in_part.is_empty() {
            proof.send_part_again(&in_part, deadline).await;
        }
        if let Some(hour) = stuck_hour {
            proof.note_stuck(hour, deadline).await;
        }
        let left: BTreeSet<_> = missing.difference(&done).cloned().collect();
        // A run that has not read the log to its end had no time to spare, and says so. Nor is it
        // anybody's fault that the rate limit leaves no request.
        let is_held_up = *self.stopping.borrow() || self.tenant.is_closed_for(deadline.remaining());
        let had_time = report.caught_up && !is_held_up;
        if left.is_empty() || problems.is_empty() && !had_time {
            return;
        }
        if problems.is_empty() {
            problems.insert("the time of the run was over; a longer RUN_BUDGET helps".to_owned());
        }
        let why = problems.into_iter().collect::<Vec<_>>().join("; ");
        proof.keep_missing(&left, why, report, deadline).await;
    }

    /// Reads these records again and delivers them, as a replay does.
    pub(super) async fn deliver_again(
        &self,
        route: &Route,
        ids: &BTreeSet<LogId>,
        budget: Option<Duration>,
    ) -> Report {
        let Some(stretch) = Stretch::of(ids) else {
            return Report::of(&route.stores.label);
        };
        let _reading = route.source.begin_until(stretch.read_until());
        let source = Until::of(&route.source, &stretch);
        let mut ledger = StretchLedger::new(&stretch, (self.clock)()).only(ids);
        let share = self.memory.enter();
        let run = self.run(route, &source, &route.stores.dead_letters, &share, budget);
        let progress = watch::Sender::new(Report::of(&route.stores.label));
        Box::pin(run.make(&mut ledger, &progress)).await
    }
}
