//! Personal data: each destination gets what it may see. The same holds for dead letters, replays
//! and people who look up a pseudonym.

use std::fs;

use serde_json::json;
use simulator::host::Level;

use crate::world::{Sink, World, minutes_ago, numbers};

/// `0123456789abcdef0123456789abcdef` in Base64
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// `another key of thirty-two bytes!` in Base64
const OTHER_KEY: &str = "YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=";
// Computed with Python's hmac, hashlib and base64: over `email\0ada@example.com` with each key, and
// over `user_id\0samlp|acme|ada@example.com`.
const ADA: &str = "p2_2xedtbutyn3h3xjwcepxqb2mqa";
const ADA_S_ID: &str = "p2_4usrkzim2oqzhsoci446i5bg6a";
const ADA_BEFORE: &str = "p1_wkbi2ytapnytify2ftitvakrdi";

/// Adds two records of Ada's.
fn add_records(world: &World) -> [String; 2] {
    [20, 10].map(|minutes| {
        let date = minutes_ago(minutes);
        let record = json!({"date": date, "type": "fp", "user_name": "Ada@example.com",
            "description": "no ada@example.com", "ip": "203.0.113.7",
            "details": {"latitude": 51.5, "user": {"name": "Ada Lovelace"}}});
        world.tenant.add(record, date)
    })
}

fn table(world: &World, sink: Sink) -> String {
    format!("{:?}", world.arrivals_at(sink).table("Auth0AM_CL").rows)
}

#[tokio::test]
async fn each_destination_gets_what_it_may_see_and_a_replay_what_its_target_may() {
    let mut world = World::start_for(Sink::Archive).await;
    world.set(
        "PII",
        "username:pseudonym,ip:truncate,location:mask,first_name:drop",
    );
    world.set("PII_ARCHIVE", "none");
    world.set("PII_KEY", KEY);
    world.set("PII_KEY_ID", "2");
    world.keep_secret(vec![KEY.to_owned()]);
    add_records(&world);
    world.poll().await;
    let archived = table(&world, Sink::Archive);
    assert!(
        archived.contains("Ada Lovelace") && archived.contains("203.0.113.7"),
        "{archived}"
    );

    world.deliver_to(&[Sink::LogAnalytics]);
    world.set_all(world.archive.settings());
    let arguments = [
        "replay",
        "--destination",
        "log-analytics",
        "--from",
        "1h",
        "--to",
        "1s",
    ];
    let ran = world
        .command(&[&arguments[..], &["--source", "archive"]].concat())
        .await;
    assert_eq!(numbers(&ran.report(), ["delivered"]), [2], "{ran:?}");
    let rows = table(&world, Sink::LogAnalytics);
    let pseudonym = format!("{ADA}@example.com");
    assert_eq!(rows.matches(&pseudonym).count(), 4, "{rows}");
    assert_eq!(rows.matches("203.0.113.0").count(), 2, "{rows}");
    for personal in ["Ada", "ada@", "Lovelace", "203.0.113.7", "latitude"] {
        assert!(!rows.contains(personal), "{personal}: {rows}");
    }
}

/// What the platform passes on while it cannot get the key.
#[tokio::test]
async fn a_key_that_the_vault_does_not_give_stops_only_pseudonyms_and_check_says_so() {
    let mut world = World::start().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::LogsIngestion]);
    world.set("PII", "username:pseudonym");
    world.set("PII_LOGS_INGESTION", "username:mask,ip:mask");
    world.set("PII_KEY", "@Microsoft.KeyVault(SecretUri=x)");
    add_records(&world);
    let problem =
        "a setting needs attention: PII_KEY is a Key Vault reference that was not resolved";

    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 2, "{check:?}");
    for line in [
        "ok         logs-ingestion: ",
        &format!("FAILED     log-analytics: {problem}"),
    ] {
        assert!(check.stdout.contains(line), "{line} is not in {check:?}");
    }
    let poll = world.command(&["poll"]).await;
    assert_eq!(poll.code(), 1, "{poll:?}");
    let rows = table(&world, Sink::LogsIngestion);
    // In each record the user's name, there and in the description, and the address.
    assert_eq!(rows.matches("***").count(), 6, "{rows}");
    assert!(!rows.contains("203.0.113.7"), "{rows}");
    assert!(world.arrivals_at(Sink::LogAnalytics).posts().is_empty());

    // Nothing makes a pseudonym.
    world.set("PII", "username:drop");
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    let line = format!("warning    pseudonyms: {problem}");
    assert!(check.stdout.contains(&line), "{check:?}");
    assert_eq!(world.command(&["poll"]).await.code(), 0);
}

