//! The app for the host's functions, made at the first invocation or before.
//!
//! The host waits for the listener, so nothing slow may come before it, such as reading the system's
//! certificates; and it has to be answered even where the settings are of no use.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, watch};
use tracing::error;

use super::{App, AppError, Layers};
use crate::error::BoxError;
use crate::host::Runs;
use crate::report::Report;

/// The app of these settings, good or bad.
#[derive(Clone)]
pub(crate) struct LazyApp(Arc<Parts>);

struct Parts {
    layers: Layers,
    app: OnceCell<App>,
    stopping: watch::Receiver<bool>,
}

impl LazyApp {
    pub fn new(layers: Layers, stopping: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Parts {
            layers,
            app: OnceCell::new(),
            stopping,
        }))
    }

    /// Makes the app, and tells of settings that are of no use before the first invocation does.
    pub async fn prepare(self) {
        self.0.layers.warn_of_misspelt();
        match self.app().await {
            Err(error) => error!("every invocation will fail: {error}"),
            Ok(app) => {
                for pipeline in &app.pipelines {
                    if let Err(error) = &pipeline.way {
                        error!("{} will fail at every invocation: {error}", pipeline.name);
                    }
                }
            }
        }
    }

    async fn app(&self) -> Result<&App, AppError> {
        let Parts {
            layers,
            app,
            stopping,
        } = &*self.0;
        app.get_or_try_init(async || App::new(layers, stopping.clone()))
            .await
    }
}

impl Runs for LazyApp {
    fn run(&self) -> BoxFuture<'_, Result<Vec<Report>, BoxError>> {
        Box::pin(async move { Ok(self.app().await?.run().await) })
    }
}
