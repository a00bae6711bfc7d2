//! A tenant, destinations for its records and a folder, with the binary between them.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use auth0_poller::table::{Api, schema};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;
use simulator::arrivals::{Arrivals, Table};
use simulator::host::Transcript;
use simulator::rule::{Rule, Type};
use simulator::{
    AppRoot, AwsAccount, Blobs, DataCollectionRule, EntraId, EventBus, EventGridTopic,
    FunctionsHost, Issuer, ManagedIdentity, Sts, Tenant, TinybirdWorkspace, Workspace, identity,
    tenant,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The function, by the name of its folder.
pub const FUNCTION: &str = "Auth0Poller";

/// Makes [`Sink`] and the macro `for_each_destination` from the destinations under test. Each has a
/// module for its tests, a variant, and its name in the setting `DESTINATIONS`.
macro_rules! destinations {
    // The first is a dollar sign. Without it a macro cannot write one into the macro that it makes.
    ($d:tt $($module:ident: $sink:ident = $name:literal),+ $(,)?) => {
        /// A destination under test.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Sink {
            $($sink),+
        }

        impl Sink {
            pub const ALL: &[Self] = &[$(Self::$sink),+];

            /// Its name in the setting `DESTINATIONS`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$sink => $name),+
                }
            }
        }

        /// Makes a test for each destination from each of these functions of a [`Sink`].
        macro_rules! for_each_destination {
            ($d($d test:ident),+ $d(,)?) => {
                $(
                    mod $module {
                        $d(
                            #[tokio::test]
                            async fn $d test() {
                                super::$d test(crate::world::Sink::$sink).await;
                            }
                        )+
                    }
                )+
            };
        }
        pub(crate) use for_each_destination;
    };
}

destinations![$
    log_analytics: LogAnalytics = "log-analytics",
    logs_ingestion: LogsIngestion = "logs-ingestion",
    event_grid: EventGrid = "event-grid",
    event_bridge: EventBridge = "event-bridge",
    tinybird: Tinybird = "tinybird",
    archive: Archive = "archive",
];

/// Makes a test for each API of the table from each of these functions of a [`Sink`].
macro_rules! for_each_table {
    ($($test:ident),+ $(,)?) => {
        mod log_analytics {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::world::Sink::LogAnalytics).await;
                }
            )+
        }
        mod logs_ingestion {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::world::Sink::LogsIngestion).await;
                }
            )+
        }
    };
}
pub(crate) use for_each_table;

/// Makes a test for each service that may refuse a record for its content from each of these
/// functions of a [`Sink`].
macro_rules! for_each_judge {
    ($($test:ident),+ $(,)?) => {
        crate::world::for_each_table![$($test),+];
        mod event_grid {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::world::Sink::EventGrid).await;
                }
            )+
        }
        mod event_bridge {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::world::Sink::EventBridge).await;
                }
            )+
        }
        mod tinybird {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(crate::world::Sink::Tinybird).await;
                }
            )+
        }
    };
}
pub(crate) use for_each_judge;

impl Sink {
    /// How many small records land twice when an acknowledgement is lost.
    pub fn repeats(self) -> usize {
        match self {
            Self::LogAnalytics | Self::LogsIngestion | Self::Tinybird => 1_000,
            Self::EventGrid => 5_000,
            Self::Archive => 0,
            Self::EventBridge => 10,
        }
    }

    /// What the service says about a post that it cannot read.
    pub fn refusal(self) -> &'static str {
        match self {
            Self::LogAnalytics => "InvalidDataFormat",
            Self::LogsIngestion => "InvalidPayload",
            Self::EventGrid => "BadRequest",
            Self::Archive => panic!("it judges no record"),
            Self::Tinybird => "invalid NDJSON",
            Self::EventBridge => "MalformedDetail",
        }
    }

    /// The status that tells that the service is away for a while.
    pub fn passing_failure(self) -> u16 {
        match self {
            Self::LogAnalytics
            | Self::LogsIngestion
            | Self::EventGrid
            | Self::EventBridge
            | Self::Archive => 500,
            // A 500 of Tinybird's is not retried.
            Self::Tinybird => 503,
        }
    }

    /// The API of a destination that is a table.
    pub fn api(self) -> Api {
        match self {
            Self::LogAnalytics => Api::DataCollector,
            Self::LogsIngestion => Api::LogsIngestion,
            Self::EventGrid | Self::EventBridge | Self::Archive | Self::Tinybird => {
                panic!("it has no table")
            }
        }
    }
}

pub struct World {
    pub tenant: Tenant,
    pub workspace: Workspace,
    pub rule: DataCollectionRule,
    pub topic: EventGridTopic,
    pub archive: Blobs,
    pub tinybird: TinybirdWorkspace,
    pub bus: EventBus,
    /// Where the app's identity gets AWS credentials, and the account that they belong to.
    pub sts: Sts,
    pub aws: AwsAccount,
    /// The app's identity. The rule takes its tokens.
    pub identity: ManagedIdentity,
    /// The issuer of those tokens.
    pub issuer: Issuer,
    /// Where records go, unless a test names other destinations.
    pub sink: Sink,
    /// The working directory of commands.
    pub folder: TempDir,
    pub settings: Vec<(String, String)>,
    secrets: Vec<String>,
    app_root: AppRoot,
    transcripts: Mutex<Vec<Transcript>>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The report that `poll` printed, or another JSON value.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reports of two destinations.
    pub fn reports(&self) -> [Value; 2] {
        self.all_reports().try_into().unwrap()
    }

