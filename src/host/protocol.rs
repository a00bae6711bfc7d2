//! The messages between the host and a function: the wire formats, and the trait. Knows no
//! particular function, and no HTTP except headers.

use std::collections::HashMap;

use axum::http::HeaderMap;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tracing::{Span, error_span};

use crate::error::BoxError;

/// A function of the app: a folder with a `function.json`.
pub(crate) trait Function: Send + Sync + 'static {
    /// Handles an invocation. An error is a failure without further output; its reason is logged
    /// for the function. A failure with further output is a [`Completion`], which the function logs
    /// itself.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Completion, BoxError>>;
}

/// Which invocation a request is, by its headers.
pub(super) struct Identity {
    /// The host's id for the invocation, as in the host's own log lines.
    id: String,
    /// The id of its trace in Application Insights; `None` if tracing is off.
    trace: Option<String>,
}

/// The input of a function.
///
/// It has no `Debug`, and none of its JSON may be logged: the data of an HTTP trigger holds the
/// caller's key in a header, in the query and in the URL.
pub(crate) struct Invocation {
    /// The data of the trigger and the input bindings by binding name, as the host wrote it.
    pub data: HashMap<String, Box<RawValue>>,
}

/// The output of a function.
pub(crate) struct Completion {
    /// Why the invocation failed; empty if it succeeded. For a failure, the host keeps only this,
    /// as the status line.
    pub failures: Vec<String>,
    /// The data for the output bindings, by binding name.
    pub outputs: Map<String, Value>,
    /// Lines that the host logs as part of the invocation.
    pub logs: Vec<String>,
    /// The return value.
    pub return_value: Value,
}

/// The body of the host's request. Members may be large or null, and only the function interprets
/// them. A body without an object `Data` is not from the host.
#[derive(Deserialize)]
struct Request {
    #[serde(rename = "Data")]
    data: HashMap<String, Box<RawValue>>,
}

/// The body of the response.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Response {
    outputs: Map<String, Value>,
    logs: Vec<String>,
    return_value: Value,
}

impl Identity {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            id: header("x-azure-functions-invocationid")
                .filter(|id| is_plain(id))
                .unwrap_or_else(|| "unknown".to_owned()),
            trace: header("traceparent").and_then(|it| trace_id(&it)),
        }
    }

    /// A span that prefixes every log line. It has the error level, so that no filter drops it.
    pub(super) fn span(&self) -> Span {
        let Self { id, trace } = self;
        let name = match trace {
            Some(trace) => format!("invocation {id} trace {trace}"),
            None => format!("invocation {id}"),
        };
        error_span!("invocation", message = %name)
    }
}

impl Invocation {
    /// Reads the body of the host's request; `None` if it is not one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        // serde would accept a list as a struct.
        if !body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let request: Request = serde_json::from_slice(body).ok()?;
        Some(Self { data: request.data })
    }
}

/// Whether an id can be logged as it is.
fn is_plain(id: &str) -> bool {
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    !id.is_empty() && id.len() <= 64 && id.bytes().all(is_letter)
}

/// The trace's id in a `traceparent`: `00-<trace id>-<parent id>-<flags>`.
///
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
fn trace_id(header: &str) -> Option<String> {
    let id = header.trim().split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit());
    (is_id && id.bytes().any(|it| it != b'0')).then(|| id.to_ascii_lowercase())
}

impl From<Completion> for Response {
    fn from(answer: Completion) -> Self {
        Self {
            outputs: answer.outputs,
            logs: answer.logs,
            return_value: answer.return_value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_known_by_its_headers_and_needs_none() {
        const ID: &str = "7e9c3e06-d1e5-40cc-bd58-44f99629567a";
        const TRACE: &str = "a17eed488abbdfd7c61ba3b12efe1db4";
        let mut headers = HeaderMap::new();
        assert_eq!(Identity::read(&headers).id, "unknown");
        headers.insert("X-Azure-Functions-InvocationId", ID.parse().unwrap());
        let Identity { id, trace } = Identity::read(&headers);
        assert_eq!((&*id, trace), (ID, None));
        let parent = format!("00-{TRACE}-a63ff8dcdda88bb7-01");
        headers.insert("traceparent", parent.parse().unwrap());
        assert_eq!(Identity::read(&headers).trace.as_deref(), Some(TRACE));
    }

    #[test]
    fn a_trace_is_known_by_its_id_and_nothing_else_is_taken_for_one() {
        let id = "a17eed488abbdfd7c61ba3b12efe1db4";
        let known = trace_id(&format!("00-{id}-a63ff8dcdda88bb7-01"));
        assert_eq!(known.as_deref(), Some(id));
        assert_eq!(
            trace_id(&format!("00-{}-a6-00", id.to_uppercase())),
            Some(id.into())
        );
        for header in [
            "",
            id,
            "00-00000000000000000000000000000000-a63ff8dcdda88bb7-01",
            "00-a17eed488abbdfd7c61ba3b12efe1db-a63ff8dcdda88bb7-01",
            "00-a17eed488abbdfd7c61ba3b12efe1dbg-a63ff8dcdda88bb7-01",
        ] {
            assert_eq!(trace_id(header), None, "{header}");
        }
    }

    #[test]
    fn an_invocation_id_is_a_word_of_letters_and_digits() {
        assert!(is_plain("7e9c3e06-d1e5-40cc-bd58-44f99629567a"));
        for id in ["", "a b", "a\u{1b}[31m", "a:b", &"a".repeat(65)] {
            assert!(!is_plain(id), "{id:?}");
        }
    }
}
