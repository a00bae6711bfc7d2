use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::net::retry::{Deadline, Jitter};
use crate::storage::Storage;
use crate::storage::faulty::{Fault, Faulty, Operation};
use crate::storage::memory::Memory;

mod outages;

const TIMING: Timing = Timing {
    after: TimeDelta::minutes(20),
    again: TimeDelta::hours(1),
};

fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

/// The ids of these minutes of an hour.
fn ids(hour: u32, minutes: impl IntoIterator<Item = i64>) -> BTreeSet<LogId> {
    let begin = at(&format!("{hour:02}:00:00"));
    let id = |minute| LogId::synthetic("900", begin + TimeDelta::minutes(minute));
    minutes.into_iter().map(id).collect()
}

/// What was found where only these are missing.
fn found(hour: u32, accepted: u64, missing: &BTreeSet<LogId>) -> Found {
    Found {
        hour: at(&format!("{hour:02}:00:00")),
        accepted,
        landed: accepted - count(missing),
        missing: missing.clone(),
    }
}

fn due(arrivals: &Arrivals, clock: &str) -> Vec<(DateTime<Utc>, usize, bool)> {
    let due = arrivals.due(TIMING, at(clock)).into_iter();
    due.map(|it| (it.hour, it.ids.len(), it.by_name)).collect()
}

fn told(arrivals: &Arrivals) -> [u64; 4] {
    let told = arrivals.told();
    [told.accepted, told.landed, told.missing, arrivals.lost()]
}

/// Three records of one hour and two of the next.
fn delivered() -> Arrivals {
    let mut arrivals = Arrivals::default();
    let all = ids(8, [0, 30, 59]).into_iter().chain(ids(9, [0, 1]));
    assert!(arrivals.accept(&all.collect(), at("09:10:00")));
    arrivals
}

#[test]
fn records_count_in_the_hour_of_their_ids_and_those_delivered_again_count_once() {
    let mut arrivals = delivered();
    assert!(!arrivals.accept(&ids(8, [30, 59]), at("09:40:00")));
    assert!(!arrivals.accept(&[LogId::new("no-time")].into(), at("09:40:00")));
    assert_eq!(due(&arrivals, "09:29:59"), []);
    let all = [(at("08:00:00"), 3, false), (at("09:00:00"), 2, false)];
    assert_eq!(due(&arrivals, "09:30:00"), all);
    // A late record makes its hour due again, and no other.
    assert!(arrivals.accept(&ids(8, [30, 31]), at("09:40:00")));
    assert_eq!(due(&arrivals, "09:40:00"), all[1..]);
    assert_eq!(
        due(&arrivals, "10:00:00"),
        [(at("08:00:00"), 4, false), all[1]]
    );
}

#[test]
fn what_was_delivered_while_a_clock_was_ahead_is_looked_for_once_it_is_right_again() {
    let mut arrivals = Arrivals::default();
    arrivals.accept(&ids(8, [0, 30]), at("09:10:00") + TimeDelta::days(300));
    assert_eq!(due(&arrivals, "10:00:00"), []);
    arrivals.accept(&ids(9, [1]), at("09:10:00"));
    let all = [(at("08:00:00"), 2, false), (at("09:00:00"), 1, false)];
    assert_eq!(due(&arrivals, "09:30:00"), all);

    // A clock that is behind for one run changes nothing that was noted before.
    let mut arrivals = Arrivals::default();
    arrivals.accept(&ids(8, [0, 30]), at("09:10:00"));
    arrivals.accept(&ids(7, [1]), at("09:10:00") - TimeDelta::days(1));
    let other = [(at("07:00:00"), 1, false)];
    assert_eq!(due(&arrivals, "09:11:00"), other);
}

#[test]
fn what_is_all_there_is_looked_at_once() {
    let mut arrivals = delivered();
    assert_eq!(told(&arrivals), [0, 0, 0, 0]);
    assert_eq!(arrivals.told().looked_at, None);
    let none = BTreeSet::new();
    let all = [found(8, 3, &none), found(9, 2, &none)];
    assert_eq!(arrivals.find(&all, at("09:30:00")), Verdict::default());
    assert_eq!(told(&arrivals), [5, 5, 0, 0]);
    assert_eq!(arrivals.told().looked_at, Some(at("09:30:00")));
    assert_eq!(due(&arrivals, "23:00:00"), []);
}

