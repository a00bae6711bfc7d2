//! The settings of a tenant: its host and its credentials.

use secrecy::SecretString;
use url::Url;

use super::Credentials;
use crate::net::http::{is_loopback, is_secure};
use crate::settings::{Reader, values};

/// The settings that are read here.
pub(crate) const SETTINGS: [&str; 4] = ["DOMAIN", "CLIENT_ID", "CLIENT_SECRET", "AUDIENCE"];

/// Hosts of Auth0 itself, which belong to no tenant.
const DASHBOARDS: [&str; 3] = ["manage.auth0.com", "auth0.com", "www.auth0.com"];

/// The address of a tenant, which is known without a secret.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    /// `DOMAIN` as a URL without a path.
    pub url: Url,
    /// The tenant's name in paths: its host, and the port if it is not the default.
    pub name: String,
}

impl Domain {
    /// Reads `DOMAIN`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let what = "the tenant's host, such as acme.eu.auth0.com";
        let url = reader.required("DOMAIN", what, domain)?;
        Some(Self {
            name: tenant_name(&url),
            url,
        })
    }

    /// The normalised host, with the port if it is not the default.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port().map(|port| format!(":{port}"));
        format!("{host}{}", port.unwrap_or_default())
    }

    /// For a custom domain, the tenant's own host, taken from `AUDIENCE`.
    pub fn own_host(&self, reader: &mut Reader) -> Option<String> {
        let host = self.url.host_str().unwrap_or_default();
        let is_custom = !is_of_auth0(host) && !is_loopback(&self.url);
        let audience = reader.get("AUDIENCE").filter(|_| is_custom)?;
        let audience = Url::parse(audience).ok()?;
        Some(without_root(audience.host_str()?).to_owned())
    }
}

/// A tenant and the application that reads it.
#[derive(Clone, Debug)]
pub(crate) struct TenantSettings {
    /// `DOMAIN`
    pub domain: Domain,
    /// `CLIENT_ID`, `CLIENT_SECRET`, `AUDIENCE`
    pub credentials: Credentials,
    /// Set if `DOMAIN` may be mistyped.
    pub doubt: Option<ForeignDomain>,
}

/// A domain outside auth0.com that no setting confirms as a custom domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{host}, which gets CLIENT_ID and CLIENT_SECRET, is not under auth0.com; correct DOMAIN if it is \
     mistyped, or set AUDIENCE to https://<the tenant's own domain>/api/v2/ if it is a custom domain"
)]
pub(crate) struct ForeignDomain {
    host: String,
}

impl ForeignDomain {
    /// `Some` if a domain is foreign. An audience on another host confirms that it is a custom domain.
    fn of(domain: &Url, audience: Option<&str>) -> Option<Self> {
        let host = domain.host_str().unwrap_or_default();
        let elsewhere = audience.and_then(host_of_identifier);
        let is_custom = elsewhere.is_some_and(|it| it != host);
        (!is_of_auth0(host) && !is_custom && !is_loopback(domain)).then(|| Self {
            host: domain.authority().to_owned(),
        })
    }
}

/// Whether a host is one that Auth0 gives to a tenant.
fn is_of_auth0(host: &str) -> bool {
    let tenant = host.strip_suffix(".auth0.com");
    tenant.is_some_and(|it| !it.is_empty())
}

/// A host without its trailing dot, if it has one.
fn without_root(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl TenantSettings {
    /// The settings of a tenant that is not read from, which needs no credentials.
    pub fn unread(domain: Domain) -> Self {
        Self {
            domain,
            doubt: None,
            credentials: Credentials {
                client_id: String::new(),
                client_secret: SecretString::from(""),
                audience: String::new(),
            },
        }
    }

    /// Reads the settings of a tenant.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let domain = Domain::read(reader);
        let client_id = reader.required(
            "CLIENT_ID",
            "the client id of the Auth0 machine-to-machine application",
            |text| Ok(text.to_owned()),
        );
        let client_secret = reader.required(
            "CLIENT_SECRET",
            "the client secret of that application",
            |text| Ok(SecretString::from(text)),
        );
        let audience = reader.get("AUDIENCE").map(str::to_owned);
        let domain = domain?;
        let doubt = ForeignDomain::of(&domain.url, audience.as_deref());
        let host = domain.url.host_str().unwrap_or_default();
        let audience = audience.unwrap_or_else(|| format!("https://{host}/api/v2/"));
        Some(Self {
            domain,
            doubt,
            credentials: Credentials {
                client_id: client_id?,
                client_secret: client_secret?,
                audience,
            },
        })
    }
}

