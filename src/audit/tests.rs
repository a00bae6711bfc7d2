use super::*;
use crate::record::LogId;

fn id(number: u32) -> LogId {
    LogId::new(number.to_string())
}

#[test]
fn a_sum_that_lacks_an_hour_is_not_known() {
    let hour = |late| Counts {
        at_auth0: 2,
        late,
        ..Counts::default()
    };
    let mut sum = hour(Some(1));
    sum.add(&hour(Some(2)));
    assert_eq!((sum.at_auth0, sum.late), (4, Some(3)));
    sum.add(&hour(None));
    assert_eq!((sum.at_auth0, sum.late), (6, None));
}

#[test]
fn a_sum_has_each_number() {
    let hour = Counts {
        at_auth0: 1,
        filtered: 2,
        there: 3,
        missing: 4,
        surplus: 5,
        late: Some(6),
        delivered: 7,
    };
    let mut sum = hour;
    sum.add(&hour);
    let expected = Counts {
        at_auth0: 2,
        filtered: 4,
        there: 6,
        missing: 8,
        surplus: 10,
        late: Some(12),
        delivered: 14,
    };
    assert_eq!(sum, expected);
}

#[test]
fn an_hour_is_listed_if_it_has_anything_and_a_thousand_missing_ids_are_named() {
    let mut audited = Audited::of(None, "archive");
    let nothing = Counts {
        late: Some(0),
        ..Counts::default()
    };
    let missing = |count: u64| Counts {
        at_auth0: count,
        missing: count,
        ..nothing
    };
    let surplus = Counts {
        surplus: 1,
        ..nothing
    };
    let late = Counts {
        late: Some(1),
        ..nothing
    };
    for (clock, counts, ids) in [
        ("08", missing(600), 100..700),
        ("09", nothing, 0..0),
        ("10", missing(601), 1_000..1_601),
        ("11", surplus, 0..0),
        ("12", late, 0..0),
    ] {
        let hour = format!("2026-11-21T{clock}:00:00Z").parse().unwrap();
        audited.add(hour, counts, ids.map(id).collect());
    }
    let listed: Vec<_> = audited
        .hours
        .iter()
        .map(|it| (it.hour.format("%H").to_string(), it.missing_ids.len()))
        .collect();
    let listed: Vec<_> = listed.iter().map(|(hour, ids)| (&**hour, *ids)).collect();
    assert_eq!(listed, [("08", 600), ("10", 400), ("11", 0), ("12", 0)]);
    assert_eq!(audited.total.missing, 1_201);
}

#[test]
fn an_audit_is_good_if_nothing_is_left_missing_and_nothing_failed() {
    let mut audited = Audited::of(None, "archive");
    assert!(audited.is_good());
    audited.total.missing = 2;
    audited.total.delivered = 1;
    assert!(!audited.is_good());
    audited.total.delivered = 2;
    assert!(audited.is_good());
    audited.fail("no answer".into());
    audited.fail("no answer to the second question either".into());
    assert!(!audited.is_good());
    assert_eq!(audited.error.as_deref(), Some("no answer"));
    audited.is_left_to_another = true;
    assert!(audited.is_good());
}
