use std::io::Write as _;

use chrono::Duration;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::RequestBuilder;

use super::*;
use crate::entra::{self, EntraId};
use crate::identity::{self, ManagedIdentity};
use crate::rule::Type;
use crate::server::client;

const ROW: &str = r#"[{"log_id_s":"a"}]"#;

fn rule() -> Rule {
    let stream = [
        ("TimeGenerated", "datetime"),
        ("log_id_s", "string"),
        ("count_d", "real"),
        ("trace_g", "string"),
    ];
    let table = [stream[0], stream[1], stream[2], ("trace_g", "guid")];
    let columns = |columns: [(&str, &str); 4]| {
        let columns = columns.map(|(name, kind)| (name.to_owned(), Type::named(kind)));
        columns.into()
    };
    Rule {
        stream: columns(stream),
        table: columns(table),
        to_guid: ["trace_g".to_owned()].into(),
    }
}

async fn start() -> (DataCollectionRule, Issuer) {
    let issuer = Issuer::default();
    (
        DataCollectionRule::start([("Auth0AM_CL", rule())], issuer.clone()).await,
        issuer,
    )
}

fn token(issuer: &Issuer, audience: &str, seconds: i64) -> String {
    issuer.issue(audience, Duration::seconds(seconds)).0
}

/// A valid post, except for what a test changes.
fn post(
    rule: &DataCollectionRule,
    issuer: &Issuer,
    body: impl Into<reqwest::Body>,
) -> RequestBuilder {
    let path = format!("/dataCollectionRules/{IMMUTABLE_ID}/streams/{STREAM}");
    post_to(rule, &path, "2023-01-01", &token(issuer, AUDIENCE, 60)).body(body)
}

fn post_to(rule: &DataCollectionRule, path: &str, version: &str, token: &str) -> RequestBuilder {
    client()
        .post(format!("{}{path}?api-version={version}", rule.server.url()))
        .header("content-type", "application/json")
        .bearer_auth(token)
}

/// The status and the code, which must be the same in the header and in the body.
async fn refused(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let code = response.headers()["x-ms-error-code"].to_str().unwrap();
    let code = code.to_owned();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], *code);
    assert!(body["error"]["message"].is_string());
    (status, code)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An array of one record, this many bytes long.
fn array(length: usize) -> String {
    let around = r#"[{"log_id_s":"","x":""}]"#.len();
    format!(
        r#"[{{"log_id_s":"","x":"{}"}}]"#,
        "x".repeat(length - around)
    )
}

