use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use super::*;
use crate::azure::identity::Principal;
use crate::clock;
use crate::error::BoxError;
use crate::error::with_causes;
use crate::net::http;
use crate::net::retry::{Again, Deadline, Jitter, Transient as _};
use crate::storage::Storage;
use crate::storage::tests::{IS_WRITTEN, assert_written};

mod names;

const KEY: &str = "a2V5IG9mIHRoZSBhY2NvdW50";
const SAS: &str = "sv=2022-11-02&ss=b&srt=sco&sp=rwdlac&sig=aHVudGVyMg%2Fzig%2BQ%3D";

/// The credential for the account in a test.
#[derive(Clone, Copy, Debug)]
enum By {
    Key,
    Sas,
    Identity,
}

/// A simulated storage account with scripted responses, and an identity endpoint that issues the
/// tokens `token1`, `token2` and so on.
struct Double {
    address: std::net::SocketAddr,
    tokens: Arc<AtomicUsize>,
    /// Whether the endpoint issues `token1` every time.
    issues_the_same: Arc<AtomicBool>,
}

impl Double {
    async fn start(answer: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) -> Self {
        let tokens = Arc::new(AtomicUsize::new(0));
        let issues_the_same = Arc::new(AtomicBool::default());
        let issued = Arc::clone(&tokens);
        let is_same = Arc::clone(&issues_the_same);
        let issue = move || async move {
            let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
            let number = if is_same.load(Ordering::Relaxed) {
                1
            } else {
                number
            };
            format!(r#"{{"access_token":"token{number}","expires_on":"4102444800"}}"#)
        };
        let router = Router::new()
            .route("/token", axum::routing::get(issue))
            .fallback(move |request: Request| async move { answer(request) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            tokens,
            issues_the_same,
        }
    }

    /// Responds to every request with this status, code and message, in Azure's wording.
    async fn refusing(status: u16, code: &'static str) -> Self {
        Self::start(move |_| azure_error(status, code, "Told by the account.\nRequestId:0e3e"))
            .await
    }

    fn container(&self, by: By) -> Container {
        self.container_or(by, Missing::IsMade)
    }

    fn container_or(&self, by: By, missing: Missing) -> Container {
        let address = self.address;
        let account = match by {
            By::Key => Account::from_connection_string(&format!(
                "AccountName=acme;AccountKey={KEY};BlobEndpoint=http://{address}/acme"
            )),
            By::Sas => Account::from_connection_string(&format!(
                "BlobEndpoint=http://{address}/acme;SharedAccessSignature={SAS}"
            )),
            By::Identity => {
                let principal = Principal::Managed {
                    endpoint: format!("http://{address}/token").parse().unwrap(),
                    header: "header".into(),
                    client_id: None,
                };
                Account::from_blob_service(&format!("http://{address}/acme"), principal)
            }
        };
        let http = http::client(None).unwrap();
        Container::new(&account.unwrap(), CONTAINER, missing, http, clock::system()).unwrap()
    }

    fn storage(&self, by: By) -> Storage {
        Storage::over(self.container(by), Jitter::seeded(1))
    }
}

fn azure_error(status: u16, code: &'static str, message: &str) -> Response {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error>"
    );
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("x-ms-error-code", code)], body).into_response()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// The error of a read if the account responds like this.
async fn said(by: By, status: u16, code: &'static str) -> (String, Again) {
    let double = Double::refusing(status, code).await;
    let container = double.container(by);
    container.prepare(soon()).await.unwrap();
    let error = container.read("a").await.unwrap_err();
    (with_causes(&error), error.again())
}

