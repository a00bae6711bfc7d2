//! A strict **stand-in** for the Azure Functions host, which is not to be had here.
//!
//! It does what the real host (4.1037 and later) was seen to do: the environment it passes, the
//! probes, the chunked posts, what it takes for a success, which exits it answers with a restart.
//! Where the real host hangs (an empty success) or looks away, this one reports a failure.
//! It knows timers only, and fires them when it is told to.

mod files;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use self::files::{check_function, check_host, executable, function_timeout, functions, read_json};
use crate::azurite::free_port;

/// Bytes of a body that travel at once.
const PIECE: usize = 16 * 1024;
const PROBE_EVERY: Duration = Duration::from_millis(25);
const STARTUP_LIMIT: Duration = Duration::from_secs(30);
/// How long a test waits for a line: longer than any run may take.
const LINE_LIMIT: Duration = Duration::from_mins(5);
/// Exits with an error within [`RESTART_WINDOW`] that stop the host.
const MOST_EXITS: usize = 3;
const RESTART_WINDOW: Duration = Duration::from_mins(30);
/// An exit that the host answers with a restart without counting it.
const EXIT_RESTART: i32 = 200;

/// The folder that is deployed: `host.json`, the program, a folder for each function.
#[derive(Debug)]
pub struct AppRoot {
    folder: TempDir,
}

impl AppRoot {
    /// Lays `program` out with `host.json` and the functions of the project in `source`.
    pub fn assemble(source: &Path, program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = |name: &Path| {
            let to = folder.path().join(name);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(source.join(name), to)
                .unwrap_or_else(|error| panic!("{} is missing: {error}", name.display()));
        };
        copy(Path::new("host.json"));
        for function in functions(source) {
            copy(&Path::new(&function).join("function.json"));
        }
        let host_json = read_json(&source.join("host.json"));
        let executable = executable(&host_json);
        std::os::unix::fs::symlink(program, folder.path().join(executable)).expect("a link");
        Self { folder }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A line that the program wrote, with the level that the host gives it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its text.
    pub text: String,
}

/// The levels that the host tells apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// Standard output.
    Information,
    /// Standard error, where the line contains "warn".
    Warning,
    /// Standard error.
    Error,
}

/// What the host makes of an invocation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It succeeded.
    Success {
        /// The lines of the answer's `Logs`.
        logs: Vec<String>,
        /// The answer's `ReturnValue`.
        return_value: Value,
    },
    /// It failed, for this reason. Of the answer nothing is kept, as the real host keeps nothing.
    Failure(String),
}

impl Outcome {
    /// The answer's `ReturnValue`; panics on a failure.
    pub fn report(self) -> Value {
        match self {
            Self::Success { return_value, .. } => return_value,
            Self::Failure(reason) => panic!("the invocation failed: {reason}"),
        }
    }

    /// The reason of a failure; panics on a success.
    pub fn failure(self) -> String {
        match self {
            Self::Failure(reason) => reason,
            Self::Success { return_value, .. } => panic!("it succeeded: {return_value}"),
        }
    }
}

/// What has become of the program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Started so many times, and answering.
    Running(usize),
    /// Ended with exit code 0, after which the host does not start it again.
    Left,
    /// Ended with an error too often.
    Stopped,
}

/// The stand-in, with the program under it.
pub struct FunctionsHost {
    http: reqwest::Client,
    url: String,
    /// The functions, each with the retries that its policy allows, if it has one.
    functions: BTreeMap<String, Option<u64>>,
    function_timeout: Duration,
    lines: Arc<Mutex<Vec<Line>>>,
    lines_seen: watch::Receiver<usize>,
    transcript: Transcript,
    state: watch::Receiver<State>,
    kill: mpsc::UnboundedSender<oneshot::Sender<()>>,
    process_id: watch::Receiver<u32>,
    startup: Duration,
}

/// All text that left the program: what it wrote, and every answer's body.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Arc<Mutex<String>>);

impl Transcript {
    /// Adds a piece of text.
    pub fn add(&self, text: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_str(text);
        all.push('\n');
    }