#[tokio::test]
async fn a_dead_letter_holds_what_its_destination_may_see_and_is_delivered_as_it_is() {
    let mut world = World::start().await;
    world.set("PII", "username:pseudonym,ip:truncate");
    world.set("PII_KEY", KEY);
    world.set("PII_KEY_ID", "2");
    world.keep_secret(vec![KEY.to_owned()]);
    world.tenant.generate(50, minutes_ago(50), minutes_ago(30));
    let [culprit, _] = add_records(&world);
    world.arrivals().refuse(&culprit);
    assert_eq!(numbers(&world.poll().await, ["dead_lettered"]), [1]);
    let letter = fs::read_to_string(world.dead_letter_file(world.sink, &culprit)).unwrap();
    assert!(
        letter.contains(ADA) && letter.contains("203.0.113.0"),
        "{letter}"
    );
    assert!(
        !letter.to_lowercase().contains("ada@example.com"),
        "{letter}"
    );

    world.arrivals().relent();
    let ran = world.command(&["dead-letter", "retry"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let rows = table(&world, Sink::LogAnalytics);
    assert_eq!(
        rows.matches(&format!("no {ADA}@example.com")).count(),
        2,
        "{rows}"
    );
}

#[tokio::test]
async fn a_pseudonym_is_told_to_who_has_the_key_and_nothing_else() {
    let mut world = World::start().await;
    for setting in [
        "DOMAIN",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "WorkspaceID",
        "WorkspaceKey",
    ] {
        world.set(setting, "");
    }
    let missing = world.command(&["pseudonym", "ada@example.com"]).await;
    assert_eq!(missing.code(), 2);
    assert!(
        missing.stderr.contains("PII_KEY is missing: 32 bytes"),
        "{missing:?}"
    );

    world.set("PII_KEY", KEY);
    world.set("PII_KEY_ID", "2");
    world.set("PII_KEY_PREVIOUS", &format!("1:{OTHER_KEY}"));
    world.keep_secret(vec![KEY.to_owned(), OTHER_KEY.to_owned()]);
    let told = world
        .command(&["pseudonym", "Ada@example.com", "203.0.113.7"])
        .await;
    assert_eq!(told.code(), 0, "{told:?}");
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "Ada@example.com",
            &format!("  email       {ADA}@example.com"),
            &format!("  email       {ADA_BEFORE}@example.com  (previous key)"),
            &format!("  search in (Auth0AM_CL) \"*{ADA}*\" or \"*{ADA_BEFORE}*\""),
        ]
    );
    assert_eq!(lines[4], "203.0.113.7");
    assert!(lines[6].starts_with("  ip          p2_"), "{lines:?}");

    // In paths a code comes after `%7C` or `%22`, so that a search for words misses it.
    let told = world
        .command(&["pseudonym", "samlp|acme|Ada@example.com"])
        .await;
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(
        lines[2],
        format!("  user_id     samlp|acme|{ADA_S_ID}"),
        "{told:?}"
    );
    let query = lines.last().unwrap();
    assert!(query.contains(&format!(" or \"*{ADA_S_ID}*\"")), "{query}");
}

#[tokio::test]
async fn a_value_is_looked_up_whatever_space_is_around_it_and_one_that_has_no_pseudonym_is_refused()
{
    let mut world = World::start().await;
    world.set("PII_KEY", KEY);
    world.keep_secret(vec![KEY.to_owned()]);
    for value in ["auth0|5f1abc", "alice", "203.0.113.7", "ada@example.com"] {
        let plain = world.command(&["pseudonym", value]).await;
        let query = plain.stdout.lines().last().unwrap();
        for spaced in [
            format!(" {value}"),
            format!("{value}\n"),
            format!("\u{a0}{value}\t"),
        ] {
            let told = world.command(&["pseudonym", &spaced]).await;
            assert_eq!(told.stdout.lines().last(), Some(query), "{spaced:?}");
        }
    }
    let pseudonym = format!("{ADA}@example.com");
    for (value, why) in [
        ("", "a value is blank"),
        (" \t", "a value is blank"),
        (&*pseudonym, "a value is a pseudonym already"),
        (&*format!("auth0|{ADA} "), "a value is a pseudonym already"),
    ] {
        let told = world
            .command(&["pseudonym", "ada@example.com", value])
            .await;
        assert_eq!((told.code(), &*told.stdout), (2, ""), "{told:?}");
        assert!(told.stderr.contains(why), "{told:?}");
    }
}

