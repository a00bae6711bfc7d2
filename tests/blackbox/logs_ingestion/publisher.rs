//! The identity that publishes to a rule: its token, and what its refusals say.

use super::*;

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
    let refused = "Entra ID refuses the app's identity a token for https://monitor.azure.com";
    let unknown = "the tenant of the app's identity knows no service https://monitor.azure.com";
    for (said, told) in [
        (
            "AADSTS501051: Application 'x'(auth0) is not assigned to a role for the application 'y'(z).",
            refused,
        ),
        (
            "AADSTS500014: The service principal for resource 'y' is disabled.",
            refused,
        ),
        (
            "AADSTS50001: The application named https://monitor.azure.com was not found in the tenant.",
            unknown,
        ),
    ] {
        let body = json!({"statusCode": 400, "message": said}).to_string();
        world.identity.fail([Fault::answer(400, &body)]);
        let ran = world.command(&["check"]).await;
        assert_eq!(ran.code(), 1, "{ran:?}");
        for part in [said, told] {
            assert!(ran.stdout.contains(part), "{ran:?}");
        }
        for advice in ["system-assigned", "some minutes later"] {
            assert!(!ran.stdout.contains(advice), "{ran:?}");
        }
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
