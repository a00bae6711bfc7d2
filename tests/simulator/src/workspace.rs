//! A Log Analytics workspace as the HTTP Data Collector API shows it.
//!
//! It verifies every post as the service does, and treats the records as the service does after a
//! 200: flattens them, gives each column a suffix for the type of its value, cuts long values, and
//! drops a record that would need one column too many.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::arrivals::Arrivals;
pub use crate::arrivals::{Row, Table};
use crate::server::Server;

pub(crate) const WORKSPACE_ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
/// 64 bytes, as in the service's keys.
const KEY: [u8; 64] = *b"simulated-workspace-key-0123456789abcdefghijklmnopqrstuvwxyz-ABC";
const LARGEST_POST: usize = 30 * 1024 * 1024;
const LARGEST_SKEW: Duration = Duration::minutes(15);
/// How many bytes of a text are kept.
const LONGEST_TEXT: usize = 32_766;
const MOST_COLUMNS: usize = 500;
/// Properties that the service reserves.
const RESERVED: [&str; 3] = ["tenant", "TimeGenerated", "RawData"];

/// A simulated workspace.
#[derive(Debug)]
pub struct Workspace {
    server: Server,
    arrivals: Arc<Arrivals>,
}

/// Every destination has [`Arrivals`], so tests read and disturb all of them in the same way.
impl Deref for Workspace {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.arrivals
    }
}

impl Workspace {
    /// An empty workspace.
    pub async fn start() -> Self {
        let arrivals = Arc::<Arrivals>::default();
        let router = Router::new()
            .route("/api/logs", post(collect))
            .with_state(Arc::clone(&arrivals));
        Self {
            server: Server::start(router).await,
            arrivals,
        }
    }

    /// What arrives, for a query API over it.
    pub fn arrivals(&self) -> Arc<Arrivals> {
        Arc::clone(&self.arrivals)
    }

    /// The app settings that make the program use this workspace.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("WorkspaceID", WORKSPACE_ID.to_owned()),
            ("WorkspaceKey", BASE64_STANDARD.encode(KEY)),
            ("logAnalyticsUri", self.server.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Secrets that must not appear anywhere: the key, in each of its forms.
    pub fn secrets(&self) -> Vec<String> {
        vec![
            BASE64_STANDARD.encode(KEY),
            String::from_utf8_lossy(&KEY).into_owned(),
            "SharedKey ".to_owned(),
        ]
    }
}

/// `POST /api/logs?api-version=2016-04-01`
async fn collect(
    State(arrivals): State<Arc<Arrivals>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(body) = to_bytes(body, LARGEST_POST).await else {
        return (StatusCode::NOT_FOUND, "").into_response();
    };
    let answer = || match accept(&arrivals, &query, &headers, &body) {
        Ok(()) => (StatusCode::OK, "").into_response(),
        Err((status, error)) => {
            let body = json!({"Error": error, "Message": "The post was not accepted."});
            (status, body.to_string()).into_response()
        }
    };
    arrivals.answer(&body, answer).await
}

type Refusal = (StatusCode, &'static str);

fn accept(
    arrivals: &Arrivals,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(), Refusal> {
    let now = Utc::now();
    let table = verify(query, headers, body, now)?;
    if arrivals.refuses(body) {
        return Err((StatusCode::BAD_REQUEST, "InvalidDataFormat"));
    }
    let records = match serde_json::from_slice(body) {
        Ok(Value::Array(records)) => records,
        Ok(Value::Object(record)) => vec![record.into()],
        _ => return Err((StatusCode::BAD_REQUEST, "InvalidDataFormat")),
    };
    let records = records.into_iter().map(|record| match record {
        Value::Object(record) => Ok(record),
        _ => Err((StatusCode::BAD_REQUEST, "InvalidDataFormat")),
    });
    let records: Vec<_> = records.collect::<Result<_, _>>()?;
    let time_field = headers.get("time-generated-field");
    let time_field = time_field.and_then(|it| it.to_str().ok());

    let mut tables = arrivals.tables();
    if !records.is_empty() {
        let table = tables.entry(table).or_default();
        for record in records {
            if arrivals.drops() {
                continue;
            }
            table.store(record, time_field, now);
        }
    }
    arrivals.accepted(body.len());
    Ok(())
}

/// Returns the name of the table if the service would accept the post.
fn verify(
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: &Bytes,
    now: DateTime<Utc>,
) -> Result<String, Refusal> {
    let bad = |error| Err((StatusCode::BAD_REQUEST, error));
    let forbidden = (StatusCode::FORBIDDEN, "InvalidAuthorization");
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());

    match query.get("api-version").map(String::as_str) {
        Some("2016-04-01") => {}
        Some(_) => return bad("InvalidApiVersion"),
        None => return bad("MissingApiVersion"),
    }
    match header("content-type") {
        Some("application/json") => {}
        Some(_) => return bad("UnsupportedContentType"),
        None => return bad("MissingContentType"),
    }
    if header("content-encoding").is_some() {
        return bad("InvalidDataFormat");
    }
    let is_name = |name: &str| {
        (1..=100).contains(&name.len())
            && name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'_')
    };
    let table = match header("log-type") {
        Some(name) if is_name(name) => format!("{name}_CL"),
        Some(_) => return bad("InvalidLogType"),
        None => return bad("MissingLogType"),
    };

    let date = header("x-ms-date").ok_or(forbidden)?;
    let sent = NaiveDateTime::parse_from_str(date, "%a, %d %b %Y %H:%M:%S GMT");
    let sent = sent.map_err(|_| forbidden)?.and_utc();
    if (now - sent).abs() > LARGEST_SKEW {
        return Err(forbidden);
    }
    let length = body.len();
    let signed = format!("POST\n{length}\napplication/json\nx-ms-date:{date}\n/api/logs");
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("a key");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    if header("authorization") != Some(&format!("SharedKey {WORKSPACE_ID}:{signature}")) {
        return Err(forbidden);
    }
    Ok(table)
}

impl Table {
    /// Stores a record as the service does. `time_field` names the field with the record's time, if
    /// there is one.
    pub fn store(
        &mut self,
        record: Map<String, Value>,
        time_field: Option<&str>,
        now: DateTime<Utc>,
    ) {
        let date = time_field.and_then(|field| record.get(field)?.as_str()?.parse().ok());
        let row = columns_of(record);
        let new = row
            .keys()
            .filter(|name| !self.columns.contains(*name))
            .count();
        if self.columns.len() + new > MOST_COLUMNS {
            self.dropped += 1;
            return;
        }
        self.push(row, date, now);
    }
}

/// The columns that a record fills, by name with suffix.
pub fn columns_of(record: Map<String, Value>) -> Row {
    let mut row = Row::new();
    flatten(&mut row, "", Value::Object(record));
    row
}

/// Makes columns from a value: objects level by level, lists as text.
fn flatten(row: &mut Row, name: &str, value: Value) {
    let (suffix, value) = match value {
        Value::Null => return,
        Value::Object(fields) => {
            for (field, value) in fields {
                if name.is_empty() && RESERVED.contains(&field.as_str()) {
                    continue;
                }
                let field = field.replace(|it: char| !it.is_ascii_alphanumeric(), "_");
                let below = if name.is_empty() {
                    field
                } else {
                    format!("{name}_{field}")
                };
                flatten(row, &below, value);
            }
            return;
        }
        Value::Bool(_) => ("b", value),
        Value::Number(_) => ("d", value),
        Value::Array(_) => ("s", cut(value.to_string())),
        Value::String(text) if is_date(&text) => ("t", text.into()),
        Value::String(text) => match guid(&text) {
            Some(guid) => ("g", guid.into()),
            None => ("s", cut(text)),
        },
    };
    row.insert(format!("{name}_{suffix}"), value);
}

fn cut(mut text: String) -> Value {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    }
    text.into()
}

