//! Records that a destination cannot take, and misfits.

use super::*;
use crate::report::QUARANTINED;

#[tokio::test(start_paused = true)]
async fn a_record_that_the_destination_cannot_take_is_set_aside_and_the_rest_goes_on() {
    let world = World::with_records(250);
    let unfit: BTreeSet<_> = [0, 120, 249]
        .map(|n| world.state().records.keys().nth(n).unwrap().clone())
        .into();
    world.state().unfit.clone_from(&unfit);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (247, 3));
    let letters: Vec<_> = unfit
        .iter()
        .map(|id| format!("{id}: it does not fit"))
        .collect();
    assert_eq!(world.dead_letters().await, letters);
    let again = world.run().await;
    assert_eq!((again.delivered, again.dead_lettered), (0, 0));
    assert_eq!(world.landed().len(), 247);
}

#[tokio::test(start_paused = true)]
async fn of_a_record_that_does_not_fit_the_whole_is_set_aside_and_the_rest_delivered() {
    let world = World::with_records(250);
    let unfit: BTreeSet<_> = [0, 120, 249]
        .map(|n| world.state().records.keys().nth(n).unwrap().clone())
        .into();
    world.state().unfit.clone_from(&unfit);
    world.state().cut = unfit;
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(
        (report.delivered, report.dead_lettered, report.skipped),
        (250, 3, 0)
    );
    assert_eq!(world.dead_letters().await.len(), 3);
    let again = world.run().await;
    assert_eq!((again.delivered, again.dead_lettered), (0, 0));
    assert_eq!(world.landed().len(), 250);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_but_not_delivered_is_delivered_by_the_next_run() {
    let world = World::with_records(250);
    let unfit = world.state().records.keys().nth(120).unwrap().clone();
    world.state().unfit = [unfit.clone()].into();
    world.state().cut = [unfit].into();
    // The first 120 are accepted, the following ones are not.
    world.state().destination_faults = [None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (120, 1));
    assert_eq!(report.errors.len(), 1);
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (130, 0));
    assert_eq!(world.landed().len(), 250);
    assert_eq!(world.dead_letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_of_what_fits_that_is_refused_too_stops_nothing() {
    let world = World::with_records(250);
    let unfit = world.state().records.keys().nth(120).unwrap().clone();
    world.state().unfit = [unfit.clone()].into();
    world.state().cut = [unfit.clone()].into();
    world.state().refused = [unfit].into();
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (249, 1));
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].ends_with(": it does not fit"), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_of_nothing_but_unfit_records_is_passed() {
    let world = World::with_records(3);
    let all = world.state().records.keys().cloned().collect();
    world.state().unfit = all;
    assert_eq!(world.run().await.dead_lettered, 3);
    let last = world.state().records.keys().next_back().unwrap().clone();
    assert_eq!(world.position().await, Position::After(last));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_which_more_than_a_tenth_does_not_fit_fails_and_sets_it_aside_all_the_same() {
    for (count, unfit, fails) in [
        (100, 100, true),
        (100, 11, true),
        (100, 10, false),
        (3, 2, true),
        (1, 1, false),
    ] {
        let world = World::with_records(count);
        let letters = world.state().records.keys().take(unfit).cloned().collect();
        world.state().unfit = letters;
        let report = world.run().await;
        assert_eq!(report.dead_lettered, unfit as u64);
        let expected = format!(
            "{unfit} of the {count} records of this run do not fit the destination, and are set aside"
        );
        let told = report.errors.iter().any(|it| it.starts_with(&expected));
        assert_eq!(told, fails, "{report:?}");
        assert_eq!(report.errors.len(), usize::from(fails), "{report:?}");
        assert!(world.run().await.is_success());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_kept_stops_the_cursor_but_not_what_came_before() {
    let world = World::with_records(250);
    let unfit = world.state().records.keys().nth(120).unwrap().clone();
    world.state().unfit = [unfit].into();
    world.state().dead_letter_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (120, 0));
    assert!(
        report.errors[0].starts_with("setting a record aside in memory"),
        "{report:?}"
    );
    let report = world.run().await;
    assert_eq!((report.dead_lettered, report.errors.len()), (1, 0));
    assert_eq!(world.landed().len(), 249);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_take_long_are_not_begun_anew_in_each_run() {
    let world = World::with_records(30);
    let all = world.state().records.keys().cloned().collect();
    world.state().unfit = all;
    // 20 seconds each, with a budget of 240.
    world.state().dead_letter_faults = vec![Some(Fault::Delays); 30].into();
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(world.run().await.dead_lettered);
    }
    assert_eq!(counts, [12, 12, 6]);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_id_is_set_aside_once_and_told_of_once() {
    let world = World::with_records(50);
    world.state().misfits = vec![Bytes::from_static(b"{}"), Bytes::from_static(b"null")];
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(
        (report.fetched, report.delivered, report.dead_lettered),
        (52, 50, 2)
    );
    let again = world.run().await;
    assert_eq!((again.dead_lettered, again.skipped), (0, 2));
    let letters = ["null: it has no log_id", "{}: it has no log_id"];
    assert_eq!(world.dead_letters().await, letters);
}

#[tokio::test(start_paused = true)]
async fn however_many_have_no_id_a_slow_storage_does_not_keep_a_run_from_those_after_them() {
    let world = World::with_records(50);
    world.state().misfits = (0..100)
        .map(|n| Bytes::from(format!("{{\"n\":{n}}}")))
        .collect();
    for dead_lettered in [100, 0] {
        world.state().dead_letter_faults = vec![Some(Fault::Delays); 100].into();
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!(report.dead_lettered, dead_lettered);
        assert!(report.caught_up, "{report:?}");
    }
    world.assert_all_landed_once();
}

/// Each kind is judged against what was delivered, and reported against all that was read.
#[tokio::test(start_paused = true)]
async fn of_how_many_records_so_many_were_set_aside_counts_those_of_every_kind() {
    let world = World::with_records(100);
    {
        let mut state = world.state();
        let ids: Vec<_> = state.records.keys().cloned().collect();
        state.refused = ids[..12].iter().cloned().collect();
        state.unfit = ids[20..33].iter().cloned().collect();
    }
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (75, 25));
    let told = [
        "the destination refused 12 of the 100 records of this run",
        "13 of the 100 records of this run do not fit",
    ];
    for told in told {
        assert!(
            report.errors.iter().any(|it| it.starts_with(told)),
            "{report:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_misfit_that_cannot_be_kept_holds_the_cursor() {
    let world = World::with_records(50);
    world.state().misfits = vec![Bytes::from_static(b"{}")];
    world.state().dead_letter_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.errors.len()), (0, 1));
    assert_eq!(world.run().await.delivered, 50);
}

#[tokio::test(start_paused = true)]
async fn what_is_quarantined_counts_as_handled_and_fails_the_run() {
    let world = World::with_records(2_500);
    // In the first batch and in the last.
    world.state().quarantined = [3, 0, 1].into();
    let report = world.run().await;
    assert_eq!(
        (report.fetched, report.delivered, report.quarantined),
        (2_500, 2_496, 4)
    );
    assert!(report.caught_up);
    assert_eq!(
        report.errors,
        [
            "the destination quarantined 4 of the records that it took, and they are not sent again: look there"
        ]
    );
    world.assert_all_landed_once();
    assert!(
        report.errors[0].starts_with(QUARANTINED),
        "the state knows it by this"
    );
    let again = world.run().await;
    assert_eq!((again.delivered, again.quarantined), (0, 0));
    assert!(again.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_for_something_else_tells_of_the_quarantine_too() {
    let world = World::with_records(2_500);
    world.state().quarantined = [2].into();
    world.state().destination_faults = [None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.quarantined), (998, 2));
    assert_eq!(report.errors.len(), 2, "{report:?}");
    assert!(report.errors[1].contains("quarantined 2 of"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn the_newest_record_of_a_run_is_told_although_it_was_set_aside() {
    for is_refused in [false, true] {
        let world = World::with_records(50);
        let newest = world.state().records.keys().next_back().unwrap().clone();
        let bad = [newest.clone()].into();
        if is_refused {
            world.state().refused = bad;
        } else {
            world.state().unfit = bad;
        }
        let report = world.run().await;
        assert_eq!((report.delivered, report.dead_lettered), (49, 1));
        assert_eq!(report.last_log_id, Some(newest), "{is_refused}");
        assert_eq!(report.last_date, Some(at("07:58:00")), "{is_refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenth_is_one_of_all_records_of_the_run_whatever_became_of_the_others() {
    for (unfit, refused, fails) in [(2, 1, false), (1, 2, false), (3, 1, true), (1, 3, true)] {
        let world = World::with_records(20);
        let ids: Vec<_> = world.state().records.keys().cloned().collect();
        world.state().unfit = ids[..unfit].iter().cloned().collect();
        world.state().refused = ids[10..10 + refused].iter().cloned().collect();
        let report = world.run().await;
        assert_eq!(report.dead_lettered, (unfit + refused) as u64);
        assert_eq!(report.errors.len(), usize::from(fails), "{report:?}");
    }
}
