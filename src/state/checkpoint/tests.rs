mod start;

use bytes::Bytes;

use super::*;
use crate::state::advance::Cut;
use crate::state::format;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// 2026-11-21 at this time of day.
fn at(clock: &str) -> DateTime<Utc> {
    time(&format!("2026-11-21T{clock}Z"))
}

/// A record stored at this time of 2026-11-21.
fn record(clock: &str) -> Record {
    let date = at(clock);
    Record {
        log_id: LogId::synthetic("900", date),
        date: Some(date),
        json: Bytes::new(),
    }
}

/// Moves the cursors at noon, after everything of this prefix up to `read_to` was read and handled.
fn advance(checkpoint: &mut Checkpoint, read_to: &LogId, settled: DateTime<Utc>) {
    let read = [read_to].into_iter().collect();
    let cut = checkpoint.advance(&read, settled, at("12:00:00"));
    assert_eq!(cut, Cut::default());
}

fn id(clock: &str) -> LogId {
    record(clock).log_id
}

fn accept(checkpoint: &mut Checkpoint, records: &[Record]) {
    for record in records {
        checkpoint.note(record, Handled::Accepted, at("12:00:00"));
    }
}

fn after(clock: &str) -> Position {
    Position::After(id(clock))
}

const OLDEST: Position = Position::Start(Start::Oldest);

