//! The process is asked to end.

use tokio::sync::watch;
use tracing::warn;

use super::print::INTERRUPTED;

/// Becomes true when the process is asked to end, by SIGTERM or Ctrl-C. Who asks twice is not kept
/// waiting.
pub(super) fn stopping() -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        // Once: between two streams, a signal would go to neither.
        let mut signals = Signals::listen();
        signals.next().await;
        warn!("asked to end: what has been read is delivered and saved first");
        stop.send_replace(true);
        signals.next().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    stopping
}

/// What asks the process to end. Where the system lets one not be listened to, it is not.
#[cfg(unix)]
struct Signals([std::io::Result<tokio::signal::unix::Signal>; 2]);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self([SignalKind::interrupt(), SignalKind::terminate()].map(signal))
    }

    async fn next(&mut self) {
        let [interrupted, terminated] = self.0.each_mut().map(|signal| async move {
            match signal {
                Ok(signal) => signal.recv().await,
                Err(_) => std::future::pending().await,
            }
        });
        tokio::select! {
            _ = interrupted => {}
            _ = terminated => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
