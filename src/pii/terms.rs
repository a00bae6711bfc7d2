//! The personal values in a search query, in the syntax of Lucene or of SCIM: `email:"a@b.c"`,
//! `username:(ada OR bo)`, `username:ada\ love`, `userName eq "ada"`.

use std::borrow::Cow;

use super::Kind;
use super::fields::{self, Field};
use super::kinds::kind;
use super::method::Policy;
use super::queries::by_looks;
use super::view::without_escapes;
use super::walk::role;

/// The operators between a name and a value in a SCIM filter.
const OPERATORS: [&str; 9] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
/// The words between the terms of a query.
const BETWEEN: [&str; 4] = ["and", "or", "not", "to"];

/// Calls `note` for each personal value in a search query. The kind is `None` for the name of whatever
/// is searched for.
pub(super) fn of_search(policy: &Policy, text: &str, note: &mut impl FnMut(Option<Kind>, &str)) {
    let mut terms = Terms::default();
    let mut ahead = text;
    while let Some(first) = ahead.chars().next() {
        let after = &ahead[first.len_utf8()..];
        ahead = match first {
            '(' | '[' | '{' => {
                terms.group = std::mem::take(&mut terms.name);
                after
            }
            ')' | ']' | '}' => {
                terms.group = "";
                after
            }
            '"' | '\'' => match after.split_once(first) {
                Some((phrase, rest)) => {
                    if !terms.value(policy, phrase, note) {
                        of_search(policy, phrase, note);
                    }
                    rest
                }
                None => after,
            },
            _ if is_between(first) => after,
            // An IPv6 address has no name before its colon.
            _ => match leading_name(ahead).filter(|_| !terms.is_value) {
                Some((name, rest)) => {
                    terms.name = name;
                    terms.is_value = !rest.starts_with(is_between);
                    rest
                }
                None => {
                    let (word, rest) = ahead.split_at(end_of_word(ahead));
                    terms.word(policy, word.trim_end_matches('\''), note);
                    rest
                }
            },
        };
    }
}

/// A search query in which each plus sign beside an operator, beside a word between terms, or before a
/// name is replaced by a space.
pub(super) fn spaced(search: &str) -> Cow<'_, str> {
    if !search.contains('+') {
        return search.into();
    }
    let is_sign = |word: &str| {
        let mut signs = OPERATORS.iter().chain(&BETWEEN);
        signs.any(|it| it.eq_ignore_ascii_case(word))
    };
    let mut words = search.split('+');
    let mut before = words.next().unwrap_or_default();
    let mut spaced = before.to_owned();
    for word in words {
        let last = before.rsplit(' ').next().unwrap_or_default();
        let first = word.split(' ').next().unwrap_or_default();
        let is_space = is_sign(last) || is_sign(first) || has_name(word);
        spaced.push(if is_space { ' ' } else { '+' });
        spaced.push_str(word);
        before = word;
    }
    spaced.into()
}

/// Where the word at the beginning of a text ends. A backslash makes what separates words a part of the
/// word, except for a quotation mark, which JSON around the query may have escaped.
fn end_of_word(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.find(|it| {
        let is_end = separates(it) && !is_escaped || it == '"';
        is_escaped = it == '\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

fn separates(letter: char) -> bool {
    is_between(letter) || "()[]{}".contains(letter)
}

fn is_between(letter: char) -> bool {
    letter.is_whitespace() || ",<>".contains(letter)
}

/// Whether a text begins with a name and a colon.
pub(super) fn has_name(text: &str) -> bool {
    name_and_rest(text).is_some()
}

/// The name at the beginning of a term, after its signs, and what follows the colon. Looks no further than
/// that: in a long query it is asked for each name.
fn leading_name(term: &str) -> Option<(&str, &str)> {
    name_and_rest(term.trim_start_matches(['+', '-', '!']))
}

fn name_and_rest(text: &str) -> Option<(&str, &str)> {
    let is_letter = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '.');
    let (name, rest) = text.split_at(text.find(|it| !is_letter(it))?);
    let is_name = name.starts_with(|it: char| it.is_ascii_alphabetic());
    Some((name, rest.strip_prefix(':')?)).filter(|_| is_name)
}

/// The state of reading a search query.
#[derive(Default)]
struct Terms<'a> {
    /// The name that the next value belongs to.
    name: &'a str,
    /// The name that all values in the brackets belong to.
    group: &'a str,
    /// The last word that is a value, or the name before an operator.
    last: &'a str,
    /// Whether a value directly follows the colon.
    is_value: bool,
}

impl<'a> Terms<'a> {
    fn word(&mut self, policy: &Policy, word: &'a str, note: &mut impl FnMut(Option<Kind>, &str)) {
        let is_any = |of: &[&str]| of.iter().any(|it| it.eq_ignore_ascii_case(word));
        if !self.is_value && is_any(&OPERATORS) {
            self.name = self.last;
        } else if self.is_value || !is_any(&BETWEEN) {
            self.value(policy, word, note);
            self.last = word;
        }
    }

    /// Notes a value if it is personal. Returns whether it is.
    fn value(
        &mut self,
        policy: &Policy,
        value: &str,
        note: &mut impl FnMut(Option<Kind>, &str),
    ) -> bool {
        let plain = without_escapes(value);
        let (is_escaped, value) = (matches!(plain, Cow::Owned(_)), &*plain);
        let name = std::mem::take(&mut self.name);
        let name = if name.is_empty() { self.group } else { name };
        self.is_value = false;
        let field = match fields::name(name).field {
            Field::Open => fields::name(name.rsplit('.').next().unwrap_or(name)).field,
            field => field,
        };
        if field == Field::Name {
            note(None, value);
            return true;
        }
        let kind = kind(policy, role(field), value).or_else(|| by_looks(value));
        if kind.is_some() {
            note(kind, value);
        } else if is_escaped {
            for part in value.split(separates) {
                if let Some(kind) = by_looks(part) {
                    note(Some(kind), part);
                }
            }
        }
        kind.is_some()
    }
}
