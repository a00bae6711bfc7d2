//! What the Resource Manager would make of the template, for given answers and a given cloud.
//!
//! It is stricter. A resource that lies within another, or asks for its state, has to wait for it
//! by `dependsOn`. To ask for a resource that is not deployed is an error, even if the asking one
//! is not deployed either. (The Resource Manager evaluates such expressions too.)

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::expression::{Result, Scope, Surroundings};

const GROUP: (&str, &str) = ("11111111-1111-1111-1111-111111111111", "auth0-logs");
const DEPLOYMENT: &str = "Microsoft.Resources/deployments";

/// What is known only after a deployment.
#[derive(Clone)]
pub struct Azure {
    pub cloud: &'static str,
    /// The resource group that is deployed to, in its subscription.
    pub group: (&'static str, &'static str),
    /// The blob service of the storage account for the app's state.
    pub blob: String,
    /// The Function App's identity.
    pub principal: &'static str,
    /// The data collection rule's endpoint and immutable id.
    pub rule: (String, String),
}

/// The workspace, which exists already, in another subscription.
pub const WORKSPACE: &str = "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/\
    security/providers/Microsoft.OperationalInsights/workspaces/sentinel";
/// Event Grid topics, which exist already in yet another subscription: a topic, one of the same name in
/// another resource group, and one in a namespace.
pub const TOPIC: &str = "/subscriptions/66666666-6666-6666-6666-666666666666/resourceGroups/\
    events/providers/Microsoft.EventGrid/topics/logs";
pub const TOPIC_ELSEWHERE: &str = "/subscriptions/66666666-6666-6666-6666-666666666666/\
    resourceGroups/other/providers/Microsoft.EventGrid/topics/logs";
pub const NAMESPACE_TOPIC: &str = "/subscriptions/66666666-6666-6666-6666-666666666666/\
    resourceGroups/events/providers/Microsoft.EventGrid/namespaces/acme/topics/logs";
/// A storage account, which exists already in the same subscription.
pub const ACCOUNT: &str = "/subscriptions/66666666-6666-6666-6666-666666666666/resourceGroups/\
    archive/providers/Microsoft.Storage/storageAccounts/acmelogs";
/// The region of the workspace.
pub const WORKSPACE_LOCATION: &str = "westeurope";
/// The region of the resource group.
pub const LOCATION: &str = "northeurope";
/// Application Insights' connection string.
pub const INSIGHTS: &str = "InstrumentationKey=01234567-89ab-cdef-0123-456789abcdef";
/// The tenant in Microsoft Entra ID.
pub const TENANT: &str = "33333333-3333-3333-3333-333333333333";

impl Default for Azure {
    fn default() -> Self {
        Self {
            cloud: "AzureCloud",
            group: GROUP,
            blob: "https://auth0abc.blob.core.windows.net/".into(),
            principal: "44444444-4444-4444-4444-444444444444",
            rule: (
                "https://auth0-poller-abc-x1.westeurope-1.ingest.monitor.azure.com".into(),
                "dcr-0123456789abcdef0123456789abcdef".into(),
            ),
        }
    }
}

/// A resource that was deployed.
pub struct Resource {
    pub id: String,
    pub kind: String,
    /// The body as it was sent, without the template of a nested deployment.
    pub body: Value,
    /// The ids of the resources that it waited for.
    pub after: BTreeSet<String>,
}

/// What a deployment made.
pub struct Deployed {
    azure: Azure,
    pub resources: Vec<Resource>,
    pub outputs: BTreeMap<String, Value>,
    /// The outputs of the nested deployments, by their ids.
    within: BTreeMap<String, Value>,
}

impl Deployed {
    /// The only resource of a type.
    pub fn one(&self, kind: &str) -> &Resource {
        match &self.all(kind)[..] {
            [one] => one,
            several => panic!("{} of {kind}", several.len()),
        }
    }

    /// The resources of a type.
    pub fn all(&self, kind: &str) -> Vec<&Resource> {
        self.resources.iter().filter(|it| it.kind == kind).collect()
    }
}

/// Deploys a template with these values of its parameters.
pub fn deploy(azure: &Azure, template: &Value, answers: &Map<String, Value>) -> Result<Deployed> {
    let mut deployed = Deployed {
        azure: azure.clone(),
        resources: Vec::new(),
        outputs: BTreeMap::new(),
        within: BTreeMap::new(),
    };
    let group = [azure.group.0, azure.group.1].map(str::to_owned);
    let outputs = deployed.run(template, answers, &group)?;
    let outputs = outputs.as_object().unwrap().iter();
    deployed.outputs = outputs
        .map(|(name, it)| (name.clone(), it["value"].clone()))
        .collect();
    Ok(deployed)
}

