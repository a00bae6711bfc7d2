use super::*;

fn get(settings: &[(&str, &str)], name: &'static str) -> Result<Option<String>, String> {
    let settings: AppSettings = settings.iter().copied().collect();
    Reader::read(&settings, |reader| {
        Some(reader.get(name).map(str::to_owned))
    })
    .map_err(|error| error.to_string())
}

#[test]
fn a_blank_setting_is_an_unset_one_and_white_space_around_a_value_is_none_of_it() {
    assert_eq!(get(&[("A", " ")], "A"), Ok(None));
    assert_eq!(get(&[("A", " b c\n")], "A"), Ok(Some("b c".into())));
}

#[test]
fn a_reference_that_was_not_resolved_is_told_once_with_its_remedy() {
    let vault = "A is a Key Vault reference that was not resolved: see that it is written";
    let store = "A is an App Configuration reference that was not resolved: see that it is written";
    for (reference, told) in [
        (
            "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/s/)",
            vault,
        ),
        ("@microsoft.keyvault(VaultName=acme;SecretName=s)", vault),
        // Mistyped, so that the platform takes them for values.
        ("@Microsoft.KeyVault (VaultName=acme;SecretName=s)", vault),
        ("@Microsoft.KeyVault[VaultName=acme;SecretName=s]", vault),
        ("@ Microsoft.KeyVault(VaultName=acme;SecretName=s)", vault),
        ("Microsoft.KeyVault(VaultName=acme;SecretName=s)", vault),
        ("`@Microsoft.KeyVault(VaultName=acme;SecretName=s)`", vault),
        ("https://acme.vault.azure.net/secrets/s", vault),
        ("HTTPS://acme.vault.usgovcloudapi.net/secrets/s/0123", vault),
        (
            "\"@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/s/)\"",
            vault,
        ),
        (
            "@Microsoft.AppConfiguration(Endpoint=https://acme.azconfig.io; Key=secret; Label=a)",
            store,
        ),
        (
            "'@microsoft.appconfiguration(Endpoint=https://acme.azconfig.io;Key=s)'",
            store,
        ),
        (
            "@Microsoft.AppConfiguration (Endpoint=https://acme.azconfig.io; Key=s)",
            store,
        ),
    ] {
        let settings: AppSettings = [("A", reference)].into_iter().collect();
        let error = Reader::read(&settings, |reader| {
            reader.get("A");
            reader.required("A", "a thing", |text| Ok(text.to_owned()))
        });
        let error = error.unwrap_err();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(told), "{lines:?}");
    }
}

#[test]
fn what_only_mentions_a_vault_is_a_value() {
    for value in [
        "Microsoft.KeyVaults",
        "a@Microsoft.KeyVault(b)",
        "https://acme.vault.azure.net/",
        "https://example.com/?u=https://acme.vault.azure.net/secrets/s",
        "acme.vault.azure.net",
    ] {
        assert_eq!(get(&[("A", value)], "A"), Ok(Some(value.into())));
    }
}

#[test]
fn a_value_in_quotes_is_told_and_quotes_within_one_are_the_setting_s_own_affair() {
    for value in [
        "\"/data\"",
        "'/data'",
        "`/data`",
        " \"/data\" ",
        "\"\"",
        "\"",
        "„a2V5“",
        "”a2V5”",
        "‚a2V5‛",
        "‟a2V5„",
        "«a2V5»",
        "»a2V5«",
        "‹a2V5›",
    ] {
        let told = "a setting needs attention: A is in quotes; leave them out";
        assert_eq!(get(&[("A", value)], "A"), Err(told.into()), "{value}");
    }
    for value in [
        "/data/o'neill",
        "it's 'so' here",
        "'a' and \"b\"",
        "\"a",
        "«a",
        "a “b”",
    ] {
        assert_eq!(get(&[("A", value)], "A"), Ok(Some(value.into())));
    }
}

#[test]
fn what_nobody_sees_in_a_value_is_told_and_what_is_typed_on_purpose_is_not() {
    for letter in [
        '\u{85}',
        '\u{a0}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{1160}',
        '\u{1680}',
        '\u{17b4}',
        '\u{180e}',
        '\u{2000}',
        '\u{200a}',
        '\u{200b}',
        '\u{200f}',
        '\u{2028}',
        '\u{202e}',
        '\u{202f}',
        '\u{205f}',
        '\u{2060}',
        '\u{2065}',
        '\u{206f}',
        '\u{3164}',
        '\u{fe00}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{ffa0}',
        '\u{fff0}',
        '\u{1bca0}',
        '\u{1d173}',
        '\u{e0001}',
        '\u{e0fff}',
    ] {
        let told = format!(
            "a setting needs attention: A has a letter that cannot be seen (U+{:04X}); type it, or copy \
             it as plain text",
            u32::from(letter)
        );
        assert_eq!(get(&[("A", &format!("a2{letter}V5"))], "A"), Err(told));
    }
    for value in ["a b", "a\tb", "Zoë/日本\u{3000}語", "a – b", "😀"] {
        assert_eq!(get(&[("A", value)], "A"), Ok(Some(value.into())));
    }
}

