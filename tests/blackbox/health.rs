//! Health, as `status`, the function `Auth0Health` and its page derive it from what is stored.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Stdio;

use axum::response::IntoResponse as _;
use axum::{Router, routing};
use chrono::TimeDelta;
use serde_json::{Value, json};
use simulator::Fault;
use simulator::host::{Call, Reply};
use tokio::process::Command;

use crate::world::{FUNCTION, Sink, World, minutes_ago, now};

async fn status(world: &World) -> (i32, Value) {
    let ran = world.command(&["status", "--json"]).await;
    (ran.code(), ran.report())
}

/// Changes fields in the stored history of the destination.
fn rewrite(world: &World, changes: &Value) {
    let file = world.history_file(Sink::LogAnalytics);
    let mut history: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        history[name] = value.clone();
    }
    fs::write(&file, history.to_string()).unwrap();
}

#[tokio::test]
async fn status_tells_each_state_from_what_runs_have_left() {
    let mut world = World::start().await;
    let state = |(code, json): (i32, Value)| (code, json["state"].as_str().unwrap().to_owned());
    assert_eq!(state(status(&world).await), (0, "never_ran".into()));

    world.tenant.generate(120, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let (code, json) = status(&world).await;
    assert_eq!((code, &json["state"]), (0, &json!("ok")), "{json}");
    let pipeline = &json["pipelines"][0];
    assert_eq!(pipeline["destination"], "log-analytics");
    assert_eq!(pipeline["records"], json!({"hour": 120, "day": 120}));
    assert_eq!(pipeline["runs"][0]["delivered"], 120);
    assert_eq!(pipeline["rate_limit"]["limit"], 1_000);
    assert_eq!(
        [&pipeline["dead_letters"], &pipeline["lag_seconds"]],
        [0, 0]
    );

    world.set("CLIENT_SECRET", "not-the-secret");
    world.command(&["poll"]).await;
    let (code, json) = status(&world).await;
    assert_eq!((code, &json["state"]), (1, &json!("failing")), "{json}");
    let error = json["pipelines"][0]["error"]["text"].as_str().unwrap();
    assert!(error.contains("CLIENT_SECRET"), "{error}");
    // `status` needs no secret to read what is stored.
    world.set("CLIENT_SECRET", "");
    world.set("WorkspaceKey", "");
    assert_eq!(state(status(&world).await), (1, "failing".into()));
    rewrite(
        &world,
        &json!({"is_failing": false, "last_run": minutes_ago(16)}),
    );
    assert_eq!(state(status(&world).await), (1, "stale".into()));
    let gap = json!([{"at": minutes_ago(60), "from": minutes_ago(600), "to": minutes_ago(500)}]);
    rewrite(&world, &json!({"last_run": minutes_ago(5), "gaps": gap}));
    assert_eq!(state(status(&world).await), (1, "gap".into()));
    rewrite(&world, &json!({"gaps": [], "caught_up": false}));
    assert_eq!(state(status(&world).await), (0, "catching_up".into()));
}

#[tokio::test]
async fn where_no_run_can_begin_status_says_so_and_ends_as_other_commands_do() {
    for (setting, value, problem) in [
        ("DOMAIN", "", "DOMAIN is missing"),
        (
            "DESTINATIONS",
            "bogus",
            "DESTINATIONS names an unknown destination",
        ),
        (
            "START_FROM",
            "yesterday",
            "START_FROM is neither a duration",
        ),
        ("RUN_BUDGET", "0s", "RUN_BUDGET must be at least 1s"),
        ("ARRIVAL_AFTER", "soon", "ARRIVAL_AFTER is not a duration"),
        ("REDACT", "no", "REDACT is neither on nor off"),
        ("HEARTBEAT", "yes", "HEARTBEAT is neither on nor off"),
        ("PII", "email:lose", "PII names an unknown method"),
        ("PII_LOG_ANALYTICS", "email", "PII_LOG_ANALYTICS has a part"),
        ("FILTER_LOG_ANALYTICS", "bogus", "FILTER_LOG_ANALYTICS "),
        ("CHECKPOINT_DIR", "\"/data\"", "CHECKPOINT_DIR is in quotes"),
    ] {
        let mut world = World::start().await;
        world.set(setting, value);
        let (code, json) = status(&world).await;
        assert_eq!((code, &json["state"]), (2, &json!("failing")), "{json}");
        let error = json["pipelines"][0]["error"]["text"].as_str().unwrap();
        assert!(error.contains(problem), "{problem}: {error}");
    }
    let mut world = World::start().await;
    let named = ["status", "--destination", "bogus"];
    assert_eq!(world.command(&named).await.code(), 2);
    // `status` needs no secret, even where runs need one for pseudonyms.
    world.set("PII", "email:pseudonym");
    world.set("CLIENT_SECRET", "");
    world.set("WorkspaceKey", "");
    assert_eq!(status(&world).await.0, 0);
    // Of two destinations, one can begin and is shown, and so is the error of the other.
    world.set("DESTINATIONS", "log-analytics,archive");
    world.set("FILTER_ARCHIVE", "bogus");
    let (code, json) = status(&world).await;
    assert_eq!(code, 1, "{json}");
    let states = [0, 1].map(|index| json["pipelines"][index]["state"].clone());
    assert_eq!(states, ["never_ran", "failing"]);
}

/// Who corrects a setting restarts the app, and looks at once.
#[tokio::test]
async fn a_run_that_is_asked_to_end_before_it_read_anything_does_not_tell_that_a_failure_is_over() {
    let mut world = World::start().await;
    let secret = world.setting("CLIENT_SECRET").to_owned();
    world.set("CLIENT_SECRET", "not-the-secret");
    world.command(&["poll"]).await;
    world.set("CLIENT_SECRET", &secret);
    world.tenant.fail_logs([Fault::Hang]);
    let poll = world.start_command(&["poll"]);
    world.tenant.wait_for_log_request(1).await;
    assert_eq!(world.end("TERM", poll).await.code(), 130);
    let (code, json) = status(&world).await;
    let pipeline = &json["pipelines"][0];
    assert_eq!((code, &pipeline["state"]), (1, &json!("failing")), "{json}");
    assert_eq!(pipeline["last_success"], json!(null));

    world.poll().await;
    assert_eq!(status(&world).await.1["state"], "ok");
}

#[tokio::test]
async fn what_cannot_be_read_or_is_of_the_future_is_not_told_as_good() {
    let world = World::start().await;
    world.poll().await;
    rewrite(&world, &json!({"last_run": now() + TimeDelta::days(30)}));
    let (code, json) = status(&world).await;
    assert_eq!((code, &json["state"]), (1, &json!("stale")), "{json}");
    let text = world.command(&["status"]).await.stdout;
    assert!(text.contains("(in the future, by "), "{text}");

    rewrite(&world, &json!({"format": 2, "is_failing": true}));
    let newer = fs::read(world.history_file(Sink::LogAnalytics)).unwrap();
    for (content, problem) in [
        (b"garbage".to_vec(), "it is not a history"),
        (Vec::new(), "it is not a history"),
        (newer, "it has format 2, and this version reads format 1"),
    ] {
        fs::write(world.history_file(Sink::LogAnalytics), content).unwrap();
        let (code, json) = status(&world).await;
        assert_eq!((code, &json["state"]), (1, &json!("failing")), "{json}");
        let error = json["pipelines"][0]["error"]["text"].as_str().unwrap();
        assert!(error.ends_with(problem), "{error}");
        let host = world.host().await;
        assert_eq!(host.call(get("")).await.status, 503);
        host.stop().await;
        let ran = world.command(&["poll"]).await;
        let told = format!("cannot be used ({problem}), so it is begun anew");
        assert!(ran.stderr.contains(&told), "{ran:?}");
        let (code, json) = status(&world).await;
        assert_eq!((code, &json["state"]), (0, &json!("ok")), "{json}");
        let error = json["pipelines"][0]["error"]["text"].as_str().unwrap();
        assert!(error.ends_with(&told), "{error}");
    }
}

#[tokio::test]
async fn of_several_tenants_each_is_told_and_the_broken_ones_are_red() {
    let mut world = World::start().await;
    let domain = world.tenant.settings()[0].1.clone();
    world.set("TENANTS", "acme,globex,initech");
    world.set("DOMAIN", "");
    world.set("ACME__DOMAIN", &domain);
    world.set("GLOBEX__DOMAIN", "http://127.0.0.1:1");
    world.set("GLOBEX__WorkspaceKey", "?");
    world.command(&["poll"]).await;
    let (code, json) = status(&world).await;
    assert_eq!(code, 1);
    let told = json["pipelines"].as_array().unwrap().iter();
    let told: Vec<_> = told
        .map(|it| [&it["tenant"], &it["destination"], &it["state"]].map(|it| it.as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ["acme", "log-analytics", "ok"],
            ["globex", "log-analytics", "failing"],
            ["initech", "log-analytics", "failing"],
        ]
    );
    let error = |index: usize| json["pipelines"][index]["error"]["text"].as_str().unwrap();
    assert!(error(1).contains("GLOBEX__WorkspaceKey"), "{json}");
    assert!(error(2).contains("INITECH__DOMAIN is missing"), "{json}");
    let text = world.command(&["status"]).await.stdout;
    assert!(text.starts_with("failing  (auth0-poller "), "{text}");
    assert!(text.contains("\nacme/log-analytics  ok\n"), "{text}");
}

fn get(view: &str) -> Call {
    Call::new("GET", &format!("/api/health{view}")).key()
}

#[tokio::test]
async fn the_function_answers_with_json_metrics_and_a_page_while_a_run_holds_the_folder() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    host.fire(FUNCTION).await.reports();

    let health = host.call(get("")).await;
    assert_eq!(health.status, 200, "{health:?}");
    let json: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(json["state"], "ok");
    let metrics = host.call(get("/metrics")).await;
    let value = |name: &str| {
        let line = metrics
            .body
            .lines()
            .find(|it| it.starts_with(name))
            .unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value("auth0_poller_records_total{"), "10");
    assert!(metrics.headers["Content-Type"].starts_with("text/plain; version=0.0.4"));
    let page = host.call(get("/page")).await;
    assert!(page.body.starts_with("<!DOCTYPE html>"), "{page:?}");
    let policy = &page.headers["Content-Security-Policy"];
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert_eq!(host.call(get("/secrets")).await.status, 404);
    let keyless = Call::new("GET", "/api/health");
    assert_eq!(host.call(keyless).await.status, 401);

    let denied = r#"{"error":"access_denied","error_description":"Unauthorized"}"#;
    world.tenant.revoke_tokens();
    world.tenant.fail_tokens([Fault::answer(401, denied)]);
    host.fire(FUNCTION).await.failure();
    // A process repeats its last answer for some seconds, so another process is asked.
    let other = world.host().await;
    assert_eq!(other.call(get("")).await.status, 503);
    assert_eq!(other.call(get("/page")).await.status, 200);
}