/// A subscription and a resource group in it.
type Group = [String; 2];

fn group_id([subscription, group]: &Group) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}")
}

fn id(base: &str, kind: &str, names: &[&str]) -> Result<String> {
    let mut kinds = kind.split('/');
    let mut id = format!("{base}/providers/{}", kinds.next().unwrap_or_default());
    if kinds.clone().count() != names.len() {
        return Err(format!("{kind} is not named by {names:?}"));
    }
    for (kind, name) in kinds.zip(names) {
        id = format!("{id}/{kind}/{name}");
    }
    Ok(id)
}

/// A resource of a template, or a copy of it.
struct Planned<'a> {
    id: String,
    resource: &'a Value,
    index: Option<usize>,
    is_wanted: bool,
    depends_on: BTreeSet<String>,
}

/// What a resource can see of the deployment.
struct View<'a> {
    deployed: &'a Deployed,
    group: &'a Group,
    /// The ids of the resources that surely exist; `None` if all do.
    after: Option<&'a BTreeSet<String>>,
}

impl Surroundings for View<'_> {
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value> {
        let azure = &self.deployed.azure;
        let texts: Option<Vec<_>> = arguments.iter().map(Value::as_str).collect();
        Ok(match (name, &texts.ok_or("a text is missing")?[..]) {
            ("environment", []) => {
                let vault = match azure.cloud {
                    "AzureUSGovernment" => ".vault.usgovcloudapi.net",
                    "AzureChinaCloud" => ".vault.azure.cn",
                    _ => ".vault.azure.net",
                };
                json!({"name": azure.cloud, "suffixes": {"keyvaultDns": vault}})
            }
            ("subscription", []) => json!({"tenantId": TENANT}),
            ("resourceGroup", []) => json!({"id": group_id(self.group), "location": LOCATION}),
            ("resourceId", [subscription, group, kind, names @ ..]) if kind.contains('/') => {
                let group = [*subscription, *group].map(str::to_owned);
                id(&group_id(&group), kind, names)?.into()
            }
            ("resourceId", [kind, names @ ..]) => id(&group_id(self.group), kind, names)?.into(),
            ("subscriptionResourceId", [kind, names @ ..]) => {
                id(&format!("/subscriptions/{}", self.group[0]), kind, names)?.into()
            }
            ("extensionResourceId", [base, kind, names @ ..]) => id(base, kind, names)?.into(),
            ("reference", [id, _]) => self.state(id)?["properties"].clone(),
            ("reference", [id, _, "Full"]) => self.state(id)?,
            _ => return Err(format!("{name} of {arguments:?} is not known here")),
        })
    }
}

fn namespace() -> &'static str {
    NAMESPACE_TOPIC.split_once("/topics/").unwrap().0
}

impl View<'_> {
    /// The state of a resource as the service reports it.
    fn state(&self, id: &str) -> Result<Value> {
        if id == WORKSPACE {
            return Ok(json!({"location": WORKSPACE_LOCATION}));
        }
        let there_before = [
            (
                TOPIC,
                json!({"endpoint": "https://logs.uksouth-1.eventgrid.azure.net/api/events"}),
            ),
            (
                TOPIC_ELSEWHERE,
                json!({"endpoint": "https://logs.ukwest-1.eventgrid.azure.net/api/events"}),
            ),
            (
                namespace(),
                json!({"topicsConfiguration": {"hostname": "acme.uksouth-1.eventgrid.azure.net"}}),
            ),
            (
                ACCOUNT,
                json!({"primaryEndpoints": {"blob": "https://acmelogs.blob.core.windows.net/"}}),
            ),
        ];
        if let Some((_, properties)) = there_before.iter().find(|(it, _)| *it == id) {
            return Ok(json!({"properties": properties}));
        }
        if self.after.is_some_and(|it| !it.contains(id)) {
            return Err(format!("{id} may not be there yet"));
        }
        let azure = &self.deployed.azure;
        let resource = self.deployed.resources.iter().find(|it| it.id == id);
        let resource = resource.ok_or_else(|| format!("{id} is not deployed"))?;
        let body = &resource.body;
        let properties = match &*resource.kind {
            "Microsoft.Storage/storageAccounts" => {
                let name = body["name"].as_str().unwrap_or_default();
                let blob = if name.starts_with("auth0pkg") {
                    "https://auth0pkgabc.blob.core.windows.net/"
                } else {
                    &*azure.blob
                };
                json!({"primaryEndpoints": {"blob": blob}})
            }
            "Microsoft.KeyVault/vaults" => {
                let name = body["name"].as_str().unwrap_or_default();
                json!({"vaultUri": format!("https://{name}.vault.azure.net/")})
            }
            "Microsoft.Insights/components" => json!({"ConnectionString": INSIGHTS}),
            "Microsoft.Insights/dataCollectionRules" => {
                let mut state = json!({"immutableId": azure.rule.1});
                // Rules of other kinds are reached through a data collection endpoint.
                if body["kind"] == "Direct" {
                    state["endpoints"] = json!({"logsIngestion": azure.rule.0});
                }
                state
            }
            DEPLOYMENT => json!({"outputs": self.deployed.within[id]}),
            _ => Value::Null,
        };
        let mut state = json!({"properties": properties});
        if body["identity"]["type"] == "SystemAssigned" {
            state["identity"] = json!({"principalId": azure.principal});
        }
        Ok(state)
    }
}

