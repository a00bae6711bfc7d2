//! Bearer tokens, cached for their lifetime.
//!
//! A token costs a request, and at Auth0 an event in the tenant's own log. So all that need it
//! share it, and it is replaced only when it expires soon or a service refuses it.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A token is renewed when a tenth of its lifetime is left, but no earlier than this before its end.
const RENEW_AHEAD: Duration = Duration::from_mins(10);
/// The longest use of a token, whatever its issuer says: what Auth0 and Microsoft issue by default.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// The assumed lifetime of a token that names none: shorter than any that is issued by default.
const UNKNOWN_LIFE: Duration = Duration::from_hours(1);
/// A new token that is said to have expired is used for this long, instead of one for each request.
/// If it is invalid, the service says so.
const SHORTEST_USE: Duration = Duration::from_mins(1);
/// The wait between attempts to renew what has not expired yet.
const RENEW_AGAIN: Duration = Duration::from_mins(1);
/// The most bytes of a token: more than services accept in a header.
const LONGEST_TOKEN: usize = 16 * 1024;

/// A token and what its issuer said of it.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    /// The bearer token.
    pub value: SecretString,
    /// Its scopes, as the issuer lists them; empty if it does not.
    pub scope: String,
    term: Term,
}

/// How long a token, or other credentials, are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    renew_at: Instant,
    ends_at: Instant,
}

impl Term {
    /// For what was requested at `asked_at`, and expires after `life` from then, if that is known.
    pub fn new(asked_at: Instant, life: Option<Duration>) -> Self {
        let renew_at = asked_at + use_for(life);
        Self {
            renew_at,
            ends_at: renew_at.max(asked_at + known(life)),
        }
    }

    /// Whether it is time to renew.
    pub fn is_due(&self) -> bool {
        self.renew_at <= Instant::now()
    }

    /// Whether it has expired.
    pub fn is_over(&self) -> bool {
        self.ends_at <= Instant::now()
    }

    /// Puts the next renewal off, after one that failed.
    pub fn put_off(&mut self) {
        self.renew_at = self.ends_at.min(Instant::now() + RENEW_AGAIN);
    }
}

impl AccessToken {
    /// A token that was requested at `asked_at`, and expires after `life` from then, if that is known.
    pub fn new(
        value: SecretString,
        scope: String,
        asked_at: Instant,
        life: Option<Duration>,
    ) -> Self {
        Self {
            value,
            scope,
            term: Term::new(asked_at, life),
        }
    }
}

/// The current token, if there is one.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(Mutex<Option<AccessToken>>);