#[test]
fn what_is_missing_after_the_second_look_is_delivered_again_once_and_then_lost() {
    let mut arrivals = delivered();
    let missing = ids(8, [30]);
    let mut short = found(8, 3, &missing);
    short.missing.clear();
    let first = [short, found(9, 2, &BTreeSet::new())];
    assert_eq!(arrivals.find(&first, at("09:30:00")), Verdict::default());
    assert_eq!(told(&arrivals), [5, 4, 1, 0]);

    assert_eq!(due(&arrivals, "10:29:59"), []);
    assert_eq!(due(&arrivals, "10:30:00"), [(at("08:00:00"), 3, true)]);
    let still = [found(8, 3, &missing)];
    let verdict = arrivals.find(&still, at("10:30:00"));
    assert_eq!((&verdict.missing, verdict.lost.len()), (&missing, 0));
    // If they could not be delivered again, this is tried after the next look.
    assert_eq!(due(&arrivals, "11:30:00").len(), 1);
    assert_eq!(arrivals.find(&still, at("11:30:00")).missing, missing);

    arrivals.send_again(&missing, at("11:31:00"));
    assert_eq!(due(&arrivals, "11:50:59"), []);
    assert_eq!(due(&arrivals, "11:51:00"), [(at("08:00:00"), 3, true)]);
    let verdict = arrivals.find(&still, at("11:51:00"));
    assert_eq!((verdict.missing.len(), &verdict.lost), (0, &missing));
    assert_eq!(told(&arrivals), [5, 4, 1, 1]);
    // Reported once, but still looked for.
    assert_eq!(due(&arrivals, "12:51:00").len(), 1);
    assert_eq!(arrivals.find(&still, at("12:51:00")), Verdict::default());
    arrivals.find(&[found(8, 3, &BTreeSet::new())], at("13:51:00"));
    assert_eq!(told(&arrivals), [5, 5, 0, 0]);
}

/// It may fail each time, and nothing else would tell of these records.
#[test]
fn what_could_not_be_delivered_again_counts_as_missing_for_good_until_it_is_found() {
    let mut arrivals = delivered();
    let missing = ids(8, [30]);
    let still = [found(8, 3, &missing)];
    for clock in ["09:30:00", "10:30:00"] {
        arrivals.find(&still, at(clock));
        assert_eq!(told(&arrivals), [3, 2, 1, 0]);
    }
    arrivals.keep_missing(&missing);
    assert_eq!(told(&arrivals), [3, 2, 1, 1]);
    // It is tried again, and is missing until it is seen in the table.
    assert_eq!(arrivals.find(&still, at("11:30:00")).missing, missing);
    arrivals.send_again(&missing, at("11:31:00"));
    assert_eq!(told(&arrivals), [3, 2, 1, 1]);
    // An hour of which nothing is missing is not touched.
    arrivals.keep_missing(&ids(9, [0]));
    assert_eq!(told(&arrivals), [3, 2, 1, 1]);
    arrivals.find(&[found(8, 3, &BTreeSet::new())], at("11:51:00"));
    assert_eq!(told(&arrivals), [3, 3, 0, 0]);
}

#[test]
fn an_hour_whose_missing_records_were_delivered_again_has_had_its_turn() {
    let mut arrivals = delivered();
    let missing = ids(8, [30]);
    let still = [found(8, 3, &missing)];
    arrivals.find(&still, at("09:30:00"));
    arrivals.find(&still, at("10:30:00"));
    arrivals.send_again(&missing, at("10:30:00"));
    arrivals.accept(&ids(8, [31]), at("10:40:00"));
    let still = [found(8, 4, &missing)];
    arrivals.find(&still, at("11:00:00"));
    let verdict = arrivals.find(&still, at("12:00:00"));
    assert_eq!((verdict.missing.len(), verdict.lost), (0, missing));
}

