//! What a seed determines before the first run: the settings, the tenant's log, and the faults.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use fastrand::Rng;

use super::world::{EIGHT, Fact, Odds, Plan, RETENTION, at};
use crate::destination::Limits;
use crate::record::{LogId, Record, StartFrom};
use crate::run::Policy;

/// A phase of the tenant's life.
pub(super) struct Phase {
    /// The time between two runs.
    pub pause: Duration,
    pub runs: u32,
}

/// Everything that a seed determines before the first run.
pub(super) struct Script {
    pub plan: Plan,
    pub facts: BTreeMap<LogId, Fact>,
    pub phases: Vec<Phase>,
    pub crash_chance: f64,
    pub twin_chance: f64,
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

fn seconds(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_secs(rng.u64(range))
}

impl Script {
    pub fn of(seed: u64, is_traced: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_calm = rng.u8(..5) == 0;
        let odds = std::array::from_fn(|_| {
            let mut chance = || match (is_calm, rng.u8(..4)) {
                (false, 0) => pick(&mut rng, &[0.02, 0.1, 0.3]),
                _ => 0.0,
            };
            Odds {
                fails: chance(),
                loses_answer: chance(),
                delays: chance(),
                hangs: chance() / 4.0,
                oddity: chance() / 2.0,
            }
        });
        let start_from = match rng.u8(..3) {
            0 => StartFrom::Oldest,
            1 => StartFrom::Ago(seconds(&mut rng, 0..7_200)),
            _ => StartFrom::At(EIGHT - seconds(&mut rng, 0..7_200)),
        };
        let policy = Policy {
            start_from,
            overlap: pick(&mut rng, &[10, 60, 120].map(Duration::from_secs)),
            budget: pick(&mut rng, &[30, 100, 240].map(Duration::from_secs)),
        };
        let phases = phases(&mut rng);
        let has_bad_records = rng.bool();
        let facts = facts(&mut rng, &phases, policy.overlap, has_bad_records);
        let (facts, has_prefixes) = with_other_ids(seed, facts);
        let refused_from = EIGHT + seconds(&mut rng, 0..900);
        // Shorter than the time for which a few isolated records are retried. So no good record may
        // become a dead letter, unless bad ones were refused before it.
        let refused_for = match (has_bad_records, rng.u8(..4)) {
            (false, 0) => seconds(&mut rng, 60..3_000),
            _ => Duration::ZERO,
        };
        let has_short_pages = rng.u8(..3) == 0;
        Self {
            plan: Plan {
                seed,
                is_traced,
                policy,
                odds,
                limits: Limits {
                    rows: pick(&mut rng, &[3, 10, 100, 1_000]),
                    bytes: pick(&mut rng, &[600, 60_000]),
                    per_row: 1,
                    per_delivery: 1,
                    side_by_side: 4,
                },
                page: pick(&mut rng, &[5, 20, 100]),
                has_short_pages,
                has_prefixes,
                rejects_unknown: rng.bool(),
                takes_at_most: pick(&mut rng, &[2, 20, 1_000, 1_000]),
                refuses_all: refused_from..refused_from + refused_for,
            },
            facts,
            phases,
            crash_chance: if is_calm {
                0.0
            } else {
                pick(&mut rng, &[0.0, 0.0, 0.1, 0.5])
            },
            twin_chance: if is_calm {
                0.0
            } else {
                pick(&mut rng, &[0.0, 0.0, 0.3])
            },
        }
    }
}

fn phases(rng: &mut Rng) -> Vec<Phase> {
    let mut phases = Vec::new();
    for _ in 0..rng.u32(1..4) {
        phases.push(Phase {
            pause: seconds(rng, 1..90),
            runs: rng.u32(3..12),
        });
        match rng.u8(..6) {
            // A pause without runs, possibly longer than the retention.
            0 => phases.push(Phase {
                pause: seconds(rng, 3_600..180_000),
                runs: 1,
            }),
            // A time with little activity.
            1 => phases.push(Phase {
                pause: seconds(rng, 1_800..5_000),
                runs: rng.u32(1..40),
            }),
            _ => {}
        }
    }
    phases
}

/// The records of the tenant's life, from two hours before the first run.
fn facts(
    rng: &mut Rng,
    phases: &[Phase],
    overlap: Duration,
    has_bad_records: bool,
) -> BTreeMap<LogId, Fact> {
    let mut stretches = vec![(at("06:00:00"), Duration::from_hours(2))];
    let mut time = EIGHT;
    for phase in phases {
        let length = phase.pause * phase.runs;
        stretches.push((time, length));
        time += length;
    }
    let mut facts = BTreeMap::new();
    let is_lively = rng.bool();
    let has_old_dates = rng.u8(..4) == 0;
    for (from, length) in stretches {
        // Without records, a cursor can grow old.
        let bursts = if rng.u8(..4) == 0 { 0 } else { rng.u32(1..12) };
        for _ in 0..bursts {
            let length = u64::try_from(length.as_micros()).unwrap();
            let burst = from + Duration::from_micros(rng.u64(..length));
            let width = pick(rng, &[1, 1_000, 2_000_000]);
            let most = if is_lively { 40 } else { 4 };
            for _ in 0..rng.u32(1..most) {
                let stored = burst + Duration::from_micros(rng.u64(..width));
                let fact = fact(rng, stored, overlap, has_old_dates);
                facts.insert(fact.record.log_id.clone(), fact);
            }
        }
    }
    if has_bad_records {
        // So few that the destination never seems to refuse everything.
        for _ in 0..rng.usize(..8).min(facts.len()) {
            let bad = rng.usize(..facts.len());
            let fact = facts.values_mut().nth(bad).unwrap();
            fact.is_poison = rng.bool();
            fact.is_unfit = !fact.is_poison;
        }
    }
    facts
}

/// In some seeds the tenant changes its prefix or alternates between two, and in some there is an
/// impossible id. Everything else is the same as without.
fn with_other_ids(seed: u64, facts: BTreeMap<LogId, Fact>) -> (BTreeMap<LogId, Fact>, bool) {
    let mut rng = Rng::with_seed(seed ^ 0x1D5);
    let (moves, mixes) = (rng.u8(..8) == 0, rng.u8(..8) == 0);
    let is_strange = rng.u8(..8) == 0;
    let moves_at = rng.usize(..=facts.len());
    let strange = rng.usize(..facts.len().max(1));
    let others = pick(&mut rng, &[["800", "900"], ["900", "800"]]);
    let rename = |(number, mut fact): (usize, Fact)| {
        let old = fact.record.log_id.as_str();
        let is_second = moves && number >= moves_at || mixes && rng.bool();
        let prefix = others[usize::from(is_second)];
        let id = if is_strange && number == strange {
            let begin = pick(&mut rng, &["90120200101", "90099991231"]);
            format!("{begin}{}", &old[11..])
        } else if moves || mixes {
            format!("{prefix}{}", &old[3..])
        } else {
            old.to_owned()
        };
        fact.record.log_id = LogId::new(id);
        fact.record.json = Bytes::from(fact.record.log_id.to_string());
        (fact.record.log_id.clone(), fact)
    };
    let facts = facts.into_values().enumerate().map(rename).collect();
    (facts, moves || mixes)
}

fn fact(rng: &mut Rng, stored: DateTime<Utc>, overlap: Duration, has_old_dates: bool) -> Fact {
    let time = stored.format("%Y%m%d%H%M%S%6f");
    let log_id = LogId::new(format!("900{time}{:033}", rng.u64(..)));
    let date = stored - Duration::from_millis(rng.u64(..=5_000));
    // Some records are stored long after they happened.
    let date = if has_old_dates && rng.u8(..4) == 0 {
        date - seconds(rng, 60..36_000)
    } else {
        date
    };
    let lateness = match rng.u8(..4) {
        0 => Duration::from_micros(rng.u64(..u64::try_from(overlap.as_micros()).unwrap())),
        _ => Duration::ZERO,
    };
    Fact {
        record: Record {
            json: Bytes::from(log_id.to_string()),
            log_id,
            date: Some(date),
        },
        stored_at: stored,
        expires_at: stored + RETENTION,
        visible_at: stored + lateness,
        is_poison: false,
        is_unfit: false,
        landed: 0,
        is_dead: false,
    }
}
