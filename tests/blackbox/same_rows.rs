//! The same records through both APIs make the same rows after the parser.

use std::collections::BTreeMap;

use auth0_poller::table::Api;
use auth0_poller::table::catalogue::{Type, catalogue};
use serde_json::{Map, Value, json};
use simulator::Fault;
use simulator::arrivals::Row;

use crate::kql::Kql;
use crate::world::{Sink, World, minutes_ago, now};

/// Bytes of the longest text that the HTTP Data Collector API stores in a column.
const LONGEST_COLLECTED: usize = 32_000;

async fn world() -> World {
    let mut world = World::start().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::LogsIngestion]);
    world
}

/// A row of the table, and what the parser makes of it.
struct Parsed {
    raw: Row,
    row: Map<String, Value>,
}

/// The rows of one destination, by the ids of their records.
fn parsed(world: &World, sink: Sink) -> BTreeMap<String, Parsed> {
    let table = world.arrivals_at(sink).table("Auth0AM_CL");
    let kql = Kql::over_table_of(sink.api(), &table);
    let id = |id: &Value| id.as_str().unwrap().to_owned();
    let mut raw: BTreeMap<_, _> = table
        .rows
        .into_iter()
        .map(|row| (id(&row["log_id_s"]), row))
        .collect();
    let results = kql.result("Auth0Events", &now().to_rfc3339());
    let parsed = results.into_iter().map(|row| {
        let id = id(&row["LogId"]);
        let raw = raw.remove(&id).unwrap();
        (id, Parsed { raw, row })
    });
    let parsed = parsed.collect();
    assert!(raw.is_empty(), "{} rows are missing", raw.len());
    parsed
}

impl Parsed {
    /// Removes what belongs to the arrival and not to the record.
    fn forget_arrival(&mut self) {
        let received = self.row.remove("TimeReceived").unwrap();
        // The record's own date was not believed.
        if self.row["TimeGenerated"] == received {
            self.row["TimeGenerated"] = "the arrival".into();
        }
    }

    fn take_additional_fields(&mut self) -> Map<String, Value> {
        match self.row.remove("AdditionalFields") {
            Some(Value::Object(fields)) => fields,
            // Every value has a column.
            Some(Value::Null) => Map::new(),
            other => panic!("AdditionalFields is {other:?}"),
        }
    }
}

/// Removes and returns the value at a path, and removes the objects that held nothing else.
fn take(object: &mut Map<String, Value>, path: &[&str]) -> Option<Value> {
    let (name, below) = path.split_first()?;
    if below.is_empty() {
        return object.remove(*name);
    }
    let inner = object.get_mut(*name)?.as_object_mut()?;
    let taken = take(inner, below);
    if taken.is_some() && inner.is_empty() {
        object.remove(*name);
    }
    taken
}

/// Whether two values are the same in a column. A list may be JSON text in any spelling, and a
/// boolean or a number may have been text.
fn is_same(one: Option<&Value>, other: Option<&Value>, kind: Type) -> bool {
    let told = |it: Option<&Value>| match it {
        Some(Value::String(text)) if kind != Type::String || text.starts_with('[') => {
            text.parse().unwrap_or_else(|_| json!(text))
        }
        it => json!(it),
    };
    told(one) == told(other)
}

/// Asserts that after the parser both destinations have the same `count` rows, value by value.
///
/// Only the place of a value may differ: a column through one API, and `AdditionalFields` through
/// the other, because the column's name is not allowed or the text is too long for it.
pub fn assert_same_rows(world: &World, count: usize) {
    let (collected, ingested) = std::thread::scope(|scope| {
        let collected = scope.spawn(|| parsed(world, Sink::LogAnalytics));
        let ingested = parsed(world, Sink::LogsIngestion);
        (collected.join().unwrap(), ingested)
    });
    assert_eq!((collected.len(), ingested.len()), (count, count));
    for ((id, mut collected), (same_id, mut ingested)) in collected.into_iter().zip(ingested) {
        assert_eq!(id, same_id);
        let mut collected_rest = collected.take_additional_fields();
        let mut ingested_rest = ingested.take_additional_fields();
        for column in &catalogue().columns {
            let name = &column.full_name;
            let one = collected.raw.get(name);
            let other = ingested.raw.get(name);
            let (mut from_one, mut from_other) = (None, None);
            match (one, other) {
                (Some(_), None) => {
                    assert_eq!(column.name_for(Api::LogsIngestion), None, "{id}: {name}");
                    from_other = take(&mut ingested_rest, &column.path);
                }
                (None, Some(text)) => {
                    assert!(text.to_string().len() > LONGEST_COLLECTED, "{id}: {name}");
                    from_one = take(&mut collected_rest, &column.path);
                }
                _ => {}
            }
            let one = one.or(from_one.as_ref());
            let other = other.or(from_other.as_ref());
            let is_same = is_same(one, other, column.kind);
            assert!(is_same, "{id}: {name}: {one:?}, {other:?}");
        }
        assert!(
            collected_rest == ingested_rest,
            "{id}: {collected_rest:?} instead of {ingested_rest:?}"
        );
        collected.forget_arrival();
        ingested.forget_arrival();
        assert!(
            collected.row == ingested.row,
            "{id}: {:?} instead of {:?}",
            ingested.row,
            collected.row
        );
    }
}

