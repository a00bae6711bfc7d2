//! Aliases of a value: parts that identify the same person, and other ways to write it.

use std::net::IpAddr;

use super::Kind;
use super::key::{ip, mail_domain, unquoted, user_id_prefix};
use super::looks::{SHORTEST_PHONE, addresses, is_phone};

/// What an alias stands for.
pub(super) enum Whole<'v> {
    /// The whole value.
    All,
    /// The user id without its connection.
    UserId,
    /// This part of the value.
    Part(&'v str),
}

/// Calls `add` for each alias of a value.
pub(super) fn for_each_alias<'v>(kind: Kind, value: &'v str, mut add: impl FnMut(&str, Whole<'v>)) {
    match kind {
        Kind::UserId => {
            let prefix = user_id_prefix(value);
            if !prefix.is_empty() {
                add(&value[prefix.len()..], Whole::UserId);
            }
        }
        // A user of an SMS connection has a phone number as a name.
        Kind::Phone | Kind::Username | Kind::Email if kind == Kind::Phone || is_phone(value) => {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            if digits.len() >= SHORTEST_PHONE {
                add(&digits, Whole::All);
                add(&format!("+{digits}"), Whole::All);
            }
        }
        Kind::Ip => {
            for part in value.split(',').map(str::trim) {
                if part != value {
                    add(part, Whole::Part(part));
                }
                // In the form of `Forwarded`: `for="[2001:db8::1]:80";proto=https`.
                for address in part.split([';', '=']).map(unquoted) {
                    for form in ip(address).map(forms).into_iter().flatten() {
                        add(&form, Whole::Part(address));
                    }
                }
            }
        }
        Kind::Email | Kind::Username if mail_domain(value).is_none() => {
            for address in addresses(value) {
                add(address, Whole::Part(address));
            }
        }
        _ => {}
    }
}

/// The ways in which programs write an IP address.
fn forms(ip: IpAddr) -> [String; 3] {
    match ip {
        IpAddr::V4(it) => {
            let [.., high, low] = it.to_ipv6_mapped().segments();
            let mapped = format!("::ffff:{high:x}:{low:x}");
            [it.to_string(), mapped, it.to_ipv6_mapped().to_string()]
        }
        IpAddr::V6(it) => {
            let all = it.segments();
            let short = all.map(|it| format!("{it:x}")).join(":");
            let long = all.map(|it| format!("{it:04x}")).join(":");
            [it.to_string(), short, long]
        }
    }
}
