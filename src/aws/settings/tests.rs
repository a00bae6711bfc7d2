use std::sync::Arc;

use super::*;
use crate::net::http;
use crate::net::retry::Deadline;
use crate::settings::{AppSettings, SettingsError};

const ROLE: (&str, &str) = (
    "AWS_ROLE_ARN",
    "arn:aws:iam::123456789012:role/teams/auth0-logs",
);

fn read(settings: &[(&str, &str)]) -> Result<Credentials, SettingsError> {
    read_of(&settings.iter().copied().collect())
}

fn read_of(settings: &AppSettings) -> Result<Credentials, SettingsError> {
    read_in("eu-west-1", settings)
}

fn read_in(region: &str, settings: &AppSettings) -> Result<Credentials, SettingsError> {
    let region = Region::parse(region).unwrap();
    let http = http::client(None).unwrap();
    let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
    Reader::read(settings, |reader| {
        credentials(reader, "EVENT_BRIDGE_BUS", &region, &http, &clock)
    })
}

fn problem(settings: &[(&str, &str)]) -> String {
    read(settings).err().unwrap().to_string()
}

const KEY: (&str, &str) = ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
const SECRET: (&str, &str) = (
    "AWS_SECRET_ACCESS_KEY",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
);
const IDENTITY: [(&str, &str); 2] = [
    ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

#[tokio::test]
async fn keys_come_before_a_role() {
    let deadline = Deadline::after(std::time::Duration::from_secs(1));
    let token = ("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEJr//////////wEaDEXAMPLE=");
    let credentials = read(&[KEY, SECRET, token, ROLE]).unwrap();
    assert!(!credentials.are_renewed());
    let credential = credentials.get(deadline).await.unwrap();
    assert_eq!(credential.key_id, KEY.1);
    assert_eq!(credential.secret_key, SECRET.1);
    assert_eq!(credential.token.as_deref(), Some(token.1));
    let role = read(&[ROLE, IDENTITY[0], IDENTITY[1]]).unwrap();
    assert!(role.are_renewed());
}

#[tokio::test]
async fn a_token_that_is_set_for_all_is_none_of_a_tenant_s_own_key() {
    let token_beside = async |settings: &[(&str, &str)]| {
        let of_all = [
            ("TENANTS", "b"),
            KEY,
            SECRET,
            ("AWS_SESSION_TOKEN", "plain"),
        ];
        let settings: AppSettings = of_all.iter().chain(settings).copied().collect();
        let mut tenants = settings.by_tenant(&[&SETTINGS[..], &["TENANTS"]].concat());
        let credentials = read_of(&tenants.remove(0).settings.ok().unwrap()).unwrap();
        let deadline = Deadline::after(std::time::Duration::from_secs(1));
        credentials.get(deadline).await.unwrap().token.clone()
    };
    let key = ("B__AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE");
    let own = ("B__AWS_SESSION_TOKEN", "own");
    let of_session = ("B__AWS_ACCESS_KEY_ID", "ASIAI44QH8DHBEXAMPLE");
    assert_eq!(token_beside(&[key]).await, None);
    assert_eq!(token_beside(&[key, own]).await.as_deref(), Some("own"));
    assert_eq!(token_beside(&[of_session]).await.as_deref(), Some("plain"));
    assert_eq!(token_beside(&[]).await.as_deref(), Some("plain"));
}

#[test]
fn what_is_missing_or_bad_is_named() {
    for (settings, telling) in [
        (&[][..], "EVENT_BRIDGE_BUS needs credentials of AWS"),
        (&[KEY], "AWS_SECRET_ACCESS_KEY is missing"),
        (&[SECRET], "AWS_ACCESS_KEY_ID is missing"),
        (
            &[("AWS_ACCESS_KEY_ID", "AKIA/1"), SECRET],
            "AWS_ACCESS_KEY_ID is not the id",
        ),
        (
            &[KEY, ("AWS_SECRET_ACCESS_KEY", "a b")],
            "AWS_SECRET_ACCESS_KEY has a space",
        ),
        (
            &[KEY, SECRET, ("AWS_SESSION_TOKEN", "a\nb")],
            "AWS_SESSION_TOKEN has a space",
        ),
        (
            &[("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"), SECRET],
            "AWS_SESSION_TOKEN is missing",
        ),
        (&[ROLE], "AWS_ROLE_ARN needs a managed identity"),
    ] {
        let problem = problem(settings);
        assert!(problem.contains(telling), "{problem}");
    }
}

#[test]
fn a_role_is_named_by_its_arn_and_its_token_goes_to_aws() {
    let of = |setting: &'static str, value: &'static str| {
        let mut settings = vec![ROLE, IDENTITY[0], IDENTITY[1]];
        settings.retain(|(name, _)| *name != setting);
        settings.push((setting, value));
        read(&settings)
    };
    for (setting, value) in [
        ("AWS_ROLE_ARN", "auth0-logs"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:user/auth0-logs"),
        ("AWS_ROLE_ARN", "arn:aws:iam::12345678901:role/auth0-logs"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/"),
        ("AWS_ROLE_ARN", "arn:aws:sts::123456789012:assumed-role/a/b"),
        ("AWS_WEB_IDENTITY_AUDIENCE", "a b"),
        ("AWS_STS_ENDPOINT", "http://sts.eu-west-1.amazonaws.com"),
        ("AWS_STS_ENDPOINT", "https://sts.evil.example"),
        ("AWS_STS_ENDPOINT", "https://sts.amazonaws.com.evil.example"),
        (
            "AWS_STS_ENDPOINT",
            "https://sts.eu-west-1.amazonaws.com/path",
        ),
    ] {
        let problem = of(setting, value).err().unwrap().to_string();
        assert!(
            problem.contains(&format!("attention: {setting} ")),
            "{value}: {problem}"
        );
    }
    for (setting, value) in [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a"),
        ("AWS_WEB_IDENTITY_AUDIENCE", "api://acme"),
        ("AWS_STS_ENDPOINT", "http://127.0.0.1:8080"),
        ("AWS_STS_ENDPOINT", "https://sts.us-east-1.amazonaws.com/"),
        (
            "AWS_STS_ENDPOINT",
            "https://vpce-1.sts.us-east-1.vpce.amazonaws.com",
        ),
    ] {
        assert!(of(setting, value).is_ok(), "{value}");
    }
}

/// No token service lets anyone assume a role of another partition.
#[test]
fn a_role_is_in_the_partition_of_the_region() {
    let read = |region: &str, partition: &str| {
        let arn = format!("arn:{partition}:iam::123456789012:role/auth0-logs");
        let settings = [("AWS_ROLE_ARN", &*arn), IDENTITY[0], IDENTITY[1]];
        read_in(region, &settings.into_iter().collect())
    };
    for (region, partition) in [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("eusc-de-east-1", "aws-eusc"),
    ] {
        assert!(read(region, partition).is_ok(), "{region}");
    }
    for (region, partition, expected) in [
        ("eu-west-1", "aws-cn", "eu-west-1 begins with arn:aws:iam::"),
        (
            "cn-north-1",
            "aws",
            "cn-north-1 begins with arn:aws-cn:iam::",
        ),
        (
            "us-gov-west-1",
            "aws",
            "us-gov-west-1 begins with arn:aws-us-gov:iam::",
        ),
        (
            "us-east-1",
            "aws-us-gov",
            "us-east-1 begins with arn:aws:iam::",
        ),
        ("eu-west-1", "awsome", "eu-west-1 begins with arn:aws:iam::"),
    ] {
        let problem = read(region, partition).err().unwrap().to_string();
        let told =
            "attention: AWS_ROLE_ARN belongs to another part of AWS than the region: a role for ";
        assert!(problem.contains(told), "{problem}");
        assert!(problem.ends_with(expected), "{problem}");
    }
}
