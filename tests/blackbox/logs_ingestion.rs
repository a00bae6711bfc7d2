//! What is special about the Logs Ingestion API: its posts, limits and tokens, and what `check`
//! says.

use chrono::SubsecRound as _;
use serde_json::json;
use simulator::ingestion::too_many_requests;
use simulator::{EntraId, Fault, ManagedIdentity, entra, identity};

use crate::table::additional_fields;
use crate::world::{FUNCTION, Sink, World, minutes_ago, now, numbers};

const USER_ASSIGNED: &str = "11111111-2222-4333-8444-555555555555";

async fn world() -> World {
    World::start_for(Sink::LogsIngestion).await
}

async fn world_with(records: usize) -> World {
    let world = world().await;
    world
        .tenant
        .generate(records, minutes_ago(50), minutes_ago(5));
    world
}

/// Asserts that a run fails with one error, which contains this, and that it sets nothing aside.
async fn assert_fails(world: &World, telling: &str) {
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let report = ran.report();
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors[0].as_str().unwrap();
    assert!(error.contains(telling), "{telling} is not in {error}");
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [0, 0]);
}

#[tokio::test]
async fn posts_are_compressed_and_take_a_megabyte_of_json_at_most() {
    let world = world_with(10_000).await;
    let report = world.poll().await;
    world.assert_all_landed_once();
    let (posts, sent) = (world.rule.posts(), world.rule.sent());
    assert_eq!(numbers(&report, ["batches"]), [posts.len() as u64]);
    assert_eq!(report["bytes"], posts.iter().sum::<usize>());
    let (last, full) = posts.split_last().unwrap();
    assert!(
        full.iter().all(|it| (990_000..=1_000_000).contains(it)) && *last <= 1_000_000,
        "{posts:?}"
    );
    for (json, sent) in posts.iter().zip(sent) {
        assert!(sent * 5 < *json, "{sent} bytes for {json}");
    }
}

#[tokio::test]
async fn a_post_takes_a_thousand_rows_at_most() {
    let world = world().await;
    for n in 0..2_500 {
        let stored = minutes_ago(10) + chrono::Duration::milliseconds(n);
        world
            .tenant
            .add(json!({"date": stored, "type": "s"}), stored);
    }
    assert_eq!(numbers(&world.poll().await, ["batches"]), [3]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_row_that_just_fits_into_a_post_lands_and_one_byte_more_is_set_aside() {
    let world = world().await;
    let date = minutes_ago(10).trunc_subsecs(0) + chrono::Duration::milliseconds(123);
    let add = |padding: usize| {
        let record = json!({"date": date, "type": "s", "padding": "x".repeat(padding)});
        world.tenant.add(record, date)
    };
    // The reason given for the first record tells how long a row is without its padding.
    let too_much = 1_010_000;
    add(too_much);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let (_, reason) = ran.stderr.split_once("its row takes ").unwrap();
    let (bytes, reason) = reason.split_once(" bytes, and a delivery ").unwrap();
    assert!(reason.starts_with("999998"), "{reason}");
    let fits = too_much + 999_998 - bytes.parse::<usize>().unwrap();

    let id = add(fits);
    add(fits + 1);
    let report = world.poll().await;
    // A record that is set aside is also delivered, shortened.
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [2, 1]);
    assert!(world.rule.posts().contains(&1_000_000));
    let rows = world.table().rows;
    let (whole, shortened): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|row| !row.contains_key("Shortened_s"));
    assert_eq!((whole.len(), shortened.len()), (1, 2));
    assert_eq!(whole[0]["log_id_s"], id);
    assert!(additional_fields(whole[0])["padding"] == "x".repeat(fits));
}

