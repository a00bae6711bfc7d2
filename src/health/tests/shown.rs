//! The state that a run leaves, and how much of many runs and errors is shown.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

#[test]
fn each_state_has_one_name_everywhere() {
    let names = ["failing", "stale", "gap", "never_ran", "catching_up", "ok"];
    assert_eq!(State::ALL.map(State::name), names);
    assert_eq!(serde_json::to_value(State::ALL).unwrap(), json!(names));
}

#[test]
fn a_run_leaves_the_state_that_its_report_tells() {
    let report = || Report {
        caught_up: true,
        ..Report::default()
    };
    assert_eq!(State::after(&report(), 0), State::Ok);
    let behind = Report::default();
    assert_eq!(State::after(&behind, 0), State::CatchingUp);
    assert_eq!(State::after(&report(), 1), State::Failing);
    for bad in [
        Report {
            errors: vec!["no token".to_owned()],
            ..report()
        },
        Report {
            refused_since: Some(at("08:00:00")),
            ..report()
        },
        Report {
            only_set_aside: OnlySetAside::find(2, None),
            ..report()
        },
        Report {
            only_quarantined: OnlyQuarantined::find(2),
            ..report()
        },
    ] {
        assert_eq!(State::after(&bad, 0), State::Failing, "{bad:?}");
    }
}

/// A history with runs at these times, and errors at them.
fn with_runs(times: &[String]) -> Value {
    let runs = times.iter().map(|at| {
        json!({"at": at, "elapsed_ms": 310, "delivered": 1, "bytes": 10,
            "lag_seconds": 0, "caught_up": true, "failed": false})
    });
    let errors = times.iter().map(|at| json!({"at": at, "text": "no token"}));
    json!({"runs": runs.collect::<Vec<_>>(), "errors": errors.collect::<Vec<_>>()})
}

#[test]
fn what_is_of_more_than_an_hour_or_a_day_ago_is_not_counted_as_of_it() {
    let times = [
        "2026-11-20T07:59:00Z",
        "2026-11-20T08:01:00Z",
        "2026-11-21T06:59:00Z",
        "2026-11-21T07:01:00Z",
        "2026-11-21T07:59:00Z",
    ];
    let health = health(&with_runs(&times.map(str::to_owned)), "08:00:00");
    let pipeline = &health.pipelines[0];
    assert_eq!(pipeline.records, Some(Spans { hour: 2, day: 4 }));
    assert_eq!(pipeline.bytes, Some(Spans { hour: 20, day: 40 }));
    let hours = &pipeline.hours;
    assert_eq!(hours.len(), 24);
    assert_eq!(hours[0].0.to_rfc3339(), "2026-11-20T09:00:00+00:00");
}

#[test]
fn the_more_tenants_the_fewer_of_their_runs_are_listed_but_ten_of_each() {
    let times: Vec<_> = (0..15)
        .map(|minute| format!("2026-11-21T07:{minute:02}:00Z"))
        .collect();
    let changes = with_runs(&times);
    for (tenants, listed) in [(1, 15), (400, 12), (600, 10)] {
        let evidence = (0..tenants).map(|_| evidence(Ok(Some(history(&changes)))));
        let health = Health::judge(evidence.collect(), at("08:00:00"));
        let counts: BTreeSet<_> = health.pipelines.iter().map(|it| it.runs.len()).collect();
        assert_eq!(counts, [listed].into(), "{tenants}");
    }
}

