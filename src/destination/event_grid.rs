//! `event-grid`: publishes `CloudEvents` to a topic of Azure Event Grid.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Timelike as _};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use url::Url;

use super::pattern::{Filling, Pattern, uri};
use super::{Delivery, Destination, Kind, Limits, Probe, Tools};
use crate::azure::cloud::{self, Cloud};
use crate::azure::event_grid::{Publisher, Topic, TopicKind};
use crate::azure::identity::Identity;
use crate::azure::principal::principal;
use crate::error::BoxError;
use crate::json::escape;
use crate::net::json_list;
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::{Record, texts};
use crate::settings::Reader;

pub(super) const KIND: Kind = Kind {
    name: "event-grid",
    about: "CloudEvents for a topic of Azure Event Grid",
    settings: &[
        "EVENT_GRID_ENDPOINT",
        "EVENT_GRID_KEY",
        "EVENT_GRID_TYPE",
        "EVENT_GRID_SOURCE",
        "EVENT_GRID_SUBJECT",
    ],
    filter: "FILTER_EVENT_GRID",
    pii: "PII_EVENT_GRID",
    is_for_a_look: false,
    takes_heartbeats: false,
    build,
};

/// The audience of a token for any topic, in every cloud.
const RESOURCE: &str = "https://eventgrid.azure.net";
/// The query parameter with the API version in an endpoint.
const VERSION: &str = "api-version";
const DEFAULT_TYPE: &str = "auth0.log.{type}";
const DEFAULT_SOURCE: &str = "urn:auth0:{tenant}";
/// The first one that is not empty when filled in is the subject.
const DEFAULT_SUBJECTS: [&str; 2] = ["{user_id}", "{client_id}"];
/// Maximum size of a request, and of an event: 1 MB.
const LONGEST: usize = 1_000_000;
/// The last nanosecond of a second. In a leap second, chrono counts beyond it.
const LAST_NANOSECOND: u32 = 999_999_999;

struct EventGrid {
    topic: Topic,
    envelope: Envelope,
    privacy: Privacy,
}

/// The attributes of an event besides the record.
///
/// Of several patterns, the first that is not empty when filled in is used.
struct Envelope {
    kinds: Vec<Pattern>,
    sources: Vec<Pattern>,
    subjects: Vec<Pattern>,
    tenant: String,
}

/// An event that is too large for any request.
#[derive(Debug, thiserror::Error)]
#[error("its event has {0} bytes; Event Grid takes at most {LONGEST}")]
struct TooLarge(usize);

/// Where a topic is.
struct Endpoint {
    url: Url,
    kind: TopicKind,
    cloud: &'static Cloud,
}

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let endpoint = reader.required(
        "EVENT_GRID_ENDPOINT",
        "the endpoint of the topic, https://…/api/events or https://…/topics/<topic>",
        endpoint,
    );
    let has_key = reader.is_set("EVENT_GRID_KEY");
    let key = reader.optional("EVENT_GRID_KEY", key);
    // A source and a type are mandatory in every event, so the defaults follow the configured ones.
    let mut patterns = |setting, default| {
        let own = match reader.get(setting) {
            Some(_) => Some(reader.optional(setting, Pattern::parse)?),
            None => None,
        };
        Some(
            own.into_iter()
                .chain(Pattern::parse(default).ok())
                .collect(),
        )
    };
    let kinds = patterns("EVENT_GRID_TYPE", DEFAULT_TYPE);
    let sources = patterns("EVENT_GRID_SOURCE", DEFAULT_SOURCE);
    let subjects = match reader.get("EVENT_GRID_SUBJECT") {
        Some(_) => reader
            .optional("EVENT_GRID_SUBJECT", Pattern::parse)
            .map(|pattern| vec![pattern]),
        None => DEFAULT_SUBJECTS
            .iter()
            .map(|it| Pattern::parse(it).ok())
            .collect(),
    };
    let publisher = if has_key {
        Publisher::Key(key?)
    } else {
        // Read also without an endpoint, so that all problems are told together.
        let cloud = endpoint.as_ref().map_or(&cloud::PUBLIC, |it| it.cloud);
        let principal = principal(reader, "EVENT_GRID_ENDPOINT", cloud)?;
        let (http, clock) = (tools.http.clone(), tools.clock.clone());
        Publisher::Identity(Identity::new(http, principal, RESOURCE, clock).into())
    };
    let (http, jitter) = (tools.http.clone(), tools.jitter.clone());
    let endpoint = endpoint?;
    Some(Box::new(EventGrid {
        topic: Topic::new(endpoint.url, endpoint.kind, publisher, http, jitter),
        envelope: Envelope {
            kinds: kinds?,
            sources: sources?,
            subjects: subjects?,
            tenant: tools.tenant.clone(),
        },
        privacy: tools.privacy.clone(),
    }))
}

/// Completes a topic's endpoint to the address to which events are published.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let has_other_query = |url: &Url| url.query_pairs().any(|(name, _)| name != VERSION);
    if Url::parse(text).is_ok_and(|url| has_other_query(&url)) {
        return Err("may have no query but api-version: the key belongs in EVENT_GRID_KEY".into());
    }
    topic(text).ok_or_else(|| {
        "must be the topic's endpoint, such as \
         https://<topic>.<region>.eventgrid.azure.net/api/events or, in a namespace, \
         https://<namespace>.<region>.eventgrid.azure.net/topics/<topic>"
            .into()
    })
}

