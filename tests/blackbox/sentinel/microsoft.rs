//! Microsoft's own functions over our rows. They come with its solution, under names that ours must
//! not take. The language service does not know them here, so it finds any query of ours that calls
//! one.

use std::collections::BTreeSet;

use auth0_poller::table::Api;
use auth0_poller::table::catalogue::custom_columns;
use serde_json::json;

use crate::kql::{self, Kql};
use crate::same_rows::full;
use crate::world::{Sink, World, minutes_ago, now};

/// The names that functions of Microsoft's solution have had.
const TAKEN: [&str; 2] = ["Auth0", "Auth0AM"];

/// Columns that the older function, `Auth0`, renames. It fails without them.
const RENAMED_BY_AUTH0: [&str; 10] = [
    "type_s",
    "details_request_method_s",
    "_id_s",
    "user_agent_s",
    "user_name_s",
    "client_id_s",
    "ip_s",
    "details_request_body_audience_s",
    "date_t",
    "details_response_statusCode_d",
];

/// Names of more than 45 letters, which the Logs Ingestion API does not allow.
const TOO_LONG: [&str; 4] = [
    "details_request_body_app_metadata_primary_locale_s",
    "details_request_body_app_metadata_secondary_locales_s",
    "details_response_body_app_metadata_primary_locale_s",
    "details_response_body_app_metadata_secondary_locales_s",
];

/// The columns that `Auth0AM` reads, each with its type.
fn read_by_auth0am() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("read_by_auth0am.csv").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    let columns: Vec<_> = lines.filter_map(|line| line.split_once(',')).collect();
    assert_eq!(columns.len(), 92);
    columns
}

#[test]
fn no_function_of_ours_has_a_name_of_microsofts() {
    for parser in kql::parsers() {
        let name = parser.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&parser).unwrap();
        let is_named = |key| text.contains(&format!("\n{key}: {name}\n"));
        assert!(
            is_named("FunctionAlias") || is_named("ParserName"),
            "{name}"
        );
        assert!(!TAKEN.contains(&&*name), "{name}");
    }
}

#[test]
fn the_columns_that_microsofts_functions_read_have_the_types_that_they_expect() {
    for (api, missing) in [
        (Api::DataCollector, &[][..]),
        (Api::LogsIngestion, &TOO_LONG),
    ] {
        let columns: BTreeSet<(String, &str)> = custom_columns(api)
            .map(|(name, kind)| (name, kind.kql()))
            .collect();
        let absent: Vec<_> = read_by_auth0am()
            .into_iter()
            .filter(|(name, kind)| !columns.contains(&((*name).to_owned(), *kind)))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(absent, missing);
    }
}

#[test]
fn the_older_function_lacks_one_column_of_a_table_that_the_template_made() {
    let lacks = |api| -> Vec<&str> {
        let columns: BTreeSet<_> = custom_columns(api).map(|(name, _)| name).collect();
        let mut names = RENAMED_BY_AUTH0.to_vec();
        names.retain(|name| !columns.contains(*name));
        names
    };
    assert!(lacks(Api::DataCollector).is_empty());
    // No column of such a table may begin with an underscore.
    assert_eq!(lacks(Api::LogsIngestion), ["_id_s"]);
}

#[tokio::test]
async fn whatever_microsofts_function_reads_has_a_value_by_both_ways() {
    let mut world = World::start().await;
    world.deliver_to(&[Sink::LogAnalytics, Sink::LogsIngestion]);
    let mut record = full();
    record.insert("date".into(), json!(minutes_ago(5)));
    world.tenant.add(record.into(), minutes_ago(5));
    assert_eq!(world.command(&["poll"]).await.code(), 0);

    // As in Microsoft's function, a column that is not there is empty.
    let columns = read_by_auth0am();
    let read = |name: &str| format!("{name} = tostring(column_ifexists('{name}', ''))");
    let columns: Vec<_> = columns.iter().map(|(name, _)| read(name)).collect();
    let query = format!(
        "union isfuzzy=true (datatable(Type: string) []), Auth0AM_CL | project {}",
        columns.join(", ")
    );
    for (sink, missing) in [
        (Sink::LogAnalytics, &[][..]),
        (Sink::LogsIngestion, &TOO_LONG),
    ] {
        let table = world.arrivals_at(sink).table("Auth0AM_CL");
        let rows = Kql::over_table_of(sink.api(), &table).result(&query, &now().to_rfc3339());
        assert_eq!(rows.len(), 1);
        let empty: BTreeSet<_> = rows[0]
            .iter()
            .filter(|(_, value)| *value == "")
            .map(|(name, _)| &**name)
            .collect();
        assert_eq!(empty, missing.iter().copied().collect(), "{sink:?}");
    }
}
