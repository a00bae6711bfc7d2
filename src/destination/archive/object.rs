//! An object of the archive: what is in it, and how it is called.

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
/// The folder of records whose ids tell no time.
pub(super) const UNDATED: &str = "undated";
/// Letters of an id that stand in a name as they are.
const LONGEST_ID: usize = 64;
/// How the digest of an id begins that could be no name.
const DIGESTED: &str = "sha256_";
/// Letters of a digest that tell two objects with the same ends apart.
const DIGEST: usize = 12;

/// Records, each the text of one on a line, with their ids.
pub(super) struct Lines<'a>(Vec<(LogId, &'a Bytes)>);

impl<'a> Lines<'a> {
    pub fn of(rows: &'a [Bytes]) -> Self {
        let id = |row| LogId::new(id_of(&String::from_utf8_lossy(row)));
        Self(rows.iter().map(|row| (id(row), row)).collect())
    }

    /// Those that have none of these ids.
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

/// Records as one object.
pub(super) struct Object {
    /// Lines of JSON, compressed. The same records make the same bytes.
    pub content: Bytes,
    pub ids: BTreeSet<String>,
    ends: Ends,
}

impl Object {
    /// Where it is below the tenant's folder: by the hour of its first id, and called after its
    /// first and last.
    pub fn name(&self) -> String {
        format!("{}.{EXTENSION}", self.ends.stem())
    }

    /// A name that no object with other content has.
    pub fn name_with_digest(&self) -> String {
        let digest = digest(&self.content);
        format!("{}-{}.{EXTENSION}", self.ends.stem(), &digest[..DIGEST])
    }
}

/// The first and the last id of an object, which tell where it is.
pub(super) struct Ends {
    first: LogId,
    last: LogId,
}

impl Ends {
    /// The folder of its hour, below the tenant's.
    pub fn folder(&self) -> String {
        hour(&self.first).unwrap_or_else(|| UNDATED.to_owned())
    }

    fn stem(&self) -> String {
        let (first, last) = (part(&self.first), part(&self.last));
        format!("{}/{first}-{last}", self.folder())
    }

    /// Whether an object at this path may hold records of one with these ends, by those in its name.
    pub fn may_share_with(&self, path: &str) -> bool {
        let Some((first, last)) = ends_of(path) else {
            return false;
        };
        // What the name does not tell, the content does. In an hour all ids have one form; where they
        // have any, an object more would be read for each that is there.
        let is_undated = hour(&self.first).is_none();
        let is_told =
            |end: &LogId| end.is_well_formed() || is_undated && !end.as_str().starts_with(DIGESTED);
        let are_told = is_told(&first) && is_told(&last);
        !are_told || first <= self.last && self.first <= last
    }
}

/// The first and the last id, as the name of an object tells them; `None` where it is none.
pub(super) fn ends_of(path: &str) -> Option<(LogId, LogId)> {
    let name = path.rsplit('/').next()?;
    let ends = name.strip_suffix(&format!(".{EXTENSION}"))?;
    let mut ends = ends.split('-').map(LogId::new);
    Some((ends.next()?, ends.next()?))
}

/// The id that a record on a line has, as it was read.
pub(super) fn id_of(line: &str) -> String {
    let id = record::id_of(line);
    id.map(Cow::into_owned).unwrap_or_default()
}

/// The folder of the hour in which Auth0 stored a record, as far as the id tells.
pub(super) fn hour(id: &LogId) -> Option<String> {
    id.stored_at().map(folder_of)
}

/// The folder of an hour.
pub(super) fn folder_of(hour: DateTime<Utc>) -> String {
    hour.format("%Y/%m/%d/%H").to_string()
}

/// An id as a part of a name: itself, or where it could lead elsewhere, a digest of it.
fn part(id: &LogId) -> String {
    let id = id.as_str();
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    if !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_letter) {
        return id.to_owned();
    }
    format!("{DIGESTED}{}", &digest(id.as_bytes())[..32])
}

/// Lines, compressed. No time and no name goes in, so that the same lines make the same bytes.
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
