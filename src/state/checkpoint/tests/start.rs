//! Where reading begins, and what becomes of that.

use super::*;

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
    // The cursor's record is gone; only a newer record takes its place.
    advance(&mut checkpoint, &id("08:00:15"), at("09:00:00"));
    assert!(matches!(checkpoint.position(), Position::Start(_)));
    advance(&mut checkpoint, &id("08:00:20"), at("09:00:00"));
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
    // What was noted about the end applies only to what was read from the later start.
    first.begin_comparing(at("09:00:00"));
    first.caught_up(at("09:00:00"));
    first.begin_by(Start::Oldest);
    assert_eq!(first.position(), OLDEST);
    assert_eq!((first.caught_up_at, first.comparison), (None, None));
    first.begin_comparing(at("10:00:00"));
    first.begin_comparing(at("11:00:00"));
    let comparison = Comparison::none_since(at("10:00:00"));
    assert_eq!(first.comparison, Some(comparison));

    let mut by_hand = Checkpoint::set(Position::Start(late));
    by_hand.begin_by(early);
    assert_eq!(by_hand.position(), Position::Start(late));
}

#[test]
fn a_first_run_may_begin_earlier_even_after_records_were_left_out() {
    let [early, late] = ["07:00:00", "08:00:00"].map(|clock| Start::At(at(clock)));
    let mut first = Checkpoint::first(late);
    let old = Record {
        date: Some(at("07:30:00")),
        ..record("08:00:10")
    };
    first.note(&old, Handled::LeftOut, at("12:00:00"));
    advance(&mut first, &old.log_id, at("09:00:00"));
    assert_eq!(first.position(), after("08:00:10"));
    first.begin_by(early);
    assert_eq!(first, Checkpoint::first(early));
    assert!(!first.leaves_out(&old) && !first.has_handled(&old.log_id));

    first.note(&old, Handled::Accepted, at("12:00:00"));
    first.begin_by(Start::Oldest);
    assert_eq!(
        first.position(),
        Position::Start(early),
        "something was delivered"
    );
}

/// All that was read until then was left out.
#[test]
fn a_start_that_becomes_an_earlier_one_begins_as_if_it_had_always_been_that() {
    let mut checkpoint = Checkpoint::first(Start::At(at("07:00:00")));
    checkpoint.set_wanted_since(Duration::from_mins(1));
    checkpoint.begin_comparing(at("07:30:00"));
    let old = [
        record("06:58:00"),
        record("06:59:00"),
        named("800", "06:59:30"),
    ];
    for record in &old {
        checkpoint.note(record, Handled::LeftOut, at("12:00:00"));
    }
    advance(&mut checkpoint, &old[0].log_id, at("07:00:00"));
    advance(&mut checkpoint, &old[2].log_id, at("07:00:00"));
    checkpoint.caught_up(at("07:31:00"));
    checkpoint.oldest_found = Some(at("06:58:00"));
    assert!(!checkpoint.handled.is_empty() && !checkpoint.others.is_empty());
    let earlier = Start::At(at("06:00:00"));
    checkpoint.begin_by(earlier);
    assert_eq!(checkpoint, Checkpoint::first(earlier));
}

#[test]
fn a_reading_that_began_anew_by_time_is_not_taken_back_to_the_first_start() {
    let start = Start::At(at("07:00:00"));
    let mut checkpoint = Checkpoint::first(start);
    let old = Record {
        date: Some(at("06:00:00")),
        ..record("08:00:10")
    };
    checkpoint.note(&old, Handled::LeftOut, at("12:00:00"));
    advance(&mut checkpoint, &old.log_id, at("09:00:00"));
    checkpoint.restart(Start::At(at("08:00:00")));
    let before = checkpoint.clone();
    checkpoint.begin_by(start);
    assert_eq!(checkpoint, before);
}

#[test]
fn where_the_first_reading_began_is_not_known_after_a_loss_or_a_choice() {
    let start = Start::At(at("06:00:00"));
    let first = Checkpoint::first(start);
    assert_eq!(first.first_began(), Some(at("06:00:00")));
    let set = Checkpoint::set(Position::Start(start));
    assert_eq!(set.first_began(), None);
    let anew = Checkpoint::anew(start, at("12:00:00"));
    assert_eq!(anew.first_began(), None);
}
