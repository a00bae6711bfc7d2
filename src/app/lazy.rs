//! The app for the host's functions, built at the first invocation or earlier.
//!
//! The host waits for the listener, so nothing slow, such as reading the system's certificates, may
//! come before it. And invocations need a response even if the settings are unusable.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tracing::{error, warn};

use super::health::HealthCache;
use super::{AppError, Apps, Layers, Tenants};
use crate::error::BoxError;
use crate::health::{STYLE_HASH, metrics, page};
use crate::host::{Runs, Views, Webpage};
use crate::report::Report;

/// The app for these settings, whether they are good or bad.
#[derive(Clone)]
pub(crate) struct LazyApp(Arc<Parts>);

struct Parts {
    layers: Layers,
    /// The tenants in the settings, which do not change.
    tenants: OnceLock<Tenants>,
    /// The app as it was built last.
    made: Mutex<Option<Arc<Apps>>>,
    health: HealthCache,
    stopping: watch::Receiver<bool>,
}

impl LazyApp {
    pub fn new(layers: Layers, stopping: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Parts {
            health: HealthCache::since(layers.now()),
            layers,
            tenants: OnceLock::new(),
            made: Mutex::default(),
            stopping,
        }))
    }

    /// Builds the app, and logs unusable settings before the first invocation does.
    pub async fn prepare(self) {
        self.0.layers.warn_of_misspelt();
        let apps = self.made().await;
        let tenants = self.tenants().each().flatten();
        let problems: BTreeSet<_> = tenants.filter_map(Layers::without_pseudonyms).collect();
        for problem in problems {
            warn!("{problem}");
        }
        self.tenants().warn_of_policies();
        match apps.problem() {
            Some(AppError::Settings(problem)) => error!("every invocation will fail: {problem}"),
            Some(AppError::Other(problem)) => {
                error!("invocations fail until this passes: {problem}");
            }
            None => {
                for (label, problem) in apps.unable() {
                    error!("{label} will fail at every invocation: {problem}");
                }
            }
        }
    }

    fn tenants(&self) -> &Tenants {
        let Parts {
            layers, tenants, ..
        } = &*self.0;
        tenants.get_or_init(|| Tenants::read(layers))
    }

    /// Returns or builds the app. What cannot work is built again each time, because the reason may pass:
    /// unreadable certificates, or a `START_FROM` in the future. The whole app is replaced only if the
    /// reasons differ, because the known one remembers more, such as runs that could not be written.
    async fn made(&self) -> Arc<Apps> {
        let Parts { made, stopping, .. } = &*self.0;
        let mut made = made.lock().await;
        if let Some(made) = &*made
            && made.again(self.tenants(), stopping) == made.unable()
        {
            return Arc::clone(made);
        }
        let apps = Apps::of(self.tenants(), stopping);
        Arc::clone(made.insert(Arc::new(apps)))
    }

    async fn run_all(&self) -> Result<Vec<Report>, AppError> {
        let apps = self.made().await;
        let reports = apps.run_in_rounds().await;
        match apps.problem() {
            None => Ok(reports),
            Some(problem) => Err(problem),
        }
    }
}

impl Runs for LazyApp {
    fn run(&self) -> BoxFuture<'_, Result<Vec<Report>, BoxError>> {
        Box::pin(async move { Ok(self.run_all().await?) })
    }
}

