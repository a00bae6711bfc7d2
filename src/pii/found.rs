//! What a record says of persons, and what stands in its place.

use std::cell::OnceCell;

use super::Kind;
use super::aliases::{Whole, for_each_alias};
use super::key::{trimmed, user_id_prefix};
use super::look::Look;
use super::method::Policy;
use super::search::{Index, Needles};
use crate::redact::MASK;

/// What Auth0 says where it says whether it has seen a browser before.
const NO_USER_AGENTS: [&str; 2] = ["known", "unknown"];

/// A personal value, and what stands in its place.
pub(super) struct Value {
    pub kind: Kind,
    pub text: String,
    pub replacement: String,
}

/// What a record says of persons.
pub(super) struct Found<'p> {
    pub(super) policy: &'p Policy,
    pub(super) values: Vec<Value>,
    /// The values and their aliases, in order: made where one of them is looked for.
    pub(super) index: OnceCell<Index>,
    /// The objects that are about users, by their numbers, in order.
    pub(super) users: Vec<u32>,
}

impl Found<'_> {
    /// The values that do not stay.
    fn replaced(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().filter(|it| it.text != it.replacement)
    }

    /// What tells of most texts that none of the values is in them.
    pub fn look(&self) -> Look {
        Look::for_values(self.replaced().map(|it| (it.kind, &*it.text)))
    }

    /// What is looked for in all other texts.
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

    /// What stands in place of a value that was noted, if it does not stay.
    pub fn noted(&self, number: u32) -> Option<&str> {
        let value = &self.values[number as usize];
        (value.replacement != value.text).then_some(&*value.replacement)
    }

    /// Gives identities, of all the values that were noted, what they have in common with users.
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

    /// What stands in place of any other personal value.
    pub fn replacement(&self, kind: Kind, value: &str) -> String {
        if !is_personal(kind, value) {
            return value.to_owned();
        }
        match self.of_identity(kind, value) {
            Some(known) => known.to_owned(),
            None => self.policy.replacement(kind, value),
        }
    }

    /// The id of an identity is that of the user without the connection.
    fn of_identity(&self, kind: Kind, value: &str) -> Option<&str> {
        if kind != Kind::UserId || value.contains('|') {
            return None;
        }
        self.index().whole(value)
    }
}

/// Whether a value says anything of a person.
pub(super) fn is_personal(kind: Kind, value: &str) -> bool {
    let value = trimmed(value);
    let says_nothing = match kind {
        Kind::UserAgent => NO_USER_AGENTS.contains(&value),
        _ => false,
    };
    !(value.is_empty() || value == MASK || says_nothing)
}
