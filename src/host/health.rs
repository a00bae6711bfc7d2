//! The function of the health page: responds to an HTTP trigger with a view. Where views come from
//! is passed in.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::protocol::{Completion, Function, Invocation};
use crate::error::BoxError;

/// The function's name: the folder that holds its `function.json`.
pub(crate) const HEALTH: &str = "Auth0Health";
/// Its bindings and the parameter of its route, as named in that file.
const REQUEST: &str = "req";
const RESPONSE: &str = "res";
const VIEW: &str = "view";

/// Provides the views.
pub(crate) trait Views: Send + Sync + 'static {
    /// The view of this name, empty for the default view; `None` if there is no such view.
    fn view<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Webpage>, BoxError>>;
}

/// A response to a browser or another client.
pub(crate) struct Webpage {
    pub status: u16,
    pub content_type: &'static str,
    /// What a browser may load despite the strict policy of every response.
    pub policy: Option<String>,
    pub body: String,
}

/// The function of the health page.
pub(crate) struct Health<V>(pub V);

/// The part of an HTTP trigger's data that is used. The rest holds the caller's key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(default)]
    params: Option<HashMap<String, Option<String>>>,
}

impl<V: Views> Function for Health<V> {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Completion, BoxError>> {
        Box::pin(async move {
            let name = view(&invocation);
            let page = self.0.view(&name).await?;
            Ok(answer(page.unwrap_or_else(|| Webpage {
                status: 404,
                content_type: "text/plain; charset=utf-8",
                policy: None,
                body: "there is health, health/metrics and health/page\n".into(),
            })))
        })
    }
}

/// The name of the requested view.
fn view(invocation: &Invocation) -> String {
    let request = invocation.data.get(REQUEST);
    let request = request.and_then(|it| serde_json::from_str::<Request>(it.get()).ok());
    let params = request.and_then(|it| it.params).unwrap_or_default();
    let view = params
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(VIEW));
    let view = view.and_then(|(_, view)| view).unwrap_or_default();
    view.trim_matches('/').to_ascii_lowercase()
}

fn answer(page: Webpage) -> Completion {
    let allowed = page.policy.map_or(String::new(), |it| format!("; {it}"));
    let policy = format!(
        "default-src 'none'{allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let response = json!({
        "statusCode": page.status,
        "headers": {
            "Content-Type": page.content_type,
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
        "body": page.body,
    });
    Completion {
        failures: Vec::new(),
        outputs: Map::from_iter([(RESPONSE.to_owned(), response)]),
        logs: Vec::new(),
        return_value: Value::Null,
    }
}
