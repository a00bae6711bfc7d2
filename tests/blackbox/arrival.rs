//! Proof of arrival: rows that the workspace acknowledged and dropped are found, named and
//! delivered again.

use std::fs;

use serde_json::{Value, json};
use simulator::{Fault, QueryApi};

mod again;
mod unread;

use crate::kql::Kql;
use crate::world::{Ran, Sink, World, for_each_table, minutes_ago, now, numbers};

/// A world that proves arrival without delays: each run is looked up in the next run and the one
/// after it.
async fn world(sink: Sink) -> (World, QueryApi) {
    let mut world = World::start_for(sink).await;
    let arrivals = match sink {
        Sink::LogAnalytics => world.workspace.arrivals(),
        _ => world.rule.arrivals(),
    };
    let api = QueryApi::start(arrivals, world.issuer.clone()).await;
    world.set_all(world.identity.environment());
    world.set_all(api.settings());
    world.set("ARRIVAL", "on");
    world.set("ARRIVAL_AFTER", "0s");
    world.set("ARRIVAL_AGAIN", "0s");
    (world, api)
}

async fn run(world: &World) -> (Ran, Value) {
    let ran = world.command(&["poll"]).await;
    let report = ran.report();
    (ran, report)
}

fn counts(report: &Value) -> [u64; 3] {
    numbers(&report["arrival"], ["accepted", "landed", "missing"])
}

async fn state(world: &World) -> Value {
    world.command(&["status", "--json"]).await.report()["pipelines"][0].clone()
}

for_each_table![
    rows_that_are_dropped_after_a_success_are_found_named_and_delivered_again,
    what_is_dropped_again_is_missing_for_good_and_the_state_is_failing,
    what_is_asked_is_kql_and_has_the_same_answers_there,
];

async fn rows_that_are_dropped_after_a_success_are_found_named_and_delivered_again(sink: Sink) {
    let (world, api) = world(sink).await;
    world.tenant.generate(200, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(10);
    let (_, report) = run(&world).await;
    assert_eq!(report["delivered"], 200);
    // Nothing was due yet.
    assert_eq!(
        report["arrival"],
        json!({"accepted": 0, "landed": 0, "missing": 0, "looked_at": null})
    );
    assert_eq!(api.requests(), 0);

    world.arrivals().drop_one_of(0);
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [200, 180, 20]));
    let pipeline = state(&world).await;
    assert_eq!(
        (&pipeline["state"], &pipeline["arrival"]),
        (&json!("ok"), &report["arrival"])
    );

    let (ran, report) = run(&world).await;
    assert_eq!(
        (ran.code(), &report["delivered"]),
        (0, &json!(20)),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("are not in the table, and are delivered again: 900"),
        "{ran:?}"
    );
    world.assert_all_landed_once();

    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [200, 200, 0]));
    assert_eq!(report["delivered"], 0);
    assert_eq!(state(&world).await["arrival"]["missing"], 0);
    // Once every row is found, no more queries are sent.
    let asked = api.requests();
    run(&world).await;
    assert_eq!(api.requests(), asked);
    world.assert_all_landed_once();
}

async fn what_is_dropped_again_is_missing_for_good_and_the_state_is_failing(sink: Sink) {
    let (world, _api) = world(sink).await;
    let ids: Vec<String> = (0..3)
        .map(|n| {
            let date = minutes_ago(10) + chrono::Duration::seconds(n);
            world.tenant.add(json!({"date": date, "type": "s"}), date)
        })
        .collect();
    world.arrivals().drop_one_of(3);
    run(&world).await;
    world.arrivals().drop_one_of(1);
    run(&world).await;
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), &report["delivered"]), (0, &json!(1)));
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (1, [3, 2, 1]));
    let error = report["errors"][0].as_str().unwrap();
    // The alert in docs/operate.md looks for this text.
    let told =
        "1 records that the destination acknowledged are not in the table, and no more is done";
    assert!(error.starts_with(told), "{error}");
    assert!(
        error.contains(&ids[2]) && !error.contains(&ids[1]),
        "{error}"
    );

    // Later runs do not deliver it again, and the state stays red.
    let (ran, report) = run(&world).await;
    assert_eq!(
        (ran.code(), &report["delivered"]),
        (0, &json!(0)),
        "{ran:?}"
    );
    let pipeline = state(&world).await;
    assert_eq!(pipeline["state"], "failing");
    assert_eq!(pipeline["arrival"]["missing"], 1);
    assert_eq!(pipeline["error"]["text"], error);

    // A replay that delivers the record turns the state green.
    world.arrivals().drop_one_of(0);
    let from = minutes_ago(20).to_rfc3339();
    let name = sink.name();
    let replay = [
        "replay",
        "--destination",
        name,
        "--from",
        &from,
        "--to",
        "1m",
    ];
    assert_eq!(world.command(&replay).await.code(), 0);
    run(&world).await;
    let pipeline = state(&world).await;
    assert_eq!(
        (&pipeline["state"], &pipeline["arrival"]["missing"]),
        (&json!("ok"), &json!(0))
    );
}

