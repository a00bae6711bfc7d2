//! A compact form of many ids: sorted, each without the prefix that it shares with the one before,
//! compressed, and encoded as base64.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::record::{LONGEST_ID, LogId};

/// Packs ids.
pub(super) fn pack(ids: &BTreeSet<LogId>) -> String {
    let mut plain = Vec::new();
    let mut before: &str = "";
    for id in ids {
        let id = id.as_str();
        let shared = before.bytes().zip(id.bytes()).take_while(|(a, b)| a == b);
        let shared = shared.count();
        for length in [shared, id.len() - shared] {
            plain.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
        plain.extend(&id.as_bytes()[shared..]);
        before = id;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // invariant: writing to memory does not fail
    #[allow(clippy::expect_used, reason = "stated above")]
    let compressed = encoder
        .write_all(&plain)
        .and_then(|()| encoder.finish())
        .expect("memory takes what is written");
    STANDARD.encode(compressed)
}

/// Unpacks ids, of at most this many bytes in all; `None` if it is not what was packed.
pub(super) fn unpack(packed: &str, most: usize) -> Option<BTreeSet<LogId>> {
    let compressed = STANDARD.decode(packed).ok()?;
    let mut plain = Vec::new();
    let decoder = ZlibDecoder::new(&compressed[..]);
    // Each id has four bytes of lengths, but omits what it shares with the one before.
    let limit = u64::try_from(most).ok()? + 1;
    decoder.take(limit).read_to_end(&mut plain).ok()?;
    if plain.len() > most {
        return None;
    }
    let (mut ids, mut bytes) = (BTreeSet::new(), 0);
    let mut before = Vec::new();
    let mut rest = &plain[..];
    while let Some((lengths, after)) = rest.split_first_chunk::<4>() {
        let [shared, new] = [[lengths[0], lengths[1]], [lengths[2], lengths[3]]];
        let [shared, new] = [shared, new].map(|it| usize::from(u16::from_be_bytes(it)));
        let (new, after) = after.split_at_checked(new)?;
        let id = [before.get(..shared)?, new].concat();
        bytes += id.len();
        if id.len() > LONGEST_ID * 4 || bytes > most {
            return None;
        }
        ids.insert(LogId::new(std::str::from_utf8(&id).ok()?));
        (before, rest) = (id, after);
    }
    rest.is_empty().then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<LogId> {
        ids.map(LogId::new).into()
    }

    #[test]
    fn what_is_packed_comes_back_as_it_was() {
        for ids in [
            ids([]),
            ids(["", "9", "90", "900", "91"]),
            ids(["\u{e9}", "\u{e8}", "zzz"]),
        ] {
            assert_eq!(unpack(&pack(&ids), 1_000), Some(ids));
        }
    }

    #[test]
    fn a_hundred_thousand_ids_take_little_room() {
        let ids: BTreeSet<_> = (0_u64..100_000)
            .map(|n| {
                let (seconds, micros) = (n / 2_000, n % 2_000 * 499 + n % 7);
                let tail = 1_223_372_037_583_230_452 + n * 3;
                LogId::new(format!("900202611210800{seconds:02}{micros:06}{tail:033}"))
            })
            .collect();
        let packed = pack(&ids);
        assert!(packed.len() < 2_000_000, "{}", packed.len());
        assert_eq!(unpack(&packed, 8_000_000), Some(ids));
    }

    #[test]
    fn what_is_not_packed_or_is_too_much_is_refused() {
        let packed = pack(&ids(["9001", "9002"]));
        assert_eq!(unpack(&packed, 7), None);
        for other in ["", "%", "AAAA", &packed[..packed.len() - 4]] {
            assert_eq!(unpack(other, 1_000), None, "{other}");
        }
        // A few bytes that expand to many.
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![0; 10_000_000]).unwrap();
        let bomb = STANDARD.encode(encoder.finish().unwrap());
        assert_eq!(unpack(&bomb, 1_000_000), None);
    }
}
