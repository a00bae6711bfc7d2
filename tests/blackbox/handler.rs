//! The program as the Functions host sees it.

use std::fs;

use serde_json::json;
use simulator::host::{Level, Outcome, State};
use simulator::{Fault, Gate};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use crate::world::{FUNCTION, Sink, World, for_each_destination, minutes_ago, now, numbers};

for_each_destination![
    a_killed_process_loses_nothing,
    a_run_ends_on_time_whether_the_tenant_or_the_workspace_hangs,
    a_program_that_is_asked_to_end_finishes_its_run_first_and_is_started_again,
];

/// The body of a timer invocation, under any binding name.
fn timer_body(binding: &str, timer: &serde_json::Value) -> String {
    json!({"Data": {binding: timer}, "Metadata": {"sys": {"MethodName": FUNCTION}}}).to_string()
}

#[tokio::test]
async fn a_timer_invocation_delivers_and_reports() {
    let world = World::start().await;
    world.tenant.generate(250, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    assert_eq!(host.probe().await.unwrap(), 200);

    let Outcome::Success { logs, return_value } = host.fire(FUNCTION).await else {
        panic!("the invocation failed");
    };
    assert_eq!(
        logs,
        ["log-analytics: 250 records delivered; caught up"],
        "what the host logs as part of the invocation"
    );
    let [report] = &return_value.as_array().unwrap()[..] else {
        panic!("one report for each destination: {return_value}");
    };
    let mut fields: Vec<_> = report.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "arrival",
            "batches",
            "before_start",
            "busy",
            "bytes",
            "caught_up",
            "dead_lettered",
            "delivered",
            "destination",
            "elapsed_ms",
            "errors",
            "fetched",
            "filtered",
            "gap",
            "lag_seconds",
            "last_date",
            "last_log_id",
            "quarantined",
            "rate_limit",
            "requests",
            "skipped",
            "tenant",
        ]
    );
    assert_eq!(
        report["last_log_id"],
        *world.tenant.log_ids().last().unwrap()
    );
    world.assert_all_landed_once();

    // The program logs nothing: the host logs the line in the answer as part of the invocation.
    let ours = host.lines().into_iter().map(|line| line.text);
    let ours: Vec<_> = ours.filter(|it| !it.contains("is listening")).collect();
    assert_eq!(ours, Vec::<String>::new());
}

