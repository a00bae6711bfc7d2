//! Deliveries over which the destination fails internally.

use super::*;

/// More than an hour after the records were stored.
async fn later() {
    tokio::time::advance(Duration::from_mins(90)).await;
}

/// A world with this many records. The destination fails over those at `poison`.
fn world(count: i64, poison: &[usize]) -> World {
    let world = World::with_records(count);
    let mut state = world.state();
    let ids: Vec<_> = state.records.keys().cloned().collect();
    state.poison_records = poison.iter().map(|it| ids[*it].clone()).collect();
    drop(state);
    world
}

#[tokio::test(start_paused = true)]
async fn a_record_over_which_the_destination_fails_is_found_after_an_hour_and_set_aside() {
    for blocks in [&[0][..], &[700], &[999], &[0, 1, 500, 998, 999]] {
        let world = world(1_000, blocks);
        let report = world.run().await;
        assert_eq!(report.errors, ["answered 500"], "{blocks:?}");
        assert_eq!((report.delivered, report.dead_lettered), (0, 0));

        later().await;
        // The record that shows that others are accepted again may come after the batch.
        world.add(at("09:29:00"), at("09:29:00"));
        let report = world.run().await;
        let (good, bad) = (1_001 - blocks.len(), blocks.len());
        let numbers = (report.delivered, report.dead_lettered);
        assert_eq!(numbers, (good as u64, bad as u64), "{blocks:?}");
        assert!(report.is_success(), "{:?}", report.errors);
        assert!(report.caught_up);
        let quiet = world.run().await;
        assert_eq!((quiet.delivered, quiet.dead_lettered), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_at_everything_finds_no_fault_with_records() {
    for (count, all) in [(1, 1), (2, 2), (1_000, 1_000)] {
        let world = World::with_records(count);
        later().await;
        world.state().fails_inside = usize::MAX;
        for _ in 0..3 {
            let posts = world.state().posts;
            let report = world.run().await;
            assert_eq!(report.errors, ["answered 500"], "{count}");
            assert_eq!((report.delivered, report.dead_lettered), (0, 0));
            assert!(world.state().posts - posts <= 3, "{count}");
            later().await;
        }
        world.state().fails_inside = 0;
        let report = world.run().await;
        assert_eq!((report.delivered, report.dead_lettered), (all, 0));
        world.assert_all_landed_once();
    }
}

/// The other record shows that it takes records, although there is none left to try.
#[tokio::test(start_paused = true)]
async fn a_record_over_which_it_failed_and_that_it_refuses_then_is_set_aside() {
    let world = world(2, &[]);
    let first = world.state().records.keys().next().unwrap().clone();
    world.state().refused.insert(first.clone());
    later().await;
    // It fails over the batch, and over the first record that is tried alone.
    world.state().fails_inside = 2;
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.delivered, report.dead_lettered), (1, 1));
    assert_eq!(
        world.dead_letters().await,
        [format!("{first}: it is refused")]
    );
}

/// The destination may fail over any record while others are looked for.
#[tokio::test(start_paused = true)]
async fn what_fails_once_while_others_are_taken_is_not_set_aside() {
    for fails in 1..30 {
        let world = world(64, &[40]);
        later().await;
        world.add(at("09:29:00"), at("09:29:00"));
        world.state().fails_inside = fails;
        let mut dead_lettered = 0;
        for _ in 0..40 {
            dead_lettered += world.run().await.dead_lettered;
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        assert_eq!(dead_lettered, 1, "{fails}");
        let landed = world.landed().len();
        assert_eq!(landed, 64, "{fails}");
    }
}

/// There is no record to show that the destination accepts others.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_alone_waits_for_another() {
    let world = world(1, &[0]);
    later().await;
    for _ in 0..3 {
        let report = world.run().await;
        assert_eq!(report.errors, ["answered 500"]);
        assert_eq!(report.dead_lettered, 0);
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    let mut dead_lettered = 0;
    for minute in 0..10 {
        let time = at("09:33:00") + chrono::Duration::minutes(minute);
        world.add(time, time);
        dead_lettered += world.run().await.dead_lettered;
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    assert_eq!(dead_lettered, 1);
    assert!(world.run().await.is_success());
    assert_eq!(world.landed().len(), 10);
}

/// To see whether others are accepted, a record of a later part may have been delivered.
#[tokio::test(start_paused = true)]
async fn what_was_tried_for_the_sake_of_a_part_that_is_refused_is_not_delivered_again() {
    let world = world(1_000, &[700]);
    let refused: Vec<_> = world.state().records.keys().take(500).cloned().collect();
    world.state().refused.extend(refused);
    later().await;
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (499, 501));
    let mut landed = world.landed();
    landed.sort_unstable();
    landed.dedup();
    assert_eq!(landed.len(), world.landed().len());
}

/// Which of the two is tried first depends on the minute. If it is the good one, nothing shows that
/// others are accepted after the bad one too.
#[tokio::test(start_paused = true)]
async fn a_record_that_comes_last_waits_for_another() {
    let mut dead_lettered = Vec::new();
    for minute in 0..2 {
        let world = world(2, &[1]);
        later().await;
        tokio::time::advance(Duration::from_mins(minute)).await;
        let report = world.run().await;
        assert_eq!(report.delivered, 1);
        assert_ne!(report.is_success(), report.dead_lettered == 0);
        dead_lettered.push(report.dead_lettered);
    }
    dead_lettered.sort_unstable();
    assert_eq!(dead_lettered, [0, 1]);
}

/// A refused record is not the one over which the destination fails.
#[tokio::test(start_paused = true)]
async fn beside_records_that_are_refused_it_is_found_too() {
    for refused in [&[0][..], &[999], &[300, 301, 302], &[998, 999]] {
        let world = world(1_000, &[500]);
        let ids: Vec<_> = world.state().records.keys().cloned().collect();
        let of_these = refused.iter().map(|it| ids[*it].clone());
        world.state().refused.extend(of_these);
        later().await;
        let report = world.run().await;
        let bad = refused.len() as u64 + 1;
        let numbers = (report.delivered, report.dead_lettered);
        assert_eq!(
            numbers,
            (1_000 - bad, bad),
            "{refused:?} {:?}",
            report.errors
        );
    }
}

/// If the last records are all refused, those accepted before them show that the records are at fault.
#[tokio::test(start_paused = true)]
async fn a_part_that_is_refused_as_a_whole_is_set_aside_beside_it() {
    let world = world(1_000, &[200]);
    let refused: Vec<_> = world
        .state()
        .records
        .keys()
        .rev()
        .take(500)
        .cloned()
        .collect();
    world.state().refused.extend(refused);
    later().await;
    let (mut delivered, mut set_aside) = (0, 0);
    for _ in 0..3 {
        let report = world.run().await;
        delivered += report.delivered;
        set_aside += report.dead_lettered;
    }
    assert_eq!((delivered, set_aside), (499, 501));
}

/// Like a destination that tells the outcome of each record.
#[tokio::test(start_paused = true)]
async fn what_is_refused_beside_a_record_over_which_the_destination_fails_is_set_aside_too() {
    let world = world(100, &[40]);
    let refused = world.state().records.keys().nth(60).cloned();
    world.state().refused.extend(refused);
    world.state().tells_each = true;
    world.state().rows_at_once = Some(100);
    later().await;
    world.add(at("09:29:00"), at("09:29:00"));
    let report = world.run().await;
    assert!(report.is_success(), "{:?}", report.errors);
    assert_eq!((report.delivered, report.dead_lettered), (99, 2));
    assert_eq!(world.landed().len(), 99);
}

/// A destination that tells the outcome of each record accepts all others in the post in which it fails
/// over one. None is left to show that it accepts others after that one too, but those of later runs.
#[tokio::test(start_paused = true)]
async fn what_later_runs_accept_shows_that_a_record_is_at_fault() {
    for poison in [&[0][..], &[1, 2], &[3]] {
        let world = world(4, poison);
        world.state().tells_each = true;
        later().await;
        let (mut delivered, mut dead_lettered) = (0, Vec::new());
        for minute in 0..5 {
            let report = world.run().await;
            delivered += report.delivered;
            dead_lettered.push(report.dead_lettered);
            tokio::time::advance(Duration::from_mins(1)).await;
            // It fails over them for two runs in which nothing else comes, too.
            if minute >= 1 {
                let time = at("09:30:00") + chrono::Duration::minutes(minute);
                world.add(time, time);
            }
        }
        let bad = poison.len() as u64;
        assert_eq!(dead_lettered, [0, 0, bad, 0, 0], "{poison:?}");
        assert_eq!(delivered, 4 - bad + 3);
        let report = world.run().await;
        assert!(report.is_success() && report.caught_up);
    }
}

/// It accepts a post now and then, and then nothing any more.
#[tokio::test(start_paused = true)]
async fn in_an_outage_that_comes_and_goes_many_records_are_not_set_aside() {
    // The batch fails, a record alone is accepted, and the first half of the others fails.
    let begin = [true, false, true, true, true, true, true, true, true];
    // Five records, and then its parts.
    for second_half in [
        &[true, false, true, true, true, true, true][..],
        &[true, true, true, true, false],
        &[false],
    ] {
        let world = world(10, &[]);
        later().await;
        world.add(at("09:29:00"), at("09:29:00"));
        {
            let mut state = world.state();
            state.rows_at_once = Some(10);
            state.fails_inside_next = [&begin[..], second_half].concat().into();
            state.fails_inside = usize::MAX;
        }
        for _ in 0..2 {
            let report = world.run().await;
            assert_eq!(report.dead_lettered, 0, "{second_half:?}");
            assert_eq!(report.errors, ["answered 500"]);
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        {
            let mut state = world.state();
            state.fails_inside_next.clear();
            state.fails_inside = 0;
        }
        let report = world.run().await;
        assert!(report.is_success(), "{:?}", report.errors);
        world.assert_all_landed_once();
    }
}

/// It fails over a good record once more, beside another that it accepts.
#[tokio::test(start_paused = true)]
async fn what_failed_in_an_earlier_run_is_tried_again_before_it_is_set_aside() {
    let world = world(1, &[0]);
    world.state().tells_each = true;
    later().await;
    assert_eq!(world.run().await.errors, ["answered 500"]);
    {
        let mut state = world.state();
        state.poison_records.clear();
        state.fails_inside = 1;
    }
    world.add(at("09:30:00"), at("09:30:00"));
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (2, 0));
    world.assert_all_landed_once();
}

/// What comes after it shows that others are accepted.
#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_else_stands_in_nobody_s_way() {
    for rows in [1, 2, 5] {
        let world = world(12, &[0, 1, 2, 3, 4]);
        world.state().rows_at_once = Some(rows);
        later().await;
        let (mut delivered, mut dead_lettered) = (0, 0);
        for _ in 0..10 {
            let report = world.run().await;
            delivered += report.delivered;
            dead_lettered += report.dead_lettered;
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        assert_eq!((delivered, dead_lettered), (7, 5), "{rows}");
        assert!(world.run().await.is_success());
        assert_eq!(world.landed().len(), 7);
    }
}

/// A post over which it fails takes as long as its retries, and a record is tried alone four times.
#[tokio::test(start_paused = true)]
async fn many_of_them_keep_the_others_for_no_longer_than_two_runs() {
    for (poison, tells_each) in [
        (0..40, false),
        (0..40, true),
        (480..520, false),
        (960..1_000, false),
    ] {
        let world = world(1_000, &poison.clone().collect::<Vec<_>>());
        {
            let mut state = world.state();
            state.post_takes = Duration::from_secs(8);
            state.tells_each = tells_each;
        }
        later().await;
        let (mut delivered, mut dead_lettered) = (0, 0);
        for minute in 0..30 {
            let report = world.run().await;
            delivered += report.delivered;
            dead_lettered += report.dead_lettered;
            if minute == 1 {
                assert!(delivered > 950, "{poison:?} {tells_each} {delivered}");
            }
            let time = (world.clock)();
            world.add(time, time);
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        assert_eq!(
            (delivered, dead_lettered),
            (960 + 29, 40),
            "{poison:?} {tells_each}"
        );
        let mut landed = world.landed();
        landed.sort_unstable();
        landed.dedup();
        assert_eq!(landed.len(), world.landed().len());
    }
}

/// Nothing tells how long it has waited, so it need not have waited for an hour.
#[tokio::test(start_paused = true)]
async fn a_record_that_tells_no_past_time_is_looked_for_at_once() {
    let future = Some(at("23:00:00"));
    for (id, date, rows) in [
        ("1", None, 1),
        ("1", None, 1_000),
        ("1", future, 1),
        ("1", future, 1_000),
        ("9".repeat(56).as_str(), future, 1_000),
    ] {
        let world = World::with_records(10);
        let log_id = LogId::new(id);
        let odd = Record {
            json: Bytes::from(id.to_owned()),
            log_id: log_id.clone(),
            date,
        };
        {
            let mut state = world.state();
            state.records.insert(log_id.clone(), odd);
            state.poison_records.insert(log_id);
            state.rows_at_once = Some(rows);
        }
        let (mut delivered, mut dead_lettered) = (0, 0);
        for minute in 0..10 {
            let report = world.run().await;
            delivered += report.delivered;
            dead_lettered += report.dead_lettered;
            tokio::time::advance(Duration::from_mins(1)).await;
            let time = at("08:00:30") + chrono::Duration::minutes(minute);
            world.add(time, time);
        }
        assert_eq!((delivered, dead_lettered), (19, 1), "{id} {date:?} {rows}");
        assert!(world.run().await.is_success());
        let mut landed = world.landed();
        landed.sort();
        let mut all = world.all_ids();
        all.retain(|it| it != id);
        assert_eq!(landed, all, "{id} {date:?} {rows}");
    }
}

/// How long others of its batch have waited says nothing of it, nor when it happened, if its id tells when
/// it was stored.
#[tokio::test(start_paused = true)]
async fn a_record_is_not_looked_for_before_it_has_waited_itself() {
    for (id, stored, date) in [
        (None, "07:50:00", "07:50:00"),
        (None, "07:50:00", "06:00:00"),
        (Some("1"), "07:50:00", "07:50:00"),
    ] {
        let world = World::with_records(5);
        world.add(at("06:30:00"), at("06:30:00"));
        let new = record(at(stored), at(date));
        let new = match id {
            None => new,
            Some(id) => Record {
                json: Bytes::from_static(id.as_bytes()),
                log_id: LogId::new(id),
                ..new
            },
        };
        {
            let mut state = world.state();
            state.poison_records.insert(new.log_id.clone());
            state.records.insert(new.log_id.clone(), new);
            state.tells_each = true;
            state.rows_at_once = Some(2);
        }
        let report = world.run().await;
        assert_eq!(report.errors, ["answered 500"], "{id:?} {date}");
        assert_eq!(report.dead_lettered, 0, "{id:?} {date}");
        later().await;
        let report = world.run().await;
        assert_eq!(report.dead_lettered, 1, "{id:?} {date}");
        assert!(report.is_success(), "{:?}", report.errors);
        assert_eq!(world.landed().len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_fails_over_a_batch_and_then_refuses_everything_nothing_is_set_aside() {
    let world = world(2, &[]);
    later().await;
    world.state().fails_inside = 1;
    world.state().refuses_all = true;
    let report = world.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (0, 0));
    assert!(!report.is_success());
    world.state().refuses_all = false;
    assert_eq!(world.run().await.delivered, 2);
    world.assert_all_landed_once();
}

/// Records of parts that come later, or over which it failed, may be accepted while another is refused.
#[tokio::test(start_paused = true)]
async fn what_is_accepted_to_judge_a_record_that_is_refused_is_not_delivered_again() {
    for (count, fails) in [(6, 1), (2, 2)] {
        for refused in 0..count {
            let world = world(count, &[]);
            world.state().rows_at_once = usize::try_from(count).ok();
            world.add(at("09:29:00"), at("09:29:00"));
            let ids = world.all_ids();
            let refused = LogId::new(ids[usize::try_from(refused).unwrap()].clone());
            world.state().refused.insert(refused.clone());
            world.state().fails_inside = fails;
            later().await;
            let report = world.run().await;
            assert!(report.is_success(), "{:?}", report.errors);
            let letters = world.dead_letters().await;
            assert_eq!(letters, [format!("{refused}: it is refused")]);
            let mut landed = world.landed();
            landed.push(refused.to_string());
            landed.sort();
            assert_eq!(landed, ids, "{count}");
            assert!(world.state().landed.iter().all(|it| !it.is_empty()));
        }
    }
}

/// It may have failed over all others in the runs before.
#[tokio::test(start_paused = true)]
async fn the_last_record_is_tried_in_each_run() {
    for minute in 0..4 {
        let world = world(12, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        later().await;
        tokio::time::advance(Duration::from_mins(minute)).await;
        assert_eq!(world.run().await.delivered, 1, "{minute}");
    }
}

/// How many records are delivered and set aside in a run in which each of the first posts fails as told
/// here, and each after them. `after` records follow the batch.
async fn run_with_posts(after: i64, fails: &[&[bool]]) -> (u64, u64) {
    let world = world(10, &[]);
    later().await;
    for second in 0..after {
        let time = at("09:29:00") + chrono::Duration::seconds(second);
        world.add(time, time);
    }
    {
        let mut state = world.state();
        state.rows_at_once = Some(10);
        state.fails_inside_next = fails.concat().into();
        state.fails_inside = usize::MAX;
    }
    let report = world.run().await;
    (report.delivered, report.dead_lettered)
}

/// Three are set aside before the others are delivered, and of more three at a time after that, as long as
/// others are accepted.
#[tokio::test(start_paused = true)]
async fn few_are_set_aside_at_a_time_while_others_are_accepted() {
    let (ok, fails, twice) = (&[false][..], &[true][..], &[true, true][..]);
    // A record is tried again three times.
    let three_again = &[true; 9][..];
    // The batch fails, one record alone is accepted, and four of the others fail, as do their two halves.
    let begin = &[true, false, true, true, true, true, true][..];
    // Of two records alone the first one fails, and is tried again.
    let begins_to_fail = &[true, true, false, true, true, true][..];
    for (posts, expected) in [
        // Of these four the last one is accepted.
        (&[begin, fails, ok, three_again][..], (2, 3)),
        // All four fail, the other five are accepted, and then one after the batch.
        (&[begin, twice, ok, three_again, ok], (7, 3)),
        (
            &[begin, twice, ok, three_again, ok, twice, fails, ok],
            (8, 4),
        ),
        // The other five fail too. Of their parts the larger one comes first, and both before any record
        // is set aside.
        (&[begin, twice, fails, ok], (4, 0)),
        (&[begin, twice, fails, ok, ok], (6, 0)),
        // Of four, three fail, and the other four are accepted.
        (
            &[begins_to_fail, twice, twice, twice, ok, ok, three_again],
            (6, 4),
        ),
    ] {
        assert_eq!(run_with_posts(5, posts).await, expected, "{posts:?}");
    }
    // Where nothing follows that could show that others are accepted, nothing has to.
    let posts = [begin, twice, ok, three_again, &[true; 3]];
    assert_eq!(run_with_posts(0, &posts).await, (6, 4));
}
