//! The names of fields that tell of personal data. They are compared in lower case and without
//! punctuation.

use super::Kind;
use super::fields::Field::{
    self, Body, Coordinate, Country, Details, Id, Label, Login, LooksLike, Name, Of, OfUser, Open,
    Path, Place, Search, Somebody, Thing, Town, User, Value, Word,
};

/// Looks a name up among the known ones, and then as that of several values: `nicknames`, `home_addresses`.
pub(super) fn known(word: &str) -> Field {
    let found = known_as_it_is(word);
    if found != Open {
        return found;
    }
    let ends = ["s", "es"].into_iter();
    let mut of_one = ends.filter_map(|end| word.strip_suffix(end).map(known_as_it_is));
    let tells = |it: &Field| it.tells_a_kind() || *it == Login;
    of_one.find(tells).unwrap_or(Open)
}

/// Looks a name up among the known names, by its first letter, and then among the suffixes of names.
#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "a list")]
fn known_as_it_is(word: &str) -> Field {
    let first = word.bytes().next().unwrap_or_default();
    let found = match first {
        b'a' => match word {
            "address" | "addresses" => Of(Kind::Address),
            "accessedsecrets" | "audience" => Word,
            "action" | "actions" | "api" | "app" | "application" | "applications" => Thing,
            "actor" | "assignees" => Somebody,
            "attribute" | "attributename" => Label,
            "after" => Value,
            _ => Open,
        },
        b'b' => match word {
            "body" => Body,
            "bcc" => Somebody,
            "before" => Value,
            "bindings" | "branding" => Thing,
            _ => Open,
        },
        b'c' => match word {
            "cc" => Somebody,
            "cityname" | "continentcode" => Town,
            "clientid" => Word,
            "clientip" => Of(Kind::Ip),
            "cn" | "commonname" => Name,
            "claim" => Label,
            "current" => Value,
            "countryname" | "countrycode" | "countrycode3" => Country,
            "client" | "clients" | "connection" | "connections" => Thing,
            _ => Open,
        },
        b'd' => match word {
            "displayname" | "dn" => Name,
            "details" => Details,
            _ => Open,
        },
        b'e' => match word {
            "email" | "emails" | "emailaddress" | "emailaddresses" => Of(Kind::Email),
            "externalid" | "edupersontargetedid" | "edupersonuniqueid" => Of(Kind::UserId),
            _ => Open,
        },
        b'f' => match word {
            "field" | "fieldname" => Label,
            "fullname" | "formatted" => Name,
            "filter" => Search,
            "forwarded" => Of(Kind::Ip),
            "from" => Somebody,
            "flow" | "flows" | "form" | "forms" => Thing,
            _ => Open,
        },
        b'g' => match word {
            "geoip" | "geo" | "geolocation" => Place,
            "grant" | "grants" => Thing,
            "granttype" | "granttypes" => Word,
            _ => Open,
        },
        b'h' => match word {
            "header" => Label,
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
            "imaddress" | "imaddresses" => LooksLike(Kind::Email),
            "integration" | "integrations" => Thing,
            _ => Open,
        },
        b'k' => match word {
            "key" => Label,
            _ => Open,
        },
        b'l' => match word {
            "locationinfo" | "location" => Place,
            "label" => Label,
            "latitude" | "longitude" => Coordinate,
            "login" => OfUser(Kind::Username),
            "loginhint" => Login,
            "logstream" | "logstreams" => Thing,
            _ => Open,
        },
        b'm' => match word {
            "manager" | "member" | "members" => Somebody,
            "mailnickname" => Of(Kind::Username),
            "mobile" => LooksLike(Kind::Phone),
            "method" => Word,
            _ => Open,
        },
        b'n' => match word {
            "name" => Name,
            "nameid" | "nameidentifier" | "nameidattributes" => Of(Kind::UserId),
            "new" | "newvalue" => Value,
            // The second as Auth0 misspells it.
            "nickname" | "newuername" => Of(Kind::Username),
            _ => Open,
        },
        b'o' => match word {
            "objectguid" | "objectidentifier" | "objectsid" => Of(Kind::UserId),
            "oid" => OfUser(Kind::UserId),
            "old" | "oldvalue" => Value,
            "operations" => Body,
            "owner" | "owners" => Somebody,
            "originalprofile" => User,
            "organization" | "organizations" => Thing,
            _ => Open,
        },
        b'p' => match word {
            "path" => Path,
            "param" | "parameter" | "property" => Label,
            "phone" | "phones" => Of(Kind::Phone),
            "preferredusername" => Of(Kind::Username),
            "profile" | "profiledata" => User,
            "proxyaddress" | "proxyaddresses" => LooksLike(Kind::Email),
            "postalcode" | "postcode" => Of(Kind::Address),
            "previous" => Value,
            "prompt" | "prompts" | "permission" | "permissions" => Thing,
            "provider" => Word,
            _ => Open,
        },
        b'q' => match word {
            "q" => Search,
            _ => Open,
        },
        b'r' => match word {
            "remoteaddress" | "remoteaddr" | "remoteip" => Of(Kind::Ip),
            "recipient" | "recipients" | "replyto" => Somebody,
            "role" | "roles" | "rule" | "rules" | "resourceserver" | "resourceservers" => Thing,
            _ => Open,
        },
        b's' => match word {
            "sub" => Of(Kind::UserId),
            "sender" | "subject" => Somebody,
            "search" => Search,
            "sn" => OfUser(Kind::LastName),
            "sourceip" | "srcip" => Of(Kind::Ip),
            "scope" | "scopes" | "stage" | "state" | "status" | "strategy" | "strategytype" => Word,
            "sink" | "stats" => Thing,
            _ => Open,
        },
        b't' => match word {
            "template" | "tenant" => Thing,
            "telephone" => Of(Kind::Phone),
            "to" => Somebody,
            "type" => Word,
            _ => Open,
        },
        b'u' => match word {
            "uid" | "uniquename" => OfUser(Kind::Username),
            "user" | "users" => Somebody,
            "userid" => Of(Kind::UserId),
            "username" | "upn" => Of(Kind::Username),
            "userinfo" | "usermetadata" | "userprofile" => User,
            _ => Open,
        },
        b'v' => match word {
            "value" | "values" => Value,
            _ => Open,
        },
        b'x' => match word {
            "xforwarded" => Of(Kind::Ip),
            _ => Open,
        },
        b'z' => match word {
            "zipcode" => Of(Kind::Address),
            _ => Open,
        },
        _ => Open,
    };
    if found != Open {
        return found;
    }
    let mut ends = ends(word.bytes().next_back().unwrap_or_default()).iter();
    ends.find(|(end, _)| word.ends_with(end))
        .map_or(Open, |(_, field)| *field)
}

