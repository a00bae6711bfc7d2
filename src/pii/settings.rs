//! The settings for personal data: the method for each kind, and the key for pseudonyms.

use super::method::{self, Method, Methods};
use super::{Key, Policy};
use crate::settings::Reader;

/// The methods for personal data, unless a destination has a setting of its own.
pub(super) const PII: &str = "PII";
const PII_KEY: &str = "PII_KEY";
const PII_KEY_ID: &str = "PII_KEY_ID";
const PII_KEY_PREVIOUS: &str = "PII_KEY_PREVIOUS";

/// The settings that all destinations share.
pub(crate) const SETTINGS: [&str; 4] = [PII, PII_KEY, PII_KEY_ID, PII_KEY_PREVIOUS];

const DEFAULT_KEY_ID: &str = "1";
const WHAT_A_KEY_IS: &str = "32 bytes or more in base64, from which pseudonyms are made; `openssl \
                             rand -base64 32` makes one, and it belongs in the Key Vault";

/// The key for pseudonyms, and the previous one.
pub(crate) struct Keys {
    pub current: Key,
    pub previous: Option<Key>,
}

impl Keys {
    /// Reads both keys. The current one is required.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let bytes = reader.required(PII_KEY, WHAT_A_KEY_IS, Key::parse_bytes);
        let id = reader.or_default(PII_KEY_ID, DEFAULT_KEY_ID, Key::parse_id);
        let previous = reader.optional(PII_KEY_PREVIOUS, previous);
        let current = Key::new(id?, &bytes?);
        if previous.as_ref().is_some_and(|it| it.id() == current.id()) {
            return reader.problem(
                PII_KEY_PREVIOUS,
                "has the id of the present key, so that nobody could tell their pseudonyms apart; \
                 give PII_KEY_ID another value",
            );
        }
        Some(Self { current, previous })
    }

    /// Whether there are keys, and the platform does not have one of them at present.
    pub fn are_away(reader: &Reader) -> bool {
        let mut settings = [PII_KEY, PII_KEY_PREVIOUS].into_iter();
        reader.is_set(PII_KEY) && settings.any(|it| reader.is_unresolved(it))
    }
}

/// Parses `id:key`.
fn previous(text: &str) -> Result<Key, String> {
    let parse = || {
        let (id, key) = text.split_once(':')?;
        let id = Key::parse_id(id.trim()).ok()?;
        Some(Key::new(id, &Key::parse_bytes(key.trim()).ok()?))
    };
    parse().ok_or_else(|| {
        "is not id:key, with the id and the key (32 bytes or more in base64) of before".into()
    })
}

impl Policy {
    /// Reads the policy of the destination that this setting belongs to. `None` stands for a problem
    /// that the reader has noted.
    pub fn read(reader: &mut Reader, setting: &'static str) -> Option<Self> {
        let setting = match reader.get(setting) {
            Some(_) => setting,
            None => PII,
        };
        let methods = reader.or_default(setting, Methods::default(), method::parse);
        let needs_key = methods.is_some_and(|it| it.contains(&Some(Method::Pseudonym)));
        // A key that is set is checked even if nothing needs it yet. One that the platform does not
        // have at present stops only what needs it.
        let has_key = reader.is_set(PII_KEY) && !Keys::are_away(reader);
        let key = if needs_key || has_key {
            Some(Keys::read(reader)?.current)
        } else {
            None
        };
        Some(Self::new(methods?, key))
    }
}
