//! A strict **stand-in** for the Azure Functions host, which cannot be installed here.
//!
//! It does what the real host (4.1037 and later) was observed to do: the environment that it
//! passes, the probes, the chunked posts, the answers that count as success, and the exits that
//! lead to a restart. Where the real host hangs (an empty success) or is lenient, this one reports
//! a failure. Timers and retries happen when a test asks for them. HTTP triggers work without
//! request forwarding.
//!
//! Its posts were compared, member by member, with recordings of 4.1037: a timer's first tick and
//! later ones, past due, by *Run now*, and with a retry policy; HTTP triggers with GET and HEAD, a
//! key in a header and in the query, a query name that comes twice, and a route parameter that is
//! present or absent. The treatment of answers was compared too: a failure keeps only the reason
//! phrase, which the next attempt finds in its `Exception`. Stack traces are made up. Two headers
//! differ: `accept`, which this HTTP client always sends, and `traceparent`, which the recording
//! lacks, but which the real host sends once Application Insights is on.

mod answer;
mod app_root;
mod files;
mod function;
mod handler;
mod http;
mod invocation;
mod process;
mod route;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;

pub use self::answer::Outcome;
pub use self::app_root::{AppRoot, built};
pub use self::handler::Received;
pub use self::http::{Call, KEY, Reply};
pub use self::process::{Level, Line, State, Transcript};

use self::answer::Answer;
use self::files::{check_host, executable, function_timeout, functions, read_json};
use self::function::{Deployed, Trigger};
use self::handler::Handler;
use self::invocation::{Attempt, Invocation, Schedule, Why};
use self::process::Process;
use crate::azurite::free_port;

const PROBE_EVERY: Duration = Duration::from_millis(2);
const STARTUP_LIMIT: Duration = Duration::from_secs(30);

/// The stand-in, and the program that it runs.
pub struct FunctionsHost {
    functions: BTreeMap<String, Deployed>,
    /// When each timer last ran.
    schedules: Mutex<BTreeMap<String, Schedule>>,
    function_timeout: Duration,
    handler: Handler,
    process: Process,
    startup: Duration,
}

impl FunctionsHost {
    /// Starts the program in a folder that is laid out for deployment, and returns once it answers.
    pub async fn start(root: &Path, app_settings: &[(String, String)]) -> Self {
        let host_json = read_json(&root.join("host.json"));
        check_host(&host_json);
        let functions = functions(root).into_iter().map(|name| {
            let function = read_json(&root.join(&name).join("function.json"));
            let function = Deployed::read(&name, &function, app_settings);
            (name, function)
        });
        let functions = functions.collect();
        let port = free_port().await;
        let program = root.join(executable(&host_json));

        let started = Instant::now();
        let process = Process::start(program, root, port, app_settings);
        let mut host = Self {
            functions,
            schedules: Mutex::default(),
            function_timeout: function_timeout(&host_json),
            handler: Handler::at(format!("http://127.0.0.1:{port}"), process.transcript()),
            process,
            startup: Duration::ZERO,
        };
        host.wait_until_it_answers(started).await;
        host.startup = started.elapsed();
        host
    }

    /// The time from the program's start to its first answer.
    pub fn startup(&self) -> Duration {
        self.startup
    }

    /// Fires the timer of `function`, and returns the outcome of the first attempt.
    pub async fn fire(&self, function: &str) -> Outcome {
        let (tick, _) = self.tick(function, Why::OnTime);
        self.invoke(function, &tick, &[]).await.into()
    }

    /// Like [`fire`](Self::fire), but as the host does right after its start, if it was down for
    /// longer than a tick since the timer last ran.
    pub async fn fire_past_due(&self, function: &str) -> Outcome {
        let (tick, _) = self.tick(function, Why::PastDue);
        self.invoke(function, &tick, &[]).await.into()
    }

    /// Fires the timer of `function`. While that fails, retries by its policy, but without the
    /// delay. Returns the outcome of each attempt.
    pub async fn fire_and_retry(&self, function: &str) -> Vec<Outcome> {
        let (mut tick, retries) = self.tick(function, Why::OnTime);
        let most = retries.unwrap_or_default();
        let mut outcomes = Vec::new();
        for number in 0..=most {
            if let Some(Outcome::Failure(failure)) = outcomes.last() {
                tick = tick.again(function, Attempt { number, most }, failure);
            }
            let outcome = Outcome::from(self.invoke(function, &tick, &[]).await);
            let is_done = matches!(outcome, Outcome::Success { .. });
            outcomes.push(outcome);
            if is_done {
                break;
            }
        }
        outcomes
    }

