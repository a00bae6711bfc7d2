//! The query API of Log Analytics, over the rows of a workspace.
//!
//! It is strict about the caller and the form of a request. It understands only the few KQL
//! operators that are needed, and answers anything else as the service answers a query that it
//! cannot parse.
//! <https://learn.microsoft.com/azure/azure-monitor/logs/api/request-format>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::arrivals::{Arrivals, Row};
use crate::issuer::Issuer;
use crate::server::{Counter, Fault, Faults, Server};
use crate::workspace::WORKSPACE_ID;

const AUDIENCE: &str = "https://api.loganalytics.io";
const TABLE: &str = "Auth0AM_CL";

/// The query API of one workspace.
#[derive(Debug)]
pub struct QueryApi {
    server: Server,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    arrivals: Arc<Arrivals>,
    issuer: Issuer,
    has_role: AtomicBool,
    requests: Counter,
    faults: Faults,
    queries: Mutex<Vec<String>>,
}

impl QueryApi {
    /// The API over these arrivals, for identities of this issuer.
    pub async fn start(arrivals: Arc<Arrivals>, issuer: Issuer) -> Self {
        let inner = Arc::new(Inner {
            arrivals,
            issuer,
            has_role: AtomicBool::new(true),
            requests: Counter::default(),
            faults: Faults::default(),
            queries: Mutex::default(),
        });
        let router = Router::new()
            .route("/v1/workspaces/{workspace}/query", post(answer))
            .with_state(Arc::clone(&inner));
        Self {
            server: Server::start(router).await,
            inner,
        }
    }

