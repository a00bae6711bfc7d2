//! The cost of a row, compared with the time that `serde_json` takes to parse the same record into
//! a tree and to write the tree. Both are measured in one run, so the machine does not matter.

use auth0_poller::pii::Privacy;
use auth0_poller::redact::Redaction;
use auth0_poller::table::Api;
use auth0_poller::table::row::row;
use chrono::DateTime;
use divan::Bencher;
use divan::counter::BytesCount;
use serde_json::Value;
use simulator::records::Generator;

/// How many records are measured, of the types that tenants write and in their proportions.
const RECORDS: u32 = 1_000;
/// A 32-byte key for pseudonyms, in Base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[allow(clippy::print_stdout, reason = "a benchmark reports there")]
fn main() {
    let records = records();
    let rows = records.iter().map(|record| with_mask(record));
    let average = |bytes: usize| bytes / records.len();
    println!(
        "on average a record has {} bytes, and its row {}",
        average(records.iter().map(String::len).sum()),
        average(rows.map(|row| row.len()).sum()),
    );
    divan::main();
}

fn records() -> Vec<String> {
    let mut generator = Generator::seeded(1);
    (0..RECORDS)
        .map(|_| Value::Object(generator.record(DateTime::UNIX_EPOCH)).to_string())
        .collect()
}

fn with_mask(record: &str) -> String {
    row(record, Api::DataCollector, Redaction::On).unwrap_or_default()
}

fn measure(bencher: Bencher, convert: impl Fn(&str) -> String) {
    let mut records = records().into_iter().cycle();
    bencher
        .with_inputs(|| records.next().unwrap_or_default())
        .input_counter(BytesCount::of_str::<String>)
        .bench_local_refs(|record| convert(record));
}

#[divan::bench(sample_size = RECORDS)]
fn a_row(bencher: Bencher) {
    measure(bencher, with_mask);
}

#[divan::bench(sample_size = RECORDS)]
fn a_row_with_redact_off(bencher: Bencher) {
    measure(bencher, |record| {
        row(record, Api::DataCollector, Redaction::Off).unwrap_or_default()
    });
}

/// docs/privacy.md tells what pseudonyms cost.
#[divan::bench(sample_size = RECORDS)]
fn a_row_with_four_pseudonyms(bencher: Bencher) {
    let pii = "email:pseudonym,username:pseudonym,user_id:pseudonym,ip:pseudonym";
    let settings = [("PII", pii), ("PII_KEY", KEY)];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Ok(privacy) = Privacy::of_settings(Redaction::On, settings) else {
        return;
    };
    measure(bencher, |record| {
        let row = privacy.row(record, Api::DataCollector);
        row.unwrap_or_default()
    });
}

#[divan::bench(sample_size = RECORDS)]
fn a_row_for_the_logs_ingestion_api(bencher: Bencher) {
    measure(bencher, |record| {
        row(record, Api::LogsIngestion, Redaction::On).unwrap_or_default()
    });
}

#[divan::bench(sample_size = RECORDS)]
fn parse_into_a_tree_and_write(bencher: Bencher) {
    measure(bencher, |record| {
        serde_json::from_str::<Value>(record).map_or_else(|_| String::new(), |it| it.to_string())
    });
}
