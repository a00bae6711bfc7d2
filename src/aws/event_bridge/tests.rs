use axum::Router;
use reqwest::header::DATE;
use tokio::net::TcpListener;

use super::*;
use crate::aws::settings;
use crate::net::retry::{Again, Failure, Transient as _};
use crate::settings::{AppSettings, Reader};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzEJr//////////wEaDEXAMPLE";

fn bus(settings: &[(&str, &str)]) -> Bus {
    let settings: AppSettings = settings.iter().copied().collect();
    let region = Region::parse("eu-west-1").unwrap();
    let http = http::client(None).unwrap();
    let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
    let credentials = Reader::read(&settings, |reader| {
        settings::credentials(reader, "EVENT_BRIDGE_BUS", &region, &http, &clock)
    });
    Bus {
        name: "auth0".into(),
        url: region.endpoint("events").unwrap(),
        region,
        credentials: credentials.unwrap(),
        http,
        clock,
        jitter: Jitter::seeded(1),
        known: Known::default(),
    }
}

fn with_keys() -> Bus {
    bus(&[
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
    ])
}

fn with_role() -> Bus {
    bus(&[
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/auth0-logs"),
        ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
        ("IDENTITY_HEADER", "header"),
    ])
}

fn refused(bus: &Bus, status: u16, body: &str) -> EventBridgeError {
    let credential = AwsCredential {
        key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_key: SECRET.into(),
        token: Some(TOKEN.into()),
    };
    let answer = Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let secrets = secrets(&credential, &HeaderMap::new());
    bus.refusal(Action::PutEvents, &answer, &secrets)
}

fn json(code: &str, message: &str) -> String {
    serde_json::json!({"__type": code, "message": message}).to_string()
}

#[test]
fn every_refusal_has_its_remedy_and_is_not_the_entry_s_fault() {
    for (status, code, message, telling) in [
        (
            400,
            "UnrecognizedClientException",
            "",
            "AWS knows no such access key",
        ),
        (
            403,
            "InvalidClientTokenId",
            "",
            "AWS knows no such access key",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "",
            "is not the secret of AWS_ACCESS_KEY_ID",
        ),
        (
            400,
            "ExpiredTokenException",
            "",
            "AWS_SESSION_TOKEN has ended",
        ),
        (
            400,
            "InvalidSignatureException",
            "Signature expired: x",
            "set this machine's clock",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region",
            "see that AWS_REGION is the region of the bus",
        ),
        (
            400,
            "AccessDeniedException",
            "",
            "allow events:PutEvents on \
             arn:aws:events:eu-west-1:<account>:event-bus/auth0",
        ),
        (
            400,
            "ResourceNotFoundException",
            "",
            "there is no bus auth0 at events.eu-west-1.amazonaws.com",
        ),
        (404, "", "", "is not EventBridge"),
        (400, "UnknownOperationException", "", "is not EventBridge"),
    ] {
        let error = refused(&with_keys(), status, &json(code, message));
        assert!(error.to_string().contains(telling), "{error}");
        assert!(!error.is_about_content(), "{error}");
        assert_eq!(error.again(), Again::Never, "{error}");
    }
    let error = refused(&with_role(), 403, &json("InvalidClientTokenId", ""));
    assert!(
        error.to_string().contains("new ones of the role"),
        "{error}"
    );
}

#[test]
fn what_passes_is_tried_again_and_what_is_about_the_entries_is_not() {
    for (status, code) in [
        (400, "ThrottlingException"),
        (500, "InternalException"),
        (503, ""),
        (429, ""),
    ] {
        let error = refused(&with_keys(), status, &json(code, ""));
        assert_eq!(error.again(), Again::Soon, "{error}");
        assert!(!error.is_about_content(), "{error}");
        let is_internal = error.failure() == Failure::Internal;
        assert_eq!(is_internal, status == 500, "{error}");
    }
    for (status, code) in [(400, "ValidationException"), (413, ""), (400, "")] {
        let error = refused(&with_keys(), status, &json(code, ""));
        assert_eq!(error.again(), Again::Never, "{error}");
        assert!(error.is_about_content(), "{error}");
    }
}

