use super::*;

fn id(number: u32) -> LogId {
    LogId::new(number.to_string())
}

fn there(rows: &[(u32, &str)]) -> AtDestination {
    let rows = rows.iter();
    rows.map(|(number, name)| (id(*number), (*name).to_owned()))
        .collect()
}

/// An hour whose first two records are outside the audited stretch. The filter of the second
/// destination leaves out the last two.
fn at_auth0() -> AtAuth0 {
    let mut seen = BTreeMap::new();
    for number in 1..=8 {
        let left_out = if number > 6 { 0b10 } else { 0 };
        let is_asked = number > 2;
        seen.insert(id(number), Sight { is_asked, left_out });
    }
    AtAuth0 {
        seen,
        ..AtAuth0::default()
    }
}

fn counts(destination: usize, there: &AtDestination) -> (Vec<LogId>, Counts) {
    let at_auth0 = at_auth0();
    let missing = at_auth0.missing(destination, there);
    let names = ["acme".to_owned()].into();
    let counts = at_auth0.compare(destination, there, &missing, &names);
    (missing.into_iter().collect(), counts)
}

#[test]
fn what_is_at_auth0_is_there_or_missing_or_filtered() {
    let rows = there(&[(1, ""), (3, ""), (4, ""), (7, "")]);
    let (missing, all) = counts(0, &rows);
    assert_eq!(missing, [id(5), id(6), id(8)]);
    let expected = Counts {
        at_auth0: 6,
        there: 3,
        missing: 3,
        ..Counts::default()
    };
    assert_eq!(all, expected);
    // A record that is at the destination counts as there, even if the filter now leaves it out.
    let (missing, some) = counts(1, &rows);
    assert_eq!(missing, [id(5), id(6)]);
    let expected = Counts {
        filtered: 1,
        missing: 2,
        ..expected
    };
    assert_eq!(some, expected);
    let (missing, some) = counts(1, &there(&[(3, ""), (4, ""), (5, "")]));
    assert_eq!(missing, [id(6)]);
    let expected = Counts {
        filtered: 2,
        missing: 1,
        ..expected
    };
    assert_eq!(some, expected);
}

#[test]
fn rows_that_are_not_at_auth0_are_surplus_unless_they_name_another_tenant() {
    let rows = there(&[
        (2, "acme"),
        (9, "acme"),
        (10, ""),
        (11, "globex"),
        (12, "acme"),
        (13, ""),
        (14, ""),
        (3, "globex"),
    ]);
    let (_, counts) = counts(0, &rows);
    assert_eq!((counts.there, counts.surplus), (1, 5));
}
