//! An Azure storage account as the setting `AzureWebJobsStorage` describes it.
//!
//! The forms are Microsoft's: <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use crate::azure::identity::Principal;
use crate::net::http::is_secure;

/// The account of the storage emulator (Azurite), the same on every machine.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
/// Its key, published by Microsoft.
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Where the emulator listens.
const EMULATOR_HOST: &str = "http://127.0.0.1";
/// The emulator's port for blobs.
const EMULATOR_BLOB_PORT: u16 = 10_000;
/// Where blobs of the public cloud are.
const PUBLIC_SUFFIX: &str = "core.windows.net";

/// A storage account and what opens it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account's name.
    pub name: String,
    /// Its blob service, without a trailing slash in the path.
    pub endpoint: Url,
    /// What opens it.
    pub credential: Credential,
}

/// What opens a storage account.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The account's key, base64.
    Key(SecretString),
    /// A shared access signature, as it stands behind the `?` of a URL.
    Sas(SecretString),
    /// The identity of this program.
    Identity(Box<Principal>),
}

/// What is wrong with a description. It quotes no value, since any may be a secret.
#[derive(Debug, Eq, PartialEq)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Account {
    /// Reads a connection string.
    pub fn from_connection_string(text: &str) -> Result<Self, Invalid> {
        let fields = Fields::parse(text)?;
        let is_true = |value: &str| value.eq_ignore_ascii_case("true");
        if fields.get("UseDevelopmentStorage").is_some_and(is_true) {
            return Self::emulator(&fields);
        }
        let endpoint = match (fields.get("BlobEndpoint"), fields.get("AccountName")) {
            (Some(endpoint), _) => endpoint.to_owned(),
            (None, Some(name)) => {
                let protocol = fields.get("DefaultEndpointsProtocol").unwrap_or("https");
                let suffix = fields.get("EndpointSuffix").unwrap_or(PUBLIC_SUFFIX);
                if !is_of_host(name) || !is_of_host(suffix) {
                    return Err(Invalid(
                        "its AccountName or EndpointSuffix cannot be part of a host's name".into(),
                    ));
                }
                format!("{protocol}://{name}.blob.{suffix}")
            }
            (None, None) => {
                return Err(Invalid(
                    "it has neither AccountName nor BlobEndpoint".into(),
                ));
            }
        };
        let endpoint = blob_endpoint(&endpoint)?;
        let credential = match (
            fields.get("AccountKey"),
            fields.get("SharedAccessSignature"),
        ) {
            (Some(key), _) => Credential::Key(account_key(key)?),
            (None, Some(sas)) => Credential::Sas(sas.trim_start_matches('?').into()),
            (None, None) => {
                return Err(Invalid(
                    "it has neither AccountKey nor SharedAccessSignature".into(),
                ));
            }
        };
        let name = fields
            .get("AccountName")
            .map_or_else(|| account_of(&endpoint), str::to_owned);
        Ok(Self {
            name,
            endpoint,
            credential,
        })
    }

    /// The account of this name in the public cloud, opened by an identity.
    pub fn from_name(name: &str, identity: Principal) -> Result<Self, Invalid> {
        if !is_of_host(name) {
            return Err(Invalid("it cannot be part of a host's name".into()));
        }
        let endpoint = blob_endpoint(&format!("https://{name}.blob.{PUBLIC_SUFFIX}"))?;
        Ok(Self {
            name: name.to_owned(),
            endpoint,
            credential: Credential::Identity(identity.into()),
        })
    }

    /// The account with this blob service, opened by an identity.
    pub fn from_blob_service(uri: &str, identity: Principal) -> Result<Self, Invalid> {
        let endpoint = blob_endpoint(uri)?;
        Ok(Self {
            name: account_of(&endpoint),
            endpoint,
            credential: Credential::Identity(identity.into()),
        })
    }

    fn emulator(fields: &Fields) -> Result<Self, Invalid> {
        let host = fields
            .get("DevelopmentStorageProxyUri")
            .unwrap_or(EMULATOR_HOST)
            .trim_end_matches('/');
        Ok(Self {
            name: EMULATOR_ACCOUNT.into(),
            endpoint: blob_endpoint(&format!("{host}:{EMULATOR_BLOB_PORT}/{EMULATOR_ACCOUNT}"))?,
            credential: Credential::Key(EMULATOR_KEY.into()),
        })
    }
}

/// Whether a text can be part of a host's name. Anything else might make the address of another
/// host, and what opens the account would go there.
fn is_of_host(text: &str) -> bool {
    let is_of_host = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.');
    text.chars().all(is_of_host)
}

fn blob_endpoint(text: &str) -> Result<Url, Invalid> {
    let url = Url::parse(text.trim_end_matches('/'))
        .ok()
        .filter(Url::has_host)
        .ok_or_else(|| Invalid("its blob endpoint is not a URL".into()))?;
    let has_credential = url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some();
    if has_credential {
        return Err(Invalid(
            "its blob endpoint has more than a host and a path; a shared access signature belongs \
             into a connection string, as BlobEndpoint=…;SharedAccessSignature=…"
                .into(),
        ));
    }
    if !is_secure(&url) {
        return Err(Invalid(
            "its blob endpoint must be https (http only on loopback)".into(),
        ));
    }
    Ok(url)
}

fn account_key(text: &str) -> Result<SecretString, Invalid> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD
        .decode(text)
        .map(|_| text.into())
        .map_err(|_| Invalid("its AccountKey is not base64".into()))
}

/// `https://NAME.blob.…`, or `http://127.0.0.1:10000/NAME` as the emulator has it.
fn account_of(endpoint: &Url) -> String {
    let in_path = endpoint.path().trim_matches('/');
    let name = match endpoint.host() {
        _ if !in_path.is_empty() => in_path,
        Some(url::Host::Domain(host)) => host.split('.').next().unwrap_or_default(),
        _ => EMULATOR_ACCOUNT,
    };
    name.to_owned()
}

/// `Name=value;Name=value`, names in any case; a value may contain `=`.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self, Invalid> {
        text.split(';')
            .map(str::trim)
            .filter(|field| !field.is_empty())
            .map(|field| {
                field
                    .split_once('=')
                    .map(|(name, value)| (name.trim(), value.trim()))
                    .ok_or_else(|| Invalid("it is not of the form Name=value;Name=value".into()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value of a field; a blank one counts as missing.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
            .map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
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

        let proxied =
            parse("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://localhost/");
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
                 belongs into a connection string, as BlobEndpoint=…;SharedAccessSignature=…",
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
        let elsewhere = Account::from_name("evil.example/acme", identity);
        assert_eq!(
            elsewhere.unwrap_err(),
            Invalid("it cannot be part of a host's name".into())
        );
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
}
