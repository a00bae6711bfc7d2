//! The Azure Functions host's side of the program: a custom handler.
//!
//! The host asks `GET /` whether the program is there, and posts to `/{function}` each time the
//! timer fires. What it understands as an answer, and what it does with one, is Microsoft's:
//! <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>.
//! Two things shape this module: on any status but a success the host throws the answer's body
//! away, so a failure is also written to standard error; and an empty success leaves the host
//! waiting until its time-out, so no answer is empty.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, OnceCell, watch};
use tracing::{error, info};

use crate::app::{App, AppError, Layers};
use crate::error::{BoxError, with_causes};
use crate::report::Report;

/// The function's name: that of the folder its `function.json` stands in.
pub const FUNCTION: &str = "Auth0Poller";

/// What an invocation does.
pub trait Function: Send + Sync + 'static {
    /// Makes one run for each destination. An error means that none could begin.
    fn invoke(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<Report>, BoxError>>;
}

/// What the host posts. Everything in it may be large or null, and none of it is needed: a run
/// takes its input from the checkpoint. It is only made sure that the host is speaking.
#[derive(Deserialize)]
struct Invocation<'a> {
    #[serde(rename = "Data", borrow)]
    _data: HashMap<String, &'a RawValue>,
}

/// What the host expects.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InvocationResponse {
    outputs: NoOutputs,
    /// Lines that the host logs as part of the invocation, if it succeeded.
    logs: Vec<String>,
    return_value: ReturnValue,
}

/// The function has no output bindings, and says so: `{}`.
#[derive(Serialize)]
struct NoOutputs {}

/// The report, or with several destinations the list of theirs.
#[derive(Serialize)]
#[serde(untagged)]
enum ReturnValue {
    One(Box<Report>),
    Several(Vec<Report>),
}

struct Handler {
    function: Arc<dyn Function>,
    /// Held by the invocation under way.
    at_work: Arc<Mutex<()>>,
}

/// The routes that the host calls.
pub fn router(function: Arc<dyn Function>) -> Router {
    let handler = Handler {
        function,
        at_work: Arc::default(),
    };
    Router::new()
        .route("/", get(async || "auth0-poller"))
        .route("/{function}", post(handle))
        .with_state(Arc::new(handler))
}

async fn handle(
    State(handler): State<Arc<Handler>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Always to its end, whatever the answer: the host does not expect to be interrupted.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return refuse(StatusCode::BAD_REQUEST, "the body broke off");
    };
    if name != FUNCTION {
        return refuse(StatusCode::NOT_FOUND, "there is no such function");
    }
    // A list would pass for a struct.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    if !is_object || serde_json::from_slice::<Invocation>(&body).is_err() {
        let problem = "the body is not the JSON that the Functions host sends";
        return refuse(StatusCode::BAD_REQUEST, problem);
    }
    let id = headers.get("x-azure-functions-invocationid");
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or("unknown");
    handler.invoke(id).await
}

impl Handler {
    async fn invoke(&self, invocation: &str) -> Response {
        let Ok(at_work) = Arc::clone(&self.at_work).try_lock_owned() else {
            let report = Report {
                busy: true,
                ..Report::default()
            };
            info!("invocation {invocation}: {report}");
            return answer(vec![report]);
        };
        let function = Arc::clone(&self.function);
        // A task of its own, so that a panic ends with it.
        let run = tokio::spawn(async move {
            let _at_work = at_work;
            function.invoke().await
        });
        let failure = match run.await {
            Ok(Ok(reports)) => {
                log(invocation, &reports);
                return answer(reports);
            }
            Ok(Err(error)) => with_causes(&*error),
            Err(_) => "the run ended in a panic, which is a bug in auth0-poller; \
                       nothing is lost, the next run does its work again"
                .to_owned(),
        };
        error!("invocation {invocation}: {failure}");
        answer(vec![Report {
            errors: vec![failure],
            ..Report::default()
        }])
    }
}

/// One line for each report, and one for each error where the host sees errors.
fn log(invocation: &str, reports: &[Report]) {
    for report in reports {
        let json = serde_json::to_string(report).unwrap_or_else(|_| report.to_string());
        info!("invocation {invocation}: report {json}");
        for error in &report.errors {
            error!("invocation {invocation}: {}: {error}", report.destination);
        }
    }
}

