//! A cache of pages for parallel runs: runs at the same position fetch each page once.
//!
//! A run takes part by its [`Handle`], from before its first read to its end. A page is kept until
//! every run that took part when its fetch began has received it, has read past it, or has ended.
//! The cache is bounded: a slower run fetches the pages that did not fit itself. Runs share
//! searches for the newest records in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::page_budget::{KEPT_BYTES, PageBudget, Weight};
use crate::record::{LogId, Page, Record};

/// The most pages kept for slower readers: enough for what the others read while one destination is down
/// for as long as its retries last. Small pages take more memory than their bytes, hence this limit.
const KEPT: usize = 200;

/// The shared pages of a tenant's log.
pub(crate) struct Pages(Mutex<State>);

struct State {
    budget: PageBudget,
    /// The current runs, and the id after which each last requested a page.
    readers: BTreeMap<u64, Option<LogId>>,
    /// The number of runs so far.
    entered: u64,
    kept: Vec<Shared>,
    /// The results of searches, by the date up to which they searched.
    newest: BTreeMap<Option<DateTime<Utc>>, Newest>,
}

/// The newest records, overall or up to a date.
struct Newest {
    found: Arc<OnceCell<Vec<Record>>>,
    /// The runs that took part when the search began, and have not received its result.
    wanted_by: BTreeSet<u64>,
}

struct Shared {
    after: LogId,
    page: Arc<OnceCell<Page>>,
    /// Zero until the page has arrived.
    weight: Weight,
    /// The runs that may still want the page.
    wanted_by: BTreeSet<u64>,
}

/// A run that shares pages with others. It ends when this is dropped.
pub(crate) struct Handle {
    pages: Arc<Pages>,
    number: u64,
}

impl Pages {
    /// The pages of one tenant, with no run yet.
    pub fn new(budget: PageBudget) -> Self {
        Self(Mutex::new(State {
            budget,
            readers: BTreeMap::new(),
            entered: 0,
            kept: Vec::new(),
            newest: BTreeMap::new(),
        }))
    }

    /// Adds a run. It shares what is fetched from now on, and nothing fetched earlier: a page is as
    /// old as its fetch, and a run may rely on nothing that was fetched before it began.
    pub fn enter(self: &Arc<Self>) -> Handle {
        let mut state = self.lock();
        state.entered += 1;
        let number = state.entered;
        state.readers.insert(number, None);
        Handle {
            pages: Arc::clone(self),
            number,
        }
    }

    /// Whether no run is left.
    pub fn is_deserted(&self) -> bool {
        self.lock().readers.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// The page after a record: another reader's, or the one that `fetch` returns. If another
    /// reader's fetch fails, this reader's is tried.
    pub async fn after<E>(
        &self,
        id: &LogId,
        fetch: BoxFuture<'_, Result<Page, E>>,
    ) -> Result<Page, E> {
        let cell = self.pages.lock().find(self.number, id);
        let page = cell.get_or_try_init(|| fetch).await?.clone();
        self.pages.lock().weigh(&cell, page.bytes());
        Ok(page)
    }

    /// The newest records, or those up to a date: another reader's result, or that of `search`.
    pub async fn newest<E>(
        &self,
        to: Option<DateTime<Utc>>,
        search: BoxFuture<'_, Result<Vec<Record>, E>>,
    ) -> Result<Vec<Record>, E> {
        let cell = self.pages.lock().newest(self.number, to);
        Ok(cell.get_or_try_init(|| search).await?.clone())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.pages.lock();
        state.readers.remove(&self.number);
        state.release(self.number, |_| true);
        state.newest.retain(|_, newest| {
            newest.wanted_by.remove(&self.number);
            !newest.wanted_by.is_empty()
        });
    }
}

impl State {
    fn find(&mut self, reader: u64, id: &LogId) -> Arc<OnceCell<Page>> {
        self.readers.insert(reader, Some(id.clone()));
        let wanted = |it: &&Shared| it.after == *id && it.wanted_by.contains(&reader);
        if let Some(shared) = self.kept.iter().find(wanted) {
            let page = Arc::clone(&shared.page);
            self.release(reader, |after| after <= id);
            return page;
        }
        self.release(reader, |after| after <= id);
        let page = Arc::default();
        let is_before = |last: &Option<LogId>| last.as_ref().is_none_or(|last| last < id);
        let others = self.readers.iter().filter(|(_, last)| is_before(last));
        let shared = Shared {
            after: id.clone(),
            page: Arc::clone(&page),
            weight: self.budget.weight(),
            wanted_by: others.map(|(number, _)| *number).collect(),
        };
        if !shared.wanted_by.is_empty() {
            self.kept.push(shared);
            self.bound();
        }
        page
    }

