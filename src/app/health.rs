//! The stored state of all tenants' runs, for the health functions and commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::layers::Problems;
use super::tenants::Named;
use super::{AppError, Layers, Stores, Tenants};
use crate::arrival;
use crate::clock::Clock;
use crate::destination::{Filter, Kind};
use crate::error::with_causes;
use crate::health::{Evidence, Health};
use crate::net::retry::Deadline;
use crate::pii::{self, Policy as PiiPolicy};
use crate::settings::{SettingsError, UNKNOWN};

/// Time limit for reading the stored state. An answer may take five seconds more. The sum is less than the
/// ten seconds after which Prometheus gives up, by its default: one storage that hangs must not hide what
/// the others hold.
const LOOKING: Duration = Duration::from_secs(3);
/// How long a result is reused, so that frequent requests cost nothing.
const FRESH: Duration = Duration::from_secs(5);
/// Objects read concurrently from one storage. Another storage may hang.
const SIDE_BY_SIDE: usize = 16;

impl Tenants {
    /// The state of each tenant and destination.
    pub async fn health(&self, clock: &Clock) -> Health {
        self.health_for(clock, None).await
    }

    /// The same. If `since` is given, runs have been expected since then.
    async fn health_for(&self, clock: &Clock, since: Option<DateTime<Utc>>) -> Health {
        let deadline = Deadline::after(LOOKING);
        let mut wanted = Vec::new();
        for Named { name, layers } in &self.members {
            match layers {
                Ok(layers) => {
                    let tenant = layers.tenant_name();
                    for (destination, stores) in layers.stores_of_each() {
                        wanted.push(Wanted {
                            tenant: tenant.clone(),
                            destination,
                            stores,
                            obstacles: layers.obstacles(Kind::named(destination)),
                            budget: layers.policy().map(|it| it.budget).unwrap_or_default(),
                        });
                    }
                }
                Err(problem) => wanted.push(Wanted {
                    tenant: name.as_deref().unwrap_or(UNKNOWN).to_owned(),
                    destination: UNKNOWN,
                    stores: Err(Arc::new(problem.clone().into())),
                    obstacles: SettingsError::default(),
                    budget: Duration::ZERO,
                }),
            }
        }
        let mut by_storage: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (place, wanted) in wanted.into_iter().enumerate() {
            let storage = wanted.stores.as_ref().ok().map(|it| it.history.storage());
            let looked = wanted.look(since, deadline);
            let looked = looked.map(move |it| (place, it)).boxed();
            by_storage.entry(storage).or_default().push(looked);
        }
        let each = by_storage.into_values().map(side_by_side);
        let evidence: BTreeMap<_, _> = join_all(each).await.into_iter().flatten().collect();
        Health::judge(evidence.into_values().collect(), clock())
    }
}

/// The results of all this, some of it at a time, in any order: one that takes long holds up none of the
/// others that wait for a place.
async fn side_by_side<T>(work: Vec<impl Future<Output = T>>) -> Vec<T> {
    let work = stream::iter(work).buffer_unordered(SIDE_BY_SIDE);
    work.collect().await
}

impl Layers {
    /// Problems that keep a destination's runs from beginning. Secrets, and settings for an identity
    /// that may be available elsewhere, are not checked: a reader of the state need not have them.
    fn obstacles(&self, kind: Option<&Kind>) -> SettingsError {
        let mut problems = Problems::default();
        // Other errors are reported when the storage is opened.
        let _ = self.tools(&mut problems);
        let mut problems = problems.0;
        let of_kind = kind.and_then(|kind| {
            let read = self.read(|reader| {
                let policy = PiiPolicy::read(reader, kind.pii);
                reader.optional(kind.filter, Filter::read);
                policy
            });
            let named = [kind.filter, kind.pii, pii::SETTINGS[0]];
            Some(read.err()?.about(&named.map(|it| self.settings.told(it))))
        });
        let of_all = [
            self.policy().err(),
            self.read(arrival::timing).err(),
            self.heartbeat().err(),
            self.judge_privacy_names().err(),
            of_kind,
        ];
        for problem in of_all.into_iter().flatten() {
            problems.add(problem);
        }
        problems
    }
}

