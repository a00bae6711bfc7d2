//! The kind of personal data that a value is, by its role and its looks.

use super::Kind;
use super::key::{Group, ip};
use super::looks::{has_scheme, is_link, is_phone, is_word, kind_by_looks};
use super::method::{Method, Policy};
use super::nested::{self, Part};
use super::walk::Role;

/// Whether the content of a string with this role is read, since the string is not personal as a whole.
pub(super) fn is_read_on(policy: &Policy, role: Role, value: &str) -> bool {
    match role {
        Role::Fixed | Role::Name | Role::Id => false,
        // It is left out as a whole.
        Role::Coordinate => policy.method(Kind::Location).is_none(),
        Role::Word => !is_word(value),
        _ => kind(policy, role, value).is_none(),
    }
}

/// The kind of personal data that a value is by its role, if the policy treats that kind.
pub(super) fn kind(policy: &Policy, role: Role, value: &str) -> Option<Kind> {
    let is_wanted = |kind: &Kind| policy.method(*kind).is_some();
    let kind = match role {
        Role::Personal(kind) => Some(kind),
        Role::LooksLike(kind) => looks_like(kind, value),
        Role::Somebody => somebody(value),
        // The address of a picture or of a page may have an `@`.
        Role::InUser => somebody(value).filter(|_| !is_link(value)),
        Role::OfUser(_) => somebody(value).filter(is_wanted),
        // A user name may look like an e-mail address. A string that contains JSON is no user name: the
        // JSON says whom it names.
        Role::Login => kind_by_looks(value)
            .filter(|it| *it != Kind::Email || is_wanted(it))
            .or_else(|| (!has_json(value)).then_some(Kind::Username)),
        Role::SomebodyBelow(kind) => somebody(value)
            .filter(is_wanted)
            .or_else(|| looks_like(kind, value)),
        Role::Below(kind, own) => Some(own)
            .filter(is_wanted)
            .or_else(|| looks_like(kind, value)),
        Role::Town => Some(Kind::Location),
        // The string may instead contain JSON, or be a URL to redirect to.
        Role::Place => {
            let is_other = is_link(value) || has_json(value);
            (!is_other).then_some(Kind::Location)
        }
        Role::Country => {
            let is_kept = policy.method(Kind::Location) == Some(Method::Truncate);
            (!is_kept).then_some(Kind::Location)
        }
        _ => None,
    };
    kind.filter(is_wanted)
}

/// The kind of a value of which each user may have some, if the object that it is in is about a user.
pub(super) fn of_user(policy: &Policy, role: Role, value: &str) -> Option<Kind> {
    match role {
        Role::Name => Some(policy.kind_of_name()),
        Role::Id => Some(Kind::UserId).filter(|it| kind_by_looks(value) == Some(*it)),
        Role::OfUser(kind) => {
            self::kind(policy, role, value).or_else(|| (!has_json(value)).then_some(kind))
        }
        _ => None,
    }
}

/// The kind of a value, by its looks. Of a text such as `SMTP:ada@example.com` the address alone is a
/// person's.
fn somebody(value: &str) -> Option<Kind> {
    kind_by_looks(value).filter(|it| *it != Kind::Email || !has_scheme(value))
}

/// Whether there is JSON in a value.
fn has_json(value: &str) -> bool {
    let is_json = |it: &Part| matches!(it, Part::Json(_));
    nested::may_have_json(value) && nested::parts(value).iter().any(is_json)
}

/// Whether a value may name a blocked user: it looks like nothing else and contains no JSON.
pub(super) fn may_be_blocked(value: &str) -> bool {
    kind_by_looks(value).is_none() && !nested::may_have_json(value)
}

/// Returns `kind` if the value looks like it.
fn looks_like(kind: Kind, value: &str) -> Option<Kind> {
    let is_like = match kind {
        Kind::Phone => is_phone(value),
        Kind::Ip => ip(value).is_some(),
        Kind::Location => true,
        _ => somebody(value).is_some_and(|it| Group::of(it) == Group::of(kind)),
    };
    is_like.then_some(kind)
}
