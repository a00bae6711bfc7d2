use super::*;

#[test]
fn an_archive_is_a_container_or_a_folder() {
    let azure = |service: &str, container: &str, prefix: &str| Address::Azure {
        service: Url::parse(service).unwrap(),
        container: container.into(),
        prefix: prefix.into(),
    };
    let acme = "https://acme.blob.core.windows.net";
    for (text, expected) in [
        (format!("{acme}/logs"), azure(acme, "logs", "")),
        (format!("{acme}/logs/a/b/"), azure(acme, "logs", "a/b/")),
        (
            "https://acme.blob.core.usgovcloudapi.net/logs".into(),
            azure("https://acme.blob.core.usgovcloudapi.net", "logs", ""),
        ),
        (
            "http://127.0.0.1:10000/devstoreaccount1/logs/a".into(),
            azure("http://127.0.0.1:10000/devstoreaccount1", "logs", "a/"),
        ),
        (
            "s3://acme-logs/auth0".into(),
            Address::S3 {
                bucket: "acme-logs".into(),
                prefix: "auth0/".into(),
            },
        ),
        (
            "file:///var/lib/auth0".into(),
            Address::Folder(PathBuf::from("/var/lib/auth0")),
        ),
        (
            "file:///var/%C3%A9t%C3%A9/%24USER".into(),
            Address::Folder(PathBuf::from("/var/été/$USER")),
        ),
        (
            "file:///%7E/~logs".into(),
            Address::Folder(PathBuf::from("/~/~logs")),
        ),
        (
            "FILE:///var/lib/auth0".into(),
            Address::Folder(PathBuf::from("/var/lib/auth0")),
        ),
    ] {
        assert_eq!(address(&text), Ok(expected), "{text}");
    }
    for text in [
        acme.to_owned(),
        format!("{acme}/Logs"),
        format!("{acme}/l"),
        format!("{acme}/logs/../x y"),
        format!("{acme}/logs?sv=2024&sig=x"),
        format!("{acme}/logs/.hidden"),
        "https://user:pw@acme.blob.core.windows.net/logs".into(),
        "http://acme.blob.core.windows.net/logs".into(),
        "https://acme.blob.core.windows.net.evil.example/logs".into(),
        "s3://Acme_Logs".into(),
        "s3://key:secret@acme-logs".into(),
        "s3://acme-logs?region=x".into(),
        "s3:///acme-logs".into(),
        "ftp://acme/logs".into(),
        "file:///".into(),
        "file:///$HOME/logs".into(),
        "file:///data/${USER}".into(),
        "file:///~/logs".into(),
        "file:///~ada/logs".into(),
        "file:arch".into(),
        "file:./arch".into(),
        "file:/arch".into(),
        "file://arch/logs".into(),
        r"file:\\\arch".into(),
        "/var/lib".into(),
    ] {
        assert!(address(&text).is_err(), "{text}");
    }
}

#[test]
fn an_address_that_is_none_of_an_archive_is_told_what_is_wrong_with_it() {
    let acme = "https://acme.blob.core.windows.net";
    for (text, told) in [
        (
            format!("{acme}/My_Logs"),
            "names a container that cannot be used",
        ),
        (format!("{acme}/c"), "names a container that cannot be used"),
        ("s3://Acme".into(), "names a bucket that cannot be used"),
        (
            "s3://my_bucket".into(),
            "names a bucket that cannot be used",
        ),
        ("s3://b/logs".into(), "names a bucket that cannot be used"),
        (format!("{acme}/logs?x"), "has a user, a port, a query"),
        (format!("{acme}/logs#x"), "has a user, a port, a query"),
        ("s3://acme-logs:443/x".into(), "has a user, a port, a query"),
        (
            format!("{acme}/logs/x y"),
            "has a prefix that cannot be used",
        ),
        (
            "s3://acme-logs/.x".into(),
            "has a prefix that cannot be used",
        ),
        (format!("{acme}/"), "must be https://<account>."),
        (
            "https://acme.example/logs?x".into(),
            "must be https://<account>.",
        ),
    ] {
        let problem = address(&text).unwrap_err();
        assert!(problem.starts_with(told), "{text}: {problem}");
    }
}