#[test]
fn a_clock_that_is_wrong_is_told_of_where_a_signature_is_refused() {
    let bus = with_keys();
    let mut headers = HeaderMap::new();
    headers.insert(
        DATE,
        HeaderValue::from_static("Sat, 21 Nov 2026 08:25:00 GMT"),
    );
    let answer = Answer {
        status: StatusCode::FORBIDDEN,
        headers,
        body: json("SignatureDoesNotMatch", "").into(),
    };
    let error = bus.refusal(Action::PutEvents, &answer, &[]);
    let told = "; this machine's clock is 25 minutes behind the service's";
    assert!(error.to_string().ends_with(told), "{error}");
}

#[test]
fn what_is_said_is_told_without_the_secret_and_the_session_s_token() {
    for secret in [SECRET, TOKEN] {
        let message = format!("the canonical string should have been {secret}");
        let error = refused(&with_keys(), 403, &json("SignatureDoesNotMatch", &message));
        assert!(error.to_string().contains("withheld"), "{error}");
    }
}

/// A bus whose place is taken by a server that answers every request in this way.
async fn in_place_of_the_bus(
    answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
) -> Bus {
    let answer = move |sent: HeaderMap| answer(sent["x-amz-security-token"].to_str().unwrap());
    in_its_place(answer).await
}

/// The same, with an answer to the headers of the request.
async fn in_its_place<A: axum::response::IntoResponse>(
    answer: impl Fn(HeaderMap) -> A + Clone + Send + Sync + 'static,
) -> Bus {
    let service = move |sent: HeaderMap| async move { answer(sent) };
    let router = Router::new().fallback(service);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = Url::parse(&format!("http://{address}")).unwrap();
    Bus { url, ..with_keys() }
}

#[tokio::test]
async fn a_success_that_repeats_the_request_is_told_without_the_session_s_token() {
    let echo = in_place_of_the_bus(|token| format!("x-amz-security-token: {token}")).await;
    let deadline = Deadline::after(Duration::from_mins(1));
    let put = echo.put(&["{}".into()], deadline).await;
    let described = echo.verify(deadline).await;
    for error in [put.error.unwrap(), described.unwrap_err()] {
        let told = error.to_string();
        assert!(told.contains("and something else"), "{told}");
        assert!(told.contains("withheld"), "{told}");
        assert!(!told.contains(TOKEN), "{told}");
    }
}

/// What stands after `Signature=` in a header.
fn signature(authorization: &str) -> &str {
    authorization.split_once("Signature=").unwrap().1
}

