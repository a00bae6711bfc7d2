use proptest::prelude::*;
use reqwest::header::HeaderValue;

use super::*;

#[test]
fn a_proxy_of_a_scheme_that_would_be_passed_by_is_refused() {
    for proxy in ["htp://proxy:8080", "ftp://proxy", "socks5://proxy:1080"] {
        assert!(Proxy::new(proxy, None).is_none(), "{proxy}");
    }
    for proxy in [
        "http://proxy:8080",
        "HTTP://proxy",
        "https://user:secret@proxy",
        "proxy:8080",
        "proxy",
    ] {
        assert!(Proxy::new(proxy, None).is_some(), "{proxy}");
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect(),
        body: Bytes::from_static(body.as_bytes()),
    }
}

#[test]
fn the_service_s_own_clock_is_read_from_its_answer() {
    let now = "2026-11-21T08:25:00Z".parse().unwrap();
    let dated = answer(403, &[("date", "Sat, 21 Nov 2026 08:00:00 GMT")], "");
    assert_eq!(dated.skew(now), Some(TimeDelta::minutes(25)));
    for answer in [answer(403, &[], ""), answer(403, &[("date", "now")], "")] {
        assert_eq!(answer.skew(now), None);
    }
}

#[test]
fn a_clock_that_may_be_the_reason_is_told_of() {
    let problem = |seconds| clock_problem(Some(TimeDelta::seconds(seconds)));
    assert_eq!(
        problem(1_500),
        "; this machine's clock is 25 minutes ahead of the service's"
    );
    assert_eq!(
        problem(-86_400),
        "; this machine's clock is 1440 minutes behind the service's"
    );
    assert_eq!(
        problem(600),
        "; this machine's clock is 10 minutes ahead of the service's"
    );
    assert_eq!(problem(-599), "");
    assert_eq!(clock_problem(None), "");
}

#[test]
fn only_statuses_that_pass_are_tried_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        assert_eq!(answer(status, &[], "").again(), Again::Soon, "{status}");
    }
    for status in [200, 302, 400, 401, 403, 404, 413] {
        assert_eq!(answer(status, &[], "").again(), Again::Never, "{status}");
    }
}

#[test]
fn the_wait_that_the_service_names_is_taken() {
    let busy = answer(429, &[("retry-after", " 7 ")], "");
    assert_eq!(busy.again(), Again::NotBefore(Duration::from_secs(7)));
    let unreadable = answer(429, &[("retry-after", "soon")], "");
    assert_eq!(unreadable.again(), Again::Soon);
}

#[test]
fn a_wait_until_a_date_is_reckoned_by_the_service_s_own_clock() {
    let busy = |until: &str, date: Option<&str>| {
        let date = date.map(|it| ("date", it));
        let headers: Vec<_> = [("retry-after", until)].into_iter().chain(date).collect();
        answer(503, &headers, "").again()
    };
    let now = Some("Sat, 21 Nov 2026 08:00:00 GMT");
    let seconds = |it| Again::NotBefore(Duration::from_secs(it));
    assert_eq!(busy(" Sat, 21 Nov 2026 08:01:30 GMT", now), seconds(90));
    assert_eq!(busy("Sat, 21 Nov 2026 08:00:00 GMT", now), seconds(0));
    // The wait is over already, or of unknown length.
    assert_eq!(busy("Sat, 21 Nov 2026 07:59:59 GMT", now), Again::Soon);
    assert_eq!(busy("Sat, 21 Nov 2026 08:01:30 GMT", None), Again::Soon);
    assert_eq!(
        busy("Sat, 21 Nov 2026 08:01:30 GMT", Some("x")),
        Again::Soon
    );
}

