//! Batches that the destination refuses.

use super::*;

/// Makes the records at these places poison.
fn poison(world: &World, places: impl IntoIterator<Item = usize>) -> Vec<String> {
    let ids: Vec<LogId> = world.state().records.keys().cloned().collect();
    let poison: BTreeSet<LogId> = places.into_iter().map(|place| ids[place].clone()).collect();
    let letters = poison
        .iter()
        .map(|id| format!("{id}: it is poison"))
        .collect();
    world.state().poison = poison;
    letters
}

/// Asserts that all but these landed, each once.
async fn assert_landed_but(world: &World, letters: &[String]) {
    assert_eq!(world.dead_letters().await, letters);
    let mut landed = world.landed();
    landed.extend(
        letters
            .iter()
            .map(|it| it.split(':').next().unwrap().to_owned()),
    );
    landed.sort();
    assert_eq!(landed, world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_is_found_and_set_aside_and_all_others_land_once() {
    for place in [0, 999, 1_000, 1_777, 2_499] {
        let world = World::with_records(2_500);
        let letters = poison(&world, [place]);
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!((report.delivered, report.dead_lettered), (2_499, 1));
        assert!(report.caught_up);
        assert_landed_but(&world, &letters).await;
        // Three batches; ten tried alone and two for each halving where one is refused.
        let posts = world.state().posts;
        assert!(posts <= 3 + 10 + 2 * 10, "{posts}");
        assert_eq!(world.run().await.fetched, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn many_refused_records_are_all_found() {
    let world = World::with_records(1_500);
    let letters = poison(&world, (0..1_500).step_by(40));
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (1_462, 38));
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn where_every_record_is_refused_from_the_second_batch_on_nothing_is_set_aside() {
    let world = World::with_records(2_500);
    poison(&world, 1_000..2_500);
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (1_000, 0));
    assert!(
        report.errors[0].starts_with("the destination refuses every record"),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_every_record_is_refused_nothing_is_set_aside_and_the_run_fails() {
    let world = World::with_records(1_200);
    world.state().refuses_all = true;
    for _ in 0..3 {
        let report = world.run().await;
        assert!(
            report.errors[0].starts_with("the destination refuses every record"),
            "{report:?}"
        );
        assert!(report.errors[0].ends_with("it is poison"), "{report:?}");
        assert_eq!((report.delivered, report.dead_lettered), (0, 0));
        tokio::time::advance(Duration::from_hours(2)).await;
    }
    // The batch, and ten of its records, in each run.
    assert_eq!(world.state().posts, 3 * 11);
    assert!(world.dead_letters().await.is_empty());
    world.state().refuses_all = false;
    assert_eq!(world.run().await.delivered, 1_200);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_few_records_that_stand_alone_are_set_aside_after_an_hour() {
    for count in [1, 10] {
        let world = World::with_records(count);
        let letters = poison(&world, 0..usize::try_from(count).unwrap());
        for minutes in [59, 1] {
            assert_eq!(world.run().await.dead_lettered, 0);
            tokio::time::advance(Duration::from_mins(minutes)).await;
        }
        let report = world.run().await;
        assert_eq!(report.dead_lettered, letters.len() as u64);
        assert!(
            report.errors[0]
                .starts_with("the destination has refused every record since 2026-11-21T"),
            "{report:?}"
        );
        assert_landed_but(&world, &letters).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_stood_alone_is_set_aside_once_another_is_taken() {
    let world = World::with_records(1);
    let letters = poison(&world, [0]);
    assert_eq!(world.run().await.errors.len(), 1);
    world.add(at("07:59:00"), at("07:59:00"));
    let report = world.run().await;
    assert_eq!(
        (report.delivered, report.dead_lettered, report.errors.len()),
        (1, 1, 0)
    );
    assert_landed_but(&world, &letters).await;
    // The hour counts anew.
    world.add(at("08:30:00"), at("08:30:00"));
    poison(&world, [0, 2]);
    tokio::time::advance(Duration::from_mins(61)).await;
    assert_eq!(world.run().await.dead_lettered, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_before_the_search_broke_off_is_not_sent_again() {
    let world = World::with_records(900);
    let letters = poison(&world, [450]);
    // After one that was tried alone the first half, and later a smaller part.
    for failing in [1, 3] {
        let mut faults = vec![None; failing];
        faults.push(Some(Fault::Fails));
        world.state().destination_faults = faults.into();
        let report = world.run().await;
        assert_eq!(report.errors, ["it failed"]);
        assert_eq!(report.dead_lettered, 0);
    }
    assert_eq!(world.run().await.errors, Vec::<String>::new());
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_destination_takes_nothing_no_run_that_had_something_for_it_succeeds() {
    let world = World::with_records(1);
    world.state().refuses_all = true;
    assert_eq!(world.run().await.errors.len(), 1);
    for minute in 1..=3 {
        tokio::time::advance(Duration::from_mins(61)).await;
        let report = world.run().await;
        assert_eq!(
            (report.dead_lettered, report.errors.len()),
            (1, 1),
            "{report:?}"
        );
        assert!(report.errors[0].contains("has refused every record since 2026-11-21T08:00:00Z"));
        // One that has nothing to deliver has not failed.
        assert_eq!(world.run().await.errors.len(), 0);
        let new = (world.clock)() + chrono::Duration::seconds(minute);
        world.add(new, new);
    }
    world.state().refuses_all = false;
    let report = world.run().await;
    assert_eq!((report.delivered, report.errors.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn of_a_delivery_that_is_taken_in_part_nothing_is_sent_twice_and_what_is_refused_is_set_aside()
 {
    let world = World::with_records(2_500);
    world.state().tells_each = true;
    let letters = poison(&world, [0, 700, 1_999]);
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (2_497, 3));
    assert_eq!((report.errors.len(), world.state().posts), (0, 3));
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_delivery_left_open_is_delivered_by_the_next_run_and_the_rest_is_not() {
    let world = World::with_records(900);
    world.state().tells_each = true;
    let letters = poison(&world, [3]);
    world.state().destination_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["it failed"]);
    assert_eq!((report.delivered, report.caught_up), (449, false));
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (450, 1));
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn where_each_record_is_refused_by_itself_nothing_is_set_aside_either() {
    let world = World::with_records(5);
    world.state().tells_each = true;
    world.state().refuses_all = true;
    let report = world.run().await;
    assert!(
        report.errors[0].starts_with("the destination refuses every record"),
        "{report:?}"
    );
    assert!(world.dead_letters().await.is_empty());
    world.state().refuses_all = false;
    assert_eq!(world.run().await.delivered, 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_the_destination_took_anything_is_tried_again() {
    let world = World::with_records(20);
    world.state().refuses_all = true;
    // The batch and four records alone; then it takes what it is sent.
    world.state().refuses_first = 5;
    let report = world.run().await;
    assert_eq!(
        (report.delivered, report.dead_lettered),
        (20, 0),
        "{report:?}"
    );
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_few_good_records_among_many_bad_ones_are_found_in_one_run_or_the_next() {
    let world = World::with_records(500);
    // Every place that one sample of ten looks at, and nearly all others.
    poison(&world, (0..500).filter(|place| place % 20 != 7));
    let mut delivered = 0;
    for _ in 0..60 {
        delivered += world.run().await.delivered;
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    assert_eq!(delivered, 25);
}
