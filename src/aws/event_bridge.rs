//! Amazon EventBridge: puts entries onto one bus, and checks whether the bus exists.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AwsCredential;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

use super::credentials::Credentials;
use super::refusal::{About, AwsRefusal, said, secrets};
use super::region::{Region, is_account};
use super::sign::sign;
use crate::clock::Clock;
use crate::net::http::{self, Answer, clock_problem};
use crate::net::retry::{self, Deadline, GaveUp, Jitter};

mod answer;
mod error;

use self::answer::{Described, Entry};
use self::error::EntryError;
pub(crate) use self::error::EventBridgeError;

/// The most entries that a request may have.
pub(crate) const MOST_ENTRIES: usize = 10;
/// Bytes of a request besides its entries and the comma after each.
pub(crate) const FRAMING: usize = r#"{"Entries":[]}"#.len();
/// The name of the service in signatures.
const SERVICE: &str = "events";
/// The most characters of a partition's name after `aws`, as in `aws-us-gov`.
const LONGEST_PARTITION: usize = 10;
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// How long a bus that was found is not checked again: a run checks once.
const BELIEVED: Duration = Duration::from_mins(1);
/// How long no check is made after one that was not allowed.
const NOT_ASKED: Duration = Duration::from_hours(1);

/// A call of the service, as policies name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    PutEvents,
    DescribeEventBus,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::PutEvents => "PutEvents",
            Self::DescribeEventBus => "DescribeEventBus",
        }
    }
}

/// The result of a check of the bus.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// The bus exists, with this ARN.
    There(String),
    /// The credentials may not check, and this is what AWS said.
    NotAllowed(String),
}

/// What became of an entry.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is on the bus.
    Accepted,
    /// It will never be accepted, for this reason.
    Refused(EntryError),
    /// Neither is known yet.
    Open,
}

/// What became of a request.
pub(crate) struct Put {
    /// What became of each entry.
    pub fates: Vec<Fate>,
    /// Why some entries are open; `None` if none is.
    pub error: Option<GaveUp<EventBridgeError>>,
}

/// A bus, and what is needed to put entries onto it.
pub(crate) struct Bus {
    pub name: String,
    pub region: Region,
    pub url: Url,
    pub credentials: Credentials,
    pub http: reqwest::Client,
    pub clock: Clock,
    pub jitter: Jitter,
    pub known: Known,
}

/// The result of the last check of the bus, and how long it is valid.
#[derive(Default)]
pub(crate) struct Known(tokio::sync::Mutex<Option<(Standing, Instant)>>);

impl Known {
    /// The last result, or that of `ask` if there is none or it is too old.
    async fn get<E>(&self, ask: impl Future<Output = Result<Standing, E>>) -> Result<Standing, E> {
        let mut known = self.0.lock().await;
        if let Some((standing, until)) = known.as_ref()
            && Instant::now() < *until
        {
            return Ok(standing.clone());
        }
        let standing = ask.await?;
        let believed = match standing {
            Standing::There(_) => BELIEVED,
            Standing::NotAllowed(_) => NOT_ASKED,
        };
        *known = Some((standing.clone(), Instant::now() + believed));
        Ok(standing)
    }
}

impl Bus {
    /// Checks whether the bus exists, unless it was checked just now. A missing permission to check
    /// is no error; a missing bus is.
    pub async fn verify(&self, deadline: Deadline) -> Result<Standing, GaveUp<EventBridgeError>> {
        let attempt = || self.describe(deadline);
        let ask = retry::retry(&self.jitter, deadline, attempt);
        self.known.get(Box::pin(ask)).await
    }