    /// The text so far.
    pub fn text(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Supervisor {
    program: PathBuf,
    root: PathBuf,
    environment: Vec<(String, String)>,
    transcript: Transcript,
    lines: Arc<Mutex<Vec<Line>>>,
    lines_seen: watch::Sender<usize>,
    /// Of the program as it runs now.
    process_id: watch::Sender<u32>,
}

impl FunctionsHost {
    /// Starts the program of a folder laid out for deployment, and returns when it answers.
    pub async fn start(root: &Path, app_settings: &[(String, String)]) -> Self {
        let host_json = read_json(&root.join("host.json"));
        check_host(&host_json);
        let functions = functions(root).into_iter().map(|function| {
            let retries = check_function(&read_json(&root.join(&function).join("function.json")));
            (function, retries)
        });
        let functions = functions.collect();
        let port = free_port().await;
        let (lines_seen, seen) = watch::channel(0);
        let supervisor = Supervisor {
            program: root.join(executable(&host_json)),
            root: root.to_owned(),
            environment: environment(port, root, app_settings),
            transcript: Transcript::default(),
            lines: Arc::default(),
            lines_seen,
            process_id: watch::Sender::new(0),
        };
        let process_id = supervisor.process_id.subscribe();
        let lines = Arc::clone(&supervisor.lines);
        let transcript = supervisor.transcript.clone();
        let (state, state_seen) = watch::channel(State::Running(1));
        let (kill, kills) = mpsc::unbounded_channel();

        let started = Instant::now();
        let process = supervisor.spawn();
        tokio::spawn(supervise(supervisor, process, state, kills));

        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut host = Self {
            http: reqwest::Client::new(),
            url: format!("http://127.0.0.1:{port}"),
            functions,
            function_timeout: function_timeout(&host_json),
            lines,
            lines_seen: seen,
            transcript,
            state: state_seen,
            kill,
            process_id,
            startup: Duration::ZERO,
        };
        host.wait_until_it_answers(started).await;
        host.startup = started.elapsed();
        host
    }

    /// Time from the program's start to its first answer.
    pub fn startup(&self) -> Duration {
        self.startup
    }

    /// Fires the timer of `function` and waits for what comes of the first attempt. The real host
    /// makes further ones by the function's retry policy; here that is for the test to do.
    pub async fn fire(&self, function: &str) -> Outcome {
        let Some(retries) = self.functions.get(function) else {
            panic!("no folder {function} with a function.json is deployed");
        };
        let status = json!({
            "Last": "0001-01-01T00:00:00",
            "Next": Utc::now().to_rfc3339_opts(SecondsFormat::Secs, false),
            "LastUpdated": "0001-01-01T00:00:00",
        });
        let timer = json!({"Schedule": {"AdjustForDST": true}, "ScheduleStatus": status,
                           "IsPastDue": false});
        let mut metadata = json!({"sys": {"MethodName": function, "UtcNow": Utc::now(),
                                      "RandGuid": "8ef9d137-4a9e-4b77-8148-2a456f7968d2"}});
        if let Some(retries) = retries {
            metadata["RetryContext"] = json!({"RetryCount": 0, "MaxRetryCount": retries,
                                              "Exception": null, "Instance": null, "State": {}});
        }
        let body = json!({"Data": {"timer": timer}, "Metadata": metadata});
        self.post(function, body.to_string()).await
    }

    /// Posts any body to `function` as the host does, and judges the answer as the host does.
    pub async fn post(&self, function: &str, body: String) -> Outcome {
        let answer = tokio::time::timeout(self.function_timeout, self.send(function, body)).await;
        match answer {
            Ok(Ok((status, content_type, body))) => judge(status, content_type.as_deref(), &body),
            Ok(Err(error)) => Outcome::Failure(format!("the program did not answer: {error}")),
            Err(_) => {
                self.kill().await;
                Outcome::Failure("functionTimeout: the program was killed".into())
            }
        }
    }

    /// Posts as the host does, and answers with what came back: status, content type, body.
    pub async fn send(
        &self,
        function: &str,
        body: String,
    ) -> reqwest::Result<(u16, Option<String>, Bytes)> {
        // A stream has no length, so the request is chunked, as the host's are.
        let body = Bytes::from(body);
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let pieces = (0..body.len()).step_by(PIECE).map({
            let body = body.clone();
            move |from| {
                let piece = body.slice(from..body.len().min(from + PIECE));
                counter.fetch_add(piece.len(), Ordering::Relaxed);
                std::io::Result::Ok(piece)
            }
        });
        let response = self
            .http
            .post(format!("{}/{function}", self.url))
            .header("user-agent", "Azure-Functions-Host/4.1037.0")
            .header("x-azure-functions-hostversion", "4.1037.0")
            .header(
                "x-azure-functions-invocationid",
                "3f2b8c1e-5d6a-4e7f-9a0b-1c2d3e4f5a6b",
            )
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(reqwest::Body::wrap_stream(futures_util::stream::iter(
                pieces,
            )))
            .send()
            .await?;
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok()).map(Into::into);
        let status = response.status().as_u16();
        let sent = sent.load(Ordering::Relaxed);
        assert_eq!(
            sent,
            body.len(),
            "answered {status} before the body was read"
        );
        let body = response.bytes().await?;
        self.transcript.add(&String::from_utf8_lossy(&body));
        Ok((status, content_type, body))
    }

    /// `GET /`, as the host probes.
    pub async fn probe(&self) -> reqwest::Result<u16> {
        let response = self.http.get(&self.url).send().await?;
        Ok(response.status().as_u16())
    }

    /// Kills the program at once, as the host does in every case. Returns when it is started
    /// again and answers.
    pub async fn kill(&self) {
        let (done, killed) = oneshot::channel();
        if self.kill.send(done).is_ok() && killed.await.is_ok() {
            self.wait_until_it_answers(Instant::now()).await;
        }
    }

    /// Asks the program to end, as a platform does that is about to stop the whole machine.
    pub async fn terminate(&self) {
        let process = self.process_id.borrow().to_string();
        let mut kill = Command::new("kill");
        let status = kill.args(["-TERM", &process]).status().await;
        assert!(status.is_ok_and(|it| it.success()), "kill -TERM {process}");
    }

    /// Waits until the program has been started so many times, and answers.
    pub async fn wait_for_start(&self, number: usize) {
        let mut state = self.state.clone();
        let is_it = |it: &State| *it == State::Running(number);
        state
            .wait_for(is_it)
            .await
            .expect("the supervisor is there");
        self.wait_until_it_answers(Instant::now()).await;
    }

    /// What has become of the program.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// All text that leaves the program, as it grows.
    pub fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    /// What the program has written so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the program has written a line of this level that contains this text. Panics if
    /// it does not within five minutes.
    pub async fn wait_for_line(&self, level: Level, text: &str) -> Line {
        let mut seen = self.lines_seen.clone();
        let written = async {
            loop {
                seen.mark_unchanged();
                let is_it = |line: &Line| line.level == level && line.text.contains(text);
                if let Some(line) = self.lines().into_iter().find(is_it) {
                    return line;
                }
                seen.changed().await.expect("the supervisor is there");
            }
        };
        let written = tokio::time::timeout(LINE_LIMIT, written).await;
        written.unwrap_or_else(|_| panic!("{text} was not written, but {:?}", self.lines()))
    }

    async fn wait_until_it_answers(&self, started: Instant) {
        while self.probe().await.is_err() {
            assert!(
                started.elapsed() < STARTUP_LIMIT,
                "the program did not answer within 30 s; it wrote: {:?}",
                self.lines()
            );
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }
}

/// Keeps the program running by the host's rules, until the host is dropped.
async fn supervise(
    supervisor: Supervisor,
    mut process: Child,
    state: watch::Sender<State>,
    mut kills: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
) {
    let mut starts = 1;
    let mut exits: Vec<Instant> = Vec::new();
    loop {
        let mut done = None;
        tokio::select! {
            status = process.wait() => {
                let code = status.as_ref().ok().and_then(ExitStatus::code);
                if code == Some(0) {
                    state.send_replace(State::Left);
                    return;
                }
                if code != Some(EXIT_RESTART) {
                    exits.retain(|exit| exit.elapsed() < RESTART_WINDOW);
                    exits.push(Instant::now());
                }
                if exits.len() >= MOST_EXITS {
                    state.send_replace(State::Stopped);
                    return;
                }
            }
            kill = kills.recv() => {
                let _ = process.kill().await;
                match kill {
                    Some(kill) => done = Some(kill),
                    None => return,
                }
            }
        }
        process = supervisor.spawn();
        starts += 1;
        state.send_replace(State::Running(starts));
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

impl Supervisor {
    fn spawn(&self) -> Child {
        let mut process = Command::new(&self.program)
            .current_dir(&self.root)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("starting {}: {error}", self.program.display()));
        self.process_id.send_replace(process.id().expect("it runs"));
        let stdout = process.stdout.take().expect("a pipe");
        let stderr = process.stderr.take().expect("a pipe");
        self.record(stdout, |_| Level::Information);
        self.record(stderr, |line| {
            if line.to_lowercase().contains("warn") {
                Level::Warning
            } else {
                Level::Error
            }
        });
        process
    }

    fn record(
        &self,
        pipe: impl AsyncRead + Send + Unpin + 'static,
        level: impl Fn(&str) -> Level + Send + 'static,
    ) {
        let lines = Arc::clone(&self.lines);
        let transcript = self.transcript.clone();
        let seen = self.lines_seen.clone();
        tokio::spawn(async move {
            let mut read = BufReader::new(pipe).lines();
            while let Ok(Some(text)) = read.next_line().await {
                transcript.add(&text);
                let level = level(&text);
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push(Line { level, text });
                let count = lines.len();
                drop(lines);
                seen.send_replace(count);
            }
        });
    }
}

fn judge(status: u16, content_type: Option<&str>, body: &[u8]) -> Outcome {
    let fail = |reason: String| Outcome::Failure(reason);
    if !(200..300).contains(&status) {
        return fail(format!("status {status}"));
    }
    if status == 204 || body.is_empty() || body == b"null" {
        return fail(format!(
            "status {status} with {} bytes: the real host would hang until functionTimeout",
            body.len()
        ));
    }
    let is_json = content_type.is_some_and(|it| it.split(';').next() == Some("application/json"));
    if !is_json {
        return fail(format!("content type {content_type:?}"));
    }
    let Ok(Value::Object(answer)) = serde_json::from_slice::<Value>(body) else {
        return fail("the body is not a JSON object".into());
    };
    let field = |name: &str| {
        let field = answer
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        field.map_or(&Value::Null, |(_, value)| value)
    };
    let unknown = answer.keys().find(|key| {
        let known = ["Outputs", "Logs", "ReturnValue"];
        !known.iter().any(|name| key.eq_ignore_ascii_case(name))
    });
    if let Some(unknown) = unknown {
        return fail(format!("the body has a field {unknown}"));
    }
    if !matches!(field("Outputs"), Value::Object(outputs) if outputs.is_empty()) {
        return fail("Outputs names bindings that the function does not have".into());
    }
    let logs: Option<Vec<String>> = match field("Logs") {
        Value::Null => Some(Vec::new()),
        Value::Array(lines) => lines.iter().map(|it| it.as_str().map(Into::into)).collect(),
        _ => None,
    };
    match logs {
        Some(logs) => Outcome::Success {
            logs,
            return_value: field("ReturnValue").clone(),
        },
        None => fail("Logs is not a list of strings".into()),
    }
}

/// What the host passes: the app settings, and how to reach each other.
fn environment(port: u16, root: &Path, app_settings: &[(String, String)]) -> Vec<(String, String)> {
    let port = port.to_string();
    let root = root.display().to_string();
    let id = "0b9c1f3e-2f4d-4c5b-8a6e-7d8f9a0b1c2d".to_owned();
    let mut environment = app_settings.to_vec();
    for (name, value) in [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", &port),
        ("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", &id),
        ("FUNCTIONS_HTTPWORKER_PORT", &port),
        ("FUNCTIONS_HTTPWORKER_WORKER_ID", &id),
        ("FUNCTIONS_APP_ROOT_PATH", &root),
    ] {
        environment.push((name.to_owned(), value.clone()));
    }
    environment
}

/// Where Cargo put a binary of this workspace: beside the test or program that is running.
pub fn built(name: &str) -> PathBuf {
    let current = std::env::current_exe().expect("a program");
    let mut folder = current.parent().expect("a folder");
    if folder.file_name() == Some(OsStr::new("deps")) {
        folder = folder.parent().expect("a folder");
    }
    folder.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json");

    #[test]
    fn a_success_needs_json_with_something_in_it() {
        let good = br#"{"outputs":{},"LOGS":["a"],"ReturnValue":1}"#;
        assert_eq!(judge(200, JSON, good).report(), 1);
        for (status, content_type, body) in [
            (500, JSON, &good[..]),
            (204, None, b""),
            (200, JSON, b""),
            (200, JSON, b"null"),
            (200, Some("text/plain"), good),
            (200, None, good),
            (200, JSON, b"{"),
            (200, JSON, br#"{"Outputs":{},"Logs":[1]}"#),
            (200, JSON, br#"{"Outputs":{"queue":1}}"#),
        ] {
            judge(status, content_type, body).failure();
        }
    }

    /// What becomes of a program that does this, one line of shell.
    async fn outcome_of(script: &str) -> State {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        let program = folder.path().join("program");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        // By another process: a child that another test forks while this one has the program open
        // for writing would keep it from being started ("Text file busy").
        let mut install = std::process::Command::new("install");
        install.args(["-m", "755"]).arg(&text).arg(&program);
        assert!(install.status().unwrap().success());
        let supervisor = Supervisor {
            program,
            root: folder.path().to_owned(),
            environment: Vec::new(),
            transcript: Transcript::default(),
            lines: Arc::default(),
            lines_seen: watch::Sender::new(0),
            process_id: watch::Sender::new(0),
        };
        let (state, seen) = watch::channel(State::Running(1));
        let (_kill, kills) = mpsc::unbounded_channel();
        let process = supervisor.spawn();
        supervise(supervisor, process, state, kills).await;
        seen.borrow().clone()
    }

    #[tokio::test]
    async fn a_program_that_ends_well_is_not_started_again() {
        assert_eq!(outcome_of("exit 0").await, State::Left);
    }

    #[tokio::test]
    async fn the_third_bad_end_stops_the_host_and_a_wish_to_restart_does_not_count() {
        assert_eq!(outcome_of("exit 1").await, State::Stopped);
        let wishes = "echo x >>n; [ $(wc -l <n) -gt 5 ] && exit 0; exit 200";
        let path = format!("PATH=/usr/bin:/bin; {wishes}");
        assert_eq!(outcome_of(&path).await, State::Left);
    }
}
