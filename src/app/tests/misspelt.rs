//! Settings that are set but not read.

use super::*;

#[test]
fn a_storage_that_is_named_by_a_setting_that_nobody_reads_is_refused() {
    for (given, setting) in [
        (
            "AzureWebJobsStorage__AccountName",
            "AzureWebJobsStorage__accountName",
        ),
        (
            "AzureWebJobsStorage__serviceUri",
            "AzureWebJobsStorage__blobServiceUri",
        ),
        ("azureWebJobsStorage", "AzureWebJobsStorage"),
        ("CheckpointDir", "CHECKPOINT_DIR"),
    ] {
        let told = format!(
            "a setting needs attention: {setting} is not set, but {given} is, which is not read \
             (names are case-sensitive)"
        );
        assert_eq!(problem(&[(given, "x")]), told);
    }
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    assert!(app(&[("CheckpointDir", "x"), ("AzureWebJobsStorage", account)]).is_ok());
    // Another place is chosen, so this one is only a leftover.
    assert!(app(&[("CheckpointDir", "x"), ("CHECKPOINT_DIR", "y")]).is_ok());
    assert!(app(&[("DESTINATION", "x")]).is_ok());
}

#[test]
fn a_storage_that_is_misspelt_for_one_tenant_is_refused_to_that_one_alone() {
    let problems = |settings: &[(&str, &str)]| {
        let of_b = [("TENANTS", "a,b"), ("B__DOMAIN", "b.eu.auth0.com")];
        let apps = apps(&[&of_b[..], settings].concat()).unwrap();
        let problems = apps.unable().into_iter();
        problems
            .map(|(name, problem)| format!("{name}: {problem}"))
            .collect::<Vec<_>>()
    };
    let told = "b: a setting needs attention: B__CHECKPOINT_DIR is not set, but B_CHECKPOINT_DIR is, \
                which is not read (names are case-sensitive)";
    assert_eq!(problems(&[("B_CHECKPOINT_DIR", "x")]), [told]);
    let own = ("B_CHECKPOINT_DIR", "x");
    // The tenant's own place would take precedence over any for all tenants.
    assert_eq!(problems(&[own, ("CHECKPOINT_DIR", "y")]), [told]);
    let account =
        "BlobEndpoint=https://acme.blob.core.windows.net;AccountName=acme;AccountKey=a2V5";
    assert_eq!(problems(&[own, ("AzureWebJobsStorage", account)]), [told]);
    let none = [""; 0];
    assert_eq!(problems(&[own, ("B__CHECKPOINT_DIR", "y")]), none);
    assert_eq!(problems(&[own, ("B__AzureWebJobsStorage", account)]), none);
    // The data that the policy withholds would be sent.
    let told = "b: a setting needs attention: B__PII is not set, but B_PII is, which is not read \
                (names are case-sensitive)";
    assert_eq!(problems(&[("B_PII", "email:mask")]), [told]);
    // The tenant's own policy would take effect, whatever is set for all.
    assert_eq!(
        problems(&[("B_PII", "ip:mask"), ("PII", "email:mask")]),
        [told]
    );
    let told = "b: a setting needs attention: B__PII_SENTINEL is not read; ";
    let problem = problems(&[("B__PII_SENTINEL", "email:mask")]);
    assert!(
        problem.len() == 1 && problem[0].starts_with(told),
        "{problem:?}"
    );
}

