//! Log ids of several prefixes, and many within the overlap.

use super::*;

fn named(prefix: &str, stored: DateTime<Utc>) -> Record {
    let log_id = LogId::synthetic(prefix, stored);
    Record {
        json: Bytes::from(log_id.to_string()),
        log_id,
        date: Some(stored),
    }
}

impl World {
    pub fn add_named(&self, prefix: &str, stored: DateTime<Utc>) {
        let record = named(prefix, stored);
        self.state().records.insert(record.log_id.clone(), record);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_record_is_delivered_however_many_newer_ones_there_are_within_the_overlap() {
    let world = World::with_records(10);
    for n in 0..5_000 {
        let stored = at("07:59:30") + chrono::Duration::milliseconds(n);
        world.add(stored, stored);
    }
    world.run().await;
    world.add(at("07:59:20"), at("07:59:20"));
    let report = world.run().await;
    assert_eq!((report.delivered, report.skipped), (1, 5_000));
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_late_record_of_one_prefix_is_delivered_although_the_other_was_read_further() {
    let world = World::with_records(10);
    world.add_named("800", at("07:59:40"));
    world.add_named("900", at("07:59:50"));
    world.run().await;
    world.add_named("800", at("07:59:30"));
    world.add_named("900", at("07:59:45"));
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_prefix_that_appears_in_a_busy_tenant_is_found_within_ten_minutes() {
    let world = World::with_records(10);
    world.run().await;
    for n in 0..12 {
        tokio::time::advance(Duration::from_mins(1)).await;
        let now = (world.clock)() - chrono::Duration::seconds(10);
        world.add_named("900", now);
        if n < 9 {
            world.add_named("800", now - chrono::Duration::seconds(1));
        }
        world.run().await;
    }
    world.assert_all_landed_once();
    // From then on each prefix is read in each run.
    tokio::time::advance(Duration::from_mins(1)).await;
    world.add_named("800", (world.clock)() - chrono::Duration::seconds(5));
    assert_eq!(world.run().await.delivered, 1);
}

/// Adds a record of this prefix that is dated long before it is stored.
fn add_hidden(world: &World, prefix: &str) {
    let late = Record {
        date: Some(at("07:30:00")),
        ..named(prefix, at("08:08:00"))
    };
    world.state().records.insert(late.log_id.clone(), late);
}

/// Adds 150 records, and below them one of another prefix that is dated before them.
async fn hide_one(world: &World, prefix: &str) {
    tokio::time::advance(Duration::from_mins(11)).await;
    for n in 0..150 {
        world.add_named("900", at("08:09:00") + chrono::Duration::milliseconds(n));
    }
    add_hidden(world, prefix);
}

/// A world that has caught up, in which such a record was added afterwards.
async fn with_hidden(prefix: &str) -> World {
    let world = World::with_records(10);
    world.run().await;
    hide_one(&world, prefix).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_prefix_below_all_others_is_found_although_a_hundred_newer_records_hide_it() {
    for prefix in ["800", "000"] {
        let world = with_hidden(prefix).await;
        assert_eq!(world.run().await.delivered, 151);
        world.assert_all_landed_once();
        // From then on the prefix is read like any other.
        world.add_named(prefix, at("08:10:30"));
        assert_eq!(world.run().await.delivered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_id_below_all_others_is_taken_it_is_found_by_search() {
    let world = with_hidden("800").await;
    world.state().rejects_unknown = true;
    assert_eq!(world.run().await.delivered, 151);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_search_that_fails_where_it_is_looked_for_fails_nothing_and_is_made_again() {
    for fault in [Fault::Fails, Fault::IsSlow, Fault::IsTooLate] {
        let world = with_hidden("800").await;
        world.state().rejects_unknown = true;
        world.state().search_faults = [Some(fault)].into();
        let report = world.run().await;
        let said = (report.delivered, report.is_success(), report.caught_up);
        assert_eq!(said, (150, true, true));
        assert!(world.state().search_faults.is_empty());
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!(world.run().await.delivered, 1);
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_found_however_few_records_a_search_shows_at_once() {
    for (short, searches) in [(60, 4), (40, 6)] {
        let world = with_hidden("800").await;
        world.state().rejects_unknown = true;
        world.state().short_pages = Some(short);
        assert_eq!(world.run().await.delivered, 151);
        world.assert_all_landed_once();
        // Each search goes down to where the next begins. The last two show the last record, and
        // nothing.
        assert_eq!(world.state().searches_further, searches, "{short}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_run_searches_further_where_it_read_more_than_a_search_shows_at_once() {
    // If a search shows ten at a time, no more than twenty searches are made.
    for (short, records, searches) in [(40, 60, 3), (60, 60, 2), (10, 300, 20)] {
        let world = World::with_records(records);
        world.state().rejects_unknown = true;
        world.state().short_pages = Some(short);
        assert!(world.run().await.caught_up);
        assert_eq!(asked(&world), (1, 1), "{short}");
        assert_eq!(world.state().searches_further, searches, "{short}");
    }
    let world = World::with_records(49);
    world.state().rejects_unknown = true;
    assert!(world.run().await.caught_up);
    assert_eq!(world.state().searches_further, 0);
}

#[tokio::test(start_paused = true)]
async fn records_of_one_time_do_not_stop_the_search_and_a_thousand_end_it() {
    let world = World::with_records(10);
    world.run().await;
    tokio::time::advance(Duration::from_mins(11)).await;
    for n in 0..250 {
        let record = Record {
            date: Some(at("08:09:00")),
            ..named("900", at("08:09:00") + chrono::Duration::milliseconds(n))
        };
        world.state().records.insert(record.log_id.clone(), record);
    }
    add_hidden(&world, "800");
    world.state().rejects_unknown = true;
    assert_eq!(world.run().await.delivered, 251);

    tokio::time::advance(Duration::from_mins(10)).await;
    for n in 0..2_000 {
        world.add_named("900", at("08:19:00") + chrono::Duration::milliseconds(n));
    }
    world.state().searches_further = 0;
    assert_eq!(world.run().await.delivered, 2_000);
    assert_eq!(world.state().searches_further, 10);
}

#[tokio::test(start_paused = true)]
async fn a_look_at_the_beginning_of_the_log_that_fails_fails_nothing_and_is_made_again() {
    for fault in [Fault::Fails, Fault::IsSlow, Fault::IsTooLate] {
        let world = with_hidden("800").await;
        world.state().source_faults = [None, None, Some(fault)].into();
        let report = world.run().await;
        let said = (report.delivered, report.is_success(), report.caught_up);
        assert_eq!(said, (150, true, true));
        assert!(world.state().source_faults.is_empty());
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!(world.run().await.delivered, 1);
    }
}

fn add_odd(world: &World, id: &str, date: DateTime<Utc>) {
    let odd = LogId::new(id);
    let record = Record {
        json: Bytes::from(odd.to_string()),
        log_id: odd.clone(),
        date: Some(date),
    };
    world.state().records.insert(odd, record);
}

#[tokio::test(start_paused = true)]
async fn odd_ids_at_the_beginning_of_the_log_do_not_hide_what_comes_after_them() {
    let world = World::with_records(10);
    for id in ["000-odd", "001-odd", "002-odd"] {
        add_odd(&world, id, at("07:00:00"));
    }
    world.run().await;
    hide_one(&world, "800").await;
    assert_eq!(world.run().await.delivered, 151);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn nor_are_they_hidden_themselves_nor_an_id_of_long_ago() {
    let long_ago = LogId::synthetic("800", "2020-01-01T00:00:00Z".parse().unwrap());
    for id in ["01J-odd", long_ago.as_str()] {
        let world = with_hidden("801").await;
        add_odd(&world, id, at("07:40:00"));
        world.run().await;
        world.assert_all_landed_once();
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_prefix_below_all_others_nothing_is_read_from_before_the_first_reading_began() {
    // So many that the first comparison does not show the earlier records.
    let world = World::with_records(110);
    for prefix in ["600", "700", "800"] {
        world.add_named(prefix, at("06:59:00"));
    }
    let an_hour = |policy: &mut Policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1));
    assert_eq!(world.run_with(an_hour).await.delivered, 110);
    hide_one(&world, "800").await;
    let report = world.run_with(an_hour).await;
    let counts = (report.fetched, report.delivered, report.caught_up);
    assert_eq!(counts, (151, 151, true));
}

#[tokio::test(start_paused = true)]
async fn an_id_of_long_ago_above_all_others_never_becomes_the_cursor() {
    let world = World::with_records(0);
    world.add(at("07:59:50"), at("07:59:50"));
    let odd = named("901", "2020-01-01T00:00:00Z".parse().unwrap());
    world.state().records.insert(odd.log_id.clone(), odd);
    world.run().await;
    // There is no cursor as long as nothing else is settled.
    assert_eq!(world.position().await, Position::Start(Start::Oldest));
    world.add(at("07:59:45"), at("07:59:45"));
    world.run().await;
    world.assert_all_landed_once();
    tokio::time::advance(Duration::from_mins(2)).await;
    world.run().await;
    assert_eq!(world.position().await, Position::After(id(at("07:59:50"))));
    assert_eq!(world.run().await.last_date, Some(at("07:59:50")));
}

#[tokio::test(start_paused = true)]
async fn a_silent_tenant_is_asked_each_hour_whether_it_has_dropped_the_cursor() {
    let world = World::with_records(10);
    // A day, and two hours.
    for _ in 0..26 * 6 {
        world.run().await;
        tokio::time::advance(Duration::from_mins(10)).await;
    }
    assert_eq!(world.state().asked_if_dropped, 2);
}

#[tokio::test(start_paused = true)]
async fn what_only_a_comparison_finds_is_looked_for_again_until_it_is_handled() {
    let world = World::with_records(10);
    world.run().await;
    world.run().await;
    world.add_named("800", at("07:59:00"));
    world.state().destination_faults = [Some(Fault::Fails), None].into();
    assert_eq!(world.run().await.errors.len(), 1);
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn the_first_run_that_says_that_it_caught_up_has_met_every_prefix() {
    let world = World::with_records(300);
    world.state().source_faults = [None, Some(Fault::Fails)].into();
    assert!(!world.run().await.caught_up);
    // Below the cursor after which the next run reads.
    world.add_named("800", at("07:59:00"));
    assert!(world.run().await.caught_up);
    world.assert_all_landed_once();
}

/// How often the newest records were searched for, and the log was asked for its first record.
fn asked(world: &World) -> (usize, usize) {
    let state = world.state();
    (state.comparisons, state.looks)
}

#[tokio::test(start_paused = true)]
async fn of_many_records_the_first_run_asks_for_the_first_and_of_few_for_the_newest() {
    for (records, asks) in [(49, (1, 0)), (50, (0, 1))] {
        let world = World::with_records(records);
        assert!(world.run().await.caught_up);
        assert_eq!(asked(&world), asks, "{records}");
        tokio::time::advance(Duration::from_mins(10)).await;
        world.run().await;
        assert_eq!(asked(&world), (asks.0 + 1, asks.1 + 1), "{records}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_asks_for_both_where_the_first_tells_nothing_or_an_id_is_strange() {
    let world = World::with_records(60);
    world.state().rejects_unknown = true;
    world.run().await;
    assert_eq!(asked(&world), (1, 1));

    let world = World::with_records(60);
    // Records without a prefix may come before all that have one.
    add_odd(&world, "000-odd", at("07:00:00"));
    add_odd(&world, "951-odd", at("07:59:59"));
    assert_eq!(world.run().await.delivered, 62);
    assert_eq!(asked(&world), (1, 1));
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn it_searches_where_it_finds_nothing_new_since_then_no_quiet_run_does() {
    let world = World::with_records(60);
    // The page comes, but there is no time left to compare.
    world.state().source_faults = [Some(Fault::Delays)].into();
    let first = world.run_with(|policy| {
        policy.budget = Duration::from_secs(22);
        policy.overlap = Duration::from_mins(10);
    });
    let first = first.await;
    assert_eq!((first.delivered, first.caught_up), (60, false));
    assert_eq!(asked(&world), (0, 0));
    let second = world.run_with(|policy| policy.overlap = Duration::from_mins(10));
    assert_eq!(second.await.delivered, 0);
    assert_eq!(asked(&world), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn where_only_an_id_of_long_ago_was_met_what_comes_below_it_is_found_at_once() {
    let world = World::with_records(0);
    let odd = named("901", "2020-01-01T00:00:00Z".parse().unwrap());
    let odd = Record {
        date: Some(at("07:59:50")),
        ..odd
    };
    world.state().records.insert(odd.log_id.clone(), odd);
    world.run().await;
    for minute in ["08:01", "08:02", "08:03"] {
        tokio::time::advance(Duration::from_mins(1)).await;
        world.add_named("900", at(&format!("{minute}:00")));
        let report = world.run().await;
        assert_eq!((report.delivered, report.caught_up), (1, true), "{minute}");
    }
    world.assert_all_landed_once();
}

/// Nobody can tell whether there were records of a prefix that was never met: a gap says that there may
/// have been.
#[tokio::test(start_paused = true)]
async fn where_the_log_was_never_read_to_its_end_since_the_first_run_a_gap_is_reported() {
    let world = World::with_records(0);
    for begin in ["07:00:00", "20:00:00"] {
        for n in 0..150 {
            world.add_named("900", at(begin) + chrono::Duration::seconds(n));
        }
        // A hundred records of each are read.
        world.state().source_faults = [None, Some(Fault::Fails)].into();
        let report = world.run().await;
        assert_eq!((report.caught_up, report.gap), (false, None));
        tokio::time::advance(Duration::from_mins(12 * 60 + 30)).await;
    }
    let is_kept = |id: &LogId| id.stored_at() >= Some(at("20:00:00"));
    world.state().records.retain(|id, _| is_kept(id));
    let report = world.run().await;
    assert_eq!((report.delivered, report.caught_up), (100, true));
    let gap = report.gap.unwrap();
    assert_eq!((gap.from, gap.to), (None, at("20:00:50")));
    assert_eq!(world.run().await.gap, None);
}

#[tokio::test(start_paused = true)]
async fn prefixes_that_are_in_use_are_read_by_one_request_and_each_record_once() {
    let world = World::with_records(0);
    for second in 10..20 {
        for prefix in ["800", "900"] {
            world.add_named(prefix, at(&format!("07:59:{second}")));
        }
    }
    world.run().await;
    tokio::time::advance(Duration::from_mins(2)).await;
    world.run().await;
    let requests = world.state().requests;
    for prefix in ["800", "900"] {
        world.add_named(prefix, at("08:00:10"));
    }
    assert_eq!(world.run().await.delivered, 2);
    assert_eq!(world.state().requests, requests + 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_prefix_out_of_use_is_found_again_however_many_newer_records_another_has() {
    let world = World::with_records(0);
    world.add_named("800", at("06:50:00"));
    world.add_named("900", at("07:58:00"));
    world.run().await;
    let requests = world.state().requests;
    tokio::time::advance(Duration::from_mins(5)).await;
    world.run().await;
    assert_eq!(world.state().requests, requests + 1);
    tokio::time::advance(Duration::from_mins(30)).await;
    world.add_named("800", at("08:10:00"));
    for n in 0..150 {
        let stored = at("08:20:00") + chrono::Duration::seconds(n);
        world.add_named("900", stored);
    }
    world.run().await;
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_matter_that_the_record_of_its_cursor_has_expired() {
    for rejects_unknown in [true, false] {
        let world = World::with_records(0);
        world.add_named("800", at("06:50:00"));
        world.add_named("900", at("07:58:00"));
        world.run().await;
        tokio::time::advance(Duration::from_mins(35)).await;
        {
            let mut state = world.state();
            state.rejects_unknown = rejects_unknown;
            state.records.pop_first();
        }
        for n in 0..150 {
            let stored = at("08:34:00") + chrono::Duration::milliseconds(n);
            world.add_named("900", stored);
        }
        // Added so shortly before the run that the next one could meet it.
        world.add_named("800", at("08:33:50"));
        let report = world.run().await;
        assert_eq!((report.delivered, report.caught_up), (151, true));
        // Two records had landed before.
        assert_eq!(world.landed().len(), 153);
    }
}

#[tokio::test(start_paused = true)]
async fn a_prefix_out_of_use_is_read_also_by_the_comparison_that_the_second_quiet_run_makes() {
    let world = World::with_records(150);
    world.add_named("800", at("06:50:00"));
    world.run().await;
    tokio::time::advance(Duration::from_mins(2)).await;
    assert_eq!(world.run().await.delivered, 0);
    assert_eq!(asked(&world), (0, 1));
    // There are a hundred newer records.
    world.add_named("800", at("06:55:00"));
    assert_eq!(world.run().await.delivered, 1);
    assert_eq!(asked(&world), (1, 2));
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_prefix_that_is_behind_is_read_on_although_its_records_are_old() {
    let world = World::with_records(0);
    for n in 0..300 {
        world.add_named("900", at("05:00:00") + chrono::Duration::seconds(n));
    }
    world.add_named("800", at("07:58:00"));
    // The second page of the larger prefix is not read.
    world.state().source_faults = [None, None, Some(Fault::Fails)].into();
    assert!(!world.run().await.caught_up);
    assert!(world.run().await.caught_up);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn what_is_read_anew_for_one_prefix_moves_no_cursor_of_another_over_what_was_not_read() {
    let world = World::with_records(0);
    world.add_named("900", at("07:50:00"));
    world.run().await;
    tokio::time::advance(Duration::from_mins(2)).await;
    world.run().await;
    // Below the cursor's prefix, and before the time from which that prefix is read anew.
    world.add_named("800", at("07:20:00"));
    world.add_named("800", at("07:58:00"));
    world.state().source_faults = [Some(Fault::Rejects)].into();
    assert!(world.run().await.caught_up);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_reported_of_a_prefix_that_is_further_behind_than_the_first() {
    let world = World::with_records(0);
    for n in 0..300 {
        world.add_named("900", at("07:00:00") + chrono::Duration::seconds(n));
    }
    world.add_named("800", at("07:58:00"));
    world.state().source_faults = [None, Some(Fault::Fails)].into();
    assert!(!world.run().await.caught_up);
    tokio::time::advance(Duration::from_hours(29)).await;
    world.add_named("800", (world.clock)() - chrono::Duration::minutes(5));
    // No more than before is read of the larger prefix.
    world.state().source_faults = [None, None, None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.gap), (1, None));
    tokio::time::advance(Duration::from_hours(1)).await;
    let now = (world.clock)();
    world.state().records.clear();
    world.add_named("800", now - chrono::Duration::minutes(5));
    world.add_named("900", now - chrono::Duration::hours(3));
    let gap = world.run().await.gap.unwrap();
    assert_eq!((gap.from, gap.to), (None, now - chrono::Duration::hours(3)));
    let report = world.run().await;
    assert_eq!((report.caught_up, report.gap), (true, None));
}

#[tokio::test(start_paused = true)]
async fn how_far_behind_a_run_ends_is_told_of_the_prefix_that_is_furthest_behind() {
    for (pages, delivered, lag) in [(1, 1, 72_000), (3, 2, 71_400)] {
        let world = World::with_records(0);
        world.add_named("800", at("07:58:00"));
        world.add_named("900", at("07:58:30"));
        assert!(world.run().await.caught_up);
        // Of the time since then, the lower prefix is read to its end, and the higher one is not.
        tokio::time::advance(Duration::from_hours(20)).await;
        world.add_named("900", at("08:10:00"));
        world.add_named("900", at("08:20:00"));
        world.add_named("800", (world.clock)() - chrono::Duration::seconds(10));
        world.state().short_pages = Some(1);
        let mut faults = vec![None; pages];
        faults.push(Some(Fault::IsTooLate));
        world.state().source_faults = faults.into();
        let report = world.run().await;
        assert_eq!((report.delivered, report.caught_up), (delivered, false));
        assert_eq!(report.lag_seconds, Some(lag));
        // So far behind, it is asked how long the source will wait.
        assert_eq!(world.state().asked_for_oldest, 1);
        assert_eq!(world.run().await.lag_seconds, Some(0));
    }
}

/// A prefix that is not in use any more does not count: its cursor is as old as its last record.
#[tokio::test(start_paused = true)]
async fn a_prefix_without_anything_new_is_not_behind_for_longer_than_since_the_last_reading() {
    let world = World::with_records(0);
    world.add_named("800", at("07:58:00"));
    world.add_named("900", at("07:58:30"));
    assert!(world.run().await.caught_up);
    for _ in 0..3 {
        tokio::time::advance(Duration::from_hours(2)).await;
        world.add_named("800", (world.clock)() - chrono::Duration::seconds(10));
        assert!(world.run().await.caught_up);
    }
    tokio::time::advance(Duration::from_mins(1)).await;
    world.add_named("800", (world.clock)() - chrono::Duration::seconds(10));
    world.state().source_faults = [None, Some(Fault::IsTooLate)].into();
    world.state().short_pages = Some(1);
    let report = world.run().await;
    assert!(!report.caught_up);
    assert!(report.lag_seconds.is_some_and(|it| it <= 70), "{report:?}");
}
