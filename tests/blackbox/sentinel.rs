//! The content for Sentinel: checked by Microsoft's language service, and run over rows that the
//! real binary delivered.

use std::fs;
use std::path::PathBuf;

use auth0_poller::table::Api;
use auth0_poller::table::catalogue::catalogue;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::{Map, Value, json};
use simulator::workspace::Table;

mod attack_protection;
mod documented;
mod events;
mod microsoft;
mod pages;
mod rules;

use crate::kql::{self, Kql};
use crate::world::{World, minutes_ago, now};

/// Every file of `sentinel` that holds queries.
fn content() -> Vec<PathBuf> {
    let folders = ["sentinel/rules", "sentinel/hunting"].map(kql::files);
    let mut files = [kql::parsers(), folders.concat()].concat();
    files.push(kql::project().join("sentinel/workbook.json"));
    files.push(kql::project().join("sentinel/connector.json"));
    files
}

/// A result without empty fields: to KQL an empty text and no text are the same.
fn filled(row: &Map<String, Value>) -> Map<String, Value> {
    let is_filled = |value: &Value| !matches!(value, Value::Null) && value != "";
    let fields = row.iter().filter(|(_, value)| is_filled(value));
    fields
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[test]
fn the_tools_pass_their_own_tests() {
    let output = kql::test_the_tools();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn every_query_passes_microsofts_language_service() {
    let files = content();
    assert!(files.len() >= 3 + 8 + 2, "{files:?}");
    assert_eq!(Kql::over(&Table::default()).problems(&files), "");
}

#[test]
fn a_misspelt_name_in_a_copy_of_any_of_them_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    for file in content() {
        let text = fs::read_to_string(&file).unwrap();
        // The last place that names a column, the function that has it, or the table.
        let (at, right, wrong) = [
            ("user_name_s'", "user_nmae_s'"),
            ("EventCode ", "EventKode "),
            ("LastReceived ", "LastRecieved "),
            ("TimeGenerated >", "TimeGenreated >"),
            ("Auth0AM_CL", "Auth0MA_CL"),
        ]
        .into_iter()
        .find_map(|(right, wrong)| Some((text.rfind(right)?, right, wrong)))
        .unwrap_or_else(|| panic!("{} names nothing known", file.display()));
        let copy = folder.path().join(file.file_name().unwrap());
        let text = [&text[..at], wrong, &text[at + right.len()..]].concat();
        fs::write(&copy, text).unwrap();
        copies.push((copy, wrong.split_whitespace().next().unwrap()));
    }
    let files: Vec<_> = copies.iter().map(|(copy, _)| copy.clone()).collect();
    let problems = Kql::over(&Table::default()).problems(&files);
    for (copy, wrong) in copies {
        let copy = copy.display().to_string();
        let is_found = |it: &str| it.starts_with(&copy) && it.contains(wrong);
        assert!(
            problems.lines().any(is_found),
            "{copy}: {wrong}\n{problems}"
        );
    }
}

/// Records and the rows that they become, written down by hand.
fn cases() -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("sentinel/normalised.json")).unwrap();
    assert!(cases.len() >= 12);
    cases
}

/// The time of the first of [`cases`]. Each later one is a minute after the one before it.
fn begin() -> DateTime<Utc> {
    minutes_ago(30).trunc_subsecs(0)
}

/// Delivers the records of [`cases`] to a workspace. Returns it, and their dates and ids.
async fn deliver(cases: &[Value], begin: DateTime<Utc>) -> (Kql, Vec<(Value, String)>) {
    let world = World::start().await;
    let mut date = begin;
    let mut delivered = Vec::new();
    for case in cases {
        let mut record = case["record"].clone();
        record["date"] = json!(date);
        delivered.push((json!(date), world.tenant.add(record, date)));
        date += chrono::Duration::minutes(1);
    }
    world.poll().await;
    (Kql::over(&world.workspace.table("Auth0AM_CL")), delivered)
}

