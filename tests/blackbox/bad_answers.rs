//! Bad answers from Auth0: none ends the process, none is repeated for ever, and the run after each
//! works as if nothing had happened.

use bytes::Bytes;
use serde_json::{Value, json};
use simulator::host::State;
use simulator::tenant::{Options, SyntheticIds};
use simulator::{Fault, FunctionsHost};

use self::cases::{Comes, json, large_headers, odd_answers, odd_pages, token_answers};
use crate::world::{FUNCTION, Sink, World, for_each_destination, now, numbers};

mod cases;

for_each_destination![
    whatever_comes_in_the_place_of_a_page_the_run_says_so_and_the_next_one_makes_up_for_it,
    a_page_that_comes_again_and_again_ends_the_run,
];

/// The run's budget, and the time that saving may take beyond it.
const BUDGET_MS: u64 = 5_000;
const GRACE_MS: u64 = 9_000;

/// A process that makes one run after another and has to survive all of them.
struct Process {
    world: World,
    host: FunctionsHost,
    /// How many seconds ago the last record was stored.
    next: i64,
    budget_ms: u64,
}

impl Process {
    async fn start(sink: Sink) -> Self {
        Self::in_world(World::start_for(sink).await).await
    }

    async fn with(options: Options) -> Self {
        Self::in_world(World::with(options).await).await
    }

    async fn in_world(world: World) -> Self {
        Self::with_budget(world, BUDGET_MS).await
    }

    async fn with_budget(mut world: World, budget_ms: u64) -> Self {
        world.set("RUN_BUDGET", &format!("{budget_ms}ms"));
        let host = world.host().await;
        let mut process = Self {
            world,
            host,
            next: 3_300,
            budget_ms,
        };
        process.add(3);
        process.good_run(3).await;
        process
    }

    /// Adds `count` records after all others and returns them.
    fn add(&mut self, count: usize) -> Vec<Value> {
        self.next -= 10;
        let stored = now() - chrono::Duration::seconds(self.next);
        let records = (0..count).map(|_| {
            let mut record = json!({"date": stored, "type": "s"});
            record["log_id"] = self.world.tenant.add(record.clone(), stored).into();
            record
        });
        records.collect()
    }

    /// Adds a record of `bytes` bytes after all others and returns its id.
    fn add_large(&mut self, bytes: usize) -> String {
        self.next -= 1;
        let stored = now() - chrono::Duration::seconds(self.next);
        let record = json!({"date": stored, "type": "w"});
        self.world.tenant.add_large(record, bytes, stored)
    }

    /// Makes a run and returns its report, whether it failed or not.
    async fn run(&self, name: &str) -> Value {
        let timer = json!({"Data": {"timer": {}}, "Metadata": {}}).to_string();
        let simulator::host::Received { status, body, .. } =
            self.host.send(FUNCTION, timer).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let report = answer["ReturnValue"][0].clone();
        let has_errors = report["errors"] != json!([]);
        assert_eq!(status, if has_errors { 500 } else { 200 }, "{name}");
        let [elapsed] = numbers(&report, ["elapsed_ms"]);
        assert!(elapsed < self.budget_ms + GRACE_MS, "{name}: {report}");
        assert_eq!(self.host.state(), State::Running(1), "{name}");
        report
    }

    /// Makes a run that succeeds and leaves nothing undone.
    async fn good_run(&self, delivered: u64) {
        let report = self.run("the run after it").await;
        assert_eq!(report["errors"], json!([]));
        assert_eq!(report["caught_up"], true);
        assert_eq!(numbers(&report, ["delivered"]), [delivered], "{report}");
        self.world.assert_all_landed_once();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let lines = self.host.lines();
        let panicked = lines.iter().find(|line| line.text.contains("panic"));
        assert!(
            std::thread::panicking() || panicked.is_none(),
            "{panicked:?}"
        );
    }
}

