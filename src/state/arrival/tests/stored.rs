//! What was acknowledged, in a storage.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::net::retry::{Deadline, Jitter};
use crate::state::packed::pack;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::memory::Memory;
use crate::storage::{Objects, Storage};

const PATH: &str = "arrival/acme/log-analytics.json";
const OF_8: &str = "arrival/acme/log-analytics/2026-11-21T08.json";

fn over(objects: impl Objects + 'static) -> Arc<Storage> {
    Arc::new(Storage::over(objects, Jitter::seeded(1)))
}

fn store(storage: &Arc<Storage>) -> ArrivalStore {
    ArrivalStore::new(Arc::clone(storage), "acme", "log-analytics")
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_mins(10))
}

/// One id more than are kept without an object of their own.
fn many() -> BTreeSet<LogId> {
    let id = |n| LogId::synthetic("900", at("08:00:30") + TimeDelta::microseconds(n));
    (0..101).map(id).collect()
}

async fn accept(store: &ArrivalStore, ids: &BTreeSet<LogId>, now: DateTime<Utc>) -> u64 {
    store.accept(ids, now, deadline()).await.unwrap()
}

/// The ids of the hours that are due.
async fn kept(store: &ArrivalStore, clock: &str) -> Vec<Option<BTreeSet<LogId>>> {
    let due = |it: &Arrivals| it.due(TIMING, at(clock));
    let mut kept = Vec::new();
    for wanted in store.see(deadline(), due).await.unwrap() {
        kept.push(store.ids(&wanted, at(clock), deadline()).await.unwrap());
    }
    kept
}

#[tokio::test]
async fn two_processes_add_to_the_same_and_what_is_no_change_is_not_written() {
    for first in [ids(8, [1]), many()] {
        let storage = over(Memory::default());
        let (old, new) = (store(&storage), store(&storage));
        let add = async |store: &ArrivalStore, ids: &BTreeSet<LogId>| {
            assert_eq!(accept(store, ids, at("09:00:00")).await, 0);
        };
        add(&old, &first).await;
        add(&new, &ids(8, [2])).await;
        add(&old, &ids(8, [3])).await;
        let both = async || {
            let read = async |path| storage.read(path, deadline()).await.unwrap();
            [read(PATH).await, read(OF_8).await]
        };
        let before = both().await;
        assert_eq!(before[1].is_some(), first.len() > 100);
        add(&old, &ids(8, [2])).await;
        add(&new, &ids(8, [3])).await;
        assert_eq!(before, both().await);
        let all = &first | &ids(8, [2, 3]);
        assert_eq!(kept(&store(&storage), "10:00:00").await, [Some(all)]);
    }
}

