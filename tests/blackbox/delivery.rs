//! What lands in the workspace: every record, once.

use bytes::Bytes;
use serde_json::json;
use simulator::Fault;
use simulator::host::Level;

use crate::world::{FUNCTION, Sink, World, for_each_destination, minutes_ago, now, numbers};

for_each_destination![
    ten_thousand_records_land_once_then_none_then_exactly_the_new_ones,
    dates_out_of_order_or_tied_are_neither_lost_nor_repeated,
    a_record_that_becomes_visible_late_lands,
    passing_failures_of_either_side_are_overcome_within_the_run,
    a_lost_answer_of_the_workspace_repeats_one_batch_and_loses_nothing,
    what_has_no_id_is_set_aside_and_the_page_it_is_in_lands,
    half_a_surrogate_pair_hides_no_record,
];

const COUNTS: [&str; 3] = ["fetched", "delivered", "skipped"];

async fn ten_thousand_records_land_once_then_none_then_exactly_the_new_ones(sink: Sink) {
    let world = World::start_for(sink).await;
    world
        .tenant
        .generate(10_000, minutes_ago(55), minutes_ago(2));
    let host = world.host().await;

    let first = host.fire(FUNCTION).await.report();
    assert_eq!(numbers(&first, COUNTS), [10_000, 10_000, 0]);
    assert_eq!(first["caught_up"], true);
    world.assert_all_landed_once();
    let posts = world.arrivals().posts();
    if sink == Sink::LogAnalytics {
        assert_eq!(posts.len(), 10);
    }
    assert_eq!(first["bytes"], posts.iter().sum::<usize>());

    let second = host.fire(FUNCTION).await.report();
    assert_eq!(numbers(&second, ["delivered", "requests"]), [0, 1]);

    world.tenant.generate(130, minutes_ago(1), now());
    let third = host.fire(FUNCTION).await.report();
    assert_eq!(numbers(&third, ["delivered"]), [130]);
    world.assert_all_landed_once();
}

async fn dates_out_of_order_or_tied_are_neither_lost_nor_repeated(sink: Sink) {
    let world = World::start_for(sink).await;
    let stored = minutes_ago(10);
    for n in 0..300 {
        // Ids ascend while dates descend in steps of three records.
        let date = stored - chrono::Duration::milliseconds(10 * (n / 3));
        let record = json!({"date": date, "type": "s"});
        world
            .tenant
            .add(record, stored + chrono::Duration::milliseconds(n));
    }
    world.poll().await;
    world.assert_all_landed_once();
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [0]);
}