fn is_date(text: &str) -> bool {
    let text = text.trim();
    text.len() >= "2026-11-21T08:00:00".len()
        && (DateTime::parse_from_rfc3339(text).is_ok()
            || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok())
}

/// A GUID in the form of a GUID column: lower case, with hyphens. Texts without hyphens are
/// accepted too, as the service does for the ids of Auth0's own tokens, whose column ends in `_g`.
pub(crate) fn guid(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['{', '(']);
    let text = text.trim_end_matches(['}', ')']);
    let is_divided = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let digits = text.replace('-', "").to_ascii_lowercase();
    let is_guid =
        (is_divided || text.len() == 32) && digits.bytes().all(|it| it.is_ascii_hexdigit());
    let group = |begin: usize, end: usize| &digits[begin..end];
    is_guid.then(|| {
        [
            group(0, 8),
            group(8, 12),
            group(12, 16),
            group(16, 20),
            group(20, 32),
        ]
        .join("-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(table: &mut Table, record: Value) {
        let Value::Object(record) = record else {
            panic!("a record is an object");
        };
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        table.store(record, Some("date"), now);
    }

    #[test]
    fn columns_are_made_by_the_values_seen() {
        let mut table = Table::default();
        store(
            &mut table,
            json!({
                "date": "2026-11-21T07:00:00.000Z", "type": "s", "none": null, "ok": true, "n": 1,
                "id": "01234567-89ab-cdef-0123-456789abcdef", "a-b": {"c": {"d": "x"}},
                "list": [1, {"x": 2}], "tenant": "reserved",
            }),
        );
        let columns: Vec<_> = table.columns.iter().map(String::as_str).collect();
        assert_eq!(
            columns,
            [
                "a_b_c_d_s",
                "date_t",
                "id_g",
                "list_s",
                "n_d",
                "ok_b",
                "type_s"
            ]
        );
        assert_eq!(table.rows[0]["list_s"], r#"[1,{"x":2}]"#);
        assert_eq!(table.rows[0]["TimeGenerated"], "2026-11-21T07:00:00Z");
    }

    #[test]
    fn a_date_too_old_gives_way_to_the_time_of_arrival() {
        let mut table = Table::default();
        store(&mut table, json!({"date": "2026-11-19T07:59:59Z"}));
        assert_eq!(table.rows[0]["TimeGenerated"], "2026-11-21T08:00:00Z");
    }

    #[test]
    fn a_value_of_another_type_makes_a_second_column() {
        let mut table = Table::default();
        store(&mut table, json!({"a": "1"}));
        store(&mut table, json!({"a": 1}));
        assert!(table.columns.contains("a_s") && table.columns.contains("a_d"));
    }

    #[test]
    fn the_record_that_needs_the_501st_column_is_dropped_and_the_next_one_is_not() {
        let mut table = Table::default();
        let wide: Map<String, Value> = (0..500).map(|n| (format!("c{n}"), json!(n))).collect();
        store(&mut table, wide.into());
        store(&mut table, json!({"c1": 1, "one_more": 1}));
        store(&mut table, json!({"c1": 1}));
        assert_eq!((table.rows.len(), table.dropped), (2, 1));
    }

    #[test]
    fn a_long_text_is_cut() {
        let mut table = Table::default();
        store(&mut table, json!({"a": "é".repeat(20_000)}));
        assert_eq!(table.rows[0]["a_s"].as_str().unwrap().len(), 32_766);
    }
}
