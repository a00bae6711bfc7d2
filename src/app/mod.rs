//! The only wiring: builds from the settings what the commands and the host's functions use.
//!
//! [`Tenants`] holds the settings of each tenant. A command that makes no run takes what it needs
//! from each tenant's [`Layers`]. [`App`] is one complete tenant, and [`Apps`] all of them. If the
//! settings of one tenant or destination are bad, only that one fails.

mod anchor;
mod apps;
mod arrival;
mod audit;
mod health;
mod heartbeat;
mod layers;
mod lazy;
mod misspelt;
mod oldest;
mod pipeline;
mod replay;
mod rounds;
mod tenants;
mod turn;
mod undelivered;

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use self::anchor::anchor;
pub(crate) use self::apps::Apps;
pub(crate) use self::audit::Audit;
use self::heartbeat::note_run;
use self::layers::Problems;
pub use self::layers::setting_names;
pub(crate) use self::layers::{Layers, Stores};
pub(crate) use self::lazy::LazyApp;
use self::pipeline::{Configured, Maker};
pub(crate) use self::pipeline::{Pipeline, Route};
pub(crate) use self::replay::{Origin, Replay};
use self::rounds::Rounds;
pub(crate) use self::tenants::Tenants;
use self::turn::Turns;
use self::undelivered::{judge_undelivered, repeat_undelivered};
use crate::arrival::Noting;
use crate::auth0::{ForeignDomain, RunGuard, Tenant};
use crate::clock::{self, Clock};
use crate::error::BoxError;
use crate::net::retry::{Deadline, Jitter};
use crate::report::{Panicked, Report};
use crate::run::{MemoryBudget, Policy, Run, Share, Watched};
use crate::settings::SettingsError;
use crate::state::Counting;
use crate::storage::Storage;

/// Checks app settings as the Functions host would use them. Returns the destinations, or all
/// problems in one sentence.
pub fn judge_settings(
    settings: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<&'static str>, String> {
    let settings = settings.into_iter().collect();
    let layers = Layers::new(settings, Purpose::Host, clock::system(), Jitter::random());
    let stopping = watch::channel(false).1;
    let apps = Apps::new(&Tenants::read(&layers), &stopping).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for member in apps.members {
        for pipeline in member.app.map_err(|it| it.error.to_string())?.pipelines {
            pipeline.route.map_err(|problem| problem.to_string())?;
            names.push(pipeline.name);
        }
    }
    Ok(names)
}

/// Who uses the settings, which decides which ones are allowed.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// The Functions host, which puts standard output into its log.
    Host,
    /// A person at a terminal, who may name other destinations than the configured ones.
    CommandLine {
        /// Their names, separated by commas.
        destination: Option<String>,
    },
}

/// Why the app cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// Settings are missing or bad.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something else.
    #[error(transparent)]
    Other(#[from] BoxError),
}

/// One tenant, ready to work. Building it sends no request.
pub(crate) struct App {
    /// Its name, if there are several tenants.
    pub name: Option<String>,
    /// The tenant to read from.
    pub tenant: Tenant,
    /// The storage for checkpoints and dead letters.
    pub storage: Arc<Storage>,
    /// One pipeline per destination.
    pub pipelines: Vec<Pipeline>,
    /// Why the tenant's domain may be mistyped, if there is a reason.
    pub doubt: Option<ForeignDomain>,
    /// When a run last reported that.
    told: Mutex<Option<DateTime<Utc>>>,
    /// Its name in heartbeats, if they are sent.
    heartbeat_name: Option<String>,
    policy: Policy,
    /// For what the runs of the process hold in memory.
    memory: MemoryBudget,
    turns: Turns,
    clock: Clock,
    stopping: watch::Receiver<bool>,
}

