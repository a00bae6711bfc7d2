//! Takes an invocation to its function, by name, and its answer back to the host. Knows no function:
//! what one does beside itself and beside others is its own affair.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde_json::Map;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{Instrument as _, error, error_span};

use super::protocol::{self, Completion, Function, Invocation};
use super::reason::reason;
use crate::error::with_causes;
use crate::report::Report;

/// Bytes of a body that are taken. The largest that the host has reason to send are those of
/// retries, with the exception of the attempt before and its stack traces: some kilobytes were
/// seen, megabytes would be a long chain of causes.
const MOST_BODY: usize = 16 * 1024 * 1024;
/// Time for a body to arrive. The host has it ready and sends it within one machine.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// The functions that there are, by name.
#[derive(Default)]
pub(crate) struct Functions {
    by_name: HashMap<&'static str, Arc<dyn Function>>,
    /// Each invocation has a receiver of it while it is at work.
    at_work: watch::Sender<()>,
}

/// Tells whether invocations are at work, however many, and whether anybody waits for their answers.
#[derive(Clone)]
pub(crate) struct Work(watch::Sender<()>);

impl Work {
    /// Waits until none is at work.
    pub async fn done(&self) {
        self.0.closed().await;
    }

    /// Whether none is at work.
    pub fn is_done(&self) -> bool {
        self.0.is_closed()
    }
}

/// Why there is no body.
#[derive(Clone, Copy, Debug)]
enum Unread {
    TooLarge,
    TooSlow,
    BrokeOff,
}

impl Functions {
    /// These, and one more by the name of the folder that its `function.json` stands in.
    pub fn with(mut self, name: &'static str, function: impl Function) -> Self {
        self.by_name.insert(name, Arc::new(function));
        self
    }

    /// What tells whether they are at work.
    pub fn work(&self) -> Work {
        Work(self.at_work.clone())
    }

    /// The routes that the host calls.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(async || "auth0-poller"))
            .route("/{function}", post(handle))
            .with_state(Arc::new(self))
    }
}

async fn handle(
    State(functions): State<Arc<Functions>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Always to its end, whatever the answer: the host does not expect to be interrupted.
    let body = match timeout(BODY_LIMIT, read(body)).await {
        Ok(body) => body,
        Err(_) => Err(Unread::TooSlow),
    };
    let Some(function) = functions.by_name.get(&*name) else {
        return refuse(StatusCode::NOT_FOUND, "there is no such function");
    };
    let body = match body {
        Ok(body) => body,
        Err(unread) => return unread.refuse(),
    };
    let Some(invocation) = Invocation::read(&headers, &body) else {
        let problem = "the body is not the JSON that the Functions host sends";
        return refuse(StatusCode::BAD_REQUEST, problem);
    };
    drop(body);
    let at_work = functions.at_work.subscribe();
    invoke(Arc::clone(function), invocation, at_work).await
}

async fn invoke(
    function: Arc<dyn Function>,
    invocation: Invocation,
    at_work: watch::Receiver<()>,
) -> Response {
    let name = match &invocation.trace {
        Some(trace) => format!("invocation {} trace {trace}", invocation.id),
        None => format!("invocation {}", invocation.id),
    };
    // Every line of it begins with this. As an error, so that no level leaves it out.
    let span = error_span!("invocation", message = %name);
    // A task of its own, so that a panic ends with it, and a host that goes away ends nothing.
    let work = async move {
        let _at_work = at_work;
        function.invoke(invocation).await
    };
    let done = tokio::spawn(work.instrument(span.clone())).await;
    let failure = match done {
        Ok(Ok(answer)) if answer.failures.is_empty() => return respond(StatusCode::OK, answer),
        Ok(Ok(answer)) => return respond(StatusCode::INTERNAL_SERVER_ERROR, answer),
        Ok(Err(error)) => with_causes(&*error),
        Err(_) => "the run ended in a panic, which is a bug in auth0-poller; \
                   nothing is lost, the next run does its work again"
            .to_owned(),
    };
    span.in_scope(|| error!("{failure}"));
    respond(StatusCode::INTERNAL_SERVER_ERROR, failed(failure))
}

/// Takes a body to its end. Of one that is too large nothing is kept.
async fn read(body: Body) -> Result<Vec<u8>, Unread> {
    let mut pieces = body.into_data_stream();
    let mut taken = Vec::new();
    let mut is_too_large = false;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Unread::BrokeOff)?;
        if taken.len() + piece.len() > MOST_BODY {
            is_too_large = true;
            taken = Vec::new();
        }
        if !is_too_large {
            taken.extend_from_slice(&piece);
        }
    }
    if is_too_large {
        Err(Unread::TooLarge)
    } else {
        Ok(taken)
    }
}

impl Unread {
    fn refuse(self) -> Response {
        let (status, problem) = match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body has more than 16 MB, which the Functions host has no reason to send",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive within 30 s",
            ),
            Self::BrokeOff => (StatusCode::BAD_REQUEST, "the body broke off"),
        };
        refuse(status, problem)
    }
}

fn refuse(status: StatusCode, problem: &str) -> Response {
    error!("answered {status}: {problem}");
    respond(status, failed(problem.to_owned()))
}

/// The answer where no function gives one. Its result has the form of the timer's, so that whoever
/// reads a failure finds the reason in the same place.
fn failed(failure: String) -> Completion {
    let report = Report {
        errors: vec![failure.clone()],
        ..Report::default()
    };
    Completion {
        failures: vec![failure],
        outputs: Map::new(),
        logs: vec![report.to_string()],
        return_value: serde_json::to_value([report]).unwrap_or_default(),
    }
}

fn respond(status: StatusCode, answer: Completion) -> Response {
    let reason = reason(&answer.failures);
    let mut response = (status, Json(protocol::Response::from(answer))).into_response();
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    response
}
