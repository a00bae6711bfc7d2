//! Parsers for common forms of values. An error says what the value should be, and never quotes it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use crate::record::{Start, StartFrom};
use crate::redact::Redaction;

/// Far beyond any retention; anything longer is a mistake.
const LONGEST_DURATION: Duration = Duration::from_hours(24 * 3650);

/// Maximum lengths in DNS: of a name, and of a label between two dots.
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A URL with a scheme and a host, and nothing after it.
pub(crate) fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_bare = matches!(url.path(), "" | "/") && is_plain(&url);
    (is_bare && url.host_str().is_some_and(is_host_name)).then_some(url)
}

/// Whether a URL has no query, fragment, user or password.
pub(crate) fn is_plain(url: &Url) -> bool {
    url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Whether the lengths allow this text to be a host name. Messages show host names, and a misplaced
/// secret is usually too long to be one.
pub(crate) fn is_host_name(text: &str) -> bool {
    text.len() <= LONGEST_HOST && text.split('.').all(|label| label.len() <= LONGEST_LABEL)
}

/// Parses a duration. `M` is refused: it would mean months, but `5M` is meant as minutes.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|_| !text.contains('M'))
        .filter(|duration| *duration <= LONGEST_DURATION)
        .ok_or_else(|| "is not a duration such as 30s, 5m, 1h or 7d".into())
}

/// Parses a start: a duration back, an RFC 3339 time, or `oldest`.
pub(crate) fn start_from(text: &str) -> Result<StartFrom, String> {
    if text.eq_ignore_ascii_case("oldest") {
        return Ok(StartFrom::Oldest);
    }
    if let Ok(duration) = duration(text) {
        return Ok(StartFrom::Ago(duration));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .ok()
        .filter(|time| Start::At(*time).is_usable())
        .map(StartFrom::At)
        .ok_or_else(|| {
            "is neither a duration such as 1h or 7d, nor a time such as 2026-11-21T08:00:00Z, \
             nor oldest"
                .into()
        })
}

/// Whether secrets are masked.
pub(crate) fn redaction(text: &str) -> Result<Redaction, String> {
    let is_on = switch(text)?;
    Ok(if is_on { Redaction::On } else { Redaction::Off })
}

/// Whether something is switched on.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("is neither on nor off".into()),
    }
}

/// A GUID with hyphens, converted to lower case.
pub(crate) fn guid(text: &str) -> Result<String, String> {
    is_guid(text)
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "is not a GUID such as 01234567-89ab-cdef-0123-456789abcdef".into())
}

/// Whether a text is a GUID with hyphens.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_start_is_a_duration_a_time_or_the_oldest_record() {
        let time = "2026-11-21T08:00:00Z".parse().unwrap();
        for (text, start) in [
            ("7d", StartFrom::Ago(Duration::from_hours(168))),
            ("2026-11-21T09:00:00+01:00", StartFrom::At(time)),
            ("Oldest", StartFrom::Oldest),
        ] {
            assert_eq!(start_from(text), Ok(start));
        }
        for text in ["yesterday", "-1h", "100000y", "2026-11-21", "1"] {
            let problem = start_from(text).unwrap_err();
            assert!(problem.starts_with("is neither a duration"), "{text}");
        }
    }

    #[test]
    fn no_capital_letter_makes_months_of_minutes() {
        for text in ["5M", "5 M", "1h 30M"] {
            let problem = "is not a duration such as 30s, 5m, 1h or 7d";
            assert_eq!(duration(text), Err(problem.into()), "{text}");
            assert!(start_from(text).is_err(), "{text}");
        }
        for (text, seconds) in [("5m", 300), ("1h 30m", 5_400), ("1month", 2_630_016)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn secrets_are_masked_unless_that_is_switched_off_in_so_many_words() {
        assert_eq!(redaction("Off"), Ok(Redaction::Off));
        assert_eq!(redaction("on"), Ok(Redaction::On));
        for value in ["false", "0", "no"] {
            assert_eq!(redaction(value), Err("is neither on nor off".into()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_start_is_read_as_it_is_written(
            seconds in 0..=LONGEST_DURATION.as_secs(),
            time in 0..253_402_300_800_i64,
            offset in -12..=14_i32,
        ) {
            let duration = Duration::from_secs(seconds);
            let text = humantime::format_duration(duration).to_string();
            prop_assert_eq!(start_from(&text), Ok(StartFrom::Ago(duration)));

            let time = DateTime::from_timestamp(time, 0).unwrap();
            let zone = chrono::FixedOffset::east_opt(offset * 3_600).unwrap();
            let local = time.with_timezone(&zone);
            // RFC 3339 has four-digit years.
            if (0..=9999).contains(&chrono::Datelike::year(&local)) {
                prop_assert_eq!(start_from(&local.to_rfc3339()), Ok(StartFrom::At(time)));
            }
        }

        #[test]
        fn whatever_is_taken_for_a_start_is_one_that_a_run_can_use(
            text in prop_oneof![
                "[0-9]{1,20} ?(ns|s|m|h|d|w|M|y|years){1,2}",
                "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:00:(00|60)(Z|[+-][0-2][0-9]:59)",
                any::<String>(),
            ],
        ) {
            match start_from(&text) {
                Ok(StartFrom::Ago(duration)) => prop_assert!(duration <= LONGEST_DURATION),
                Ok(StartFrom::At(time)) => {
                    let years = 1..=9999;
                    prop_assert!(years.contains(&chrono::Datelike::year(&time)), "{time}");
                }
                Ok(StartFrom::Oldest) => prop_assert!(text.eq_ignore_ascii_case("oldest")),
                Err(problem) => prop_assert!(problem.starts_with("is neither")),
            }
        }
    }
}