/// A tenant and destination whose state is wanted.
struct Wanted {
    tenant: String,
    destination: &'static str,
    /// Where its state is stored, or why that is unknown.
    stores: Result<Stores, Arc<AppError>>,
    /// Problems that keep its runs from beginning.
    obstacles: SettingsError,
    /// The time that one run may take.
    budget: Duration,
}

impl Wanted {
    /// Reads what is stored. If `since` is given, runs have been expected since then.
    async fn look(self, since: Option<DateTime<Utc>>, deadline: Deadline) -> Evidence {
        let mut obstacles = self.obstacles;
        let (history, dead_letters) = match self.stores {
            Ok(stores) => {
                let history = match since {
                    // A run that cannot begin is not expected.
                    Some(since) if obstacles.is_empty() => {
                        stores.history.wait(since, deadline).await
                    }
                    _ => stores.history.look(deadline).await,
                };
                let letters = stores.dead_letters.names(deadline).await;
                let history = history.map_err(|error| Some(with_causes(&error)));
                (history, letters.ok().map(|names| names.len()))
            }
            Err(error) => match &*error {
                AppError::Settings(problem) => {
                    obstacles.add(problem.clone());
                    (Err(None), None)
                }
                AppError::Other(error) => (Err(Some(with_causes(&**error))), None),
            },
        };
        Evidence {
            tenant: self.tenant,
            destination: self.destination.to_owned(),
            history,
            obstacle: (!obstacles.is_empty()).then(|| obstacles.to_string()),
            dead_letters,
            budget: self.budget,
        }
    }
}

/// Health, cached for a short time.
pub(crate) struct HealthCache {
    last: Mutex<Option<(Instant, Arc<Health>)>>,
    /// The time since which runs have been expected.
    since: DateTime<Utc>,
}

impl HealthCache {
    /// An empty cache. Runs are expected since then.
    pub fn since(since: DateTime<Utc>) -> Self {
        Self {
            last: Mutex::default(),
            since,
        }
    }

    /// The current health, or a recent one. Concurrent callers wait for the same result.
    pub async fn health(&self, tenants: &Tenants, clock: &Clock) -> Arc<Health> {
        let mut last = self.last.lock().await;
        if let Some((at, health)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(health);
        }
        let health = Arc::new(tenants.health_for(clock, Some(self.since)).await);
        *last = Some((Instant::now(), Arc::clone(&health)));
        health
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use chrono::TimeDelta;
    use tokio::sync::watch;

    use super::*;
    use crate::app::{LazyApp, Purpose};
    use crate::health::State;
    use crate::host::Views as _;
    use crate::net::retry::Jitter;

    /// A tenant whose state is in this folder, with additional settings.
    fn layers(folder: &tempfile::TempDir, more: &[(&str, &str)], clock: Clock) -> Layers {
        let settings = [
            ("DOMAIN", "acme.eu.auth0.com"),
            ("CHECKPOINT_DIR", folder.path().to_str().unwrap()),
        ];
        let settings = settings.iter().chain(more).copied().collect();
        Layers::new(settings, Purpose::Host, clock, Jitter::seeded(1))
    }

    #[tokio::test]
    async fn what_has_not_run_a_quarter_of_an_hour_after_the_start_needs_somebody_to_look() {
        let folder = tempfile::tempdir().unwrap();
        let at = |minute: u32| format!("2026-11-21T08:{minute:02}:00Z").parse().unwrap();
        let clock = |minute| -> Clock { Arc::new(move || at(minute)) };
        let layers = layers(&folder, &[], clock(0));
        let tenants = Tenants::read(&layers);
        for (minute, state) in [(14, State::NeverRan), (15, State::Stale)] {
            let cache = HealthCache::since(at(0));
            let health = cache.health(&tenants, &clock(minute)).await;
            assert_eq!(health.state, state);
            assert_eq!(health.pipelines[0].state, state);
        }
    }

    /// A run writes that it lives at its end only.
    #[tokio::test]
    async fn a_run_that_may_take_long_is_waited_for_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let at = |minute: u32| format!("2026-11-21T08:{minute:02}:00Z").parse().unwrap();
        for (budget, minute, state) in [
            ("1m", 14, State::NeverRan),
            ("1m", 15, State::Stale),
            ("4m", 15, State::Stale),
            ("9m", 19, State::NeverRan),
            ("9m", 20, State::Stale),
        ] {
            let clock: Clock = Arc::new(move || at(minute));
            let layers = layers(&folder, &[("RUN_BUDGET", budget)], clock.clone());
            let tenants = Tenants::read(&layers);
            let health = HealthCache::since(at(0)).health(&tenants, &clock).await;
            assert_eq!(health.state, state, "{budget}, {minute}");
        }
    }

