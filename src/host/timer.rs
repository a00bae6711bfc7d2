//! The timer function: makes runs, and responds with their reports. Where runs come from is passed
//! in. The binding's data is not used, because a run takes its input from the checkpoint.

use futures_util::future::BoxFuture;
use serde_json::Map;
use tokio::sync::Mutex;
use tracing::{error, info};

use super::gist::gist;
use super::protocol::{Completion, Function, Invocation};
use crate::error::BoxError;
use crate::report::Report;

/// The function's name: the folder that holds its `function.json`.
pub(crate) const TIMER: &str = "Auth0Poller";

/// Makes the timer's runs.
pub(crate) trait Runs: Send + Sync + 'static {
    /// Makes one run for each destination. An error means that none could begin.
    fn run(&self) -> BoxFuture<'_, Result<Vec<Report>, BoxError>>;
}

/// The timer function.
///
/// The host fires a timer only once at a time, but the portal's *Run now* may overlap: an
/// invocation during a run does nothing, and says so.
pub(crate) struct Timer<R> {
    run: R,
    /// Locked by the current run.
    at_work: Mutex<()>,
}

impl<R: Runs> Timer<R> {
    /// A timer for these runs.
    pub fn new(run: R) -> Self {
        Self {
            run,
            at_work: Mutex::default(),
        }
    }

    async fn fire(&self) -> Result<Completion, BoxError> {
        let Ok(_at_work) = self.at_work.try_lock() else {
            let report = Report {
                busy: true,
                ..Report::default()
            };
            return answer(&[report]);
        };
        let reports = self.run.run().await?;
        log(&reports);
        answer(&reports)
    }
}

impl<R: Runs> Function for Timer<R> {
    fn invoke(&self, _: Invocation) -> BoxFuture<'_, Result<Completion, BoxError>> {
        Box::pin(self.fire())
    }
}

/// Logs the reports of a failure, because the host discards its response. For a success the host
/// logs the response's lines itself.
fn log(reports: &[Report]) {
    if reports.iter().all(Report::is_success) {
        return;
    }
    for report in reports.iter().filter(|it| !is_one_of_many(it)) {
        let json = serde_json::to_string(report).unwrap_or_else(|_| report.to_string());
        info!("report {json}");
        for error in &report.errors {
            error!("{}: {error}", report.name());
        }
    }
}

/// The response: always a list of reports.
fn answer(reports: &[Report]) -> Result<Completion, BoxError> {
    Ok(Completion {
        failures: failures(reports),
        outputs: Map::new(),
        logs: lines(reports),
        return_value: serde_json::to_value(reports)?,
    })
}

/// An error, or several with the same gist.
struct Told<'a> {
    gist: String,
    /// The whole error; `None` if these differ.
    whole: Option<&'a str>,
    /// Whose it is, each time.
    names: Vec<String>,
}

/// The errors, each with the names that it concerns. An error of several is listed once.
fn failures(reports: &[Report]) -> Vec<String> {
    let mut told: Vec<Told> = Vec::new();
    for report in reports {
        for error in &report.errors {
            let gist = gist(error);
            match told.iter_mut().find(|it| it.gist == gist) {
                Some(same) => {
                    same.names.push(report.name());
                    same.whole = same.whole.filter(|it| it == error);
                }
                None => told.push(Told {
                    gist,
                    whole: Some(error),
                    names: vec![report.name()],
                }),
            }
        }
    }
    let of = |Told { gist, whole, names }: Told| {
        let error = whole.unwrap_or(&gist);
        let mut whose = names.clone();
        whose.sort_unstable();
        whose.dedup();
        match &whose[..] {
            // An error repeated by one name is counted in the reason phrase.
            [name] => names.iter().map(|_| format!("{name}: {error}")).collect(),
            [name, other] => vec![format!("{name} and {other}: {error}")],
            _ => {
                let more = whose.len() - 1;
                vec![format!("{} and {more} more: {error}", names[0])]
            }
        }
    };
    told.into_iter().flat_map(of).collect::<Vec<String>>()
}