/// Serves a page with its headers. Returns the document as Chromium builds it, and Chromium's
/// complaints.
async fn browse(page: Reply) -> (String, String) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move || {
        let mut response = page.body.clone().into_response();
        for (name, value) in &page.headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        std::future::ready(response)
    };
    let app = Router::new().route("/", routing::get(answer));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--dump-dom");
    let output = command
        .arg(format!("http://{address}/"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("Chromium shows the page: apt-get install chromium");
    server.abort();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_browser_shows_each_state_and_runs_nothing_that_an_error_says() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let hostile = "</p></section><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    let error = json!([{"at": now(), "text": hostile}]);
    let gap = json!([{"at": minutes_ago(60), "from": minutes_ago(600), "to": minutes_ago(500)}]);
    for (state, changes) in [
        ("ok", json!({"errors": error})),
        (
            "catching_up",
            json!({"caught_up": false, "lag_seconds": 4_000}),
        ),
        ("gap", json!({"gaps": gap})),
        ("stale", json!({"last_run": minutes_ago(20)})),
        ("failing", json!({"is_failing": true})),
    ] {
        rewrite(&world, &changes);
        // A process repeats what it saw, so each state gets a new one.
        let host = world.host().await;
        let page = host.call(get("/page")).await;
        let (document, complaints) = browse(page).await;
        let title = format!("<title>{state} · auth0-poller</title>");
        assert!(document.contains(&title), "{document}\n{complaints}");
        assert!(document.contains(&format!("<span class=\"state {state}\">{state}</span>")));
        assert!(
            !document.contains("<script") && !document.contains("<img"),
            "{document}"
        );
        assert!(document.contains("&lt;script&gt;"), "{document}");
        assert!(
            !complaints.contains("Content Security Policy"),
            "{complaints}"
        );
    }
}

async fn all_is_unknown(world: &World) {
    let text = world.command(&["status"]).await.stdout;
    for name in [
        "last run",
        "last success",
        "newest record",
        "behind",
        "records",
        "bytes",
    ] {
        let line = format!("  {name:<14} unknown");
        assert!(text.lines().any(|it| it == line), "{name}: {text}");
    }
}

/// If the settings do not say where the history is, it was not read.
#[tokio::test]
async fn what_nobody_has_looked_at_is_not_said_to_be_never_or_none() {
    for (setting, value) in [("DOMAIN", ""), ("DESTINATIONS", "bogus")] {
        let mut world = World::start().await;
        world.poll().await;
        world.set(setting, value);
        all_is_unknown(&world).await;
        let text = world.command(&["status"]).await.stdout;
        assert_eq!(text.matches("error at").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn of_a_history_that_cannot_be_read_nothing_is_said_to_be_never_or_none() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    fs::write(world.history_file(Sink::LogAnalytics), "garbage").unwrap();
    all_is_unknown(&world).await;
    let pipeline = status(&world).await.1["pipelines"][0].clone();
    assert_eq!(
        [&pipeline["records"], &pipeline["bytes"]],
        [&Value::Null; 2]
    );
    let metrics = world.host().await.call(get("/metrics")).await.body;
    let mut lines = metrics.lines();
    assert!(
        !lines.any(|it| it.starts_with("auth0_poller_records_total{")),
        "{metrics}"
    );
}
