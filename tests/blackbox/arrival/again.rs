//! What is missing is delivered again: where that fails, stops half-way, or finds no request left.

use chrono::{DurationRound as _, TimeDelta};

use super::*;

/// A world in which one of three rows is missing, which the next run is to deliver again.
async fn world_with_a_missing_row() -> (World, QueryApi) {
    let (world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(3, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(3);
    run(&world).await;
    world.arrivals().drop_one_of(0);
    let (_, report) = run(&world).await;
    assert_eq!(counts(&report), [3, 2, 1]);
    (world, api)
}

/// In a quiet tenant nothing else is delivered that would show that the destination takes nothing.
#[tokio::test]
async fn what_is_missing_and_cannot_be_delivered_again_is_failing_until_it_is_there() {
    let (mut world, _api) = world_with_a_missing_row().await;

    let key = world.setting("WorkspaceKey").to_owned();
    world.set("WorkspaceKey", "bm90IHRoZSBrZXk=");
    let (ran, report) = run(&world).await;
    let error = report["errors"][0].as_str().unwrap_or_default();
    let told = "1 records that the destination acknowledged are not in the table, and could not be \
                delivered again";
    assert!(ran.code() == 1 && error.starts_with(told), "{ran:?}");
    assert!(error.contains("refused the signature"), "{error}");

    // Runs that find nothing to do still succeed, and the state stays red.
    world.set("ARRIVAL_AGAIN", "1h");
    assert_eq!(run(&world).await.0.code(), 0);
    let pipeline = state(&world).await;
    assert_eq!(pipeline["state"], "failing");
    assert_eq!(pipeline["error"]["text"], error);

    world.set("ARRIVAL_AGAIN", "0s");
    world.set("WorkspaceKey", &key);
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), &report["delivered"]), (0, &json!(1)));
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [3, 3, 0]));
    assert_eq!(state(&world).await["state"], "ok");
    world.assert_all_landed_once();
}

/// Like an hour that takes longer to read than a run has. The workspace drops the same rows each time.
#[tokio::test]
async fn what_is_delivered_again_and_dropped_is_lost_although_the_rest_cannot_be_read() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "12h");
    let hour = minutes_ago(70).duration_trunc(TimeDelta::hours(1)).unwrap();
    let to = hour + TimeDelta::minutes(50);
    world.tenant.generate(300, hour, to);
    world.arrivals().drop_one_of(2);
    run(&world).await;
    let (_, report) = run(&world).await;
    assert_eq!(counts(&report), [300, 150, 150]);
    // A run that finds nothing to do, to learn how many pages it requests.
    world.set("ARRIVAL_AGAIN", "1h");
    let (_, report) = run(&world).await;
    let [requests] = numbers(&report, ["requests"]);
    world.set("ARRIVAL_AGAIN", "0s");

    world.arrivals().drop_one_of(1);
    let mut delivered = Vec::new();
    for (is_blocked, code) in [(true, 1), (true, 1), (false, 1), (false, 0)] {
        if is_blocked {
            // One request was for the token, and one page is read of the hour.
            let before = (0..requests).map(|_| Fault::None);
            let blocked = Fault::answer(403, r#"{"error":"blocked"}"#);
            world.tenant.fail_logs(before.chain([blocked]));
        }
        let (ran, report) = run(&world).await;
        assert_eq!(ran.code(), code, "{ran:?}");
        delivered.extend(numbers(&report, ["delivered"]));
    }
    assert!((1..150).contains(&delivered[0]), "{delivered:?}");
    assert_eq!(delivered, [delivered[0], delivered[0], 0, 0]);
    assert_eq!(state(&world).await["state"], "failing");
}

/// An answer that says that no request is left for a minute.
fn exhausted() -> Fault {
    let reset = (now() + chrono::Duration::seconds(60)).timestamp();
    Fault::Answer {
        status: 429,
        headers: vec![
            ("x-ratelimit-limit", "50".to_owned()),
            ("x-ratelimit-remaining", "0".to_owned()),
            ("x-ratelimit-reset", reset.to_string()),
        ],
        body: "{}".into(),
    }
}

