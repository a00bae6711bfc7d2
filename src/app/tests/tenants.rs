//! Several tenants in one app.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_badly_set_stops_no_other_and_is_named_with_its_own_settings() {
    let state = tempfile::tempdir().unwrap();
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("TENANTS", "acme,globex,initech,hooli"),
        ("ACME__DOMAIN", "http://127.0.0.1:1"),
        ("GLOBEX__DOMAIN", "globex.auth0.com/path"),
        ("GLOBEX__DESTINATIONS", "log-analytics,logs-ingestion"),
        ("INITECH__DOMAIN", "initech.eu.auth0.com"),
        ("INITECH__START_FROM", "tomorrow"),
        ("HOOLI__DOMAIN", "http://127.0.0.1:2"),
        ("HOOLI__DESTINATIONS", "event-grid,log-analytics"),
    ])
    .unwrap();
    let reports = apps.run_once().await;
    let names: Vec<_> = reports.iter().map(Report::name).collect();
    assert_eq!(
        names,
        [
            "acme/log-analytics",
            "globex/log-analytics",
            "globex/logs-ingestion",
            "initech/log-analytics",
            "hooli/event-grid",
            "hooli/log-analytics",
        ]
    );
    let errors: Vec<_> = reports.iter().map(|it| it.errors.join(" ")).collect();
    for (index, told) in [
        (0, "127.0.0.1:1"),
        (1, "GLOBEX__DOMAIN "),
        (2, "GLOBEX__DOMAIN "),
        (3, "INITECH__START_FROM "),
        (4, "HOOLI__EVENT_GRID_ENDPOINT is missing"),
        (5, "127.0.0.1:2"),
    ] {
        assert!(errors[index].contains(told), "{told}: {}", errors[index]);
    }
    let unable: Vec<_> = apps.unable().into_iter().map(|(label, _)| label).collect();
    assert_eq!(unable, ["globex", "initech", "hooli/event-grid"]);
}

/// A loss is reported for a day, which may be over by the time a run can begin.
#[tokio::test(start_paused = true)]
async fn that_a_checkpoint_is_lost_is_told_although_no_run_can_begin() {
    let state = tempfile::tempdir().unwrap();
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("TENANTS", "acme,globex"),
        ("CLIENT_SECRET", ""),
        ("GLOBEX__CLIENT_SECRET", "secret"),
        ("GLOBEX__DOMAIN", "http://127.0.0.1:1"),
        ("GLOBEX__DESTINATIONS", "event-grid,log-analytics"),
    ])
    .unwrap();
    let gaps = |reports: Vec<Report>| -> Vec<_> {
        let gap = |it: Report| (it.name(), it.gap.map(|gap| gap.to.to_rfc3339()));
        reports.into_iter().map(gap).collect()
    };
    let names = [
        "acme/log-analytics",
        "globex/event-grid",
        "globex/log-analytics",
    ];
    let told = |to: Option<&str>| names.map(|it| (it.to_owned(), to.map(str::to_owned)));
    assert_eq!(gaps(apps.run_once().await), told(None));
    for tenant in std::fs::read_dir(state.path().join("checkpoints")).unwrap() {
        for file in std::fs::read_dir(tenant.unwrap().path()).unwrap() {
            std::fs::write(file.unwrap().path(), "{").unwrap();
        }
    }
    let start = Some("2026-11-21T07:00:00+00:00");
    assert_eq!(gaps(apps.run_once().await), told(start));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_storage_cannot_even_be_prepared_stops_no_other() {
    let state = tempfile::tempdir().unwrap();
    // The address in this signature is not valid text.
    let storage = "AccountName=acme;SharedAccessSignature=sv=2024-11-04&sip=%FF&sig=a2V5";
    let apps = apps(&[
        ("CHECKPOINT_DIR", state.path().to_str().unwrap()),
        ("TENANTS", "acme,globex"),
        ("ACME__DOMAIN", "acme.eu.auth0.com"),
        ("ACME__AzureWebJobsStorage", storage),
        ("GLOBEX__DOMAIN", "http://127.0.0.1:1"),
    ]);
    let reports = apps.unwrap().run_once().await;
    let errors: Vec<_> = reports.iter().map(|it| it.errors.join(" ")).collect();
    assert!(errors[0].contains("preparing https://acme."), "{errors:?}");
    assert!(errors[1].contains("127.0.0.1:1"), "{errors:?}");
}