/// Asserts that the errors of a failed run say `telling`.
fn assert_error(report: &Value, name: &str, telling: &str) {
    let errors = report["errors"].to_string().replace("\\\"", "\"");
    assert!(errors.contains(telling), "{name}: {errors}");
}

async fn whatever_comes_in_the_place_of_a_page_the_run_says_so_and_the_next_one_makes_up_for_it(
    sink: Sink,
) {
    let mut process = Process::start(sink).await;
    for (name, answer, comes) in odd_answers().into_iter().chain(odd_pages()) {
        // The bad answer replaces the first page of a run, then the second.
        for before in [0, 100] {
            process.add(before);
            let records = process.add(3);
            let first = (before > 0).then_some(Fault::None);
            process.world.tenant.fail_logs(first);
            process.world.tenant.fail_logs([answer(&records)]);
            let report = process.run(name).await;
            process.world.tenant.stop_failing();

            let [delivered, set_aside] = numbers(&report, ["delivered", "dead_lettered"]);
            let before = before as u64;
            match comes {
                Comes::Error(telling) => {
                    assert_error(&report, name, telling);
                    assert_eq!(delivered, before, "{name}");
                }
                Comes::Delivery(count) => {
                    assert_eq!(report["errors"], json!([]), "{name}");
                    assert_eq!(delivered, before + count, "{name}");
                }
                Comes::DeadLetter => {
                    assert_eq!(report["errors"], json!([]), "{name}");
                    assert!(set_aside > 0, "{name}: {report}");
                }
            }
            process.add(5);
            process.good_run(before + 8 - delivered).await;
        }
    }
}

#[tokio::test]
async fn whatever_comes_in_the_place_of_a_token_the_run_says_so_and_the_next_one_gets_one() {
    let mut process = Process::start(Sink::LogAnalytics).await;
    for (answer, telling) in token_answers() {
        process.add(3);
        process.world.tenant.revoke_tokens();
        process.world.tenant.fail_tokens([answer.clone()]);
        let report = process.run(telling).await;
        assert_error(&report, &format!("{answer:?}"), telling);
        process.good_run(3).await;
    }
}

/// A 429 whose header `header` says until when no request is taken.
fn too_many_requests(header: &'static str, until: i64) -> Fault {
    let headers = [
        ("x-ratelimit-limit", 100),
        ("x-ratelimit-remaining", 0),
        (header, until),
    ];
    Fault::Answer {
        status: 429,
        headers: headers.map(|(name, it)| (name, it.to_string())).into(),
        body: Bytes::new(),
    }
}

#[tokio::test]
async fn a_tenant_that_takes_nothing_for_an_hour_fails_each_run_until_then() {
    let no_more = "takes no further requests for another ";
    for (header, until, first) in [
        ("retry-after", 3_600, "answered 429 Too Many Requests"),
        ("x-ratelimit-reset", now().timestamp() + 3_600, no_more),
    ] {
        let mut process = Process::start(Sink::LogAnalytics).await;
        process.add(3);
        let before = process.world.tenant.log_requests();
        process
            .world
            .tenant
            .fail_logs([too_many_requests(header, until)]);
        let report = process.run("locked out").await;
        assert_error(&report, header, first);
        for _ in 0..2 {
            let report = process.run("locked out").await;
            assert_error(&report, header, no_more);
        }
        assert_eq!(process.world.tenant.log_requests(), before + 1, "{header}");
    }

    let process = Process::start(Sink::LogAnalytics).await;
    process.world.tenant.revoke_tokens();
    let quota = too_many_requests("retry-after", 86_400);
    process.world.tenant.fail_tokens([quota]);
    for _ in 0..3 {
        let report = process.run("no token").await;
        assert_error(&report, "no token", "issues no token");
    }
}