impl App {
    /// Builds what a tenant's settings describe. Runs end early once `stopping` is true.
    ///
    /// An error reports all problems. If only some of the destinations have bad settings, there is
    /// no error: their runs report the problems.
    pub fn new(layers: &Layers, stopping: watch::Receiver<bool>) -> Result<Self, AppError> {
        let mut problems = Problems::default();
        let tenant = problems.note(layers.tenant())?;
        let mut later = Problems::default();
        let tools = layers.tools(&mut later)?;
        let named = later.note(layers.named())?.unwrap_or_default();
        let storage = later.note(layers.storage(&tools))?;
        let policy = later.note(layers.policy())?;
        let timing = later.note(layers.read(crate::arrival::timing))?.flatten();
        let has_heartbeats = later.note(layers.heartbeat())?.unwrap_or_default();

        let configured: Vec<Configured> = named
            .into_iter()
            .map(|named| named.map(|kind| (kind, layers.build(kind, &tools))))
            .collect();
        let is_any_good = configured.iter().flatten().any(|(_, it)| it.is_ok());
        let is_good = problems.0.is_empty() && later.0.is_empty() && is_any_good;
        let (Some(settings), Some(storage), Some(policy), true) =
            (tenant, storage, policy, is_good)
        else {
            for configured in configured {
                problems.note(configured.and_then(|(_, built)| built))?;
            }
            problems.0.add(later.0);
            return Err(problems.0.into());
        };

        let tenant = Tenant::new(
            tools.http.clone(),
            settings.domain.url.clone(),
            settings.credentials,
            layers.shared.pages.clone(),
            layers.clock.clone(),
            layers.jitter.clone(),
        );
        let maker = Maker {
            layers,
            tools: &tools,
            domain: &settings.domain,
            storage: &storage,
            tenant: &tenant,
            timing,
        };
        let pipelines = configured.into_iter().map(|it| maker.pipeline(it));
        Ok(Self {
            name: layers.tenant.clone(),
            pipelines: pipelines.collect(),
            doubt: settings.doubt,
            told: Mutex::default(),
            heartbeat_name: has_heartbeats.then(|| layers.tenant_name()),
            tenant,
            storage,
            policy,
            memory: layers.shared.memory.clone(),
            turns: Turns::default(),
            clock: layers.clock.clone(),
            stopping,
        })
    }

