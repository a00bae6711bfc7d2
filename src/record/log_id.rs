//! Auth0's log id: the key of a record, and the only thing that reading resumes from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits of a log id.
const LENGTH: usize = 56;
/// Digits before the time.
const PREFIX: usize = 3;
/// Digits of the time: date, time of day, microseconds.
const TIME: usize = 14 + 6;

/// By how much a record's `date` may precede the time in its id. The longest delay seen in real
/// records is 5.43 s; this leaves room.
pub(crate) const STORING_DELAY: Duration = Duration::from_secs(10);

/// The most characters of an id. Real ids have 56; longer ones than this would fill checkpoints,
/// names and log lines.
pub(crate) const LONGEST_ID: usize = 256;

/// The identity of a log record, ordered as Auth0 orders them: as text.
///
/// An id is 56 decimal digits: a prefix of three (`900`; `800` exists), the time at which Auth0
/// *stored* the record (`YYYYMMDDHHMMSS` and six digits of a second, UTC), and 33 more. The stored
/// time trails the record's `date` by some seconds and is never before it; so records in the order
/// of their ids are not in the order of their dates.
///
/// In this order the prefix outweighs the time. So ids show which record is later only within a
/// prefix, and each prefix is read and remembered separately.
///
/// An id is text: it does not fit a number. Many copies of an id are kept, so they share the text.
/// Its time is needed so often that it is parsed once.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub(crate) struct LogId {
    text: Arc<str>,
    /// Follows from the text, and so does not change the order.
    stored_at: Option<DateTime<Utc>>,
}

impl LogId {
    /// Takes an id as Auth0 wrote it.
    ///
    /// Any text is taken: an id of a shape not seen before has to be delivered and resumed from
    /// as well. Such an id merely has no [`stored_at`](Self::stored_at).
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        let text = id.into();
        Self {
            stored_at: stored_at(&text),
            text,
        }
    }

    /// An id of the known shape that lies below every real id stored at `time` or later.
    ///
    /// Auth0 accepts such an id as a lower bound, although no documentation says so;
    /// `auth0/start.rs` knows what to do when it does not.
    pub fn synthetic(prefix: &str, time: DateTime<Utc>) -> Self {
        let time = time.format("%Y%m%d%H%M%S%6f").to_string();
        Self::new(format!("{:0<LENGTH$}", format!("{prefix}{time}")))
    }

    /// Whether it looks like a [synthetic](Self::synthetic) id.
    pub fn is_synthetic(&self) -> bool {
        let stored = self.prefix().zip(self.stored_at());
        stored.is_some_and(|(prefix, time)| Self::synthetic(prefix, time) == *self)
    }

    /// An id of the known length that lies above every real id of the prefix.
    pub fn end_of(prefix: &str) -> Self {
        Self::new(format!("{prefix:9<LENGTH$}"))
    }

    /// Whether it looks like the [end](Self::end_of) of a prefix.
    pub fn is_end(&self) -> bool {
        let prefix = self.text.get(..PREFIX);
        prefix.is_some_and(|prefix| Self::end_of(prefix) == *self)
    }

    /// Whether the text has the shape that Auth0's ids have.
    pub fn is_well_formed(&self) -> bool {
        is_well_formed(&self.text)
    }

    /// The three digits before the time, if the id has the known shape and holds a time.
    pub fn prefix(&self) -> Option<&str> {
        self.stored_at.map(|_| &self.text[..PREFIX])
    }

    /// The prefix, or an empty text for an id of any other shape. Only within a series does the
    /// order of ids mean anything.
    pub fn series(&self) -> &str {
        self.prefix().unwrap_or_default()
    }

    /// When Auth0 stored the record, to the microsecond, if the id has the known shape.
    pub fn stored_at(&self) -> Option<DateTime<Utc>> {
        self.stored_at
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_well_formed(id: &str) -> bool {
    id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn stored_at(id: &str) -> Option<DateTime<Utc>> {
    if !is_well_formed(id) {
        return None;
    }
    let time = &id.as_bytes()[PREFIX..PREFIX + TIME];
    let number = |from: usize, to: usize| {
        let digits = time[from..to].iter();
        digits.fold(0, |number, digit| 10 * number + u32::from(digit - b'0'))
    };
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(0, 4)).ok()?,
        number(4, 6),
        number(6, 8),
    )?;
    date.and_hms_micro_opt(
        number(8, 10),
        number(10, 12),
        number(12, 14),
        number(14, 20),
    )
    .map(|time| time.and_utc())
}

impl Serialize for LogId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for LogId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(String::deserialize(deserializer)?))
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "90020230523204756343781000000000000001223372037583230452";

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_real_id_tells_its_prefix_and_when_it_was_stored() {
        let id = LogId::new(REAL);
        assert_eq!(id.prefix(), Some("900"));
        assert_eq!(id.stored_at(), Some(time("2023-05-23T20:47:56.343781Z")));
    }

    #[test]
    fn a_synthetic_id_has_the_real_shape_and_lies_just_below_its_time() {
        let id = LogId::synthetic("900", time("2023-05-23T20:47:56.343781Z"));
        assert_eq!(
            id.as_str(),
            "90020230523204756343781000000000000000000000000000000000"
        );
        assert!(id < LogId::new(REAL));
        assert!(LogId::synthetic("900", time("2023-05-23T20:47:56.343782Z")) > LogId::new(REAL));
        assert!(id.is_synthetic());
        assert!(!LogId::new(REAL).is_synthetic());
        assert!(!LogId::new("0").is_synthetic());
    }

    #[test]
    fn the_end_of_a_prefix_is_above_all_its_ids_and_below_those_of_the_next() {
        let end = LogId::end_of("900");
        assert_eq!(end.as_str().len(), 56);
        assert!(LogId::synthetic("900", time("9999-12-31T23:59:59Z")) < end);
        assert!(end < LogId::synthetic("901", time("1970-01-01T00:00:00Z")));
        assert!(end.is_end());
        for other in [REAL, "", "90", "9é", "900"] {
            assert!(!LogId::new(other).is_end(), "{other}");
        }
    }

    #[test]
    fn text_of_another_shape_is_an_id_without_a_time() {
        for text in [
            "",
            "XXX",
            "12345",
            "9002023052320475634378100000000000000122337203758323045é",
            // month 13
            "90020231323204756343781000000000000001223372037583230452",
        ] {
            assert_eq!(LogId::new(text).stored_at(), None, "{text}");
            assert_eq!(LogId::new(text).series(), "", "{text}");
        }
    }

    #[test]
    fn ids_are_ordered_as_text_whatever_their_time_and_length() {
        assert!(LogId::new("999") > LogId::new("1000"));
        let later = LogId::synthetic("900", time("2026-11-21T08:00:00Z"));
        assert!(LogId::synthetic("901", time("2020-01-01T00:00:00Z")) > later);
    }
}
