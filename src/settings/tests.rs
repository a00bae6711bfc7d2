use serde_json::json;

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
fn a_key_vault_reference_that_was_not_resolved_is_told_once_with_its_remedy() {
    let reference = "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/s/)";
    let settings: AppSettings = [("A", reference)].into_iter().collect();
    let error = Reader::read(&settings, |reader| {
        reader.get("A");
        reader.required("A", "a thing", |text| Ok(text.to_owned()))
    });
    let error = error.unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("A is a Key Vault reference that was not resolved: give the"),
        "{lines:?}"
    );
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

#[test]
fn the_local_file_fills_in_what_is_not_set() {
    let set: AppSettings = [("A", "1"), ("B", " ")].into_iter().collect();
    let file = json!({"IsEncrypted": false, "Values": {"A": "2", "B": "3", "C": "4"}});
    let set = set.or_local(&format!("\u{feff}{file}")).unwrap();
    assert_eq!(
        ["A", "B", "C"].map(|it| set.get(it).unwrap()),
        ["1", "3", "4"]
    );
}

#[test]
fn a_local_file_of_another_form_is_refused_with_the_place() {
    let refused = |json: &str| {
        let refused = AppSettings::default().or_local(json);
        refused.err().unwrap().to_string()
    };
    assert_eq!(
        refused(r#"{"Values": {"DOMAIN": {}}}"#),
        "local.settings.json is not of the form {\"Values\": {\"NAME\": \"value\"}} \
         (line 1, column 22)"
    );
    let encrypted = refused(r#"{"IsEncrypted": true, "Values": {}}"#);
    assert!(encrypted.contains("`func settings decrypt`"), "{encrypted}");
}
