//! The questions to the table, in KQL, and its answers.
//!
//! The count is exact; `dcount` would be an estimate. The query names exactly the accepted ids, so
//! rows of other tenants in the same workspace do not count.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Utc};

use crate::azure::log_query::Rows;
use crate::record::LogId;

/// The table that gets the rows.
pub(super) const TABLE: &str = "Auth0AM_CL";
/// The log id of a row, which may be in either of two columns.
pub(super) const EXTEND_LOG_ID: &str = "| extend LogId = coalesce(\
    tostring(column_ifexists('log_id_s', '')), tostring(column_ifexists('_id_s', '')))";
/// How long before its id's hour, or before the delivery if that is earlier, a row's time may be. A
/// row has the event's time, or its arrival time if the event is more than two days older.
const BEFORE: TimeDelta = TimeDelta::days(2);
/// How far in the future a row's time may be.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// Maximum ids in a query: a few hundred kilobytes of text.
pub(super) const AT_ONCE: usize = 5_000;

/// Which of these ids, all of one hour, are in the table?
pub(super) struct Question<'a> {
    pub hour: DateTime<Utc>,
    /// The hour, or the time of delivery if that is earlier.
    pub since: DateTime<Utc>,
    pub ids: &'a [&'a LogId],
    /// Whether to ask which ids there are, not only how many.
    pub by_name: bool,
}

/// The ids found.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub landed: u64,
    /// The missing ids, if the question was by name.
    pub missing: BTreeSet<LogId>,
}

impl Question<'_> {
    /// The KQL query. Ids that belong to an hour consist of digits, so they need no escaping.
    pub fn query(&self) -> String {
        let from = seconds(self.since - BEFORE);
        let mut ids = String::with_capacity(self.ids.len() * 60);
        for id in self.ids {
            let comma = if ids.is_empty() { "" } else { ", " };
            // invariant: writing to a String does not fail
            let _ = write!(ids, "{comma}'{}'", id.as_str());
        }
        let mut query = format!(
            "{TABLE}\n\
             | where TimeGenerated >= datetime({from})\n\
             {EXTEND_LOG_ID}\n\
             | where LogId in ({ids})\n\
             | summarize by LogId"
        );
        if !self.by_name {
            query.push_str("\n| summarize Landed = count() by Hour = substring(LogId, 3, 10)");
        }
        query
    }

    /// The range of row times to query, wide enough for all of these ids. Without it, the service
    /// would choose one.
    pub fn timespan(&self, now: DateTime<Utc>) -> String {
        let from = seconds(self.since - BEFORE);
        let to = seconds(now.max(self.hour) + AHEAD);
        format!("{from}/{to}")
    }

    /// Reads a response; a missing table has no rows. `None` if the response has another form.
    pub fn answer(&self, rows: Option<&Rows>) -> Option<Answer> {
        if self.by_name {
            let mut missing: BTreeSet<LogId> = self.ids.iter().map(|it| (*it).clone()).collect();
            for [id] in rows.map_or(Some(Vec::new()), |it| it.values(["LogId"]))? {
                missing.remove(&LogId::new(id.as_str()?));
            }
            let landed = u64::try_from(self.ids.len() - missing.len()).ok()?;
            return Some(Answer { landed, missing });
        }
        let mut landed = 0;
        for [hour, count] in rows.map_or(Some(Vec::new()), |it| it.values(["Hour", "Landed"]))? {
            let is_asked = hour.as_str()? == self.hour.format("%Y%m%d%H").to_string();
            // A 64-bit number may come as text.
            let text = || count.as_str().and_then(|it| it.parse().ok());
            let count = count.as_u64().or_else(text)?;
            landed += if is_asked { count } else { 0 };
        }
        Some(Answer {
            landed,
            missing: BTreeSet::new(),
        })
    }
}