    async fn describe(&self, deadline: Deadline) -> Result<Standing, EventBridgeError> {
        let action = Action::DescribeEventBus;
        let body = answer::describe(&self.name);
        let (answer, secrets) = match self.call(action, &body, deadline).await {
            Ok(answered) => answered,
            Err(EventBridgeError::NotAllowed { said, .. }) => {
                return Ok(Standing::NotAllowed(said));
            }
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Described>(&answer.body) {
            Ok(Described { arn }) if self.is_named_by(&arn) => Ok(Standing::There(arn)),
            _ => Err(self.not_understood(action, &answer, &secrets)),
        }
    }

    /// Whether an ARN names this bus. It is shown to people, so the answer may choose nothing in it
    /// but a partition, a region and an account.
    fn is_named_by(&self, arn: &str) -> bool {
        let name = self.name.rsplit_once(":event-bus/");
        let name = name.map_or(&*self.name, |(_, name)| name);
        let place = arn.strip_suffix(name).unwrap_or_default();
        let place: Vec<_> = place.split(':').collect();
        let ["arn", partition, "events", region, account, "event-bus/"] = place[..] else {
            return false;
        };
        let is_letter = |it: u8| it.is_ascii_lowercase() || it == b'-';
        let rest = partition.strip_prefix("aws");
        rest.is_some_and(|it| it.len() <= LONGEST_PARTITION && it.bytes().all(is_letter))
            && Region::parse(region).is_ok()
            && is_account(account)
    }

    /// Puts at most ten entries, each of them JSON. Entries that the service did not accept for now
    /// are retried, and no others.
    pub async fn put(&self, entries: &[Bytes], deadline: Deadline) -> Put {
        let fates = Mutex::new(entries.iter().map(|_| Fate::Open).collect());
        let attempt = || self.attempt(entries, &fates, deadline);
        let result = retry::retry(&self.jitter, deadline, attempt).await;
        Put {
            fates: fates.into_inner().unwrap_or_else(PoisonError::into_inner),
            error: result.err(),
        }
    }

    async fn attempt(
        &self,
        entries: &[Bytes],
        fates: &Mutex<Vec<Fate>>,
        deadline: Deadline,
    ) -> Result<(), EventBridgeError> {
        let lock = || fates.lock().unwrap_or_else(PoisonError::into_inner);
        let open: Vec<usize> = {
            let fates = lock();
            let is_open = |it: &usize| matches!(fates[*it], Fate::Open);
            (0..entries.len()).filter(is_open).collect()
        };
        let body = answer::request(open.iter().map(|it| &entries[*it]));
        let action = Action::PutEvents;
        let (answer, secrets) = self.call(action, &body, deadline).await?;
        let Some(results) = answer::entries(&answer.body, open.len(), &secrets) else {
            return Err(self.not_understood(action, &answer, &secrets));
        };
        let mut fates = lock();
        let (mut busy, mut failed, mut closed) = (None, None, None);
        let mut count = 0;
        for (index, entry) in open.into_iter().zip(results) {
            match entry {
                Entry::Accepted => fates[index] = Fate::Accepted,
                Entry::Refused(said) => fates[index] = Fate::Refused(EntryError { said }),
                Entry::Busy(said) => {
                    count += 1;
                    busy = Some(said);
                }
                Entry::Failed(said) => {
                    count += 1;
                    failed = Some(said);
                }
                Entry::Closed(said, remedy) => {
                    let bus = self.name.clone();
                    closed = Some(EventBridgeError::Closed { bus, said, remedy });
                }
            }
        }
        let is_internal = busy.is_none();
        let open = busy.or(failed).map(|said| EventBridgeError::Busy {
            count,
            said,
            is_internal,
        });
        closed.or(open).map_or(Ok(()), Err)
    }

    /// Makes one call, in which refused credentials are replaced once. Returns the answer, and the
    /// secrets of the request.
    async fn call(
        &self,
        action: Action,
        body: &Bytes,
        deadline: Deadline,
    ) -> Result<(Answer, Vec<SecretString>), EventBridgeError> {
        let mut credential = self.credential(deadline).await?;
        let (mut answer, mut secrets) = self.send(action, body, &credential, deadline).await?;
        if answer.status != StatusCode::OK
            && self.credentials.are_renewed()
            && AwsRefusal::of(&answer).about().is_credential()
        {
            self.credentials.forget(&credential).await;
            credential = self.credential(deadline).await?;
            (answer, secrets) = self.send(action, body, &credential, deadline).await?;
        }
        match answer.status {
            StatusCode::OK => Ok((answer, secrets)),
            _ => Err(self.refusal(action, &answer, &secrets)),
        }
    }

    async fn credential(&self, deadline: Deadline) -> Result<Arc<AwsCredential>, EventBridgeError> {
        let credential = self.credentials.get(deadline).await;
        credential.map_err(|error| Box::new(error).into())
    }

    /// Sends one request. Returns the answer, and the secrets of the request.
    async fn send(
        &self,
        action: Action,
        body: &Bytes,
        credential: &AwsCredential,
        deadline: Deadline,
    ) -> Result<(Answer, Vec<SecretString>), EventBridgeError> {
        let target = match action {
            Action::PutEvents => "AWSEvents.PutEvents",
            Action::DescribeEventBus => "AWSEvents.DescribeEventBus",
        };
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, JSON),
            (TARGET, HeaderValue::from_static(target)),
        ]);
        let headers = sign(&self.url, headers, body, credential, SERVICE, &self.region)?;
        let secrets = secrets(credential, &headers);
        let request = self.http.post(self.url.clone());
        let request = request.headers(headers).body(body.clone());
        let answer = http::send(request, deadline).await;
        let answer = answer.map_err(|source| EventBridgeError::Send {
            host: self.host(),
            source,
        });
        Ok((answer?, secrets))
    }

    fn refusal(
        &self,
        action: Action,
        answer: &Answer,
        secrets: &[SecretString],
    ) -> EventBridgeError {
        let host = self.host();
        let refusal = AwsRefusal::of(answer);
        let said = refusal.said(secrets);
        let about = refusal.about();
        let is_other = matches!(
            &*refusal.code,
            "UnknownOperationException" | "UnknownOperation" | "InvalidAction"
        ) || matches!(
            answer.status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        match about {
            About::Key | About::Signature | About::End | About::Clock | About::Region => {
                EventBridgeError::Credentials {
                    host,
                    said,
                    remedy: self.remedy(about),
                    clock: clock_problem(answer.skew((self.clock)())),
                }
            }
            About::Access => EventBridgeError::NotAllowed {
                host,
                action: format!("events:{}", action.name()),
                resource: self.resource(),
                said,
            },
            _ if &*refusal.code == "ResourceNotFoundException" => EventBridgeError::NoBus {
                bus: self.name.clone(),
                host,
                said,
            },
            _ if is_other => EventBridgeError::OtherService { host, said },
            _ => EventBridgeError::Status {
                host,
                status: answer.status,
                said,
                again: refusal.again(),
            },
        }
    }

    fn remedy(&self, about: About) -> &'static str {
        let are_renewed = self.credentials.are_renewed();
        match about {
            About::Clock => "set this machine's clock; in Azure restart the app",
            About::Region => {
                "see that AWS_REGION is the region of the bus, and of EVENT_BRIDGE_ENDPOINT"
            }
            _ if are_renewed => {
                "they were new ones of the role: see that AWS_ROLE_ARN is a role of the partition and \
                 region that AWS_REGION names"
            }
            About::End => {
                "AWS_SESSION_TOKEN has ended: set all three keys anew, or AWS_ROLE_ARN instead, whose \
                 credentials are renewed"
            }
            About::Signature => {
                "AWS_SECRET_ACCESS_KEY is not the secret of AWS_ACCESS_KEY_ID: copy both anew"
            }
            _ => {
                "AWS knows no such access key: check AWS_ACCESS_KEY_ID, that the key is active, and \
                 AWS_SESSION_TOKEN if it is a session's; AWS_REGION must be of the same partition"
            }
        }
    }

    /// The bus, as policies name it.
    pub fn resource(&self) -> String {
        if self.name.starts_with("arn:") {
            return self.name.clone();
        }
        let (partition, region) = (self.region.partition(), self.region.name());
        format!(
            "arn:{partition}:events:{region}:<account>:event-bus/{}",
            self.name
        )
    }

    fn not_understood(
        &self,
        action: Action,
        answer: &Answer,
        secrets: &[SecretString],
    ) -> EventBridgeError {
        EventBridgeError::NotUnderstood {
            host: self.host(),
            action: action.name(),
            said: said("", &String::from_utf8_lossy(&answer.body), secrets),
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }
}

#[cfg(test)]
mod tests;
