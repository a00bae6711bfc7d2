//! The first reading of a record: which personal values there are, and what stands in their place.

use std::collections::{HashMap, HashSet};

use super::Kind;
use super::fields::Field;
use super::key::{ip, mail_domain, user_id_prefix};
use super::method::{Method, Policy};
use super::nested::{self, Part};
use super::search::{Index, Needles};
use super::walk::{Role, Walk};
use crate::json::{Scanner, Token, unescape_lossy};
use crate::redact::MASK;

/// Digits of a phone number by which it is known without its other signs.
const SHORTEST_PHONE: usize = 7;
/// What Auth0 says where it says whether it has seen a browser before.
const NO_USER_AGENTS: [&str; 2] = ["known", "unknown"];
/// The number of the first object in JSON that was cut: there are fewer objects than that.
const FIRST_OF_CUT: usize = usize::MAX / 2;
/// How the paths of calls of the Management API begin.
pub(super) const CALLS: [&str; 2] = ["/api/v2/", "/v2/"];

/// What a record says of persons.
pub(super) struct Found {
    /// What stands in place of a value, by kind and as it is written.
    replacements: HashMap<(Kind, String), String>,
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
        match self.replacements.get(&(kind, raw.to_owned())) {
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
    if !connection.is_empty() && !id.is_empty() && connection.bytes().all(is_connection) {
        Some(Kind::UserId)
    } else if mail_domain(value).is_some() && !has_space {
        Some(Kind::Email)
    } else if value.starts_with('+') && digits >= SHORTEST_PHONE && value.chars().all(is_number) {
        Some(Kind::Phone)
    } else {
        None
    }
}

/// Whether a text of this role is read on, since it is not personal as a whole.
pub(super) fn is_read_on(policy: &Policy, role: Role, value: &str) -> bool {
    match role {
        Role::Fixed | Role::Name(_) | Role::Id(_) => false,
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

/// Finds what the policy is about. `None` if there is nothing of it.
pub(super) fn find(policy: &Policy, record: &str) -> Option<Found> {
    let mut finder = Finder {
        policy,
        replacements: HashMap::new(),
        needles: Needles::default(),
        users: HashSet::new(),
        bodies: HashSet::new(),
        names: Vec::new(),
        objects: 0,
        objects_of_cut: FIRST_OF_CUT,
        is_call_about_users: false,
        is_any: false,
    };
    finder.document(record, Walk::of_record());
    finder.finish()
}

struct Finder<'p> {
    policy: &'p Policy,
    replacements: HashMap<(Kind, String), String>,
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
    /// Reads JSON, from its beginning to its end or to where it was cut.
    fn document(&mut self, json: &str, mut walk: Walk) {
        for token in Scanner::new(json) {
            match token {
                Token::Key(key) => {
                    walk.key(&unescape_lossy(key));
                    continue;
                }
                Token::BeginObject | Token::BeginArray => {
                    self.is_any |= self.is_concerned(walk.role());
                    walk.begin(token == Token::BeginArray, self.objects);
                    self.objects += 1;
                }
                Token::EndObject | Token::EndArray => self.leave(&mut walk),
                Token::Text(text) => self.text(walk.role(), walk.field(), text),
                Token::Number(text) => {
                    let role = walk.role();
                    self.is_any |= self.is_concerned(role);
                    if let Some(kind) = kind(self.policy, role, text) {
                        self.note(kind, text);
                    }
                }
                Token::Bool(_) | Token::Null => self.is_any |= self.is_concerned(walk.role()),
            }
            if walk.is_over() {
                return;
            }
        }
        while !walk.is_over() {
            self.leave(&mut walk);
        }
    }

    fn leave(&mut self, walk: &mut Walk) {
        if let Some(left) = walk.end() {
            if left.is_user {
                self.users.insert(left.number);
            }
            if left.is_body {
                self.bodies.insert(left.number);
            }
        }
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
        self.is_any |= self.is_concerned(role);
        let value = unescape_lossy(raw);
        match role {
            Role::Name(number) => {
                let kind = self.policy.kind_of_name();
                self.names.push((number, kind, raw.to_owned()));
            }
            Role::Id(number) if kind_by_looks(&value) == Some(Kind::UserId) => {
                self.names.push((number, Kind::UserId, raw.to_owned()));
            }
            Role::Path => self.is_call_about_users |= is_call_about_users(&value),
            _ => {}
        }
        if let Some(kind) = kind(self.policy, role, &value) {
            self.note(kind, raw);
        } else if is_read_on(self.policy, role, &value) && nested::may_have_json(&value) {
            for part in nested::parts(&value) {
                match part {
                    Part::Plain(_) => {}
                    Part::Json(json) => self.document(json, Walk::within(field)),
                    Part::Cut(json) => {
                        std::mem::swap(&mut self.objects, &mut self.objects_of_cut);
                        self.document(json, Walk::within(field));
                        std::mem::swap(&mut self.objects, &mut self.objects_of_cut);
                    }
                }
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
        let id = (kind, raw.to_owned());
        if self.replacements.contains_key(&id) {
            return;
        }
        let replacement = self.policy.replacement(kind, &value);
        if replacement != *value {
            self.needles.add(kind, false, &value, replacement.clone());
            self.note_aliases(kind, &value, &replacement);
        }
        self.replacements.insert(id, replacement);
    }

    /// Notes parts of a value that stand for the whole, and other ways to write it.
    fn note_aliases(&mut self, kind: Kind, value: &str, replacement: &str) {
        let mut add = |alias: &str, replacement: &str| {
            self.needles.add(kind, true, alias, replacement.to_owned());
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
                    add(part, &replacement);
                    if let Some(ip) = ip(part) {
                        add(&ip.to_string(), &replacement);
                    }
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
