//! Pages of Auth0's log that fail each time: because they are too heavy, or because of one record.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use simulator::tenant::{Options, SyntheticIds};
use simulator::{Fault, FunctionsHost};

use crate::world::{FUNCTION, World, minutes_ago, numbers};

/// The most runs until the record at fault stands alone.
const RUNS: usize = 16;

/// A process that makes one run after another.
struct Process {
    world: World,
    host: FunctionsHost,
}

impl Process {
    async fn start() -> Self {
        Self::with(options()).await
    }

    async fn with(options: Options) -> Self {
        let world = world_with(options).await;
        let host = world.host().await;
        Self { world, host }
    }

    /// From now on something blocks each answer with one of these records.
    fn block(&self, ids: &[String]) {
        let tenant = &self.world.tenant;
        tenant.fail_pages(usize::MAX, ids, page_with(403));
    }

    /// Makes a run and returns its report, whether it failed or not.
    async fn run(&self) -> Value {
        let timer = json!({"Data": {"timer": {}}, "Metadata": {}}).to_string();
        let simulator::host::Received { body, .. } = self.host.send(FUNCTION, timer).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["ReturnValue"][0].clone()
    }

    /// Makes runs until one has caught up.
    async fn run_to_the_end(&self) {
        for _ in 0..RUNS {
            let report = self.run().await;
            if report["errors"] == json!([]) {
                assert_eq!(report["caught_up"], true, "{report}");
                return;
            }
        }
        panic!("it is not at the end: {:?}", self.host.lines());
    }

    /// The descriptions of the rows with these ids.
    fn descriptions(&self, ids: &[String]) -> Vec<String> {
        let rows = self.world.table().rows;
        let rows = rows
            .iter()
            .filter(|row| ids.iter().any(|id| row["log_id_s"] == **id));
        rows.map(|row| {
            let description = row.get("description_s").and_then(Value::as_str);
            description.unwrap_or_default().to_owned()
        })
        .collect()
    }
}

fn options() -> Options {
    Options {
        token_events: false,
        ..Options::default()
    }
}

async fn world() -> World {
    world_with(options()).await
}

async fn world_with(options: Options) -> World {
    let mut world = World::with(options).await;
    world.set("START_FROM", "6h");
    world
}

/// Adds records, a second apart, and returns their ids.
fn add(world: &World, count: usize, first: DateTime<Utc>) -> Vec<String> {
    let times = (0..).map(|n| first + Duration::seconds(n)).take(count);
    let add = |time| {
        let record = json!({"date": time, "type": "s"});
        world.tenant.add(record, time)
    };
    times.map(add).collect()
}

fn page_with(status: u16) -> Fault {
    Fault::answer(status, "<html>Blocked by policy</html>")
}

fn redirect() -> Fault {
    Fault::Answer {
        status: 302,
        headers: vec![("location", "https://proxy.example/blocked".into())],
        body: "".into(),
    }
}

#[tokio::test]
async fn of_a_log_whose_pages_are_too_heavy_fewer_records_are_asked_for_in_the_same_run() {
    for fault in [
        Fault::answer(500, ""),
        Fault::answer(502, ""),
        Fault::answer(504, ""),
        Fault::answer(524, ""),
        Fault::answer(408, ""),
        Fault::Drop,
    ] {
        let world = world().await;
        // So recent that they are not read in several places at once, however slow the machine is.
        add(&world, 150, minutes_ago(5));
        world.tenant.fail_pages(20, &[], fault.clone());
        let before = world.tenant.log_requests();
        let report = world.poll().await;
        assert_eq!(numbers(&report, ["delivered"]), [150], "{fault:?}");
        world.assert_all_landed_once();
        // 25 pages of six records and what ends the log, three pages that failed, and what a first run
        // asks for besides. The HTTP client sends once more what gets no answer.
        let requests = world.tenant.log_requests() - before;
        let most = if matches!(fault, Fault::Drop) { 40 } else { 32 };
        assert!(requests <= most, "{fault:?}: {requests}");
        let failed = world.tenant.failed_pages();
        let most = if matches!(fault, Fault::Drop) { 6 } else { 3 };
        assert!(failed <= most, "{fault:?}: {failed}");
    }
}

