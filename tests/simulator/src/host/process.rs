//! The program as a process: started with the host's environment, restarted by the host's rules,
//! and with every line that it writes kept. Knows nothing of invocations.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

/// How long a test waits for a line: longer than any run takes.
const LINE_LIMIT: Duration = Duration::from_mins(5);
/// How many exits with an error within [`RESTART_WINDOW`] stop the host.
const MOST_EXITS: usize = 3;
const RESTART_WINDOW: Duration = Duration::from_mins(30);
/// An exit code that the host answers with a restart that does not count.
const EXIT_RESTART: i32 = 200;

/// A line that the program wrote, with the level that the host gives it.
#[derive(Clone, Debug)]
pub struct Line {
    /// The level.
    pub level: Level,
    /// The text.
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

/// The state of the program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Running, after this many starts.
    Running(usize),
    /// Ended with exit code 0, after which the host does not restart it.
    Left,
    /// Ended with an error too often.
    Stopped,
}

/// All text that left the program: its output, and the body of every answer.
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

/// The running program. Dropping this ends it.
pub(super) struct Process {
    lines: Arc<Mutex<Vec<Line>>>,
    lines_seen: watch::Receiver<usize>,
    transcript: Transcript,
    state: watch::Receiver<State>,
    kill: mpsc::UnboundedSender<oneshot::Sender<()>>,
    id: watch::Receiver<u32>,
}

struct Supervisor {
    program: PathBuf,
    root: PathBuf,
    environment: Vec<(String, String)>,
    transcript: Transcript,
    lines: Arc<Mutex<Vec<Line>>>,
    lines_seen: watch::Sender<usize>,
    /// The id of the current process.
    process_id: watch::Sender<u32>,
}

impl Process {
    /// Starts a program of the folder `root`, which is to listen on this port.
    pub fn start(program: PathBuf, root: &Path, port: u16, settings: &[(String, String)]) -> Self {
        let (lines_seen, seen) = watch::channel(0);
        let supervisor = Supervisor {
            program,
            root: root.to_owned(),
            environment: environment(port, root, settings),
            transcript: Transcript::default(),
            lines: Arc::default(),
            lines_seen,
            process_id: watch::Sender::new(0),
        };
        let (state, state_seen) = watch::channel(State::Running(1));
        let (kill, kills) = mpsc::unbounded_channel();
        let process = Self {
            lines: Arc::clone(&supervisor.lines),
            lines_seen: seen,
            transcript: supervisor.transcript.clone(),
            state: state_seen,
            kill,
            id: supervisor.process_id.subscribe(),
        };
        let started = supervisor.spawn();
        tokio::spawn(supervise(supervisor, started, state, kills));
        process
    }

    /// Kills the program at once. Returns whether it is started again.
    pub async fn kill(&self) -> bool {
        let (done, killed) = oneshot::channel();
        self.kill.send(done).is_ok() && killed.await.is_ok()
    }

    /// Kills the program, and returns when it is gone.
    pub async fn stop(self) {
        let mut state = self.state.clone();
        drop(self);
        // The supervisor keeps the sender as long as the program runs.
        while state.changed().await.is_ok() {}
    }

    /// Asks the program to end.
    pub async fn terminate(&self) {
        let process = self.id.borrow().to_string();
        let mut kill = Command::new("kill");
        let status = kill.args(["-TERM", &process]).status().await;
        assert!(status.is_ok_and(|it| it.success()), "kill -TERM {process}");
    }

    /// Waits until the program has been started this many times.
    pub async fn wait_for_start(&self, number: usize) {
        let mut state = self.state.clone();
        let is_it = |it: &State| *it == State::Running(number);
        state
            .wait_for(is_it)
            .await
            .expect("the supervisor is there");
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    pub fn id(&self) -> u32 {
        *self.id.borrow()
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the program has written a line of this level that contains this text. Panics if
    /// that takes more than five minutes.
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

/// The environment that the host passes: the app settings, and how both reach each other.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The state after a program that runs this line of shell.
    async fn outcome_of(script: &str) -> State {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        let program = folder.path().join("program");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        // Copies in another process. If this one wrote the program, a child forked by another test
        // meanwhile would hold the file open for writing, and it could not be started ("Text file
        // busy").
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