async fn a_record_that_becomes_visible_late_lands(sink: Sink) {
    let world = World::start_for(sink).await;
    world.tenant.generate(50, minutes_ago(30), minutes_ago(5));
    world.tenant.add(json!({"date": now(), "type": "s"}), now());
    world.poll().await;
    let late = now() - chrono::Duration::seconds(20);
    world.tenant.add(json!({"date": late, "type": "f"}), late);
    let report = world.poll().await;
    assert_eq!(numbers(&report, COUNTS), [2, 1, 1]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn the_row_happened_when_the_record_says() {
    let world = World::start().await;
    let date = minutes_ago(10).format("%Y-%m-%dT%H:%M:09.123Z").to_string();
    let record = json!({"date": date, "type": "s", "details": {"a": [1]}});
    world.tenant.add(record, minutes_ago(8));
    world.poll().await;
    let table = world.workspace.table("Auth0AM_CL");
    assert_eq!(table.rows[0]["TimeGenerated"], date);
    assert_eq!(
        table.rows[0]["AdditionalFields_s"],
        r#"{"details":{"a":[1]}}"#
    );
    let columns = [
        "AdditionalFields_s",
        "_id_s",
        "date_t",
        "log_id_s",
        "type_s",
    ];
    assert!(table.columns.iter().eq(columns.iter()));
}

async fn passing_failures_of_either_side_are_overcome_within_the_run(sink: Sink) {
    let world = World::start_for(sink).await;
    world
        .tenant
        .generate(1_200, minutes_ago(50), minutes_ago(5));
    world.tenant.fail_tokens([Fault::answer(500, "")]);
    world.tenant.fail_logs([
        Fault::answer(502, "<html>bad gateway</html>"),
        Fault::Break,
        Fault::answer(408, ""),
    ]);
    world
        .arrivals()
        .fail([429, sink.passing_failure()].map(|it| Fault::answer(it, "")));
    let report = world.poll().await;
    assert_eq!(numbers(&report, COUNTS), [1_200, 1_200, 0]);
    world.assert_all_landed_once();
}

async fn a_lost_answer_of_the_workspace_repeats_one_batch_and_loses_nothing(sink: Sink) {
    let world = World::start_for(sink).await;
    let records = 1_500;
    for n in 0..records {
        let stored = minutes_ago(10) + chrono::Duration::milliseconds(n);
        let record = json!({"date": stored, "type": "s"});
        world.tenant.add(record, stored);
    }
    world.arrivals().fail([Fault::LoseAnswer]);
    world.poll().await;
    let mut landed = world.arrivals().landed();
    let count = usize::try_from(records).unwrap();
    assert_eq!(landed.len(), count + count.min(sink.repeats()));
    landed.sort();
    landed.dedup();
    assert_eq!(landed, world.tenant.log_ids());
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let world = World::start().await;
    let host = world.host().await;
    host.fire(FUNCTION).await.report();
    world.tenant.revoke_tokens();
    world.tenant.generate(10, minutes_ago(5), minutes_ago(3));
    let report = host.fire(FUNCTION).await.report();
    assert_eq!(numbers(&report, ["delivered"]), [10]);
    assert_eq!(world.tenant.token_requests(), 2);

    let refused = Fault::answer(401, r#"{"message":"Expired token received"}"#);
    world.tenant.fail_logs([refused.clone(), refused]);
    host.fire(FUNCTION).await.failure();
    host.wait_for_line(Level::Error, "refused a new token: Expired token received")
        .await;
    assert_eq!(world.tenant.token_requests(), 3);
}

#[tokio::test]
async fn a_token_that_is_over_at_once_fails_the_run_and_is_not_asked_for_again_and_again() {
    let world = World::with(simulator::tenant::Options {
        token_life: 0,
        token_events: false,
        ..Default::default()
    })
    .await;
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    assert_eq!(world.tenant.token_requests(), 2);
}

/// The Logs Ingestion API answers with a 204, which has no body that could break off.
#[tokio::test]
async fn an_accepted_post_is_not_repeated_because_its_answer_breaks_off() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.arrivals().fail([Fault::Break]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "batches"]), [10, 1]);
    assert_eq!(world.arrivals().requests(), 1);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_acknowledgement() {
    let world = World::start_for(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let told = |headers: &[(&'static str, &str)], body| Fault::Answer {
        status: 200,
        headers: headers.iter().map(|it| (it.0, it.1.to_owned())).collect(),
        body: Bytes::from_static(body),
    };
    let html = ("content-type", "Text/HTML; charset=utf-16");
    for fault in [
        told(&[], b" <html>Blocked by policy</html>"),
        told(&[html], b"\xff\xfe<\0h\0t\0m\0l\0>\0"),
        told(&[html, ("content-encoding", "gzip")], b"\x1f\x8b\x08\0"),
    ] {
        world.arrivals().fail([fault]);
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        let report = ran.report();
        assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [0, 0]);
        let error = report["errors"][0].as_str().unwrap();
        assert!(error.contains("such as a proxy"), "{error}");
    }
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_error_that_says_200_is_no_acknowledgement() {
    for sink in [Sink::LogAnalytics, Sink::EventGrid] {
        let world = World::start_for(sink).await;
        world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
        for body in [
            r#"{"Error":"InvalidAuthorization","Message":"no"}"#,
            r#"{"error":{"code":"InvalidAuthorization"}}"#,
            r#"{"errors":["InvalidAuthorization"]}"#,
            r#"{"ERROR":"InvalidAuthorization"}"#,
            r#"{"message":"InvalidAuthorization"}"#,
            r#"{"fault":{"faultstring":"InvalidAuthorization"}}"#,
        ] {
            world.arrivals().fail([Fault::answer(200, body)]);
            let ran = world.command(&["poll"]).await;
            assert_eq!(ran.code(), 1, "{ran:?}");
            let report = ran.report();
            assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [0, 0]);
            let error = report["errors"][0].as_str().unwrap();
            let telling = ["answered 200 OK: ", "InvalidAuthorization"];
            assert!(telling.iter().all(|it| error.contains(it)), "{error}");
        }
        for body in [
            "{}",
            r#"{"error":null,"errors":[],"Message":""}"#,
            "accepted",
        ] {
            world.tenant.generate(1, minutes_ago(4), minutes_ago(3));
            world.arrivals().fail([Fault::answer(200, body)]);
            assert_eq!(world.command(&["poll"]).await.code(), 0, "{body}");
        }
    }
}

#[tokio::test]
async fn a_post_holds_at_most_eight_megabytes_unless_one_record_is_larger() {
    let world = World::start().await;
    let mut stored = minutes_ago(30);
    let x = "x".repeat(1_000_000);
    // In JSON text within JSON text a quote takes four bytes.
    let quotes = "\"".repeat(2_030_000);
    for padding in [x.repeat(3), x.repeat(3), x.repeat(3), quotes, x] {
        world.tenant.add(
            json!({"date": stored, "type": "s", "padding": padding}),
            stored,
        );
        stored += chrono::Duration::seconds(1);
    }
    world.poll().await;
    world.assert_all_landed_once();
    let megabytes: Vec<_> = world
        .workspace
        .posts()
        .iter()
        .map(|it| it / 1_000_000)
        .collect();
    assert_eq!(megabytes, [6, 3, 8, 1]);
}

#[tokio::test]
async fn the_events_of_its_own_token_land_too() {
    let world = World::with(simulator::tenant::Options::default()).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.poll().await;
    world.poll().await;
    world.assert_all_landed_once();
    let exchanges = world
        .tenant
        .types()
        .into_values()
        .filter(|kind| kind == "seccft");
    assert_eq!(exchanges.count(), 3, "one for each process");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_credential() {
    let world = World::start().await;
    let elsewhere = simulator::Tenant::start().await;
    let to = elsewhere.settings()[0].1.clone();
    for path in ["/oauth/token", "/api/v2/logs"] {
        let redirect = Fault::Answer {
            status: 307,
            headers: vec![("location", format!("{to}{path}?secret=1"))],
            body: "".into(),
        };
        if path == "/oauth/token" {
            world.tenant.fail_tokens([redirect]);
        } else {
            world.tenant.fail_logs([redirect]);
        }
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1);
        let message = format!("redirects to {to}{path}, which is not followed; check DOMAIN");
        assert!(ran.stdout.contains(&message), "{ran:?}");
    }
    assert_eq!(elsewhere.token_requests() + elsewhere.log_requests(), 0);
}

#[tokio::test]
async fn a_service_that_answers_with_what_it_was_sent_gives_nothing_away() {
    let world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    let sent = format!("you sent client_secret={}", world.tenant.secrets()[0]);
    let denied = json!({"error": "access_denied", "error_description": sent}).to_string();
    let withheld = "answered 400 Bad Request to the request for a token: (withheld: it repeats a";
    for body in [&sent, &denied] {
        world.tenant.fail_tokens([Fault::answer(400, body)]);
        host.fire(FUNCTION).await.failure();
        host.wait_for_line(Level::Error, withheld).await;
    }

    host.fire(FUNCTION).await.report();
    // The host that serves the log has also received the secret.
    let withheld = "answered 405 Method Not Allowed: (withheld: it repeats a credential)";
    for secret in [1, 0].map(|it| world.tenant.secrets()[it].clone()) {
        let sent = format!("Authorization: Bearer {secret}");
        let error = json!({"message": format!("not by {sent}")}).to_string();
        for body in [&sent, &error] {
            world.tenant.fail_logs([Fault::answer(405, body)]);
            host.fire(FUNCTION).await.failure();
            host.wait_for_line(Level::Error, withheld).await;
        }
    }
}

#[tokio::test]
async fn of_a_long_explanation_the_beginning_is_told_and_no_command_for_a_terminal() {
    let world = World::start().await;
    let long = format!("\u{1b}[31mSorry, {}", "x".repeat(1_000));
    let token = json!({"error": "access_denied", "error_description": long}).to_string();
    let page = json!({"statusCode": 403, "message": long}).to_string();
    world.tenant.fail_tokens([Fault::answer(403, &token)]);
    world.tenant.fail_logs([Fault::answer(403, &page)]);
    for telling in [
        "access_denied: \u{fffd}[31mSorry, xxx",
        "(\u{fffd}[31mSorry, xxx",
    ] {
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1);
        let error = ran.report()["errors"][0].as_str().unwrap().to_owned();
        assert!(error.contains(telling) && error.contains("xxx…"), "{error}");
    }
}

#[tokio::test]
async fn what_is_meant_for_this_machine_is_not_sent_to_a_proxy() {
    let mut world = World::start().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        world.set(name, "http://127.0.0.1:9");
    }
    world.poll().await;
    world.assert_all_landed_once();
}

