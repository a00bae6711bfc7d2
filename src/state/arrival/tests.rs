use std::ops::{Deref, DerefMut};

use super::*;

mod outages;
mod stored;

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

fn due(arrivals: &Arrivals, clock: &str) -> Vec<(DateTime<Utc>, u64, bool)> {
    let due = arrivals.due(TIMING, at(clock)).into_iter();
    due.map(|it| (it.hour, it.accepted, it.by_name)).collect()
}

fn told(arrivals: &Arrivals) -> [u64; 4] {
    let told = arrivals.told();
    [told.accepted, told.landed, told.missing, arrivals.lost()]
}

fn count(ids: &BTreeSet<LogId>) -> u64 {
    u64::try_from(ids.len()).unwrap()
}

/// What was acknowledged, with the ids that the store keeps.
#[derive(Default)]
struct Kept {
    arrivals: Arrivals,
    ids: BTreeMap<DateTime<Utc>, BTreeSet<LogId>>,
}

impl Kept {
    /// Returns whether any record is new.
    fn accept(&mut self, ids: &BTreeSet<LogId>, now: DateTime<Utc>) -> bool {
        let mut hours = BTreeMap::new();
        for (hour, new) in by_hour(ids) {
            let all = self.ids.entry(hour).or_default();
            all.extend(new);
            let kept = KeptIds {
                count: count(all),
                here: None,
            };
            hours.insert(hour, kept);
        }
        let is_news = self.arrivals.keep(&hours, now);
        for hour in &self.arrivals.gone {
            self.ids.remove(hour);
        }
        is_news
    }
}

impl Deref for Kept {
    type Target = Arrivals;

