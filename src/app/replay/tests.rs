use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeDelta, Timelike as _};
use futures_util::future::BoxFuture;

use super::*;
use crate::destination::Archived;
use crate::error::BoxError;
use crate::record::{LogId, Record, Start};

/// The ids in each object of each hour.
struct Objects(Vec<(u32, Vec<Vec<LogId>>)>);

fn at(hour: u32) -> DateTime<Utc> {
    format!("2026-11-21T{hour:02}:00:00Z").parse().unwrap()
}

fn id(prefix: &str, hour: u32, minute: i64) -> LogId {
    LogId::synthetic(prefix, at(hour) + TimeDelta::minutes(minute))
}

impl Archived for Objects {
    fn groups(
        &self,
        hour: DateTime<Utc>,
        _: Deadline,
    ) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
        let of_hour = self.0.iter().find(|(it, _)| *it == hour.hour());
        let groups = of_hour.map(|(hour, groups)| {
            let names = (0..groups.len()).map(|n| vec![format!("{hour} {n}")]);
            names.collect()
        });
        Box::pin(std::future::ready(Ok(groups.unwrap_or_default())))
    }

    fn undated(&self, _: Deadline) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn read<'a>(
        &'a self,
        group: &'a [String],
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Record>, BoxError>> {
        let (hour, number) = group[0].split_once(' ').unwrap();
        let hour: u32 = hour.parse().unwrap();
        let (_, groups) = self.0.iter().find(|(it, _)| *it == hour).unwrap();
        let ids = &groups[number.parse::<usize>().unwrap()];
        let records = ids.iter().map(|log_id| Record {
            log_id: log_id.clone(),
            date: None,
            json: Bytes::new(),
        });
        Box::pin(std::future::ready(Ok(records.collect())))
    }
}

/// All records handed out, page by page, in the way that a run reads them.
async fn pages(objects: &Objects, from: u32, to: u32) -> Vec<Vec<LogId>> {
    let stretch = Stretch {
        from: Some(Mark::At(at(from) + TimeDelta::minutes(30))),
        to: Mark::At(at(to)),
    };
    let hours = ArchiveSource::new(objects, &stretch, at(12));
    let deadline = Deadline::after(Duration::from_mins(1));
    let mut page = hours.first(Start::Oldest, deadline).await.unwrap();
    let mut pages = Vec::new();
    while !page.is_last {
        let ids: Vec<_> = page.records.iter().map(|it| it.log_id.clone()).collect();
        page = hours.after(ids.last().unwrap(), deadline).await.unwrap();
        pages.push(ids);
    }
    assert!(page.records.is_empty());
    pages
}

#[tokio::test]
async fn the_hours_of_a_stretch_and_the_one_after_it_are_handed_out_object_by_object() {
    let of = |hour| {
        (
            hour,
            vec![vec![id("900", hour, 1)], vec![id("900", hour, 2)]],
        )
    };
    let objects = Objects(vec![of(6), of(7), of(9), of(10), of(11)]);
    let expected: Vec<_> = [7, 9, 10]
        .into_iter()
        .flat_map(|hour| [vec![id("900", hour, 1)], vec![id("900", hour, 2)]])
        .collect();
    assert_eq!(pages(&objects, 7, 9).await, expected);
}

#[tokio::test]
async fn no_record_is_dropped_for_a_prefix_that_is_smaller_than_the_one_before() {
    let objects = Objects(vec![
        (7, vec![vec![id("900", 7, 1)]]),
        (
            8,
            vec![
                vec![id("800", 8, 1), id("900", 8, 2)],
                vec![id("800", 8, 3)],
            ],
        ),
    ]);
    let expected = [
        vec![id("900", 7, 1)],
        vec![id("800", 8, 1), id("900", 8, 2)],
        vec![id("800", 8, 3)],
    ];
    assert_eq!(pages(&objects, 7, 9).await, expected);
}

