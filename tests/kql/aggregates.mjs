// The aggregate functions of summarize. Each gets the values of its first
// argument in the rows of one group, in order; nulls are left out beforehand,
// as KQL documents for all of them but count(). The functions that return
// several columns (arg_max, arg_min, take_any) are at the end.

import { compile, evaluate, typeOf } from "./expressions.mjs";
import { operators } from "./functions.mjs";
import { className } from "./schema.mjs";
import { compare, key, Span, toDynamic, Unsupported } from "./values.mjs";

const total = (values) => values.reduce((sum, value) => operators["+"](sum, value));
const largest = (values) => values.reduce((best, value) => (compare(value, best) > 0 ? value : best));
const smallest = (values) => values.reduce((best, value) => (compare(value, best) < 0 ? value : best));
const distinct = (values) => [...new Map(values.map((value) => [key(value), value])).values()];

function average(values, type) {
  if (type === "datetime") throw new Unsupported("avg of datetime");
  if (!values.length) return NaN;
  return operators["/"](total(values), values.length, values[0] instanceof Span ? "timespan" : "real");
}

function set(values, limit) {
  if (values.some((value) => value.constructor === Object || Array.isArray(value))) {
    throw new Unsupported("make_set of arrays or bags");
  }
  return distinct(values).slice(0, limit).map(toDynamic);
}

const list = (values, limit) => values.slice(0, limit).map(toDynamic);

const AGGREGATES = {
  count: (values) => values.length,
  dcount: (values) => distinct(values).length,
  sum: (values, type) => (values.length ? total(values) : type === "timespan" ? new Span(0n) : 0),
  avg: average,
  min: (values) => (values.length ? smallest(values) : null),
  max: (values) => (values.length ? largest(values) : null),
};
/** The smallest value that at least so many in a hundred do not exceed. The service estimates where there are many. */
function percentile(values, share) {
  if (typeof share !== "number" || share < 0 || share > 100) throw new Unsupported(`percentile ${share}`);
  const sorted = [...values].sort(compare);
  return sorted[Math.max(0, Math.ceil((share / 100) * sorted.length) - 1)] ?? null;
}

const COLLECTIONS = { make_set: set, make_list: list };

/** An aggregate call as a function of the rows of a group; undefined when it is not an aggregate. */
export function aggregate(name, args, scope) {
  if (name === "any" || name === "take_any") {
    const [first] = severalColumns(name, args, scope);
    return first;
  }
  const base = name.replace(/_?if$/, "");
  const collect = COLLECTIONS[base];
  const reduce = AGGREGATES[base];
  if (!collect && !reduce && base !== "percentile") return undefined;
  const rowScope = { ...scope, group: false };
  const rest = [...args];
  const value = base === "count" ? () => 1 : rest.shift();
  const get = typeof value === "function" ? value : compile(value, rowScope);
  const condition = name === base ? null : compile(rest.shift(), rowScope);
  const values = (rows) =>
    (condition ? rows.filter((row) => condition(row) === true) : rows).map(get).filter((item) => item !== null);
  if (collect) {
    const limit = rest.length ? evaluate(rest[0], scope) : undefined;
    return (rows) => collect(values(rows), limit);
  }
  if (base === "percentile") {
    if (condition || rest.length !== 1) throw new Unsupported(`${name} with ${args.length} arguments`);
    const share = evaluate(rest[0], scope);
    return (rows) => percentile(values(rows), share);
  }
  if (base !== "dcount" && rest.length) throw new Unsupported(`${name} with ${args.length} arguments`);
  const type = typeof value === "function" ? "long" : typeOf(value);
  return (rows) => reduce(values(rows), type);
}

export const returnsSeveral = (node) =>
  className(node) === "FunctionCallExpression" && /^(arg_max|arg_min|take_any|any)$/.test(node.Name.SimpleName);

/** The result columns of arg_max, arg_min or take_any, each as a function of the rows of a group. Ties: the first row. */
export function severalColumns(name, args, scope, starColumns) {
  const rowScope = { ...scope, group: false };
  const isArg = name.startsWith("arg_");
  const by = isArg ? compile(args[0], rowScope) : null;
  const sign = name === "arg_min" ? -1 : 1;
  const chosen = (rows) => (by ? extreme(rows, by, sign) : rows[0]);
  const columns = (isArg ? args.slice(1) : args).flatMap((arg) =>
    className(arg) === "StarExpression" ? starColumns : [{ get: compile(arg, rowScope), type: typeOf(arg) }],
  );
  if (isArg) columns.unshift({ get: by, type: typeOf(args[0]) });
  return columns.map(({ get, type }) => (rows) => (rows.length ? get(chosen(rows)) : type === "string" ? "" : null));
}

function extreme(rows, by, sign) {
  const candidates = rows.filter((row) => by(row) !== null);
  if (!candidates.length) return rows[0];
  return candidates.reduce((best, row) => (compare(by(row), by(best)) * sign > 0 ? row : best));
}
