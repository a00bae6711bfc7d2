//! The personal values in a path, a query or a form, known by their looks or by the names of parameters.

use std::borrow::Cow;
use std::cell::LazyCell;

use super::Kind;
use super::fields;
use super::key::ip;
use super::kinds::kind;
use super::looks::{after_scheme, is_call_about_blocked, kind_by_looks, may_have_form};
use super::method::Policy;
use super::terms::{has_name, of_search, spaced};
use super::view::{ROUNDS, View};
use super::walk::{Role, role};

/// The path segment two places before the id of an identity.
const IDENTITIES: &str = "identities";
/// The parameter that names a blocked user.
const IDENTIFIER: &str = "identifier";

/// Calls `note` for each personal value in a path: `/api/v2/users/auth0%7C1`, `?email=a%40b.c`,
/// `?q=username:adalove`. The kind is `None` for the name of whatever is searched for.
pub(super) fn of_path(policy: &Policy, path: &str, mut note: impl FnMut(Option<Kind>, &str)) {
    let is_about_blocked = LazyCell::new(|| is_call_about_blocked(path));
    let mut before = ["", ""];
    for part in path.split(['/', '?', '&', '=', '#']) {
        let value = decoded(part);
        if before[0] == IDENTITIES {
            note(Some(Kind::UserId), &value);
        }
        // An IPv6 address may begin like a name with a colon.
        let looks = || kind_by_looks(&value).filter(|_| !has_name(&value));
        match ip(&value).map(|_| Kind::Ip).or_else(looks) {
            Some(kind) => note(Some(kind), &value),
            None if before[1] == IDENTIFIER && *is_about_blocked => {
                note(Some(Kind::Username), &value);
            }
            None => of_decoded_search(policy, &value, &mut note),
        }
        before = [before[1], part];
    }
    if may_have_form(path) {
        of_form(policy, path, note);
    }
}

/// The same for a search query, in which a plus sign may stand for a space.
pub(super) fn of_decoded_search(
    policy: &Policy,
    search: &str,
    note: &mut impl FnMut(Option<Kind>, &str),
) {
    of_search(policy, &spaced(search), note);
    if search.contains('+') {
        of_search(policy, &search.replace('+', " "), note);
    }
}

/// The same for the values of personal parameters in a form or a query:
/// `email=a%40b.c&user_id=auth0%7C1`.
pub(super) fn of_form(policy: &Policy, text: &str, mut note: impl FnMut(Option<Kind>, &str)) {
    let is_between = |it: char| it.is_whitespace() || "&?#;".contains(it);
    let mut view = View::of(text);
    for _ in 0..ROUNDS {
        for pair in view.text.split(is_between) {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let role = role(fields::name(name).field);
            if role == Role::Search {
                of_decoded_search(policy, &decoded(value), &mut note);
                continue;
            }
            // The value may be a list.
            for value in value_alone(value).split(',') {
                let value = decoded(trimmed_of_signs(role, value));
                let value = match role {
                    Role::Personal(_) => &*value,
                    _ => after_scheme(&value).unwrap_or(&value),
                };
                for value in [value, &value.replace('+', " ")] {
                    if let Some(kind) = kind(policy, role, value) {
                        note(Some(kind), value);
                    }
                }
            }
        }
        match view.decoded(false) {
            Some(decoded) => view = decoded,
            None => return,
        }
    }
}

/// Whether a text begins as a form or a query does: with a name and an equals sign.
pub(super) fn begins_a_form(text: &str) -> bool {
    let text = text.strip_prefix('?').unwrap_or(text);
    !text.starts_with('=') && begins_a_pair(text)
}

/// The kind of a value by its looks, including IP addresses.
pub(super) fn by_looks(value: &str) -> Option<Kind> {
    kind_by_looks(value).or_else(|| ip(value).map(|_| Kind::Ip))
}

/// The value of a pair in a form, up to where the text around the form goes on: at a quote, a closing
/// bracket without an opening one, or a bar before another pair.
fn value_alone(value: &str) -> &str {
    let value = value.trim_start_matches(|it: char| "\"'([{<".contains(it));
    let mut has_bracket = false;
    for (at, letter) in value.char_indices() {
        let after = &value[at + letter.len_utf8()..];
        let is_end = match letter {
            '"' | '<' | '>' | '}' => true,
            ']' => !has_bracket,
            // Before a letter or a digit, a backslash is part of the value: `CORP\ada`.
            '\\' => !after.starts_with(char::is_alphanumeric),
            '|' => begins_a_pair(after),
            _ => false,
        };
        if is_end {
            return &value[..at];
        }
        has_bracket |= letter == '[';
    }
    value
}

/// Whether a text begins with a name and an equals sign.
fn begins_a_pair(text: &str) -> bool {
    let after = text.trim_start_matches(|it: char| it.is_ascii_alphanumeric() || it == '_');
    after.starts_with('=')
}

/// A value without the punctuation of the sentence around it.
fn trimmed_of_signs(role: Role, value: &str) -> &str {
    let value = value.trim_start_matches(|it: char| "\"'(".contains(it));
    let is_address = role == Role::Personal(Kind::Ip);
    value.trim_end_matches(|it: char| "').!".contains(it) || it == ':' && !is_address)
}

/// A text with its encoded characters decoded, in up to `ROUNDS` rounds.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    let mut view = View::of(text);
    for _ in 0..ROUNDS {
        match view.decoded(false) {
            Some(decoded) => view = decoded,
            None => break,
        }
    }
    view.text
}