#[tokio::test]
async fn of_a_log_whose_pages_are_blocked_fewer_records_are_asked_for_in_the_next_runs() {
    for fault in [page_with(403), page_with(200), page_with(451), redirect()] {
        let process = Process::start().await;
        add(&process.world, 150, minutes_ago(50));
        process.world.tenant.fail_pages(20, &[], fault.clone());
        process.run_to_the_end().await;
        process.world.assert_all_landed_once();
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_passed_and_its_row_says_so() {
    for fault in [
        page_with(403),
        page_with(200),
        page_with(451),
        redirect(),
        Fault::answer(500, ""),
    ] {
        let process = Process::start().await;
        let ids = add(&process.world, 30, minutes_ago(120));
        let poison = &ids[9..10];
        process
            .world
            .tenant
            .fail_pages(usize::MAX, poison, fault.clone());
        process.run_to_the_end().await;
        process.world.assert_all_landed_once();
        let said = process.descriptions(poison);
        assert!(
            said[0].starts_with("auth0-poller could not read this record"),
            "{fault:?}: {said:?}"
        );
        let told = format!("the record {} cannot be read (", poison[0]);
        let lines = process.host.lines();
        let lines = lines.iter().filter(|it| it.text.contains(&told));
        assert_eq!(lines.count(), 1);
        // What comes later is read as if nothing had happened.
        add(&process.world, 150, minutes_ago(30));
        let report = process.run().await;
        assert_eq!(numbers(&report, ["delivered"]), [150], "{report}");
    }
}

#[tokio::test]
async fn records_that_follow_each_other_and_cannot_be_read_are_all_passed() {
    let process = Process::start().await;
    let ids = add(&process.world, 30, minutes_ago(120));
    let poison = &ids[9..14];
    process.block(poison);
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
    let said = process.descriptions(poison);
    let is_marker = |it: &String| it.starts_with("auth0-poller could not read this record");
    assert_eq!(said.iter().filter(|it| is_marker(it)).count(), 5);
}

/// Whichever of those after them is tried, it shows that others are read.
#[tokio::test]
async fn they_are_passed_however_few_come_after_them() {
    for (bad, good) in [(1, 1), (2, 1), (3, 1), (4, 3), (7, 2), (22, 5)] {
        let process = Process::start().await;
        // A search shows no more than a hundred at once.
        add(&process.world, 110, minutes_ago(180));
        process.run_to_the_end().await;
        let ids = add(&process.world, 1 + bad + good, minutes_ago(120));
        let poison = &ids[1..=bad];
        process.block(poison);
        process.run_to_the_end().await;
        process.world.assert_all_landed_once();
        let said = process.descriptions(&ids);
        assert_eq!(
            said.iter().filter(|it| !it.is_empty()).count(),
            bad,
            "{good}"
        );
    }
}

/// The later of two happened first.
#[tokio::test]
async fn they_are_passed_in_whatever_order_the_next_ones_happened() {
    let process = Process::start().await;
    add(&process.world, 1, minutes_ago(130));
    process.run_to_the_end().await;
    let stored = minutes_ago(120);
    let ids = [(0, 30), (1, 10), (2, 20)].map(|(after, before)| {
        let record = json!({"date": stored - Duration::seconds(before), "type": "s"});
        let stored = stored + Duration::seconds(after);
        process.world.tenant.add(record, stored)
    });
    process.block(&ids[..2]);
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
}

/// A record that Auth0 returns after an id need not be the next one, if it does not honour the id.
#[tokio::test]
async fn where_pages_of_two_are_blocked_too_no_record_is_skipped_that_a_search_shows() {
    let options = Options {
        synthetic_ids: SyntheticIds::Unheeded,
        ..options()
    };
    let process = Process::with(options).await;
    add(&process.world, 5, minutes_ago(120));
    process.world.tenant.fail_pages(1, &[], page_with(403));
    for _ in 0..RUNS {
        process.run().await;
    }
    process.world.tenant.stop_failing_pages();
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
}

/// What comes later and has no id says nothing of what comes before it.
#[tokio::test]
async fn they_are_passed_before_a_record_without_an_id() {
    let process = Process::start().await;
    let ids = add(&process.world, 15, minutes_ago(120));
    let nameless = json!({"date": minutes_ago(111), "type": "s"});
    process
        .world
        .tenant
        .add_nameless(nameless, minutes_ago(111));
    let later = add(&process.world, 5, minutes_ago(110));
    process.block(&ids[9..11]);
    process.run_to_the_end().await;
    assert_eq!(process.world.arrivals().landed(), [ids, later].concat());
}

/// The time of what has no id may be that of another clock: what is dated two minutes later may come before.
#[tokio::test]
async fn they_are_not_passed_where_a_record_without_an_id_may_come_before_them() {
    let process = Process::start().await;
    let first = minutes_ago(120);
    let ids = add(&process.world, 15, first);
    let (read, blocked) = (&ids[..9], &ids[9..11]);
    let soon_after = first + Duration::seconds(10) + Duration::minutes(2);
    let nameless = json!({"date": soon_after, "type": "s"});
    process.world.tenant.add_nameless(nameless, soon_after);
    let later = add(&process.world, 5, minutes_ago(110));
    process.block(blocked);
    for _ in 0..RUNS {
        let report = process.run().await;
        assert_ne!(report["errors"], json!([]), "{report}");
    }
    assert_eq!(process.world.arrivals().landed(), read);
    process.world.tenant.stop_failing_pages();
    process.run_to_the_end().await;
    assert_eq!(process.world.arrivals().landed(), [ids, later].concat());
}

/// The pages of one prefix are read in each run. That makes those of the other no larger.
#[tokio::test]
async fn it_is_passed_beside_another_prefix_too() {
    let process = Process::start().await;
    let tenant = &process.world.tenant;
    let add_as_800 = |time: DateTime<Utc>| {
        let id = format!("800{}{:033}", time.format("%Y%m%d%H%M%S%6f"), 0);
        tenant.add_as(&id, json!({"date": time, "type": "s"}));
    };
    add_as_800(minutes_ago(121));
    let ids = add(&process.world, 160, minutes_ago(120));
    process.block(&ids[155..156]);
    for _ in 0..RUNS {
        add_as_800(minutes_ago(0));
        if process.run().await["caught_up"] == true {
            break;
        }
    }
    process.world.assert_all_landed_once();
}

/// After an id that is not a record's two records are asked for, since one does not show whether Auth0
/// honoured the id.
#[tokio::test]
async fn it_is_passed_where_a_reading_begins() {
    for place in [0, 1] {
        let process = Process::start().await;
        let ids = add(&process.world, 5, minutes_ago(120));
        let poison = &ids[place..=place];
        process.block(poison);
        process.run_to_the_end().await;
        process.world.assert_all_landed_once();
        assert!(!process.descriptions(poison)[0].is_empty());

        let from = minutes_ago(125).to_rfc3339();
        let to = minutes_ago(115).to_rfc3339();
        let again = ["replay", "--destination", "log-analytics"];
        let again = [&again[..], &["--from", &from, "--to", &to]].concat();
        let ran = process.world.command(&again).await;
        assert_eq!(ran.code(), 0, "{ran:?}");
        assert_eq!(numbers(&ran.report(), ["delivered"]), [5], "{ran:?}");
    }
}

/// An outage that is over, or comes and goes, while one part of Auth0's API is blocked.
#[tokio::test]
async fn what_fails_six_times_and_is_then_read_is_not_passed() {
    let process = Process::start().await;
    add(&process.world, 5, minutes_ago(120));
    process.run_to_the_end().await;
    let ids = add(&process.world, 30, minutes_ago(90));
    process.world.tenant.fail_single_records(page_with(403));
    let failures = std::iter::repeat_n(Fault::answer(500, ""), 6);
    process.world.tenant.fail_logs(failures);
    let report = process.run().await;
    assert_ne!(report["errors"], json!([]), "{report}");
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
    let said = process.descriptions(&ids);
    assert!(said.iter().all(String::is_empty), "{said:?}");
}

/// Makes runs in which these requests are answered like this, and then reads to the end. Returns whether a
/// record was passed. Before that a page has failed until it had one record.
async fn is_passed_after(answers: &[&[Fault]]) -> bool {
    let process = Process::start().await;
    add(&process.world, 5, minutes_ago(120));
    process.run_to_the_end().await;
    let ids = add(&process.world, 30, minutes_ago(90));
    // Of 100, 50, 25, 12, 6, 3 records and one.
    let pages = vec![page_with(403); 7];
    let answers = answers.concat();
    process.world.tenant.fail_logs([pages, answers].concat());
    for _ in 0..7 {
        process.run().await;
    }
    process.world.tenant.stop_failing();
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
    let said = process.descriptions(&ids);
    said.iter().any(|it| !it.is_empty())
}

/// In an outage that comes and goes, or in which some of Auth0's API can be used.
#[tokio::test]
async fn a_record_is_passed_only_if_it_fails_in_six_turns_with_one_that_is_read() {
    let ok = || vec![Fault::None];
    let fails = || vec![page_with(403)];
    let empty = || vec![Fault::answer(200, "[]")];
    let not_found = || vec![Fault::answer(404, "")];
    // What a search shows, and the record after that.
    let found = [ok(), ok()].concat();
    let turn = || [fails(), fails(), ok()].concat();
    let turns = |count| vec![turn(); count].concat();
    for (answers, expected) in [
        (vec![found.clone(), turns(6)], true),
        (vec![found.clone(), turns(5)], false),
        // The record after it cannot be read any more, or is not there.
        (vec![found.clone(), vec![page_with(403); 20]], false),
        (
            vec![found.clone(), fails(), fails(), empty(), turns(6)],
            false,
        ),
        // The page can be read, or the record by its id.
        (vec![found.clone(), turn(), ok(), turns(6)], false),
        (vec![found.clone(), turn(), fails(), ok(), turns(6)], false),
        // No record after it is there, or something else is wrong.
        (vec![ok(), empty(), turns(6)], false),
        (vec![ok(), not_found(), found.clone(), turns(6)], false),
        // Another one can be read, or is not there either.
        (vec![ok(), fails(), found.clone(), turns(6)], true),
        (vec![ok(), fails(), ok(), fails(), ok(), turns(6)], true),
        (
            vec![ok(), fails(), ok(), not_found(), ok(), turns(6)],
            false,
        ),
    ] {
        let answers: Vec<_> = answers.iter().map(Vec::as_slice).collect();
        let found = is_passed_after(&answers).await;
        assert_eq!(found, expected, "{answers:?}");
    }
}

/// How long those before it have waited says nothing of it, nor when it happened.
#[tokio::test]
async fn a_record_is_not_passed_before_it_has_waited_itself() {
    let process = Process::start().await;
    let ids = add(&process.world, 5, minutes_ago(120));
    process.run_to_the_end().await;
    let record = json!({"date": minutes_ago(100), "type": "s"});
    let poison = process.world.tenant.add(record, minutes_ago(50));
    add(&process.world, 5, minutes_ago(40));
    process.block(&[poison]);
    for _ in 0..RUNS {
        let report = process.run().await;
        assert_ne!(report["errors"], json!([]), "{report}");
    }
    assert_eq!(process.world.arrivals().landed(), ids);
    process.world.tenant.stop_failing_pages();
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
}

#[tokio::test]
async fn a_record_is_not_passed_before_it_has_waited_for_an_hour() {
    let process = Process::start().await;
    let ids = add(&process.world, 30, minutes_ago(50));
    process.block(&ids[9..10]);
    for _ in 0..RUNS {
        let report = process.run().await;
        assert_ne!(report["errors"], json!([]), "{report}");
    }
    assert_eq!(process.world.arrivals().landed(), ids[..9]);
    // Only the page itself is asked for.
    let before = process.world.tenant.log_requests();
    process.run().await;
    assert_eq!(process.world.tenant.log_requests() - before, 1);
    process.world.tenant.stop_failing_pages();
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
}

/// The worst outage: what a search shows, and an empty page, can be read, and no record.
#[tokio::test]
async fn where_no_record_can_be_read_none_is_passed() {
    for (fault, runs, most) in [(page_with(403), 10, 8), (Fault::answer(500, ""), 2, 13)] {
        let process = Process::start().await;
        let ids = add(&process.world, 30, minutes_ago(120));
        process.run_to_the_end().await;
        let later = add(&process.world, 30, minutes_ago(90));
        process.world.tenant.fail_pages(0, &[], fault);
        // At most one record is asked for in the end.
        for _ in 0..runs {
            let before = process.world.tenant.log_requests();
            let report = process.run().await;
            assert_eq!(numbers(&report, ["delivered"]), [0], "{report}");
            let requests = process.world.tenant.log_requests() - before;
            assert!(requests <= most, "{requests}");
        }
        assert_eq!(process.world.arrivals().landed(), ids);
        process.world.tenant.stop_failing_pages();
        process.run_to_the_end().await;
        process.world.assert_all_landed_once();
        let said = process.descriptions(&later);
        assert!(said.iter().all(String::is_empty), "{said:?}");
    }
}

/// Nothing shows that the fault is in it.
#[tokio::test]
async fn the_last_record_of_the_log_is_not_passed_until_another_is_read() {
    let process = Process::start().await;
    let ids = add(&process.world, 3, minutes_ago(120));
    process.block(&ids[2..]);
    for _ in 0..RUNS {
        let report = process.run().await;
        assert_ne!(report["errors"], json!([]), "{report}");
    }
    assert_eq!(process.world.arrivals().landed(), ids[..2]);
    add(&process.world, 1, minutes_ago(5));
    process.run_to_the_end().await;
    process.world.assert_all_landed_once();
}
