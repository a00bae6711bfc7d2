//! KQL, checked by Microsoft's language service and executed by the tools in `tests/kql`.
//!
//! The tools run from a copy in the target folder, where npm installs what they need.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use auth0_poller::table::catalogue::custom_columns;
use auth0_poller::table::{Api, schema};
use serde_json::{Map, Value, json};
use simulator::workspace::Table;
use tempfile::TempDir;

use crate::telemetry;
use server::Answer;

mod server;

/// Columns that every table has.
const STANDARD: [(&str, &str); 12] = [
    ("TimeGenerated", "datetime"),
    ("Type", "string"),
    ("TenantId", "string"),
    ("SourceSystem", "string"),
    ("MG", "string"),
    ("ManagementGroupName", "string"),
    ("Computer", "string"),
    ("RawData", "string"),
    ("_BilledSize", "real"),
    ("_ItemId", "string"),
    ("_ResourceId", "string"),
    ("_SubscriptionId", "string"),
];

/// The table of heartbeats. Every workspace of these tests has it.
pub const HEALTH: &str = "Auth0AMHealth_CL";

/// The tables of a data collection rule's own diagnostics, and of what a workspace says of itself, as Azure
/// documents them.
const DIAGNOSTICS: [(&str, &[(&str, &str)]); 3] = [
    (
        "Operation",
        &[
            ("TimeGenerated", "datetime"),
            ("OperationCategory", "string"),
            ("OperationStatus", "string"),
            ("Detail", "string"),
            ("Solution", "string"),
        ],
    ),
    (
        "DCRLogErrors",
        &[
            ("TimeGenerated", "datetime"),
            ("InputStreamId", "string"),
            ("OperationName", "string"),
            ("Message", "string"),
            ("CorrelationId", "string"),
            ("_ResourceId", "string"),
        ],
    ),
    (
        "AzureMetrics",
        &[
            ("TimeGenerated", "datetime"),
            ("MetricName", "string"),
            ("Total", "real"),
            ("ResourceId", "string"),
            ("_ResourceId", "string"),
        ],
    ),
];

fn health_columns() -> Map<String, Value> {
    let standard = STANDARD.into_iter();
    let standard = standard.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let own = schema::health_table().into_iter();
    let own = own.map(|it| {
        let kind = it.kind.to_ascii_lowercase().replace("boolean", "bool");
        (it.name, kind)
    });
    standard
        .chain(own)
        .map(|(name, kind)| (name, kind.into()))
        .collect()
}

/// What is missing when a command cannot be started.
const NEEDED: &str = "these tests need Node 20 or later with npm, nodejs.org";

/// The folders of `tests/kql` that are copied.
const FOLDERS: [&str; 3] = ["", "scenarios", "test"];

/// The folder of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder in which the tools are ready to run.
static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = project().join("tests/kql");
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kql");
    for folder in FOLDERS {
        fs::create_dir_all(tools.join(folder)).unwrap();
    }
    // Several test processes may prepare the folder at the same time.
    let lock = File::create(tools.join("lock")).unwrap();
    lock.lock().unwrap();
    let is_new = copy(&source, &tools, "package-lock.json");
    copy(&source, &tools, "package.json");
    for folder in FOLDERS {
        for entry in fs::read_dir(source.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "mjs") {
                copy(&source, &tools, path.strip_prefix(&source).unwrap());
            }
        }
    }
    let is_installed = tools.join("node_modules/.package-lock.json").exists();
    if is_new || !is_installed {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&tools);
        let output = run(&mut npm);
        assert!(output.status.success(), "npm ci failed: {output:?}");
    }
    tools
});

/// Copies a file unless the copy is the same already. Returns whether it copied it.
fn copy(from: &Path, to: &Path, name: impl AsRef<Path>) -> bool {
    let content = fs::read(from.join(&name)).unwrap();
    let place = to.join(&name);
    if fs::read(&place).is_ok_and(|it| it == content) {
        return false;
    }
    let temporary = place.with_extension("new");
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, place).unwrap();
    true
}

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; {NEEDED}"))
}

