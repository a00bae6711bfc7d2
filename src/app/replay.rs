//! Sends a stretch of the log again, from Auth0 or from an archive.

mod archive_source;
mod dry_run;
mod origin;
mod pieces;

use chrono::{DateTime, Utc};
use tracing::warn;

use self::archive_source::ArchiveSource;
use self::dry_run::{Dry, Letters};
pub(crate) use self::origin::Origin;
use self::pieces::Pieces;
use super::oldest::Oldest;
use super::{App, Layers, Pipeline, Route};
use crate::auth0::LogReader;
use crate::destination::{Destination, Filter};
use crate::net::retry::Deadline;
use crate::record::{Source, SourceError};
use crate::report::{Gap, Report};
use crate::run::{Mark, NO_END, Run, Stretch, StretchLedger, Tally, Until};

/// Whether Auth0 has dropped the beginning of the stretch is not known.
#[derive(Debug, thiserror::Error)]
#[error("whether Auth0 has dropped the beginning of the stretch is not known")]
struct OldestUnknown(#[source] SourceError);

/// What to send again, and how.
pub(crate) struct Replay<'a> {
    pub stretch: Stretch,
    /// Replaces the destination's own filter.
    pub filter: Option<Filter>,
    /// Where records are read from, if not from Auth0.
    pub source: Option<&'a dyn Destination>,
    /// Whether nothing is sent.
    pub is_dry: bool,
}

/// There is more than one destination, or none that works.
#[derive(Debug, thiserror::Error)]
#[error("a replay is for one destination, whose settings are good")]
pub(crate) struct NotOne;

impl Layers {
    /// The same layers, for commands that read nothing from Auth0.
    pub fn without_auth0(&self) -> Self {
        Self {
            is_auth0_read: false,
            ..self.clone()
        }
    }
}

impl App {
    /// Sends a stretch again to the only destination.
    pub async fn replay(&self, replay: &Replay<'_>) -> Result<Report, NotOne> {
        let [pipeline] = &self.pipelines[..] else {
            return Err(NotOne);
        };
        let route = pipeline.route.as_ref().map_err(|_| NotOne)?;
        // Shared by all pieces, because records tried beyond a refused batch may belong to a later piece.
        let mut ledger = StretchLedger::new(&replay.stretch, (self.clock)());
        let archived = replay.source.and_then(|it| it.archived());
        if let Some(archived) = archived {
            let archive = ArchiveSource::new(archived, &replay.stretch, (self.clock)());
            let source = Pieces::of(&archive);
            let mut tally = Tally::default();
            let mut next = async || {
                let whole = Some(&mut tally);
                self.replay_from(&source, replay, pipeline, route, &mut ledger, whole)
                    .await
            };
            let mut report = next().await;
            while report.caught_up && source.goes_on() {
                report.go_on_with(next().await);
            }
            tally.judge(&mut report);
            let has_none = report.caught_up && report.fetched == report.before_start;
            report.gap = whole(&replay.stretch).filter(|_| has_none);
            return Ok(report);
        }
        let _reading = route.source.begin_until(replay.stretch.read_until());
        let asked_before = route.source.requests();
        let gap = dropped(&pipeline.label, &route.source, &replay.stretch);
        let gap = self.unless_asked_to_end(Box::pin(gap)).await;
        let source = Until::of(&route.source, &replay.stretch);
        let mut report = self
            .replay_from(&source, replay, pipeline, route, &mut ledger, None)
            .await;
        let gap = match gap.transpose() {
            Ok(gap) => gap.flatten(),
            Err(error) => {
                if report.is_success() {
                    report.fail(&OldestUnknown(error));
                }
                None
            }
        };
        let rate_limit = self.tenant.rate_limit();
        Ok(Report {
            gap,
            rate_limit,
            requests: route.source.requests() - asked_before,
            ..report
        })
    }

    async fn replay_from(
        &self,
        source: &impl Source,
        replay: &Replay<'_>,
        pipeline: &Pipeline,
        route: &Route,
        ledger: &mut StretchLedger<'_>,
        whole: Option<&mut Tally>,
    ) -> Report {
        let destination: &dyn Destination = &*route.destination;
        let dry = Dry(destination);
        let letters = Letters {
            kept: &route.stores.dead_letters,
            is_dry: replay.is_dry,
        };
        let share = self.memory.enter();
        let run = Run {
            destination: if replay.is_dry { &dry } else { destination },
            filter: replay.filter.as_ref().unwrap_or(&route.filter),
            ..self.run(route, source, &letters, &share, None)
        };
        let report = run.make_piece(ledger, &pipeline.progress, whole);
        let report = Box::pin(report).await;
        self.signed(report, pipeline)
    }
}

/// The part at the beginning of a stretch that Auth0 has dropped, as far as is known: there may
/// have been no records.
async fn dropped(
    name: &str,
    source: &LogReader,
    stretch: &Stretch,
) -> Result<Option<Gap>, SourceError> {
    let from = stretch.from.as_ref().and_then(Mark::time);
    // As much time as the replay has: a lockout that it waits for must not fail it here.
    let oldest = Oldest::ask(source, from, Deadline::after(NO_END)).await;
    Ok(match oldest {
        Ok(Oldest::At(date)) => before(date, stretch),
        Ok(Oldest::None) => whole(stretch),
        Ok(Oldest::Later) if from.is_some() => {
            warn!(
                "{name}: Auth0 has no record as old as the beginning, and the oldest one does not tell \
                 how far that goes: some of the stretch may have been dropped"
            );
            None
        }
        Ok(Oldest::Later | Oldest::NotLater) => None,
        // Nothing is missing of a stretch that begins with the oldest record.
        Err(_) if from.is_none() => None,
        Err(error) => return Err(error),
    })
}

/// The part of a stretch before Auth0's oldest record.
fn before(oldest: DateTime<Utc>, stretch: &Stretch) -> Option<Gap> {
    let from = stretch.from.as_ref().and_then(Mark::time);
    let to = stretch.to.time().map_or(oldest, |to| oldest.min(to));
    (from? < to).then_some(Gap { from, to })
}

/// The gap if there are no records in the whole stretch; `None` if its end has no time.
fn whole(stretch: &Stretch) -> Option<Gap> {
    Some(Gap {
        from: stretch.from.as_ref().and_then(Mark::time),
        to: stretch.to.time()?,
    })
}

#[cfg(test)]
mod tests;
