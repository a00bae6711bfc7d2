//! The simplest reader: one page after another, and a post after every ten. Nothing happens at the
//! same time. It makes no rows, so that only the waiting is compared.

use std::time::Duration;

use bytes::Bytes;
use simulator::backlog::Backlog;
use simulator::tally::Tally;

use super::process;

/// Pages in a post.
const PAGES: usize = 10;
const FIRST: &str = "90000000000000000000000000000000000000000000000000000000";

/// How many records a second it moves, measured for this long.
pub async fn records_per_second(tenant: &Backlog, destination: &Tally, watch: Duration) -> f64 {
    let http = client();
    let url = format!("{}/api/v2/logs", tenant.url());
    let post = format!("{}/api/logs", destination.url());
    let begun = process::now();
    let (mut from, mut records) = (FIRST.to_owned(), 0_usize);
    let mut pages = Vec::new();
    loop {
        let query = [("from", &*from), ("take", "100")];
        let answer = http
            .get(&url)
            .query(&query)
            .send()
            .await
            .expect("an answer");
        if answer.status() == 429 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        let page = answer.bytes().await.expect("a page");
        let last = last_id(&page);
        if let Some(last) = &last {
            from.clone_from(last);
            records += page_length(&page);
            pages.push(page);
        }
        let is_over = last.is_none() || begun.elapsed() > watch;
        if pages.len() == PAGES || is_over {
            let body: Vec<u8> = std::mem::take(&mut pages).concat();
            let answer = http.post(&post).body(body).send().await;
            answer.expect("an answer");
        }
        if is_over {
            return records as f64 / begun.elapsed().as_secs_f64();
        }
    }
}

/// The id of the last record. The pattern matches `_id` and `log_id`, which are the same.
fn last_id(page: &Bytes) -> Option<String> {
    let at = memchr::memmem::rfind(page, br#""log_id":""#)?;
    let id = page.get(at + 10..at + 66)?;
    Some(String::from_utf8_lossy(id).into_owned())
}

fn page_length(page: &Bytes) -> usize {
    memchr::memmem::find_iter(page, br#""log_id":""#).count()
}

#[allow(clippy::disallowed_methods, reason = "it is no part of the program")]
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
