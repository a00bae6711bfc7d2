//! What an unsuccessful response of the storage account means, and what the operator can do about it.
//!
//! The error code decides. The status counts only if there is no code, because one status has many meanings.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes> and
//! <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>

use std::fmt;

use reqwest::StatusCode;
use secrecy::SecretString;

use crate::net::http::{self, Answer};
use crate::net::retry::Again;

/// Maximum length of an error code. Azure's longest one has fewer than 50 characters.
const LONGEST_CODE: usize = 64;

/// An unsuccessful response of the storage account.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) struct AzureRefusal {
    status: StatusCode,
    /// `x-ms-error-code`
    code: Option<String>,
    /// The beginning of the message.
    said: String,
    again: Again,
}

/// The kind of credential that the account is accessed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opener {
    Key,
    Signature,
    Identity,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    /// There is no such blob or no container.
    Absent,
    /// The blob has changed since the caller read it.
    Conflict,
    /// Transient.
    Passes(&'static str),
    /// Permanent until somebody acts.
    Stays(&'static str),
}

/// Formatted to follow its meaning: `403 AuthorizationFailure: This request is not authorized…`.
impl fmt::Display for AzureRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status.as_u16())?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        write!(f, ": {}", self.said)
    }
}

impl AzureRefusal {
    /// Reads the response to a request authorized by `secrets`. The refusal repeats none of them.
    pub(super) fn read(answer: &Answer, secrets: &[&SecretString]) -> Self {
        let body = String::from_utf8_lossy(&answer.body);
        let code = answer.header("x-ms-error-code");
        let code = code.or_else(|| element(&body, "Code"));
        let is_code = |code: &&str| {
            let letters = code.bytes().all(|it| it.is_ascii_alphanumeric());
            letters && !code.is_empty() && code.len() <= LONGEST_CODE
        };
        let code = code.filter(is_code).map(str::to_owned);
        let said = match (answer.redirect(secrets), element(&body, "Message")) {
            (Some(target), _) => format!("it redirects to {target}"),
            // The request id and the time follow on separate lines.
            (None, Some(message)) => message.lines().next().unwrap_or_default().to_owned(),
            (None, None) => body.into_owned(),
        };
        Self {
            status: answer.status,
            code: code.filter(|code| !http::repeats(code, secrets)),
            said: http::excerpt(&said, secrets),
            again: answer.again(),
        }
    }

    pub(crate) fn again(&self) -> Again {
        self.again
    }

    /// The same refusal, if more is known about a retry than the status tells.
    pub(super) fn with_again(self, again: Again) -> Self {
        Self { again, ..self }
    }

    /// Whether the token, the key or the signature was rejected.
    pub(super) fn is_about_credential(&self) -> bool {
        match self.code.as_deref() {
            Some(code) => matches!(code, "AuthenticationFailed" | "InvalidAuthenticationInfo"),
            None => self.status == StatusCode::UNAUTHORIZED,
        }
    }

    /// Whether the container is missing.
    pub(super) fn is_about_container(&self) -> bool {
        self.code.as_deref() == Some("ContainerNotFound")
    }

    /// Whether the container to be created already exists.
    pub(super) fn is_made_already(&self) -> bool {
        self.code.as_deref() == Some("ContainerAlreadyExists")
    }

    /// Whether the blob exists, and only for that reason cannot be written.
    pub(crate) fn forbids_overwriting(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        code.starts_with("BlobImmutable") || code == "UnauthorizedBlobOverwrite"
    }

