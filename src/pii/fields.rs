//! What the name of a field says about personal data. Nothing but the name is considered here.
//!
//! The names are those that Auth0's log streams treat as personal, those of its user profiles, of
//! `OpenID` Connect's standard claims, of SCIM and of directories, in any spelling: `user_name`,
//! `userName`.

use std::sync::LazyLock;

use super::Kind;
use super::names::{
    ends_with_ip, is_claim, is_fixed, is_identifier, known, of_identifier, tells_a_thing,
    tells_a_user,
};
use crate::json::unescape_lossy;
use crate::table::catalogue::catalogue;

/// How many letters and digits of a name are compared, from its end: more than the longest known name
/// has.
const LONGEST: usize = 32;

/// What a name says about its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    /// Nothing.
    Open,
    /// A value of this kind.
    Of(Kind),
    /// A value of this kind, if it looks like one.
    LooksLike(Kind),
    /// A person, by an e-mail address, a user id or a phone number; or an object about a user.
    Somebody,
    /// The same, but a user name if it looks like none of these.
    Login,
    /// The same, but of this kind if the object is about a user: its name means something else elsewhere.
    OfUser(Kind),
    /// The name of whatever the object is about.
    Name,
    /// The id of whatever the object is about.
    Id,
    /// An object about a user.
    User,
    /// An object about something else that has a name, such as an application.
    Thing,
    /// An object about a place.
    Place,
    /// A country.
    Country,
    /// Any other part of a location, such as a city.
    Town,
    /// A geographic coordinate.
    Coordinate,
    /// The body of a request or a response.
    Body,
    /// The field `details` of a record, which describes the call.
    Details,
    /// The path of a request.
    Path,
    /// A search query.
    Search,
    /// A value of the field after which the object is named: `emails: [{value}]` in SCIM, `email: {old,
    /// new}` in a change.
    Value,
    /// The name of a field, whose value is in another member of the same object.
    Label,
    /// A word that Auth0 defines, such as a method or a scope.
    Word,
}

use Field::{Coordinate, Country, Login, LooksLike, Name, Of, OfUser, Open, Somebody, Town};

impl Field {
    /// Judges a name whose escapes are resolved.
    fn named(name: &str) -> Self {
        match Self::of_word(name) {
            Open if is_identifier(name) => of_identifier(name),
            // The last part decides where a name has a namespace, as claims do, or begins with the names
            // of enclosing objects. It is not SCIM's `value`, as in `emails[type eq "work"].value`, nor
            // a list index, as in `/emails/0`.
            Open => last_part(name).map_or(Open, |part| match Self::of_word(part) {
                it @ (Of(_) | LooksLike(_) | Somebody | Login) => it,
                it @ (OfUser(_) | Name) if is_claim(name) => it,
                // A short one may be that of anything: `device.sn`.
                OfUser(_) => Somebody,
                // A bare `name` may be that of a role; `displayName` and the like are a person's.
                Name if part.len() > "name".len() => Name,
                _ => Open,
            }),
            field => field,
        }
    }

    /// Whether a string under such a name may be the name of the value beside it.
    pub fn may_be_a_label(self) -> bool {
        matches!(
            self,
            Self::Path | Name | Self::Id | Self::Word | Self::Label
        )
    }

    /// Whether such a name, given in a member beside a value, tells what the value is.
    pub fn says_what_a_value_is(self) -> bool {
        let is_about_a_user = matches!(self, Somebody | OfUser(_) | Login | Name | Self::User);
        let is_about_a_place = matches!(self, Self::Place | Country | Town | Coordinate);
        let may_name_somebody = matches!(self, Self::Path | Self::Search);
        self.tells_a_kind() || is_about_a_user || is_about_a_place || may_name_somebody
    }

    /// Whether a value under such a name is of one kind.
    pub fn tells_a_kind(self) -> bool {
        matches!(self, Of(_) | LooksLike(_))
    }

    /// Ranks this name among several that members beside a value give; `under` is the key of its member.
    /// A name that tells a kind comes first; then one under `name`, `key` or `path` before one under
    /// `type`; then a certain kind before a likely one.
    pub fn rank_as_label(self, under: Self) -> u8 {
        let is_name = matches!(under, Name | Self::Label | Self::Path);
        let is_sure = matches!(self, Of(_));
        4 * u8::from(self.tells_a_kind()) + 2 * u8::from(is_name) + u8::from(is_sure)
    }

    fn of_word(name: &str) -> Self {
        match Letters::of(name).with(known) {
            Open if ends_with_ip(name) => Of(Kind::Ip),
            field => field,
        }
    }
}