/// The known suffixes of names, by their last letter.
#[rustfmt::skip]
fn ends(last: u8) -> &'static [(&'static str, Field)] {
    match last {
        b'4' => &[("ipv4", Of(Kind::Ip))],
        b'6' => &[("ipv6", Of(Kind::Ip))],
        b'd' => &[("userid", Of(Kind::UserId))],
        b'e' => &[
            ("username", Of(Kind::Username)), ("loginname", Of(Kind::Username)), ("screenname", Of(Kind::Username)),
            ("samaccountname", Of(Kind::Username)), ("userprincipalname", Of(Kind::Username)),
            ("personprincipalname", Of(Kind::Username)), ("distinguishedname", Name),
            ("firstname", Of(Kind::FirstName)), ("givenname", Of(Kind::FirstName)),
            ("middlename", Of(Kind::FirstName)), ("forename", Of(Kind::FirstName)),
            ("lastname", Of(Kind::LastName)), ("familyname", Of(Kind::LastName)),
            ("surname", Of(Kind::LastName)), ("maidenname", Of(Kind::LastName)),
            ("phone", LooksLike(Kind::Phone)),
        ],
        b'l' => &[("mail", LooksLike(Kind::Email))],
        b'r' => &[
            ("phonenumber", Of(Kind::Phone)), ("mobilenumber", Of(Kind::Phone)),
            ("forwardedfor", Of(Kind::Ip)), ("ipaddr", Of(Kind::Ip)),
        ],
        b's' => &[
            ("emailaddress", LooksLike(Kind::Email)), ("ipaddress", Of(Kind::Ip)),
            ("ipv4address", Of(Kind::Ip)), ("ipv6address", Of(Kind::Ip)),
            ("billingaddress", Of(Kind::Address)), ("homeaddress", Of(Kind::Address)),
            ("mailingaddress", Of(Kind::Address)), ("postaladdress", Of(Kind::Address)),
            ("shippingaddress", Of(Kind::Address)), ("streetaddress", Of(Kind::Address)),
            ("workaddress", Of(Kind::Address)),
        ],
        b't' => &[("useragent", Of(Kind::UserAgent))],
        _ => &[],
    }
}

