// Command: runs a query over sample rows and prints the result, one JSON object
// per line. Exit code 1 when the query fails or uses something not supported,
// 2 on wrong usage.
//
// This interpreter is for the queries that ship with the project, over rows that
// the program made, and for nothing else. It is frozen: no function or operator
// is added without a shipped query that needs it. Where KQL's documentation
// leaves an answer open, or a value leaves its type's limits, it stops with "not
// supported"; it does not guess.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { readContent } from "./content.mjs";
import { run } from "./operators.mjs";
import { analyse, buildGlobals, diagnostics, readFunction, readSchema } from "./schema.mjs";
import { fromJson, parseMoment, toJson } from "./values.mjs";

const USAGE =
  "usage: node execute.mjs --schema schema.json --now TIME [--function parser.yaml]... [--table NAME=rows.ndjson]... QUERY|-";

/**
 * The rows of a query's result as objects. tables: the schema; rows: arrays of
 * objects by table name, in which "ingestion_time()" may stand beside the
 * columns; functions: parsers the query may call; now: ISO text.
 */
export const execute = (query, workspace) => executeIn(load(workspace), query);

/** A workspace that is ready for queries. */
export function load({ tables, rows = {}, functions = [], now }) {
  const ingestionTimes = new Map();
  const loaded = Object.entries(rows).map(([name, list]) => [name, loadRows(name, list, tables[name], ingestionTimes)]);
  const context = { tables: new Map(loaded), ingestionTimes, now: parseMoment(now) };
  return { globals: buildGlobals(tables, functions), context };
}

export function executeIn({ globals, context }, query) {
  const code = analyse(query, globals);
  // A table that is unknown in a fuzzy union (KS205) is only a warning of the service.
  const errors = diagnostics(code).filter((found) => found.severity === "Error" || found.code === "KS205");
  if (errors.length) throw new Error(errors.map((e) => `${e.line}:${e.column} ${e.code} ${e.message}`).join("\n"));
  const result = run(code, context);
  return result.rows.map((row) =>
    Object.fromEntries(result.columns.map(({ name }, index) => [name, toJson(row[index])])),
  );
}

/** What a sample row may have beside its columns: the time that ingestion_time() gives. */
const INGESTION_TIME = "ingestion_time()";

export function loadRows(table, list, columns, ingestionTimes) {
  if (!columns) throw new Error(`the schema has no table ${table}`);
  const places = new Map(Object.keys(columns).map((name, index) => [name, index]));
  const empty = Object.values(columns).map((type) => fromJson(null, type));
  return list.map((row, index) => {
    const place = `${table} row ${index + 1}`;
    const names = Object.keys(row).filter((name) => name !== INGESTION_TIME);
    const extra = names.find((name) => !places.has(name));
    if (extra !== undefined) throw new Error(`${place}: the table has no column '${extra}'`);
    const loaded = [...empty]; // most columns of a row are
    for (const name of names) loaded[places.get(name)] = fromJson(row[name], columns[name], `${place}, ${name}`);
    ingestionTimes.set(loaded, fromJson(row[INGESTION_TIME], "datetime", `${place}, ${INGESTION_TIME}`));
    return loaded;
  });
}

export function readRows(file) {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line.trim()).map((line) => JSON.parse(line));
}

/** The query text of a file, with the parsers it needs; a parser file is called with its defaults. */
function readQuery(file) {
  if (file === "-") return { text: readFileSync(0, "utf8"), functions: [] };
  const queries = readContent(file);
  if (queries.length !== 1) throw new Error(`${file}: ${queries.length} queries, expected one`);
  const [query] = queries;
  return query.functionName ? { text: `${query.functionName}()`, functions: [query] } : { text: query.text, functions: [] };
}

export function main(args = process.argv.slice(2), print = console.log, complain = console.error) {
  let options, files;
  try {
    ({ values: options, positionals: files } = parseArgs({
      args,
      options: {
        schema: { type: "string" },
        now: { type: "string" },
        function: { type: "string", multiple: true, default: [] },
        table: { type: "string", multiple: true, default: [] },
      },
      allowPositionals: true,
    }));
  } catch (error) {
    complain(error.message);
  }
  const usable = options?.schema && files.length === 1 && options.table.every((table) => table.includes("="));
  if (!usable || !options.now || !parseMoment(options.now)) {
    complain(USAGE);
    return 2;
  }
  try {
    const { text, functions } = readQuery(files[0]);
    const rows = Object.fromEntries(
      options.table.map((table) => [table.split("=")[0], readRows(table.slice(table.indexOf("=") + 1))]),
    );
    const result = execute(text, {
      tables: readSchema(options.schema),
      rows,
      functions: [...options.function.map(readFunction), ...functions],
      now: options.now,
    });
    for (const row of result) print(JSON.stringify(row));
    return 0;
  } catch (error) {
    complain(error.message);
    return 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
