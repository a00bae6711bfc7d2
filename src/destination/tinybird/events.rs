//! Client of Tinybird's Events API: posts rows to a data source and reads the acknowledgement. It
//! does not look into the rows.
//!
//! <https://www.tinybird.co/docs/api-reference/events-api>

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::net::gzip::gzip;
use crate::net::http::{self, Answer, SendError};
use crate::net::retry::{self, Again, Deadline, Failure, GaveUp, Jitter, Transient};

/// Seconds until the next window of the rate limit begins.
const RESET: &str = "x-ratelimit-reset";
/// A larger value is not a number of seconds until the next window.
const LONGEST_WINDOW: Duration = Duration::from_hours(1);
/// Phrases in a 400 response that mean that the data source does not exist.
const MISSING: [&str; 4] = ["not found", "not exist", "doesn't exist", "unknown"];

/// A data source, and the token to append to it.
pub(super) struct DataSource {
    /// The events address of its region.
    pub host: Url,
    /// Its name or id.
    pub name: String,
    /// A token with the append scope for the data source.
    pub token: SecretString,
}

/// Posts rows to one data source.
pub(super) struct Events {
    source: DataSource,
    url: Url,
    http: reqwest::Client,
    jitter: Jitter,
}

/// What happened to the rows of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Acknowledgement {
    /// Rows stored in the data source.
    pub successful_rows: u64,
    /// Rows put into its quarantine.
    pub quarantined_rows: u64,
}

/// Why rows were not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(super) enum TinybirdError {
    /// No response.
    #[error("posting to {host}; check TINYBIRD_HOST")]
    Send { host: String, source: SendError },
    /// 401 or 403.
    #[error(
        "{host} refused TINYBIRD_TOKEN: {said}; it must be a token of the workspace that has the \
         data source {name}, with the scope DATASOURCE:APPEND on it, and TINYBIRD_HOST the API \
         host of that workspace's region"
    )]
    Token {
        host: String,
        name: String,
        said: String,
    },
    /// 404, or a 400 that names a missing data source.
    #[error(
        "{host} has no data source {name} for this token: {said}; TINYBIRD_HOST must be the API \
         host of the region in which the token's workspace is, and TINYBIRD_DATASOURCE a data \
         source of that workspace"
    )]
    Unknown {
        host: String,
        name: String,
        said: String,
    },
    /// 400.
    #[error(
        "{host} does not take the request: {said}; if it takes none, check TINYBIRD_DATASOURCE"
    )]
    Invalid { host: String, said: String },
    /// 202.
    #[error(
        "{host} answered 202: it queued the rows and does not say that it has stored them, though \
         it was asked to wait; check that TINYBIRD_HOST is Tinybird's own API host"
    )]
    Queued { host: String },
    /// 422.
    #[error(
        "{host} stored only a part of the rows, and does not say which: {said}; look after the \
         materialized views of the data source {name}. Nothing was acknowledged or set aside, so \
         the next run sends them again"
    )]
    Partial {
        host: String,
        name: String,
        said: String,
    },
    /// 200 with a body that is not an acknowledgement.
    #[error(
        "{host} answered 200, but not what became of the rows: {said}; check that TINYBIRD_HOST \
         is Tinybird's own API host"
    )]
    Unreadable { host: String, said: String },
    /// 200, but the acknowledgement does not account for all rows.
    #[error(
        "{host} accounts for {} of {sent} rows ({} stored, {} quarantined), so the next run sends \
         them again; look at the log of the data source {name}",
        .told.sum(), .told.successful_rows, .told.quarantined_rows
    )]
    Miscounted {
        host: String,
        name: String,
        sent: u64,
        told: Acknowledgement,
    },
    /// Any other status.
    #[error("{host} answered {status}: {said}")]
    Status {
        host: String,
        status: StatusCode,
        said: String,
        again: Again,
    },
}

impl TinybirdError {
    /// Whether Tinybird rejected the content of the request, rather than the token or the address.
    pub fn is_about_content(&self) -> bool {
        match self {
            Self::Invalid { .. } => true,
            Self::Status { status, .. } => *status == StatusCode::PAYLOAD_TOO_LARGE,
            _ => false,
        }
    }
}

