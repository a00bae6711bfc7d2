//! This program's credentials for AWS, from its settings.

use std::sync::Arc;

use object_store::aws::AwsCredential;
use url::Url;

use super::credentials::{Credentials, Origin};
use super::region::{Region, is_account, is_of_aws};
use super::role::Role;
use crate::azure::cloud;
use crate::azure::identity::Identity;
use crate::azure::principal::principal;
use crate::clock::Clock;
use crate::net::http::{is_loopback, is_secure};
use crate::settings::Reader;
use crate::settings::values::origin;

/// The settings that are read here.
pub(crate) const SETTINGS: [&str; 7] = [
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_AUDIENCE",
    "AWS_STS_ENDPOINT",
];

/// Entra ID's audience for tokens that another cloud exchanges.
const DEFAULT_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The region, if it is set.
pub(crate) fn region(reader: &mut Reader) -> Option<Region> {
    reader.optional("AWS_REGION", Region::parse)
}

/// The credentials that `setting` needs: keys if they are set, and otherwise those of a role.
pub(crate) fn credentials(
    reader: &mut Reader,
    setting: &'static str,
    region: &Region,
    http: &reqwest::Client,
    clock: &Clock,
) -> Option<Credentials> {
    let ways = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ROLE_ARN"];
    match reader.first_set(&ways) {
        Some("AWS_ROLE_ARN") => {}
        Some(_) => return Some(Credentials::new(Origin::Keys(Arc::new(keys(reader)?)))),
        None => {
            return reader.problem(
                setting,
                "needs credentials of AWS, and there are none: set AWS_ROLE_ARN, a role that trusts \
                 the app's Azure identity, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            );
        }
    }
    let arn = reader.optional("AWS_ROLE_ARN", |text| role_arn(text, region));
    let has_endpoint = reader.get("AWS_STS_ENDPOINT").is_some();
    let endpoint = if has_endpoint {
        reader.optional("AWS_STS_ENDPOINT", sts_endpoint)
    } else {
        region.endpoint("sts")
    };
    let audience = reader.or_default("AWS_WEB_IDENTITY_AUDIENCE", DEFAULT_AUDIENCE, audience);
    let principal = principal(reader, "AWS_ROLE_ARN", &cloud::PUBLIC)?;
    let identity = Identity::new(http.clone(), principal, audience?, clock.clone());
    let role = Role::new(arn?, endpoint?, identity, http.clone(), clock.clone());
    Some(Credentials::new(Origin::Role(Box::new(role))))
}

fn keys(reader: &mut Reader) -> Option<AwsCredential> {
    let key_id = reader.required(
        "AWS_ACCESS_KEY_ID",
        "the id of the access key whose secret is in AWS_SECRET_ACCESS_KEY",
        key_id,
    );
    let secret_key = reader.required(
        "AWS_SECRET_ACCESS_KEY",
        "the secret of the access key in AWS_ACCESS_KEY_ID",
        secret,
    );
    let key_id = key_id?;
    // With a session token that is set for all tenants, AWS would refuse a tenant's own long-term key.
    let first = reader.first_set(&["AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"]);
    let is_of_key = first == Some("AWS_SESSION_TOKEN") || key_id.starts_with("ASIA");
    let token = if is_of_key && reader.get("AWS_SESSION_TOKEN").is_some() {
        Some(reader.optional("AWS_SESSION_TOKEN", secret)?)
    } else {
        None
    };
    if token.is_none() && key_id.starts_with("ASIA") {
        return reader.problem(
            "AWS_SESSION_TOKEN",
            "is missing: an access key that begins with ASIA is a session's, and works with its \
             token only; for good use AWS_ROLE_ARN or a user's key, which begins with AKIA",
        );
    }
    Some(AwsCredential {
        key_id,
        secret_key: secret_key?,
        token,
    })
}

/// Whether a text is usable in a header: no space, no line break, nothing but ASCII.
pub(super) fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic())
}

fn key_id(text: &str) -> Result<String, String> {
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    text.bytes()
        .all(is_letter)
        .then(|| text.to_owned())
        .ok_or_else(|| "is not the id of an access key such as AKIAIOSFODNN7EXAMPLE".into())
}

fn secret(text: &str) -> Result<String, String> {
    is_header_text(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "has a space, a line break or a letter that AWS's secrets lack".into())
}

fn audience(text: &str) -> Result<String, String> {
    is_header_text(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "is not an audience such as api://AzureADTokenExchange".into())
}

/// The ARN of a role, `arn:aws:iam::123456789012:role/name`, in the region's partition.
fn role_arn(text: &str, region: &Region) -> Result<String, String> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let found = match parts[..] {
        ["arn", partition, "iam", "", account, resource]
            if partition.starts_with("aws")
                && is_account(account)
                && resource
                    .strip_prefix("role/")
                    .is_some_and(|it| !it.is_empty())
                && is_header_text(text) =>
        {
            partition
        }
        _ => return Err("is not the ARN of a role, arn:aws:iam::<account>:role/<name>".into()),
    };
    let expected = region.partition();
    if found != expected {
        return Err(format!(
            "belongs to another part of AWS than the region: a role for {} begins with \
             arn:{expected}:iam::",
            region.name()
        ));
    }
    Ok(text.to_owned())
}

/// The endpoint where tokens are exchanged: they go to AWS or to this machine only.
fn sts_endpoint(text: &str) -> Result<Url, String> {
    let is_known = |url: &Url| is_secure(url) && (is_loopback(url) || is_of_aws(url));
    let endpoint = origin(text).filter(is_known);
    endpoint.ok_or_else(|| {
        "must be https://sts.<region>.amazonaws.com, another host of AWS's, or blank".into()
    })
}

#[cfg(test)]
mod tests;
