use proptest::prelude::*;

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

fn after(clock: &str) -> Position {
    Position::After(id(clock))
}

const OLDEST: Position = Position::Start(Start::Oldest);

#[test]
fn the_cursor_stops_at_the_newest_settled_record_and_remembers_what_lies_above_it() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let records = ["08:00:00", "08:00:10", "08:00:20"].map(record);
    checkpoint.acknowledge(&records);
    checkpoint.advance(&id("08:00:20"), at("08:00:10"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
    for delivered in &records {
        assert!(checkpoint.has_delivered(&delivered.log_id));
    }
    assert!(!checkpoint.has_delivered(&id("08:00:15")));
    assert_eq!(checkpoint.newest().unwrap().log_id, records[2].log_id);

    checkpoint.advance(&id("08:00:20"), at("08:00:20"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
}

#[test]
fn the_cursor_does_not_pass_what_was_not_read_again() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    checkpoint.acknowledge(&["08:00:00", "08:00:10", "08:00:20"].map(record));
    checkpoint.advance(&id("08:00:10"), at("09:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:10"));
}

#[test]
fn while_nothing_is_settled_the_first_reading_goes_on() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    checkpoint.acknowledge(&[record("08:00:00")]);
    checkpoint.advance(&id("08:00:00"), at("07:59:59"));
    assert_eq!(checkpoint.position(), OLDEST);
    assert!(checkpoint.has_delivered(&id("08:00:00")));
}

#[test]
fn at_most_a_thousand_ids_are_remembered_however_young_they_are() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let records: Vec<_> = (0..1_500)
        .map(|n| record(&format!("08:00:00.{n:06}")))
        .collect();
    checkpoint.acknowledge(&records);
    checkpoint.advance(&records[1_499].log_id, at("07:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:00.000499"));
    assert_eq!(checkpoint.delivered.len(), 1_000);
}