/// As if a destination had been down in the middle of an hour.
#[test]
fn what_comes_to_an_hour_that_was_made_whole_has_a_turn_of_its_own() {
    let mut arrivals = sent_again(&ids(8, [30]));
    arrivals.find(&[found(8, 3, &BTreeSet::new())], at("10:50:00"));
    let new = ids(8, [31]);
    arrivals.accept(&new, at("13:00:00"));
    let still = [found(8, 4, &new)];
    assert_eq!(arrivals.find(&still, at("13:20:00")), Verdict::default());
    let verdict = arrivals.find(&still, at("14:20:00"));
    assert_eq!((&verdict.missing, verdict.lost.len()), (&new, 0));
    arrivals.send_again(&new, at("14:20:00"));
    let verdict = arrivals.find(&still, at("14:40:00"));
    assert_eq!((verdict.missing.len(), &verdict.lost), (0, &new));
}

/// The missing one of these was delivered again, and is still to be looked for.
fn sent_again(missing: &BTreeSet<LogId>) -> Arrivals {
    let mut arrivals = delivered();
    for clock in ["09:30:00", "10:30:00"] {
        arrivals.find(&[found(8, 3, missing)], at(clock));
    }
    arrivals.send_again(missing, at("10:30:00"));
    arrivals
}

/// As if a destination had been down in the middle of an hour.
#[test]
fn what_is_missing_for_good_is_told_of_although_more_comes_to_its_hour() {
    let missing = ids(8, [30]);
    let mut arrivals = sent_again(&missing);
    // Until it is looked for, the record sent again may have arrived.
    assert_eq!(arrivals.lost(), 0);
    arrivals.find(&[found(8, 3, &missing)], at("10:50:00"));
    assert_eq!(arrivals.lost(), 1);
    arrivals.accept(&ids(8, [31]), at("13:00:00"));
    assert_eq!(arrivals.lost(), 1);
    arrivals.find(&[found(8, 4, &missing)], at("13:20:00"));
    assert_eq!(arrivals.lost(), 1);
    arrivals.find(&[found(8, 4, &BTreeSet::new())], at("14:20:00"));
    assert_eq!(arrivals.lost(), 0);
    arrivals.accept(&ids(8, [32]), at("14:30:00"));
    assert_eq!(arrivals.lost(), 0);
}

#[test]
fn what_is_only_on_its_way_is_not_missing_for_good() {
    let missing = ids(8, [30]);
    let mut arrivals = sent_again(&missing);
    arrivals.find(&[found(8, 3, &BTreeSet::new())], at("10:50:00"));
    arrivals.accept(&ids(8, [31]), at("11:00:00"));
    arrivals.find(&[found(8, 4, &ids(8, [31]))], at("11:20:00"));
    assert_eq!(arrivals.lost(), 0);

    // If newer records of the hour are missing too, only those lost earlier count.
    let mut arrivals = sent_again(&missing);
    arrivals.find(&[found(8, 3, &missing)], at("10:50:00"));
    arrivals.accept(&ids(8, [31, 32, 33]), at("11:00:00"));
    arrivals.find(&[found(8, 6, &ids(8, [30, 31, 32, 33]))], at("11:20:00"));
    assert_eq!(arrivals.lost(), 1);
}

#[test]
fn where_nothing_ever_landed_what_is_missing_stays_so_when_more_comes() {
    let mut arrivals = delivered();
    let of_8 = ids(8, [0, 30, 59]);
    for clock in ["09:30:00", "10:30:00"] {
        arrivals.find(&[found(8, 3, &of_8)], at(clock));
    }
    assert_eq!(arrivals.lost(), 3);
    arrivals.accept(&ids(8, [31]), at("11:00:00"));
    assert_eq!(arrivals.lost(), 3);
}

#[test]
fn where_nothing_ever_landed_nothing_is_delivered_again() {
    let mut arrivals = delivered();
    let (of_8, of_9) = (ids(8, [0, 30, 59]), ids(9, [0, 1]));
    let nothing = [found(8, 3, &of_8), found(9, 2, &of_9)];
    arrivals.find(&nothing, at("09:30:00"));
    let verdict = arrivals.find(&nothing, at("10:30:00"));
    assert_eq!((verdict.missing.len(), verdict.lost.len()), (0, 5));
    // All of one hour is missing, and another hour has arrived.
    let mut arrivals = delivered();
    arrivals.find(
        &[found(8, 3, &of_8), found(9, 2, &BTreeSet::new())],
        at("09:30:00"),
    );
    assert_eq!(
        arrivals.find(&[found(8, 3, &of_8)], at("10:30:00")).missing,
        of_8
    );
}

