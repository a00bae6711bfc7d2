//! The first reading of a record: which personal values there are, and what stands in their place.

use std::collections::{HashMap, HashSet};

use super::Kind;
use super::fields::Field;
use super::key::{CLIENTS, ip, mail_domain, user_id_prefix};
use super::method::{Method, Policy};
use super::nested::{self, Part};
use super::pieces::{Piece, pieces, tokens};
use super::search::{Index, Needles};
use super::view::{ROUNDS, View};
use super::walk::{Role, Walk};
use crate::json::{Token, escape, unescape_lossy};
use crate::redact::MASK;

/// Digits of a phone number by which it is known without its other signs.
const SHORTEST_PHONE: usize = 7;
/// What Auth0 says where it says whether it has seen a browser before.
const NO_USER_AGENTS: [&str; 2] = ["known", "unknown"];
/// The number of the first object in JSON that was cut: there are fewer objects than that.
const FIRST_OF_CUT: usize = usize::MAX / 2;
/// How the paths of calls of the Management API begin.
pub(super) const CALLS: [&str; 2] = ["/api/v2/", "/v2/"];

/// What stands in place of a value, for each kind by the value as it is written.
type Replacements = [HashMap<String, String>; Kind::ALL.len()];

/// What a record says of persons.
pub(super) struct Found {
    replacements: Replacements,
    /// What is looked for in all other texts.
    pub index: Index,
    /// The objects that are about users, by their numbers.
    pub users: HashSet<usize>,
}

impl Found {
    /// What stands in place of a personal value.
    pub fn replacement(&self, policy: &Policy, kind: Kind, raw: &str) -> String {
        let value = unescape_lossy(raw);
        if !is_personal(kind, &value) {
            return value.into_owned();
        }
        // The id of an identity is that of the user without the connection.
        if kind == Kind::UserId
            && !value.contains('|')
            && let Some(known) = self.index.whole(&value)
        {
            return known.to_owned();
        }
        match self.replacements[kind as usize].get(raw) {
            Some(known) => known.clone(),
            None => policy.replacement(kind, &value),
        }
    }
}

/// Whether a value says anything of a person.
fn is_personal(kind: Kind, value: &str) -> bool {
    let value = value.trim();
    let says_nothing = match kind {
        Kind::UserAgent => NO_USER_AGENTS.contains(&value),
        _ => false,
    };
    !(value.is_empty() || value == MASK || says_nothing)
}

/// What a value is, by its looks.
pub(super) fn kind_by_looks(value: &str) -> Option<Kind> {
    let value = value.trim();
    let has_space = value.contains(char::is_whitespace);
    let (connection, id) = value.split_once('|').unwrap_or_default();
    let is_connection = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_number = |it: char| it.is_ascii_digit() || "+-(). ".contains(it);
    let is_user_s = !id.is_empty() && connection.bytes().all(is_connection);
    let is_application_s = value.ends_with(CLIENTS) && !has_space;
    if is_user_s && !connection.is_empty() || is_application_s {
        Some(Kind::UserId)
    } else if mail_domain(value).is_some() && !has_space {
        Some(Kind::Email)
    } else if value.starts_with('+') && digits >= SHORTEST_PHONE && value.chars().all(is_number) {
        Some(Kind::Phone)
    } else {
        None
    }
}

/// Whether a text may be a word of Auth0's own, or several: what names nobody.
pub(super) fn is_word(value: &str) -> bool {
    let is_digit = |it: &u8| it.is_ascii_digit();
    let has_number = value
        .as_bytes()
        .windows(4)
        .any(|it| it.iter().all(is_digit));
    !has_number && !value.contains(['@', '|', '%', '"'])
}

/// Whether a text of this role is read on, since it is not personal as a whole.
pub(super) fn is_read_on(policy: &Policy, role: Role, value: &str) -> bool {
    match role {
        Role::Fixed | Role::Name(_) | Role::Id(_) => false,
        // Left out, so that nothing in it counts.
        Role::Coordinate => policy.method(Kind::Location).is_none(),
        Role::Word => !is_word(value),
        _ => kind(policy, role, value).is_none(),
    }
}

