//! Reads an archive back: its objects hour by hour, in order.

use std::io::Read as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;
use futures_util::future::BoxFuture;

use super::object::{UNDATED, ends_of, folder_of};
use super::{Archive, LONGEST_OBJECT};
use crate::destination::Archived;
use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::{LogId, Record, record_of};

/// An object that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("reading {location}, which is not an object that auth0-poller wrote")]
struct NotAnObject {
    location: String,
    source: std::io::Error,
}

/// An object that was listed. Without it, what is read would be taken for all that there is.
#[derive(Debug, thiserror::Error)]
#[error("{location} was listed, and is not there when it is read; if it was removed, start again")]
struct NotThere {
    location: String,
}

impl Archived for Archive {
    fn groups(
        &self,
        hour: DateTime<Utc>,
        deadline: Deadline,
    ) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
        Box::pin(async move {
            let paths = self.paths(&folder_of(hour), deadline).await?;
            Ok(grouped(paths))
        })
    }

    fn undated(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<Vec<String>>, BoxError>> {
        Box::pin(async move {
            let paths = self.paths(UNDATED, deadline).await?.into_iter();
            let objects = paths.filter(|path| ends_of(path).is_some());
            // The ids in these names may be digests, so they do not show whether objects overlap.
            Ok(objects.map(|path| vec![path]).collect())
        })
    }

    fn read<'a>(
        &'a self,
        group: &'a [String],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Record>, BoxError>> {
        Box::pin(async move {
            let mut records = Vec::new();
            for path in group {
                let stored = self.storage.read(path, deadline).await;
                let stored = stored.map_err(|source| self.unread(path, source))?;
                let (content, _) = stored.ok_or_else(|| NotThere {
                    location: self.storage.location(path),
                })?;
                let read = unpacked(&content).and_then(|lines| records_in(&lines));
                records.extend(read.map_err(|source| NotAnObject {
                    location: self.storage.location(path),
                    source,
                })?);
            }
            records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
            records.dedup_by(|a, b| a.log_id == b.log_id);
            Ok(records)
        })
    }
}

impl Archive {
    /// The paths in one of the tenant's folders.
    async fn paths(&self, folder: &str, deadline: Deadline) -> Result<Vec<String>, BoxError> {
        let folder = format!("{}/{folder}", self.folder);
        let paths = self.storage.list(&folder, deadline).await;
        Ok(paths.map_err(|source| self.unread(&folder, source))?)
    }
}

pub(super) fn unpacked(content: &Bytes) -> std::io::Result<String> {
    let mut lines = String::new();
    MultiGzDecoder::new(&**content)
        .take(LONGEST_OBJECT + 1)
        .read_to_string(&mut lines)?;
    if lines.len() as u64 > LONGEST_OBJECT {
        return Err(std::io::Error::other(
            "it is longer than 64 MiB when it is unpacked",
        ));
    }
    Ok(lines)
}

pub(super) fn record_on(line: &str) -> Option<Record> {
    record_of(&Bytes::copy_from_slice(line.as_bytes()))
}

/// The record on each line. This program writes no object without a record.
fn records_in(lines: &str) -> std::io::Result<Vec<Record>> {
    let lines = (1..).zip(lines.lines());
    let lines = lines.filter(|(_, line)| !line.is_empty());
    let records = lines.map(|(number, line): (u32, _)| {
        record_on(line)
            .ok_or_else(|| std::io::Error::other(format!("line {number} of it is no record")))
    });
    let records = records.collect::<std::io::Result<Vec<_>>>()?;
    if records.is_empty() {
        return Err(std::io::Error::other("there is no record in it"));
    }
    Ok(records)
}

/// Sorts objects by first id and groups those that overlap. Each group is entirely after the one before.
fn grouped(paths: Vec<String>) -> Vec<Vec<String>> {
    let mut known: Vec<_> = paths
        .into_iter()
        .filter_map(|path| ends_of(&path).map(|(first, last)| (first, last, path)))
        .collect();
    known.sort();
    let mut groups: Vec<(LogId, Vec<String>)> = Vec::new();
    for (first, last, path) in known {
        match groups.last_mut() {
            Some((reached, group)) if first <= *reached => {
                group.push(path);
                *reached = last.max(reached.clone());
            }
            _ => groups.push((last, vec![path])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_that_overlap_are_read_together_and_the_others_in_order() {
        let path = |first: u32, last: u32| format!("t/2026/11/21/08/{first}-{last}.ndjson.gz");
        let groups = grouped(vec![
            path(40, 49),
            path(10, 19),
            path(15, 15),
            path(18, 25),
            path(24, 24),
            path(26, 30),
            "t/_check.txt".into(),
        ]);
        assert_eq!(
            groups,
            [
                vec![path(10, 19), path(15, 15), path(18, 25), path(24, 24)],
                vec![path(26, 30)],
                vec![path(40, 49)],
            ]
        );
    }
}