#[tokio::test]
async fn a_limit_that_lets_nothing_through_in_a_whole_run_is_a_failure() {
    let mut process = Process::start(Sink::LogAnalytics).await;
    process.add(3);
    let began = now().timestamp();
    // The third wait is too long whenever in the run the other two begin and end.
    let never = [1, 2, 30].map(|it| too_many_requests("x-ratelimit-reset", began + it));
    process.world.tenant.fail_logs(never);
    let report = process.run("never through").await;
    assert_error(
        &report,
        "never through",
        "takes no further requests for another",
    );
    process.world.tenant.stop_failing();
}

async fn a_page_that_comes_again_and_again_ends_the_run(sink: Sink) {
    let mut process = Process::start(sink).await;
    let page = process.add(100);
    process.add(150);
    process.world.tenant.fail_logs(vec![json(&page.into()); 50]);
    let before = process.world.tenant.log_requests();
    let report = process.run("endless").await;
    assert_error(&report, "endless", "reading makes no progress: ");
    assert_eq!(numbers(&report, ["delivered"]), [100]);
    assert_eq!(process.world.tenant.log_requests() - before, 2);
    process.world.tenant.stop_failing();
    process.good_run(150).await;
}

#[tokio::test]
async fn headers_that_stay_too_large_end_the_run() {
    let mut process = Process::start(Sink::LogAnalytics).await;
    let page = process.add(3);
    process
        .world
        .tenant
        .fail_logs(vec![large_headers(&page); 50]);
    let report = process.run("large headers").await;
    assert_error(&report, "large headers", "message head is too large");
    process.world.tenant.stop_failing();
    process.good_run(3).await;
}

#[tokio::test]
async fn a_tenant_that_returns_fewer_records_than_were_asked_for_is_read_to_its_end() {
    let mut process = Process::with(Options {
        largest_page: 50,
        token_events: false,
        ..Options::default()
    })
    .await;
    process.add(850);
    // 17 pages of records and an empty one.
    let before = process.world.tenant.log_requests();
    process.good_run(850).await;
    assert_eq!(process.world.tenant.log_requests() - before, 18);
    // A quiet run is one request.
    process.good_run(0).await;
    assert_eq!(process.world.tenant.log_requests() - before, 19);
    // A run that reads up to the present takes one request too.
    process.next = 20;
    process.add(3);
    process.good_run(3).await;
    assert_eq!(process.world.tenant.log_requests() - before, 20);
}

#[tokio::test]
async fn what_is_of_this_minute_is_read_to_its_end_in_one_run() {
    for largest_page in [7, 50] {
        let mut process = Process::with(Options {
            largest_page,
            token_events: false,
            ..Options::default()
        })
        .await;
        process.next = 150;
        process.add(850);
        process.good_run(850).await;
    }
}

