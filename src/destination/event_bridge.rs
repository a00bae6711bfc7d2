//! `event-bridge`: events on a bus of Amazon `EventBridge`.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use url::Url;

use super::{Delivery, DeliveryError, Destination, Kind, Limits, Outcome, Probe, Tools};
use crate::aws::event_bridge::{
    Bus, EventBridgeError, FRAMING, Fate, Known, MOST_ENTRIES, Put, Standing,
};
use crate::aws::region::{Region, is_account};
use crate::aws::settings::{credentials, region};
use crate::error::BoxError;
use crate::json::escape;
use crate::net::http::is_secure;
use crate::net::retry::{Deadline, Failure, GaveUp, Transient as _};
use crate::pii::Privacy;
use crate::record::Record;
use crate::settings::Reader;
use crate::settings::values::origin;

pub(super) const KIND: Kind = Kind {
    name: "event-bridge",
    about: "events on a bus of Amazon EventBridge",
    settings: &[
        "EVENT_BRIDGE_BUS",
        "EVENT_BRIDGE_SOURCE",
        "EVENT_BRIDGE_ENDPOINT",
        "EVENT_BRIDGE_MAX_BYTES",
    ],
    filter: "FILTER_EVENT_BRIDGE",
    pii: "PII_EVENT_BRIDGE",
    is_for_a_look: false,
    takes_heartbeats: false,
    build,
};

const DEFAULT_SOURCE: &str = "auth0.logs";
/// The detail type that Auth0's own event stream uses.
const DETAIL_TYPE: &str = "Auth0 log";
/// A request, and so an entry, must be under 1 MB; in China, 256 KB.
const MAX_BYTES: usize = 1_000_000;
const MAX_BYTES_IN_CHINA: usize = 256_000;
/// Allowed values of `EVENT_BRIDGE_MAX_BYTES`. A smaller limit has no room for any record.
const RANGE: Range<usize> = 1_000..10_000_001;
/// Bytes that the service counts for an entry's time.
const TIME_BYTES: usize = 14;
/// Rows per delivery: the most that are repeated after a kill.
const ROWS: usize = 1_000;
/// Bytes per delivery: several requests of the largest size.
const BYTES: usize = 4_000_000;
/// Concurrent requests. Ten thousand records take 1,000 requests of about 30 ms each.
const SIDE_BY_SIDE: usize = 16;

struct EventBridge {
    bus: Bus,
    source: String,
    max_bytes: usize,
    privacy: Privacy,
}

/// An entry that is too large for any request.
#[derive(Debug, thiserror::Error)]
#[error("its entry has {bytes} bytes; EventBridge takes at most {most} (EVENT_BRIDGE_MAX_BYTES)")]
struct TooLarge {
    bytes: usize,
    most: usize,
}

/// The name of a bus, and its region if the setting is an ARN.
struct BusName {
    name: String,
    region: Option<Region>,
}

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let bus = reader.required(
        "EVENT_BRIDGE_BUS",
        "the name or the ARN of the event bus",
        bus_name,
    );
    let region = region(reader);
    let source = reader.or_default("EVENT_BRIDGE_SOURCE", DEFAULT_SOURCE, source);
    let has_endpoint = reader.get("EVENT_BRIDGE_ENDPOINT").is_some();
    let endpoint = reader.optional("EVENT_BRIDGE_ENDPOINT", endpoint);
    let has_size = reader.get("EVENT_BRIDGE_MAX_BYTES").is_some();
    let max_bytes = reader.optional("EVENT_BRIDGE_MAX_BYTES", max_bytes);
    let bus = bus?;
    let region = region_of_bus(reader, region, bus.region)?;
    let credentials = credentials(
        reader,
        "EVENT_BRIDGE_BUS",
        &region,
        &tools.http,
        &tools.clock,
    );
    let url = if has_endpoint {
        endpoint
    } else {
        region.endpoint("events")
    };
    let default_size = if region.is_in_china() {
        MAX_BYTES_IN_CHINA
    } else {
        MAX_BYTES
    };
    let max_bytes = if has_size {
        max_bytes
    } else {
        Some(default_size)
    };
    Some(Box::new(EventBridge {
        bus: Bus {
            name: bus.name,
            region,
            url: url?,
            credentials: credentials?,
            http: tools.http.clone(),
            clock: tools.clock.clone(),
            jitter: tools.jitter.clone(),
            known: Known::default(),
        },
        source: source?,
        max_bytes: max_bytes?,
        privacy: tools.privacy.clone(),
    }))
}

