//! Several tenants in one app: what one of them does or lacks does not affect another.

use chrono::Duration;
use serde_json::Value;
use simulator::{Fault, Tenant, tenant};

use crate::world::{FUNCTION, Ran, World, minutes_ago, now, numbers};

/// Adds a tenant to the list, with settings of its own.
fn join(world: &mut World, name: &str, tenant: &Tenant) {
    let list = world.settings.iter().find(|(name, _)| name == "TENANTS");
    let list = list.map_or(String::new(), |(_, list)| format!("{list},"));
    world.set("TENANTS", &format!("{list}{name}"));
    for (setting, value) in tenant.settings() {
        world.set(&format!("{}__{setting}", name.to_uppercase()), &value);
    }
}

async fn quiet() -> Tenant {
    Tenant::with(tenant::Options {
        token_events: false,
        ..tenant::Options::default()
    })
    .await
}

/// The tenants acme, which is the world's own, and globex.
async fn two() -> (World, Tenant) {
    let mut world = World::start().await;
    let globex = quiet().await;
    let own = world.tenant.settings();
    for (setting, value) in own {
        world.set(&setting, "");
        world.set(&format!("ACME__{setting}"), &value);
    }
    world.set("TENANTS", "acme");
    join(&mut world, "globex", &globex);
    (world, globex)
}

fn reports(ran: &Ran) -> Vec<Value> {
    let reports = serde_json::Deserializer::from_str(&ran.stdout).into_iter();
    reports.map(Result::unwrap).collect()
}

fn of<'a>(reports: &'a [Value], tenant: &str) -> &'a Value {
    let found = reports.iter().find(|it| it["tenant"] == tenant);
    found.unwrap_or_else(|| panic!("{tenant}: {reports:?}"))
}

/// How many of the tenant's records are in the workspace, each counted once.
fn landed(world: &World, tenant: &Tenant) -> usize {
    let landed = world.workspace.landed();
    let ids = tenant.log_ids();
    ids.iter().filter(|id| landed.contains(*id)).count()
}