#[tokio::test]
async fn ids_get_an_object_of_their_own_when_there_are_more_than_a_hundred() {
    let storage = over(Memory::default());
    let store = store(&storage);
    let many: Vec<_> = many().into_iter().collect();
    for (range, is_apart) in [
        (0..60, false),
        (50..100, false),
        (0..100, false),
        (99..101, true),
    ] {
        let ids = many[range].iter().cloned().collect();
        store
            .accept(&ids, at("08:10:00"), deadline())
            .await
            .unwrap();
        let apart = storage.read(OF_8, deadline()).await.unwrap();
        assert_eq!(apart.is_some(), is_apart);
    }
    let all = many.into_iter().collect();
    assert_eq!(kept(&store, "08:30:00").await, [Some(all)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_counts_once_although_the_answer_to_its_writing_was_lost() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let losing = Faulty::over(Memory::default(), {
        let is_lost = Arc::clone(&is_lost);
        move |operation, _| match operation {
            Operation::Write if is_lost.swap(false, Ordering::Relaxed) => Fault::LoseAnswer,
            _ => Fault::None,
        }
    });
    let store = store(&over(losing));
    let all = ids(8, [0, 30, 59]);
    accept(&store, &all, at("09:10:00")).await;
    // Finds no record, as in a table without rows.
    let find = async |clock| {
        let nothing = [found(8, 3, &all)];
        let find = |it: &mut Arrivals| it.find(&nothing, at(clock));
        is_lost.store(true, Ordering::Relaxed);
        let verdict = store.change(deadline(), find).await.unwrap();
        let told = store.see(deadline(), told).await.unwrap();
        (verdict.lost.len(), told)
    };
    assert_eq!(find("09:30:00").await, (0, [3, 0, 3, 0]));
    assert_eq!(find("10:30:00").await, (3, [3, 0, 3, 3]));
}

/// A run may be killed between the two, and delivers the records again.
#[tokio::test(start_paused = true)]
async fn ids_that_are_stored_before_their_hour_is_are_counted_when_they_come_again() {
    let is_killed = Arc::new(AtomicBool::new(false));
    let storage = over(Faulty::over(Memory::default(), {
        let is_killed = Arc::clone(&is_killed);
        move |operation, path| match operation {
            Operation::Write if path == PATH && is_killed.load(Ordering::Relaxed) => Fault::Fail,
            _ => Fault::None,
        }
    }));
    let is_accepted = async |ids: BTreeSet<LogId>, clock| {
        let store = store(&storage);
        store.accept(&ids, at(clock), deadline()).await.is_ok()
    };
    assert!(is_accepted(ids(8, [0]), "08:01:00").await);
    is_killed.store(true, Ordering::Relaxed);
    assert!(!is_accepted(&many() | &ids(8, [2]), "08:03:00").await);
    is_killed.store(false, Ordering::Relaxed);
    // Not all of them come again, as if the other had been delivered by another way.
    assert!(is_accepted(many(), "08:20:00").await);
    let all = Some(&many() | &ids(8, [0, 2]));
    assert_eq!(kept(&store(&storage), "08:39:59").await, []);
    assert_eq!(kept(&store(&storage), "08:40:00").await, [all]);
}

#[tokio::test]
async fn many_ids_that_an_earlier_version_kept_with_the_hour_are_used_and_moved_when_more_come() {
    let storage = over(Memory::default());
    let json = format!(
        r#"{{"format":1,"hours":{{"2026-11-21T08:00:00Z":{{"ids":"{}","accepted":101,
        "delivered_at":"2026-11-21T08:59:00Z","stage":"delivered","seen":null,"sent_again_at":null,
        "lost":0,"was_void":false,"is_retried":false}}}},"looked_at":null}}"#,
        pack(&many())
    );
    let written = storage.write(PATH, Bytes::from(json), None, deadline());
    written.await.unwrap();
    let store = store(&storage);
    assert_eq!(kept(&store, "09:19:00").await, [Some(many())]);
    // They are moved also if none is new, as where a run was killed.
    accept(&store, &many(), at("09:19:00")).await;
    let is_moved = |it: &Arrivals| it.hours.values().all(|hour| hour.ids.is_none());
    assert!(store.see(deadline(), is_moved).await.unwrap());
    assert_eq!(kept(&store, "09:19:00").await, [Some(many())]);
    accept(&store, &ids(8, [1]), at("09:19:00")).await;
    let all = &many() | &ids(8, [1]);
    assert_eq!(kept(&store, "09:39:00").await, [Some(all)]);
    assert!(storage.read(OF_8, deadline()).await.unwrap().is_some());
}

/// If they do not come again, the hour would never be judged, because its count is another.
#[tokio::test]
async fn an_hour_with_other_ids_than_were_counted_is_counted_anew_and_looked_for_later() {
    let (storage, others) = (over(Memory::default()), over(Memory::default()));
    let (ours, more) = (store(&storage), &many() | &ids(8, [2]));
    accept(&ours, &many(), at("08:02:00")).await;
    accept(&store(&others), &more, at("08:03:00")).await;
    let (json, _) = others.read(OF_8, deadline()).await.unwrap().unwrap();
    let (_, version) = storage.read(OF_8, deadline()).await.unwrap().unwrap();
    let written = storage.write(OF_8, json, Some(&version), deadline()).await;
    written.unwrap();
    assert_eq!(kept(&ours, "08:30:00").await, [None]);
    assert_eq!(kept(&ours, "08:30:00").await, []);
    assert_eq!(kept(&ours, "08:50:00").await, [Some(more)]);
}