#[tokio::test]
async fn a_search_that_returns_fewer_records_than_were_asked_for_finds_the_smallest_id() {
    let world = World::with(Options {
        largest_page: 2,
        synthetic_ids: SyntheticIds::Rejected,
        token_events: false,
        ..Options::default()
    })
    .await;
    // The record with the latest date has the smallest id.
    let at = |seconds: i64| now() - chrono::Duration::seconds(3_000 - seconds);
    for (dated, stored) in [(0, 9), (1, 8), (2, 7), (3, 6), (4, 5)] {
        world.tenant.add(json!({"date": at(dated)}), at(stored));
    }
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered"]), [5], "{report}");
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_id_of_another_prefix_hides_no_record_of_a_first_reading() {
    for synthetic_ids in [SyntheticIds::Taken, SyntheticIds::Rejected] {
        let world = World::with(Options {
            synthetic_ids,
            token_events: false,
            ..Options::default()
        })
        .await;
        // The first record by date and the last one by id.
        let stored = now() - chrono::Duration::seconds(3_000);
        let odd = format!("901{}{:033}", stored.format("%Y%m%d%H%M%S%6f"), 7);
        let record = json!({"date": stored, "type": "f"});
        world.tenant.add_as(&odd, record);
        let stored = stored + chrono::Duration::seconds(1);
        let record = json!({"date": stored, "type": "s"});
        world.tenant.add(record, stored);
        world.poll().await;
        world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn of_large_records_fewer_are_asked_for() {
    let mut process = Process::with_budget(World::start().await, 60_000).await;
    for _ in 0..100 {
        process.add_large(700_000);
    }
    process.next -= 10;
    process.add(100);
    let report = process.run("large records").await;
    assert_eq!(report["errors"], json!([]));
    assert_eq!(report["caught_up"], true);
    assert_eq!(numbers(&report, ["fetched"]), [200], "{report}");
    process.add(3);
    process.good_run(3).await;
}

#[tokio::test]
async fn a_record_that_is_too_large_alone_is_passed_and_its_row_says_so() {
    let mut process = Process::with_budget(World::start().await, 60_000).await;
    process.add(3);
    let large = process.add_large(68_000_000);
    process.add(3);
    let report = process.run("a large record").await;
    assert_eq!(report["errors"], json!([]));
    assert_eq!(numbers(&report, ["delivered"]), [7], "{report}");
    let rows = process.world.table().rows;
    let row = rows.iter().find(|row| row["log_id_s"] == *large);
    let row = json!(row).to_string();
    assert!(row.contains("larger than 67108864 bytes"), "{row}");
    assert!(row.contains("\"w\""), "{row}");
    process.add(3);
    process.good_run(3).await;
}

#[tokio::test]
async fn a_record_that_is_too_large_and_cannot_be_passed_is_named_by_the_one_before_it() {
    let world = World::with(Options {
        ignores_fields: true,
        token_events: false,
        ..Options::default()
    });
    let mut process = Process::with_budget(world.await, 60_000).await;
    process.add(3);
    process.add_large(68_000_000);
    let report = process.run("a large record").await;
    let last = report["last_log_id"].as_str().unwrap();
    let error = format!("the record after {last} is larger than 67108864 bytes");
    assert_error(&report, "a large record", &error);
    assert_eq!(numbers(&report, ["delivered"]), [3]);
}

#[tokio::test]
async fn a_permission_that_is_granted_later_counts_from_the_next_run_on() {
    let mut process = Process::start(Sink::LogAnalytics).await;
    process.add(3);
    process.world.tenant.grant("read:users");
    process.world.tenant.revoke_tokens();
    let report = process.run("without permission").await;
    assert_error(&report, "without permission", "Insufficient scope");
    process.world.tenant.grant("read:logs");
    process.good_run(3).await;
}

#[tokio::test]
async fn a_new_token_is_asked_for_after_a_403_only_where_that_is_about_the_permission() {
    let mut process = Process::start(Sink::LogAnalytics).await;
    for (answer, told, tokens) in [
        (
            r#"{"statusCode":403,"message":"Not for this plan","errorCode":"operation_not_supported"}"#,
            "Not for this plan",
            1,
        ),
        (
            "<!DOCTYPE html><title>Attention Required!</title>",
            "Attention Required!",
            1,
        ),
        (
            r#"{"statusCode":403,"message":"Insufficient scope","errorCode":"insufficient_scope"}"#,
            "Insufficient scope",
            2,
        ),
    ] {
        process.add(3);
        process.world.tenant.fail_logs([Fault::answer(403, answer)]);
        let report = process.run(answer).await;
        assert_error(&report, answer, told);
        process.good_run(3).await;
        assert_eq!(process.world.tenant.token_requests(), tokens, "{answer}");
    }
}

#[tokio::test]
async fn whatever_a_token_s_life_is_said_to_be_it_is_used_for_more_than_one_page() {
    for life in [
        "86400",
        "0",
        "-5",
        "1e400",
        "1e15",
        "\"86400\"",
        "\"soon\"",
        "null",
        "[]",
    ] {
        let mut process = Process::with(Options {
            told_life: Some(life.to_owned()),
            token_events: false,
            ..Options::default()
        })
        .await;
        process.add(250);
        process.good_run(250).await;
        assert_eq!(process.world.tenant.token_requests(), 1, "{life}");
    }
}
