use proptest::prelude::*;

use super::*;
use crate::error::with_causes;
use crate::record::{Position, Record};
use crate::run::Handled;
use crate::state::advance::Cut;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// 2026-11-21 at this time of day.
fn at(clock: &str) -> DateTime<Utc> {
    time(&format!("2026-11-21T{clock}Z"))
}

/// Moves the cursors at noon, after everything of this prefix up to `read_to` was read and handled.
fn advance(checkpoint: &mut Checkpoint, read_to: &LogId, settled: DateTime<Utc>) {
    let read = [read_to].into_iter().collect();
    let cut = checkpoint.advance(&read, settled, at("12:00:00"));
    assert_eq!(cut, Cut::default());
}

fn id(clock: &str) -> LogId {
    LogId::synthetic("900", at(clock))
}

/// A record stored at this time of 2026-11-21.
fn record(clock: &str) -> Record {
    Record {
        log_id: id(clock),
        date: Some(at(clock)),
        json: Bytes::new(),
    }
}

#[test]
fn the_stored_form_is_read_back_as_it_was() {
    let mut used = Checkpoint::first(Start::Oldest);
    for clock in ["08:00:00", "08:00:30"] {
        used.note(&record(clock), Handled::Accepted, at("12:00:00"));
    }
    advance(&mut used, &id("08:00:30"), at("08:00:10"));
    used.caught_up(at("08:01:10"));
    let mut restarted = used.clone();
    restarted.restart(Start::At(at("07:00:00")));
    let anew = Checkpoint::anew(Start::At(at("07:00:00")), at("08:00:00"));
    for checkpoint in [used, restarted, anew, Checkpoint::first(Start::Oldest)] {
        let json = write(&checkpoint, at("08:01:10"), "me");
        assert_eq!(read(&json).unwrap(), checkpoint);
    }
}

#[test]
fn a_start_is_stored_as_its_time_or_as_oldest() {
    for (start, stored) in [
        (Start::Oldest, r#""start": "oldest","#),
        (
            Start::At(at("07:00:00")),
            r#""start": "2026-11-21T07:00:00Z","#,
        ),
    ] {
        let json = write(&Checkpoint::first(start), at("08:00:00"), "me");
        let json = std::str::from_utf8(&json).unwrap();
        assert!(json.contains(stored), "{json}");
    }
}

#[test]
fn a_stored_form_of_this_format_stays_readable() {
    let stored = r#"{
        "format": 2,
        "cursor": "90020261121080000000000000000000000000000000000000000000",
        "start": null,
        "left_out_before": "2026-11-21T07:00:00Z",
        "handled": ["90020261121080010000000000000000000000000000000000000000"],
        "newest": {"log_id": "90020261121080010000000000000000000000000000000000000000",
                   "date": "2026-11-21T08:00:09Z"},
        "refused_since": null,
        "caught_up_at": "2026-11-21T08:00:20Z",
        "set_by_hand": false,
        "loss": null,
        "saved_at": "2026-11-21T08:00:21Z",
        "saved_by": "f00f"
    }"#;
    let checkpoint = read(stored.as_bytes()).unwrap();
    assert_eq!(checkpoint.position(), Position::After(id("08:00:00")));
    assert!(checkpoint.remembers(&id("08:00:10")));
    assert_eq!(checkpoint.left_out_before, Some(at("07:00:00")));
    assert_eq!(checkpoint.newest.unwrap().date, Some(at("08:00:09")));
    assert_eq!(checkpoint.caught_up_at, Some(at("08:00:20")));
}

/// A checkpoint of format 1.
fn format_1(fields: &str) -> String {
    format!(
        r#"{{
            "format": 1,
            {fields}
            "newest": null,
            "caught_up_at": null,
            "set_by_hand": false,
            "saved_at": "2026-11-21T08:00:00Z",
            "saved_by": "f00f"
        }}"#
    )
}

#[test]
fn a_first_reading_of_format_1_goes_on_and_leaves_out_what_it_left_out() {
    let stored = format_1(
        r#""resume_from": null, "start": "2026-11-21T07:00:00Z",
           "delivered": ["90020261121080000000000000000000000000000000000000000000"],"#,
    );
    let checkpoint = read(stored.as_bytes()).unwrap();
    let start = Start::At(at("07:00:00"));
    assert_eq!(checkpoint.position(), Position::Start(start));
    assert_eq!(checkpoint.left_out_before, Some(at("07:00:00")));
    assert!(checkpoint.has_handled(&id("08:00:00")));
}

