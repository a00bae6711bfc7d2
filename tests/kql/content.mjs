// Reads the files of a Sentinel solution that hold queries: parsers, analytic
// rules, workbooks, data connectors and bare .kql files. readContent() returns
// one entry per query: a label that says where in the file it stands and the
// text; a parser also has its function name and parameters, and a rule the
// columns its alert settings take from the result. values are those of a
// workbook's parameters, by Name or Name:part; without one a stand-in is put.

import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { parse as parseYaml } from "yaml";

export function readContent(file, values = {}) {
  const text = readFileSync(file, "utf8");
  switch (extname(file).toLowerCase()) {
    case ".kql":
      return [{ label: "query", text }];
    case ".yaml":
    case ".yml":
      return readYaml(parseYaml(text));
    case ".json":
      return readJson(JSON.parse(text), values);
    default:
      throw new Error(`${file}: expected .kql, .yaml or .json`);
  }
}

function readYaml(content) {
  for (const label of ["FunctionQuery", "ParserQuery"]) {
    if (content[label]) return [readParser(content, label)];
  }
  return content.query ? [{ label: "query", text: content.query, columns: alertColumns(content) }] : [];
}

function readParser(content, label) {
  const parameters = content.FunctionParams ?? content.ParserParams ?? [];
  return {
    label,
    text: content[label],
    functionName: content.FunctionAlias ?? content.ParserName,
    parameters: parameters.map(({ Name, Type, Default }) => ({
      name: Name,
      type: Type,
      value: Default === undefined ? undefined : defaultText(Type, Default),
    })),
  };
}

/** A default as KQL text: content writes text defaults with and without quotes. */
function defaultText(type, value) {
  return type === "string" && !/^(['"]).*\1$/s.test(value) ? JSON.stringify(value) : String(value);
}

/** The result columns an analytic rule names, each with the setting that names it. */
function alertColumns(rule) {
  const columns = [];
  const add = (setting, column) => column && columns.push({ setting, column });
  for (const { entityType, fieldMappings } of rule.entityMappings ?? []) {
    for (const { columnName } of fieldMappings) add(`entityMappings ${entityType}`, columnName);
  }
  for (const { columnName } of rule.sentinelEntitiesMappings ?? []) add("sentinelEntitiesMappings", columnName);
  for (const [name, column] of Object.entries(rule.customDetails ?? {})) add(`customDetails ${name}`, column);
  for (const [name, value] of Object.entries(rule.alertDetailsOverride ?? {})) {
    if (name.endsWith("ColumnName")) add(name, value);
    if (name === "alertDynamicProperties") value.forEach((property) => add(name, property.value));
    if (name.endsWith("Format")) for (const [, column] of value.matchAll(/\{\{\s*(\w+)\s*\}\}/g)) add(name, column);
  }
  return columns;
}

function readJson(content, values) {
  const entries = [];
  const parameters = workbookParameters(content);
  const fill = (query) => fillIn(query, parameters, values);
  visit(content, "", (object, path) => {
    if (object.type === 3 && /^KqlItem\//.test(object.content?.version ?? "")) {
      addWorkbookQuery(entries, object.name ?? path, object.content, fill);
    }
    if (object.type === 9) {
      for (const parameter of object.content?.parameters ?? []) {
        addWorkbookQuery(entries, `parameter ${parameter.name}`, parameter, fill);
      }
    }
    addConnectorQueries(entries, object, content.graphQueriesTableName);
  });
  return entries;
}

function visit(value, path, action) {
  if (value === null || typeof value !== "object") return;
  if (!Array.isArray(value)) action(value, path);
  for (const [name, child] of Object.entries(value)) visit(child, path ? `${path}.${name}` : name, action);
}

/** Query type 0 is a Log Analytics query; others (Resource Graph, merge ...) are not KQL over our tables. */
function addWorkbookQuery(entries, label, { query, queryType = 0 }, fill) {
  if (query && queryType === 0) entries.push({ label, text: fill(query) });
}

function addConnectorQueries(entries, object, table) {
  const add = (label, text) => text && entries.push({ label, text: text.replaceAll("{{graphQueriesTableName}}", table) });
  object.graphQueries?.forEach(({ baseQuery }, index) => add(`graphQueries[${index}]`, baseQuery));
  object.sampleQueries?.forEach(({ query }, index) => add(`sampleQueries[${index}]`, query));
  object.dataTypes?.forEach(({ lastDataReceivedQuery }, index) => add(`dataTypes[${index}]`, lastDataReceivedQuery));
  const criteria = object.connectivityCriterias ?? object.connectivityCriteria ?? [];
  criteria.forEach(({ type, value }, index) => {
    if (type === "IsConnectedQuery") value.forEach((query) => add(`connectivityCriterias[${index}]`, query));
  });
}

/** Every parameter a workbook declares or exports, by name. */
function workbookParameters(content) {
  const found = new Map();
  visit(content, "", (object) => {
    if (object.type === 9) for (const parameter of object.content?.parameters ?? []) found.set(parameter.name, parameter);
    const exported = [object.exportParameterName, ...(object.exportedParameters ?? []).map((e) => e.parameterName)];
    for (const name of exported) if (name && !found.has(name)) found.set(name, { name });
  });
  return found;
}

const TIME_RANGE = 4;
const TIME_PARTS = { start: "datetime(2026-01-01)", end: "datetime(2026-01-02)", grain: "1h" };

/** Replaces {Name} and {Name:part} of declared parameters by a value of the kind the workbook would put there. */
function fillIn(query, parameters, values) {
  return query.replace(/\{(\w+)(?::(\w+))?\}/g, (placeholder, name, part, offset) => {
    const given = part ? `${name}:${part}` : name;
    if (Object.hasOwn(values, given)) return values[given];
    const parameter = parameters.get(name);
    if (!parameter) return placeholder;
    if (parameter.type === TIME_RANGE) return TIME_PARTS[part] ?? (part === "label" ? "x" : "> ago(1d)");
    return insideQuotes(query, offset) ? "x" : standIn(parameter);
  });
}

function standIn({ value, quote, multiSelect }) {
  if (quote) return `${quote}x${quote}`;
  if (multiSelect) return "'x'";
  return typeof value === "string" && /^\d+[a-z]*$/.test(value) ? value : "1";
}

/** True when the offset lies inside a string of its line; comments are not looked at. */
function insideQuotes(query, offset) {
  let open = "";
  for (const character of query.slice(query.lastIndexOf("\n", offset) + 1, offset)) {
    if (!open && /['"]/.test(character)) open = character;
    else if (character === open) open = "";
  }
  return open !== "";
}
