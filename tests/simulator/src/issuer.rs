//! Issues the tokens of identities, and remembers which ones it issued.
//!
//! The tokens have the form and the claims of Entra ID's, but no signature. Azurite does not check
//! it, and all others that receive a token ask the issuer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

/// The directory (Entra ID's tenant) whose identities get tokens.
pub const TENANT_ID: &str = "ab1f708d-50f6-404c-a006-d71b2ac7a606";

/// An issuer. Its clones are the same one, shared by the endpoints that hand out tokens and the
/// services that receive them.
#[derive(Clone, Debug, Default)]
pub struct Issuer(Arc<Mutex<HashMap<String, Issued>>>);

#[derive(Debug)]
struct Issued {
    audience: String,
    expires: DateTime<Utc>,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    /// It was not issued here, or was revoked.
    Unknown,
    Expired,
    /// It is for another service.
    WrongAudience,
}

impl Issuer {
    /// From now on refuses every token issued so far, even if it has not expired.
    pub fn revoke_tokens(&self) {
        self.issued().clear();
    }

    /// Secrets that must not appear anywhere: the beginning of every token.
    pub fn secrets() -> Vec<String> {
        vec![header()]
    }

    /// A new token for the audience, and when it expires. No two are the same.
    pub(crate) fn issue(&self, audience: &str, life: Duration) -> (String, DateTime<Utc>) {
        let now = Utc::now();
        let expires = now + life;
        let claims = json!({
            "aud": audience, "iss": format!("https://sts.windows.net/{TENANT_ID}/"),
            "iat": now.timestamp(), "nbf": now.timestamp(), "exp": expires.timestamp(),
            "uti": format!("{:016x}", fastrand::u64(..)),
        });
        let token = format!("{}.{}.c2ln", header(), part(&claims));
        let issued = Issued {
            audience: audience.to_owned(),
            expires,
        };
        self.issued().insert(token.clone(), issued);
        (token, expires)
    }

    /// Checks that a token was issued for exactly this audience and is still good.
    pub(crate) fn verify(&self, token: &str, audience: &str) -> Result<(), Flaw> {
        let issued = self.issued();
        let token = issued.get(token).ok_or(Flaw::Unknown)?;
        if token.expires <= Utc::now() {
            return Err(Flaw::Expired);
        }
        if token.audience != audience {
            return Err(Flaw::WrongAudience);
        }
        Ok(())
    }

    fn issued(&self) -> MutexGuard<'_, HashMap<String, Issued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header() -> String {
    part(&json!({"alg": "none"}))
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}
