//! What replaces a personal value: a mask, a pseudonym, a part of it, or nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::found::Found;
use super::key::{CLIENTS, Group, Key, ip, is_pseudonym, mail_domain, trimmed, unquoted};
use super::looks::{is_international_phone, is_phone, kind_by_looks};
use super::pieces::Piece;
use super::{Kind, fields_only, find, rewrite};
use crate::json::Token;
use crate::redact::{MASK, Redaction};

/// Bits of an IPv4 address that truncation keeps, and of an IPv6 address.
const KEPT_V4: u32 = 24;
const KEPT_V6: u32 = 48;
/// The beginning of an address in which an IPv4 address follows (6to4, RFC 3056).
const SIX_TO_FOUR: u16 = 0x2002;

/// How personal values of a kind are treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    /// `***` replaces the value.
    Mask,
    /// A pseudonym replaces the value.
    Pseudonym,
    /// A part of the value is kept.
    Truncate,
    /// The field is left out.
    Drop,
}

/// The method for each kind; `None` if its values are kept.
pub(super) type Methods = [Option<Method>; Kind::ALL.len()];

/// Which personal data is hidden from one destination, and how. The default hides nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    methods: Methods,
    key: Option<Key>,
}

impl Policy {
    pub(super) fn new(methods: Methods, key: Option<Key>) -> Self {
        Self { methods, key }
    }

    /// Whether the policy hides nothing.
    pub fn is_empty(&self) -> bool {
        self.methods.iter().all(Option::is_none)
    }

    /// The tokens of a record with its personal data replaced. Secrets are still to be masked. `None` if
    /// replacing whole strings is not enough. The tokens borrow the replacements from `room`.
    pub(super) fn plain<'t, 'p: 't>(
        &'p self,
        redaction: Redaction,
        record: &'t str,
        room: &'t mut Option<Found<'p>>,
    ) -> Option<Vec<Token<'t>>> {
        fields_only::plain(self, redaction, record, room)
    }

    /// The pieces of a record, with secrets masked and personal data treated as the policy says.
    pub(super) fn apply<'a>(&self, redaction: Redaction, record: &'a str) -> Vec<Piece<'a>> {
        let (mut pieces, found) = find::find(self, record.len(), redaction.tokens(record));
        if let Some(found) = found {
            rewrite::rewrite(self, &found, &mut pieces);
        }
        pieces
    }

    /// Whether the policy leaves members out. Any method for locations leaves out coordinates.
    pub(super) fn leaves_out(&self) -> bool {
        self.methods.contains(&Some(Method::Drop)) || self.method(Kind::Location).is_some()
    }

    pub(super) fn method(&self, kind: Kind) -> Option<Method> {
        self.methods[kind as usize]
    }

    /// The kind whose method applies to a full name.
    pub(super) fn kind_of_name(&self) -> Kind {
        match self.method(Kind::FirstName) {
            Some(_) => Kind::FirstName,
            None => Kind::LastName,
        }
    }

    /// What replaces a value of this kind, unless its field is dropped.
    pub(super) fn replacement(&self, kind: Kind, value: &str) -> String {
        let each = |one: &dyn Fn(&str) -> String| match kind {
            // A list of addresses, or pairs, that proxies have added.
            Kind::Ip if memchr::memchr2(b',', b'=', value.as_bytes()).is_some() => value
                .split(',')
                .map(|it| forwarded(it.trim(), one))
                .collect::<Vec<_>>()
                .join(", "),
            _ => one(value),
        };
        match (self.method(kind), &self.key) {
            (None, _) => value.to_owned(),
            (Some(Method::Pseudonym), Some(key)) => each(&|value| self.pseudonym(key, kind, value)),
            (Some(Method::Truncate), _) if kind == Kind::Ip => each(&truncated),
            _ => MASK.to_owned(),
        }
    }

    /// The pseudonym of a value. A name that is an e-mail address or a phone number, as Auth0 sets it by
    /// default, gets the pseudonym of that address or number. So does a user id that is an e-mail
    /// address, as directories have it.
    fn pseudonym(&self, key: &Key, kind: Kind, value: &str) -> String {
        let is_withheld = |own| matches!(self.method(own), Some(Method::Mask | Method::Drop));
        let trimmed = trimmed(value);
        if is_pseudonym(trimmed) {
            let is_own = matches!(kind, Kind::Email | Kind::Username) || trimmed.ends_with(CLIENTS);
            // Without the white space around it, which JSON may have to escape.
            return match trimmed.split_once('@') {
                Some((code, _)) if !is_own && is_withheld(Kind::Email) => code.to_owned(),
                _ => value.to_owned(),
            };
        }
        let own = match kind {
            Kind::FirstName | Kind::LastName if mail_domain(value).is_some() => Kind::Email,
            Kind::FirstName | Kind::LastName if is_phone(value) => Kind::Phone,
            Kind::Email | Kind::Username if is_international_phone(value) => Kind::Phone,
            Kind::UserId if value.contains('@') && kind_by_looks(value) == Some(Kind::Email) => {
                Kind::Email
            }
            _ => kind,
        };
        if own == Kind::Email && own != kind && is_withheld(own) {
            // E-mail addresses are masked, and the domain is a part of them.
            return key.code(Group::of(own), value);
        }
        key.pseudonym(Group::of(own), value)
    }
}

