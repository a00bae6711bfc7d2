//! An audit reads a stretch from Auth0 again and compares it with what each destination holds.
//!
//! It works hour by hour, by the time in the log id, so that only one hour's ids are in memory.

mod error;
mod kept;
mod mend;
mod record_store;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use self::error::AuditError;
use self::kept::Kept;
use self::mend::note_set_aside;
use self::record_store::{AuditedHour, RecordStore};
use super::oldest::Oldest;
use super::{App, AppError, Layers, Pipeline, Problems, Route};
use crate::arrival::Table;
use crate::audit::{AtAuth0, Audited, HourWatch, Nameless, Witness};
use crate::auth0::Domain;
use crate::azure::cloud::Cloud;
use crate::clock::{hour, to_seconds};
use crate::destination::Filter;
use crate::error::with_causes;
use crate::net::retry::Deadline;
use crate::record::{LogId, Source as _, texts};
use crate::run::{Mark, Run, Stretch, StretchLedger, Until, Watched};
use crate::state::History;

/// Time limit for reading an hour of an archive, and for bookkeeping.
const ASKING: Duration = Duration::from_mins(10);
const HOUR: TimeDelta = TimeDelta::hours(1);
/// What the settings are needed for, as told in problems.
const COMMAND: &str = "audit";

/// A destination under audit.
struct Target<'a> {
    pipeline: &'a Pipeline,
    route: &'a Route,
    store: RecordStore<'a>,
    /// The runs' counts, if they are the source that tells which records were late.
    history: Option<History>,
    /// The names of its dead letters.
    set_aside: BTreeSet<String>,
    /// How many hours had missing records that could not be delivered again, since the last one that was.
    failed_hours: u32,
    /// Why the missing records of an hour could not be delivered again, if the audit went on. The first reason
    /// counts.
    unmended: Option<String>,
    audited: Audited,
}

/// What to audit.
pub(crate) struct Audit<'a> {
    pub stretch: &'a Stretch,
    /// Whether missing records are delivered again.
    pub mends: bool,
}

impl Layers {
    /// A client of the workspace, in this cloud, whose table a destination of this name fills.
    pub fn table(
        &self,
        destination: &str,
        wanted_by: &'static str,
        cloud: &'static Cloud,
    ) -> Result<Table, AppError> {
        let mut problems = Problems::default();
        let tools = self.tools(&mut problems)?;
        let workspace = self.workspace(destination, wanted_by, cloud, &tools);
        let workspace = problems.note(workspace)?;
        let workspace = workspace.filter(|_| problems.0.is_empty());
        let query = workspace.map(|it| it.query(&tools.http, &tools.jitter));
        let table = query.map(|it| Table::new(it, &tools.clock));
        table.ok_or_else(|| problems.0.into())
    }
}

impl App {
    /// Audits each destination whose records can be queried. The result says which ones cannot.
    pub async fn audit(&self, audit: &Audit<'_>, layers: &Layers) -> Vec<Audited> {
        let mut done = Vec::new();
        let mut targets = Vec::new();
        for pipeline in &self.pipelines {
            match self.target(pipeline, layers) {
                Ok(target) => targets.push(target),
                Err(audited) => done.push(*audited),
            }
        }
        if let Some(route) = targets.first().map(|it| it.route) {
            let _reading = route.source.begin_until(audit.stretch.read_until());
            self.unless_asked_to_end(Box::pin(note_witness(&mut targets)))
                .await;
            if audit.mends {
                self.unless_asked_to_end(Box::pin(note_set_aside(&mut targets)))
                    .await;
            }
            self.audit_all(audit, route, layers, &mut targets).await;
        } else {
            for audited in &mut done {
                audited.is_left_to_another = false;
            }
        }
        done.extend(targets.into_iter().map(Target::end));
        done
    }

