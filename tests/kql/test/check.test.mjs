// Tests of the checker: each kind of content file, and each kind of problem.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkFile } from "../check.mjs";
import { buildGlobals, readFunction } from "../schema.mjs";

const tables = { Log_CL: { TimeGenerated: "datetime", user_s: "string", count_d: "real", data_s: "string" } };
const folder = mkdtempSync(join(tmpdir(), "kql-check-"));
after(() => rmSync(folder, { recursive: true }));

function file(name, content) {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

function check(name, content, functions = []) {
  const path = file(name, content);
  return checkFile(path, tables, buildGlobals(tables, functions)).map((line) => line.replace(`${path}: `, ""));
}

const kql = (query) => check("query.kql", query);

test("a clean query has no problems", () => {
  assert.deepEqual(kql("Log_CL\n| where count_d > 1 and user_s has 'x'\n| summarize count() by user_s"), []);
});

test("a misspelt column is reported with its place", () => {
  assert.match(kql("Log_CL\n| where usr_s == 'x'").join(), /^query:2:9 KS142 .*usr_s/);
});

test("a misspelt column inside column_ifexists is reported", () => {
  assert.deepEqual(kql("Log_CL | extend u = column_ifexists('usr_s', '')"), [
    "query:1:37 COLUMN no table has a column 'usr_s'",
  ]);
  assert.deepEqual(kql("Log_CL | extend u = column_ifexists('user_s', ''), c = column_ifexists('count_d', 0.0)"), []);
});

test("column_ifexists may name a column that the query itself made", () => {
  assert.deepEqual(kql("Log_CL | extend u = user_s | project w = column_ifexists('u', '')"), []);
});

test("an unknown table is reported, also in a fuzzy union", () => {
  assert.match(kql("Lgo_CL | count").join(), /KS204/);
  assert.match(kql("union isfuzzy=true Log_CL, Lgo_CL").join(), /KS205/);
});

test("an unknown function, wrong types and bad syntax are reported", () => {
  assert.match(kql("Log_CL | extend a = tostrin(user_s)").join(), /KS211/);
  assert.match(kql("Log_CL | where user_s + 1 > 2").join(), /KS/);
  assert.match(kql("Log_CL | where (user_s == 'x'").join(), /KS00/);
});

test("a file without a query, without a tabular result or without sense is reported", () => {
  assert.match(check("empty.yaml", "id: x\n").join(), /NOQUERY/);
  assert.match(kql("let a = 1;").join(), /NORESULT/);
  assert.match(check("broken.json", "{").join(), /UNREADABLE/);
});

const RULE = `query: |
  Log_CL
  | summarize Total = count() by Account = user_s
entityMappings:
  - entityType: Account
    fieldMappings:
      - identifier: FullName
        columnName: Account
customDetails:
  Events: Total
alertDetailsOverride:
  alertDisplayNameFormat: '{{Account}} did {{ Total }} things'
  alertSeverityColumnName: Account
`;

test("the columns of a rule's alert settings must be in the result", () => {
  assert.deepEqual(check("rule.yaml", RULE), []);
  const problem = (from, to) => check("rule.yaml", RULE.replace(from, to)).join();
  assert.match(problem("columnName: Account", "columnName: User"), /RULECOLUMN entityMappings Account.*'User'/);
  assert.match(problem("Events: Total", "Events: Sum"), /RULECOLUMN customDetails Events.*'Sum'/);
  assert.match(problem("{{ Total }}", "{{Sum}}"), /RULECOLUMN alertDisplayNameFormat.*'Sum'/);
  assert.match(problem("ColumnName: Account\n", "ColumnName: Level\n"), /RULECOLUMN/);
});

const PARSER = `ParserName: vimLog
ParserParams:
  - Name: starttime
    Type: datetime
    Default: datetime(null)
  - Name: user_in
    Type: dynamic
    Default: dynamic([])
  - Name: result
    Type: string
    Default: '*'
ParserQuery: |
  Log_CL
  | where isnull(starttime) or TimeGenerated >= starttime
  | where array_length(user_in) == 0 or user_s in (user_in)
  | where result == '*'
  | project TimeGenerated, User = user_s
`;

test("a parser may use its parameters and be called by name", () => {
  assert.deepEqual(check("vim.yaml", PARSER), []);
  assert.match(check("vim.yaml", PARSER.replace("(user_in)\n", "(users_in)\n")).join(), /KS142.*users_in/);
  const parser = readFunction(file("vim.yaml", PARSER));
  assert.deepEqual(check("call.kql", "vimLog(user_in=dynamic(['a'])) | where User == 'a'", [parser]), []);
  assert.match(check("call.kql", "vimLog() | where user_s == 'a'", [parser]).join(), /KS142/);
  const alias = "FunctionAlias: Log\nFunctionQuery: Log_CL | project user_s\n";
  assert.deepEqual(check("call.kql", "Log | count", [readFunction(file("alias.yaml", alias))]), []);
});

function workbook(query) {
  const parameters = [
    { name: "TimeRange", type: 4 },
    { name: "Users", type: 2, multiSelect: true, quote: "'", query: "Log_CL | distinct user_s", queryType: 0 },
    { name: "Least", type: 1, value: "5" },
  ];
  const item = { type: 3, name: "grid", content: { version: "KqlItem/1.0", query, queryType: 0 } };
  return {
    version: "Notebook/1.0",
    items: [
      { type: 9, content: { version: "KqlParameterItem/1.0", parameters } },
      { type: 12, content: { version: "NotebookGroup/1.0", items: [item] } },
    ],
  };
}

test("workbook queries are checked with stand-ins for their parameters", () => {
  const query =
    "Log_CL | where TimeGenerated between ({TimeRange:start} .. {TimeRange:end}) and TimeGenerated {TimeRange}\n" +
    "| where user_s in ({Users}) or user_s == '{Least:label}' or '*' in ({Users})\n" +
    "| where count_d > {Least} | summarize count() by bin(TimeGenerated, {TimeRange:grain})";
  assert.deepEqual(check("workbook.json", workbook(query)), []);
  assert.match(check("workbook.json", workbook("Log_CL | where usr_s == ''")).join(), /^grid:1:16 KS142/);
  const other = workbook("Log_CL");
  other.items[0].content.parameters[1].query = "Log_CL | distinct usr_s";
  assert.match(check("workbook.json", other).join(), /^parameter Users:1:19 KS142/);
});

test("every kind of data-connector query is checked", () => {
  const connector = {
    graphQueries: [{ metricName: "Total", legend: "Log", baseQuery: "Log_CL | count" }],
    sampleQueries: [{ description: "All", query: "Log_CL | sort by TimeGenerated" }],
    dataTypes: [{ name: "Log_CL", lastDataReceivedQuery: "Log_CL | summarize max(TimeGenerated)" }],
    connectivityCriterias: [{ type: "IsConnectedQuery", value: ["Log_CL | project IsConnected = true"] }],
  };
  assert.deepEqual(check("connector.json", connector), []);
  const broken = JSON.stringify(connector).replaceAll("Log_CL |", "Lgo_CL |");
  assert.deepEqual(
    check("connector.json", broken).map((line) => /^(\w+)\[0\].*KS204/.exec(line)?.[1]),
    ["graphQueries", "sampleQueries", "dataTypes", "connectivityCriterias"],
  );
});

test("the command's exit codes", () => {
  const command = (...args) =>
    spawnSync(process.execPath, [fileURLToPath(new URL("../check.mjs", import.meta.url)), ...args], {
      encoding: "utf8",
    });
  const schema = file("schema.json", { tables });
  const parser = file("vim.yaml", PARSER);
  assert.equal(command("--schema", schema, "--function", parser, file("ok.kql", "vimLog | count")).status, 0);
  const failed = command("--schema", schema, file("bad.kql", "Log_CL | where x == 1"));
  assert.equal(failed.status, 1);
  assert.match(failed.stdout, /bad\.kql: query:1:16 KS142 /);
  assert.equal(command("--schema", schema).status, 2);
  assert.equal(command("--what", "ever").status, 2);
});
