//! The template's form in the portal, `createUiDefinition.json`.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::settings::read;
use super::{SECRETS, names, parsed, template};

/// The elements of the form, by the expressions that the outputs name them with.
fn elements(form: &Value) -> BTreeMap<String, Value> {
    let form = &form["parameters"];
    let mut elements = BTreeMap::new();
    for element in form["basics"].as_array().unwrap() {
        let name = element["name"].as_str().unwrap();
        elements.insert(format!("[basics('{name}')]"), element.clone());
    }
    for step in form["steps"].as_array().unwrap() {
        for element in step["elements"].as_array().unwrap() {
            let step = step["name"].as_str().unwrap();
            let name = element["name"].as_str().unwrap();
            let id = match element["type"].as_str().unwrap() {
                "Microsoft.Common.InfoBox" => continue,
                "Microsoft.Solutions.ResourceSelector" => ".id",
                _ => "",
            };
            elements.insert(format!("[steps('{step}').{name}{id}]"), element.clone());
        }
    }
    elements
}

/// The expression of the element that an output takes, and the condition under which it is shown.
fn shown(output: &str) -> (String, Option<String>) {
    let conditional = output
        .strip_prefix("[if(")
        .and_then(|it| it.split_once("), "))
        .map(|(condition, it)| (it.rsplit_once(", ").unwrap().0, condition));
    match conditional {
        Some((element, condition)) => (format!("[{element}]"), Some(format!("[{condition})]"))),
        None => (output.to_owned(), None),
    }
}

#[test]
fn the_form_asks_for_every_parameter_in_the_way_that_fits_it() {
    let template = template();
    let form = parsed("createUiDefinition.json");
    let parameters = &template["parameters"];
    let outputs = &form["parameters"]["outputs"];
    assert_eq!(names(outputs), names(parameters));

    let mut elements = elements(&form);
    for (name, output) in outputs.as_object().unwrap() {
        if name == "Location" {
            assert_eq!(output, "[location()]");
            continue;
        }
        let (output, condition) = shown(output.as_str().unwrap());
        let element = elements.remove(&output);
        let visible = element.as_ref().map(|it| it["visible"].clone());
        assert_eq!(visible, Some(json!(condition)), "{name}");
        let element = element.unwrap_or_else(|| panic!("{name} is {output}, which there is not"));
        let is_optional = name == "AlertActionGroup";
        let required = &element["constraints"]["required"];
        assert_eq!(*required, !is_optional, "{name}");
        let is_hidden = element["type"] == "Microsoft.Common.PasswordBox";
        assert_eq!(is_hidden, SECRETS.contains(&&**name), "{name}");
        match &parameters[name]["defaultValue"] {
            default if element["type"] == "Microsoft.Common.OptionsGroup" => {
                let allowed = element["constraints"]["allowedValues"].as_array().unwrap();
                let label = &element["defaultValue"];
                let chosen = allowed.iter().find(|it| it["label"] == *label).unwrap();
                assert_eq!(chosen["value"], *default, "{name}");
                let offered = json!(allowed.iter().map(|it| &it["value"]).collect::<Vec<_>>());
                // Both are for two workspaces, and the form asks for one.
                let expected = match &**name {
                    "Destinations" => json!(["logs-ingestion", "log-analytics"]),
                    _ => json!([true, false]),
                };
                assert_eq!(offered, expected, "{name}");
            }
            _ if is_optional => assert_eq!(element["defaultValue"], "", "{name}"),
            // No text is asked for unless it is needed.
            default if condition.is_some() => {
                assert!(matches!(default.as_str(), None | Some("")), "{name}");
            }
            // That of this version, and not whatever the latest is by then.
            _ if name == "PackageUri" => assert_eq!(
                element["defaultValue"],
                format!(
                    "https://github.com/auth0-poller/auth0-poller/releases/download/v{}/auth0-poller.zip",
                    env!("CARGO_PKG_VERSION")
                )
            ),
            default => assert_eq!(element["defaultValue"], *default, "{name}"),
        }
    }
    assert!(elements.is_empty(), "nothing takes {elements:?}");
}