    /// Without requests the platform ends the process, and the next request starts another one.
    #[tokio::test]
    async fn what_has_not_run_is_told_however_young_the_process_that_looks_is() {
        let folder = tempfile::tempdir().unwrap();
        for (minute, state, status) in [
            (0, State::NeverRan, 200),
            (14, State::NeverRan, 200),
            (15, State::Stale, 503),
        ] {
            let now = format!("2026-11-21T08:{minute:02}:00Z").parse().unwrap();
            let clock: Clock = Arc::new(move || now);
            let layers = layers(&folder, &[], clock.clone());
            let app = LazyApp::new(layers.clone(), watch::channel(false).1);
            let page = app.view("").await.unwrap().unwrap();
            assert_eq!(page.status, status, "{minute}: {}", page.body);
            // A process that only reads the stored state reports the same.
            let health = Tenants::read(&layers).health(&clock).await;
            assert_eq!(health.state, state, "{minute}");
        }
    }

    /// The same process, older than the stored state.
    #[tokio::test]
    async fn a_process_waits_since_it_was_started_and_not_since_somebody_looked() {
        let folder = tempfile::tempdir().unwrap();
        let minute = Arc::new(AtomicI64::new(0));
        let begin: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
        let clock: Clock = Arc::new({
            let minute = Arc::clone(&minute);
            move || begin + TimeDelta::minutes(minute.load(Ordering::Relaxed))
        });
        let layers = layers(&folder, &[], clock);
        let app = LazyApp::new(layers, watch::channel(false).1);
        minute.store(15, Ordering::Relaxed);
        let page = app.view("").await.unwrap().unwrap();
        assert_eq!(page.status, 503, "{}", page.body);
    }

    /// The run is not to blame for not beginning. Once the settings are good, it gets its full time.
    #[tokio::test]
    async fn no_run_is_waited_for_that_cannot_begin() {
        let folder = tempfile::tempdir().unwrap();
        let health = async |minute: u32, more: &[(&str, &str)]| {
            let now = format!("2026-11-21T08:{minute:02}:00Z").parse().unwrap();
            let clock: Clock = Arc::new(move || now);
            let tenants = Tenants::read(&layers(&folder, more, clock.clone()));
            HealthCache::since(now).health(&tenants, &clock).await.state
        };
        assert_eq!(health(0, &[("OVERLAP", "long")]).await, State::Failing);
        assert_eq!(health(20, &[]).await, State::NeverRan);
    }

