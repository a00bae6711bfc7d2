//! The second reading of a record: it is written anew, without what was found.

use super::Kind;
use super::fields::Field;
use super::find::{self, CALLS, Found, is_read_on, kind_by_looks};
use super::method::{Method, Policy};
use super::nested::{self, Part};
use super::walk::{Role, Walk};
use crate::json::{self, Scanner, Token, unescape_lossy};

/// A record without what was found in it.
pub(super) fn rewrite(policy: &Policy, found: &Found, record: &str) -> String {
    let mut writer = Writer {
        policy,
        found,
        objects: 0,
        is_changed: false,
    };
    let mut out = String::with_capacity(record.len() + record.len() / 4);
    writer.document(record, Walk::of_record(), &mut out);
    out
}

struct Writer<'f> {
    policy: &'f Policy,
    found: &'f Found,
    /// Objects and lists so far: as many as at the first reading.
    objects: usize,
    is_changed: bool,
}

/// A value as it is met.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    Scalar,
    List,
    Object,
}

impl Writer<'_> {
    fn document(&mut self, json: &str, mut walk: Walk, out: &mut String) {
        // Where in the output the last member begins.
        let mut member = None;
        // Of each object and list, where to go back to if it is left out.
        let mut marks: Vec<Option<usize>> = Vec::with_capacity(8);
        for token in Scanner::new(json) {
            let role = walk.role();
            // An element of a list is never left out: it would be another list.
            let mark = if walk.is_in_list() { None } else { member };
            match token {
                Token::Key(key) => {
                    member = Some(out.len());
                    walk.key(&unescape_lossy(key));
                    self.key(key, out);
                    continue;
                }
                Token::BeginObject | Token::BeginArray => {
                    let is_list = token == Token::BeginArray;
                    let form = if is_list { Form::List } else { Form::Object };
                    marks.push(mark.filter(|_| self.is_dropped(role, form, "")));
                    json::write(out, token);
                    walk.begin(is_list, self.objects);
                    self.objects += 1;
                }
                Token::EndObject | Token::EndArray => {
                    json::write(out, token);
                    walk.end();
                    if let Some(mark) = marks.pop().flatten() {
                        out.truncate(mark);
                        self.is_changed = true;
                    }
                }
                Token::Text(raw) => match mark {
                    Some(mark) if self.is_dropped(role, Form::Scalar, raw) => {
                        out.truncate(mark);
                        self.is_changed = true;
                    }
                    _ => self.text(role, walk.field(), raw, out),
                },
                Token::Number(_) | Token::Bool(_) | Token::Null => match mark {
                    Some(mark) if self.is_dropped(role, Form::Scalar, "") => {
                        out.truncate(mark);
                        self.is_changed = true;
                    }
                    _ => self.other(role, token, out),
                },
            }
            if walk.is_over() {
                return;
            }
        }
    }

    /// Whether a member is left out.
    fn is_dropped(&self, role: Role, form: Form, raw: &str) -> bool {
        let method = |kind| self.policy.method(kind);
        let is_user_s = |number| self.found.users.contains(&number);
        let kind = match role {
            Role::Coordinate => return method(Kind::Location).is_some(),
            Role::Town if method(Kind::Location) == Some(Method::Truncate) => return true,
            Role::Place if form == Form::Scalar => return false,
            Role::Place | Role::Town | Role::Country => Kind::Location,
            Role::Personal(Kind::Address) => Kind::Address,
            Role::Personal(kind) if form != Form::Object => kind,
            Role::LooksLike(_) | Role::Somebody => {
                match find::kind(self.policy, role, &unescape_lossy(raw)) {
                    Some(kind) => kind,
                    None => return false,
                }
            }
            Role::Name(number) if is_user_s(number) && form == Form::Scalar => {
                self.policy.kind_of_name()
            }
            Role::Id(number) if is_user_s(number) && is_user_id(raw) => Kind::UserId,
            _ => return false,
        };
        method(kind) == Some(Method::Drop)
    }

    /// The kind of data that a text is, if it does not stay.
    fn kind(&self, role: Role, raw: &str) -> Option<Kind> {
        let is_user_s = |number| self.found.users.contains(&number);
        let kind = match role {
            Role::Name(number) if is_user_s(number) => self.policy.kind_of_name(),
            Role::Id(number) if is_user_s(number) && is_user_id(raw) => Kind::UserId,
            _ => return find::kind(self.policy, role, &unescape_lossy(raw)),
        };
        self.policy.method(kind).map(|_| kind)
    }

    fn key(&mut self, raw: &str, out: &mut String) {
        let name = unescape_lossy(raw);
        let replaced = self.found.index.replaced_in_name(&name);
        if *replaced == *name {
            json::write(out, Token::Key(raw));
        } else {
            json::write(out, Token::Key(&json::escape(&replaced)));
            self.is_changed = true;
        }
    }

    fn text(&mut self, role: Role, field: Field, raw: &str, out: &mut String) {
        if role == Role::Fixed {
            return json::write(out, Token::Text(raw));
        }
        let value = unescape_lossy(raw);
        let new = match self.kind(role, raw) {
            Some(kind) => self.found.replacement(self.policy, kind, raw),
            None if role == Role::Path => {
                let (called, rest) = value.split_at(end_of_call(&value));
                format!("{called}{}", self.found.index.replaced(rest))
            }
            None if is_read_on(self.policy, role, &value) && nested::may_have_json(&value) => {
                self.parts(field, &value)
            }
            None => self.found.index.replaced(&value).into_owned(),
        };
        if new == *value {
            json::write(out, Token::Text(raw));
        } else {
            json::write(out, Token::Text(&json::escape(&new)));
            self.is_changed = true;
        }
    }

    /// A text with JSON in it.
    fn parts(&mut self, field: Field, text: &str) -> String {
        let mut new = String::with_capacity(text.len());
        let was_changed = std::mem::take(&mut self.is_changed);
        let mut is_changed = was_changed;
        for part in nested::parts(text) {
            match part {
                Part::Plain(part) | Part::Cut(part) => {
                    new.push_str(&self.found.index.replaced(part));
                }
                Part::Json(json) => {
                    let mut out = String::with_capacity(json.len());
                    self.document(json, Walk::within(field), &mut out);
                    // What has not changed keeps its white space.
                    let has_changed = std::mem::take(&mut self.is_changed);
                    new.push_str(if has_changed { &out } else { json });
                    is_changed |= has_changed;
                }
            }
        }
        self.is_changed = is_changed;
        new
    }

    /// A number, a truth value, or nothing.
    fn other(&mut self, role: Role, token: Token, out: &mut String) {
        let Token::Number(number) = token else {
            return json::write(out, token);
        };
        let index = &self.found.index;
        let new = match self.kind(role, number) {
            Some(kind) => Some(self.found.replacement(self.policy, kind, number)),
            None if role == Role::Fixed => None,
            None => index.number(number).map(str::to_owned),
        };
        match new {
            Some(new) => {
                json::write(out, Token::Text(&json::escape(&new)));
                self.is_changed = true;
            }
            None => json::write(out, token),
        }
    }
}

fn is_user_id(raw: &str) -> bool {
    kind_by_looks(&unescape_lossy(raw)) == Some(Kind::UserId)
}

/// Where in a path ends what is called: after `/api/v2/clients`. That is no user's choice, and a user
/// who takes its name hides nothing.
fn end_of_call(path: &str) -> usize {
    let Some(called) = CALLS.iter().find_map(|it| path.strip_prefix(it)) else {
        return 0;
    };
    let length = called.find(['/', '?', '#']).unwrap_or(called.len());
    let is_plain = called[..length]
        .bytes()
        .all(|it| it.is_ascii_lowercase() || it == b'-');
    let begin = path.len() - called.len();
    if is_plain { begin + length } else { 0 }
}