impl Deployed {
    /// Deploys a template into a resource group and returns its outputs.
    fn run(
        &mut self,
        template: &Value,
        given: &Map<String, Value>,
        group: &Group,
    ) -> Result<Value> {
        let parameters = self.parameters(template, given, group)?;
        let none = Map::new();
        let variables = template["variables"].as_object().unwrap_or(&none);
        let mut plan = self.plan(template, &parameters, variables, group)?;
        let ids: BTreeSet<_> = plan.iter().map(|it| it.id.clone()).collect();
        if ids.len() < plan.len() {
            return Err("a resource comes twice".into());
        }
        let mut after: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while !plan.is_empty() {
            // The last one first: what does not wait for others comes as early as possible.
            let is_ready = |it: &Planned| it.depends_on.iter().all(|it| after.contains_key(it));
            let next = plan.iter().rposition(is_ready);
            let mut planned = plan.remove(next.ok_or("each waits for another")?);
            for id in planned.depends_on.clone() {
                planned.depends_on.extend(after[&id].iter().cloned());
            }
            let is_parent = |it: &&String| planned.id.starts_with(&format!("{it}/"));
            if let Some(parent) = ids
                .iter()
                .filter(is_parent)
                .find(|it| !planned.depends_on.contains(*it))
            {
                return Err(format!("{} does not wait for {parent}", planned.id));
            }
            let made = self.made(&planned, &parameters, variables, group);
            made.map_err(|error| format!("{}: {error}", planned.id))?;
            after.insert(planned.id, planned.depends_on);
        }
        let scope = Scope {
            parameters: &parameters,
            variables,
            index: None,
            surroundings: &View {
                deployed: self,
                group,
                after: None,
            },
        };
        scope.value(template.get("outputs").unwrap_or(&json!({})))
    }

