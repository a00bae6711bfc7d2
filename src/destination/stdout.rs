//! `stdout`: records on standard output, one JSON object per line, for a look before sending.

use std::fmt::Write as _;
use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt as _;

use super::{Delivery, Destination, Kind, Limits, Probe, Tools};
use crate::error::{BoxError, is_command};
use crate::net::retry::Deadline;
use crate::pii::Privacy;
use crate::record::Record;
use crate::settings::Reader;

pub(super) const KIND: Kind = Kind {
    name: "stdout",
    about: "one JSON object a line, to look at the records",
    settings: &[],
    filter: "FILTER_STDOUT",
    pii: "PII_STDOUT",
    is_for_a_look: true,
    takes_heartbeats: false,
    build,
};

const LIMITS: Limits = Limits {
    rows: 1_000,
    bytes: 8_000_000,
    side_by_side: 1,
    ..Limits::LINES
};

struct Stdout {
    privacy: Privacy,
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
enum StdoutError {
    #[error("writing records to standard output")]
    Write(#[source] io::Error),
    #[error("standard output took no more records before the run's time was over")]
    OutOfTime,
    #[error(
        "standard output is closed or the null device, so nobody would see the records; send it to a \
         terminal, a file or a pipe"
    )]
    Nowhere,
}

#[allow(clippy::unnecessary_wraps, reason = "the form of every kind")]
fn build(_: &mut Reader, tools: &Tools) -> Option<Box<dyn Destination>> {
    Some(Box::new(Stdout {
        privacy: tools.privacy.clone(),
    }))
}

impl Destination for Stdout {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn encode(&self, record: &Record) -> Result<Bytes, BoxError> {
        Ok(harmless(self.privacy.line(record.text())).into())
    }

    fn deliver<'a>(&'a self, rows: &'a [Bytes], deadline: Deadline) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            if leads_nowhere() {
                return Delivery::failed(rows.len(), StdoutError::Nowhere.into());
            }
            let mut lines = rows.join(&b'\n');
            lines.push(b'\n');
            let write = async {
                let mut stdout = tokio::io::stdout();
                stdout.write_all(&lines).await.map_err(StdoutError::Write)?;
                stdout.flush().await.map_err(StdoutError::Write)
            };
            match tokio::time::timeout_at(deadline.for_answers(), write).await {
                Ok(Ok(())) => Delivery::accepted(rows.len(), lines.len()),
                Ok(Err(error)) => Delivery::failed(rows.len(), error.into()),
                Err(_) => Delivery::failed(rows.len(), StdoutError::OutOfTime.into()),
            }
        })
    }

    fn probe(&self, _: Deadline) -> BoxFuture<'_, Probe> {
        Box::pin(async {
            if leads_nowhere() {
                return Probe::Fails(StdoutError::Nowhere.into());
            }
            Probe::Works("needs nothing".into())
        })
    }
}

/// Whether standard output is the null device, opened for reading and writing. The runtime opens it so if
/// the process was started with standard output closed. Programs that discard a child's output do the same,
/// and the two cases cannot be told apart. A shell redirection opens it only for writing, and is intended.
#[cfg(unix)]
fn leads_nowhere() -> bool {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, stat};
    let stdout = io::stdout();
    let (Ok(flags), Ok(there), Ok(null)) =
        (fcntl_getfl(&stdout), fstat(&stdout), stat("/dev/null"))
    else {
        return false;
    };
    let is_device = FileType::from_raw_mode(there.st_mode) == FileType::CharacterDevice;
    is_device && there.st_rdev == null.st_rdev && flags.contains(OFlags::RDWR)
}

#[cfg(not(unix))]
fn leads_nowhere() -> bool {
    false
}

/// The same JSON without terminal control characters. Whoever signs in chooses much of a record's
/// content, and JSON may hold most of these characters unescaped.
fn harmless(line: String) -> String {
    if !line.contains(is_command) {
        return line;
    }
    let mut harmless = String::with_capacity(line.len() + 16);
    for letter in line.chars() {
        if is_command(letter) {
            // invariant: writing to a String does not fail
            let _ = write!(harmless, "\\u{:04x}", u32::from(letter));
        } else {
            harmless.push(letter);
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_says_the_same() {
        let line = "{\"user_name\":\"Zo\u{eb} \u{9b}2J\u{7f} \u{202e}moc\u{2066}\u{2028}\u{61c}\"}";
        let shown = harmless(line.to_owned());
        assert_eq!(
            shown,
            r#"{"user_name":"Zoë \u009b2J\u007f \u202emoc\u2066\u2028\u061c"}"#
        );
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&shown), value(line));
        let plain = r#"{"user_name":"Zoë \u001b[31m 😀"}"#;
        assert_eq!(harmless(plain.to_owned()), plain);
    }
}
