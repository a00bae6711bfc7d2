//! The process is asked to end.

use tokio::sync::watch;
use tracing::warn;

use super::print::INTERRUPTED;

/// Becomes true when the process is asked to end, by SIGTERM or Ctrl-C. Who asks twice is not kept
/// waiting.
pub(super) fn stopping() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        signal().await;
        warn!("asked to end: what has been read is delivered and saved first");
        stop.send_replace(true);
        signal().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    stopping
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
