use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use super::*;

fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

fn record(stored: &str, date: Option<&str>) -> Record {
    Record {
        log_id: LogId::synthetic("900", at(stored)),
        date: date.map(at),
        json: Bytes::new(),
    }
}

fn stretch(from: Option<Mark>, to: Mark) -> Stretch {
    Stretch { from, to }
}

#[test]
fn times_mean_the_date_from_inclusive_and_to_not() {
    let hour = stretch(Some(Mark::At(at("08:00:00"))), Mark::At(at("09:00:00")));
    for (stored, date, is_held) in [
        ("08:00:05", Some("07:59:59"), false),
        ("08:00:05", Some("08:00:00"), true),
        ("09:00:05", Some("08:59:59"), true),
        ("09:00:05", Some("09:00:00"), false),
        ("08:30:00", None, true),
        ("09:00:00", None, false),
    ] {
        assert_eq!(
            hour.holds(&record(stored, date)),
            is_held,
            "{stored} {date:?}"
        );
    }
    assert!(stretch(None, Mark::At(at("09:00:00"))).holds(&record("01:00:00", None)));
}

#[test]
fn ids_mean_the_id() {
    let (first, last) = (record("08:00:00", None), record("09:00:00", None));
    let ids = stretch(
        Some(Mark::Id(first.log_id.clone())),
        Mark::Id(last.log_id.clone()),
    );
    assert!(ids.holds(&first) && !ids.holds(&last));
    // Whatever its date is.
    assert!(ids.holds(&record("08:30:00", Some("01:00:00"))));
    assert!(ids.ends_before(&last) && !ids.ends_before(&first));
    assert_eq!(ids.position(), Position::Start(Start::At(at("07:50:00"))));
}

#[test]
fn the_time_of_storing_means_the_id_whatever_its_prefix_and_the_date() {
    let stored = |clock| Mark::Stored(at(clock));
    let hour = stretch(Some(stored("08:00:00")), stored("09:00:00"));
    for (id, date, is_held) in [
        ("08:00:00", "07:59:59", true),
        ("07:59:59", "08:00:00", false),
        ("09:00:00", "08:59:59", false),
    ] {
        assert_eq!(hour.holds(&record(id, Some(date))), is_held, "{id}");
    }
    let mut other = record("08:30:00", None);
    other.log_id = LogId::synthetic("100", at("08:59:59"));
    assert!(hour.holds(&other) && !hour.ends_before(&other));
    assert!(hour.ends_before(&record("09:00:00", None)));
    assert_eq!(hour.position(), Position::Start(Start::At(at("07:50:00"))));
    assert_eq!(hour.to.stored_before(), Some(at("09:00:00")));
    assert_eq!(
        Mark::At(at("09:00:00")).stored_before(),
        Some(at("09:10:00"))
    );
    // Two records can have the same time.
    let id = Mark::Id(LogId::synthetic("900", at("09:00:00")));
    assert_eq!(id.stored_before(), Some(at("09:00:00.000001")));
}

#[test]
fn reading_goes_on_until_nothing_of_the_stretch_can_be_stored_any_more() {
    let hour = stretch(None, Mark::At(at("09:00:00")));
    assert!(!hour.ends_before(&record("09:10:00", None)));
    assert!(hour.ends_before(&record("09:10:01", None)));
    assert_eq!(hour.position(), Position::Start(Start::Oldest));
    let mut odd = record("09:30:00", None);
    odd.log_id = LogId::new("odd");
    assert!(!hour.ends_before(&odd));
}

/// Returns two records per page, in Auth0's order.
struct Log {
    records: Vec<Record>,
    /// Whether it accepts only ids of records.
    is_strict: bool,
    requests: AtomicU64,
    looks: AtomicU64,
}

impl Log {
    fn of(series: &[(&str, &[&str])]) -> Self {
        let records = series.iter().flat_map(|(prefix, stored)| {
            stored.iter().map(|stored| Record {
                log_id: LogId::synthetic(prefix, at(stored)),
                ..record(stored, None)
            })
        });
        let mut records: Vec<_> = records.collect();
        records.sort_by(|a, b| a.log_id.cmp(&b.log_id));
        Self {
            records,
            is_strict: false,
            requests: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        }
    }
}

impl Source for Log {
    async fn first(&self, _: Start, deadline: Deadline) -> Result<Page, SourceError> {
        self.after(&LogId::new(""), deadline).await
    }

