//! The table `Auth0AMHealth_CL`, a row for each run that is told of: its columns, and how a report
//! becomes a row.
//!
//! Both ways in make the same columns: the one appends suffixes for the types that it sees, the other
//! takes names with the suffix spelled out.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Api;
use super::catalogue::Type;
use crate::report::Report;

/// The name to which the HTTP Data Collector API appends `_CL`.
pub(crate) const LOG_TYPE: &str = "Auth0AMHealth";
/// The stream of the rule that the template makes.
pub(crate) const STREAM: &str = "Custom-Auth0AMHealth_CL";
/// The field that says when the run ended. It becomes `TimeGenerated` too.
pub(crate) const ENDED_AT: &str = "EndedAt";
/// Characters of an error that are sent.
const LONGEST_ERROR: usize = 2_000;

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat<'a> {
    /// The tenant's name, or its host where there is only one.
    pub tenant: &'a str,
    /// How it stands after the run.
    pub state: &'a str,
    /// What the run says of itself.
    pub report: &'a Report,
    /// When it ended.
    pub at: DateTime<Utc>,
}

struct Column {
    /// Without the suffix.
    name: &'static str,
    kind: Type,
    /// Null where there is nothing to tell.
    value: fn(&Heartbeat) -> Value,
}

const fn column(name: &'static str, kind: Type, value: fn(&Heartbeat) -> Value) -> Column {
    Column { name, kind, value }
}

/// `Tenant` would be one of the names that the HTTP Data Collector API keeps for itself.
const COLUMNS: [Column; 17] = [
    column(ENDED_AT, Type::DateTime, |it| time(Some(it.at))),
    column("TenantName", Type::String, |it| json!(it.tenant)),
    column("Destination", Type::String, |it| {
        json!(it.report.destination)
    }),
    column("State", Type::String, |it| json!(it.state)),
    column("Fetched", Type::Real, |it| json!(it.report.fetched)),
    column("Delivered", Type::Real, |it| json!(it.report.delivered)),
    column("Filtered", Type::Real, |it| json!(it.report.filtered)),
    column("DeadLettered", Type::Real, |it| {
        json!(it.report.dead_lettered)
    }),
    column("Bytes", Type::Real, |it| json!(it.report.bytes)),
    column("LagSeconds", Type::Real, |it| json!(it.report.lag_seconds)),
    column("CaughtUp", Type::Boolean, |it| json!(it.report.caught_up)),
    column("NewestRecord", Type::DateTime, |it| {
        time(it.report.last_date)
    }),
    column("GapFrom", Type::DateTime, |it| {
        time(it.report.gap.and_then(|gap| gap.from))
    }),
    column("GapTo", Type::DateTime, |it| {
        time(it.report.gap.map(|gap| gap.to))
    }),
    column("ElapsedMs", Type::Real, |it| json!(it.report.elapsed_ms)),
    column("Error", Type::String, |it| error(&it.report.errors)),
    column("Version", Type::String, |_| {
        json!(env!("CARGO_PKG_VERSION"))
    }),
];

fn time(time: Option<DateTime<Utc>>) -> Value {
    json!(time.map(|it| it.to_rfc3339_opts(SecondsFormat::Millis, true)))
}

fn error(errors: &[String]) -> Value {
    let text: String = errors.join("; ").chars().take(LONGEST_ERROR).collect();
    json!(Some(text).filter(|it| !it.is_empty()))
}

/// The columns that a row may fill, `TimeGenerated` aside.
pub(super) fn columns() -> impl Iterator<Item = (String, Type)> {
    COLUMNS.iter().map(|it| (full_name(it), it.kind))
}

fn full_name(column: &Column) -> String {
    [column.name, column.kind.suffix()].concat()
}

/// A row.
pub(crate) fn row(heartbeat: &Heartbeat, api: Api) -> Vec<u8> {
    let mut row = Map::new();
    if api == Api::LogsIngestion {
        row.insert("TimeGenerated".into(), time(Some(heartbeat.at)));
    }
    for column in &COLUMNS {
        let value = (column.value)(heartbeat);
        if !value.is_null() {
            let name = match api {
                Api::DataCollector => column.name.to_owned(),
                Api::LogsIngestion => full_name(column),
            };
            row.insert(name, value);
        }
    }
    Value::Object(row).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Gap;

    fn row(report: &Report, api: Api) -> Value {
        let heartbeat = Heartbeat {
            tenant: "acme",
            state: "failing",
            report,
            at: "2026-11-21T08:00:00.1234Z".parse().unwrap(),
        };
        serde_json::from_slice(&super::row(&heartbeat, api)).unwrap()
    }

    fn report() -> Report {
        Report {
            destination: "event-grid".into(),
            fetched: 130,
            delivered: 120,
            filtered: 7,
            dead_lettered: 3,
            bytes: 4_096,
            lag_seconds: Some(90),
            last_date: Some("2026-11-21T07:58:30Z".parse().unwrap()),
            gap: Some(Gap {
                from: Some("2026-11-01T00:00:00Z".parse().unwrap()),
                to: "2026-11-20T00:00:00Z".parse().unwrap(),
            }),
            elapsed_ms: 1_500,
            errors: vec!["disk full".into(), "no ink".into()],
            ..Report::default()
        }
    }

    #[test]
    fn by_the_logs_ingestion_api_a_row_has_the_suffixes_spelled_out() {
        let expected = json!({
            "TimeGenerated": "2026-11-21T08:00:00.123Z",
            "EndedAt_t": "2026-11-21T08:00:00.123Z",
            "TenantName_s": "acme",
            "Destination_s": "event-grid",
            "State_s": "failing",
            "Fetched_d": 130,
            "Delivered_d": 120,
            "Filtered_d": 7,
            "DeadLettered_d": 3,
            "Bytes_d": 4_096,
            "LagSeconds_d": 90,
            "CaughtUp_b": false,
            "NewestRecord_t": "2026-11-21T07:58:30.000Z",
            "GapFrom_t": "2026-11-01T00:00:00.000Z",
            "GapTo_t": "2026-11-20T00:00:00.000Z",
            "ElapsedMs_d": 1_500,
            "Error_s": "disk full; no ink",
            "Version_s": env!("CARGO_PKG_VERSION"),
        });
        assert_eq!(row(&report(), Api::LogsIngestion), expected);
    }

    #[test]
    fn by_the_data_collector_api_it_has_none_and_what_is_not_known_is_left_out() {
        let quiet = Report {
            destination: "archive".into(),
            caught_up: true,
            ..Report::default()
        };
        let expected = json!({
            "EndedAt": "2026-11-21T08:00:00.123Z",
            "TenantName": "acme",
            "Destination": "archive",
            "State": "failing",
            "Fetched": 0,
            "Delivered": 0,
            "Filtered": 0,
            "DeadLettered": 0,
            "Bytes": 0,
            "CaughtUp": true,
            "ElapsedMs": 0,
            "Version": env!("CARGO_PKG_VERSION"),
        });
        assert_eq!(row(&quiet, Api::DataCollector), expected);
    }

    #[test]
    fn of_a_long_error_the_beginning_is_sent() {
        let report = Report {
            errors: vec!["é".repeat(1_999), "and more".into()],
            ..Report::default()
        };
        let error = row(&report, Api::DataCollector)["Error"].clone();
        assert_eq!(error, "é".repeat(1_999) + ";");
    }
}
