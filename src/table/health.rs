//! The table `Auth0AMHealth_CL`, with a row for each reported run: its columns, and how a report
//! becomes a row.
//!
//! Both APIs fill the same columns. The Data Collector API appends suffixes for the types that it
//! sees; the Logs Ingestion API takes names that include the suffix.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Api;
use super::catalogue::Type;
use crate::report::Report;

/// The table's name, without the `_CL` that the HTTP Data Collector API appends.
pub(crate) const LOG_TYPE: &str = "Auth0AMHealth";
/// The stream in the rule that the template creates.
pub(crate) const STREAM: &str = "Custom-Auth0AMHealth_CL";
/// The field that holds the end of the run. `TimeGenerated` has the same value.
pub(crate) const ENDED_AT: &str = "EndedAt";
/// Maximum characters of an error in a row.
const LONGEST_ERROR: usize = 2_000;

/// The content of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat<'a> {
    /// The tenant's name, or its host if there is only one tenant.
    pub tenant: &'a str,
    /// The tenant's state after the run.
    pub state: &'a str,
    /// The run's report.
    pub report: &'a Report,
    /// When the run ended.
    pub at: DateTime<Utc>,
}

struct Column {
    /// The name without the suffix.
    name: &'static str,
    kind: Type,
    /// Null if there is nothing to report.
    value: fn(&Heartbeat) -> Value,
}

const fn column(name: &'static str, kind: Type, value: fn(&Heartbeat) -> Value) -> Column {
    Column { name, kind, value }
}

/// The HTTP Data Collector API reserves the name `Tenant`.
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

/// The columns that a row may fill, except `TimeGenerated`.
pub(super) fn columns() -> impl Iterator<Item = (String, Type)> {
    COLUMNS.iter().map(|it| (full_name(it), it.kind))
}

fn full_name(column: &Column) -> String {
    [column.name, column.kind.suffix()].concat()
}

/// Builds a row.
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
