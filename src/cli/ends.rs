//! Places in the log, as a person names them, and the stretch between two of them.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;

use super::print::{misused, note};
use crate::record::{LogId, StartFrom, is_future};
use crate::report::Gap;
use crate::run::{Mark, Stretch};
use crate::settings::values::start_from;

/// A place in the log.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Id(LogId),
    At(StartFrom),
}

impl Place {
    /// Rejects a place where no run can begin now, with a message and an exit status.
    pub fn see(&self, now: DateTime<Utc>) -> Result<(), ExitCode> {
        let judged = self.judge(now);
        judged.map_err(|problem| misused(format_args!("--from {problem}")))
    }

    /// Whether a run can begin here now.
    fn judge(&self, now: DateTime<Utc>) -> Result<(), &'static str> {
        let time = match self {
            Self::At(StartFrom::At(time)) => Some(*time),
            Self::At(_) => return Ok(()),
            Self::Id(id) => id.stored_at(),
        };
        match time {
            None => Err("names a log id that holds no time, so it is not one of Auth0's"),
            Some(time) if is_future(time, now) => {
                Err("is in the future: until then nothing would be delivered")
            }
            Some(_) => Ok(()),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Place, String> {
    let text = text.trim();
    let id = LogId::new(text);
    if id.is_well_formed() {
        return Ok(Place::Id(id));
    }
    start_from(text)
        .map(Place::At)
        .map_err(|problem| format!("it {problem}, nor a log id of 56 digits"))
}

#[derive(Args)]
pub(super) struct Ends {
    /// Where the stretch begins: a duration back from now (7d), a time (2026-11-21T08:00:00Z),
    /// `oldest`, or the log id of the first record. Records of exactly this time are in it
    #[arg(long, value_name = "WHERE", value_parser = parse, allow_hyphen_values = true)]
    pub from: Place,
    /// Where the stretch ends: a duration, a time or a log id. Records of exactly this time or id are
    /// not in it
    #[arg(long, value_name = "WHERE", value_parser = parse, allow_hyphen_values = true)]
    to: Place,
}

impl Ends {
    /// The stretch between them.
    pub fn stretch(&self, now: DateTime<Utc>) -> Result<Stretch, ExitCode> {
        let Some(to) = mark(&self.to, now) else {
            return Err(misused(format_args!(
                "--to is the end, which cannot be the oldest record"
            )));
        };
        let from = mark(&self.from, now);
        let times = from.as_ref().and_then(Mark::time).zip(to.time());
        let is_empty = match (&from, &to) {
            // The prefix outweighs the time in an id, and two ids of one moment may differ.
            (Some(Mark::Id(from)), Mark::Id(to)) => {
                from >= to || times.is_some_and(|(from, to)| from > to)
            }
            _ => times.is_some_and(|(from, to)| from >= to),
        };
        if is_empty {
            return Err(misused(format_args!(
                "--from is not before --to, by id and by time, so there is nothing between"
            )));
        }
        Ok(Stretch { from, to })
    }
}

/// One end of the stretch; `None` for the oldest record.
fn mark(place: &Place, now: DateTime<Utc>) -> Option<Mark> {
    match place {
        Place::Id(id) => Some(Mark::Id(id.clone())),
        Place::At(start) => start.resolve(now).time().map(Mark::At),
    }
}

/// Prints for which time Auth0 has no records.
pub(super) fn note_gap(name: &str, gap: Option<Gap>) {
    if let Some(gap) = gap {
        note(format_args!(
            "{name}: Auth0 has no records {gap}: it has dropped them, or there were none"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_begins_before_its_end_by_id_and_by_time() {
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let id = |prefix: &str, clock: &str, end: &str| {
            format!("{prefix}20261121{clock}000000{end:0>33}")
        };
        let at_7 = &*id("900", "070000", "1");
        let same_moment = &*id("900", "070000", "2");
        let half_past_7 = &*id("900", "073000", "1");
        let copied = &*format!(" {half_past_7}\n");
        // The prefix outweighs the time.
        let above_at_6 = &*id("901", "060000", "1");
        for (from, to, is_one) in [
            ("2h", "1h", true),
            ("1h", "1h", false),
            ("1h", "2h", false),
            ("oldest", "1h", true),
            ("1h", "oldest", false),
            (at_7, half_past_7, true),
            (at_7, copied, true),
            (" 2h", "1h ", true),
            (half_past_7, at_7, false),
            (at_7, same_moment, true),
            (at_7, at_7, false),
            (at_7, above_at_6, false),
            (above_at_6, at_7, false),
            (at_7, "30m", true),
            (at_7, "2026-11-21T07:00:00Z", false),
            ("2026-11-21T07:00:00Z", at_7, false),
            ("30m", at_7, false),
        ] {
            let ends = Ends {
                from: parse(from).unwrap(),
                to: parse(to).unwrap(),
            };
            assert_eq!(ends.stretch(now).is_ok(), is_one, "{from} {to}");
        }
    }
}