#[tokio::test]
async fn an_answer_that_repeats_the_request_is_told_without_its_signature() {
    let sent = Arc::new(Mutex::new(String::new()));
    for (status, form) in [
        (200, "authorization: {}"),
        (403, "<html>authorization: {}</html>"),
        (403, r#"{"message":"no {}"}"#),
        (502, "Signature={}"),
    ] {
        let kept = Arc::clone(&sent);
        let echo = in_its_place(move |headers| {
            let authorization = headers["authorization"].to_str().unwrap();
            signature(authorization).clone_into(&mut kept.lock().unwrap());
            let is_whole = !form.starts_with("Signature");
            let echoed = if is_whole {
                authorization
            } else {
                signature(authorization)
            };
            let status = StatusCode::from_u16(status).unwrap();
            (status, form.replace("{}", echoed))
        });
        // A bus whose keys are a user's, so that there is no token of a session.
        let bus = Bus {
            url: echo.await.url,
            ..bus(&[
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
            ])
        };
        let deadline = Deadline::after(Duration::from_millis(100));
        let put = bus.put(&["{}".into()], deadline).await;
        let described = bus.verify(deadline).await;
        for error in [put.error.unwrap(), described.unwrap_err()] {
            let told = crate::error::with_causes(&error);
            let signature = sent.lock().unwrap();
            assert_eq!(signature.len(), 64);
            assert!(told.contains("withheld"), "{status} {told}");
            assert!(!told.contains(&**signature), "{told}");
        }
    }
}

#[tokio::test]
async fn the_signature_of_an_entry_s_request_is_not_told_either() {
    let bus = in_its_place(|headers| {
        let signature = signature(headers["authorization"].to_str().unwrap());
        format!(r#"{{"Entries":[{{"ErrorCode":"New","ErrorMessage":"no {signature}"}}]}}"#)
    });
    let deadline = Deadline::after(Duration::from_mins(1));
    let put = bus.await.put(&["{}".into()], deadline).await;
    match &put.fates[..] {
        [Fate::Refused(error)] => assert!(error.to_string().contains("withheld"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_said_of_an_entry_is_told_without_the_session_s_token() {
    let bus = in_place_of_the_bus(|token| {
        format!(r#"{{"Entries":[{{"ErrorCode":"New","ErrorMessage":"no {token}"}}]}}"#)
    });
    let deadline = Deadline::after(Duration::from_mins(1));
    let put = bus.await.put(&["{}".into()], deadline).await;
    match &put.fates[..] {
        [Fate::Refused(error)] => assert_eq!(
            error.to_string(),
            "EventBridge refused the entry: (withheld: it repeats a credential)"
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_bus_is_there_where_the_answer_names_it() {
    let deadline = Deadline::after(Duration::from_mins(1));
    let of = async |answer: fn(&str) -> String| {
        let described = in_place_of_the_bus(answer).await.verify(deadline).await;
        match described {
            Ok(Standing::There(arn)) => Ok(arn),
            other => Err(format!("{other:?}")),
        }
    };
    let arn = "arn:aws:events:eu-west-1:123456789012:event-bus/auth0";
    assert_eq!(
        of(|_| r#"{"Arn":"arn:aws:events:eu-west-1:123456789012:event-bus/auth0"}"#.into()).await,
        Ok(arn.to_owned())
    );
    for answer in [
        |_: &str| r#"{"Arn":""}"#.to_owned(),
        |_: &str| r#"{"Arn":"welcome"}"#.to_owned(),
        |_: &str| r#"{"Arn":"arn:aws:events:eu-west-1:123456789012:event-bus/other"}"#.to_owned(),
        |token: &str| format!(r#"{{"Arn":"{token}"}}"#),
        // The ARN of a bus is shown.
        |token: &str| format!(r#"{{"Arn":"arn:aws:events:{token}:event-bus/auth0"}}"#),
    ] {
        let told = of(answer).await.unwrap_err();
        assert!(told.contains("NotUnderstood"), "{told}");
        assert!(!told.contains(TOKEN), "{told}");
    }
}

#[test]
fn of_an_arn_only_the_region_and_the_account_are_another_s_to_choose() {
    let bus = with_keys();
    let long = format!("aws-{}", "a".repeat(40));
    for (partition, region, account, name, is_its) in [
        ("aws", "eu-west-1", "123456789012", "auth0", true),
        ("aws-cn", "cn-north-1", "210987654321", "auth0", true),
        ("aws", "eu-west-1", "123456789012", "auth1", false),
        ("gcp", "eu-west-1", "123456789012", "auth0", false),
        ("aws-CN", "cn-north-1", "123456789012", "auth0", false),
        (&long, "eu-west-1", "123456789012", "auth0", false),
        ("aws", "Ireland", "123456789012", "auth0", false),
        ("aws", "eu-west-1", "1234", "auth0", false),
        ("aws", "eu-west-1", "12345678901a", "auth0", false),
    ] {
        let arn = format!("arn:{partition}:events:{region}:{account}:event-bus/{name}");
        assert_eq!(bus.is_named_by(&arn), is_its, "{arn}");
    }
}

/// Asks, and returns what is known: this answer, or an earlier one.
async fn known(known: &Known, answer: Standing) -> String {
    let answer = known.get(async { Ok::<_, ()>(answer) }).await;
    match answer.unwrap() {
        Standing::There(text) | Standing::NotAllowed(text) => text,
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_was_there_is_asked_for_again_after_a_minute() {
    let bus = Known::default();
    let there = |text: &str| Standing::There(text.into());
    assert_eq!(known(&bus, there("first")).await, "first");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(known(&bus, there("second")).await, "first");
    tokio::time::advance(Duration::from_secs(1)).await;
    let failed = bus.get(async { Err("it is gone") }).await;
    assert_eq!(failed.unwrap_err(), "it is gone");
    assert_eq!(known(&bus, there("third")).await, "third");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_ask_asks_again_after_an_hour() {
    let bus = Known::default();
    let denied = |text: &str| Standing::NotAllowed(text.into());
    assert_eq!(known(&bus, denied("first")).await, "first");
    tokio::time::advance(Duration::from_secs(3_599)).await;
    assert_eq!(known(&bus, denied("second")).await, "first");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(known(&bus, denied("third")).await, "third");
}

#[tokio::test]
async fn an_entry_over_which_the_service_fails_inside_is_told_from_one_that_has_to_wait() {
    for (codes, expected) in [
        (&["InternalFailure"][..], true),
        (&["InternalException", "InternalFailure"], true),
        (&["ThrottlingException"], false),
        (&["ThrottlingException", "InternalFailure"], false),
        (&["InternalFailure", "ThrottlingException"], false),
        (&["InternalFailure", "NotAuthorizedForSource"], false),
    ] {
        let entry = |code: &&str| format!(r#"{{"ErrorCode":"{code}"}}"#);
        let answer: Vec<_> = codes.iter().map(entry).collect();
        let answer = format!(r#"{{"Entries":[{}]}}"#, answer.join(","));
        let bus = in_place_of_the_bus(move |_| answer.clone()).await;
        let entries = vec![Bytes::from_static(b"{}"); codes.len()];
        let fates = Mutex::new(codes.iter().map(|_| Fate::Open).collect());
        let deadline = Deadline::after(Duration::from_mins(1));
        let error = bus.attempt(&entries, &fates, deadline).await.unwrap_err();
        let is_internal = error.failure() == Failure::Internal;
        assert_eq!(is_internal, expected, "{codes:?}: {error}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_may_do_so_for_an_entry() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let bus = Bus {
        url: Url::parse(&url).unwrap(),
        ..with_keys()
    };
    let fates = Mutex::new(vec![Fate::Open]);
    let deadline = Deadline::after(Duration::from_mins(1));
    let error = bus.attempt(&["{}".into()], &fates, deadline).await;
    let error = error.unwrap_err();
    assert_eq!(error.failure(), Failure::Internal, "{error:?}");
}

#[tokio::test]
async fn what_answers_in_place_of_the_bus_may_do_so_for_an_entry() {
    let page = || "<html>Blocked</html>".to_owned();
    for answer in [page(), "{}".to_owned(), "<".repeat(100_000)] {
        let bus = in_place_of_the_bus(move |_| answer.clone()).await;
        let fates = Mutex::new(vec![Fate::Open]);
        let deadline = Deadline::after(Duration::from_mins(1));
        let error = bus.attempt(&["{}".into()], &fates, deadline).await;
        let error = error.unwrap_err();
        assert_eq!(error.failure(), Failure::Internal, "{error:?}");
    }
    let redirect = refused(&with_keys(), 302, "");
    assert_eq!(redirect.failure(), Failure::Internal, "{redirect:?}");
}
