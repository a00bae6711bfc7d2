// Command: runs every query of a workbook or of a data-connector page over sample rows,
// and prints for each one JSON object a line: {label, rows}. --table NAME=rows.ndjson
// gives rows to another table than Auth0AM_CL, and --set a workbook's parameter
// a value, such as --set "Tenant='*'".

import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { readContent } from "./content.mjs";
import { executeIn, load, readRows } from "./execute.mjs";
import { readFunction, readSchema } from "./schema.mjs";

export function main(args = process.argv.slice(2), print = console.log) {
  const { values: options, positionals: files } = parseArgs({
    args,
    options: {
      schema: { type: "string" },
      now: { type: "string" },
      rows: { type: "string" },
      table: { type: "string", multiple: true, default: [] },
      function: { type: "string", multiple: true, default: [] },
      set: { type: "string", multiple: true, default: [] },
    },
    allowPositionals: true,
  });
  const values = Object.fromEntries(options.set.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  const tables = readSchema(options.schema);
  const given = Object.fromEntries(
    options.table.map((pair) => [pair.slice(0, pair.indexOf("=")), readRows(pair.slice(pair.indexOf("=") + 1))]),
  );
  // The other tables are there, and empty.
  const empty = Object.fromEntries(Object.keys(tables).map((name) => [name, []]));
  const workspace = load({
    tables,
    rows: { ...empty, ...given, Auth0AM_CL: readRows(options.rows) },
    functions: options.function.map(readFunction),
    now: options.now,
  });
  for (const { label, text } of files.flatMap((file) => readContent(file, values))) {
    try {
      print(JSON.stringify({ label, rows: executeIn(workspace, text) }));
    } catch (error) {
      throw new Error(`${label}: ${error.message}`);
    }
  }
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