#[test]
fn a_late_record_moves_nothing_back() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    checkpoint.acknowledge(&[record("08:00:20")]);
    checkpoint.advance(&id("08:00:20"), at("08:00:20"));
    checkpoint.acknowledge(&[record("08:00:10")]);
    checkpoint.advance(&id("08:00:20"), at("08:00:20"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
    assert_eq!(checkpoint.newest().unwrap().date, Some(at("08:00:20")));
}

#[test]
fn an_id_without_a_time_never_counts_as_settled() {
    let mut checkpoint = Checkpoint::first(Start::Oldest);
    let odd = Record {
        log_id: LogId::new("12345"),
        ..record("08:00:00")
    };
    checkpoint.acknowledge(&[odd]);
    checkpoint.advance(&id("09:00:00"), time("2027-01-01T00:00:00Z"));
    assert_eq!(checkpoint.position(), OLDEST);
}

#[test]
fn a_restart_reads_from_its_start_and_forgets_nothing() {
    let mut checkpoint = Checkpoint::set(after("08:00:10"));
    checkpoint.acknowledge(&[record("08:00:20")]);
    checkpoint.restart(Start::At(at("08:00:00")));
    assert_eq!(
        checkpoint.position(),
        Position::Start(Start::At(at("08:00:00")))
    );
    for clock in ["08:00:10", "08:00:20"] {
        assert!(checkpoint.has_delivered(&id(clock)));
    }
    // The record of the cursor is gone; only a newer one takes its place.
    checkpoint.advance(&id("08:00:15"), at("09:00:00"));
    assert!(matches!(checkpoint.position(), Position::Start(_)));
    checkpoint.advance(&id("08:00:20"), at("09:00:00"));
    assert_eq!(checkpoint.position(), after("08:00:20"));
}

#[test]
fn a_first_run_may_be_told_to_begin_earlier_until_it_has_delivered() {
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
fn the_stored_form_is_read_back_as_it_was() {
    let mut used = Checkpoint::first(Start::Oldest);
    used.acknowledge(&["08:00:00", "08:00:30"].map(record));
    used.advance(&id("08:00:30"), at("08:00:10"));
    used.caught_up(at("08:01:10"));
    let mut restarted = used.clone();
    restarted.restart(Start::At(at("07:00:00")));
    let anew = Checkpoint::anew(Start::At(at("07:00:00")), at("08:00:00"));
    for checkpoint in [used, restarted, anew, Checkpoint::first(Start::Oldest)] {
        let json = checkpoint.to_json(at("08:01:10"), "me");
        assert_eq!(Checkpoint::from_json(&json).unwrap(), checkpoint);
    }
}

#[test]
fn a_stored_form_of_this_format_stays_readable() {
    let stored = r#"{
        "format": 1,
        "resume_from": null,
        "start": "oldest",
        "delivered": ["90020261121080000000000000000000000000000000000000000000"],
        "newest": null,
        "caught_up_at": null,
        "set_by_hand": false,
        "saved_at": "2026-11-21T08:00:00Z",
        "saved_by": "f00f"
    }"#;
    let checkpoint = Checkpoint::from_json(stored.as_bytes()).unwrap();
    assert_eq!(checkpoint.position(), OLDEST);
    assert!(checkpoint.has_delivered(&id("08:00:00")));
}

#[test]
fn what_cannot_be_a_checkpoint_is_refused_with_its_reason() {
    let with = |fields: &str| {
        let json = format!(
            r#"{{{fields}, "delivered": [], "newest": null, "caught_up_at": null,
                "set_by_hand": false, "saved_at": "2026-11-21T08:00:00Z", "saved_by": ""}}"#
        );
        let refused = Checkpoint::from_json(json.as_bytes());
        refused.unwrap_err().to_string()
    };
    assert_eq!(
        Checkpoint::from_json(&[0; 64]).unwrap_err().to_string(),
        "it is not a checkpoint"
    );
    assert_eq!(
        with(r#""format": 2, "resume_from": "9", "start": null"#),
        "it has format 2, and this version reads format 1"
    );
    assert_eq!(
        with(r#""format": 1, "resume_from": null, "start": null"#),
        "it has neither resume_from nor start"
    );
}

/// A time that a record can have.
fn any_time() -> impl Strategy<Value = DateTime<Utc>> {
    let (from, to) = (time("1970-01-01T00:00:00Z"), time("9999-12-31T23:59:59Z"));
    (from.timestamp()..=to.timestamp(), 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

fn any_id() -> impl Strategy<Value = LogId> {
    prop_oneof![
        any_time().prop_map(|time| LogId::synthetic("900", time)),
        any::<String>().prop_map(LogId::new),
    ]
}

fn any_position() -> impl Strategy<Value = Position> {
    prop_oneof![
        any_id().prop_map(Position::After),
        any_time().prop_map(|time| Position::Start(Start::At(time))),
        Just(Position::Start(Start::Oldest)),
    ]
}

fn any_checkpoint() -> impl Strategy<Value = Checkpoint> {
    use proptest::option::of;
    let start = prop_oneof![any_time().prop_map(Start::At), Just(Start::Oldest)];
    let newest = (any_id(), of(any_time())).prop_map(|(log_id, date)| Newest { log_id, date });
    let loss = (any_time(), of(any_time())).prop_map(|(noticed_at, began_at)| Loss {
        noticed_at,
        began_at,
    });
    let times = (of(any_time()), of(any_time()));
    let delivered = proptest::collection::btree_set(any_id(), 0..5);
    let more = (
        of(start),
        delivered,
        of(newest),
        times,
        of(loss),
        any::<bool>(),
    );
    (any_position(), more).prop_map(
        |(position, (start, delivered, newest, times, loss, by_hand))| {
            let set = Checkpoint::set(position);
            Checkpoint {
                start: set.start.or(start),
                delivered,
                newest,
                refused_since: times.0,
                caught_up_at: times.1,
                set_by_hand: by_hand,
                loss,
                ..set
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_checkpoint_comes_back_from_its_stored_form(
        checkpoint in any_checkpoint(),
        saved_at in any_time(),
        writer in any::<String>(),
    ) {
        let json = checkpoint.to_json(saved_at, &writer);
        prop_assert_eq!(Checkpoint::from_json(&json).unwrap(), checkpoint);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_or_says_something_that_a_run_can_use(
        checkpoint in any_checkpoint(),
        place in any::<proptest::sample::Index>(),
        length in 0..20_usize,
        piece in proptest::sample::select(vec!["", "0", "-", "\"", "null", "{", "\u{0}", "-26"]),
    ) {
        let mut json = checkpoint.to_json(at("08:00:00"), "me").to_vec();
        let from = place.index(json.len());
        json.splice(from..(from + length).min(json.len()), piece.bytes());
        if let Ok(read) = Checkpoint::from_json(&json) {
            if let Position::Start(Start::At(time)) = read.position() {
                // What a reading subtracts from its beginning.
                prop_assert!(time.checked_sub_signed(chrono::Duration::days(1)).is_some());
            }
            let json = read.to_json(at("08:00:00"), "me");
            prop_assert_eq!(Checkpoint::from_json(&json).unwrap(), read);
        }
    }

    #[test]
    fn what_was_cut_short_is_refused(
        checkpoint in any_checkpoint(),
        length in any::<proptest::sample::Index>(),
    ) {
        let json = checkpoint.to_json(at("08:00:00"), "me");
        prop_assert!(Checkpoint::from_json(&json[..length.index(json.len())]).is_err());
    }
}

#[test]
fn a_beginning_that_nothing_can_be_asked_for_is_refused() {
    for start in [
        "-262143-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
    ] {
        let json = Checkpoint::first(Start::At(at("08:00:00"))).to_json(at("08:00:00"), "me");
        let json = String::from_utf8(json.to_vec()).unwrap();
        let json = json.replacen("2026-11-21T08:00:00Z", start, 1);
        let refused = Checkpoint::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(refused, Unreadable::Start), "{refused}");
    }
}