    /// What it withholds would be sent, so no run begins, also where a name differs only by its case.
    #[tokio::test]
    async fn a_setting_of_personal_data_that_is_not_read_is_told_before_a_run_fails() {
        let folder = tempfile::tempdir().unwrap();
        let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
        let more = [("pii_log_analytics", "ip:truncate")];
        let tenants = Tenants::read(&layers(&folder, &more, clock.clone()));
        let health = tenants.health(&clock).await;
        assert_eq!(health.state, State::Failing);
        assert!(health.is_unusable);
    }

    #[tokio::test]
    async fn dead_letters_that_cannot_be_listed_are_not_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let letters = folder.path().join("dead-letter/acme.eu.auth0.com");
        let count = async || {
            let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
            let tenants = Tenants::read(&layers(&folder, &[], clock.clone()));
            tenants.health(&clock).await.pipelines[0].dead_letters
        };
        assert_eq!(count().await, Some(0));
        std::fs::create_dir_all(&letters).unwrap();
        std::fs::write(letters.join("log-analytics"), "no folder").unwrap();
        assert_eq!(count().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn however_often_somebody_looks_the_storage_is_asked_once_in_five_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let clock: Clock = Arc::new(|| "2026-11-21T08:00:00Z".parse().unwrap());
        let layers = layers(&folder, &[], clock.clone());
        let tenants = Tenants::read(&layers);
        let cache = HealthCache::since(clock());
        let mut last = None;
        let mut asked_at = Vec::new();
        for second in 0..=11 {
            let answer = cache.health(&tenants, &clock).await;
            // Another object means that the storage was read again.
            if last.as_ref().is_none_or(|it| !Arc::ptr_eq(it, &answer)) {
                asked_at.push(second);
            }
            last = Some(answer);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(asked_at, [0, 5, 10]);
    }

    /// For example, one destination has so many dead letters that listing them takes all the time.
    #[tokio::test(start_paused = true)]
    async fn what_takes_long_to_read_holds_up_nothing_else_of_its_storage() {
        let start = Instant::now();
        let work = (0..100).map(|number| async move {
            let takes = Duration::from_secs(if number == 3 { 9 } else { 0 });
            tokio::time::sleep(takes).await;
            (number, start.elapsed().as_secs())
        });
        let done = side_by_side(work.collect()).await;
        let late: Vec<_> = done.iter().filter(|(_, at)| *at > 0).collect();
        assert_eq!(late, [&(3, 9)]);
        assert_eq!(done.len(), 100);
    }

    /// For so long, by its default.
    const PROMETHEUS_WAITS: Duration = Duration::from_secs(10);

    /// One tenant may use a different storage than the others.
    #[tokio::test(start_paused = true)]
    async fn a_storage_that_hangs_hides_the_state_of_no_other_tenant() {
        let folder = tempfile::tempdir().unwrap();
        let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let account = format!(
            "AccountName=a;AccountKey=a2V5;BlobEndpoint=http://{}/a;",
            hangs.local_addr().unwrap()
        );
        let names: Vec<_> = (0..2 * SIDE_BY_SIDE).map(|it| format!("t{it}")).collect();
        let hosts: Vec<_> = names
            .iter()
            .map(|it| (format!("{it}__DOMAIN"), format!("{it}.eu.auth0.com")))
            .collect();
        let list = names.join(",");
        let mut more = vec![("TENANTS", &*list), ("t0__AzureWebJobsStorage", &account)];
        more.extend(hosts.iter().map(|(name, host)| (&**name, &**host)));
        let clock = crate::clock::system();
        let began = Instant::now();
        let health = Tenants::read(&layers(&folder, &more, clock.clone()))
            .health(&clock)
            .await;
        assert!(began.elapsed() < PROMETHEUS_WAITS);
        let states = health.pipelines.iter().map(|it| (&*it.tenant, it.state));
        let told: Vec<_> = states.collect();
        let expected = names.iter().enumerate().map(|(n, name)| match n {
            0 => (&**name, State::Failing),
            _ => (&**name, State::NeverRan),
        });
        assert_eq!(told, expected.collect::<Vec<_>>());
    }
}