#[test]
fn the_cursor_stops_at_the_newest_settled_record_and_remembers_what_lies_above_it() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let records = ["08:00:00", "08:00:10", "08:00:20"].map(record);
    accept(&mut checkpoint, &records);
    advance(&mut checkpoint, &id("08:00:20"), at("08:00:10"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
    for delivered in &records {
        assert!(checkpoint.has_handled(&delivered.log_id));
    }
    assert!(!checkpoint.has_handled(&id("08:00:15")));
    assert_eq!(
        checkpoint.newest.as_ref().unwrap().log_id,
        records[2].log_id
    );

    advance(&mut checkpoint, &id("08:00:20"), at("08:00:20"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
}

#[test]
fn the_cursor_does_not_pass_what_was_not_read_again() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(
        &mut checkpoint,
        &["08:00:00", "08:00:10", "08:00:20"].map(record),
    );
    advance(&mut checkpoint, &id("08:00:10"), at("09:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
}

#[test]
fn while_nothing_is_settled_the_first_reading_goes_on() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(&mut checkpoint, &[record("08:00:00")]);
    advance(&mut checkpoint, &id("08:00:00"), at("07:59:59"));
    assert_eq!(checkpoint.position(), OLDEST);
    assert!(checkpoint.has_handled(&id("08:00:00")));
}

fn many(count: u64) -> Vec<Record> {
    let ids = (0..count).map(|n| {
        let (seconds, micros) = (n / 5_000, n % 5_000);
        LogId::new(format!("900202611210800{seconds:02}{micros:06}{n:033}"))
    });
    let record = |log_id| Record {
        log_id,
        ..record("08:00:00")
    };
    ids.map(record).collect()
}

#[test]
fn a_hundred_thousand_ids_are_remembered_and_what_is_too_much_is_passed_in_order() {
    let mut checkpoint = Checkpoint::set(after("07:00:00"));
    let records = many(160_000);
    accept(&mut checkpoint, &records[..100_000]);
    advance(&mut checkpoint, &records[99_999].log_id, at("07:30:00"));
    assert_eq!(checkpoint.position(), after("07:00:00"));
    assert_eq!(checkpoint.handled.len(), 100_000);

    accept(&mut checkpoint, &records[100_000..]);
    let read = [&records[159_999].log_id].into_iter().collect();
    let cut = checkpoint.advance(&read, at("07:30:00"), at("12:00:00"));
    assert!(cut.overlap && !cut.timeless);
    // 8 MiB of 56 bytes each.
    assert_eq!(checkpoint.handled.len(), 149_796);
    let passed = &records[160_000 - 149_796 - 1].log_id;
    assert_eq!(checkpoint.position(), Position::After(passed.clone()));

    // What is delivered before the cursor moves again is saved all the same, and is read.
    let in_flight = many(180_000).split_off(160_000);
    accept(&mut checkpoint, &in_flight);
    let written = format::write(&checkpoint, at("12:00:00"), "me");
    assert_eq!(format::read(&written).unwrap(), checkpoint);
}

#[test]
fn of_ids_without_a_time_a_thousand_are_remembered() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let records: Vec<_> = (0..1_500)
        .map(|n| Record {
            log_id: LogId::new(format!("id-{n:04}")),
            ..record("08:00:00")
        })
        .collect();
    accept(&mut checkpoint, &records);
    let read = [&records[1_499].log_id].into_iter().collect();
    let cut = checkpoint.advance(&read, at("09:00:00"), at("12:00:00"));
    assert!(cut.timeless && !cut.overlap);
    assert_eq!(checkpoint.handled.len(), 1_000);
    assert!(checkpoint.has_handled(&records[0].log_id));
    assert!(!checkpoint.has_handled(&LogId::new("id-0500x")));
}

fn named(prefix: &str, clock: &str) -> Record {
    Record {
        log_id: LogId::synthetic(prefix, at(clock)),
        ..record(clock)
    }
}

#[test]
fn a_cursor_speaks_for_its_own_prefix_alone() {
    let mut checkpoint = Checkpoint::set(after("08:00:00"));
    assert!(checkpoint.has_handled(&id("07:00:00")));
    for other in [
        LogId::synthetic("800", at("09:00:00")),
        LogId::synthetic("800", at("07:00:00")),
        LogId::new("12345"),
    ] {
        assert!(!checkpoint.has_handled(&other), "{other}");
    }
    let records = [named("800", "08:10:00"), named("800", "08:20:00")];
    accept(&mut checkpoint, &records);
    advance(&mut checkpoint, &records[1].log_id, at("08:15:00"));
    // The prefix with the newest records has the main cursor.
    assert_eq!(
        checkpoint.position(),
        Position::After(records[0].log_id.clone())
    );
    assert!(checkpoint.has_handled(&id("08:00:00")) && !checkpoint.has_handled(&id("08:00:01")));
    let (position, ahead) = checkpoint.plan(at("12:00:00"));
    assert_eq!(position, checkpoint.position());
    assert_eq!(ahead, [id("08:00:00")]);
}

#[test]
fn where_one_prefix_ends_the_first_reading_the_others_still_begin_at_its_start() {
    let mut checkpoint = Checkpoint::first(Start::At(at("07:00:00")));
    checkpoint.set_wanted_since(Duration::from_mins(1));
    // It was set aside ahead of its turn; the records below it were not read.
    accept(&mut checkpoint, &[record("08:10:00")]);
    let other = named("800", "08:20:00");
    accept(&mut checkpoint, std::slice::from_ref(&other));
    advance(&mut checkpoint, &other.log_id, at("08:30:00"));
    assert_eq!(checkpoint.position(), Position::After(other.log_id));
    assert!(!checkpoint.has_handled(&id("08:09:59")));
    assert!(!checkpoint.has_handled(&id("07:00:00")));
}

#[test]
fn a_run_begins_after_a_record_and_not_where_a_prefix_is_only_to_begin() {
    let mut checkpoint = Checkpoint::first(Start::At(at("07:00:00")));
    checkpoint.set_wanted_since(Duration::from_mins(1));
    let record = record("08:10:00");
    accept(&mut checkpoint, std::slice::from_ref(&record));
    advance(&mut checkpoint, &record.log_id, at("08:30:00"));
    let beginning = LogId::synthetic("800", at("06:59:50"));
    checkpoint.begin_series(&beginning);
    let plan = checkpoint.plan(at("12:00:00"));
    assert_eq!(plan, (after("08:10:00"), vec![beginning]));
}

#[test]
fn below_a_cursor_that_a_person_chose_nothing_is_wanted_of_any_prefix() {
    let begun = |checkpoint: &Checkpoint| {
        let mut checkpoint = checkpoint.clone();
        checkpoint.set_wanted_since(Duration::from_mins(1));
        checkpoint.wanted_since
    };
    let mut checkpoint = Checkpoint::set(after("08:00:00"));
    assert_eq!(begun(&checkpoint), Some(at("08:00:00")));
    // As an earlier version left it: set by hand once, and read on from since.
    let next = record("08:10:00");
    accept(&mut checkpoint, std::slice::from_ref(&next));
    advance(&mut checkpoint, &next.log_id, at("08:30:00"));
    assert_eq!(begun(&checkpoint), Some(at("08:09:00")));
}

#[test]
fn a_prefix_is_read_in_each_run_for_an_hour_after_its_last_record() {
    let mut checkpoint = Checkpoint::set(after("08:00:00"));
    for (clock, ahead) in [("08:30:00", 1), ("09:00:00", 1), ("09:00:01", 0)] {
        let record = named("800", clock);
        accept(&mut checkpoint, std::slice::from_ref(&record));
        advance(&mut checkpoint, &record.log_id, at(clock));
        let (_, others) = checkpoint.plan(at("12:00:00"));
        assert_eq!(others.len(), 1, "{clock}, and not read to the end since");
        let mut checkpoint = checkpoint.clone();
        checkpoint.caught_up(at(clock));
        let (position, others) = checkpoint.plan(at("12:00:00"));
        assert_eq!(position, Position::After(record.log_id), "{clock}");
        assert_eq!(others.len(), ahead, "{clock}");
    }
}

#[test]
fn an_id_of_a_time_to_come_is_remembered_and_neither_passed_nor_the_newest() {
    let mut checkpoint = Checkpoint::set(after("08:00:00"));
    let records = [record("08:10:00"), record("12:05:01")];
    accept(&mut checkpoint, &records);
    advance(&mut checkpoint, &records[1].log_id, at("11:59:00"));
    assert_eq!(checkpoint.position(), after("08:10:00"));
    assert!(checkpoint.remembers(&records[1].log_id));
    assert_eq!(checkpoint.newest.as_ref().unwrap().log_id, id("08:10:00"));
}

#[test]
fn what_nobody_can_know_yet_is_of_the_future() {
    let is_future = |checkpoint: &Checkpoint| checkpoint.is_of_the_future(at("12:00:00"));
    let run = |position| Checkpoint {
        set_by_hand: false,
        ..Checkpoint::set(position)
    };
    let late = at("12:05:01");
    assert!(!is_future(&run(after("12:05:00"))));
    assert!(is_future(&run(after("12:05:01"))));
    assert!(is_future(&run(Position::Start(Start::At(late)))));
    assert!(!is_future(&Checkpoint::set(after("12:05:01"))), "by hand");
    let sound = run(after("08:00:00"));
    let mut forged = vec![sound.clone(); 8];
    forged[0].left_out_before = Some(late);
    forged[1].wanted_since = Some(late);
    forged[2].begin_series(&LogId::synthetic("800", late));
    // The program's own clock.
    forged[3].caught_up_at = Some(late);
    forged[4].refused_since = Some(late);
    forged[5].comparison = Some(Comparison {
        at: late,
        was_made: true,
        is_next: false,
        was_quiet: false,
    });
    forged[6].loss = Some(Loss {
        noticed_at: late,
        began_at: None,
    });
    forged[7].oldest_found = Some(late);
    assert!(!is_future(&sound));
    for (number, forged) in forged.iter_mut().enumerate() {
        assert!(is_future(forged), "{number}");
        forged.bring_back(at("12:00:00"));
        assert_eq!(is_future(forged), number < 3, "{number}");
    }
    let noon = Some(at("12:00:00"));
    assert_eq!(
        (forged[3].caught_up_at, forged[7].oldest_found),
        (None, None)
    );
    assert_eq!(forged[4].refused_since, noon);
    assert_eq!(forged[5].comparison.map(|it| it.at), noon);
    assert_eq!(forged[6].loss.map(|it| it.noticed_at), noon);

    let mut sound = sound;
    sound.refused_since = Some(at("11:00:00"));
    sound.caught_up_at = Some(at("11:30:00"));
    sound.oldest_found = Some(at("10:00:00"));
    let before = sound.clone();
    sound.bring_back(at("12:00:00"));
    assert_eq!(sound, before);
}

#[test]
fn what_an_earlier_checkpoint_has_delivered_is_not_denied() {
    let told = |checkpoint: &Checkpoint| checkpoint.summary().last().cloned().unwrap();
    let first = Checkpoint::first(Start::Oldest);
    assert_eq!(told(&first), "Nothing was delivered yet.");
    assert_eq!(first.summary().len(), 2);
    let mut begun = first;
    accept(&mut begun, &["08:00:00", "08:00:10"].map(record));
    assert_eq!(begun.summary()[1], "2 records after that are handled.");
    let set = Checkpoint::set(after("08:00:00"));
    let since = "Nothing was delivered since `checkpoint set` chose that.";
    assert_eq!(told(&set), since);
    let anew = Checkpoint::anew(Start::Oldest, at("09:00:00"));
    let since = "Nothing was delivered since 2026-11-21T09:00:00Z, when the checkpoint was lost.";
    assert_eq!(told(&anew), since);
}

#[test]
fn a_late_record_moves_nothing_back() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(&mut checkpoint, &[record("08:00:20")]);
    advance(&mut checkpoint, &id("08:00:20"), at("08:00:20"));
    accept(&mut checkpoint, &[record("08:00:10")]);
    advance(&mut checkpoint, &id("08:00:20"), at("08:00:20"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
    assert_eq!(
        checkpoint.newest.as_ref().unwrap().date,
        Some(at("08:00:20"))
    );
}

#[test]
fn an_id_without_a_time_never_counts_as_settled() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let odd = Record {
        log_id: LogId::new("12345"),
        ..record("08:00:00")
    };
    accept(&mut checkpoint, &[odd]);
    advance(
        &mut checkpoint,
        &id("09:00:00"),
        time("2027-01-01T00:00:00Z"),
    );
    assert_eq!(checkpoint.position(), OLDEST);
}

#[test]
fn what_was_left_out_is_passed_by_the_cursor_and_stays_left_out() {
    let mut checkpoint = Checkpoint::first(Start::At(at("08:00:00")));
    let old = Record {
        date: Some(at("05:00:00")),
        ..record("08:00:10")
    };
    assert!(checkpoint.leaves_out(&old));
    checkpoint.note(&old, Handled::LeftOut, at("12:00:00"));
    advance(&mut checkpoint, &old.log_id, at("08:00:10"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
    assert_eq!(checkpoint.newest, None);
    let later = Record {
        log_id: id("08:00:20"),
        ..old
    };
    assert!(checkpoint.leaves_out(&later));
    assert!(!checkpoint.leaves_out(&record("08:00:00")));
    for (date, is_left_out) in [
        ("2026-10-22T08:00:00Z", true),
        ("2026-10-22T07:59:59Z", false),
        ("1970-01-01T00:00:00Z", false),
    ] {
        let dated = Record {
            date: Some(time(date)),
            ..later.clone()
        };
        assert_eq!(checkpoint.leaves_out(&dated), is_left_out, "{date}");
    }
}

#[test]
fn only_what_the_destination_accepts_ends_its_refusing() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    assert_eq!(checkpoint.refused(at("08:00:00")), at("08:00:00"));
    checkpoint.note(&record("08:00:00"), Handled::SetAside, at("12:00:00"));
    checkpoint.note(&record("08:00:01"), Handled::LeftOut, at("12:00:00"));
    assert_eq!(checkpoint.refused(at("09:00:00")), at("08:00:00"));
    checkpoint.note(&record("08:00:02"), Handled::Accepted, at("12:00:00"));
    assert_eq!(checkpoint.refused(at("09:00:00")), at("09:00:00"));
}

#[test]
fn a_record_is_suspected_until_it_is_handled_or_passed() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let (delivered, dropped, open) = (id("08:00:00"), id("08:00:10"), id("08:00:30"));
    for id in [&delivered, &dropped, &open] {
        assert!(checkpoint.suspect(id));
        assert!(!checkpoint.suspect(id));
    }
    let told = "The destination failed over 3 of the next records while it accepted others.";
    assert_eq!(checkpoint.summary().last().unwrap(), told);
    accept(&mut checkpoint, &[record("08:00:00"), record("08:00:20")]);
    assert_eq!(checkpoint.suspects, [dropped, open.clone()].into());
    // Auth0 has dropped the second one meanwhile.
    advance(&mut checkpoint, &id("08:00:20"), at("08:00:21"));
    assert_eq!(checkpoint.suspects, [open].into());
    accept(&mut checkpoint, &[record("08:00:30")]);
    assert!(checkpoint.suspects.is_empty());
    assert_ne!(told, checkpoint.summary().last().unwrap());
}

#[test]
fn what_is_passed_of_one_prefix_is_still_suspected_of_another() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let (lower, higher) = (named("800", "07:00:00"), named("990", "07:00:00"));
    for record in [&lower, &higher] {
        assert!(checkpoint.suspect(&record.log_id));
    }
    accept(&mut checkpoint, &[record("08:00:00")]);
    advance(&mut checkpoint, &id("08:00:00"), at("08:30:00"));
    assert_eq!(checkpoint.suspects, [lower.log_id, higher.log_id].into());
}

#[test]
fn of_records_over_which_a_destination_fails_a_thousand_are_suspected() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let known = |checkpoint: &mut Checkpoint| {
        let records = many(1_001);
        records
            .iter()
            .filter(|it| checkpoint.suspect(&it.log_id))
            .count()
    };
    assert_eq!(known(&mut checkpoint), 1_000);
    let stored = format::write(&checkpoint, at("08:00:00"), "me");
    assert_eq!(format::read(&stored).unwrap(), checkpoint);
}