    /// The reports of all destinations.
    pub fn all_reports(&self) -> Vec<Value> {
        let reports = serde_json::Deserializer::from_str(&self.stdout).into_iter();
        let reports: Result<Vec<_>, _> = reports.collect();
        reports.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> i32 {
        self.status.code().unwrap()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_for(Sink::LogAnalytics).await
    }

    pub async fn start_for(sink: Sink) -> Self {
        // Counts in tests are easier to read without the event of the token itself.
        let options = tenant::Options {
            token_events: false,
            ..tenant::Options::default()
        };
        Self::new(sink, options).await
    }

    pub async fn with(options: tenant::Options) -> Self {
        Self::new(Sink::LogAnalytics, options).await
    }

    async fn new(sink: Sink, options: tenant::Options) -> Self {
        let tenant = Tenant::with(options).await;
        let workspace = Workspace::start().await;
        let issuer = Issuer::default();
        let aws = AwsAccount::default();
        let streams = [
            ("Auth0AM_CL", rule(schema::stream(), schema::table())),
            (
                "Auth0AMHealth_CL",
                rule(schema::health_stream(), schema::health_table()),
            ),
        ];
        let rule = DataCollectionRule::start(streams, issuer.clone()).await;
        let identity = ManagedIdentity::with(identity::Options {
            issuer: issuer.clone(),
            ..identity::Options::default()
        });
        let identity = identity.await;
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints").display().to_string();
        let mut world = Self {
            secrets: [
                workspace.secrets(),
                ManagedIdentity::secrets(),
                EntraId::secrets(),
                EventGridTopic::secrets(),
                Blobs::secrets(),
                TinybirdWorkspace::secrets(),
                AwsAccount::secrets(),
            ]
            .concat(),
            settings: tenant.settings(),
            tenant,
            workspace,
            rule,
            topic: EventGridTopic::start(issuer.clone()).await,
            archive: Blobs::start().await,
            tinybird: TinybirdWorkspace::start().await,
            bus: EventBus::start(aws.clone()).await,
            sts: Sts::start(aws.clone(), issuer.clone()).await,
            aws,
            identity,
            issuer,
            sink,
            folder,
            app_root: AppRoot::assemble(Path::new(env!("CARGO_MANIFEST_DIR")), &binary()),
            transcripts: Mutex::default(),
        };
        world.set("CHECKPOINT_DIR", &checkpoints);
        world.deliver_to(&[sink]);
        world
    }

    /// Sets the destinations, and the settings that they need.
    pub fn deliver_to(&mut self, sinks: &[Sink]) {
        let names: Vec<_> = sinks.iter().map(|it| it.name()).collect();
        self.set("DESTINATIONS", &names.join(","));
        for sink in sinks {
            match sink {
                Sink::LogAnalytics => self.set_all(self.workspace.settings()),
                Sink::LogsIngestion => {
                    self.set_all(self.rule.settings());
                    self.set_all(self.identity.environment());
                }
                Sink::EventGrid => self.set_all(self.topic.settings()),
                Sink::Archive => self.set_all(self.archive.settings()),
                Sink::Tinybird => self.set_all(self.tinybird.settings()),
                Sink::EventBridge => self.set_all(self.bus.settings()),
            }
        }
    }

    /// What arrived at the destination under test.
    pub fn arrivals(&self) -> &Arrivals {
        self.arrivals_at(self.sink)
    }

    pub fn arrivals_at(&self, sink: Sink) -> &Arrivals {
        match sink {
            Sink::LogAnalytics => &self.workspace,
            Sink::LogsIngestion => &self.rule,
            Sink::EventGrid => &self.topic,
            Sink::Archive => &self.archive,
            Sink::Tinybird => &self.tinybird,
            Sink::EventBridge => &self.bus,
        }
    }

    /// The table at the destination under test.
    pub fn table(&self) -> Table {
        self.arrivals().table("Auth0AM_CL")
    }

    pub fn set_all(&mut self, settings: Vec<(String, String)>) {
        for (name, value) in settings {
            self.set(&name, &value);
        }
    }

    /// Sets an app setting. A blank value unsets it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(existing, _)| existing != name);
        self.settings.push((name.into(), value.into()));
    }

    /// An app setting, or an empty text.
    pub fn setting(&self, name: &str) -> &str {
        let mut settings = self.settings.iter();
        settings
            .find(|(existing, _)| existing == name)
            .map_or("", |(_, value)| value)
    }

    /// Adds secrets that must not appear in any output.
    pub fn keep_secret(&mut self, secrets: Vec<String>) {
        self.secrets.extend(secrets);
    }

