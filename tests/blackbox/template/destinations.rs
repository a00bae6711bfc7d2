//! What the template makes in the workspace for each destination, and the data collection rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::resource_manager::{Azure, Deployed, Resource, WORKSPACE, WORKSPACE_LOCATION};
use super::{
    ANALYTIC_RULE, FUNCTION, RULE, SECRET, TABLE, WORKBOOK, deployed, deployed_of, name, template,
};
use crate::kql::{self, Kql};

#[test]
fn each_destination_gets_what_it_needs_and_no_more() {
    for (destinations, secrets, rules) in [
        ("logs-ingestion", 1, 1),
        ("log-analytics", 2, 0),
        ("log-analytics,logs-ingestion", 2, 1),
    ] {
        let answers = [
            ("Destinations", json!(destinations)),
            ("PII_KEY", json!("")),
        ];
        let deployed = deployed(&answers);
        let counts = [SECRET, RULE, TABLE].map(|it| deployed.all(it).len());
        // The tables of records and of heartbeats.
        assert_eq!(counts, [secrets, rules, 2 * rules], "{destinations}");
    }
    // A migrated table is not deployed.
    let deployed = deployed(&[("DeployTable", json!(false))]);
    assert_eq!(deployed.all(RULE).len(), 1);
    let tables = deployed.all(TABLE);
    let tables: Vec<_> = tables.iter().map(|it| name(it)).collect();
    assert_eq!(tables, ["sentinel/Auth0AMHealth_CL"]);
}

#[test]
fn the_key_may_be_empty_where_it_is_not_used() {
    let answers = [
        ("Destinations", json!("logs-ingestion")),
        ("AzureSentinelSharedKey", json!("")),
        ("AzureSentinelWorkspaceId", json!("")),
        ("PII_KEY", json!("")),
    ];
    let secrets = deployed(&answers);
    let secrets = secrets.all(SECRET);
    let [secret] = &secrets[..] else {
        panic!("{} secrets", secrets.len());
    };
    assert!(name(secret).ends_with("/ClientSecret"));
}

/// The Resource Manager evaluates the parameters of a deployment even if its condition is false.
#[test]
fn what_is_not_deployed_is_not_asked() {
    let text = template().to_string();
    let answers = [("Destinations", json!("log-analytics"))];
    let condition = "[if(variables('usesRule'), reference(";
    let asked: Vec<_> = text.match_indices(condition).collect();
    assert!(!asked.is_empty());
    for (place, _) in asked {
        let after = &text[place + condition.len()..];
        let broken = [&text[..place], "[if(empty(''), reference(", after].concat();
        let broken = serde_json::from_str(&broken).unwrap();
        let error = deployed_of(&broken, &Azure::default(), &answers)
            .err()
            .unwrap();
        assert!(error.contains("is not deployed"), "{error}");
    }
}

/// The names and types of columns.
fn columns(columns: &Value) -> BTreeMap<String, String> {
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let columns = columns.as_array().unwrap().iter();
    columns
        .map(|it| (text(&it["name"]), text(&it["type"])))
        .collect()
}

const STREAM: &str = "Custom-Auth0AM_CL";
const HEALTH_STREAM: &str = "Custom-Auth0AMHealth_CL";

fn table<'a>(deployed: &'a Deployed, table: &str) -> &'a Resource {
    let id = format!("{WORKSPACE}/tables/{table}");
    let mut found = deployed.all(TABLE).into_iter().filter(|it| it.id == id);
    found.next().unwrap_or_else(|| panic!("no {id}"))
}

/// The columns that the rule takes, its transformation, and the columns of the table.
fn way(deployed: &Deployed) -> (BTreeMap<String, String>, String, BTreeMap<String, String>) {
    let rule = &deployed.one(RULE).body["properties"];
    let table = &table(deployed, "Auth0AM_CL").body["properties"]["schema"];
    let transform = rule["dataFlows"][0]["transformKql"].as_str().unwrap();
    (
        columns(&rule["streamDeclarations"][STREAM]["columns"]),
        transform.to_owned(),
        columns(&table["columns"]),
    )
}