#[tokio::test]
async fn a_refusal_is_judged_by_its_code_which_is_quoted() {
    let cases = [
        (By::Identity, 403, "AuthorizationFailure", "Networking"),
        (By::Sas, 403, "AuthorizationFailure", "Networking"),
        (By::Key, 403, "AuthorizationFailure", "Networking"),
        (
            By::Identity,
            403,
            "AuthorizationPermissionMismatch",
            "the role Storage Blob Data",
        ),
        (
            By::Sas,
            403,
            "AuthorizationPermissionMismatch",
            "permissions r, w, c, d and l",
        ),
        (
            By::Sas,
            403,
            "AuthorizationResourceTypeMismatch",
            "service, container and object",
        ),
        (
            By::Sas,
            403,
            "AuthorizationServiceMismatch",
            "for the blob service",
        ),
        (By::Sas, 403, "AuthorizationSourceIPMismatch", "address"),
        (By::Sas, 403, "AuthorizationProtocolMismatch", "for https"),
        (
            By::Sas,
            403,
            "UnauthorizedBlobOverwrite",
            "with the permission w",
        ),
        (By::Key, 403, "ContainerDisabled", "is disabled"),
        (By::Key, 409, "InvalidBlobType", "of another kind"),
        (By::Key, 403, "AuthenticationFailed", "the key"),
        (By::Sas, 403, "AuthenticationFailed", "expired"),
        (
            By::Key,
            403,
            "KeyBasedAuthenticationNotPermitted",
            "AzureWebJobsStorage__accountName",
        ),
        (By::Identity, 401, "NoAuthenticationInformation", "proxy"),
        (By::Sas, 409, "PublicAccessNotPermitted", "proxy"),
        (By::Key, 403, "AccountIsDisabled", "subscription"),
        (By::Key, 403, "InsufficientAccountPermissions", "read only"),
        (
            By::Key,
            409,
            "BlobImmutableDueToPolicy",
            "immutability policy",
        ),
        (By::Key, 412, "LeaseIdMissing", "lease"),
        (By::Key, 409, "BlobArchived", "tier"),
        (By::Key, 404, "", "no blob service"),
        (By::Key, 400, "InvalidUri", "does not take the request"),
    ];
    for (by, status, code, advice) in cases {
        let (text, again) = said(by, status, code).await;
        assert!(text.contains(advice), "{by:?} {code}: {text}");
        let quoted = format!(": {status} {code}: Told by the account.").replace(" :", ":");
        assert!(text.contains(&quoted), "{by:?} {code}: {text}");
        assert_eq!(again, Again::Never, "{by:?} {code}");
        assert!(!text.contains("0e3e"), "{text}");
        let is_about_role = code == "AuthorizationPermissionMismatch";
        assert!(is_about_role || !text.contains("role"), "{code}: {text}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for (status, code, what) in [
        (503, "ServerBusy", "is not ready"),
        (500, "OperationTimedOut", "is not ready"),
        (500, "InternalError", "is not ready"),
        (409, "ContainerBeingDeleted", "the container was deleted"),
        (409, "AccountBeingCreated", "is being created"),
        (409, "SomethingNew", "cannot do that now"),
        (429, "", "is not ready"),
    ] {
        let (text, again) = said(By::Key, status, code).await;
        assert!(text.contains(what), "{text}");
        assert_eq!(again, Again::Soon, "{status} {code}: {text}");
        assert!(text.contains(&format!("{status}")), "{text}");
    }
}

#[tokio::test]
async fn the_wait_that_a_busy_account_asks_for_is_kept() {
    let double = Double::start(|_| {
        (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")]).into_response()
    })
    .await;
    let error = double.container(By::Key).read("a").await.unwrap_err();
    assert_eq!(error.again(), Again::NotBefore(Duration::from_secs(7)));
}

#[tokio::test]
async fn only_a_code_that_says_so_makes_another_poller_of_a_conflict() {
    let version = Version::new("\"1\"");
    for (status, code, over, is_conflict) in [
        (412, "ConditionNotMet", Some(&version), true),
        (412, "TargetConditionNotMet", Some(&version), true),
        (409, "BlobAlreadyExists", None, true),
        (404, "BlobNotFound", Some(&version), true),
        (412, "LeaseIdMissing", Some(&version), false),
        (412, "SomethingNew", Some(&version), false),
        (409, "LeaseAlreadyPresent", None, false),
        (409, "BlobImmutableDueToPolicy", None, false),
        (409, "ContainerBeingDeleted", None, false),
        (403, "UnauthorizedBlobOverwrite", Some(&version), false),
    ] {
        let double = Double::refusing(status, code).await;
        let container = double.container(By::Key);
        let written = container.write("a", Bytes::from_static(b"1"), over).await;
        let error = written.unwrap_err();
        let was_conflict = matches!(error, StorageError::Conflict);
        assert_eq!(was_conflict, is_conflict, "{code}: {error}");
    }
}

#[tokio::test]
async fn an_object_that_is_not_there_is_told_from_an_address_that_is_wrong() {
    for code in ["BlobNotFound", "ContainerNotFound", "ResourceNotFound"] {
        let double = Double::refusing(404, code).await;
        let container = double.container(By::Key);
        assert!(container.read("a").await.unwrap().is_none(), "{code}");
        assert!(container.list("a").await.unwrap().is_empty(), "{code}");
        container.remove("a").await.unwrap();
    }
    // A proxy may leave out the header that names the code.
    let body = "<Error><Code>BlobNotFound</Code></Error>";
    let double = Double::start(move |_| (StatusCode::NOT_FOUND, body).into_response()).await;
    assert!(double.container(By::Key).read("a").await.unwrap().is_none());
    let double = Double::start(|_| (StatusCode::NOT_FOUND, "<html>").into_response()).await;
    let container = double.container(By::Key);
    assert!(container.read("a").await.is_err());
    assert!(container.list("a").await.is_err());
    assert!(container.remove("a").await.is_err());
}

/// Tenants that share an account begin at the same time.
#[tokio::test]
async fn a_container_that_another_has_just_made_is_used() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let double = Double::start(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => azure_error(404, "ContainerNotFound", "There is none."),
        1 => azure_error(409, "ContainerAlreadyExists", "There is one."),
        _ => {
            let headers = [
                ("etag", "\"1\""),
                ("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT"),
            ];
            (StatusCode::CREATED, headers).into_response()
        }
    });
    let container = double.await.container(By::Key);
    let written = container.write("a", "b".into(), None).await;
    assert_eq!(written.unwrap(), Version::new("\"1\""));
    assert_eq!(requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_container_that_this_program_does_not_make_is_not_empty_if_it_is_missing() {
    let double = Double::refusing(404, "ContainerNotFound").await;
    let container = double.container_or(By::Key, Missing::IsAnError);
    let (read, listed) = (container.read("a").await, container.list("a").await);
    let written = container.write("a", "b".into(), None).await;
    for told in [read.unwrap_err(), listed.unwrap_err(), written.unwrap_err()] {
        assert_eq!(
            told.to_string(),
            format!(
                "http://{}/acme/auth0-poller does not exist; make it, or name another",
                double.address
            )
        );
    }
    let double = Double::refusing(404, "BlobNotFound").await;
    let container = double.container_or(By::Key, Missing::IsAnError);
    assert!(container.read("a").await.unwrap().is_none());
    assert!(container.list("a").await.unwrap().is_empty());
}

/// A proxy, or a service like Azure's, may send no code.
#[tokio::test]
async fn without_a_code_the_status_is_judged() {
    let version = Version::new("\"1\"");
    for (by, status, meaning) in [
        (By::Key, 401, Some("refuses the key")),
        (By::Sas, 401, Some("refuses the signature")),
        (By::Key, 403, Some("or something before it, refuses")),
        (By::Key, 412, None),
    ] {
        let double =
            Double::start(move |_| StatusCode::from_u16(status).unwrap().into_response()).await;
        let container = double.container(by);
        let written = container.write("a", "b".into(), Some(&version)).await;
        let error = written.unwrap_err();
        assert_eq!(error.again(), Again::Never, "{status}");
        match meaning {
            Some(meaning) => assert!(with_causes(&error).contains(meaning), "{error}"),
            None => assert!(matches!(error, StorageError::Conflict), "{error}"),
        }
    }
    let double = Double::start(|_| StatusCode::UNAUTHORIZED.into_response()).await;
    let storage = double.storage(By::Identity);
    let error = storage.read("a", soon()).await.unwrap_err();
    assert!(with_causes(&error).contains("the same tenant"), "{error}");
    // Another token was tried.
    assert_eq!(double.tokens.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_that_allows_too_little_is_not_replaced() {
    let double = Double::refusing(403, "AuthorizationPermissionMismatch").await;
    let storage = double.storage(By::Identity);
    for _ in 0..2 {
        let error = storage.read("a", soon()).await.unwrap_err();
        assert!(with_causes(&error).contains("the role"), "{error}");
    }
    assert_eq!(double.tokens.load(Ordering::Relaxed), 1);
}

/// Azure quotes the signature that it does not take.
#[tokio::test]
async fn a_signature_that_the_account_quotes_is_in_no_error() {
    let double = Double::start(|request: Request| {
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let signature = authorization.split_once(':').unwrap().1;
        let told = format!("The MAC signature '{signature}' is not the same as any computed one.");
        azure_error(403, "AuthenticationFailed", &told)
    })
    .await;
    let error = double.container(By::Key).read("a").await.unwrap_err();
    let text = with_causes(&error);
    let told = "403 AuthenticationFailed: (withheld: it repeats a credential)";
    assert!(text.ends_with(told), "{text}");
}

/// Responds with everything in the request, in several encodings.
fn echo(status: u16) -> impl Fn(Request) -> Response + Clone {
    move |request: Request| {
        let uri: &Uri = request.uri();
        let headers: &HeaderMap = request.headers();
        let decoded = http::excerpt(&uri.to_string().replace("%2F", "/"), &[]);
        let text = format!("{uri} {headers:?} {decoded} ").replace("%2B", "+");
        let escaped = text.replace('/', "\\/");
        let body = format!("{escaped} {uri} {headers:?}") + &text.repeat(200);
        (StatusCode::from_u16(status).unwrap(), Body::from(body)).into_response()
    }
}

#[tokio::test]
async fn an_account_that_repeats_the_request_brings_no_credential_into_an_error() {
    for by in [By::Key, By::Sas, By::Identity] {
        for status in [200, 302, 400, 401, 403, 409, 500] {
            let double = Double::start(echo(status)).await;
            let container = double.container(by);
            container.prepare(soon()).await.unwrap();
            let version = Version::new("\"1\"");
            let content = Bytes::from_static(b"1");
            let errors = [
                container.read("a").await.err(),
                container.write("a", content, Some(&version)).await.err(),
                container.list("a").await.err(),
                container.remove("a").await.err(),
                container.create().await.err(),
            ];
            for error in errors.into_iter().flatten() {
                let text = format!("{} {error:?}", with_causes(&error));
                for secret in ["token1", "aHVudGVyMg", "acme:", KEY] {
                    assert!(!text.contains(secret), "{by:?} {status}: {text}");
                }
                let length = with_causes(&error).chars().count();
                assert!(length < 800, "{by:?} {status}: {length} characters");
            }
        }
    }
}

#[tokio::test]
async fn pipelines_that_share_a_refused_token_ask_for_one_new_one() {
    let double = Double::refusing(401, "InvalidAuthenticationInfo").await;
    let storage = double.storage(By::Identity);
    let read = || storage.read("a", soon());
    let (one, other) = tokio::join!(read(), read());
    for outcome in [one, other, read().await] {
        let text = with_causes(&outcome.unwrap_err());
        assert!(text.contains("the same tenant of Entra ID"), "{text}");
        assert!(text.contains("401 InvalidAuthenticationInfo"), "{text}");
    }
    assert_eq!(double.tokens.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_platform_that_issues_the_refused_token_again_is_not_asked_on_and_on() {
    let double = Double::refusing(401, "InvalidAuthenticationInfo").await;
    double.issues_the_same.store(true, Ordering::Relaxed);
    let storage = double.storage(By::Identity);
    for _ in 0..3 {
        let error = storage.read("a", soon()).await.unwrap_err();
        assert!(!error.may_pass(), "{error}");
    }
    assert_eq!(double.tokens.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_later_run_may_try_another_token() {
    let double = Double::refusing(401, "InvalidAuthenticationInfo").await;
    let container = double.container(By::Identity);
    let mut judged = Vec::new();
    for _ in 0..5 {
        container.prepare(soon()).await.unwrap();
        judged.push(container.read("a").await.unwrap_err().again());
        if judged.len() == 2 {
            tokio::time::pause();
            tokio::time::advance(Duration::from_mins(1)).await;
            tokio::time::resume();
        }
    }

    let (soon, never) = (Again::Soon, Again::Never);
    assert_eq!(judged, [soon, never, soon, never, never]);
    assert_eq!(double.tokens.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_token_that_was_replaced_in_time_is_good_for_all() {
    let double = Double::start(|request: Request| {
        let token = request.headers()["authorization"].to_str().unwrap();
        match token {
            "Bearer token1" => azure_error(401, "InvalidAuthenticationInfo", "expired"),
            _ => azure_error(404, "BlobNotFound", "none"),
        }
    })
    .await;
    let storage = double.storage(By::Identity);
    let read = || storage.read("a", soon());
    let (one, other) = tokio::join!(read(), read());
    assert!(one.unwrap().is_none() && other.unwrap().is_none());
    assert_eq!(double.tokens.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_identity_endpoint_that_hangs_is_named() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let double = Double::refusing(404, "BlobNotFound").await;
    let principal = Principal::Managed {
        endpoint: format!("http://{address}/token").parse().unwrap(),
        header: "header".into(),
        client_id: None,
    };
    let account = Account::from_blob_service(&format!("http://{}/acme", double.address), principal);
    let http = http::client(None).unwrap();
    let container = Container::new(
        &account.unwrap(),
        CONTAINER,
        Missing::IsMade,
        http,
        clock::system(),
    )
    .unwrap();
    let storage = Storage::over(container, Jitter::seeded(1));
    tokio::time::pause();
    let deadline = Deadline::after(Duration::from_secs(5));
    // Two reads, because the second one waits for the request of the first.
    let (one, other) = tokio::join!(storage.read("a", deadline), storage.read("a", deadline));
    for outcome in [one, other] {
        assert_eq!(
            with_causes(&outcome.unwrap_err()),
            format!(
                "{address}, which issues tokens for https://storage.azure.com, cannot be reached: \
                 no answer before the run's time was over"
            )
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_before_it_is_read() {
    // The length is declared, and the body never comes.
    let told = |_| {
        let length = 32 * 1024 * 1024 + 1;
        let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, BoxError>>());
        ([("content-length", length.to_string())], body).into_response()
    };
    // No length is declared, and the body never ends.
    let endless = |_| {
        let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
        let chunks = std::iter::repeat_with(move || Ok::<_, BoxError>(chunk.clone()));
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        ([("etag", "\"1\"")], body).into_response()
    };
    for double in [Double::start(told).await, Double::start(endless).await] {
        let error = double.container(By::Key).read("a").await.unwrap_err();
        let text = with_causes(&error);
        assert!(text.contains("larger than 32 MiB"), "{text}");
        assert_eq!(error.again(), Again::Never);
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_write_and_no_removal() {
    let page = |_| {
        let headers = [
            ("etag", "\"1\""),
            ("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT"),
        ];
        (headers, "<!doctype html>welcome").into_response()
    };
    let account = Double::start(page).await;
    let container = account.container(By::Key);
    let written = container.write("a", "b".into(), None).await;
    let error = with_causes(&written.unwrap_err());
    assert!(error.contains("it answered with a page"), "{error}");
    let removed = container.remove("a").await;
    let error = with_causes(&removed.unwrap_err());
    assert!(error.contains("it answered with a page"), "{error}");
}

#[tokio::test]
async fn only_what_the_service_says_of_a_write_counts_as_written() {
    for (status, is_written) in IS_WRITTEN {
        let answer = move |_| {
            let headers = [
                ("etag", "\"1\""),
                ("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT"),
            ];
            (StatusCode::from_u16(status).unwrap(), headers).into_response()
        };
        let container = Double::start(answer).await.container(By::Key);
        let written = container.write("a", "b".into(), None).await;
        assert_written(written, status, is_written);
    }
}

/// Such a list has no end, and each of its pages costs a request.
#[tokio::test]
async fn a_list_of_a_container_that_goes_on_where_it_began_is_no_list() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let double = Double::start(move |_| {
        // What a faulty service would do for ever.
        let next = match counted.fetch_add(1, Ordering::Relaxed) {
            0..10 => "<NextMarker>a&amp;b/=</NextMarker>",
            _ => "<NextMarker/>",
        };
        format!("<EnumerationResults><Blobs></Blobs>{next}</EnumerationResults>").into_response()
    });
    let container = double.await.container(By::Key);
    container.prepare(soon()).await.unwrap();
    requests.store(0, Ordering::Relaxed);
    let error = with_causes(&container.list("a").await.unwrap_err());
    assert!(
        error.contains("it did not answer with a whole list"),
        "{error}"
    );
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}