impl TokenCache {
    /// The current token, or a new one if there is none or the current one expires soon. A token
    /// that cannot be renewed is used until it expires. Concurrent callers share one request.
    pub async fn get<E>(
        &self,
        request: impl Future<Output = Result<AccessToken, E>>,
    ) -> Result<AccessToken, E> {
        let mut current = self.0.lock().await;
        if let Some(token) = current.as_ref().filter(|it| !it.term.is_due()) {
            return Ok(token.clone());
        }
        match (request.await, &mut *current) {
            (Ok(token), current) => {
                *current = Some(token.clone());
                Ok(token)
            }
            (Err(_), Some(token)) if !token.term.is_over() => {
                token.term.put_off();
                Ok(token.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Forgets a token that a service refused, unless another has taken its place already.
    pub async fn forget(&self, refused: &SecretString) {
        let mut current = self.0.lock().await;
        let is_refused = |it: &AccessToken| it.value.expose_secret() == refused.expose_secret();
        if current.as_ref().is_some_and(is_refused) {
            *current = None;
        }
    }
}

/// Whether a text is valid as a bearer token in a header (RFC 6750, section 2.1).
pub(crate) fn is_bearer(token: &SecretString) -> bool {
    let token = token.expose_secret();
    let letters = token.trim_end_matches('=');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !letters.is_empty() && token.len() <= LONGEST_TOKEN && letters.bytes().all(is_letter)
}

/// Seconds as an issuer writes them: a number, or a string with one. A negative number counts as 0,
/// and more than ten thousand years count as that long.
pub(crate) fn seconds(json: &RawValue) -> Option<Duration> {
    let text = json.get().trim_matches('"').trim();
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds.clamp(0.0, 3.2e11)).ok()
}

/// How long what has this lifetime is used before it is renewed.
fn use_for(life: Option<Duration>) -> Duration {
    let life = known(life);
    if life.is_zero() {
        return SHORTEST_USE;
    }
    life.saturating_sub(RENEW_AHEAD.min(life / 10))
}

/// The lifetime, within [`LONGEST_LIFE`], or [`UNKNOWN_LIFE`] if there is none.
fn known(life: Option<Duration>) -> Duration {
    life.unwrap_or(UNKNOWN_LIFE).min(LONGEST_LIFE)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn token(value: &str, seconds: u64) -> AccessToken {
        let life = Some(Duration::from_secs(seconds));
        AccessToken::new(value.into(), String::new(), Instant::now(), life)
    }

    async fn get(cache: &TokenCache, next: &str) -> String {
        let request = async { Ok::<_, ()>(token(next, 1_000)) };
        let token = cache.get(request).await.unwrap();
        token.value.expose_secret().to_owned()
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let cases = [
            (Some(86_400), 86_400 - 600),
            (Some(100), 90),
            (None, 3_600 - 360),
            (Some(10), 9),
            // A token that expires at once is used for a minute, and none for more than a day.
            (Some(0), 60),
            (Some(86_401), 86_400 - 600),
            (Some(u64::MAX), 86_400 - 600),
        ];
        for (life, seconds) in cases {
            assert_eq!(
                use_for(life.map(Duration::from_secs)),
                Duration::from_secs(seconds),
                "{life:?}"
            );
        }
    }

    #[test]
    fn a_bearer_token_has_the_letters_of_one() {
        for (token, is_token) in [
            ("t", true),
            ("aZ09-._~+/==", true),
            ("eyJh.eyJh.c2ln", true),
            ("", false),
            ("==", false),
            ("a=b", false),
            ("a b", false),
            ("a\r\nb", false),
            ("a\nb", false),
            ("ü", false),
            ("a\"b", false),
        ] {
            assert_eq!(is_bearer(&token.into()), is_token, "{token:?}");
        }
        assert!(is_bearer(&"a".repeat(16_384).into()));
        assert!(!is_bearer(&"a".repeat(16_385).into()));
    }

    #[test]
    fn seconds_are_read_in_every_form_in_which_issuers_write_them() {
        let longest = Some(320_000_000_000);
        for (json, expected) in [
            ("86400", Some(86_400)),
            ("86400.5", Some(86_400)),
            ("\"86400\"", Some(86_400)),
            ("\" 86400 \"", Some(86_400)),
            ("0", Some(0)),
            ("-5", Some(0)),
            ("\"-5\"", Some(0)),
            ("1e400", longest),
            ("18446744073709551616", longest),
            ("null", None),
            ("true", None),
            ("\"soon\"", None),
            ("\"NaN\"", None),
            ("[1]", None),
        ] {
            let json: &RawValue = serde_json::from_str(json).unwrap();
            let read = seconds(json).map(|it| it.as_secs());
            assert_eq!(read, expected, "{json}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_until_its_end_is_near() {
        let cache = TokenCache::default();
        assert_eq!(get(&cache, "first").await, "first");
        tokio::time::advance(Duration::from_secs(899)).await;
        assert_eq!(get(&cache, "second").await, "first");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(get(&cache, "second").await, "second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_cannot_be_renewed_is_used_to_its_end() {
        let cache = TokenCache::default();
        get(&cache, "first").await;
        let requests = AtomicU64::new(0);
        let fails = async || {
            let request = async {
                requests.fetch_add(1, Ordering::Relaxed);
                Err("refused")
            };
            let token = cache.get(request).await;
            token.map(|it| it.value.expose_secret().to_owned())
        };
        // It is renewed when 100 of its 1,000 seconds are left.
        for (seconds, token, asked) in [
            (899, Ok("first".to_owned()), 0),
            (1, Ok("first".to_owned()), 1),
            (59, Ok("first".to_owned()), 1),
            (1, Ok("first".to_owned()), 2),
            (39, Ok("first".to_owned()), 2),
            (1, Err("refused"), 3),
            (1, Err("refused"), 4),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(fails().await, token, "{seconds}");
            assert_eq!(requests.load(Ordering::Relaxed), asked, "{seconds}");
        }
        assert_eq!(get(&cache, "second").await, "second");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_token_that_was_refused_is_forgotten() {
        let cache = TokenCache::default();
        get(&cache, "first").await;
        cache.forget(&"another".into()).await;
        assert_eq!(get(&cache, "second").await, "first");
        cache.forget(&"first".into()).await;
        assert_eq!(get(&cache, "second").await, "second");
    }
}
