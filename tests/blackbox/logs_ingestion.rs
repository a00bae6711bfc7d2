//! What is special about the Logs Ingestion API: its posts and limits, and what `check`
//! says.

mod publisher;

use chrono::SubsecRound as _;
use serde_json::json;
use simulator::ingestion::too_many_requests;
use simulator::{EntraId, Fault, ManagedIdentity, entra, identity};

use crate::table::additional_fields;
use crate::world::{FUNCTION, Sink, World, minutes_ago, now, numbers};

const USER_ASSIGNED: &str = "11111111-2222-4333-8444-555555555555";

async fn world() -> World {
    World::start_for(Sink::LogsIngestion).await
}

async fn world_with(records: usize) -> World {
    let world = world().await;
    world
        .tenant
        .generate(records, minutes_ago(50), minutes_ago(5));
    world
}

/// Asserts that a run fails with one error, which contains this, and that it sets nothing aside.
async fn assert_fails(world: &World, telling: &str) {
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors[0].as_str().unwrap();
    assert!(error.contains(telling), "{telling} is not in {error}");
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [0, 0]);
}

#[tokio::test]
async fn posts_are_compressed_and_take_a_megabyte_of_json_at_most() {
    let world = world_with(10_000).await;
    let report = world.poll().await;
    world.assert_all_landed_once();
    let (posts, sent) = (world.rule.posts(), world.rule.sent());
    assert_eq!(numbers(&report, ["batches"]), [posts.len() as u64]);
    assert_eq!(report["bytes"], posts.iter().sum::<usize>());
    let (last, full) = posts.split_last().unwrap();
    assert!(
        full.iter().all(|it| (990_000..=1_000_000).contains(it)) && *last <= 1_000_000,
        "{posts:?}"
    );
    for (json, sent) in posts.iter().zip(sent) {
        assert!(sent * 5 < *json, "{sent} bytes for {json}");
    }
}

#[tokio::test]
async fn a_post_takes_a_thousand_rows_at_most() {
    let world = world().await;
    for n in 0..2_500 {
        let stored = minutes_ago(10) + chrono::Duration::milliseconds(n);
        world
            .tenant
            .add(json!({"date": stored, "type": "s"}), stored);
    }
    assert_eq!(numbers(&world.poll().await, ["batches"]), [3]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_row_that_just_fits_into_a_post_lands_and_one_byte_more_is_set_aside() {
    let world = world().await;
    let date = minutes_ago(10).trunc_subsecs(0) + chrono::Duration::milliseconds(123);
    let add = |padding: usize| {
        let record = json!({"date": date, "type": "s", "padding": "x".repeat(padding)});
        world.tenant.add(record, date)
    };
    // The reason given for the first record tells how long a row is without its padding.
    let too_much = 1_010_000;
    add(too_much);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let (_, reason) = ran.stderr.split_once("its row takes ").unwrap();
    let (bytes, reason) = reason.split_once(" bytes, and a delivery ").unwrap();
    assert!(reason.starts_with("999998"), "{reason}");
    let fits = too_much + 999_998 - bytes.parse::<usize>().unwrap();

    let id = add(fits);
    add(fits + 1);
    let report = world.poll().await;
    // A record that is set aside is also delivered, shortened.
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [2, 1]);
    assert!(world.rule.posts().contains(&1_000_000));
    let rows = world.table().rows;
    let (whole, shortened): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|row| !row.contains_key("Shortened_s"));
    assert_eq!((whole.len(), shortened.len()), (1, 2));
    assert_eq!(whole[0]["log_id_s"], id);
    assert!(additional_fields(whole[0])["padding"] == "x".repeat(fits));
}

