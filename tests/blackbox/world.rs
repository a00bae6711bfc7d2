//! A tenant, a workspace and a folder, with the binary between them.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;
use simulator::host::Transcript;
use simulator::{AppRoot, FunctionsHost, Tenant, Workspace, tenant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The function, by the name of its folder.
pub const FUNCTION: &str = "Auth0Poller";

pub struct World {
    pub tenant: Tenant,
    pub workspace: Workspace,
    /// The current folder of commands.
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
    /// The report that `poll` printed.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> i32 {
        self.status.code().unwrap()
    }
}

impl World {
    pub async fn start() -> Self {
        Self::with(tenant::Options {
            // Counts in tests are easier to read without the event of the token itself.
            token_events: false,
            ..tenant::Options::default()
        })
        .await
    }

    pub async fn with(options: tenant::Options) -> Self {
        let tenant = Tenant::with(options).await;
        let workspace = Workspace::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut settings = [tenant.settings(), workspace.settings()].concat();
        let checkpoints = folder.path().join("checkpoints").display().to_string();
        settings.push(("CHECKPOINT_DIR".into(), checkpoints));
        Self {
            secrets: workspace.secrets(),
            tenant,
            workspace,
            folder,
            settings,
            app_root: AppRoot::assemble(Path::new(env!("CARGO_MANIFEST_DIR")), &binary()),
            transcripts: Mutex::default(),
        }
    }

    /// Sets an app setting, or unsets it where the value is blank.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(existing, _)| existing != name);
        self.settings.push((name.into(), value.into()));
    }

    /// Something that must not appear either.
    pub fn keep_secret(&mut self, secrets: Vec<String>) {
        self.secrets.extend(secrets);
    }

    /// The binary under the stand-in for the Functions host.
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

    /// Makes a run that succeeds, and answers with its report.
    pub async fn poll(&self) -> Value {
        let ran = self.command(&["poll"]).await;
        assert!(ran.status.success(), "{ran:?}");
        ran.report()
    }

    /// Asserts that the table holds every record of the tenant, each once.
    pub fn assert_all_landed_once(&self) {
        let mut landed = self.workspace.landed();
        landed.sort();
        assert!(landed == self.tenant.log_ids(), "lost or repeated");
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
    }
}

pub fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_auth0-poller").into()
}

/// So many minutes before now.
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