/// The region in `AWS_REGION` or in the ARN of the bus, which must be the same if both are given.
fn region_of_bus(
    reader: &mut Reader,
    set: Option<Region>,
    in_arn: Option<Region>,
) -> Option<Region> {
    match (set, in_arn) {
        (Some(region), Some(other)) if region != other => reader.problem(
            "EVENT_BRIDGE_BUS",
            "is the ARN of a bus in another region than AWS_REGION names; AWS takes events for a bus in \
             its own region only",
        ),
        (Some(region), _) | (None, Some(region)) => Some(region),
        (None, None) => reader.problem("AWS_REGION", "is missing: the region of the bus"),
    }
}

/// Parses a bus name, or `arn:aws:events:<region>:<account>:event-bus/<name>`.
fn bus_name(text: &str) -> Result<BusName, String> {
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || b"/._-".contains(&it);
    let is_name = |it: &str| (1..=256).contains(&it.len()) && it.bytes().all(is_letter);
    if is_name(text) {
        let name = text.to_owned();
        return Ok(BusName { name, region: None });
    }
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let region = match parts[..] {
        ["arn", partition, "events", region, account, resource]
            if is_account(account) && resource.strip_prefix("event-bus/").is_some_and(is_name) =>
        {
            let region = Region::parse(region).ok();
            region.filter(|it| it.partition() == partition)
        }
        _ => None,
    };
    let named = region.map(|region| BusName {
        name: text.to_owned(),
        region: Some(region),
    });
    named.ok_or_else(|| {
        "is neither the name of a bus nor its ARN, \
         arn:aws:events:<region>:<account>:event-bus/<name>"
            .into()
    })
}

/// Parses the source that the events name.
fn source(text: &str) -> Result<String, String> {
    let is_of_aws = text.to_ascii_lowercase().starts_with("aws.");
    if is_of_aws {
        return Err("may not begin with aws., which AWS keeps for itself".into());
    }
    let is_source = text.len() <= 256 && text.bytes().all(|it| it.is_ascii_graphic());
    is_source
        .then(|| text.to_owned())
        .ok_or_else(|| "is not a source such as auth0.logs: 256 letters, without spaces".into())
}

/// The address to send entries to instead of the region's public one: a VPC endpoint, or loopback.
fn endpoint(text: &str) -> Result<Url, String> {
    let endpoint = origin(text).filter(is_secure);
    endpoint.ok_or_else(|| {
        "must be https://events.<region>.amazonaws.com, the address of a VPC endpoint, or blank"
            .into()
    })
}

fn max_bytes(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|it| RANGE.contains(it));
    bytes.ok_or_else(|| "is not a number of bytes from 1000 to 10000000".into())
}

/// A time in AWS's JSON: seconds since 1970. `None` for an earlier time.
fn time(date: DateTime<Utc>) -> Option<String> {
    let milliseconds = u64::try_from(date.timestamp_millis()).ok()?;
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    Some(match rest {
        0 => seconds.to_string(),
        rest => format!("{seconds}.{rest:03}"),
    })
}

/// Splits a delivery into requests, each a range of rows. A row larger than a request is sent alone.
fn requests(rows: &[Bytes], most: usize) -> Vec<Range<usize>> {
    let mut requests = Vec::new();
    let (mut begin, mut bytes) = (0, FRAMING);
    for (index, row) in rows.iter().enumerate() {
        let is_full = index - begin == MOST_ENTRIES || bytes + row.len() + 1 > most;
        if index > begin && is_full {
            requests.push(begin..index);
            (begin, bytes) = (index, FRAMING);
        }
        bytes += row.len() + 1;
    }
    if begin < rows.len() {
        requests.push(begin..rows.len());
    }
    requests
}

impl EventBridge {
    /// Puts the rows of one request, unless another request failed for a reason common to all.
    async fn put(
        &self,
        rows: &[Bytes],
        has_failed: &AtomicBool,
        deadline: Deadline,
    ) -> Option<Put> {
        if has_failed.load(Ordering::Relaxed) {
            return None;
        }
        let put = self.bus.put(rows, deadline).await;
        if failed_for_all(&put) {
            has_failed.store(true, Ordering::Relaxed);
        }
        Some(put)
    }
}

/// Whether a request failed for a reason that applies to every request.
fn failed_for_all(put: &Put) -> bool {
    let Some(GaveUp { error, .. }) = &put.error else {
        return false;
    };
    let is_any_accepted = put.fates.iter().any(|it| matches!(it, Fate::Accepted));
    let is_internal = error.failure() == Failure::Internal;
    let is_of_some = error.is_about_content() || is_internal && is_any_accepted;
    !is_of_some
}

