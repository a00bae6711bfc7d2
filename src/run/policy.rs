//! The settings of a run.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::record::{StartFrom, is_future};
use crate::settings::{Reader, values};

/// The settings that are read here.
pub(crate) const SETTINGS: [&str; 3] = ["START_FROM", "OVERLAP", "RUN_BUDGET"];

const DEFAULT_START_FROM: Duration = Duration::from_hours(1);
const DEFAULT_OVERLAP: Duration = Duration::from_mins(1);
const DEFAULT_BUDGET: Duration = Duration::from_mins(4);

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// `START_FROM`: where the first run begins, relative to now.
    pub start_from: StartFrom,
    /// `OVERLAP`: how far back each run reads again.
    pub overlap: Duration,
    /// `RUN_BUDGET`: time for one run.
    pub budget: Duration,
}

impl Policy {
    /// Reads the settings of a run.
    #[allow(clippy::unnecessary_wraps, reason = "the form of every layer")]
    pub fn read(reader: &mut Reader, now: DateTime<Utc>) -> Option<Self> {
        let start_from = start_from(reader, now);
        let overlap = reader.optional("OVERLAP", values::duration);
        let budget = reader.optional("RUN_BUDGET", budget);
        let default = Self::beginning(start_from);
        Some(Self {
            overlap: overlap.unwrap_or(default.overlap),
            budget: budget.unwrap_or(default.budget),
            ..default
        })
    }

    /// Reads only where the first run begins; the rest is the default. For when no run can begin,
    /// perhaps because of the other settings.
    pub fn read_beginning(reader: &mut Reader, now: DateTime<Utc>) -> Option<Self> {
        let is_set = reader.is_set("START_FROM");
        let start_from = start_from(reader, now);
        (start_from.is_some() || !is_set).then(|| Self::beginning(start_from))
    }

    fn beginning(start_from: Option<StartFrom>) -> Self {
        Self {
            start_from: start_from.unwrap_or(StartFrom::Ago(DEFAULT_START_FROM)),
            overlap: DEFAULT_OVERLAP,
            budget: DEFAULT_BUDGET,
        }
    }
}

fn start_from(reader: &mut Reader, now: DateTime<Utc>) -> Option<StartFrom> {
    reader.optional("START_FROM", |text| match values::start_from(text)? {
        StartFrom::At(time) if is_future(time, now) => {
            Err("is in the future: until then nothing would be delivered".into())
        }
        start_from => Ok(start_from),
    })
}

fn budget(text: &str) -> Result<Duration, String> {
    match values::duration(text)? {
        budget if budget < Duration::from_secs(1) => Err("must be at least 1s".into()),
        budget => Ok(budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AppSettings, SettingsError};

    fn read(settings: &[(&str, &str)]) -> Result<Policy, SettingsError> {
        let settings: AppSettings = settings.iter().copied().collect();
        Reader::read(&settings, |reader| {
            Policy::read(reader, "2026-11-21T08:00:00Z".parse().unwrap())
        })
    }

    #[test]
    fn without_settings_a_run_begins_an_hour_back_and_takes_four_minutes() {
        let policy = read(&[]).unwrap();
        assert_eq!(policy.start_from, StartFrom::Ago(Duration::from_hours(1)));
        assert_eq!(policy.overlap, Duration::from_mins(1));
        assert_eq!(policy.budget, Duration::from_mins(4));
    }

    #[test]
    fn the_default_run_ends_before_the_host_would_kill_it() {
        let host = include_str!("../../host.json");
        let host: serde_json::Value = serde_json::from_str(host).unwrap();
        let timeout = host["functionTimeout"].as_str().unwrap();
        let parts = timeout.split(':').map(|part| part.parse::<u64>().unwrap());
        let timeout = Duration::from_secs(parts.fold(0, |seconds, part| seconds * 60 + part));
        // The documentation promises that a run ends within ten seconds after its budget.
        let longest = read(&[]).unwrap().budget + Duration::from_secs(10);
        assert!(longest < timeout, "{longest:?} is not below {timeout:?}");
    }

    #[test]
    fn a_start_in_the_future_is_refused_and_a_wrong_clock_forgiven() {
        assert!(read(&[("START_FROM", "2026-11-21T08:05:00Z")]).is_ok());
        for time in ["2026-11-21T08:05:01Z", "2027-01-01T00:00:00Z"] {
            let problem = read(&[("START_FROM", time)]).unwrap_err().to_string();
            assert!(problem.contains("START_FROM is in the future"), "{problem}");
        }
    }

    #[test]
    fn a_run_has_a_second_at_least() {
        assert_eq!(
            read(&[("RUN_BUDGET", "1s")]).unwrap().budget,
            Duration::from_secs(1)
        );
        let problem = read(&[("RUN_BUDGET", "999ms")]).unwrap_err().to_string();
        assert!(
            problem.ends_with("RUN_BUDGET must be at least 1s"),
            "{problem}"
        );
    }
}