    fn newest(&mut self, reader: u64, to: Option<DateTime<Utc>>) -> Arc<OnceCell<Vec<Record>>> {
        let known = self.newest.get_mut(&to).and_then(|it| {
            let is_wanted = it.wanted_by.remove(&reader);
            is_wanted.then(|| Arc::clone(&it.found))
        });
        let found = known.unwrap_or_else(|| {
            let others = self.readers.keys().filter(|it| **it != reader);
            let newest = Newest {
                found: Arc::default(),
                wanted_by: others.copied().collect(),
            };
            let found = Arc::clone(&newest.found);
            self.newest.insert(to, newest);
            found
        });
        self.newest.retain(|_, it| !it.wanted_by.is_empty());
        found
    }

    /// Drops a reader's claim on the pages where `is_past` holds, and pages that nobody wants.
    fn release(&mut self, reader: u64, is_past: impl Fn(&LogId) -> bool) {
        self.kept.retain_mut(|shared| {
            if is_past(&shared.after) {
                shared.wanted_by.remove(&reader);
            }
            !shared.wanted_by.is_empty()
        });
    }

    /// Records the size of a page that has arrived.
    fn weigh(&mut self, page: &Arc<OnceCell<Page>>, bytes: usize) {
        let mut kept = self.kept.iter_mut();
        if let Some(shared) = kept.find(|it| Arc::ptr_eq(&it.page, page)) {
            shared.weight.set(bytes);
            self.bound();
        }
    }