impl Views for LazyApp {
    fn view<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Webpage>, BoxError>> {
        Box::pin(async move {
            if !["", "metrics", "page"].contains(&name) {
                return Ok(None);
            }
            let layers = &self.0.layers;
            let health = self.0.health.health(self.tenants(), &layers.clock).await;
            let status = if health.state.is_alarming() { 503 } else { 200 };
            let json = "application/json; charset=utf-8";
            Ok(Some(match name {
                "metrics" => Webpage {
                    status: 200,
                    content_type: "text/plain; version=0.0.4; charset=utf-8",
                    policy: None,
                    body: metrics(&health),
                },
                "page" => Webpage {
                    status: 200,
                    content_type: "text/html; charset=utf-8",
                    policy: Some(["style-src 'sha256-", STYLE_HASH, "'"].concat()),
                    body: page(&health),
                },
                _ => Webpage {
                    status,
                    content_type: json,
                    policy: None,
                    body: serde_json::to_string(&*health)?,
                },
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::app::Purpose;
    use crate::clock::Clock;
    use crate::net::retry::Jitter;

    /// A day passes when `is_tomorrow` is set.
    fn lazy(settings: &[(&str, &str)], is_tomorrow: &Arc<AtomicBool>) -> LazyApp {
        let is_tomorrow = Arc::clone(is_tomorrow);
        let clock: Clock = Arc::new(move || {
            let day = if is_tomorrow.load(Ordering::Relaxed) {
                21
            } else {
                20
            };
            format!("2026-11-{day}T08:01:00Z").parse().unwrap()
        });
        let settings = [
            ("DOMAIN", "http://127.0.0.1:1"),
            ("CLIENT_ID", "client"),
            ("CLIENT_SECRET", "hush"),
            ("WorkspaceID", "01234567-89ab-cdef-0123-456789abcdef"),
            ("WorkspaceKey", "a2V5"),
        ]
        .iter()
        .chain(settings)
        .copied()
        .collect();
        let layers = Layers::new(settings, Purpose::Host, clock, Jitter::seeded(1));
        LazyApp::new(layers, watch::channel(false).1)
    }

    /// For example, the clock was set after the process had started.
    #[tokio::test(start_paused = true)]
    async fn a_start_that_was_in_the_future_fails_no_run_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = ("CHECKPOINT_DIR", folder.path().to_str().unwrap());
        let start = "2026-11-21T08:00:00Z";
        let (one, two) = (
            [folder, ("START_FROM", start)],
            [
                folder,
                ("TENANTS", "acme,globex"),
                ("GLOBEX__DOMAIN", "http://127.0.0.1:2"),
                ("GLOBEX__START_FROM", start),
            ],
        );
        for settings in [&one[..], &two[..]] {
            let is_tomorrow = Arc::default();
            let app = lazy(settings, &is_tomorrow);
            let unable = app.made().await.unable();
            let [(_, problem)] = &unable[..] else {
                panic!("{unable:?}");
            };
            assert!(problem.contains("START_FROM is in the future"), "{problem}");
            // What it remembers, such as runs that could not be written, is kept.
            assert!(Arc::ptr_eq(&app.made().await, &app.made().await));
            is_tomorrow.store(true, Ordering::Relaxed);
            for report in app.run().await.unwrap() {
                assert!(report.errors[0].contains("cannot connect"), "{report:?}");
            }
            assert!(Arc::ptr_eq(&app.made().await, &app.made().await));
        }
    }

    /// What was remembered would be lost with each run, and each would ask for a new token.
    #[tokio::test]
    async fn a_destination_whose_settings_stay_bad_builds_nothing_anew() {
        let folder = tempfile::tempdir().unwrap();
        let folder = ("CHECKPOINT_DIR", folder.path().to_str().unwrap());
        let two = ("DESTINATIONS", "log-analytics,archive");
        let app = lazy(&[folder, two], &Arc::default());
        let made = app.made().await;
        let unable = made.unable();
        assert_eq!(unable.len(), 1, "{unable:?}");
        assert_eq!(unable[0].0, "archive");
        assert!(Arc::ptr_eq(&made, &app.made().await));
    }

    /// Building takes seconds with many tenants, and a page may be open once a second.
    #[tokio::test(start_paused = true)]
    async fn a_look_at_the_health_builds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = ("CHECKPOINT_DIR", folder.path().to_str().unwrap());
        let start = ("START_FROM", "2026-11-21T08:00:00Z");
        let is_tomorrow = Arc::default();
        let app = lazy(&[folder, start], &is_tomorrow);
        let is_told = async || {
            let page = app.view("").await.unwrap().unwrap();
            page.body.contains("START_FROM is in the future")
        };
        assert!(is_told().await);
        assert!(app.0.made.lock().await.is_none());
        let made = app.made().await;
        is_tomorrow.store(true, Ordering::Relaxed);
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        // What the settings are good for is judged at the time of the look.
        assert!(!is_told().await);
        let kept = app.0.made.lock().await.clone().unwrap();
        assert!(Arc::ptr_eq(&kept, &made));
    }
}
