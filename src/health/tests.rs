use super::*;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};

mod shown;

fn at(clock: &str) -> DateTime<Utc> {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

/// A healthy history with these JSON members changed, in its stored form.
fn history(changes: &serde_json::Value) -> History {
    let mut history = serde_json::json!({
        "format": 1,
        "last_run": "2026-11-21T08:00:00Z", "last_success": "2026-11-21T08:00:00Z",
        "newest_record": "2026-11-21T07:59:00Z", "lag_seconds": 0, "caught_up": true,
        "rate_limit": {"limit": 50, "remaining": 48}, "is_failing": false,
        "total": {"records": 1_200, "bytes": 990_000}, "hours": {}, "errors": [], "gaps": [],
        "runs": [{"at": "2026-11-21T08:00:00Z", "elapsed_ms": 310, "delivered": 12, "bytes": 9_000,
            "lag_seconds": 0, "caught_up": true, "failed": false}]
    });
    for (name, value) in changes.as_object().unwrap() {
        history[name] = value.clone();
    }
    serde_json::from_value(history).unwrap()
}

fn evidence(history: Result<Option<History>, &str>) -> Evidence {
    Evidence {
        tenant: "acme".into(),
        destination: "log-analytics".into(),
        history: history.map_err(|why| Some(why.to_owned())),
        obstacle: None,
        dead_letters: Some(3),
        budget: Duration::from_mins(4),
    }
}

fn health(changes: &serde_json::Value, clock: &str) -> Health {
    Health::judge(vec![evidence(Ok(Some(history(changes))))], at(clock))
}

/// The history's member `arrival`, with this many of 40 records missing.
fn arrival(missing: u64) -> serde_json::Value {
    serde_json::json!({"accepted": 40, "landed": 40 - missing, "missing": missing,
        "looked_at": "2026-11-21T07:30:00Z"})
}

#[test]
fn what_is_missing_is_shown_and_red_only_where_it_is_missing_for_good() {
    use serde_json::json;
    let missing = |lost: u64| health(&json!({"arrival": arrival(2), "lost": lost}), "08:01:00");
    assert_eq!(
        [missing(0).state, missing(1).state],
        [State::Ok, State::Failing]
    );
    let metric = "auth0_poller_missing_rows{tenant=\"acme\",destination=\"log-analytics\"} 2";
    assert!(metrics(&missing(0)).lines().any(|it| it == metric));
    let told = "  arrival        38 of 40 landed, 2 missing at 2026-11-21T07:30:00Z";
    assert!(
        text(&missing(0)).lines().any(|it| it == told),
        "{}",
        text(&missing(0))
    );
    assert!(page(&missing(0)).contains("38 of 40 landed, 2 missing"));

    // No number is shown if the table is not queried, or not yet.
    for arrival in [
        json!(null),
        json!({"accepted": 0, "landed": 0, "missing": 0, "looked_at": null}),
    ] {
        let metrics = metrics(&health(&json!({"arrival": arrival}), "08:01:00"));
        assert!(!metrics.contains("auth0_poller_missing_rows{"), "{metrics}");
    }
    // Nor if it cannot be queried any more, and nothing is known to be missing.
    let shown = |missing: u64, unasked| {
        let changes = json!({"arrival": arrival(missing), "unasked": unasked});
        let text = metrics(&health(&changes, "08:01:00"));
        let samples = text
            .lines()
            .filter(|it| it.starts_with("auth0_poller_missing_rows{"));
        samples
            .map(|it| it.rsplit(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(0, json!(null)), ["0"]);
    assert!(shown(0, json!("no role")).is_empty());
    assert_eq!(shown(2, json!("no role")), ["2"]);
    let unasked = json!({"arrival": arrival(0), "unasked": "<b>no role</b>"});
    assert_eq!(health(&unasked, "08:01:00").state, State::Ok);
    assert!(text(&health(&unasked, "08:01:00")).contains("  not checked    <b>no role</b>"));
    assert!(page(&health(&unasked, "08:01:00")).contains("&lt;b&gt;no role"));
}

#[test]
fn of_several_states_the_first_is_told() {
    use serde_json::json;
    let failing = json!({"is_failing": true, "caught_up": false});
    let gap = json!({"gaps": [{"at": "2026-11-20T09:00:00Z", "from": null, "to": "2026-11-20T08:00:00Z"}]});
    let behind = json!({"caught_up": false, "lag_seconds": 90});
    let gap_and_behind = json!({"gaps": gap["gaps"], "caught_up": false});
    for (changes, clock, state) in [
        (&json!({}), "08:14:59", State::Ok),
        (&json!({}), "08:15:00", State::Stale),
        (&failing, "08:01:00", State::Failing),
        (&failing, "09:00:00", State::Failing),
        (&gap, "08:01:00", State::Gap),
        (&gap, "08:15:00", State::Stale),
        (&gap_and_behind, "08:01:00", State::Gap),
        (&behind, "08:01:00", State::CatchingUp),
    ] {
        assert_eq!(health(changes, clock).state, state, "{changes} {clock}");
    }
    // A clock that is wrong by more than the usual difference.
    let ahead = |time: &str| json!({"last_run": time});
    assert_eq!(
        health(&ahead("2026-11-21T08:05:00Z"), "08:00:00").state,
        State::Ok
    );
    for time in ["2026-11-21T08:05:01Z", "2026-12-21T08:00:00Z"] {
        assert_eq!(
            health(&ahead(time), "08:00:00").state,
            State::Stale,
            "{time}"
        );
    }
    // A run of this length may be under way.
    let long = |budget, clock| {
        let evidence = Evidence {
            budget,
            ..evidence(Ok(Some(history(&json!({})))))
        };
        Health::judge(vec![evidence], at(clock)).state
    };
    let half_an_hour = Duration::from_mins(30);
    assert_eq!(long(half_an_hour, "08:40:59"), State::Ok);
    assert_eq!(long(half_an_hour, "08:41:00"), State::Stale);
    assert_eq!(long(Duration::MAX, "23:59:59"), State::Ok);
    let text = text(&health(&ahead("2026-12-21T08:00:00Z"), "08:00:00"));
    let told = "  last run       2026-12-21T08:00:00Z (in the future, by 30 days)";
    assert!(text.lines().any(|it| it == told), "{text}");
    // A gap is reported for a day.
    let told = json!({"gaps": gap["gaps"], "last_run": "2026-11-21T09:00:00Z"});
    assert_eq!(health(&told, "08:59:59").state, State::Gap);
    assert_eq!(health(&told, "09:00:00").state, State::Ok);
    assert_eq!(health(&told, "09:00:00").pipelines[0].gap, None);
}

#[test]
fn what_never_ran_or_cannot_be_read_is_no_success_and_the_worst_is_told_of_all() {
    let never = || evidence(Ok(None));
    let bad = || evidence(Err("CLIENT_ID is missing"));
    let good = || evidence(Ok(Some(history(&serde_json::json!({})))));
    let state = |evidence| Health::judge(evidence, at("08:00:30")).state;
    assert_eq!(state(vec![good(), never()]), State::NeverRan);
    assert_eq!(state(vec![good(), never(), bad()]), State::Failing);
    assert_eq!(state(vec![good(), good()]), State::Ok);
    assert_eq!(state(vec![]), State::NeverRan);
    let health = Health::judge(vec![bad()], at("08:00:30"));
    assert_eq!(
        health.pipelines[0].error.as_ref().unwrap().text,
        "CLIENT_ID is missing"
    );
    let alarming: Vec<_> = State::ALL
        .into_iter()
        .filter(|it| it.is_alarming())
        .collect();
    assert_eq!(alarming, [State::Failing, State::Stale, State::Gap]);
}

#[test]
fn where_no_run_can_begin_that_is_failing_whatever_the_last_ones_said() {
    let blocked = |history| Evidence {
        obstacle: Some("START_FROM is in the future".into()),
        ..evidence(history)
    };
    let healthy = || Ok(Some(history(&serde_json::json!({}))));
    let judge = |evidence| Health::judge(evidence, at("08:00:30"));
    for history in [healthy(), Ok(None), Err("the storage is away")] {
        let health = judge(vec![blocked(history)]);
        assert_eq!(health.state, State::Failing);
        assert!(health.is_unusable);
        let error = health.pipelines[0].error.as_ref().unwrap();
        assert_eq!(error.text, "START_FROM is in the future");
    }
    // The counts of earlier runs are still shown.
    assert_eq!(
        judge(vec![blocked(healthy())]).pipelines[0]
            .records
            .unwrap()
            .day,
        12
    );
    let one = judge(vec![blocked(Ok(None)), evidence(healthy())]);
    assert_eq!((one.state, one.is_unusable), (State::Failing, false));
    assert!(!judge(vec![evidence(Err("the storage is away"))]).is_unusable);
}

#[test]
fn the_json_has_the_documented_members() {
    let changes = serde_json::json!({"arrival": arrival(2), "lost": 0, "unasked": null, "errors": [
        {"at": "2026-11-21T06:00:00Z", "text": "older"},
        {"at": "2026-11-21T07:00:00Z", "text": "newer"}
    ]});
    let json = serde_json::to_value(health(&changes, "08:00:30")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "at": "2026-11-21T08:00:30Z", "state": "ok",
            "pipelines": [{
                "tenant": "acme", "destination": "log-analytics", "state": "ok",
                "last_run": "2026-11-21T08:00:00Z", "last_success": "2026-11-21T08:00:00Z",
                "newest_record": "2026-11-21T07:59:00Z", "lag_seconds": 0, "caught_up": true,
                "records": {"hour": 12, "day": 12}, "bytes": {"hour": 9_000, "day": 9_000},
                "rate_limit": {"limit": 50, "remaining": 48}, "dead_letters": 3, "gap": null,
                "arrival": {"accepted": 40, "landed": 38, "missing": 2, "looked_at": "2026-11-21T07:30:00Z"},
                "error": {"at": "2026-11-21T07:00:00Z", "text": "newer"},
                "runs": [{"at": "2026-11-21T08:00:00Z", "elapsed_ms": 310, "delivered": 12,
                    "bytes": 9_000, "lag_seconds": 0, "caught_up": true, "failed": false}]
            }]
        })
    );
}

#[test]
fn metrics_are_in_the_form_of_prometheus() {
    let mut hostile = evidence(Ok(Some(history(&serde_json::json!({})))));
    hostile.tenant = "a\"b\\c\nd".into();
    let text = metrics(&Health::judge(vec![hostile], at("08:00:30")));
    let labels = r#"tenant="a\"b\\c\nd",destination="log-analytics""#;
    for line in [
        "# TYPE auth0_poller_state gauge".to_owned(),
        format!("auth0_poller_state{{{labels},state=\"ok\"}} 1"),
        format!("auth0_poller_state{{{labels},state=\"failing\"}} 0"),
        "# TYPE auth0_poller_records_total counter".to_owned(),
        format!("auth0_poller_records_total{{{labels}}} 1200"),
        format!("auth0_poller_bytes_total{{{labels}}} 990000"),
        format!("auth0_poller_lag_seconds{{{labels}}} 0"),
        format!("auth0_poller_dead_letters{{{labels}}} 3"),
        format!("auth0_poller_last_success_timestamp_seconds{{{labels}}} 1795248000"),
        format!("auth0_poller_rate_limit_remaining{{{labels}}} 48"),
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    let forms = ["# HELP ", "# TYPE ", "auth0_poller_"];
    assert!(
        text.lines()
            .all(|line| forms.iter().any(|it| line.starts_with(it)))
    );
    assert!(text.ends_with('\n'));
}

/// Two misspelt destinations are both called unknown.
#[test]
fn each_series_is_among_the_metrics_once() {
    let misspelt = || Evidence {
        destination: "unknown".into(),
        obstacle: Some("DESTINATIONS names an unknown destination".into()),
        ..evidence(Ok(None))
    };
    let good = evidence(Ok(Some(history(&serde_json::json!({})))));
    let text = metrics(&Health::judge(
        vec![misspelt(), good, misspelt()],
        at("08:00:30"),
    ));
    let series = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
    let samples = text.lines().filter(|it| !it.starts_with('#'));
    let mut known: Vec<_> = samples.map(series).collect();
    let failing = r#"auth0_poller_state{tenant="acme",destination="unknown",state="failing"} 1"#;
    assert!(text.lines().any(|it| it == failing), "{text}");
    let count = known.len();
    known.sort();
    known.dedup();
    assert_eq!(known.len(), count, "{text}");
}

#[test]
fn the_page_escapes_what_it_shows_and_needs_nothing_from_elsewhere() {
    let script = "<script>alert(1)</script>\"'&";
    let changes = serde_json::json!({
        "is_failing": true,
        "errors": [{"at": "2026-11-21T07:00:00Z", "text": script}]
    });
    let mut hostile = evidence(Ok(Some(history(&changes))));
    hostile.tenant = script.into();
    hostile.destination = script.into();
    let page = page(&Health::judge(vec![hostile], at("08:00:30")));
    assert!(!page.contains("<script"), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"),
        "{page}"
    );
    for other in [
        "http://", "https://", "src=", "href=", "style=", "onload", "@import", "url(",
    ] {
        assert!(!page.contains(other), "{other}");
    }
    let style = page
        .split("<style>")
        .nth(1)
        .unwrap()
        .split("</style>")
        .next()
        .unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    assert_eq!(hash, STYLE_HASH, "the policy allows another style");
}

#[test]
fn of_a_run_of_which_nobody_knows_how_far_it_was_behind_the_page_says_so() {
    let run = |at: &str, lag: Option<u64>| {
        serde_json::json!({"at": at, "elapsed_ms": 310, "delivered": 0, "bytes": 0,
            "lag_seconds": lag, "caught_up": false, "failed": true})
    };
    let runs = [
        run("2026-11-21T08:00:00Z", None),
        run("2026-11-21T07:55:00Z", Some(90)),
    ];
    let page = page(&health(&serde_json::json!({"runs": runs}), "08:00:30"));
    for bar in [
        r#"y="0" width="239" height="64"><title>2026-11-21T07:55:00Z: 90</title>"#,
        r#"y="0" width="239" height="64" class="unknown"><title>2026-11-21T08:00:00Z: unknown</title>"#,
    ] {
        assert!(page.contains(bar), "{page}");
    }
}

#[test]
fn of_a_history_that_cannot_be_read_the_page_tells_no_number() {
    let page = page(&Health::judge(
        vec![evidence(Err("the storage is away"))],
        at("08:00:30"),
    ));
    assert!(!page.contains("(at most 0)"), "{page}");
    for hour in ["2026-11-20T09:00:00Z", "2026-11-21T08:00:00Z"] {
        let bar = format!("<title>{hour}: unknown</title>");
        assert!(page.contains(&bar), "{page}");
    }
}

#[test]
fn what_is_wrong_now_is_told_although_another_error_came_after_it() {
    use serde_json::json;
    let errors = json!([
        {"at": "2026-11-21T06:00:00Z", "text": "why it is failing"},
        {"at": "2026-11-21T07:00:00Z", "text": "Auth0 did not answer"}
    ]);
    for (changes, told) in [
        (
            json!({"refused_since": "2026-11-21T05:00:00Z"}),
            "the destination has refused every record since 2026-11-21T05:00:00Z, so",
        ),
        (
            json!({"lost": 2, "arrival": arrival(2)}),
            "2 records that the destination acknowledged are not in the table",
        ),
    ] {
        let mut changes = changes;
        changes["errors"] = errors.clone();
        let health = health(&changes, "08:01:00");
        assert_eq!(health.state, State::Failing);
        let error = health.pipelines[0].error.as_ref().unwrap();
        assert!(error.text.starts_with(told), "{error:?}");
    }
}

#[test]
fn where_nothing_was_delivered_and_several_records_are_set_aside_that_is_failing() {
    let run = |delivered: u64, dead_lettered: u64| {
        serde_json::json!({"at": "2026-11-21T08:00:00Z", "elapsed_ms": 310, "delivered": delivered,
            "bytes": 9_000, "dead_lettered": dead_lettered, "lag_seconds": 0, "caught_up": true,
            "failed": false})
    };
    let told = "all 2 records that came since one was last delivered were set aside, so";
    for (runs, left, is_failing) in [
        (vec![run(5, 0), run(0, 1)], Some(1), false),
        (
            vec![run(5, 0), run(0, 1), run(0, 0), run(0, 1)],
            Some(2),
            true,
        ),
        (vec![run(0, 2)], None, true),
        // They were delivered after all.
        (vec![run(0, 2)], Some(0), false),
        (vec![run(0, 2), run(0, 1)], Some(1), false),
        (vec![run(0, 2), run(1, 0)], Some(2), false),
        (vec![run(1, 2)], Some(2), false),
    ] {
        let history = history(&serde_json::json!({"runs": runs}));
        let evidence = Evidence {
            dead_letters: left,
            ..evidence(Ok(Some(history)))
        };
        let health = Health::judge(vec![evidence], at("08:01:00"));
        assert_eq!(health.state == State::Failing, is_failing, "{runs:?}");
        let error = health.pipelines[0].error.as_ref().map(|it| &*it.text);
        let is_told = error.is_some_and(|it| it.starts_with(told));
        assert_eq!(is_told, is_failing, "{error:?}");
    }
}

#[test]
fn where_all_that_was_sent_is_quarantined_that_is_failing() {
    let run = "the destination quarantined 2 of the records that it took, and they are not sent again: look";
    let all =
        "the destination quarantined all 3 records that it took since one was last delivered, so";
    for (count, newest, is_failing, told) in [
        (0, run, false, run),
        // A single record proves nothing.
        (1, run, false, run),
        // The run's own error says more.
        (3, run, true, run),
        (3, "no token", true, all),
    ] {
        let changes = serde_json::json!({
            "only_quarantined": count,
            "errors": [{"at": "2026-11-21T07:00:00Z", "text": newest}]
        });
        let health = health(&changes, "08:01:00");
        assert_eq!(
            health.state == State::Failing,
            is_failing,
            "{count} {newest}"
        );
        let error = health.pipelines[0].error.as_ref().unwrap();
        assert!(error.text.starts_with(told), "{count} {}", error.text);
    }
}

#[test]
fn the_text_says_what_matters() {
    let changes = serde_json::json!({
        "caught_up": false, "lag_seconds": 7_300,
        "gaps": [{"at": "2026-11-21T07:00:00Z", "from": null, "to": "2026-11-21T06:00:00Z"}],
        "errors": [{"at": "2026-11-21T07:00:00Z", "text": "no token"}]
    });
    let text = text(&health(&changes, "08:05:00"));
    for line in [
        concat!(
            "gap  (auth0-poller ",
            env!("CARGO_PKG_VERSION"),
            ", 2026-11-21T08:05:00Z)"
        ),
        "acme/log-analytics  gap",
        "  last run       2026-11-21T08:00:00Z (5 min ago)",
        "  behind         2 h",
        "  records        12 in the last hour, 12 in a day",
        "  set aside      3",
        "  rate limit     48 of 50 requests left",
        "  gap            records before 2026-11-21T06:00:00Z may be missing",
        "  error at 2026-11-21T07:00:00Z: no token",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn what_somebody_wrote_into_a_history_forges_no_line_and_turns_no_text_round() {
    let forged = "refused\n\nacme/archive  ok\r\n  last run \u{202e}now\u{2028}x";
    let changes = serde_json::json!({
        "unasked": forged,
        "is_failing": true,
        "errors": [{"at": "2026-11-21T07:00:00Z", "text": forged}]
    });
    let health = health(&changes, "08:01:00");
    let told = "refused acme/archive ok last run \u{fffd}now x";
    for line in [
        format!("  not checked    {told}"),
        format!("  error at 2026-11-21T07:00:00Z: {told}"),
    ] {
        let text = text(&health);
        assert!(text.lines().any(|it| it == line), "{text}");
    }
    assert_eq!(page(&health).matches(told).count(), 3);
    assert!(!page(&health).contains('\u{202e}'));
}
