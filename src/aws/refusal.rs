//! What a service of AWS says when it refuses a request, in any of its protocols.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_troubleshoot.html>, the list of common
//! errors of each service, and the codes that AWS's own SDKs retry:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>.

use object_store::aws::AwsCredential;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde::Deserialize;

use crate::net::http::{self, Answer};
use crate::net::retry::Again;

/// What a refusal is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum About {
    /// The access key: AWS does not know it, or no longer accepts it.
    Key,
    /// The signature: the secret is wrong, or the request was changed on its way.
    Signature,
    /// The time of the signature.
    Clock,
    /// The region that the signature is for.
    Region,
    /// The session, which has expired.
    End,
    /// The permissions of the credentials.
    Access,
    /// The moment: a later attempt may succeed.
    Moment,
    /// Something else.
    Other,
}

impl About {
    /// Whether other credentials could help.
    pub fn is_credential(self) -> bool {
        matches!(self, Self::Key | Self::Signature | Self::End)
    }
}

/// A refusal: its code and its explanation.
#[derive(Debug)]
pub(crate) struct AwsRefusal {
    pub code: String,
    message: String,
    /// What the status says.
    again: Again,
}

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "__type", alias = "code", alias = "Code", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: Option<String>,
}

/// The two ways in which XML wraps an error. One that is not wrapped is an [`XmlError`].
#[derive(Deserialize)]
struct Xml {
    #[serde(rename = "Error")]
    inner: Option<XmlError>,
    #[serde(rename = "Errors")]
    list: Option<XmlErrors>,
}

#[derive(Deserialize)]
struct XmlErrors {
    #[serde(rename = "Error")]
    inner: XmlError,
}

#[derive(Deserialize)]
struct XmlError {
    #[serde(rename = "Code")]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

impl AwsRefusal {
    /// Reads the refusal in an answer that is no success.
    pub fn of(answer: &Answer) -> Self {
        let text = answer.text();
        let named = answer.header("x-amzn-errortype").unwrap_or_default();
        let (code, message) = if let Ok(json) = serde_json::from_str::<Json>(&text) {
            (json.kind, json.message.unwrap_or_default())
        } else if let Some(error) = xml(&text) {
            (error.code, error.message)
        } else {
            (String::new(), text.into_owned())
        };
        let code = if code.is_empty() { named } else { &code };
        // JSON that is not of AWS is quoted as it is.
        let message = if code.is_empty() && message.is_empty() {
            answer.text().into_owned()
        } else {
            message
        };
        Self {
            code: short(code).to_owned(),
            message,
            again: answer.again(),
        }
    }

    /// Whether a retry may get another answer. A code may say so where the status does not.
    pub fn again(&self) -> Again {
        match self.again {
            Again::Never if self.about() == About::Moment => Again::Soon,
            again => again,
        }
    }

    /// What it is about.
    pub fn about(&self) -> About {
        let says = |text: &str| self.message.contains(text);
        match &*self.code {
            "RequestExpired" | "RequestTimeTooSkewed" => About::Clock,
            "ExpiredToken" | "ExpiredTokenException" => About::End,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "AuthFailure"
            | "OptInRequired"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => About::Key,
            "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException" => {
                if says("Signature expired") || says("Signature not yet current") {
                    About::Clock
                } else if says("Credential should be scoped") {
                    About::Region
                } else {
                    About::Signature
                }
            }
            "AccessDenied" | "AccessDeniedException" | "NotAuthorized" => About::Access,
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "BandwidthLimitExceeded"
            | "LimitExceededException"
            | "PriorRequestNotComplete"
            | "ProvisionedThroughputExceededException"
            | "SlowDown"
            | "TransactionInProgressException"
            | "RequestTimeout"
            | "RequestTimeoutException"
            | "OperationAborted"
            | "InternalFailure"
            | "InternalException"
            | "InternalError"
            // AWS did not reach the issuer of a token.
            | "IDPCommunicationError"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => About::Moment,
            _ => About::Other,
        }
    }