/// The host in an audience of exactly the form `https://<host>/api/v2/`: Auth0 compares audiences
/// as text. Whether that API exists is for Auth0 to say.
fn host_of_identifier(audience: &str) -> Option<String> {
    let url = Url::parse(audience).ok()?;
    let host = url.host_str()?;
    (audience == format!("https://{host}/api/v2/")).then(|| without_root(host).to_owned())
}

/// Parses `DOMAIN`. A trailing dot is removed: it names the same tenant, and Auth0 knows no
/// audience with it.
fn domain(text: &str) -> Result<Url, String> {
    if text.contains(['"', '\'', '`']) {
        return Err("is in quotes; leave them out".into());
    }
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let neither = || Err("is neither a host such as acme.eu.auth0.com nor a URL of one".into());
    let parsed = Url::parse(&with_scheme).ok();
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or_default();
    let host = without_root(host).to_owned();
    if DASHBOARDS.contains(&&*host) {
        return Err(
            "is the address of the Auth0 dashboard; the tenant's is in the application's settings \
             there, under Domain"
                .into(),
        );
    }
    // Otherwise a list of hosts or a placeholder would pass for a host.
    let is_of_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.' | '_');
    let name = parsed.as_ref().and_then(Url::domain);
    if name.is_some_and(|it| !it.chars().all(is_of_name)) {
        return neither();
    }
    let Some(mut url) = values::origin(&with_scheme) else {
        return match parsed {
            Some(url) if url.path() != "/" || url.query().is_some() => Err(
                "has a path after the host; give the host alone, such as acme.eu.auth0.com".into(),
            ),
            _ => neither(),
        };
    };
    if url.set_host(Some(&host)).is_err() {
        return neither();
    }
    if is_secure(&url) {
        Ok(url)
    } else {
        Err("must be https (http only on loopback)".into())
    }
}