#[test]
fn people_are_shown_ten_runs_and_errors_on_the_page_and_three_errors_in_the_text() {
    let times: Vec<_> = (0..15)
        .map(|minute| format!("2026-11-21T07:{minute:02}:00Z"))
        .collect();
    let health = health(&with_runs(&times), "08:00:00");
    let page = page(&health);
    assert!(page.contains("<summary>Errors (15)</summary>"), "{page}");
    assert_eq!(page.matches("<li><time>").count(), 10);
    assert_eq!(page.matches("<tr><td><time>").count(), 10);
    // The newest ones.
    assert!(page.contains("<li><time>2026-11-21T07:05:00Z</time> no token</li>"));
    assert!(page.contains("<tr><td><time>2026-11-21T07:05:00Z</time></td>"));
    let text = text(&health);
    let errors: Vec<_> = text.lines().filter(|it| it.contains("error at")).collect();
    assert_eq!(
        errors,
        [
            "  error at 2026-11-21T07:14:00Z: no token",
            "  error at 2026-11-21T07:13:00Z: no token",
            "  error at 2026-11-21T07:12:00Z: no token",
        ]
    );
    assert!(
        text.lines().any(|it| it == "  behind         none"),
        "{text}"
    );
}

#[test]
fn the_page_says_how_each_run_ended_and_draws_it() {
    let run = |minute: u32, lag: u64, caught_up: bool, failed: bool| {
        let at = format!("2026-11-21T07:{minute:02}:00Z");
        json!({"at": at, "elapsed_ms": 310, "delivered": 12, "bytes": 9_000,
            "dead_lettered": 2, "lag_seconds": lag, "caught_up": caught_up, "failed": failed})
    };
    let runs = [
        run(10, 0, true, false),
        run(20, 1, false, false),
        run(30, 640, true, true),
        run(40, 6_400, false, true),
    ];
    let page = page(&health(&json!({"runs": runs}), "08:00:30"));
    for (minute, end) in [
        (10, "caught up"),
        (20, "behind"),
        (30, "failed"),
        (40, "failed"),
    ] {
        let row = format!(
            "<tr><td><time>2026-11-21T07:{minute}:00Z</time></td><td>310</td><td>12</td>\
             <td>9000</td><td>2</td><td>{end}</td></tr>"
        );
        assert!(page.contains(&row), "{row}\n{page}");
    }
    // Of the largest value, which is the whole height. One that is not zero can be seen.
    let lags: String = [
        (0, 64, 0, 10, 0),
        (120, 63, 1, 20, 1),
        (240, 58, 6, 30, 640),
        (360, 0, 64, 40, 6_400),
    ]
    .map(|(x, y, height, minute, lag)| {
        format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"119\" height=\"{height}\">\
                 <title>2026-11-21T07:{minute}:00Z: {lag}</title></rect>"
        )
    })
    .concat();
    let chart = format!(
        "<figure><figcaption>Seconds behind, run by run (at most 6400)</figcaption>\
         <svg viewBox=\"0 0 480 64\" role=\"img\" aria-label=\"Seconds behind, run by run\">\
         <line x1=\"0\" y1=\"64\" x2=\"480\" y2=\"64\"></line>{lags}</svg></figure>"
    );
    assert!(page.contains(&chart), "{chart}\n{page}");
    let failed = "<title>2026-11-21T07:30:00Z: 1</title>";
    assert!(page.contains("Runs that failed, run by run (at most 1)") && page.contains(failed));
}

#[test]
fn what_the_newest_error_says_already_is_not_said_again() {
    let newest = |text: &str| json!([{"at": "2026-11-21T07:00:00Z", "text": text}]);
    let refused = "2026-11-21T05:00:00Z";
    let still = StillRefusing(refused.parse().unwrap()).to_string();
    let missing = "1 records that the destination acknowledged are not in the table";
    for changes in [
        json!({"refused_since": refused, "errors": newest(&still)}),
        json!({"lost": 1, "errors": newest(missing)}),
    ] {
        let health = health(&changes, "08:01:00");
        assert_eq!(health.state, State::Failing);
        assert_eq!(health.pipelines[0].errors.len(), 1, "{changes}");
    }
    // Nor is it said of a run whose own error is the newest.
    let failing = json!({"lost": 1, "is_failing": true, "errors": newest("no token")});
    assert_eq!(health(&failing, "08:01:00").pipelines[0].errors.len(), 1);
    let lost = health(&json!({"lost": 1}), "08:01:00");
    let told = lost.pipelines[0].error.as_ref().unwrap();
    assert_eq!(told.text, missing);
}