#[test]
fn an_id_forges_no_line_of_the_summary() {
    let id = LogId::new("9001.\nNothing was delivered yet.\u{202e}");
    let summary = Checkpoint::set(Position::After(id)).summary();
    let told = "The next run begins after the record 9001. Nothing was delivered yet.\u{fffd}.";
    assert_eq!(summary[0], told);
}

/// Batches are under way side by side, so a later one may be accepted and an earlier one not.
#[test]
fn what_is_below_the_newest_record_is_handled_only_up_to_the_cursor() {
    let mut checkpoint = Checkpoint::first(Start::At(at("06:00:00")));
    accept(&mut checkpoint, &[record("06:10:00"), record("06:50:00")]);
    assert_eq!(checkpoint.reached(), Some(at("06:00:00")));
    advance(&mut checkpoint, &id("06:10:00"), at("07:00:00"));
    assert_eq!(checkpoint.position(), after("06:10:00"));
    assert_eq!(checkpoint.reached(), Some(at("06:10:00")));
    checkpoint.caught_up(at("06:55:00"));
    assert_eq!(checkpoint.reached(), Some(at("06:55:00")));
}

#[test]
fn what_is_handled_counts_where_reading_began_with_the_oldest_record_too() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    assert_eq!(checkpoint.reached(), None);
    accept(&mut checkpoint, &[record("06:10:00")]);
    assert_eq!(checkpoint.reached(), Some(at("06:10:00")));
}

