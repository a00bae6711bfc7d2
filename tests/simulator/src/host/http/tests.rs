//! The stand-in before a small handler that answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use super::super::handler::Handler;
use super::super::process::Transcript;
use super::*;
use crate::server::Server;

/// What the handler answers next, and the last request that it got.
#[derive(Default)]
struct Script {
    status: u16,
    content_type: Option<&'static str>,
    body: String,
    sent: Value,
    headers: HeaderMap,
}

type SharedScript = Arc<Mutex<Script>>;

/// The handler, and the app that it belongs to.
struct App {
    script: SharedScript,
    _server: Server,
    handler: Handler,
    functions: BTreeMap<String, Deployed>,
}

async fn handle(State(script): State<SharedScript>, headers: HeaderMap, body: String) -> Response {
    let mut script = script.lock().unwrap();
    script.sent = serde_json::from_str(&body).unwrap();
    script.headers = headers;
    let status = StatusCode::from_u16(script.status).unwrap();
    let mut response = (status, Body::from(script.body.clone())).into_response();
    if let Some(content_type) = script.content_type {
        let content_type = HeaderValue::from_static(content_type);
        response.headers_mut().insert("content-type", content_type);
    }
    response
}

impl App {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let function = json!({"bindings": [
            {"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "function",
             "methods": ["get", "head", "post"], "route": "health/{part?}"},
            {"type": "http", "direction": "out", "name": "res"},
        ]});
        let timer = json!({"bindings": [{"type": "timerTrigger", "direction": "in",
                                         "name": "timer", "schedule": "0 * * * * *"}]});
        let functions = [("Health", function), ("Tick", timer)]
            .map(|(name, function)| (name.to_owned(), Deployed::read(name, &function, &settings)));
        let script = SharedScript::default();
        let routes = Router::new().route("/Health", post(handle));
        let server = Server::start(routes.with_state(script.clone())).await;
        let app = Self {
            handler: Handler::at(server.url(), Transcript::default()),
            script,
            _server: server,
            functions: functions.into(),
        };
        app.answers(&json!({"res": {"statusCode": 200, "headers": {}, "body": "well"}}));
        app
    }

    /// Sets the handler's answer from now on.
    fn answers_with(&self, status: u16, content_type: Option<&'static str>, body: &str) {
        let mut script = self.script.lock().unwrap();
        script.status = status;
        script.content_type = content_type;
        body.clone_into(&mut script.body);
    }

    fn answers(&self, outputs: &Value) {
        let body = json!({"Outputs": outputs, "Logs": [], "ReturnValue": null});
        self.answers_with(200, Some("application/json"), &body.to_string());
    }

    async fn call(&self, call: Call) -> Reply {
        let invoke = async |function: &str, invocation: Invocation, output: &str| {
            self.handler.invoke(function, &invocation, &[output]).await
        };
        reply(&self.functions, &call, invoke).await
    }

    /// The last request to the handler, without what differs each time.
    fn sent(&self) -> Value {
        let mut sent = self.script.lock().unwrap().sent.take();
        let sys = sent["Metadata"]["sys"].as_object_mut().unwrap();
        assert!(sys.remove("UtcNow").is_some() && sys.remove("RandGuid").is_some());
        let req = sent["Data"]["req"].as_object_mut().unwrap();
        let identities = req.remove("Identities").unwrap();
        assert_eq!(identities[0]["Claims"][0]["Value"], "Function");
        sent
    }
}

fn reply_of(status: u16, body: &str) -> Reply {
    Reply {
        status,
        headers: BTreeMap::new(),
        body: body.into(),
    }
}

fn get(target: &str) -> Call {
    Call::new("GET", target)
}

const CALLER: [(&str, &str); 3] = [
    ("Accept", "*/*"),
    ("Host", "127.0.0.1:7075"),
    ("User-Agent", "curl/7.88.1"),
];
const KEY_TEXT: &str = "HOSTKEYHOSTKEYHOSTKEYHOSTKEYHOSTKEYHOSTKEYHOSTKEY123456";

