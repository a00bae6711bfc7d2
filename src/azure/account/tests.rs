use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn parse(text: &str) -> Account {
    Account::from_connection_string(text).unwrap()
}

fn reject(text: &str) -> String {
    Account::from_connection_string(text)
        .unwrap_err()
        .to_string()
}

#[test]
fn the_form_that_the_portal_shows() {
    let account = parse(
        "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a2V5PQ==;\
         EndpointSuffix=core.usgovcloudapi.net",
    );
    assert_eq!(account.name, "acme");
    assert_eq!(
        account.endpoint.as_str(),
        "https://acme.blob.core.usgovcloudapi.net/"
    );
    assert!(
        matches!(&account.credential, Credential::Key(key) if key.expose_secret() == "a2V5PQ==")
    );
}

#[test]
fn the_emulator() {
    let account = parse("UseDevelopmentStorage=true");
    assert_eq!(account.name, "devstoreaccount1");
    assert_eq!(
        account.endpoint.as_str(),
        "http://127.0.0.1:10000/devstoreaccount1"
    );

    let proxied = parse("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://localhost/");
    assert_eq!(
        proxied.endpoint.as_str(),
        "http://localhost:10000/devstoreaccount1"
    );
}

#[test]
fn an_endpoint_of_its_own_and_a_shared_access_signature() {
    let account = parse(
        "BlobEndpoint=https://acme.blob.core.windows.net/;\
         SharedAccessSignature=?sv=2022-11-02&sig=a%2Fb%3D",
    );
    assert_eq!(account.name, "acme");
    assert!(matches!(&account.credential, Credential::Sas(sas)
        if sas.expose_secret() == "sv=2022-11-02&sig=a%2Fb%3D"));
}

#[test]
fn names_are_taken_in_any_case_and_blank_fields_are_missing() {
    let account = parse("accountname=acme; accountkey=a2V5 ;BlobEndpoint=;EndpointSuffix=;");
    assert_eq!(
        account.endpoint.as_str(),
        "https://acme.blob.core.windows.net/"
    );
}

#[test]
fn what_is_wrong_is_named_and_no_value_is_quoted() {
    let cases = [
        ("hunter2", "it is not of the form Name=value;Name=value"),
        (
            "AccountKey=aHVudGVyMg==",
            "it has neither AccountName nor BlobEndpoint",
        ),
        (
            "AccountName=acme",
            "it has neither AccountKey nor SharedAccessSignature",
        ),
        (
            "AccountName=elsewhere/hunter2;AccountKey=a2V5",
            "its AccountName or EndpointSuffix cannot be part of a host's name",
        ),
        (
            &format!("AccountName={};AccountKey=a2V5", "hunter2-".repeat(8)),
            "its AccountName or EndpointSuffix cannot be part of a host's name",
        ),
        (
            "AccountName=hunter2.blob.core.windows.net;AccountKey=a2V5",
            "its AccountName has a dot, and the name of an account has none; give what stands \
             before .blob in its address",
        ),
        (
            "AccountName=acme;EndpointSuffix=.core.windows.net;AccountKey=a2V5",
            "its EndpointSuffix must be what follows .blob. in the account's address, such as \
             core.windows.net",
        ),
        (
            "AccountName=acme;EndpointSuffix=Blob.core.windows.net;AccountKey=a2V5",
            "its EndpointSuffix must be what follows .blob. in the account's address, such as \
             core.windows.net",
        ),
        (
            "BlobEndpoint=https://acme.blob.core.windows.net/hunter2;AccountKey=a2V5",
            "its blob endpoint has a path, and that of an account in Azure has none; leave out \
             what follows the host",
        ),
        (
            "AccountName=acme;AccountKey=hunter2!",
            "its AccountKey is not base64",
        ),
        (
            "BlobEndpoint=hunter2;AccountKey=aHVudGVyMg==",
            "its blob endpoint is not a URL",
        ),
        (
            "BlobEndpoint=https://acme.blob.core.windows.net/?sig=hunter2;AccountKey=a2V5",
            "its blob endpoint has more than a host and a path; a shared access signature \
             belongs in a connection string, as BlobEndpoint=…;SharedAccessSignature=…",
        ),
        (
            "UseDevelopmentStorage=false;AccountName=acme",
            "it has neither AccountKey nor SharedAccessSignature",
        ),
        (
            "DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=aHVudGVyMg==",
            "its blob endpoint must be https (http only on loopback)",
        ),
    ];
    for (text, problem) in cases {
        assert_eq!(reject(text), problem, "{text}");
    }
}