fn answer(mut reports: Vec<Report>) -> Response {
    let status = if reports.iter().all(Report::is_success) {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let response = InvocationResponse {
        outputs: NoOutputs {},
        logs: reports.iter().map(Report::to_string).collect(),
        return_value: match reports.len() {
            1 => ReturnValue::One(Box::new(reports.remove(0))),
            _ => ReturnValue::Several(reports),
        },
    };
    (status, Json(response)).into_response()
}

fn refuse(status: StatusCode, problem: &str) -> Response {
    error!("answered {status}: {problem}");
    (status, problem.to_owned()).into_response()
}

/// The timer function: [`App::run`], with the app made at the first invocation, or before.
///
/// The host waits for the listener, so nothing slow may come before it, such as reading the
/// system's certificates; and it has to be answered even where the settings are of no use.
pub(crate) struct TimerFunction {
    layers: Layers,
    app: OnceCell<App>,
    stopping: watch::Receiver<bool>,
}

impl TimerFunction {
    /// The function with these settings, good or bad.
    pub fn new(layers: Layers, stopping: watch::Receiver<bool>) -> Self {
        Self {
            layers,
            app: OnceCell::new(),
            stopping,
        }
    }

    /// Makes the app, and tells of settings that are of no use before the first invocation does.
    pub async fn prepare(self: Arc<Self>) {
        self.layers.warn_of_misspelt();
        match self.app().await {
            Err(error) => error!("every invocation will fail: {error}"),
            Ok(app) => {
                for pipeline in &app.pipelines {
                    if let Err(error) = &pipeline.way {
                        error!("{} will fail at every invocation: {error}", pipeline.name);
                    }
                }
            }
        }
    }

    async fn app(&self) -> Result<&App, AppError> {
        self.app
            .get_or_try_init(async || App::new(&self.layers, self.stopping.clone()))
            .await
    }
}

impl Function for TimerFunction {
    fn invoke(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<Report>, BoxError>> {
        Box::pin(async move { Ok(self.app().await?.run().await) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::http::Request;
    use proptest::prelude::*;
    use tower::ServiceExt as _;

    use super::*;

    /// Panics at the first invocation, and no more.
    #[derive(Default)]
    struct PanicsOnce(AtomicU64);

    impl Function for PanicsOnce {
        fn invoke(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<Report>, BoxError>> {
            Box::pin(async move {
                assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "a bug");
                Ok(vec![Report::of("first"), Report::of("second")])
            })
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_invocation_and_never_the_process() {
        let router = router(Arc::new(PanicsOnce::default()));
        let invoke = async || {
            let request = Request::post(format!("/{FUNCTION}")).body(Body::from(r#"{"Data":{}}"#));
            let response = router.clone().oneshot(request.unwrap()).await.unwrap();
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            (status, body)
        };
        let (status, body) = invoke().await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let error = body["ReturnValue"]["errors"][0].as_str().unwrap();
        assert!(error.contains("a bug in auth0-poller"), "{error}");

        let (status, body) = invoke().await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["ReturnValue"][1]["destination"], "second");
    }

    /// Counts its invocations.
    #[derive(Default)]
    struct Counts(AtomicU64);

    impl Function for Counts {
        fn invoke(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<Report>, BoxError>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(vec![Report::of("any")]) })
        }
    }

    /// Posts a body; answers with the status, and whether there was a run.
    fn post_body(body: Vec<u8>) -> (StatusCode, bool) {
        let function = Arc::new(Counts::default());
        let router = router(Arc::clone(&function) as Arc<dyn Function>);
        let request = Request::post(format!("/{FUNCTION}")).body(Body::from(body));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let response = runtime.block_on(router.oneshot(request.unwrap())).unwrap();
        (response.status(), function.0.load(Ordering::Relaxed) == 1)
    }

    /// What may stand in the place of the body or of a part of it.
    fn json() -> impl Strategy<Value = String> {
        let odd = [
            "null",
            "[]",
            "[{}]",
            "{}",
            r#"{"timer":{}}"#,
            r#"{"a":null,"b":[1e400]}"#,
            "1",
            "",
            r#""\ud800""#,
            "{",
            "\u{feff}{}",
            r#"[{"Data":{}}]"#,
        ];
        prop_oneof![
            3 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
            1 => any::<String>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_bindings_hold_it_is_an_invocation(
            bindings in proptest::collection::hash_map("[a-zA-Z]{1,9}", any::<String>(), 0..4),
            metadata in any::<String>(),
        ) {
            let body = serde_json::json!({"Metadata": {"a": metadata}, "Data": bindings});
            prop_assert_eq!(post_body(body.to_string().into_bytes()), (StatusCode::OK, true));
        }

        #[test]
        fn there_is_a_run_only_for_an_object_with_an_object_data(
            (name, data, other) in ("Data|data|Dat", json(), json()),
            bare in prop_oneof![json().prop_map(String::into_bytes), any::<Vec<u8>>()],
        ) {
            let object = format!(r#"{{"{name}":{data},"Metadata":{other}}}"#).into_bytes();
            for body in [object, bare] {
                let (status, has_run) = post_body(body.clone());
                let members = serde_json::from_slice::<HashMap<String, &RawValue>>(&body);
                let data = members.as_ref().ok().and_then(|it| it.get("Data"));
                let is_invocation = data.is_some_and(|it| it.get().starts_with('{'));
                let expected = if is_invocation { StatusCode::OK } else { StatusCode::BAD_REQUEST };
                prop_assert_eq!((status, has_run), (expected, is_invocation));
            }
        }
    }
}
