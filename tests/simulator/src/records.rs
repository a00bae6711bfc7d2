//! Made-up log records in the form in which Auth0 writes them.
//!
//! The shapes follow Auth0's published schemas and real logs: fields that are a string in one
//! record and a list in another, objects that are null or a string, secrets in the bodies of
//! management calls. People, addresses and applications are invented, all in ranges that are
//! reserved for documentation.

use chrono::{DateTime, SecondsFormat, Utc};
use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Some of a tenant's event types, and the percentage of each.
const TYPES: [(&str, u32); 13] = [
    ("s", 26),
    ("seacft", 20),
    ("sertft", 14),
    ("fp", 8),
    ("sapi", 8),
    ("slo", 6),
    ("f", 4),
    ("fu", 4),
    ("gd_send_pn", 3),
    ("gd_auth_succeed", 3),
    ("limit_wc", 2),
    ("pwd_leak", 1),
    ("api_limit_warning", 1),
];
const PEOPLE: [&str; 8] = [
    "ada", "grace", "edsger", "barbara", "donald", "jörg", "李娜", "o'neill",
];
const APPLICATIONS: [(&str, &str); 3] = [
    ("aK3bQ9xTz1LmN5pR7sVwYd2FgHjKlZxC", "Webshop"),
    ("bL4cR0yUa2MnO6qS8tWxZe3GhIkLmAyD", "Back office"),
    ("cM5dS1zVb3NoP7rT9uXyAf4HiJlMnBzE", "Mobile app"),
];
const USER_AGENTS: [&str; 3] = [
    "Chrome 142.0.0 / Windows 10.0.0",
    "Mobile Safari 18.1 / iOS 18.1",
    "Other 0.0.0 / Other 0.0.0",
];

/// Makes records. The same seed gives the same records.
#[derive(Debug)]
pub struct Generator(Rng);

impl Generator {
    /// A generator with this seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// How long Auth0 takes to store a record, in the range observed in real logs.
    pub fn storing_delay(&mut self) -> chrono::Duration {
        chrono::Duration::milliseconds(self.0.i64(11..5_430))
    }

    /// A random time within a range.
    pub fn time(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
        let span = (to - from).num_milliseconds().max(1);
        from + chrono::Duration::milliseconds(self.0.i64(0..span))
    }

    /// A record of a random type. It has no id, which the tenant adds.
    pub fn record(&mut self, date: DateTime<Utc>) -> Map<String, Value> {
        let mut ticket = self.0.u32(0..100);
        let mut kind = TYPES[0].0;
        for (name, share) in TYPES {
            kind = name;
            match ticket.checked_sub(share) {
                Some(rest) => ticket = rest,
                None => break,
            }
        }
        self.record_of(kind, date)
    }

