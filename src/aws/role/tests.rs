use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::HeaderMap;

use super::*;
use crate::azure::identity::Principal;

const ARN: &str = "arn:aws:iam::123456789012:role/auth0-logs";
const ANSWER: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn</Arn><AssumedRoleId>A:auth0-poller</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==</SessionToken>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <Expiration>2026-11-21T09:00:00Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"#;

fn role() -> Role {
    let http = http::client(None).unwrap();
    let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
    let principal = Principal::Managed {
        endpoint: Url::parse("http://localhost:8081/msi/token").unwrap(),
        header: "header".into(),
        client_id: None,
    };
    let identity = Identity::new(http.clone(), principal, "api://x", clock.clone());
    let endpoint = Url::parse("https://sts.eu-west-1.amazonaws.com").unwrap();
    Role::new(ARN.into(), endpoint, identity, http, clock)
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// A token with the claims `{"iss":"https://sts.windows.net/t/","aud":"api://x","sub":"me"}`.
fn token() -> SecretString {
    "aGVhZGVy.eyJpc3MiOiJodHRwczovL3N0cy53aW5kb3dzLm5ldC90LyIsImF1ZCI6ImFwaTovL3giLCJzdWIiOiJtZSJ9.c2ln".into()
}

fn refused(status: u16, code: &str, message: &str) -> RoleError {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error></ErrorResponse>"
    );
    role().refusal(&answer(status, &body), &token())
}

#[test]
fn credentials_are_read_with_their_life() {
    let granted = role().read(&answer(200, ANSWER)).unwrap();
    assert_eq!(granted.life, Some(Duration::from_hours(1)));
    let AwsCredential {
        key_id,
        secret_key,
        token,
    } = granted.credential;
    assert_eq!(key_id, "ASgeIAIOSFODNN7EXAMPLE");
    assert_eq!(secret_key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY");
    let expected = "AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==";
    assert_eq!(token.as_deref(), Some(expected));
}

#[test]
fn credentials_that_come_with_another_success_are_taken_and_never_quoted() {
    for status in [200, 201, 202, 203, 206, 299] {
        let judge = |body: &str| role().judge(&answer(status, body), &token());
        let granted = judge(ANSWER).unwrap();
        assert_eq!(granted.credential.key_id, "ASgeIAIOSFODNN7EXAMPLE");
        // What is not understood may hold credentials all the same.
        let other = ANSWER.replace("AccessKeyId", "KeyId");
        let error = judge(&other).err().unwrap().to_string();
        let telling = format!("something else: {} bytes", other.len());
        assert!(error.ends_with(&telling), "{error}");
    }
}

#[test]
fn what_holds_no_credentials_is_not_quoted() {
    for body in [
        "",
        "<html>",
        &ANSWER.replace("SecretAccessKey", "Other"),
        &ANSWER.replace("ASgeIAIOSFODNN7EXAMPLE", "a b"),
        &ANSWER.replace("AQoDYXdzEE0a8AN", "\u{fc}"),
    ] {
        let error = role().read(&answer(200, body)).err().unwrap().to_string();
        assert!(error.ends_with(&format!("something else: {} bytes", body.len())));
    }
}

#[test]
fn credentials_that_ended_already_or_do_not_tell_have_a_life_of_their_own() {
    let life = |written: &str| {
        let body = ANSWER.replace("2026-11-21T09:00:00Z", written);
        role().read(&answer(200, &body)).unwrap().life
    };
    assert_eq!(life("2026-11-21T07:00:00Z"), Some(Duration::ZERO));
    assert_eq!(
        life("2026-11-21T08:15:00.000+00:00"),
        Some(Duration::from_mins(15))
    );
    assert_eq!(life("soon"), None);
}

#[test]
fn every_refusal_has_its_remedy_and_says_what_the_token_says() {
    let says = "(it says iss https://sts.windows.net/t/, aud api://x, sub me)";
    for (code, telling) in [
        ("InvalidIdentityToken", "make an identity provider"),
        ("AccessDenied", "the role's trust policy"),
        ("IDPRejectedClaim", "the role's trust policy"),
    ] {
        let error = refused(403, code, "no");
        let text = error.to_string();
        assert!(text.contains(telling) && text.ends_with(says), "{text}");
        assert!(
            text.contains(ARN) && text.contains(&format!("{code}: no")),
            "{text}"
        );
        assert_eq!(error.again(), Again::Never);
    }
    for (status, code, again) in [
        (400, "IDPCommunicationError", Again::Soon),
        (400, "Throttling", Again::Soon),
        (503, "ServiceUnavailable", Again::Soon),
        (400, "ValidationError", Again::Never),
        (400, "ExpiredTokenException", Again::Never),
    ] {
        assert_eq!(refused(status, code, "m").again(), again, "{code}");
    }
    let opaque = role().refusal(
        &answer(403, "<Error><Code>AccessDenied</Code></Error>"),
        &"t".into(),
    );
    assert!(
        opaque.to_string().ends_with("that the token meets"),
        "{opaque}"
    );
}

#[test]
fn the_token_is_not_quoted() {
    let said = format!("token {} is bad", token().expose_secret());
    let error = refused(400, "InvalidIdentityToken", &said).to_string();
    assert!(
        error.contains("(withheld: it repeats a credential)"),
        "{error}"
    );
    assert!(!error.contains("aGVhZGVy"), "{error}");
}
