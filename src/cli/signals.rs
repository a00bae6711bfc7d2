//! Signals that ask the process to stop.

use tokio::sync::watch;
use tracing::warn;

use super::print::INTERRUPTED;

/// What a command does when it is asked to stop.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// It delivers what it has read, and saves its checkpoint.
    Saves,
    /// It delivers what it has read. It has no checkpoint.
    Delivers,
    /// It only reads no more.
    ReadsNoMore,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Saves => "what has been read is delivered and saved first",
            Self::Delivers => "what has been read is delivered first",
            Self::ReadsNoMore => "no more is read",
        }
    }
}

/// Becomes true when the process is asked to stop by SIGTERM or Ctrl-C. A second signal ends the
/// process at once.
pub(super) fn stopping(ending: Ending) -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        // Listens only once: between two listeners, a signal would be lost.
        let mut signals = Signals::listen();
        signals.next().await;
        warn!(
            "asked to end: {}; a second signal ends it at once",
            ending.name()
        );
        stop.send_replace(true);
        signals.next().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
    stopping
}

/// The signals that ask the process to stop. One that cannot be listened to is ignored.
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
