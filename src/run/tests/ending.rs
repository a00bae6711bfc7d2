//! How a run ends: on time, when it is asked to, or because another poller is there.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_run_gives_way_to_another_poller_that_saved_meanwhile() {
    let world = World::with_records(2_500);
    let progress = watch::Sender::default();
    let mut seen = progress.subscribe();
    let run = world.run_of(&world, World::policy(), &progress);
    let (report, ()) = tokio::join!(run, async {
        seen.wait_for(|report: &Report| report.batches == 1)
            .await
            .unwrap();
        let others = Bytes::from_static(b"{}");
        world.memory.put(CHECKPOINT, others);
    });
    assert_eq!(report.errors.len(), 1);
    assert!(
        report.errors[0].contains("memory.json was changed or removed"),
        "{report:?}"
    );
    assert!(report.batches < 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_on_time_and_the_next_one_goes_on() {
    let world = World::with_records(2_500);
    let began = Instant::now();
    world.state().source_faults = vec![Some(Fault::Delays); 11].into();
    let report = world.run().await;
    // A page takes 20 s and reading ends at 210 s, so the eleventh page is the last one begun.
    assert_eq!((report.delivered, report.caught_up), (1_100, false));
    assert!(report.is_success());
    assert_eq!(began.elapsed(), Duration::from_secs(220));
    // Each page is delivered while the next one is awaited.
    assert_eq!(report.batches, 11);
    assert_eq!(world.run().await.delivered, 1_400);
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_began_in_time_is_saved_and_none_is_begun_after() {
    let world = World::with_records(14_000);
    let began = Instant::now();
    world.state().destination_faults = vec![Some(Fault::Delays); 13].into();
    let report = world.run().await;
    // A post takes 20 s: the twelfth begins at 220 s, and at 240 s it is too late for another.
    assert_eq!((report.batches, report.delivered), (12, 12_000));
    assert_eq!((report.is_success(), report.caught_up), (true, false));
    assert_eq!(began.elapsed(), Duration::from_mins(4));
    assert_eq!(world.run().await.delivered, 2_000);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_no_time_for_what_it_reads_is_a_failure() {
    let world = World::with_records(500);
    // A page takes 20 s.
    world.state().source_faults = [Some(Fault::Delays)].into();
    let report = world
        .run_with(|policy| policy.budget = Duration::from_secs(10))
        .await;
    assert_eq!((report.fetched, report.delivered), (100, 0));
    let told = "the time of the run was over when the first records came";
    assert!(report.errors[0].starts_with(told), "{report:?}");
    assert_eq!(report.errors.len(), 1, "{report:?}");
    assert_eq!(world.run().await.delivered, 500);
}

#[tokio::test(start_paused = true)]
async fn after_its_budget_a_run_begins_nothing_and_is_no_failure() {
    let world = World::with_records(500);
    let report = world
        .run_with(|policy| policy.budget = Duration::ZERO)
        .await;
    assert!(report.is_success());
    assert_eq!((report.fetched, report.caught_up), (0, false));
    assert_eq!(report.lag_seconds, None);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_to_end_delivers_what_it_has_read_and_saves() {
    let world = World::with_records(1_000);
    // A page takes 20 seconds; the third is in progress when the signal comes.
    world.state().source_faults = vec![Some(Fault::Delays); 10].into();
    let ask = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        world.stopping.send_replace(true);
    };
    let began = Instant::now();
    let (report, ()) = tokio::join!(world.run(), ask);
    assert_eq!(began.elapsed(), Duration::from_secs(50));
    assert_eq!((report.delivered, report.caught_up), (200, false));
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.run().await.fetched, 0, "it is still asked to end");

    world.stopping.send_replace(false);
    world.state().source_faults.clear();
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_not_forgotten_if_the_store_comes_back_within_the_run() {
    let world = World::with_records(100);
    // The first checkpoint and the save before the batch succeed; the save after it is delayed.
    let away = vec![Some(Fault::IsAway); 60];
    world.state().save_faults = [vec![None; 2], away.clone()].concat().into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.errors.len()), (100, 0));
    world.run().await;
    world.assert_all_landed_once();

    // Before anything is delivered there is nothing to wait for.
    world.add(at("07:59:30"), at("07:59:30"));
    world.state().save_faults = away.into();
    let began = Instant::now();
    assert_eq!(world.run().await.errors.len(), 1);
    // Not longer than the attempts of one request take.
    assert!(began.elapsed() < Duration::from_secs(16));
    assert_eq!(world.landed().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_does_not_keep_a_run_from_ending() {
    let world = World::with_records(100);
    let away = vec![Some(Fault::IsAway); 1_000];
    world.state().save_faults = [vec![None; 2], away].concat().into();
    let began = Instant::now();
    assert_eq!(world.run().await.errors.len(), 1);
    assert!(began.elapsed() <= Duration::from_secs(250));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_leaves_nothing_is_no_failure_on_whichever_page() {
    for page in [0, 1] {
        let world = World::with_records(250);
        let mut faults = vec![None; page];
        faults.push(Some(Fault::IsTooLate));
        world.state().source_faults = faults.into();
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!(
            (report.caught_up, report.delivered),
            (false, 100 * page as u64)
        );
        assert!(world.run().await.caught_up);
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_too_slow_for_the_run_is_a_failure_only_where_nothing_was_read() {
    for (page, errors) in [(0, vec!["no answer in time"]), (1, vec![])] {
        let world = World::with_records(250);
        let mut faults = vec![None; page];
        faults.push(Some(Fault::IsSlow));
        world.state().source_faults = faults.into();
        let report = world.run().await;
        assert_eq!(report.errors, errors);
        let expected = (false, 100 * page as u64);
        assert_eq!((report.caught_up, report.delivered), expected);
        assert!(world.run().await.caught_up);
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_later_run_goes_on_a_source_that_ends_the_reading_is_a_failure() {
    for (fault, error) in [
        (Fault::IsSlow, "no answer in time"),
        (Fault::IsTooLate, "no requests left"),
    ] {
        for page in [0, 1] {
            let mut world = World::with_records(250);
            world.has_budget = false;
            let mut faults = vec![None; page];
            faults.push(Some(fault.clone()));
            world.state().source_faults = faults.into();
            let report = world.run().await;
            assert_eq!(report.errors, [error]);
            assert_eq!(report.delivered, 100 * page as u64);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_dated_in_the_future_does_not_hide_how_far_behind_a_run_is() {
    let world = World::with_records(9);
    world.add(
        at("07:58:30"),
        at("08:00:00") + chrono::Duration::days(9_999),
    );
    let report = world.run().await;
    assert_eq!((report.delivered, report.lag_seconds), (10, Some(0)));
    // Nothing is read.
    tokio::time::advance(Duration::from_hours(1)).await;
    world.state().source_faults = [Some(Fault::Fails)].into();
    assert_eq!(world.run().await.lag_seconds, Some(3_690));
    // Something is read, but nothing is accepted.
    world.add(
        at("08:30:00"),
        at("08:00:00") + chrono::Duration::days(9_999),
    );
    world.state().destination_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.errors.len(), report.lag_seconds), (1, Some(1_800)));
}