    /// Drops pages beyond the limits. First go the pages that the fewest runs want, so that one
    /// hanging run makes no other run fetch a page twice; of those, the last ones, since earlier
    /// pages are wanted sooner.
    fn bound(&mut self) {
        loop {
            let own: usize = self.kept.iter().map(|it| it.weight.bytes).sum();
            let is_full = self.budget.kept() > KEPT_BYTES;
            let is_one = self.kept.len() <= 1 && own <= KEPT_BYTES;
            if self.kept.len() <= KEPT && (!is_full || is_one) {
                return;
            }
            let kept = self.kept.iter().enumerate();
            let least = kept.min_by(|(_, a), (_, b)| {
                let by_readers = a.wanted_by.len().cmp(&b.wanted_by.len());
                by_readers.then_with(|| b.after.cmp(&a.after))
            });
            let Some((index, _)) = least else {
                return;
            };
            self.kept.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::record::{Misfit, Record};

    fn id(number: usize) -> LogId {
        LogId::new(format!("{number:03}"))
    }

    fn page(bytes: usize) -> Page {
        Page::last(vec![Record {
            log_id: id(1),
            date: None,
            json: vec![b'x'; bytes].into(),
        }])
    }

    /// Requests a page of `bytes` bytes, and returns whether it had to be fetched.
    async fn is_fetched_of(reader: &Handle, number: usize, bytes: usize) -> bool {
        let is_fetched = AtomicBool::new(false);
        let fetch = async {
            is_fetched.store(true, Ordering::Relaxed);
            Ok::<_, ()>(page(bytes))
        };
        reader.after(&id(number), fetch.boxed()).await.unwrap();
        is_fetched.load(Ordering::Relaxed)
    }

    async fn is_fetched(reader: &Handle, number: usize) -> bool {
        is_fetched_of(reader, number, 10).await
    }

    fn enter<const N: usize>() -> (Arc<Pages>, [Handle; N]) {
        enter_in(&PageBudget::default())
    }

    fn enter_in<const N: usize>(budget: &PageBudget) -> (Arc<Pages>, [Handle; N]) {
        let pages = Arc::new(Pages::new(budget.clone()));
        let readers = [(); N].map(|()| pages.enter());
        (pages, readers)
    }

    #[tokio::test]
    async fn a_page_is_fetched_once_for_all_readers_and_then_forgotten() {
        let (pages, [first, second]) = enter();
        assert!(is_fetched(&first, 1).await);
        assert!(is_fetched(&first, 2).await);
        assert!(!is_fetched(&second, 1).await);
        assert!(!is_fetched(&second, 2).await);
        assert!(pages.lock().kept.is_empty());

        let (pages, [alone]) = enter();
        assert!(is_fetched(&alone, 1).await);
        assert!(is_fetched(&alone, 1).await);
        assert!(pages.lock().kept.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_kept_for_a_run_that_has_ended_or_never_began() {
        // A reader that is down, but still takes part, would keep every one of these pages.
        let (pages, [first, second, down]) = enter();
        assert!(is_fetched(&first, 1).await);
        drop(down);
        assert!(!is_fetched(&second, 1).await);
        for number in 2..100 {
            assert!(is_fetched(&first, number).await, "{number}");
            assert!(!is_fetched(&second, number).await, "{number}");
            assert!(pages.lock().kept.is_empty(), "{number}");
        }
        drop(second);
        assert!(is_fetched(&first, 100).await);
        assert!(pages.lock().kept.is_empty());
    }

    #[tokio::test]
    async fn one_run_that_hangs_makes_no_other_fetch_twice() {
        let (pages, [first, second, _hangs]) = enter();
        for number in 1..300 {
            assert!(is_fetched(&first, number).await, "{number}");
            assert!(!is_fetched(&second, number).await, "{number}");
            assert!(pages.lock().kept.len() <= KEPT);
        }
    }

    #[tokio::test]
    async fn a_run_gets_nothing_that_was_fetched_before_it_began() {
        let (pages, [first, second]) = enter();
        assert!(is_fetched(&first, 1).await);
        let later = pages.enter();
        assert!(is_fetched(&later, 1).await);
        // The run that began earlier does get it, and neither run gets it twice.
        assert!(!is_fetched(&second, 1).await);
        assert!(is_fetched(&second, 1).await);
        assert!(is_fetched(&first, 2).await);
        assert!(!is_fetched(&later, 2).await);
    }

    #[tokio::test]
    async fn a_reader_far_behind_gets_what_was_kept_and_fetches_the_rest() {
        let (pages, [first, last]) = enter();
        for number in 100..310 {
            assert!(is_fetched(&first, number).await);
        }
        assert_eq!(pages.lock().kept.len(), 200);
        for number in 100..300 {
            assert!(!is_fetched(&last, number).await, "{number}");
        }
        for number in 300..310 {
            assert!(is_fetched(&last, number).await, "{number}");
        }
        // Nobody will ask for these pages again, so there is room for what the first reader reads now.
        assert!(pages.lock().kept.is_empty());
        assert!(is_fetched(&first, 310).await);
        assert!(!is_fetched(&last, 310).await);
    }

    #[tokio::test]
    async fn of_large_pages_fewer_are_kept() {
        let (pages, [first, last]) = enter();
        for number in 100..106 {
            assert!(is_fetched_of(&first, number, 5_000_000).await);
        }
        assert_eq!(pages.lock().kept.len(), 5);
        for number in 100..105 {
            assert!(!is_fetched(&last, number).await, "{number}");
        }
        // A page that alone exceeds the limit is not kept at all.
        assert!(is_fetched_of(&first, 106, KEPT_BYTES + 1).await);
        assert!(pages.lock().kept.is_empty());
        assert!(is_fetched(&last, 106).await);
    }

    #[tokio::test]
    async fn the_tenants_of_a_process_keep_no_more_than_one_and_a_page_each() {
        let budget = PageBudget::default();
        let tenants: Vec<_> = (0..10).map(|_| enter_in::<2>(&budget)).collect();
        for number in 100..106 {
            for (_, [first, _]) in &tenants {
                assert!(is_fetched_of(first, number, 2_000_000).await);
            }
        }
        let kept: Vec<_> = tenants.iter().map(|(it, _)| it.lock().kept.len()).collect();
        assert!(kept.iter().all(|it| *it >= 1), "{kept:?}");
        assert!(kept.iter().sum::<usize>() <= 12 + 10, "{kept:?}");
        drop(tenants);
        assert_eq!(budget.kept(), 0);
    }

    #[tokio::test]
    async fn what_a_reader_has_gone_past_is_not_kept_for_it() {
        let (pages, [first, second]) = enter();
        assert!(is_fetched(&first, 1).await);
        assert!(is_fetched(&first, 3).await);
        assert!(is_fetched(&second, 2).await);
        assert_eq!(pages.lock().kept.len(), 1);
        assert!(!is_fetched(&second, 3).await);
        assert!(pages.lock().kept.is_empty());
    }

    #[tokio::test]
    async fn a_page_that_could_not_be_fetched_is_tried_by_the_next() {
        let (_, [first, second]) = enter();
        let failing = async { Err("no answer") }.boxed();
        let failed = first.after(&id(1), failing).await;
        assert_eq!(failed.unwrap_err(), "no answer");
        assert!(is_fetched(&second, 1).await);
    }

    #[tokio::test]
    async fn whoever_comes_while_a_page_is_being_fetched_waits_for_it() {
        let (_, [first, second]) = enter();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let wanted = id(1);
        let first = first.after(&wanted, answered.boxed());
        let second = async {
            // By now the first reader has asked.
            answer.send(page(1)).unwrap();
            is_fetched(&second, 1).await
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_ok());
        assert!(!second);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_run_that_is_cut_off_fetches_the_page_itself() {
        let (_, [first, second]) = enter();
        let wanted = id(1);
        let never = std::future::pending::<Result<Page, ()>>().boxed();
        assert!(first.after(&wanted, never).now_or_never().is_none());
        drop(first);
        assert!(is_fetched(&second, 1).await);
    }

    #[tokio::test]
    async fn the_newest_records_are_searched_for_once_for_those_who_are_here() {
        async fn is_searched_to(to: Option<DateTime<Utc>>, reader: &Handle) -> bool {
            let is_searched = AtomicBool::new(false);
            let search = async {
                is_searched.store(true, Ordering::Relaxed);
                Ok::<_, ()>(Vec::new())
            };
            reader.newest(to, search.boxed()).await.unwrap();
            is_searched.load(Ordering::Relaxed)
        }
        async fn is_searched(reader: &Handle) -> bool {
            is_searched_to(None, reader).await
        }
        async fn failing(reader: &Handle) -> Result<Vec<Record>, ()> {
            reader.newest(None, async { Err(()) }.boxed()).await
        }
        let (pages, [first, second]) = enter();
        assert!(is_searched(&first).await);
        let late = pages.enter();
        assert!(!is_searched(&second).await);
        // A result is too old for a run that began after the search, and for one that has had it already.
        assert!(is_searched(&late).await);
        assert!(!is_searched(&first).await);
        assert!(is_searched(&first).await);
        // A search that fails is made again.
        let failed = failing(&second).await;
        assert!(failed.is_ok(), "the first has searched meanwhile");
        assert!(failing(&second).await.is_err());
        assert!(is_searched(&first).await);
        // A search up to another date is a separate search.
        let [to, other] = [1, 2].map(|it| DateTime::from_timestamp(it, 0));
        assert!(is_searched_to(to, &first).await);
        assert!(is_searched_to(other, &second).await);
        assert!(!is_searched_to(to, &second).await);
        assert!(!is_searched_to(other, &first).await);
        drop((first, second));
        // Nothing is kept that nobody will ask for.
        for to in [None, to, other] {
            assert!(!is_searched_to(to, &late).await);
        }
        assert!(pages.lock().newest.is_empty());
        assert!(is_searched(&late).await);
        assert!(pages.lock().newest.is_empty());
    }

    #[test]
    fn misfits_weigh_as_much_as_records() {
        let mut page = page(3);
        page.misfits.push(Misfit {
            json: Bytes::from_static(b"null"),
            date: None,
            reason: "",
        });
        assert_eq!(page.bytes(), 7);
    }
}
