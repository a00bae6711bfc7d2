//! Records without a log id. The runs have made dead letters of them, which cannot be delivered, and there
//! is nothing to compare them by: an audit can only say how many there are.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use crate::error::BoxError;
use crate::net::retry::Deadline;
use crate::record::date_of;
use crate::run::{DeadLetter, DeadLetters, Kept, Stretch};

/// How far the reading of an hour may reach back into the hour before, and more.
const OVERLAP: TimeDelta = TimeDelta::minutes(30);

/// Takes the dead letters of the readings of an audit, one hour after the other, and stores none. Counts
/// records that are dated within the audited stretch, each once, although an hour's reading also shows some
/// of the hours around it. A record without an id and a date belongs to no stretch.
pub(crate) struct Nameless<'a> {
    asked: &'a Stretch,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    /// Those that may be met again, by a digest. As many as there are in an hour, or a little more.
    known: HashMap<[u8; 32], Sight>,
    /// How many were met since they were last counted.
    new: u64,
}

struct Sight {
    date: DateTime<Utc>,
    /// Whether the present reading has met it.
    is_recent: bool,
}

impl<'a> Nameless<'a> {
    /// For an audit of this stretch.
    pub fn of(asked: &'a Stretch) -> Self {
        Self {
            asked,
            met: Mutex::default(),
        }
    }

    fn meet(&self, json: &str) {
        let Some(date) = date_of(json).filter(|it| self.asked.is_dated(*it)) else {
            return;
        };
        let mut met = self.met();
        let Met { known, new } = &mut *met;
        let sight = known.entry(Sha256::digest(json).into()).or_insert_with(|| {
            *new += 1;
            Sight {
                date,
                is_recent: true,
            }
        });
        sight.is_recent = true;
    }

    /// Ends the reading of the hour that ends at this time. Returns how many it was the first to meet.
    pub fn end_hour(&self, end: DateTime<Utc>) -> u64 {
        let mut met = self.met();
        // The last page may end long after the hour, and the next readings show the same.
        met.known
            .retain(|_, it| mem::take(&mut it.is_recent) || end - it.date <= OVERLAP);
        mem::take(&mut met.new)
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeadLetters for Nameless<'_> {
    async fn set_aside(
        &self,
        letter: DeadLetter<'_>,
        _: DateTime<Utc>,
        _: Deadline,
    ) -> Result<Kept, BoxError> {
        if letter.log_id.is_none() {
            self.meet(letter.json);
        }
        Ok(Kept {
            place: String::new(),
            is_new: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Mark;

    fn at(clock: &str) -> DateTime<Utc> {
        format!("2026-11-21T{clock}Z").parse().unwrap()
    }

    #[test]
    fn each_is_counted_once_however_many_readings_meet_it_and_is_forgotten_after_them() {
        let asked = Stretch {
            from: Some(Mark::At(at("08:30:00"))),
            to: Mark::At(at("12:00:00")),
        };
        let nameless = Nameless::of(&asked);
        let read = |end: &str, dates: &[&str]| {
            for date in dates {
                nameless.meet(&format!(r#"{{"date":"2026-11-21T{date}Z"}}"#));
            }
            let known = |it: &Nameless| it.met().known.len();
            (nameless.end_hour(at(end)), known(&nameless))
        };
        nameless.meet(r#"{"type":"s"}"#);
        let first = [
            "08:29:59", "08:30:00", "08:31:00", "08:31:00", "08:55:00", "11:00:00",
        ];
        assert_eq!(read("09:00:00", &first), (4, 4));
        // The first two are not read again.
        assert_eq!(
            read("10:00:00", &["08:55:00", "09:10:00", "11:00:00"]),
            (1, 3)
        );
        assert_eq!(
            read("11:00:00", &["11:00:00", "11:59:59", "12:00:00"]),
            (1, 2)
        );
        assert_eq!(read("12:00:00", &["11:00:00", "11:59:59"]), (0, 2));
        assert_eq!(read("13:00:00", &[]), (0, 0));
    }
}
