//! Records of every type that Auth0 publishes a schema for.
//!
//! The schema is not part of the project. If it is not found beside the project, the simulator's
//! own records take its place.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use serde_json::{Map, Value, json};

use crate::kql::project;
use crate::same_rows::assert_same_rows;
use crate::world::{Sink, World, minutes_ago};

const SCHEMA: &str = "../shared/data/auth0-log-types.schema.json";
/// Texts for fields that have no pattern or format in the schema.
const TEXTS: [&str; 8] = [
    "text",
    "",
    "01234567-89ab-cdef-0123-456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "2026-11-21T08:00:00.123Z",
    "true",
    "12",
    "[\"é\\\n李\"]",
];
/// Names for fields that the schema does not name.
const NAMES: [&str; 7] = [
    "a.b",
    "x-y z",
    "é\"",
    "",
    "TimeGenerated",
    "Type",
    "a-name-that-is-longer-than-the-forty-five-letters-of-a-column",
];
/// The depth of nested objects, which no schema of Auth0 comes near.
const DEEPEST: usize = 30;

/// Makes records that match a JSON Schema (draft 7). Where there is a choice, it takes turns.
struct Sampler<'a> {
    definitions: &'a Map<String, Value>,
    /// For each place with a choice: how often it was visited, and how many choices it has.
    turns: HashMap<*const Value, (usize, usize)>,
    /// Whether optional fields are included.
    is_full: bool,
}

impl<'a> Sampler<'a> {
    fn new(schema: &'a Value) -> Self {
        Self {
            definitions: schema["definitions"].as_object().unwrap(),
            turns: HashMap::new(),
            is_full: false,
        }
    }

    /// Whether every choice that was met has been taken.
    fn is_done(&self) -> bool {
        self.turns.values().all(|(turn, choices)| turn >= choices)
    }

    fn turn(&mut self, place: &Value, choices: usize) -> usize {
        let (turn, of) = self.turns.entry(std::ptr::from_ref(place)).or_default();
        *of = choices;
        *turn += 1;
        (*turn - 1) % choices
    }

    fn choose<'b>(&mut self, place: &Value, choices: &'b [Value]) -> &'b Value {
        &choices[self.turn(place, choices.len())]
    }

    fn value(&mut self, schema: &'a Value, depth: usize) -> Value {
        assert!(depth < DEEPEST, "{schema} never ends");
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        if let Some(reference) = schema.get("$ref") {
            let name = reference.as_str().unwrap();
            let name = name.strip_prefix("#/definitions/").unwrap();
            return self.value(&self.definitions[name], depth);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = list("enum") {
            return self.choose(schema, values).clone();
        }
        if let Some(branches) = list("anyOf") {
            let branch = self.choose(schema, branches);
            return self.value(branch, depth);
        }
        if let Some(parts) = list("allOf") {
            let [part] = &parts[..] else {
                panic!("{schema} has several parts");
            };
            return self.value(part, depth);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => self.choose(&schema["type"], kinds),
            kind => kind,
        };
        match kind.as_str().unwrap_or("object") {
            "null" => Value::Null,
            "boolean" => json!(self.turn(schema, 2) == 1),
            "number" | "integer" => {
                let numbers = json!([1, 0.5, -7, 1_795_000_000_123_i64]);
                self.choose(schema, numbers.as_array().unwrap()).clone()
            }
            "string" => self.text(schema),
            "array" => {
                let count = self.turn(schema, 3);
                let items = (0..count).map(|_| self.value(&schema["items"], depth + 1));
                items.collect()
            }
            "object" => self.object(schema, depth),
            kind => panic!("{kind} is no type"),
        }
    }

    fn text(&mut self, schema: &Value) -> Value {
        let word = |length: usize| "0123456789abcdef".chars().cycle().take(length).collect();
        let text: String = match (schema["pattern"].as_str(), schema["format"].as_str()) {
            (Some("^[a-f0-9]{32}$"), _) => word(32),
            (Some("^[A-Za-z0-9-_]{27}$"), _) => word(27),
            (Some("^cns_[A-Za-z0-9-_]{22}$"), _) => format!("cns_{}", word(22)),
            (Some(pattern), _) => panic!("{pattern} is unknown"),
            (None, Some("date-time")) => "2026-11-21T08:00:00.123Z".into(),
            (None, Some("ipv4")) => "192.0.2.1".into(),
            (None, Some("ipv6")) => "2001:db8::1".into(),
            (None, Some(format)) => panic!("{format} is unknown"),
            (None, None) => {
                let longest = schema["maxLength"]
                    .as_u64()
                    .map_or(usize::MAX, |it| usize::try_from(it).unwrap());
                let text = TEXTS[self.turn(schema, TEXTS.len())];
                text.chars().take(longest).collect()
            }
        };
        text.into()
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|it| it.iter().any(|it| it == name));
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if self.is_full || is_required(name) {
                object.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        let open = schema.get("additionalProperties");
        if self.is_full && (open.is_some() || properties.is_none()) {
            for name in NAMES {
                let value = open.map_or(json!({"a": [1, "b"]}), |it| self.value(it, depth + 1));
                object.insert(name.into(), value);
            }
        }
        object.into()
    }
}

/// Records of every type of the schema, enough to take each choice in it, and the names of the
/// types.
fn samples(schema: &Value) -> (Vec<Value>, BTreeSet<String>) {
    let types = schema["definitions"]["TenantLog"]["anyOf"].as_array();
    let mut sampler = Sampler::new(schema);
    let mut records = Vec::new();
    let mut kinds = BTreeSet::new();
    for kind in types.unwrap() {
        sampler.is_full = false;
        records.push(sampler.value(kind, 0));
        sampler.is_full = true;
        records.push(sampler.value(kind, 0));
        while !sampler.is_done() {
            records.push(sampler.value(kind, 0));
        }
        let kind = records.last().unwrap()["type"].as_str().unwrap();
        kinds.insert(kind.to_owned());
    }
    (records, kinds)
}

/// Adds records of every type to the tenant, and returns the types.
pub fn add_all_types(world: &World) -> BTreeSet<String> {
    let Ok(schema) = fs::read_to_string(project().join(SCHEMA)) else {
        world
            .tenant
            .generate(2_000, minutes_ago(50), minutes_ago(25));
        return world.tenant.types().into_values().collect();
    };
    let (records, kinds) = samples(&serde_json::from_str(&schema).unwrap());
    assert!(kinds.len() >= 166, "{}", kinds.len());
    let mut stored = minutes_ago(50);
    for mut record in records {
        stored += chrono::Duration::milliseconds(500);
        // A sampled date need not be near the time of storage.
        record["date"] = json!(stored);
        world.tenant.add(record, stored);
    }
    kinds
}

/// The rule answers every post with 204, whatever it holds. When the world is dropped, it asserts
/// that no value was undeclared, of another type or cut.
#[tokio::test]
async fn no_record_of_any_type_sends_a_column_that_is_not_declared() {
    let mut world = World::start().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::LogsIngestion]);
    let expected = add_all_types(&world);
    let ran = world.command(&["poll"]).await;
    assert_eq!(ran.code(), 0, "{ran:?}");
    for sink in [Sink::LogAnalytics, Sink::LogsIngestion] {
        world.assert_all_landed_once_at(sink);
    }
    let rows = world.rule.table("Auth0AM_CL").rows;
    let landed = rows.iter().map(|row| row["type_s"].as_str().unwrap());
    assert_eq!(landed.map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    assert_same_rows(&world, rows.len());
    println!("{} records of {} types", rows.len(), expected.len());
}
