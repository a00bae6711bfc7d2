//! Two destinations at once: each gets every record, and the tenant is asked once.

use std::fs;

use serde_json::json;
use simulator::tenant::SyntheticIds;
use simulator::{Fault, Gate, QueryApi};

use crate::world::{FUNCTION, Sink, World, minutes_ago, now, numbers};

const BOTH: [Sink; 2] = [Sink::LogAnalytics, Sink::LogsIngestion];

async fn world() -> World {
    let mut world = World::start().await;
    world.deliver_to(&BOTH);
    world
}

/// Makes a run that succeeds for both. Returns how many records each delivered, and how many
/// requests for records the run made.
async fn run(world: &World) -> ([u64; 2], u64) {
    let before = world.tenant.log_requests();
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let reports = ran.reports();
    let names = reports.each_ref().map(|it| it["destination"].clone());
    assert_eq!(names, ["log-analytics", "logs-ingestion"]);
    let delivered = reports.map(|it| numbers(&it, ["delivered"])[0]);
    (delivered, world.tenant.log_requests() - before)
}

fn assert_all_landed_once(world: &World) {
    for sink in BOTH {
        world.assert_all_landed_once_at(sink);
    }
}

#[tokio::test]
async fn a_page_is_fetched_once_for_both() {
    let world = world().await;
    world.tenant.generate(500, minutes_ago(50), minutes_ago(30));
    assert_eq!(run(&world).await.0, [500, 500]);

    assert_eq!(run(&world).await, ([0, 0], 1));
    world
        .tenant
        .generate(3_000, minutes_ago(29), minutes_ago(5));
    assert_eq!(run(&world).await, ([3_000, 3_000], 31));
    assert_eq!(run(&world).await, ([0, 0], 1));
    assert_all_landed_once(&world);
    assert_eq!(world.tenant.token_requests(), 4, "one for each process");
}

#[tokio::test]
async fn runs_of_one_process_share_no_page_with_those_before_them() {
    let world = world().await;
    // Enough records that the tenant is known to return full pages.
    world.tenant.generate(100, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    host.fire(FUNCTION).await.reports();
    for _ in 0..3 {
        let before = world.tenant.log_requests();
        world.tenant.generate(10, minutes_ago(1), now());
        for report in host.fire(FUNCTION).await.reports() {
            assert_eq!(numbers(&report, ["delivered"]), [10], "{report}");
        }
        assert_eq!(world.tenant.log_requests() - before, 1);
    }
    assert_all_landed_once(&world);
}

#[tokio::test]
async fn a_page_that_one_of_them_never_asked_for_is_not_taken_for_that_of_the_next_run() {
    let world = world().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    host.fire(FUNCTION).await.reports();
    // One destination cannot begin. The other reads records so young that they are read again.
    let file = world.checkpoint_file(Sink::LogsIngestion);
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("\"format\": 2", "\"format\": 3")).unwrap();
    for count in 1..=3 {
        world.tenant.add(json!({"date": now(), "type": "s"}), now());
        host.fire(FUNCTION).await.failure();
        assert_eq!(world.workspace.stored(), 10 + count);
    }
    fs::write(&file, good).unwrap();
    host.fire(FUNCTION).await.reports();
    assert_all_landed_once(&world);
}

#[tokio::test]
async fn a_first_window_is_delivered_whole_to_both_whatever_the_tenant_makes_of_synthetic_ids() {
    for synthetic_ids in [
        SyntheticIds::Taken,
        SyntheticIds::Rejected,
        SyntheticIds::NotFound,
        SyntheticIds::Ignored,
    ] {
        let mut world = World::with(simulator::tenant::Options {
            synthetic_ids,
            token_events: false,
            ..Default::default()
        })
        .await;
        world.deliver_to(&BOTH);
        world
            .tenant
            .generate(1_500, minutes_ago(20), minutes_ago(2));
        world.set("START_FROM", "oldest");
        assert_eq!(run(&world).await.0, [1_500, 1_500], "{synthetic_ids:?}");
        assert_all_landed_once(&world);
    }
}

/// Asserts that a run fails for one destination and succeeds for the other.
async fn assert_one_fails(world: &World, failing: Sink, telling: &str) {
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    for report in ran.reports() {
        let errors = report["errors"].to_string();
        if report["destination"] == failing.name() {
            assert!(errors.contains(telling), "{report}");
            assert_eq!(report["caught_up"], false);
        } else {
            assert_eq!(report["errors"], json!([]), "{report}");
            assert_eq!(report["caught_up"], true);
        }
    }
}

