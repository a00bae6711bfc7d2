//! What Tinybird receives, whether `ClickHouse` accepts it, and what is reported if not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use simulator::python::{python, site};
use simulator::{Fault, Gate};
use tokio::io::AsyncWriteExt as _;

use crate::kql::project;
use crate::log_types::add_all_types;
use crate::same_rows::difficult;
use crate::world::{Sink, World, minutes_ago, numbers};

/// `ClickHouse` in a Python process. Other dependencies of chdb are for Python tables in memory.
const CLICKHOUSE: [&str; 3] = ["--no-deps", "chdb==4.4.0", "chdb-core==26.9.0"];
/// Tinybird's own command-line tool.
const TINYBIRD: [&str; 1] = ["tinybird-cli==6.5.5"];
/// Members of odd records.
const ODD: [&str; 25] = [
    r#""a.b":1,"a":{"b":2}"#,
    r#""details":{"a.b":1,"a":{"b":2}},"auth0_client":{"x.":1,"x":{"":2}}"#,
    r#""details":{"a.b":{"c":1},"a":{"b.c":2},"a.b":3},"details.a":4"#,
    r#""details":{"list":[{"a.b":1,"a":{"b":2}},{"c":1,"c":{"d":2}}]}"#,
    r#""details":{"":{"":1},".":2,"":3},"":4,".":5"#,
    r#""details":{"a":1,"a":2,"\u0061":3},"ip":"192.0.2.1","ip":null,"scope":"x","scope":["y"]"#,
    r#""details":null,"details":"x","auth0_client":{},"auth0_client":[],"type":"f","type":"fp""#,
    r#""scope":"openid  profile","auth0_client":["a",{"b":1}],"details":"text""#,
    r#""scope":["a",null,1,{"b":[2]},[3]],"auth0_client":"eyJ9","details":[{"a":1},[2]]"#,
    r#""scope":7,"auth0_client":true,"details":0.5"#,
    r#""scope":{"a":1},"auth0_client":null,"details":null"#,
    r#""details":{"n":123456789012345678901234567890,"m":-9223372036854775809,"o":1e400,"p":[-1e999]}"#,
    r#""n":18446744073709551615,"o":18446744073709551616,"p":-0,"q":1E5,"r":[18446744073709551616]"#,
    r#""description":"a\u0000b","details":{"a\u0000b":"\u0000"},"user_id":"\u0000","scope":["\u0000"]"#,
    r#""details":{"x":[1,"a",null,true,1.5,{"b":[{}]},[[]],[1,["c"]]]},"y":[[1],2,[["z"]]]"#,
    r#""description":"\ud800","details":{"\ud800":"\udc00x"},"scope":"\ud800 a""#,
    r#""description":17,"ip":true,"user_name":["a"],"user_id":{"a":1},"type":null,"client_name":null"#,
    r#""$event_schema":{"version":2},"tracking_id":1,"hostname":[[]],"connection":1e400"#,
    r#""$event_schema":"1","$event_schema.version":3,"audience":["a","b"]"#,
    r#""details":{"a":"2999-12-31T23:59:59Z","b":"0001-01-01","c":"2026-11-21T08:00:00Z","d":["2026-11-21","x"]}"#,
    r#""details":{"^a":1,"`b`":2,"c[0]":3,"d[:]":4,"\"e\"":5,"f%2Eg":6,"f.g":7,"f":{"g":8}}"#,
    r#""log_id_2":1,"data":{"data":{"log_id":2}},"event":{"a":1},"date_value":3,"value":4"#,
    r#""user_id":"","client_name":"","ip":"","details":{},"scope":"","auth0_client":{}"#,
    r#""details":{"a":[null,[]],"b":[[[[]],null],"x"],"c":[[0,{}],null],"d":[{"e":1},null],"e":[[["f"]],[null]]}"#,
    r#""isMobile":"yes","location_info":[1],"organization_id":5,"organization_name":null"#,
];

async fn world() -> World {
    World::start_for(Sink::Tinybird).await
}