/// A key under a name that is not read would leave out what was made with it.
#[tokio::test]
async fn pseudonyms_are_not_looked_up_while_a_name_of_a_key_is_mistyped() {
    for name in ["PII_KEY_OLD", "PII_KEYID", "ACME__PII_KEY_PREVIUOS"] {
        let mut world = World::start().await;
        world.set("DOMAIN", "");
        world.set("TENANTS", "acme");
        world.set("ACME__PII_KEY", KEY);
        world.set("ACME__PII_KEY_ID", "2");
        world.set(name, KEY);
        world.keep_secret(vec![KEY.to_owned()]);
        let told = world.command(&["pseudonym", "ada@example.com"]).await;
        assert_eq!((told.code(), &*told.stdout), (2, ""), "{told:?}");
        assert!(told.stderr.contains(&format!("{name} is")), "{told:?}");
    }
}

#[tokio::test]
async fn of_several_tenants_one_without_a_key_keeps_nobody_from_the_other_s_pseudonyms() {
    let mut world = World::start().await;
    world.set("DOMAIN", "");
    world.set("TENANTS", "globex,acme,initech");
    world.set("ACME__PII_KEY", KEY);
    world.set("ACME__PII_KEY_ID", "2");
    world.set("INITECH__PII_KEY", "short");
    world.keep_secret(vec![KEY.to_owned()]);
    let told = world.command(&["pseudonym", "ada@example.com"]).await;
    assert_eq!(told.code(), 2, "{told:?}");
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "ada@example.com",
            &format!("  email       {ADA}@example.com"),
            &format!("  search in (Auth0AM_CL) \"*{ADA}*\""),
        ]
    );
    for problem in [
        "GLOBEX__PII_KEY is missing: 32 bytes",
        "INITECH__PII_KEY is not a key",
    ] {
        assert!(told.stderr.contains(problem), "{told:?}");
    }

    // What is the same for two of them is printed once.
    world.set("INITECH__PII_KEY", KEY);
    world.set("INITECH__PII_KEY_ID", "2");
    let shared = world.command(&["pseudonym", "ada@example.com"]).await;
    assert_eq!(shared.stdout, told.stdout, "{shared:?}");

    world.set("INITECH__PII_KEY", "");
    world.set("ACME__PII_KEY", "");
    let none = world.command(&["pseudonym", "ada@example.com"]).await;
    assert_eq!((none.code(), &*none.stdout), (2, ""), "{none:?}");
}

#[tokio::test]
async fn a_policy_under_a_name_that_is_not_read_lets_nothing_out() {
    for name in [
        "Pii",
        "pii_archive",
        "PII_ARCHVE",
        "PII_SENTINEL",
        "PII_ALL",
        "PII_PREVIOUS_KEY",
        "PIII",
        "PI",
    ] {
        let mut world = World::start().await;
        world.set(name, "email:mask");
        world.tenant.generate(3, minutes_ago(9), minutes_ago(5));
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 2, "{ran:?}");
        assert!(ran.stderr.contains(&format!("{name} is")), "{ran:?}");
        assert!(world.workspace.landed().is_empty(), "{name}");
    }
    // A name that is only similar stops nothing.
    let mut world = World::start().await;
    for (name, value) in [
        ("PID", "7"),
        ("PIN", "8"),
        ("COMPANY_PII", "on"),
        ("LOG_PII", "false"),
        ("OTEL_REDACT_PII", "1"),
        ("Serilog__Enrich__PII", "false"),
        ("PKI_KEY", "/etc/pki"),
        ("PII", "email:mask"),
    ] {
        world.set(name, value);
    }
    add_records(&world);
    world.poll().await;
    assert_eq!(world.workspace.landed().len(), 2);
}

/// `DESTINATIONS` no longer names the destination that has a policy.
#[tokio::test]
async fn where_only_a_destination_of_before_has_a_policy_each_start_and_check_say_so() {
    let mut world = World::start().await;
    world.set("PII_TINYBIRD", "email:mask");
    let problem = "PII_TINYBIRD applies to no destination in DESTINATIONS, and log-analytics gets all \
                   personal data: set PII_LOG_ANALYTICS, ";
    let check = world.command(&["check"]).await;
    assert_eq!(check.code(), 0, "{check:?}");
    let line = format!("warning    log-analytics: {problem}");
    assert!(check.stdout.contains(&line), "{check:?}");
    assert!(!check.stderr.contains(problem), "{check:?}");
    let poll = world.command(&["poll"]).await;
    assert_eq!(poll.code(), 0, "{poll:?}");
    assert_eq!(poll.stderr.matches(problem).count(), 1, "{poll:?}");
    let host = world.host().await;
    host.wait_for_line(Level::Warning, problem).await;

    world.set("PII_LOG_ANALYTICS", "none");
    for command in ["check", "poll"] {
        let ran = world.command(&[command]).await;
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!all.contains("PII_TINYBIRD"), "{all}");
    }
}