#[tokio::test]
async fn ten_thousand_records_make_the_same_rows_behind_the_parser() {
    let world = world().await;
    world
        .tenant
        .generate(10_000, minutes_ago(55), minutes_ago(2));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for sink in [Sink::LogAnalytics, Sink::LogsIngestion] {
        world.assert_all_landed_once_at(sink);
    }
    assert_same_rows(&world, 10_000);
}

/// A record that fills every column, including those that the Logs Ingestion API does not allow.
pub fn full() -> Map<String, Value> {
    let mut record = Map::new();
    for column in &catalogue().columns {
        let value = match column.kind {
            Type::String => json!("x"),
            Type::Real => json!(1.5),
            Type::Boolean => json!(false),
            Type::DateTime => json!("2026-11-21T08:00:00.123Z"),
            Type::Guid => json!("01234567-89ab-cdef-0123-456789abcdef"),
        };
        put(&mut record, &column.path, value);
    }
    for own in ["log_id", "_id", "date"] {
        record.remove(own);
    }
    record
}

fn put(object: &mut Map<String, Value>, path: &[&str], value: Value) {
    let (name, below) = path.split_first().unwrap();
    if below.is_empty() {
        object.entry(*name).or_insert(value);
        return;
    }
    let inner = object.entry(*name).or_insert(Value::Null);
    if !inner.is_object() {
        // The object also has a column of its own, for records with another value there.
        *inner = json!({});
    }
    put(inner.as_object_mut().unwrap(), below, value);
}

