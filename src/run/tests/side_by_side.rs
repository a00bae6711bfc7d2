//! Deliveries that are in flight at the same time.

use super::*;

/// A world with much to deliver, in up to four batches at a time, each of which takes a second.
fn world(records: i64) -> World {
    let world = World::with_records(records);
    {
        let mut state = world.state();
        state.side_by_side = 4;
        state.post_takes = Duration::from_secs(1);
        state.rows_at_once = Some(100);
    }
    world
}

/// How many ids landed more than once.
fn twice(world: &World) -> usize {
    let landed = world.landed();
    let distinct: BTreeSet<_> = landed.iter().collect();
    landed.len() - distinct.len()
}

fn number(world: &World, index: usize) -> LogId {
    let state = world.state();
    state.records.keys().nth(index).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_much_to_do_has_more_and_more_of_it_under_way() {
    let world = world(4_000);
    let began = Instant::now();
    let report = world.run().await;
    assert_eq!((report.delivered, report.batches), (4_000, 40));
    assert!(report.caught_up);
    assert_eq!(world.state().under_way, (0, 4));
    world.assert_all_landed_once();
    let took = began.elapsed().as_secs();
    assert!((10..20).contains(&took), "{took}");
    assert_eq!(world.run().await.fetched, world.run().await.skipped);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_little_to_do_makes_one_delivery_after_the_other() {
    let world = world(400);
    assert_eq!(world.run().await.batches, 4);
    assert_eq!(world.state().under_way, (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_wants_order_gets_it() {
    let world = world(4_000);
    world.state().side_by_side = 1;
    assert_eq!(world.run().await.delivered, 4_000);
    assert_eq!(world.state().under_way, (0, 1));
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn what_others_took_while_one_failed_is_not_sent_again() {
    for failing in 18..24 {
        let world = world(4_000);
        let mut faults = vec![None; failing];
        faults.push(Some(Fault::Fails));
        world.state().destination_faults = faults.into();
        let report = world.run().await;
        assert_eq!(report.errors, ["it failed"]);
        assert!(report.delivered > 1_800, "{report:?}");
        let rest = world.run().await;
        assert_eq!(report.delivered + rest.delivered, 4_000, "{failing}");
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_it_if_the_run_is_killed_while_the_answer_to_another_is_long_in_coming() {
    for failing in 18..24 {
        let world = world(4_000);
        let faults = vec![Some(Fault::Delays), Some(Fault::Fails)];
        world.state().destination_faults = [vec![None; failing], faults].concat().into();
        let killed = tokio::time::timeout(Duration::from_secs(20), world.run()).await;
        assert!(killed.is_err());
        {
            let mut state = world.state();
            assert!(state.destination_faults.is_empty());
            state.under_way = (0, 0);
        }
        let report = world.run().await;
        assert!(report.caught_up && report.is_success(), "{report:?}");
        // The answer to that batch never came.
        assert_eq!(twice(&world), 100, "{failing}");
    }
}

/// The answer to a request counts as missing after some time, and the batch is posted again.
#[tokio::test(start_paused = true)]
async fn answers_are_taken_while_the_run_waits_for_the_storage() {
    let slow = || {
        [vec![None; 6], vec![Some(Fault::Delays); 3]]
            .concat()
            .into()
    };
    for is_save in [true, false] {
        let world = world(4_000);
        {
            let mut state = world.state();
            state.answers_keep = Some(Duration::from_secs(10));
            if is_save {
                state.save_faults = slow();
            } else {
                state.misfits = vec![Bytes::from_static(b"{}")];
                state.dead_letter_faults = slow();
            }
        }
        let report = world.run().await;
        assert_eq!((report.delivered, &report.errors[..]), (4_000, &[][..]));
        world.assert_all_landed_once();
        let state = world.state();
        assert!(state.save_faults.is_empty() && state.dead_letter_faults.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_last_seconds_of_a_run_everything_that_is_accepted_is_kept_by_one_save() {
    let mut saves = 0;
    for millis in (20_000..40_000).step_by(500) {
        let world = world(6_000);
        {
            let mut state = world.state();
            state.post_takes = Duration::from_millis(millis);
            state.cuts_posts = true;
            state.save_takes = Duration::from_millis(1_300);
        }
        let end = Instant::now() + World::policy().budget;
        let report = world.run().await;
        assert!(!report.caught_up);
        {
            let mut state = world.state();
            let late = state.saves_begun.iter().filter(|it| **it > end).count();
            assert!(late < 2, "{millis}: {late}");
            saves += late;
            state.post_takes = Duration::ZERO;
            state.save_takes = Duration::ZERO;
        }
        let rest = world.run().await;
        assert_eq!(report.delivered + rest.delivered, 6_000, "{millis}");
        world.assert_all_landed_once();
    }
    assert!(saves > 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_save_was_refused_saves_nothing_more() {
    let world = world(4_000);
    world.state().save_faults = [vec![None; 8], vec![Some(Fault::Fails); 4]].concat().into();
    let report = world.run().await;
    assert!(!report.is_success());
    assert!(world.state().under_way.1 > 1);
    assert_eq!(world.state().saves_begun.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_at_once_while_another_failed_is_kept_by_one_save() {
    let world = world(4_000);
    world.state().destination_faults = [vec![None; 20], vec![Some(Fault::Fails)]].concat().into();
    let failing = world.run().await;
    assert!(failing.delivered > 1_800);
    let mut saves = world.state().saves_begun.clone();
    let last = saves.pop().unwrap();
    let at_once = saves.iter().filter(|it| **it == last).count();
    assert_eq!(at_once, 0, "{saves:?}");
}

#[tokio::test(start_paused = true)]
async fn nor_is_what_they_took_in_part() {
    let world = world(4_000);
    {
        let mut state = world.state();
        state.tells_each = true;
        let faults = vec![Some(Fault::Fails); 3];
        state.destination_faults = [vec![None; 20], faults].concat().into();
    }
    assert_eq!(world.run().await.errors, ["it failed"]);
    world.state().destination_faults.clear();
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn poison_is_set_aside_while_others_are_under_way() {
    let world = world(4_000);
    let refused: Vec<_> = [50, 2_050, 2_150, 2_151, 3_999]
        .map(|index| number(&world, index))
        .into();
    world.state().refused = refused.iter().cloned().collect();
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (3_995, 5));
    assert!(report.is_success() && report.caught_up, "{report:?}");
    assert_eq!(twice(&world), 0);
    assert_eq!(world.landed().len(), 3_995);
    assert_eq!(world.dead_letters().await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_begins_to_refuse_everything_loses_nothing() {
    let world = world(4_000);
    let after: BTreeSet<_> = world.state().records.keys().skip(2_500).cloned().collect();
    world.state().refused = after;
    let report = world.run().await;
    assert!(!report.is_success());
    assert_eq!((report.delivered, report.dead_lettered), (2_500, 0));
    world.state().refused.clear();
    assert_eq!(world.run().await.delivered, 1_500);
    world.assert_all_landed_once();
}

/// Whenever the run is killed, only records in flight may land twice.
#[tokio::test(start_paused = true)]
async fn a_kill_costs_what_was_under_way() {
    for millis in (500..16_000).step_by(900) {
        let world = world(4_000);
        let killed = tokio::time::timeout(Duration::from_millis(millis), world.run()).await;
        world.state().under_way = (0, 0);
        let _ = killed;
        let report = world.run().await;
        assert!(report.caught_up && report.is_success());
        let landed: BTreeSet<_> = world.landed().into_iter().collect();
        assert_eq!(landed, world.all_ids().into_iter().collect());
        assert!(twice(&world) <= 400, "{millis}: {}", twice(&world));
    }
}

/// Posts take so long that there is no time for another.
#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_the_time_was_over_is_not_sent_again() {
    let world = world(6_000);
    world.state().post_takes = Duration::from_secs(25);
    let report = world.run().await;
    assert!(!report.caught_up && report.is_success(), "{report:?}");
    assert_eq!(world.state().under_way.0, 0);
    let saved = report.delivered;
    world.state().post_takes = Duration::from_secs(1);
    assert_eq!(world.run().await.delivered, 6_000 - saved);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_again_while_it_is_under_way_is_not_sent_again() {
    let world = world(1_000);
    let records: Vec<_> = world.state().records.values().cloned().collect();
    // By then four batches are delivered, so two may be in flight.
    let source = Stuck([&records[..600], &records[500..600], &records[600..]].concat());
    let policy = Policy {
        overlap: Duration::from_hours(24),
        ..World::policy()
    };
    let report = world
        .run_of(&source, policy, &watch::Sender::default())
        .await;
    assert!(world.state().under_way.1 > 1);
    assert_eq!(report.delivered, 1_000);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn somebody_else_who_saves_stops_a_run_that_has_much_under_way() {
    let world = world(4_000);
    let first = async {
        tokio::time::sleep(Duration::from_millis(7_500)).await;
        world.run().await
    };
    let (slow, other) = tokio::join!(world.run(), first);
    let failed = [&slow, &other].map(|it| usize::from(!it.is_success()));
    assert_eq!(failed.iter().sum::<usize>(), 1, "{slow:?} {other:?}");
    let errors = if slow.is_success() {
        &other.errors
    } else {
        &slow.errors
    };
    assert_eq!(errors.len(), 1, "{errors:?}");
    let landed: BTreeSet<_> = world.landed().into_iter().collect();
    assert_eq!(landed, world.all_ids().into_iter().collect());
}