impl Transient for TinybirdError {
    fn again(&self) -> Again {
        match self {
            Self::Send { source, .. } => source.again(),
            Self::Status { again, .. } => *again,
            _ => Again::Never,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Send { source, .. } => source.failure(),
            Self::Status { status, .. } => http::failure(*status),
            Self::Unreadable { .. } => Failure::Internal,
            _ => Failure::Other,
        }
    }
}

/// Rows, one per line, and their number.
type Rows<'a> = (&'a [u8], u64);

/// The body of an error response.
#[derive(Deserialize)]
struct ApiError {
    error: String,
}

impl Acknowledgement {
    /// The rows that the acknowledgement accounts for.
    fn sum(self) -> u64 {
        self.successful_rows.saturating_add(self.quarantined_rows)
    }
}

impl Events {
    /// A client for this data source.
    pub fn new(source: DataSource, http: reqwest::Client, jitter: Jitter) -> Self {
        let mut url = source.host.clone();
        url.query_pairs_mut()
            .append_pair("name", &source.name)
            .append_pair("wait", "true");
        Self {
            source,
            url,
            http,
            jitter,
        }
    }

    /// Posts rows, one per line, compressed. `rows` is their number: only a 200 that accounts for
    /// all of them is an acknowledgement.
    pub async fn post(
        &self,
        lines: &[u8],
        rows: usize,
        deadline: Deadline,
    ) -> Result<Acknowledgement, GaveUp<TinybirdError>> {
        let body = gzip(lines);
        let attempt = || self.attempt(&body, (lines, rows as u64), deadline);
        retry::retry(&self.jitter, deadline, attempt).await
    }

    /// Where quarantined rows are, and what to do about them.
    pub fn quarantine(&self) -> String {
        let name = &self.source.name;
        format!(
            "they are in Tinybird's {name}_quarantine, whose columns c__error_column and c__error \
             say why; make the columns of {name} as in the project's folder tinybird, and insert \
             from there what is missing"
        )
    }

