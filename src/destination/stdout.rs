//! Records on standard output, one JSON object a line: for a look before sending.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{Destination, Limits, Receipt};
use crate::BoxError;
use crate::auth0::Record;
use crate::retry::Deadline;

/// Standard output.
#[derive(Debug)]
pub struct Stdout;

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
enum StdoutError {
    #[error("writing records to standard output")]
    Write(#[source] io::Error),
    #[error("standard output took no more records before the run's time was over")]
    OutOfTime,
}

impl Destination for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn limits(&self) -> Limits {
        Limits {
            rows: 1_000,
            bytes: 8_000_000,
        }
    }

    fn row(&self, record: &Record) -> Bytes {
        on_one_line(&record.json)
    }

    async fn deliver(&self, rows: &[Bytes], deadline: Deadline) -> Result<Receipt, BoxError> {
        let mut lines = rows.join(&b'\n');
        lines.push(b'\n');
        let write = async {
            let mut stdout = tokio::io::stdout();
            stdout.write_all(&lines).await?;
            stdout.flush().await
        };
        tokio::time::timeout_at(deadline.for_answers(), write)
            .await
            .map_err(|_| StdoutError::OutOfTime)?
            .map_err(StdoutError::Write)?;
        Ok(Receipt { bytes: lines.len() })
    }
}

/// Takes the white space from between a JSON text's tokens, and nothing else.
fn on_one_line(json: &Bytes) -> Bytes {
    let mut in_string = false;
    let mut escaped = false;
    let mut line = Vec::with_capacity(json.len());
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        line.push(byte);
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_tokens_goes_and_within_strings_stays() {
        let json = Bytes::from_static(
            br#"{ "a" : [1.0e400 ,
                "two  \"\\\" \\ "	], "\\" : null }"#,
        );
        assert_eq!(
            &on_one_line(&json)[..],
            br#"{"a":[1.0e400,"two  \"\\\" \\ "],"\\":null}"#
        );
    }
}