#[test]
fn all_problems_of_several_layers_are_told_each_setting_once() {
    let settings = AppSettings::default();
    let missing = |name| {
        let read = Reader::read(&settings, |reader| {
            reader.required(name, "needed", |text| Ok(text.to_owned()))
        });
        read.unwrap_err()
    };
    let mut all = missing("A");
    assert_eq!(
        all.to_string(),
        "a setting needs attention: A is missing: needed"
    );
    all.add(missing("B"));
    all.add(missing("A"));
    assert_eq!(
        all.to_string(),
        "2 settings need attention: A is missing: needed; B is missing: needed"
    );
}

fn with_local(file: impl AsRef<[u8]>) -> Result<AppSettings, String> {
    let set: AppSettings = [("A", "1"), ("B", " ")].into_iter().collect();
    set.or_local(file.as_ref())
        .map_err(|error| error.to_string())
}

#[test]
fn the_local_file_fills_in_what_is_not_set() {
    let file = r#"{"IsEncrypted": false, "Values": {"A": "2", "B": "3", "C": "4"}}"#;
    let utf_16 = |unit: fn(u16) -> [u8; 2]| {
        let text = format!("\u{feff}{file}");
        text.encode_utf16().flat_map(unit).collect::<Vec<_>>()
    };
    for file in [
        file.as_bytes().to_vec(),
        format!("\u{feff}{file}").into_bytes(),
        utf_16(u16::to_le_bytes),
        utf_16(u16::to_be_bytes),
    ] {
        let set = with_local(file).unwrap();
        let values = ["A", "B", "C"].map(|it| set.get(it).unwrap());
        assert_eq!(values, ["1", "3", "4"]);
    }
}

#[test]
fn the_local_file_may_hold_what_the_tools_that_share_it_take() {
    let file = r#"{
        // a comment, and values that are no texts
        "Values": {
            "TEXT": "t", /* another */
            "BOOL": true, "NUMBER": 5, "NULL": null,
        },
        "ConnectionStrings": {}, "Host": {"CORS": "*"},
    }"#;
    let set = with_local(file).unwrap();
    let values = ["TEXT", "BOOL", "NUMBER", "NULL"].map(|it| set.get(it));
    assert_eq!(values, [Some("t"), Some("true"), Some("5"), None]);
    for empty in [
        "{}",
        r#"{"IsEncrypted": "false", "Values": null}"#,
        r#"{"IsEncrypted": "false", "$schema": "x", "Host": {"CORS": "*"}}"#,
        r#"{"$schema": "x", "_comment": "y", "Comment": "z", "Values": {}, "Host": {"CORS": "*"}}"#,
    ] {
        assert!(with_local(empty).is_ok(), "{empty}");
    }
}

#[test]
fn of_a_local_file_that_is_of_no_use_the_fault_is_named_and_nothing_quoted() {
    for (file, fault) in [
        (
            &b"\xff\xfeA"[..],
            "is neither UTF-8 text nor, with its mark, UTF-16",
        ),
        (b"{\"Values\": {\"A\": \"\xff\"}}", "is neither UTF-8 text"),
        (
            b"{\"Values\": {\n\"A\": \"hunter2\" \"B\": 1}}",
            "is not JSON (line 2, column ",
        ),
        (
            b"",
            "is not of the form {\"Values\": {\"NAME\": \"value\"}}",
        ),
        (b"[]", "is not of the form"),
        (b"{\"Values\": []}", "is not of the form"),
        (
            b"{\"Values\": {\"A\": {\"b\": \"hunter2\"}}}",
            "gives A a list or an object",
        ),
        (
            b"{\"values\": {\"PII\": \"hunter2\"}}",
            "has values in place of Values, which is read (names are case-sensitive)",
        ),
        (b"{\"Value\": {}}", "has Value in place of Values"),
        // Only one of the two would take effect.
        (
            b"{\"Values\": {}, \"VALUES\": {}}",
            "has VALUES in place of Values",
        ),
        (
            b"{\"Encrypted\": false, \"isEncrypted\": true, \"Values\": {}}",
            "has isEncrypted in place of IsEncrypted",
        ),
        (
            b"{\"Values\": {\"PII\": \"hunter2\", /* no */ \"PII\": \"none\"}}",
            "has PII twice; leave out the one that is not meant",
        ),
        (
            b"{\"Values\": {\"PII\": \"hunter2\"}, \"Values\": {}}",
            "has Values twice",
        ),
        (b"{\"PII\": \"hunter2\"}", "is not of the form"),
        (
            b"{\"Values\": null, \"$schema\": \"x\", \"PII\": \"hunter2\"}",
            "has PII beside Values, where it is not read; move it into Values",
        ),
        (
            b"{\"IsEncrypted\": true, \"Values\": {}}",
            "is encrypted; `func settings decrypt`",
        ),
    ] {
        let refused = with_local(file).err().unwrap();
        assert!(
            refused.starts_with(&format!("local.settings.json {fault}")),
            "{refused}"
        );
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