/// As if Auth0 called the id something else from now on, in a tenant with one record a run.
#[tokio::test]
async fn where_all_that_comes_is_set_aside_the_runs_fail_and_the_state_does_not_turn_green() {
    let world = World::start().await;
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let poll = async |page: &str| {
        world.tenant.fail_logs([Fault::answer(200, page)]);
        world.command(&["poll"]).await
    };
    let state = async || {
        let status = world.command(&["status", "--json"]).await.report();
        let pipeline = &status["pipelines"][0];
        (pipeline["state"].clone(), pipeline["error"]["text"].clone())
    };
    // A single one proves nothing.
    let ran = poll(r#"[{"id":"1","type":"f"}]"#).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(state().await.0, "ok");

    let told = "all 2 records that came since one was last delivered were set aside, so";
    let ran = poll(r#"[{"id":"2","type":"f"}]"#).await;
    let error = ran.report()["errors"][0].clone();
    let is_told = error.as_str().is_some_and(|it| it.starts_with(told));
    assert!(ran.code() == 1 && is_told, "{ran:?}");
    // A run that finds nothing new has nothing to fail for, and repeats it.
    let idle = world.command(&["poll"]).await;
    let repeats = idle.stderr.contains(&format!("WARN log-analytics: {told}"));
    assert!(idle.code() == 0 && repeats, "{idle:?}");
    assert_eq!(state().await, (json!("failing"), error));

    world.tenant.generate(1, minutes_ago(1), now());
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [1]);
    assert_eq!(state().await.0, "ok");
    assert!(!world.command(&["poll"]).await.stderr.contains("WARN"));
}

/// Whoever has the alert on heartbeats would take the next quiet run for the end of it.
#[tokio::test]
async fn a_heartbeat_tells_that_all_was_set_aside_as_long_as_status_does() {
    let mut world = World::with(simulator::tenant::Options {
        token_events: false,
        ..Default::default()
    })
    .await;
    world.set("HEARTBEAT", "on");
    world.tenant.generate(5, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let set_aside = async |id: u32| {
        let page = json!([{"id": id, "type": "f"}]).to_string();
        world.tenant.fail_logs([Fault::answer(200, &page)]);
        world.command(&["poll"]).await.code()
    };
    assert_eq!([set_aside(1).await, set_aside(2).await], [0, 1]);
    // A run after one that failed is news, although it finds nothing.
    let beat = async || {
        assert_eq!(world.command(&["poll"]).await.code(), 0);
        let status = world.command(&["status", "--json"]).await.report();
        let beats = world.arrivals().table("Auth0AMHealth_CL").rows;
        let beat = beats.last().unwrap().clone();
        (
            status["pipelines"][0]["state"].clone(),
            beats.len(),
            beat["State_s"].clone(),
        )
    };
    assert_eq!(beat().await, (json!("failing"), 4, json!("failing")));

    // Once these are delivered after all or removed, another one proves nothing again.
    let letter = world.dead_letter_file(Sink::LogAnalytics, "any");
    std::fs::remove_dir_all(letter.parent().unwrap()).unwrap();
    assert_eq!(set_aside(3).await, 0);
    assert_eq!(beat().await, (json!("ok"), 5, json!("ok")));
}

#[tokio::test]
async fn the_last_tenth_of_the_rate_limit_is_left_to_others() {
    let world = World::with(simulator::tenant::Options {
        rate_limit: (20, 600),
        token_events: false,
        ..Default::default()
    })
    .await;
    world
        .tenant
        .generate(3_000, minutes_ago(50), minutes_ago(5));
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered"]), [3_000]);
    // 31 pages, two searches and a token: no request was refused and repeated.
    assert_eq!(numbers(&report, ["requests"]), [34]);
}

async fn what_has_no_id_is_set_aside_and_the_page_it_is_in_lands(sink: Sink) {
    let world = World::start_for(sink).await;
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let id = format!("900{}000000", now().format("%Y%m%d%H%M%S"));
    let id = format!("{id:0<56}");
    let page = json!([{"password": "hush"}, "text", {"log_id": id, "date": now(), "type": "s"}]);
    world
        .tenant
        .fail_logs([Fault::answer(200, &page.to_string())]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(
        numbers(&ran.report(), ["delivered", "dead_lettered"]),
        [1, 2]
    );
    assert_eq!(ran.stderr.matches("it has no log_id").count(), 2, "{ran:?}");
    assert!(world.arrivals().landed().contains(&id));
    world.tenant.generate(5, minutes_ago(1), now());
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [5]);
}

/// Whoever logs in or calls the API can put it into a record. A service that reads JSON strictly would
/// refuse the record, and so hide what they did.
async fn half_a_surrogate_pair_hides_no_record(sink: Sink) {
    let world = World::start_for(sink).await;
    world.tenant.generate(1, minutes_ago(30), minutes_ago(30));
    world.poll().await;
    let stored = minutes_ago(20);
    let ids = [1, 2].map(|n| format!("900{}{n:033}", stored.format("%Y%m%d%H%M%S%6f")));
    let page = ids.each_ref().map(|id| {
        let body = r#"{"\udc00name":"\uD800","emoji":"\ud83d\ude00","path":"C:\\ud800"}"#;
        format!(
            r#"{{"log_id":"{id}","date":"{}","type":"fp","user_name":"\ud800","details":{{"body":{body}}}}}"#,
            stored.to_rfc3339()
        )
    });
    let page = format!("[{}]", page.join(","));
    world.tenant.fail_logs([Fault::answer(200, &page)]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [2, 0]);
    let landed = world.arrivals().landed();
    assert!(ids.iter().all(|id| landed.contains(id)), "{landed:?}");
}
