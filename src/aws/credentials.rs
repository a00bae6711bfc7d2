//! The credentials that requests to AWS are signed with: keys from the settings, or those of a
//! role, which are cached for their lifetime and renewed before its end.

use std::sync::Arc;

use object_store::aws::AwsCredential;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

pub(crate) use super::role::RoleError;
use super::role::{Granted, Role};
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::net::token::Term;

/// Where credentials come from.
pub(super) enum Origin {
    /// Keys from the settings.
    Keys(Arc<AwsCredential>),
    /// A role, which is assumed anew before its credentials expire.
    Role(Box<Role>),
}

/// Hands out credentials.
pub(crate) struct Credentials {
    origin: Origin,
    current: Mutex<Option<Session>>,
}

struct Session {
    credential: Arc<AwsCredential>,
    term: Term,
    /// Whether it was told that renewing it failed.
    is_told: bool,
}

impl Credentials {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            current: Mutex::default(),
        }
    }

    /// Whether new ones can replace these: then a caller may forget credentials that were refused.
    pub fn are_renewed(&self) -> bool {
        matches!(self.origin, Origin::Role(_))
    }

    /// The current credentials, or new ones if they expire soon. Makes one attempt, which
    /// concurrent callers share, and waits no longer for another caller's than for its own.
    pub async fn get(&self, deadline: Deadline) -> Result<Arc<AwsCredential>, RoleError> {
        let role = match &self.origin {
            Origin::Keys(credential) => return Ok(Arc::clone(credential)),
            Origin::Role(role) => role,
        };
        let session = self.session(Box::pin(role.assume(deadline)));
        let session = tokio::time::timeout_at(deadline.for_answers(), session).await;
        session.unwrap_or_else(|_| Err(role.out_of_time()))
    }

    /// The current credentials, or new ones if there are none or they expire soon. Those that cannot be
    /// renewed are used until they expire.
    async fn session(
        &self,
        assume: impl Future<Output = Result<Granted, RoleError>>,
    ) -> Result<Arc<AwsCredential>, RoleError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|it| !it.term.is_due()) {
            return Ok(Arc::clone(&session.credential));
        }
        let asked_at = Instant::now();
        let granted = match (assume.await, &mut *current) {
            (Ok(granted), _) => granted,
            (Err(error), Some(session)) if !session.term.is_over() => {
                session.term.put_off();
                if !std::mem::replace(&mut session.is_told, true) {
                    warn!(
                        "the credentials of the role are used until they expire, since they cannot be \
                         renewed now: {}",
                        with_causes(&error)
                    );
                }
                return Ok(Arc::clone(&session.credential));
            }
            (Err(error), _) => return Err(error),
        };
        let credential = Arc::new(granted.credential);
        *current = Some(Session {
            credential: Arc::clone(&credential),
            term: Term::new(asked_at, granted.life),
            is_told: false,
        });
        Ok(credential)
    }

    /// Forgets credentials that a service refused, unless others have taken their place already.
    pub async fn forget(&self, refused: &AwsCredential) {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|it| *it.credential == *refused)
        {
            *current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    fn refused() -> RoleError {
        RoleError::NotTrusted {
            role: "r".into(),
            said: "no".into(),
            claims: String::new(),
        }
    }

    fn keys(key_id: &str) -> AwsCredential {
        AwsCredential {
            key_id: key_id.into(),
            secret_key: "s".into(),
            token: Some("t".into()),
        }
    }

    fn none() -> Credentials {
        Credentials::new(Origin::Keys(Arc::new(keys("set"))))
    }

    async fn session(credentials: &Credentials, next: &str, seconds: u64) -> String {
        let granted = Granted {
            credential: keys(next),
            life: Some(Duration::from_secs(seconds)),
        };
        let session = credentials.session(async { Ok(granted) }).await.unwrap();
        session.key_id.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_renewed_before_its_end() {
        let credentials = none();
        assert_eq!(session(&credentials, "first", 3_600).await, "first");
        tokio::time::advance(Duration::from_secs(3_239)).await;
        assert_eq!(session(&credentials, "second", 900).await, "first");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(session(&credentials, "second", 900).await, "second");
        tokio::time::advance(Duration::from_secs(810)).await;
        assert_eq!(session(&credentials, "third", 900).await, "third");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_cannot_be_renewed_is_used_to_its_end() {
        let credentials = none();
        session(&credentials, "first", 3_600).await;
        let requests = AtomicU64::new(0);
        let fails = async || {
            let request = async {
                requests.fetch_add(1, Ordering::Relaxed);
                Err(refused())
            };
            let used = credentials.session(request).await;
            used.ok().map(|it| it.key_id.clone())
        };
        // It is renewed when 360 of its 3,600 seconds are left.
        for (seconds, used, asked) in [
            (3_239, Some("first"), 0),
            (1, Some("first"), 1),
            (59, Some("first"), 1),
            (1, Some("first"), 2),
            (299, Some("first"), 3),
            (1, None, 4),
            (1, None, 5),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(fails().await.as_deref(), used, "{seconds}");
            assert_eq!(requests.load(Ordering::Relaxed), asked, "{seconds}");
        }
        assert_eq!(session(&credentials, "second", 3_600).await, "second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_cannot_be_renewed_and_is_refused_is_not_used_again() {
        let credentials = none();
        session(&credentials, "first", 3_600).await;
        tokio::time::advance(Duration::from_mins(55)).await;
        let used = credentials.session(async { Err(refused()) }).await;
        credentials.forget(&used.unwrap()).await;
        let used = credentials.session(async { Err(refused()) }).await;
        assert!(used.is_err());
    }

    #[tokio::test]
    async fn only_what_was_refused_is_forgotten() {
        let credentials = none();
        session(&credentials, "first", 3_600).await;
        credentials.forget(&keys("another")).await;
        assert_eq!(session(&credentials, "second", 3_600).await, "first");
        credentials.forget(&keys("first")).await;
        assert_eq!(session(&credentials, "second", 3_600).await, "second");
    }

    #[tokio::test]
    async fn keys_as_they_were_set_are_never_renewed() {
        let credentials = none();
        credentials.forget(&keys("set")).await;
        let deadline = Deadline::after(Duration::from_secs(1));
        assert_eq!(credentials.get(deadline).await.unwrap().key_id, "set");
        assert!(!credentials.are_renewed());
    }
}