#[test]
fn of_ids_that_hold_no_time_the_newest_is_told_by_its_date() {
    let dated = |id: &str, clock| Record {
        log_id: LogId::new(id),
        ..record(clock)
    };
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(
        &mut checkpoint,
        &[dated("1", "08:00:10"), dated("2", "08:00:00")],
    );
    let newest = checkpoint.newest.as_ref().map(|it| it.log_id.as_str());
    assert_eq!(newest, Some("1"));
}

#[test]
fn that_the_end_was_reached_once_more_is_news_after_a_while() {
    let quarter = Duration::from_mins(15);
    let reached = |clock: Option<&str>| Checkpoint {
        caught_up_at: clock.map(at),
        ..Checkpoint::set(after("08:00:00"))
    };
    for (now, stored, expected) in [
        (Some("09:14:59"), Some("09:00:00"), false),
        (Some("09:15:00"), Some("09:00:00"), true),
        (Some("08:00:00"), Some("09:00:00"), false),
        (Some("09:00:00"), None, true),
        (None, Some("09:00:00"), false),
        (None, None, false),
    ] {
        let is_news = reached(now).is_news_after(&reached(stored), quarter);
        assert_eq!(is_news, expected, "{now:?} {stored:?}");
    }
    let stored = reached(Some("09:00:00"));
    let mut compared = stored.clone();
    compared.begin_comparing(at("09:10:00"));
    assert!(!compared.is_news_after(&stored, quarter));
    compared.suspect(&id("08:00:10"));
    assert!(compared.is_news_after(&stored, quarter));
}
