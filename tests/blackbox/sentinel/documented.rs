//! The queries of the pages over our own tables and functions. `telemetry` has those over the
//! function's log.

use std::fs;

use simulator::workspace::Table;

use crate::kql::{self, Kql};

/// What a query may begin with.
const SOURCES: [&str; 3] = ["Auth0AM_CL", "Auth0AMHealth_CL", "Auth0Events"];

/// The indented paragraphs of a page that begin with one of the sources.
fn queries(page: &str) -> Vec<&str> {
    let is_query = |text: &&str| {
        let is_part = |it: char| it.is_whitespace() || it == '(';
        let word = text.trim_start().split(is_part).next().unwrap_or_default();
        SOURCES.contains(&word) && text.lines().all(|line| line.starts_with("    "))
    };
    page.split("\n\n").filter(is_query).collect()
}

#[test]
fn every_query_of_a_page_passes_microsofts_language_service() {
    let folder = tempfile::tempdir().unwrap();
    let docs = fs::read_dir(kql::project().join("docs")).unwrap();
    let pages = docs.map(|it| it.unwrap().path());
    let mut files = Vec::new();
    for page in pages.chain([kql::project().join("README.md")]) {
        if page.extension().is_none_or(|it| it != "md") {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap();
        for query in queries(&text) {
            let name = page.file_stem().unwrap().to_string_lossy();
            let file = folder.path().join(format!("{name}-{}.kql", files.len()));
            fs::write(&file, query).unwrap();
            files.push(file);
        }
    }
    assert_eq!(files.len(), 8, "{files:?}");
    assert_eq!(Kql::over(&Table::default()).problems(&files), "");
}
