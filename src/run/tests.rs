//! The run against a world in memory, under paused time, with the real checkpoints and dead letters.
//!
//! The world's source behaves as Auth0's documentation says: it returns records in ascending order of
//! ids, strictly after the given id, at most 100 per page. Ids are made from the stored time; the test
//! chooses the dates.

mod beginning;
mod beyond;
mod ending;
mod gap;
mod ids;
mod internal;
mod large;
mod late;
mod left_out;
mod refused;
mod set_aside;
mod side_by_side;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use self::world::{Fault, World};
use super::*;
use crate::destination::{Delivery, DeliveryError, Filter, Limits, Outcome, Probe, Quarantine};
use crate::net::retry::Jitter;
use crate::record::{Misfit, Page, Position, Record, STORING_DELAY, Start, StartFrom};
use crate::redact::Redaction;
use crate::state::{CheckpointLedger, CheckpointStore, DeadLetterStore, Stored, StoredLetter};
use crate::storage::memory::Memory;
use crate::storage::{Attempt, Object, Objects, Storage, StorageError, Version};

const PAGE: usize = 100;
/// Where the checkpoint is kept.
const CHECKPOINT: &str = "checkpoints/acme/memory.json";
const DEAD_LETTERS: &str = "dead-letter/acme/memory";

/// 2026-11-21 at this time of day.
fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

fn id(stored: DateTime<Utc>) -> LogId {
    LogId::synthetic("900", stored)
}

fn record(stored: DateTime<Utc>, date: DateTime<Utc>) -> Record {
    let log_id = id(stored);
    Record {
        json: Bytes::from(log_id.to_string()),
        log_id,
        date: Some(date),
    }
}

/// Each page comes before the previous one has waited for five seconds.
#[tokio::test(start_paused = true)]
async fn no_record_waits_for_others_for_longer_than_five_seconds_however_many_come() {
    let world = World::with_records(1_000);
    world.state().source_faults = vec![Some(Fault::TakesLong); 10].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.batches), (1_000, 5));
}

#[tokio::test(start_paused = true)]
async fn every_record_lands_once_and_a_second_run_delivers_nothing() {
    let world = World::with_records(2_500);
    let report = world.run().await;
    assert_eq!(world.landed(), world.all_ids());
    assert_eq!(
        (
            report.fetched,
            report.delivered,
            report.skipped,
            report.batches
        ),
        (2_500, 2_500, 0, 3)
    );
    // 25 full pages and the empty one after them.
    assert_eq!(report.requests, 26);
    assert!(report.caught_up && report.is_success());
    assert_eq!(report.lag_seconds, Some(0));
    assert_eq!(report.last_date, Some(at("07:58:00")));

    let second = world.run().await;
    assert_eq!((second.delivered, second.requests), (0, 1));
    assert_eq!(second.last_date, Some(at("07:58:00")));
    assert_eq!(world.landed().len(), 2_500);
}

