//! The destination of a drain.

use std::collections::HashSet;
use std::time::Duration;

use simulator::aws::AwsAccount;
use simulator::event_bridge::EventBus;
use simulator::tally::{Count, Tally};

/// A simulated destination.
pub enum Sink {
    /// The ingestion APIs of Log Analytics.
    Tally(Tally),
    /// A bus, which verifies each signature, so a wrong one would be noticed.
    Bus(EventBus),
}

impl Sink {
    /// Starts the destination of this name, which takes `latency` to answer a request.
    pub async fn start(destination: &str, latency: Duration) -> Self {
        if destination != "event-bridge" {
            return Self::Tally(Tally::start(latency).await);
        }
        let bus = EventBus::start(AwsAccount::default()).await;
        bus.take(latency.as_millis().try_into().unwrap_or(u64::MAX));
        Self::Bus(bus)
    }

    /// The app settings that make the program use this destination.
    pub fn settings(&self) -> Vec<(String, String)> {
        match self {
            Self::Tally(tally) => tally.settings(),
            Self::Bus(bus) => bus.settings(),
        }
    }

    /// What has arrived so far.
    pub fn count(&self) -> Count {
        match self {
            Self::Tally(tally) => tally.count(),
            Self::Bus(bus) => {
                let ids = bus.landed();
                let posts = bus.posts();
                let distinct: HashSet<_> = ids.iter().collect();
                Count {
                    posts: posts.len(),
                    bytes: posts.iter().sum(),
                    rows: ids.len(),
                    duplicates: ids.len() - distinct.len(),
                }
            }
        }
    }
}
