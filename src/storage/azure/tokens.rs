//! The identity's token, shared by all users of the account.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use object_store::azure::AzureCredential;
use object_store::{CredentialProvider, Error};
use secrecy::{ExposeSecret as _, SecretString};

use crate::azure::identity::{Identity, IdentityError};
use crate::net::retry::{Again, Deadline};
use crate::storage::in_use::InUse;

/// Provides this program's own tokens to `object_store`.
pub(super) struct Tokens {
    identity: Identity,
    in_use: InUse<Token>,
}

#[derive(Clone)]
struct Token(SecretString);

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Tokens {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            in_use: InUse::default(),
        }
    }

    /// Obtains a token to use. A refused one is replaced first, once.
    pub(super) async fn prepare(&self, deadline: Deadline) -> Result<(), IdentityError> {
        let issued = async || self.identity.token(deadline).await.map(Token);
        let forget = async |Token(refused)| self.identity.forget(&refused).await;
        self.in_use.prepare(issued, forget).await
    }

    /// Notes that the account refused this token. Returns whether to try another one.
    pub(super) fn refuse(&self, token: &SecretString) -> Again {
        self.in_use.refuse(&Token(token.clone()))
    }
}

/// Does not show the identity.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// Never waits, because `object_store` gives no deadline. [`Tokens::prepare`] has obtained the
/// token before.
impl CredentialProvider for Tokens {
    type Credential = AzureCredential;

    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AzureCredential>>>
    where
        'a: 'b,
    {
        Box::pin(async {
            let Token(token) = self.in_use.get().ok_or(Error::Generic {
                store: "identity",
                source: "there is no token yet".into(),
            })?;
            let token = token.expose_secret().to_owned();
            Ok(Arc::new(AzureCredential::BearerToken(token)))
        })
    }
}