    /// A destination, and the store to query for its records.
    fn target<'a>(
        &self,
        pipeline: &'a Pipeline,
        layers: &Layers,
    ) -> Result<Target<'a>, Box<Audited>> {
        let mut audited = Audited::of(self.name.clone(), pipeline.name);
        let route = match &pipeline.route {
            Ok(route) => route,
            Err(problem) => {
                audited.fail(problem.to_string());
                return Err(audited.into());
            }
        };
        let store = match (route.destination.archived(), route.destination.table()) {
            (Some(archived), _) => RecordStore::Archive(archived),
            (None, Some(cloud)) => match layers.table(pipeline.name, COMMAND, cloud) {
                Ok(table) => RecordStore::Table(Box::new(table)),
                Err(problem) => {
                    audited.fail(with_causes(&problem));
                    return Err(audited.into());
                }
            },
            (None, None) => {
                audited.fail(AuditError::Unasked.to_string());
                audited.is_left_to_another = true;
                return Err(audited.into());
            }
        };
        Ok(Target {
            pipeline,
            route,
            store,
            history: None,
            set_aside: BTreeSet::new(),
            failed_hours: 0,
            unmended: None,
            audited,
        })
    }

    async fn audit_all(
        &self,
        audit: &Audit<'_>,
        route: &Route,
        layers: &Layers,
        targets: &mut [Target<'_>],
    ) {
        let now = (self.clock)();
        let stretch = audit.stretch;
        let mut kept = match self
            .unless_asked_to_end(Box::pin(kept(route, stretch, now)))
            .await
        {
            Some(Ok(kept)) => kept,
            Some(Err(error)) => return fail_all(targets, &error),
            None => return interrupt_all(targets),
        };
        note_gap(targets, &kept);
        let filters: Vec<_> = targets.iter().map(|it| &it.route.filter).collect();
        let Some(mut names) = self
            .unless_asked_to_end(Box::pin(names(route, layers)))
            .await
        else {
            return interrupt_all(targets);
        };
        let nameless = Nameless::of(stretch);
        let mut next = hour(kept.begin);
        while kept.begin.max(next) < kept.end {
            let of_hour = AuditedHour {
                hour: next,
                begin: kept.begin.max(next),
                end: kept.end.min(next + HOUR),
            };
            next += HOUR;
            let at_auth0 = if kept.has_any_before(next) {
                self.read_hour(&of_hour, stretch, &targets[0], &filters, &nameless)
                    .await
            } else {
                Ok(Some(AtAuth0::default()))
            };
            match at_auth0 {
                Ok(Some(at_auth0)) => {
                    names.extend(at_auth0.names.iter().cloned());
                    kept.meet(at_auth0.ids().filter_map(LogId::stored_at).min());
                    note_gap(targets, &kept);
                    self.compare(audit, &of_hour, &at_auth0, &names, targets)
                        .await;
                }
                Ok(None) => {}
                Err(error) => return fail_all(targets, &error),
            }
            let is_asked_to_end = *self.stopping.borrow();
            if is_asked_to_end {
                return interrupt_all(targets);
            }
            if targets.iter().all(|it| it.audited.error.is_some()) {
                return;
            }
        }
        for target in targets {
            kept.judge(&mut target.audited);
        }
    }

    /// Reads all records of an hour from Auth0; `None` if the process is asked to stop meanwhile.
    async fn read_hour(
        &self,
        of_hour: &AuditedHour,
        asked: &Stretch,
        Target {
            route, pipeline, ..
        }: &Target<'_>,
        filters: &[&Filter],
        nameless: &Nameless<'_>,
    ) -> Result<Option<AtAuth0>, AuditError> {
        let stretch = Stretch {
            from: Some(Mark::Stored(of_hour.hour)),
            to: Mark::Stored(of_hour.hour + HOUR),
        };
        let source = Until::of(&route.source, &stretch);
        // No record is to be delivered.
        let none = BTreeSet::new();
        let ledger = StretchLedger::new(&stretch, (self.clock)()).only(&none);
        let mut ledger = Watched::new(ledger, HourWatch::new(&stretch, asked, filters));
        let share = self.memory.enter();
        let run = Run {
            filter: &Filter::default(),
            ..self.run(route, &source, nameless, &share, None)
        };
        let report = Box::pin(run.make(&mut ledger, &pipeline.progress)).await;
        let is_asked_to_end = *self.stopping.borrow();
        if report.caught_up || is_asked_to_end {
            let mut found = ledger.end().found;
            found.undated += nameless.end_hour(of_hour.hour + HOUR);
            return Ok(report.caught_up.then_some(found));
        }
        let why = if report.is_success() {
            "the reading ended early".to_owned()
        } else {
            report.errors.join("; ")
        };
        Err(AuditError::Reading {
            hour: to_seconds(of_hour.hour),
            why,
        })
    }

    /// Compares an hour with what each destination holds of it. A destination whose query fails is not
    /// queried again. If the process is asked to stop before all have responded, nothing is compared.
    async fn compare(
        &self,
        audit: &Audit<'_>,
        of_hour: &AuditedHour,
        at_auth0: &AtAuth0,
        names: &BTreeSet<String>,
        targets: &mut [Target<'_>],
    ) {
        let mut late = None;
        let mut found = Vec::new();
        for (number, target) in targets.iter().enumerate() {
            if target.audited.error.is_some() {
                found.push(None);
                continue;
            }
            let stored = target.store.read_hour(of_hour, at_auth0, number);
            let Some(stored) = self.unless_asked_to_end(Box::pin(stored)).await else {
                return;
            };
            found.push(Some(stored.map(|stored| {
                late = late.take().or(stored.late);
                stored.there
            })));
        }
        for ((number, target), there) in targets.iter_mut().enumerate().zip(found) {
            let there = match there {
                Some(Ok(there)) => there,
                Some(Err(error)) => {
                    let (hour, why) = (to_seconds(of_hour.hour), with_causes(&*error));
                    target
                        .audited
                        .fail(AuditError::Asking { hour, why }.to_string());
                    continue;
                }
                None => continue,
            };
            let missing = at_auth0.missing(number, &there);
            let mut counts = at_auth0.compare(number, &there, &missing, names);
            counts.late = match (&late, target.audited.late_by) {
                (Some(late), Some(Witness::Archive)) => Some(at_auth0.count(late)),
                _ => target.missed(of_hour.hour, at_auth0),
            };
            let is_asked_to_end = *self.stopping.borrow();
            if audit.mends && !missing.is_empty() && !is_asked_to_end {
                let mended = self.mend(target, of_hour.hour, &missing).await;
                counts.delivered = mended.delivered;
                target.note_mended(of_hour.hour, mended);
            }
            target.audited.undated += at_auth0.undated;
            target.audited.add(of_hour.hour, counts, missing);
        }
    }
}

impl Target<'_> {
    /// The result.
    fn end(mut self) -> Audited {
        if let Some(unmended) = self.unmended {
            self.audited.fail(unmended);
        }
        self.audited
    }

    /// How many records of an hour came late, according to the runs' counts.
    fn missed(&self, hour: DateTime<Utc>, at_auth0: &AtAuth0) -> Option<u64> {
        if at_auth0.ids().next().is_none() {
            return Some(0);
        }
        self.history.as_ref()?.missed(hour, at_auth0.ids())
    }
}