    /// A record of this type. Panics if the generator does not know the type.
    pub fn record_of(&mut self, kind: &str, date: DateTime<Utc>) -> Map<String, Value> {
        let person = PEOPLE[self.0.usize(..PEOPLE.len())];
        let (client_id, client_name) = APPLICATIONS[self.0.usize(..APPLICATIONS.len())];
        let ip = format!("203.0.113.{}", self.0.u8(1..255));
        let user_agent = USER_AGENTS[self.0.usize(..USER_AGENTS.len())];
        let mut record = object(json!({
            "date": date.to_rfc3339_opts(SecondsFormat::Millis, true),
            "type": kind,
            "description": null,
            "client_id": client_id,
            "client_name": client_name,
            "ip": ip,
            "user_agent": user_agent,
            "hostname": "acme.eu.auth0.com",
            "tenant_name": "acme",
            "$event_schema": {"version": "1.0.0"},
        }));
        let user = json!({
            "user_id": format!("auth0|{:024x}", self.0.u64(..)),
            "user_name": format!("{person}@example.com"),
            "connection": "Username-Password-Authentication",
            "connection_id": "con_BvGURiLLdngYaT0D",
            "strategy": "auth0",
            "strategy_type": "database",
        });
        let more = match kind {
            "s" => json!({
                "details": {
                    "prompts": [{"name": "login", "completedAt": date.timestamp_millis(),
                                 "elapsedTime": self.0.i64(300..9_000)}],
                    "initiatedAt": date.timestamp_millis() - 9_000,
                    "completedAt": date.timestamp_millis(),
                    "elapsedTime": null,
                    "session_id": self.token(),
                    "stats": {"loginsCount": self.0.u16(..)},
                },
                "scope": ["openid", "profile", "email"],
                "session_connection": "Username-Password-Authentication",
                "security_context": {"ja3": self.token(), "ja4": "t13d1516h2_8daaf6152771"},
                "location_info": {"country_code": "DE", "city_name": "Köln", "latitude": 50.9375,
                                  "longitude": 6.9603, "time_zone": "Europe/Berlin"},
            }),
            "seacft" | "sertft" => json!({
                "audience": "https://api.example.com/",
                "scope": "openid profile offline_access",
                "details": {"code": "*************kd8", "actions": {"executions": []}},
                "auth0_client": {"name": "auth0-react", "version": "2.3.0",
                                 "env": {"node": "v22.11.0"}},
            }),
            "fp" | "fu" => json!({
                "description": "Wrong email or password.",
                "details": {"error": {"message": "Wrong email or password."}},
                "scope": null,
                "isMobile": self.0.bool(),
            }),
            "f" => json!({
                "description": "User is blocked",
                "details": {"error": "user is blocked", "body": {}, "qs": {"response_type": "code"}},
                "auth0_client": "eyJuYW1lIjoibG9jay5qcyJ9",
            }),
            "sapi" => self.management_call(person, &ip, user_agent),
            "gd_send_pn" | "gd_auth_succeed" => json!({
                "details": {
                    "request": {"ip": ip, "method": "POST", "path": "/appliances-mfa/send",
                                "auth": {"scopes": ["enroll"]}, "userAgent": user_agent},
                    "response": {"statusCode": 200, "body": []},
                    "authenticator": {"id": "push|dev_9fK", "type": "push-notification"},
                },
            }),
            "pwd_leak" => json!({
                "description": "Someone behind the ip address used a password that leaked.",
                "details": null,
            }),
            "api_limit_warning" => json!({
                "description": "You have reached 80% of the management API limit.",
                "details": "management", "client_id": "", "client_name": "",
            }),
            _ => {
                json!({"description": "Logged out", "details": {"return_to": "https://example.com"}})
            }
        };
        record.extend(object(more));
        if kind != "api_limit_warning" {
            record.extend(object(user));
        }
        record
    }

    /// A call of the Management API with a secret in it, as in real calls.
    fn management_call(&mut self, person: &str, ip: &str, user_agent: &str) -> Value {
        json!({
            "description": "Create a client",
            "details": {
                "request": {
                    "method": "post",
                    "path": "/api/v2/clients",
                    "query": {},
                    "userAgent": user_agent,
                    "ip": ip,
                    "channel": "https://manage.auth0.com/",
                    "auth": {
                        "user": {"user_id": format!("google-oauth2|{}", self.0.u32(..)),
                                 "name": person, "email": format!("{person}@example.com")},
                        "strategy": "jwt",
                        "credentials": {"jti": self.token(), "scopes": ["create:clients"]},
                    },
                    "body": {"name": "reporting", "app_type": "non_interactive"},
                },
                "response": {
                    "statusCode": 201,
                    "body": {"client_id": self.token(), "client_secret": self.token(),
                             "grant_types": ["client_credentials"]},
                },
            },
        })
    }

    fn token(&mut self) -> String {
        format!("{:016x}{:016x}", self.0.u64(..), self.0.u64(..))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("a record is an object, not {other}"),
    }
}
