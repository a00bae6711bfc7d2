//! Verifies Signature Version 4: who signed a request, for which region and service, and when.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;

use axum::http::{HeaderMap, Method, Uri};
use chrono::{DateTime, NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What a request says about its signature.
#[derive(Debug)]
pub struct Signed {
    /// The id of the access key.
    pub key_id: String,
    /// The region that the signature is for.
    pub region: String,
    /// The service that the signature is for.
    pub service: String,
    /// When the request was signed.
    pub at: DateTime<Utc>,
    /// The session's token, if the key is that of a session.
    pub token: Option<String>,
    day: String,
    names: String,
    signature: String,
    time: String,
}

impl Signed {
    /// Reads the headers; `None` if the request is not signed this way.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let parts = text("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let part = |name: &str| {
            let mut parts = parts.split(',').map(str::trim);
            parts.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
        };
        let scope: Vec<_> = part("Credential")?.split('/').collect();
        let [key_id, day, region, service, "aws4_request"] = scope[..] else {
            return None;
        };
        let time = text("x-amz-date")?;
        let at = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok()?;
        Some(Self {
            key_id: key_id.into(),
            region: region.into(),
            service: service.into(),
            at: at.and_utc(),
            token: text("x-amz-security-token").map(str::to_owned),
            day: day.into(),
            names: part("SignedHeaders")?.into(),
            signature: part("Signature")?.into(),
            time: time.into(),
        })
    }

    /// Whether this secret makes this signature for the request, and it covers what it has to.
    pub fn is_by(
        &self,
        secret: &str,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> bool {
        let names: Vec<_> = self.names.split(';').collect();
        let covers = |name: &str| names.contains(&name) || !headers.contains_key(name);
        let has_to = ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"];
        let mut canonical = format!("{method}\n{}\n{}\n", uri.path(), query(uri));
        for name in &names {
            let values = headers.get_all(*name).iter();
            let values: Vec<_> = values.map(|it| it.to_str().unwrap_or_default()).collect();
            let _ = writeln!(canonical, "{name}:{}", values.join(",").trim());
        }
        let _ = write!(canonical, "\n{}\n{}", self.names, digest(body));
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.time,
            digest(canonical.as_bytes())
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.day, &self.region, &self.service, "aws4_request"] {
            key = mac(&key, part);
        }
        has_to.iter().all(|it| covers(it))
            && self.time.starts_with(&self.day)
            && hex(&mac(&key, &to_sign)) == self.signature
    }
}

fn query(uri: &Uri) -> String {
    let mut pairs: Vec<_> = uri.query().unwrap_or_default().split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn is_good(
        method: &Method,
        uri: &str,
        headers: &[(&'static str, &'static str)],
        body: &str,
        [service, signature]: [&str; 2],
    ) -> bool {
        let mut map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        map.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        let mut names: Vec<_> = map.keys().map(ToString::to_string).collect();
        names.sort();
        let names = names.join(";");
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        );
        map.insert("authorization", authorization.parse().unwrap());
        let signed = Signed::of(&map).unwrap();
        signed.is_by(SECRET, method, &uri.parse().unwrap(), &map, body.as_bytes())
    }

    /// The documentation's example, and two tests of the suite that was published with it.
    #[test]
    fn published_signatures_are_good_and_others_are_not() {
        let user = [
            ("host", "iam.amazonaws.com"),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
        ];
        let users = "/?Action=ListUsers&Version=2010-05-08";
        let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert!(is_good(&Method::GET, users, &user, "", ["iam", signature]));
        assert!(!is_good(&Method::GET, users, &user, "", ["sts", signature]));
        assert!(!is_good(&Method::GET, "/", &user, "", ["iam", signature]));

        let host = [("host", "example.amazonaws.com")];
        let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert!(is_good(
            &Method::GET,
            "/",
            &host,
            "",
            ["service", signature]
        ));
        assert!(!is_good(
            &Method::GET,
            "/",
            &host,
            "x",
            ["service", signature]
        ));

        let form = [
            host[0],
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        let of = |body| is_good(&Method::POST, "/", &form, body, ["service", signature]);
        assert!(of("Param1=value1"));
        assert!(!of("Param1=value2"));
    }
}
