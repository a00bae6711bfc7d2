//! HTTP triggers: how a call from outside is passed to the program, and how the program's answer is
//! passed to the caller.
//!
//! This is what the real host (4.1037) was observed to do without request forwarding. Rules that
//! were only read in its source are marked. Anything else panics.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::function::{Deployed, HttpTrigger, Trigger};
use super::invocation::{Invocation, sys};
use super::route::Parameters;

/// The app's key, made up. It opens every function with the level `function`.
pub const KEY: &str = "HOSTKEYHOSTKEYHOSTKEYHOSTKEYHOSTKEYHOSTKEYHOSTKEY123456";
/// The address at which callers find the app.
const AUTHORITY: &str = "127.0.0.1:7075";

/// A call to the app from outside.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    url: Url,
    headers: Vec<(String, String)>,
    body: String,
}

/// The reply to the caller.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers that the function set.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Call {
    /// A call to this path and query, such as `/api/health?x=1`, without a key.
    pub fn new(method: &str, target: &str) -> Self {
        let url = Url::parse(&format!("http://{AUTHORITY}{target}"));
        let headers = [
            ("Accept", "*/*"),
            ("Host", AUTHORITY),
            ("User-Agent", "curl/7.88.1"),
        ];
        Self {
            method: method.to_owned(),
            url: url.expect("a path and a query"),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            body: String::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the app's key as a header.
    #[must_use]
    pub fn key(self) -> Self {
        self.header("x-functions-key", KEY)
    }

    /// Sets the body, a text.
    #[must_use]
    pub fn body(mut self, text: &str) -> Self {
        text.clone_into(&mut self.body);
        self
    }

    /// The names and values in the query, in order.
    fn query(&self) -> Vec<(String, String)> {
        self.url.query_pairs().into_owned().collect()
    }

    /// Whether the call has the key. A header takes precedence over the query.
    fn has_key(&self) -> bool {
        let header = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("x-functions-key"));
        let query = self.query();
        let code = query.iter().find(|(name, _)| name == "code");
        header.or(code).is_some_and(|(_, key)| key == KEY)
    }
}

impl Reply {
    fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

/// Finds the function that a call is for, invokes it with this body and output binding, and makes
/// the reply from its answer.
pub(super) async fn reply(
    functions: &BTreeMap<String, Deployed>,
    call: &Call,
    invoke: impl AsyncFnOnce(&str, Invocation, &str) -> Result<Answer, String>,
) -> Reply {
    let found = functions.iter().find_map(|(name, function)| {
        let Trigger::Http(trigger) = &function.trigger else {
            return None;
        };
        let methods = trigger.methods.as_ref();
        // Read in the source: the methods are part of the route.
        let is_taken = methods.is_none_or(|methods| methods.contains(&call.method));
        let parameters = trigger.route.parameters(call.url.path())?;
        is_taken.then_some((name, function, trigger, parameters))
    });
    let Some((name, function, trigger, parameters)) = found else {
        return Reply::empty(404);
    };
    // Order read in the source: a caller without a key learns nothing.
    if !call.has_key() {
        return Reply::empty(401);
    }
    if function.is_disabled {
        return Reply::empty(404);
    }
    let invocation = Invocation::new(request(name, trigger, call, &parameters).to_string());
    let mut reply = match invoke(name, invocation, &trigger.response).await {
        Ok(answer) => response(answer, &trigger.response),
        Err(_) => Reply::empty(500),
    };
    if call.method == "HEAD" {
        reply.body.clear();
    }
    reply
}

/// The body that is sent to the program.
fn request(function: &str, trigger: &HttpTrigger, call: &Call, parameters: &Parameters) -> Value {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    let mut last = Map::new();
    for (name, value) in call.query() {
        last.insert(name.clone(), json!(value));
        joined
            .entry(name)
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert(value);
    }
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &call.headers {
        headers.entry(name).or_default().push(value);
    }
    let flat: BTreeMap<_, _> = headers
        .iter()
        .map(|(name, values)| (name, values.join(",")))
        .collect();
    let mut req = json!({
        "Url": call.url.as_str(),
        "Method": call.method,
        "Query": joined,
        "Headers": headers,
        "Params": parameters,
        "Identities": [identity()],
    });
    if !call.body.is_empty() {
        req["Body"] = json!(call.body);
    }
    // Each query name except that of the key, and each parameter that is present: as text with
    // quotes of its own.
    let query = last.iter().filter(|(name, _)| *name != "code");
    let query = query.map(|(name, value)| (name.clone(), json!(value.to_string())));
    let given = parameters.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some((name.clone(), json!(json!(value).to_string())))
    });
    let mut metadata: Map<String, Value> = query.chain(given).collect();
    metadata.insert("Query".into(), Value::Object(last));
    metadata.insert("Headers".into(), json!(flat));
    metadata.insert("sys".into(), sys(function));
    json!({"Data": {&trigger.request: req}, "Metadata": metadata})
}

/// The caller's identity: someone with the app's key.
fn identity() -> Value {
    let claim = |kind: &str, value: &str| {
        json!({
            "Issuer": "LOCAL AUTHORITY",
            "OriginalIssuer": "LOCAL AUTHORITY",
            "Properties": {},
            "Type": format!("http://schemas.microsoft.com/2017/07/functions/claims/{kind}"),
            "Value": value,
            "ValueType": "http://www.w3.org/2001/XMLSchema#string",
        })
    };
    json!({
        "AuthenticationType": "WebJobsAuthLevel",
        "IsAuthenticated": true,
        "Actor": null,
        "BootstrapContext": null,
        "Claims": [
            claim("authlevel", "Function"),
            claim("invoke", "true"),
            claim("keyid", "default"),
        ],
        "Label": null,
        "Name": null,
        "NameClaimType": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
        "RoleClaimType": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
    })
}

/// The reply for a success.
fn response(mut answer: Answer, output: &str) -> Reply {
    let response = match answer.outputs.remove(output) {
        Some(Value::Object(response)) => response,
        Some(Value::String(_)) => return Reply::empty(500),
        // Both were observed. That the return value makes the difference was read in the source.
        None if answer.return_value.is_null() => return Reply::empty(204),
        None => {
            return Reply {
                body: "{}".into(),
                ..Reply::empty(200)
            };
        }
        Some(other) => panic!("what the host makes of {other} is not known"),
    };
    for key in response.keys() {
        let known = ["statusCode", "headers", "body"];
        assert!(known.contains(&&**key), "a response has no {key}");
    }
    let status = match response.get("statusCode") {
        Some(Value::Number(number)) => number.as_u64().and_then(|it| u16::try_from(it).ok()),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let mut headers = BTreeMap::new();
    if let Some(given) = response.get("headers") {
        for (name, value) in given.as_object().expect("headers are an object") {
            let value = value.as_str().expect("a header is text");
            headers.insert(name.clone(), value.to_owned());
        }
    }
    let body = match response.get("body") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(object)) => format!("{:#}", Value::Object(object.clone())),
        // Read in the source.
        None => panic!("without a body the whole response would be the body of a 200"),
        Some(other) => panic!("what the host makes of the body {other} is not known"),
    };
    Reply {
        status: status.expect("a status"),
        headers,
        body,
    }
}

#[cfg(test)]
mod tests;