#[test]
fn a_cursor_of_format_1_is_resumed_from_and_leaves_nothing_out() {
    let stored = format_1(
        r#""resume_from": "90020261121080000000000000000000000000000000000000000000",
           "start": null,
           "delivered": ["90020261121080010000000000000000000000000000000000000000"],
           "refused_since": "2026-11-21T07:30:00Z",
           "loss": {"noticed_at": "2026-11-21T06:00:00Z", "began_at": null},"#,
    );
    let checkpoint = read(stored.as_bytes()).unwrap();
    assert_eq!(checkpoint.position(), Position::After(id("08:00:00")));
    assert!(checkpoint.has_handled(&id("08:00:10")) && !checkpoint.has_handled(&id("08:00:11")));
    assert_eq!(checkpoint.left_out_before, None);
    assert_eq!(checkpoint.refused_since, Some(at("07:30:00")));
    assert_eq!(checkpoint.loss.unwrap().noticed_at, at("06:00:00"));
}

#[test]
fn a_reading_of_format_1_that_began_anew_by_time_leaves_nothing_out() {
    let stored = format_1(
        r#""resume_from": "90020261121080000000000000000000000000000000000000000000",
           "start": "2026-11-21T07:59:50Z", "delivered": [],"#,
    );
    let checkpoint = read(stored.as_bytes()).unwrap();
    let start = Start::At(at("07:59:50"));
    assert_eq!(checkpoint.position(), Position::Start(start));
    assert_eq!(checkpoint.left_out_before, None);
    assert!(checkpoint.has_handled(&id("08:00:00")));
}

