//! The temporary credential of a storage and its last refusal, shared by all users of the storage.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::net::retry::Again;

/// A refused credential is replaced at most once in this time. One new credential shows whether the
/// old one was at fault. Another run, at least a minute later, may try another one.
const REST: Duration = Duration::from_secs(50);

/// The credential in use.
pub(super) struct InUse<C>(Mutex<State<C>>);

struct State<C> {
    current: Option<C>,
    refused: Option<Refused<C>>,
}

/// The credential that was refused last.
struct Refused<C> {
    credential: C,
    /// When a new one was requested. The issuer may have issued the same one again.
    replaced_at: Option<Instant>,
}

impl<C> Default for InUse<C> {
    fn default() -> Self {
        Self(Mutex::new(State {
            current: None,
            refused: None,
        }))
    }
}

impl<C: Clone + PartialEq> InUse<C> {
    /// The credential in use; `None` before the first [`Self::prepare`].
    pub fn get(&self) -> Option<C> {
        self.state().current.clone()
    }

    /// Obtains a credential to use. If the issuer returns a refused one, it is told to forget that
    /// one, and asked once more.
    pub async fn prepare<E, Issued, Forgotten>(
        &self,
        issued: impl Fn() -> Issued,
        forget: impl FnOnce(C) -> Forgotten,
    ) -> Result<(), E>
    where
        Issued: Future<Output = Result<C, E>>,
        Forgotten: Future<Output = ()>,
    {
        let mut credential = issued().await?;
        if self.is_to_be_replaced(&credential) {
            forget(credential).await;
            credential = issued().await?;
            if let Some(refused) = &mut self.state().refused {
                refused.replaced_at = Some(Instant::now());
            }
        }
        self.state().current = Some(credential);
        Ok(())
    }

    /// Notes that this credential was refused. Returns whether to try another one.
    pub fn refuse(&self, credential: &C) -> Again {
        let mut state = self.state();
        if state.current.as_ref() != Some(credential) {
            // Another credential has replaced it already.
            return Again::Soon;
        }
        match &state.refused {
            Some(last) if last.is_open(credential) => Again::Soon,
            Some(last) if last.replaced_at.is_some_and(|at| at.elapsed() < REST) => Again::Never,
            _ => {
                state.refused = Some(Refused {
                    credential: credential.clone(),
                    replaced_at: None,
                });
                Again::Soon
            }
        }
    }

    fn is_to_be_replaced(&self, credential: &C) -> bool {
        let state = self.state();
        let refused = state.refused.as_ref();
        refused.is_some_and(|it| it.is_open(credential))
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: PartialEq> Refused<C> {
    /// Whether this credential was refused, and no new one has been requested yet.
    fn is_open(&self, credential: &C) -> bool {
        self.replaced_at.is_none() && self.credential == *credential
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Issues the numbers from 1. It issues each one until told to forget it.
    struct Issuer {
        number: AtomicU32,
        step: u32,
    }

    impl Issuer {
        fn new(step: u32) -> Self {
            let number = AtomicU32::new(1);
            Self { number, step }
        }

        async fn prepare(&self, in_use: &InUse<u32>) -> u32 {
            let issued = async || Ok::<_, ()>(self.number.load(Ordering::Relaxed));
            let forget = async |_| {
                self.number.fetch_add(self.step, Ordering::Relaxed);
            };
            in_use.prepare(issued, forget).await.unwrap();
            in_use.get().unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_refused_is_replaced_and_the_next_is_not_before_a_rest() {
        let (in_use, issuer) = (InUse::default(), Issuer::new(1));
        assert_eq!(in_use.get(), None);
        assert_eq!(issuer.prepare(&in_use).await, 1);
        assert_eq!(issuer.prepare(&in_use).await, 1);
        // Refused for every request that had used it.
        assert_eq!(in_use.refuse(&1), Again::Soon);
        assert_eq!(in_use.refuse(&1), Again::Soon);
        assert_eq!(issuer.prepare(&in_use).await, 2);
        assert_eq!(in_use.refuse(&1), Again::Soon);
        assert_eq!(in_use.refuse(&2), Again::Never);
        tokio::time::advance(Duration::from_secs(49)).await;
        assert_eq!(in_use.refuse(&2), Again::Never);
        assert_eq!(issuer.prepare(&in_use).await, 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(in_use.refuse(&2), Again::Soon);
        assert_eq!(issuer.prepare(&in_use).await, 3);
        assert_eq!(in_use.refuse(&3), Again::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_issued_again_counts_as_another() {
        let (in_use, issuer) = (InUse::default(), Issuer::new(0));
        assert_eq!(issuer.prepare(&in_use).await, 1);
        assert_eq!(in_use.refuse(&1), Again::Soon);
        assert_eq!(issuer.prepare(&in_use).await, 1);
        assert_eq!(in_use.refuse(&1), Again::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_replaced_stays_refused() {
        let (in_use, issuer) = (InUse::default(), Issuer::new(1));
        issuer.prepare(&in_use).await;
        in_use.refuse(&1);
        let asked = AtomicU32::new(0);
        let answer = async || match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(1),
            _ => Err("unreachable"),
        };
        let prepared = in_use.prepare(answer, async |_| ()).await;
        assert_eq!(prepared, Err("unreachable"));
        assert_eq!(in_use.refuse(&1), Again::Soon);
        assert_eq!(issuer.prepare(&in_use).await, 2);
    }
}
