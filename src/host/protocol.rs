//! What crosses between the host and a function: the wire forms, and the trait. Knows no function,
//! and no HTTP.

use std::collections::HashMap;

use axum::http::HeaderMap;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::BoxError;

/// One function of the app: a folder with a `function.json`.
pub(crate) trait Function: Send + Sync + 'static {
    /// Does what it was called for. An error is a failure with nothing to add to its reason, which
    /// is logged for the function; one with more to say is an [`Completion`], and logged by the
    /// function itself.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Completion, BoxError>>;
}

/// What a function is called with.
///
/// It has no `Debug`, and none of its JSON may be logged: the data of an HTTP trigger holds the
/// caller's key, as a header, in the query and in the URL.
pub(crate) struct Invocation {
    /// The host's name for it, which its own log lines carry.
    pub id: String,
    /// The trigger's and the input bindings' data by the binding's name, as the host wrote it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the timer takes no input"))]
    pub data: HashMap<String, Box<RawValue>>,
}

/// What a function answers.
pub(crate) struct Completion {
    /// Whether the invocation succeeded. Of a failure the host keeps nothing else.
    pub is_success: bool,
    /// What goes to the output bindings, by the binding's name.
    pub outputs: Map<String, Value>,
    /// Lines that the host logs as part of the invocation.
    pub logs: Vec<String>,
    /// The result.
    pub return_value: Value,
}

/// The body of what the host posts. Members may be large or null, and what is in them is for the
/// function to judge; a body without an object `Data` is not the host's.
#[derive(Deserialize)]
struct Request {
    #[serde(rename = "Data")]
    data: HashMap<String, Box<RawValue>>,
}

/// The body that the host expects.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Response {
    outputs: Map<String, Value>,
    logs: Vec<String>,
    return_value: Value,
}

impl Invocation {
    /// Reads what the host posted; nothing if it is not what the host posts.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        // A list would pass for a struct.
        if !body.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let request: Request = serde_json::from_slice(body).ok()?;
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Some(Self {
            id: header("x-azure-functions-invocationid").unwrap_or_else(|| "unknown".to_owned()),
            data: request.data,
        })
    }
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