    /// The values of a template's parameters, if the template accepts each of them.
    fn parameters(
        &self,
        template: &Value,
        given: &Map<String, Value>,
        group: &Group,
    ) -> Result<Map<String, Value>> {
        let none = Map::new();
        let declared = template["parameters"].as_object().unwrap_or(&none);
        if let Some(name) = given.keys().find(|it| !declared.contains_key(*it)) {
            return Err(format!("there is no parameter {name}"));
        }
        let scope = Scope {
            parameters: &none,
            variables: &none,
            index: None,
            surroundings: &View {
                deployed: self,
                group,
                after: None,
            },
        };
        let mut parameters = Map::new();
        for (name, declared) in declared {
            let value = match (given.get(name), declared.get("defaultValue")) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => scope.value(default)?,
                (None, None) => return Err(format!("{name} has no value")),
            };
            let is_of_type = match declared["type"].as_str() {
                Some("string" | "secureString") => value.is_string(),
                Some("bool") => value.is_boolean(),
                Some("array") => value.is_array(),
                Some("object") => value.is_object(),
                _ => false,
            };
            let limit = |name: &str| declared.get(name).and_then(Value::as_u64);
            let length = value.as_str().map_or(0, |it| it.chars().count() as u64);
            let allowed = declared.get("allowedValues").and_then(Value::as_array);
            if !is_of_type
                || limit("minLength").is_some_and(|it| length < it)
                || limit("maxLength").is_some_and(|it| length > it)
                || allowed.is_some_and(|it| !it.contains(&value))
            {
                return Err(format!("{name} cannot be {value}"));
            }
            parameters.insert(name.clone(), value);
        }
        Ok(parameters)
    }

    fn plan<'a>(
        &self,
        template: &'a Value,
        parameters: &Map<String, Value>,
        variables: &Map<String, Value>,
        group: &Group,
    ) -> Result<Vec<Planned<'a>>> {
        let mut plan = Vec::new();
        let nothing = BTreeSet::new();
        let resources = template["resources"].as_array().ok_or("no resources")?;
        for resource in resources {
            let mut scope = Scope {
                parameters,
                variables,
                index: None,
                surroundings: &View {
                    deployed: self,
                    group,
                    after: Some(&nothing),
                },
            };
            let copies = match resource.get("copy") {
                Some(copy) => {
                    let count = scope.value(&copy["count"])?.as_u64().ok_or("copies")?;
                    let count = usize::try_from(count).map_err(|it| it.to_string())?;
                    (0..count).map(Some).collect()
                }
                None => vec![None],
            };
            for index in copies {
                scope.index = index;
                let value = |name: &str| scope.value(&resource[name]);
                let depends_on = resource
                    .get("dependsOn")
                    .map_or(Ok(json!([])), |it| scope.value(it))?;
                let depends_on = depends_on.as_array().ok_or("dependsOn")?;
                plan.push(Planned {
                    id: placed(resource, group, value)?,
                    resource,
                    index,
                    is_wanted: resource.get("condition").is_none() || value("condition")? == true,
                    depends_on: depends_on
                        .iter()
                        .map(|it| it.as_str().unwrap().to_owned())
                        .collect(),
                });
            }
        }
        Ok(plan)
    }

    /// Makes a resource. If it is not wanted, only checks whether it could be made.
    fn made(
        &mut self,
        planned: &Planned,
        parameters: &Map<String, Value>,
        variables: &Map<String, Value>,
        group: &Group,
    ) -> Result<()> {
        let Planned {
            id,
            resource,
            is_wanted,
            ..
        } = planned;
        let kind = resource["type"].as_str().ok_or("no type")?;
        let mut sent = (*resource).clone();
        let template = if kind == DEPLOYMENT {
            if resource["properties"]["expressionEvaluationOptions"]["scope"] != "inner" {
                return Err("its expressions are not its own".into());
            }
            sent["properties"]
                .as_object_mut()
                .and_then(|it| it.remove("template"))
        } else {
            None
        };
        for name in ["comments", "condition", "copy", "dependsOn"] {
            sent.as_object_mut().ok_or("no resource")?.remove(name);
        }
        let scope = Scope {
            parameters,
            variables,
            index: planned.index,
            surroundings: &View {
                deployed: self,
                group,
                after: Some(&planned.depends_on),
            },
        };
        let body = scope.value(&sent)?;
        if !is_wanted {
            return Ok(());
        }
        let extensions = [
            "Microsoft.Authorization",
            "Microsoft.Insights/diagnosticSettings",
        ];
        let mut scopes = extensions.iter().filter_map(|it| {
            let (scope, _) = id.split_once(&format!("/providers/{it}/"))?;
            Some(scope)
        });
        if let Some(scope) = scopes.next()
            && !self.resources.iter().any(|it| it.id == scope)
            && ![TOPIC, TOPIC_ELSEWHERE, NAMESPACE_TOPIC].contains(&scope)
        {
            return Err(format!("{scope} is not there"));
        }
        if let Some(template) = template {
            let given = body["properties"]["parameters"]
                .as_object()
                .into_iter()
                .flatten();
            let given = given
                .map(|(name, it)| (name.clone(), it["value"].clone()))
                .collect();
            let outputs = self.run(&template, &given, &group_of(&body, group))?;
            self.within.insert(id.clone(), outputs);
        }
        self.resources.push(Resource {
            id: id.clone(),
            kind: kind.to_owned(),
            body,
            after: planned.depends_on.clone(),
        });
        Ok(())
    }
}

/// The resource group that a resource names for its deployment, or else `group`.
fn group_of(body: &Value, group: &Group) -> Group {
    let text = |name: &str, or: &str| body[name].as_str().unwrap_or(or).to_owned();
    [
        text("subscriptionId", &group[0]),
        text("resourceGroup", &group[1]),
    ]
}

/// The id that a resource will have.
fn placed(
    resource: &Value,
    group: &Group,
    value: impl Fn(&str) -> Result<Value>,
) -> Result<String> {
    let body = json!({
        "subscriptionId": value("subscriptionId")?,
        "resourceGroup": value("resourceGroup")?,
    });
    let mut base = group_id(&group_of(&body, group));
    if let Some(scope) = value("scope")?.as_str() {
        // Types and names alternate.
        let parts: Vec<_> = scope.split('/').collect();
        let (provider, pairs) = parts.split_first().ok_or("no scope")?;
        let every_second = |from: usize| pairs.iter().skip(from).step_by(2).copied();
        let kinds: Vec<_> = every_second(0).collect();
        let names: Vec<_> = every_second(1).collect();
        if kinds.is_empty() || kinds.len() != names.len() {
            return Err(format!("{scope} is no scope known here"));
        }
        base = id(&base, &format!("{provider}/{}", kinds.join("/")), &names)?;
    }
    let name = value("name")?;
    let names: Vec<_> = name.as_str().ok_or("no name")?.split('/').collect();
    id(&base, resource["type"].as_str().ok_or("no type")?, &names)
}
