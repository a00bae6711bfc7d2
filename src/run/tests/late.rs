//! Deliveries that are not answered in time.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_as_a_whole_is_delivered_in_parts() {
    for most in [500, 300, 125] {
        let world = World::with_records(1_000);
        world.state().rows_in_time = Some(most);
        let report = world.run().await;
        assert_eq!(
            (report.delivered, report.caught_up),
            (1_000, true),
            "{most}"
        );
        assert!(report.is_success(), "{:?}", report.errors);
        assert_eq!(world.landed(), world.all_ids());
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_it_in_the_run_is_delivered_in_smaller_parts_at_once() {
    let world = World::with_records(3_000);
    world.state().rows_in_time = Some(300);
    assert_eq!(world.run().await.delivered, 3_000);
    world.assert_all_landed_once();
    // The whole is late and a half of it, and nothing else is.
    let landed = world.state().landed.len();
    assert_eq!(world.state().posts - landed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_answers_nothing_in_time_fails_the_run_within_it_and_nothing_moves() {
    let world = World::with_records(1_000);
    world.state().rows_in_time = Some(0);
    let began = Instant::now();
    let report = world.run().await;
    assert_eq!(report.errors, ["no answer in time"]);
    assert_eq!((report.delivered, report.dead_lettered), (0, 0));
    assert!(began.elapsed() <= Duration::from_secs(4 * 60 + 5));
    world.state().rows_in_time = None;
    assert_eq!(world.run().await.delivered, 1_000);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_in_time_is_not_sent_again_where_the_rest_is_not() {
    let world = World::with_records(1_000);
    world.state().rows_in_time = Some(40);
    let report = world.run().await;
    assert_eq!(report.errors, ["no answer in time"]);
    let longer = world
        .run_with(|policy| policy.budget = Duration::from_mins(30))
        .await;
    assert_eq!(report.delivered + longer.delivered, 1_000);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_is_found_in_a_part() {
    let world = World::with_records(1_000);
    let poison = world.state().records.keys().nth(700).unwrap().clone();
    world.state().poison.insert(poison);
    world.state().rows_in_time = Some(300);
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (999, 1));
    assert!(report.is_success(), "{:?}", report.errors);
}