#[tokio::test]
async fn an_hour_whose_ids_are_gone_or_unusable_is_begun_anew_and_keeps_no_other_from_its_turn() {
    let newer = format!(r#"{{"format":2,"ids":"{}"}}"#, pack(&many()));
    let unusable = [
        None,
        Some("{}"),
        Some(newer.as_str()),
        Some(r#"{"format":1,"ids":"?"}"#),
    ];
    for json in unusable {
        let storage = over(Memory::default());
        let add = async |ids: &BTreeSet<LogId>, clock| {
            assert_eq!(accept(&store(&storage), ids, at(clock)).await, 0);
        };
        let spoil = async || {
            let (_, version) = storage.read(OF_8, deadline()).await.unwrap().unwrap();
            let Some(json) = json else {
                return storage.remove(OF_8, deadline()).await.unwrap();
            };
            let json = Bytes::from(json.to_owned());
            let written = storage.write(OF_8, json, Some(&version), deadline()).await;
            written.unwrap();
        };
        let due = async |clock| kept(&store(&storage), clock).await;
        let of_9 = ids(9, [0]);
        add(&(&many() | &of_9), "09:05:00").await;
        spoil().await;
        assert_eq!(due("09:30:00").await, [None, Some(of_9.clone())]);
        assert_eq!(due("09:30:00").await, [Some(of_9.clone())]);
        let left = store(&storage);
        let left = left.see(deadline(), |it| it.hours.len()).await.unwrap();
        assert_eq!(left, 1);
        add(&many(), "09:31:00").await;
        spoil().await;
        add(&ids(8, [4]), "09:32:00").await;
        assert_eq!(due("09:52:00").await, [Some(ids(8, [4])), Some(of_9)]);
    }
}

#[tokio::test]
async fn of_an_hour_as_many_ids_are_kept_as_there_is_room_for() {
    let store = store(&over(Memory::default()));
    let id = |n: i64| LogId::synthetic("900", at("08:00:00") + TimeDelta::microseconds(n));
    let add = async |numbers: Range<i64>| {
        let ids = numbers.map(id).collect();
        accept(&store, &ids, at("08:30:00")).await
    };
    assert_eq!(add(0..149_999).await, 0);
    assert_eq!(add(149_990..150_002).await, 2);
    // What is there already needs no room.
    assert_eq!(add(149_990..150_000).await, 0);
    let kept = kept(&store, "08:50:00").await.remove(0).unwrap();
    assert_eq!((kept.len(), kept.last()), (150_000, Some(&id(149_999))));
}

/// Each removal is a request to the storage, and most hours of most tenants have no object.
#[tokio::test]
async fn where_a_forgotten_hour_has_few_ids_there_is_nothing_to_remove() {
    let storage = over(Faulty::over(
        Memory::default(),
        |operation, _| match operation {
            Operation::Remove => Fault::Conflict,
            _ => Fault::None,
        },
    ));
    let store = store(&storage);
    accept(&store, &ids(8, [0]), at("09:10:00")).await;
    let whole = [found(8, 1, &BTreeSet::new())];
    let find = |it: &mut Arrivals| it.find(&whole, at("09:30:00"));
    store.change(deadline(), find).await.unwrap();
    let later = at("09:10:00") + TimeDelta::days(1);
    accept(&store, &ids(10, [0]), later).await;
    let hours = store.see(deadline(), |it| it.hours.len()).await.unwrap();
    assert_eq!(hours, 1);
    store.tidy(deadline()).await.unwrap();
    // Nor where there are too many hours.
    let few = (1..=1_001).map(|hours| LogId::synthetic("900", later - TimeDelta::hours(hours)));
    assert_eq!(accept(&store, &few.collect(), later).await, 1);
    store.tidy(deadline()).await.unwrap();
}

/// Notes that all of `many` arrived, and a day later something else, so the hour is forgotten.
async fn forget(store: &ArrivalStore) {
    let whole = [found(8, 101, &BTreeSet::new())];
    let find = |it: &mut Arrivals| it.find(&whole, at("09:30:00"));
    store.change(deadline(), find).await.unwrap();
    accept(store, &ids(10, [0]), at("09:10:00") + TimeDelta::days(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_a_forgotten_hour_do_not_come_back_although_they_cannot_be_removed() {
    let removed = Arc::new(Mutex::new(Vec::new()));
    let storage = over(Faulty::over(Memory::default(), {
        let removed = Arc::clone(&removed);
        move |operation, path| match operation {
            Operation::Remove => {
                removed.lock().unwrap().push(path.to_owned());
                Fault::Fail
            }
            _ => Fault::None,
        }
    }));
    let tidy = async |store: &ArrivalStore| {
        let tidied = store.tidy(Deadline::after(Duration::from_secs(1))).await;
        let mut tried = std::mem::take(&mut *removed.lock().unwrap());
        tried.dedup();
        (tidied.is_ok(), tried)
    };
    let (tried, not_tried) = ((false, vec![OF_8.to_owned()]), (true, vec![]));
    let first = store(&storage);
    accept(&first, &many(), at("09:10:00")).await;
    assert_eq!(tidy(&first).await, not_tried);
    forget(&first).await;
    // That would fail each minute, so it is left to the next process.
    assert_eq!(tidy(&first).await, tried);
    assert_eq!(tidy(&first).await, not_tried);
    let next = store(&storage);
    assert_eq!(tidy(&next).await, tried);
    // Records of the hour that come late begin it anew: first a few, then many.
    let later = at("09:10:00") + TimeDelta::days(1);
    let due = async |count| {
        let wanted = Wanted {
            hour: at("08:00:00"),
            delivered_at: later,
            accepted: count,
            by_name: false,
        };
        next.ids(&wanted, later, deadline()).await.unwrap()
    };
    accept(&next, &ids(8, [5]), later).await;
    assert_eq!(due(1).await, Some(ids(8, [5])));
    let other: BTreeSet<_> = (0..100)
        .map(|n| LogId::synthetic("900", at("08:40:00") + TimeDelta::microseconds(n)))
        .collect();
    accept(&next, &other, later).await;
    assert_eq!(due(101).await, Some(&other | &ids(8, [5])));
    // They are in use now.
    assert_eq!(tidy(&store(&storage)).await, not_tried);
}

#[tokio::test]
async fn an_hour_that_is_forgotten_leaves_nothing_behind_however_often_it_begins_anew() {
    let storage = over(Memory::default());
    let is_there = async || storage.read(OF_8, deadline()).await.unwrap().is_some();
    let (tidying, later) = (store(&storage), at("09:10:00") + TimeDelta::days(1));
    for minute in 1..=3 {
        accept(&tidying, &many(), at("09:10:00")).await;
        assert!(is_there().await);
        forget(&tidying).await;
        tidying.tidy(deadline()).await.unwrap();
        assert!(!is_there().await);
        accept(&tidying, &ids(10, [minute]), later).await;
        let next = store(&storage);
        let gone = next.see(deadline(), |it| it.gone.len()).await.unwrap();
        assert_eq!(gone, 0);
    }
}

#[tokio::test]
async fn what_is_forgotten_at_once_is_removed_in_parts() {
    let storage = over(Memory::default());
    let (store, begin) = (store(&storage), at("08:00:00"));
    let hours: Vec<_> = (1..=25).map(|n| begin - TimeDelta::hours(n)).collect();
    let id = |hour: &DateTime<Utc>, n| LogId::synthetic("900", *hour + TimeDelta::microseconds(n));
    let all = hours
        .iter()
        .flat_map(|hour| (0..101).map(move |n| id(hour, n)));
    accept(&store, &all.collect(), at("08:10:00")).await;
    let whole: Vec<_> = hours
        .iter()
        .map(|hour| Found {
            hour: *hour,
            accepted: 101,
            landed: 101,
            missing: BTreeSet::new(),
        })
        .collect();
    let find = |it: &mut Arrivals| it.find(&whole, at("08:30:00"));
    store.change(deadline(), find).await.unwrap();
    accept(&store, &ids(10, [0]), at("08:10:00") + TimeDelta::days(1)).await;
    let folder = "arrival/acme/log-analytics";
    for left in [5, 0] {
        store.tidy(deadline()).await.unwrap();
        assert_eq!(storage.list(folder, deadline()).await.unwrap().len(), left);
    }
}

/// A look at the table works beside a run, which must note what it delivers before it saves.
#[tokio::test(start_paused = true)]
async fn a_storage_that_hangs_while_a_look_reads_or_removes_keeps_no_run_from_noting() {
    let objects = Memory::default();
    let fine = store(&over(objects.clone()));
    accept(&fine, &many(), at("09:10:00")).await;
    let hanging = |operation, path: &str| match operation {
        Operation::Read | Operation::Remove if path == OF_8 => Fault::Hang,
        _ => Fault::None,
    };
    let reading = store(&over(Faulty::over(objects.clone(), hanging)));
    let due = |it: &Arrivals| it.due(TIMING, at("09:30:00"));
    let wanted = reading.see(deadline(), due).await.unwrap();
    let soon = Deadline::after(Duration::from_mins(1));
    let (of_9, now) = (ids(9, [0]), at("09:30:00"));
    let (read, noted) = tokio::join!(
        reading.ids(&wanted[0], now, soon),
        reading.accept(&of_9, now, soon)
    );
    assert!(read.is_err() && noted.is_ok());
    forget(&store(&over(objects.clone()))).await;
    let removing = store(&over(Faulty::over(objects, hanging)));
    let soon = Deadline::after(Duration::from_mins(1));
    let (removed, noted) = tokio::join!(removing.tidy(soon), removing.accept(&of_9, now, soon));
    assert!(removed.is_err() && noted.is_ok());
}

#[tokio::test]
async fn an_hour_that_changes_while_it_is_looked_for_is_not_counted_anew() {
    let storage = over(Memory::default());
    let (store, later) = (store(&storage), at("09:30:00") + TimeDelta::days(1));
    accept(&store, &many(), at("09:10:00")).await;
    let due = |it: &Arrivals| it.due(TIMING, at("09:30:00"));
    let wanted = store.see(deadline(), due).await.unwrap().remove(0);
    // More comes to it.
    accept(&store, &ids(8, [1]), at("09:30:00")).await;
    assert_eq!(
        store
            .ids(&wanted, at("09:30:00"), deadline())
            .await
            .unwrap(),
        None
    );
    let all = &many() | &ids(8, [1]);
    assert_eq!(kept(&store, "09:50:00").await, [Some(all)]);
    // It is forgotten, and its object is still to be removed.
    let whole = [found(8, 102, &BTreeSet::new())];
    let find = |it: &mut Arrivals| it.find(&whole, at("09:50:00"));
    store.change(deadline(), find).await.unwrap();
    accept(&store, &ids(10, [0]), later).await;
    let wanted = Wanted {
        accepted: 102,
        ..wanted
    };
    assert_eq!(store.ids(&wanted, later, deadline()).await.unwrap(), None);
    store.tidy(deadline()).await.unwrap();
    assert!(storage.read(OF_8, deadline()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_process_that_has_not_seen_an_hour_begin_anew_does_not_count_its_ids() {
    let storage = over(Memory::default());
    let (old, new) = (store(&storage), store(&storage));
    accept(&old, &many(), at("09:10:00")).await;
    let due = |it: &Arrivals| it.due(TIMING, at("09:30:00"));
    let wanted = old.see(deadline(), due).await.unwrap().remove(0);
    forget(&new).await;
    new.tidy(deadline()).await.unwrap();
    let later = at("09:10:00") + TimeDelta::days(1);
    accept(&new, &ids(8, [5]), later).await;
    assert_eq!(old.ids(&wanted, later, deadline()).await.unwrap(), None);
    let wanted = Wanted {
        accepted: 1,
        ..wanted
    };
    let kept = store(&storage).ids(&wanted, later, deadline()).await;
    assert_eq!(kept.unwrap(), Some(ids(8, [5])));
}

/// As with two pollers, or an old and a new instance of the app.
#[tokio::test]
async fn what_another_process_notes_of_an_hour_that_was_forgotten_is_kept() {
    for is_tidying in [true, false] {
        let storage = over(Memory::default());
        let (ours, theirs) = (store(&storage), store(&storage));
        accept(&ours, &many(), at("09:10:00")).await;
        forget(&ours).await;
        let later = at("09:10:00") + TimeDelta::days(1);
        let id = |n| LogId::synthetic("900", at("08:40:00") + TimeDelta::microseconds(n));
        let anew: BTreeSet<_> = (0..101).map(id).collect();
        accept(&theirs, &anew, later).await;
        let mut all = anew;
        if is_tidying {
            ours.tidy(deadline()).await.unwrap();
        } else {
            accept(&ours, &many(), later).await;
            all.extend(many());
        }
        let wanted = Wanted {
            hour: at("08:00:00"),
            delivered_at: later,
            accepted: count(&all),
            by_name: false,
        };
        let kept = store(&storage).ids(&wanted, later, deadline()).await;
        assert_eq!(kept.unwrap(), Some(all));
    }
}

/// With what it knew, the process puts the few new ids into the object that it has removed.
#[tokio::test]
async fn an_object_that_is_written_once_more_after_it_was_removed_is_removed_again() {
    let storage = over(Memory::default());
    let (old, new) = (store(&storage), store(&storage));
    let later = at("09:10:00") + TimeDelta::days(1);
    accept(&old, &many(), at("09:10:00")).await;
    accept(&old, &ids(7, [0]), at("09:10:00")).await;
    forget(&new).await;
    new.tidy(deadline()).await.unwrap();
    accept(&old, &ids(8, [5]), later).await;
    assert!(storage.read(OF_8, deadline()).await.unwrap().is_some());
    accept(&new, &ids(11, [0]), later).await;
    new.tidy(deadline()).await.unwrap();
    assert!(storage.read(OF_8, deadline()).await.unwrap().is_none());
}

#[tokio::test]
async fn another_process_may_come_between_at_each_of_the_two_objects() {
    let mut left = vec![OF_8, PATH];
    let storage = over(Faulty::over(Memory::default(), move |operation, path| {
        let is_next = operation == Operation::Write && left.first().is_some_and(|it| *it == path);
        if is_next {
            left.remove(0);
            return Fault::Conflict;
        }
        Fault::None
    }));
    let store = store(&storage);
    accept(&store, &many(), at("09:10:00")).await;
    assert_eq!(kept(&store, "09:30:00").await, [Some(many())]);
}

/// Someone else may be able to write it.
#[tokio::test]
async fn what_cannot_be_reckoned_with_is_begun_anew() {
    let whole = |(counts, ids): (u64, &str), gone: &str, begin: &str, time: &str| {
        let hour = format!(
            r#"{{"accepted":{counts},"ids":{ids},"delivered_at":"{time}","stage":"lost","lost":{max},
            "seen":{{"at":"{time}","accepted":{max},"landed":{max}}},"sent_again_at":"{time}"}}"#,
            max = u64::MAX,
        );
        let other = "2026-11-21T09:00:00Z";
        format!(
            r#"{{"format":1,"hours":{{"{begin}":{hour},"{other}":{hour}}},"looked_at":null,"gone":["{gone}"]}}"#
        )
    };
    let (usual, far) = ("2026-11-21T08:00:00Z", "+262142-12-31T23:00:00Z");
    let none = format!("\"{}\"", pack(&BTreeSet::new()));
    let (apart, here, other) = ((u64::MAX, "null"), (0, &*none), (1, &*none));
    for (counts, gone, begin, time, is_used) in [
        (apart, usual, usual, usual, true),
        (here, usual, usual, usual, true),
        (other, usual, usual, usual, false),
        (apart, far, usual, usual, false),
        (apart, usual, far, usual, false),
        (apart, usual, usual, far, false),
        (apart, usual, "-262143-01-01T00:00:00Z", usual, false),
    ] {
        let storage = over(Memory::default());
        let json = Bytes::from(whole(counts, gone, begin, time));
        storage.write(PATH, json, None, deadline()).await.unwrap();
        let store = store(&storage);
        let seen = store.see(deadline(), |it| {
            let _ = (it.due(TIMING, at("12:00:00")), it.lost());
            it.told().accepted
        });
        assert_eq!(
            seen.await.unwrap() > 0,
            is_used,
            "{counts:?} {gone} {begin} {time}"
        );
        // Nor does it stop what is added.
        accept(&store, &ids(10, [0]), at("12:00:00")).await;
    }
}