/// Formats a time. The service takes years from 1 to 9999; the time in an id may be outside of
/// that.
pub(super) fn seconds(time: DateTime<Utc>) -> String {
    match time.year() {
        ..1 => "0001-01-01T00:00:00Z".to_owned(),
        1..=9999 => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        _ => "9999-12-31T23:59:59Z".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "90020261121080000123456000000000000001223372037583230452";
    const SECOND: &str = "90020261121085959123456000000000000001223372037583230453";

    fn rows(json: &str) -> Rows {
        serde_json::from_str(json).unwrap()
    }

    fn ask<T>(by_name: bool, ask: impl FnOnce(&Question) -> T) -> T {
        let ids = [LogId::new(FIRST), LogId::new(SECOND)];
        let hour = "2026-11-21T08:00:00Z".parse().unwrap();
        let ids: Vec<_> = ids.iter().collect();
        ask(&Question {
            hour,
            since: hour,
            ids: &ids,
            by_name,
        })
    }

    #[test]
    fn the_query_counts_distinct_ids_exactly_and_only_those_that_were_accepted() {
        let begin = format!(
            "Auth0AM_CL\n\
             | where TimeGenerated >= datetime(2026-11-19T08:00:00Z)\n\
             | extend LogId = coalesce(tostring(column_ifexists('log_id_s', '')), tostring(column_ifexists('_id_s', '')))\n\
             | where LogId in ('{FIRST}', '{SECOND}')\n\
             | summarize by LogId"
        );
        assert_eq!(ask(true, |it| Some(it.query())), Some(begin.clone()));
        let end = "\n| summarize Landed = count() by Hour = substring(LogId, 3, 10)";
        let query = ask(false, |it| Some(it.query()));
        assert_eq!(query, Some(format!("{begin}{end}")));
    }

    #[test]
    fn the_time_of_the_rows_is_told_and_is_wide() {
        let now = "2026-11-21T09:20:00Z".parse().unwrap();
        let timespan = ask(false, |it| it.timespan(now));
        assert_eq!(timespan, "2026-11-19T08:00:00Z/2026-11-22T09:20:00Z");
    }

    /// Otherwise one impossible id would prevent every query about its hour.
    #[test]
    fn times_that_the_service_does_not_know_are_not_named() {
        let now = "2026-11-21T09:20:00Z".parse().unwrap();
        for (hour, from, to) in [
            (
                "9999-12-31T23:00:00Z",
                "2026-11-19T08:00:00Z",
                "9999-12-31T23:59:59Z",
            ),
            (
                "0000-01-01T00:00:00Z",
                "0001-01-01T00:00:00Z",
                "2026-11-22T09:20:00Z",
            ),
        ] {
            let hour: DateTime<Utc> = hour.parse().unwrap();
            let delivered_at = "2026-11-21T08:00:00Z".parse().unwrap();
            let question = Question {
                hour,
                since: hour.min(delivered_at),
                ids: &[],
                by_name: true,
            };
            assert_eq!(question.timespan(now), format!("{from}/{to}"));
            let since = format!("datetime({from})");
            assert!(question.query().contains(&since), "{}", question.query());
        }
    }

    #[test]
    fn a_count_is_a_number_or_its_text_and_an_hour_that_is_not_there_has_none() {
        let columns = r#""columns":[{"name":"Hour"},{"name":"Landed"}]"#;
        for (json, landed) in [
            (r#"["2026112108", 2]"#, Some(2)),
            (r#"["2026112108", "2"]"#, Some(2)),
            (r#"["2026112109", 2]"#, Some(0)),
            ("", Some(0)),
            (r#"["2026112108", null]"#, None),
            ("[8, 2]", None),
        ] {
            let rows = rows(&format!("{{{columns},\"rows\":[{json}]}}"));
            let answer = ask(false, |it| it.answer(Some(&rows)));
            assert_eq!(answer.map(|it| it.landed), landed, "{json}");
        }
        assert_eq!(ask(false, |it| it.answer(None)).unwrap().landed, 0);
        let other = rows(r#"{"columns":[{"name":"Hour"}],"rows":[]}"#);
        assert_eq!(ask(false, |it| it.answer(Some(&other))), None);
    }

    #[test]
    fn by_name_what_is_not_told_is_missing() {
        let rows = rows(&format!(
            r#"{{"columns":[{{"name":"LogId"}}],"rows":[["{SECOND}"]]}}"#
        ));
        let expected = Answer {
            landed: 1,
            missing: [LogId::new(FIRST)].into(),
        };
        assert_eq!(ask(true, |it| it.answer(Some(&rows))), Some(expected));
        assert_eq!(ask(true, |it| it.answer(None)).unwrap().missing.len(), 2);
    }
}