#[test]
fn a_value_that_was_broken_on_its_way_here_is_told_from_a_good_one() {
    let sas = |sas: &str| format!("BlobEndpoint=http://127.0.0.1/acme;SharedAccessSignature={sas}");
    let key = |key: &str| format!("AccountName=acme;AccountKey={key}");
    let cases = [
        (
            sas("sv=2021-06-08&amp;ss=b&amp;srt=sco&amp;sp=rwdlac&amp;sig=x"),
            "it was copied out of XML or HTML: write & instead of &amp;",
        ),
        (
            key("a2V5&quot;"),
            "it was copied out of XML or HTML: write \" instead of &quot;",
        ),
        (
            format!("\"{}\"", key("a2V5")),
            "it stands in quotes; leave them out",
        ),
        (
            format!("'{}'", key("a2V5")),
            "it stands in quotes; leave them out",
        ),
        (
            key("'a2V5'"),
            "its AccountKey stands in quotes; leave them out",
        ),
        (
            sas("\"sv=1&sig=x\""),
            "its SharedAccessSignature stands in quotes; leave them out",
        ),
        (key("a2V5\na2V5"), "its AccountKey has white space in it"),
        (key("a2V5 a2V5"), "its AccountKey has white space in it"),
        (
            sas("sv=1&sig=a b"),
            "its SharedAccessSignature has white space in it",
        ),
        (
            sas("sv=1&\nsig=ab"),
            "its SharedAccessSignature has white space in it",
        ),
        (
            sas("https://acme.blob.core.windows.net/?sv=1&sig=x"),
            "its SharedAccessSignature is a whole URL; give what follows the ? alone",
        ),
        (sas("sv=1&ss=b"), "its SharedAccessSignature has no sig"),
        (sas("sv=1&sig="), "its SharedAccessSignature has no sig"),
        (sas("ss=b&sig=x"), "its SharedAccessSignature has no sv"),
        (
            sas("sv=1&se&sig=x"),
            "its SharedAccessSignature is not of the form name=value&name=value",
        ),
        (
            sas("sv=1&sig=x%2"),
            "its SharedAccessSignature has a % that begins no percent-encoding",
        ),
        (
            sas("sv=1&sig=x%zz"),
            "its SharedAccessSignature has a % that begins no percent-encoding",
        ),
        (
            sas("sv=1&sig=a%252Fb%253D"),
            "the sig of its SharedAccessSignature is encoded twice: write %2F instead of %252F",
        ),
        (
            sas("sv=1&sig=a,b"),
            "the sig of its SharedAccessSignature is not base64",
        ),
        (
            "https://acme.blob.core.windows.net/?sv=1&sig=x".to_owned(),
            "it is a URL; a shared access signature belongs in a connection string, as \
             BlobEndpoint=…;SharedAccessSignature=…",
        ),
    ];
    for (text, problem) in cases {
        assert_eq!(reject(&text), problem, "{text}");
    }
    // Signatures as the portal shows them, and as some tools decode them.
    for good in [
        "sv=2022-11-02&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&spr=https,http&sig=a%2Fb%2Bc%3D",
        "?sv=2022-11-02&se=2099-01-01T00%3A00%3A00Z&sr=c&sig=a/b+c=",
        "sv=2022-11-02&sip=10.0.0.1-10.0.0.9&sig=ab&",
    ] {
        parse(&sas(good));
    }
}

