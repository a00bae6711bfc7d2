//! Signature Version 4, by `object_store`, which signs its own requests to S3 in this way.
//!
//! It reads the wall clock itself, so the time of a signature cannot be passed in.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::region::Region;

/// A request that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("a request to AWS cannot be signed")]
pub(crate) struct SignError(#[from] object_store::Error);

/// The headers of a signed POST request: those given, and those that the signature adds. All are
/// signed, so they must be sent unchanged.
pub(super) fn sign(
    url: &Url,
    headers: HeaderMap,
    body: &Bytes,
    credential: &AwsCredential,
    service: &str,
    region: &Region,
) -> Result<HeaderMap, SignError> {
    let mut request = HttpRequest::new(HttpRequestBody::from(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.as_str().parse().map_err(|_| no_address())?;
    *request.headers_mut() = headers;
    let authorizer = AwsAuthorizer::new(credential, service, region.name());
    authorizer.try_authorize(&mut request, None)?;
    Ok(std::mem::take(request.headers_mut()))
}

fn no_address() -> object_store::Error {
    object_store::Error::Generic {
        store: "AWS",
        source: "its address is no URI".into(),
    }
}
