//! The app for the host's functions, made at the first invocation or before.
//!
//! The host waits for the listener, so nothing slow may come before it, such as reading the system's
//! certificates; and it has to be answered even where the settings are of no use.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, watch};
use tracing::error;

use super::{AppError, Apps, Layers, Tenants};
use crate::error::BoxError;
use crate::host::Runs;
use crate::report::Report;

/// The app of these settings, good or bad.
#[derive(Clone)]
pub(crate) struct LazyApp(Arc<Parts>);

struct Parts {
    layers: Layers,
    apps: OnceCell<Apps>,
    stopping: watch::Receiver<bool>,
}

impl LazyApp {
    pub fn new(layers: Layers, stopping: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Parts {
            layers,
            apps: OnceCell::new(),
            stopping,
        }))
    }

    /// Makes the app, and tells of settings that are of no use before the first invocation does.
    pub async fn prepare(self) {
        self.0.layers.warn_of_misspelt();
        match self.apps().await {
            Err(error) => error!("every invocation will fail: {error}"),
            Ok(apps) => {
                for (label, problem) in apps.unable() {
                    error!("{label} will fail at every invocation: {problem}");
                }
            }
        }
    }

    async fn apps(&self) -> Result<&Apps, AppError> {
        let Parts {
            layers,
            apps,
            stopping,
        } = &*self.0;
        apps.get_or_try_init(async || Apps::new(&Tenants::read(layers), stopping))
            .await
    }
}

impl Runs for LazyApp {
    fn run(&self) -> BoxFuture<'_, Result<Vec<Report>, BoxError>> {
        Box::pin(async move { Ok(self.apps().await?.run_in_rounds().await) })
    }
}