/// Whether the last word of a name is `ip` or `ips`: `client_ip` and `lastIps`, but not `membership`.
pub(super) fn ends_with_ip(name: &str) -> bool {
    let name = name.strip_suffix(['s', 'S']).unwrap_or(name);
    let before = |end| name.strip_suffix(end).and_then(|it| it.chars().next_back());
    before("ip").is_some_and(|it| !it.is_alphanumeric())
        || ["Ip", "IP"]
            .into_iter()
            .filter_map(before)
            .any(|it| !it.is_uppercase())
}

/// Whether a name is that of a directory's claim about a user: `…/identity/claims/name`, or of an
/// attribute of SAML.
pub(super) fn is_claim(name: &str) -> bool {
    name.contains("/identity/claims/") || name.starts_with("urn:mace:dir:") || is_identifier(name)
}

/// Whether a name is an object identifier.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(OID)
}

/// What is before the object identifier of an attribute, as SAML names it.
const OID: &str = "urn:oid:";

/// What an object identifier of X.500, LDAP or eduPerson says as the name of an attribute.
///
/// RFC 4519, RFC 4524, RFC 2798, <https://wiki.refeds.org/display/STAN/eduPerson>
pub(super) fn of_identifier(name: &str) -> Field {
    match name.strip_prefix(OID).unwrap_or_default() {
        "2.5.4.3" | "2.16.840.1.113730.3.1.241" => Name,
        "2.5.4.4" => Of(Kind::LastName),
        "2.5.4.42" => Of(Kind::FirstName),
        "2.5.4.9" | "2.5.4.16" | "2.5.4.17" => Of(Kind::Address),
        "2.5.4.20" | "0.9.2342.19200300.100.1.20" | "0.9.2342.19200300.100.1.41" => Of(Kind::Phone),
        "0.9.2342.19200300.100.1.1" | "1.3.6.1.4.1.5923.1.1.1.6" => Of(Kind::Username),
        "0.9.2342.19200300.100.1.3" => Of(Kind::Email),
        "1.3.6.1.4.1.5923.1.1.1.10" | "1.3.6.1.4.1.5923.1.1.1.13" => Of(Kind::UserId),
        _ => Open,
    }
}

/// Whether an object is about a user if it has a field of this name, given without punctuation.
pub(super) fn tells_a_user(word: &str) -> bool {
    // Several values tell it as one does: `emails`.
    let of_one = word.strip_suffix('s').unwrap_or(word);
    word == "identities"
        || matches!(
            of_one,
            "email"
                | "emailverified"
                | "familyname"
                | "givenname"
                | "nickname"
                | "phonenumber"
                | "username"
                | "userprincipalname"
        )
}

/// Whether an object is about something else if it has a field of this name, given without punctuation.
pub(super) fn tells_a_thing(word: &str) -> bool {
    matches!(
        word,
        "apptype" | "callbacks" | "enabledclients" | "granttypes" | "strategy"
    )
}

/// Whether Auth0 alone sets this field, at the top of a record, and it says what happened and by which
/// means. No part of it is ever replaced: otherwise users could hide what they did by the name that they
/// choose.
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