    /// *Run now* of the portal. It works beside a running invocation, and for a disabled function.
    pub async fn run_now(&self, function: &str) -> Outcome {
        let (binding, _) = self.timer(function);
        let run = Invocation::run_now(function, binding, self.schedule(function));
        self.invoke(function, &run, &[]).await.into()
    }

    /// Calls the app from outside.
    pub async fn call(&self, call: Call) -> Reply {
        let invoke = async |function: &str, invocation: Invocation, output: &str| {
            self.invoke(function, &invocation, &[output]).await
        };
        http::reply(&self.functions, &call, invoke).await
    }

    /// Posts any body to `function` and judges the answer, both as the host does.
    pub async fn post(&self, function: &str, body: String) -> Outcome {
        let invocation = Invocation::new(body);
        self.invoke(function, &invocation, &[]).await.into()
    }

    /// Posts as the host does, and returns what came back.
    pub async fn send(&self, function: &str, body: String) -> reqwest::Result<Received> {
        self.handler.send(function, &Invocation::new(body)).await
    }

    async fn invoke(
        &self,
        function: &str,
        invocation: &Invocation,
        outputs: &[&str],
    ) -> Result<Answer, String> {
        let answer = self.handler.invoke(function, invocation, outputs);
        let in_time = tokio::time::timeout(self.function_timeout, answer).await;
        if let Ok(judged) = in_time {
            return judged;
        }
        self.kill().await;
        Err("functionTimeout: the program was killed".into())
    }

    /// The name of a timer's binding, and how many retries its policy allows.
    fn timer(&self, function: &str) -> (&str, Option<u64>) {
        match self.functions.get(function).map(|it| &it.trigger) {
            Some(Trigger::Timer { binding, retries }) => (binding, *retries),
            Some(Trigger::Http(_)) => panic!("{function} is no timer"),
            None => panic!("no folder {function} with a function.json is deployed"),
        }
    }

    fn schedule(&self, function: &str) -> Schedule {
        let schedules = self.schedules.lock();
        let schedules = schedules.unwrap_or_else(PoisonError::into_inner);
        schedules.get(function).copied().unwrap_or_default()
    }

    /// The first attempt of a timer's next tick, and how many retries may follow.
    fn tick(&self, function: &str, why: Why) -> (Invocation, Option<u64>) {
        let (binding, retries) = self.timer(function);
        let is_disabled = self.functions[function].is_disabled;
        assert!(!is_disabled, "the host fires no timer that is disabled");
        let schedule = self.schedule(function);
        let attempt = retries.map(|most| Attempt { number: 0, most });
        let tick = Invocation::timer(function, binding, (schedule, why), attempt);
        let schedules = self.schedules.lock();
        let mut schedules = schedules.unwrap_or_else(PoisonError::into_inner);
        let last = Some(Utc::now());
        schedules.insert(function.to_owned(), Schedule { last });
        (tick, retries)
    }

    /// Sends the host's probe, `GET /`.
    pub async fn probe(&self) -> reqwest::Result<u16> {
        self.handler.probe().await
    }

    /// Kills the program at once, as the host does in every case. Returns when it was started again
    /// and answers.
    pub async fn kill(&self) {
        if self.process.kill().await {
            self.wait_until_it_answers(Instant::now()).await;
        }
    }

    /// Asks the program to end, as a platform does before it stops the whole machine.
    pub async fn terminate(&self) {
        self.process.terminate().await;
    }

    /// Stops the host and its program, and returns when the program is gone.
    pub async fn stop(self) {
        self.process.stop().await;
    }

    /// Waits until the program has been started this many times, and answers.
    pub async fn wait_for_start(&self, number: usize) {
        self.process.wait_for_start(number).await;
        self.wait_until_it_answers(Instant::now()).await;
    }

    /// The state of the program.
    pub fn state(&self) -> State {
        self.process.state()
    }

    /// The id of the program's current process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The address at which the program listens.
    pub fn address(&self) -> &str {
        self.handler.address()
    }

    /// All text that leaves the program. It grows with time.
    pub fn transcript(&self) -> Transcript {
        self.process.transcript()
    }

    /// What the program has written so far.
    pub fn lines(&self) -> Vec<Line> {
        self.process.lines()
    }

    /// Waits until the program has written a line of this level that contains this text. Panics if
    /// that takes more than five minutes.
    pub async fn wait_for_line(&self, level: Level, text: &str) -> Line {
        self.process.wait_for_line(level, text).await
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
