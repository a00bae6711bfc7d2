//! Records that are large: how many of them are in memory at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// The world's log, with large records.
struct Large<'a> {
    world: &'a World,
    /// Bytes of a record.
    bytes: usize,
    /// Number of records read.
    read: AtomicUsize,
    /// Maximum number of records that were read and not delivered when a page was requested.
    most: AtomicUsize,
}

impl Large<'_> {
    fn of(world: &World, bytes: usize) -> Large<'_> {
        Large {
            world,
            bytes,
            read: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    fn page(&self, mut page: Page) -> Page {
        let landed: usize = self.world.state().landed.iter().map(Vec::len).sum();
        let read = self.read.fetch_add(page.records.len(), Ordering::Relaxed);
        self.most.fetch_max(read - landed, Ordering::Relaxed);
        for record in &mut page.records {
            let text = record.text();
            record.json = [text, &" ".repeat(self.bytes - text.len())].concat().into();
        }
        page
    }
}

impl Source for Large<'_> {
    async fn first(&self, start: Start, deadline: Deadline) -> Result<Page, SourceError> {
        Ok(self.page(self.world.first(start, deadline).await?))
    }

    async fn after(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        Ok(self.page(self.world.after(id, deadline).await?))
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.after(id, deadline).await
    }

    async fn has_dropped(&self, id: &LogId, deadline: Deadline) -> Result<bool, SourceError> {
        self.world.has_dropped(id, deadline).await
    }

    async fn oldest(&self, deadline: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        self.world.oldest(deadline).await
    }

    fn requests(&self) -> u64 {
        self.world.requests()
    }
}

#[tokio::test(start_paused = true)]
async fn of_large_pages_no_more_is_held_than_there_is_room_for() {
    // Number of records; records per delivery; bytes per record; how many records may be held when
    // another page is read.
    for (count, batch, bytes, most) in [
        (1_500, 1_000, 100, 1_500),
        // Each page has 10 MB: there is no room for a second one, however it is delivered.
        (400, 1_000, 100_000, 0),
        (250, 1, 100_000, 0),
        (400, 30, 100_000, 0),
        // Each page has 2 MB: there is room for seven, held three times each.
        (1_200, 1_000, 20_000, 700),
    ] {
        let world = World::with_records(count);
        world.state().rows_at_once = Some(batch);
        world.state().bytes_at_once = Some(usize::MAX);
        let source = Large::of(&world, bytes);
        let began = Instant::now();
        let report = world
            .run_of(&source, World::policy(), &watch::Sender::default())
            .await;
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!(report.delivered, count.unsigned_abs());
        assert!(report.caught_up);
        world.assert_all_landed_once();
        let found = source.most.load(Ordering::Relaxed);
        assert!(found <= most, "{batch} {bytes}: {found}");
        // A batch does not wait for more records if there is no room for them.
        assert!(began.elapsed() < Duration::from_secs(5), "{batch} {bytes}");
    }
}

/// What failed stays in memory until the run has ended, so there is no room until then.
#[tokio::test(start_paused = true)]
async fn a_run_whose_delivery_fails_does_not_wait_for_room() {
    let world = World::with_records(400);
    world.state().bytes_at_once = Some(usize::MAX);
    world.state().destination_faults = [Some(Fault::Fails)].into();
    let source = Large::of(&world, 100_000);
    let progress = watch::Sender::default();
    let run = world.run_of(&source, World::policy(), &progress);
    let report = tokio::time::timeout(Duration::from_mins(10), run).await;
    let report = report.expect("the run ends");
    assert_eq!(report.errors, ["it failed"]);
    assert_eq!((report.fetched, report.delivered), (100, 0));
}