#[tokio::test]
async fn records_are_normalised_as_written_down() {
    let cases = cases();
    let (kql, delivered) = deliver(&cases, begin()).await;
    let time = now().to_rfc3339();

    let rows = kql.result("Auth0Events", &time);
    assert_eq!(rows.len(), cases.len());
    for (case, (date, id)) in cases.iter().zip(&delivered) {
        let row = rows.iter().find(|row| row["LogId"] == *id).unwrap();
        assert_eq!(
            (&row["Date"], &row["TimeGenerated"], &row["Type"]),
            (date, date, &json!("Auth0AM_CL"))
        );
        let mut row = filled(row);
        for name in ["Date", "TimeGenerated", "TimeReceived", "Type", "LogId"] {
            row.remove(name);
        }
        assert_same(&case["what"], &row, &case["Auth0Events"]);
    }

    for parser in ["ASimAuthenticationAuth0", "vimAuthenticationAuth0"] {
        let rows = kql.result(parser, &time);
        for (case, (date, id)) in cases.iter().zip(&delivered) {
            let row = rows.iter().find(|row| row["EventOriginalUid"] == *id);
            let expected = &case["Authentication"];
            assert_eq!(
                row.is_some(),
                !expected.is_null(),
                "{parser}: {}",
                case["what"]
            );
            if let Some(row) = row {
                assert_eq!(row["EventOriginalType"], case["record"]["type"]);
                assert_same(&case["what"], &normalised(row), expected);
                assert_common(row, date);
            }
        }
    }
}

/// What ASIM's schema requires of every row of authentication.
fn assert_common(row: &Map<String, Value>, date: &Value) {
    for (name, expected) in [
        ("EventVendor", &json!("Okta")),
        ("EventProduct", &json!("Auth0")),
        ("EventSchema", &json!("Authentication")),
        ("EventSchemaVersion", &json!("0.1.4")),
        ("EventCount", &json!(1)),
        ("EventStartTime", date),
        ("EventEndTime", date),
        ("TimeGenerated", date),
        ("Src", &row["SrcIpAddr"]),
        ("IpAddr", &row["SrcIpAddr"]),
        ("Application", &row["TargetAppName"]),
    ] {
        assert_eq!(row[name], *expected, "{name}");
    }
    for name in ["Dvc", "EventUid", "User"] {
        assert_ne!(row[name], "", "{name}");
    }
    for (name, allowed) in [
        ("EventType", &["Logon", "Logoff", "Elevate"][..]),
        ("EventResult", &["Success", "Partial", "Failure", "NA"]),
        (
            "EventSubType",
            &["Interactive", "Service", "Remote", "AssumeRole"],
        ),
        (
            "EventResultDetails",
            &[
                "",
                "No such user or password",
                "No such user",
                "Incorrect password",
                "Incorrect key",
                "Password expired",
                "User locked",
                "User disabled",
                "Logon violates policy",
                "Session expired",
                "Other",
            ],
        ),
        (
            "LogonMethod",
            &[
                "",
                "Service Principal",
                "Username & Password",
                "Multi factor authentication",
                "Passwordless",
                "Other",
            ],
        ),
        ("TargetUsernameType", &["", "UPN", "Windows", "Simple"]),
        ("TargetUserType", &["", "Regular", "Application"]),
        ("EventSeverity", &["Informational", "Low", "Medium", "High"]),
    ] {
        let value = row[name].as_str().unwrap();
        assert!(allowed.contains(&value), "{name}: {value}");
    }
}

#[tokio::test]
async fn the_filtering_parser_lets_through_what_it_is_asked_for() {
    let begin = begin();
    let (kql, _) = deliver(&cases(), begin).await;
    let minute = |n| (begin + chrono::Duration::minutes(n)).to_rfc3339();
    // The cases happen in this order, a minute apart.
    let early = format!("endtime=datetime({})", minute(1));
    let late = format!("starttime=datetime({})", minute(9));
    let filters = [
        (&*early, &["fp", "s"][..]),
        (&*late, &["limit_wc", "slo"]),
        (
            "username_has_any=dynamic(['donald','nobody'])",
            &["fu", "limit_wc"],
        ),
        // This name is in AdditionalFields, since it looks like a GUID.
        (
            "username_has_any=dynamic(['01234567-89ab-cdef-0123-456789abcdef'])",
            &["fp"],
        ),
        ("targetappname_has_any=dynamic(['Back office'])", &["f"]),
        (
            "srcipaddr_has_any_prefix=dynamic(['198.51.100.'])",
            &["gd_auth_rejected", "limit_wc"],
        ),
        ("srchostname_has_any=dynamic(['laptop'])", &[]),
        ("eventtype_in=dynamic(['Logoff'])", &["slo"]),
        (
            "eventresultdetails_in=dynamic(['User locked','No such user'])",
            &["fu", "limit_wc"],
        ),
        (
            "eventresult='Failure'",
            &["f", "fp", "fu", "gd_auth_rejected", "limit_wc"],
        ),
        (
            "eventresult='Failure', username_has_any=dynamic(['donald'])",
            &["limit_wc"],
        ),
        ("disabled=true", &[]),
    ];
    let legs = filters.iter().enumerate().map(|(n, (filter, _))| {
        format!("(vimAuthenticationAuth0({filter}) | project Filter = {n}, EventOriginalType)")
    });
    let query = format!("union {}", legs.collect::<Vec<_>>().join(", "));
    let rows = kql.result(&query, &now().to_rfc3339());
    for (n, (filter, expected)) in filters.iter().enumerate() {
        let through = rows.iter().filter(|row| row["Filter"] == n);
        let mut kinds: Vec<_> = through
            .map(|row| row["EventOriginalType"].as_str().unwrap())
            .collect();
        kinds.sort_unstable();
        assert_eq!(kinds, *expected, "{filter}");
    }
}