#[test]
fn where_no_tenant_can_work_all_that_is_wrong_is_told_at_once() {
    let problem = |settings: &[(&str, &str)]| apps(settings).err().unwrap().to_string();
    let each = problem(&[
        ("DOMAIN", ""),
        ("TENANTS", "acme,globex,a-b"),
        ("ACME__WorkspaceKey", "?"),
    ]);
    for told in [
        "ACME__DOMAIN is missing",
        "ACME__WorkspaceKey ",
        "GLOBEX__DOMAIN is missing",
        "TENANTS names a tenant that cannot be called so",
    ] {
        assert!(each.contains(told), "{told}: {each}");
    }
}

#[test]
fn two_tenants_on_one_host_are_both_bad_and_a_third_works() {
    let apps = apps(&[
        ("TENANTS", "acme,globex,initech"),
        ("GLOBEX__DOMAIN", "https://ACME.eu.auth0.com/"),
        ("INITECH__DOMAIN", "initech.eu.auth0.com"),
    ])
    .unwrap();
    let able: Vec<_> = apps.able().map(|it| it.name.as_deref().unwrap()).collect();
    assert_eq!(able, ["initech"]);
    let unable = apps.unable();
    for (index, name) in ["acme", "globex"].into_iter().enumerate() {
        assert_eq!(unable[index].0, name);
        let told = "TENANTS names acme and globex, which have the same DOMAIN";
        assert!(unable[index].1.ends_with(told), "{unable:?}");
    }
}

#[test]
fn one_tenant_under_two_names_is_found_however_it_is_written() {
    let problems = |settings: &[(&str, &str)]| {
        let given = [("TENANTS", "acme,globex"), ("AUDIENCE", "")];
        match apps(&[&given[..], settings].concat()) {
            Ok(apps) => apps.unable(),
            Err(problem) => vec![(String::new(), problem.to_string())],
        }
    };
    for same in [
        "acme.eu.auth0.com.",
        "https://ACME.eu.auth0.com./",
        "acme.eu.auth0.com:443",
        "acme.eu.auth0.com.:443",
    ] {
        let found = problems(&[("GLOBEX__DOMAIN", same)]);
        let told = "TENANTS names acme and globex, which have the same DOMAIN";
        assert!(found[0].1.contains(told), "{same}: {found:?}");
    }
    let custom = ("GLOBEX__DOMAIN", "login.acme.com");
    for (own, audience) in [
        ("acme.eu.auth0.com", "https://acme.eu.auth0.com/api/v2/"),
        (
            "acme.eu.auth0.com.",
            "https://ACME.eu.auth0.com:443/api/v2/",
        ),
    ] {
        let found = problems(&[
            ("ACME__DOMAIN", own),
            custom,
            ("GLOBEX__AUDIENCE", audience),
        ]);
        let told = "TENANTS names acme and globex, which are one tenant by DOMAIN and AUDIENCE";
        assert!(found[0].1.contains(told), "{own}: {found:?}");
    }
    let another = [("ACME__DOMAIN", "auth.acme.com"), custom];
    let audience = |setting| (setting, "https://acme.eu.auth0.com/api/v2/");
    let [acme, globex] = ["ACME__AUDIENCE", "GLOBEX__AUDIENCE"].map(audience);
    let found = problems(&[&another[..], &[acme, globex]].concat());
    let told = "TENANTS names acme and globex, which are one tenant by DOMAIN and AUDIENCE";
    assert!(found[0].1.contains(told), "{found:?}");
    // A setting for all tenants may have been forgotten for one.
    let shared = [&another[..], &[audience("AUDIENCE")]].concat();
    assert_eq!(problems(&shared), []);
    for different in [
        ("GLOBEX__DOMAIN", "acme.eu.auth0.com:8443"),
        ("GLOBEX__DOMAIN", "acme.us.auth0.com"),
        custom,
    ] {
        assert_eq!(problems(&[different]), [], "{different:?}");
    }
    let other = ("GLOBEX__AUDIENCE", "https://globex.eu.auth0.com/api/v2/");
    assert_eq!(problems(&[custom, other]), []);
    let itself = ("GLOBEX__AUDIENCE", "https://login.acme.com/api/v2/");
    assert_eq!(problems(&[custom, itself]), []);
    // Here globex's audience is wrong. Auth0 reports that to globex, and acme continues.
    let wrong = ("GLOBEX__AUDIENCE", "https://acme.eu.auth0.com/api/v2/");
    assert_eq!(
        problems(&[("GLOBEX__DOMAIN", "globex.eu.auth0.com"), wrong]),
        []
    );
}

