use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use object_store::client::HttpRequestBody;
use object_store::path::Path;
use object_store::signer::Signer as _;
use reqwest::Method;
use tokio::net::TcpListener;

use super::*;
use crate::aws;
use crate::clock;
use crate::net::http;
use crate::net::retry::Jitter;
use crate::settings::{AppSettings, Reader};
use crate::storage::Storage;
use crate::storage::tests::{IS_WRITTEN, assert_written};

/// A simulated bucket with scripted responses, an identity, and an STS that issues the keys
/// `ASIA1`, `ASIA2` and so on.
struct Double {
    address: std::net::SocketAddr,
    sessions: Arc<AtomicUsize>,
}

impl Double {
    async fn start(answer: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> Self {
        let sessions = Arc::new(AtomicUsize::new(0));
        let issued = Arc::clone(&sessions);
        let assume = move || async move {
            let number = issued.fetch_add(1, Ordering::Relaxed) + 1;
            format!(
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                 <AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>hunter{number}\
                 </SecretAccessKey><SessionToken>session{number}</SessionToken>\
                 <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            )
        };
        let bucket = move |request: Request| async move {
            let authorization = request.headers().get("authorization");
            let authorization = authorization.and_then(|it| it.to_str().ok());
            let (_, rest) = authorization.unwrap().split_once("Credential=").unwrap();
            answer(rest.split('/').next().unwrap())
        };
        let token = r#"{"access_token":"token","expires_on":"4102444800"}"#;
        let router = Router::new()
            .route("/token", get(async move || token))
            .route("/", post(assume))
            .fallback(bucket);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, sessions }
    }

    fn storage(&self) -> Storage {
        Storage::over(self.bucket(), Jitter::seeded(1))
    }

    fn bucket(&self) -> S3 {
        let url = format!("http://{}", self.address);
        let token = format!("{url}/token");
        let settings: AppSettings = [
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/auth0-logs"),
            ("AWS_STS_ENDPOINT", &*url),
            ("IDENTITY_ENDPOINT", &*token),
            ("IDENTITY_HEADER", "header"),
        ]
        .into_iter()
        .collect();
        let (http, clock) = (http::client(None).unwrap(), clock::system());
        let region = Region::parse("eu-west-1").unwrap();
        let credentials = Reader::read(&settings, |reader| {
            aws::settings::credentials(reader, "ARCHIVE_URL", &region, &http, &clock)
        });
        let bucket = Bucket {
            name: "acme-logs".into(),
            region,
            endpoint: Some(Url::parse(&url).unwrap()),
        };
        S3::new(bucket, credentials.unwrap(), http).unwrap()
    }

    fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }
}

fn refusal(status: u16, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>Told by the bucket.</Message></Error>");
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_mins(1))
}

async fn error(status: u16, code: &'static str) -> String {
    let bucket = Double::start(move |_| refusal(status, code)).await;
    let read = bucket.storage().read("a", soon()).await;
    crate::error::with_causes(&read.unwrap_err())
}

#[tokio::test]
async fn a_session_that_is_refused_is_replaced_by_another() {
    let bucket = Double::start(|key| match key {
        "ASIA1" => refusal(400, "ExpiredToken"),
        _ => refusal(404, "NoSuchKey"),
    })
    .await;
    let storage = bucket.storage();
    assert!(storage.read("a", soon()).await.unwrap().is_none());
    assert!(storage.read("b", soon()).await.unwrap().is_none());
    assert_eq!(bucket.sessions(), 2);
}

#[tokio::test]
async fn a_late_refusal_of_a_session_spoils_none_that_took_its_place() {
    let bucket = Double::start(|_| refusal(404, "NoSuchKey")).await.bucket();
    let refusals = S3Refusals(Arc::clone(&bucket.credentials));
    let request = HttpRequest::new(HttpRequestBody::empty());
    let answer = Answer {
        status: StatusCode::BAD_REQUEST,
        headers: HeaderMap::new(),
        body: "<Error><Code>ExpiredToken</Code></Error>".into(),
    };
    bucket.prepare(soon()).await.unwrap();
    let [first, other] = [(); 2].map(|()| refusals.secrets(&request));
    assert_eq!(refusals.read(&answer, &first).again(), Again::Soon);
    bucket.prepare(soon()).await.unwrap();
    assert_eq!(refusals.read(&answer, &other).again(), Again::Soon);
    // A refusal of the new session counts, and comes too soon for another one.
    let new = refusals.secrets(&request);
    assert_eq!(refusals.read(&answer, &new).again(), Again::Never);
}