/// The kind of data that a value is, if the policy is about it and its place tells.
pub(super) fn kind(policy: &Policy, role: Role, value: &str) -> Option<Kind> {
    let kind = match role {
        Role::Personal(kind) => Some(kind),
        Role::LooksLike(kind) => kind_by_looks(value).filter(|it| *it == kind),
        Role::Somebody => kind_by_looks(value),
        Role::Town => Some(Kind::Location),
        Role::Country => {
            let is_kept = policy.method(Kind::Location) == Some(Method::Truncate);
            (!is_kept).then_some(Kind::Location)
        }
        _ => None,
    };
    kind.filter(|kind| policy.method(*kind).is_some())
}

/// Finds what the policy is about, and gives back the pieces of the record. `None` if there is
/// nothing of it.
pub(super) fn find<'a>(
    policy: &Policy,
    record: impl Iterator<Item = (Token<'a>, Option<String>)>,
) -> (Vec<Piece<'a>>, Option<Found>) {
    let mut finder = Finder {
        policy,
        replacements: Default::default(),
        needles: Needles::default(),
        users: HashSet::new(),
        bodies: HashSet::new(),
        names: Vec::new(),
        objects: 0,
        objects_of_cut: FIRST_OF_CUT,
        is_call_about_users: false,
        is_any: false,
    };
    let pieces = finder.pieces(record, Walk::of_record());
    finder.read(&pieces);
    (pieces, finder.finish())
}

struct Finder<'p> {
    policy: &'p Policy,
    replacements: Replacements,
    needles: Needles,
    users: HashSet<usize>,
    /// The bodies of calls, by their numbers.
    bodies: HashSet<usize>,
    /// Names and ids, with the number of the object that has them.
    names: Vec<(usize, Kind, String)>,
    /// Objects and lists so far.
    objects: usize,
    /// The same in JSON that was cut, which is not written anew.
    objects_of_cut: usize,
    is_call_about_users: bool,
    is_any: bool,
}