/// Lets the rate limit leave the next run no more requests than it needs to read the log to its end.
async fn leave_no_request_for_what_is_missing(world: &mut World) {
    // A run that finds nothing to do, to learn how many pages it requests.
    world.set("ARRIVAL_AGAIN", "1h");
    let (_, report) = run(world).await;
    let [requests] = numbers(&report, ["requests"]);
    world.set("ARRIVAL_AGAIN", "0s");
    world.set("RUN_BUDGET", "5s");
    // One request was for the token.
    let before = (1..requests).map(|_| Fault::None);
    world.tenant.fail_logs(before.chain([exhausted()]));
}

/// The run itself has read the log to its end. What others leave of the rate limit is nobody's fault.
#[tokio::test]
async fn a_rate_limit_that_leaves_no_request_for_what_is_missing_turns_nothing_red() {
    let (mut world, _api) = world_with_a_missing_row().await;

    leave_no_request_for_what_is_missing(&mut world).await;
    let (ran, report) = run(&world).await;
    assert!(
        ran.stderr.contains("the rest is left to the next run"),
        "{ran:?}"
    );
    assert_eq!(
        (ran.code(), &report["caught_up"]),
        (0, &json!(true)),
        "{ran:?}"
    );
    assert_eq!(state(&world).await["state"], "ok");

    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), &report["delivered"]), (0, &json!(1)));
    world.assert_all_landed_once();
}

/// A world with three hours of two records each. The second row of each is missing, and the next run is to
/// deliver it again. Returns the ids.
async fn world_with_hours_of_which_a_row_is_missing() -> (World, QueryApi, Vec<String>) {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "12h");
    let this_hour = now().duration_trunc(TimeDelta::hours(1)).unwrap();
    let mut ids = Vec::new();
    for back in [4, 3, 2] {
        let hour = this_hour - TimeDelta::hours(back);
        for minute in [1, 2] {
            let date = hour + TimeDelta::minutes(minute);
            ids.push(world.tenant.add(json!({"date": date, "type": "s"}), date));
        }
    }
    world.arrivals().drop_one_of(2);
    run(&world).await;
    world.arrivals().drop_one_of(0);
    assert_eq!(world.arrivals().landed(), [&*ids[0], &ids[2], &ids[4]]);
    let (_, report) = run(&world).await;
    assert_eq!(counts(&report), [6, 3, 3]);
    (world, api, ids)
}

/// A record that something on the way to the destination blocks, alone in its hour, always fails. It may be
/// there until Auth0 drops it.
#[tokio::test]
async fn an_hour_that_cannot_be_delivered_again_keeps_no_other_from_its_turn() {
    let (world, _api, ids) = world_with_hours_of_which_a_row_is_missing().await;

    // Each run is a process of its own, so what failed has to be stored.
    for id in [1, 3] {
        world
            .workspace
            .block(&ids[id], Fault::answer(406, "Blocked"));
    }
    let mut ran = Vec::new();
    for _ in 0..4 {
        let (it, report) = run(&world).await;
        let error = report["errors"][0].as_str().unwrap_or_default().to_owned();
        assert!(error.contains("could not be delivered again"), "{it:?}");
        ran.push((it.code(), numbers(&report, ["delivered"])));
    }
    // The first run meets the first hour, the second one the second, and the third one the last.
    assert_eq!(ran, [(1, [0]), (1, [0]), (1, [1]), (1, [0])]);
    assert_eq!(state(&world).await["state"], "failing");
    world.workspace.relent();
    for (code, delivered) in [(0, 2), (0, 0)] {
        let (ran, report) = run(&world).await;
        assert_eq!(
            (ran.code(), numbers(&report, ["delivered"])),
            (code, [delivered])
        );
    }
    assert_eq!(state(&world).await["state"], "ok");
    world.assert_all_landed_once();
}

/// It may be so many records that the rate limit never leaves a request after it.
#[tokio::test]
async fn after_an_hour_for_which_the_rate_limit_left_no_request_the_next_one_has_its_turn() {
    let (mut world, _api, ids) = world_with_hours_of_which_a_row_is_missing().await;
    leave_no_request_for_what_is_missing(&mut world).await;
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), numbers(&report, ["delivered"])), (0, [0]));

    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), numbers(&report, ["delivered"])), (0, [3]));
    assert_eq!(world.arrivals().landed()[3..], [&*ids[3], &ids[5], &ids[1]]);
}