/// What `ClickHouse` and Tinybird's pipes return for these rows.
async fn asked(rows: &[String], queries: &[&str], pipes: &Value) -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let sites = [
        site(folder, &CLICKHOUSE).await,
        site(folder, &TINYBIRD).await,
    ];
    let mut script = python(&sites.each_ref().map(PathBuf::as_path))
        .arg(project().join("tests/blackbox/tinybird/clickhouse.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = json!({"project": project().join("tinybird"), "rows": rows, "queries": queries,
        "pipes": pipes});
    let mut stdin = script.stdin.take().unwrap();
    let wanted = wanted.to_string();
    let write = async move { stdin.write_all(wanted.as_bytes()).await };
    let (written, output) = tokio::join!(write, script.wait_with_output());
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "ClickHouse does not do what it is asked"
    );
    written.unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Delivers records that JSON values cannot express, as text. Returns their ids.
async fn deliver_as_text(world: &World, records: &[String]) -> Vec<String> {
    let mut stored = minutes_ago(20);
    let mut ids = Vec::new();
    let mut page = Vec::new();
    for members in records {
        stored += chrono::Duration::seconds(1);
        let id = format!("900{}{:033}", stored.format("%Y%m%d%H%M%S%6f"), 1);
        let date = stored.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        page.push(format!(
            r#"{{"log_id":"{id}",{}}}"#,
            members.replace("DATE", &date)
        ));
        ids.push(id);
    }
    let page = format!("[{}]", page.join(","));
    world.tenant.fail_logs([Fault::answer(200, &page)]);
    let report = world.poll().await;
    let expected = u64::try_from(records.len()).unwrap();
    assert_eq!(
        numbers(&report, ["delivered", "quarantined"]),
        [expected, 0]
    );
    ids
}

