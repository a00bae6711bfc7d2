//! How the tenant answers.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::{
    BYTES, CLIENT_ID, CLIENT_SECRET, DOMAIN, ExpiredIds, Inner, Issued, LARGEST_PAGE, Log, Options,
    SyntheticIds,
};
use crate::server::Fault;

const DEFAULT_PAGE: usize = 50;
const SEARCH_LIMIT: usize = 1_000;

fn json_answer(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [("content-type", "application/json; charset=utf-8")],
        body.to_string(),
    )
        .into_response()
}

fn bytes_of(record: &Value) -> usize {
    let bytes = record[BYTES].as_u64().unwrap_or_default();
    usize::try_from(bytes).expect("a size in memory")
}

fn padded(body: &Value, bytes: usize) -> Response {
    let mut body = body.to_string().into_bytes();
    body.extend_from_slice(&vec![b' '; bytes]);
    body.into_response()
}

fn api_error(status: StatusCode, error: &str, message: &str, code: &str) -> Response {
    let body = json!({"statusCode": status.as_u16(), "error": error, "message": message,
                      "errorCode": code});
    json_answer(status, &body)
}

fn denied(status: StatusCode, description: &str) -> Response {
    let body = json!({"error": "access_denied", "error_description": description});
    json_answer(status, &body)
}