#[tokio::test]
async fn a_call_with_the_key_in_a_header_arrives_with_it() {
    let app = App::start(&[]).await;
    for method in ["GET", "HEAD"] {
        app.call(Call::new(method, "/api/health").key()).await;
        assert_eq!(
            app.sent(),
            json!({
                "Data": {"req": {
                    "Url": "http://127.0.0.1:7075/api/health",
                    "Method": method,
                    "Query": {},
                    "Headers": {
                        "Accept": ["*/*"],
                        "Host": ["127.0.0.1:7075"],
                        "User-Agent": ["curl/7.88.1"],
                        "x-functions-key": [KEY_TEXT],
                    },
                    "Params": {"part": null},
                }},
                "Metadata": {
                    "Query": {},
                    "Headers": {
                        "Accept": "*/*",
                        "Host": "127.0.0.1:7075",
                        "User-Agent": "curl/7.88.1",
                        "x-functions-key": KEY_TEXT,
                    },
                    "sys": {"MethodName": "Health"},
                },
            })
        );
    }
}

#[tokio::test]
async fn a_call_with_the_key_and_a_name_twice_in_the_query_arrives_with_them_joined() {
    let app = App::start(&[]).await;
    let target = format!("/api/health/metrics?code={KEY_TEXT}&x=1&x=2");
    assert_eq!(app.call(get(&target)).await, reply_of(200, "well"));
    assert_eq!(
        app.sent(),
        json!({
            "Data": {"req": {
                "Url": format!("http://127.0.0.1:7075{target}"),
                "Method": "GET",
                "Query": {"code": KEY_TEXT, "x": "1,2"},
                "Headers": CALLER.map(|(name, value)| (name, vec![value]))
                    .into_iter().collect::<BTreeMap<_, _>>(),
                "Params": {"part": "metrics"},
            }},
            "Metadata": {
                "x": "\"2\"",
                "part": "\"metrics\"",
                "Query": {"code": KEY_TEXT, "x": "2"},
                "Headers": BTreeMap::from(CALLER),
                "sys": {"MethodName": "Health"},
            },
        })
    );
}

#[tokio::test]
async fn a_body_and_a_repeated_header_arrive_as_they_are() {
    let app = App::start(&[]).await;
    let call = Call::new("POST", "/api/health").key().body("{\"a\": 1}");
    let call = call.header("X-Twice", "one").header("X-Twice", "two");
    app.call(call).await;
    let req = &app.sent()["Data"]["req"];
    assert_eq!(req["Body"], "{\"a\": 1}");
    assert_eq!(req["Headers"]["X-Twice"], json!(["one", "two"]));
}

#[tokio::test]
async fn an_invocation_has_the_headers_of_the_real_host_and_no_length() {
    let app = App::start(&[]).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        app.call(get("/api/health").key()).await;
        let headers = app.script.lock().unwrap().headers.clone();
        for (name, value) in [
            ("x-azure-functions-hostversion", "4.1037.0.0"),
            ("user-agent", "Azure-Functions-Host/4.1037.0.0"),
            ("transfer-encoding", "chunked"),
            ("content-type", "application/json; charset=utf-8"),
        ] {
            assert_eq!(headers[name], value);
        }
        assert!(!headers.contains_key("content-length"));
        assert!(headers.contains_key("traceparent"));
        ids.push(headers["x-azure-functions-invocationid"].clone());
    }
    assert!(ids[0] != ids[1] && ids[0].len() == 36, "{ids:?}");
}

#[tokio::test]
async fn only_the_right_key_opens_only_what_is_there_and_enabled() {
    let app = App::start(&[]).await;
    let wrong = get("/api/health").header("x-functions-key", "guessed");
    let query = format!("/api/health?code={KEY_TEXT}");
    for (call, status) in [
        (get("/api/health"), 401),
        (wrong, 401),
        (get("/api/health?code=guessed"), 401),
        (get(&query).header("X-Functions-Key", "guessed"), 401),
        (get(&query), 200),
        (get("/api/health").header("X-Functions-Key", KEY_TEXT), 200),
        (get("/api/health/a/b").key(), 404),
        (get("/health").key(), 404),
        (get("/api/Tick").key(), 404),
        (Call::new("PUT", "/api/health").key(), 404),
    ] {
        let shown = format!("{call:?}");
        assert_eq!(app.call(call).await.status, status, "{shown}");
    }
    for name in [
        "AzureWebJobs.Health.Disabled",
        "AzureWebJobs_Health_Disabled",
    ] {
        let app = App::start(&[(name, "true")]).await;
        assert_eq!(app.call(get("/api/health").key()).await, reply_of(404, ""));
        assert_eq!(app.call(get("/api/health")).await, reply_of(401, ""));
        assert_eq!(
            app.script.lock().unwrap().sent,
            Value::Null,
            "it was invoked"
        );
    }
}