/// Determines which part of a stretch Auth0 still keeps.
async fn kept(route: &Route, stretch: &Stretch, now: DateTime<Utc>) -> Result<Kept, AuditError> {
    let from = stretch.from.as_ref().and_then(Mark::time);
    match Oldest::ask(&route.source, from, Deadline::after(ASKING)).await {
        Ok(Oldest::Later) if from.is_none() => {
            let why = "the first records have no date; give a time for --from";
            Err(AuditError::Oldest(why.into()))
        }
        Ok(oldest) => Ok(Kept::of(stretch, oldest, now)),
        Err(error) => Err(AuditError::Oldest(with_causes(&error))),
    }
}

/// Chooses the source that tells which records came late: an archive that gets all records, else
/// the history.
async fn note_witness(targets: &mut [Target<'_>]) {
    let gets_all = |it: &Target| it.route.filter == Filter::default();
    let has_archive = targets
        .iter()
        .any(|it| matches!(it.store, RecordStore::Archive(_)) && gets_all(it));
    for target in targets {
        target.audited.late_by = Some(if has_archive {
            Witness::Archive
        } else {
            let history = &target.route.stores.history;
            match history.read(Deadline::after(ASKING)).await {
                Ok(history) => target.history = history,
                Err(error) => warn!("{}: {}", target.audited.name(), with_causes(&error)),
            }
            Witness::History
        });
    }
}

/// The names that this tenant's rows may have: that in its newest record, and the first label of its host.
async fn names(route: &Route, layers: &Layers) -> BTreeSet<String> {
    let deadline = Deadline::after(ASKING);
    let host = layers.read(Domain::read).map(|it| it.name);
    let host = host
        .ok()
        .and_then(|it| Some(it.split('.').next()?.to_owned()));
    let newest = route.source.newest(deadline).await.ok().flatten();
    let record = match newest {
        Some(newest) => route
            .source
            .one(&newest.log_id, deadline)
            .await
            .ok()
            .flatten(),
        None => None,
    };
    let name = record.and_then(|it| {
        let [name] = texts(it.text(), ["tenant_name"]);
        name.map(Cow::into_owned)
    });
    host.into_iter().chain(name).collect()
}

fn note_gap(targets: &mut [Target<'_>], kept: &Kept) {
    for target in targets {
        target.audited.gap = kept.gap;
    }
}

fn interrupt_all(targets: &mut [Target<'_>]) {
    for target in targets {
        target.audited.is_interrupted = true;
    }
}

fn fail_all(targets: &mut [Target<'_>], error: &AuditError) {
    for target in targets {
        target.audited.fail(error.to_string());
    }
}
