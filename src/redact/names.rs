//! What the name of a field says about its value. Nothing but the name is considered here.
//!
//! The names of secrets are those of the Authentication API's parameters, those that the descriptions of
//! the Management API and Auth0's Terraform provider mark as secret, and common ones:
//! <https://auth0.com/docs/api>, <https://registry.terraform.io/providers/auth0/auth0/latest/docs>.

/// What a name says about its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameKind {
    /// Nothing.
    Open,
    /// An identity, such as a user, an application or an address: detections compare it.
    Identity,
    /// A sentence that Auth0 writes, in which detections search for words.
    Sentence,
    /// The path of a request.
    Path,
    /// A URL, possibly without scheme and host.
    Url,
    /// A query, or the body of a request.
    Form,
    /// A secret, if it looks like a one-time code.
    Code,
    /// A secret, unless it is an object.
    Secret,
    /// A secret, with everything in it.
    Whole,
}

/// How much of a name is compared.
#[derive(Clone, Copy)]
enum Part {
    All,
    End,
}

use NameKind::{Form, Identity, Path, Secret, Sentence, Url, Whole};
use Part::{All, End};

/// How many letters and digits of a name are compared, from its end: more than the longest known name
/// has.
const TAIL: usize = 24;

/// The known names by their last letter, each before any suffix of it. They are in lower case and have
/// only letters and digits.
#[rustfmt::skip]
fn known(last: u8) -> &'static [(Part, &'static str, NameKind)] {
    match last {
        b'2' => &[(All, "p12", Whole), (End, "pkcs12", Whole)],
        b'a' => &[
            (All, "data", Form), (End, "contrasea", Secret), (End, "contrasena", Secret), (End, "senha", Secret),
        ],
        b'd' => &[
            (All, "id", Identity), (All, "agentid", Identity), (All, "clientid", Identity),
            (All, "connectionid", Identity), (All, "identityuserid", Identity), (All, "logid", Identity),
            (All, "organizationid", Identity), (All, "payload", Form), (All, "sessionid", Identity),
            (All, "userid", Identity), (End, "passwd", Secret), (End, "password", Secret),
            (End, "passord", Secret), (End, "pswd", Secret), (End, "pwd", Secret), (End, "wachtwoord", Secret),
            (End, "ticketid", Secret), (End, "authreqid", Secret),
        ],
        b'e' => &[
            (All, "audience", Identity), (All, "clientname", Identity), (All, "date", Identity),
            (All, "environmentname", Identity), (All, "familyname", Identity), (All, "givenname", Identity),
            (All, "hostname", Identity), (All, "name", Identity), (All, "nickname", Identity),
            (All, "organizationname", Identity), (All, "scope", Identity), (All, "strategytype", Identity),
            (All, "tenantname", Identity), (All, "type", Identity), (All, "username", Identity),
            (End, "authcode", Secret), (End, "authorizationcode", Secret), (End, "backupcode", Secret),
            (End, "bindingcode", Secret), (End, "connectcode", Secret), (End, "cookie", Secret), (End, "devicecode", Secret),
            (End, "headervalue", Secret), (End, "mfacode", Secret), (End, "motdepasse", Secret), (End, "onetimecode", Secret), (End, "oobcode", Secret),
            (End, "otpcode", Secret), (End, "smscode", Secret), (End, "usercode", Secret),
            (End, "passcode", Secret), (End, "passphrase", Secret), (End, "recoverycode", Secret),
            (End, "samlresponse", Secret), (End, "secretvalue", Secret), (End, "tokenvalue", Secret),
            (End, "verificationcode", Secret),
        ],
        b'f' => &[(End, "csrf", Secret), (End, "href", Url)],
        b'g' => &[(All, "querystring", Form), (End, "connectionstring", Secret)],
        b'h' => &[
            (All, "path", Path), (All, "search", Form), (End, "linkwith", Secret), (End, "passwordhash", Whole),
            (End, "secrethash", Secret),
        ],
        b'i' => &[(All, "jti", Identity), (End, "uri", Url)],
        b'k' => &[(End, "magiclink", Secret)],
        b'l' => &[
            (All, "email", Identity), (All, "newemail", Identity), (All, "useremail", Identity),
            (End, "invitationurl", Secret), (End, "reseturl", Secret), (End, "ticketurl", Secret),
            (End, "verificationurl", Secret), (End, "webhookurl", Secret), (End, "url", Url),
        ],
        b'm' => &[(All, "form", Form), (End, "passwordconfirm", Secret)],
        b'n' => &[
            (All, "connection", Identity), (All, "description", Sentence), (All, "sessionconnection", Identity),
            (All, "bareconfiguration", Whole), (All, "configuration", Whole), (End, "assertion", Secret),
            (End, "authorization", Secret), (End, "authsession", Secret), (End, "passwordagain", Secret),
            (End, "passwordconfirmation", Secret),
            (End, "token", Secret),
        ],
        b'p' => &[
            (All, "clientip", Identity), (All, "ip", Identity), (All, "setup", Whole), (End, "otp", Secret),
        ],
        b'r' => &[
            (All, "identifier", Identity), (All, "phonenumber", Identity), (End, "codeverifier", Secret),
            (End, "oauthverifier", Secret), (End, "referer", Url), (End, "referrer", Url),
        ],
        b's' => &[
            (All, "members", Identity), (All, "owners", Identity), (All, "params", Form), (All, "qs", Form),
            (All, "roles", Identity), (All, "scopes", Identity), (All, "secrets", Whole), (All, "users", Identity),
            (End, "clientsecrets", Whole), (End, "customheaders", Whole), (End, "servercredentials", Whole),
            (End, "signingkeys", Whole), (End, "backupcodes", Secret), (End, "passwords", Secret), (End, "recoverycodes", Secret),
            (End, "apikeys", Secret), (End, "smtppass", Secret), (End, "sumosourceaddress", Secret), (End, "tokens", Secret),
        ],
        b't' => &[
            (All, "subject", Identity), (All, "useragent", Identity), (End, "idtokenhint", Secret),
            (End, "kennwort", Secret), (End, "passwordrepeat", Secret), (End, "passwort", Secret), (End, "secret", Secret), (End, "ticket", Secret), (End, "wresult", Secret), (End, "endpoint", Url),
        ],
        b'y' => &[
            (All, "body", Form), (All, "query", Form), (All, "strategy", Identity), (All, "signingkey", Whole),
            (All, "skey", Whole), (End, "decryptionkey", Whole), (End, "privatekey", Whole),
            (End, "privkey", Whole), (End, "accesskey", Secret), (End, "apikey", Secret),
            (End, "functionskey", Secret), (End, "hmackey", Secret), (End, "masterkey", Secret),
            (End, "saskey", Secret), (End, "secretkey", Secret), (End, "serverkey", Secret),
            (End, "sharedkey", Secret), (End, "subscriptionkey", Secret), (End, "wrappedkey", Secret), (End, "writekey", Secret),
        ],
        _ => &[],
    }
}

