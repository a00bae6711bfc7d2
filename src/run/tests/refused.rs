//! Batches that the destination refuses.

use super::*;

/// Makes the destination refuse the records at these indices.
pub fn refuse(world: &World, places: impl IntoIterator<Item = usize>) -> Vec<String> {
    let ids: Vec<LogId> = world.state().records.keys().cloned().collect();
    let refused: BTreeSet<LogId> = places.into_iter().map(|place| ids[place].clone()).collect();
    let letters = refused
        .iter()
        .map(|id| format!("{id}: it is refused"))
        .collect();
    world.state().refused = refused;
    letters
}

/// Asserts that all records but these landed, each once.
pub async fn assert_landed_but(world: &World, letters: &[String]) {
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
        let letters = refuse(&world, [place]);
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!((report.delivered, report.dead_lettered), (2_499, 1));
        assert!(report.caught_up);
        assert_landed_but(&world, &letters).await;
        // Three batches, ten records alone, and two posts for each halving of a refused part.
        let posts = world.state().posts;
        assert!(posts <= 3 + 10 + 2 * 10, "{posts}");
        assert_eq!(world.run().await.fetched, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn many_refused_records_are_all_found() {
    let world = World::with_records(1_500);
    let letters = refuse(&world, (0..1_500).step_by(40));
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (1_462, 38));
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn where_every_record_is_refused_from_the_second_batch_on_nothing_is_set_aside() {
    let world = World::with_records(2_500);
    refuse(&world, 1_000..2_500);
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
        assert!(report.errors[0].ends_with("it is refused"), "{report:?}");
        assert_eq!((report.delivered, report.dead_lettered), (0, 0));
        tokio::time::advance(Duration::from_hours(2)).await;
    }
    // In each run: the batch, ten of its records alone, and up to ten from after it.
    let posts = world.state().posts;
    assert!((3 * 12..=3 * 21).contains(&posts), "{posts}");
    assert!(world.dead_letters().await.is_empty());
    world.state().refuses_all = false;
    assert_eq!(world.run().await.delivered, 1_200);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_few_records_that_stand_alone_are_set_aside_after_an_hour() {
    for count in [1, 10] {
        let world = World::with_records(count);
        let letters = refuse(&world, 0..usize::try_from(count).unwrap());
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
async fn a_few_records_are_set_aside_after_an_hour_whatever_the_size_of_batches_and_pages() {
    for (count, rows, page) in [(10, 1, None), (10, 3, Some(2)), (2, 1, Some(1))] {
        let world = World::with_records(count);
        world.state().rows_at_once = Some(rows);
        world.state().short_pages = page;
        let letters = refuse(&world, 0..usize::try_from(count).unwrap());
        assert_eq!(world.run().await.dead_lettered, 0);
        for _ in 0..count {
            tokio::time::advance(Duration::from_mins(61)).await;
            world.run().await;
        }
        assert_landed_but(&world, &letters).await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_a_few_records_are_not_set_aside_whatever_the_size_of_batches_and_pages() {
    for (rows, page) in [(1, None), (3, Some(2)), (1, Some(1))] {
        let world = World::with_records(11);
        world.state().rows_at_once = Some(rows);
        world.state().short_pages = page;
        refuse(&world, 0..11);
        for _ in 0..3 {
            assert_eq!(world.run().await.dead_lettered, 0, "{rows} {page:?}");
            tokio::time::advance(Duration::from_mins(61)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_stood_alone_is_set_aside_once_another_is_taken() {
    let world = World::with_records(1);
    let letters = refuse(&world, [0]);
    assert_eq!(world.run().await.errors.len(), 1);
    world.add(at("07:59:00"), at("07:59:00"));
    let report = world.run().await;
    assert_eq!(
        (report.delivered, report.dead_lettered, report.errors.len()),
        (1, 1, 0)
    );
    assert_landed_but(&world, &letters).await;
    // The hour starts again.
    world.add(at("08:30:00"), at("08:30:00"));
    refuse(&world, [0, 2]);
    tokio::time::advance(Duration::from_mins(61)).await;
    assert_eq!(world.run().await.dead_lettered, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_before_the_search_broke_off_is_not_sent_again() {
    let world = World::with_records(900);
    let letters = refuse(&world, [450]);
    // The post of the first half fails, after one record alone; in the second run, a smaller part.
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
    let since = Some("2026-11-21T08:00:00Z".parse().unwrap());
    for minute in 1..=3 {
        tokio::time::advance(Duration::from_mins(61)).await;
        let report = world.run().await;
        assert_eq!(
            (report.dead_lettered, report.errors.len()),
            (1, 1),
            "{report:?}"
        );
        assert!(report.errors[0].contains("has refused every record since 2026-11-21T08:00:00Z"));
        assert_eq!(report.refused_since, since);
        // A run without anything to deliver has not failed, but says so too.
        let quiet = world.run().await;
        assert_eq!((quiet.errors.len(), quiet.refused_since), (0, since));
        let new = (world.clock)() + chrono::Duration::seconds(minute);
        world.add(new, new);
    }
    world.state().refuses_all = false;
    let report = world.run().await;
    assert_eq!((report.delivered, report.errors.len()), (1, 0));
    assert_eq!(report.refused_since, None);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_told_of_although_everything_else_is_refused() {
    let world = World::with_records(3);
    let ids: Vec<_> = world.state().records.keys().cloned().collect();
    world.state().refuses_all = true;
    world.run().await;
    world.state().unfit.extend(ids.into_iter().take(2));
    tokio::time::advance(Duration::from_mins(61)).await;
    let report = world.run().await;
    assert_eq!(
        (report.dead_lettered, report.errors.len()),
        (3, 2),
        "{report:?}"
    );
    assert!(report.errors[1].starts_with("2 of the 3 records of this run do not fit"));
}

#[tokio::test(start_paused = true)]
async fn of_a_delivery_that_is_taken_in_part_nothing_is_sent_twice_and_what_is_refused_is_set_aside()
 {
    let world = World::with_records(2_500);
    world.state().tells_each = true;
    let letters = refuse(&world, [0, 700, 1_999]);
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (2_497, 3));
    assert_eq!((report.errors.len(), world.state().posts), (0, 3));
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_delivery_left_open_is_delivered_by_the_next_run_and_the_rest_is_not() {
    let world = World::with_records(900);
    world.state().tells_each = true;
    let letters = refuse(&world, [3]);
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
async fn where_each_of_more_records_than_a_sample_is_refused_no_patience_ends_it() {
    let world = World::with_records(11);
    world.state().tells_each = true;
    world.state().refuses_all = true;
    for _ in 0..3 {
        let report = world.run().await;
        assert!(
            report.errors[0].starts_with("the destination refuses every record"),
            "{report:?}"
        );
        tokio::time::advance(Duration::from_hours(2)).await;
    }
    assert!(world.dead_letters().await.is_empty());
    world.state().refuses_all = false;
    assert_eq!(world.run().await.delivered, 11);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_the_destination_took_anything_is_tried_again() {
    let world = World::with_records(20);
    world.state().refuses_all = true;
    // The batch and four records alone are refused; then everything is accepted.
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
    // Every place of a sample of ten, and nearly all others.
    refuse(&world, (0..500).filter(|place| place % 20 != 7));
    let mut delivered = 0;
    for _ in 0..60 {
        delivered += world.run().await.delivered;
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    assert_eq!(delivered, 25);
}

/// Makes a run each minute until one reaches the end of the log. Returns the number of runs.
pub async fn run_to_the_end(world: &World) -> usize {
    for count in 1..100 {
        let report = world.run().await;
        if report.caught_up {
            return count;
        }
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    panic!("the end is never reached");
}

#[tokio::test(start_paused = true)]
async fn a_batch_full_of_refused_records_holds_nothing_up_that_comes_after_it() {
    for tells_each in [false, true] {
        for (batch, count) in [(11, 11), (11, 12), (11, 22), (3, 3), (3, 9), (100, 250)] {
            let world = World::with_records(3_000);
            world.state().rows_at_once = Some(batch);
            world.state().tells_each = tells_each;
            let letters = refuse(&world, 0..count);
            let report = world.run().await;
            assert_eq!(report.errors, Vec::<String>::new(), "{batch} {count}");
            assert!(report.caught_up);
            let (delivered, set_aside) = (report.delivered, report.dead_lettered);
            assert_eq!((delivered, set_aside), (3_000 - count as u64, count as u64));
            // A record delivered ahead of its batch is read twice and delivered once.
            assert!(report.skipped > 0);
            assert_eq!(report.fetched, 3_000 + report.skipped);
            assert_landed_but(&world, &letters).await;
            assert_eq!(world.run().await.delivered, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_of_refused_records_are_passed_for_the_sake_of_a_few_after_them() {
    let world = World::with_records(3_030);
    world.state().rows_at_once = Some(500);
    let letters = refuse(&world, 0..3_000);
    // Ten minutes after the last of them.
    let late: Vec<_> = world
        .state()
        .records
        .keys()
        .rev()
        .take(30)
        .cloned()
        .collect();
    for id in late {
        world.state().records.remove(&id);
    }
    for second in 0..30 {
        let time = at("07:59:00") + chrono::Duration::seconds(second);
        world.add(time, time);
    }
    let runs = run_to_the_end(&world).await;
    assert!(runs <= 3, "{runs}");
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn refused_records_at_the_end_of_the_log_are_set_aside_once_another_comes() {
    let world = World::with_records(12);
    world.state().rows_at_once = Some(12);
    let letters = refuse(&world, 0..12);
    for _ in 0..3 {
        let report = world.run().await;
        assert_eq!((report.dead_lettered, report.errors.len()), (0, 1));
        tokio::time::advance(Duration::from_hours(1)).await;
    }
    world.add(at("10:00:00"), at("10:00:00"));
    run_to_the_end(&world).await;
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_everything_gets_nothing_set_aside_for_having_small_batches() {
    for (batch, tells_each) in [(3, false), (3, true), (1_000, false), (1_000, true)] {
        let world = World::with_records(50);
        world.state().rows_at_once = Some(batch);
        world.state().tells_each = tells_each;
        world.state().refuses_all = true;
        for _ in 0..4 {
            let report = world.run().await;
            assert!(
                report.errors[0].starts_with("the destination refuses every record"),
                "{report:?}"
            );
            tokio::time::advance(Duration::from_hours(2)).await;
        }
        assert!(world.dead_letters().await.is_empty());
        world.state().refuses_all = false;
        assert_eq!(world.run().await.delivered, 50);
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_cannot_be_read_what_comes_after_a_batch_nothing_is_set_aside() {
    let world = World::with_records(300);
    world.state().rows_at_once = Some(3);
    let letters = refuse(&world, 0..3);
    for _ in 0..3 {
        // The first page is read, and no other.
        world.state().source_faults = [None]
            .into_iter()
            .chain(std::iter::repeat_n(Some(Fault::Fails), 30))
            .collect();
        let report = world.run().await;
        assert_eq!((report.delivered, report.dead_lettered), (0, 0));
        assert!(!report.errors.is_empty());
        tokio::time::advance(Duration::from_hours(2)).await;
    }
    world.state().source_faults.clear();
    run_to_the_end(&world).await;
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_sort_out_a_batch_in_its_time_says_so_and_the_next_one_goes_on() {
    let world = World::with_records(600);
    let letters = refuse(&world, 0..300);
    world.state().post_takes = Duration::from_millis(50);
    let mut set_aside = 0;
    let mut runs = 0;
    loop {
        runs += 1;
        assert!(runs < 6, "it does not get on");
        let report = world
            .run_with(|policy| policy.budget = Duration::from_secs(15))
            .await;
        set_aside += report.dead_lettered;
        if report.caught_up {
            break;
        }
        assert!(report.dead_lettered > 50, "{report:?}");
        let told = report.errors.iter().any(|it| {
            it.starts_with("the time of the run was over before it was clear which records")
        });
        assert!(told, "{report:?}");
        // There was a record each second until 120 s ago, so the age of the oldest unhandled one is the
        // lag.
        let oldest = 599 - set_aside + 120;
        let lag = report.lag_seconds.unwrap();
        assert!(
            (oldest..oldest + 100).contains(&lag),
            "{set_aside} {report:?}"
        );
    }
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_before_the_search_broke_off_is_not_tried_again() {
    let world = World::with_records(900);
    let letters = refuse(&world, 0..100);
    // One record of the sample and a part of the batch are accepted; by then some records at fault are
    // found.
    world.state().destination_faults = [None, None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["it failed"]);
    let first = report.dead_lettered;
    assert!(first > 50, "{first}");
    world.state().posts = 0;
    let report = world.run().await;
    assert_eq!(first + report.dead_lettered, 100);
    let posts = world.state().posts;
    assert!(posts < 60, "{posts}");
    assert_landed_but(&world, &letters).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_of_which_more_than_a_tenth_is_refused_fails_and_sets_it_aside_all_the_same() {
    for (count, refused, fails) in [
        (100, 90, true),
        (100, 11, true),
        (100, 10, false),
        (3, 2, true),
        // A single record of a quiet tenant proves nothing.
        (3, 1, false),
        (2, 1, false),
    ] {
        for tells_each in [false, true] {
            let world = World::with_records(count);
            world.state().tells_each = tells_each;
            let letters = refuse(&world, 0..refused);
            let report = world.run().await;
            assert_eq!(report.dead_lettered, refused as u64);
            let expected = format!(
                "the destination refused {refused} of the {count} records of this run, which are set aside"
            );
            let told = report.errors.iter().any(|it| it.starts_with(&expected));
            assert_eq!(
                (told, report.errors.len()),
                (fails, usize::from(fails)),
                "{report:?}"
            );
            assert_landed_but(&world, &letters).await;
            // The next run has no error to report.
            assert!(world.run().await.is_success());
        }
    }
}

/// A destination that returns fewer outcomes than rows.
#[tokio::test(start_paused = true)]
async fn a_record_of_which_nothing_is_told_is_not_passed() {
    let world = World::with_records(100);
    world.state().untold = 1;
    let report = world.run().await;
    let told = "the destination did not say what became of a record";
    assert_eq!(report.errors, [told]);
    assert_eq!((report.delivered, report.caught_up), (99, false));
    let again = world.run().await;
    assert_eq!((again.delivered, again.caught_up), (1, true));
}
