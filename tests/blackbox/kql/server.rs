//! Processes of Node that run the tools in `tests/kql` for one request after another. Each loads
//! the language service once, which takes seconds, so a process serves many tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::NEEDED;

/// The processes without a request. They end with the tests, which hold the other end of their input.
static IDLE: Mutex<Vec<Server>> = Mutex::new(Vec::new());

/// What a tool would have ended with and printed as a command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

struct Server {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Runs a tool of this folder, in the process that was busy last of those that have nothing to do.
///
/// A process that gives no answer is not asked again.
pub(super) fn answer(tools: &Path, tool: &str, arguments: &[String]) -> Answer {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut server = idle.unwrap_or_else(|| Server::start(tools));
    let answer = server.ask(tool, arguments);
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    idle.push(server);
    answer
}

impl Server {
    fn start(tools: &Path) -> Self {
        let mut node = Command::new("node");
        node.arg(tools.join("serve.mjs"));
        node.stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = node.spawn();
        let mut process = process.unwrap_or_else(|error| panic!("{node:?}: {error}; {NEEDED}"));
        Self {
            requests: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn ask(&mut self, tool: &str, arguments: &[String]) -> Answer {
        let request = json!({"tool": tool, "arguments": arguments});
        let sent = writeln!(self.requests, "{request}");
        let mut line = String::new();
        let received = sent.and_then(|()| self.answers.read_line(&mut line));
        let answer = serde_json::from_str(&line);
        answer.unwrap_or_else(|error| {
            let ended = self.process.try_wait();
            panic!("{request}: {line:?} is no answer: {error}; {received:?}, {ended:?}")
        })
    }
}