/// The last part of a name that is neither `value` nor a list index.
fn last_part(name: &str) -> Option<&str> {
    let name = name.split('[').next()?;
    let is_place =
        |it: &str| it == "value" || it.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    let mut parts = name.rsplit(['/', ':', '#', '.']);
    parts.find(|it| !is_place(it))
}

/// The last letters and digits of a name, up to `LONGEST` of them, in lower case.
struct Letters([u8; LONGEST], usize);

impl Letters {
    fn of(name: &str) -> Self {
        let mut letters = [0; LONGEST];
        let mut first = LONGEST;
        let of_name = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
        for letter in of_name.take(LONGEST) {
            first -= 1;
            letters[first] = letter.to_ascii_lowercase();
        }
        Self(letters, first)
    }

    fn with<T>(&self, judge: impl Fn(&str) -> T) -> T {
        judge(std::str::from_utf8(&self.0[self.1..]).unwrap_or_default())
    }
}

/// All that a name says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each says something else")]
pub(super) struct Verdict {
    pub field: Field,
    /// Whether an object that has such a field is about a user.
    pub tells_a_user: bool,
    /// Whether an object that has such a field is about something else.
    pub tells_a_thing: bool,
    /// Whether it is a field at the top of a record that Auth0 alone sets.
    pub is_fixed: bool,
    /// Whether it is the name of a column, which cannot contain a personal value.
    pub is_common: bool,
}

impl Verdict {
    fn judge(name: &str) -> Self {
        let letters = Letters::of(name);
        Self {
            field: Field::named(name),
            tells_a_user: letters.with(tells_a_user) || is_claim(name),
            tells_a_thing: letters.with(tells_a_thing),
            is_fixed: is_fixed(name),
            is_common: false,
        }
    }
}

/// Judges a name as it is written. Most names are those of columns, which are judged once.
pub(super) fn name(raw: &str) -> Verdict {
    static COMMON: LazyLock<Common> = LazyLock::new(|| {
        let columns = &catalogue().columns;
        Common::of(columns.iter().flat_map(|it| it.path.iter().copied()))
    });
    let common = COMMON.get(raw);
    common.unwrap_or_else(|| Verdict::judge(&unescape_lossy(raw)))
}

/// Slots in the hash table of common names: more than there are names, so that few collide.
const PLACES: usize = 1 << PLACES_BITS;
const PLACES_BITS: u32 = 11;

/// A hash table of common names and their verdicts.
struct Common(Vec<Option<(&'static str, Verdict)>>);

impl Common {
    fn of(names: impl Iterator<Item = &'static str>) -> Self {
        let mut places = vec![None; PLACES];
        for name in names {
            // On a collision the first name keeps the slot. The others are judged each time.
            places[Self::place(name)].get_or_insert_with(|| {
                let verdict = Verdict::judge(name);
                let is_common = true;
                (
                    name,
                    Verdict {
                        is_common,
                        ..verdict
                    },
                )
            });
        }
        Self(places)
    }

    fn get(&self, name: &str) -> Option<Verdict> {
        let (known, verdict) = self.0[Self::place(name)].as_ref()?;
        (*known == name).then_some(*verdict)
    }

    fn place(name: &str) -> usize {
        let name = name.as_bytes();
        let (begin, end) = match (name.first_chunk(), name.last_chunk()) {
            (Some(begin), Some(end)) => (u64::from_le_bytes(*begin), u64::from_le_bytes(*end)),
            _ if name.len() >= 4 => {
                let number = |it: Option<&[u8; 4]>| it.map_or(0, |it| u32::from_le_bytes(*it));
                (
                    number(name.first_chunk()).into(),
                    number(name.last_chunk()).into(),
                )
            }
            _ => {
                let number = |it: Option<&u8>| it.copied().unwrap_or(0).into();
                (number(name.first()), number(name.last()))
            }
        };
        let mixed = (begin ^ end.rotate_left(29) ^ name.len() as u64).wrapping_mul(MIX);
        // The upper bits depend on all bits of the input.
        (mixed >> (u64::BITS - PLACES_BITS)) as usize
    }
}

/// An odd multiplier with irregular bits.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a name says within an object about a place.
pub(super) fn in_place(raw: &str) -> Field {
    let field = self::name(raw).field;
    if matches!(field, Country | Coordinate) {
        return field;
    }
    let mut name = unescape_lossy(raw).to_ascii_lowercase();
    name.retain(|it| it.is_ascii_alphanumeric());
    match &*name {
        "country" => Country,
        "lat" | "lon" | "lng" | "long" | "latlng" | "latlon" | "latlong" | "coord" | "coords"
        | "coordinates" | "geopoint" | "point" => Coordinate,
        _ => Town,
    }
}
