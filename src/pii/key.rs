//! Keyed pseudonyms: HMAC-SHA-256 over a group, a zero byte and the normalised value, cut to 128 bits,
//! in base32. Without the key, nobody can find a value by trying candidates. With it, the pseudonym of a
//! given value is quickly computed.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

use super::Kind;
use super::looks::SHORTEST_PHONE;

/// The fewest bytes of a key.
const SHORTEST_KEY: usize = 32;
/// The most digits of a postal code.
const LONGEST_POST_CODE: usize = 9;
/// The most characters of a key's id.
const LONGEST_ID: usize = 16;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// How many bytes of the HMAC a pseudonym contains.
const BYTES: usize = 16;
/// How many base32 letters these bytes take.
const LETTERS: usize = 26;
/// Strategies whose user ids name the connection too: `samlp|acme|…`.
const TWO_PART_PREFIXES: [&str; 9] = [
    "ad",
    "adfs",
    "custom",
    "oauth2",
    "oidc",
    "okta",
    "pingfederate",
    "samlp",
    "waad",
];
/// The suffix that Auth0 adds to the client id of an application that acts on its own behalf.
pub(super) const CLIENTS: &str = "@clients";

/// Equal values of one group have the same pseudonym, whatever field they are in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Group(Kind);

impl Group {
    /// The group of a kind. User names are in the group of e-mail addresses, since they often are one.
    pub fn of(kind: Kind) -> Self {
        Self(match kind {
            Kind::Username => Kind::Email,
            kind => kind,
        })
    }

    /// The name of the group as it is printed and hashed.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The groups that a value may belong to, by its looks.
    pub fn candidates(value: &str) -> Vec<Self> {
        let value = trimmed(value);
        let is_ip = ip(value).is_some();
        let is_mail = mail_domain(value).is_some();
        let has_letters = value.chars().any(char::is_alphabetic);
        let is_word = !is_ip && !value.contains(char::is_whitespace);
        let is_user_s = !user_id_prefix(value).is_empty();
        let digits = value.chars().filter(char::is_ascii_digit).count();
        let is_number = digits >= SHORTEST_PHONE;
        let is_words = (has_letters || !is_number) && !is_mail && !is_ip && !is_user_s;
        let may_be = |kind| match kind {
            Kind::Email => true,
            Kind::UserId => is_user_s || is_word && (!is_mail || value.ends_with(CLIENTS)),
            Kind::Phone if is_mail || is_ip || value.contains('|') => false,
            Kind::Phone => is_number || digits >= 4 && !has_letters,
            Kind::Ip => is_ip,
            Kind::Username => false,
            // Postal codes have no letters in most countries.
            Kind::Address | Kind::Location => {
                is_words || !is_mail && !is_ip && !has_letters && digits <= LONGEST_POST_CODE
            }
            _ => is_words,
        };
        let kinds = Kind::ALL.into_iter().filter(|it| may_be(*it));
        kinds.map(Self).collect()
    }

    /// A value as it is hashed. What people consider the same value is hashed alike.
    fn normalised(self, value: &str) -> Cow<'_, str> {
        let value = trimmed(value);
        match self.0 {
            Kind::Phone if value.contains(|it: char| it.is_ascii_digit()) => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                digits.into()
            }
            // Already in its canonical form.
            Kind::Ip if value.parse::<Ipv4Addr>().is_ok() => value.into(),
            Kind::Ip => ip(value).map_or_else(|| lower(value), |it| it.to_string().into()),
            _ => lower(value),
        }
    }
}

/// A key for pseudonyms and its id, which is part of each pseudonym.
#[derive(Clone)]
pub(crate) struct Key {
    id: String,
    /// For each kind, the keyed HMAC that has read the group's name. This state is as secret as the key.
    codes: [Hmac<Sha256>; Kind::ALL.len()],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A key of these bytes.
    pub fn new(id: String, bytes: &SecretSlice<u8>) -> Self {
        // invariant: HMAC takes a key of any length
        #[allow(clippy::expect_used, reason = "stated above")]
        let keyed: Hmac<Sha256> =
            Hmac::new_from_slice(bytes.expose_secret()).expect("HMAC takes every key");
        let codes = Kind::ALL.map(|kind| {
            let mut code = keyed.clone();
            code.update(Group::of(kind).name().as_bytes());
            code.update(&[0]);
            code
        });
        Self { id, codes }
    }

    /// The id of a key. An error says what it should be.
    pub fn parse_id(text: &str) -> Result<String, String> {
        let is_id = text.len() <= LONGEST_ID && text.bytes().all(|it| it.is_ascii_alphanumeric());
        (is_id && !text.is_empty())
            .then(|| text.to_owned())
            .ok_or_else(|| "is not an id of up to 16 letters and digits, such as 1".into())
    }

    /// The bytes of a key. An error says what they should be, and quotes nothing.
    pub fn parse_bytes(text: &str) -> Result<SecretSlice<u8>, String> {
        BASE64_STANDARD
            .decode(text)
            .ok()
            .filter(|bytes| bytes.len() >= SHORTEST_KEY)
            .map(SecretSlice::from)
            .ok_or_else(|| {
                "is not a key of 32 bytes or more in base64; `openssl rand -base64 32` makes one"
                    .into()
            })
    }