/// The tenant's name in paths: its host, and the port if it is not the default.
fn tenant_name(domain: &Url) -> String {
    let host = domain.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']).replace(':', "_");
    match domain.port() {
        Some(port) => format!("{host}_{port}"),
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AppSettings, SettingsError};

    fn read(changes: &[(&str, &str)]) -> Result<TenantSettings, SettingsError> {
        let complete = [
            ("DOMAIN", "acme.eu.auth0.com"),
            ("CLIENT_ID", "id"),
            ("CLIENT_SECRET", "hunter2"),
        ];
        let settings: AppSettings = complete.iter().chain(changes).copied().collect();
        Reader::read(&settings, TenantSettings::read)
    }

    #[test]
    fn the_audience_is_that_of_the_domain_unless_it_is_set() {
        let audience = |changes| read(changes).unwrap().credentials.audience;
        assert_eq!(audience(&[]), "https://acme.eu.auth0.com/api/v2/");
        assert_eq!(
            audience(&[("AUDIENCE", "https://x/api/v2/")]),
            "https://x/api/v2/"
        );
    }

    #[test]
    fn an_audience_that_names_no_tenant_does_not_say_that_a_foreign_domain_is_meant() {
        for text in [
            "acme.eu.auth0.com",
            "acme",
            "https://acme.eu.auth0.com",
            "https://acme.eu.auth0.com/api/v2",
            "https://acme.eu.auth0.com/api/v2/logs",
            "https://me:pw@acme.eu.auth0.com/api/v2/",
            "http://acme.eu.auth0.com/api/v2/",
            "https://<the tenant's own domain>/api/v2/",
        ] {
            let settings = read(&[("DOMAIN", "login.acme.com"), ("AUDIENCE", text)]).unwrap();
            assert_eq!(settings.credentials.audience, text);
            assert!(settings.doubt.is_some(), "{text}");
        }
    }

    #[test]
    fn a_domain_that_is_not_one_of_auth0_s_is_doubted() {
        let doubt = |changes: &[(&str, &str)]| read(changes).unwrap().doubt;
        for foreign in [
            "auth0.com.evil.example",
            "evilauth0.com",
            "acme.eu.auth0.com.evil.example",
            "acme.eu-auth0.com",
            "acme.auth0.co",
            "acme.auth0com",
            "acme.auth0.com.co.",
            // Cyrillic letters.
            "acme.eu.аuth0.com",
            "acme.eu.xn--uth0-43d.com",
            "login.acme.com",
            "192.0.2.1",
            "[2001:db8::1]",
            "evil.example:443",
            "localhost.evil.example",
        ] {
            assert!(doubt(&[("DOMAIN", foreign)]).is_some(), "{foreign}");
            let own = format!("https://{foreign}/api/v2/");
            let says_nothing = [("DOMAIN", foreign), ("AUDIENCE", &own)];
            assert!(doubt(&says_nothing).is_some(), "{foreign}");
            let custom = [
                ("DOMAIN", foreign),
                ("AUDIENCE", "https://acme.eu.auth0.com/api/v2/"),
            ];
            assert_eq!(doubt(&custom), None, "{foreign}");
        }
        for own in [
            "acme.auth0.com",
            "acme.eu.auth0.com",
            "ACME.EU.Auth0.COM",
            "https://acme.eu.auth0.com./",
            "acme.eu.auth0.com:8443",
            "http://127.0.0.1:8080",
            "http://localhost:8080",
            "https://[::1]",
        ] {
            assert_eq!(doubt(&[("DOMAIN", own)]), None, "{own}");
        }
        assert_eq!(
            doubt(&[("DOMAIN", "Login.ACME.com:8443")])
                .unwrap()
                .to_string(),
            "login.acme.com:8443, which gets CLIENT_ID and CLIENT_SECRET, is not under auth0.com; \
             correct DOMAIN if it is mistyped, or set AUDIENCE to https://<the tenant's own \
             domain>/api/v2/ if it is a custom domain"
        );
    }

    #[test]
    fn the_dot_that_may_end_a_host_is_no_part_of_it() {
        for text in [
            "acme.eu.auth0.com.",
            "https://acme.eu.auth0.com./",
            "https://ACME.eu.auth0.com.:443",
        ] {
            let settings = read(&[("DOMAIN", text)]).unwrap();
            assert_eq!(settings.domain.name, "acme.eu.auth0.com", "{text}");
            assert_eq!(settings.domain.host(), "acme.eu.auth0.com", "{text}");
            assert_eq!(settings.domain.url.as_str(), "https://acme.eu.auth0.com/");
            let audience = settings.credentials.audience;
            assert_eq!(audience, "https://acme.eu.auth0.com/api/v2/", "{text}");
        }
        let port = read(&[("DOMAIN", "acme.eu.auth0.com.:8443")]).unwrap();
        assert_eq!(port.domain.name, "acme.eu.auth0.com_8443");
        let dot = read(&[("DOMAIN", "https://./")]).unwrap_err().to_string();
        assert!(dot.contains("is neither a host"), "{dot}");
    }

    #[test]
    fn settings_show_no_secret() {
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("hunter2"));
    }

    #[test]
    fn a_domain_is_a_host_or_a_url_of_one() {
        for (text, url, name) in [
            (
                "https://acme.eu.auth0.com/",
                "https://acme.eu.auth0.com/",
                "acme.eu.auth0.com",
            ),
            (
                " login.acme.com ",
                "https://login.acme.com/",
                "login.acme.com",
            ),
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/",
                "127.0.0.1_8080",
            ),
            ("http://[::1]:8080", "http://[::1]:8080/", "__1_8080"),
        ] {
            let domain = read(&[("DOMAIN", text)]).unwrap().domain;
            assert_eq!((domain.url.as_str(), &*domain.name), (url, name));
        }
        let problem = |text: &str| read(&[("DOMAIN", text)]).unwrap_err().to_string();
        for (text, fault) in [
            ("acme.eu.auth0.com/api/v2", "has a path after the host"),
            (
                "https://acme.eu.auth0.com/api/v2/logs?x=1",
                "has a path after the host",
            ),
            ("\"acme.eu.auth0.com\"", "is in quotes"),
            (
                "https://manage.auth0.com/",
                "is the address of the Auth0 dashboard",
            ),
            (
                "https://manage.auth0.com/dashboard/eu/acme/applications",
                "is the address of the Auth0 dashboard",
            ),
            ("Auth0.com", "is the address of the Auth0 dashboard"),
            ("auth0.com.", "is the address of the Auth0 dashboard"),
        ] {
            assert!(problem(text).contains(&format!("DOMAIN {fault}")), "{text}");
        }
        for text in [
            "https://user:pw@acme",
            "https://",
            "a b",
            "ftp://",
            // Several tenants are configured in another way.
            "acme.eu.auth0.com,globex.eu.auth0.com",
            "acme.eu.auth0.com;globex.eu.auth0.com",
            "(acme.eu.auth0.com)",
            "{tenant}.eu.auth0.com",
            "*.auth0.com",
        ] {
            assert!(problem(text).contains("is neither a host"), "{text}");
        }
        // A name that is too long for a host may be a client secret in the wrong place, and a host would
        // be printed.
        for end in ["", ".eu.auth0.com"] {
            let secret = format!("{}{end}", "hunter2-".repeat(8));
            assert!(problem(&secret).contains("is neither a host"), "{secret}");
            let label = format!("{}{end}", "a".repeat(63));
            assert!(read(&[("DOMAIN", &label)]).is_ok(), "{label}");
        }
        for text in ["http://acme.eu.auth0.com", "ftp://acme.eu.auth0.com"] {
            assert!(problem(text).contains("must be https"), "{text}");
        }
    }
}