/// Members of difficult records. `DATE` stands for the record's date.
pub fn difficult() -> Vec<String> {
    let date = r#""date":"DATE","type":"f","#;
    let guid = "01234567-89ab-cdef-0123-456789abcdef";
    let deep = "{\"a\":".repeat(100) + "1" + &"}".repeat(100);
    let list = |count| format!("[{}]", vec![r#"{"name":"x"}"#; count].join(","));
    let members = vec![
        // Long text in a column, outside of a column and in lists.
        format!(r#""description":"{}""#, "x".repeat(32_000)),
        format!(r#""description":"{}""#, "x".repeat(32_001)),
        format!(r#""description":"{}""#, "x".repeat(40_000)),
        format!(r#""description":"{}""#, "x".repeat(64_001)),
        format!(r#""description":"{}""#, "é\\n\\\"".repeat(10_000)),
        format!(r#""user_agent":"{}","ip":"192.0.2.1""#, "x".repeat(200_000)),
        format!(r#""details":{{"log":["{}"]}}"#, "李\\\\\\u0001".repeat(30_000)),
        format!(r#""scope":{},"details":{{"prompts":{}}}"#, list(400), list(500)),
        // Lists, and other values that are not text.
        r#""scope":["openid","profile"],"details":{"prompts":[[1,[2.50]],null]}"#.into(),
        r#""scope":[],"audience":{},"details":[{"a":1}]"#.into(),
        r#""scope":["a\u0000b"],"details":{"prompts":[{"a":1,"a":2}]}"#.into(),
        r#""details":null,"scope":null,"ip":null"#.into(),
        r#""details":"text","auth0_client":"eyJuYW1lIjoibG9jay5qcyJ9""#.into(),
        // Text that looks like something else.
        format!(r#""user_name":"{guid}","client_name":"{{{guid}}}","user_id":" {guid} ""#),
        format!(r#""user_name":"{}","ip":"2026-11-21T08:00:00Z""#, guid.replace('-', "")),
        format!(r#""details":{{"request":{{"auth":{{"credentials":{{"jti":"{guid}"}}}}}}}}"#),
        r#""details":{"request":{"auth":{"credentials":{"jti":"not one"}}}}"#.into(),
        // Numbers and booleans as text, unusual numbers, and values of other types in place of
        // text.
        r#""details":{"request":{"query":{"is_global":"true","page":"2","per_page":"02"}}}"#.into(),
        r#""details":{"response":{"statusCode":"200"},"elapsedTime":1234567.1234567891}"#.into(),
        r#""details":{"response":{"statusCode":200.0},"elapsedTime":-0,"completedAt":1e3}"#.into(),
        r#""isMobile":"yes","description":17,"ip":true"#.into(),
        // Names that come twice, are long, deep, reserved, or hardly names.
        r#""type":"s","ip":"192.0.2.1","ip":"192.0.2.2","details":{"a":1},"user":{"a":1,"a":2}"#.into(),
        format!(r#""{}":1,"details":{{"{}":"x"}}"#, "n".repeat(300), "m".repeat(3_000)),
        format!(r#""deep":{deep},"details":{deep}"#),
        r#""":1,"a.b":{"c-d":2},"é\n\"":3,"details":{"":{"":""}}"#.into(),
        r#""TimeGenerated":"2001-01-01T00:00:00Z","Type":"x","id":"1","_ResourceId":"2","tenant":"3",
           "TenantId":"4","Title":"5","UniqueId":"6","RawData":"7","_SubscriptionId":"8""#.into(),
        r#""details_request_ip":"a","details":{"request":{"ip":"b"}},"date_t":"c","type_s":"d",
           "AdditionalFields":"e","AdditionalFields_s":"f","AdditionalFields_2_s":{"g":1}"#.into(),
    ];
    let mut all: Vec<_> = members.iter().map(|it| date.to_owned() + it).collect();
    let full = json!(full()).to_string();
    all.push(format!(r#""date":"DATE",{}"#, &full[1..full.len() - 1]));
    for odd in [
        r#""2001-01-01T00:00:00Z""#,
        r#""2999-12-31T23:59:59.9999999Z""#,
        r#""2026-11-21T08:00:00+02:00""#,
        r#""2026-11-21""#,
        r#""yesterday""#,
        r#""""#,
        "null",
    ] {
        all.push(format!(r#""date":{odd},"type":"f""#));
    }
    all.push(r#""type":"f""#.into());
    all
}

#[tokio::test]
async fn difficult_records_make_the_same_rows_behind_the_parser() {
    let mut world = world().await;
    // No record is left out because of its date.
    world.set("START_FROM", "oldest");
    world.tenant.generate(10, minutes_ago(50), minutes_ago(40));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");

    let written: Vec<Value> =
        serde_json::from_str(include_str!("sentinel/normalised.json")).unwrap();
    let written = written.iter().map(|it| {
        let record = it["record"].to_string();
        format!(r#""date":"DATE",{}"#, &record[1..record.len() - 1])
    });
    let mut stored = minutes_ago(20);
    let records = difficult().into_iter().chain(written).map(|members| {
        stored += chrono::Duration::seconds(1);
        let id = format!("900{}{:033}", stored.format("%Y%m%d%H%M%S%6f"), 1);
        let date = stored.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        format!(r#"{{"log_id":"{id}",{}}}"#, members.replace("DATE", &date))
    });
    let records: Vec<_> = records.collect();
    let page = format!("[{}]", records.join(","));
    // As text, since no program would write some of it. Both destinations share one fetch.
    world.tenant.fail_logs([Fault::answer(200, &page)]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let delivered = ran.reports().map(|it| it["delivered"].clone());
    assert_eq!(delivered, [json!(records.len()), json!(records.len())]);
    // Every column that the Logs Ingestion API does not allow is in use through the other API.
    let collected = world.workspace.table("Auth0AM_CL").columns;
    let ingested = world.rule.table("Auth0AM_CL").columns;
    let columns = catalogue().columns.iter();
    let undeclared = columns.filter(|it| it.name_for(Api::LogsIngestion).is_none());
    let undeclared: Vec<_> = undeclared.map(|it| &it.full_name).collect();
    assert_eq!(undeclared.len(), 31 + 1);
    for name in undeclared {
        assert!(
            collected.contains(name) && !ingested.contains(name),
            "{name}"
        );
    }
    assert_same_rows(&world, 10 + records.len());
}