#[test]
fn the_rule_takes_the_program_s_stream_into_the_workspace_s_table() {
    let deployed = deployed(&[]);
    for name in ["Auth0AM_CL", "Auth0AMHealth_CL"] {
        let table = table(&deployed, name);
        assert_eq!(table.body["properties"]["schema"]["name"], name);
    }

    let Resource { id, body, .. } = deployed.one(RULE);
    let group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/auth0-logs/";
    assert!(id.starts_with(group), "{id}");
    // The rule must be in the workspace's region, wherever the app is.
    assert_eq!(body["location"], WORKSPACE_LOCATION);
    // Rules of other kinds have no endpoint of their own.
    assert_eq!(body["kind"], "Direct");
    let rule = &body["properties"];
    let streams: Vec<_> = rule["streamDeclarations"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(streams, [HEALTH_STREAM, STREAM]);
    let [workspace] = &rule["destinations"]["logAnalytics"].as_array().unwrap()[..] else {
        panic!("{}", rule["destinations"]);
    };
    let flows = rule["dataFlows"].as_array().unwrap();
    assert_eq!(flows.len(), 2);
    for (flow, stream) in flows.iter().zip([STREAM, HEALTH_STREAM]) {
        assert_eq!(flow["streams"], json!([stream]));
        // The stream has the name of its table.
        assert_eq!(flow["outputStream"], stream);
        assert_eq!(flow["destinations"], json!([workspace["name"]]));
    }
    assert_eq!(workspace["workspaceResourceId"], WORKSPACE);
}

#[test]
fn the_columns_of_a_heartbeat_are_the_same_in_its_stream_and_in_its_table() {
    let deployed = deployed(&[]);
    let rule = &deployed.one(RULE).body["properties"];
    let sent = columns(&rule["streamDeclarations"][HEALTH_STREAM]["columns"]);
    let kept = &table(&deployed, "Auth0AMHealth_CL").body["properties"]["schema"];
    let kept = columns(&kept["columns"]).into_iter();
    let kept: BTreeMap<_, _> = kept
        .map(|(name, kind)| (name, kind.to_lowercase()))
        .collect();
    assert_eq!(sent, kept);
    for (name, kind) in [
        ("TimeGenerated", "datetime"),
        ("TenantName_s", "string"),
        ("Destination_s", "string"),
        ("State_s", "string"),
        ("Delivered_d", "real"),
        ("CaughtUp_b", "boolean"),
        ("GapTo_t", "datetime"),
    ] {
        assert_eq!(sent[name], kind, "{name}");
    }
    // Heartbeats need no transformation.
    assert_eq!(rule["dataFlows"][1]["transformKql"], Value::Null);
}

/// Tried with Microsoft's language service and with our own interpreter.
#[test]
fn the_transformation_makes_rows_of_the_table_out_of_those_of_the_stream() {
    let (stream, transform, kept) = way(&deployed(&[]));
    let stream: serde_json::Map<_, _> = stream
        .into_iter()
        .map(|(name, kind)| (name, kind.replace("boolean", "bool").into()))
        .collect();
    let guid = "01234567-89ab-cdef-0123-456789abcdef";
    let rows = [
        json!({"TimeGenerated": "2026-11-21T08:00:00Z", "type_s": "s", "isMobile_b": true}),
        json!({"type_s": "f", "details_request_auth_credentials_jti_g": guid}),
    ];
    let kql = Kql::over_stream(&stream, &rows);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transform.kql");
    fs::write(&file, &transform).unwrap();
    assert_eq!(kql.problems(&[file]), "");

    let result = kql.result(&transform, "2026-11-21T09:00:00Z");
    let filled = |row: &serde_json::Map<String, Value>| -> Value {
        let fields = row.iter().filter(|(_, it)| !it.is_null() && *it != "");
        json!(fields.collect::<BTreeMap<_, _>>())
    };
    assert_eq!(
        result.iter().map(filled).collect::<Vec<_>>(),
        [
            rows[0].clone(),
            json!({
                "TimeGenerated": "2026-11-21T09:00:00Z", "type_s": "f",
                "details_request_auth_credentials_jti_g": guid,
            }),
        ]
    );
    let names: BTreeSet<_> = result[0].keys().cloned().collect();
    assert_eq!(names, kept.into_keys().collect());
}

#[test]
fn the_workspace_gets_the_functions_of_the_parsers_files() {
    let deployed = deployed(&[]);
    let mut functions = deployed.all(FUNCTION);
    functions.sort_by_key(|it| &it.id);
    let files = kql::parsers();
    assert_eq!(functions.len(), files.len());
    for (function, file) in functions.iter().zip(&files) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert_eq!(function.id, format!("{WORKSPACE}/savedSearches/{name}"));
        let yaml = fs::read_to_string(file).unwrap();
        // In each file the query comes last.
        let (_, query) = yaml.split_once("Query: |\n").unwrap();
        let query = query.lines().map(|it| it.strip_prefix("  ").unwrap_or(it));
        let properties = &function.body["properties"];
        assert_eq!(
            properties["query"],
            query.collect::<Vec<_>>().join("\n"),
            "{name}"
        );
        assert_eq!(properties["functionAlias"], name);
        assert_eq!(properties["displayName"], name);
        assert_eq!(properties["version"], 2);
        // Without it the service answers a second deployment with a conflict.
        assert_eq!(function.body["etag"], "*");
    }
    let parameters = functions
        .iter()
        .map(|it| &it.body["properties"]["functionParameters"]);
    assert_eq!(
        parameters.collect::<Vec<_>>(),
        [
            "disabled:bool=false, pack:bool=false",
            "eventcode_in:dynamic=dynamic([])",
            "starttime:datetime=datetime(null), endtime:datetime=datetime(null), \
             username_has_any:dynamic=dynamic([]), targetappname_has_any:dynamic=dynamic([]), \
             srcipaddr_has_any_prefix:dynamic=dynamic([]), \
             srchostname_has_any:dynamic=dynamic([]), eventtype_in:dynamic=dynamic([]), \
             eventresultdetails_in:dynamic=dynamic([]), eventresult:string='*', \
             disabled:bool=false, pack:bool=false",
        ]
    );
}

