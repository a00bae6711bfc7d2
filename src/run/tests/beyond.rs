//! What is tried after a batch of which all is refused.

use super::refused::{assert_landed_but, refuse, run_to_the_end};
use super::*;

/// Adds this many records, one a second. The destination wants those of these numbers, refuses
/// those of them that are not `good`, and does not get the others.
fn add_wanted(world: &mut World, count: i64, wanted: &[i64], good: &[i64]) {
    world.filter = Filter::parse("fp").unwrap();
    for n in 0..count {
        let time = at("07:00:00") + chrono::Duration::seconds(n);
        let mut record = record(time, time);
        let kind = if wanted.contains(&n) { "fp" } else { "s" };
        let json = format!(r#"{{"type":"{kind}","n":{n}}}"#);
        if kind == "fp" && !good.contains(&n) {
            world.state().refused.insert(LogId::new(json.clone()));
        }
        record.json = Bytes::from(json);
        world.state().records.insert(record.log_id.clone(), record);
    }
}

#[tokio::test(start_paused = true)]
async fn where_made_up_ids_are_rejected_one_page_after_the_other_is_tried() {
    let world = World::with_records(600);
    world.state().rejects_unknown = true;
    world.state().rows_at_once = Some(3);
    let letters = refuse(&world, 0..350);
    run_to_the_end(&world).await;
    assert_landed_but(&world, &letters).await;
}

/// As on a bus that takes ten events at once. The pages right after the batch have only a few more
/// records for the destination, which are as bad.
#[tokio::test(start_paused = true)]
async fn a_few_refused_records_before_many_that_are_left_out_stop_nothing_after_these() {
    let mut world = World::with_records(0);
    world.state().rows_at_once = Some(10);
    let wanted = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 40, 2_500];
    add_wanted(&mut world, 3_000, &wanted, &[2_500]);
    run_to_the_end(&world).await;
    assert_eq!(world.landed(), [r#"{"type":"fp","n":2500}"#]);
    assert_eq!(world.dead_letters().await.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_few_refused_records_after_which_all_is_left_out_are_set_aside_after_an_hour() {
    for (count, wanted) in [
        (3_000, &[0, 1, 2][..]),
        (600, &[0, 1, 2, 50, 150, 250, 350]),
    ] {
        let mut world = World::with_records(0);
        world.state().rows_at_once = Some(3);
        add_wanted(&mut world, count, wanted, &[]);
        let report = world.run().await;
        assert_eq!((report.dead_lettered, report.errors.len()), (0, 1));
        tokio::time::advance(Duration::from_mins(61)).await;
        for _ in 0..3 {
            world.run().await;
            tokio::time::advance(Duration::from_mins(61)).await;
        }
        assert_eq!(world.dead_letters().await.len(), wanted.len(), "{count}");
        assert!(world.run().await.caught_up, "{count}");
    }
}

/// Whether the destination would take that record is not known.
#[tokio::test(start_paused = true)]
async fn a_record_over_which_the_destination_fails_is_not_none_after_refused_ones() {
    let world = World::with_records(4);
    world.state().rows_at_once = Some(3);
    let letters = refuse(&world, 0..3);
    let last = world.state().records.keys().next_back().cloned();
    world.state().poison_records.extend(last);
    for _ in 0..3 {
        let report = world.run().await;
        assert!(
            report.errors[0].starts_with("the destination refuses every record"),
            "{report:?}"
        );
        assert_eq!(report.dead_lettered, 0);
        tokio::time::advance(Duration::from_hours(2)).await;
    }
    world.state().poison_records.clear();
    assert_eq!(world.run().await.delivered, 1);
    assert_landed_but(&world, &letters).await;
}