#[test]
fn a_storage_of_a_tenant_whose_name_is_mistyped_is_refused_to_the_one_that_is_meant() {
    let unable = |settings: &[(&str, &str)]| {
        let list = [
            ("TENANTS", "acme,globex"),
            ("GLOBEX__DOMAIN", "globex.eu.auth0.com"),
        ];
        apps(&[&list[..], settings].concat()).unwrap().unable()
    };
    for given in [
        "GLOBX__CHECKPOINT_DIR",
        "globx__AzureWebJobsStorage",
        "GLOBX__AzureWebJobsStorage__accountName",
    ] {
        let setting = [(given, "x")];
        let found = unable(&setting);
        let told = format!(
            "a setting needs attention: {given} is not read: TENANTS does not name {}",
            &given[..5]
        );
        assert_eq!(found, [("globex".to_owned(), told)]);
        // With a `DOMAIN`, it is a tenant that was left out of the list, and not a mistyped name.
        let whole = [setting[0], ("Globx__DOMAIN", "x.eu.auth0.com")];
        assert_eq!(unable(&whole), [], "{given}");
        let plain = [setting[0], ("CHECKPOINT_DIR", "y")];
        assert_eq!(unable(&plain).len(), 1, "{given}");
    }
    let own = ("GLOBEX__CHECKPOINT_DIR", "y");
    assert_eq!(unable(&[("GLOBX__CHECKPOINT_DIR", "x"), own]), []);
    assert_eq!(unable(&[("INITECH__CHECKPOINT_DIR", "x")]), []);
}

/// The tenants that cannot run, and why.
fn refused(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    match apps(settings) {
        Ok(apps) => apps.unable(),
        Err(problem) => vec![(String::new(), problem.to_string())],
    }
}

#[test]
fn a_policy_that_is_set_where_nobody_reads_it_is_refused() {
    let list = [
        ("TENANTS", "a,globex"),
        ("GLOBEX__DOMAIN", "b.eu.auth0.com"),
    ];
    let told = "a setting needs attention: GLOBX__PII is not read: TENANTS does not name GLOBX";
    for setting in ["GLOBX__PII", "GLOBX__PII_ARCHIVE", "globx__PII_KEY"] {
        let given = [&list[..], &[(setting, "email:mask")]].concat();
        assert_eq!(refused(&given).len(), 1, "{setting}");
        // With a `DOMAIN`, the prefix is a complete tenant that was left out of the list.
        let whole = [&given[..], &[("Globx__DOMAIN", "c.eu.auth0.com")]].concat();
        assert_eq!(refused(&whole), [], "{setting}");
        // A tenant with a correct setting of its own has not mistyped this one.
        let own = setting.to_ascii_uppercase().replace("GLOBX", "GLOBEX");
        let value = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let value = if own.ends_with("KEY") {
            value
        } else {
            "email:mask"
        };
        let both = [&given[..], &[(&own, value)]].concat();
        assert!(
            !refused(&both).iter().any(|it| it.0 == "globex"),
            "{setting}"
        );
    }
    let mistyped = refused(&[&list[..], &[("GLOBX__PII", "email:mask")]].concat());
    assert_eq!(mistyped[0].1, told);
    let mistyped = refused(&[&list[..], &[("Globx__Pii", "email:mask")]].concat());
    assert!(
        mistyped[0].1.contains("Globx__Pii is, which is not read"),
        "{mistyped:?}"
    );
    // Without `TENANTS`, no prefixed setting is read.
    let alone = refused(&[("ACME__PII", "email:mask")]);
    assert!(
        alone[0]
            .1
            .contains("ACME__PII is not read: TENANTS does not name ACME"),
        "{alone:?}"
    );
    for (name, value) in [
        ("Serilog__PII", "false"),
        ("Serilog__Pii", "false"),
        ("Serilog__PII_KEY", "x"),
    ] {
        assert_eq!(refused(&[(name, value)]), [], "{name}");
    }
    // With the words in another order, or with the wrong number of underscores.
    for (setting, whose) in [
        ("ARCHIVE_PII", vec!["a", "globex"]),
        ("PII_SENTINEL", vec!["a", "globex"]),
        ("PII__GLOBEX", vec!["a", "globex"]),
        ("LOG_ANALYTICS__GLOBEX__PII", vec!["a", "globex"]),
        ("ARCHIVE_EMAIL_PII", vec!["a", "globex"]),
        ("pii__Globex__Archive", vec!["a", "globex"]),
        ("LOGANALYTICS_PII", vec!["a", "globex"]),
        ("EMAIL_PII", vec!["a", "globex"]),
        ("KEY_PII", vec!["a", "globex"]),
        ("ARCHIVE__PII", vec!["a", "globex"]),
        ("GLOBX_PII", vec!["a", "globex"]),
        ("GLOBX__PII_SENTINEL", vec!["a", "globex"]),
        ("Globx__Archiv__PII", vec!["a", "globex"]),
        ("GLOBEX_PII_SENTINEL", vec!["globex"]),
        ("GLOBEX__ARCHIVE_PII", vec!["globex"]),
        ("globex.pii.sentinel", vec!["globex"]),
        ("MY_PII_SCANNER", vec![]),
        ("MYPII", vec![]),
        // Settings of another program, or of a tenant no longer in the list.
        ("INITECH_PII", vec![]),
        ("COMPANY_PII", vec![]),
        ("LOG_PII", vec![]),
        ("OTEL_REDACT_PII", vec![]),
        ("Serilog__Enrich__PII", vec![]),
        ("Serilog__PII", vec![]),
        ("Serilog__Pii", vec![]),
        ("Serilog__PII__Enabled", vec![]),
        ("B__PII", vec![]),
        ("VIP_PII", vec![]),
        ("PKI_KEY", vec![]),
        ("OLD__PII_ARCHIVE", vec![]),
        ("OLD__PII_KEY", vec![]),
    ] {
        let problems = refused(&[&list[..], &[(setting, "email:mask")]].concat());
        let told = format!("{setting} is not read");
        assert!(
            problems.iter().all(|it| it.1.contains(&told)),
            "{problems:?}"
        );
        if whose.len() == 2 {
            assert_eq!(problems.len(), 1, "{setting}");
        } else {
            let names: Vec<_> = problems.iter().map(|it| &*it.0).collect();
            assert_eq!(names, whose, "{setting}");
        }
    }
}