async fn what_is_asked_is_kql_and_has_the_same_answers_there(sink: Sink) {
    let (world, api) = world(sink).await;
    let date = minutes_ago(10);
    let ids = [0, 1, 2].map(|n| {
        let date = date + chrono::Duration::milliseconds(n);
        world.tenant.add(json!({"date": date, "type": "s"}), date)
    });
    world.arrivals().drop_one_of(3);
    for _ in 0..3 {
        run(&world).await;
    }
    let queries = api.queries();
    // The third run delivered the missing row again.
    world.arrivals().drop_one_of(0);
    let kql = Kql::over_table_of(sink.api(), &world.table());
    let file = world.folder.path().join("query.kql");
    let answers = queries.iter().map(|query| {
        fs::write(&file, query).unwrap();
        // Rows that arrive without a data collection rule may lack the column `_id_s`.
        let problems = kql.problems(std::slice::from_ref(&file));
        let told = |it: &&str| !it.ends_with("no table has a column '_id_s'");
        assert_eq!(problems.lines().find(told), None);
        kql.result(query, &now().to_rfc3339())
    });
    let answers: Vec<_> = answers.map(Value::from_iter).collect();
    let landed = answers[0].as_array().unwrap();
    let counts = landed.iter().map(|it| it["Landed"].as_i64().unwrap());
    assert_eq!(counts.sum::<i64>(), 3, "{answers:?}");
    assert_eq!(landed[0]["Hour"], date.format("%Y%m%d%H").to_string());
    let mut named: Vec<_> = answers[1]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["LogId"].clone())
        .collect();
    named.sort_by_key(ToString::to_string);
    assert_eq!(named, ids);
}

