// Command: checks the queries of Sentinel content files with Microsoft's
// language service and with the rules below that the service cannot know.
// Prints one line per problem; exit code 0 clean, 1 problems, 2 wrong usage.

import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { readContent } from "./content.mjs";
import {
  analyse, argumentsOf, buildGlobals, className, columnsOf, diagnostics, place, readFunction, readSchema,
} from "./schema.mjs";

const USAGE = "usage: node check.mjs --schema schema.json [--function parser.yaml]... FILE...";

/** The problems of one file as lines of text. */
export function checkFile(file, tables, globals) {
  let queries;
  try {
    queries = readContent(file);
  } catch (error) {
    return [`${file}: UNREADABLE ${error.message}`];
  }
  if (!queries.length) return [`${file}: NOQUERY no query in this file`];
  return queries.flatMap((query) =>
    checkQuery(query, tables, globals).map(
      ({ line, column, code, message }) => `${file}: ${query.label}:${line}:${column} ${code} ${message}`,
    ),
  );
}

function checkQuery({ text, parameters, columns = [] }, tables, globals) {
  const code = analyse(text, globals, parameters);
  const found = [...diagnostics(code), ...hiddenNames(code, tables)];
  if (!code.ResultType?.IsTabular) found.push({ line: 1, column: 1, code: "NORESULT", message: "the query returns no table" });
  return [...found, ...missingColumns(code, columns)];
}

/**
 * column_ifexists() takes its default for a misspelt name, and the service says
 * nothing. So the name must be a column of a table or of the operator's input.
 */
function hiddenNames(code, tables) {
  const known = new Set(Object.values(tables).flatMap((columns) => Object.keys(columns)));
  const found = [];
  code.Syntax.WalkNodes((node) => {
    if (className(node) !== "FunctionCallExpression") return;
    if (!/^column_?ifexists$/.test(node.Name.SimpleName)) return;
    const [argument] = argumentsOf(node);
    const name = argument?.LiteralValue;
    if (typeof name !== "string" || known.has(name) || inputColumns(node).includes(name)) return;
    found.push({ code: "COLUMN", message: `no table has a column '${name}'`, ...place(code, argument.TextStart) });
  });
  return found;
}

/** The columns that flow into the operator around a node. */
function inputColumns(node) {
  let pipe = node;
  while (pipe && !(className(pipe) === "PipeExpression" && pipe.Operator.TextStart <= node.TextStart)) pipe = pipe.Parent;
  return columnsOf(pipe?.Expression.ResultType).map(({ name }) => name);
}

function missingColumns(code, columns) {
  const result = columnsOf(code.ResultType).map(({ name }) => name);
  return columns
    .filter(({ column }) => !result.includes(column))
    .map(({ setting, column }) => ({
      line: 1,
      column: 1,
      code: "RULECOLUMN",
      message: `${setting}: the result has no column '${column}'`,
    }));
}

export function main(args = process.argv.slice(2), print = console.log, complain = console.error) {
  try {
    const { values: options, positionals: files } = parseArgs({
      args,
      options: { schema: { type: "string" }, function: { type: "string", multiple: true, default: [] } },
      allowPositionals: true,
    });
    if (!options.schema || !files.length) throw new Error("a schema and at least one file are needed");
    const tables = readSchema(options.schema);
    const globals = buildGlobals(tables, options.function.map(readFunction));
    const problems = files.flatMap((file) => checkFile(file, tables, globals));
    problems.forEach((problem) => print(problem));
    return problems.length ? 1 : 0;
  } catch (error) {
    complain(`${error.message}\n${USAGE}`);
    return 2;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
