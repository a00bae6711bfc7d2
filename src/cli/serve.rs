//! `serve`: responds to the Azure Functions host.

use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::info;

use super::print::{fail, misused};
use super::signals::{self, Ending};
use super::{Environment, Exit, Given};
use crate::app::{Layers, LazyApp, Purpose};
use crate::clock;
use crate::host::{Functions, HEALTH, Health, TIMER, Timer, Work};
use crate::net::retry::Jitter;

/// The variables in which the host passes its port, the current name first.
const PORT_VARIABLES: [&str; 2] = ["FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"];
/// Exit status after which the host restarts the program without counting a failure. After 0 it
/// never restarts it.
const START_AGAIN: u8 = 200;
/// Time limit, once the program is asked to stop, for writing a response and for receiving the rest
/// of a request: the host is on the same machine.
const REST: Duration = Duration::from_secs(1);

pub(super) async fn serve(given: Given) -> Exit {
    if given.tenant.is_some() {
        return Err(misused(format_args!(
            "--tenant is not for `serve`, which answers for all of TENANTS"
        )));
    }
    let port = port(&given.environment)?.get();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener =
        listener.map_err(|error| fail(&format!("listening on 127.0.0.1:{port}"), &error))?;
    info!("auth0-poller {} is listening", env!("CARGO_PKG_VERSION"));
    let mut stopping = signals::stopping(Ending::Saves);
    let settings = given.environment.into_iter().collect();
    let layers = Layers::new(settings, Purpose::Host, clock::system(), Jitter::random());
    let app = LazyApp::new(layers, stopping.clone());
    tokio::spawn(app.clone().prepare());
    let functions = Functions::default()
        .with(TIMER, Timer::new(app.clone()))
        .with(HEALTH, Health(app));
    let work = functions.work();
    let serve = axum::serve(listener, functions.router());
    let serve = serve.with_graceful_shutdown({
        let mut stopping = stopping.clone();
        async move {
            let _ = stopping.wait_for(|it| *it).await;
        }
    });
    let mut serve = pin!(serve.into_future());
    let served = tokio::select! {
        served = &mut serve => served,
        _ = stopping.wait_for(|it| *it) => rest(serve, &work).await,
    };
    // The host may have disconnected while its invocation is still running.
    work.done().await;
    match served {
        Ok(()) => Ok(ExitCode::from(START_AGAIN)),
        Err(error) => Err(fail("serving", &error)),
    }
}

/// Serves until no connection is left or, with no invocation running, only requests that never
/// arrive completely.
async fn rest(
    mut serve: impl Future<Output = io::Result<()>> + Unpin,
    work: &Work,
) -> io::Result<()> {
    loop {
        tokio::select! {
            served = &mut serve => return served,
            () = work.done() => {}
        }
        match timeout(REST, &mut serve).await {
            Ok(served) => return served,
            Err(_) if work.is_done() => return Ok(()),
            Err(_) => {}
        }
    }
}

/// The port that the host expects the program to listen on.
fn port(environment: &Environment) -> Result<NonZeroU16, ExitCode> {
    let mut set = PORT_VARIABLES.iter().filter_map(|name| {
        let port = environment.get(*name)?.trim();
        (!port.is_empty()).then_some((name, port))
    });
    let Some((name, port)) = set.next() else {
        return Err(misused(format_args!(
            "serve is started by the Azure Functions host, which sets {}. Use `func start` \
             for that, or `auth0-poller poll` to make one run without it; `auth0-poller --help` \
             tells more.",
            PORT_VARIABLES[0]
        )));
    };
    port.parse().map_err(|_| {
        misused(format_args!(
            "{name} is not a port from 1 to 65535; the Azure Functions host sets it, so remove it \
             from the settings"
        ))
    })
}