#[test]
fn what_cannot_be_a_checkpoint_is_refused_with_its_reason() {
    let refusal = |json: &[u8]| read(json).unwrap_err().to_string();
    assert_eq!(refusal(&[0; 64]), "it is not a checkpoint");
    assert_eq!(
        refusal(br#"{"format": 3, "anything": "else"}"#),
        "it has format 3, and this version reads formats 1 and 2"
    );
    let nowhere = format_1(r#""resume_from": null, "start": null, "delivered": [],"#);
    assert_eq!(
        refusal(nowhere.as_bytes()),
        "it has neither a cursor nor a start"
    );
    assert_eq!(refusal(br#"{"format": 2}"#), "it is not a checkpoint");
    assert_eq!(refusal(br#"{"format": 0}"#), "it is not a checkpoint");
}

#[test]
fn no_refusal_repeats_what_is_stored() {
    for stored in [
        r#"{"format": "CANARY"}"#.to_owned(),
        r#""CANARY""#.to_owned(),
        r#"{"format": 2, "cursor": null, "left_out_before": "CANARY"}"#.to_owned(),
        format_1(r#""resume_from": null, "start": null, "delivered": "CANARY","#),
    ] {
        let told = with_causes(&read(stored.as_bytes()).unwrap_err());
        assert!(told.starts_with("it is not a checkpoint: line "), "{told}");
        assert!(!told.contains("CANARY"), "{told}");
    }
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
    let times = (of(any_time()), of(any_time()), of(any_time()));
    let ids = || proptest::collection::btree_set(any_id(), 0..5);
    let comparison = (any_time(), any::<bool>());
    let comparison = comparison.prop_map(|(at, was_made)| Comparison {
        at,
        was_made,
        is_next: !was_made,
        was_quiet: was_made,
    });
    let others = proptest::collection::vec(any_id(), 0..3);
    let others = (others, of(any_time()), of(any_time()), of(comparison));
    let more = (
        others,
        of(start),
        ids(),
        ids(),
        of(newest),
        times,
        of(loss),
        any::<bool>(),
    );
    (any_position(), more).prop_map(
        |(position, (prefixes, start, handled, suspects, newest, times, loss, by_hand))| {
            let (others, wanted_since, oldest_found, comparison) = prefixes;
            let set = Checkpoint::set(position);
            let main = set.cursor.as_ref().map(|it| it.series().to_owned());
            let others = others.into_iter().map(|it| (it.series().to_owned(), it));
            let others = others.filter(|(series, _)| Some(series) != main.as_ref());
            Checkpoint {
                start: set.start.or(start),
                others: others.collect(),
                wanted_since,
                oldest_found,
                comparison,
                handled,
                suspects,
                newest,
                left_out_before: times.2,
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
        let json = write(&checkpoint, saved_at, &writer);
        prop_assert_eq!(read(&json).unwrap(), checkpoint);
    }

    #[test]
    fn a_damaged_checkpoint_is_refused_or_says_something_that_a_run_can_use(
        checkpoint in any_checkpoint(),
        place in any::<proptest::sample::Index>(),
        length in 0..20_usize,
        piece in proptest::sample::select(vec!["", "0", "-", "\"", "null", "{", "\u{0}", "-26"]),
    ) {
        let mut json = write(&checkpoint, at("08:00:00"), "me").to_vec();
        let from = place.index(json.len());
        json.splice(from..(from + length).min(json.len()), piece.bytes());
        if let Ok(taken) = read(&json) {
            if let Position::Start(Start::At(time)) = taken.position() {
                // A reading subtracts from its beginning, which must stay in range.
                prop_assert!(time.checked_sub_signed(chrono::Duration::days(1)).is_some());
            }
            let json = write(&taken, at("08:00:00"), "me");
            prop_assert_eq!(read(&json).unwrap(), taken);
        }
    }

    #[test]
    fn what_was_cut_short_is_refused(
        checkpoint in any_checkpoint(),
        length in any::<proptest::sample::Index>(),
    ) {
        let json = write(&checkpoint, at("08:00:00"), "me");
        prop_assert!(read(&json[..length.index(json.len())]).is_err());
    }
}

#[test]
fn many_ids_are_packed_and_few_are_written_as_they_are() {
    let mut checkpoint = Checkpoint::set(Position::After(id("08:00:00")));
    for (count, is_packed) in [(1_000, false), (1_001, true)] {
        let ids = (0..count).map(|n| LogId::new(format!("9002026112108001{n:040}")));
        checkpoint.handled = ids.collect();
        let json = write(&checkpoint, at("08:00:00"), "me");
        let text = std::str::from_utf8(&json).unwrap();
        assert_eq!(text.contains("handled_packed"), is_packed, "{count}");
        assert_eq!(read(&json).unwrap(), checkpoint);
    }
}

#[test]
fn what_is_larger_than_what_is_written_is_refused() {
    let sound = Checkpoint::set(Position::After(id("08:00:00")));
    let json = write(&sound, at("08:00:00"), "me");
    let mut padded = json.to_vec();
    padded.resize(16 * 1024 * 1024, b' ');
    assert_eq!(read(&padded).unwrap(), sound);
    padded.push(b' ');
    assert!(matches!(read(&padded), Err(Unreadable::TooLarge)));

    let long = LogId::new("9".repeat(257));
    let mut forged = vec![sound; 7];
    forged[0].cursor = Some(long.clone());
    forged[1].others.insert(String::new(), long.clone());
    forged[2].handled.insert(long.clone());
    forged[3].newest = Some(Newest {
        log_id: long.clone(),
        date: None,
    });
    forged[5].suspects.insert(long);
    let ids = (0..300_000).map(|n| LogId::new(format!("9002026112108001{n:040}")));
    forged[4].handled = ids.clone().collect();
    forged[6].suspects = ids.take(1_001).collect();
    for (number, forged) in forged.iter().enumerate() {
        let json = write(forged, at("08:00:00"), "me");
        assert!(matches!(read(&json), Err(Unreadable::TooLarge)), "{number}");
    }
}

#[test]
fn a_beginning_that_nothing_can_be_asked_for_is_refused() {
    for start in [
        "-262143-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
    ] {
        let json = write(
            &Checkpoint::first(Start::At(at("08:00:00"))),
            at("08:00:00"),
            "me",
        );
        let json = String::from_utf8(json.to_vec()).unwrap();
        let json = json.replacen("2026-11-21T08:00:00Z", start, 1);
        let refused = read(json.as_bytes()).unwrap_err();
        assert!(matches!(refused, Unreadable::Start), "{refused}");
    }
}
