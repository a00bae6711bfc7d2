//! What the Functions host sends to Application Insights about the program's runs, and the queries
//! over it in `docs/operate.md`, in the workbook and in the template's alerts.
//!
//! `telemetry.json` has the form that the real host (4.1037) was recorded to send: a run that
//! delivers, one that fails, its retry, a quiet one, and a request of another app.

use std::fs;

use serde_json::{Map, Value, json};

use crate::kql::{self, Kql, Rows};
use crate::template::alert_queries;

const APP: &str = "auth0-poller-abc";
const NOW: &str = "2026-11-26T08:05:00Z";
const REFUSED: &str = "logs-ingestion: acme.eu.auth0.com refused the application \
    (access_denied: Unauthorized); check CLIENT_ID and CLIENT_SECRET";
const NO_ANSWER: &str = "logs-ingestion: reading the log of acme.eu.auth0.com: no answer \
    (tried 6 times in 5.7 s)";

/// A column: its name and type in the workspace, the same in the classic view, and its value.
struct Column(
    [&'static str; 2],
    [&'static str; 2],
    fn(&Value, Names) -> Value,
);

/// The two sets of names that tables and columns have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Names {
    Workspace,
    Classic,
}

fn base(item: &Value) -> &Value {
    &item["data"]["baseData"]
}

fn severity(item: &Value) -> Value {
    match base(item)["severityLevel"].as_str() {
        Some("Information") => json!(1),
        Some("Warning") => json!(2),
        Some("Error") => json!(3),
        other => panic!("{other:?}"),
    }
}

fn exception(item: &Value, is_innermost: bool) -> &Value {
    let exceptions = base(item)["exceptions"].as_array().unwrap();
    let one = if is_innermost {
        exceptions.last()
    } else {
        exceptions.first()
    };
    one.unwrap()
}

/// Milliseconds of a duration such as `00:00:03.2800000`.
fn milliseconds(duration: &str) -> f64 {
    let parts: Vec<f64> = duration.split(':').map(|it| it.parse().unwrap()).collect();
    let [hours, minutes, seconds] = parts[..] else {
        panic!("{duration}");
    };
    ((hours * 60.0 + minutes) * 60.0 + seconds) * 1_000.0
}

const OF_ALL: [Column; 6] = [
    Column(
        ["TimeGenerated", "datetime"],
        ["timestamp", "datetime"],
        |it, _| it["time"].clone(),
    ),
    Column(
        ["AppRoleName", "string"],
        ["cloud_RoleName", "string"],
        |it, _| it["tags"]["ai.cloud.role"].clone(),
    ),
    Column(
        ["OperationId", "string"],
        ["operation_Id", "string"],
        |it, _| it["tags"]["ai.operation.id"].clone(),
    ),
    Column(
        ["OperationName", "string"],
        ["operation_Name", "string"],
        |it, _| it["tags"]["ai.operation.name"].clone(),
    ),
    Column(
        ["ParentId", "string"],
        ["operation_ParentId", "string"],
        |it, _| it["tags"]["ai.operation.parentId"].clone(),
    ),
    Column(
        ["Properties", "dynamic"],
        ["customDimensions", "dynamic"],
        |it, _| base(it)["properties"].clone(),
    ),
];

const OF_REQUESTS: [Column; 5] = [
    Column(["Id", "string"], ["id", "string"], |it, _| {
        base(it)["id"].clone()
    }),
    Column(["Name", "string"], ["name", "string"], |it, _| {
        base(it)["name"].clone()
    }),
    Column(
        ["Success", "bool"],
        ["success", "string"],
        |it, names| match (names, base(it)["success"].as_bool().unwrap()) {
            (Names::Workspace, success) => json!(success),
            (Names::Classic, true) => json!("True"),
            (Names::Classic, false) => json!("False"),
        },
    ),
    Column(
        ["ResultCode", "string"],
        ["resultCode", "string"],
        |it, _| base(it)["responseCode"].clone(),
    ),
    Column(["DurationMs", "real"], ["duration", "real"], |it, _| {
        json!(milliseconds(base(it)["duration"].as_str().unwrap()))
    }),
];

const OF_TRACES: [Column; 2] = [
    Column(["Message", "string"], ["message", "string"], |it, _| {
        base(it)["message"].clone()
    }),
    Column(
        ["SeverityLevel", "int"],
        ["severityLevel", "int"],
        |it, _| severity(it),
    ),
];

const OF_EXCEPTIONS: [Column; 4] = [
    Column(
        ["OuterMessage", "string"],
        ["outerMessage", "string"],
        |it, _| exception(it, false)["message"].clone(),
    ),
    Column(
        ["InnermostMessage", "string"],
        ["innermostMessage", "string"],
        |it, _| exception(it, true)["message"].clone(),
    ),
    Column(
        ["InnermostType", "string"],
        ["innermostType", "string"],
        |it, _| exception(it, true)["typeName"].clone(),
    ),
    Column(
        ["SeverityLevel", "int"],
        ["severityLevel", "int"],
        |it, _| severity(it),
    ),
];

/// The tables: their names, and their columns.
const TABLES: [([&str; 2], &[Column]); 3] = [
    (["AppRequests", "requests"], &OF_REQUESTS),
    (["AppTraces", "traces"], &OF_TRACES),
    (["AppExceptions", "exceptions"], &OF_EXCEPTIONS),
];

/// These items as rows of the tables, under both names.
fn tables(items: &[Value]) -> Vec<Rows> {
    let mut tables = Vec::new();
    for (table, own) in TABLES {
        let columns = || OF_ALL.iter().chain(own);
        for (names, name) in [Names::Workspace, Names::Classic].into_iter().zip(table) {
            let declared = |column: &Column| match names {
                Names::Workspace => column.0,
                Names::Classic => column.1,
            };
            let types = columns().map(declared);
            let types = types.map(|[name, kind]| (name.to_owned(), json!(kind)));
            let of_table = items.iter().filter(|it| it["name"] == table[0]);
            let row = |item: &Value| {
                let value = |it: &Column| (declared(it)[0].to_owned(), (it.2)(item, names));
                Value::Object(columns().map(value).collect())
            };
            tables.push((name, types.collect(), of_table.map(row).collect()));
        }
    }
    tables
}

/// The tables and their columns, which every workspace has.
pub fn columns() -> impl Iterator<Item = (String, Value)> {
    let tables = tables(&[]).into_iter();
    tables.map(|(name, columns, _)| (name.to_owned(), columns.into()))
}

fn recorded() -> Vec<Value> {
    serde_json::from_str(include_str!("telemetry.json")).unwrap()
}

/// The queries of `docs/operate.md` under a heading.
fn documented(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(kql::project().join("docs/operate.md")).unwrap();
    let section = page.split("\n## ").find(|it| it.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let mut queries = Vec::new();
    let mut block: Vec<&str> = Vec::new();
    for line in section.lines().chain([""]) {
        if line.starts_with("    ") && (!block.is_empty() || is_first(line)) {
            block.push(line);
        } else if !block.is_empty() {
            let indent = block[0].len() - block[0].trim_start().len();
            let lines = block.drain(..).map(|it| it.get(indent..).unwrap());
            queries.push(
                lines
                    .collect::<Vec<_>>()
                    .join("\n")
                    .replace("<the app>", APP),
            );
        }
    }
    queries
}

/// Whether a query begins with this line.
fn is_first(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    word == "let" || TABLES.iter().any(|(names, _)| names.contains(&word))
}

/// The workbook's queries over these tables.
fn in_the_workbook() -> Vec<String> {
    let workbook = fs::read_to_string(kql::project().join("sentinel/workbook.json")).unwrap();
    let workbook: Value = serde_json::from_str(&workbook).unwrap();
    let parts = workbook["items"].as_array().unwrap().iter();
    let queries = parts.filter_map(|it| it["content"]["query"].as_str());
    let ours = queries.filter(|it| {
        it.lines()
            .any(|line| line == "AppRequests" || line == "requests")
    });
    ours.map(str::to_owned).collect()
}

fn result(items: &[Value], query: &str, now: &str) -> Vec<Map<String, Value>> {
    Kql::with(tables(items)).result(query, now)
}

fn values<const N: usize>(rows: &[Map<String, Value>], names: [&str; N]) -> Value {
    let rows = rows.iter();
    rows.map(|row| names.map(|it| row[it].clone()).to_vec())
        .collect()
}

#[test]
fn every_query_of_the_page_passes_microsofts_language_service() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (heading, count) in [
        ("At three in the morning", 1),
        ("Is it working?", 1),
        ("Which runs failed, and why", 2),
        ("Alerts", 3),
        ("Which version runs", 1),
    ] {
        let queries = documented(heading);
        assert_eq!(queries.len(), count, "{heading}: {queries:?}");
        for query in queries {
            let file = folder.path().join(format!("{}.kql", files.len()));
            fs::write(&file, query).unwrap();
            files.push(file);
        }
    }
    assert_eq!(Kql::with(Vec::new()).problems(&files), "");
}

#[test]
fn a_failed_run_is_listed_with_its_reason_and_its_lines_and_nothing_else_is() {
    let mut queries = documented("Which runs failed, and why");
    let of_workbook = in_the_workbook();
    assert_eq!(of_workbook.len(), 2, "{of_workbook:?}");
    queries.extend(of_workbook);
    for query in queries {
        let rows = result(&recorded(), &query, NOW);
        let run = "11111111-aaaa-4aaa-8aaa-000000000002";
        let expected = json!([[NO_ANSWER, run], [REFUSED, run]]);
        assert_eq!(values(&rows, ["Reason", "Run"]), expected, "{query}");
        // Both attempts belong to one trace.
        for row in rows {
            let lines = row["Lines"].as_array().unwrap().iter();
            let lines: Vec<_> = lines.map(|it| it.as_str().unwrap()).collect();
            let begin = format!("invocation {run} trace 4bf92f3577b34da6a3ce929d0e0e4736: ");
            assert_eq!(lines.len(), 4, "{lines:?}");
            assert!(lines[0].starts_with(&format!("INFO {begin}report {{")));
            assert_eq!(lines[1], format!("ERROR {begin}{REFUSED}"));
            assert_eq!(lines[3], format!("ERROR {begin}{NO_ANSWER}"));
        }
    }
}

#[test]
fn a_failure_without_lines_or_without_brackets_is_listed_all_the_same() {
    let mut items = recorded();
    items.retain(|it| base(it)["properties"]["Category"] != "Host.Function.Console");
    let is_first = |it: &Value| it["tags"]["ai.operation.parentId"] == "b1b1b1b1b1b1b1b1";
    items.retain(|it| it["name"] != "AppExceptions" || !is_first(it));
    for item in &mut items {
        if item["name"] == "AppExceptions" {
            item["data"]["baseData"]["exceptions"][1]["message"] = json!("The response ended.");
        }
    }
    for query in documented("Which runs failed, and why") {
        let rows = result(&items, &query, NOW);
        let expected = json!([["The response ended.", null], ["", null]]);
        assert_eq!(values(&rows, ["Reason", "Lines"]), expected, "{query}");
    }
}

#[test]
fn each_success_is_listed_by_destination() {
    let [query] = documented("Is it working?").try_into().unwrap();
    let mut items = recorded();
    let mut other = items[1].clone();
    other["time"] = json!("2026-11-26T08:03:00Z");
    other["data"]["baseData"]["message"] = json!(
        "event-grid: 5 records delivered, 2 filtered out, 1 dead-lettered; 90 s behind; records \
         between 2026-11-01T00:00:00Z and 2026-11-20T00:00:00Z may be missing"
    );
    items.push(other);
    let rows = result(&items, &query, NOW);
    let names = [
        "Destination",
        "Delivered",
        "SetAside",
        "CaughtUp",
        "SecondsBehind",
        "Gap",
    ];
    let gap = "between 2026-11-01T00:00:00Z and 2026-11-20T00:00:00Z";
    assert_eq!(
        values(&rows, names),
        json!([
            ["event-grid", 5, 1, false, 90, gap],
            ["logs-ingestion", 0, null, true, null, ""],
            ["event-grid", 0, null, true, null, ""],
            ["logs-ingestion", 12, null, true, null, ""],
        ])
    );
}

#[test]
fn at_night_every_line_of_the_program_is_seen_and_none_of_the_host() {
    let [query] = documented("At three in the morning").try_into().unwrap();
    let rows = result(&recorded(), &query, NOW);
    let severities = rows.iter().map(|it| it["SeverityLevel"].clone());
    assert_eq!(
        severities.collect::<Vec<_>>(),
        [1, 3, 1, 3, 1, 1, 1].map(Value::from)
    );
    let [query] = documented("Which version runs").try_into().unwrap();
    let rows = result(&recorded(), &query, NOW);
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!([[format!("INFO auth0-poller {version} is listening")]]);
    assert_eq!(values(&rows, ["Message"]), expected);
}

#[test]
fn what_was_lost_or_set_aside_is_told_whether_the_run_failed_or_not() {
    let query = documented("Alerts").pop().unwrap();
    assert_eq!(result(&recorded(), &query, NOW).len(), 0);
    let mut items = recorded();
    let gap = r#"{"from":null,"to":"2026-11-20T00:00:00Z"}"#;
    for (message, time) in [
        (
            "a: 1 records delivered, 2 dead-lettered; caught up",
            "08:03:00",
        ),
        (
            "a: 1 records delivered; 9 s behind; records before 2026-11-20T00:00:00Z may be missing",
            "08:03:10",
        ),
        (
            "a: 0 records delivered; caught up | b: 0 records delivered; caught up",
            "08:03:20",
        ),
    ] {
        let mut item = items[1].clone();
        item["time"] = json!(format!("2026-11-26T{time}Z"));
        item["data"]["baseData"]["message"] = json!(message);
        items.push(item);
    }
    let missing = |count: u8, rest: &str| {
        format!(
            "{count} records that the destination acknowledged are not in the table, and {rest}"
        )
    };
    let lost = missing(7, "no more is done about it: 900");
    // The next run, fifteen seconds later, does not try again, and succeeds.
    let not_sent = missing(
        8,
        "could not be delivered again, which is tried later: no token",
    );
    for (quarantined, dead_lettered, gap, error, time) in [
        (0, 0, "null", "x | y".to_owned(), "08:04:00"),
        (0, 3, "null", "x | y".to_owned(), "08:04:10"),
        (0, 0, gap, "x | y".to_owned(), "08:04:20"),
        (5, 0, "null", "x | y".to_owned(), "08:04:30"),
        (0, 0, "null", lost, "08:04:40"),
        (0, 0, "null", not_sent, "08:04:50"),
        (
            0,
            0,
            "null",
            missing(9, "are delivered again: 900"),
            "08:04:55",
        ),
    ] {
        let mut item = items[0].clone();
        item["time"] = json!(format!("2026-11-26T{time}Z"));
        item["data"]["baseData"]["message"] = json!(format!(
            "INFO invocation 1 trace 2: report {{\"destination\":\"a\",\"quarantined\":{quarantined},\
             \"dead_lettered\":{dead_lettered},\"gap\":{gap},\"errors\":[\"{error}\"]}}"
        ));
        items.push(item);
    }
    let rows = result(&items, &query, NOW);
    assert_eq!(
        values(&rows, ["SetAside", "Quarantined", "Missing", "Gap"]),
        json!([
            [0, 0, 8, ""],
            [0, 0, 7, ""],
            [0, 5, null, ""],
            [0, 0, null, gap],
            [3, 0, null, ""],
            [null, null, null, "before 2026-11-20T00:00:00Z"],
            [2, null, null, ""]
        ])
    );
}

#[test]
fn a_warning_that_records_may_be_lost_is_told_although_the_run_succeeds() {
    let query = documented("Alerts").pop().unwrap();
    let told = [
        "more records than can be remembered were written within OVERLAP, so it is cut short: of those \
         that Auth0 makes visible late, some may be missing",
        "more than 1000 records have an id that holds no time, so of others whose id sorts below theirs \
         some may be missing",
        "3 acknowledged records will not be looked for, as no more than 150000 of an hour and 200 hours \
         are kept until then; `auth0-poller audit` looks for all of an hour",
        "2 acknowledged records could not be noted and will not be looked for; `auth0-poller audit` \
         looks for them",
        "the list of accepted records x cannot be used, so a new one is begun: whether what was \
         delivered before has arrived is not checked",
        "a begins at 2026-11-21T09:00:01Z, and b, which DESTINATIONS does not name, got what Auth0 \
         stored until 2026-11-21T09:00:00Z: what was stored between is delivered to neither; …",
        "20 hours behind, and the oldest record that Auth0 still has was written at \
         2026-11-25T08:00:00Z: in 4 hours records will be lost that were not read",
        "the record 900 is larger than 67108864 bytes and was not read; a record that says so is \
         delivered in its place",
    ];
    let calm = [
        "the time of the run is over: what was read and not delivered is left to the next",
        "2 records that the destination acknowledged are not in the table, and are delivered again: 900",
    ];
    let recorded = recorded();
    let mut items = recorded.clone();
    for (second, warning) in told.iter().chain(&calm).enumerate() {
        let mut item = recorded[0].clone();
        item["time"] = json!(format!("2026-11-26T08:03:{second:02}Z"));
        item["data"]["baseData"]["message"] =
            json!(format!("WARN invocation 1 trace 2: a: {warning}"));
        items.push(item);
    }
    let rows = result(&items, &query, NOW);
    let lines = told
        .iter()
        .rev()
        .map(|it| format!("WARN invocation 1 trace 2: a: {it}"));
    let lines: Vec<_> = lines.map(|it| json!([it])).collect();
    assert_eq!(values(&rows, ["Line"]), json!(lines));
}

/// A run a minute before 09:00, the last at 08:59: `s` succeeds, `f` fails, `r` succeeds when
/// retried.
fn runs(outcomes: &str) -> Vec<Value> {
    let recorded = recorded();
    let request = recorded.iter().find(|it| it["name"] == "AppRequests");
    let exception = recorded.iter().find(|it| it["name"] == "AppExceptions");
    let mut items = Vec::new();
    for (index, outcome) in outcomes.chars().enumerate() {
        let minute = 60 - outcomes.len() + index;
        let attempts: &[bool] = match outcome {
            's' => &[true],
            'f' => &[false, false],
            _ => &[false, true],
        };
        for (attempt, success) in attempts.iter().enumerate() {
            let time = json!(format!("2026-11-26T08:{minute:02}:{:02}Z", attempt * 20));
            let id = format!("{index}-{attempt}");
            let mut item = request.unwrap().clone();
            item["time"] = time.clone();
            item["tags"]["ai.operation.id"] = json!(format!("operation {index}"));
            item["data"]["baseData"]["id"] = json!(id);
            item["data"]["baseData"]["success"] = json!(success);
            item["data"]["baseData"]["properties"]["InvocationId"] = json!(index.to_string());
            items.push(item);
            if !success {
                let mut item = exception.unwrap().clone();
                item["time"] = time;
                item["tags"]["ai.operation.id"] = json!(format!("operation {index}"));
                item["tags"]["ai.operation.parentId"] = json!(id);
                items.extend([item.clone(), item]);
            }
        }
    }
    items
}

/// Runs, and whether three failures in a row make them an alert.
const STREAKS: [(&str, bool); 8] = [
    ("", false),
    ("ssssssss", false),
    ("sssff", false),
    ("sssfff", true),
    ("sfffss", true),
    ("ffsffsff", false),
    ("ssffrff", false),
    ("rrrrr", false),
];

/// Runs, and whether the lack of a success makes them an alert.
const SILENCES: [(&str, bool); 3] = [
    ("", true),
    ("sfffffffffffff", false),
    ("sffffffffffffff", true),
];

const HOUR: &str = "2026-11-26T09:00:00Z";

#[test]
fn three_failures_in_a_row_are_an_alert_with_the_reason() {
    // With the page's query, for one app among several.
    let mut items = Vec::new();
    for (outcomes, _) in STREAKS {
        let mut of_app = runs(outcomes);
        for item in &mut of_app {
            item["tags"]["ai.cloud.role"] = json!(outcomes);
            let operation = &mut item["tags"]["ai.operation.id"];
            *operation = json!(format!("{} of {outcomes}", operation.as_str().unwrap()));
            let run = &mut item["data"]["baseData"]["properties"]["InvocationId"];
            *run = json!(format!(
                "{} of {outcomes}",
                run.as_str().unwrap_or_default()
            ));
        }
        items.extend(of_app);
    }
    let rows = result(&items, &documented("Alerts")[0], HOUR);
    assert_eq!(
        values(&rows, ["AppRoleName", "Reason"]),
        json!([["sssfff", REFUSED], ["sfffss", REFUSED]])
    );

    // With the template's query, for one app alone.
    let [failing, _] = alert_queries().try_into().unwrap();
    for (outcomes, is_alert) in STREAKS {
        let rows = result(&runs(outcomes), &failing, HOUR);
        let expected = if is_alert {
            json!([[REFUSED]])
        } else {
            json!([])
        };
        assert_eq!(values(&rows, ["Reason"]), expected, "{outcomes}");
    }
    // A reason that differs from run to run makes no second alert.
    let mut items = runs("fff");
    for item in &mut items {
        if item["name"] == "AppExceptions" {
            let said =
                format!("Response status code does not indicate success: 500 ({NO_ANSWER}).");
            item["data"]["baseData"]["exceptions"][1]["message"] = json!(said);
        }
    }
    let rows = result(&items, &failing, HOUR);
    let reason = "logs-ingestion: reading the log of acme.eu.auth0.com: no answer";
    assert_eq!(values(&rows, ["Reason"]), json!([[reason]]));
}

#[test]
fn a_quarter_of_an_hour_without_a_success_is_an_alert_also_without_runs() {
    let [_, silent] = alert_queries().try_into().unwrap();
    for query in [&documented("Alerts")[1], &silent] {
        for (outcomes, is_alert) in SILENCES {
            let rows = result(&runs(outcomes), query, HOUR);
            assert_eq!(!rows.is_empty(), is_alert, "{outcomes}: {query}");
        }
    }
}