#[tokio::test(start_paused = true)]
async fn new_records_are_delivered_and_those_read_again_are_not() {
    let world = World::with_records(10);
    world.add(at("07:59:30"), at("07:59:29"));
    world.run().await;
    for n in 0..130 {
        let time = at("07:59:40") + chrono::Duration::milliseconds(n);
        world.add(time, time);
    }
    let report = world.run().await;
    assert_eq!((report.delivered, report.skipped), (130, 1));
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_becomes_visible_below_ids_already_read_is_delivered() {
    let world = World::with_records(10);
    world.add(at("07:59:30"), at("07:59:30"));
    world.run().await;
    world.add(at("07:59:10"), at("07:59:09"));
    let report = world.run().await;
    assert_eq!((report.delivered, report.skipped), (1, 1));
    assert_eq!(world.landed().last().unwrap(), id(at("07:59:10")).as_str());
}

#[tokio::test(start_paused = true)]
async fn what_may_become_visible_late_is_judged_by_the_clock_of_the_source() {
    let ahead = TimeDelta::minutes(3);
    let mut world = World::with_records(10);
    world.state().clock_ahead = ahead;
    let right = world.clock.clone();
    world.clock = Arc::new(move || right() + ahead);
    world.add(at("07:59:50"), at("07:59:50"));
    assert_eq!(world.run().await.delivered, 11);
    // It becomes visible ten seconds after it was stored, within the overlap.
    world.add(at("07:59:45"), at("07:59:45"));
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_late_record_lands_although_the_run_that_should_have_read_it_failed() {
    let world = World::with_records(10);
    world.add(at("07:59:50"), at("07:59:50"));
    world.run().await;
    world.add(at("07:59:40"), at("07:59:40"));
    tokio::time::advance(Duration::from_mins(1)).await;
    world.state().source_faults = [Some(Fault::Fails)].into();
    assert!(!world.run().await.is_success());
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_late_record_lands_although_its_stretch_was_read_before_and_settled_since() {
    // Read 50 s after it was stored. The post takes 20 s, after which the record is older than the
    // overlap.
    let world = World::with_records(10);
    world.add(at("07:59:10"), at("07:59:10"));
    world.state().destination_faults = [Some(Fault::Delays)].into();
    let late = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.add(at("07:59:08"), at("07:59:08"));
    };
    tokio::join!(world.run(), late);
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_late_record_lands_although_the_run_ended_before_its_page() {
    let world = World::with_records(10);
    for n in 0..600 {
        let time = at("07:59:30") + chrono::Duration::milliseconds(10 * n);
        world.add(time, time);
    }
    world.run().await;
    // One late record belongs to the first page, one to the sixth. Reading fails in between, so late
    // that all of them are settled.
    world.add(at("07:59:30.005"), at("07:59:30"));
    world.add(at("07:59:35.555"), at("07:59:35"));
    tokio::time::advance(Duration::from_secs(50)).await;
    world.state().source_faults = [None, Some(Fault::Delays), Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!((report.delivered, report.is_success()), (1, false));
    assert_eq!(world.run().await.delivered, 1);
    world.assert_all_landed_once();
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_moves_nothing_and_the_next_run_delivers_it_all() {
    let world = World::with_records(2_500);
    world.state().destination_faults = [None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["it failed"]);
    assert_eq!((report.delivered, report.caught_up), (1_000, false));
    // The oldest unhandled record is 1,499 s older than the newest record, which is 120 s old.
    assert_eq!(report.lag_seconds, Some(1_619));

    assert_eq!(world.run().await.delivered, 1_500);
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_costs_one_batch_of_duplicates_and_no_loss() {
    let world = World::with_records(2_500);
    world.state().destination_faults = [None, Some(Fault::LosesAnswer)].into();
    assert!(!world.run().await.is_success());
    world.run().await;
    let mut landed = world.landed();
    assert_eq!(landed.len(), 3_500);
    landed.sort();
    landed.dedup();
    assert_eq!(landed, world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_failure_is_delivered_and_saved() {
    let world = World::with_records(500);
    world.state().source_faults = [None, None, Some(Fault::Fails)].into();
    let report = world.run().await;
    assert_eq!(report.errors, ["it failed"]);
    assert_eq!((report.delivered, report.caught_up), (200, false));
    assert_eq!(world.run().await.delivered, 300);
    assert_eq!(world.landed(), world.all_ids());
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_to_the_bytes_that_the_destination_takes() {
    let world = World::with_records(0);
    for (second, length) in [(1, 30_000), (2, 29_996), (3, 1), (4, 100_000), (5, 1)] {
        let time = at("07:00:00") + chrono::Duration::seconds(second);
        let mut record = record(time, time);
        record.json = Bytes::from("x".repeat(length));
        world.state().records.insert(record.log_id.clone(), record);
    }
    world.run().await;
    let sizes: Vec<Vec<usize>> = world
        .state()
        .landed
        .iter()
        .map(|batch| batch.iter().map(String::len).collect())
        .collect();
    // 30,000, 29,996 and three separators are one byte below the limit. The row that exceeds the limit
    // travels alone.
    assert_eq!(
        sizes,
        [vec![30_000, 29_996], vec![1], vec![100_000], vec![1]]
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_again_in_a_later_batch_is_not_delivered_again() {
    let world = World::with_records(0);
    for second in 1..=4 {
        let time = at("07:00:00") + chrono::Duration::seconds(second);
        let record = Record {
            json: Bytes::from("x".repeat(40_000)),
            ..record(time, time)
        };
        world.state().records.insert(record.log_id.clone(), record);
    }
    let records: Vec<_> = world.state().records.values().cloned().collect();
    // Each record is a batch of its own, and too young for the cursor to pass it.
    let source = Stuck([records.clone(), records].concat());
    let policy = Policy {
        overlap: Duration::from_hours(24),
        ..World::policy()
    };
    let report = world
        .run_of(&source, policy, &watch::Sender::default())
        .await;
    assert_eq!((report.delivered, report.batches), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_is_one_request_and_saves_nothing_but_every_ten_minutes_that_it_compared() {
    let world = World::with_records(10);
    // The first run looks for earlier records, and so does, once, the second run that finds nothing
    // new.
    world.run().await;
    assert_eq!(world.state().comparisons, 1);
    world.run().await;
    assert_eq!(world.state().comparisons, 1);
    world.run().await;
    assert_eq!(world.state().comparisons, 2);
    for _ in 0..3 {
        let saves = world.state().saves;
        let requests = world.state().requests;
        let comparisons = world.state().comparisons;
        for _ in 0..9 {
            tokio::time::advance(Duration::from_mins(1)).await;
            world.run().await;
        }
        assert_eq!(world.state().comparisons, comparisons);
        assert_eq!(world.state().saves, saves);
        assert_eq!(world.state().requests, requests + 9);
        tokio::time::advance(Duration::from_mins(1)).await;
        world.run().await;
        assert_eq!(world.state().comparisons, comparisons + 1);
        assert_eq!(world.state().saves, saves + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_cursor_follows_when_its_records_have_aged() {
    let world = World::with_records(0);
    world.add(at("07:59:30"), at("07:59:30"));
    world.run().await;
    assert_eq!(world.position().await, Position::Start(Start::Oldest));
    tokio::time::advance(Duration::from_secs(30)).await;
    world.run().await;
    assert_eq!(world.position().await, Position::After(id(at("07:59:30"))));
    assert_eq!(world.run().await.fetched, 0);
}

/// A source that answers every request with the same page, which is never the last.
struct Stuck(Vec<Record>);

impl Source for Stuck {
    async fn first(&self, _: Start, _: Deadline) -> Result<Page, SourceError> {
        Ok(Page {
            misfits: Vec::new(),
            records: self.0.clone(),
            is_last: false,
        })
    }

    async fn after(&self, _: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.first(Start::Oldest, deadline).await
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.after(id, deadline).await
    }

    async fn has_dropped(&self, _: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Ok(false)
    }

    async fn oldest(&self, _: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        Ok(None)
    }

    fn requests(&self) -> u64 {
        0
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_repeats_itself_is_delivered_once_and_then_an_error() {
    let world = World::with_records(100);
    let records: Vec<_> = world.state().records.values().cloned().collect();
    let source = Stuck([records.clone(), records].concat());
    let report = world
        .run_of(&source, World::policy(), &watch::Sender::default())
        .await;
    assert_eq!(world.landed(), world.all_ids());
    assert_eq!((report.delivered, report.skipped), (100, 300));
    assert_eq!(report.errors.len(), 1);
    assert!(report.errors[0].starts_with("reading makes no progress"));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_short_and_not_the_last_is_read_on_after() {
    let world = World::with_records(850);
    world.state().short_pages = Some(50);
    let report = world.run().await;
    assert_eq!((report.delivered, report.caught_up), (850, true));
    assert_eq!(
        world.run().await.requests,
        1,
        "a quiet run stays one request"
    );
}
