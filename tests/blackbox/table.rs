//! What the table looks like, whatever the records hold.

use std::collections::BTreeSet;
use std::fs;

use auth0_poller::redact::Redaction;
use auth0_poller::table::Api;
use auth0_poller::table::catalogue::custom_columns;
use auth0_poller::table::row::row;
use serde_json::{Value, json};
use simulator::records::Generator;
use simulator::workspace::{Row, Table};

use crate::world::{Sink, World, for_each_table, minutes_ago, numbers};

for_each_table![
    a_long_value_is_not_cut,
    a_record_too_large_for_a_row_is_set_aside_and_lands_shortened,
    a_call_cannot_be_hidden_by_what_its_body_is_filled_with,
    secrets_of_records_stay_home_unless_redaction_is_switched_off,
];

/// The parts of `AdditionalFields`, joined and parsed.
pub fn additional_fields(row: &Row) -> Value {
    let parts = (1..=128).map_while(|part| {
        let name = match part {
            1 => "AdditionalFields_s".to_owned(),
            part => format!("AdditionalFields_{part}_s"),
        };
        row.get(&name)?.as_str()
    });
    serde_json::from_str(&parts.collect::<String>()).unwrap()
}

/// Asserts that the table has only columns of the catalogue.
fn assert_columns(table: &Table) {
    let known: BTreeSet<_> = custom_columns(Api::DataCollector)
        .map(|(name, _)| name)
        .collect();
    let unknown: Vec<_> = table.columns.difference(&known).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

/// A hundred thousand rows as the binary makes them, without a network in between.
#[test]
fn three_thousand_names_in_a_body_make_no_column_and_drop_no_row() {
    const KEYS: usize = 3_000;
    let mut generator = Generator::seeded(1);
    let date = minutes_ago(10);
    let mut table = Table::default();
    let mut found = BTreeSet::new();
    for n in 0..100_000 {
        let mut record = generator.record(date);
        let key = n % KEYS;
        record.insert("log_id".into(), format!("900{n:053}").into());
        record.insert(
            "details".into(),
            json!({"request": {"method": "patch", "body": {format!("key {key}"): {"value": key}}}}),
        );
        let row = row(
            &Value::Object(record).to_string(),
            Api::DataCollector,
            Redaction::On,
        )
        .unwrap();
        table.store(serde_json::from_str(&row).unwrap(), Some("date"), date);
        let row = table.rows.pop().unwrap();
        assert_eq!(row["details_request_method_s"], "patch");
        let body = &additional_fields(&row)["details"]["request"]["body"];
        assert_eq!(body[format!("key {key}")], json!({"value": key}));
        found.insert(key);
    }
    assert_eq!((found.len(), table.dropped), (KEYS, 0));
    assert_columns(&table);
}

#[tokio::test]
async fn whatever_a_tenant_logs_makes_columns_of_the_catalogue_only() {
    let world = World::start().await;
    world
        .tenant
        .generate(2_000, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    world.assert_all_landed_once();
    assert_columns(&world.workspace.table("Auth0AM_CL"));
}

async fn a_long_value_is_not_cut(sink: Sink) {
    let world = World::start_for(sink).await;
    let date = minutes_ago(10);
    let long = "é\n\"".repeat(50_000);
    let record = json!({"date": date, "type": "f", "description": long, "user_name": "ada"});
    world.tenant.add(record, date);
    world.poll().await;
    let table = world.table();
    assert_eq!(table.rows[0]["user_name_s"], "ada");
    assert!(additional_fields(&table.rows[0])["description"] == long);
}

async fn a_record_too_large_for_a_row_is_set_aside_and_lands_shortened(sink: Sink) {
    let world = World::start_for(sink).await;
    world.tenant.generate(100, minutes_ago(50), minutes_ago(30));
    let date = minutes_ago(20);
    let id = world.tenant.add(
        json!({"date": date, "type": "sapi", "ip": "203.0.113.9", "client_id": "c1", "user_id": "auth0|1",
            "padding": "x".repeat(5_000_000), "password": "hush",
            "details": {"request": {"method": "post", "path": "/api/v2/client-grants"}}}),
        date,
    );
    world.tenant.generate(100, minutes_ago(15), minutes_ago(5));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(
        numbers(
            &ran.report(),
            ["fetched", "delivered", "skipped", "dead_lettered"]
        ),
        [201, 201, 0, 1]
    );
    let set_aside = format!("/{}/{id}.json: what has no column", sink.name());
    assert!(ran.stderr.contains(&set_aside), "{ran:?}");
    assert_eq!(
        numbers(&world.poll().await, ["delivered", "dead_lettered"]),
        [0, 0]
    );
    world.assert_all_landed_once();
    let table = world.table();
    let is_it = |row: &&Row| row["log_id_s"] == *id;
    let row = table.rows.iter().find(is_it).unwrap();
    for (column, value) in [
        ("type_s", "sapi"),
        ("ip_s", "203.0.113.9"),
        ("client_id_s", "c1"),
        ("user_id_s", "auth0|1"),
        ("details_request_method_s", "post"),
        ("details_request_path_s", "/api/v2/client-grants"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    let why = row["Shortened_s"].as_str().unwrap();
    assert!(
        why.starts_with("what has no column of its own takes 50000"),
        "{why}"
    );
    assert!(!format!("{row:?}").contains("hush"));
    let padding = additional_fields(row)["padding"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        padding.starts_with("xxx") && padding.ends_with("x…"),
        "{padding}"
    );
    let whole = table.rows.iter().filter(|row| !is_it(row));
    assert_eq!(
        whole.filter(|row| row.contains_key("Shortened_s")).count(),
        0
    );

    let folder = world.folder.path().join("checkpoints/dead-letter");
    let tenant = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let letter = tenant.path().join(format!("{}/{id}.json", sink.name()));
    let letter: Value = serde_json::from_slice(&fs::read(letter).unwrap()).unwrap();
    assert!(
        letter["reason"]
            .as_str()
            .unwrap()
            .starts_with("what has no column of its own takes 50000"),
        "{}",
        letter["reason"]
    );
    assert_eq!(letter["record"]["log_id"], id);
    assert_eq!(letter["record"]["password"], "***");
    assert_eq!(
        letter["record"]["padding"].as_str().unwrap().len(),
        5_000_000
    );
}

/// A quote takes two bytes in the record and four in a row, so Auth0's own limit does not help.
async fn a_call_cannot_be_hidden_by_what_its_body_is_filled_with(sink: Sink) {
    let world = World::start_for(sink).await;
    let date = minutes_ago(20);
    let body = json!({"filler": "\"".repeat(250_000), "client_id": "evil",
        "audience": "https://acme.eu.auth0.com/api/v2/", "scope": ["create:users"]});
    let details = json!({"request": {"method": "post", "path": "/api/v2/client-grants", "body": body},
        "response": {"statusCode": 201}});
    let record = json!({"date": date, "type": "sapi", "details": details});
    world.tenant.add(record, date);
    world.poll().await;
    world.assert_all_landed_once();
    let table = world.table();
    let row = &table.rows[0];
    assert_eq!(row["details_request_path_s"], "/api/v2/client-grants");
    assert_eq!(row["details_request_body_client_id_s"], "evil");
    assert_eq!(row["details_request_body_scope_s"], r#"["create:users"]"#);
    assert_eq!(row["details_response_statusCode_d"], 201.0);
    assert_eq!(
        row.contains_key("Shortened_s"),
        sink == Sink::LogsIngestion,
        "{}",
        sink.name()
    );
}

async fn secrets_of_records_stay_home_unless_redaction_is_switched_off(sink: Sink) {
    let mut world = World::start_for(sink).await;
    let date = minutes_ago(10);
    let secret = "correct-horse-battery-staple";
    let record = json!({
        "date": date, "type": "sapi",
        "details": {
            "request": {"body": {"password": secret, "options": [{"client_secret": secret}]}},
            "response": {"body": {"client_secret": secret, "name": "web"}},
        },
    });
    world.tenant.add(record, date);
    let text = |world: &World| format!("{:?}", world.table().rows);

    let looked_at = world.command(&["poll", "--destination", "stdout"]).await;
    world.poll().await;
    for text in [&looked_at.stdout, &text(&world)] {
        assert!(!text.contains(secret), "{text}");
        assert_eq!(text.matches("***").count(), 3, "{text}");
    }
    let row = &world.table().rows[0];
    assert_eq!(row["details_response_body_client_secret_s"], "***");

    world.set("REDACT", "off");
    world.command(&["checkpoint", "set", "--from", "1h"]).await;
    world.poll().await;
    assert_eq!(text(&world).matches(secret).count(), 3);
}
