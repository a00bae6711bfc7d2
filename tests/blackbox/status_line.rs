//! What the host shows of a failed run: the reason in the status line, and the log lines under the
//! invocation's name.

use serde_json::json;
use simulator::host::{Level, Outcome};
use simulator::{Azurite, Fault};

use crate::world::{FUNCTION, Sink, World, minutes_ago};

/// The part in brackets of the host's message, which is all that the host shows.
fn reason(outcome: Outcome) -> String {
    let failure = outcome.failure();
    let message = failure.strip_prefix("Response status code does not indicate success: 500 (");
    let reason = message.and_then(|it| it.strip_suffix(").")).unwrap();
    assert!(reason.len() <= 512, "{reason}");
    assert!(
        reason.bytes().all(|it| (0x20..0x7f).contains(&it)),
        "{reason}"
    );
    reason.to_owned()
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_its_remedy() {
    let world = World::start().await;
    let denied = r#"{"error":"access_denied","error_description":"Unauthorized"}"#;
    world.tenant.fail_tokens([Fault::answer(401, denied)]);
    let host = world.host().await;
    let told = reason(host.fire(FUNCTION).await);
    assert!(told.starts_with("log-analytics: "), "{told}");
    assert!(told.contains("CLIENT_SECRET"), "{told}");
}

#[tokio::test]
async fn two_destinations_that_fail_are_both_told() {
    let mut world = World::start().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::EventGrid]);
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let forbidden = Fault::answer(403, r#"{"Error":"InvalidAuthorization"}"#);
    world.workspace.fail([forbidden.clone(), forbidden]);
    world.topic.take_other_events();
    let told = reason(world.host().await.fire(FUNCTION).await);
    let parts: Vec<_> = told.split(" | ").collect();
    assert_eq!(parts.len(), 2, "{told}");
    assert!(parts[0].starts_with("log-analytics: "), "{told}");
    assert!(parts[0].contains("refused the signature"), "{told}");
    assert!(parts[1].starts_with("event-grid: "), "{told}");
    assert!(parts[1].contains("does not take CloudEvents"), "{told}");
}

#[tokio::test]
async fn settings_that_are_missing_and_a_storage_that_is_away_are_told() {
    let mut world = World::start().await;
    world.set("WorkspaceKey", "");
    let told = reason(world.host().await.fire(FUNCTION).await);
    assert!(told.contains("WorkspaceKey is missing"), "{told}");

    let mut world = World::start().await;
    let mut azurite = Azurite::start().await;
    world.set("AzureWebJobsStorage", &azurite.connection_string());
    world.keep_secret(Azurite::secrets());
    azurite.stop().await;
    let told = reason(world.host().await.fire(FUNCTION).await);
    assert!(told.contains("start Azurite"), "{told}");
}

/// Each destination has a checkpoint of its own, and tries for a time of its own.
#[tokio::test]
async fn what_three_destinations_have_in_common_is_told_once_with_its_remedy() {
    const SINKS: [Sink; 3] = [Sink::LogAnalytics, Sink::EventGrid, Sink::Tinybird];
    let mut world = World::start().await;
    world.deliver_to(&SINKS);
    let mut azurite = Azurite::start().await;
    world.set("AzureWebJobsStorage", &azurite.connection_string());
    world.keep_secret(Azurite::secrets());
    azurite.stop().await;
    let told = reason(world.host().await.fire(FUNCTION).await);
    let begin = "log-analytics and 2 more: reading the checkpoint http://127.0.0.1:";
    assert!(told.starts_with(begin), "{told}");
    assert_eq!(told.matches("start Azurite").count(), 1, "{told}");

    let mut world = World::start().await;
    world.deliver_to(&SINKS);
    let busy = Fault::answer(503, "");
    world.tenant.fail_tokens(std::iter::repeat_n(busy, 100));
    let told = reason(world.host().await.fire(FUNCTION).await);
    assert!(told.starts_with("log-analytics and 2 more: "), "{told}");
    assert_eq!(told.matches("503").count(), 1, "{told}");
}

#[tokio::test]
async fn a_hostile_text_yields_a_valid_line_that_leaks_nothing() {
    let world = World::start().await;
    let host = world.host().await;
    host.fire(FUNCTION).await.report();
    let token = world.tenant.secrets()[1].clone();
    for said in [
        "a\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "\u{0}\u{1b}[31m\u{7f}\u{202e}".to_owned(),
        "x".repeat(10_000),
        "word ".repeat(2_000),
        "Zürich 日本 \u{2028}".to_owned(),
        format!("Bearer {token}"),
        "100 % {0} {{}} \"quoted\"".to_owned(),
    ] {
        let body = json!({"message": said}).to_string();
        world.tenant.fail_logs([Fault::answer(405, &body)]);
        let told = reason(host.fire(FUNCTION).await);
        assert!(told.contains("405 Method Not Allowed"), "{told}");
        assert!(!told.contains(&token), "{told}");
    }
}

#[tokio::test]
async fn a_quiet_run_leaves_one_line_of_ours_also_with_two_destinations() {
    let mut world = World::start().await;
    for (sinks, line) in [
        (
            &[Sink::LogAnalytics][..],
            "log-analytics: 0 records delivered; caught up",
        ),
        (
            &[Sink::LogAnalytics, Sink::EventGrid],
            "log-analytics: 0 records delivered; caught up | event-grid: 0 records delivered; \
             caught up",
        ),
    ] {
        world.deliver_to(sinks);
        let host = world.host().await;
        host.fire(FUNCTION).await.reports();
        let before = host.lines().len();
        let Outcome::Success { logs, .. } = host.fire(FUNCTION).await else {
            panic!("it failed");
        };
        assert_eq!(logs, [line]);
        assert_eq!(host.lines().len(), before, "{:?}", host.lines());
        host.stop().await;
    }
}

#[tokio::test]
async fn every_line_of_an_invocation_begins_with_its_level_its_name_and_its_trace() {
    let world = World::start().await;
    let ids = world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.workspace.refuse(&ids[3]);
    let host = world.host().await;
    let warning = host.fire(FUNCTION);
    warning.await.report();
    world.tenant.fail_logs([Fault::answer(405, "")]);
    host.fire(FUNCTION).await.failure();
    host.wait_for_line(Level::Error, "405").await;
    let lines = host.lines();
    let within: Vec<_> = lines
        .iter()
        .map(|line| &*line.text)
        .filter(|it| !it.contains("is listening"))
        .collect();
    assert_eq!(within.len(), 3, "{within:?}");
    for (line, level) in within.iter().zip(["WARN", "INFO", "ERROR"]) {
        let words: Vec<_> = line.splitn(6, ' ').collect();
        assert_eq!(
            [words[0], words[1], words[3]],
            [level, "invocation", "trace"]
        );
        assert_eq!(words[2].len(), 36, "{line}");
        // This word ends with a colon.
        assert_eq!(words[4].len(), 33, "{line}");
    }
    assert!(lines[0].text.starts_with("INFO auth0-poller "), "{lines:?}");

    // *Run now* has no trace.
    world.tenant.fail_logs([Fault::answer(405, "")]);
    host.run_now(FUNCTION).await.failure();
    let last = host.lines().pop().unwrap().text;
    assert!(
        last.starts_with("ERROR invocation ") && !last.contains(" trace "),
        "{last}"
    );
}