/// Answers to one question of the form.
struct Example {
    parameter: &'static str,
    taken: &'static [&'static str],
    refused: &'static [&'static str],
}

const GROUP: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/security/\
    providers/microsoft.insights/actionGroups/Who is on call";

const EXAMPLES: [Example; 9] = [
    Example {
        parameter: "AlertActionGroup",
        taken: &["", GROUP],
        refused: &[
            "Who is on call",
            "oncall@example.com",
            "/subscriptions/1/actionGroups/",
        ],
    },
    Example {
        parameter: "AzureSentinelSharedKey",
        // 64 bytes.
        taken: &[
            "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw==",
            "+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/+//7/w==",
        ],
        refused: &[
            "",
            "a2V5cw==",
            "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw",
            "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw== ",
            "-DEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw==",
        ],
    },
    Example {
        parameter: "AzureSentinelWorkspaceId",
        taken: &["01234567-89ab-CDEF-0123-456789abcdef"],
        refused: &["", "01234567", "{01234567-89ab-cdef-0123-456789abcdef}"],
    },
    Example {
        parameter: "ClientId",
        taken: &["aZ09_-"],
        refused: &["", "a b"],
    },
    Example {
        parameter: "ClientSecret",
        taken: &[
            "aZ09_-aZ09_-",
            "aZ09_-aZ09_-aZ09_-aZ09_-aZ09_-aZ09_-aZ09_-aZ09_-aZ09_-aZ09_-aZ09",
        ],
        refused: &["", "aZ09_-aZ09_", "aZ09_-aZ09_- aZ09_-aZ09_-"],
    },
    Example {
        parameter: "Domain",
        taken: &[
            "acme.eu.auth0.com",
            "https://acme.eu.auth0.com",
            "https://acme-1.eu.auth0.com/",
        ],
        refused: &[
            "",
            "acme",
            "http://acme.eu.auth0.com",
            "acme.eu.auth0.com/api/v2/",
            "acme..auth0.com",
            "acme eu.auth0.com",
        ],
    },
    Example {
        parameter: "FunctionName",
        taken: &["auth0-poller", "A", "0123456789abcdef"],
        refused: &["", "-a", "a_b", "0123456789abcdefg"],
    },
    Example {
        parameter: "PackageUri",
        taken: &["https://example.com/auth0-poller.zip?a=b"],
        refused: &["", "http://example.com/a.zip", "https://a b"],
    },
    Example {
        parameter: "StartFrom",
        taken: &[
            "1h",
            "90m",
            "1d12h",
            "oldest",
            "2026-11-21T08:00:00Z",
            "2026-11-21T08:00:00+01:00",
        ],
        refused: &["", "1", "yesterday", "2026-11-21", "1h ago"],
    },
];

#[test]
fn the_form_takes_what_the_program_takes() {
    let form = parsed("createUiDefinition.json");
    let outputs = form["parameters"]["outputs"].as_object().unwrap();
    let elements = elements(&form);
    let mut patterns = BTreeMap::new();
    for (name, output) in outputs {
        let (output, _) = shown(output.as_str().unwrap());
        let Some(element) = elements.get(&output) else {
            continue;
        };
        let constraints = &element["constraints"];
        let pattern = constraints.get("regex");
        let pattern = pattern.or(constraints["validations"].get(0).map(|it| &it["regex"]));
        if let Some(pattern) = pattern {
            let pattern = Regex::new(pattern.as_str().unwrap()).unwrap();
            patterns.insert(name.as_str(), pattern);
        }
    }
    assert_eq!(
        patterns.keys().copied().collect::<Vec<_>>(),
        EXAMPLES.map(|it| it.parameter)
    );
    for example in EXAMPLES {
        let name = example.parameter;
        for text in example.taken {
            assert!(patterns[name].is_match(text), "{name}: {text}");
            read(&[(name, json!(text))]).unwrap();
        }
        for text in example.refused {
            assert!(!patterns[name].is_match(text), "{name}: {text}");
        }
    }
}
