//! What the name of a field says of a person. Nothing else is known here.
//!
//! The names are those that Auth0's log streams treat as personal, those of its user profiles, of
//! `OpenID` Connect's standard claims and of SCIM, in any spelling: `user_name`, `userName`.

use super::Kind;

/// Letters of a name that are looked at: more than the longest known one has.
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
    /// The path of a request.
    Path,
    /// What SCIM calls the value in a list of objects.
    Value,
    /// A word of Auth0's own, such as a method or a scope.
    Word,
}

use Field::{
    Body, Coordinate, Country, Id, LooksLike, Name, Of, Open, Path, Place, Somebody, Thing, Town,
    User, Value, Word,
};

impl Field {
    /// Judges a name, as it was written but without escapes.
    pub fn named(name: &str) -> Self {
        if name.len() > LONGEST {
            return Open;
        }
        let mut letters = [0; LONGEST];
        let mut count = 0;
        for letter in name.bytes().filter(u8::is_ascii_alphanumeric) {
            letters[count] = letter.to_ascii_lowercase();
            count += 1;
        }
        let word = std::str::from_utf8(&letters[..count]).unwrap_or_default();
        match known(word) {
            Open if ends_with_ip(name) => Of(Kind::Ip),
            field => field,
        }
    }
}

/// Whether the last word of a name is `ip`: `client_ip` and `lastIp`, but not `membership`.
fn ends_with_ip(name: &str) -> bool {
    let before = |end| name.strip_suffix(end).and_then(|it| it.chars().next_back());
    before("ip").is_some_and(|it| !it.is_alphanumeric())
        || ["Ip", "IP"]
            .into_iter()
            .filter_map(before)
            .any(|it| !it.is_uppercase())
}

