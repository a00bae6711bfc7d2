//! Personal data: which parts of a record name a person, and what stands in their place where a
//! destination may not see them.
//!
//! A policy says for each kind of personal data what becomes of it. A record is read twice. First
//! its personal values are found, by the names of fields (`fields`, `walk`), also in JSON, forms and
//! paths within texts (`nested`, `queries`). Then it is written anew (`rewrite`): each such field as
//! the policy says, and in all other texts what was found, wherever it occurs (`search`), since Auth0
//! repeats users' names in descriptions, errors and paths. Most records are spared that
//! (`fields_only`): nothing of a person is in them but in fields that are personal as a whole.
//!
//! This room knows no destination, and no setting but those that are shared by all.

mod aliases;
mod fields;
mod fields_only;
mod find;
mod found;
mod key;
mod look;
mod looks;
mod method;
mod names;
mod nested;
mod pieces;
mod privacy;
mod queries;
mod rewrite;
mod search;
mod settings;
mod terms;
mod view;
mod walk;

pub(crate) use self::key::{Group, Key, is_pseudonym};
pub(crate) use self::method::Policy;
pub use self::privacy::Privacy;
pub(crate) use self::settings::{Keys, SETTINGS};

/// A kind of personal data, in the order in which one value of two kinds is judged.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Email,
    Username,
    UserId,
    Phone,
    FirstName,
    LastName,
    Address,
    Ip,
    Location,
    UserAgent,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Email,
        Self::Username,
        Self::UserId,
        Self::Phone,
        Self::FirstName,
        Self::LastName,
        Self::Address,
        Self::Ip,
        Self::Location,
        Self::UserAgent,
    ];

    /// As settings have it.
    fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Username => "username",
            Self::UserId => "user_id",
            Self::Phone => "phone",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Address => "address",
            Self::Ip => "ip",
            Self::Location => "location",
            Self::UserAgent => "user_agent",
        }
    }
}

/// The kinds, as settings have them.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().map(Kind::name)
}

#[cfg(test)]
mod tests;
