//! The queries of the pages over our own tables and functions. `telemetry` has those over the
//! function's log.

use std::fs;

use simulator::workspace::Table;

use crate::kql::{self, Kql};

/// The pages with such queries, and how many each has.
const PAGES: [(&str, usize); 4] = [
    ("README.md", 2),
    ("docs/destinations.md", 1),
    ("docs/operate.md", 1),
    ("docs/sentinel.md", 4),
];
/// What a query may begin with.
const SOURCES: [&str; 3] = ["Auth0AM_CL", "Auth0AMHealth_CL", "Auth0Events"];

/// The indented paragraphs of a page that begin with one of the sources.
fn queries(page: &str) -> Vec<&str> {
    let is_query = |text: &&str| {
        let word = text.split_whitespace().next().unwrap_or_default();
        SOURCES.contains(&word) && text.lines().all(|line| line.starts_with("    "))
    };
    page.split("\n\n").filter(is_query).collect()
}

#[test]
fn every_query_of_a_page_passes_microsofts_language_service() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, count) in PAGES {
        let page = fs::read_to_string(kql::project().join(name)).unwrap();
        let queries = queries(&page);
        assert_eq!(queries.len(), count, "{name}: {queries:?}");
        for query in queries {
            let file = format!("{}-{}.kql", name.replace('/', "-"), files.len());
            let file = folder.path().join(file);
            fs::write(&file, query).unwrap();
            files.push(file);
        }
    }
    assert_eq!(Kql::over(&Table::default()).problems(&files), "");
}