/// A path as an argument.
fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Runs the tools' own tests.
pub fn test_the_tools() -> Output {
    let mut node = Command::new("node");
    run(node.args(["--test", "test/"]).current_dir(&*TOOLS))
}

/// The records of the rules' scenarios: objects with `log_id`, `arrival` and `record`.
pub fn scenarios() -> Vec<Value> {
    let answer = server::answer(&TOOLS, "scenarios", &[]);
    assert_eq!(answer.status, 0, "{}", answer.stderr);
    let lines = answer.stdout.lines().map(serde_json::from_str);
    lines.collect::<serde_json::Result<_>>().unwrap()
}

/// The parsers of `sentinel`, in the order in which they may call each other.
pub fn parsers() -> Vec<PathBuf> {
    files("sentinel/parsers")
}

/// The files of a folder of the project, by name.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(project().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A workspace with tables, for queries.
pub struct Kql {
    folder: TempDir,
    tables: Vec<&'static str>,
    rows: usize,
}

/// A table's name, its columns with their types, and its rows.
pub type Rows = (&'static str, Map<String, Value>, Vec<Value>);

impl Kql {
    /// A workspace with these rows in an `Auth0AM_CL` that the HTTP Data Collector API made.
    pub fn over(table: &Table) -> Self {
        Self::over_table_of(Api::DataCollector, table)
    }

    /// A workspace with these rows in an `Auth0AM_CL` that is filled through `api`.
    pub fn over_table_of(api: Api, table: &Table) -> Self {
        let mut columns: Map<String, Value> = STANDARD
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), kind.into()))
            .collect();
        columns.extend(custom_columns(api).map(|(name, kind)| (name, kind.kql().into())));
        let rows = table.rows.iter().zip(&table.stored_at);
        let rows = rows.map(|(row, stored_at)| {
            let mut row = row.clone();
            row.insert("ingestion_time()".into(), json!(stored_at));
            row.insert("Type".into(), "Auth0AM_CL".into());
            json!(row)
        });
        Self::with(vec![("Auth0AM_CL", columns, rows.collect())])
    }

    /// The input of a data collection rule's transformation: these columns and rows of the stream.
    pub fn over_stream(columns: &Map<String, Value>, rows: &[Value]) -> Self {
        Self::with(vec![("source", columns.clone(), rows.to_vec())])
    }

    /// Adds heartbeats to the workspace.
    pub fn with_heartbeats(mut self, rows: &[Value]) -> Self {
        let lines: String = rows.iter().map(|row| row.to_string() + "\n").collect();
        fs::write(self.rows_of(HEALTH), lines).unwrap();
        self.tables.push(HEALTH);
        self
    }

    /// A workspace with these tables, and with those of telemetry and heartbeats, which all have.
    pub fn with(tables: Vec<Rows>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut declared: Map<String, Value> = telemetry::columns().collect();
        declared.insert(HEALTH.into(), health_columns().into());
        for (table, columns) in DIAGNOSTICS {
            let columns = columns
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), Value::from(*kind)));
            let columns: Map<String, Value> = columns.collect();
            declared.insert(table.into(), columns.into());
        }
        let mut kql = Self {
            folder,
            tables: Vec::new(),
            rows: 0,
        };
        for (table, columns, rows) in tables {
            declared.insert(table.into(), columns.into());
            let lines: String = rows.iter().map(|row| row.to_string() + "\n").collect();
            fs::write(kql.rows_of(table), lines).unwrap();
            kql.tables.push(table);
            kql.rows += rows.len();
        }
        let schema = json!({"tables": declared});
        fs::write(kql.folder.path().join("schema.json"), schema.to_string()).unwrap();
        kql
    }

    fn rows_of(&self, table: &str) -> PathBuf {
        self.folder.path().join(format!("{table}.ndjson"))
    }

    /// What a tool answers that is called with the schema, the parsers and these arguments.
    fn answer(&self, tool: &str, arguments: impl IntoIterator<Item = String>) -> Answer {
        let schema = self.folder.path().join("schema.json");
        let mut all = vec!["--schema".to_owned(), text(&schema)];
        for parser in parsers() {
            all.extend(["--function".to_owned(), text(&parser)]);
        }
        all.extend(arguments);
        server::answer(&TOOLS, tool, &all)
    }

    /// The option that gives a table its rows.
    fn table(&self, table: &str) -> [String; 2] {
        let rows = self.rows_of(table);
        ["--table".to_owned(), format!("{table}={}", rows.display())]
    }

    /// The problems of the queries in these files; empty if there are none.
    pub fn problems(&self, files: &[PathBuf]) -> String {
        let answer = self.answer("check", files.iter().map(|it| text(it)));
        assert_eq!(
            answer.status,
            i32::from(!answer.stdout.is_empty()),
            "{answer:?}"
        );
        answer.stdout
    }

    /// The output of a tool that judges the rules over the rows of their scenarios; an error if the
    /// rules do not pass.
    pub fn judged(&self, tool: &str, arguments: &[&str]) -> Result<String, String> {
        let mut all = vec!["--rows".to_owned(), text(&self.rows_of("Auth0AM_CL"))];
        let mut folders = vec!["rules"];
        if tool != "mutants" {
            folders.push("hunting");
        }
        for folder in folders {
            let path = project().join("sentinel").join(folder);
            all.extend([format!("--{folder}"), text(&path)]);
        }
        all.extend(arguments.iter().map(|it| (*it).to_owned()));
        let answer = self.answer(tool, all);
        if answer.status == 0 {
            Ok(answer.stdout)
        } else {
            Err(answer.stdout + &answer.stderr)
        }
    }

    /// For each of the other workspaces, made of the same records: the rules and hunting queries
    /// that find something else there.
    pub fn losses(&self, others: &[Self]) -> Vec<Vec<String>> {
        let files: Vec<_> = others.iter().map(|it| it.rows_of("Auth0AM_CL")).collect();
        let arguments = files
            .iter()
            .flat_map(|file| ["--treated", file.to_str().unwrap()]);
        let arguments: Vec<_> = arguments.collect();
        let text = self.judged("losses", &arguments).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<serde_json::Result<_>>().unwrap()
    }

    /// The results of all queries of a workbook or a data-connector page, by label, with these
    /// values of the workbook's parameters.
    pub fn results_of_page(
        &self,
        file: &str,
        now: &str,
        values: &[&str],
    ) -> BTreeMap<String, Vec<Map<String, Value>>> {
        let rows = text(&self.rows_of("Auth0AM_CL"));
        let mut all = ["--rows", &rows, "--now", now].map(str::to_owned).to_vec();
        for table in self.tables.iter().filter(|it| **it == HEALTH) {
            all.extend(self.table(table));
        }
        for value in values {
            all.extend(["--set", value].map(str::to_owned));
        }
        all.push(text(&project().join(file)));
        let answer = self.answer("pages", all);
        assert_eq!(answer.status, 0, "{file}: {}", answer.stderr);
        let results = answer.stdout.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let rows = serde_json::from_value(line["rows"].take()).unwrap();
            (line["label"].as_str().unwrap().to_owned(), rows)
        });
        results.collect()
    }

    /// The result of a query over the tables, at the time `now`.
    pub fn result(&self, query: &str, now: &str) -> Vec<Map<String, Value>> {
        let file = self.folder.path().join("query.kql");
        fs::write(&file, query).unwrap();
        self.result_of(&file, now)
    }

    /// The result of the query in a file.
    pub fn result_of(&self, file: &Path, now: &str) -> Vec<Map<String, Value>> {
        let tables = self.tables.iter().flat_map(|it| self.table(it));
        let others = ["--now".to_owned(), now.to_owned(), text(file)];
        let answer = self.answer("execute", tables.chain(others));
        assert_eq!(
            answer.status,
            0,
            "over {} rows {} fails: {}",
            self.rows,
            file.display(),
            answer.stderr
        );
        let lines = answer.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