#[test]
fn what_came_while_it_was_asked_is_looked_for_later() {
    let mut arrivals = delivered();
    arrivals.accept(&ids(8, [31]), at("09:30:00"));
    arrivals.find(&[found(8, 3, &BTreeSet::new())], at("09:30:10"));
    assert_eq!(told(&arrivals), [0, 0, 0, 0]);
    assert_eq!(due(&arrivals, "09:50:00")[0], (at("08:00:00"), 4, false));
}

#[test]
fn what_is_kept_is_bounded_in_time_and_number() {
    let mut arrivals = delivered();
    arrivals.find(&[found(8, 3, &BTreeSet::new())], at("09:30:00"));
    let later = at("09:10:00") + TimeDelta::days(1);
    arrivals.accept(&ids(10, [0]), later - TimeDelta::seconds(1));
    assert_eq!(arrivals.hours.len(), 3);
    arrivals.accept(&ids(10, [1]), later);
    // An hour that was never looked for is kept.
    let kept: Vec<_> = arrivals.hours.keys().copied().collect();
    assert_eq!(kept, [at("09:00:00"), at("10:00:00")]);

    // What is missing is told longer, until a cap of a day is over.
    let mut arrivals = outages::after_an_outage();
    for (hours, kept) in [(26, 4), (27, 2)] {
        let later = at("10:30:00") + TimeDelta::hours(hours);
        arrivals.accept(&ids(10, [hours]), later - TimeDelta::seconds(1));
        arrivals.accept(&ids(11, [hours]), later);
        assert_eq!(arrivals.hours.len(), kept, "{hours}");
    }

    let many = |hour: u32, count: i64| -> BTreeSet<LogId> {
        let begin = at(&format!("{hour:02}:00:00"));
        (0..count)
            .map(|n| LogId::synthetic("900", begin + TimeDelta::microseconds(n)))
            .collect()
    };
    let mut arrivals = Arrivals::default();
    for hour in [1, 2, 3] {
        arrivals.accept(&many(hour, 50_000), at("04:00:00"));
    }
    assert_eq!(arrivals.hours.len(), 3);
    arrivals.find(&[found(2, 50_000, &BTreeSet::new())], at("04:20:00"));
    // The finished hour goes first, then the oldest.
    arrivals.accept(&many(4, 1), at("04:20:00"));
    let kept: Vec<_> = arrivals.hours.keys().copied().collect();
    assert_eq!(kept, [at("01:00:00"), at("03:00:00"), at("04:00:00")]);
    assert_eq!(arrivals.take_given_up(), 0);
    arrivals.accept(&many(5, 50_000), at("05:20:00"));
    assert_eq!(arrivals.take_given_up(), 50_000);
    assert_eq!(arrivals.take_given_up(), 0);
    let kept: Vec<_> = arrivals.hours.keys().copied().collect();
    assert_eq!(kept, [at("03:00:00"), at("04:00:00"), at("05:00:00")]);
}

/// A tenant with so many records that not all hours of a day are kept.
#[test]
fn what_is_missing_for_good_is_told_as_long_as_there_is_room_for_it() {
    let begin = at("03:00:00");
    let many = |hours: i64, count: i64| -> BTreeSet<LogId> {
        let hour = begin + TimeDelta::hours(hours);
        (0..count)
            .map(|n| LogId::synthetic("900", hour + TimeDelta::microseconds(n)))
            .collect()
    };
    let mut arrivals = Arrivals::default();
    arrivals.accept(&many(0, 50_000), at("04:00:00"));
    let missing = ids(3, [0]);
    for clock in ["04:20:00", "05:20:00"] {
        arrivals.find(&[found(3, 50_000, &missing)], at(clock));
    }
    arrivals.send_again(&missing, at("05:20:00"));
    let verdict = arrivals.find(&[found(3, 50_000, &missing)], at("05:40:00"));
    assert_eq!((verdict.lost.len(), arrivals.lost()), (1, 1));
    for hour in 1..=3 {
        let begin = begin + TimeDelta::hours(hour);
        arrivals.accept(&many(hour, 50_000), begin + TimeDelta::hours(1));
        let whole = Found {
            hour: begin,
            accepted: 50_000,
            landed: 50_000,
            missing: BTreeSet::new(),
        };
        arrivals.find(&[whole], begin + TimeDelta::minutes(80));
        assert_eq!(arrivals.lost(), 1, "{hour}");
    }
    // Where nothing is whole, it is told with what is given up.
    arrivals.take_given_up();
    for hour in 4..=6 {
        arrivals.accept(&many(hour, 50_000), begin + TimeDelta::hours(hour + 1));
    }
    assert_eq!((arrivals.lost(), arrivals.take_given_up()), (0, 1));
}

