//! What an Event Grid topic receives, and what is reported when the topic refuses.

use std::path::Path;

use serde_json::{Value, json};
use simulator::Fault;
use simulator::python::{python, site};

use crate::kql::project;
use crate::world::{Sink, World, minutes_ago, numbers};

async fn world() -> World {
    World::start_for(Sink::EventGrid).await
}

fn events(world: &World) -> Vec<Value> {
    let rows = world.table().rows;
    rows.into_iter().map(|row| row["event"].clone()).collect()
}

#[tokio::test]
async fn an_event_holds_the_flat_record_masked() {
    let world = world().await;
    let date = minutes_ago(10);
    let record = json!({"date": date, "type": "sapi", "user_id": "", "client_id": "c1",
        "details": {"request": {"body": {"client_secret": "s"}}}});
    let id = world.tenant.add(record, date);
    assert_eq!(
        numbers(&world.poll().await, ["delivered", "batches"]),
        [1, 1]
    );
    let event = &events(&world)[0];
    let tenant = world.tenant.settings()[0].1.replace("http://", "");
    assert_eq!(event["id"], id);
    assert_eq!(event["type"], "auth0.log.sapi");
    let source = format!("urn:auth0:{}", tenant.replace(':', "_"));
    assert_eq!(event["source"], source);
    assert_eq!(event["subject"], "c1");
    assert_eq!(event["time"], event["data"]["date"]);
    assert_eq!(event["data"]["log_id"], id);
    assert_eq!(
        event["data"]["details"]["request"]["body"]["client_secret"],
        "***"
    );
}

/// And not when it was delivered after all.
#[tokio::test]
async fn an_event_of_a_dead_letter_happened_when_its_record_did() {
    let world = world().await;
    let ids = [20, 10].map(|minutes| {
        let date = minutes_ago(minutes);
        world.tenant.add(json!({"date": date, "type": "s"}), date)
    });
    world.arrivals().refuse(&ids[0]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [1, 1]);
    world.arrivals().relent();
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(retry.code(), 0, "{retry:?}");
    let events = events(&world);
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event["time"], event["data"]["date"]);
    }
}

#[tokio::test]
async fn a_namespace_and_an_identity_do_as_well() {
    for (has_key, is_namespace) in [(true, true), (false, false), (false, true)] {
        let mut world = world().await;
        if is_namespace {
            let endpoint = world.topic.namespace_endpoint();
            world.set("EVENT_GRID_ENDPOINT", &endpoint);
        }
        if !has_key {
            world.set("EVENT_GRID_KEY", "");
            world.set_all(world.identity.environment());
        }
        world
            .tenant
            .generate(1_500, minutes_ago(50), minutes_ago(5));
        assert_eq!(numbers(&world.poll().await, ["delivered"]), [1_500]);
        world.assert_all_landed_once();
        // A refused token is replaced.
        world.issuer.revoke_tokens();
        world.tenant.generate(10, minutes_ago(4), minutes_ago(3));
        assert_eq!(numbers(&world.poll().await, ["delivered"]), [10]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_topic_sets_no_record_aside_and_has_its_remedy() {
    for (fault, telling) in [
        (
            Some(Fault::answer(401, "")),
            "EVENT_GRID_KEY is a key of this very topic",
        ),
        (
            Some(Fault::answer(403, "")),
            "the role EventGrid Data Sender",
        ),
        (Some(Fault::answer(404, "")), "check EVENT_GRID_ENDPOINT"),
        (
            Some(Fault::answer(200, "\u{feff}\n<!doctype html>welcome")),
            "such as a proxy",
        ),
        (None, "--input-schema cloudeventschemav1_0"),
    ] {
        let world = world().await;
        world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
        match fault {
            Some(fault) => world.topic.fail([fault]),
            None => world.topic.take_other_events(),
        }
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1);
        let report = ran.report();
        assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [0, 0]);
        let error = report["errors"][0].as_str().unwrap();
        assert!(error.contains(telling), "{error}");
        assert_eq!(report["errors"].as_array().unwrap().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn check_finds_a_topic_that_takes_other_events_and_a_role_that_is_missing() {
    let mut world = world().await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("event-grid: the topic accepted an empty batch")
    );
    world.topic.take_other_events();
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stdout.contains("does not take CloudEvents"), "{ran:?}");
    world.set("EVENT_GRID_KEY", "");
    world.set_all(world.identity.environment());
    world.topic.take_role();
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(ran.stdout.contains("EventGrid Data Sender"), "{ran:?}");
}

#[tokio::test]
async fn a_filter_takes_what_matches_and_the_cursor_passes_the_rest() {
    let mut world = world().await;
    world.set("FILTER_EVENT_GRID", "auth.login.fail,!fu");
    for (n, kind) in ["s", "fp", "fu", "f", "zzz_new", "slo"].iter().enumerate() {
        let date = minutes_ago(30 - i64::try_from(n).unwrap());
        world.tenant.add(json!({"date": date, "type": kind}), date);
    }
    let report = world.poll().await;
    assert_eq!(
        numbers(&report, ["fetched", "delivered", "filtered"]),
        [6, 2, 4]
    );
    let kinds: Vec<_> = events(&world).iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["auth0.log.fp", "auth0.log.f"]);
    assert_eq!(
        numbers(&world.poll().await, ["delivered", "filtered"]),
        [0, 0]
    );

    world.set("FILTER_EVENT_GRID", "auth.login.typo");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 2, "{ran:?}");
    let told = "FILTER_EVENT_GRID names what is neither a category nor a type";
    assert!(ran.stderr.contains(told), "{ran:?}");
}

/// Publishes two events with Microsoft's client for Python, and returns the outcome.
async fn publish(arguments: impl Iterator<Item = &str>) -> String {
    let client = ["azure-eventgrid==4.22.1"];
    let site = site(Path::new(env!("CARGO_TARGET_TMPDIR")), &client).await;
    let output = python(&[&site])
        .arg(project().join("tests/blackbox/event_grid/microsoft.py"))
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Otherwise the simulated topic might be one that only this program can use.
#[tokio::test]
async fn microsoft_s_own_client_is_served_as_this_program_is() {
    let world = world().await;
    let settings = world.topic.settings();
    let [(_, custom), (_, key)] = &settings[..] else {
        panic!("{settings:?}");
    };
    let namespace = custom.replace("/api/events", "");
    for (n, (endpoint, topic)) in [(&**custom, None), (&namespace, Some("logs"))]
        .into_iter()
        .enumerate()
    {
        let told = publish([endpoint, key].into_iter().chain(topic)).await;
        assert_eq!(told, "taken");
        let events = events(&world);
        assert_eq!(events.len(), 2 * (n + 1));
        assert_eq!(events[2 * n]["data"], json!({"type": "fp", "log_id": "1"}));
        let refused = publish([endpoint, "b3RoZXIta2V5"].into_iter().chain(topic)).await;
        assert!(refused.starts_with("401 "), "{refused}");
    }
}