impl Finder<'_> {
    fn pieces<'a>(
        &mut self,
        tokens: impl Iterator<Item = (Token<'a>, Option<String>)>,
        walk: Walk,
    ) -> Vec<Piece<'a>> {
        let (users, bodies) = (&mut self.users, &mut self.bodies);
        pieces(tokens, walk, &mut self.objects, |left| {
            if left.is_user {
                users.insert(left.number);
            }
            if left.is_body {
                bodies.insert(left.number);
            }
        })
    }

    fn read(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            let role = piece.role;
            let token = piece.token();
            match token {
                Token::Text(text) => self.text(role, piece.field, text),
                Token::Number(text) => {
                    if let Some(kind) = kind(self.policy, role, text) {
                        self.note(kind, text);
                    }
                }
                Token::Key(_) | Token::EndObject | Token::EndArray => continue,
                Token::BeginObject | Token::BeginArray | Token::Bool(_) | Token::Null => {}
            }
            self.is_any |= self.is_concerned(role);
        }
    }

    fn nested(&mut self, json: &str, field: Field) {
        let pieces = self.pieces(tokens(json), Walk::within(field));
        self.read(&pieces);
    }

    /// Whether the policy says something of values in this place, whatever they are.
    fn is_concerned(&self, role: Role) -> bool {
        let kind = match role {
            Role::Personal(kind) => kind,
            Role::Place | Role::Coordinate | Role::Country | Role::Town => Kind::Location,
            _ => return false,
        };
        self.policy.method(kind).is_some()
    }

    fn text(&mut self, role: Role, field: Field, raw: &str) {
        let value = unescape_lossy(raw);
        match role {
            Role::Name(number) => {
                let kind = self.policy.kind_of_name();
                self.names.push((number, kind, raw.to_owned()));
            }
            Role::Id(number) if kind_by_looks(&value) == Some(Kind::UserId) => {
                self.names.push((number, Kind::UserId, raw.to_owned()));
            }
            Role::Path => {
                self.is_call_about_users |= is_call_about_users(&value);
                self.path(&value);
            }
            _ => {}
        }
        if let Some(kind) = kind(self.policy, role, &value) {
            self.note(kind, raw);
            return;
        }
        if matches!(role, Role::Somebody | Role::LooksLike(Kind::Email)) {
            for address in addresses(&value) {
                self.note(Kind::Email, &escape(address));
            }
        }
        if is_read_on(self.policy, role, &value) && nested::may_have_json(&value) {
            for part in nested::parts(&value) {
                match part {
                    Part::Plain(_) => {}
                    Part::Json(json) => self.nested(json, field),
                    Part::Cut(json) => {
                        std::mem::swap(&mut self.objects, &mut self.objects_of_cut);
                        self.nested(json, field);
                        std::mem::swap(&mut self.objects, &mut self.objects_of_cut);
                    }
                }
            }
        }
    }

    /// Notes whom a path names, by its looks: `/api/v2/users/auth0%7C1`, `?email=a%40b.c`.
    fn path(&mut self, path: &str) {
        for part in path.split(['/', '?', '&', '=', '#']) {
            let mut view = View::of(part);
            for _ in 0..ROUNDS {
                view = view.decoded(false).unwrap_or(view);
            }
            let part = &*view.text;
            if let Some(kind) = kind_by_looks(part) {
                self.note(kind, &escape(part));
            }
        }
    }

    /// Notes a value of this kind, as it is written.
    fn note(&mut self, kind: Kind, raw: &str) {
        let value = unescape_lossy(raw);
        if self.policy.method(kind).is_none() || !is_personal(kind, &value) {
            return;
        }
        self.is_any = true;
        if self.replacements[kind as usize].contains_key(raw) {
            return;
        }
        let replacement = self.policy.replacement(kind, &value);
        if replacement != *value {
            self.needles.add(kind, false, &value, &replacement);
            self.note_aliases(kind, &value, &replacement);
        }
        self.replacements[kind as usize].insert(raw.to_owned(), replacement);
    }

    /// Notes parts of a value that stand for the whole, and other ways to write it.
    fn note_aliases(&mut self, kind: Kind, value: &str, replacement: &str) {
        let mut add = |alias: &str, replacement: &str| {
            self.needles.add(kind, true, alias, replacement);
        };
        match kind {
            Kind::UserId => {
                let prefix = user_id_prefix(value);
                if !prefix.is_empty() {
                    let code = replacement.strip_prefix(prefix).unwrap_or(replacement);
                    add(&value[prefix.len()..], code);
                }
            }
            Kind::Phone => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                if digits.len() >= SHORTEST_PHONE {
                    add(&digits, replacement);
                    add(&format!("+{digits}"), replacement);
                }
            }
            Kind::Ip => {
                for part in value.split(',').map(str::trim) {
                    let replacement = self.policy.replacement(kind, part);
                    if part != value {
                        add(part, &replacement);
                    }
                    if let Some(ip) = ip(part).map(|it| it.to_string())
                        && ip != part
                    {
                        add(&ip, &replacement);
                    }
                }
            }
            Kind::Email | Kind::Username if mail_domain(value).is_none() => {
                for address in addresses(value) {
                    add(address, &self.policy.replacement(kind, address));
                }
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Option<Found> {
        if self.is_call_about_users {
            self.users.extend(&self.bodies);
        }
        for (number, kind, raw) in std::mem::take(&mut self.names) {
            if self.users.contains(&number) {
                self.note(kind, &raw);
            }
        }
        self.is_any.then(|| Found {
            replacements: self.replacements,
            index: self.needles.index(),
            users: self.users,
        })
    }
}

/// The e-mail addresses in a text that is more than one: `Ada <ada@example.com>, bo@example.com`.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let is_between = |it: char| it.is_whitespace() || ",;<>()\"".contains(it);
    text.split(is_between)
        .filter(|it| mail_domain(it).is_some())
}

/// Whether the bodies of a call are users, by its path.
fn is_call_about_users(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let Some(path) = CALLS.iter().find_map(|it| path.strip_prefix(it)) else {
        return false;
    };
    let segments: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).collect();
    matches!(
        segments[..],
        ["users" | "users-by-email"] | ["users", _] | ["organizations", _, "members"]
    )
}