#[tokio::test]
async fn a_post_that_is_too_large_all_the_same_is_divided() {
    let world = world_with(1_200).await;
    let too_large = Fault::Answer {
        status: 413,
        headers: vec![("x-ms-error-code", "ContentLengthLimitExceeded".into())],
        body: r#"{"error":{"code":"ContentLengthLimitExceeded","message":"Too large."}}"#.into(),
    };
    // First the batch is too large. Ten rows are tried alone, and then its first half is too large.
    let alone = vec![Fault::None; 10];
    world.rule.fail([too_large.clone()]);
    world.rule.fail(alone);
    world.rule.fail([too_large]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [1_200, 0]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn the_wait_that_the_service_asks_for_is_kept_or_left_to_the_next_run() {
    let mut world = world_with(10).await;
    world.rule.fail([too_many_requests(1)]);
    let report = world.poll().await;
    assert!(numbers(&report, ["elapsed_ms"]) >= [1_000]);
    assert_eq!(world.rule.requests(), 2);
    world.assert_all_landed_once();

    world.tenant.generate(10, minutes_ago(4), minutes_ago(3));
    world.set("RUN_BUDGET", "2s");
    world.rule.fail([too_many_requests(600)]);
    assert_fails(&world, "TooManyRequests: Too many requests.").await;
    assert_eq!(world.rule.requests(), 3);
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn the_row_has_the_record_s_date_also_where_the_table_is_ordered_by_another() {
    let mut world = world().await;
    world.set("START_FROM", "7d");
    let form = "%Y-%m-%dT%H:%M:09.123Z";
    let days_ago = minutes_ago(3 * 24 * 60);
    let recently = minutes_ago(10);
    for date in [days_ago, recently] {
        let record = json!({"date": date.format(form).to_string(), "type": "s"});
        world.tenant.add(record, date);
    }
    let dateless = world.tenant.add(json!({"type": "s"}), minutes_ago(5));
    let began = now();
    world.poll().await;
    let rows = world.table().rows;
    assert_eq!(rows[0]["date_t"], days_ago.format(form).to_string());
    for row in [&rows[0], &rows[2]] {
        let time = row["TimeGenerated"].as_str().unwrap();
        assert!(time.parse::<chrono::DateTime<chrono::Utc>>().unwrap() >= began);
    }
    assert_eq!(rows[1]["date_t"], recently.format(form).to_string());
    assert_eq!(rows[1]["TimeGenerated"], rows[1]["date_t"]);
    assert_eq!(rows[2]["log_id_s"], dateless);
    // `_id` has no column in this table.
    let columns: Vec<_> = rows[1].keys().map(String::as_str).collect();
    assert_eq!(
        columns,
        [
            "AdditionalFields_s",
            "TimeGenerated",
            "date_t",
            "log_id_s",
            "type_s"
        ]
    );
    assert_eq!(
        additional_fields(&rows[1]),
        json!({"_id": rows[1]["log_id_s"]})
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_token() {
    let world = world_with(10).await;
    let elsewhere = World::start_for(Sink::LogsIngestion).await;
    let to = elsewhere.rule.settings()[0].1.clone();
    world.rule.fail([Fault::Answer {
        status: 307,
        headers: vec![("location", to)],
        body: "".into(),
    }]);
    assert_fails(&world, "answered 307 Temporary Redirect").await;
    assert_eq!(elsewhere.rule.requests(), 0);
}

#[tokio::test]
async fn a_missing_role_sets_nothing_aside_and_the_run_behind_it_makes_up_for_it() {
    let world = world_with(10).await;
    world.rule.take_role();
    assert_fails(
        &world,
        "give it the role Monitoring Metrics Publisher on the data collection rule itself",
    )
    .await;
    assert_eq!(world.rule.requests(), 1);
    world.rule.give_role();
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn of_a_long_explanation_the_beginning_is_told_and_no_command_for_a_terminal() {
    let world = world_with(10).await;
    let message = format!("\u{1b}[31mAccessGranted: False, /{}", "x".repeat(1_000));
    let body = json!({"error": {"code": "OperationFailed", "message": message}}).to_string();
    for telling in [
        ": OperationFailed: \u{fffd}[31mAccessGranted: False, /xxx",
        "xxx…; give it the role Monitoring Metrics Publisher",
    ] {
        world.rule.fail([Fault::answer(403, &body)]);
        assert_fails(&world, telling).await;
    }
}

/// A proxy may answer like this in place of the service.
#[tokio::test]
async fn a_success_that_is_not_the_services_own_is_none() {
    let world = world_with(10).await;
    world
        .rule
        .fail([Fault::answer(200, "<html>Blocked by policy</html>")]);
    let error = "answered 200 OK: <html>Blocked by policy</html>";
    assert_fails(&world, error).await;
    world.poll().await;
    world.assert_all_landed_once();
}

/// The rule would take them with success, and drop every column.
#[tokio::test]
async fn no_record_goes_to_the_stream_of_heartbeats() {
    for stream in ["Custom-Auth0AMHealth_CL", "Custom-auth0amhealth_cl"] {
        let mut world = world_with(10).await;
        world.set("DCR_STREAM", stream);
        for command in ["check", "poll"] {
            let ran = world.command(&[command]).await;
            assert_eq!(ran.code(), 2, "{ran:?}");
            let told = [&*ran.stdout, &*ran.stderr].concat();
            assert!(
                told.contains("DCR_STREAM is the stream for heartbeats"),
                "{ran:?}"
            );
        }
        assert_eq!(world.rule.requests(), 0);
    }
}

#[tokio::test]
async fn check_finds_the_rule_in_order_and_stores_nothing() {
    let world = world_with(10).await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let line = "ok         logs-ingestion: the rule accepted an empty post\n";
    assert!(ran.stdout.contains(line), "{ran:?}");

    let wants_more = r#"{"error":{"code":"InvalidPayload","message":"The list is empty."}}"#;
    world.rule.fail([Fault::answer(400, wants_more)]);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("not tried  logs-ingestion: the rule does not take an empty post"),
        "{ran:?}"
    );
    assert_eq!(world.rule.stored(), 0);
}

#[tokio::test]
async fn check_says_of_the_rule_what_is_wrong_and_how_to_mend_it() {
    let another = "dcr-ffffffffffffffffffffffffffffffff";
    for (setting, value, expected) in [
        (
            "DCR_IMMUTABLE_ID",
            another,
            &[
                "knows no rule dcr-ffffffffffffffffffffffffffffffff: NotFound: ",
                "check DCR_IMMUTABLE_ID, which begins with dcr-",
            ],
        ),
        (
            "DCR_STREAM",
            "Custom-Another_CL",
            &[
                "has no stream Custom-Another_CL: InvalidStream: ",
                "check DCR_STREAM against the rule's stream declarations",
            ],
        ),
        (
            "DCR_ENDPOINT",
            "http://127.0.0.1:9",
            &["posting to 127.0.0.1:9", "cannot connect"],
        ),
        (
            "AZURE_CLIENT_ID",
            USER_ASSIGNED,
            &[
                "the platform has no identity for this app",
                "correct the client id of the user-assigned one",
            ],
        ),
    ] {
        let mut world = world().await;
        world.set(setting, value);
        assert_check_fails(&world, expected).await;
    }
    let mut world = world().await;
    // The service names the error in a header too.
    world.rule.fail([Fault::Answer {
        status: 400,
        headers: vec![("x-ms-error-code", "InvalidStream".into())],
        body: "".into(),
    }]);
    assert_check_fails(&world, &["has no stream Custom-Auth0AM_CL: an empty body"]).await;
    world.rule.take_role();
    let role = "give it the role Monitoring Metrics Publisher on the data collection rule itself";
    assert_check_fails(&world, &["OperationFailed: ", role]).await;
    world.rule.give_role();
    let stranger = ManagedIdentity::start("https://monitor.azure.com").await;
    world.set_all(stranger.environment());
    let cloud = "check that DCR_ENDPOINT is in the same cloud as the identity";
    assert_check_fails(&world, &["InvalidToken: ", cloud]).await;
}

async fn assert_check_fails(world: &World, expected: &[&str]) {
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let mut lines = ran.stdout.lines();
    let line = lines.find(|it| it.starts_with("FAILED     logs-ingestion: "));
    let line = line.unwrap_or_else(|| panic!("{ran:?}"));
    for text in expected {
        assert!(line.contains(text), "{text} is not in {line}");
    }
}
