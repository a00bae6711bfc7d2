//! Lists the table's rows in KQL: all rows in a stretch of log ids, of any tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::question::{EXTEND_LOG_ID, TABLE, seconds};
use crate::azure::log_query::Rows;
use crate::record::LogId;

/// Maximum rows in a response: about two megabytes.
pub(super) const MOST: usize = 20_000;
/// How far a row's time may differ from the time in its id. A row delivered more than two days late
/// has its arrival time, so a listing misses it.
const AROUND: TimeDelta = TimeDelta::hours(1);
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// Which log ids of this stretch of time are in the table? Both ends are whole seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Listing {
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// The listed ids, each with the tenant that its row names, or an empty text. `None` if there are
/// more than a response can hold.
pub(super) type Listed = Option<BTreeMap<LogId, String>>;

impl Listing {
    /// Covers all seconds that this stretch of time touches.
    pub fn of(begin: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let whole = end.trunc_subsecs(0);
        Self {
            begin: begin.trunc_subsecs(0),
            end: if whole < end { whole + SECOND } else { whole },
        }
    }

    pub fn begin(&self) -> DateTime<Utc> {
        self.begin
    }

    /// Both halves; `None` for a single second.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let length = (self.end - self.begin).num_seconds();
        let middle = self.begin + TimeDelta::seconds(length / 2);
        let half = |begin, end| Self { begin, end };
        (length > 1).then(|| [half(self.begin, middle), half(middle, self.end)])
    }

    pub fn query(&self) -> String {
        let second = |time: DateTime<Utc>| time.format("%Y%m%d%H%M%S").to_string();
        format!(
            "{TABLE}\n\
             | where TimeGenerated >= datetime({})\n\
             {EXTEND_LOG_ID}\n\
             | extend Second = tolong(substring(LogId, 3, 14))\n\
             | where Second >= {} and Second < {}\n\
             | extend Tenant = tostring(column_ifexists('tenant_name_s', ''))\n\
             | summarize by LogId, Tenant\n\
             | take {}",
            seconds(self.begin - AROUND),
            second(self.begin),
            second(self.end),
            MOST + 1
        )
    }

    /// The range of row times to query.
    pub fn timespan(&self) -> String {
        let (from, to) = (self.begin - AROUND, self.end + AROUND);
        format!("{}/{}", seconds(from), seconds(to))
    }

    /// Reads a response; `None` if it has another form.
    pub fn answer(rows: &Rows) -> Option<Listed> {
        let rows = rows.values(["LogId", "Tenant"])?;
        if rows.len() > MOST {
            return Some(None);
        }
        let mut listed = BTreeMap::new();
        for [id, tenant] in rows {
            listed.insert(LogId::new(id.as_str()?), tenant.as_str()?.to_owned());
        }
        Some(Some(listed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &str) -> DateTime<Utc> {
        format!("2026-11-21T{clock}Z").parse().unwrap()
    }

    #[test]
    fn the_query_names_each_id_once_by_the_second_of_the_id() {
        let listing = Listing::of(at("08:30:00.5"), at("08:59:59.000001"));
        assert_eq!(
            listing.query(),
            "Auth0AM_CL\n\
             | where TimeGenerated >= datetime(2026-11-21T07:30:00Z)\n\
             | extend LogId = coalesce(tostring(column_ifexists('log_id_s', '')), tostring(column_ifexists('_id_s', '')))\n\
             | extend Second = tolong(substring(LogId, 3, 14))\n\
             | where Second >= 20261121083000 and Second < 20261121090000\n\
             | extend Tenant = tostring(column_ifexists('tenant_name_s', ''))\n\
             | summarize by LogId, Tenant\n\
             | take 20001"
        );
        assert_eq!(
            listing.timespan(),
            "2026-11-21T07:30:00Z/2026-11-21T10:00:00Z"
        );
    }

    #[test]
    fn what_is_too_much_for_an_answer_is_halved_down_to_a_second() {
        let listing = Listing::of(at("08:00:00"), at("08:00:03"));
        let [first, second] = listing.halves().unwrap();
        assert_eq!(first, Listing::of(at("08:00:00"), at("08:00:01")));
        assert_eq!(second, Listing::of(at("08:00:01"), at("08:00:03")));
        assert_eq!(first.halves(), None);
        let [first, second] = Listing::of(at("08:00:00"), at("09:00:00"))
            .halves()
            .unwrap();
        assert_eq!(first, Listing::of(at("08:00:00"), at("08:30:00")));
        assert_eq!(second, Listing::of(at("08:30:00"), at("09:00:00")));
    }

    #[test]
    fn an_answer_tells_ids_and_tenants_or_that_it_is_too_much() {
        let answer = |json: &str| Listing::answer(&serde_json::from_str(json).unwrap());
        let columns = r#""columns":[{"name":"Tenant"},{"name":"LogId"}]"#;
        let two = format!(r#"{{{columns},"rows":[["acme","1"],["","2"]]}}"#);
        let expected = [("1", "acme"), ("2", "")];
        let expected = expected.map(|(id, tenant)| (LogId::new(id), tenant.to_owned()));
        assert_eq!(answer(&two), Some(Some(expected.into())));
        let row = r#"["acme","1"]"#;
        let many = |count| {
            let rows = vec![row; count].join(",");
            answer(&format!("{{{columns},\"rows\":[{rows}]}}"))
        };
        assert!(many(20_000).unwrap().is_some());
        assert_eq!(many(20_001), Some(None));
        assert_eq!(
            answer(r#"{"columns":[{"name":"LogId"}],"rows":[["1"]]}"#),
            None
        );
        assert_eq!(
            answer(&format!(r#"{{{columns},"rows":[["acme",1]]}}"#)),
            None
        );
    }
}
