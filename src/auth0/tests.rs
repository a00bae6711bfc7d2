//! What becomes of a run at a tenant that refuses requests, in paused time and without a network; and what
//! the oldest records tell.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::*;
use crate::net::http::Answer;
use crate::net::token::AccessToken;
use crate::record::Misfit;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A tenant's log, and its rate limit. The clock stands at 08:00:00.
fn logs() -> (Logs, Arc<RateLimit>) {
    let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
    let http = crate::net::http::client(None).unwrap();
    let domain: Url = "https://acme.eu.auth0.com".parse().unwrap();
    let credentials = Credentials {
        client_id: "id".to_owned(),
        client_secret: "secret".into(),
        audience: "https://acme.eu.auth0.com/api/v2/".to_owned(),
    };
    let tokens = TokenSource::new(http.clone(), &domain, credentials, clock.clone());
    let limit = Arc::new(RateLimit::new(clock));
    let jitter = Jitter::seeded(1);
    let logs = Logs::new(http, &domain, Arc::new(tokens), limit.clone(), jitter);
    (logs, limit)
}

fn token() -> AccessToken {
    AccessToken::new("token".into(), String::new(), Instant::now(), None)
}

/// Reads in a run with this much time left, where each answer is a 429 with these headers and comes
/// after `latency`.
async fn read(
    headers: &[(&'static str, u64)],
    left: Duration,
    latency: Duration,
) -> (SourceError, Duration) {
    let (logs, limit) = logs();
    let refusal = || Answer {
        status: StatusCode::TOO_MANY_REQUESTS,
        headers: headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from(*value)))
            .collect::<HeaderMap>(),
        body: Bytes::from_static(br#"{"message":"Global limit has been reached"}"#),
    };
    let began = Instant::now();
    let deadline = Deadline::after(left);
    let read = retry(logs.jitter(), deadline, || async {
        let permit = limit.wait(deadline).await?;
        tokio::time::sleep(latency).await;
        permit.learn(&refusal());
        logs.judge(refusal(), token(), deadline)
    });
    let error = read.await.map(|_| ()).unwrap_err();
    (source_error(error), began.elapsed())
}

fn bucket(reset: u64) -> [(&'static str, u64); 3] {
    let eight = 1_795_248_000;
    [
        ("x-ratelimit-limit", 10),
        ("x-ratelimit-remaining", 0),
        ("x-ratelimit-reset", eight + reset),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_met_once_and_resets_soon_is_nobody_s_fault() {
    for (headers, left, latency) in [
        // It resets after the end of the run.
        (&bucket(30)[..], 10 * SECOND, Duration::ZERO),
        (&[("retry-after", 30)], 10 * SECOND, Duration::ZERO),
        // The refusal comes shortly before the end, or after it.
        (&[], SECOND / 2, Duration::ZERO),
        (&bucket(0), SECOND, SECOND / 2),
        (&bucket(1), SECOND, 2 * SECOND),
    ] {
        let (error, elapsed) = read(headers, left, latency).await;
        assert!(matches!(error, SourceError::OutOfTime(_)), "{error:?}");
        assert_eq!(elapsed, latency, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_met_again_after_a_wait_counts_as_no_answer() {
    let (error, elapsed) = read(&bucket(3), 5 * SECOND, Duration::ZERO).await;
    assert!(matches!(error, SourceError::Slow(_)), "{error:?}");
    assert_eq!(elapsed, 3 * SECOND);
    assert_eq!(
        error.to_string(),
        "acme.eu.auth0.com answered 429 Too Many Requests: Global limit has been reached; Auth0 \
         takes no further requests for another 3 s, until 2026-11-21T08:00:03Z (rate limit or \
         quota) (tried 2 times in 3.0 s)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lockout_says_what_the_tenant_says_of_it_and_until_when_it_lasts() {
    let (error, elapsed) = read(&[("retry-after", 3_600)], MINUTE, Duration::ZERO).await;
    assert!(matches!(error, SourceError::Slow(_)), "{error:?}");
    assert_eq!(elapsed, Duration::ZERO);
    assert_eq!(
        error.to_string(),
        "acme.eu.auth0.com answered 429 Too Many Requests: Global limit has been reached; Auth0 \
         takes no further requests for another 3600 s, until 2026-11-21T09:00:00Z (rate limit or \
         quota)"
    );
}

#[tokio::test(start_paused = true)]
async fn so_does_a_tenant_that_refuses_every_attempt_and_a_wait_that_does_not_fit() {
    let (error, _) = read(&[], MINUTE, Duration::ZERO).await;
    assert!(matches!(error, SourceError::Slow(_)), "{error:?}");
    assert!(error.to_string().contains("(tried 6 times in "), "{error}");

    // The tenant asks for no wait, but the one before another attempt is too long.
    let (error, elapsed) = read(&[("retry-after", 0)], 3 * SECOND, Duration::ZERO).await;
    assert!(matches!(error, SourceError::Slow(_)), "{error:?}");
    assert!(elapsed < 3 * SECOND, "{error}");
}

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

/// Records by the times at which they were stored, and by their dates.
fn found(times: &[(&str, &str)]) -> Elements {
    let records = times.iter().map(|(stored, date)| Record {
        log_id: LogId::synthetic("900", at(stored)),
        date: Some(at(date)),
        json: Bytes::new(),
    });
    Elements {
        records: records.collect(),
        misfits: Vec::new(),
    }
}

fn misfit() -> Misfit {
    Misfit {
        json: Bytes::new(),
        date: None,
        reason: "",
    }
}

const IMPORTED: (&str, &str) = ("08:00:00", "05:00:00");

#[test]
fn an_imported_record_has_been_in_the_log_since_it_was_stored() {
    for (times, since) in [
        (&[("08:00:01", "08:00:00")][..], "08:00:00"),
        // Ten minutes are no import, and a second more is one.
        (&[("08:10:00", "08:00:00")], "08:00:00"),
        (&[("08:10:01", "08:00:00")], "08:10:01"),
        (&[IMPORTED, ("07:00:00", "07:00:00")], "07:00:00"),
        (&[IMPORTED, ("09:00:00", "09:00:00")], "08:00:00"),
        (&[("09:00:00", "05:00:00"), IMPORTED], "08:00:00"),
        (&[IMPORTED; 49], "08:00:00"),
    ] {
        assert_eq!(since_when(&found(times)), Some(at(since)), "{times:?}");
    }
}

#[test]
fn where_there_may_be_older_records_than_imported_ones_nothing_is_said() {
    assert_eq!(since_when(&found(&[IMPORTED; 50])), None);
    let mut some = found(&[IMPORTED; 49]);
    some.misfits.push(misfit());
    assert_eq!(since_when(&some), None);
    assert_eq!(since_when(&found(&[])), None);
}

#[test]
fn what_was_imported_later_does_not_show_that_older_records_are_left() {
    let has = |times: &[_]| has_as_old(&found(times), at("07:00:00"));
    assert!(!has(&[]));
    assert!(!has(&[IMPORTED; 2]));
    assert!(has(&[IMPORTED, ("06:00:00", "06:00:00")]));
    // Stored before, and at the same time.
    assert!(has(&[("06:59:00", "05:00:00")]));
    assert!(has(&[("07:00:00", "05:00:00")]));
    // Stored a little later, as records usually are.
    assert!(has(&[("07:05:00", "07:00:00")]));
    let odd = Elements {
        records: Vec::new(),
        misfits: vec![misfit()],
    };
    assert!(has_as_old(&odd, at("07:00:00")));
}

#[tokio::test]
async fn what_may_be_wrong_with_a_record_is_told_from_what_concerns_every_request() {
    let (logs, _) = logs();
    let page = "<html>Blocked by policy</html>";
    let error = r#"{"statusCode":0,"message":"no","errorCode":"no"}"#;
    for (status, body, expected) in [
        (500, error, true),
        (502, page, true),
        (503, "", true),
        (504, "", true),
        (524, page, true),
        (408, "", true),
        (403, page, true),
        (451, page, true),
        (405, "", true),
        (202, page, true),
        (302, "", true),
        // Auth0 says what is wrong, or something on the way does.
        (400, error, false),
        (400, page, false),
        (401, error, false),
        (401, page, false),
        (403, error, false),
        (403, "", false),
        (404, page, false),
        (407, page, false),
        (429, "", false),
    ] {
        let mut headers = HeaderMap::new();
        if status == 302 {
            let to = HeaderValue::from_static("https://proxy.example/blocked");
            headers.insert("location", to);
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        };
        let judged = logs.judge(answer, token(), Deadline::after(MINUTE));
        let error = judged.map(|_| ()).unwrap_err();
        assert_eq!(error.may_be_for_a_record(), expected, "{status} {body}");
    }
}

/// What is too large has a way of its own, and without an answer nothing tells whether one would come.
#[test]
fn an_answer_that_is_too_large_or_does_not_come_is_not_taken_to_be_for_a_record() {
    use crate::net::http::SendError;

    let host = || "acme.eu.auth0.com".to_owned();
    let send = |source| LogsError::Send {
        host: host(),
        source,
    };
    for (error, expected) in [
        (send(SendError::TooLarge(8_388_608)), false),
        (send(SendError::OutOfTime), false),
        (send(SendError::Compressed("gzip")), true),
        (
            LogsError::Redirected {
                host: host(),
                location: "/".into(),
            },
            true,
        ),
        (
            LogsError::NoProgress {
                host: host(),
                after: LogId::new("1"),
            },
            false,
        ),
    ] {
        assert_eq!(error.may_be_for_a_record(), expected, "{error}");
    }
}
