// Runs rules over the rows of their scenarios, and tells what their alerts hold.

import { readFileSync } from "node:fs";
import { parse as parseYaml } from "yaml";
import { run } from "./operators.mjs";
import { analyse, buildGlobals, columnsOf, diagnostics } from "./schema.mjs";
import { NOW } from "./records.mjs";
import { loadRows } from "./execute.mjs";
import { parseMoment, text, toJson } from "./values.mjs";

const now = parseMoment(NOW);
/** What the rules read: the function, once it has been run, and tables whose rows a case has. */
export const EVENTS = "Auth0Events";
/** The results of that run, and the function over them. */
const ALL_EVENTS = "AllEvents";
const OVER_RESULTS = {
  functionName: EVENTS,
  parameters: [{ name: "eventcode_in", type: "dynamic", value: "dynamic([])" }],
  text: `${ALL_EVENTS} | where array_length(eventcode_in) == 0 or EventCode in (eventcode_in)`,
};
const OTHERS = { Auth0AMHealth_CL: "beats", DCRLogErrors: "errors", AzureMetrics: "metrics", Operation: "operations" };

/** Queries that are ready to run, by the state that they were bound to and by their text. */
const boundTo = new WeakMap();

export const readRule = (file) => parseYaml(readFileSync(file, "utf8"));

/** The events of all cases in one go, since the function looks at each record by itself. */
export class World {
  constructor({ tables, functions, rows }) {
    this.surroundings = { tables, functions };
    const ingestionTimes = new Map();
    const loaded = Object.entries(rows).map(([name, list]) => [name, loadRows(name, list, tables[name], ingestionTimes)]);
    const code = analyse(EVENTS, buildGlobals(tables, functions));
    const { columns, rows: events } = run(code, { tables: new Map(loaded), ingestionTimes, now });
    const id = columns.findIndex(({ name }) => name === "LogId");
    this.byId = new Map(events.map((row) => [row[id], row]));
    const table = Object.fromEntries(columns.map(({ name, type }) => [name, type]));
    this.others = Object.fromEntries(Object.keys(OTHERS).map((name) => [name, tables[name]]));
    this.globals = buildGlobals({ [ALL_EVENTS]: table, ...this.others }, [OVER_RESULTS]);
    if (!boundTo.has(this.globals)) boundTo.set(this.globals, new Map());
    this.bound = boundTo.get(this.globals);
  }

  /** The same with other rows of records. */
  over(rows) {
    return new World({ ...this.surroundings, rows: { Auth0AM_CL: rows } });
  }

  /** A query that is ready to run, or what is wrong with it. */
  bind(query) {
    const code = analyse(query, this.globals);
    const problem = diagnostics(code).find(({ severity }) => severity === "Error");
    return problem ? { problem } : { code };
  }

  /** The results of a bound query over the events and other rows of a case, as objects. */
  results(code, one) {
    const ids = new Set(one.records.map(({ log_id }) => log_id));
    const rows = [...ids].map((id) => this.byId.get(id));
    if (rows.includes(undefined)) throw new Error("a record has no row");
    const ingestionTimes = new Map();
    const others = Object.entries(OTHERS).map(([name, list]) => [name, loadRows(name, one[list] ?? [], this.others[name], ingestionTimes)]);
    const tables = new Map([[ALL_EVENTS, rows], ...others]);
    const { columns, rows: found } = run(code, { tables, ingestionTimes, now });
    return found.map((row) => Object.fromEntries(columns.map(({ name, type }, index) => [name, { value: row[index], type }])));
  }
}

/** What an analyst sees of a result: Sentinel takes it from the columns that the rule names. */
export function alert(rule, row) {
  const show = (column) => (typeof row[column].value === "string" ? row[column].value : text(toJson(row[column].value), row[column].type));
  const { alertDisplayNameFormat: format = rule.name, alertSeverityColumnName: severity } = rule.alertDetailsOverride ?? {};
  return {
    title: format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, column) => show(column)),
    severity: severity ? show(severity) : rule.severity,
    entities: (rule.entityMappings ?? []).flatMap(({ entityType, fieldMappings }) =>
      fieldMappings.map(({ columnName }) => `${entityType} ${show(columnName)}`).filter((it) => !it.endsWith(" ")),
    ),
    details: Object.fromEntries(Object.entries(rule.customDetails ?? {}).map(([name, column]) => [name, show(column)])),
  };
}

/** What differs between the alerts and those that a case expects; undefined where nothing does. */
export function difference(expected, alerts) {
  if (typeof expected === "number") return expected === alerts.length ? undefined : `${alerts.length} alerts, expected ${expected}`;
  const wanted = expected.map((it) => (typeof it === "string" ? { heading: it } : it));
  const found = alerts.map((it) => ({ ...it, heading: `${it.severity}: ${it.title}` }));
  const left = [...found];
  for (const want of wanted) {
    const index = left.findIndex((it) => holds(it, want));
    if (index < 0) return `no alert ${JSON.stringify(want)} among ${JSON.stringify(found)}`;
    left.splice(index, 1);
  }
  return left.length ? `an alert too many: ${JSON.stringify(left)}` : undefined;
}

const holds = (whole, part) =>
  part !== null && typeof part === "object" && !Array.isArray(part)
    ? Object.entries(part).every(([name, value]) => holds(whole?.[name], value))
    : JSON.stringify(whole) === JSON.stringify(part);

/** A query with other values for some of its let lines, which are those that people are asked to set. */
function withLets(query, lets) {
  return Object.entries(lets).reduce((text, [name, value]) => {
    const line = new RegExp(`^let ${name} = [^;]*;`, "m");
    if (!line.test(text)) throw new Error(`the query has no let ${name}`);
    return text.replace(line, () => `let ${name} = ${value};`);
  }, query);
}

/** What a query answers to each case, as alerts; a query is bound once, as long as `bound` is kept. */
export function answers(world, rule, query, bound = world.bound) {
  return (one) => {
    const asked = withLets(query, one.lets ?? {});
    if (!bound.has(asked)) bound.set(asked, world.bind(asked));
    const { code, problem } = bound.get(asked);
    if (problem) throw new Invalid(`${problem.line}:${problem.column} ${problem.message}`);
    return world.results(code, one).map((row) => alert(rule, row));
  };
}

class Invalid extends Error {}

/** The first case that a query does not answer as expected, and how; undefined where it answers all. */
export function failure(world, rule, query, cases) {
  const answer = answers(world, rule, query, new Map());
  for (const one of cases) {
    try {
      const reason = difference(one.alerts, answer(one));
      if (reason) return { what: one.what, reason };
    } catch (error) {
      return { what: one.what, reason: error.message, isInvalid: error instanceof Invalid };
    }
  }
  return undefined;
}
