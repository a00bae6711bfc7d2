use bytes::Bytes;

use super::*;

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

fn id(clock: &str) -> LogId {
    record(clock).log_id
}

fn accept(checkpoint: &mut Checkpoint, records: &[Record]) {
    for record in records {
        checkpoint.note(record, Handled::Accepted);
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
    checkpoint.advance(&id("08:00:20"), at("08:00:10"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
    for delivered in &records {
        assert!(checkpoint.has_handled(&delivered.log_id));
    }
    assert!(!checkpoint.has_handled(&id("08:00:15")));
    assert_eq!(
        checkpoint.newest.as_ref().unwrap().log_id,
        records[2].log_id
    );

    checkpoint.advance(&id("08:00:20"), at("08:00:20"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
}

#[test]
fn the_cursor_does_not_pass_what_was_not_read_again() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(
        &mut checkpoint,
        &["08:00:00", "08:00:10", "08:00:20"].map(record),
    );
    checkpoint.advance(&id("08:00:10"), at("09:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
}

#[test]
fn while_nothing_is_settled_the_first_reading_goes_on() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(&mut checkpoint, &[record("08:00:00")]);
    checkpoint.advance(&id("08:00:00"), at("07:59:59"));
    assert_eq!(checkpoint.position(), OLDEST);
    assert!(checkpoint.has_handled(&id("08:00:00")));
}

#[test]
fn at_most_a_thousand_ids_are_remembered_however_young_they_are() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let records: Vec<_> = (0..1_500)
        .map(|n| record(&format!("08:00:00.{n:06}")))
        .collect();
    accept(&mut checkpoint, &records);
    checkpoint.advance(&records[1_499].log_id, at("07:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:00.000499"));
    assert_eq!(checkpoint.handled.len(), 1_000);
}

#[test]
fn a_late_record_moves_nothing_back() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    accept(&mut checkpoint, &[record("08:00:20")]);
    checkpoint.advance(&id("08:00:20"), at("08:00:20"));
    accept(&mut checkpoint, &[record("08:00:10")]);
    checkpoint.advance(&id("08:00:20"), at("08:00:20"));
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
    checkpoint.advance(&id("09:00:00"), time("2027-01-01T00:00:00Z"));
    assert_eq!(checkpoint.position(), OLDEST);
}

#[test]
fn a_restart_reads_from_its_start_and_forgets_nothing() {
    let mut checkpoint = Checkpoint::set(after("08:00:10"));
    accept(&mut checkpoint, &[record("08:00:20")]);
    checkpoint.restart(Start::At(at("08:00:00")));
    assert_eq!(
        checkpoint.position(),
        Position::Start(Start::At(at("08:00:00")))
    );
    for clock in ["08:00:10", "08:00:20"] {
        assert!(checkpoint.has_handled(&id(clock)));
    }
    // The record of the cursor is gone; only a newer one takes its place.
    checkpoint.advance(&id("08:00:15"), at("09:00:00"));
    assert!(matches!(checkpoint.position(), Position::Start(_)));
    checkpoint.advance(&id("08:00:20"), at("09:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
}

#[test]
fn a_first_run_may_be_told_to_begin_earlier_until_it_has_handled() {
    let [early, late] = ["07:00:00", "08:00:00"].map(|clock| Start::At(at(clock)));
    let mut first = Checkpoint::first(late);
    first.begin_by(early);
    assert_eq!(first.position(), Position::Start(early));
    first.begin_by(late);
    assert_eq!(first.position(), Position::Start(early));
    first.begin_by(Start::Oldest);
    assert_eq!(first.position(), OLDEST);

    let mut by_hand = Checkpoint::set(Position::Start(late));
    by_hand.begin_by(early);
    assert_eq!(by_hand.position(), Position::Start(late));
}

#[test]
fn what_was_left_out_is_passed_by_the_cursor_and_stays_left_out() {
    let mut checkpoint = Checkpoint::first(Start::At(at("08:00:00")));
    let old = Record {
        date: Some(at("05:00:00")),
        ..record("08:00:10")
    };
    assert!(checkpoint.leaves_out(&old));
    checkpoint.note(&old, Handled::LeftOut);
    checkpoint.advance(&old.log_id, at("08:00:10"));
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
fn a_first_run_may_begin_earlier_even_after_records_were_left_out() {
    let [early, late] = ["07:00:00", "08:00:00"].map(|clock| Start::At(at(clock)));
    let mut first = Checkpoint::first(late);
    let old = Record {
        date: Some(at("07:30:00")),
        ..record("08:00:10")
    };
    first.note(&old, Handled::LeftOut);
    first.advance(&old.log_id, at("09:00:00"));
    assert_eq!(first.position(), after("08:00:10"));
    first.begin_by(early);
    assert_eq!(first, Checkpoint::first(early));
    assert!(!first.leaves_out(&old) && !first.has_handled(&old.log_id));

    first.note(&old, Handled::Accepted);
    first.begin_by(Start::Oldest);
    assert_eq!(
        first.position(),
        Position::Start(early),
        "something was delivered"
    );
}

#[test]
fn only_what_the_destination_accepts_ends_its_refusing() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    assert_eq!(checkpoint.refused(at("08:00:00")), at("08:00:00"));
    checkpoint.note(&record("08:00:00"), Handled::SetAside);
    checkpoint.note(&record("08:00:01"), Handled::LeftOut);
    assert_eq!(checkpoint.refused(at("09:00:00")), at("08:00:00"));
    checkpoint.note(&record("08:00:02"), Handled::Accepted);
    assert_eq!(checkpoint.refused(at("09:00:00")), at("09:00:00"));
}

#[test]
fn a_reading_that_began_anew_by_time_is_not_taken_back_to_the_first_start() {
    let start = Start::At(at("07:00:00"));
    let mut checkpoint = Checkpoint::first(start);
    let old = Record {
        date: Some(at("06:00:00")),
        ..record("08:00:10")
    };
    checkpoint.note(&old, Handled::LeftOut);
    checkpoint.advance(&old.log_id, at("09:00:00"));
    checkpoint.restart(Start::At(at("08:00:00")));
    let before = checkpoint.clone();
    checkpoint.begin_by(start);
    assert_eq!(checkpoint, before);
}