    async fn after(&self, id: &LogId, _: Deadline) -> Result<Page, SourceError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let is_known = id.as_str().is_empty() || self.records.iter().any(|it| it.log_id == *id);
        if self.is_strict && !is_known {
            return Err(SourceError::Rejected("no such id".into()));
        }
        let after = self.records.iter().filter(|it| it.log_id > *id);
        let records: Vec<_> = after.take(2).cloned().collect();
        Ok(Page {
            is_last: records.len() < 2,
            ..Page::last(records)
        })
    }

    async fn next(&self, id: &LogId, _: Deadline) -> Result<Option<Record>, SourceError> {
        let next = self.records.iter().find(|it| it.log_id > *id);
        Ok(next.cloned().filter(|_| !self.is_strict))
    }

    async fn look(&self, id: &LogId, deadline: Deadline) -> Result<Page, SourceError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let page = self.after(id, deadline).await;
        self.requests.fetch_sub(1, Ordering::Relaxed);
        page
    }

    async fn has_dropped(&self, _: &LogId, _: Deadline) -> Result<bool, SourceError> {
        Ok(false)
    }

    async fn oldest(&self, _: Deadline) -> Result<Option<DateTime<Utc>>, SourceError> {
        Ok(None)
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Reads a stretch that ends at nine o'clock. Returns when each record in it was stored.
async fn read(log: &Log) -> Vec<String> {
    read_from(log, None).await
}

async fn read_from(log: &Log, from: Option<Mark>) -> Vec<String> {
    let stretch = stretch(from, Mark::At(at("09:00:00")));
    let until = Until::of(log, &stretch);
    let deadline = Deadline::after(Duration::from_mins(1));
    let mut page = until.first(Start::Oldest, deadline).await.unwrap();
    let mut read = Vec::new();
    loop {
        let held = page.records.iter().filter(|it| stretch.holds(it));
        read.extend(held.map(|it| it.log_id.stored_at().unwrap().format("%R").to_string()));
        if page.is_last {
            return read;
        }
        let last = page.records.iter().map(|it| &it.log_id).max().unwrap();
        page = until.after(last, deadline).await.unwrap();
    }
}

#[tokio::test]
async fn the_end_of_a_stretch_is_that_of_each_prefix() {
    let many = [
        "08:00:00", "09:20:00", "09:21:00", "09:22:00", "09:23:00", "09:24:00",
    ];
    let mut log = Log::of(&[
        ("800", &many),
        ("900", &["08:10:00", "08:20:00", "08:30:00"]),
    ]);
    assert_eq!(read(&log).await, ["08:00", "08:10", "08:20", "08:30"]);
    // If an id made from a time is rejected, everything is read.
    log.is_strict = true;
    assert_eq!(read(&log).await, ["08:00", "08:10", "08:20", "08:30"]);
}

#[tokio::test]
async fn a_look_ahead_that_passes_the_end_of_a_prefix_stays_a_look() {
    let many = ["08:00:00", "09:20:00", "09:21:00", "09:22:00"];
    let log = Log::of(&[("800", &many), ("900", &["08:10:00"])]);
    let stretch = stretch(None, Mark::At(at("09:00:00")));
    let until = Until::of(&log, &stretch);
    let deadline = Deadline::after(Duration::from_mins(1));
    let begin = LogId::synthetic("000", DateTime::UNIX_EPOCH);
    let page = until.look(&begin, deadline).await.unwrap();
    assert!(
        page.records
            .iter()
            .any(|it| it.log_id.prefix() == Some("900"))
    );
    assert_eq!(log.looks.load(Ordering::Relaxed), 2);
    assert_eq!(log.requests.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_comes_after_a_stretch_is_not_read() {
    let stored: Vec<_> = (20..60).map(|minute| format!("09:{minute}:00")).collect();
    let mut stored: Vec<_> = stored.iter().map(|it| &**it).collect();
    stored.insert(0, "08:00:00");
    let log = Log::of(&[("900", &stored)]);
    assert_eq!(read(&log).await, ["08:00"]);
    assert_eq!(
        log.requests(),
        2,
        "the page, and whether there is another prefix"
    );
}

#[tokio::test]
async fn what_comes_before_a_stretch_is_not_read_of_any_prefix() {
    let stored: Vec<_> = (0..60).map(|minute| format!("01:{minute:02}:00")).collect();
    let mut stored: Vec<_> = stored.iter().map(|it| &**it).collect();
    stored.push("08:20:00");
    let log = Log::of(&[("800", &["08:10:00"]), ("900", &stored)]);
    let from = Some(Mark::At(at("08:00:00")));
    assert_eq!(read_from(&log, from).await, ["08:10", "08:20"]);
    assert_eq!(
        log.requests(),
        2,
        "the page, and what there is of the stretch"
    );
    // Ids are ordered as text, whatever their time.
    let from = Mark::Id(LogId::synthetic("800", at("08:00:00")));
    assert_eq!(read_from(&log, Some(from)).await.len(), 62);
}

/// A record whose id has a time in the future.
#[tokio::test]
async fn one_strange_id_ends_no_stretch() {
    let log = Log::of(&[
        ("700", &["23:00:00"]),
        ("900", &["08:10:00", "08:20:00", "08:30:00"]),
    ]);
    assert_eq!(read(&log).await, ["08:10", "08:20", "08:30"]);
}
