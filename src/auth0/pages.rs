//! Pages that several readers want: runs that stand at the same place fetch each of them once.
//!
//! A page is kept only until every reader has had it, and only so many are: of what the first reader
//! fetches beyond them, one that is behind fetches its own copy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::record::{LogId, Page};

/// Pages that are kept for readers that are behind. They take part of the memory of an instance
/// that has 512 MB.
const KEPT: usize = 20;

/// The pages behind log ids, for so many readers.
pub struct Pages {
    readers: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Vec<Shared>,
    /// The largest id behind which a page was asked for: who asks for one below it that is not
    /// kept is behind, and asks for himself alone.
    front: Option<LogId>,
}

struct Shared {
    after: LogId,
    page: Arc<OnceCell<Page>>,
    /// Readers that have asked for it.
    asked: usize,
}

impl Pages {
    /// Pages for so many readers.
    #[must_use]
    pub fn new(readers: usize) -> Self {
        Self {
            readers,
            state: Mutex::default(),
        }
    }

    /// Forgets what was fetched: a page is as old as its fetching, and a run may rely on nothing
    /// that was fetched before it began.
    pub fn forget(&self) {
        *self.lock() = State::default();
    }

    /// The page behind a record: that of another reader, or the one that `fetch` gets. Where
    /// another reader's fetching fails, this one's is tried.
    pub async fn after<E>(
        &self,
        id: &LogId,
        fetch: impl Future<Output = Result<Page, E>>,
    ) -> Result<Page, E> {
        let page = self.find(id);
        page.get_or_try_init(|| fetch).await.cloned()
    }

    fn find(&self, id: &LogId) -> Arc<OnceCell<Page>> {
        let mut state = self.lock();
        if let Some(index) = state.kept.iter().position(|it| it.after == *id) {
            let shared = &mut state.kept[index];
            shared.asked += 1;
            let page = Arc::clone(&shared.page);
            if shared.asked == self.readers {
                state.kept.swap_remove(index);
            }
            return page;
        }
        let page = Arc::default();
        if state.front.as_ref().is_none_or(|it| it < id) {
            state.front = Some(id.clone());
            if self.readers > 1 && state.kept.len() < KEPT {
                state.kept.push(Shared {
                    after: id.clone(),
                    page: Arc::clone(&page),
                    asked: 1,
                });
            }
        }
        page
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn id(number: usize) -> LogId {
        LogId::new(number.to_string())
    }

    /// Asks for a page, and tells whether it had to be fetched.
    async fn is_fetched(pages: &Pages, number: usize) -> bool {
        let fetched = Cell::new(false);
        let fetch = async {
            fetched.set(true);
            Ok::<_, ()>(Page::last(Vec::new()))
        };
        pages.after(&id(number), fetch).await.unwrap();
        fetched.get()
    }

    #[tokio::test]
    async fn a_page_is_fetched_once_for_all_readers_and_then_forgotten() {
        let pages = Pages::new(2);
        assert!(is_fetched(&pages, 1).await);
        assert!(is_fetched(&pages, 2).await);
        assert!(!is_fetched(&pages, 1).await);
        assert!(!is_fetched(&pages, 2).await);
        assert!(pages.lock().kept.is_empty());

        let alone = Pages::new(1);
        assert!(is_fetched(&alone, 1).await);
        assert!(is_fetched(&alone, 1).await);
    }

    #[tokio::test]
    async fn a_run_gets_nothing_that_was_fetched_before_it() {
        let pages = Pages::new(2);
        assert!(is_fetched(&pages, 1).await);
        pages.forget();
        assert!(is_fetched(&pages, 1).await);
    }

    #[tokio::test]
    async fn a_reader_far_behind_gets_what_was_kept_and_fetches_the_rest() {
        let pages = Pages::new(2);
        for number in 100..130 {
            assert!(is_fetched(&pages, number).await);
        }
        assert_eq!(pages.lock().kept.len(), KEPT);
        for number in 100..100 + KEPT {
            assert!(!is_fetched(&pages, number).await, "{number}");
        }
        for number in 100 + KEPT..130 {
            assert!(is_fetched(&pages, number).await, "{number}");
        }
        // Nobody will ask for those again, so that there is room for what the first reads now.
        assert!(pages.lock().kept.is_empty());
        assert!(is_fetched(&pages, 130).await);
        assert!(!is_fetched(&pages, 130).await);
    }

    #[tokio::test]
    async fn a_page_that_could_not_be_fetched_is_tried_by_the_next() {
        let pages = Pages::new(2);
        let failed = pages.after(&id(1), async { Err("no answer") }).await;
        assert_eq!(failed.unwrap_err(), "no answer");
        assert!(is_fetched(&pages, 1).await);
    }

    #[tokio::test]
    async fn whoever_comes_while_a_page_is_being_fetched_waits_for_it() {
        let pages = Pages::new(2);
        let (answer, answered) = tokio::sync::oneshot::channel();
        let wanted = id(1);
        let first = pages.after(&wanted, answered);
        let second = async {
            // The first has asked by now.
            answer.send(Page::last(Vec::new())).unwrap();
            is_fetched(&pages, 1).await
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_ok());
        assert!(!second);
    }
}
