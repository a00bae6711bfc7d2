//! The function `Auth0Events` over what the program delivered.

use serde_json::json;
use simulator::Fault;

use crate::kql::Kql;
use crate::world::{World, minutes_ago, now};

#[tokio::test]
async fn a_batch_that_landed_twice_is_there_once_behind_the_parser() {
    let world = World::start().await;
    world.tenant.generate(300, minutes_ago(50), minutes_ago(5));
    world.workspace.fail([Fault::LoseAnswer]);
    world.poll().await;
    let table = world.workspace.table("Auth0AM_CL");
    assert_eq!(table.rows.len(), 600);
    let rows = Kql::over(&table).result("Auth0Events | project LogId", &now().to_rfc3339());
    let mut ids: Vec<_> = rows
        .iter()
        .map(|row| row["LogId"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, world.tenant.log_ids());
}

#[tokio::test]
async fn the_function_returns_the_events_of_the_codes_that_it_is_given() {
    let world = World::start().await;
    let date = minutes_ago(10);
    // The last one looks like a date, so it gets no column of its own.
    for code in ["s", "f", "sapi", "s", "2026-11-21T08:00:00Z"] {
        world.tenant.add(json!({"date": date, "type": code}), date);
    }
    world.poll().await;
    let table = world.workspace.table("Auth0AM_CL");
    let codes = |codes: &str| {
        let query = format!("Auth0Events(eventcode_in=dynamic([{codes}]))");
        let rows = Kql::over(&table).result(&query, &now().to_rfc3339());
        let codes = rows
            .iter()
            .map(|row| row["EventCode"].as_str().unwrap().to_owned());
        let mut codes: Vec<_> = codes.collect();
        codes.sort();
        codes
    };
    assert_eq!(codes("'s', 'sapi'"), ["s", "s", "sapi"]);
    assert_eq!(
        codes("'f', '2026-11-21T08:00:00Z'"),
        ["2026-11-21T08:00:00Z", "f"]
    );
    assert_eq!(codes("'slo'").len(), 0);
    assert_eq!(codes("").len(), 5);
}

#[tokio::test]
async fn two_hundred_kilobytes_come_back_whole_from_the_parsed_additional_fields() {
    let world = World::start().await;
    let date = minutes_ago(10);
    let long = "é\\n\"x".repeat(40_000);
    assert!(long.len() >= 200_000);
    world.tenant.add(
        json!({"date": date, "type": "f", "details": {"log": [long]}}),
        date,
    );
    world.poll().await;
    let kql = Kql::over(&world.workspace.table("Auth0AM_CL"));
    let rows = kql.result("Auth0Events", &now().to_rfc3339());
    assert!(rows[0]["AdditionalFields"]["details"]["log"][0] == long);
}