#[test]
fn the_functions_can_be_left_out() {
    assert_eq!(
        deployed(&[("DeployParsers", json!(false))])
            .all(FUNCTION)
            .len(),
        0
    );
}

#[test]
fn sentinel_gets_the_rules_of_the_files_after_the_functions() {
    let deployed = deployed(&[]);
    let rules = deployed.all(ANALYTIC_RULE);
    let files = kql::files("sentinel/rules");
    assert_eq!(rules.len(), files.len());
    for file in files {
        let yaml = fs::read_to_string(&file).unwrap();
        let line = |name: &str| {
            let line = yaml.lines().find_map(|it| it.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let id = format!(
            "{WORKSPACE}/providers/Microsoft.SecurityInsights/alertRules/{}",
            line("id:")
        );
        let rule = rules.iter().find(|it| it.id == id).unwrap();
        let properties = &rule.body["properties"];
        assert_eq!(rule.body["kind"], "Scheduled");
        assert_eq!(properties["displayName"], line("name:"), "{id}");
        assert_eq!(properties["severity"], line("severity:"), "{id}");
        assert_eq!(properties["enabled"], true);
        let (_, query) = yaml.split_once("query: |\n").unwrap();
        let query = query
            .lines()
            .take_while(|it| it.is_empty() || it.starts_with(' '));
        let query = query.map(|it| it.strip_prefix("  ").unwrap_or(it));
        assert_eq!(
            properties["query"],
            query.collect::<Vec<_>>().join("\n"),
            "{id}"
        );
    }
    let silent = rules
        .iter()
        .find(|it| it.body["name"] == "d31d074b-4fbe-4aa2-9a07-3a442b5b30cd");
    let properties = &silent.unwrap().body["properties"];
    assert_eq!(properties["queryFrequency"], "PT1H");
    assert_eq!(properties["queryPeriod"], "P2D");
    assert_eq!(properties["techniques"], json!(["T1562"]));
    assert_eq!(
        properties["entityMappings"][0]["entityType"],
        "CloudApplication"
    );
    assert_eq!(
        properties["customDetails"],
        json!({"LastArrival": "LastArrival", "Tenant": "Tenant"})
    );
    assert_eq!(
        properties["incidentConfiguration"]["groupingConfiguration"]["lookbackDuration"],
        "P1D"
    );

    let nested = deployed.all(super::DEPLOYMENT);
    let ends_with = |end: &str| nested.iter().find(|it| it.id.ends_with(end)).unwrap();
    let parsers = &ends_with("-parsers").id;
    assert!(ends_with("-analytic-rules").after.contains(parsers));
}

#[test]
fn the_rules_can_be_made_without_running_or_left_out() {
    let disabled = deployed(&[("RulesEnabled", json!(false))]);
    let rules = disabled.all(ANALYTIC_RULE);
    assert!(rules.len() >= 40);
    assert!(
        rules
            .iter()
            .all(|it| it.body["properties"]["enabled"] == false)
    );
    let left_out = deployed(&[("DeployRules", json!(false))]);
    assert_eq!(left_out.all(ANALYTIC_RULE).len(), 0);
}

#[test]
fn a_second_deployment_changes_the_same_rules_and_workbook() {
    let ids = |function: &str| {
        let deployed = deployed(&[("FunctionName", json!(function))]);
        let made = [deployed.all(ANALYTIC_RULE), deployed.all(WORKBOOK)].concat();
        made.iter().map(|it| it.id.clone()).collect::<Vec<_>>()
    };
    // This holds for another tenant in the same workspace too.
    assert_eq!(ids("acme"), ids("globex"));
}

#[test]
fn the_workspace_gets_the_workbook_of_the_file() {
    let made = deployed(&[]);
    let workbook = made.one(WORKBOOK);
    let properties = &workbook.body["properties"];
    assert_eq!(properties["category"], "sentinel");
    assert_eq!(properties["sourceId"], WORKSPACE);
    let data: Value = serde_json::from_str(properties["serializedData"].as_str().unwrap()).unwrap();
    assert_eq!(data, super::parsed("sentinel/workbook.json"));
    let left_out = deployed(&[("DeployWorkbook", json!(false))]);
    assert_eq!(left_out.all(WORKBOOK).len(), 0);
}

/// The portal takes at most 4 MB. The Resource Manager takes at most 800 resources, 256 parameters,
/// 256 variables, and 1 MB for each resource as it is sent.
#[test]
fn the_template_stays_within_the_limits() {
    let text = fs::read(kql::project().join("azuredeploy.json")).unwrap();
    assert!(text.len() < 4_000_000);
    let template = template();
    for part in ["parameters", "variables", "resources"] {
        let part = &template[part];
        let count = part.as_object().map(serde_json::Map::len);
        let count = count.or(part.as_array().map(Vec::len));
        assert!(count.unwrap() < 256);
    }
    let deployed = deployed(&[]);
    assert!(deployed.resources.len() < 800);
    for resource in &deployed.resources {
        assert!(
            resource.body.to_string().len() < 1_000_000,
            "{}",
            resource.id
        );
    }
}
