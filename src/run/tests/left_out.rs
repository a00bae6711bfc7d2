//! Records that are not delivered: filtered out, or too old.

use super::*;

/// Records that were stored recently and happened long ago.
fn world_of_old_records(count: i64, first: &str) -> World {
    let world = World::with_records(0);
    for n in 0..count {
        let stored = at(first) + chrono::Duration::milliseconds(100 * n);
        world.add(stored, at("05:00:00"));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_leaves_records_out_goes_on_where_the_one_before_stopped() {
    let world = world_of_old_records(6_000, "07:30:00");
    for second in 0..300 {
        let time = at("07:45:00") + chrono::Duration::seconds(second);
        world.add(time, time);
    }
    let mut runs = Vec::new();
    for _ in 0..5 {
        // A page takes 20 seconds, so there is time for fifteen pages.
        world.state().source_faults = vec![Some(Fault::Delays); 100].into();
        let report = world
            .run_with(|policy| {
                policy.start_from = StartFrom::Ago(Duration::from_hours(1));
                policy.budget = Duration::from_secs(320);
            })
            .await;
        assert_eq!(report.errors, Vec::<String>::new());
        runs.push((report.before_start, report.delivered, report.caught_up));
    }
    let (left_out, delivered): (Vec<_>, Vec<_>) = runs.iter().map(|it| (it.0, it.1)).unzip();
    assert_eq!(
        (left_out.iter().sum(), delivered.iter().sum()),
        (6_000, 300),
        "{runs:?}"
    );
    assert_eq!(runs.last().unwrap(), &(0, 300, true), "{runs:?}");
    world.add(at("08:00:10"), at("06:59:59"));
    let start = |policy: &mut Policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1));
    let report = world.run_with(start).await;
    assert_eq!(
        report.before_start, 1,
        "what is dated before the start stays left out"
    );
}

#[tokio::test(start_paused = true)]
async fn that_records_were_left_out_is_kept_before_the_run_ends() {
    let world = world_of_old_records(3_000, "07:30:00");
    // The run stops abruptly, as if it were killed.
    world.state().source_faults = [vec![None; 25], vec![Some(Fault::Delays)]].concat().into();
    let stopped = tokio::time::timeout(
        Duration::from_secs(10),
        world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1))),
    );
    assert!(stopped.await.is_err());
    let Position::After(cursor) = world.position().await else {
        panic!("nothing was kept");
    };
    assert!(cursor.stored_at().unwrap() >= at("07:33:19"), "{cursor}");
}

/// The cursor cannot pass the batch, so a checkpoint would hold the id of each.
#[tokio::test(start_paused = true)]
async fn while_a_batch_is_not_answered_so_many_records_are_left_out_and_no_more() {
    let world = world_of_old_records(25_000, "07:15:00");
    world.add(at("07:14:59"), at("07:14:59"));
    world.state().post_takes = Duration::from_mins(3);
    let started = tokio::time::timeout(
        Duration::from_mins(2),
        world.run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1))),
    );
    assert!(started.await.is_err());
    let pages = world.state().requests;
    // 20,000 records, and those that are read ahead.
    assert!((200..=215).contains(&pages), "{pages}");

    let report = world
        .run_with(|policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1)))
        .await;
    // That 20,000 were left out was saved with what was delivered.
    let numbers = (report.delivered, report.skipped, report.before_start);
    assert_eq!(numbers, (1, 20_000, 5_000));
    assert!(report.is_success() && report.caught_up);
}

#[tokio::test(start_paused = true)]
async fn records_that_are_filtered_out_move_the_cursor_although_nothing_is_delivered() {
    let mut world = World::with_records(2_500);
    world.filter = Filter::parse("fp").unwrap();
    let report = world.run().await;
    assert_eq!(
        (report.filtered, report.delivered, report.batches),
        (2_500, 0, 0)
    );
    assert!(report.caught_up && report.errors.is_empty());
    // All but those that are younger than the overlap were passed.
    let again = world.run().await;
    assert_eq!((again.fetched, again.filtered), (0, 0));

    // After a run that is killed, the next one does not begin before them again.
    let mut world = World::with_records(2_500);
    world.filter = Filter::parse("fp").unwrap();
    world.state().source_faults = [vec![None; 15], vec![Some(Fault::Fails)]].concat().into();
    assert_eq!(world.run().await.filtered, 1_500);
    assert_eq!(world.run().await.filtered, 1_000);
}

#[tokio::test(start_paused = true)]
async fn of_a_filtered_log_what_matches_is_delivered_in_order_and_the_rest_is_counted() {
    let mut world = World::with_records(0);
    for n in 0..250 {
        let time = at("07:50:00") + chrono::Duration::seconds(n);
        let mut record = record(time, time);
        let kind = if n % 10 == 0 { "fp" } else { "s" };
        record.json = Bytes::from(format!(r#"{{"type":"{kind}","n":{n}}}"#));
        world.state().records.insert(record.log_id.clone(), record);
    }
    world.filter = Filter::parse("auth.login.fail").unwrap();
    let report = world.run().await;
    assert_eq!(
        (report.fetched, report.delivered, report.filtered),
        (250, 25, 225)
    );
    let expected = (0..250)
        .step_by(10)
        .map(|n| format!(r#"{{"type":"fp","n":{n}}}"#));
    assert!(world.landed().into_iter().eq(expected));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_filtered_out_is_not_sent_before_its_turn_either() {
    let mut world = World::with_records(0);
    for n in 0..212 {
        let time = at("07:50:00") + chrono::Duration::seconds(n);
        let mut record = record(time, time);
        // Nine of the refused records fill a batch, and the tenth does not fit.
        let (kind, padding) = if n < 9 || n == 30 {
            ("fp", 6_000)
        } else {
            ("s", 0)
        };
        let padding = "x".repeat(padding);
        let json = format!(r#"{{"type":"{kind}","n":{n},"padding":"{padding}"}}"#);
        if kind == "fp" {
            world.state().refused.insert(LogId::new(json.clone()));
        }
        record.json = Bytes::from(json);
        world.state().records.insert(record.log_id.clone(), record);
    }
    world.filter = Filter::parse("fp").unwrap();
    let report = world.run().await;
    assert_eq!(world.landed(), Vec::<String>::new());
    assert_eq!((report.delivered, report.errors.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_record_from_before_the_start_is_not_sent_before_its_turn_either() {
    let world = world_of_old_records(300, "07:59:00");
    for second in 0..10 {
        let time = at("07:50:00") + chrono::Duration::seconds(second);
        world.add(time, time);
    }
    let refused: BTreeSet<_> = world.state().records.keys().take(10).cloned().collect();
    world.state().refused = refused;
    // Whether it refuses all is asked of what follows the first batch.
    world.state().rows_at_once = Some(5);
    let start = |policy: &mut Policy| policy.start_from = StartFrom::Ago(Duration::from_hours(1));
    let report = world.run_with(start).await;
    assert_eq!(world.landed(), Vec::<String>::new());
    assert_eq!((report.delivered, report.errors.len()), (0, 1));
}
