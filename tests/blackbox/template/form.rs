//! The template's form in the portal, `createUiDefinition.json`.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::settings::read;
use super::{SECRETS, names, parsed, template, texts};
use crate::kql;

/// The elements of the form, by the expressions that name them in the outputs.
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

/// The expression of an output's element, and the condition under which the element is shown.
fn shown(output: &str) -> (String, Option<String>) {
    let conditional = output
        .strip_prefix("[if(")
        .and_then(|it| it.rsplit_once(", "))
        .and_then(|(it, _)| it.rsplit_once(", "));
    match conditional {
        Some((condition, element)) => (format!("[{element}]"), Some(format!("[{condition}]"))),
        None => {
            let parsed = output.strip_prefix("[parse(");
            let parsed = parsed.and_then(|it| it.strip_suffix(")]"));
            let element = parsed.map(|it| format!("[{it}]"));
            (element.unwrap_or_else(|| output.to_owned()), None)
        }
    }
}

/// Parameters that may be left empty.
const OPTIONAL: [&str; 9] = [
    "AlertActionGroup",
    "ArchiveStorageAccountResourceId",
    "ArchiveUrl",
    "AwsAccessKeyId",
    "AwsRegion",
    "AwsRoleArn",
    "AwsWebIdentityAudience",
    "PII",
    "TinybirdDataSource",
];

#[test]
fn the_form_s_other_destinations_are_added_to_the_one_in_the_workspace() {
    let form = parsed("createUiDefinition.json");
    let mut boxes = Vec::new();
    for (name, element) in elements(&form) {
        if element["type"] == "Microsoft.Common.CheckBox" {
            assert_eq!(element["defaultValue"], false, "{name}");
            boxes.push(name);
        }
    }
    let of = |name: &str| format!("[steps('elsewhere').{name}]");
    let expected = ["archive", "eventBridge", "eventGrid", "tinybird"].map(of);
    assert_eq!(boxes, expected);
    let added = |name: &str, destination: &str| {
        format!("if(equals(steps('elsewhere').{name}, true), ',{destination}', '')")
    };
    let outputs = &form["parameters"]["outputs"];
    assert_eq!(
        outputs["Destinations"],
        format!(
            "[concat(steps('sentinel').destinations, {}, {}, {}, {})]",
            added("eventGrid", "event-grid"),
            added("eventBridge", "event-bridge"),
            added("tinybird", "tinybird"),
            added("archive", "archive"),
        )
    );
    let given = &outputs["AdditionalSettings"];
    assert_eq!(given, "[parse(steps('program').additionalSettings)]");
}

/// An added setting may ask for pseudonyms for another destination or tenant.
#[test]
fn the_form_asks_for_the_key_wherever_pseudonyms_are_asked_for() {
    let form = parsed("createUiDefinition.json");
    let mut elements = elements(&form);
    let key = elements.remove("[steps('program').piiKey]").unwrap();
    assert_eq!(
        key["visible"],
        "[or(contains(steps('auth0').pii, 'pseudonym'), \
         contains(steps('program').additionalSettings, 'pseudonym'))]"
    );
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
        let mut output = output.clone();
        if name == "Destinations" {
            elements.retain(|_, it| it["type"] != "Microsoft.Common.CheckBox");
            output = json!("[steps('sentinel').destinations]");
        }
        let (output, condition) = shown(output.as_str().unwrap());
        let element = elements.remove(&output);
        let visible = element.as_ref().map(|it| it["visible"].clone());
        assert_eq!(visible, Some(json!(condition)), "{name}");
        let element = element.unwrap_or_else(|| panic!("{name} is {output}, which there is not"));
        let is_optional = OPTIONAL.contains(&&**name);
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
                // To choose both makes sense for two workspaces, and the form asks for one.
                let expected = match &**name {
                    "Destinations" => json!(["logs-ingestion", "log-analytics"]),
                    _ => json!([true, false]),
                };
                assert_eq!(offered, expected, "{name}");
            }
            _ if is_optional => assert_eq!(element["defaultValue"], "", "{name}"),
            _ if name == "AdditionalSettings" => assert_eq!(element["defaultValue"], "{}"),
            // A text that is only sometimes asked for has no default.
            default if condition.is_some() => {
                assert!(matches!(default.as_str(), None | Some("")), "{name}");
            }
            // The package of this version, not the latest one at the time of deployment.
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

/// The branch `release`, from which the portal loads the form, has no documentation pages.
#[test]
fn the_form_links_to_a_page_of_this_version() {
    let form = parsed("createUiDefinition.json");
    let links = texts(&form).into_iter();
    let project = "https://github.com/auth0-poller/auth0-poller/blob/";
    let links: Vec<_> = links
        .filter_map(|(_, it)| it.strip_prefix(project))
        .collect();
    assert!(!links.is_empty());
    for link in links {
        let version = concat!("v", env!("CARGO_PKG_VERSION"), "/");
        let page = link
            .strip_prefix(version)
            .unwrap_or_else(|| panic!("{link}"));
        assert!(kql::project().join(page).is_file(), "{link}");
    }
}

/// Answers to one question of the form.
struct Example {
    parameter: &'static str,
    taken: &'static [&'static str],
    refused: &'static [&'static str],
}

