//! The identity's token, as all that use the account share it, a refusal of it included.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use object_store::azure::AzureCredential;
use object_store::{CredentialProvider, Error};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::azure::identity::{Identity, IdentityError};
use crate::net::retry::{Again, Deadline};

/// A token that was refused is replaced at most this often. One new token shows whether the fault
/// was the old one's; another run, which begins a minute later at the earliest, may try another.
const REST: Duration = Duration::from_secs(50);

/// Gives `object_store` this program's own tokens.
pub(super) struct Tokens {
    identity: Identity,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one in use.
    current: Option<SecretString>,
    refused: Option<Refused>,
}

/// The token that was refused last.
#[derive(Clone)]
struct Refused {
    token: SecretString,
    at: Instant,
    /// Whether another has been asked for since. The platform may issue the same again.
    is_replaced: bool,
}

impl Tokens {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            state: Mutex::default(),
        }
    }

    /// Puts a token in place, which no refusal has spoiled.
    pub(super) async fn prepare(&self, deadline: Deadline) -> Result<(), IdentityError> {
        let mut token = self.identity.token(deadline).await?;
        let refused = self.state().refused.clone();
        if refused.is_some_and(|it| !it.is_replaced && is_same(&it.token, &token)) {
            self.identity.forget(&token).await;
            token = self.identity.token(deadline).await?;
            if let Some(refused) = &mut self.state().refused {
                refused.is_replaced = true;
            }
        }
        self.state().current = Some(token);
        Ok(())
    }

    /// Notes that the account refused this token. Answers whether another may be taken.
    pub(super) fn refuse(&self, token: &SecretString) -> Again {
        let mut state = self.state();
        let is_current = |it: &SecretString| is_same(it, token);
        if !state.current.as_ref().is_some_and(is_current) {
            // Another has taken its place already.
            return Again::Soon;
        }
        match &state.refused {
            Some(last) if !last.is_replaced && is_same(&last.token, token) => Again::Soon,
            Some(last) if last.at.elapsed() < REST => Again::Never,
            _ => {
                state.refused = Some(Refused {
                    token: token.clone(),
                    at: Instant::now(),
                    is_replaced: false,
                });
                Again::Soon
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// Shows nothing of the identity.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// Waits for nobody: `object_store` does not tell how long it may, and [`Tokens::prepare`] came
/// before.
impl CredentialProvider for Tokens {
    type Credential = AzureCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AzureCredential>>>
    where
        'a: 'b,
    {
        Box::pin(async {
            let token = self.state().current.clone().ok_or(Error::Generic {
                store: "identity",
                source: "there is no token yet".into(),
            })?;
            let token = token.expose_secret().to_owned();
            Ok(Arc::new(AzureCredential::BearerToken(token)))
        })
    }
}