#[tokio::test]
async fn five_invocations_of_one_process_make_one_token_request() {
    let world = World::start().await;
    let host = world.host().await;
    for _ in 0..5 {
        world.tenant.generate(10, minutes_ago(1), now());
        host.fire(FUNCTION).await.report();
    }
    assert_eq!(world.tenant.token_requests(), 1);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn whatever_the_timer_looks_like_it_is_an_invocation() {
    let world = World::start().await;
    let host = world.host().await;
    let never_ran = json!({"Schedule": {}, "ScheduleStatus": {"Last": "0001-01-01T00:00:00"},
                           "IsPastDue": true});
    let retried = json!({
        "Data": {"timer": {"ScheduleStatus": null}},
        "Metadata": {"sys": {}, "RetryContext": {
            "RetryCount": 2, "MaxRetryCount": 3, "Instance": null, "State": {},
            "Exception": {"Message": "x".repeat(3_000_000)}}},
    });
    for body in [
        timer_body(
            "timer",
            &json!({"Schedule": {}, "ScheduleStatus": null, "IsPastDue": false}),
        ),
        timer_body("myTimer", &never_ran),
        timer_body("timer", &json!(null)),
        retried.to_string(),
    ] {
        let report = host.post(FUNCTION, body).await.report();
        assert_eq!(report["errors"], json!([]));
    }
}

#[tokio::test]
async fn what_is_no_invocation_of_this_function_is_refused_and_read_to_its_end() {
    let world = World::start().await;
    let host = world.host().await;
    // More than a connection buffers, so that a body that is not read is noticed.
    let large = "x".repeat(15_000_000);
    let good = timer_body("timer", &json!({"padding": large}));
    let too_large = timer_body("timer", &json!({"padding": "x".repeat(50_000_000)}));
    for (function, body, status) in [
        ("AnotherFunction", good.clone(), 404),
        ("AnotherFunction", too_large.clone(), 404),
        (FUNCTION, large.clone(), 400),
        (FUNCTION, String::new(), 400),
        (FUNCTION, "[]".into(), 400),
        (FUNCTION, json!({"Metadata": {}}).to_string(), 400),
        (FUNCTION, json!({"Data": "timer"}).to_string(), 400),
        (FUNCTION, too_large, 413),
        (FUNCTION, good, 200),
    ] {
        // The simulated host fails if an answer comes before it has sent everything.
        let answer = host.send(function, body).await.unwrap();
        assert_eq!(answer.status, status);
    }
    // The last refusal: the others were written before it.
    host.wait_for_line(Level::Error, "answered 413").await;
    let lines = host.lines();
    let refusals = lines.iter().filter(|it| it.text.contains("answered 4"));
    let refusals: Vec<_> = refusals.map(|it| it.text.as_str()).collect();
    assert_eq!(refusals.len(), 8, "{refusals:?}");
    for line in refusals {
        assert!(line.starts_with("ERROR invocation "), "{line}");
        assert!(line.contains(" trace "), "{line}");
    }
    assert_eq!(world.tenant.token_requests(), 1);
}

#[tokio::test]
async fn without_usable_settings_the_process_stays_and_every_invocation_says_what_is_wrong() {
    let mut world = World::start().await;
    world.set("DOMAIN", "");
    world.set("WorkspaceID", "not-a-guid");
    world.set("WorkspaceKey", "");
    world.set("DESTINATIONS", "log-analytics,stdout");
    let host = world.host().await;
    for _ in 0..2 {
        host.fire(FUNCTION).await.failure();
        assert_eq!(host.probe().await.unwrap(), 200);
    }
    let line = host.wait_for_line(Level::Error, "invocation ").await;
    for problem in [
        "4 settings need attention",
        "DOMAIN is missing: the tenant's host, such as acme.eu.auth0.com",
        "WorkspaceID is not a GUID",
        "WorkspaceKey is missing: the primary or secondary key of the workspace, base64",
        "DESTINATIONS names stdout, which is for `auth0-poller poll`",
    ] {
        assert!(
            line.text.contains(problem),
            "{problem} is not in {}",
            line.text
        );
    }
}

#[tokio::test]
async fn a_second_invocation_during_a_run_does_nothing_and_says_so() {
    let world = World::start().await;
    let host = world.host().await;
    host.fire(FUNCTION).await.report();
    world.tenant.fail_logs([Fault::Hang]);
    let before = world.tenant.log_requests();

    let second = async {
        world.tenant.wait_for_log_request(before + 1).await;
        // Only *Run now* can invoke the function during a run.
        host.run_now(FUNCTION).await
    };
    let second = tokio::select! {
        outcome = host.fire(FUNCTION) => panic!("the run should hang: {outcome:?}"),
        outcome = second => outcome,
    };
    let Outcome::Success { ref logs, .. } = second else {
        panic!("the second invocation failed");
    };
    assert!(
        logs[0].contains("an earlier run is still at work"),
        "{logs:?}"
    );
    assert_eq!(second.report()["busy"], true);
    assert_eq!(world.tenant.log_requests(), before + 1);
}

#[tokio::test]
async fn a_failed_run_is_a_failed_invocation_with_its_reason_on_standard_error() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let refused = Fault::answer(403, r#"{"Error":"InvalidAuthorization"}"#);
    world.workspace.fail([refused.clone(), refused]);
    let host = world.host().await;
    host.fire(FUNCTION).await.failure();
    let refused = "refused the signature";
    let line = host.wait_for_line(Level::Error, refused).await;
    assert!(
        line.text
            .contains("check that WorkspaceKey is a key of the workspace")
    );

    host.fire(FUNCTION).await.report();
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_process_that_began_without_the_permission_delivers_once_it_is_granted() {
    let world = World::with(simulator::tenant::Options {
        scope: "read:users",
        token_events: false,
        ..Default::default()
    })
    .await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    for _ in 0..2 {
        host.fire(FUNCTION).await.failure();
    }
    let line = host.wait_for_line(Level::Error, "Insufficient scope").await;
    let remedy = "give it the permission read:logs";
    assert!(line.text.contains(remedy), "{}", line.text);
    world.tenant.grant("read:logs");
    let report = host.fire(FUNCTION).await.report();
    assert_eq!(numbers(&report, ["delivered"]), [10]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn the_retry_of_a_failed_run_delivers_what_was_left() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let refused = Fault::answer(403, r#"{"Error":"InvalidAuthorization"}"#);
    world.workspace.fail([refused.clone(), refused]);
    let host = world.host().await;
    let outcomes = host.fire_and_retry(FUNCTION).await;
    let [failed, retried]: [Outcome; 2] = outcomes.try_into().unwrap();
    assert!(failed.failure().contains("refused the signature"));
    assert_eq!(numbers(&retried.report(), ["delivered"]), [10]);
    world.assert_all_landed_once();
}

async fn a_killed_process_loses_nothing(sink: Sink) {
    let world = World::start_for(sink).await;
    world
        .tenant
        .generate(2_500, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    // The first post is stored. The second hangs, and then the process is killed.
    world.arrivals().fail([Fault::None, Fault::Hang]);
    let killed = async {
        world.arrivals().wait_for_post(2).await;
        host.kill().await;
    };
    let (outcome, ()) = tokio::join!(host.fire(FUNCTION), killed);
    outcome.failure();
    assert_eq!(host.state(), State::Running(2));

    let stored = world.arrivals().stored() as u64;
    let report = host.fire(FUNCTION).await.report();
    let delivered = numbers(&report, ["delivered"]);
    if sink == Sink::EventBridge {
        // A batch is many posts. Those that were stored are sent again.
        assert!((10..1_000).contains(&stored), "{stored}");
        assert_eq!(delivered, [2_500]);
        let mut landed = world.arrivals().landed();
        landed.sort();
        landed.dedup();
        assert!(landed == world.tenant.log_ids(), "lost");
        assert_eq!(world.arrivals().stored() as u64, 2_500 + stored);
        return;
    }
    // One post: a thousand rows, or what makes a megabyte. An archive stores them by the hour.
    let least = if sink == Sink::Archive { 1 } else { 800 };
    assert!((least..=1_000).contains(&stored), "{stored}");
    assert_eq!(delivered, [2_500 - stored]);
    world.assert_all_landed_once();
}

async fn a_run_ends_on_time_whether_the_tenant_or_the_workspace_hangs(sink: Sink) {
    let mut world = World::start_for(sink).await;
    world.set("RUN_BUDGET", "1s");
    world.tenant.generate(10, now(), now());
    for service in ["tenant", "workspace"] {
        match service {
            "tenant" => world.tenant.fail_logs([Fault::Hang]),
            _ => world.arrivals().fail([Fault::Hang]),
        }
        let report = world.command(&["poll"]).await.report();
        let [elapsed] = numbers(&report, ["elapsed_ms"]);
        assert!(elapsed < 11_000, "{report}");
        let errors = report["errors"].as_array().unwrap();
        assert!(
            errors[0]
                .as_str()
                .unwrap()
                .contains("before the run's time was over"),
            "{report}"
        );
    }
    world.set("RUN_BUDGET", "");
    world.poll().await;
    world.assert_all_landed_once();
}

async fn a_program_that_is_asked_to_end_finishes_its_run_first_and_is_started_again(sink: Sink) {
    let world = World::start_for(sink).await;
    world
        .tenant
        .generate(3_000, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    let gate = Gate::closed();
    world.arrivals().fail([Fault::Wait(gate.clone())]);
    let terminated = async {
        world.arrivals().wait_for_post(1).await;
        host.terminate().await;
        host.wait_for_line(Level::Warning, "asked to end").await;
        gate.open();
    };
    let (outcome, ()) = tokio::join!(host.fire(FUNCTION), terminated);
    let report = outcome.report();
    assert_eq!(report["errors"], json!([]));
    host.wait_for_start(2).await;
    host.fire(FUNCTION).await.report();
    world.assert_all_landed_once();
}

/// Starts the program without a host. Returns it once it listens, and its port.
async fn serve(world: &mut World) -> (Child, u16) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    world.set("FUNCTIONS_CUSTOMHANDLER_PORT", &port.to_string());
    let mut program = world.start_command(&["serve"]);
    let lines = program.stdout.take().unwrap();
    let line = BufReader::new(lines).lines().next_line().await.unwrap();
    assert!(line.unwrap().ends_with("is listening"));
    (program, port)
}

/// Opens a connection and sends `text`. Returns it, and the start of an answer if one is due.
async fn sent(port: u16, text: &str, is_answered: bool) -> (TcpStream, String) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 1_000];
    let length = if is_answered {
        connection.read(&mut answer).await.unwrap()
    } else {
        0
    };
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    (connection, answer)
}

/// Asks the program to end. It does so with the code that makes the host start it again.
async fn ends_when_asked(world: &World, program: Child) {
    assert_eq!(world.end("TERM", program).await.code(), 200);
}

#[tokio::test]
async fn half_a_request_keeps_no_program_from_ending() {
    let mut world = World::start().await;
    let (program, port) = serve(&mut world).await;
    let head = format!("POST /{FUNCTION} HTTP/1.1\r\nHost: x\r\n");
    let body = format!("{head}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n");
    let _line = sent(port, "PO", false).await;
    let _head = sent(port, &head, false).await;
    let (mut body, answer) = sent(port, &body, true).await;
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
    body.write_all(b"{\"Data\"").await.unwrap();
    // Once this is answered, the earlier requests were read.
    let (_, answer) = sent(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    ends_when_asked(&world, program).await;
}

#[tokio::test]
async fn a_run_is_finished_although_nobody_waits_for_its_answer() {
    let mut world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let (mut program, port) = serve(&mut world).await;
    let mut told = BufReader::new(program.stderr.take().unwrap()).lines();
    let gate = Gate::closed();
    world.workspace.fail([Fault::Wait(gate.clone())]);
    let body = timer_body("timer", &json!({}));
    let length = body.len();
    let request =
        format!("POST /{FUNCTION} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    let (host, _) = sent(port, &request, false).await;
    world.workspace.wait_for_post(1).await;
    drop(host);
    let opened = async {
        let line = told.next_line().await.unwrap();
        assert!(line.unwrap().contains("asked to end"));
        gate.open();
    };
    tokio::join!(ends_when_asked(&world, program), opened);
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [0]);
    world.assert_all_landed_once();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_crash_leaves_no_memory_with_secrets_in_it() {
    let world = World::start().await;
    let host = world.host().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", host.process_id())).unwrap();
    let core = limits
        .lines()
        .find(|it| it.starts_with("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().skip(4).collect();
    assert_eq!(core, ["0", "0", "bytes"], "soft and hard");
}

/// A certificate whose private key nobody has.
const NOBODY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUceDAhVFhape+ua31/lKXl370hO0wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyODEwMDE0MVoYDzIxMjYxMTA0MTAw
MTQxWjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASDqWJvp4JoH4LwKblzenkFmktMNnXhmvDfpi+bY7BTS3RQ05xuaRH1kKzqv+rI
s8eAtaWOzDGaH1iaK3b5ayjHo1MwUTAdBgNVHQ4EFgQUpUdb5LzLo74hYUkCdyD8
QxRApOwwHwYDVR0jBBgwFoAUpUdb5LzLo74hYUkCdyD8QxRApOwwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA3avaZ+ZLJNo0tNgUwHfl9Pafi+bT
1wFEO0OJsB4I8yoCICM0iljnXnp+vPcVxREukt8otlKRXohquIIhjuaT8xKA
-----END CERTIFICATE-----
";

#[tokio::test]
async fn what_cannot_be_made_at_the_start_is_made_once_it_can() {
    let mut world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let file = world.folder.path().join("certificates.pem");
    fs::write(&file, "").unwrap();
    world.set("SSL_CERT_FILE", file.to_str().unwrap());
    world.set("SSL_CERT_DIR", "/nowhere");
    let host = world.host().await;
    let why = host.fire(FUNCTION).await.failure();
    assert!(why.contains("No CA certificates"), "{why}");
    fs::write(&file, NOBODY).unwrap();
    host.fire(FUNCTION).await.reports();
    world.assert_all_landed_once();
}