    fn deref(&self) -> &Arrivals {
        &self.arrivals
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Arrivals {
        &mut self.arrivals
    }
}

/// Three records of one hour and two of the next.
fn delivered() -> Kept {
    let mut arrivals = Kept::default();
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
    let mut arrivals = Kept::default();
    arrivals.accept(&ids(8, [0, 30]), at("09:10:00") + TimeDelta::days(300));
    assert_eq!(due(&arrivals, "10:00:00"), []);
    arrivals.accept(&ids(9, [1]), at("09:10:00"));
    let all = [(at("08:00:00"), 2, false), (at("09:00:00"), 1, false)];
    assert_eq!(due(&arrivals, "09:30:00"), all);

    // A clock that is behind for one run changes nothing that was noted before.
    let mut arrivals = Kept::default();
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

/// Reading the hour may take longer than any run has, and the service may drop the same rows each time.
#[test]
fn what_is_delivered_again_twice_by_halves_and_does_not_arrive_is_lost() {
    let mut arrivals = delivered();
    let missing = ids(8, [0, 30]);
    let still = [found(8, 3, &missing)];
    arrivals.find(&still, at("09:30:00"));
    for clock in ["10:30:00", "11:30:00"] {
        assert_eq!(arrivals.find(&still, at(clock)).missing, missing, "{clock}");
        arrivals.send_part_again(&missing);
    }
    let verdict = arrivals.find(&still, at("12:30:00"));
    assert_eq!((verdict.missing.len(), &verdict.lost), (0, &missing));
    assert_eq!(told(&arrivals), [3, 1, 2, 2]);
    // As after any loss, only more records of that hour, or the end of an outage, change anything.
    for clock in ["13:30:00", "14:30:00"] {
        assert_eq!(arrivals.find(&still, at(clock)), Verdict::default());
    }
    arrivals.accept(&ids(8, [31]), at("14:40:00"));
    let still = [found(8, 4, &missing)];
    arrivals.find(&still, at("15:00:00"));
    let verdict = arrivals.find(&still, at("16:00:00"));
    assert_eq!((verdict.missing.len(), &verdict.lost), (0, &missing));
}

/// An hour may have more records than several runs can deliver.
#[test]
fn while_what_is_delivered_again_by_parts_arrives_the_rest_is_delivered_too() {
    let mut arrivals = Kept::default();
    let all = ids(8, 0..60);
    arrivals.accept(&all, at("09:10:00"));
    let left = |from| found(8, 60, &ids(8, from..60));
    arrivals.find(&[left(0)], at("09:30:00"));
    arrivals.accept(&ids(9, [0]), at("09:30:00"));
    arrivals.find(&[found(9, 1, &BTreeSet::new())], at("09:50:00"));
    let mut now = at("10:30:00");
    for from in [0, 0, 10, 10, 20, 30, 30, 40, 50, 50, 59] {
        let missing = arrivals.find(&[left(from)], now).missing;
        assert_eq!(missing, ids(8, from..60), "{from}");
        arrivals.send_part_again(&missing);
        now += TimeDelta::hours(1);
    }
    arrivals.find(&[left(60)], now);
    assert_eq!(told(&arrivals), [61, 61, 0, 0]);
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

/// Otherwise an hour that fails each time would keep those after it from ever being delivered again.
#[test]
fn the_hours_after_the_one_that_failed_come_first() {
    let mut arrivals = delivered();
    let missing: BTreeSet<_> = [7, 8, 9]
        .into_iter()
        .flat_map(|it| ids(it, [0, 30]))
        .collect();
    let turns = |arrivals: &Arrivals| {
        let turns = arrivals.turns(&missing).into_iter();
        let turns = turns.map(|(hour, ids)| (hour.format("%H").to_string(), ids.len()));
        turns.collect::<Vec<_>>()
    };
    let all = |hours: [&str; 3]| hours.map(|it| (it.to_owned(), 2));
    assert_eq!(turns(&arrivals), all(["07", "08", "09"]));
    for (stuck, then) in [
        ("07:00:00", ["08", "09", "07"]),
        ("08:00:00", ["09", "07", "08"]),
        ("09:00:00", ["07", "08", "09"]),
        // Nothing is missing of it now.
        ("06:00:00", ["07", "08", "09"]),
    ] {
        arrivals.note_stuck(at(stuck));
        assert_eq!(turns(&arrivals), all(then), "{stuck}");
    }
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
fn sent_again(missing: &BTreeSet<LogId>) -> Kept {
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
}

/// One record of each of a thousand hours, which are all that are kept. The last of them ends at eight.
fn thousand_hours() -> Kept {
    let mut arrivals = Kept::default();
    let ids =
        (1..=1_000).map(|hours| LogId::synthetic("900", at("08:00:00") - TimeDelta::hours(hours)));
    arrivals.accept(&ids.collect(), at("08:10:00"));
    assert_eq!((arrivals.hours.len(), arrivals.gone.len()), (1_000, 0));
    arrivals
}

/// As if nobody could look for them.
#[test]
fn of_too_many_hours_a_finished_one_goes_first_and_then_the_oldest() {
    let mut arrivals = thousand_hours();
    let oldest = at("08:00:00") - TimeDelta::hours(1_000);
    arrivals.find(&[found(7, 1, &BTreeSet::new())], at("08:30:00"));
    arrivals.accept(&ids(8, [0, 1]), at("08:30:00"));
    assert_eq!(arrivals.gone, [at("07:00:00")].into());
    assert_eq!(arrivals.take_given_up(), 0);
    arrivals.accept(&ids(9, [0]), at("09:30:00"));
    assert_eq!(arrivals.gone, [at("07:00:00"), oldest].into());
    assert_eq!((arrivals.hours.len(), arrivals.take_given_up()), (1_000, 1));
    assert_eq!(arrivals.take_given_up(), 0);
    // An hour that was forgotten begins anew.
    arrivals.accept(&ids(7, [30]), at("09:30:00"));
    assert!(!arrivals.gone.contains(&at("07:00:00")));
    assert_eq!(
        due(&arrivals, "09:50:00").last(),
        Some(&(at("09:00:00"), 1, false))
    );
    assert!(due(&arrivals, "09:50:00").contains(&(at("07:00:00"), 1, false)));
}

#[test]
fn of_the_hours_whose_ids_are_to_be_removed_the_newest_are_kept() {
    let mut arrivals = thousand_hours();
    arrivals.gone = (2_000..3_001)
        .map(|hours| at("08:00:00") - TimeDelta::hours(hours))
        .collect();
    arrivals.accept(&ids(8, [0]), at("08:30:00"));
    assert_eq!(arrivals.gone.len(), 1_000);
    assert!(
        arrivals
            .gone
            .contains(&(at("08:00:00") - TimeDelta::hours(1_000)))
    );
}

#[test]
fn what_is_missing_for_good_is_told_as_long_as_there_is_room_for_it() {
    let mut arrivals = Kept::default();
    let begin = at("08:00:00") - TimeDelta::hours(1_000);
    let three =
        [0, 1, 2].map(|minutes| LogId::synthetic("900", begin + TimeDelta::minutes(minutes)));
    arrivals.accept(&three.clone().into(), at("08:10:00"));
    let still = Found {
        hour: begin,
        accepted: 3,
        landed: 2,
        missing: [three[0].clone()].into(),
    };
    for clock in ["08:30:00", "09:30:00"] {
        arrivals.find(std::slice::from_ref(&still), at(clock));
    }
    arrivals.send_again(&still.missing, at("09:30:00"));
    let verdict = arrivals.find(std::slice::from_ref(&still), at("09:50:00"));
    assert_eq!((verdict.lost.len(), arrivals.lost()), (1, 1));
    let others = (1..1_000).map(|hours| LogId::synthetic("900", begin + TimeDelta::hours(hours)));
    arrivals.accept(&others.collect(), at("09:50:00"));
    arrivals.find(&[found(7, 1, &BTreeSet::new())], at("10:10:00"));
    arrivals.accept(&ids(8, [0]), at("10:10:00"));
    assert_eq!((arrivals.lost(), arrivals.take_given_up()), (1, 0));
    // Where nothing is whole, it is told with what is given up.
    arrivals.accept(&ids(9, [0]), at("10:10:00"));
    assert_eq!((arrivals.lost(), arrivals.take_given_up()), (0, 1));
}