const GROUP: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/security/\
    providers/microsoft.insights/actionGroups/Who is on call";

const TOPIC: &str = "/subscriptions/1/resourceGroups/g/providers/Microsoft.EventGrid/topics/logs";
const NAMESPACE_TOPIC: &str =
    "/subscriptions/1/resourcegroups/g/providers/Microsoft.EventGrid/namespaces/n/topics/logs";
const ACCOUNT: &str =
    "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/logs";

const EXAMPLES: [Example; 24] = [
    Example {
        parameter: "AdditionalSettings",
        taken: &[
            "{}",
            r#" {"OVERLAP": "2m"} "#,
            "{\"OVERLAP\": \"2m\",\n  \"REDACT\": \"\"}",
            r#"{"A": "\"b\""}"#,
            // The settings that the page on pausing names.
            r#"{"AzureWebJobs.Auth0Poller.Disabled": "true", "ACME__DOMAIN": "acme.eu.auth0.com"}"#,
        ],
        refused: &[
            "",
            "OVERLAP=2m",
            r#"{"OVERLAP": 2}"#,
            r#"{"OVERLAP": "2m",}"#,
            r#"{"A": "b" "C": "d"}"#,
            r#"{"A": {"B": "c"}}"#,
        ],
    },
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
        parameter: "ArchiveStorageAccountResourceId",
        taken: &["", ACCOUNT],
        refused: &[
            "logs",
            TOPIC,
            "/subscriptions/1/resourceGroups/g/storageAccounts/logs",
        ],
    },
    Example {
        parameter: "ArchiveUrl",
        taken: &[
            "",
            "https://acme.blob.core.windows.net/logs",
            "https://acme.blob.core.windows.net/logs/a/b",
            "s3://logs",
            "s3://logs/a/b",
        ],
        refused: &[
            "logs",
            "s3:///a",
            "https://acme.blob.core.windows.net",
            "file:///logs",
        ],
    },
    Example {
        parameter: "AwsAccessKeyId",
        taken: &["", "AKIAIOSFODNN7EXAMPLE"],
        refused: &["akia", "AKIA IOS"],
    },
    Example {
        parameter: "AwsRegion",
        taken: &["", "eu-west-1", "us-gov-east-1"],
        refused: &["EU", "eu west 1"],
    },
    Example {
        parameter: "AwsRoleArn",
        taken: &[
            "",
            "arn:aws:iam::123456789012:role/auth0-logs",
            "arn:aws-us-gov:iam::123456789012:role/path/auth0-logs",
        ],
        refused: &["auth0-logs", "arn:aws:iam::123456789012:user/auth0-logs"],
    },
    Example {
        parameter: "AwsSecretAccessKey",
        taken: &["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
        refused: &["", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE"],
    },
    Example {
        parameter: "AwsWebIdentityAudience",
        taken: &["", "api://01234567-89ab-cdef-0123-456789abcdef"],
        refused: &["a b"],
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
        parameter: "EventBridgeBus",
        taken: &[
            "auth0",
            "arn:aws:events:eu-west-1:123456789012:event-bus/auth0",
        ],
        refused: &["", "a b"],
    },
    Example {
        parameter: "EventGridTopicResourceId",
        taken: &[TOPIC, NAMESPACE_TOPIC],
        refused: &[
            "",
            "https://logs.westeurope-1.eventgrid.azure.net/api/events",
            ACCOUNT,
        ],
    },
    Example {
        parameter: "FunctionName",
        taken: &["auth0-poller", "A", "0123456789abcdef"],
        refused: &["", "-a", "a_b", "0123456789abcdefg"],
    },
    Example {
        parameter: "PII",
        taken: &[
            "",
            "none",
            "ip:truncate",
            "email:pseudonym, user_id:drop,ip:mask",
        ],
        refused: &[
            "email",
            "email:hash",
            "email=mask",
            "ip:mask,",
            "none,ip:mask",
        ],
    },
    Example {
        parameter: "PII_KEY",
        // 32, 33 and 34 bytes.
        taken: &[
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZn",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZnaA==",
        ],
        refused: &[
            "",
            // 31 bytes.
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ==",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZ_-=",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= ",
        ],
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
    Example {
        parameter: "TinybirdDataSource",
        taken: &["", "auth0_2"],
        refused: &["auth0-2", "a b"],
    },
    Example {
        parameter: "TinybirdHost",
        taken: &["https://api.europe-west2.gcp.tinybird.co"],
        refused: &[
            "",
            "http://api.tinybird.co",
            "https://api.tinybird.co/v0/events",
        ],
    },
    Example {
        parameter: "TinybirdToken",
        taken: &["p.eyJ1IjogImEifQ.c2ln"],
        refused: &["", "p.eyJ1", "p.eyJ1 IjogImEifQ.c2ln"],
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
            let answer = match name {
                "AdditionalSettings" => serde_json::from_str(text).unwrap(),
                _ => json!(text),
            };
            read(&[(name, answer)]).unwrap();
        }
        for text in example.refused {
            assert!(!patterns[name].is_match(text), "{name}: {text}");
        }
    }
}