    /// Completes this work; `None` if the process is asked to stop before it is done.
    async fn unless_asked_to_end<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            // In this order, so that completed work counts.
            biased;
            done = work => Some(done),
            Ok(_) = stopping.wait_for(|it| *it) => None,
        }
    }

    /// Makes concurrent runs for each destination. Runs at the same position share each page that is
    /// fetched: none of them reads before all have begun, because a run reads its checkpoint first.
    ///
    /// Nothing runs before the future is polled, but the whole app counts as working from this call
    /// on.
    fn runs(&self, rounds: &Rounds) -> impl Future<Output = Vec<Report>> {
        self.turns.begin();
        // All pipelines, before the first one reads.
        let begun: Vec<_> = self
            .pipelines
            .iter()
            .map(|pipeline| (pipeline, rounds.begin(), pipeline.begin_reading()))
            .collect();
        let runs = begun.into_iter().map(|(pipeline, round, reading)| {
            let (mut reading, mut is_first) = (reading, true);
            round.repeat(self.policy.budget, &self.stopping, move |budget| {
                let reading = reading.take().or_else(|| pipeline.begin_reading());
                let is_first = std::mem::take(&mut is_first);
                self.run_or_panic(pipeline, reading, budget, is_first)
                    .boxed()
            })
        });
        let runs: Vec<_> = runs.collect();
        async move {
            if let Some(doubt) = self.doubt_to_tell() {
                warn!("{doubt}");
            }
            let runs = join_all(runs).await.into_iter().flatten();
            runs.flatten().collect()
        }
    }

    /// Runs one destination. A panic ends this run, but not those of other destinations. Returns
    /// `None` for a run that is not the first of the invocation and had no turn.
    async fn run_or_panic(
        &self,
        pipeline: &Pipeline,
        reading: Option<RunGuard>,
        budget: Duration,
        is_first: bool,
    ) -> Option<Report> {
        let (began, deadline) = (Instant::now(), Deadline::after(budget));
        // The progress of an earlier run is not this run's.
        pipeline.progress.send_replace(Report::of(&pipeline.label));
        let wanted_at = reading.as_ref().map(RunGuard::began);
        let run = self.run_one(pipeline, deadline, is_first, wanted_at);
        let run = AssertUnwindSafe(run).catch_unwind();
        let report = run.await.unwrap_or_else(|_| {
            let mut report = pipeline.progress.borrow().clone();
            report.fail(&Panicked);
            Some(report)
        });
        // Other runs need not wait for this reader while the result is stored.
        drop(reading);
        let mut report = self.signed(report?, pipeline);
        report.rate_limit = self.tenant.rate_limit();
        report.took_since(began);
        // If the checkpoint could not be read, nothing else is requested from the storage.
        let stores = pipeline.stores().filter(|it| !it.checkpoints.is_away());
        let history = stores.map(|it| &it.history);
        // Looking at records is not monitored.
        let sink = self.heartbeat_sink().filter(|_| !pipeline.is_for_a_look);
        // Of a run that set nothing aside only a heartbeat and a warning tell that.
        let judged = stores.filter(|_| pipeline.route.is_ok());
        let is_judged = report.dead_lettered > 0 || sink.is_some();
        if let Some(stores) = judged.filter(|_| is_judged) {
            judge_undelivered(stores, &mut report, deadline).await;
        }
        let now = (self.clock)();
        note_run(history, sink, &report, now, deadline).await;
        if let Some(stores) = judged {
            repeat_undelivered(stores, &mut report, deadline).await;
        }
        Some(report)
    }

    /// The report with its tenant and destination.
    fn signed(&self, report: Report, pipeline: &Pipeline) -> Report {
        Report {
            tenant: self.name.clone(),
            destination: pipeline.name.to_owned(),
            ..report
        }
    }

    /// The doubt about the domain, if it is due: in the first run of the process, and then once a day.
    fn doubt_to_tell(&self) -> Option<&ForeignDomain> {
        let doubt = self.doubt.as_ref()?;
        let now = (self.clock)();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| now - told >= TimeDelta::days(1));
        is_due.then(|| {
            *told = Some(now);
            doubt
        })
    }

    async fn run_one(
        &self,
        pipeline: &Pipeline,
        deadline: Deadline,
        is_first: bool,
        wanted_at: Option<DateTime<Utc>>,
    ) -> Option<Report> {
        let route = match &pipeline.route {
            Ok(route) => route,
            Err(problem) => {
                return Some(
                    self.cannot_run(pipeline, problem, wanted_at, deadline)
                        .await,
                );
            }
        };
        let share = match self.turns.wait(&self.memory, deadline).await {
            Ok(share) => share,
            Err(_) if !is_first => return None,
            Err(error) => {
                self.turns.miss();
                let report = self.cannot_run(pipeline, &error, wanted_at, deadline);
                return Some(report.await);
            }
        };
        let (source, dead_letters) = (&route.source, &route.stores.dead_letters);
        let budget = Some(deadline.remaining());
        let run = self.run(route, source, dead_letters, &share, budget);
        let checkpoints = &route.stores.checkpoints;
        // The run may have waited for its turn, and the pages that it shares did not wait.
        let ledger = anchor::ledger(checkpoints, self.policy, &self.clock, wanted_at);
        let counting = Counting::new(&route.stores.history, &self.clock);
        let ledger = Watched::new(ledger, counting);
        let mut ledger = Watched::new(ledger, Noting::new(route.proof.as_ref()));
        let run = Box::pin(run.make(&mut ledger, &pipeline.progress));
        let Some(proof) = &route.proof else {
            return Some(run.await);
        };
        let look = self.unless_asked_to_end(proof.look(deadline));
        let (report, found) = tokio::join!(run, look);
        // What it could not note is told in the report.
        drop(ledger);
        let found = found.unwrap_or_default();
        let proved = self.prove(route, proof, report, &found, deadline);
        Some(Box::pin(proved).await)
    }

    /// The report of a destination whose settings are bad, or whose run got no turn since `wanted_at`.
    async fn cannot_run(
        &self,
        pipeline: &Pipeline,
        problem: &(dyn Error + Send + Sync + 'static),
        wanted_at: Option<DateTime<Utc>>,
        deadline: Deadline,
    ) -> Report {
        let mut report = Report::default();
        report.fail(problem);
        if let Some(stores) = pipeline.stores() {
            let (checkpoints, policy) = (&stores.checkpoints, self.policy);
            let anchor = anchor(checkpoints, policy, &self.clock, wanted_at, deadline);
            report.gap = self.unless_asked_to_end(anchor).await.flatten();
        }
        report
    }

    /// A run to a destination, from this source, with this place for what cannot be delivered.
    fn run<'a, S, A>(
        &'a self,
        route: &'a Route,
        source: &'a S,
        dead_letters: &'a A,
        share: &'a Share,
        budget: Option<Duration>,
    ) -> Run<'a, S, A> {
        Run {
            label: &route.stores.label,
            source,
            destination: &*route.destination,
            filter: &route.filter,
            dead_letters,
            share,
            pace: &route.pace,
            clock: &self.clock,
            stopping: &self.stopping,
            budget,
        }
    }
}

#[cfg(test)]
mod tests;