#[tokio::test]
async fn the_reply_is_what_the_output_says() {
    let app = App::start(&[]).await;
    let call = async |output: Value| {
        app.answers(&json!({"res": output}));
        app.call(get("/api/health").key()).await
    };
    let headers = json!({"content-type": "text/html", "retry-after": "30"});
    let said = call(json!({"statusCode": 503, "headers": headers, "body": "down"})).await;
    assert_eq!((said.status, &*said.body), (503, "down"));
    assert_eq!(said.headers["content-type"], "text/html");
    assert_eq!(said.headers["retry-after"], "30");

    let text = call(json!({"statusCode": "404", "body": "{\"a\":1}"})).await;
    assert_eq!(text, reply_of(404, "{\"a\":1}"));
    let object = call(json!({"statusCode": 200, "body": {"a": [1, {}]}})).await;
    let indented = "{\n  \"a\": [\n    1,\n    {}\n  ]\n}";
    assert_eq!(object, reply_of(200, indented));
    assert_eq!(call(json!("plain")).await, reply_of(500, ""));

    app.answers(&json!({"res": {"statusCode": 200, "body": "well"}}));
    let head = app.call(Call::new("HEAD", "/api/health").key()).await;
    assert_eq!(head, reply_of(200, ""));
}

#[tokio::test]
async fn without_an_output_there_is_nothing_or_an_empty_object() {
    let app = App::start(&[]).await;
    app.answers(&json!({}));
    let nothing = app.call(get("/api/health").key()).await;
    assert_eq!(nothing, reply_of(204, ""));
    let body = r#"{"Outputs":{},"Logs":[],"ReturnValue":"not used"}"#;
    app.answers_with(200, Some("application/json"), body);
    let object = app.call(get("/api/health").key()).await;
    assert_eq!(object, reply_of(200, "{}"));
}

#[tokio::test]
async fn what_is_no_success_to_the_host_is_an_empty_500_to_the_caller() {
    let app = App::start(&[]).await;
    let good = r#"{"Outputs":{"res":{"statusCode":200,"body":"well"}}}"#;
    let json = Some("application/json");
    app.answers_with(201, json, good);
    assert_eq!(app.call(get("/api/health").key()).await.status, 200);
    for (status, content_type, body) in [
        (404, json, good),
        (503, json, good),
        (302, json, good),
        (200, Some("text/plain"), good),
        (200, None, good),
        (200, json, ""),
        (200, json, "{"),
        (
            200,
            json,
            r#"{"Outputs":{"other":{"statusCode":200,"body":"well"}}}"#,
        ),
    ] {
        app.answers_with(status, content_type, body);
        let reply = app.call(get("/api/health").key()).await;
        assert_eq!(reply, reply_of(500, ""), "{status} {content_type:?} {body}");
    }
}

#[test]
fn what_nobody_saw_the_real_host_do_is_a_panic() {
    for output in [
        json!({"statusCode": 200}),
        json!({"body": "well"}),
        json!({"statusCode": 200, "status": 200, "body": "well"}),
        json!({"statusCode": true, "body": "well"}),
        json!({"statusCode": 200, "body": [1]}),
        json!({"statusCode": 200, "headers": {"a": 1}, "body": "well"}),
        json!(1),
    ] {
        let answer = Answer {
            outputs: [("res".to_owned(), output.clone())].into(),
            logs: Vec::new(),
            return_value: Value::Null,
        };
        let made = std::panic::catch_unwind(|| response(answer, "res"));
        assert!(made.is_err(), "{output}: {made:?}");
    }
}