#[test]
fn tenants_share_what_is_made_of_the_same_settings() {
    let apps = apps(&[
        ("TENANTS", "a,b,c"),
        ("B__DOMAIN", "b.eu.auth0.com"),
        ("C__DOMAIN", "c.eu.auth0.com"),
        ("C__CHECKPOINT_DIR", "elsewhere"),
    ])
    .unwrap();
    let able: Vec<_> = apps.able().collect();
    assert!(Arc::ptr_eq(&able[0].storage, &able[1].storage));
    assert!(!Arc::ptr_eq(&able[0].storage, &able[2].storage));
}

#[test]
fn what_a_tenant_has_of_its_own_comes_before_whatever_else_counts_for_all() {
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    let bucket = [
        ("DESTINATIONS", "archive"),
        ("ARCHIVE_URL", "s3://logs"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let role = "arn:aws:iam::123456789012:role/auth0-logs";
    let of_b = |settings: &[(&str, &str)]| {
        let tenants = [("TENANTS", "a,b"), ("B__DOMAIN", "b.eu.auth0.com")];
        apps(&[&tenants[..], settings].concat()).unwrap()
    };
    let places = |settings: &[(&str, &str)]| {
        let apps = of_b(settings);
        let places = apps.able().map(|it| it.storage.location("x"));
        places.collect::<Vec<_>>()
    };
    let in_account = "https://acme.blob.core.windows.net/auth0-poller/x";
    for plain in [
        ("AzureWebJobsStorage", account),
        ("AzureWebJobsStorage__accountName", "acme"),
        (
            "AzureWebJobsStorage__blobServiceUri",
            "https://acme.blob.core.windows.net",
        ),
    ] {
        for (own, value, place) in [
            ("B__CHECKPOINT_DIR", "/data", "/data/x"),
            (
                "B__AzureWebJobsStorage__accountName",
                "other",
                "https://other.blob.core.windows.net/auth0-poller/x",
            ),
        ] {
            let set = [&RULE[2..], &[plain, (own, value)]].concat();
            assert_eq!(places(&set), [in_account, place], "{plain:?} {own}");
        }
    }
    // The role needs an identity, which is missing here. So the setting was read.
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let apps = of_b(&[&bucket[..], &keys, &[("B__AWS_ROLE_ARN", role)]].concat());
    let unable = apps.unable();
    let [(name, problem)] = &unable[..] else {
        panic!("{unable:?}");
    };
    assert_eq!(name, "b");
    assert!(
        problem.contains("B__AWS_ROLE_ARN needs a managed identity"),
        "{problem}"
    );
    let plain = [("AWS_ROLE_ARN", role)];
    let own = keys.map(|(name, value)| (format!("B__{name}"), value));
    let own: Vec<_> = own.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let apps = of_b(&[&bucket[..], &plain, &own].concat());
    let unable: Vec<_> = apps.unable().into_iter().map(|(name, _)| name).collect();
    assert_eq!(unable, ["a"]);
}

#[test]
fn tenants_share_a_storage_where_the_same_setting_names_it() {
    let service = "https://template.blob.core.windows.net";
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    let set = [
        ("B__DOMAIN", "b.eu.auth0.com"),
        ("AzureWebJobsStorage", account),
        ("AzureWebJobsStorage__blobServiceUri", service),
        // The same as the shared one, over which the connection string takes precedence.
        ("B__AzureWebJobsStorage__blobServiceUri", service),
    ];
    for list in ["a,b", "b,a"] {
        let apps = apps(&[&set[..], &RULE[2..], &[("TENANTS", list)]].concat()).unwrap();
        for app in apps.able() {
            let place = app.storage.location("x");
            let is_own = app.name.as_deref() == Some("b");
            assert_eq!(place.starts_with(service), is_own, "{list}: {place}");
        }
    }
}

#[test]
fn tenants_share_a_client_where_the_same_setting_names_the_proxy() {
    let settings = REFERENCE.into_iter().chain([
        ("TENANTS", "a,b"),
        ("HTTPS_PROXY", "http://a:1"),
        ("https_proxy", "http://b:1"),
        ("B__https_proxy", "http://b:1"),
    ]);
    let purpose = Purpose::CommandLine { destination: None };
    let all = layers(settings.collect(), purpose);
    let clients = all.by_tenant().into_iter().map(|it| {
        let layers = all.of_tenant(it.name, it.settings.ok().unwrap());
        let tools = layers.tools(&mut Problems::default()).unwrap();
        format!("{:?}", tools.http)
    });
    let clients: Vec<_> = clients.collect();
    assert_ne!(clients[0], clients[1]);
}

#[test]
fn every_setting_that_a_tenant_lacks_is_told_as_its_own() {
    let settings = REFERENCE.into_iter().chain([("TENANTS", "a")]).collect();
    let purpose = Purpose::CommandLine { destination: None };
    let tenants = layers(settings, purpose).by_tenant();
    let settings = tenants[0].settings.as_ref().ok().unwrap();
    for name in setting_names() {
        if settings.get(name).is_none() {
            assert_eq!(settings.told(name), format!("A__{name}"));
        }
    }
}

#[test]
fn one_tenant_can_be_chosen_by_its_name() {
    let settings = [
        ("TENANTS", "acme,globex"),
        ("GLOBEX__DOMAIN", "b.auth0.com"),
    ];
    let tenants = |settings: &[(&str, &str)]| {
        let settings = REFERENCE.iter().chain(settings).copied().collect();
        let purpose = Purpose::CommandLine { destination: None };
        Tenants::read(&layers(settings, purpose))
    };
    let chosen = tenants(&settings).only(" Globex ").unwrap();
    let apps = Apps::new(&chosen, &watch::channel(false).1).unwrap();
    let names: Vec<_> = apps.able().map(|it| it.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["globex"]);
    let none = |settings| tenants(settings).only("initech").err().unwrap().to_string();
    assert_eq!(
        none(&settings[..]),
        "there is no tenant initech: TENANTS names acme, globex"
    );
    assert_eq!(none(&[]), "there is no tenant initech: TENANTS names none");
    // The name may be part of an unreadable list.
    assert_eq!(
        none(&[("TENANTS", "'initech'")]),
        "there is no tenant initech: TENANTS is in quotes; leave them out"
    );
    let of_two = none(&[("TENANTS", "acme,ini-tech")]);
    let told =
        "there is no tenant initech: TENANTS names acme; TENANTS names a tenant that cannot be ";
    assert!(of_two.starts_with(told), "{of_two}");
}
