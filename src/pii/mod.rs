//! Personal data: which parts of a record identify a person, and what replaces them for a destination
//! that may not see them.
//!
//! A policy says what happens to each kind of personal data. A record is read in two passes. The first
//! finds its personal values by the names of fields (`fields`, `walk`), also inside JSON, forms and
//! paths in strings (`nested`, `queries`). The second rewrites the record (`rewrite`): it treats each
//! personal field as the policy says, and replaces what was found wherever it occurs in other strings
//! (`search`), since Auth0 repeats users' names in descriptions, errors and paths. Most records need
//! less (`fields_only`): they have personal data only in fields that are personal as a whole.
//!
//! This module knows no destination, and only the settings that all destinations share.

mod aliases;
mod fields;
mod fields_only;
mod find;
mod found;
mod key;
mod kinds;
mod looks;
mod method;
mod names;
mod nested;
mod pieces;
mod prefilter;
mod privacy;
mod queries;
mod rewrite;
mod search;
mod settings;
mod terms;
mod view;
mod walk;

pub(crate) use self::key::{Group, Key, is_pseudonym};
pub(crate) use self::method::{Policy, is_policy, withholds};
pub use self::privacy::Privacy;
pub(crate) use self::settings::{Keys, SETTINGS};

/// A kind of personal data. Where a value is of two kinds, the first in this order counts.
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

    /// The name of the kind in settings.
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

/// The names of the kinds in settings.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().map(Kind::name)
}

#[cfg(test)]
mod tests;