#[test]
fn a_sign_out_that_fails_at_the_identity_provider_is_one() {
    let failed = rules::event("11:00:00", "federated_logout_failed", json!({}));
    let table = rules::table(Api::DataCollector, &rules::arrived(&[failed]));
    let query = "union (ASimAuthenticationAuth0), \
        (vimAuthenticationAuth0(eventtype_in=dynamic(['Logoff']), eventresult='Failure'))";
    let rows = Kql::over(&table).result(query, "2026-11-21T12:00:00Z");
    let told = rows.iter().map(|it| (&it["EventType"], &it["EventResult"]));
    let expected = (&json!("Logoff"), &json!("Failure"));
    assert!(told.eq([expected; 2]), "{rows:?}");
}

/// An application without a name is found by its id.
#[tokio::test]
async fn an_application_is_found_by_the_name_that_the_row_shows() {
    let world = World::start().await;
    for name in [json!(null), json!(""), json!("Shop")] {
        let date = minutes_ago(5);
        let record = json!({"date": date, "type": "s", "client_id": "aBc1", "client_name": name});
        world.tenant.add(record, date);
    }
    world.poll().await;
    let kql = Kql::over(&world.workspace.table("Auth0AM_CL"));
    for (name, count) in [("aBc1", 2), ("Shop", 1), ("aBc2", 0)] {
        let query = format!("vimAuthenticationAuth0(targetappname_has_any=dynamic(['{name}']))");
        let rows = kql.result(&query, &now().to_rfc3339());
        assert_eq!(rows.len(), count, "{name}");
        assert!(rows.iter().all(|it| it["TargetAppName"] == name), "{name}");
    }
}

#[tokio::test]
async fn addresses_are_filtered_by_prefix_in_ipv4_and_in_ipv6() {
    let world = World::start().await;
    for ip in [
        "2001:db8::1",
        "2001:db8::12",
        "2001:db80::1",
        "1:2001:db8::1",
        "10.1.2.3",
        "10.12.0.1",
    ] {
        let date = minutes_ago(5);
        world
            .tenant
            .add(json!({"date": date, "type": "s", "ip": ip}), date);
    }
    world.poll().await;
    let kql = Kql::over(&world.workspace.table("Auth0AM_CL"));
    let filters = [
        ("['2001:db8:']", &["2001:db8::1", "2001:db8::12"][..]),
        ("['2001:DB8::1']", &["2001:db8::1"]),
        // This is neither a whole address nor a prefix that ends after a group of digits.
        ("['2001:db8']", &[]),
        ("['10.1.']", &["10.1.2.3"]),
        ("['10.1.', '2001:db80:']", &["10.1.2.3", "2001:db80::1"]),
        ("['::ffff:10.1.2.3']", &[]),
    ];
    let legs = filters.iter().enumerate().map(|(n, (list, _))| {
        format!(
            "(vimAuthenticationAuth0(srcipaddr_has_any_prefix=dynamic({list})) | project Filter = {n}, SrcIpAddr)"
        )
    });
    let query = format!("union {}", legs.collect::<Vec<_>>().join(", "));
    let rows = kql.result(&query, &now().to_rfc3339());
    for (n, (list, expected)) in filters.iter().enumerate() {
        let through = rows.iter().filter(|row| row["Filter"] == n);
        let mut addresses: Vec<_> = through
            .map(|row| row["SrcIpAddr"].as_str().unwrap())
            .collect();
        addresses.sort_unstable();
        assert_eq!(addresses, *expected, "{list}");
    }
}

