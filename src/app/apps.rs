//! The apps of all tenants, run concurrently and independently of each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::watch;
use tracing::{Instrument as _, error_span};

use super::anchor::anchor;
use super::heartbeat::{HeartbeatSink, note_run};
use super::rounds::Rounds;
use super::tenants::{Named, Tenants};
use super::{App, AppError, Layers, Stores};
use crate::clock::Clock;
use crate::destination::Destination;
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::report::Report;
use crate::run::Policy;
use crate::settings::{SettingsError, UNKNOWN};

/// Time limit for recording that a tenant cannot work.
const TELLING: Duration = Duration::from_secs(5);

/// One tenant, or why it cannot work.
pub(crate) struct Member {
    /// Its name, if there are several tenants.
    pub name: Option<String>,
    pub app: Result<App, Unable>,
}

/// A tenant that cannot work.
pub(crate) struct Unable {
    pub error: AppError,
    /// Its destinations and their stores, as far as they are known.
    destinations: Vec<(&'static str, Option<Stores>)>,
    /// Where its first run is to begin.
    beginning: Option<Policy>,
    clock: Option<Clock>,
    /// The tenant's name in heartbeats, and the destination that takes them.
    heartbeats: Option<(String, Box<dyn Destination>)>,
}

/// All tenants, including those that cannot work.
pub(crate) struct Apps {
    pub members: Vec<Member>,
    /// The index of the tenant that came first at the last invocation.
    first: AtomicUsize,
}

impl Apps {
    /// Builds each tenant's app. An error means that none can work.
    pub fn new(tenants: &Tenants, stopping: &watch::Receiver<bool>) -> Result<Self, AppError> {
        let apps = Self::of(tenants, stopping);
        match apps.problem() {
            None => Ok(apps),
            Some(problem) => Err(problem),
        }
    }

    /// Builds each tenant's app, as far as possible.
    pub(super) fn of(tenants: &Tenants, stopping: &watch::Receiver<bool>) -> Self {
        Self::of_some(tenants.members.iter(), stopping)
    }

    /// What [`unable`](Self::unable) would tell if the tenants that it tells of were built again. They are
    /// the same tenants as before.
    pub(super) fn again(
        &self,
        tenants: &Tenants,
        stopping: &watch::Receiver<bool>,
    ) -> Vec<(String, String)> {
        let each = self.members.iter().zip(&tenants.members);
        let unable = each.filter(|(member, _)| !member.is_able());
        Self::of_some(unable.map(|(_, named)| named), stopping).unable()
    }

    fn of_some<'a>(
        named: impl Iterator<Item = &'a Named>,
        stopping: &watch::Receiver<bool>,
    ) -> Self {
        let members = named.map(|Named { name, layers }| {
            let app = match layers {
                Ok(layers) => {
                    App::new(layers, stopping.clone()).map_err(|error| Unable::with(layers, error))
                }
                Err(problem) => Err(Unable::without_layers(problem.clone().into())),
            };
            Member {
                name: name.clone(),
                app,
            }
        });
        Self {
            members: members.collect(),
            first: AtomicUsize::new(0),
        }
    }

    /// Why no tenant can work; `None` if one can.
    pub(super) fn problem(&self) -> Option<AppError> {
        if self.able().next().is_some() {
            return None;
        }
        let mut problems = SettingsError::default();
        let mut others: Vec<(String, Vec<&str>)> = Vec::new();
        for member in &self.members {
            match &member.app {
                Ok(_) => {}
                Err(Unable {
                    error: AppError::Settings(problem),
                    ..
                }) => problems.add(problem.clone()),
                Err(Unable {
                    error: AppError::Other(error),
                    ..
                }) => {
                    let (text, name) = (with_causes(&**error), member.name.as_deref());
                    match others.iter_mut().find(|(it, _)| *it == text) {
                        Some((_, names)) => names.extend(name),
                        None => others.push((text, name.into_iter().collect())),
                    }
                }
            }
        }
        if others.is_empty() {
            return Some(problems.into());
        }
        let others = others.into_iter().map(|(text, names)| match &names[..] {
            [] => text,
            [name] => format!("{name}: {text}"),
            [name, other] => format!("{name} and {other}: {text}"),
            [name, more @ ..] => format!("{name} and {} more: {text}", more.len()),
        });
        let problems = (!problems.is_empty()).then(|| problems.to_string());
        let told: Vec<_> = others.chain(problems).collect();
        Some(AppError::Other(told.join("; ").into()))
    }

    /// The apps that can work.
    pub fn able(&self) -> impl Iterator<Item = &App> {
        self.members.iter().filter_map(|it| it.app.as_ref().ok())
    }

    /// The tenants and destinations that cannot work, and why.
    pub fn unable(&self) -> Vec<(String, String)> {
        let mut unable = Vec::new();
        for member in &self.members {
            match &member.app {
                Ok(app) => unable.extend(app.pipelines.iter().filter_map(|it| {
                    let problem = it.route.as_ref().err()?;
                    Some((it.label.clone(), problem.to_string()))
                })),
                Err(Unable { error, .. }) => {
                    let name = member.name.clone().unwrap_or_default();
                    unable.push((name, error.to_string()));
                }
            }
        }
        unable
    }

    /// Makes one run per tenant and destination.
    pub async fn run_once(&self) -> Vec<Report> {
        self.run(&Rounds::one()).await
    }

