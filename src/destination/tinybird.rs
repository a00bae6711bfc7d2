//! `tinybird`: rows for a Tinybird data source, sent by the Events API.

mod events;
mod row;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use url::Url;

use self::events::{Acknowledgement, DataSource, Events};
use super::{Delivery, Destination, Kind, Limits, Probe, Quarantine, Tools};
use crate::error::BoxError;
use crate::net::http;
use crate::net::retry::Deadline;
use crate::net::token;
use crate::pii::Privacy;
use crate::record::Record;
use crate::settings::Reader;
use crate::settings::values::is_host_name;

pub(super) const KIND: Kind = Kind {
    name: "tinybird",
    about: "rows for a data source of Tinybird",
    settings: &["TINYBIRD_HOST", "TINYBIRD_TOKEN", "TINYBIRD_DATASOURCE"],
    filter: "FILTER_TINYBIRD",
    pii: "PII_TINYBIRD",
    is_for_a_look: false,
    takes_heartbeats: false,
    build,
};

const DEFAULT_DATASOURCE: &str = "auth0";
/// The path of the Events API on every host.
const PATH: &str = "/v0/events";
/// Maximum size of a request before compression on the smallest plan: 10 MB.
const LONGEST: usize = 10_000_000;

const LIMITS: Limits = Limits {
    // The most that is repeated after a kill.
    rows: 1_000,
    bytes: LONGEST,
    ..Limits::LINES
};

struct Tinybird {
    events: Events,
    privacy: Privacy,
}

/// A row that is too large for any request.
#[derive(Debug, thiserror::Error)]
#[error("its row has {0} bytes; Tinybird takes at most {LONGEST}")]
struct TooLarge(usize);

fn build(reader: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    let host = reader.required(
        "TINYBIRD_HOST",
        "the API host of the workspace's region, such as \
         https://api.europe-west2.gcp.tinybird.co",
        host,
    );
    let token = reader.required(
        "TINYBIRD_TOKEN",
        "a token of the workspace with the scope DATASOURCE:APPEND",
        bearer,
    );
    let name = reader.or_default("TINYBIRD_DATASOURCE", DEFAULT_DATASOURCE, datasource);
    let source = DataSource {
        host: host?,
        name: name?,
        token: token?,
    };
    Some(Box::new(Tinybird {
        events: Events::new(source, tools.http.clone(), tools.jitter.clone()),
        privacy: tools.privacy.clone(),
    }))
}

/// Parses the API's host, with or without a scheme, or the full address of the Events API.
fn host(text: &str) -> Result<Url, String> {
    let address = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&address).ok();
    if url.as_ref().is_some_and(|it| it.query().is_some()) {
        return Err(
            "may have no query: the token belongs in TINYBIRD_TOKEN, and the data source \
                    in TINYBIRD_DATASOURCE"
                .into(),
        );
    }
    let mut url = url.filter(is_host).ok_or_else(|| {
        "must be the API host of the workspace's region, such as \
         https://api.europe-west2.gcp.tinybird.co"
            .to_owned()
    })?;
    url.set_path(PATH);
    Ok(url)
}

fn is_host(url: &Url) -> bool {
    let path = url.path().trim_end_matches('/');
    let is_page = |host: &str| {
        let is_tinybird = host == "tinybird.co" || host.ends_with(".tinybird.co");
        is_tinybird && ["app", "cloud", "tinybird", "www"].contains(&label(host))
    };
    http::is_secure(url)
        && url
            .host_str()
            .is_some_and(|it| is_host_name(it) && !is_page(it))
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && (path.is_empty() || path == PATH)
}

/// The first label of a host name.
fn label(host: &str) -> &str {
    host.split('.').next().unwrap_or_default()
}

fn bearer(text: &str) -> Result<SecretString, String> {
    let token = text.into();
    token::is_bearer(&token).then_some(token).ok_or_else(|| {
        "is not a token of Tinybird; copy it whole, without spaces or line breaks".into()
    })
}

/// Checks a data source's name or id.
fn datasource(text: &str) -> Result<String, String> {
    let is_letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
    text.chars()
        .all(is_letter)
        .then(|| text.to_owned())
        .ok_or_else(|| "must be a data source's name: letters, digits and _".into())
}

impl Destination for Tinybird {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        let data = self.privacy.line(record.text());
        let row = row::row(&record.log_id, &data);
        // Counts the line break.
        if row.len() + 1 > LONGEST {
            return Err(TooLarge(row.len()).into());
        }
        Ok(row.into())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let mut lines = rows.join(&b'\n');
            lines.push(b'\n');
            match self.events.post(&lines, rows.len(), deadline).await {
                Ok(Acknowledgement {
                    quarantined_rows, ..
                }) => Delivery {
                    quarantine: (quarantined_rows > 0).then(|| Quarantine {
                        rows: quarantined_rows,
                        advice: self.events.quarantine(),
                    }),
                    ..Delivery::accepted(rows.len(), lines.len())
                },
                Err(gave_up) if gave_up.error.is_about_content() => {
                    Delivery::refused(rows.len(), gave_up.into())
                }
                Err(gave_up) => Delivery::given_up(rows.len(), gave_up),
            }
        })
    }

    /// Posts a request without rows. How the service responds to it is not documented.
    fn probe(&self, deadline: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async move {
            match self.events.post(&[], 0, deadline).await {
                Ok(_) => Probe::Works("Tinybird accepted a request without rows".into()),
                Err(error) if error.error.is_about_content() => Probe::NotTried(format!(
                    "Tinybird does not take a request without rows, so whether it takes rows was \
                     not tried; the first run will show it ({error})"
                )),
                Err(error) => Probe::Fails(error.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