/// What replaces an element that a proxy has added: an address, or, in the `Forwarded` header, the pairs
/// `for` and `by`. No other pair is kept.
fn forwarded(element: &str, one: &dyn Fn(&str) -> String) -> String {
    let pairs = element.split(';').filter_map(|pair| {
        let (name, address) = pair.split_once('=')?;
        let is_name = |it: &&str| it.eq_ignore_ascii_case(name.trim());
        let name = ["for", "by"].into_iter().find(is_name)?;
        Some(format!("{name}={}", one(unquoted(address))))
    });
    match pairs.collect::<Vec<_>>() {
        pairs if pairs.is_empty() => one(element),
        pairs => pairs.join(";"),
    }
}

/// The network of an address. Anything else is masked.
fn truncated(value: &str) -> String {
    match ip(value) {
        Some(IpAddr::V4(it)) => {
            let kept = u32::MAX << (u32::BITS - KEPT_V4);
            Ipv4Addr::from_bits(it.to_bits() & kept).to_string()
        }
        Some(IpAddr::V6(it)) => {
            let kept = match it.segments() {
                [SIX_TO_FOUR, ..] => u16::BITS + KEPT_V4,
                _ => KEPT_V6,
            };
            let kept = u128::MAX << (u128::BITS - kept);
            Ipv6Addr::from_bits(it.to_bits() & kept).to_string()
        }
        None => MASK.to_owned(),
    }
}

/// Parses a list of kinds and methods. An error says what the setting accepts.
pub(super) fn parse(text: &str) -> Result<Methods, String> {
    let mut methods = Methods::default();
    if text.trim() == "none" {
        return Ok(methods);
    }
    for term in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let Some((kind, method)) = term.split_once(':') else {
            return Err(format!(
                "has a part that is not kind:method; {}",
                what_it_takes()
            ));
        };
        let (kind, method) = (kind.trim(), method.trim());
        let Some(kind) = Kind::ALL.into_iter().find(|it| it.name() == kind) else {
            return Err(format!(
                "names an unknown kind of personal data; {}",
                what_it_takes()
            ));
        };
        let method = match method {
            "mask" => Method::Mask,
            "pseudonym" => Method::Pseudonym,
            "truncate" => Method::Truncate,
            "drop" => Method::Drop,
            _ => return Err(format!("names an unknown method; {}", what_it_takes())),
        };
        if method == Method::Truncate && !matches!(kind, Kind::Ip | Kind::Location) {
            let name = kind.name();
            return Err(format!(
                "has {name}:truncate, and only ip and location can be truncated; {name} takes mask, \
                 pseudonym or drop"
            ));
        }
        if methods[kind as usize].replace(method).is_some() {
            let name = kind.name();
            return Err(format!("names {name} twice; each kind has one method"));
        }
    }
    if methods == Methods::default() {
        return Err(format!(
            "names no kind of personal data; {}",
            what_it_takes()
        ));
    }
    Ok(methods)
}

/// Whether a setting is meant to withhold something.
pub(crate) fn withholds(text: &str) -> bool {
    parse(text) != Ok(Methods::default())
}

/// Whether a text is a policy that withholds something.
pub(crate) fn is_policy(text: &str) -> bool {
    parse(text).is_ok_and(|it| it != Methods::default())
}

fn what_it_takes() -> String {
    let kinds = Kind::ALL.map(Kind::name).join(", ");
    format!(
        "it takes a list such as email:pseudonym,ip:truncate, of the kinds {kinds}, and the methods \
         mask, pseudonym, drop and, for ip and location, truncate; or none"
    )
}
