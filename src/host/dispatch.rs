//! Routes an invocation to its function by name, and returns the response to the host. Knows no
//! particular function. Each function handles its own concurrency.

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
use tracing::{Instrument as _, error};

use super::protocol::{self, Completion, Function, Identity, Invocation};
use super::reason::reason;
use crate::error::with_causes;
use crate::report::{Panicked, Report};

/// Maximum bytes of a request body. The largest bodies that the host has reason to send are those
/// of retries, with the previous attempt's exception and stack traces: kilobytes in practice,
/// megabytes only for a long chain of causes.
const MOST_BODY: usize = 16 * 1024 * 1024;
/// Time limit for a body to arrive. The host has it ready, and is on the same machine.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// The functions of the app, by name.
#[derive(Default)]
pub(crate) struct Functions {
    by_name: HashMap<&'static str, Arc<dyn Function>>,
    /// Each running invocation holds a receiver.
    at_work: watch::Sender<()>,
}

/// Tells whether any invocation is running, even if its caller has gone.
#[derive(Clone)]
pub(crate) struct Work(watch::Sender<()>);

impl Work {
    /// Waits until no invocation is running.
    pub async fn done(&self) {
        self.0.closed().await;
    }

    /// Whether no invocation is running.
    pub fn is_done(&self) -> bool {
        self.0.is_closed()
    }
}

/// Why the body could not be read.
#[derive(Clone, Copy, Debug)]
enum Unread {
    TooLarge,
    TooSlow,
    BrokeOff,
}

impl Functions {
    /// Adds a function, under the name of the folder that holds its `function.json`.
    pub fn with(mut self, name: &'static str, function: impl Function) -> Self {
        self.by_name.insert(name, Arc::new(function));
        self
    }

    /// A handle that tells whether invocations are running.
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
    let answer = answer(&functions, &name, body);
    answer.instrument(Identity::read(&headers).span()).await
}

async fn answer(functions: &Functions, name: &str, body: Body) -> Response {
    // The body is always read to its end, because the host does not expect an early response.
    let body = match timeout(BODY_LIMIT, read(body)).await {
        Ok(body) => body,
        Err(_) => Err(Unread::TooSlow),
    };
    let Some(function) = functions.by_name.get(name) else {
        return refuse(StatusCode::NOT_FOUND, "there is no such function");
    };
    let body = match body {
        Ok(body) => body,
        Err(unread) => return unread.refuse(),
    };
    let Some(invocation) = Invocation::read(&body) else {
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
    // A separate task, so that a panic ends only this task, and a caller that disconnects ends nothing.
    let work = async move {
        let _at_work = at_work;
        function.invoke(invocation).await
    };
    let done = tokio::spawn(work.in_current_span()).await;
    let failure = match done {
        Ok(Ok(answer)) if answer.failures.is_empty() => return respond(StatusCode::OK, answer),
        Ok(Ok(answer)) => return respond(StatusCode::INTERNAL_SERVER_ERROR, answer),
        Ok(Err(error)) => with_causes(&*error),
        Err(_) => Panicked.to_string(),
    };
    error!("{failure}");
    respond(StatusCode::INTERNAL_SERVER_ERROR, failed(failure))
}

/// Reads a body to its end. If it is too large, nothing is kept.
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

/// The response if no function provides one. It has the form of the timer's, so that the reason of
/// a failure is always in the same place.
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
