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
    // Three posts are late: the whole batch, one half of it, and, after ten in time, one of twice the
    // size.
    let landed = world.state().landed.len();
    assert_eq!(world.state().posts - landed, 3);
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
    let refused = world.state().records.keys().nth(700).unwrap().clone();
    world.state().refused.insert(refused);
    world.state().rows_in_time = Some(300);
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (999, 1));
    assert!(report.is_success(), "{:?}", report.errors);
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_small_part_of_a_batch_is_found_over_several_runs() {
    let world = World::with_records(1_000);
    world.state().rows_in_time = Some(3);
    let mut delivered = Vec::new();
    for _ in 0..5 {
        delivered.push(world.run().await.delivered);
    }
    assert_eq!(delivered[..2], [0, 0], "{delivered:?}");
    assert_eq!(delivered.iter().sum::<u64>(), 1_000, "{delivered:?}");
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_deliveries_grow_again() {
    let world = World::with_records(1_000);
    world.state().rows_in_time = Some(0);
    for _ in 0..3 {
        assert_eq!(world.run().await.delivered, 0);
    }
    world.state().rows_in_time = None;
    let posts = world.state().posts;
    assert_eq!(world.run().await.delivered, 1_000);
    let posts = world.state().posts - posts;
    assert!((50..100).contains(&posts), "{posts}");
    world.assert_all_landed_once();
}

/// The next run begins with that batch, and has all its time for it.
#[tokio::test(start_paused = true)]
async fn a_post_that_the_end_of_a_run_cuts_off_is_sent_whole_again() {
    for (seconds, before, after) in [(50, 4, 3), (37, 6, 1)] {
        let world = World::with_records(6_000);
        world.state().rows_at_once = Some(900);
        world.state().post_takes = Duration::from_secs(seconds);
        world.state().cuts_posts = true;
        let first = world.run().await;
        assert_eq!(first.errors, ["no answer in time"], "{seconds}");
        assert_eq!(world.state().landed.len(), before, "{seconds}");
        world.state().post_takes = Duration::ZERO;
        world.run().await;
        assert_eq!(world.state().landed.len(), before + after, "{seconds}");
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_a_part_count_as_slow_that_is_cut_off_while_a_refused_record_is_looked_for() {
    for seconds in 15..60 {
        let world = World::with_records(1_000);
        let refused = world.state().records.keys().nth(700).unwrap().clone();
        {
            let mut state = world.state();
            state.refused.insert(refused);
            state.cuts_posts = true;
            state.post_takes = Duration::from_secs(seconds);
        }
        let report = world.run().await;
        assert_eq!(world.pace.most(), usize::MAX, "{seconds} {report:?}");
    }
}

/// The run has no more time for it, whatever it sends.
#[tokio::test(start_paused = true)]
async fn the_first_post_of_a_run_is_halved_where_its_end_cuts_it_off() {
    let world = World::with_records(1_000);
    let brief = |policy: &mut Policy| policy.budget = Duration::from_secs(10);
    world.state().rows_in_time = Some(300);
    for _ in 0..2 {
        let report = world.run_with(brief).await;
        assert_eq!(
            (report.delivered, &report.errors[..]),
            (0, &["no answer in time".to_owned()][..])
        );
    }
    assert_eq!(world.run_with(brief).await.delivered, 1_000);
    world.assert_all_landed_once();
}

/// Makes this many runs, after which `bad` of a thousand records are set aside and all others
/// delivered.
async fn assert_sorted_out(world: &World, bad: u64, runs: usize) {
    let (mut delivered, mut set_aside) = (0, 0);
    for _ in 0..runs {
        let report = world.run().await;
        delivered += report.delivered;
        set_aside += report.dead_lettered;
    }
    assert_eq!((delivered, set_aside), (1_000 - bad, bad));
    assert_eq!(world.landed().len() as u64, 1_000 - bad);
}

/// There is nothing after the batch to show that others are accepted.
#[tokio::test(start_paused = true)]
async fn a_part_of_which_all_is_refused_stops_nothing_that_comes_after_it() {
    for bad in [250, 400, 900] {
        let world = World::with_records(1_000);
        let refused: Vec<_> = world.state().records.keys().take(bad).cloned().collect();
        world.state().refused.extend(refused);
        world.state().rows_in_time = Some(300);
        assert_sorted_out(&world, bad as u64, 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_all_is_not_asked_for_each_record_where_it_is_late_too() {
    let world = World::with_records(1_000);
    world.state().rows_in_time = Some(300);
    world.state().refuses_all = true;
    let report = world.run().await;
    let told = "the destination refuses every record";
    assert!(report.errors[0].starts_with(told), "{:?}", report.errors);
    assert_eq!((report.delivered, report.dead_lettered), (0, 0));
    assert!(world.state().posts < 30, "{}", world.state().posts);
}

/// If nothing comes after the batch, records of it that were accepted before show this.
#[tokio::test(start_paused = true)]
async fn a_part_of_which_all_is_refused_is_set_aside_after_others_that_were_taken() {
    for bad in [100, 250, 400] {
        let world = World::with_records(1_000);
        let refused: Vec<_> = world
            .state()
            .records
            .keys()
            .rev()
            .take(bad)
            .cloned()
            .collect();
        world.state().refused.extend(refused);
        world.state().rows_in_time = Some(300);
        assert_sorted_out(&world, bad as u64, 3).await;
    }
}

/// A thousand records, stored more than an hour ago, of which those at `bad` never get an answer.
async fn world_without_answer_to(bad: &[usize]) -> World {
    let world = World::with_records(1_000);
    {
        let mut state = world.state();
        let ids: Vec<_> = state.records.keys().cloned().collect();
        state.unanswered = bad.iter().map(|it| ids[*it].clone()).collect();
    }
    tokio::time::advance(Duration::from_mins(90)).await;
    world
}

/// As if something on the path blocked every post that contains a certain text.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_never_answered_is_set_aside_where_others_are_taken_and_stops_nothing() {
    for bad in [&[0][..], &[700], &[999], &[0, 1, 2, 3], &[10, 500, 501]] {
        let world = world_without_answer_to(bad).await;
        let (mut delivered, mut set_aside, mut is_done) = (0, 0, false);
        for run in 0..40 {
            if run % 10 == 0 {
                // The record that shows that others are accepted may come later.
                let time = at("09:29:00") + chrono::Duration::minutes(run);
                world.add(time, time);
            }
            let report = world.run().await;
            delivered += report.delivered;
            set_aside += report.dead_lettered;
            is_done = report.is_success() && report.caught_up;
        }
        let count = bad.len() as u64;
        let expected = (1_004 - count, count, true);
        assert_eq!((delivered, set_aside, is_done), expected, "{bad:?}");
        assert_eq!(world.landed().len() as u64, 1_004 - count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_not_answered_is_left_as_it_is_for_an_hour() {
    let world = World::with_records(3);
    let bad = world.state().records.keys().next().cloned();
    world.state().unanswered.extend(bad);
    for _ in 0..10 {
        let report = world.run().await;
        assert_eq!(report.errors, ["no answer in time"]);
        assert_eq!((report.delivered, report.dead_lettered), (0, 0));
    }
}

/// If nothing is answered, the fault is not in the records.
#[tokio::test(start_paused = true)]
async fn of_a_destination_that_answers_nothing_nothing_is_set_aside_however_long() {
    for count in [1, 2, 1_000] {
        let world = World::with_records(count);
        world.state().rows_in_time = Some(0);
        for minute in 0..40 {
            let time = at("09:29:00") + chrono::Duration::minutes(minute);
            world.add(time, time);
            tokio::time::advance(Duration::from_mins(10)).await;
            let report = world.run().await;
            assert_eq!((report.delivered, report.dead_lettered), (0, 0), "{count}");
            assert!(!report.is_success());
        }
        world.state().rows_in_time = None;
        for _ in 0..3 {
            world.run().await;
        }
        world.assert_all_landed_once();
    }
}

/// As if someone had tried many times with a text that is always blocked.
#[tokio::test(start_paused = true)]
async fn many_that_are_never_answered_are_passed_for_the_sake_of_those_long_after_them() {
    let bad: Vec<_> = (0..1_000).collect();
    let world = world_without_answer_to(&bad).await;
    for minute in 0..20 {
        let time = at("09:00:00") + chrono::Duration::minutes(minute);
        world.add(time, time);
    }
    let mut set_aside = Vec::new();
    for _ in 0..20 {
        set_aside.push(world.run().await.dead_lettered);
    }
    // The first runs find out that only one record at a time gets through.
    assert!(set_aside[10..].iter().all(|it| *it > 0), "{set_aside:?}");
}