/// The path of a value as the parsers write it after the parsed additional fields.
fn written(path: &[&str]) -> String {
    format!(".{}", path.join("."))
}

#[test]
fn where_a_parser_reads_a_column_it_looks_into_the_additional_fields_too() {
    for parser in kql::parsers() {
        let text = fs::read_to_string(&parser).unwrap();
        let text = text.replace("['", ".").replace("']", "");
        for column in &catalogue().columns {
            let name = &*column.full_name;
            // Rows are told apart by their ids before the rest is parsed, and chosen by their type.
            // No record has `auth0_`.
            if ["log_id_s", "_id_s", "type_s", "auth0__s"].contains(&name) {
                continue;
            }
            let is_read = text.contains(&format!("column_ifexists('{name}'"));
            let rest =
                ["Rest", "AdditionalFields"].map(|it| it.to_owned() + &written(&column.path));
            let is_looked_up = rest.iter().any(|rest| {
                text.match_indices(rest).any(|(at, _)| {
                    let next = text[at + rest.len()..].chars().next();
                    !next.is_some_and(|it| it.is_alphanumeric() || it == '_' || it == '.')
                })
            });
            assert!(!is_read || is_looked_up, "{}: {name}", parser.display());
        }
    }
}

/// Records with values that do not fit into their columns: they look like another type, or hold
/// what not every program accepts.
fn misfits() -> Vec<Value> {
    let guid = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    let other = "7c9e6679742540de944be07fc1f90ae7";
    vec![
        json!({
            "type": "s", "client_id": guid, "client_name": other, "ip": "203.0.113.7", "user_id": guid,
            "user_name": guid, "user_agent": "abc\u{0}def", "hostname": guid, "connection": guid,
            "organization_name": guid, "tenant_name": guid, "strategy": guid, "strategy_type": guid,
            "audience": guid, "scope": guid, "description": guid, "is_mobile": true,
            "security_context": {"ja3": other, "ja4": other},
            "location_info": {"country_name": guid, "city_name": "2026-11-21", "latitude": "1.5", "longitude": "2.5"},
            "details": {"session_id": other, "code": guid, "error": guid},
        }),
        json!({
            "type": "f", "isMobile": "true", "ip": "2026-11-21", "description": "x".repeat(33_000),
            "user_name": "y".repeat(150_000), "details": {"error": {"message": guid}},
        }),
    ]
}

#[tokio::test]
async fn the_normalised_rows_have_what_the_main_function_has() {
    let world = World::start().await;
    for mut record in misfits() {
        let date = minutes_ago(5);
        record["date"] = json!(date);
        world.tenant.add(record, date);
    }
    world.poll().await;
    let kql = Kql::over(&world.workspace.table("Auth0AM_CL"));
    let rows = kql.result("Auth0Events", &now().to_rfc3339());
    assert_eq!(rows.len(), 2);
    for parser in ["ASimAuthenticationAuth0", "vimAuthenticationAuth0"] {
        let normalised = kql.result(parser, &now().to_rfc3339());
        for row in &rows {
            let same = normalised
                .iter()
                .find(|it| it["EventOriginalUid"] == row["LogId"]);
            let same = same.unwrap();
            let name = same["TargetUsername"].as_str().unwrap().to_lowercase();
            assert_eq!(row["UserPrincipalName"], name, "{parser}");
            let mobile = if row["IsMobile"] == true {
                "Mobile Device"
            } else {
                ""
            };
            assert_eq!(same["SrcDeviceType"], mobile, "{parser}");
            for (field, column) in [
                ("TargetUserId", "UserIdFull"),
                ("TargetAppId", "ClientId"),
                ("TargetUserScope", "TenantName"),
                ("TargetSessionId", "SessionId"),
                ("HttpUserAgent", "UserAgent"),
                ("SrcIpAddr", "IPAddress"),
                ("SrcGeoCountry", "Country"),
                ("SrcGeoCity", "City"),
                ("SrcGeoLatitude", "Latitude"),
                ("SrcGeoLongitude", "Longitude"),
                ("DvcFQDN", "Hostname"),
                ("EventMessage", "Description"),
                ("EventStartTime", "Date"),
                ("EventOriginalType", "EventCode"),
            ] {
                assert_eq!(same[field], row[column], "{parser}: {field}");
            }
            for (field, column) in [
                ("Connection", "Connection"),
                ("Strategy", "Strategy"),
                ("StrategyType", "StrategyType"),
                ("OrganizationName", "OrganizationName"),
                ("Audience", "Audience"),
                ("Scope", "Scope"),
                ("TlsJa3", "TlsJa3"),
                ("TlsJa4", "TlsJa4"),
            ] {
                let fields = &same["AdditionalFields"];
                assert_eq!(fields[field], row[column], "{parser}: {field}");
            }
        }
        // Written by hand: what the first record holds.
        let mobile = normalised
            .iter()
            .filter(|it| it["SrcDeviceType"] == "Mobile Device");
        assert_eq!(mobile.count(), 2, "{parser}");
        let guids = normalised.iter().filter(|it| {
            it["HttpUserAgent"] == "abc\u{0}def"
                && it["AdditionalFields"]["OrganizationName"]
                    == "7c9e6679-7425-40de-944b-e07fc1f90ae7"
                && it["TargetSessionId"] == "7c9e6679742540de944be07fc1f90ae7"
                && it["SrcGeoCity"] == "2026-11-21"
        });
        assert_eq!(guids.count(), 1, "{parser}");
    }
}