/// A short name resembles many; its value shows whether it was meant.
#[test]
fn a_policy_under_a_name_that_is_nearly_the_right_one_is_refused() {
    let list = [
        ("TENANTS", "a,globex"),
        ("A__DOMAIN", "a.eu.auth0.com"),
        ("GLOBEX__DOMAIN", "b.eu.auth0.com"),
    ];
    for (setting, told) in [
        ("PIIX", "PII is not set, but PIIX is, which is not read"),
        (
            "GLOBEX__PI",
            "GLOBEX__PII is not set, but GLOBEX__PI is, which is not read",
        ),
    ] {
        let problems = refused(&[&list[..], &[(setting, "email:mask")]].concat());
        assert_eq!(problems.len(), 1, "{setting}");
        assert!(problems[0].1.contains(told), "{problems:?}");
        for other in ["none", "7", "email"] {
            assert_eq!(refused(&[&list[..], &[(setting, other)]].concat()), []);
        }
    }
}

#[test]
fn the_platforms_copy_of_a_policy_is_none_of_its_own() {
    let tenants = [
        ("TENANTS", "a,globex"),
        ("A__DOMAIN", "a.eu.auth0.com"),
        ("GLOBEX__DOMAIN", "b.eu.auth0.com"),
    ];
    for name in ["PII", "GLOBEX__PII", "PII_ARCHIVE"] {
        let copy = format!("APPSETTING_{name}");
        let copied = [(name, "email:mask"), (&copy, "email:mask")];
        assert_eq!(refused(&[&tenants[..], &copied].concat()), [], "{name}");
    }
    // What has such a name and is no copy was meant as a policy, and nobody reads it.
    let alone = [("APPSETTING_GLOBEX__PII", "email:mask")];
    assert_eq!(refused(&[&tenants[..], &alone].concat()).len(), 1);
}

#[test]
fn a_policy_that_is_set_is_not_told_to_be_missing_where_it_is_there_in_another_case_too() {
    for (right, wrong) in [("PII", "Pii"), ("GLOBEX__PII", "Globex__Pii")] {
        let told = apps(&[
            ("TENANTS", "a,globex"),
            ("GLOBEX__DOMAIN", "b.eu.auth0.com"),
            (right, "email:mask"),
            (wrong, "email:mask"),
        ]);
        let told = match told {
            Ok(apps) => apps.unable(),
            Err(problem) => vec![(String::new(), problem.to_string())],
        };
        let denies = |it: &(String, String)| it.1.contains("is not set");
        assert!(!told.iter().any(denies), "{told:?}");
    }
}