#[tokio::test]
async fn a_post_that_is_too_large_all_the_same_is_divided() {
    let world = world_with(1_200).await;
    let too_large = Fault::Answer {
        status: 413,
        headers: vec![("x-ms-error-code", "ContentLengthLimitExceeded".into())],
        body: r#"{"error":{"code":"ContentLengthLimitExceeded","message":"Too large."}}"#.into(),
    };
    // First the batch is too large. Ten rows are tried alone, and then its first half is too large.
    let alone = vec![Fault::None; 10];
    world.rule.fail([too_large.clone()]);
    world.rule.fail(alone);
    world.rule.fail([too_large]);
    let report = world.poll().await;
    assert_eq!(numbers(&report, ["delivered", "dead_lettered"]), [1_200, 0]);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn the_wait_that_the_service_asks_for_is_kept_or_left_to_the_next_run() {
    let mut world = world_with(10).await;
    world.rule.fail([too_many_requests(1)]);
    let report = world.poll().await;
    assert!(numbers(&report, ["elapsed_ms"]) >= [1_000]);
    assert_eq!(world.rule.requests(), 2);
    world.assert_all_landed_once();

    world.tenant.generate(10, minutes_ago(4), minutes_ago(3));
    world.set("RUN_BUDGET", "2s");
    world.rule.fail([too_many_requests(600)]);
    assert_fails(&world, "TooManyRequests: Too many requests.").await;
    assert_eq!(world.rule.requests(), 3);
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn the_row_has_the_record_s_date_also_where_the_table_is_ordered_by_another() {
    let mut world = world().await;
    world.set("START_FROM", "7d");
    let form = "%Y-%m-%dT%H:%M:09.123Z";
    let days_ago = minutes_ago(3 * 24 * 60);
    let recently = minutes_ago(10);
    for date in [days_ago, recently] {
        let record = json!({"date": date.format(form).to_string(), "type": "s"});
        world.tenant.add(record, date);
    }
    let dateless = world.tenant.add(json!({"type": "s"}), minutes_ago(5));
    let began = now();
    world.poll().await;
    let rows = world.table().rows;
    assert_eq!(rows[0]["date_t"], days_ago.format(form).to_string());
    for row in [&rows[0], &rows[2]] {
        let time = row["TimeGenerated"].as_str().unwrap();
        assert!(time.parse::<chrono::DateTime<chrono::Utc>>().unwrap() >= began);
    }
    assert_eq!(rows[1]["date_t"], recently.format(form).to_string());
    assert_eq!(rows[1]["TimeGenerated"], rows[1]["date_t"]);
    assert_eq!(rows[2]["log_id_s"], dateless);
    // `_id` has no column in this table.
    let columns: Vec<_> = rows[1].keys().map(String::as_str).collect();
    assert_eq!(
        columns,
        [
            "AdditionalFields_s",
            "TimeGenerated",
            "date_t",
            "log_id_s",
            "type_s"
        ]
    );
    assert_eq!(
        additional_fields(&rows[1]),
        json!({"_id": rows[1]["log_id_s"]})
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_token() {
    let world = world_with(10).await;
    let elsewhere = World::start_for(Sink::LogsIngestion).await;
    let to = elsewhere.rule.settings()[0].1.clone();
    world.rule.fail([Fault::Answer {
        status: 307,
        headers: vec![("location", to)],
        body: "".into(),
    }]);
    assert_fails(&world, "answered 307 Temporary Redirect").await;
    assert_eq!(elsewhere.rule.requests(), 0);
}

#[tokio::test]
async fn all_runs_of_a_process_share_one_token_until_its_end_is_near() {
    let mut world = world().await;
    let host = world.host().await;
    for _ in 0..5 {
        world.tenant.generate(10, minutes_ago(1), now());
        host.fire(FUNCTION).await.report();
    }
    assert_eq!(world.identity.requests(), 1);
    assert_eq!(world.rule.requests(), 5);
    host.stop().await;

    let short_lived = ManagedIdentity::with(identity::Options {
        issuer: world.issuer.clone(),
        token_life: 3,
        ..identity::Options::default()
    })
    .await;
    world.set_all(short_lived.environment());
    let host = world.host().await;
    while short_lived.requests() < 3 {
        world.tenant.generate(1, now(), now());
        host.fire(FUNCTION).await.report();
    }
    assert_eq!(
        world.rule.requests(),
        world.rule.posts().len() as u64,
        "none was refused"
    );
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let world = world_with(10).await;
    let host = world.host().await;
    host.fire(FUNCTION).await.report();
    world.issuer.revoke_tokens();
    world.tenant.generate(10, minutes_ago(4), minutes_ago(3));
    let report = host.fire(FUNCTION).await.report();
    assert_eq!(numbers(&report, ["delivered"]), [10]);
    assert_eq!((world.identity.requests(), world.rule.requests()), (2, 3));

    world.tenant.generate(10, minutes_ago(2), minutes_ago(1));
    let code = r#"{"error":{"code":"InvalidToken","message":"No."}}"#;
    let refused = Fault::answer(401, code);
    world.rule.fail([refused.clone(), refused]);
    host.fire(FUNCTION).await.failure();
    assert_eq!((world.identity.requests(), world.rule.requests()), (3, 5));
    host.fire(FUNCTION).await.report();
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_token_of_another_issuer_or_for_another_service_is_named_as_such() {
    let mut world = world_with(10).await;
    let stranger = ManagedIdentity::start("https://monitor.azure.com").await;
    world.set_all(stranger.environment());
    assert_fails(
        &world,
        "refused a new token for https://monitor.azure.com: InvalidToken: The token is not valid.; \
         check that DCR_ENDPOINT is in the same cloud as the identity, and that both belong to the \
         same tenant of Entra ID",
    )
    .await;

    let wrong = r#"{"error":{"code":"InvalidAudience","message":"The audience is wrong."}}"#;
    world.set_all(world.identity.environment());
    world
        .rule
        .fail([Fault::answer(401, wrong), Fault::answer(401, wrong)]);
    assert_fails(&world, "InvalidAudience: The audience is wrong.").await;
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_identity_that_is_not_ready_is_waited_for_within_the_run() {
    let mut world = world_with(10).await;
    world
        .identity
        .fail([identity::not_ready(), Fault::Drop, identity::failed()]);
    world.poll().await;
    assert_eq!(world.identity.requests(), 4);
    world.assert_all_landed_once();

    world.tenant.generate(10, minutes_ago(4), minutes_ago(3));
    world.set("RUN_BUDGET", "2s");
    world.identity.fail(vec![identity::not_ready(); 6]);
    assert_fails(
        &world,
        "the platform refuses the app's identity a token for https://monitor.azure.com (503 Service \
         Unavailable: an empty body); an identity that was turned on just now is ready some \
         minutes later",
    )
    .await;
}

#[tokio::test]
async fn an_app_without_an_identity_is_told_to_turn_it_on() {
    let mut world = world_with(10).await;
    world.identity.fail([identity::not_found()]);
    assert_fails(
        &world,
        "turn the Function App's system-assigned identity on, or correct the client id",
    )
    .await;
    assert_eq!((world.identity.requests(), world.rule.requests()), (1, 0));

    world.set("IDENTITY_ENDPOINT", "");
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 2);
    assert!(
        ran.stderr
            .contains("DCR_ENDPOINT needs a managed identity, and there is none here"),
        "{ran:?}"
    );
}

/// What Entra ID says of a service that its tenant does not know, in the forms of App Service and of
/// Entra ID itself. The app has an identity.
#[tokio::test]
async fn an_identity_whose_tenant_does_not_know_the_service_is_not_told_to_turn_itself_on() {
    let said = "AADSTS500011: The resource principal named https://monitor.azure.com was not found in \
                the tenant named Contoso. This can happen if the application has not been installed.";
    let telling = "the tenant of the app's identity knows no service https://monitor.azure.com";
    let world = world_with(10).await;
    for (status, body) in [
        (400, json!({"statusCode": 400, "message": said})),
        (
            400,
            json!({"exceptionMessage": said, "errorCode": "invalid_resource"}),
        ),
        (
            400,
            json!({"error": "invalid_resource", "error_description": said}),
        ),
        (500, json!({"statusCode": 500, "message": said})),
    ] {
        let refused = Fault::answer(status, &body.to_string());
        world.identity.fail([refused.clone()]);
        assert_fails(&world, telling).await;
        world.identity.fail([refused]);
        let cloud = "check that it is in the same cloud as the app";
        assert_check_fails(&world, &[telling, "AADSTS500011: ", cloud]).await;
    }
    assert_eq!((world.identity.requests(), world.rule.requests()), (8, 0));
    world.poll().await;
    world.assert_all_landed_once();
}

/// Entra ID answers only to an identity that is there.
#[tokio::test]
async fn an_identity_that_entra_id_refuses_is_not_told_to_turn_itself_on() {
    let world = world_with(10).await;
    for said in [
        "AADSTS501051: Application 'x'(auth0) is not assigned to a role for the application 'y'(z).",
        "AADSTS500014: The service principal for resource 'y' is disabled.",
        "AADSTS50001: The application named https://monitor.azure.com was not found in the tenant.",
    ] {
        let body = json!({"statusCode": 400, "message": said}).to_string();
        world.identity.fail([Fault::answer(400, &body)]);
        let ran = world.command(&["check"]).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        assert!(ran.stdout.contains(said), "{ran:?}");
        assert!(!ran.stdout.contains("system-assigned"), "{ran:?}");
    }
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn an_identity_assigned_by_the_user_is_asked_for_by_its_client_id() {
    let mut world = world_with(10).await;
    let users = ManagedIdentity::with(identity::Options {
        issuer: world.issuer.clone(),
        client_id: Some(USER_ASSIGNED),
        ..identity::Options::default()
    })
    .await;
    world.set_all(users.environment());
    assert_fails(
        &world,
        "No User Assigned or Delegated Managed Identity found",
    )
    .await;
    world.set("AZURE_CLIENT_ID", USER_ASSIGNED);
    world.poll().await;
    world.assert_all_landed_once();
}

/// A world outside Azure, with an application instead of the identity.
async fn outside_azure() -> (World, EntraId) {
    let mut world = world_with(10).await;
    let entra = EntraId::with(entra::Options {
        issuer: world.issuer.clone(),
        ..entra::Options::default()
    })
    .await;
    world.set_all(entra.settings());
    world.set("IDENTITY_ENDPOINT", "");
    world.set("IDENTITY_HEADER", "");
    (world, entra)
}

#[tokio::test]
async fn outside_azure_an_application_and_its_secret_are_enough() {
    let (world, entra) = outside_azure().await;
    entra.fail([Fault::answer(503, ""), Fault::Drop]);
    world.poll().await;
    world.assert_all_landed_once();
    assert_eq!(entra.requests(), 3);

    let host = world.host().await;
    for _ in 0..3 {
        world.tenant.generate(10, minutes_ago(1), now());
        host.fire(FUNCTION).await.report();
    }
    assert_eq!(entra.requests(), 4);
    world.issuer.revoke_tokens();
    world.tenant.generate(10, now(), now());
    host.fire(FUNCTION).await.report();
    assert_eq!(entra.requests(), 5);
    world.assert_all_landed_once();
}

#[tokio::test]
async fn what_entra_id_refuses_is_named_with_its_setting() {
    for (setting, value, code, telling) in [
        (
            "AZURE_CLIENT_SECRET",
            "not-the-secret",
            "(401 Unauthorized: AADSTS7000215: Invalid client secret provided.)",
            "; check AZURE_CLIENT_SECRET: it is the secret's value, not its id",
        ),
        (
            "AZURE_CLIENT_ID",
            "22222222-2222-4333-8444-555555555555",
            "AADSTS700016: Application '22222222-2222-4333-8444-555555555555' was not found",
            "; check AZURE_CLIENT_ID, and that AZURE_TENANT_ID is its tenant",
        ),
        (
            "AZURE_TENANT_ID",
            "elsewhere.example.com",
            "AADSTS90002: Tenant 'elsewhere.example.com' not found.",
            "; check AZURE_TENANT_ID",
        ),
    ] {
        let (mut world, entra) = outside_azure().await;
        world.keep_secret(vec!["not-the-secret".into()]);
        world.set(setting, value);
        assert_fails(&world, code).await;
        assert_fails(&world, telling).await;
        assert_eq!((entra.requests(), world.rule.requests()), (2, 0));
    }
}

#[tokio::test]
async fn an_application_of_another_cloud_is_told_so() {
    let (world, entra) = outside_azure().await;
    let tenant = "; check that AZURE_TENANT_ID is a tenant of the service's cloud, and ";
    let authority = "that AZURE_AUTHORITY_HOST is blank or of that cloud";
    for (code, text, advice) in [
        (
            500_011,
            "The resource principal named https://monitor.azure.us was not found in the tenant named \
             Contoso.",
            "the setting that names the service",
        ),
        (
            900_382,
            "Confidential Client is not supported in Cross Cloud request.",
            authority,
        ),
        (
            900_432,
            "Confidential Client isn't supported in Cross Cloud request.",
            authority,
        ),
        (
            90_038,
            "The specified tenant belongs to the National Cloud 'x'.",
            authority,
        ),
    ] {
        let said = format!("AADSTS{code}: {text} Trace ID: 0e3e");
        let body =
            json!({"error": "invalid_request", "error_description": said, "error_codes": [code]});
        entra.fail([Fault::answer(400, &body.to_string())]);
        let advice = [tenant, advice].concat();
        assert_check_fails(&world, &[&format!("AADSTS{code}: {text})"), &advice]).await;
    }
    assert_eq!((entra.requests(), world.rule.requests()), (4, 0));
}

#[tokio::test]
async fn whoever_answers_with_what_it_was_sent_gives_nothing_away() {
    let mut world = world_with(10).await;
    let token = "a-token-that-is-nobodys-business";
    world.keep_secret(vec![token.into()]);
    for body in [
        format!("Authorization: Bearer {token}"),
        json!({"error": {"code": "Odd", "message": format!("Bearer {token}")}}).to_string(),
    ] {
        let granted = json!({"access_token": token, "expires_on": "4102444800"});
        world
            .identity
            .fail([Fault::answer(200, &granted.to_string())]);
        world.rule.fail([Fault::answer(405, &body)]);
        assert_fails(&world, "(withheld: it repeats a credential)").await;
    }
    let header = world.identity.environment()[1].1.clone();
    for status in [400, 403] {
        let echo = Fault::answer(status, &format!("X-IDENTITY-HEADER: {header}"));
        world.identity.fail([echo]);
        assert_fails(&world, "(withheld: it repeats a credential)").await;
    }

    let (world, entra) = outside_azure().await;
    let secret = entra.settings()[2].1.clone();
    let sent = format!("client_secret={secret}");
    let described = json!({"error": "invalid_client", "error_description": sent}).to_string();
    for body in [sent, described] {
        entra.fail([Fault::answer(400, &body)]);
        assert_fails(&world, "(withheld: it repeats a credential)").await;
    }
}

#[tokio::test]
async fn whatever_comes_in_the_place_of_a_token_is_not_quoted_and_the_next_run_gets_one() {
    let world = world_with(10).await;
    for body in [
        "<html>",
        "",
        r#"{"access_token":"simulated-hush"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":null,"error":"simulated-hush"}"#,
        "[]",
    ] {
        world.identity.fail([Fault::answer(200, body)]);
        let ran = world.command(&["poll"]).await;
        assert_eq!(ran.code(), 1);
        let telling = format!(
            "answered the request for a token with something else: {} bytes",
            body.len()
        );
        assert!(ran.stdout.contains(&telling), "{ran:?}");
        assert!(!ran.stdout.contains("hush"), "{ran:?}");
    }
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn a_missing_role_sets_nothing_aside_and_the_run_behind_it_makes_up_for_it() {
    let world = world_with(10).await;
    world.rule.take_role();
    assert_fails(
        &world,
        "give it the role Monitoring Metrics Publisher on the data collection rule itself",
    )
    .await;
    assert_eq!(world.rule.requests(), 1);
    world.rule.give_role();
    world.poll().await;
    world.assert_all_landed_once();
}

#[tokio::test]
async fn of_a_long_explanation_the_beginning_is_told_and_no_command_for_a_terminal() {
    let world = world_with(10).await;
    let message = format!("\u{1b}[31mAccessGranted: False, /{}", "x".repeat(1_000));
    let body = json!({"error": {"code": "OperationFailed", "message": message}}).to_string();
    for telling in [
        ": OperationFailed: \u{fffd}[31mAccessGranted: False, /xxx",
        "xxx…; give it the role Monitoring Metrics Publisher",
    ] {
        world.rule.fail([Fault::answer(403, &body)]);
        assert_fails(&world, telling).await;
    }
}

/// A proxy may answer like this in place of the service.
#[tokio::test]
async fn a_success_that_is_not_the_services_own_is_none() {
    let world = world_with(10).await;
    world
        .rule
        .fail([Fault::answer(200, "<html>Blocked by policy</html>")]);
    let error = "answered 200 OK: <html>Blocked by policy</html>";
    assert_fails(&world, error).await;
    world.poll().await;
    world.assert_all_landed_once();
}

/// The rule would take them with success, and drop every column.
#[tokio::test]
async fn no_record_goes_to_the_stream_of_heartbeats() {
    for stream in ["Custom-Auth0AMHealth_CL", "Custom-auth0amhealth_cl"] {
        let mut world = world_with(10).await;
        world.set("DCR_STREAM", stream);
        for command in ["check", "poll"] {
            let ran = world.command(&[command]).await;
            assert_eq!(ran.code(), 2, "{ran:?}");
            let told = [&*ran.stdout, &*ran.stderr].concat();
            assert!(
                told.contains("DCR_STREAM is the stream for heartbeats"),
                "{ran:?}"
            );
        }
        assert_eq!(world.rule.requests(), 0);
    }
}

#[tokio::test]
async fn check_finds_the_rule_in_order_and_stores_nothing() {
    let world = world_with(10).await;
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    let line = "ok         logs-ingestion: the rule accepted an empty post\n";
    assert!(ran.stdout.contains(line), "{ran:?}");

    let wants_more = r#"{"error":{"code":"InvalidPayload","message":"The list is empty."}}"#;
    world.rule.fail([Fault::answer(400, wants_more)]);
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("not tried  logs-ingestion: the rule does not take an empty post"),
        "{ran:?}"
    );
    assert_eq!(world.rule.stored(), 0);
}

#[tokio::test]
async fn check_says_of_the_rule_what_is_wrong_and_how_to_mend_it() {
    let another = "dcr-ffffffffffffffffffffffffffffffff";
    for (setting, value, expected) in [
        (
            "DCR_IMMUTABLE_ID",
            another,
            &[
                "knows no rule dcr-ffffffffffffffffffffffffffffffff: NotFound: ",
                "check DCR_IMMUTABLE_ID, which begins with dcr-",
            ],
        ),
        (
            "DCR_STREAM",
            "Custom-Another_CL",
            &[
                "has no stream Custom-Another_CL: InvalidStream: ",
                "check DCR_STREAM against the rule's stream declarations",
            ],
        ),
        (
            "DCR_ENDPOINT",
            "http://127.0.0.1:9",
            &["posting to 127.0.0.1:9", "cannot connect"],
        ),
        (
            "AZURE_CLIENT_ID",
            USER_ASSIGNED,
            &[
                "the platform has no identity for this app",
                "correct the client id of the user-assigned one",
            ],
        ),
    ] {
        let mut world = world().await;
        world.set(setting, value);
        assert_check_fails(&world, expected).await;
    }
    let mut world = world().await;
    // The service names the error in a header too.
    world.rule.fail([Fault::Answer {
        status: 400,
        headers: vec![("x-ms-error-code", "InvalidStream".into())],
        body: "".into(),
    }]);
    assert_check_fails(&world, &["has no stream Custom-Auth0AM_CL: an empty body"]).await;
    world.rule.take_role();
    let role = "give it the role Monitoring Metrics Publisher on the data collection rule itself";
    assert_check_fails(&world, &["OperationFailed: ", role]).await;
    world.rule.give_role();
    let stranger = ManagedIdentity::start("https://monitor.azure.com").await;
    world.set_all(stranger.environment());
    let cloud = "check that DCR_ENDPOINT is in the same cloud as the identity";
    assert_check_fails(&world, &["InvalidToken: ", cloud]).await;
}

async fn assert_check_fails(world: &World, expected: &[&str]) {
    let ran = world.command(&["check"]).await;
    assert_eq!(ran.code(), 1, "{ran:?}");
    let mut lines = ran.stdout.lines();
    let line = lines.find(|it| it.starts_with("FAILED     logs-ingestion: "));
    let line = line.unwrap_or_else(|| panic!("{ran:?}"));
    for text in expected {
        assert!(line.contains(text), "{text} is not in {line}");
    }
}
