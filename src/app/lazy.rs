//! The app for the host's functions, built at the first invocation or earlier.
//!
//! The host waits for the listener, so nothing slow, such as reading the system's certificates, may
//! come before it. And invocations need a response even if the settings are unusable.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tracing::error;

use super::health::Seen;
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
    /// The app, once any tenant of it works.
    made: Mutex<Option<Arc<Made>>>,
    seen: Seen,
    stopping: watch::Receiver<bool>,
}

type Made = (Tenants, Apps);

impl LazyApp {
    pub fn new(layers: Layers, stopping: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Parts {
            seen: Seen::since(layers.now()),
            layers,
            made: Mutex::default(),
            stopping,
        }))
    }

    /// Builds the app, and logs unusable settings before the first invocation does.
    pub async fn prepare(self) {
        self.0.layers.warn_of_misspelt();
        let made = self.made().await;
        let (_, apps) = &*made;
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

    /// Returns or builds the app. While nothing of it works, the next caller builds it again: unreadable
    /// certificates may be transient, and a `START_FROM` in the future does not stay there.
    async fn made(&self) -> Arc<Made> {
        let Parts {
            layers,
            made,
            stopping,
            ..
        } = &*self.0;
        let mut made = made.lock().await;
        if let Some(made) = &*made {
            return Arc::clone(made);
        }
        let tenants = Tenants::read(layers);
        let apps = Apps::of(&tenants, stopping);
        let works = apps.problem().is_none();
        let new = Arc::new((tenants, apps));
        if works {
            *made = Some(Arc::clone(&new));
        }
        new
    }

    async fn run_all(&self) -> Result<Vec<Report>, AppError> {
        let made = self.made().await;
        let (_, apps) = &*made;
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
            let made = self.made().await;
            let (tenants, _) = &*made;
            let health = self.0.seen.health(tenants, &self.0.layers.clock).await;
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

    /// As where the clock is set after the process was started.
    #[tokio::test(start_paused = true)]
    async fn a_start_that_was_in_the_future_fails_no_run_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let settings = [
            ("DOMAIN", "http://127.0.0.1:1"),
            ("CLIENT_ID", "client"),
            ("CLIENT_SECRET", "hush"),
            ("WorkspaceID", "01234567-89ab-cdef-0123-456789abcdef"),
            ("WorkspaceKey", "a2V5"),
            ("CHECKPOINT_DIR", folder.path().to_str().unwrap()),
            ("START_FROM", "2026-11-21T08:00:00Z"),
        ];
        let is_set = Arc::new(AtomicBool::new(false));
        let clock: Clock = Arc::new({
            let is_set = Arc::clone(&is_set);
            move || {
                let is_set = is_set.load(Ordering::Relaxed);
                let day = if is_set { 21 } else { 20 };
                let time = format!("2026-11-{day}T08:01:00Z");
                time.parse().unwrap()
            }
        });
        let layers = Layers::new(
            settings.into_iter().collect(),
            Purpose::Host,
            clock,
            Jitter::seeded(1),
        );
        let app = LazyApp::new(layers, watch::channel(false).1);
        let problem = app.run().await.unwrap_err().to_string();
        assert!(problem.contains("START_FROM is in the future"), "{problem}");
        is_set.store(true, Ordering::Relaxed);
        let reports = app.run().await.unwrap();
        assert!(
            reports[0].errors[0].contains("cannot connect"),
            "{reports:?}"
        );
    }
}
