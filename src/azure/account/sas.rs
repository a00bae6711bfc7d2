//! A shared access signature, checked for what every one contains. Only the account can tell
//! whether it is valid.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>

use super::{Invalid, secret};

const NAME: &str = "its SharedAccessSignature";

/// Reads the part of a URL after the `?`.
pub(super) fn read(text: &str) -> Result<&str, Invalid> {
    let sas = secret(NAME, text)?.trim_start_matches('?');
    if sas.contains("://") {
        return Err(invalid("is a whole URL; give what follows the ? alone"));
    }
    let fields: Option<Vec<_>> = sas
        .split('&')
        .filter(|field| !field.is_empty())
        .map(|field| field.split_once('='))
        .collect();
    let fields = fields.ok_or_else(|| invalid("is not of the form name=value&name=value"))?;
    if fields.iter().any(|(_, value)| !is_encoded(value)) {
        return Err(invalid("has a % that begins no percent-encoding"));
    }
    let find = |wanted: &str| {
        let field = fields.iter().find(|(name, _)| *name == wanted);
        let value = field.map(|(_, value)| *value).filter(|it| !it.is_empty());
        value.ok_or_else(|| invalid(&format!("has no {wanted}")))
    };
    find("sv")?;
    signature(find("sig")?)?;
    Ok(sas)
}

/// Base64 of an HMAC, percent-encoded or not.
fn signature(value: &str) -> Result<(), Invalid> {
    let is_base64 = |it: u8| it.is_ascii_alphanumeric() || b"+/=%".contains(&it);
    if !value.bytes().all(is_base64) {
        return Err(Invalid(format!("the sig of {NAME} is not base64")));
    }
    if value.contains("%25") {
        return Err(Invalid(format!(
            "the sig of {NAME} is encoded twice: write %2F instead of %252F"
        )));
    }
    Ok(())
}

/// Whether two hexadecimal digits follow each `%`.
fn is_encoded(value: &str) -> bool {
    value.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    })
}

fn invalid(what: &str) -> Invalid {
    Invalid(format!("{NAME} {what}"))
}
