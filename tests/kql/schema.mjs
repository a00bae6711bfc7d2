// Loads Microsoft's Kusto language service and turns a schema file and parser
// files into the state it analyses queries against. The service is generated
// from C#, hence constructors with numbers and lists without iterators; this
// file hides both.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { readContent } from "./content.mjs";

const require = createRequire(import.meta.url);
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { Language } = globalThis.Kusto;
const Symbols = Language.Symbols;
const newTable = (name, columns) => new Symbols.TableSymbol.$ctor7(name, columns, "");
const newFunction = (name, parameters, body) => new Symbols.FunctionSymbol.$ctor16(name, parameters, body, "");
const newDatabase = (name, members) => new Symbols.DatabaseSymbol.ctor(name, members);
const newParameter = (name, type) => new Symbols.ParameterSymbol.ctor(name, type, "");

/** The elements of a list of the service, without their separators. */
export function items(list) {
  return Array.from({ length: list?.Count ?? 0 }, (_, index) => {
    const item = list.getItem(index);
    return className(item).startsWith("SeparatedElement") ? item.Element$1 : item;
  });
}

const classNames = new Map();

/** The class of a syntax node or symbol, such as "FilterOperator". */
export function className(object) {
  const known = classNames.get(object.constructor);
  if (known) return known;
  const name = globalThis.Bridge.getTypeName(object).split("[")[0].split(".").at(-1).split("$")[0];
  classNames.set(object.constructor, name);
  return name;
}

/** The arguments of a function call. */
export const argumentsOf = (node) => items(node.ArgumentList.Expressions);

const columnsByType = new WeakMap();

/** The columns of a tabular (or tuple) type as [{name, type}]. */
export function columnsOf(type) {
  if (!type) return [];
  const known = columnsByType.get(type);
  if (known) return known;
  const columns = items(type.Columns).map((column) => Object.freeze({ name: column.Name, type: column.Type.Name }));
  columnsByType.set(type, Object.freeze(columns));
  return columns;
}

const parameterList = (parameters) =>
  `(${parameters.map(({ name, type, value }) => `${name}:${type}${value === undefined ? "" : `=${value}`}`).join(", ")})`;

export function readSchema(file) {
  const { tables } = JSON.parse(readFileSync(file, "utf8"));
  if (!tables) throw new Error(`${file}: no "tables"`);
  return tables;
}

/** Reads a parser file as a function definition. */
export function readFunction(file) {
  const [parser] = readContent(file);
  if (!parser?.functionName) throw new Error(`${file}: not a parser file with a name and a query`);
  return parser;
}

/** What buildGlobals() made last, by what it was made of. Each takes seconds to make and to warm up. */
const lastGlobals = new Map();
const MOST_GLOBALS = 8;

/** The tables of a schema and the given parsers, as state for analyse(). */
export function buildGlobals(tables, functions) {
  const id = JSON.stringify([tables, functions]);
  const globals = lastGlobals.get(id) ?? makeGlobals(tables, functions);
  lastGlobals.delete(id); // so that it becomes the newest
  lastGlobals.set(id, globals);
  if (lastGlobals.size > MOST_GLOBALS) lastGlobals.delete(lastGlobals.keys().next().value);
  return globals;
}

function makeGlobals(tables, functions) {
  const column = ([name, type]) => `['${name}']:${type}`;
  const tableSymbols = Object.entries(tables).map(([name, columns]) =>
    newTable(name, `(${Object.entries(columns).map(column).join(", ")})`),
  );
  const byName = new Map(functions.map((parser) => [parser.functionName, parser])); // a parser may be given twice
  const functionSymbols = [...byName.values()].map((parser) =>
    newFunction(parser.functionName, parameterList(parser.parameters), `{${parser.text}\n}`),
  );
  const database = newDatabase("workspace", [...tableSymbols, ...functionSymbols]);
  // With a cache, what a parser returns is worked out once, and not for each query that calls it.
  return Language.GlobalState.Default.WithDatabase(database).WithCache();
}

/** Binds a query; the parameters of a parser are known names inside its body. */
export function analyse(query, globals = Language.GlobalState.Default, parameters = []) {
  const symbols = parameters.map(({ name, type }) => {
    const symbol = Symbols.ScalarTypes.GetSymbol(type);
    if (!symbol) throw new Error(`parameter ${name}: type ${type} is not a scalar type`);
    return newParameter(name, symbol);
  });
  return Language.KustoCode.ParseAndAnalyze(query, symbols.length ? globals.AddParameters(symbols) : globals);
}

/** Errors and warnings as [{code, severity, message, line, column}]. */
export function diagnostics(code) {
  return items(code.GetDiagnostics())
    .filter(({ Severity }) => Severity === "Error" || Severity === "Warning")
    .map((found) => ({ code: found.Code, severity: found.Severity, message: found.Message, ...place(code, found.Start) }));
}

export function place(code, offset) {
  const before = code.Text.slice(0, offset).split("\n");
  return { line: before.length, column: before.at(-1).length + 1 };
}