    /// The checkpoint as it is stored.
    pub async fn checkpoint(&self) -> Value {
        let show = self.command(&["checkpoint", "show", "--json"]).await;
        assert_eq!(show.code(), 0, "{show:?}");
        show.report()
    }

    /// The file of a destination's checkpoint.
    pub fn checkpoint_file(&self, sink: Sink) -> PathBuf {
        self.kept("checkpoints", &format!("{}.json", sink.name()))
    }

    /// The file of a destination's history.
    pub fn history_file(&self, sink: Sink) -> PathBuf {
        self.kept("history", &format!("{}.json", sink.name()))
    }

    /// The file with what a destination acknowledged lately.
    pub fn arrival_file(&self, sink: Sink) -> PathBuf {
        self.kept("arrival", &format!("{}.json", sink.name()))
    }

    /// The file of the dead letter with this name.
    pub fn dead_letter_file(&self, sink: Sink, name: &str) -> PathBuf {
        self.kept("dead-letter", &format!("{}/{name}.json", sink.name()))
    }

    /// The file with this name in one of the tenant's folders.
    fn kept(&self, what: &str, name: &str) -> PathBuf {
        let tenant = self.tenant.settings()[0].1.replace("http://", "");
        let folder = self.folder.path().join("checkpoints").join(what);
        folder.join(tenant.replace(':', "_")).join(name)
    }

    /// Starts the binary under the simulated Functions host.
    pub async fn host(&self) -> FunctionsHost {
        let host = FunctionsHost::start(self.app_root.path(), &self.settings).await;
        self.transcripts.lock().unwrap().push(host.transcript());
        host
    }

    /// Runs a command of the binary to its end.
    pub async fn command(&self, arguments: &[&str]) -> Ran {
        self.end_of(self.start_command(arguments)).await
    }

    /// Starts a command of the binary.
    pub fn start_command(&self, arguments: &[&str]) -> Child {
        Command::new(binary())
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Sends a command the signal `INT` or `TERM` and waits for its end, which must come well
    /// before the command's own timeouts.
    pub async fn end(&self, signal: &str, command: Child) -> Ran {
        self.ask_to_end(signal, &command).await;
        let ran = timeout(Duration::from_secs(15), self.end_of(command));
        ran.await.expect("it goes on")
    }

    /// Sends the signal without waiting.
    pub async fn ask_to_end(&self, signal: &str, command: &Child) {
        let process = command.id().unwrap().to_string();
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(process);
        assert!(kill.status().await.unwrap().success());
    }

    /// Waits for the end of a command.
    pub async fn end_of(&self, command: Child) -> Ran {
        let output = command.wait_with_output().await.unwrap();
        let ran = Ran {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let transcript = Transcript::default();
        transcript.add(&ran.stdout);
        transcript.add(&ran.stderr);
        self.transcripts.lock().unwrap().push(transcript);
        ran
    }

    /// Makes a run that succeeds, and returns its report.
    pub async fn poll(&self) -> Value {
        let ran = self.command(&["poll"]).await;
        assert!(ran.status.success(), "{ran:?}");
        ran.report()
    }

    /// Asserts that the table holds every record of the tenant, each once.
    pub fn assert_all_landed_once(&self) {
        self.assert_all_landed_once_at(self.sink);
    }

    pub fn assert_all_landed_once_at(&self, sink: Sink) {
        let mut landed = self.arrivals_at(sink).landed();
        landed.sort();
        assert!(
            landed == self.tenant.log_ids(),
            "lost or repeated: {sink:?}"
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let secrets = [self.secrets.clone(), self.tenant.secrets()].concat();
        for transcript in self.transcripts.lock().unwrap().iter() {
            let text = transcript.text();
            for secret in &secrets {
                assert!(!text.contains(secret), "{secret} was written:\n{text}");
            }
        }
        assert_eq!(
            self.rule.losses(),
            [],
            "lost although the answer was a success"
        );
    }
}

/// The rule with its streams and tables as they are declared to Azure.
fn rule(stream: Vec<schema::Declared>, table: Vec<schema::Declared>) -> Rule {
    let columns = |declared: Vec<schema::Declared>| {
        let named = declared.into_iter();
        named.map(|it| (it.name, Type::named(&it.kind.to_ascii_lowercase())))
    };
    let table = columns(table);
    let guids = table.clone().filter(|(_, kind)| *kind == Type::Guid);
    Rule {
        to_guid: guids.map(|(name, _)| name).collect(),
        stream: columns(stream).collect(),
        table: table.collect(),
    }
}

pub fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_auth0-poller").into()
}

pub fn minutes_ago(minutes: i64) -> DateTime<Utc> {
    now() - chrono::Duration::minutes(minutes)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the world's clock is the real one"
)]
pub fn now() -> DateTime<Utc> {
    // Auth0 writes milliseconds.
    Utc::now().trunc_subsecs(3)
}

/// The numbers of a report, in the order of the names.
pub fn numbers<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| {
        report[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {report}"))
    })
}