#[test]
fn the_body_is_what_is_quoted() {
    let secret = SecretString::from("hunter2");
    let echo = answer(400, &[], "<html>\n\n  client_secret=hunter2\r\n</html>");
    assert_eq!(
        echo.excerpt(&[&secret]),
        "(withheld: it repeats a credential)"
    );
    assert_eq!(echo.excerpt(&[]), "<html> client_secret=hunter2 </html>");
    let binary = answer(400, &[], "\u{1f}\u{8b}\u{1b}[31m");
    assert_eq!(binary.excerpt(&[]), "\u{fffd}\u{fffd}\u{fffd}[31m");
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_whose_body_hangs_the_status_and_what_had_arrived_count() {
    let begun = futures_util::stream::iter([Ok::<_, std::io::Error>("half")]);
    let hangs = futures_util::stream::pending();
    let body = reqwest::Body::wrap_stream(futures_util::StreamExt::chain(begun, hangs));
    let response = axum::http::Response::builder().status(204).body(body);
    let (answer, body_read) = read(response.unwrap().into(), 100, in_a_minute()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (204, &b"half"[..])
    );
    assert!(matches!(body_read, Err(SendError::OutOfTime)));
}

/// How many bytes are read of an answer of this size, and why no more.
async fn read_of(status: u16, bytes: usize, limit: usize) -> Result<usize, String> {
    let response = axum::http::Response::builder().status(status);
    let response = response.body("x".repeat(bytes)).unwrap();
    let (answer, body_read) = read(response.into(), limit, in_a_minute()).await;
    assert!(answer.body.iter().all(|byte| *byte == b'x'));
    body_read
        .map(|()| answer.body.len())
        .map_err(|error| format!("{} read: {error}", answer.body.len()))
}

#[tokio::test]
async fn no_more_is_read_of_an_answer_than_it_can_need() {
    assert_eq!(read_of(200, 5, 5).await, Ok(5));
    let too_large = Err("5 read: the answer is over 5 bytes".to_owned());
    assert_eq!(read_of(200, 6, 5).await, too_large);
    // 64 KiB of an error are read, even if a page was requested.
    assert_eq!(read_of(200, 65_537, MAX_PAGE).await, Ok(65_537));
    assert_eq!(read_of(503, 65_536, MAX_PAGE).await, Ok(65_536));
    let cut = Err("65536 read: the answer is over 65536 bytes".to_owned());
    assert_eq!(read_of(503, 65_537, MAX_PAGE).await, cut);
    assert_eq!(read_of(302, 65_537, MAX_PAGE).await, cut);
}

#[test]
fn a_compressed_answer_is_told_from_a_plain_one() {
    let encoding = |value| answer(200, &[("content-encoding", value)], "").encoding();
    assert_eq!(encoding(" GZip "), Some("gzip"));
    // Its name could be anything, such as a credential or a terminal command.
    for value in ["gzip, br", "Bearer secret", "\u{fc}"] {
        assert_eq!(encoding(value), Some("in a way of its own"), "{value}");
    }
    for value in ["identity", ""] {
        assert_eq!(encoding(value), None, "{value}");
    }
    assert_eq!(answer(200, &[], "").encoding(), None);
}

#[test]
fn a_body_names_an_error_only_if_its_member_says_something() {
    for (body, expected) in [
        (r#"{"error":{"code":"Denied"}}"#, true),
        (r#"{"id":7,"Message":"denied"}"#, true),
        (r#"{"errors":[{}]}"#, true),
        (r#"{"fault":true}"#, true),
        (r#"{"error":null}"#, false),
        (r#"{"error":false}"#, false),
        (r#"{"message":""}"#, false),
        (r#"{"errors":[]}"#, false),
        (r#"{"id":"error"}"#, false),
        (r#"["error"]"#, false),
        ("{}", false),
        ("error", false),
        ("", false),
    ] {
        let answer = answer(200, &[], body);
        assert_eq!(answer.names_error(), expected, "{body}");
    }
}

#[test]
fn a_page_is_told_by_its_looks_or_by_what_is_said_of_it() {
    let html = ("content-type", "text/html; charset=utf-8");
    for (headers, body, is_page) in [
        (&[][..], "\u{feff}\n<html>", true),
        (&[html], "You are not signed in", true),
        (&[("content-type", "Application/XHTML+xml")], "\0<", true),
        // The body was not read.
        (&[html, ("content-length", "9")], "", true),
        (&[html, ("content-length", "0")], "", false),
        (&[html], "", false),
        (&[("content-type", "text/plain")], "OK", false),
        (&[("content-type", "application/json")], "{}", false),
        (&[], "", false),
    ] {
        let answer = answer(200, headers, body);
        assert_eq!(answer.is_webpage(), is_page, "{headers:?} {body:?}");
    }
}

#[test]
fn a_redirect_is_named_without_its_query_and_without_a_credential() {
    let moved = |to| answer(302, &[("location", to)], "").redirect(&[&"hunter2".into()]);
    let to = moved("https://elsewhere/login?state=s").unwrap();
    assert_eq!(to, "https://elsewhere/login");
    let withheld = "(withheld: it repeats a credential)";
    for to in ["https://elsewhere/hunter2", "https://%68unter2@elsewhere/#"] {
        assert_eq!(moved(to).unwrap(), withheld, "{to}");
    }
    assert_eq!(moved("\u{9b}31m").unwrap(), "\u{fffd}31m");
    let no_redirect = answer(200, &[("location", "https://x/")], "");
    assert_eq!(no_redirect.redirect(&[]), None);
    // An excerpt of a redirect says where it points, whatever the service.
    let said = |to| answer(307, &[("location", to)], "moved").excerpt(&[&"hunter2".into()]);
    assert_eq!(
        said("https://elsewhere/login?code=c"),
        "it redirects to https://elsewhere/login, which is not followed"
    );
    assert_eq!(said("https://elsewhere/hunter2"), withheld);
    assert_eq!(answer(307, &[], "moved").excerpt(&[]), "moved");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_wait_is_the_number_that_the_header_holds_or_none(
        value in prop_oneof![
            "[ +-]?[0-9]{1,25} ?".prop_map(String::into_bytes),
            any::<Vec<u8>>(),
        ],
    ) {
        let Ok(header) = HeaderValue::from_bytes(&value) else {
            return Ok(());
        };
        let mut busy = answer(429, &[], "");
        busy.headers.insert(RETRY_AFTER, header);
        let text = String::from_utf8_lossy(&value);
        let number = text.trim().trim_start_matches('+').parse::<u64>().ok();
        prop_assert_eq!(busy.retry_after().map(|it| it.as_secs()), number);
    }
}

#[test]
fn what_may_be_blocked_for_its_content_is_told_from_what_is_not_allowed() {
    for (status, body, expected) in [
        (403, "<html>Request blocked</html>", true),
        (403, r#"{"error":{"code":"OperationFailed"}}"#, false),
        (403, "", false),
        (401, "<html></html>", false),
        (200, "<html></html>", false),
    ] {
        assert_eq!(
            answer(status, &[], body).is_blocked(),
            expected,
            "{status} {body}"
        );
    }
    for (status, expected) in [
        (500, true),
        (502, true),
        (503, false),
        (504, true),
        (400, false),
        (401, false),
        (403, true),
        (404, false),
        (407, false),
        (408, false),
        (409, true),
        (413, false),
        (415, true),
        (422, true),
        (429, false),
        (451, true),
        (520, true),
        (524, true),
        // A success that the caller does not take for one, or a redirect, is not the service's own answer.
        (200, true),
        (202, true),
        (302, true),
        (307, true),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let is_internal = failure(status) == Failure::Internal;
        assert_eq!(is_internal, expected, "{status}");
    }
    // A smaller body may come in time.
    assert_eq!(failure(StatusCode::REQUEST_TIMEOUT), Failure::Late);
}