#[tokio::test]
async fn a_role_whose_sessions_are_all_refused_is_not_asked_again_and_again() {
    let bucket = Double::start(|_| refusal(403, "InvalidAccessKeyId")).await;
    let storage = bucket.storage();
    for _ in 0..2 {
        let read = storage.read("a", soon()).await.unwrap_err();
        let told = crate::error::with_causes(&read);
        assert!(
            told.contains("the credentials for s3://acme-logs are refused"),
            "{told}"
        );
    }
    assert!(bucket.sessions() <= 3, "{}", bucket.sessions());
}

#[tokio::test]
async fn what_the_bucket_says_has_its_remedy_and_is_not_tried_again_in_vain() {
    for (status, code, telling) in [
        (
            404,
            "NoSuchBucket",
            "s3://acme-logs does not exist; make it, or name another",
        ),
        (
            403,
            "AccessDenied",
            "allow s3:PutObject and s3:GetObject on its objects",
        ),
        (
            301,
            "PermanentRedirect",
            "s3://acme-logs is not in eu-west-1; check AWS_REGION",
        ),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong"),
        (
            400,
            "InvalidRequest",
            "s3://acme-logs does not take the request",
        ),
    ] {
        let told = error(status, code).await;
        assert!(told.contains(telling), "{code}: {told}");
        assert!(told.contains(code), "{told}");
        assert!(!told.contains("tried"), "{told}");
    }
}

#[tokio::test]
async fn what_is_too_large_for_a_bucket_is_told_from_what_it_never_takes() {
    for (status, code, is_too_much) in [
        (413, "", true),
        (400, "EntityTooLarge", true),
        (400, "InvalidRequest", false),
    ] {
        let bucket = Double::start(move |_| refusal(status, code)).await;
        let written = bucket.storage().write("a", "x".into(), None, soon()).await;
        assert_eq!(written.unwrap_err().is_too_much(), is_too_much, "{code}");
    }
}