    /// The app settings that make the program use this API.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("WorkspaceID", WORKSPACE_ID.to_owned()),
            ("LOG_ANALYTICS_QUERY_URI", self.server.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Gives the role Log Analytics Reader to all identities, or takes it away.
    pub fn give_role(&self, has_role: bool) {
        self.inner.has_role.store(has_role, Ordering::Relaxed);
    }

    /// The number of queries so far, answered or not.
    pub fn requests(&self) -> u64 {
        self.inner.requests.get()
    }

    /// Waits until `least` queries have come.
    pub async fn wait_for_request(&self, least: u64) {
        self.inner.requests.wait_for(least).await;
    }

    /// The queries that were answered.
    pub fn queries(&self) -> Vec<String> {
        let queries = self.inner.queries.lock();
        queries.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies these faults to the next queries, one to each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner.faults.add(faults);
    }
}

/// `POST /v1/workspaces/{workspace}/query?timespan=…`
async fn answer(
    State(inner): State<Arc<Inner>>,
    Path(workspace): Path<String>,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    inner.requests.count();
    if let Some(answer) = inner.faults.answer().await {
        return answer;
    }
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let token = text("authorization").and_then(|it| it.strip_prefix("Bearer "));
    if token.is_none_or(|it| inner.issuer.verify(it, AUDIENCE).is_err()) {
        let message = "Valid authentication was not provided";
        return refuse(
            StatusCode::UNAUTHORIZED,
            &json!({"code": "AuthorizationRequiredError", "message": message}),
        );
    }
    if workspace != WORKSPACE_ID {
        let message = "The workspace could not be found";
        return refuse(
            StatusCode::NOT_FOUND,
            &json!({"code": "WorkspaceNotFoundError", "message": message}),
        );
    }
    if !inner.has_role.load(Ordering::Relaxed) {
        let message =
            "The provided credentials have insufficient access to perform the requested operation";
        return refuse(
            StatusCode::FORBIDDEN,
            &json!({"code": "InsufficientAccessError", "message": message}),
        );
    }
    let is_json = text("content-type").is_some_and(|it| it.starts_with("application/json"));
    let question: Option<Value> = serde_json::from_slice(&body).ok().filter(|_| is_json);
    let Some(query) = question.as_ref().and_then(|it| it["query"].as_str()) else {
        // The real service does the same.
        return StatusCode::OK.into_response();
    };
    let span = parameters.get("timespan").and_then(|it| {
        let (from, to) = it.split_once('/')?;
        Some([from.parse().ok()?, to.parse().ok()?])
    });
    let Some(span) = span else {
        return refuse(
            StatusCode::BAD_REQUEST,
            &json!({"code": "BadArgumentError", "message": "The timespan is none."}),
        );
    };
    if !inner.arrivals.tables().contains_key(TABLE) {
        let message = format!(
            "'where' operator: Failed to resolve table or column expression named '{TABLE}'"
        );
        let semantic = json!({"code": "SemanticError", "message": "A semantic error occurred.",
            "innererror": {"code": "SEM0100", "message": message}});
        return refuse(
            StatusCode::BAD_REQUEST,
            &json!({"code": "BadArgumentError",
            "message": "The request had some invalid properties", "innererror": semantic}),
        );
    }
    let rows = inner.arrivals.table(TABLE).rows;
    let Some(table) = run(query, &rows, span) else {
        let inner = json!({"code": "SyntaxError", "message": "A syntax error has occurred."});
        return refuse(
            StatusCode::BAD_REQUEST,
            &json!({"code": "BadArgumentError",
            "message": "The request had some invalid properties", "innererror": inner}),
        );
    };
    let queries = inner.queries.lock();
    queries
        .unwrap_or_else(PoisonError::into_inner)
        .push(query.to_owned());
    (
        StatusCode::OK,
        [("content-type", "application/json")],
        json!({"tables": [table]}).to_string(),
    )
        .into_response()
}

fn refuse(status: StatusCode, error: &Value) -> Response {
    let json = [("content-type", "application/json")];
    (status, json, json!({"error": error}).to_string()).into_response()
}

/// The result of a query over the rows; `None` if the query is not understood.
fn run(query: &str, rows: &[Row], [from, to]: [DateTime<Utc>; 2]) -> Option<Value> {
    let mut lines = query.lines();
    if lines.next()? != TABLE {
        return None;
    }
    let time = |row: &Row| -> Option<DateTime<Utc>> { row["TimeGenerated"].as_str()?.parse().ok() };
    let begin = lines
        .next()?
        .strip_prefix("| where TimeGenerated >= datetime(")?;
    let begin: DateTime<Utc> = begin.strip_suffix(')')?.parse().ok()?;
    let columns = lines
        .next()?
        .strip_prefix("| extend LogId = coalesce(")?
        .strip_suffix(')')?;
    let columns: Vec<_> = columns
        .split('\'')
        .filter(|it| it.ends_with("_s"))
        .collect();
    let is_within = |row: &Row| time(row).is_some_and(|it| from <= it && it < to && begin <= it);
    let id = |row: &Row| {
        columns
            .iter()
            .find_map(|it| row.get(*it)?.as_str().map(str::to_owned))
    };
    let next = lines.next()?;
    if next == "| extend Second = tolong(substring(LogId, 3, 14))" {
        let rows = rows.iter().filter(|row| is_within(row));
        let rows = rows.filter_map(|row| Some((id(row)?, row)));
        return list(lines, rows);
    }
    let ids = next.strip_prefix("| where LogId in (")?.strip_suffix(')')?;
    let ids: Option<BTreeSet<_>> = ids
        .split(", ")
        .map(|it| it.strip_prefix('\'')?.strip_suffix('\''))
        .collect();
    let ids = ids?;
    if lines.next()? != "| summarize by LogId" {
        return None;
    }
    let found: BTreeSet<String> = rows
        .iter()
        .filter(|row| is_within(row))
        .filter_map(id)
        .collect();
    let found: Vec<_> = found
        .into_iter()
        .filter(|it| ids.contains(it.as_str()))
        .collect();
    match lines.next() {
        None => Some(table(
            &[("LogId", "string")],
            found.iter().map(|it| json!([it])),
        )),
        Some("| summarize Landed = count() by Hour = substring(LogId, 3, 10)") => {
            let mut hours: BTreeMap<&str, u64> = BTreeMap::new();
            for id in &found {
                *hours.entry(id.get(3..13)?).or_default() += 1;
            }
            let rows = hours.into_iter().map(|(hour, count)| json!([hour, count]));
            Some(table(&[("Hour", "string"), ("Landed", "long")], rows))
        }
        Some(_) => None,
    }
}

/// The distinct ids of the rows within the queried seconds, each with the tenant in its row.
fn list<'a>(
    mut lines: std::str::Lines,
    rows: impl Iterator<Item = (String, &'a Row)>,
) -> Option<Value> {
    let seconds = lines.next()?.strip_prefix("| where Second >= ")?;
    let (first, end) = seconds.split_once(" and Second < ")?;
    let (first, end): (u64, u64) = (first.parse().ok()?, end.parse().ok()?);
    if lines.next()? != "| extend Tenant = tostring(column_ifexists('tenant_name_s', ''))"
        || lines.next()? != "| summarize by LogId, Tenant"
    {
        return None;
    }
    let most = lines.next()?.strip_prefix("| take ")?.parse().ok()?;
    let is_asked = |id: &str| {
        let second = id.get(3..17).and_then(|it| it.parse().ok());
        second.is_some_and(|it| first <= it && it < end)
    };
    let rows = rows.filter(|(id, _)| is_asked(id)).map(|(id, row)| {
        let tenant = row.get("tenant_name_s").and_then(Value::as_str);
        (id, tenant.unwrap_or_default().to_owned())
    });
    let rows: BTreeSet<_> = rows.collect();
    let rows = rows.iter().map(|(id, tenant)| json!([id, tenant]));
    Some(table(
        &[("LogId", "string"), ("Tenant", "string")],
        rows.take(most),
    ))
}

fn table(columns: &[(&str, &str)], rows: impl Iterator<Item = Value>) -> Value {
    let columns: Vec<_> = columns
        .iter()
        .map(|(name, kind)| json!({"name": name, "type": kind}))
        .collect();
    let rows: Vec<_> = rows.collect();
    json!({"name": "PrimaryResult", "columns": columns, "rows": rows})
}