/// Names that mean a secret only as a parameter of a request.
const PARAMETERS: [&str; 6] = ["code", "invitation", "jwt", "key", "pass", "sig"];
/// The same, at the end of a name: `X-Amz-Signature`.
const PARAMETER_ENDS: [&str; 1] = ["signature"];

/// Judges a name. A secret's name may end in a number.
pub fn judge(name: &str) -> NameKind {
    let mut tail = [0; TAIL];
    let letters = letters(name, &mut tail);
    match find(letters) {
        NameKind::Open if letters.last().is_some_and(u8::is_ascii_digit) => {
            let digits = letters.iter().rev().take_while(|it| it.is_ascii_digit());
            match find(&letters[..letters.len() - digits.count()]) {
                kind @ (Secret | Whole) => kind,
                _ => NameKind::Open,
            }
        }
        kind => kind,
    }
}

fn find(letters: &[u8]) -> NameKind {
    let is_it = |(part, known, _): &&(Part, &str, NameKind)| match part {
        All => letters == known.as_bytes(),
        End => letters.ends_with(known.as_bytes()),
    };
    let known = letters.last().map_or(&[][..], |last| known(*last));
    known.iter().find(is_it).map_or(NameKind::Open, |it| it.2)
}

/// Whether a parameter of that name is a secret.
pub fn is_secret_parameter(name: &str) -> bool {
    matches!(judge(name), Secret | Whole) || {
        let mut tail = [0; TAIL];
        let name = letters(name, &mut tail);
        PARAMETERS.iter().any(|it| it.as_bytes() == name)
            || PARAMETER_ENDS
                .iter()
                .any(|it| name.ends_with(it.as_bytes()))
    }
}

/// Whether a member of that name, directly in a body, may be a one-time code.
pub fn is_of_code(name: &str) -> bool {
    letters(name, &mut [0; TAIL]) == b"code"
}

/// The last letters and digits of a name, in lower case.
fn letters<'a>(name: &str, tail: &'a mut [u8; TAIL]) -> &'a [u8] {
    let mut from = TAIL;
    let letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    for letter in letters.take(TAIL) {
        from -= 1;
        tail[from] = letter.to_ascii_lowercase();
    }
    &tail[from..]
}