#[tokio::test]
async fn while_one_destination_fails_the_other_goes_on_and_later_the_one_catches_up() {
    for failing in BOTH {
        let world = world().await;
        world
            .tenant
            .generate(1_500, minutes_ago(50), minutes_ago(30));
        run(&world).await;
        for (from, to) in [(29, 20), (19, 10)] {
            world
                .tenant
                .generate(1_500, minutes_ago(from), minutes_ago(to));
            let (answers, telling) = match failing {
                // The first 403 may be due to the clock, so the post is signed again.
                Sink::LogAnalytics => (2, "refused the signature"),
                _ => (1, "Monitoring Metrics Publisher"),
            };
            let forbidden = Fault::answer(403, "");
            world.arrivals_at(failing).fail(vec![forbidden; answers]);
            assert_one_fails(&world, failing, telling).await;
        }
        for sink in BOTH {
            if sink != failing {
                world.assert_all_landed_once_at(sink);
            }
        }
        world.tenant.generate(10, minutes_ago(9), minutes_ago(8));
        run(&world).await;
        assert_all_landed_once(&world);
        assert_eq!(run(&world).await, ([0, 0], 1));
    }
}

#[tokio::test]
async fn a_destination_that_answers_late_keeps_the_other_from_nothing() {
    let world = world().await;
    run(&world).await;
    world
        .tenant
        .generate(8_000, minutes_ago(50), minutes_ago(5));
    let gate = Gate::closed();
    world.rule.fail([Fault::Wait(gate.clone())]);
    let others = async {
        // The workspace gets everything, further ahead than pages are kept for the other
        // destination.
        world.workspace.wait_for_post(8).await;
        gate.open();
    };
    let ((delivered, requests), ()) = tokio::join!(run(&world), others);
    assert_eq!(delivered, [8_000, 8_000]);
    // The other destination may have to fetch pages that were not kept.
    assert!((81..=162).contains(&requests), "{requests}");
    assert_all_landed_once(&world);
}

#[tokio::test]
async fn an_identity_that_has_none_stops_only_what_needs_it() {
    let world = world().await;
    world.tenant.generate(500, minutes_ago(50), minutes_ago(30));
    world.identity.fail([simulator::identity::not_found()]);
    let telling = "turn the Function App's system-assigned identity on";
    assert_one_fails(&world, Sink::LogsIngestion, telling).await;
    world.assert_all_landed_once_at(Sink::LogAnalytics);
    assert_eq!(run(&world).await.0, [0, 500]);
    assert_all_landed_once(&world);
}

#[tokio::test]
async fn a_killed_process_loses_nothing_of_either() {
    let world = world().await;
    world
        .tenant
        .generate(2_500, minutes_ago(50), minutes_ago(5));
    let host = world.host().await;
    world.workspace.fail([Fault::None, Fault::Hang]);
    world.rule.fail([Fault::None, Fault::None, Fault::Hang]);
    let killed = async {
        world.workspace.wait_for_post(2).await;
        world.rule.wait_for_post(3).await;
        host.kill().await;
    };
    let (outcome, ()) = tokio::join!(host.fire(FUNCTION), killed);
    outcome.failure();
    host.fire(FUNCTION).await.reports();
    assert_all_landed_once(&world);
}

#[tokio::test]
async fn whoever_moves_from_one_to_the_other_misses_nothing_from_the_beginning_of_the_new_one() {
    let mut world = World::start().await;
    let before = world.tenant.generate(300, minutes_ago(55), minutes_ago(41));
    let during = world.tenant.generate(300, minutes_ago(39), minutes_ago(21));
    world.poll().await;
    world.assert_all_landed_once();

    // The new one begins at START_FROM, amid records that the old one already has.
    world.set("START_FROM", &minutes_ago(40).to_rfc3339());
    world.deliver_to(&BOTH);
    let both = world.tenant.generate(300, minutes_ago(20), minutes_ago(11));
    assert_eq!(run(&world).await.0, [300, 600]);
    world.assert_all_landed_once_at(Sink::LogAnalytics);

    world.deliver_to(&[Sink::LogsIngestion]);
    let alone = world.tenant.generate(300, minutes_ago(10), minutes_ago(2));
    assert_eq!(numbers(&world.poll().await, ["delivered"]), [300]);
    let landed = |sink| {
        let mut ids = world.arrivals_at(sink).landed();
        ids.sort();
        ids
    };
    let sorted = |parts: [&[String]; 3]| {
        let mut ids = parts.concat();
        ids.sort();
        ids
    };
    assert_eq!(
        landed(Sink::LogsIngestion),
        sorted([&during, &both, &alone])
    );
    assert_eq!(
        landed(Sink::LogAnalytics),
        sorted([&before, &during, &both])
    );
}

