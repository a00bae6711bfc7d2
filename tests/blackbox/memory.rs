//! How much memory a run takes when records are large and many. The test takes minutes:
//!
//!     cargo test --test blackbox memory -- --ignored --nocapture

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Child;

use crate::world::{Sink, World, minutes_ago, numbers};

const RECORDS: u64 = 5_000;
const RECORD_BYTES: usize = 600_000;
/// An instance has 512 MB and shares them with the host.
const MOST_BYTES: u64 = 160_000_000;

/// The log of a tenant, whose records are made on request.
struct Log {
    ids: Vec<String>,
    padding: String,
}

impl Log {
    fn new() -> Self {
        let id = |number: u64| {
            let milliseconds = i64::try_from(number * 600).unwrap();
            let stored = minutes_ago(55) + chrono::Duration::milliseconds(milliseconds);
            format!("900{}{number:033}", stored.format("%Y%m%d%H%M%S%6f"))
        };
        Self {
            ids: (0..RECORDS).map(id).collect(),
            padding: "x".repeat(RECORD_BYTES),
        }
    }

    /// A page of records after an id, or the one small record that a search returns.
    fn page(&self, query: &HashMap<String, String>) -> String {
        let (ids, padding) = match query.get("from") {
            Some(from) => {
                let begin = self.ids.partition_point(|id| id <= from);
                let take: usize = query["take"].parse().unwrap();
                let end = self.ids.len().min(begin + take);
                (&self.ids[begin..end], &*self.padding)
            }
            None => (&self.ids[..1], ""),
        };
        let record = |id: &String| {
            let (date, time) = (&id[3..11], &id[11..17]);
            let date = format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]);
            let time = format!("{}:{}:{}", &time[..2], &time[2..4], &time[4..]);
            format!(
                r#"{{"log_id":"{id}","date":"{date}T{time}Z","type":"s","details":{{"x":"{padding}"}}}}"#
            )
        };
        let records: Vec<_> = ids.iter().map(record).collect();
        format!("[{}]", records.join(","))
    }
}

/// A tenant, a workspace and a data collection rule that accept everything and keep nothing.
/// Returns their address.
async fn services() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let log = Arc::new(Log::new());
    let token = json!({"access_token": "t", "token_type": "Bearer", "expires_in": 86_400,
                       "scope": "read:logs"});
    let take = async |uri: Uri, body: Body| {
        let mut pieces = body.into_data_stream();
        while pieces.next().await.is_some() {}
        match uri.path() {
            "/api/logs" => StatusCode::OK,
            _ => StatusCode::NO_CONTENT,
        }
    };
    let router = Router::new()
        .route("/oauth/token", post(async move || token.to_string()))
        .route(
            "/api/v2/logs",
            get(async move |Query(query): Query<HashMap<String, String>>| log.page(&query)),
        )
        .fallback(take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The peak memory of a process so far, in bytes.
fn peak(process: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()?)).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --test blackbox memory -- --ignored --nocapture"]
async fn a_backlog_of_large_records_takes_no_more_memory_than_a_part_of_it() {
    let mut world = World::start().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::LogsIngestion]);
    let services = services().await;
    for setting in ["DOMAIN", "logAnalyticsUri", "DCR_ENDPOINT"] {
        world.set(setting, &services);
    }
    world.set("RUN_BUDGET", "2h");
    let mut process = world.start_command(&["poll"]);
    let mut most = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while process.try_wait().unwrap().is_none() {
        most = peak(&process).unwrap_or_default().max(most);
        ticks.tick().await;
    }
    let ran = world.end_of(process).await;
    for report in ran.reports() {
        let told = numbers(&report, ["delivered", "dead_lettered"]);
        assert_eq!(told, [RECORDS, 0], "{ran:?}");
        println!("{} requests", report["requests"]);
    }
    println!("{} MB at most", most / 1_000_000);
    assert!(most < MOST_BYTES, "{most} bytes");
}
