//! Bodies compressed with gzip.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Compresses at the fastest level: rows are alike, and the host bills the time it takes.
pub(crate) fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    // invariant: writing to a Vec does not fail
    #[allow(clippy::expect_used, reason = "stated above")]
    written.expect("room in memory").into()
}
