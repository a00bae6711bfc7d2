//! The alert rules that the template makes. Their queries are tested in `crate::telemetry`.

use serde_json::{Value, json};

use super::resource_manager::{Azure, Deployed, Resource};
use super::{ALERT, COMPONENT, deployed, deployed_of, name, template};

/// The queries of the two rules: runs fail, and no run succeeds.
pub fn alert_queries() -> Vec<String> {
    let deployed = deployed_of(&template(), &Azure::default(), &[]).unwrap();
    let queries = ["-failing", "-silent"].map(|end| {
        let query = &condition(rule(&deployed, end))["query"];
        query.as_str().unwrap().to_owned()
    });
    queries.into()
}

fn rule<'a>(deployed: &'a Deployed, end: &str) -> &'a Resource {
    let rules = deployed.all(ALERT).into_iter();
    let mut rules = rules.filter(|it| name(it).ends_with(end));
    rules.next().unwrap()
}

/// The only condition of a rule.
fn condition(rule: &Resource) -> &Value {
    let conditions = rule.body["properties"]["criteria"]["allOf"].as_array();
    let [condition] = &conditions.unwrap()[..] else {
        panic!("{}", rule.id);
    };
    condition
}

#[test]
fn two_rules_look_every_quarter_of_an_hour_at_the_app_s_own_telemetry() {
    let deployed = deployed(&[]);
    let component = deployed.one(COMPONENT);
    assert_eq!(deployed.all(ALERT).len(), 2);
    for (end, window, dimensions) in [
        (
            "-failing",
            "PT45M",
            json!([{"name": "Reason", "operator": "Include", "values": ["*"]}]),
        ),
        ("-silent", "PT15M", json!([])),
    ] {
        let rule = rule(&deployed, end);
        assert!(rule.after.contains(&component.id), "{}", rule.id);
        assert_eq!(rule.body["kind"], "LogAlert");
        let properties = &rule.body["properties"];
        assert_eq!(properties["scopes"], json!([component.id]));
        assert_eq!(properties["evaluationFrequency"], "PT15M");
        assert_eq!(properties["windowSize"], window);
        assert_eq!(properties["enabled"], true);
        // The alert resolves by itself, so it is reported once.
        assert_eq!(properties["autoMitigate"], true);
        let condition = condition(rule);
        assert_eq!(
            (
                &condition["timeAggregation"],
                &condition["operator"],
                &condition["threshold"]
            ),
            (&json!("Count"), &json!("GreaterThan"), &json!(0))
        );
        assert_eq!(condition["dimensions"], dimensions);
        // The query looks as far back as the rule's window.
        let minutes = window.strip_prefix("PT").unwrap().to_lowercase();
        let query = condition["query"].as_str().unwrap();
        assert!(query.contains(&format!("ago({minutes})")), "{query}");
    }
}

#[test]
fn alerts_go_to_the_action_group_if_there_is_one_and_can_be_left_out() {
    let group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/security/\
        providers/microsoft.insights/actionGroups/on-call";
    for (answer, told) in [("", json!([])), (group, json!([group]))] {
        let deployed = deployed(&[("AlertActionGroup", json!(answer))]);
        for rule in deployed.all(ALERT) {
            let actions = &rule.body["properties"]["actions"];
            assert_eq!(actions["actionGroups"], told, "{}", rule.id);
        }
    }
    assert_eq!(deployed(&[("Alerts", json!(false))]).all(ALERT).len(), 0);
}