#[tokio::test]
async fn a_post_is_taken_without_a_word_plain_or_compressed() {
    let (rule, issuer) = start().await;
    let plain = post(&rule, &issuer, ROW).send().await.unwrap();
    assert_eq!(plain.status(), 204);
    assert_eq!(plain.bytes().await.unwrap(), "");

    let body = gzip(br#"[{"log_id_s":"b"},{"log_id_s":"c"}]"#);
    let length = body.len();
    let request = post(&rule, &issuer, body).header("content-encoding", "gzip");
    assert_eq!(request.send().await.unwrap().status(), 204);
    assert_eq!(rule.landed(), ["a", "b", "c"]);
    assert_eq!(rule.posts(), [18, 35]);
    assert_eq!(rule.sent(), [18, length]);
    assert_eq!((rule.requests(), rule.stored()), (2, 3));
}

#[tokio::test]
async fn only_a_good_token_for_azure_monitor_opens_the_rule() {
    let (rule, issuer) = start().await;
    let path = format!("/dataCollectionRules/{IMMUTABLE_ID}/streams/{STREAM}");
    for (token, code) in [
        (token(&Issuer::default(), AUDIENCE, 60), "InvalidToken"),
        (token(&issuer, AUDIENCE, 0), "InvalidToken"),
        (
            token(&issuer, "https://monitor.azure.com/", 60),
            "InvalidAudience",
        ),
        (
            token(&issuer, "https://storage.azure.com", 60),
            "InvalidAudience",
        ),
    ] {
        let request = post_to(&rule, &path, "2023-01-01", &token).body(ROW);
        assert_eq!(refused(request).await, (401, code.into()), "{token}");
    }
    let anonymous = client()
        .post(format!(
            "{}{path}?api-version=2023-01-01",
            rule.server.url()
        ))
        .body(ROW);
    assert_eq!(refused(anonymous).await, (401, "MissingToken".into()));

    let good = token(&issuer, AUDIENCE, 60);
    let request = || post_to(&rule, &path, "2023-01-01", &good).body(ROW);
    assert_eq!(request().send().await.unwrap().status(), 204);
    issuer.revoke_tokens();
    assert_eq!(refused(request()).await, (401, "InvalidToken".into()));
    assert_eq!(rule.stored(), 1);
}

#[tokio::test]
async fn whoever_the_issuer_knows_gets_a_token_that_opens_it() {
    let (rule, issuer) = start().await;
    let managed = ManagedIdentity::with(identity::Options {
        issuer: issuer.clone(),
        ..identity::Options::default()
    })
    .await;
    let [(_, url), (_, header)] = managed.environment().try_into().unwrap();
    let managed = client()
        .get(url + "?api-version=2019-08-01&resource=https://monitor.azure.com")
        .header("x-identity-header", header);

    let entra = EntraId::with(entra::Options {
        issuer,
        ..entra::Options::default()
    })
    .await;
    let settings = entra.settings().into_iter().map(|(_, value)| value);
    let [tenant, id, secret, host] = settings.collect::<Vec<_>>().try_into().unwrap();
    let application = client()
        .post(format!("{host}/{tenant}/oauth2/v2.0/token"))
        .form(&[
            ("grant_type", "client_credentials"),
            ("client_id", &*id),
            ("client_secret", &*secret),
            ("scope", "https://monitor.azure.com/.default"),
        ]);

    let path = format!("/dataCollectionRules/{IMMUTABLE_ID}/streams/{STREAM}");
    for request in [managed, application] {
        let answer = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let post = post_to(&rule, &path, "2023-01-01", token).body(ROW);
        assert_eq!(post.send().await.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn without_the_role_nothing_is_taken() {
    let (rule, issuer) = start().await;
    rule.take_role();
    let request = post(&rule, &issuer, ROW);
    assert_eq!(refused(request).await, (403, "OperationFailed".into()));
    rule.give_role();
    let answer = post(&rule, &issuer, ROW).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}

#[tokio::test]
async fn the_address_has_to_be_exact() {
    let (rule, issuer) = start().await;
    let token = token(&issuer, AUDIENCE, 60);
    for (id, stream, version, status, code) in [
        ("dcr-0", STREAM, "2023-01-01", 404, "NotFound"),
        (
            IMMUTABLE_ID,
            "Auth0AM_CL",
            "2023-01-01",
            400,
            "InvalidStream",
        ),
        (IMMUTABLE_ID, STREAM, "2016-04-01", 400, "InvalidApiVersion"),
    ] {
        let path = format!("/dataCollectionRules/{id}/streams/{stream}");
        let request = post_to(&rule, &path, version, &token).body(ROW);
        assert_eq!(refused(request).await, (status, code.into()));
    }
    let path = format!("/dataCollectionRules/{IMMUTABLE_ID}/streams/{STREAM}");
    let request = client().post(rule.server.url() + &path).bearer_auth(&token);
    assert_eq!(refused(request).await, (400, "MissingApiVersion".into()));
}

#[tokio::test]
async fn a_post_is_a_json_array_of_objects_and_says_so() {
    let (rule, issuer) = start().await;
    for body in [
        "",
        "[",
        r#"{"log_id_s":"a"}"#,
        "[1]",
        r#"[{"log_id_s":"a"}] []"#,
    ] {
        let request = post(&rule, &issuer, body);
        assert_eq!(
            refused(request).await,
            (400, "InvalidPayload".into()),
            "{body}"
        );
    }
    let compressed = post(&rule, &issuer, ROW).header("content-encoding", "gzip");
    assert_eq!(refused(compressed).await, (400, "InvalidPayload".into()));

    let unsupported = (415, "UnsupportedMediaType".to_owned());
    let deflated = post(&rule, &issuer, ROW).header("content-encoding", "deflate");
    assert_eq!(refused(deflated).await, unsupported);
    let url = format!(
        "{}/dataCollectionRules/{IMMUTABLE_ID}/streams/{STREAM}?api-version=2023-01-01",
        rule.server.url()
    );
    let token = token(&issuer, AUDIENCE, 60);
    let nothing_said = client().post(url).bearer_auth(token).body(ROW);
    assert_eq!(refused(nothing_said).await, unsupported);
    assert_eq!(rule.stored(), 0);
}

#[tokio::test]
async fn a_post_over_a_mebibyte_is_too_large_compressed_or_not() {
    let (rule, issuer) = start().await;
    let too_large = (413, "ContentLengthLimitExceeded".to_owned());
    let largest = array(1_048_576);
    let larger = array(1_048_577);
    let compressed =
        |body: &str| post(&rule, &issuer, gzip(body.as_bytes())).header("content-encoding", "gzip");
    assert_eq!(
        refused(post(&rule, &issuer, larger.clone())).await,
        too_large
    );
    assert_eq!(refused(compressed(&larger)).await, too_large);
    let taken = post(&rule, &issuer, largest.clone()).send().await.unwrap();
    assert_eq!(taken.status(), 204);
    assert_eq!(compressed(&largest).send().await.unwrap().status(), 204);
    assert_eq!(rule.posts(), [1_048_576, 1_048_576]);
}

#[tokio::test]
async fn what_is_lost_behind_a_204_is_written_down() {
    let (rule, issuer) = start().await;
    let body = json!([{
        "log_id_s": "é".repeat(40_000), "count_d": "1", "trace_g": "none", "new": [], "gone": null,
    }]);
    let answer = post(&rule, &issuer, body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let mistyped = |column: &str, declared| Loss::Mistyped {
        column: column.into(),
        kind: "string",
        declared,
    };
    let undeclared = |column: &str, kind| Loss::Undeclared {
        column: column.into(),
        kind,
    };
    let cut = Loss::Cut {
        column: "log_id_s".into(),
        length: 80_000,
    };
    assert_eq!(
        rule.losses(),
        [
            mistyped("count_d", Type::Real),
            undeclared("gone", "null"),
            cut,
            undeclared("new", "array"),
            mistyped("trace_g", Type::Guid),
        ]
    );
    let table = rule.table("Auth0AM_CL");
    assert_eq!(table.rows[0]["log_id_s"].as_str().unwrap().len(), 65_536);
    let columns: Vec<_> = table.rows[0].keys().collect();
    assert_eq!(columns, ["TimeGenerated", "log_id_s"]);
}

#[tokio::test]
async fn a_time_that_is_not_believed_gives_way_to_that_of_arrival_and_the_row_stays() {
    let (rule, issuer) = start().await;
    let now = Utc::now();
    let hours_from_now = |hours| json!({"TimeGenerated": now + Duration::hours(hours)});
    let records = json!([
        hours_from_now(-47),
        hours_from_now(-49),
        hours_from_now(25),
        {}
    ]);
    let request = post(&rule, &issuer, records.to_string());
    assert_eq!(request.send().await.unwrap().status(), 204);
    let table = rule.table("Auth0AM_CL");
    let times: Vec<_> = table.rows.iter().map(|row| &row["TimeGenerated"]).collect();
    let arrival = json!(table.stored_at[0]);
    assert_eq!(
        times,
        [
            &json!(now - Duration::hours(47)),
            &arrival,
            &arrival,
            &arrival
        ]
    );
    assert_eq!(rule.losses(), []);
}

#[tokio::test]
async fn faults_come_in_between_as_they_do_elsewhere() {
    let (rule, issuer) = start().await;
    rule.fail([too_many_requests(7), Fault::LoseAnswer]);
    let busy = post(&rule, &issuer, ROW).send().await.unwrap();
    assert_eq!(
        (busy.status().as_u16(), &busy.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    assert!(post(&rule, &issuer, ROW).send().await.is_err());
    assert_eq!((rule.stored(), rule.answers_lost()), (1, 1));

    rule.refuse(r#""a""#);
    let request = post(&rule, &issuer, ROW);
    assert_eq!(refused(request).await, (400, "InvalidPayload".into()));
    rule.relent();
    let answer = post(&rule, &issuer, ROW).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}