/// `POST /oauth/token` with JSON or a form
pub(super) async fn token(
    State(tenant): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let serial = tenant.token_requests.count();
    if let Some(answer) = tenant.token_faults.answer().await {
        return answer;
    }
    let is_json = headers
        .get("content-type")
        .is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
    let fields: HashMap<String, String> = if is_json {
        serde_json::from_slice(&body).unwrap_or_default()
    } else {
        let form = reqwest::Url::parse(&format!("http://form/?{}", String::from_utf8_lossy(&body)));
        form.map(|url| url.query_pairs().into_owned().collect())
            .unwrap_or_default()
    };
    let field = |name: &str| fields.get(name).map_or("", String::as_str);

    if field("grant_type") != "client_credentials" {
        return denied(StatusCode::FORBIDDEN, "Grant type not allowed");
    }
    if (field("client_id"), field("client_secret")) != (CLIENT_ID, CLIENT_SECRET) {
        return denied(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    if field("audience") != tenant.options.audience {
        let asked = field("audience");
        return denied(
            StatusCode::FORBIDDEN,
            &format!("Service not enabled within domain: {asked}"),
        );
    }
    let now = Utc::now();
    let mut log = tenant.log();
    let token = format!(
        "simulated-access-token-{serial:04}-{:016x}",
        fastrand::u64(..)
    );
    let life = tenant.options.token_life;
    let scope = log.scope;
    let issued = Issued {
        expires: now + Duration::seconds(life),
        scope,
    };
    log.tokens.insert(token.clone(), issued);
    if tenant.options.token_events {
        let event = json!({
            "date": now, "type": "seccft", "description": "Client Credentials for Access Token",
            "client_id": CLIENT_ID, "client_name": "auth0-poller", "audience": tenant.options.audience,
            "scope": scope, "hostname": DOMAIN, "tenant_name": "acme",
        });
        if let Value::Object(event) = event {
            log.store(event, now);
        }
    }
    let told = tenant.options.told_life.clone();
    let told = told.unwrap_or_else(|| life.to_string());
    // As text, since a test may want a number that no `Value` can hold.
    let body = format!(
        r#"{{"access_token":"{token}","expires_in":{told},"scope":"{scope}","token_type":"Bearer"}}"#
    );
    let headers = [("content-type", "application/json; charset=utf-8")];
    (StatusCode::OK, headers, body).into_response()
}

/// `GET /api/v2/logs`: from a checkpoint if there is a `from`, or else a search.
pub(super) async fn logs(
    State(tenant): State<Arc<Inner>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    tenant.log_requests.count();
    if let Some(answer) = tenant.log_faults.answer().await {
        return answer;
    }
    let _at_work = tenant.logs_at_work.enter();
    tokio::time::sleep(tenant.options.latency).await;
    let (is_allowed, limit_headers) = tenant.log().bucket.take(Utc::now());
    let mut response = if is_allowed {
        match tenant.read(&query, &headers) {
            Ok(response) => response,
            Err(fault) => return fault.respond().await,
        }
    } else {
        let message = "Global limit has been reached";
        let status = StatusCode::TOO_MANY_REQUESTS;
        api_error(status, "Too Many Requests", message, "too_many_requests")
    };
    response.headers_mut().extend(limit_headers);
    response
}

impl Inner {
    fn read(
        &self,
        query: &HashMap<String, String>,
        headers: &HeaderMap,
    ) -> Result<Response, Fault> {
        let log = self.log();
        if let Some(refusal) = Self::refusal(&log, headers) {
            return Ok(refusal);
        }
        let found = match query.get("from") {
            Some(from) if self.is_not_found(&log, from) => {
                let status = StatusCode::NOT_FOUND;
                let (error, message) = ("Not Found", "Log not found");
                return Ok(api_error(status, error, message, "inexistent_log"));
            }
            Some(from) => self.checkpoint(&log, from, query),
            None => search(&log, query, &self.options),
        };
        let (body, link) = match found {
            Ok(found) => found,
            Err(message) => {
                let status = StatusCode::BAD_REQUEST;
                let (error, code) = ("Bad Request", "invalid_query_string");
                return Ok(api_error(status, error, &message, code));
            }
        };
        let is_whole = !query.contains_key("fields") || self.options.ignores_fields;
        let whole = body.as_array().filter(|_| is_whole);
        if let Some(fault) = whole.and_then(|records| self.fault_of(records)) {
            return Err(fault);
        }
        let bytes = body.as_array().into_iter().flatten().map(bytes_of).sum();
        let mut response = match bytes {
            0 => json_answer(StatusCode::OK, &body),
            bytes => padded(&body, bytes),
        };
        if let Some(link) = link {
            // The link has the tenant's own domain, which does not resolve here.
            let link = format!("<https://{DOMAIN}/api/v2/logs?{link}>; rel=\"next\"");
            let link = HeaderValue::from_str(&link).expect("a header's value");
            response.headers_mut().insert("link", link);
        }
        Ok(response)
    }

    /// The answer to a request whose token does not allow it; `None` if it is allowed.
    fn refusal(log: &Log, headers: &HeaderMap) -> Option<Response> {
        let token = headers
            .get("authorization")
            .and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
        let issued = token.and_then(|token| log.tokens.get(token));
        let Some(token) = issued.filter(|token| token.expires > Utc::now()) else {
            let message = "Expired token received for JSON Web Token validation";
            let status = StatusCode::UNAUTHORIZED;
            return Some(api_error(status, "Unauthorized", message, "invalid_token"));
        };
        if !token.scope.contains("read:logs") {
            let message = "Insufficient scope, expected any of: read:logs";
            let status = StatusCode::FORBIDDEN;
            return Some(api_error(
                status,
                "Forbidden",
                message,
                "insufficient_scope",
            ));
        }
        None
    }

    fn is_not_found(&self, log: &Log, from: &str) -> bool {
        if log.records.contains_key(from) {
            return false;
        }
        if log.issued.contains(from) {
            self.options.expired_ids == ExpiredIds::NotFound
        } else {
            self.options.synthetic_ids == SyntheticIds::NotFound
        }
    }

    fn checkpoint(
        &self,
        log: &Log,
        from: &str,
        query: &HashMap<String, String>,
    ) -> Result<(Value, Option<String>), String> {
        let take = number(query, "take")?.unwrap_or(DEFAULT_PAGE);
        if take == 0 || take > LARGEST_PAGE {
            return Err("Query validation error: take must be between 1 and 100".into());
        }
        let is_retained = log.records.contains_key(from);
        let is_expired = !is_retained && log.issued.contains(from);
        let (is_rejected, is_ignored) = match (is_retained, is_expired) {
            (true, _) => (false, false),
            (_, true) => (
                self.options.expired_ids == ExpiredIds::Rejected,
                self.options.expired_ids == ExpiredIds::Ignored,
            ),
            (_, false) => (
                self.options.synthetic_ids == SyntheticIds::Rejected,
                self.options.synthetic_ids == SyntheticIds::Ignored,
            ),
        };
        if is_rejected {
            return Err("Invalid log_id in from: it does not exist or has expired".into());
        }
        let take = take.min(self.options.largest_page);
        let is_unheeded =
            !is_retained && !is_expired && self.options.synthetic_ids == SyntheticIds::Unheeded;
        let found: Vec<_> = if is_unheeded {
            log.records.iter().rev().take(take).collect()
        } else {
            log.records
                .range::<str, _>((std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded))
                .take(if is_ignored { 0 } else { take })
                .collect()
        };
        let last = found.last().map_or(from, |(id, _)| id.as_str());
        let link = format!("from={last}&take={take}");
        Ok((
            found.into_iter().map(|(_, it)| it.clone()).collect(),
            Some(link),
        ))
    }
}

/// `GET /api/v2/logs/{id}`: one record.
pub(super) async fn one(
    State(tenant): State<Arc<Inner>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    tenant.log_requests.count();
    if let Some(answer) = tenant.log_faults.answer().await {
        return answer;
    }
    let found = {
        let log = tenant.log();
        if let Some(refusal) = Inner::refusal(&log, &headers) {
            return refusal;
        }
        log.records.get(&id).cloned()
    };
    let fault = tenant.single_fault().clone();
    if let Some(fault) = fault {
        return fault.respond().await;
    }
    if let Some(record) = found {
        return match tenant.fault_of(std::slice::from_ref(&record)) {
            Some(fault) => fault.respond().await,
            None => padded(&record, bytes_of(&record)),
        };
    }
    let status = StatusCode::NOT_FOUND;
    api_error(status, "Not Found", "Log not found", "inexistent_log")
}

fn search(
    log: &Log,
    query: &HashMap<String, String>,
    options: &Options,
) -> Result<(Value, Option<String>), String> {
    let page = number(query, "page")?.unwrap_or(0);
    let per_page = number(query, "per_page")?.unwrap_or(DEFAULT_PAGE);
    if per_page > LARGEST_PAGE {
        return Err("Query validation error: per_page must be at most 100".into());
    }
    if (page + 1) * per_page > SEARCH_LIMIT {
        return Err(format!(
            "Requesting page {page} exceeds the allowed maximum of 1000 records: please consider \
             searching by checkpoint"
        ));
    }
    let (from, to) = range(query.get("q").map_or("", String::as_str))?;
    let date = |record: &Value| -> Option<DateTime<Utc>> { record["date"].as_str()?.parse().ok() };
    let is_dateless_found = options.finds_dateless && from.is_none() && to.is_none();
    let is_within = |(date, _): &(Option<DateTime<Utc>>, &Value)| {
        date.map_or(is_dateless_found, |date| {
            from.is_none_or(|from| from <= date) && to.is_none_or(|to| date <= to)
        })
    };
    let newest_first = log.records.values().rev().map(|it| (date(it), it));
    let mut found: Vec<_> = newest_first.filter(is_within).collect();
    match query.get("sort").map(String::as_str) {
        Some("date:1") => found.sort_by_key(|(date, _)| *date),
        Some("date:-1") => found.sort_by_key(|(date, _)| std::cmp::Reverse(*date)),
        Some(_) => return Err("Query validation error: sort".into()),
        None => {}
    }
    let total = found.len();
    let found: Value = found
        .into_iter()
        .skip(page * per_page)
        .take(per_page)
        .take(options.largest_page)
        .map(|(_, record)| {
            if options.ignores_fields {
                record.clone()
            } else {
                with_fields(record, query)
            }
        })
        .collect();
    if query.get("include_totals").is_some_and(|it| it == "true") {
        let start = page * per_page;
        let length = found.as_array().map_or(0, Vec::len);
        return Ok((
            json!({"start": start, "limit": per_page, "length": length, "total": total,
                   "logs": found}),
            None,
        ));
    }
    Ok((found, None))
}

/// The record with only the fields that were asked for, or without those that were excluded.
fn with_fields(record: &Value, query: &HashMap<String, String>) -> Value {
    let Some(fields) = query.get("fields") else {
        return record.clone();
    };
    let is_wanted = query.get("include_fields").is_none_or(|it| it != "false");
    let kept = record.as_object().into_iter().flatten();
    kept.filter(|(name, _)| fields.split(',').any(|it| it == *name) == is_wanted)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn number(query: &HashMap<String, String>, name: &str) -> Result<Option<usize>, String> {
    let number = query.get(name).map(|text| text.parse());
    number
        .transpose()
        .map_err(|_| format!("Query validation error: {name} must be a number"))
}

type Range = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// `date:[FROM TO TO]`, where either may be `*`
fn range(q: &str) -> Result<Range, String> {
    if q.is_empty() {
        return Ok((None, None));
    }
    let limit = |text: &str| match text {
        "*" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| format!("Invalid date {text} in q")),
    };
    let (from, to) = q
        .strip_prefix("date:[")
        .and_then(|q| q.strip_suffix(']'))
        .and_then(|q| q.split_once(" TO "))
        .ok_or("Invalid query in q")?;
    Ok((limit(from)?, limit(to)?))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::bucket::Bucket;
    use crate::records::Generator;
    use crate::tenant::Tenant;

    fn query<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .into()
    }

    #[tokio::test]
    async fn a_checkpoint_page_is_ascending_by_id_and_a_search_page_by_date() {
        let tenant = Tenant::start().await;
        let time = |second: u32| -> DateTime<Utc> {
            format!("2026-11-21T08:00:{second:02}Z").parse().unwrap()
        };
        let early = tenant.add(json!({"date": time(9)}), time(10));
        let late = tenant.add(json!({"date": time(8)}), time(11));
        let log = tenant.log();
        let ids = |body: Value| -> Vec<String> {
            let records = body.as_array().unwrap().iter();
            records
                .map(|it| it["log_id"].as_str().unwrap().into())
                .collect()
        };
        let checkpoint = tenant.inner.checkpoint(&log, "9", &query([])).unwrap();
        assert_eq!(ids(checkpoint.0), [early.clone(), late.clone()]);
        assert!(checkpoint.1.unwrap().starts_with(&format!("from={late}")));
        let by_date = search(&log, &query([("sort", "date:1")]), &Options::default()).unwrap();
        assert_eq!(ids(by_date.0), [late.clone(), early.clone()]);
        let window = query([("q", "date:[2026-11-21T08:00:09Z TO *]")]);
        assert_eq!(
            ids(search(&log, &window, &Options::default()).unwrap().0),
            [early]
        );
    }

    #[test]
    fn a_search_reaches_a_thousand_records_and_no_more() {
        let log = Log {
            generator: Generator::seeded(1),
            records: BTreeMap::new(),
            issued: HashSet::new(),
            tokens: HashMap::new(),
            scope: "",
            bucket: Bucket::full((1, 1), Utc::now()),
            serial: 0,
        };
        assert!(
            search(
                &log,
                &query([("page", "9"), ("per_page", "100")]),
                &Options::default(),
            )
            .is_ok()
        );
        let beyond = search(
            &log,
            &query([("page", "10"), ("per_page", "100")]),
            &Options::default(),
        );
        assert!(
            beyond
                .unwrap_err()
                .contains("exceeds the allowed maximum of 1000 records")
        );
    }
}
