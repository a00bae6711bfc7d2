use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::*;
use crate::error::BoxError;
use crate::report::Report;

/// A function that handles invocations with a closure.
struct Does<F>(F);

impl<F> Function for Does<F>
where
    F: Fn(Invocation) -> Result<Completion, BoxError> + Send + Sync + 'static,
{
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Completion, BoxError>> {
        Box::pin(async { (self.0)(invocation) })
    }
}

/// A success with this return value.
fn success(return_value: Value) -> Completion {
    Completion {
        failures: Vec::new(),
        outputs: Map::new(),
        logs: Vec::new(),
        return_value,
    }
}

/// Reports for these destinations. Each run signals that it has begun, and waits until it may end.
struct Reports {
    of: &'static [&'static str],
    begun: Arc<Notify>,
    may_end: Arc<Notify>,
}

impl Runs for Reports {
    fn run(&self) -> BoxFuture<'_, Result<Vec<Report>, BoxError>> {
        Box::pin(async {
            self.begun.notify_one();
            self.may_end.notified().await;
            Ok(self.of.iter().map(|name| Report::of(name)).collect())
        })
    }
}

/// A timer whose runs do not wait.
fn timer(run: impl Fn() -> Result<Vec<Report>, BoxError> + Send + Sync + 'static) -> Functions {
    struct At<F>(F);
    impl<F: Fn() -> Result<Vec<Report>, BoxError> + Send + Sync + 'static> Runs for At<F> {
        fn run(&self) -> BoxFuture<'_, Result<Vec<Report>, BoxError>> {
            Box::pin(async { (self.0)() })
        }
    }
    Functions::default().with(TIMER, Timer::new(At(run)))
}

/// Posts to a function. Returns the status and the JSON body.
async fn post(router: &Router, name: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::post(format!("/{name}")).body(body.into()).unwrap();
    send(router, request).await
}