/// Reading all records between them may take longer than a run has. Then every look would deliver the
/// first ones again, and none the last.
#[tokio::test]
async fn of_missing_records_of_hours_far_apart_what_is_between_is_not_read_again() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("START_FROM", "12h");
    world.set("ARRIVAL_AFTER", "1h");
    for minutes in [11 * 60, 10] {
        if minutes == 10 {
            let (from, to) = (minutes_ago(9 * 60), minutes_ago(3 * 60));
            world.tenant.generate(3_000, from, to);
            world.poll().await;
        }
        for second in 0..2 {
            let date = minutes_ago(minutes) + chrono::Duration::seconds(second);
            world.tenant.add(json!({"date": date, "type": "s"}), date);
        }
        world.arrivals().drop_one_of(2);
        world.poll().await;
        world.arrivals().drop_one_of(0);
    }
    world.set("ARRIVAL_AFTER", "0s");
    let (_, report) = run(&world).await;
    assert_eq!(counts(&report), [3_004, 3_002, 2], "{report}");
    let (ran, report) = run(&world).await;
    let [delivered, fetched] = numbers(&report, ["delivered", "fetched"]);
    assert_eq!((ran.code(), delivered), (0, 2), "{ran:?}");
    assert!(fetched < 1_000, "{ran:?}");
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [3_004, 3_004, 0]));
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_heartbeat_tells_of_what_is_missing_for_good_as_long_as_status_does() {
    let (mut world, _api) = world(Sink::LogsIngestion).await;
    world.set("HEARTBEAT", "on");
    let date = minutes_ago(10);
    world.tenant.add(json!({"date": date, "type": "s"}), date);
    run(&world).await;
    world.arrivals().drop_one_of(1);
    let later = minutes_ago(9);
    world.tenant.add(json!({"date": later, "type": "s"}), later);
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(run(&world).await.0.code());
    }
    assert_eq!(codes, [0, 0, 0, 1]);
    // Only one run fails for this. Later runs succeed while the row is still missing.
    world.arrivals().drop_one_of(0);
    assert_eq!(run(&world).await.0.code(), 0);
    assert_eq!(state(&world).await["state"], "failing");
    let beats = world.arrivals().table("Auth0AMHealth_CL").rows;
    assert_eq!(beats.last().unwrap()["State_s"], "failing", "{beats:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_and_turns_nothing_red() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    run(&world).await;
    api.give_role(false);
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [0, 0, 0]));
    assert!(
        ran.stderr
            .contains("the table could not be queried for what has arrived"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("Log Analytics Reader"), "{ran:?}");
    assert_eq!(state(&world).await["state"], "ok");
    let told = world.command(&["status"]).await.stdout;
    assert!(told.contains("Log Analytics Reader"), "{told}");

    api.give_role(true);
    let partial = r#"{"tables":[{"name":"PrimaryResult","columns":[],"rows":[]}],"error":{"code":"PartialError","message":"There were some errors when processing your query."}}"#;
    for (fault, telling) in [
        (
            Fault::answer(200, ""),
            "answered the query with something else: 0 bytes",
        ),
        (
            Fault::answer(200, partial),
            "answered the query only in part: PartialError",
        ),
        (
            Fault::answer(
                400,
                r#"{"error":{"code":"BadArgumentError","message":"x"}}"#,
            ),
            "answered the query with 400",
        ),
    ] {
        api.fail([fault]);
        let (ran, report) = run(&world).await;
        assert_eq!((ran.code(), counts(&report)), (0, [0, 0, 0]), "{telling}");
        assert!(ran.stderr.contains(telling), "{telling}: {ran:?}");
    }
    world.set("IDENTITY_ENDPOINT", "");
    let (ran, _) = run(&world).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stderr.contains("ARRIVAL needs a managed identity"),
        "{ran:?}"
    );

    world.set_all(world.identity.environment());
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [10, 10, 0]));
    assert!(
        !world
            .command(&["status"])
            .await
            .stdout
            .contains("not checked"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn check_says_whether_it_can_be_asked_and_turns_nothing_red() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    for (has_role, line) in [
        (
            true,
            "ok         arrival: the workspace can be queried; it has no table Auth0AM_CL yet",
        ),
        (
            false,
            "warning    arrival: the table cannot be queried for what has arrived: ",
        ),
    ] {
        api.give_role(has_role);
        let ran = world.command(&["check"]).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        assert!(ran.stdout.contains(line), "{ran:?}");
    }
    let ran = world.command(&["check"]).await;
    assert!(ran.stdout.contains("Log Analytics Reader"), "{ran:?}");
    api.give_role(true);
    world.tenant.generate(3, minutes_ago(10), minutes_ago(5));
    run(&world).await;
    let told = world.command(&["check"]).await.stdout;
    let line = "ok         arrival: the table of the workspace can be queried\n";
    assert!(told.contains(line), "{told}");
    // Without a destination that can be queried, `check` warns that nothing is proved.
    world.set("DESTINATIONS", "stdout");
    let told = world.command(&["check"]).await;
    let line = "warning    arrival: ARRIVAL is on, and none of DESTINATIONS is a table that can be queried: ";
    assert_eq!(told.code(), 0, "{told:?}");
    assert!(told.stdout.contains(line), "{told:?}");
    world.set("DESTINATIONS", "log-analytics");
    // This command names another destination, so `check` says nothing about arrival.
    let look = world.command(&["check", "--destination", "stdout"]).await;
    assert!(!look.stdout.contains("arrival"), "{look:?}");
    // What a destination with a bad setting is, is not known.
    let key = world.setting("WorkspaceKey").to_owned();
    world.deliver_to(&[Sink::LogAnalytics, Sink::Archive]);
    world.set("WorkspaceKey", "");
    let told = world.command(&["check"]).await;
    assert!(told.stdout.contains("WorkspaceKey is missing"), "{told:?}");
    assert!(!told.stdout.contains("none of DESTINATIONS"), "{told:?}");
    world.set("WorkspaceKey", &key);
    world.deliver_to(&[Sink::LogAnalytics]);
    world.set("ARRIVAL", "off");
    let asked = api.requests();
    let told = world.command(&["check"]).await.stdout;
    assert!(
        !told.contains("arrival") && api.requests() == asked,
        "{told}"
    );
}

#[tokio::test]
async fn a_table_that_is_not_there_yet_and_no_data_are_nothing_landed() {
    let (world, api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(3, minutes_ago(10), minutes_ago(5));
    // The workspace acknowledges the post and stores none of it.
    world.workspace.fail([Fault::answer(200, "")]);
    run(&world).await;
    let (ran, report) = run(&world).await;
    assert_eq!((ran.code(), counts(&report)), (0, [3, 0, 3]));
    api.fail([Fault::answer(204, ""), Fault::answer(204, "")]);
    let (ran, report) = run(&world).await;
    // If nothing ever landed, WorkspaceID is taken to be wrong, and nothing is delivered again.
    assert_eq!((ran.code(), counts(&report)), (1, [3, 0, 3]));
    assert_eq!(report["delivered"], 0);
    assert!(
        report["errors"][0]
            .as_str()
            .unwrap()
            .contains("WorkspaceID")
    );
}

#[tokio::test]
async fn what_is_delivered_twice_counts_once_and_other_rows_do_not_count() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(50), minutes_ago(5));
    run(&world).await;
    // A process that was killed after it saved what it delivered for proof of arrival, and before it
    // saved its checkpoint, delivers the records again.
    fs::remove_file(world.checkpoint_file(Sink::LogAnalytics)).unwrap();
    for entry in fs::read_dir(world.checkpoint_file(Sink::LogAnalytics).parent().unwrap()).unwrap()
    {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let (_, report) = run(&world).await;
    assert_eq!(report["delivered"], 30);
    let (_, report) = run(&world).await;
    assert_eq!(counts(&report), [30, 30, 0]);
    assert_eq!(world.arrivals().stored(), 60);
}

/// The row has the time of the event, which is long before the time in the id.
#[tokio::test]
async fn a_record_with_an_id_of_a_time_to_come_is_found_like_any_other() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(3, minutes_ago(50), minutes_ago(5));
    let later = now() + chrono::Duration::days(400);
    let id = format!("900{}{}", later.format("%Y%m%d%H%M%S"), "1".repeat(39));
    let record = json!({"date": minutes_ago(4), "type": "s"});
    world.tenant.add_as(&id, record);
    run(&world).await;
    for _ in 0..4 {
        let (ran, report) = run(&world).await;
        assert_eq!((ran.code(), counts(&report)), (0, [4, 4, 0]), "{ran:?}");
    }
    world.assert_all_landed_once();
}