    /// The id that tells its pseudonyms from those of another key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pseudonym of a value: its code, with what is kept of an e-mail address (the domain) or a user
    /// id (the prefix).
    pub fn pseudonym(&self, group: Group, value: &str) -> String {
        let trimmed = trimmed(value);
        // With space for what is kept of the value.
        let mut pseudonym = String::with_capacity(value.len() + self.id.len() + LETTERS + 2);
        match group.0 {
            Kind::UserId => {
                let prefix = user_id_prefix(trimmed);
                pseudonym.push_str(prefix);
                self.write(&mut pseudonym, group, value);
                if prefix.is_empty() && trimmed.ends_with(CLIENTS) {
                    pseudonym.push_str(CLIENTS);
                }
            }
            Kind::Email => {
                self.write(&mut pseudonym, group, value);
                if let Some(domain) = mail_domain(trimmed) {
                    pseudonym.push('@');
                    pseudonym.push_str(&lower(domain));
                }
            }
            _ => self.write(&mut pseudonym, group, value),
        }
        pseudonym
    }

    /// The code alone, without what is kept of the value.
    pub fn code(&self, group: Group, value: &str) -> String {
        let mut code = String::with_capacity(self.id.len() + LETTERS + 2);
        self.write(&mut code, group, value);
        code
    }

    fn write(&self, out: &mut String, group: Group, value: &str) {
        let mut code = self.codes[group.0 as usize].clone();
        code.update(group.normalised(value).as_bytes());
        let code = code.finalize().into_bytes();
        out.push('p');
        out.push_str(&self.id);
        out.push('_');
        let letters = base32(std::array::from_fn(|at| code[at]));
        // invariant: the alphabet is ASCII
        #[allow(clippy::expect_used, reason = "stated above")]
        out.push_str(std::str::from_utf8(&letters).expect("letters are ASCII"));
    }
}

/// Encodes five bits per letter. The last letter is padded with zero bits.
fn base32(bytes: [u8; BYTES]) -> [u8; LETTERS] {
    let mut letters = [0; LETTERS];
    // Five bytes make eight letters.
    for (bytes, letters) in bytes.chunks(5).zip(letters.chunks_mut(8)) {
        let mut five = [0; 8];
        five[3..3 + bytes.len()].copy_from_slice(bytes);
        let bits = u64::from_be_bytes(five);
        for (at, letter) in letters.iter_mut().enumerate() {
            let [lowest, ..] = (bits >> (35 - 5 * at)).to_le_bytes();
            *letter = ALPHABET[usize::from(lowest) % ALPHABET.len()];
        }
    }
    letters
}

/// A text without surrounding white space. Most texts have none.
pub(super) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// The value of a pair in a header, without its quotes and without white space inside them, which JSON
/// may have to escape.
pub(super) fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"').trim()
}

/// The parts before and after the first occurrence of an ASCII character.
fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = memchr::memchr(at, text.as_bytes())?;
    Some((&text[..place], &text[place + 1..]))
}

/// A text in lower case, as most texts are already.
fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = |it: u8| it.is_ascii() && !it.is_ascii_uppercase();
    if text.bytes().all(is_lower) {
        return text.into();
    }
    text.to_lowercase().into()
}

/// Whether a value is a pseudonym already, as in a dead letter that is delivered later, or in an
/// archive. A pseudonym of a pseudonym would identify nobody.
pub(crate) fn is_pseudonym(value: &str) -> bool {
    // The separator between the key's id and the letters.
    if memchr::memchr(b'_', value.as_bytes()).is_none() {
        return false;
    }
    let after_prefix = &value[user_id_prefix(value).len()..];
    let code = match after_prefix.split_once('@') {
        Some((code, domain)) if is_domain(domain) => code,
        Some(_) => return false,
        None => after_prefix,
    };
    let Some((id, letters)) = code.strip_prefix('p').and_then(|it| it.split_once('_')) else {
        return false;
    };
    Key::parse_id(id).is_ok()
        && letters.len() == LETTERS
        && letters.bytes().all(|it| ALPHABET.contains(&it))
}

/// The strategy, and for some strategies the connection, before the id in a user id, with the bar after
/// them.
pub(super) fn user_id_prefix(value: &str) -> &str {
    let is_name = |it: &str| {
        let is_letter = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.');
        !it.is_empty() && it.bytes().all(is_letter)
    };
    let Some((strategy, rest)) = split_once(value, b'|').filter(|(it, _)| is_name(it)) else {
        return "";
    };
    let connection = TWO_PART_PREFIXES
        .contains(&strategy)
        .then(|| split_once(rest, b'|'));
    let end = match connection.flatten() {
        Some((connection, _)) if is_name(connection) => strategy.len() + connection.len() + 2,
        _ => strategy.len() + 1,
    };
    &value[..end]
}

/// The domain of an e-mail address, if the value is one.
pub(super) fn mail_domain(value: &str) -> Option<&str> {
    // The last `@` counts.
    let at = memchr::memrchr(b'@', value.as_bytes())?;
    let (local, domain) = (value[..at].trim_start(), value[at + 1..].trim_end());
    // A text with a separator is a list of addresses.
    let is_between = |it: char| it.is_whitespace() || ",;<>".contains(it);
    let is_mail = !local.is_empty() && !local.contains(is_between) && is_domain(domain);
    is_mail.then_some(domain)
}

fn is_domain(text: &str) -> bool {
    let is_part = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-');
    let is_other_part = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-');
    !text.is_empty() && (text.bytes().all(is_part) || text.chars().all(is_other_part))
}

/// Parses an IP address, with or without a port. An IPv4-mapped IPv6 address becomes an IPv4 address.
pub(super) fn ip(value: &str) -> Option<IpAddr> {
    let value = value.trim();
    let address = value.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address: IpAddr = match address.unwrap_or(value).parse() {
        Ok(address) => address,
        Err(_) => value.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}
