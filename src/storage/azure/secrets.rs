//! The credentials in a request to the account, and the handling of a refused token.

use std::sync::Arc;

use object_store::client::HttpRequest;
use reqwest::header::AUTHORIZATION;
use secrecy::SecretString;

use super::refusal::AzureRefusal;
use super::tokens::Tokens;
use crate::net::http::Answer;
use crate::storage::foreign::Tags;
use crate::storage::wire::Refusals;

/// Reads the account's refusals.
#[derive(Clone, Debug)]
pub(super) struct AzureRefusals(pub Option<Arc<Tokens>>);

pub(super) struct Secrets {
    token: Option<SecretString>,
    signatures: Vec<SecretString>,
}

impl Secrets {
    fn of(request: &HttpRequest) -> Self {
        let authorization = request.headers().get(AUTHORIZATION);
        let authorization = authorization.and_then(|it| it.to_str().ok());
        let (scheme, value) = authorization
            .and_then(|it| it.split_once(' '))
            .unwrap_or_default();
        let mut signatures = Vec::new();
        if let Some((_, signature)) = value.split_once(':') {
            signatures.push(signature.into());
        }
        let query = request.uri().query().unwrap_or_default();
        for pair in query.split('&') {
            // As it is sent, and as a receiver may decode it, with percent or form decoding.
            if let Some(signature) = pair.strip_prefix("sig=") {
                signatures.push(signature.into());
                let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
                let decoded = decoded.map(|(_, value)| value.into_owned());
                signatures.extend(decoded.map(SecretString::from));
            }
        }
        Self {
            token: (scheme == "Bearer").then(|| value.into()),
            signatures,
        }
    }

    fn all(&self) -> Vec<&SecretString> {
        self.token.iter().chain(&self.signatures).collect()
    }
}

impl Refusals for AzureRefusals {
    type Refusal = AzureRefusal;
    type Secrets = Secrets;

    fn secrets(&self, request: &HttpRequest) -> Secrets {
        Secrets::of(request)
    }

    fn list(&self, query: &str) -> Option<Tags> {
        let is_list = query.split('&').any(|it| it == "comp=list");
        is_list.then_some(Tags::AZURE)
    }

    fn read(&self, answer: &Answer, secrets: &Secrets) -> AzureRefusal {
        let refusal = AzureRefusal::read(answer, &secrets.all());
        match (&self.0, &secrets.token) {
            (Some(tokens), Some(token)) if refusal.is_about_credential() => {
                refusal.with_again(tokens.refuse(token))
            }
            _ => refusal,
        }
    }
}
