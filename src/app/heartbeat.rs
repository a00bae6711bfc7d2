//! `HEARTBEAT`: writes a row for each reported run into the workspace that gets the tenant's records.
//!
//! The history decides which runs are reported: each run that did something or failed, and one in ten
//! minutes of those that found nothing new.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{App, Layers, Problems, Purpose};
use crate::destination::{Destination, Heartbeats, KINDS, Kind, Probe};
use crate::error::with_causes;
use crate::health::State;
use crate::net::retry::Deadline;
use crate::report::Report;
use crate::settings::{SettingsError, values};
use crate::state::HistoryStore;
use crate::table::health::Heartbeat;

pub(super) const SETTING: &str = "HEARTBEAT";
/// Time limit for sending a heartbeat, before the grace period for its response. A run waits no longer.
const SENDING: Duration = Duration::from_secs(5);

/// Where a tenant's heartbeats go.
#[derive(Clone, Copy)]
pub(super) struct HeartbeatSink<'a> {
    /// The tenant's name in heartbeats.
    pub tenant: &'a str,
    pub table: &'a dyn Heartbeats,
}

impl Layers {
    /// Whether heartbeats are sent.
    pub(super) fn heartbeat(&self) -> Result<bool, SettingsError> {
        let is_on = self.read(|reader| {
            let is_on = reader.optional(SETTING, values::switch);
            Some(is_on.unwrap_or(false))
        })?;
        // An unknown name may be a misspelt destination that takes heartbeats. It is reported elsewhere.
        let may_take =
            |named: &Result<&Kind, _>| named.as_ref().map_or(true, |it| it.takes_heartbeats);
        let is_chosen_for_once = matches!(
            self.purpose,
            Purpose::CommandLine {
                destination: Some(_)
            }
        );
        if !is_on || is_chosen_for_once || self.named()?.iter().any(may_take) {
            return Ok(is_on);
        }
        let kinds = KINDS.into_iter().filter(|kind| kind.takes_heartbeats);
        let names = kinds.map(|kind| kind.name).collect::<Vec<_>>().join(" or ");
        let problem = format!(
            "is on, and heartbeats need {names}, which DESTINATIONS does not name: add one of them, or \
             set it to off"
        );
        self.read(|reader| reader.problem(SETTING, &problem))
    }

    /// For a tenant that cannot work, a destination that takes its heartbeats, if one can be built.
    pub(super) fn heartbeat_destination(&self) -> Option<Box<dyn Destination>> {
        if !self.heartbeat().ok()? {
            return None;
        }
        let tools = self.tools(&mut Problems::default()).ok()?;
        let named = self.named().ok()?.into_iter();
        let mut kinds = named.flatten().filter(|kind| kind.takes_heartbeats);
        kinds.find_map(|kind| Some(self.build(kind, &tools).ok()?.destination))
    }
}

impl App {
    /// Where the tenant's heartbeats go, if it sends any: the first destination that takes them and
    /// has good settings.
    pub(super) fn heartbeat_sink(&self) -> Option<HeartbeatSink<'_>> {
        let tenant = self.heartbeat_name.as_deref()?;
        let routes = self.pipelines.iter();
        let mut tables = routes.filter_map(|it| it.route.as_ref().ok()?.destination.heartbeats());
        Some(HeartbeatSink {
            tenant,
            table: tables.next()?,
        })
    }

    /// Tests whether heartbeats would be accepted, without storing one; `None` if none are sent, or if
    /// the test of the destination shows that too.
    pub(crate) async fn probe_heartbeats(&self, deadline: Deadline) -> Option<Probe> {
        self.heartbeat_sink()?.table.probe(deadline).await
    }
}

/// Records a finished run in its history and in a heartbeat. A failure here must not fail the run.
pub(super) async fn note_run(
    history: Option<&HistoryStore>,
    sink: Option<HeartbeatSink<'_>>,
    report: &Report,
    now: DateTime<Utc>,
    deadline: Deadline,
) {
    // Where no history tells whether an earlier error stands, a run that tells nothing is not told.
    let mut is_told = !report.is_quiet() && !report.tells_nothing();
    if let Some(history) = history {
        match history.add(report, now, deadline).await {
            Ok(was_told) => is_told = was_told,
            Err(error) => warn!("{}: {}", report.name(), with_causes(&error)),
        }
    }
    let Some(HeartbeatSink { tenant, table }) = sink.filter(|_| is_told) else {
        return;
    };
    // If the run could not read how many rows are lost, the history's number still holds, and so does what
    // is wrong if the run tells nothing.
    let (lost, is_failing) = match history {
        Some(history) => (
            history.lost().await.max(report.lost),
            report.tells_nothing() && history.has_standing_problem().await,
        ),
        None => (report.lost, false),
    };
    let state = if is_failing {
        State::Failing
    } else {
        State::after(report, lost)
    };
    let heartbeat = Heartbeat {
        tenant,
        state: state.name(),
        report,
        at: now,
    };
    let deadline = deadline.for_saving().within(SENDING);
    if let Err(error) = table.send(&heartbeat, deadline).await {
        let error = with_causes(&*error);
        warn!("{}: the heartbeat was not sent: {error}", report.name());
    }
}

#[cfg(test)]
mod tests;