/// A state file that cannot be read does not mean that the missing rows were found.
#[tokio::test]
async fn what_is_missing_for_good_stays_told_while_what_is_kept_of_it_cannot_be_read() {
    let (mut world, _api) = world(Sink::LogAnalytics).await;
    world.set("HEARTBEAT", "on");
    world.tenant.generate(3, minutes_ago(50), minutes_ago(5));
    world.arrivals().drop_one_of(3);
    for code in [0, 0, 0, 1] {
        assert_eq!(run(&world).await.0.code(), code);
        world.arrivals().drop_one_of(1);
    }
    let before = state(&world).await;
    assert_eq!(before["arrival"]["missing"], 1);

    let file = world.arrival_file(Sink::LogAnalytics);
    let elsewhere = file.with_extension("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    fs::create_dir(&file).unwrap();
    world.arrivals().drop_one_of(0);
    let (ran, _) = run(&world).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let told = world.command(&["status"]).await;
    assert_eq!(told.code(), 1, "{told:?}");
    assert!(told.stdout.contains("not checked"), "{told:?}");
    let pipeline = state(&world).await;
    assert_eq!(pipeline["state"], "failing");
    assert_eq!(pipeline["arrival"], before["arrival"]);
    let beats = world.arrivals().table("Auth0AMHealth_CL").rows;
    assert_eq!(beats.last().unwrap()["State_s"], "failing", "{beats:?}");

    fs::remove_dir(&file).unwrap();
    fs::rename(&elsewhere, &file).unwrap();
    run(&world).await;
    let told = world.command(&["status"]).await;
    assert_eq!(told.code(), 1, "{told:?}");
    assert!(!told.stdout.contains("not checked"), "{told:?}");
}

#[tokio::test]
async fn what_is_kept_of_it_is_begun_anew_where_it_is_of_no_use_and_that_is_said() {
    let (world, _api) = world(Sink::LogAnalytics).await;
    world.tenant.generate(30, minutes_ago(10), minutes_ago(5));
    world.arrivals().drop_one_of(10);
    run(&world).await;
    let file = world.arrival_file(Sink::LogAnalytics);
    let stored = fs::read_to_string(&file).unwrap();
    let newer = stored.replacen(r#""format":1"#, r#""format":99"#, 1);
    assert_ne!(newer, stored);
    let telling = format!(
        "the list of accepted records {} cannot be used, so a new one is begun",
        file.display()
    );
    for text in ["{", &newer] {
        fs::write(&file, text).unwrap();
        for count in [1, 0] {
            let ran = world.command(&["poll"]).await;
            assert_eq!(ran.code(), 0, "{ran:?}");
            assert_eq!(ran.stderr.matches(&telling).count(), count, "{ran:?}");
        }
    }
}

#[tokio::test]
async fn without_the_setting_nothing_is_asked_or_kept() {
    let (mut world, api) = world(Sink::LogAnalytics).await;
    world.set("ARRIVAL", "");
    world.tenant.generate(3, minutes_ago(10), minutes_ago(5));
    run(&world).await;
    let (_, report) = run(&world).await;
    assert_eq!((&report["arrival"], api.requests()), (&Value::Null, 0));
    assert!(!world.folder.path().join("checkpoints/arrival").exists());
    world.set("ARRIVAL", "yes");
    let ran = world.command(&["poll"]).await;
    assert!(
        ran.code() == 2 && ran.stderr.contains("ARRIVAL is neither on nor off"),
        "{ran:?}"
    );
}
