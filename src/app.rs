//! Builds, from the settings, what the commands work with.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{OnceCell, watch};

use crate::BoxError;
use crate::auth0::{LogReader, Tenant};
use crate::checkpoint::StoredCheckpoint;
use crate::clock::Clock;
use crate::dead_letter::StoredDeadLetters;
use crate::destination::log_analytics::LogAnalytics;
use crate::destination::logs_ingestion::LogsIngestion;
use crate::destination::stdout::Stdout;
use crate::destination::{AnyDestination, Destination as _};
use crate::host::Function;
use crate::http;
use crate::identity::Identity;
use crate::poll::Poller;
use crate::report::Report;
use crate::retry::{Deadline, Jitter};
use crate::settings::{DestinationSettings, Settings, SettingsError, StorageSettings};
use crate::storage::{Storage, azure, folder};

/// Time for a command that is no run: each of its steps is a request or two.
const COMMAND_BUDGET: Duration = Duration::from_secs(30);

/// What reaches one destination.
pub struct Pipeline {
    /// The run.
    pub poller: Poller<LogReader, AnyDestination, StoredCheckpoint, StoredDeadLetters>,
    progress: watch::Sender<Report>,
}

impl Pipeline {
    /// The report of the run under way, as it grows.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Report> {
        self.progress.subscribe()
    }
}

/// The program, ready to work. Making it speaks to nobody.
pub struct App {
    /// The tenant that is read.
    pub tenant: Tenant,
    /// Where checkpoints and dead letters are kept.
    pub storage: Arc<Storage>,
    /// One for each destination.
    pub pipelines: Vec<Pipeline>,
    clock: Clock,
}

impl App {
    /// Builds what the settings describe. Runs end early once `stopping` is true.
    pub fn new(
        settings: &Settings,
        clock: Clock,
        jitter: &Jitter,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Self, BoxError> {
        let http = http::client(settings.proxy.as_ref())?;
        let tenant = Tenant::new(
            http.clone(),
            settings.domain.clone(),
            settings.credentials.clone(),
            settings.destinations.len(),
            clock.clone(),
            jitter.clone(),
        );
        let storage = match &settings.storage {
            StorageSettings::Azure(account) => {
                let container = azure::Container::new(account, http.clone(), clock.clone())?;
                Storage::azure(container, jitter.clone())
            }
            StorageSettings::Folder(path) => {
                Storage::folder(folder::Folder::new(path.clone()), jitter.clone())
            }
        };
        let storage = Arc::new(storage);
        let writer = jitter.name();
        let pipelines = settings.destinations.iter().map(|destination| {
            let destination = match destination {
                DestinationSettings::LogAnalytics {
                    workspace_id,
                    key,
                    endpoint,
                } => AnyDestination::LogAnalytics(LogAnalytics::new(
                    workspace_id.clone(),
                    key.clone(),
                    endpoint,
                    settings.redaction,
                    http.clone(),
                    clock.clone(),
                    jitter.clone(),
                )),
                DestinationSettings::LogsIngestion {
                    stream,
                    resource,
                    principal,
                } => AnyDestination::LogsIngestion(Box::new(LogsIngestion::new(
                    stream.clone(),
                    Identity::new(http.clone(), principal.clone(), *resource, clock.clone()),
                    settings.redaction,
                    http.clone(),
                    jitter.clone(),
                ))),
                DestinationSettings::Stdout => {
                    AnyDestination::Stdout(Stdout::new(settings.redaction))
                }
            };
            let name = destination.name();
            let poller = Poller {
                source: tenant.reader(),
                checkpoints: StoredCheckpoint::new(
                    Arc::clone(&storage),
                    &settings.tenant,
                    name,
                    writer.clone(),
                ),
                dead_letters: StoredDeadLetters::new(
                    Arc::clone(&storage),
                    &settings.tenant,
                    name,
                    settings.redaction,
                ),
                destination,
                stopping: stopping.clone(),
                clock: clock.clone(),
                policy: settings.policy,
            };
            Pipeline {
                poller,
                progress: watch::Sender::new(Report::of(name)),
            }
        });
        Ok(Self {
            pipelines: pipelines.collect(),
            tenant,
            storage,
            clock,
        })
    }

    /// Makes one run for each destination, side by side. Where they stand at the same place, a page
    /// is fetched once: none of them reads before all have begun, since a run reads its checkpoint
    /// first.
    pub async fn run(&self) -> Vec<Report> {
        self.tenant.begin();
        let runs = self
            .pipelines
            .iter()
            .map(|pipeline| pipeline.poller.run(&pipeline.progress));
        join_all(runs).await
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// The end of a command that starts now and is no run.
    #[must_use]
    pub fn command_deadline() -> Deadline {
        Deadline::after(COMMAND_BUDGET)
    }
}

/// The timer function: [`App::run`], with the app made at the first invocation.
///
/// The host waits for the listener, so nothing slow may come before it, such as reading the
/// system's certificates; and it has to be answered even where the settings are of no use.
pub struct TimerFunction {
    settings: Result<Settings, SettingsError>,
    app: OnceCell<App>,
    clock: Clock,
    stopping: watch::Receiver<bool>,
}

impl TimerFunction {
    /// The function with these settings, good or bad.
    #[must_use]
    pub fn new(
        settings: Result<Settings, SettingsError>,
        clock: Clock,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            settings,
            app: OnceCell::new(),
            clock,
            stopping,
        }
    }

    async fn app(&self) -> Result<&App, BoxError> {
        let settings = self.settings.as_ref().map_err(SettingsError::clone)?;
        self.app
            .get_or_try_init(async || {
                let jitter = Jitter::random();
                App::new(settings, self.clock.clone(), &jitter, &self.stopping)
            })
            .await
    }
}

impl Function for TimerFunction {
    fn invoke(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<Report>, BoxError>> {
        Box::pin(async move { Ok(self.app().await?.run().await) })
    }
}
