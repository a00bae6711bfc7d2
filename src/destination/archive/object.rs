//! An object of the archive: its content and its name.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::record::{self, LogId};
use crate::storage::digest;

const EXTENSION: &str = "ndjson.gz";
/// The folder for records whose ids hold no time.
pub(super) const UNDATED: &str = "undated";
/// The longest id, in bytes, that is used in a name as it is.
const LONGEST_ID: usize = 64;
/// Prefix of an id's digest, for an id that cannot be used in a name.
const DIGESTED: &str = "sha256_";
/// Hex digits of the content digest that distinguish two objects with the same first and last id.
const DIGEST: usize = 12;

/// The rows of a batch with their ids. Each row is a record's text on one line.
pub(super) struct Lines<'a>(Vec<(LogId, &'a Bytes)>);

impl<'a> Lines<'a> {
    pub fn of(rows: &'a [Bytes]) -> Self {
        let id = |row| LogId::new(id_of(&String::from_utf8_lossy(row)));
        Self(rows.iter().map(|row| (id(row), row)).collect())
    }

    /// The rows without those that have one of these ids.
    pub fn without(mut self, ids: &BTreeSet<String>) -> Self {
        self.0.retain(|(id, _)| !ids.contains(id.as_str()));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ends(&self) -> Ends {
        let ids = || self.0.iter().map(|(id, _)| id);
        let none = || LogId::new(String::new());
        Ends {
            first: ids().min().cloned().unwrap_or_else(none),
            last: ids().max().cloned().unwrap_or_else(none),
        }
    }

    pub fn object(&self) -> Object {
        Object {
            content: gzip(self.0.iter().map(|(_, row)| *row)),
            ids: self.0.iter().map(|(id, _)| id.to_string()).collect(),
            ends: self.ends(),
        }
    }
}

/// A batch of records as one object.
pub(super) struct Object {
    /// JSON lines, compressed. The same records always give the same bytes.
    pub content: Bytes,
    pub ids: BTreeSet<String>,
    ends: Ends,
}

impl Object {
    /// Path below the tenant's folder: the hour of the first id, then the first and last ids.
    pub fn name(&self) -> String {
        format!("{}.{EXTENSION}", self.ends.stem())
    }

    /// The name with a digest of the content, so that no other content has it.
    pub fn name_with_digest(&self) -> String {
        let digest = digest(&self.content);
        format!("{}-{}.{EXTENSION}", self.ends.stem(), &digest[..DIGEST])
    }
}

/// The first and last id of an object, which determine its path.
pub(super) struct Ends {
    first: LogId,
    last: LogId,
}

impl Ends {
    /// The folder of the hour, below the tenant's folder.
    pub fn folder(&self) -> String {
        folder_of_id(&self.first).unwrap_or_else(|| UNDATED.to_owned())
    }

    fn stem(&self) -> String {
        let (first, last) = (part(&self.first), part(&self.last));
        format!("{}/{first}-{last}", self.folder())
    }

    /// Whether an object at this path may share records with this range, judging by the ids in its name.
    pub fn may_share_with(&self, path: &str) -> bool {
        let Some((first, last)) = ends_of(path) else {
            return false;
        };
        // Where the name does not tell, the object has to be read. Within an hour all ids have one
        // form. Undated ids have any form, so they are compared too unless they are digests:
        // otherwise every delivery would read every undated object.
        let is_undated = folder_of_id(&self.first).is_none();
        let is_told =
            |end: &LogId| end.is_well_formed() || is_undated && !end.as_str().starts_with(DIGESTED);
        let are_told = is_told(&first) && is_told(&last);
        !are_told || first <= self.last && self.first <= last
    }
}

/// The first and last id in an object's name; `None` if the name has another form.
pub(super) fn ends_of(path: &str) -> Option<(LogId, LogId)> {
    let name = path.rsplit('/').next()?;
    let ends = name.strip_suffix(&format!(".{EXTENSION}"))?;
    let mut ends = ends.split('-').map(LogId::new);
    Some((ends.next()?, ends.next()?))
}

/// The id of the record on a line, as it was read from Auth0.
pub(super) fn id_of(line: &str) -> String {
    let id = record::id_of(line);
    id.map(Cow::into_owned).unwrap_or_default()
}

/// The folder of the hour in which Auth0 stored the record, if the id holds a time.
pub(super) fn folder_of_id(id: &LogId) -> Option<String> {
    id.stored_at().map(folder_of)
}

/// The folder of an hour, below the tenant's folder.
pub(super) fn folder_of(hour: DateTime<Utc>) -> String {
    hour.format("%Y/%m/%d/%H").to_string()
}

/// An id as part of a name: the id itself, or a digest if it is unsafe in a path or too long.
fn part(id: &LogId) -> String {
    let id = id.as_str();
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    if !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_letter) {
        return id.to_owned();
    }
    format!("{DIGESTED}{}", &digest(id.as_bytes())[..32])
}

/// Compresses the lines. The header holds no time and no name, so the same lines give the same bytes.
fn gzip<'a>(rows: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let write = || {
        for row in rows {
            encoder.write_all(row)?;
            encoder.write_all(b"\n")?;
        }
        encoder.try_finish()
    };
    let written = write();
    // invariant: writing to a Vec does not fail
    #[allow(clippy::expect_used, reason = "stated above")]
    written
        .and_then(|()| encoder.finish())
        .expect("room in memory")
        .into()
}
