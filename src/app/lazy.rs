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
    /// The app, once it works or only its settings are at fault.
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

    /// Returns or builds the app. Problems of settings are permanent. Other problems, such as
    /// unreadable certificates, may be transient, so the next caller builds it again.
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
        let may_pass = matches!(apps.problem(), Some(AppError::Other(_)));
        let new = Arc::new((tenants, apps));
        if !may_pass {
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
