//! What a value or a text is by its looks, whatever field it is in.

use std::iter;

use super::Kind;
use super::key::{CLIENTS, ip, mail_domain, trimmed};

/// The fewest digits of a phone number.
pub(super) const SHORTEST_PHONE: usize = 7;
/// What may stand before an address, with a colon between: as in Entra's `proxyAddresses`.
const SCHEMES: [&str; 4] = ["smtp", "sip", "mailto", "xmpp"];
/// Prefixes of the API paths in which users choose no segment but the one that names them: of the
/// Management API, of client registration, and of SCIM.
pub(super) const CALLS: [&str; 4] = ["/api/v2/", "/v2/", "/oidc/", "/scim/v2/"];

/// The kind of a value, by its looks.
pub(super) fn kind_by_looks(value: &str) -> Option<Kind> {
    let value = trimmed(value);
    let has_space = || value.contains(char::is_whitespace);
    let (connection, id) = value.split_once('|').unwrap_or_default();
    let is_connection = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
    let is_user_s = !id.is_empty() && connection.bytes().all(is_connection);
    let is_application_s = value.ends_with(CLIENTS) && !has_space();
    if is_user_s && !connection.is_empty() || is_application_s {
        Some(Kind::UserId)
    } else if mail_domain(value).is_some() && !has_space() {
        Some(Kind::Email)
    } else if is_international_phone(value) {
        Some(Kind::Phone)
    } else {
        None
    }
}

/// Whether a value is certainly a phone number. Without a plus sign it may be any number.
pub(super) fn is_international_phone(value: &str) -> bool {
    let value = trimmed(value);
    value.starts_with('+') && is_phone(value)
}

/// Whether a value may be a phone number.
pub(super) fn is_phone(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_part = |it: char| it.is_ascii_digit() || "+-(). ".contains(it);
    digits >= SHORTEST_PHONE && value.chars().all(is_part)
}

/// Whether a text may consist of words that Auth0 defines, which identify nobody.
pub(super) fn is_word(value: &str) -> bool {
    let is_digit = |it: &u8| it.is_ascii_digit();
    let has_number = value
        .as_bytes()
        .windows(4)
        .any(|it| it.iter().all(is_digit));
    let is_of_address = |it: char| it.is_ascii_hexdigit() || matches!(it, '.' | ':');
    let has_address = || {
        let parts = value.split(|it| !is_of_address(it));
        // The word before an address may end in hexadecimal digits: `read:203.0.113.7`.
        let mut candidates = parts.flat_map(|part| {
            let part = part.trim_end_matches(['.', ':']);
            let after_colons = part.match_indices(':').map(|(at, _)| at + 1);
            iter::once(0)
                .chain(after_colons)
                .map(|begin| &part[begin..])
        });
        candidates.any(|it| ip(it).is_some() && it.contains(|it: char| it.is_ascii_digit()))
    };
    !has_number && !value.contains(['@', '|', '%', '"']) && !has_address()
}

/// The e-mail addresses in a text with several, or with other words: `Ada <ada@example.com>,
/// SMTP:bo@example.com`.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |it: char| it.is_whitespace() || ",;<>()\"".contains(it);
    text.split(is_between)
        .map(|it| after_scheme(it).unwrap_or(it))
        .filter(|it| mail_domain(it).is_some())
}

/// Whether a scheme stands before an address.
pub(super) fn has_scheme(value: &str) -> bool {
    after_scheme(trimmed(value)).is_some()
}

/// An address without the scheme before it; `None` if there is none.
pub(super) fn after_scheme(value: &str) -> Option<&str> {
    let (scheme, address) = value.split_once(':')?;
    let is_known = SCHEMES.iter().any(|it| it.eq_ignore_ascii_case(scheme));
    is_known.then_some(address)
}

/// The segments of an API path after its prefix.
fn called(path: &str) -> Vec<&str> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let called = CALLS.iter().find_map(|it| path.strip_prefix(it));
    let segments = called.unwrap_or_default().split('/');
    segments.filter(|it| !it.is_empty()).collect()
}

/// Whether a call is about blocked users, by its path. It may name them by any identifier.
pub(super) fn is_call_about_blocked(path: &str) -> bool {
    called(path)[..] == ["user-blocks"]
}

/// Whether the bodies of a call are about users, by its path.
pub(super) fn is_call_about_users(path: &str) -> bool {
    matches!(
        called(path)[..],
        ["users" | "users-by-email"]
            | ["users", _]
            | ["organizations", _, "members"]
            | ["connections", _, "Users"]
            | ["connections", _, "Users", _]
    )
}

/// Whether a text is a URL or a path.
pub(super) fn is_link(value: &str) -> bool {
    value.starts_with('/') || value.contains("://")
}

/// Whether a string, as written, may contain JSON or a form.
pub(super) fn may_name_somebody(raw: &str) -> bool {
    let raw = raw.as_bytes();
    memchr::memchr3(b'{', b'[', b'\\', raw).is_some() || has_sign_of_form(raw)
}

/// Whether a text may contain a form.
pub(super) fn may_have_form(text: &str) -> bool {
    let text = text.as_bytes();
    has_sign_of_form(text) || memchr::memchr(b'\\', text).is_some()
}

/// Whether a text has an equals sign, or the first character of an encoded one.
fn has_sign_of_form(text: &[u8]) -> bool {
    memchr::memchr3(b'=', b'%', b'&', text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_looks_like_as_a_whole() {
        for (value, kind) in [
            ("auth0|5f1", Some(Kind::UserId)),
            ("google-oauth2|1", Some(Kind::UserId)),
            (" auth0|5f1 ", Some(Kind::UserId)),
            ("auth0|", None),
            ("|5f1", None),
            ("either this|or that", None),
            ("a.b|c", None),
            ("shop@clients", Some(Kind::UserId)),
            ("of shop@clients", None),
            ("shop", None),
            ("ada@example.com", Some(Kind::Email)),
            ("Ada ada@example.com", None),
            ("ada@example.com or so", None),
            ("+1 (555) 010-0200", Some(Kind::Phone)),
            ("15550100200", None),
            ("+155501", None),
            ("+1555010 or later", None),
        ] {
            assert_eq!(kind_by_looks(value), kind, "{value:?}");
        }
    }

    #[test]
    fn a_phone_number_has_digits_enough_and_nothing_else_but_its_signs() {
        assert!(is_phone("1555010") && is_phone("+1 (555) 010.0200"));
        assert!(!is_phone("155501") && !is_phone("1555010x") && !is_phone("()-"));
    }
}
