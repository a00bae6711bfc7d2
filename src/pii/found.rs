//! The personal values of a record, and what replaces them.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::Kind;
use super::aliases::{Whole, for_each_alias};
use super::key::{trimmed, user_id_prefix};
use super::method::Policy;
use super::prefilter::Prefilter;
use super::search::{Index, Needles, folded};
use crate::redact::MASK;

/// What Auth0 writes under the name of a user agent to say whether it has seen the browser before.
const NO_USER_AGENTS: [&str; 2] = ["known", "unknown"];

/// A personal value, and what replaces it.
pub(super) struct Value {
    pub kind: Kind,
    pub text: String,
    pub replacement: String,
}

/// The personal values of a record.
pub(super) struct Found<'p> {
    pub(super) policy: &'p Policy,
    pub(super) values: Vec<Value>,
    /// The values and their aliases, sorted; built when a string is first searched for them.
    pub(super) index: OnceCell<Index>,
    /// What replaces the user ids, both without their connections; built when an id of an identity is
    /// first met.
    pub(super) ids: OnceCell<HashMap<String, String>>,
    /// The numbers of the objects that are about users, sorted.
    pub(super) users: Vec<u32>,
}

impl Found<'_> {
    /// The values that are replaced.
    fn replaced(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().filter(|it| it.text != it.replacement)
    }

    /// A quick check that rules the values out for most strings.
    pub fn prefilter(&self) -> Prefilter {
        Prefilter::for_values(self.replaced().map(|it| (it.kind, &*it.text)))
    }

    /// The index of what is searched for in all other strings.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut needles = Needles::default();
            for Value {
                kind,
                text,
                replacement,
            } in self.replaced()
            {
                needles.add(*kind, false, text, replacement);
                for_each_alias(*kind, text, |alias, of| match of {
                    Whole::All => needles.add(*kind, true, alias, replacement),
                    Whole::UserId => {
                        let code = replacement.strip_prefix(user_id_prefix(text));
                        needles.add(*kind, true, alias, code.unwrap_or(replacement));
                    }
                    Whole::Part(part) => {
                        let replacement = self.policy.replacement(*kind, part);
                        needles.add(*kind, true, alias, &replacement);
                    }
                });
            }
            needles.index()
        })
    }

    /// Whether the object of this number is about a user.
    pub fn is_user_s(&self, number: u32) -> bool {
        self.users.binary_search(&number).is_ok()
    }

    /// The replacement of a value that was noted; `None` if the value stays as it is.
    pub fn noted(&self, number: u32) -> Option<&str> {
        let value = &self.values[number as usize];
        (value.replacement != value.text).then_some(&*value.replacement)
    }

    /// Gives each noted id of an identity the replacement of the user's id without its connection.
    pub fn settle(&mut self) {
        if self.values.len() < 2 {
            return;
        }
        for number in 0..self.values.len() {
            let value = &self.values[number];
            if let Some(known) = self.of_identity(value.kind, &value.text) {
                self.values[number].replacement = known.to_owned();
            }
        }
    }

    /// The replacement of a personal value that was not noted.
    pub fn replacement(&self, kind: Kind, value: &str) -> String {
        if !is_personal(kind, value) {
            return value.to_owned();
        }
        match self.of_identity(kind, value) {
            Some(known) => known.to_owned(),
            None => self.policy.replacement(kind, value),
        }
    }

    /// The replacement of the id of an identity, which is the user's id without its connection. That it
    /// may be the user's name or address too makes no difference: each kind has its own method.
    fn of_identity(&self, kind: Kind, value: &str) -> Option<&str> {
        if kind != Kind::UserId || value.contains('|') {
            return None;
        }
        let ids = self.ids.get_or_init(|| self.ids_without_connections());
        ids.get(&*folded(trimmed(value))).map(String::as_str)
    }

    fn ids_without_connections(&self) -> HashMap<String, String> {
        let mut ids = HashMap::new();
        for value in self.replaced().filter(|it| it.kind == Kind::UserId) {
            let text = trimmed(&value.text);
            let prefix = user_id_prefix(text);
            if !prefix.is_empty() {
                let id = folded(trimmed(&text[prefix.len()..])).into_owned();
                let code = value.replacement.strip_prefix(prefix);
                let code = code.unwrap_or(&value.replacement);
                ids.entry(id).or_insert_with(|| code.to_owned());
            }
        }
        ids
    }
}

/// Whether a value says anything about a person.
pub(super) fn is_personal(kind: Kind, value: &str) -> bool {
    let value = trimmed(value);
    let says_nothing = match kind {
        Kind::UserAgent => NO_USER_AGENTS.contains(&value),
        _ => false,
    };
    !(value.is_empty() || value == MASK || says_nothing)
}