async fn send(router: &Router, request: Request<Body>) -> (u16, Value) {
    // With paused time, the timeout passes at once if no task can proceed.
    let answer = timeout(Duration::from_mins(1), router.clone().oneshot(request));
    let response = answer.await.expect("an answer").unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

const INVOCATION: &str = r#"{"Data":{},"Metadata":{}}"#;

#[tokio::test]
async fn a_panic_costs_one_invocation_and_never_the_process() {
    let runs = AtomicU64::new(0);
    let router = timer(move || {
        assert!(runs.fetch_add(1, Ordering::Relaxed) > 0, "a bug");
        Ok(vec![Report::of("first"), Report::of("second")])
    })
    .router();
    let (status, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(status, 500);
    let error = body["ReturnValue"][0]["errors"][0].as_str().unwrap();
    assert!(error.contains("a bug in auth0-poller"), "{error}");

    let (status, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(status, 200);
    assert_eq!(body["ReturnValue"][1]["destination"], "second");
}

#[tokio::test]
async fn the_return_value_is_a_list_whether_there_is_one_destination_or_two() {
    for names in [&["first"][..], &["first", "second"]] {
        let reports = || names.iter().map(|name| Report::of(name)).collect();
        let router = timer(move || Ok(reports())).router();
        let (status, body) = post(&router, TIMER, INVOCATION).await;
        assert_eq!(status, 200);
        let reports = body["ReturnValue"].as_array().unwrap();
        let found: Vec<_> = reports.iter().map(|it| &it["destination"]).collect();
        assert_eq!(found, names);
        assert_eq!(body["Logs"].as_array().unwrap().len(), names.len());
        assert_eq!(body["Outputs"], json!({}));
    }
}

#[tokio::test]
async fn one_report_with_an_error_fails_the_invocation_and_hides_no_other() {
    let router = timer(|| {
        let mut failed = Report::of("second");
        failed.errors.push("disk full".into());
        Ok(vec![Report::of("first"), failed])
    })
    .router();
    let (status, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(status, 500);
    assert_eq!(body["ReturnValue"][0]["errors"], json!([]));
    assert_eq!(body["ReturnValue"][1]["errors"], json!(["disk full"]));
}

#[tokio::test]
async fn where_no_run_can_begin_the_reason_is_the_error_of_a_list_of_one() {
    let router = timer(|| Err("DOMAIN is missing".into())).router();
    let (status, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(status, 500);
    assert_eq!(body["ReturnValue"].as_array().unwrap().len(), 1);
    let errors = &body["ReturnValue"][0]["errors"];
    assert_eq!(*errors, json!(["DOMAIN is missing"]));
}

#[tokio::test(start_paused = true)]
async fn while_the_timer_is_at_work_it_is_busy_and_the_others_answer() {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let run = Reports {
        of: &["first"],
        begun: Arc::clone(&begun),
        may_end: Arc::clone(&may_end),
    };
    let router = Functions::default()
        .with(TIMER, Timer::new(run))
        .with("Panics", Does(|_| panic!("a bug")))
        .with("Answers", Does(|_| Ok(success(json!("well")))))
        .router();
    let slow = tokio::spawn({
        let router = router.clone();
        async move { post(&router, TIMER, INVOCATION).await }
    });
    begun.notified().await;

    let (status, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(status, 200);
    assert_eq!(body["ReturnValue"][0]["busy"], true);
    assert_eq!(body["ReturnValue"].as_array().unwrap().len(), 1);
    let line = "an earlier run is still at work, so this invocation did nothing";
    assert_eq!(body["Logs"], json!([line]));
    for _ in 0..2 {
        assert_eq!(post(&router, "Panics", INVOCATION).await.0, 500);
        let (status, body) = post(&router, "Answers", INVOCATION).await;
        assert_eq!((status, &body["ReturnValue"]), (200, &json!("well")));
    }

    may_end.notify_one();
    let (status, body) = slow.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["ReturnValue"][0]["destination"], "first");
    assert_eq!(body["ReturnValue"][0]["busy"], false);
    // Afterwards the timer is free again.
    may_end.notify_one();
    let (_, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(body["ReturnValue"][0]["busy"], false);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_ends_no_run() {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let run = Reports {
        of: &["first"],
        begun: Arc::clone(&begun),
        may_end: Arc::clone(&may_end),
    };
    let router = Functions::default().with(TIMER, Timer::new(run)).router();
    tokio::select! {
        answer = post(&router, TIMER, INVOCATION) => panic!("it should wait: {answer:?}"),
        () = begun.notified() => {}
    }
    let (_, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(body["ReturnValue"][0]["busy"], true);
}

#[tokio::test]
async fn a_function_gets_what_the_host_sent_as_it_sent_it_and_its_outputs_arrive() {
    let function = Does(|invocation: Invocation| {
        // Numbers and spaces are unchanged, which a parsed value would not preserve.
        let request = &invocation.data["req"];
        assert_eq!(
            request.get(),
            r#"{"Method": "GET", "Query": "{}", "n": 1.50}"#
        );
        let response = json!({"statusCode": 503, "headers": {}, "body": "down"});
        Ok(Completion {
            outputs: Map::from_iter([("res".to_owned(), response)]),
            logs: vec!["asked".into()],
            ..success(Value::Null)
        })
    });
    let router = Functions::default().with("Health", function).router();
    let body = r#" {"Data": {"req": {"Method": "GET", "Query": "{}", "n": 1.50}},
                    "Metadata": {"part": "\"metrics\""}}"#;
    let request = Request::post("/Health").body(Body::from(body));
    let (status, answer) = send(&router, request.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({
            "Outputs": {"res": {"statusCode": 503, "headers": {}, "body": "down"}},
            "Logs": ["asked"],
            "ReturnValue": null,
        })
    );
}

#[tokio::test]
async fn neither_headers_nor_metadata_are_needed() {
    let function = Does(|_: Invocation| Ok(success(json!(1))));
    let router = Functions::default().with("Any", function).router();
    for body in [r#"{"Data":{}}"#, r#"{"Data":{},"Metadata":null}"#] {
        assert_eq!(post(&router, "Any", body).await.0, 200);
    }
}

#[tokio::test]
async fn what_is_no_function_is_not_found_and_readiness_is_told_without_one() {
    let router = Functions::default().router();
    let (status, body) = post(&router, TIMER, INVOCATION).await;
    assert_eq!(status, 404);
    let errors = &body["ReturnValue"][0]["errors"];
    assert_eq!(*errors, json!(["there is no such function"]));
    let probe = Request::get("/").body(Body::empty()).unwrap();
    assert_eq!(router.oneshot(probe).await.unwrap().status(), 200);
}

static SPACES: [u8; 1_000_000] = [b' '; 1_000_000];

/// A body of this many pieces that is never in memory as a whole, and a counter of the bytes read.
fn endless(pieces: usize, piece: &'static [u8]) -> (Body, Arc<AtomicU64>) {
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let pieces = (0..pieces).map(move |_| {
        counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_static(piece))
    });
    (Body::from_stream(stream::iter(pieces)), read)
}

#[tokio::test]
async fn a_body_that_is_too_large_is_read_to_its_end_and_refused() {
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let router = timer(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(vec![Report::of("first")])
    })
    .router();
    for (name, refusal) in [(TIMER, 413), ("Unknown", 404)] {
        let (body, read) = endless(300, &SPACES);
        assert_eq!(post(&router, name, body).await.0, refusal);
        assert_eq!(read.load(Ordering::Relaxed), 300_000_000);
    }
    let (body, _) = endless(300, &SPACES);
    let (_, answer) = post(&router, TIMER, body).await;
    let error = answer["ReturnValue"][0]["errors"][0].as_str().unwrap();
    assert!(error.contains("more than 16 MB"), "{error}");
    assert_eq!(runs.load(Ordering::Relaxed), 0);

    // The exact limit: 16 MiB are accepted, one byte more is not.
    let padding = " ".repeat(16 * 1024 * 1024 - INVOCATION.len());
    let largest = format!("{padding}{INVOCATION}");
    assert_eq!(post(&router, TIMER, largest.clone()).await.0, 200);
    assert_eq!(post(&router, TIMER, format!(" {largest}")).await.0, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up_after_half_a_minute() {
    let router = timer(|| Ok(Vec::new())).router();
    let begun = tokio::time::Instant::now();
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let (status, _) = post(&router, TIMER, Body::from_stream(never)).await;
    assert_eq!(status, 408);
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_invocation() {
    let router = timer(|| Ok(Vec::new())).router();
    let pieces = [
        Ok(Bytes::from_static(INVOCATION.as_bytes())),
        Err(std::io::Error::other("broken on purpose")),
    ];
    let body = Body::from_stream(stream::iter(pieces));
    assert_eq!(post(&router, TIMER, body).await.0, 400);
}

/// Posts a body. Returns the status, and whether there was a run.
fn post_body(body: Vec<u8>) -> (StatusCode, bool) {
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let router = timer(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(vec![Report::of("any")])
    })
    .router();
    let request = Request::post(format!("/{TIMER}")).body(Body::from(body));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let response = runtime.block_on(router.oneshot(request.unwrap())).unwrap();
    (response.status(), runs.load(Ordering::Relaxed) == 1)
}

/// JSON that may replace the body or a part of it.
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
