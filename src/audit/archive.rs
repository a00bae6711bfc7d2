//! What an archive holds of an hour, and which records came late, judging by its objects.
//!
//! Runs deliver records in the order of their ids, one batch per object. So a record whose id lies
//! within the span of an object that lacks it was not visible when that batch was read: it is late.
//! If the spans of two objects overlap, the one that contains the other was written first, because
//! most records are on time; otherwise the one that ends earlier. An archive cannot tell whether a
//! record between the end of one object and the beginning of the next was late, nor whether a
//! record was late at Auth0 or was delivered later for another reason, such as a replay.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::AtDestination;
use crate::destination::Archived;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::LogId;

/// What an archive holds of an hour.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Archive {
    pub there: AtDestination,
    pub late: BTreeSet<LogId>,
}

impl Archive {
    /// Reads the hour, one object at a time.
    pub async fn read(
        archived: &dyn Archived,
        hour: DateTime<Utc>,
        deadline: Deadline,
    ) -> Result<Self, BoxError> {
        let mut objects = Vec::new();
        for path in archived.groups(hour, deadline).await?.into_iter().flatten() {
            let records = archived.read(std::slice::from_ref(&path), deadline).await?;
            objects.push(records.into_iter().map(|it| it.log_id).collect());
        }
        Ok(Self::of(&objects))
    }

    fn of(objects: &[BTreeSet<LogId>]) -> Self {
        let ids = objects.iter().flatten();
        Self {
            there: ids.map(|id| (id.clone(), String::new())).collect(),
            late: late(objects),
        }
    }
}

/// The ids of an object that belong to one series.
struct Span<'a> {
    ids: Vec<&'a LogId>,
    first: &'a LogId,
    last: &'a LogId,
}

impl Span<'_> {
    fn spans(&self, id: &LogId) -> bool {
        self.first < id && id < self.last
    }

    fn is_within(&self, other: &Self) -> bool {
        other.first <= self.first && self.last <= other.last
    }

    fn was_before(&self, other: &Self) -> bool {
        match (other.is_within(self), self.is_within(other)) {
            (true, false) => true,
            (false, true) => false,
            (false, false) => self.last < other.last,
            (true, true) => self.ids.len() > other.ids.len(),
        }
    }
}

fn late(objects: &[BTreeSet<LogId>]) -> BTreeSet<LogId> {
    let mut spans: Vec<_> = objects.iter().flat_map(spans).collect();
    spans.sort_by_key(|it| it.first);
    let mut late = BTreeSet::new();
    for (n, span) in spans.iter().enumerate() {
        // Spans that begin after this one ends do not overlap it.
        let others = spans[n + 1..].iter();
        for other in others.take_while(|it| it.first < span.last) {
            let (before, after) = if span.was_before(other) {
                (span, other)
            } else {
                (other, span)
            };
            let within = after.ids.iter().filter(|id| before.spans(id));
            late.extend(within.map(|id| (*id).clone()));
        }
    }
    late
}

/// The spans of an object, one per series.
fn spans(object: &BTreeSet<LogId>) -> Vec<Span<'_>> {
    let mut spans: Vec<Span> = Vec::new();
    for id in object.iter().filter(|it| it.prefix().is_some()) {
        match spans.last_mut() {
            Some(span) if span.last.series() == id.series() => {
                span.last = id;
                span.ids.push(id);
            }
            _ => spans.push(Span {
                ids: vec![id],
                first: id,
                last: id,
            }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(prefix: &str, minute: u32) -> LogId {
        let time = format!("2026-11-21T08:{minute:02}:00Z");
        LogId::synthetic(prefix, time.parse().unwrap())
    }

    /// The minutes of the late records, given objects with records at these minutes.
    fn late_of(objects: &[&[u32]]) -> Vec<String> {
        let objects: Vec<BTreeSet<_>> = objects
            .iter()
            .map(|it| it.iter().map(|minute| id("900", *minute)).collect())
            .collect();
        let archive = Archive::of(&objects);
        let all: BTreeSet<_> = objects.iter().flatten().collect();
        assert_eq!(archive.there.len(), all.len());
        let minute = |id: &LogId| id.stored_at().unwrap().format("%M").to_string();
        archive.late.iter().map(minute).collect()
    }

    #[test]
    fn what_lies_between_the_records_of_an_object_and_is_in_another_was_late() {
        for (objects, expected) in [
            (&[&[10, 11, 12][..], &[13, 14], &[15]][..], &[][..]),
            // Delivered alone, and together with records that were new at that time.
            (&[&[10, 12], &[11]], &["11"]),
            (&[&[11], &[10, 12]], &["11"]),
            (&[&[10, 12, 14], &[13, 15, 16]], &["13"]),
            (&[&[13, 15, 16], &[10, 12, 14]], &["13"]),
            (&[&[10, 12], &[11, 14], &[13, 16]], &["11", "13"]),
            // Equal ends mean that the span is a single record.
            (&[&[10], &[20, 22], &[21], &[23, 30], &[25]], &["21", "25"]),
            // A record between two objects may have been on time.
            (&[&[10, 12], &[14, 16], &[13]], &[]),
            // One that comes after objects of later times.
            (&[&[10, 12], &[20, 22], &[11]], &["11"]),
            // Several of one object.
            (&[&[10, 20], &[11, 13, 30]], &["11", "13"]),
            // The one that contains the other was first, also if they begin or end together.
            (&[&[10, 11], &[10, 12, 14]], &["11"]),
            (&[&[10, 11, 12], &[10, 14]], &["11", "12"]),
            (&[&[10, 12, 14], &[13, 14]], &["13"]),
            // The first and the last record that were delivered again are not late.
            (&[&[10, 11, 12], &[10, 12]], &[]),
            (&[&[10, 12], &[10, 11, 12]], &[]),
        ] {
            assert_eq!(late_of(objects), expected, "{objects:?}");
        }
    }

    #[test]
    fn ids_of_another_prefix_lie_between_nothing() {
        let object = |ids: &[(&str, u32)]| -> BTreeSet<_> {
            ids.iter()
                .map(|(prefix, minute)| id(prefix, *minute))
                .collect()
        };
        let objects = [
            object(&[("800", 10), ("900", 20), ("900", 30)]),
            object(&[("800", 40), ("900", 10), ("900", 25)]),
            object(&[("850", 15)]),
            BTreeSet::from(["84", "86"].map(LogId::new)),
            BTreeSet::from([LogId::new("85")]),
        ];
        let late: Vec<_> = late(&objects).into_iter().collect();
        assert_eq!(late, [id("900", 20)]);
    }
}