#[test]
fn a_blob_service_tells_its_account() {
    let identity = Principal::Managed {
        endpoint: "http://localhost:8081/msi/token".parse().unwrap(),
        header: "header".into(),
        client_id: None,
    };
    for (uri, name) in [
        ("https://acme.blob.core.windows.net/", "acme"),
        (
            "https://127.0.0.1:10000/devstoreaccount1",
            "devstoreaccount1",
        ),
    ] {
        let account = Account::from_blob_service(uri, identity.clone()).unwrap();
        assert_eq!(account.name, name);
    }
    let elsewhere = Account::from_name("evil.example/acme", identity.clone());
    assert_eq!(
        elsewhere.unwrap_err(),
        Invalid("it cannot be part of a host's name".into())
    );
    for (name, problem) in [
        (
            "https://acme.blob.core.windows.net",
            "it is a URL; give the account's name alone, or the URL as \
             AzureWebJobsStorage__blobServiceUri",
        ),
        (
            "acme.blob.core.windows.net",
            "it cannot be part of a host's name with a dot in it; give what stands before .blob in \
             the account's address",
        ),
    ] {
        let refused = Account::from_name(name, identity.clone()).unwrap_err();
        assert_eq!(refused, Invalid(problem.into()), "{name}");
    }
    let container = "https://acme.blob.core.windows.net/auth0-poller";
    assert!(Account::from_blob_service(container, identity).is_err());
}

/// A field of a connection string, likely or not.
fn field() -> impl Strategy<Value = String> {
    let names = [
        "AccountName",
        "accountkey",
        "BlobEndpoint",
        "SharedAccessSignature",
        "EndpointSuffix",
        "DefaultEndpointsProtocol",
        "UseDevelopmentStorage",
        "DevelopmentStorageProxyUri",
        "",
    ];
    let values = [
        "acme",
        "a2V5",
        "https://acme.blob.core.windows.net/",
        "http://127.0.0.1:10000/acme",
        "http://elsewhere",
        "https://user:hunter2@acme",
        "https://acme/?sig=hunter2",
        "http",
        "sv=1&sig=hunter2",
        "true",
        "",
        "https://[::1",
        "file:///hunter2",
        "a b",
        "=",
    ];
    let value = prop_oneof![
        4 => proptest::sample::select(values.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    (proptest::sample::select(names.to_vec()), value)
        .prop_map(|(name, value)| format!("{name}={value}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_portal_shows_is_taken_in_any_order_and_case(
        name in "[a-z0-9]{3,24}",
        key in any::<Vec<u8>>().prop_filter("a key", |it| !it.is_empty()),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
        upper in any::<bool>(),
        space in " {0,2}",
    ) {
        use base64::Engine as _;
        let key = base64::prelude::BASE64_STANDARD.encode(key);
        let fields = [
            ("DefaultEndpointsProtocol", "https"),
            ("AccountName", &name),
            ("AccountKey", &key),
            ("EndpointSuffix", "core.chinacloudapi.cn"),
        ];
        let text = order.map(|index: usize| {
            let (field, value) = fields[index];
            let field = if upper { field.to_uppercase() } else { field.to_owned() };
            format!("{space}{field}{space}={space}{value}{space}")
        });
        let account = parse(&text.join(";"));
        let endpoint = format!("https://{name}.blob.core.chinacloudapi.cn/");
        prop_assert_eq!(account.endpoint.as_str(), endpoint);
        prop_assert_eq!(account.name, name);
        let is_key = matches!(&account.credential, Credential::Key(it) if it.expose_secret() == key);
        prop_assert!(is_key);
    }

    #[test]
    fn what_is_taken_is_safe_to_send_to_and_no_error_or_debug_text_shows_a_secret(
        text in prop_oneof![
            9 => proptest::collection::vec(field(), 0..5).prop_map(|it| it.join(";")),
            1 => any::<String>(),
        ],
    ) {
        match Account::from_connection_string(&text) {
            Ok(account) => {
                prop_assert!(is_secure(&account.endpoint), "{}", account.endpoint);
                prop_assert!(account.endpoint.has_host());
                prop_assert!(account.endpoint.query().is_none());
                prop_assert!(account.endpoint.username().is_empty());
                let shown = format!("{:?} {}", account.credential, account.endpoint);
                prop_assert!(!shown.contains("hunter2"));
            }
            Err(problem) => prop_assert!(!problem.to_string().contains("hunter2")),
        }
    }
}