fn topic(text: &str) -> Option<Endpoint> {
    let mut url = Url::parse(text).ok()?;
    let cloud = cloud::event_grid(&url)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let (path, kind, version) = match path.strip_prefix("/topics/") {
        Some(topic) => {
            let topic = topic.strip_suffix(":publish").unwrap_or(topic);
            if topic.is_empty() || topic.contains(['/', ':']) {
                return None;
            }
            let path = format!("/topics/{topic}:publish");
            (path, TopicKind::Namespace, "2024-06-01")
        }
        None if path.eq_ignore_ascii_case("/api/events") => (path, TopicKind::Custom, "2018-01-01"),
        None => return None,
    };
    url.set_path(&path);
    let has_version = url.query_pairs().any(|(_, version)| !version.is_empty());
    if !has_version {
        url.set_query(Some(&format!("{VERSION}={version}")));
    }
    Some(Endpoint { url, kind, cloud })
}

/// A topic's key, checked to be valid in a header.
fn key(text: &str) -> Result<SecretString, String> {
    let is_letter = |it: u8| it.is_ascii_graphic();
    text.bytes()
        .all(is_letter)
        .then(|| text.into())
        .ok_or_else(|| {
            "is not a key of a topic; copy it whole, without spaces or line breaks".into()
        })
}

impl Envelope {
    /// The event of a record. `data` is the record's text, already masked.
    fn event(&self, record: &Record, data: &str) -> String {
        let filling = Filling::of(data, &record.log_id, &self.tenant);
        let mut event = String::with_capacity(data.len() + 512);
        let mut put = |text: &str| event.push_str(text);
        put(r#"{"specversion":"1.0","id":""#);
        put(&escape(record.log_id.as_str()));
        put(r#"","source":""#);
        let filled = |patterns: &[Pattern]| {
            let mut texts = patterns.iter().map(|it| it.fill(&filling));
            texts.find(|it| !it.is_empty())
        };
        put(&escape(&uri(&filled(&self.sources).unwrap_or_default())));
        put(r#"","type":""#);
        put(&escape(&attribute(
            &filled(&self.kinds).unwrap_or_default(),
        )));
        if let Some(subject) = filled(&self.subjects) {
            put(r#"","subject":""#);
            put(&escape(&attribute(&subject)));
        }
        if let Some(time) = time(record, data) {
            put(r#"","time":""#);
            put(&time);
        }
        put(r#"","datacontenttype":"application/json","data":"#);
        put(data);
        put("}");
        event
    }
}

/// Replaces what `CloudEvents` forbid in an attribute: control characters and noncharacters.
fn attribute(text: &str) -> String {
    let is_allowed = |letter: char| {
        let number = u32::from(letter);
        let is_noncharacter = (0xfdd0..=0xfdef).contains(&number) || number & 0xfffe == 0xfffe;
        !letter.is_control() && !is_noncharacter
    };
    text.replace(|letter| !is_allowed(letter), "\u{fffd}")
}

/// The record's `date`, unchanged if it is in RFC 3339 form, as `CloudEvents` require. Some
/// consumers reject leap seconds, so a leap second becomes the last moment before it.
fn time(record: &Record, data: &str) -> Option<String> {
    let happened = record.date?;
    let [written] = texts(data, ["date"]);
    let is_leap = happened.nanosecond() > LAST_NANOSECOND;
    // The parser takes another minus sign too.
    let is_rfc_3339 = |it: &str| {
        it.is_ascii()
            && it.as_bytes().get(10) == Some(&b'T')
            && DateTime::parse_from_rfc3339(it).is_ok()
    };
    Some(match written.filter(|it| !is_leap && is_rfc_3339(it)) {
        Some(written) => written.into_owned(),
        None => {
            let nanosecond = happened.nanosecond().min(LAST_NANOSECOND);
            let happened = happened.with_nanosecond(nanosecond)?;
            happened.to_rfc3339_opts(SecondsFormat::Millis, true)
        }
    })
}

impl Destination for EventGrid {
    fn limits(&self) -> Limits {
        Limits {
            rows: match self.topic.kind() {
                TopicKind::Custom => 5_000,
                TopicKind::Namespace => 1_000,
            },
            bytes: LONGEST,
            ..Limits::JSON_LIST
        }
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        let data = self.privacy.line(record.text());
        let event = self.envelope.event(record, &data);
        // Counts the list's brackets.
        if event.len() + 2 > LONGEST {
            return Err(TooLarge(event.len()).into());
        }
        Ok(event.into())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let list = json_list::whole(rows);
            match self.topic.publish(&list, deadline).await {
                Ok(()) => Delivery::accepted(rows.len(), list.len()),
                Err(gave_up) if gave_up.error.is_about_content() => {
                    Delivery::refused(rows.len(), gave_up.into())
                }
                Err(gave_up) => Delivery::given_up(rows.len(), gave_up),
            }
        })
    }

    /// Publishes an empty list, which holds no event. How the service responds to it is not
    /// documented.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async move {
            match self.topic.publish(&json_list::whole(&[]), deadline).await {
                Ok(()) => Probe::Works("the topic accepted an empty batch".into()),
                Err(error) if error.error.is_about_content() => Probe::NotTried(format!(
                    "the topic does not take an empty batch, so whether it takes CloudEvents was \
                     not tried; the first run will show it ({error})"
                )),
                Err(error) => Probe::Fails(error.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