#[tokio::test]
async fn an_object_that_is_there_is_a_conflict_and_one_that_is_not_is_none() {
    let bucket = Double::start(|_| refusal(412, "PreconditionFailed")).await;
    let written = bucket.storage().write("a", "x".into(), None, soon()).await;
    assert!(matches!(written, Err(StorageError::Conflict)));
    let bucket = Double::start(|_| refusal(404, "NoSuchKey")).await;
    assert!(bucket.storage().read("a", soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_s3_says_of_the_moment_is_tried_again() {
    for (status, code) in [(400, "RequestTimeout"), (409, "OperationAborted")] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let bucket = Double::start(move |_| match attempts.fetch_add(1, Ordering::Relaxed) {
            0 => refusal(status, code),
            _ => refusal(404, "NoSuchKey"),
        })
        .await;
        let read = bucket.storage().read("a", soon()).await;
        assert!(read.unwrap().is_none(), "{code}");
    }
}

/// A bucket in this region, accessed by a key.
fn with_key(region: &str, endpoint: Option<Url>) -> S3 {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    let settings: AppSettings = keys.into_iter().collect();
    let (http, clock) = (http::client(None).unwrap(), clock::system());
    let region = Region::parse(region).unwrap();
    let credentials = Reader::read(&settings, |reader| {
        aws::settings::credentials(reader, "ARCHIVE_URL", &region, &http, &clock)
    });
    let bucket = Bucket {
        name: "acme-logs".into(),
        region,
        endpoint,
    };
    S3::new(bucket, credentials.unwrap(), http).unwrap()
}

#[tokio::test]
async fn what_repeats_a_request_is_told_without_its_signature() {
    for status in [403, 502] {
        let echo = move |sent: HeaderMap| async move {
            let status = StatusCode::from_u16(status).unwrap();
            let authorization = sent["authorization"].to_str().unwrap();
            assert!(authorization.contains("Signature="), "{authorization}");
            (status, format!("authorization: {authorization}"))
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
        let bucket = with_key("eu-west-1", Some(Url::parse(&url).unwrap()));
        let storage = Storage::over(bucket, Jitter::seeded(1));
        let deadline = Deadline::after(Duration::from_millis(100));
        let read = storage.read("a", deadline).await.unwrap_err();
        let told = crate::error::with_causes(&read);
        assert!(told.contains("withheld"), "{told}");
        assert!(!told.contains("Signature="), "{told}");
    }
}

/// A bucket with Object Lock accepts no write without a checksum.
#[tokio::test]
async fn what_is_written_has_a_checksum() {
    let bucket = async |sent: HeaderMap| match sent.get("x-amz-checksum-sha256") {
        // The SHA-256 of the letter x.
        Some(sum) if sum == "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=" => {
            [("etag", "\"1\"")].into_response()
        }
        _ => refusal(400, "InvalidRequest"),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(bucket);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let bucket = with_key("eu-west-1", Some(Url::parse(&url).unwrap()));
    let storage = Storage::over(bucket, Jitter::seeded(1));
    let written = storage.write("a", "x".into(), None, soon()).await;
    assert_eq!(written.unwrap(), Version::new("\"1\""));
}

#[tokio::test]
async fn a_bucket_is_at_the_hosts_of_its_partition() {
    for (region, host) in [
        ("eu-west-1", "s3.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "s3.eusc-de-east-1.amazonaws.eu"),
    ] {
        let bucket = with_key(region, None);
        bucket.prepare(soon()).await.unwrap();
        let (path, life) = (Path::from("a"), Duration::from_mins(1));
        let url = bucket.objects.signed_url(Method::GET, &path, life);
        let url = url.await.unwrap();
        assert_eq!(url.host_str(), Some(host));
        assert_eq!(url.path(), "/acme-logs/a");
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_write() {
    let page = |_: &str| ([("etag", "\"1\"")], "<!doctype html>welcome").into_response();
    let bucket = Double::start(page).await.bucket();
    Objects::prepare(&bucket, soon()).await.unwrap();
    let written = bucket.write("a", "b".into(), None).await;
    let error = crate::error::with_causes(&written.unwrap_err());
    assert!(error.contains("it answered with a page"), "{error}");
}

#[tokio::test]
async fn only_what_the_service_says_of_a_write_counts_as_written() {
    for (status, is_written) in IS_WRITTEN {
        let answer = move |_: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("etag", "\"1\"")]).into_response()
        };
        let bucket = Double::start(answer).await.bucket();
        Objects::prepare(&bucket, soon()).await.unwrap();
        let written = bucket.write("a", "b".into(), None).await;
        assert_written(written, status, is_written);
    }
}

/// Such a list has no end, and each of its pages costs a request.
#[tokio::test]
async fn a_list_of_a_bucket_that_goes_on_where_it_began_is_no_list() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let double = Double::start(move |_| {
        // What a faulty service would do for ever.
        if counted.fetch_add(1, Ordering::Relaxed) > 10 {
            return "<ListBucketResult/>".into_response();
        }
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b/=\
         </NextContinuationToken></ListBucketResult>"
            .into_response()
    });
    let bucket = double.await.bucket();
    Objects::prepare(&bucket, soon()).await.unwrap();
    let error = crate::error::with_causes(&bucket.list("a").await.unwrap_err());
    assert!(
        error.contains("it did not answer with a whole list"),
        "{error}"
    );
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}

/// A page would be read as a list without objects, and so as an archive in which there is nothing.
#[tokio::test]
async fn what_is_no_whole_list_of_a_bucket_is_no_list() {
    let list = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>";
    for (answer, is_list) in [
        (format!("{list}</ListBucketResult>"), true),
        ("<ListBucketResult xmlns=\"a\"/>".to_owned(), true),
        (
            format!(
                "{list}<IsTruncated>false</IsTruncated><NextContinuationToken/></ListBucketResult>"
            ),
            true,
        ),
        ("<html><body>welcome</body></html>".to_owned(), false),
        ("<!-- <ListBucketResult> --><html></html>".to_owned(), false),
        (
            format!("{list}</ListBucketResult>").replace("List", "Lists"),
            false,
        ),
        ("<ListBucketResults></ListBucketResults>".to_owned(), false),
        // The list goes on, and does not say where.
        (
            format!("{list}<IsTruncated>true</IsTruncated></ListBucketResult>"),
            false,
        ),
    ] {
        let whole = answer.clone();
        let double = Double::start(move |_| whole.clone().into_response()).await;
        let bucket = double.bucket();
        Objects::prepare(&bucket, soon()).await.unwrap();
        match bucket.list("a").await {
            Ok(paths) => assert!(is_list && paths.is_empty(), "{answer}: {paths:?}"),
            Err(error) => {
                let error = crate::error::with_causes(&error);
                assert!(!is_list, "{answer}: {error}");
                let told = "it did not answer with a whole list";
                assert!(error.contains(told), "{error}");
            }
        }
    }
}

/// Other tools may write such names beside this program's objects. `object_store` knows no path like
/// these, and would list nothing because of one.
#[tokio::test]
async fn a_name_of_another_program_hides_no_object_of_a_bucket() {
    let object = |key: &str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-21T08:00:00.000Z</LastModified>\
             <ETag>&quot;1&quot;</ETag><Size>1</Size></Contents>"
        )
    };
    let objects: String = [
        "a/1",
        "a//2",
        "a/../3",
        "a/b&#10;c",
        "a/&#x1;",
        "a/4",
        "a/5/",
    ]
    .map(object)
    .concat();
    let answer = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>\
         {objects}</ListBucketResult>"
    );
    let double = Double::start(move |_| answer.clone().into_response()).await;
    let bucket = double.bucket();
    Objects::prepare(&bucket, soon()).await.unwrap();
    assert_eq!(bucket.list("a").await.unwrap(), ["a/1", "a/4"]);
}