#[tokio::test]
async fn the_new_destination_can_be_set_to_go_on_where_the_old_one_stands() {
    let mut world = World::start().await;
    world.tenant.generate(300, minutes_ago(50), minutes_ago(30));
    world.poll().await;
    let shown = world.checkpoint().await;
    let from = shown["cursor"].as_str().unwrap();

    world.deliver_to(&BOTH);
    let set = ["checkpoint", "set", "--destination", "logs-ingestion"];
    let set = world.command(&[&set[..], &["--from", from]].concat()).await;
    assert_eq!(set.code(), 0, "{set:?}");
    let new = world.tenant.generate(100, minutes_ago(20), minutes_ago(5));
    assert_eq!(run(&world).await, ([100, 100], 1 + 1 + 1));
    let mut landed = world.rule.landed();
    landed.sort();
    let mut new = new;
    new.sort();
    assert_eq!(landed, new);
    world.assert_all_landed_once_at(Sink::LogAnalytics);
}

#[tokio::test]
async fn what_one_destination_refuses_is_set_aside_for_that_one_only() {
    let world = world().await;
    let ids = world.tenant.generate(50, minutes_ago(50), minutes_ago(5));
    world.rule.refuse(&ids[20]);
    assert_eq!(run(&world).await.0, [50, 49]);
    let list = world.command(&["dead-letter", "list"]).await;
    let lines: Vec<_> = list.stdout.lines().collect();
    assert!(
        lines.len() == 1 && lines[0].starts_with(&ids[20]),
        "{list:?}"
    );
    world.rule.relent();
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(
        retry.stdout,
        format!("{}  delivered (logs-ingestion)\n", ids[20])
    );
    assert_all_landed_once(&world);
}

#[tokio::test]
async fn check_tries_both() {
    let world = world().await;
    world.rule.take_role();
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1);
    for line in ["ok         log-analytics: ", "FAILED     logs-ingestion: "] {
        assert!(ran.stdout.contains(line), "{ran:?}");
    }
}

/// Rows that only the other destination put into the workspace that `WorkspaceID` names.
#[tokio::test]
async fn rows_of_the_other_destination_prove_nothing_of_one_that_fills_another_workspace() {
    let mut world = world().await;
    let api = QueryApi::start(world.workspace.arrivals(), world.issuer.clone()).await;
    world.set_all(api.settings());
    world.set("ARRIVAL", "on");
    world.set("ARRIVAL_AFTER", "0s");
    world.set("ARRIVAL_AGAIN", "0s");
    world.tenant.generate(20, minutes_ago(50), minutes_ago(5));
    world.rule.drop_one_of(1);
    run(&world).await;
    assert_eq!((world.workspace.stored(), world.rule.stored()), (20, 0));

    let why = "WorkspaceID is the workspace of log-analytics";
    let ran = world.command(&["poll"]).await;
    assert!(ran.code() == 0 && ran.stderr.contains(why), "{ran:?}");
    let landed = ran.reports().map(|it| it["arrival"]["landed"].clone());
    assert_eq!(landed, [20, 0]);
    let told = world.command(&["status"]).await.stdout;
    assert!(told.contains(why), "{told}");

    let from = minutes_ago(55).to_rfc3339();
    let ran = world
        .command(&["audit", "--json", "--from", &from, "--to", "1s"])
        .await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let audits = &ran.report()["audits"];
    let errors = [0, 1].map(|it| audits[it]["error"].as_str().unwrap_or_default());
    assert!(errors.iter().any(|it| it.is_empty()), "{errors:?}");
    assert!(errors.iter().any(|it| it.contains(why)), "{errors:?}");
    let checked = world.command(&["check"]).await.stdout;
    assert!(checked.contains("ok         arrival: "), "{checked}");
    assert!(
        checked.contains("warning    arrival: ") && checked.contains(why),
        "{checked}"
    );

    // Once it is the only one, and the setting names its workspace, what came meanwhile is looked for.
    world.deliver_to(&[Sink::LogsIngestion]);
    let api = QueryApi::start(world.rule.arrivals(), world.issuer.clone()).await;
    world.set_all(api.settings());
    let report = world.poll().await;
    let counts = numbers(&report["arrival"], ["accepted", "landed"]);
    assert_eq!(counts, [20, 0], "{report}");
    world.rule.drop_one_of(0);
}