/// The known names by their first letter, and the ends that others have in common.
#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "a list")]
fn known(word: &str) -> Field {
    let first = word.bytes().next().unwrap_or_default();
    let found = match first {
        b'a' => match word {
            "address" | "addresses" => Of(Kind::Address),
            "accessedsecrets" | "audience" => Word,
            "action" | "actions" | "api" | "app" | "application" | "applications" => Thing,
            "actor" | "assignees" => Somebody,
            _ => Open,
        },
        b'b' => match word {
            "body" => Body,
            "bindings" | "branding" => Thing,
            _ => Open,
        },
        b'c' => match word {
            "cityname" | "continentcode" => Town,
            "clientid" => Word,
            "countryname" | "countrycode" | "countrycode3" => Country,
            "client" | "clients" | "connection" | "connections" => Thing,
            _ => Open,
        },
        b'd' => match word {
            "displayname" => Name,
            _ => Open,
        },
        b'e' => match word {
            "email" | "emails" | "emailaddress" | "emailaddresses" => Of(Kind::Email),
            _ => Open,
        },
        b'f' => match word {
            "firstname" => Of(Kind::FirstName),
            "familyname" => Of(Kind::LastName),
            "fullname" | "formatted" => Name,
            "flow" | "flows" | "form" | "forms" => Thing,
            _ => Open,
        },
        b'g' => match word {
            "givenname" => Of(Kind::FirstName),
            "geoip" | "geo" | "geolocation" => Place,
            "grant" | "grants" => Thing,
            "granttype" | "granttypes" => Word,
            _ => Open,
        },
        b'h' => match word {
            "hook" | "hooks" => Thing,
            _ => Open,
        },
        b'i' => match word {
            "id" => Id,
            "ip" | "ips" => Of(Kind::Ip),
            "inviter" | "invitee" | "invitees" | "identities" => User,
            "identifier" => Somebody,
            // In the steps of a log-in: the user's id without the connection.
            "identity" => Of(Kind::UserId),
            "integration" | "integrations" => Thing,
            _ => Open,
        },
        b'l' => match word {
            "lastname" => Of(Kind::LastName),
            "locationinfo" | "location" => Place,
            "latitude" | "longitude" => Coordinate,
            "login" | "loginhint" => Somebody,
            "logstream" | "logstreams" => Thing,
            _ => Open,
        },
        b'm' => match word {
            "middlename" => Of(Kind::FirstName),
            "member" | "members" => Somebody,
            "mail" => LooksLike(Kind::Email),
            "method" => Word,
            _ => Open,
        },
        b'n' => match word {
            "name" => Name,
            // The second as Auth0 misspells it.
            "nickname" | "newuername" => Of(Kind::Username),
            _ => Open,
        },
        b'o' => match word {
            "owner" | "owners" => Somebody,
            "originalprofile" => User,
            "organization" | "organizations" => Thing,
            _ => Open,
        },
        b'p' => match word {
            "path" => Path,
            "phone" | "phones" | "phonenumber" | "phonenumbers" => Of(Kind::Phone),
            "preferredusername" => Of(Kind::Username),
            "profile" | "profiledata" => User,
            "postaladdress" => Of(Kind::Address),
            "prompt" | "prompts" | "permission" | "permissions" => Thing,
            "provider" => Word,
            _ => Open,
        },
        b'r' => match word {
            "remoteaddress" | "remoteaddr" => Of(Kind::Ip),
            "recipient" | "recipients" => Somebody,
            "role" | "roles" | "rule" | "rules" | "resourceserver" | "resourceservers" => Thing,
            _ => Open,
        },
        b's' => match word {
            "sub" => Of(Kind::UserId),
            "subject" => Somebody,
            "surname" => Of(Kind::LastName),
            "samaccountname" => Of(Kind::Username),
            "streetaddress" => Of(Kind::Address),
            "scope" | "scopes" | "stage" | "state" | "status" | "strategy" | "strategytype" => Word,
            "sink" | "stats" => Thing,
            _ => Open,
        },
        b't' => match word {
            "template" | "tenant" => Thing,
            "telephone" | "telephonenumber" => Of(Kind::Phone),
            "to" => Somebody,
            "type" => Word,
            _ => Open,
        },
        b'u' => match word {
            "user" | "users" => Somebody,
            "userid" | "userids" => Of(Kind::UserId),
            "username" | "userprincipalname" | "upn" => Of(Kind::Username),
            "userinfo" | "usermetadata" | "userprofile" => User,
            _ => Open,
        },
        b'v' => match word {
            "value" => Value,
            _ => Open,
        },
        b'x' => match word {
            "xforwardedfor" => Of(Kind::Ip),
            _ => Open,
        },
        _ => Open,
    };
    if found != Open {
        return found;
    }
    match word.bytes().next_back().unwrap_or_default() {
        b'l' if word.ends_with("email") => LooksLike(Kind::Email),
        b's' if word.ends_with("emailaddress") => LooksLike(Kind::Email),
        b's' if word.ends_with("ipaddress") || word.ends_with("ipaddresses") => Of(Kind::Ip),
        b'r' if word.ends_with("phonenumber") => Of(Kind::Phone),
        b'd' if word.ends_with("userid") => Of(Kind::UserId),
        b'e' if word.ends_with("username") => Of(Kind::Username),
        b'e' if word.ends_with("phone") => LooksLike(Kind::Phone),
        b't' if word.ends_with("useragent") => Of(Kind::UserAgent),
        _ => Open,
    }
}

/// What a name says within an object about a place.
pub(super) fn in_place(name: &str) -> Field {
    match Field::named(name) {
        it @ (Country | Coordinate) => it,
        _ => match name.to_ascii_lowercase().as_str() {
            "country" => Country,
            "lat" | "lon" | "lng" | "coordinates" => Coordinate,
            _ => Town,
        },
    }
}

/// Whether an object that has a field of this name is about a user.
pub(super) fn tells_a_user(name: &str) -> bool {
    matches!(
        name,
        "email"
            | "emails"
            | "email_verified"
            | "family_name"
            | "given_name"
            | "identities"
            | "nickname"
            | "phone_number"
            | "username"
            | "userName"
    )
}

/// Whether an object that has a field of this name is about something else.
pub(super) fn tells_a_thing(name: &str) -> bool {
    matches!(
        name,
        "app_type" | "callbacks" | "enabled_clients" | "grant_types" | "strategy"
    )
}

/// Whether a field of a record itself is Auth0's own and tells what happened by which means: no part
/// of it is ever replaced, or whoever chose a name could hide what they did.
pub(super) fn is_fixed(name: &str) -> bool {
    matches!(
        name,
        "_id"
            | "client_id"
            | "connection"
            | "connection_id"
            | "date"
            | "environment_name"
            | "hostname"
            | "log_id"
            | "organization_id"
            | "strategy"
            | "strategy_type"
            | "tenant_name"
            | "type"
    )
}