    /// The code and the explanation, withheld if they repeat one of the `secrets`.
    pub fn said(&self, secrets: &[SecretString]) -> String {
        said(&self.code, &self.message, secrets)
    }
}

/// A code and its explanation, as an error quotes them.
pub(crate) fn said(code: &str, message: &str, secrets: &[SecretString]) -> String {
    let secrets: Vec<_> = secrets.iter().collect();
    let text = match (code, message) {
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    http::excerpt(&text, &secrets)
}

/// The secret parts of a credential, and of the headers of a request that was signed with it.
pub(crate) fn secrets(credential: &AwsCredential, headers: &HeaderMap) -> Vec<SecretString> {
    let signature = headers.get(AUTHORIZATION).and_then(signature);
    let secrets = [
        Some(&*credential.secret_key),
        credential.token.as_deref(),
        signature,
    ];
    secrets.into_iter().flatten().map(Into::into).collect()
}

/// The signature in an `Authorization` header. It is good for five minutes and more.
fn signature(header: &HeaderValue) -> Option<&str> {
    let (_, after) = header.to_str().ok()?.split_once("Signature=")?;
    let signature = after.split([',', ' ']).next()?;
    Some(signature).filter(|it| !it.is_empty())
}

/// A code without the namespace before it, or the URL after it.
fn short(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or_default();
    code.split(':').next().unwrap_or_default().trim()
}

fn xml(text: &str) -> Option<XmlError> {
    let xml: Xml = quick_xml::de::from_str(text).ok()?;
    let inner = xml.inner.or(xml.list.map(|it| it.inner));
    inner.or_else(|| quick_xml::de::from_str(text).ok())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::StatusCode;

    use super::*;

    fn refusal(headers: &[(&'static str, &str)], body: &str) -> AwsRefusal {
        let headers = headers.iter();
        AwsRefusal::of(&Answer {
            status: StatusCode::BAD_REQUEST,
            headers: headers
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    #[test]
    fn a_refusal_is_read_in_each_form_that_services_have() {
        for body in [
            r#"{"__type":"AccessDeniedException","message":"no"}"#,
            r#"{"__type":"com.amazonaws.events#AccessDeniedException","Message":"no"}"#,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDeniedException</Code>\
             <Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            "<?xml version=\"1.0\"?><Error><Code>AccessDeniedException</Code>\
             <Message>no</Message></Error>",
            "<Response><Errors><Error><Code>AccessDeniedException</Code><Message>no</Message>\
             </Error></Errors></Response>",
        ] {
            let refusal = refusal(&[], body);
            assert_eq!(refusal.said(&[]), "AccessDeniedException: no", "{body}");
            assert_eq!(refusal.about(), About::Access);
        }
        let header = [("x-amzn-errortype", "ThrottlingException:http://internal/")];
        assert_eq!(refusal(&header, "{}").said(&[]), "ThrottlingException");
        assert_eq!(refusal(&[], "<html>").said(&[]), "<html>");
        // JSON of something that answers in place of AWS.
        for foreign in [
            r#"{"error":{"code":"X"}}"#,
            r#"{"detail":"no"}"#,
            "{}",
            "[]",
        ] {
            assert_eq!(refusal(&[], foreign).said(&[]), foreign);
        }
        assert_eq!(refusal(&[], "").said(&[]), "an empty body");
    }

    #[test]
    fn what_it_is_about_is_told_by_its_code_and_of_a_signature_by_its_words() {
        for (code, message, expected) in [
            ("UnrecognizedClientException", "", About::Key),
            ("InvalidClientTokenId", "", About::Key),
            (
                "InvalidSignatureException",
                "does not match",
                About::Signature,
            ),
            ("SignatureDoesNotMatch", "", About::Signature),
            (
                "InvalidSignatureException",
                "Signature expired: 20261121T080000Z is now earlier than 20261121T081500Z",
                About::Clock,
            ),
            (
                "InvalidSignatureException",
                "Signature not yet current: x",
                About::Clock,
            ),
            (
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region, not 'eu-west-1'.",
                About::Region,
            ),
            ("ExpiredTokenException", "", About::End),
            ("ExpiredToken", "", About::End),
            ("ThrottlingException", "", About::Moment),
            ("InternalFailure", "", About::Moment),
            ("RequestTimeout", "", About::Moment),
            ("RequestTimeoutException", "", About::Moment),
            ("RequestThrottledException", "", About::Moment),
            ("SlowDown", "", About::Moment),
            ("BandwidthLimitExceeded", "", About::Moment),
            ("LimitExceededException", "", About::Moment),
            ("OperationAborted", "", About::Moment),
            ("ValidationException", "Signature expired", About::Other),
        ] {
            let json = serde_json::json!({"__type": code, "message": message});
            let about = refusal(&[], &json.to_string()).about();
            assert_eq!(about, expected, "{code} {message}");
            let is_credential = matches!(about, About::Key | About::Signature | About::End);
            assert_eq!(about.is_credential(), is_credential);
        }
    }

    #[test]
    fn neither_the_secret_nor_the_session_token_nor_the_signature_is_quoted() {
        let credential = AwsCredential {
            key_id: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG".into(),
            token: Some("FwoGZXIvYXdzEJr".into()),
        };
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/s3/aws4_request, \
                             SignedHeaders=host, Signature=5d672d79c15b13162d9279b0855cfba6";
        let headers =
            HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(authorization))]);
        let secrets = secrets(&credential, &headers);
        for secret in [
            "wJalrXUtnFEMI/K7MDENG",
            "FwoGZXIvYXdzEJr",
            "5d672d79c15b13162d9279b0855cfba6",
        ] {
            let body = format!(r#"{{"__type":"X","message":"token {secret}"}}"#);
            let said = refusal(&[], &body).said(&secrets);
            assert_eq!(said, "(withheld: it repeats a credential)");
        }
        let body = r#"{"__type":"X","message":"key AKIDEXAMPLE"}"#;
        assert_eq!(refusal(&[], body).said(&secrets), "X: key AKIDEXAMPLE");
    }
}
