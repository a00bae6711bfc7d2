//! Where a run begins: the first run, and one whose checkpoint is unavailable or lost.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_first_run_begins_with_the_oldest_record_of_its_window() {
    let world = World::with_records(0);
    for (stored, date) in [
        ("06:59:58", "06:59:57"),
        ("07:00:02", "06:59:59"), // stored within the window, but dated before it
        ("07:00:04", "07:00:00"), // the oldest of the window
        ("07:00:05", "07:30:00"),
    ] {
        world.add(at(stored), at(date));
    }
    let report = world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1)))
        .await;
    assert_eq!((report.delivered, report.before_start), (2, 2));
    assert_eq!(
        world.landed(),
        [
            id(at("07:00:04")).to_string(),
            id(at("07:00:05")).to_string()
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_tenant_is_read_from_the_same_start_when_records_come() {
    let world = World::with_records(0);
    let run =
        || world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_mins(1)));
    let report = run().await;
    assert!(report.caught_up);
    assert_eq!(
        world.position().await,
        Position::Start(Start::At(at("07:59:00")))
    );

    world.add(at("08:00:00"), at("08:00:00"));
    tokio::time::advance(Duration::from_hours(3)).await;
    assert_eq!(run().await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn the_start_is_pinned_by_the_first_run_even_if_it_fails() {
    let world = World::with_records(0);
    world.add(at("07:30:00"), at("07:30:00"));
    world.state().source_faults = [Some(Fault::Fails)].into();
    let an_hour = |policy: &mut Policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1));
    assert!(!world.run_with(an_hour).await.is_success());
    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!(world.run_with(an_hour).await.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_set_further_back_counts_until_something_was_delivered() {
    let world = World::with_records(0);
    world.add(at("01:00:00"), at("01:00:00"));
    world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1)))
        .await;
    let report = world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(24)))
        .await;
    assert_eq!(report.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_while_the_checkpoint_cannot_be_saved() {
    let world = World::with_records(10);
    world.run().await;
    world.add(at("07:59:00"), at("07:59:00"));
    for _ in 0..5 {
        world.state().save_faults = [Some(Fault::Fails)].into();
        let report = world.run().await;
        assert!(
            report.errors[0].starts_with("saving the checkpoint memory"),
            "{report:?}"
        );
    }
    assert_eq!(world.landed().len(), 10);
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_the_checkpoint_cannot_be() {
    let world = World::with_records(10);
    world.state().load_faults = [Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.requests, 0);
    assert_eq!(
        report.errors,
        ["reading the checkpoint memory:checkpoints/acme/memory.json: it is denied: it failed"]
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_loss_of_the_checkpoint_the_run_begins_anew_and_says_so_for_a_day() {
    let world = World::with_records(100);
    world.run().await;
    world.lose_checkpoint();
    // The records are from the last two minutes before 07:58.
    let run =
        || world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_secs(150)));
    let report = run().await;
    assert_eq!((report.delivered, report.errors.len()), (31, 0));
    let gap = Gap {
        from: None,
        to: at("07:57:30"),
    };
    assert_eq!(report.gap, Some(gap));
    tokio::time::advance(Duration::from_hours(23)).await;
    let report = run().await;
    assert_eq!((report.delivered, report.gap), (0, Some(gap)));
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(run().await.gap, None);
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_nothing_is_missing_where_all_there_is_is_read_again() {
    let world = World::with_records(100);
    world.run().await;
    world.lose_checkpoint();
    let report = world.run().await;
    assert_eq!((report.delivered, report.gap), (100, None));
}

/// The first record of a reading that begins elsewhere is not the oldest that there is.
#[tokio::test(start_paused = true)]
async fn only_a_reading_from_the_oldest_record_on_notes_which_that_is() {
    let an_hour = StartFrom::Ago(Duration::from_hours(1));
    for (start_from, is_noted) in [(StartFrom::Oldest, true), (an_hour, false)] {
        let world = World::with_records(10);
        world.state().destination_faults = [Some(Fault::Fails)].into();
        let run = world.run_with(|policy| policy.start_from = start_from);
        assert_eq!(run.await.fetched, 10);
        let (json, _) = world.memory.read(CHECKPOINT).await.unwrap().unwrap();
        let json = String::from_utf8(json.to_vec()).unwrap();
        assert_eq!(json.contains("\"oldest_found\""), is_noted, "{json}");
    }
}
