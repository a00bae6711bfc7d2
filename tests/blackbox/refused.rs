//! A destination that refuses everything: nothing is set aside in haste, and no run turns the state
//! green.

use std::fs;

use serde_json::{Value, json};

use crate::world::{FUNCTION, Ran, Sink, World, for_each_judge, minutes_ago, now, numbers};

for_each_judge![
    a_destination_that_refuses_everything_fails_every_run_that_had_something_for_it,
    a_dead_letter_that_is_taken_ends_the_refusal_of_everything,
    a_record_that_the_workspace_refuses_is_set_aside_and_the_others_land,
    a_destination_that_refuses_more_than_a_tenth_of_a_run_fails_it,
];

const REFUSES: &str = "the destination has refused every record since ";

/// A run's exit code, what it delivered and set aside, and whether it says that all is refused.
fn told(ran: &Ran) -> (i32, [u64; 2], bool) {
    let report = ran.report();
    (
        ran.code(),
        numbers(&report, ["delivered", "dead_lettered"]),
        report["errors"].to_string().contains(REFUSES),
    )
}

/// Moves the first refusal into the past.
pub fn age_refusals(world: &World, sink: Sink) {
    let file = world.checkpoint_file(sink);
    let text = fs::read_to_string(&file).unwrap();
    let mut checkpoint: Value = serde_json::from_str(&text).unwrap();
    assert!(checkpoint["refused_since"].is_string(), "{checkpoint}");
    checkpoint["refused_since"] = json!(minutes_ago(120));
    fs::write(file, checkpoint.to_string()).unwrap();
}

async fn a_destination_that_refuses_everything_fails_every_run_that_had_something_for_it(
    sink: Sink,
) {
    let world = World::start_for(sink).await;
    world.arrivals().refuse("\"log_id");
    world.tenant.generate(3, minutes_ago(50), minutes_ago(40));
    for _ in 0..2 {
        let ran = world.command(&["poll"]).await;
        assert_eq!(told(&ran), (1, [0, 0], false), "{ran:?}");
        let error = "the destination refuses every record, so the fault is not in one of them";
        assert!(ran.stdout.contains(error), "{ran:?}");
    }

    age_refusals(&world, sink);
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (1, [0, 3], true), "{ran:?}");
    world.tenant.generate(2, minutes_ago(30), minutes_ago(20));
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (1, [0, 2], true), "{ran:?}");

    // No record is left to try the destination with, and the refusal is still reported.
    for _ in 0..2 {
        let idle = world.command(&["poll"]).await;
        assert_eq!(told(&idle), (0, [0, 0], false), "{idle:?}");
        let warning = format!("{}: {REFUSES}", sink.name());
        assert!(idle.stderr.contains(&warning), "{idle:?}");
        let status = world.command(&["status", "--json"]).await;
        assert_eq!(
            (status.code(), &status.report()["state"]),
            (1, &json!("failing")),
            "{status:?}"
        );
    }
    let show = world.command(&["checkpoint", "show"]).await;
    let told_so = "The destination has refused every record since ";
    assert!(show.stdout.contains(told_so), "{show:?}");

    world.arrivals().relent();
    world.tenant.add(json!({"date": now(), "type": "s"}), now());
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (0, [1, 0], false), "{ran:?}");
    assert_eq!(ran.stderr, "");
    assert!(world.checkpoint().await["refused_since"].is_null());
    assert_eq!(world.command(&["status"]).await.code(), 0);
    assert_eq!(world.command(&["dead-letter", "retry"]).await.code(), 0);
    world.assert_all_landed_once();
}

async fn a_dead_letter_that_is_taken_ends_the_refusal_of_everything(sink: Sink) {
    let world = World::start_for(sink).await;
    world.arrivals().refuse("\"log_id");
    world.tenant.generate(3, minutes_ago(50), minutes_ago(40));
    world.command(&["poll"]).await;
    age_refusals(&world, sink);
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (1, [0, 3], true), "{ran:?}");

    // As long as no dead letter is taken, the destination counts as refusing everything.
    assert_eq!(world.command(&["dead-letter", "retry"]).await.code(), 1);
    assert!(world.checkpoint().await["refused_since"].is_string());

    world.arrivals().relent();
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!((retry.code(), &*retry.stderr), (0, ""), "{retry:?}");
    assert!(world.checkpoint().await["refused_since"].is_null());
    let idle = world.command(&["poll"]).await;
    assert_eq!(told(&idle), (0, [0, 0], false), "{idle:?}");
    assert_eq!(idle.stderr, "");
    assert_eq!(world.command(&["status"]).await.code(), 0);
    world.assert_all_landed_once();
}

async fn a_record_that_the_workspace_refuses_is_set_aside_and_the_others_land(sink: Sink) {
    let world = World::start_for(sink).await;
    let ids = world
        .tenant
        .generate(1_200, minutes_ago(50), minutes_ago(5));
    world.arrivals().refuse(&ids[700]);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(
        numbers(&ran.report(), ["delivered", "dead_lettered"]),
        [1_199, 1]
    );
    assert!(ran.stderr.contains(sink.refusal()), "{ran:?}");
    let mut landed = world.arrivals().landed();
    landed.push(ids[700].clone());
    landed.sort();
    assert_eq!(landed, world.tenant.log_ids());
    assert_eq!(
        numbers(&world.poll().await, ["delivered", "dead_lettered"]),
        [0, 0]
    );
}

async fn a_destination_that_refuses_more_than_a_tenth_of_a_run_fails_it(sink: Sink) {
    let world = World::start_for(sink).await;
    let ids = world.tenant.generate(100, minutes_ago(50), minutes_ago(5));
    for id in &ids[..11] {
        world.arrivals().refuse(id);
    }
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (1, [89, 11], false), "{ran:?}");
    let error = "the destination refused 11 of the 100 records of this run, which are set aside";
    assert!(ran.stdout.contains(error), "{ran:?}");
    // They are handled, so the next run has no error.
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (0, [0, 0], false), "{ran:?}");
    world.arrivals().relent();
    assert_eq!(world.command(&["dead-letter", "retry"]).await.code(), 0);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn where_another_process_makes_the_runs_one_of_them_has_to_note_the_end_of_a_refusal() {
    let world = World::start().await;
    world.workspace.refuse("\"log_id");
    world.tenant.generate(3, minutes_ago(50), minutes_ago(40));
    world.command(&["poll"]).await;
    age_refusals(&world, Sink::LogAnalytics);
    let ran = world.command(&["poll"]).await;
    assert_eq!(told(&ran), (1, [0, 3], true), "{ran:?}");

    let host = world.host().await;
    host.fire(FUNCTION).await.report();
    world.workspace.relent();
    let retry = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(retry.code(), 0, "{retry:?}");
    assert_eq!(
        retry.stdout.matches("  delivered\n").count(),
        3,
        "{retry:?}"
    );
    let told = "log-analytics: that the destination takes records again is not noted until a run \
                delivers one: ";
    assert!(retry.stderr.starts_with(told), "{retry:?}");
    world.tenant.add(json!({"date": now(), "type": "s"}), now());
    host.fire(FUNCTION).await.report();
    assert!(world.checkpoint().await["refused_since"].is_null());
    host.stop().await;
}