    /// Whether the request was too large.
    pub(crate) fn is_too_much(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    pub(super) fn verdict(&self, by: Opener) -> Meaning {
        let by_code = self.code.as_deref().and_then(|code| by_code(code, by));
        by_code.unwrap_or_else(|| self.by_status(by))
    }

    fn by_status(&self, by: Opener) -> Meaning {
        match self.status {
            StatusCode::PRECONDITION_FAILED if self.code.is_none() => Meaning::Conflict,
            // A state that this program does not know, and so possibly a transient one.
            StatusCode::CONFLICT => Meaning::Passes("the storage account cannot do that now"),
            StatusCode::UNAUTHORIZED => credential(by),
            StatusCode::FORBIDDEN => {
                Meaning::Stays("the storage account, or something before it, refuses the request")
            }
            StatusCode::NOT_FOUND => Meaning::Stays(
                "no blob service of a storage account answers there; check the account's address",
            ),
            _ if self.again != Again::Never => Meaning::Passes("the storage account is not ready"),
            _ => Meaning::Stays(
                "the storage account, or something before it, does not take the request",
            ),
        }
    }
}

fn by_code(code: &str, by: Opener) -> Option<Meaning> {
    use Meaning::{Absent, Conflict, Passes, Stays};

    Some(match code {
        "BlobNotFound" | "ContainerNotFound" | "ResourceNotFound" => Absent,
        "ConditionNotMet" | "TargetConditionNotMet" | "BlobAlreadyExists" => Conflict,
        "ContainerBeingDeleted" => Passes(
            "the container was deleted, and until that is done, half a minute or longer, no new \
             one can be made",
        ),
        "AccountBeingCreated" => Passes("the storage account is being created"),
        "AuthenticationFailed" | "InvalidAuthenticationInfo" => credential(by),
        "AuthorizationPermissionMismatch" => permission(by),
        "AuthorizationFailure" => match by {
            Opener::Identity => Stays(
                "the storage account lets no requests in from here; under Networking let the \
                 Function App's network in, or with a private endpoint see that the account's \
                 name leads to it",
            ),
            Opener::Key | Opener::Signature => Stays(
                "the storage account lets no such request in; under Networking let this program's \
                 network in, and if it is in, see that the signature allows the operation",
            ),
        },
        "AuthorizationSourceIPMismatch" => {
            Stays("the signature is for other addresses than this program's; make one without sip")
        }
        "AuthorizationProtocolMismatch" => {
            Stays("the signature is for another protocol; make one for https")
        }
        "AuthorizationServiceMismatch" => {
            Stays("the signature is not for the blob service; make one with ss=b")
        }
        "AuthorizationResourceTypeMismatch" => Stays(
            "the signature does not cover this; make one for the resource types service, container \
             and object (srt=sco)",
        ),
        "UnauthorizedBlobOverwrite" => {
            Stays("the signature does not allow overwriting; make one with the permission w")
        }
        "KeyBasedAuthenticationNotPermitted" => Stays(
            "the storage account allows no shared keys; use AzureWebJobsStorage__accountName and \
             the app's identity",
        ),
        "NoAuthenticationInformation" | "PublicAccessNotPermitted" => Stays(
            "the request reached the storage account without its credentials; a proxy may have \
             removed them, or the signature is incomplete",
        ),
        "AccountIsDisabled" => {
            Stays("the storage account is disabled; look at its subscription's state")
        }
        "InsufficientAccountPermissions" => Stays(
            "the storage account does not allow this operation; it may be a secondary, or read only",
        ),
        "ContainerDisabled" => Stays("the container is disabled"),
        "BlobArchived" | "BlobBeingRehydrated" => Stays(
            "the blob is in the archive tier; move it to the hot tier, and keep lifecycle rules \
             away from this container",
        ),
        "InvalidBlobType" => Stays("a blob of another kind has this name; move it away"),
        _ if code.starts_with("BlobImmutable") => Stays(
            "an immutability policy or a legal hold protects the blob; this container needs to be \
             free of them",
        ),
        _ if code.starts_with("Lease") => {
            Stays("somebody holds a lease on it; break the lease, and let nobody take one")
        }
        _ => return None,
    })
}

fn credential(by: Opener) -> Meaning {
    Meaning::Stays(match by {
        Opener::Identity => {
            "the storage account does not take the token of the app's identity; the account and \
             the Function App must belong to the same tenant of Entra ID"
        }
        Opener::Key => {
            "the storage account refuses the key; it is another account's, or was regenerated, or \
             this machine's clock is wrong by more than 15 minutes"
        }
        Opener::Signature => {
            "the storage account refuses the signature; it has expired or is not valid yet, was \
             changed on its way here, or the key that made it was regenerated"
        }
    })
}

fn permission(by: Opener) -> Meaning {
    Meaning::Stays(match by {
        Opener::Identity => {
            "the app's identity may not use the storage account; give it the role Storage Blob \
             Data Owner or Contributor there (a role given just now works some minutes later, at \
             most half an hour)"
        }
        Opener::Key | Opener::Signature => {
            "the signature does not allow this; make one with the permissions r, w, c, d and l"
        }
    })
}

/// The text of an element, if the response is Azure's XML.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = from.split_once(&format!("</{name}>"))?;
    Some(text)
}
