//! A replay from an archive, which is read in several pieces.

use std::path::Path;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::*;
use crate::destination::{
    Archived, Delivery, DeliveryError, Destination, Limits, Outcome, Probe, Quarantine,
};
use crate::net::retry::Deadline;
use crate::record::{LogId, Record};
use crate::run::{Mark, Stretch};

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Taken,
    Refused,
    Unfit,
    Quarantined,
    Open,
    /// The object that has it cannot be read.
    Damaged,
}

use Fate::{Damaged, Open, Quarantined, Refused, Taken, Unfit};

/// A destination that also keeps records: each piece is an object of the hour. The ids of a piece are
/// below those of the piece before.
#[derive(Clone)]
struct Pieces(Vec<Vec<Fate>>);

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

impl Pieces {
    fn fate(&self, row: &[u8]) -> Fate {
        let (piece, place) = std::str::from_utf8(row).unwrap().split_once(' ').unwrap();
        self.0[piece.parse::<usize>().unwrap()][place.parse::<usize>().unwrap()]
    }
}

impl Archived for Pieces {
    fn groups(
        &self,
        hour: DateTime<Utc>,
        _: Deadline,
    ) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
        let pieces = if hour == at("05:00:00") {
            self.0.len()
        } else {
            0
        };
        let groups = (0..pieces).map(|it| vec![it.to_string()]).collect();
        Box::pin(std::future::ready(Ok(groups)))
    }

    fn undated(&self, _: Deadline) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn read<'a>(
        &'a self,
        group: &'a [String],
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Record>, BoxError>> {
        let piece: usize = group[0].parse().unwrap();
        if self.0[piece].contains(&Damaged) {
            return Box::pin(std::future::ready(Err("damaged".into())));
        }
        let prefix = (900 - piece).to_string();
        let records = (0..self.0[piece].len()).map(|place| {
            let date = at("05:10:00") + TimeDelta::seconds(place.try_into().unwrap());
            Record {
                log_id: LogId::synthetic(&prefix, date),
                date: Some(date),
                json: format!("{piece} {place}").into(),
            }
        });
        Box::pin(std::future::ready(Ok(records.collect())))
    }
}

impl Destination for Pieces {
    fn limits(&self) -> Limits {
        Limits {
            rows: 1_000,
            bytes: 1_000_000,
            per_row: 0,
            per_delivery: 0,
            side_by_side: 1,
        }
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        match self.fate(&record.json) {
            Unfit => Err("too large".into()),
            _ => Ok(record.json.clone()),
        }
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], _: Deadline) -> BoxFuture<'a, Delivery> {
        let outcome = |row: &Bytes| match self.fate(row) {
            Refused => Outcome::Refused("bad".into()),
            Open => Outcome::Open,
            _ => Outcome::Accepted,
        };
        let quarantined = rows.iter().filter(|it| self.fate(it) == Quarantined);
        let quarantined = u64::try_from(quarantined.count()).unwrap();
        let is_away = rows.iter().any(|it| self.fate(it) == Open);
        let delivery = Delivery {
            error: is_away.then(|| DeliveryError::Failed("away".into())),
            outcomes: rows.iter().map(outcome).collect(),
            quarantine: (quarantined > 0).then(|| Quarantine {
                rows: quarantined,
                advice: "look there".into(),
            }),
            ..Delivery::accepted(rows.len(), 1)
        };
        Box::pin(std::future::ready(delivery))
    }

    fn archived(&self) -> Option<&dyn Archived> {
        Some(self)
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        unreachable!("nothing probes")
    }
}

async fn replayed(pieces: &[Vec<Fate>]) -> Report {
    let state = tempfile::tempdir().unwrap();
    replayed_to(state.path(), pieces, false).await
}

async fn replayed_to(state: &Path, pieces: &[Vec<Fate>], is_dry: bool) -> Report {
    let mut app = app(&[("CHECKPOINT_DIR", state.to_str().unwrap())]).unwrap();
    let pieces = Pieces(pieces.to_vec());
    app.pipelines[0].route.as_mut().ok().unwrap().destination = Box::new(pieces.clone());
    let replay = Replay {
        stretch: Stretch {
            from: Some(Mark::At(at("05:00:00"))),
            to: Mark::At(at("06:00:00")),
        },
        filter: None,
        source: Some(&pieces),
        is_dry,
    };
    app.replay(&replay).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_few_bad_records_of_one_piece_do_not_fail_a_replay_of_many() {
    for bad in [Refused, Unfit] {
        let few = vec![bad, bad, Taken];
        let report = replayed(&[vec![Taken; 12], few, vec![Taken; 12]]).await;
        assert_eq!((report.delivered, report.dead_lettered), (25, 2));
        assert_eq!(report.errors, <[String; 0]>::default());
        assert!(report.caught_up);
    }
}

#[tokio::test(start_paused = true)]
async fn bad_records_of_several_pieces_are_judged_together() {
    for (bad, told) in [
        (Refused, "the destination refused 3 of the 27 records"),
        (Unfit, "3 of the 27 records of this run do not fit"),
    ] {
        let piece = [vec![bad], vec![Taken; 8]].concat();
        let report = replayed(&[piece.clone(), piece.clone(), piece]).await;
        assert_eq!((report.delivered, report.dead_lettered), (24, 3));
        assert_eq!(report.errors.len(), 1, "{report:?}");
        assert!(report.errors[0].starts_with(told), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn quarantined_records_of_several_pieces_are_told_as_one_count() {
    let piece = vec![Quarantined, Taken];
    let report = replayed(&[piece.clone(), vec![Taken], piece]).await;
    assert_eq!((report.delivered, report.quarantined), (3, 2));
    assert_eq!(report.errors.len(), 1, "{report:?}");
    let told = "the destination quarantined 2 of the records that it took";
    assert!(report.errors[0].starts_with(told), "{report:?}");
    // The advice is told although the last piece has none.
    let report = replayed(&[vec![Quarantined, Taken], vec![Taken]]).await;
    assert!(report.errors[0].contains("look there"), "{report:?}");
}

/// The destination may have been about to fail.
#[tokio::test(start_paused = true)]
async fn what_was_set_aside_before_a_failure_proves_nothing() {
    let report = replayed(&[vec![Refused, Refused, Taken], vec![Open]]).await;
    assert_eq!((report.delivered, report.dead_lettered), (1, 2));
    assert_eq!(report.errors, ["away"]);
}

#[tokio::test(start_paused = true)]
async fn where_a_piece_fails_the_replay_ends() {
    let report = replayed(&[vec![Open], vec![Taken]]).await;
    assert_eq!((report.delivered, report.caught_up), (0, false));
    assert_eq!(report.errors, ["away"]);
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_cannot_be_read_is_not_said_to_have_nothing() {
    let report = replayed(&[]).await;
    let gap = report.gap.map(|it| (it.from, it.to));
    assert_eq!(gap, Some((Some(at("05:00:00")), at("06:00:00"))));
    let report = replayed(&[vec![Damaged]]).await;
    assert_eq!((report.fetched, report.gap), (0, None));
    assert_eq!(report.errors.len(), 1, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_keeps_no_dead_letter_and_counts_it() {
    let pieces = [vec![Taken; 12], vec![Unfit]];
    for is_dry in [true, false] {
        let state = tempfile::tempdir().unwrap();
        let report = replayed_to(state.path(), &pieces, is_dry).await;
        assert_eq!((report.delivered, report.dead_lettered), (12, 1));
        assert_eq!(state.path().join("dead-letter").exists(), !is_dry);
    }
}