#[tokio::test]
async fn two_processes_add_to_the_same_and_what_is_no_change_is_not_written() {
    let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
    let deadline = Deadline::after(Duration::from_mins(1));
    let store = || ArrivalStore::new(Arc::clone(&storage), "acme.eu.auth0.com", "log-analytics");
    let (old, new) = (store(), store());
    let add = |minute: i64| move |it: &mut Arrivals| it.accept(&ids(8, [minute]), at("09:00:00"));
    assert!(old.change(deadline, add(1)).await.unwrap());
    assert!(new.change(deadline, add(2)).await.unwrap());
    assert!(old.change(deadline, add(3)).await.unwrap());
    let path = "arrival/acme.eu.auth0.com/log-analytics.json";
    let before = storage.read(path, deadline).await.unwrap().unwrap();
    assert!(!old.change(deadline, add(2)).await.unwrap());
    let after = storage.read(path, deadline).await.unwrap().unwrap();
    assert_eq!(before, after);
    let due = |it: &Arrivals| it.due(TIMING, at("10:00:00"));
    let seen = store().see(deadline, due).await.unwrap();
    assert_eq!(seen[0].ids, ids(8, [1, 2, 3]));
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
    let storage = Arc::new(Storage::over(losing, Jitter::seeded(1)));
    let store = ArrivalStore::new(storage, "acme", "log-analytics");
    let deadline = || Deadline::after(Duration::from_mins(10));
    let all = ids(8, [0, 30, 59]);
    let accept = |it: &mut Arrivals| it.accept(&all, at("09:10:00"));
    store.change(deadline(), accept).await.unwrap();
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

/// Someone else may be able to write it.
#[tokio::test]
async fn what_cannot_be_reckoned_with_is_begun_anew() {
    let whole = |counts: u64, begin: &str, time: &str| {
        let hour = format!(
            r#"{{"ids":"{}","accepted":{counts},"delivered_at":"{time}","stage":"lost","lost":{max},
            "seen":{{"at":"{time}","accepted":{max},"landed":{max}}},"sent_again_at":"{time}"}}"#,
            pack(&BTreeSet::new()),
            max = u64::MAX,
        );
        let other = "2026-11-21T09:00:00Z";
        format!(r#"{{"format":1,"hours":{{"{begin}":{hour},"{other}":{hour}}},"looked_at":null}}"#)
    };
    let (usual, far) = ("2026-11-21T08:00:00Z", "+262142-12-31T23:00:00Z");
    for (counts, begin, time, is_used) in [
        (0, usual, usual, true),
        (1, usual, usual, false),
        (0, far, usual, false),
        (0, usual, far, false),
        (0, "-262143-01-01T00:00:00Z", usual, false),
    ] {
        let storage = Arc::new(Storage::over(Memory::default(), Jitter::seeded(1)));
        let deadline = Deadline::after(Duration::from_mins(1));
        let json = bytes::Bytes::from(whole(counts, begin, time));
        let path = "arrival/acme/log-analytics.json";
        storage.write(path, json, None, deadline).await.unwrap();
        let store = ArrivalStore::new(storage, "acme", "log-analytics");
        let seen = store.see(deadline, |it| {
            let _ = (it.due(TIMING, at("12:00:00")), it.lost());
            it.told().accepted
        });
        assert_eq!(seen.await.unwrap() > 0, is_used, "{counts} {begin} {time}");
    }
}
