//! A cursor that Auth0 no longer accepts, and what may be missing then.

use super::*;
use crate::run::time::time_of;

/// A source may reject an id whose record it has dropped, or silently take it as a lower bound.
const EITHER_WAY: [bool; 2] = [true, false];

/// A world in which ten records were delivered.
async fn delivered(rejects_unknown: bool) -> World {
    let world = World::with_records(10);
    world.state().rejects_unknown = rejects_unknown;
    world.run().await;
    world
}

/// Two days without a run, after which the source has only one new record. Returns when that was
/// stored.
async fn two_days_later(world: &World) -> DateTime<Utc> {
    tokio::time::advance(Duration::from_hours(48)).await;
    world.state().records.clear();
    let resumed = at("07:00:00") + chrono::Duration::days(2);
    world.add(resumed, resumed);
    resumed
}

#[tokio::test(start_paused = true)]
async fn a_dropped_cursor_resumes_with_what_is_left_and_reports_the_gap_once() {
    for rejects_unknown in EITHER_WAY {
        let world = delivered(rejects_unknown).await;
        let resumed = two_days_later(&world).await;
        let report = world.run().await;
        assert!(report.is_success(), "{report:?}");
        assert_eq!(report.delivered, 1);
        let gap = Gap {
            from: Some(at("08:00:00")), // when the run began that had read to the end
            to: resumed,
        };
        assert_eq!(report.gap, Some(gap));
        assert_eq!(world.position().await, Position::After(id(resumed)));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_dropped_in_a_silent_tenant_is_no_gap_and_costs_no_record() {
    for rejects_unknown in EITHER_WAY {
        let world = World::with_records(10);
        world.state().rejects_unknown = rejects_unknown;
        for hour in 0..50 {
            if hour == 30 {
                world.state().records.clear();
            }
            let report = world.run().await;
            assert_eq!(
                (report.gap, report.caught_up),
                (None, true),
                "{hour} {report:?}"
            );
            tokio::time::advance(Duration::from_mins(61)).await;
        }
        // Reading now begins by time, so nothing depends on the record that is gone.
        assert!(matches!(
            world.position().await,
            Position::Start(Start::At(_))
        ));
        let new = (world.clock)();
        world.add(new, new);
        assert_eq!(world.run().await.delivered, 1);
        assert_eq!(world.landed().len(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_told_each_hour_where_the_overlap_is_as_long_as_the_retention() {
    let world = World::with_records(10);
    for hour in 0..50 {
        if hour == 25 {
            world.state().records.clear();
        }
        let day = |policy: &mut Policy| policy.overlap = Duration::from_hours(24);
        assert_eq!(world.run_with(day).await.gap, None, "{hour}");
        tokio::time::advance(Duration::from_mins(61)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_in_a_silent_tenant_the_possible_gap_is_reported_once() {
    for rejects_unknown in EITHER_WAY {
        let world = delivered(rejects_unknown).await;
        tokio::time::advance(Duration::from_hours(48)).await;
        world.state().records.clear();
        let gap = world.run().await.gap.unwrap();
        assert_eq!(gap.from, Some(at("08:00:00")));
        assert_eq!(gap.to - at("08:00:00"), chrono::Duration::days(2));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_became_visible_late_and_was_dropped_is_missing_even_where_all_later_ones_are_there() {
    // The source still has the end of the last minute before that run (the overlap), or its end alone.
    for left in ["07:59:30", "08:00:00"] {
        let world = delivered(false).await;
        tokio::time::advance(Duration::from_hours(24)).await;
        world.state().records.clear();
        world.add(at(left), at(left));
        let gap = Gap {
            from: Some(at("07:59:00")),
            to: at(left),
        };
        assert_eq!(world.run().await.gap, Some(gap));
        assert_eq!(world.run().await.gap, None);
    }
}

/// A run that reads the log to its end has more to compare with. An id of 2020 does not tell how far its
/// prefix was read.
#[tokio::test(start_paused = true)]
async fn between_runs_that_end_early_it_counts_which_prefix_was_read_least() {
    for (oldest_left, gap_to) in [("08:04:00", None), ("08:07:00", Some("08:20:00"))] {
        let world = World::with_records(10);
        world.add_named("901", at("07:59:00"));
        let of_2020 = LogId::synthetic("902", "2020-01-01T00:00:00Z".parse().unwrap());
        let record = Record {
            log_id: of_2020.clone(),
            ..record(at("07:59:00"), at("07:59:00"))
        };
        world.state().records.insert(of_2020, record);
        assert!(world.run().await.caught_up);

        tokio::time::advance(Duration::from_mins(30)).await;
        world.add_named("900", at("08:10:00"));
        world.add_named("901", at("08:05:00"));
        world.add_named("901", at("08:06:00"));
        world.state().short_pages = Some(1);
        let fourth_fails = [None, None, None, Some(Fault::Fails)];
        world.state().source_faults = fourth_fails.clone().into();
        let report = world.run().await;
        assert_eq!((report.delivered, report.caught_up), (2, false));

        tokio::time::advance(Duration::from_hours(48)).await;
        world.state().records.clear();
        for left in [oldest_left, "08:20:00", "08:30:00"] {
            world.add(at(left), at(left));
        }
        world.state().source_faults = fourth_fails.into();
        let report = world.run().await;
        assert_eq!((report.delivered, report.caught_up), (1, false));
        let gap = gap_to.map(|to| Gap {
            from: Some(at("08:00:00")), // when the run began that had read to the end
            to: at(to),
        });
        assert_eq!(report.gap, gap, "{oldest_left}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_source_goes_back_further_than_the_overlap_nothing_is_missing() {
    let world = delivered(false).await;
    tokio::time::advance(Duration::from_hours(48)).await;
    world.state().records.clear();
    world.add(at("07:59:00"), at("07:59:00"));
    assert_eq!(world.run().await.gap, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_before_the_first_delivery_is_missing_though_there_is_no_other_gap() {
    for (drops, gap_to) in [(0, None), (4, Some(at("07:57:55")))] {
        let world = World::with_records(10);
        world.add_named("901", at("07:59:50"));
        world.state().destination_faults = vec![Some(Fault::Fails); 2].into();
        let report = world.run().await;
        assert_eq!((report.errors.len(), report.gap), (1, None));
        tokio::time::advance(Duration::from_mins(24 * 60 + 1)).await;
        for _ in 0..drops {
            world.state().records.pop_first();
        }
        let gap = gap_to.map(|to| Gap { from: None, to });
        assert_eq!(world.run().await.gap, gap);
        // Whatever is delivered now, the gap is reported as long as nothing was delivered before.
        let report = world.run().await;
        assert_eq!((report.gap, report.delivered), (gap, 11 - drops));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_first_reading_that_takes_several_runs_no_more_is_missing_than_at_its_beginning() {
    let world = World::with_records(250);
    let days = Duration::from_hours(48);
    let run = || world.run_with(|policy| policy.start_from = StartFrom::Ago(days));
    // The source is asked how far back the log goes, and a hundred records are read.
    world.state().source_faults = [None, None, Some(Fault::Fails)].into();
    let report = run().await;
    let gap = Gap {
        from: Some(at("08:00:00") - chrono::Duration::days(2)),
        to: at("07:53:51"),
    };
    assert_eq!((report.caught_up, report.gap), (false, Some(gap)));
    let report = run().await;
    assert_eq!((report.delivered, report.caught_up), (150, true));
    assert_eq!(report.gap, Some(gap));
    assert_eq!(run().await.gap, None);
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_a_restart_is_a_gap_like_any_other() {
    for rejects_unknown in EITHER_WAY {
        let world = delivered(rejects_unknown).await;
        world.state().source_faults = [Some(Fault::Rejects)].into();
        world.run().await;
        assert!(matches!(
            world.position().await,
            Position::Start(Start::At(_))
        ));
        let resumed = two_days_later(&world).await;
        let gap = Gap {
            from: Some(at("08:00:00")), // when the run began that had read to the end
            to: resumed,
        };
        assert_eq!(world.run().await.gap, Some(gap));
        assert_eq!(world.run().await.gap, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_rejected_for_no_reason_is_no_gap_and_no_flood() {
    let world = World::with_records(500);
    world.run().await;
    world.add(at("08:00:01"), at("08:00:01"));
    world.state().source_faults = [Some(Fault::Rejects)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.gap), (1, None));
    // The new record, and those stored in the 20 s before the cursor.
    assert_eq!(report.fetched, 21);
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_rejects_every_beginning_is_an_error_and_not_a_loop() {
    let world = World::with_records(10);
    world.run().await;
    world.state().source_faults = [Some(Fault::Rejects), Some(Fault::Rejects)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["no such id"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_to_end_does_not_wait_for_an_answer_to_that() {
    let world = World::with_records(20);
    world.run().await;
    tokio::time::advance(Duration::from_hours(19)).await;
    world.state().oldest_hangs = true;
    world.state().source_faults = [Some(Fault::Delays)].into();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.stopping.send_replace(true);
    };
    let began = Instant::now();
    let (report, ()) = tokio::join!(world.run(), stop);
    assert!(!report.caught_up && report.is_success(), "{report:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn only_a_run_that_ends_far_behind_asks_how_long_the_source_will_wait() {
    for (hours, asked) in [(17, 0), (19, 1)] {
        let world = World::with_records(2_000);
        tokio::time::advance(Duration::from_hours(hours)).await;
        // A page takes 20 seconds, and reading may take 210.
        world.state().source_faults = vec![Some(Fault::Delays); 20].into();
        let report = world.run().await;
        assert_eq!((report.caught_up, report.errors.len()), (false, 0));
        assert_eq!(world.state().asked_for_oldest, asked);
        world.state().source_faults.clear();
        assert!(world.run().await.caught_up);
        assert_eq!(world.state().asked_for_oldest, asked);
    }
}

#[test]
fn a_record_is_of_its_date_unless_that_and_its_id_cannot_both_be_right() {
    let stored = at("08:00:00");
    let dated = |log_id, date: Option<&str>| {
        time_of(&Record {
            log_id,
            date: date.map(at),
            json: Bytes::new(),
        })
    };
    for (date, time) in [
        (None, Some("08:00:00")),
        (Some("07:59:55"), Some("07:59:55")),
        (Some("07:59:50"), Some("07:59:50")),
        (Some("07:59:49"), Some("08:00:00")),
        (Some("08:00:00"), Some("08:00:00")),
        (Some("08:00:01"), None),
    ] {
        assert_eq!(dated(id(stored), date), time.map(at), "{date:?}");
    }
    let odd = || LogId::new("12345");
    assert_eq!(dated(odd(), Some("07:00:00")), Some(at("07:00:00")));
    assert_eq!(dated(odd(), None), None);
}
