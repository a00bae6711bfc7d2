//! What the name of a field says of a person. Nothing else is known here.
//!
//! The names are those that Auth0's log streams treat as personal, those of its user profiles, of
//! `OpenID` Connect's standard claims and of SCIM, in any spelling: `user_name`, `userName`.

use std::sync::LazyLock;

use super::Kind;
use super::names::{ends_with_ip, is_claim, is_fixed, known, tells_a_thing, tells_a_user};
use crate::json::unescape_lossy;
use crate::table::catalogue::catalogue;

/// Letters of a name that are looked at, the last ones: more than the longest known one has.
const LONGEST: usize = 32;

/// What a name says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    /// Nothing.
    Open,
    /// A value of this kind.
    Of(Kind),
    /// A value of this kind, if it looks like one.
    LooksLike(Kind),
    /// Somebody, in one way or another: an e-mail address, a user id, a phone number; or an object
    /// about a user.
    Somebody,
    /// Somebody, by a user name where it looks like nothing else.
    Login,
    /// The name of whatever the object is about.
    Name,
    /// The id of whatever the object is about.
    Id,
    /// An object about a user.
    User,
    /// An object about something that has a name too.
    Thing,
    /// An object about a place.
    Place,
    /// A country.
    Country,
    /// A part of a country.
    Town,
    /// A number that tells a place.
    Coordinate,
    /// The body of a request or of an answer.
    Body,
    /// What a record says of the call.
    Details,
    /// The path of a request.
    Path,
    /// What is looked for.
    Search,
    /// The value of what the object is named after: SCIM has lists of such objects, and changes have
    /// what it was and what it is.
    Value,
    /// The name of a field, whose value stands beside it.
    Label,
    /// A word of Auth0's own, such as a method or a scope.
    Word,
}

use Field::{Coordinate, Country, Login, LooksLike, Name, Of, Open, Somebody, Town};

impl Field {
    /// Judges a name, as it was written but without escapes.
    fn named(name: &str) -> Self {
        match Self::of_word(name) {
            // Who has a namespace, as claims do, or the names of objects before, says at the end what
            // it is, unless that is what SCIM calls the value, `emails[type eq "work"].value`, or a place in
            // a list: `/emails/0`.
            Open => last_part(name).map_or(Open, |part| match Self::of_word(part) {
                it @ (Of(_) | LooksLike(_) | Somebody | Login) => it,
                // Roles and the like have names too, but not in as many words.
                Name if is_claim(name) || !part.eq_ignore_ascii_case("name") => Name,
                _ => Open,
            }),
            field => field,
        }
    }

    /// Whether a text under such a name may be the name of the value beside it.
    pub fn may_be_a_label(self) -> bool {
        matches!(
            self,
            Self::Path | Name | Self::Id | Self::Word | Self::Label
        )
    }

    /// Whether a value beside such a name is known by it.
    pub fn says_what_a_value_is(self) -> bool {
        let is_about_a_user = matches!(self, Somebody | Login | Name | Self::User);
        let is_about_a_place = matches!(self, Self::Place | Country | Town | Coordinate);
        let may_name_somebody = matches!(self, Self::Path | Self::Search);
        self.tells_a_kind() || is_about_a_user || is_about_a_place || may_name_somebody
    }

    /// Whether what stands under such a name is of one kind.
    pub fn tells_a_kind(self) -> bool {
        matches!(self, Of(_) | LooksLike(_))
    }

    /// Which of several names beside a value counts: of those that tell a kind, one under a name of a
    /// name before a type, and one that is sure before one that may be.
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

/// The last part of a name that is more than a place in a list.
fn last_part(name: &str) -> Option<&str> {
    let name = name.split('[').next()?;
    let is_place =
        |it: &str| it == "value" || it.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    let mut parts = name.rsplit(['/', ':', '#', '.']);
    parts.find(|it| !is_place(it))
}

/// The letters and digits of a name in lower case, the last ones if there are more than known names
/// have.
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
    /// Whether it is about something else.
    pub tells_a_thing: bool,
    /// Whether a field of a record itself is Auth0's own.
    pub is_fixed: bool,
    /// Whether it is the name of a column, in which nobody's name can be.
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

/// Judges a name, as it is written. Most are those of columns, which have been judged before.
pub(super) fn name(raw: &str) -> Verdict {
    static COMMON: LazyLock<Common> = LazyLock::new(|| {
        let columns = &catalogue().columns;
        Common::of(columns.iter().flat_map(|it| it.path.iter().copied()))
    });
    let common = COMMON.get(raw);
    common.unwrap_or_else(|| Verdict::judge(&unescape_lossy(raw)))
}

/// Places for common names: some more than there are names, so that few have to share one.
const PLACES: usize = 1 << PLACES_BITS;
const PLACES_BITS: u32 = 11;

/// Common names and what they say, each at the place that its letters tell.
struct Common(Vec<Option<(&'static str, Verdict)>>);

impl Common {
    fn of(names: impl Iterator<Item = &'static str>) -> Self {
        let mut places = vec![None; PLACES];
        for name in names {
            // Of those that would share a place the first has it. The others are judged each time.
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
        // The upper bits depend on all of them.
        (mixed >> (u64::BITS - PLACES_BITS)) as usize
    }
}

/// An odd number whose bits have no order.
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