#[tokio::test]
async fn a_look_at_what_comes_takes_nothing_from_who_reads_on() {
    let of = |hour| {
        let ids = [1, 2, 3].map(|minute| id("900", hour, minute));
        let [first, second, third] =
            ids.map(|it| LogId::new(it.as_str().replace("000000", "000001")));
        (hour, vec![vec![first, second], vec![third]])
    };
    let objects = Objects(vec![of(7), of(9), of(10)]);
    let all: Vec<_> = objects.0.iter().flat_map(|(_, it)| it.concat()).collect();
    let stretch = Stretch {
        from: Some(Mark::At(at(7))),
        to: Mark::At(at(9)),
    };
    let hours = ArchiveSource::new(&objects, &stretch, at(12));
    let deadline = Deadline::after(Duration::from_mins(1));
    hours.first(Start::Oldest, deadline).await.unwrap();
    let mut looked = Vec::new();
    for id in &all {
        let page = hours.look(id, deadline).await.unwrap();
        looked.push(page.records.first().map(|it| it.log_id.clone()));
        assert_eq!(page.is_last, page.records.is_empty());
    }
    let next: Vec<_> = all[1..].iter().cloned().map(Some).chain([None]).collect();
    assert_eq!(looked, next);
    for odd in [id("900", 8, 0), LogId::new("odd")] {
        let look = hours.look(&odd, deadline).await;
        assert!(matches!(look, Err(SourceError::Rejected(_))), "{odd}");
    }
    let page = hours.after(&all[1], deadline).await.unwrap();
    assert_eq!(page.records[0].log_id, all[2]);
}

#[tokio::test]
async fn a_stretch_of_centuries_is_read_where_there_can_be_records() {
    struct Counting(std::sync::Mutex<Vec<DateTime<Utc>>>);
    impl Archived for Counting {
        fn groups(
            &self,
            hour: DateTime<Utc>,
            _: Deadline,
        ) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
            self.0.lock().unwrap().push(hour);
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn undated(&self, _: Deadline) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn read<'a>(
            &'a self,
            _: &'a [String],
            _: Deadline,
        ) -> BoxFuture<'a, Result<Vec<Record>, BoxError>> {
            unreachable!("there is no object")
        }
    }
    let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let (typed, next_century) = (time("0206-11-21T08:00:00Z"), time("2926-11-21T08:00:00Z"));
    for (from, to, first, last, hours) in [
        (at(7), next_century, at(7), time("2026-11-22T12:00:00Z"), 30),
        (
            typed,
            time("2013-01-01T01:00:00Z"),
            time("2013-01-01T00:00:00Z"),
            time("2013-01-01T02:00:00Z"),
            3,
        ),
    ] {
        let objects = Counting(std::sync::Mutex::default());
        let stretch = Stretch {
            from: Some(Mark::At(from)),
            to: Mark::At(to),
        };
        let deadline = Deadline::after(Duration::from_mins(1));
        let read = ArchiveSource::new(&objects, &stretch, at(12));
        assert!(read.first(Start::Oldest, deadline).await.unwrap().is_last);
        let listed = objects.0.into_inner().unwrap();
        assert_eq!((listed[0], *listed.last().unwrap()), (first, last));
        assert_eq!(listed.len(), hours);
    }
}

#[test]
fn what_auth0_has_dropped_reaches_to_its_oldest_record_or_to_the_end_of_the_stretch() {
    let stretch = Stretch {
        from: Some(Mark::At(at(7))),
        to: Mark::At(at(9)),
    };
    for (oldest, to) in [
        (6, None),
        (7, None),
        (8, Some(8)),
        (9, Some(9)),
        (10, Some(9)),
    ] {
        let gap = to.map(|to| (Some(at(7)), at(to)));
        let found = before(at(oldest), &stretch).map(|it| (it.from, it.to));
        assert_eq!(found, gap, "{oldest}");
    }
}