    async fn attempt(
        &self,
        body: &Bytes,
        rows: Rows<'_>,
        deadline: Deadline,
    ) -> Result<Acknowledgement, TinybirdError> {
        let request = self
            .http
            .post(self.url.clone())
            .bearer_auth(self.source.token.expose_secret())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "gzip")
            .body(body.clone());
        let answer = http::send(request, deadline).await;
        let answer = answer.map_err(|source| TinybirdError::Send {
            host: self.host(),
            source,
        })?;
        self.judge(&answer, rows)
    }

    fn judge(
        &self,
        answer: &Answer,
        (lines, sent): Rows<'_>,
    ) -> Result<Acknowledgement, TinybirdError> {
        let host = self.host();
        let name = self.source.name.clone();
        let said = self.explanation(answer);
        match answer.status {
            StatusCode::OK => match serde_json::from_slice::<Acknowledgement>(&answer.body) {
                Ok(told) if told.sum() == sent => Ok(told),
                Ok(told) => Err(TinybirdError::Miscounted {
                    host,
                    name,
                    sent,
                    told,
                }),
                Err(_) => Err(TinybirdError::Unreadable { host, said }),
            },
            StatusCode::ACCEPTED if !answer.is_webpage() => Err(TinybirdError::Queued { host }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !answer.is_blocked() => {
                Err(TinybirdError::Token { host, name, said })
            }
            StatusCode::NOT_FOUND => Err(TinybirdError::Unknown { host, name, said }),
            StatusCode::BAD_REQUEST if names_missing_source(&said, lines) => {
                Err(TinybirdError::Unknown { host, name, said })
            }
            StatusCode::BAD_REQUEST => Err(TinybirdError::Invalid { host, said }),
            StatusCode::UNPROCESSABLE_ENTITY => Err(TinybirdError::Partial { host, name, said }),
            status => Err(TinybirdError::Status {
                host,
                status,
                said,
                again: again(answer),
            }),
        }
    }

    fn explanation(&self, answer: &Answer) -> String {
        let secrets = [&self.source.token];
        match serde_json::from_slice::<ApiError>(&answer.body) {
            Ok(ApiError { error }) => http::excerpt(&error, &secrets),
            Err(_) => answer.excerpt(&secrets),
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

/// Whether a 400 rejects the data source rather than the rows, and does not quote one of them.
fn names_missing_source(said: &str, lines: &[u8]) -> bool {
    let names_source = |text: &str| http::folded(text).contains("datasource");
    let lower = said.to_lowercase();
    names_source(said)
        && MISSING.iter().any(|it| lower.contains(it))
        && !names_source(&String::from_utf8_lossy(lines))
}

/// Whether a retry can help. According to the API reference, it cannot after a 500.
fn again(answer: &Answer) -> Again {
    match answer.status {
        StatusCode::INTERNAL_SERVER_ERROR => Again::Never,
        StatusCode::TOO_MANY_REQUESTS => match answer.retry_after().or_else(|| reset(answer)) {
            Some(wait) => Again::NotBefore(wait),
            None => Again::Soon,
        },
        _ => answer.again(),
    }
}

fn reset(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header(RESET)?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|it| *it <= LONGEST_WINDOW)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    const SENT: u64 = 3;

    fn judged(
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Acknowledgement, TinybirdError> {
        judged_of(status, headers, body, "{}\n{}\n{}\n")
    }

    /// How this answer to these lines is judged.
    fn judged_of(
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
        lines: &str,
    ) -> Result<Acknowledgement, TinybirdError> {
        let source = DataSource {
            host: Url::parse("https://api.tinybird.co/v0/events").unwrap(),
            name: "auth0".into(),
            token: "p.eyJ1IjoiMSJ9.secret-of-the-token".into(),
        };
        let events = Events::new(source, http::client(None).unwrap(), Jitter::seeded(1));
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        events.judge(&answer, (lines.as_bytes(), SENT))
    }

    #[test]
    fn the_token_is_no_part_of_the_address() {
        let source = DataSource {
            host: Url::parse("https://api.tinybird.co/v0/events").unwrap(),
            name: "auth0".into(),
            token: "hush".into(),
        };
        let events = Events::new(source, http::client(None).unwrap(), Jitter::seeded(1));
        assert_eq!(
            events.url.as_str(),
            "https://api.tinybird.co/v0/events?name=auth0&wait=true"
        );
    }

    #[test]
    fn only_an_answer_that_accounts_for_every_row_is_an_acknowledgement() {
        for (stored, quarantined) in [(3, 0), (2, 1), (0, 3)] {
            let body =
                format!(r#"{{"successful_rows":{stored},"quarantined_rows":{quarantined}}}"#);
            let told = judged(200, &[], &body).unwrap();
            let expected = Acknowledgement {
                successful_rows: stored,
                quarantined_rows: quarantined,
            };
            assert_eq!(told, expected);
        }
        for (body, telling) in [
            (
                r#"{"successful_rows":2,"quarantined_rows":0}"#,
                "accounts for 2 of 3 rows (2 stored, 0 quarantined), so the next run sends them",
            ),
            (
                r#"{"successful_rows":3,"quarantined_rows":1}"#,
                "accounts for 4 of 3 rows",
            ),
            (
                r#"{"successful_rows":18446744073709551615,"quarantined_rows":4}"#,
                "of 3 rows",
            ),
            (r#"{"successful_rows":3}"#, "not what became of the rows"),
            (
                r#"{"successful_rows":"3","quarantined_rows":0}"#,
                "not what became of the rows",
            ),
            (r#"{"successful_rows":-3,"quarantined_rows":6}"#, "not what"),
            ("<html>ok</html>", "not what became of the rows: <html>ok"),
            ("", "not what became of the rows: an empty body"),
        ] {
            let error = judged(200, &[], body).unwrap_err();
            assert!(error.to_string().contains(telling), "{error}");
            assert!(!error.is_about_content(), "{error}");
            assert_eq!(error.again(), Again::Never, "{error}");
        }
    }

    #[test]
    fn every_other_answer_has_its_remedy_and_none_but_413_and_some_400_is_about_the_rows() {
        for (status, body, telling, is_about_content) in [
            (202, "", "it queued the rows", false),
            (
                400,
                r#"{"error":"bad row"}"#,
                "request: bad row; if it takes none",
                true,
            ),
            (
                400,
                r#"{"error":"Data Source auth0 not found"}"#,
                "has no data source auth0 for this token: Data Source",
                false,
            ),
            (
                400,
                "the datasource auth0 does not exist",
                "has no data source",
                false,
            ),
            (
                400,
                "a row of the data source is no JSON",
                "does not take the request",
                true,
            ),
            (401, "", "refused TINYBIRD_TOKEN", false),
            (
                403,
                r#"{"error":"invalid authentication token"}"#,
                "refused TINYBIRD_TOKEN: invalid authentication token; it must be a token of the",
                false,
            ),
            (
                404,
                "",
                "TINYBIRD_HOST must be the API host of the region",
                false,
            ),
            (413, "", "answered 413", true),
            (
                422,
                r#"{"error":"view failed"}"#,
                "stored only a part of the rows, and does not say which: view failed",
                false,
            ),
            (500, "", "answered 500", false),
        ] {
            let error = judged(status, &[], body).unwrap_err();
            assert!(error.to_string().contains(telling), "{error}");
            assert_eq!(error.is_about_content(), is_about_content, "{error}");
            assert_eq!(error.again(), Again::Never, "{error}");
        }
    }

    #[test]
    fn a_page_that_blocks_a_request_may_do_so_for_a_row() {
        let page = "<html>Request blocked</html>";
        for (status, body, is_internal) in [
            (403, page, true),
            (451, "", true),
            (403, "{}", false),
            (200, page, true),
            (200, "", true),
            (202, page, true),
            // It may have stored the rows.
            (202, "{}", false),
        ] {
            let error = judged(status, &[], body).unwrap_err();
            let is_suspect = error.failure() == Failure::Internal;
            assert_eq!(is_suspect, is_internal, "{error}");
            let is_refusal = error.to_string().contains("TINYBIRD_TOKEN");
            assert_eq!(is_refusal, (status, body) == (403, "{}"), "{error}");
        }
    }

    #[test]
    fn what_a_row_says_is_no_word_about_the_data_source() {
        let body = r#"{"error":"cannot read 'Data source: not found' in row 2"}"#;
        for (lines, is_about_content) in [
            (r#"{"data":{"user_agent":"data source: not found"}}"#, true),
            (r#"{"data":{"user_agent":"DataSource"}}"#, true),
            (r#"{"data":"{\"user_agent\":\"data\\nsource\"}"}"#, true),
            (r#"{"data":{"user_agent":"not found"}}"#, false),
        ] {
            let error = judged_of(400, &[], body, lines).unwrap_err();
            assert_eq!(error.is_about_content(), is_about_content, "{lines}");
        }
    }

    #[test]
    fn a_limit_and_a_service_that_is_away_are_waited_for() {
        let again = |status, headers: &[(&'static str, &str)]| {
            judged(status, headers, "").unwrap_err().again()
        };
        let seconds = |it| Again::NotBefore(Duration::from_secs(it));
        assert_eq!(
            again(429, &[("retry-after", "7"), (RESET, "3")]),
            seconds(7)
        );
        assert_eq!(again(429, &[(RESET, "3")]), seconds(3));
        assert_eq!(again(429, &[(RESET, "3600")]), seconds(3_600));
        for odd in ["1795000000", "-1", "soon", "3601"] {
            assert_eq!(again(429, &[(RESET, odd)]), Again::Soon, "{odd}");
        }
        assert_eq!(again(429, &[]), Again::Soon);
        assert_eq!(again(503, &[("retry-after", "2")]), seconds(2));
        assert_eq!(again(503, &[(RESET, "2")]), Again::Soon);
        assert_eq!(again(502, &[]), Again::Soon);
    }

    #[test]
    fn the_token_is_never_repeated() {
        let token = "p.eyJ1IjoiMSJ9.secret-of-the-token";
        for status in [200, 400, 403, 404, 422, 503] {
            for body in [token.to_owned(), format!(r#"{{"error":"no {token}"}}"#)] {
                let error = judged(status, &[], &body).unwrap_err().to_string();
                assert!(error.contains("withheld"), "{error}");
                assert!(!error.contains("secret-of"), "{error}");
            }
        }
    }
}