#[test]
fn a_column_that_is_always_empty_is_not_promised() {
    for parser in ["ASimAuthenticationAuth0", "vimAuthenticationAuth0"] {
        let file = format!("sentinel/parsers/{parser}.yaml");
        let text = fs::read_to_string(kql::project().join(file)).unwrap();
        assert!(!text.contains(" = ''"), "{parser}");
        // ASIM requires a type beside each name.
        assert!(!text.contains("ActorUsername"), "{parser}");
    }
}

#[test]
fn a_row_that_arrives_later_does_not_replace_the_record() {
    let mut table = Table::default();
    for (name, date, arrival) in [
        ("real", "2026-11-21T08:00:00Z", "2026-11-21T08:01:00Z"),
        ("forged", "2026-11-21T09:00:00Z", "2026-11-21T09:30:00Z"),
        ("forged too", "2026-11-21T07:00:00Z", "2026-11-21T09:31:00Z"),
    ] {
        let record = json!({"date": date, "type": "s", "user_name": name, "log_id": "900"});
        let record = record.as_object().unwrap().clone();
        table.store(record, Some("date"), arrival.parse().unwrap());
    }
    let kql = Kql::over(&table);
    for (parser, name) in [
        ("Auth0Events", "UserPrincipalName"),
        ("ASimAuthenticationAuth0", "TargetUsername"),
        ("vimAuthenticationAuth0", "TargetUsername"),
    ] {
        let rows = kql.result(parser, "2026-11-21T12:00:00Z");
        let names: Vec<_> = rows.iter().map(|row| &row[name]).collect();
        assert_eq!(names, ["real"], "{parser}");
        assert_eq!(rows[0]["TimeGenerated"], "2026-11-21T08:00:00Z", "{parser}");
    }
}

/// The fields of a normalised row that describe its record, without those that repeat others.
fn normalised(row: &Map<String, Value>) -> Map<String, Value> {
    let mut row = filled(row);
    row.retain(|name, _| {
        let is_event = matches!(
            &**name,
            "EventType" | "EventSubType" | "EventResult" | "EventResultDetails" | "EventSeverity"
        );
        is_event
            || ["Target", "Acting", "Logon"]
                .iter()
                .any(|it| name.starts_with(it))
            || ["SrcIpAddr", "HttpUserAgent"].contains(&&**name)
    });
    row.remove("LogonTarget");
    row.remove("TargetUserScope");
    row
}

#[track_caller]
fn assert_same(what: &Value, row: &Map<String, Value>, expected: &Value) {
    let expected = expected.as_object().unwrap();
    let names: std::collections::BTreeSet<_> = row.keys().chain(expected.keys()).collect();
    let differences: Vec<_> = names
        .into_iter()
        .filter(|name| row.get(*name) != expected.get(*name))
        .map(|name| {
            let show = |it: Option<&Value>| it.map_or("nothing".to_owned(), Value::to_string);
            format!(
                "{name}: {} instead of {}",
                show(row.get(name)),
                show(expected.get(name))
            )
        })
        .collect();
    assert!(differences.is_empty(), "{what}: {}", differences.join("\n"));
}

#[test]
fn the_parsers_answer_before_there_is_a_row() {
    let kql = Kql::over(&Table::default());
    for parser in [
        "Auth0Events",
        "ASimAuthenticationAuth0",
        "vimAuthenticationAuth0",
    ] {
        assert!(kql.result(parser, "2026-11-21T08:00:00Z").is_empty());
    }
}
