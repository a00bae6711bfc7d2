mod misspelt;
mod privacy;
mod replay;
mod runs;
mod settings;
mod tenants;

use std::sync::Arc;

use super::*;
use crate::net::retry::Jitter;
use crate::settings::AppSettings;

/// The settings of the connector that this program replaces.
const REFERENCE: [(&str, &str); 5] = [
    ("DOMAIN", "acme.eu.auth0.com"),
    ("CLIENT_ID", "id"),
    ("CLIENT_SECRET", "secret"),
    ("WorkspaceID", "01234567-89AB-cdef-0123-456789abcdef"),
    ("WorkspaceKey", "a2V5"),
];
const RULE: [(&str, &str); 4] = [
    ("DCR_IMMUTABLE_ID", "dcr-0123456789abcdef0123456789abcdef"),
    (
        "DCR_ENDPOINT",
        "https://acme-x1.westeurope-1.ingest.monitor.azure.us/",
    ),
    ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
    ("IDENTITY_HEADER", "header"),
];

fn layers(settings: AppSettings, purpose: Purpose) -> Layers {
    let now = "2026-11-21T08:00:00Z".parse().unwrap();
    Layers::new(settings, purpose, Arc::new(move || now), Jitter::seeded(1))
}

/// The app on a laptop with the reference settings and these changes. A blank value unsets a setting.
fn app(changes: &[(&str, &str)]) -> Result<App, AppError> {
    let settings = REFERENCE.iter().chain(changes).copied().collect();
    let purpose = Purpose::CommandLine { destination: None };
    App::new(&layers(settings, purpose), watch::channel(false).1)
}

fn problem(changes: &[(&str, &str)]) -> String {
    apps(changes).err().unwrap().to_string()
}

fn names(app: &App) -> Vec<&str> {
    app.pipelines.iter().map(|it| it.name).collect()
}

fn apps(settings: &[(&str, &str)]) -> Result<Apps, AppError> {
    let settings = REFERENCE.iter().chain(settings).copied().collect();
    let purpose = Purpose::CommandLine { destination: None };
    let tenants = Tenants::read(&layers(settings, purpose));
    Apps::new(&tenants, &watch::channel(false).1)
}