#[tokio::test]
async fn each_has_its_own_token_checkpoint_and_line_in_the_report() {
    let (world, globex) = two().await;
    world.tenant.generate(150, minutes_ago(50), minutes_ago(5));
    globex.generate(250, minutes_ago(40), minutes_ago(5));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let reports = reports(&ran);
    assert_eq!(reports.len(), 2);
    assert_eq!(numbers(of(&reports, "acme"), ["delivered"]), [150]);
    assert_eq!(numbers(of(&reports, "globex"), ["delivered"]), [250]);
    assert_eq!(
        [landed(&world, &world.tenant), landed(&world, &globex)],
        [150, 250]
    );
    assert_eq!(
        [world.tenant.token_requests(), globex.token_requests()],
        [1, 1]
    );

    let ran = world.command(&["checkpoint", "show"]).await;
    for name in ["acme/log-analytics: ", "globex/log-analytics: "] {
        assert!(ran.stdout.contains(name), "{ran:?}");
    }
    let ran = world
        .command(&["--tenant", "Globex", "checkpoint", "show"])
        .await;
    assert!(!ran.stdout.contains("acme"), "{ran:?}");
    let ran = world.command(&["poll", "--tenant", "acme"]).await;
    assert_eq!(ran.report()["tenant"], "acme");
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for subject in ["acme/token: ", "globex/log: ", "globex/log-analytics: "] {
        assert!(ran.stdout.contains(subject), "{subject}: {ran:?}");
    }
    let unknown = world.command(&["check", "--tenant", "initech"]).await;
    assert_eq!(unknown.code(), 2);
    assert!(
        unknown.stderr.contains("TENANTS names acme, globex"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn one_that_is_broken_stops_no_other_and_is_named_with_its_remedy() {
    let (mut world, globex) = two().await;
    let (wrong, bare) = (quiet().await, quiet().await);
    join(&mut world, "initech", &wrong);
    world.set("INITECH__CLIENT_SECRET", "not-the-secret");
    join(&mut world, "hooli", &bare);
    world.set("HOOLI__CLIENT_ID", "");
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    globex.generate(20, minutes_ago(50), minutes_ago(5));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let of_poll = reports(&ran);
    let delivered = |name| numbers(of(&of_poll, name), ["delivered"])[0];
    assert_eq!([delivered("acme"), delivered("globex")], [10, 20]);
    let told = [
        "initech/log-analytics: the run failed: ",
        "HOOLI__CLIENT_ID is missing",
    ];
    for told in told {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    assert!(!ran.stderr.contains("acme"), "{ran:?}");

    world.tenant.generate(5, minutes_ago(4), minutes_ago(3));
    let host = world.host().await;
    let reason = host.fire(FUNCTION).await.failure();
    for told in [
        "initech/log-analytics: ",
        "hooli/log-analytics: ",
        "HOOLI__CLIENT_ID",
    ] {
        assert!(reason.contains(told), "{told}: {reason}");
    }
    assert_eq!(landed(&world, &world.tenant), 15);
    let dead_letters = world.command(&["dead-letter", "list"]).await;
    assert!(
        dead_letters
            .stderr
            .contains("acme/log-analytics: no record"),
        "{dead_letters:?}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_all_of_them_is_told_once_and_with_what_to_do() {
    let (mut world, globex) = two().await;
    let more = [quiet().await, quiet().await, quiet().await, quiet().await];
    for (number, tenant) in more.iter().enumerate() {
        join(&mut world, &format!("more{number}"), tenant);
    }
    for tenant in more.iter().chain([&world.tenant, &globex]) {
        tenant.generate(5, minutes_ago(50), minutes_ago(5));
    }
    let forbidden = Fault::answer(403, r#"{"Error":"InvalidAuthorization"}"#);
    world.workspace.fail(vec![forbidden; 12]);
    let host = world.host().await;
    let reason = host.fire(FUNCTION).await.failure();
    for told in [
        "acme/log-analytics and 5 more: ",
        "check that WorkspaceKey ",
    ] {
        assert!(reason.contains(told), "{told}: {reason}");
    }

    // Each tenant has a wrong secret of its own, so the reasons do not all fit into one line.
    for tenant in more.iter().chain([&world.tenant, &globex]) {
        tenant.revoke_tokens();
        tenant.fail_tokens([Fault::answer(401, r#"{"error":"access_denied"}"#)]);
    }
    let reason = host.fire(FUNCTION).await.failure();
    for told in ["acme/log-analytics: ", "check CLIENT_ID", " | and 2 more)"] {
        assert!(reason.contains(told), "{told}: {reason}");
    }
}

#[tokio::test]
async fn a_storage_that_cannot_be_read_hides_nobody_else_s_dead_letters() {
    let (mut world, globex) = two().await;
    let mut ids = globex.generate(50, minutes_ago(50), minutes_ago(5));
    ids.sort();
    world.workspace.refuse(&ids[10]);
    world.command(&["poll"]).await;
    world.workspace.relent();
    world.set("ACME__CHECKPOINT_DIR", "/dev/null");
    let of_acme = "acme/log-analytics: dead-letter: reading /dev/null/dead-letter/";
    let list = world.command(&["dead-letter", "list"]).await;
    assert_eq!(
        (list.code(), list.stdout.lines().count()),
        (1, 1),
        "{list:?}"
    );
    assert!(list.stdout.starts_with(&ids[10]), "{list:?}");
    assert!(list.stderr.starts_with(of_acme), "{list:?}");

    let show = world.command(&["dead-letter", "show", &ids[10]]).await;
    assert_eq!(
        (show.code(), &show.report()["log_id"]),
        (1, &ids[10].clone().into())
    );
    assert!(show.stderr.starts_with(of_acme), "{show:?}");
    // The dead letter may be in the storage that cannot be read.
    for command in [["dead-letter", "show", "9"], ["dead-letter", "retry", "9"]] {
        let unknown = world.command(&command).await;
        assert_eq!((unknown.code(), &*unknown.stdout), (1, ""), "{unknown:?}");
        assert!(unknown.stderr.starts_with(of_acme), "{unknown:?}");
        assert!(!unknown.stderr.contains("there is no"), "{unknown:?}");
    }

    let retry = world.command(&["dead-letter", "retry"]).await;
    let delivered = format!("{}  delivered (globex/log-analytics)\n", ids[10]);
    assert_eq!((retry.code(), retry.stdout), (1, delivered));
    assert!(retry.stderr.starts_with(of_acme), "{}", retry.stderr);
    assert_eq!(landed(&world, &globex), 50);

    world.set("ACME__DOMAIN", "'acme.eu.auth0.com'");
    for command in [["dead-letter", "show", "9"], ["dead-letter", "retry", "9"]] {
        let unknown = world.command(&command).await;
        assert_eq!((unknown.code(), &*unknown.stdout), (1, ""), "{unknown:?}");
        assert!(unknown.stderr.contains("ACME__DOMAIN is in"), "{unknown:?}");
        assert!(!unknown.stderr.contains("there is no"), "{unknown:?}");
    }
}

#[tokio::test]
async fn check_names_the_tenant_that_it_was_asked_for() {
    let (mut world, _globex) = two().await;
    world.set("GLOBEX__CLIENT_SECRET", "");
    let acme = world.command(&["check", "--tenant", "acme"]).await;
    let told = "Nothing is in the way of `auth0-poller poll --tenant acme`.\n";
    assert!(acme.stdout.ends_with(told), "{acme:?}");
    let globex = world.command(&["check", "--tenant", "globex"]).await;
    assert_eq!(globex.code(), 2, "{globex:?}");
    world.set("GLOBEX__CLIENT_SECRET", "wrong");
    let globex = ["check", "--destination", "stdout", "--tenant", "globex"];
    let globex = world.command(&globex).await;
    let again = "run `auth0-poller check --tenant globex --destination stdout` again.\n";
    assert!(globex.stdout.ends_with(again), "{globex:?}");
    // The suggested command works as it is printed.
    let spaced = [
        "check",
        "--destination",
        "log-analytics, stdout ",
        "--tenant",
        " acme",
    ];
    let spaced = world.command(&spaced).await;
    let told = "`auth0-poller poll --tenant acme --destination log-analytics,stdout`.\n";
    assert!(spaced.stdout.ends_with(told), "{spaced:?}");
}

#[tokio::test]
async fn what_is_misspelt_for_one_of_them_is_told_and_what_is_read_is_not() {
    let (mut world, _globex) = two().await;
    let short = quiet().await;
    join(&mut world, "a", &short);
    let silent = world.command(&["check"]).await;
    assert!(!silent.stderr.contains("is not read"), "{silent:?}");
    for given in ["ACME_PII", "acme:PII", "ACME.PII", "ACME-PII"] {
        world.set(given, "email:mask");
        let told = format!("the setting {given} is not read; ACME__PII is");
        let ran = world.command(&["check"]).await;
        assert!(ran.stderr.contains(&told), "{ran:?}");
        world.set(given, "");
    }
    world.set("ACME_CHECKPOINT_DIR", "elsewhere");
    let told = "ACME__CHECKPOINT_DIR is not set, but ACME_CHECKPOINT_DIR is, which is not read";
    let ran = world.command(&["check", "--tenant", "acme"]).await;
    assert_eq!(ran.code(), 2, "{ran:?}");
    assert!(ran.stderr.contains(told), "{ran:?}");
}

#[tokio::test]
async fn check_tells_where_a_policy_for_all_tenants_comes_before_one_of_their_own() {
    let (mut world, _globex) = two().await;
    world.set("GLOBEX__PII", "email:mask");
    world.set("PII_LOG_ANALYTICS", "none");
    let told = "warning    globex/log-analytics: PII_LOG_ANALYTICS, which is set for all tenants, \
                decides about personal data";
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(
        ran.stdout.matches("decides about personal data").count(),
        1,
        "{ran:?}"
    );
    assert!(ran.stdout.contains(told), "{ran:?}");
    for setting in ["GLOBEX__PII_LOG_ANALYTICS", "PII_LOG_ANALYTICS"] {
        world.set(setting, "email:mask");
        let ran = world.command(&["check"]).await;
        assert!(!ran.stdout.contains("what becomes of"), "{ran:?}");
        world.set(setting, "");
        world.set("PII_LOG_ANALYTICS", "none");
    }
    // Nobody reads the setting, so what it should hold back would go out.
    world.set("GLOBX__PII", "email:mask");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let told = "GLOBX__PII is not read: TENANTS does not name GLOBX";
    assert!(ran.stderr.contains(told), "{ran:?}");
    assert_eq!(landed(&world, &world.tenant), 0);
}

#[tokio::test]
async fn a_single_tenant_moves_into_the_list_without_losing_its_place() {
    let mut world = World::start().await;
    world.tenant.generate(120, minutes_ago(50), minutes_ago(5));
    world.poll().await;
    let globex = quiet().await;
    let own = world.tenant.settings();
    world.set("TENANTS", "acme");
    world.set("ACME__DOMAIN", &own[0].1);
    join(&mut world, "globex", &globex);
    world.tenant.generate(30, minutes_ago(4), minutes_ago(2));
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert_eq!(numbers(of(&reports(&ran), "acme"), ["delivered"]), [30]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn one_that_hangs_keeps_no_other_from_being_delivered() {
    let (mut world, globex) = two().await;
    world.set("RUN_BUDGET", "2s");
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    globex.generate(20, minutes_ago(50), minutes_ago(5));
    globex.fail_logs([Fault::Hang, Fault::Hang]);
    let command = world.start_command(&["poll"]);
    world.workspace.wait_for_post(1).await;
    let ran = world.end_of(command).await;
    assert_eq!(landed(&world, &world.tenant), 10);
    assert_eq!(ran.code(), 1, "{ran:?}");
    assert!(
        ran.stderr.contains("globex/log-analytics: the run failed"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("acme"), "{ran:?}");
}

#[tokio::test]
async fn one_that_hangs_keeps_no_other_from_being_sent_again() {
    let (world, globex) = two().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    globex.generate(20, minutes_ago(50), minutes_ago(5));
    world.tenant.fail_logs(vec![Fault::Hang; 100]);
    let name = "--destination=log-analytics";
    let command = world.start_command(&["replay", name, "--from", "1h", "--to", "1s"]);
    world.workspace.wait_for_rows(20).await;
    let ran = world.end("INT", command).await;
    assert_eq!(landed(&world, &globex), 20);
    assert_eq!(ran.code(), 130, "{ran:?}");
    let reports = reports(&ran);
    let order: Vec<_> = reports.iter().map(|it| &it["tenant"]).collect();
    assert_eq!(order, ["acme", "globex"]);
}

#[tokio::test]
async fn three_hundred_quiet_ones_fit_in_a_run() {
    let mut world = World::start().await;
    let options = tenant::Options {
        token_events: false,
        latency: std::time::Duration::from_millis(100),
        ..tenant::Options::default()
    };
    let mut tenants = Vec::new();
    for number in 0..300 {
        let tenant = Tenant::with(options.clone()).await;
        tenant.generate(1, now() - Duration::minutes(30), minutes_ago(5));
        join(&mut world, &format!("t{number}"), &tenant);
        tenants.push(tenant);
    }
    world.set("RUN_BUDGET", "50s");
    for delivered in [1, 0] {
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        let reports = reports(&ran);
        assert_eq!(reports.len(), 300);
        for report in &reports {
            assert_eq!(numbers(report, ["delivered"]), [delivered], "{report}");
            assert_eq!(report["caught_up"], true);
        }
    }
    for tenant in &tenants {
        assert_eq!(landed(&world, tenant), 1);
    }
}

#[tokio::test]
async fn tenants_share_a_folder_whatever_else_each_has_of_its_own() {
    let (mut world, globex) = two().await;
    world.tenant.generate(10, minutes_ago(50), minutes_ago(5));
    globex.generate(20, minutes_ago(50), minutes_ago(5));
    let folder = world.setting("CHECKPOINT_DIR").to_owned();
    let name = folder.rsplit('/').next().unwrap();
    for (name, value) in [
        (
            "GLOBEX__AZURE_CLIENT_ID",
            "6d2b5c1e-0f3a-4f0e-9a55-0c5f7d2f8b11",
        ),
        ("GLOBEX__HTTPS_PROXY", "http://127.0.0.1:9"),
        ("GLOBEX__CHECKPOINT_DIR", &format!("{folder}/./")),
        ("GLOBEX__CHECKPOINT_DIR", &format!("{folder}/../{name}")),
    ] {
        world.set(name, value);
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 0, "{name}: {ran:?}");
    }
    assert_eq!(
        [landed(&world, &world.tenant), landed(&world, &globex)],
        [10, 20]
    );
}

#[tokio::test]
async fn a_replay_for_all_but_one_that_is_badly_set_ends_as_a_poll_does() {
    let (mut world, globex) = two().await;
    globex.generate(20, minutes_ago(50), minutes_ago(5));
    let name = "--destination=log-analytics";
    let replay = ["replay", name, "--from", "1h", "--to", "1s"];
    world.set("ACME__CLIENT_ID", "");
    for command in [&["poll"][..], &replay] {
        let ran = world.command(command).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        assert!(ran.stderr.contains("ACME__CLIENT_ID is missing"), "{ran:?}");
        let reports = reports(&ran);
        assert_eq!(numbers(of(&reports, "globex"), ["delivered"]), [20]);
    }
    world.set("GLOBEX__CLIENT_ID", "");
    for command in [&["poll"][..], &replay] {
        assert_eq!(world.command(command).await.code(), 2);
    }
}

#[tokio::test]
async fn settings_are_how_a_command_ends_only_where_no_tenant_could_be_asked() {
    let (mut world, _globex) = two().await;
    world.command(&["poll"]).await;
    let commands = [
        &["checkpoint", "show"][..],
        &["dead-letter", "list"],
        &["audit", "--from", "1h", "--to", "1s"],
    ];
    for (name, code) in [("ACME__DOMAIN", 1), ("GLOBEX__DOMAIN", 2)] {
        world.set(name, "");
        for command in commands {
            let ran = world.command(command).await;
            assert_eq!(ran.code(), code, "{command:?}: {ran:?}");
            assert!(ran.stderr.contains(name), "{ran:?}");
        }
    }
}

#[tokio::test]
async fn options_and_commands_are_called_the_same_for_each_tenant() {
    let (world, _globex) = two().await;
    for (command, told) in [
        (
            &["poll", "--destination=nowhere"][..],
            "attention:\n  --destination names an unknown destination; ",
        ),
        (
            &["status", "--destination=nowhere"],
            "attention: --destination names an unknown destination; ",
        ),
        (
            &["audit", "--from=2h", "--to=1h"],
            "attention: audit needs a managed identity",
        ),
    ] {
        let ran = world.command(command).await;
        let output = format!("{}{}", ran.stdout, ran.stderr);
        assert!(output.contains(told), "{command:?}: {ran:?}");
        // The error is not in that file, so the message does not point there.
        assert!(!output.contains("local.settings.json"), "{ran:?}");
    }
}
