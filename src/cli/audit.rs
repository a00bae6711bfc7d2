//! `audit`: compares the records at Auth0 with those at the destinations.

use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use super::ends::{Ends, note_gap};
use super::poll::with_progress;
use super::print::{INTERRUPTED, ended, exit_code, fail, misused, note, show};
use super::signals::{self, Ending};
use super::{Exit, Given, side_by_side, tenants, unusable};
use crate::app::{App, AppError, Audit};
use crate::audit::{Audited, Counts};
use crate::clock::{self, to_seconds};
use crate::run::Mark;

/// Records delivered more recently than this may not be in the table yet.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(20);
/// Maximum missing ids printed below a table.
const NAMED: usize = 100;

#[derive(Args)]
pub(super) struct Command {
    #[command(flatten)]
    ends: Ends,
    /// Deliver again what is missing
    #[arg(long)]
    mend: bool,
    /// Print JSON, with the log ids of up to 1,000 missing records
    #[arg(long)]
    json: bool,
}

/// The output of `--json`.
#[derive(Serialize)]
struct Printed<'a> {
    /// `null` for the oldest record, and for an id that holds no time.
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    audits: &'a [Audited],
}

pub(super) async fn run(given: Given, command: Command) -> Exit {
    let now = clock::system()();
    let stretch = command.ends.stretch(now)?;
    let from = stretch.from.as_ref().and_then(Mark::time);
    let to = stretch.to.time();
    if to.is_none() || stretch.from.is_some() != from.is_some() {
        return Err(misused(format_args!(
            "an audit goes by hours, so --from and --to have to be times, durations or log ids that \
             tell a time"
        )));
    }
    let stopping = signals::stopping(Ending::ReadsNoMore);
    let tenants = tenants(given, None)?;
    tenants.warn_of_policies();
    let (mut apps, mut end) = (Vec::new(), None);
    for layers in tenants.each() {
        let app = layers.map_err(AppError::from).and_then(|layers| {
            let app = App::new(layers, stopping.clone())?;
            Ok((app, layers))
        });
        match app {
            Ok(app) => apps.push(app),
            Err(error) => end = Some(unusable(&error)),
        }
    }
    let audit = Audit {
        stretch: &stretch,
        mends: command.mend,
    };
    let able: Vec<_> = apps.iter().map(|(app, _)| app).collect();
    let each = apps.iter();
    let each = each.map(async |(app, layers)| app.labelled(app.audit(&audit, layers)).await);
    let audits = with_progress(&able, side_by_side(each)).await;
    let audits: Vec<_> = audits.into_iter().flatten().collect();
    if to.is_some_and(|to| now - to < ON_ITS_WAY) {
        note(format_args!(
            "--to is less than {} minutes ago: what is missing at the end may still be on its way",
            ON_ITS_WAY.num_minutes()
        ));
    }
    for audited in &audits {
        comment(audited, command.mend);
    }
    let printed = Printed {
        from,
        to,
        audits: &audits,
    };
    print(&printed, command.json)?;
    if audits.iter().any(|it| it.is_interrupted) {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let is_good = !audits.is_empty() && audits.iter().all(Audited::is_good);
    Ok(ended(end, !audits.is_empty(), exit_code(is_good)))
}

fn print(printed: &Printed<'_>, as_json: bool) -> Result<(), ExitCode> {
    if as_json {
        let json = serde_json::to_string_pretty(printed);
        let json = json.map_err(|error| fail("printing the audit", &error))?;
        show(format_args!("{json}"));
        return Ok(());
    }
    let tables: Vec<_> = printed.audits.iter().filter_map(table).collect();
    if !tables.is_empty() {
        show(format_args!("{}", tables.join("\n\n")));
    }
    Ok(())
}

/// Prints what the table of hours does not show.
fn comment(audited: &Audited, mends: bool) {
    let name = audited.name();
    note_gap(&name, audited.gap);
    if let Some(error) = &audited.error {
        note(format_args!("{name}: {error}"));
    }
    if audited.is_interrupted {
        note(format_args!(
            "{name}: the audit was asked to end, so what follows is not compared"
        ));
    }
    let told = [undated(audited), nowhere(audited), left(audited, mends)];
    for told in told.into_iter().flatten() {
        note(format_args!("{name}: {told}"));
    }
}

fn undated(audited: &Audited) -> Option<String> {
    match audited.undated {
        0 => None,
        count => Some(format!(
            "{count} records have no log id, or one that tells no time; they are not compared"
        )),
    }
}

fn nowhere(audited: &Audited) -> Option<String> {
    let Counts { missing, there, .. } = audited.total;
    if missing == 0 || there > 0 {
        return None;
    }
    Some(format!(
        "none of the {missing} records is there; check that this is where they are delivered"
    ))
}

fn left(audited: &Audited, mends: bool) -> Option<String> {
    let delivered = audited.total.delivered;
    match (audited.left(), mends) {
        (0, _) if delivered == 0 => None,
        (0, _) => Some(format!("{delivered} missing records were delivered again")),
        (left, true) => Some(format!(
            "{left} records are missing and were not delivered again, {delivered} were"
        )),
        (left, false) => Some(format!(
            "{left} records are missing; --mend delivers them again"
        )),
    }
}

/// The hours as a table, if the destination was compared.
fn table(audited: &Audited) -> Option<String> {
    audited.late_by?;
    let has_filtered = audited.total.filtered > 0;
    let row = |name: &str, [at_auth0, there, missing, surplus, late, filtered]: [String; 6]| {
        let filtered = if has_filtered {
            format!("{filtered:>10}")
        } else {
            String::new()
        };
        format!("{name:<20}{at_auth0:>10}{there:>10}{missing:>10}{surplus:>10}{late:>10}{filtered}")
    };
    let numbers = |it: &Counts| {
        let number = |number: u64| number.to_string();
        let late = it.late.map_or("-".to_owned(), number);
        let [at_auth0, there, missing, surplus, filtered] =
            [it.at_auth0, it.there, it.missing, it.surplus, it.filtered].map(number);
        [at_auth0, there, missing, surplus, late, filtered]
    };
    let head = [
        "at Auth0", "there", "missing", "surplus", "late", "filtered",
    ];
    let mut lines = vec![audited.name(), row("hour", head.map(str::to_owned))];
    for hour in &audited.hours {
        lines.push(row(&to_seconds(hour.hour), numbers(&hour.counts)));
    }
    lines.push(row("total", numbers(&audited.total)));
    let ids = audited.hours.iter().flat_map(|it| &it.missing_ids);
    let ids: Vec<_> = ids.take(NAMED).collect();
    lines.extend(ids.iter().map(|id| format!("missing {id}")));
    let more = usize::try_from(audited.total.missing).unwrap_or(usize::MAX) - ids.len();
    if more > 0 {
        lines.push(format!("missing {more} more; --json names up to 1,000"));
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Witness;
    use crate::record::LogId;

    /// An audit with one hour, of which this many records are missing.
    fn audited(missing: u64) -> Audited {
        let mut audited = Audited::of(Some("acme".to_owned()), "archive");
        audited.late_by = Some(Witness::History);
        let counts = Counts {
            at_auth0: missing + 7,
            there: 7,
            missing,
            surplus: 2,
            late: Some(1),
            ..Counts::default()
        };
        let ids = (1_000..1_000 + missing).map(|it| LogId::new(it.to_string()));
        let hour = "2026-11-21T08:00:00Z".parse().unwrap();
        audited.add(hour, counts, ids.collect());
        audited
    }

    #[test]
    fn the_table_names_the_first_hundred_missing_records_and_says_how_many_more_there_are() {
        let lines = |missing| {
            let table = table(&audited(missing)).unwrap();
            table.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(1),
            [
                "acme/archive",
                "hour                  at Auth0     there   missing   surplus      late",
                "2026-11-21T08:00:00Z         8         7         1         2         1",
                "total                        8         7         1         2         1",
                "missing 1000",
            ]
        );
        assert_eq!(lines(100).len(), 4 + 100);
        assert_eq!(lines(100).last().unwrap(), "missing 1099");
        assert_eq!(lines(103).len(), 4 + 100 + 1);
        let more = "missing 3 more; --json names up to 1,000";
        assert_eq!(lines(103).last().unwrap(), more);
    }

    #[test]
    fn what_is_not_known_to_be_late_and_what_a_filter_leaves_out_is_in_the_table() {
        let mut audited = Audited::of(None, "archive");
        assert_eq!(table(&audited), None, "nothing was compared");
        audited.late_by = Some(Witness::Archive);
        audited.total = Counts {
            at_auth0: 3,
            filtered: 3,
            late: None,
            ..Counts::default()
        };
        assert_eq!(
            table(&audited).unwrap(),
            "archive\n\
             hour                  at Auth0     there   missing   surplus      late  filtered\n\
             total                        3         0         0         0         -         3"
        );
    }

    #[test]
    fn what_is_left_is_told_with_what_can_be_done_about_it() {
        for (missing, delivered, mends, told) in [
            (0, 0, false, None),
            (0, 0, true, None),
            (
                3,
                0,
                false,
                Some("3 records are missing; --mend delivers them again"),
            ),
            (3, 3, true, Some("3 missing records were delivered again")),
            (
                3,
                1,
                true,
                Some("2 records are missing and were not delivered again, 1 were"),
            ),
        ] {
            let mut audited = audited(missing);
            audited.total.delivered = delivered;
            assert_eq!(
                left(&audited, mends).as_deref(),
                told,
                "{missing} {delivered}"
            );
        }
    }

    #[test]
    fn a_destination_that_has_none_of_them_may_be_the_wrong_one() {
        let mut audited = audited(3);
        assert_eq!(nowhere(&audited), None);
        audited.total.there = 0;
        let told = "none of the 3 records is there; check that this is where they are delivered";
        assert_eq!(nowhere(&audited).as_deref(), Some(told));
        audited.total.missing = 0;
        assert_eq!(nowhere(&audited), None);
        assert_eq!(undated(&audited), None);
        audited.undated = 2;
        let told = "2 records have no log id, or one that tells no time; they are not compared";
        assert_eq!(undated(&audited).as_deref(), Some(told));
    }
}