#[tokio::test]
async fn a_record_of_every_type_and_of_every_odd_shape_lands_in_both_data_sources() {
    let mut world = world().await;
    // No record is left out because of its date.
    world.set("START_FROM", "oldest");
    add_all_types(&world);
    let count = world.tenant.log_ids().len();
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["quarantined"]), [0]);
    world.assert_all_landed_once();
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(2_000), close.repeat(2_000));
        format!(r#""date":"DATE","details":{{"deep":{open}1{close}}}"#)
    };
    let odd = ODD.iter().map(|it| format!(r#""date":"DATE",{it}"#));
    let mut records: Vec<_> = odd.chain(difficult()).collect();
    records.extend([
        deep("[", "]"),
        deep("[1,", "]"),
        deep(r#"{"a":"#, "}"),
        deep(r#"[{"a":"#, "}]"),
    ]);
    let ids = deliver_as_text(&world, &records).await;
    let queries = [
        "SELECT log_id, toString(date) AS date, scope, auth0_client, details FROM auth0 FINAL",
        "SELECT log_id, event.data.scope AS scope, toString(event.data.`a%2Eb`) AS escaped, \
         toString(event.data.a.b) AS b FROM auth0_json FINAL",
    ];
    let told = asked(&world.tinybird.lines(), &queries, &json!([])).await;
    for name in ["auth0", "auth0_json"] {
        assert_eq!(told[name]["quarantined"], json!([]), "{name}");
        assert_eq!(told[name]["rows"], count + ids.len(), "{name}");
    }
    let row = |query: usize, index: usize| {
        let mut rows = told["queries"][query].as_array().unwrap().iter();
        rows.find(|row| row["log_id"] == ids[index].as_str())
            .unwrap()
    };
    assert_eq!(row(0, 1)["details"]["a%2Eb"], 1);
    assert_eq!(row(0, 1)["details"]["a"]["b"], 2);
    assert_eq!(row(1, 0)["escaped"], "1");
    assert_eq!(row(1, 0)["b"], "2");
    assert_eq!(row(0, 7)["scope"], json!(["openid", "profile"]));
    assert_eq!(row(1, 7)["scope"], json!(["openid", "profile"]));
    assert_eq!(row(0, 7)["details"], json!({"value": "text"}));
    let client = &row(0, 7)["auth0_client"]["value"];
    assert_eq!(client, &json!(["a", {"b": 1}]));
    let big = &row(0, 11)["details"]["n"];
    assert_eq!(big, "123456789012345678901234567890");
}

#[tokio::test]
async fn tinybird_s_own_tool_takes_the_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let site = site(folder, &TINYBIRD).await;
    let files = ["datasources", "pipes"].map(|it| project().join("tinybird").join(it));
    let files = files.iter().flat_map(|it| std::fs::read_dir(it).unwrap());
    let files: Vec<_> = files.map(|it| it.unwrap().path()).collect();
    assert_eq!(files.len(), 2 + 5);
    let home = tempfile::tempdir().unwrap();
    let check = python(&[&site])
        .arg(site.join("bin/tb"))
        .arg("check")
        .args(&files)
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{check:?}");
    assert_eq!(said.matches("processed correctly").count(), files.len());
}

/// Three months of three users.
fn history() -> Vec<String> {
    let row = |n: u32, date: &str, more: Value| {
        let mut data = json!({"date": format!("{date}.000"), "scope": [], "auth0_client": {},
            "details": {}});
        let members = data.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        json!({"log_id": format!("900{n:02}"), "data": data}).to_string()
    };
    let failure = json!({"type": "fp", "user_id": "ann", "description": "Wrong password",
        "client_name": "web", "client_id": "c1", "ip": "192.0.2.1", "details": {"a": {"b": 1}}});
    vec![
        row(
            1,
            "2026-09-30 23:59:59",
            json!({"type": "ss", "user_id": "ann"}),
        ),
        row(
            2,
            "2026-10-01 08:00:00",
            json!({"type": "ss", "user_id": "bob"}),
        ),
        row(
            3,
            "2026-10-01 09:00:00",
            json!({"type": "sdu", "user_id": "eve"}),
        ),
        row(
            4,
            "2026-10-02 08:00:00",
            json!({"type": "sdu", "user_id": "bob"}),
        ),
        row(
            5,
            "2026-10-03 08:00:00",
            json!({"type": "s", "user_id": "ann",
            "organization_id": "org_1"}),
        ),
        row(
            6,
            "2026-10-03 09:00:00",
            json!({"type": "sertft", "user_id": "cid",
            "organization_id": "org_2"}),
        ),
        row(
            7,
            "2026-11-01 00:00:00",
            json!({"type": "s", "user_id": "ann",
            "organization_id": "org_1"}),
        ),
        row(8, "2026-11-02 08:00:00", failure.clone()),
        // Delivered twice.
        row(8, "2026-11-02 08:00:00", failure),
        row(
            9,
            "2026-11-03 08:00:00",
            json!({"type": "fp", "user_id": "",
            "description": "Wrong password", "client_name": "web", "client_id": "c1",
            "ip": "192.0.2.2"}),
        ),
        row(10, "2026-11-03 09:00:00", json!({"type": "gd_auth_failed"})),
        row(
            11,
            "2026-11-03 10:00:00",
            json!({"type": "flows_execution_completed"}),
        ),
        row(
            12,
            "2026-11-03 11:00:00",
            json!({"type": "s", "user_id": ""}),
        ),
    ]
}

#[tokio::test]
async fn the_pipes_answer_what_the_guide_names() {
    let pipes = json!([
        ["auth0_user_growth", {}],
        ["auth0_user_growth", {"date_from": "2026-10-02", "date_to": "2026-10-03"}],
        ["auth0_organization_growth", {}],
        ["auth0_churn", {}],
        ["auth0_common_errors", {}],
        ["auth0_common_errors", {"client_id": "c'2"}],
        ["auth0_audit", {"user_id": "ann", "event_type": "fp", "ip": "192.0.2.1"}],
        ["auth0_audit", {"limit": 1}],
    ]);
    let told = asked(&history(), &[], &pipes).await;
    assert_eq!(told["auth0"]["quarantined"], json!([]));
    let answers = &told["pipes"];
    assert_eq!(
        answers[0],
        json!([
            {"day": "2026-09-30", "signed_up": 1, "deleted": 0, "net": 1, "net_total": 1},
            {"day": "2026-10-01", "signed_up": 1, "deleted": 1, "net": 0, "net_total": 1},
            {"day": "2026-10-02", "signed_up": 0, "deleted": 1, "net": -1, "net_total": 0},
        ])
    );
    assert_eq!(answers[1][0]["day"], "2026-10-02");
    assert_eq!(answers[1].as_array().unwrap().len(), 1);
    assert_eq!(
        answers[2],
        json!([{"day": "2026-10-03", "new_organizations": 2, "organizations": 2}])
    );
    assert_eq!(
        answers[3],
        json!([{"month": "2026-10-01", "active_users": 2, "churned_users": 1, "churn": 0.5}])
    );
    assert_eq!(
        answers[4],
        json!([
            {"type": "fp", "description": "Wrong password", "client_name": "web", "failures": 2,
             "users": 1, "addresses": 2, "last_seen": "2026-11-03 08:00:00.000"},
            {"type": "gd_auth_failed", "description": null, "client_name": "unknown",
             "failures": 1, "users": 0, "addresses": 0, "last_seen": "2026-11-03 09:00:00.000"},
        ])
    );
    assert_eq!(answers[5], json!([]));
    assert_eq!(
        answers[6],
        json!([{"date": "2026-11-02 08:00:00.000", "type": "fp", "description": "Wrong password",
            "user_id": "ann", "user_name": null, "client_name": "web", "connection": null,
            "ip": "192.0.2.1", "user_agent": null, "details": "{\"a\":{\"b\":1}}",
            "log_id": "90008"}])
    );
    assert_eq!(answers[7][0]["log_id"], "90012");
}

#[tokio::test]
async fn what_is_quarantined_is_counted_told_of_and_never_sent_again() {
    let world = world().await;
    let ids = world
        .tenant
        .generate(1_200, minutes_ago(50), minutes_ago(5));
    for id in [&ids[3], &ids[4], &ids[1_100]] {
        world.tinybird.quarantine(&format!("{{\"log_id\":\"{id}"));
    }
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    let counts = ["fetched", "delivered", "quarantined", "dead_lettered"];
    assert_eq!(numbers(&report, counts), [1_200, 1_197, 3, 0]);
    assert_eq!(report["caught_up"], true);
    let errors = report["errors"].as_array().unwrap();
    let [error] = &errors[..] else {
        panic!("{report}");
    };
    for telling in [
        "the destination quarantined 3 of the records that it took",
        "they are in Tinybird's auth0_quarantine",
        "insert from there what is missing",
    ] {
        assert!(error.as_str().unwrap().contains(telling), "{error}");
    }
    assert_eq!(world.tinybird.quarantined().len(), 3);
    let requests = world.arrivals().requests();
    let again = world.poll().await;
    assert_eq!(numbers(&again, ["delivered", "quarantined"]), [0, 0]);
    assert_eq!(world.arrivals().requests(), requests);
}

#[tokio::test]
async fn where_all_is_quarantined_the_state_is_failing_until_a_record_is_delivered() {
    let world = world().await;
    let status = async || {
        let status = world.command(&["status"]).await;
        (status.code(), status.stdout)
    };
    for id in world.tenant.generate(3, minutes_ago(50), minutes_ago(5)) {
        world.tinybird.quarantine(&id);
    }
    assert_eq!(world.command(&["poll"]).await.code(), 1);
    // A run that has nothing to deliver succeeds, and proves nothing.
    let idle = world.command(&["poll"]).await;
    assert_eq!(idle.code(), 0);
    let told = "WARN tinybird: the destination quarantined all 3 records";
    assert!(idle.stderr.contains(told), "{idle:?}");
    let (code, text) = status().await;
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("failing"), "{text}");
    assert!(
        text.contains("they are in Tinybird's auth0_quarantine"),
        "{text}"
    );
    world.tenant.generate(1, minutes_ago(2), minutes_ago(1));
    world.poll().await;
    let (code, text) = status().await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn what_is_no_acknowledgement_of_every_row_moves_nothing_and_says_why() {
    for (fault, telling) in [
        (
            Fault::answer(422, r#"{"error":"view broken"}"#),
            "stored only a part of the rows, and does not say which: view broken",
        ),
        (
            Fault::answer(202, r#"{"successful_rows":20,"quarantined_rows":0}"#),
            "it queued the rows",
        ),
        (
            Fault::answer(200, "<html>welcome</html>"),
            "not what became of the rows: <html>welcome",
        ),
        (
            Fault::answer(200, r#"{"successful_rows":19,"quarantined_rows":0}"#),
            "accounts for 19 of 20 rows",
        ),
        (
            Fault::answer(403, r#"{"error":"invalid authentication token"}"#),
            "with the scope DATASOURCE:APPEND on it",
        ),
        (
            Fault::answer(404, ""),
            "TINYBIRD_HOST must be the API host of the region",
        ),
        (
            Fault::answer(500, r#"{"error":"oops"}"#),
            "answered 500 Internal Server Error: oops",
        ),
    ] {
        let world = world().await;
        world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
        world.arrivals().fail([fault]);
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1, "{telling}");
        let report = ran.report();
        let counts = ["delivered", "quarantined", "dead_lettered"];
        assert_eq!(numbers(&report, counts), [0, 0, 0]);
        let error = report["errors"][0].as_str().unwrap();
        assert!(error.contains(telling), "{error}");
        assert_eq!(world.arrivals().requests(), 1, "{telling}");
        world.poll().await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_for_the_service_is_halved() {
    let world = world().await;
    world.tenant.generate(100, minutes_ago(50), minutes_ago(5));
    world.arrivals().fail([Fault::answer(413, "")]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [100, 0]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_limit_is_waited_for_as_long_as_its_headers_say() {
    let world = world().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let limited = |header, value: &str| Fault::Answer {
        status: 429,
        headers: vec![(header, value.to_owned())],
        body: "".into(),
    };
    world.arrivals().fail([
        limited("x-ratelimit-reset", "1"),
        limited("retry-after", "1"),
    ]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered"]), [10]);
    assert!(numbers(&report, ["elapsed_ms"])[0] >= 2_000, "{report}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn check_finds_a_wrong_token_a_missing_scope_data_source_and_a_wrong_host() {
    let mut world = world().await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("tinybird: Tinybird accepted a request without rows"),
        "{ran:?}"
    );
    assert_eq!(world.tinybird.lines(), [""; 0]);

    world.set("TINYBIRD_DATASOURCE", "other");
    let missing = world.command(&["check"]).await;
    world.set("TINYBIRD_DATASOURCE", "");
    world.set("TINYBIRD_TOKEN", "p.other");
    let wrong = world.command(&["check"]).await;
    world.set_all(world.tinybird.settings());
    world.tinybird.take_scope();
    let scope = world.command(&["check"]).await;
    world.set("TINYBIRD_HOST", "http://127.0.0.1:9");
    let host = world.command(&["check"]).await;
    for (ran, telling) in [
        (
            missing,
            "has no data source other for this token: Data Source not found",
        ),
        (
            wrong,
            "refused TINYBIRD_TOKEN: invalid authentication token",
        ),
        (scope, "refused TINYBIRD_TOKEN: the token has no scope"),
        (host, "posting to 127.0.0.1:9; check TINYBIRD_HOST"),
    ] {
        assert_eq!(ran.code(), 1, "{ran:?}");
        assert!(ran.stdout.contains(telling), "{telling}: {ran:?}");
    }

    world.set_all(world.tinybird.settings());
    world
        .arrivals()
        .fail([Fault::answer(400, r#"{"error":"no events"}"#)]);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stdout.contains("whether it takes rows was not tried"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_dead_letter_that_is_quarantined_is_said_to_be_and_is_none_any_more() {
    let world = world().await;
    let ids = world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    world.arrivals().refuse(&ids[7]);
    assert_eq!(numbers(&world.poll().await, ["dead_lettered"]), [1]);
    world.arrivals().relent();
    world.tinybird.quarantine(&ids[7]);

    let gate = Gate::closed();
    world.arrivals().fail([Fault::Wait(gate.clone())]);
    let posts = world.arrivals().requests();
    let ran = world.start_command(&["dead-letter", "retry"]);
    world.arrivals().wait_for_post(posts + 1).await;
    // No user can remove a folder as if it were a file.
    let file = world.dead_letter_file(Sink::Tinybird, &ids[7]);
    let letter = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    gate.open();
    let ran = world.end_of(ran).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    for told in [
        "not delivered: the destination quarantined it: they are in Tinybird's auth0_quarantine",
        "; its dead letter is still there, and the next retry would send it again, so remove it by hand: \
         removing ",
    ] {
        assert!(ran.stdout.contains(told), "{ran:?}");
    }

    fs::remove_dir(&file).unwrap();
    fs::write(&file, letter).unwrap();
    let ran = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let told = "not delivered: the destination quarantined it, so it is no dead letter any more: \
                they are in Tinybird's auth0_quarantine";
    assert!(ran.stdout.contains(told), "{ran:?}");
    let list = world.command(&["dead-letter", "list"]).await;
    assert!(!list.stdout.contains(&ids[7]), "{list:?}");
}
