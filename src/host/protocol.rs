//! The messages between the host and a function: the wire formats, and the trait. Knows no
//! particular function, and no HTTP except headers.

use std::collections::HashMap;

use axum::http::HeaderMap;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::BoxError;

/// A function of the app: a folder with a `function.json`.
pub(crate) trait Function: Send + Sync + 'static {
    /// Handles an invocation. An error is a failure without further output; its reason is logged
    /// for the function. A failure with further output is a [`Completion`], which the function logs
    /// itself.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Completion, BoxError>>;
}

/// The input of a function.
///
/// It has no `Debug`, and none of its JSON may be logged: the data of an HTTP trigger holds the
/// caller's key in a header, in the query and in the URL.
pub(crate) struct Invocation {
    /// The host's id for the invocation, as in the host's own log lines.
    pub id: String,
    /// The id of its trace in Application Insights; `None` if tracing is off.
    pub trace: Option<String>,
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

impl Invocation {
    /// Reads the host's request; `None` if it is not one.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        // serde would accept a list as a struct.
        if !body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let request: Request = serde_json::from_slice(body).ok()?;
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Some(Self {
            id: header("x-azure-functions-invocationid")
                .filter(|id| is_plain(id))
                .unwrap_or_else(|| "unknown".to_owned()),
            trace: header("traceparent").and_then(|it| trace_id(&it)),
            data: request.data,
        })
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