/// One line per report, or a single line if no report has news. Among several tenants, reports
/// without news are only counted.
fn lines(reports: &[Report]) -> Vec<String> {
    let (many, told): (Vec<_>, Vec<_>) = reports.iter().partition(|it| is_one_of_many(it));
    let mut lines: Vec<_> = told.iter().map(ToString::to_string).collect();
    if told.iter().all(|it| it.is_quiet()) && !lines.is_empty() {
        lines = vec![lines.join(" | ")];
    }
    match &many[..] {
        [] => {}
        [one] => lines.push(one.to_string()),
        many => lines.push(format!("nothing new in {} runs; caught up", many.len())),
    }
    lines
}

/// Whether this is one of several tenants, and its report has no news: there may be hundreds.
fn is_one_of_many(report: &Report) -> bool {
    let is_all_there = report.arrival.is_none_or(|it| it.missing == 0);
    report.tenant.is_some() && report.is_quiet() && is_all_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Arrival;

    #[test]
    fn what_is_wrong_with_several_is_said_once() {
        let report = |tenant: &str, destination: &str, errors: &[&str]| Report {
            tenant: Some(tenant.to_owned()),
            errors: errors.iter().map(|it| (*it).to_owned()).collect(),
            ..Report::of(destination)
        };
        let told = failures(&[
            report("b", "archive", &["storage", "key"]),
            report("c", "archive", &["key"]),
            report("a", "archive", &["key"]),
            report("a", "tinybird", &["quota"]),
            report("a", "tinybird", &["quota"]),
            report("d", "archive", &["token"]),
            report("d", "tinybird", &["token"]),
            report("d", "tinybird", &[]),
        ]);
        assert_eq!(
            told,
            [
                "b/archive: storage",
                "b/archive and 2 more: key",
                "a/tinybird: quota",
                "a/tinybird: quota",
                "d/archive and d/tinybird: token",
            ]
        );
    }

    /// They differ in how often was tried, and in the object.
    #[test]
    fn what_is_the_same_fault_is_said_once() {
        let report = |tenant: &str, errors: &[&str]| Report {
            tenant: Some(tenant.to_owned()),
            errors: errors.iter().map(|it| (*it).to_owned()).collect(),
            ..Report::of("archive")
        };
        let told = failures(&[
            report("a", &["away (tried 3 times in 0.8 s): no route"]),
            report("b", &["reading https://x.example/b/1.json: no"]),
            report("c", &["away (tried 2 times in 0.7 s): no route"]),
            report("d", &["away (tried 3 times in 0.8 s): no route"]),
            report("d", &["away: no answer"]),
            report("e", &["reading https://x.example/e/1.json: no"]),
            report(
                "f",
                &[
                    "full (tried 3 times in 1.0 s)",
                    "full (tried 3 times in 1.1 s)",
                ],
            ),
        ]);
        assert_eq!(
            told,
            [
                "a/archive and 2 more: away: no route",
                "b/archive and e/archive: reading https://x.example/...: no",
                "d/archive: away: no answer",
                "f/archive: full",
                "f/archive: full",
            ]
        );
    }

    #[test]
    fn of_several_tenants_one_whose_rows_are_missing_has_a_line_although_nothing_is_new() {
        let quiet = |tenant: &str, missing| Report {
            tenant: Some(tenant.to_owned()),
            caught_up: true,
            arrival: Some(Arrival {
                accepted: 40,
                landed: 40 - missing,
                missing,
                looked_at: Some("2026-11-21T07:30:00Z".parse().unwrap()),
            }),
            ..Report::of("log-analytics")
        };
        let reports = [quiet("a", 0), quiet("b", 2), quiet("c", 0)];
        assert_eq!(
            lines(&reports),
            [
                "b/log-analytics: 0 records delivered; caught up; 38 of 40 landed, 2 missing at \
                 2026-11-21T07:30:00Z",
                "nothing new in 2 runs; caught up",
            ]
        );
    }
}