/// Why a request with this many rows left some of them open.
fn reason(error: GaveUp<EventBridgeError>, rows: usize) -> DeliveryError {
    if error.error.is_about_content() {
        return DeliveryError::Refused(error.into());
    }
    DeliveryError::given_up(rows, error)
}

/// Ranks the reasons: the higher, the less is known about the open rows.
fn gravity(error: &DeliveryError) -> u8 {
    match error {
        DeliveryError::Refused(_) => 0,
        DeliveryError::Late(_) => 1,
        DeliveryError::Internal(_) => 2,
        DeliveryError::Failed(_) => 3,
    }
}

/// Adds the result of one request, which held these rows.
fn add(delivery: &mut Delivery, rows: &[Bytes], put: Option<Put>) {
    let Some(Put { fates, error }) = put else {
        delivery.outcomes.extend(rows.iter().map(|_| Outcome::Open));
        return;
    };
    if let Some(error) = error {
        if error.error.is_about_content() && rows.len() == 1 {
            delivery.outcomes.push(Outcome::Refused(error.into()));
            return;
        }
        let reason = reason(error, rows.len());
        let known = delivery.error.as_ref();
        if known.is_none_or(|known| gravity(&reason) > gravity(known)) {
            delivery.error = Some(reason);
        }
    }
    let (mut accepted, mut bytes) = (0, 0);
    for (row, fate) in rows.iter().zip(fates) {
        delivery.outcomes.push(match fate {
            Fate::Accepted => {
                accepted += 1;
                bytes += row.len();
                Outcome::Accepted
            }
            Fate::Refused(error) => Outcome::Refused(error.into()),
            Fate::Open => Outcome::Open,
        });
    }
    if accepted > 0 {
        delivery.bytes += FRAMING + bytes + accepted - 1;
    }
}

impl Destination for EventBridge {
    fn limits(&self) -> Limits {
        Limits {
            rows: ROWS,
            bytes: BYTES,
            // A delivery sends its own requests concurrently.
            side_by_side: 1,
            ..Limits::LINES
        }
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        let data = self.privacy.line(record.text());
        let id = escape(record.log_id.as_str());
        let detail = format!(r#"{{"log_id":"{id}","data":{data}}}"#);
        let time = record.date.and_then(time);
        let time_bytes = time.as_ref().map_or(0, |_| TIME_BYTES);
        let bytes = time_bytes + self.source.len() + DETAIL_TYPE.len() + detail.len();
        let most = self.max_bytes;
        if bytes > most {
            return Err(TooLarge { bytes, most }.into());
        }
        let time = time.map_or(String::new(), |it| format!(r#""Time":{it},"#));
        let (source, bus) = (escape(&self.source), escape(&self.bus.name));
        let detail = escape(&detail);
        let entry = format!(
            r#"{{{time}"Source":"{source}","DetailType":"{DETAIL_TYPE}","Detail":"{detail}","EventBusName":"{bus}"}}"#
        );
        Ok(entry.into())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            // AWS acknowledges entries for a bus that does not exist, and drops them.
            if let Err(error) = self.bus.verify(deadline).await {
                return Delivery::failed(rows.len(), error.into());
            }
            let has_failed = AtomicBool::new(false);
            let requests = requests(rows, self.max_bytes);
            let mut puts: Vec<BoxFuture<_>> = Vec::new();
            for request in &requests {
                let rows = &rows[request.clone()];
                puts.push(Box::pin(self.put(rows, &has_failed, deadline)));
            }
            let puts: Vec<_> = stream::iter(puts).buffered(SIDE_BY_SIDE).collect().await;
            let mut delivery = Delivery::accepted(0, 0);
            for (request, put) in requests.into_iter().zip(puts) {
                add(&mut delivery, &rows[request], put);
            }
            delivery
        })
    }

    /// Looks up the bus without putting an event on it.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async move {
            match self.bus.verify(deadline).await {
                // That the bus may be described does not show that events may be put onto it.
                Ok(Standing::There(arn)) => Probe::NotTried(format!(
                    "{arn} is there; whether events may be put onto it was not tried"
                )),
                Ok(Standing::NotAllowed(said)) => Probe::NotTried(format!(
                    "AWS knows the credentials, but whether there is a bus {} could not be verified: \
                     they are not allowed events:DescribeEventBus on {} ({said}). AWS acknowledges \
                     events for a bus that is not there, and drops them",
                    self.bus.name,
                    self.bus.resource(),
                )),
                Err(error) => Probe::Fails(error.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