    /// Makes a run per tenant and destination, and repeats those that end early.
    pub async fn run_in_rounds(&self) -> Vec<Report> {
        let budgets = self.able().map(|app| app.policy.budget);
        let longest = budgets.max().unwrap_or(Duration::ZERO);
        self.run(&Rounds::within(longest)).await
    }

    async fn run(&self, rounds: &Rounds) -> Vec<Report> {
        let first = self.first_to_have_a_turn();
        let runs = self.members.iter().map(|member| match &member.app {
            Ok(app) => app.labelled(app.runs(rounds)).left_future(),
            Err(unable) => unable.reports(member.name.as_deref()).right_future(),
        });
        let mut runs: Vec<_> = runs.collect();
        runs.rotate_left(first);
        let mut reports = join_all(runs).await;
        reports.rotate_right(first);
        reports.into_iter().flatten().collect()
    }

    /// The index of the next tenant, after the last first one, that missed its turn. So each gets a
    /// turn eventually, even if there are never enough for all. If none did, the order stays: in another,
    /// those that hang could take all turns again.
    fn first_to_have_a_turn(&self) -> usize {
        let has_missed = |it: &Member| it.app.as_ref().is_ok_and(|app| app.turns.has_missed());
        let (count, last) = (self.members.len(), self.first.load(Ordering::Relaxed));
        let mut others = (1..count).map(|it| (last + it) % count);
        let first = others.find(|at| has_missed(&self.members[*at]));
        let first = first.unwrap_or(last);
        self.first.store(first, Ordering::Relaxed);
        first
    }
}

impl App {
    /// Runs this work with the tenant's name in front of every log line, if there are several.
    pub fn labelled<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        match &self.name {
            Some(name) => work
                .instrument(error_span!("tenant", message = %name))
                .left_future(),
            None => work.right_future(),
        }
    }
}

impl Member {
    /// Whether all of it can work.
    fn is_able(&self) -> bool {
        let app = self.app.as_ref();
        app.is_ok_and(|app| app.pipelines.iter().all(|it| it.route.is_ok()))
    }
}

impl Unable {
    fn with(layers: &Layers, error: AppError) -> Self {
        let each = layers.stores_of_each().into_iter();
        let heartbeats = layers.heartbeat_destination();
        Self {
            error,
            destinations: each.map(|(name, stores)| (name, stores.ok())).collect(),
            beginning: layers.beginning(),
            clock: Some(layers.clock.clone()),
            heartbeats: heartbeats.map(|it| (layers.tenant_name(), it)),
        }
    }

    fn without_layers(error: AppError) -> Self {
        Self {
            error,
            destinations: vec![(UNKNOWN, None)],
            beginning: None,
            clock: None,
            heartbeats: None,
        }
    }

    /// The reports of the tenant of this name.
    async fn reports(&self, tenant: Option<&str>) -> Vec<Report> {
        let each = self.destinations.iter();
        let reports = each.map(async |(destination, stores)| {
            let mut report = Report::of(destination);
            report.tenant = tenant.map(str::to_owned);
            report.fail(&self.error);
            if let Some(clock) = &self.clock {
                let history = stores.as_ref().map(|it| &it.history);
                let sink = self.heartbeats.as_ref().and_then(|(tenant, destination)| {
                    let table = destination.heartbeats()?;
                    Some(HeartbeatSink { tenant, table })
                });
                let deadline = Deadline::after(TELLING);
                if let Some((stores, policy)) = stores.as_ref().zip(self.beginning) {
                    report.gap = anchor(&stores.checkpoints, policy, clock, None, deadline).await;
                }
                note_run(history, sink, &report, clock(), deadline).await;
            }
            report
        });
        join_all(reports).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(errors: Vec<(Option<&str>, AppError)>) -> Apps {
        let members = errors.into_iter().map(|(name, error)| Member {
            name: name.map(str::to_owned),
            app: Err(Unable::without_layers(error)),
        });
        Apps {
            members: members.collect(),
            first: AtomicUsize::new(0),
        }
    }

    fn other(text: &str) -> AppError {
        AppError::Other(text.into())
    }

    fn setting(name: &str) -> AppError {
        SettingsError::new(name.to_owned(), "is missing").into()
    }

    #[test]
    fn what_keeps_every_tenant_from_working_is_told_with_their_names() {
        let told = |errors| apps(errors).problem().unwrap().to_string();
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        assert_eq!(
            told(vec![(None, other("no certificates"))]),
            "no certificates"
        );
        assert_eq!(
            told(vec![(a, other("no certificates")), (b, other("no room"))]),
            "a: no certificates; b: no room"
        );
        let same = || other("no certificates");
        assert_eq!(
            told(vec![(a, same()), (b, same())]),
            "a and b: no certificates"
        );
        assert_eq!(
            told(vec![(a, same()), (b, same()), (c, same())]),
            "a and 2 more: no certificates"
        );
        assert_eq!(
            told(vec![(a, setting("A__DOMAIN")), (b, same())]),
            "b: no certificates; a setting needs attention: A__DOMAIN is missing"
        );
        assert_eq!(
            told(vec![(a, setting("A__DOMAIN")), (b, setting("B__DOMAIN"))]),
            "2 settings need attention: A__DOMAIN is missing; B__DOMAIN is missing"
        );
    }
}
