// Command: changes each rule in small ways, and counts the changes that its
// scenario notices. At least nine in ten must be; each other one is listed in the
// scenario with the reason why it means the same, and none that is noticed is.
//
// Changed are: each where (left out), the codes that the events are chosen by (left out), each comparison (turned round), each and
// and or, each negation (left out), each number (one up, one down), each time span
// (half, twice, and one up and down), each text that something is compared with,
// and each comparison that ignores case (made to mind it).

import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { readRows } from "./execute.mjs";
import { EVENTS, failure, readRule, World } from "./judge.mjs";
import { scenarios } from "./scenarios.mjs";
import { analyse, className, place, readFunction, readSchema } from "./schema.mjs";

const LEAST = 0.9;
/** Mutants of any rule that no alert can tell from it, each with the reason. */
const MEAN_THE_SAME = [
  [/^let shown = /, "how much of a list is shown, and that a list is shorter than that, no alert depends on"],
  [/^\| extend Weight = .*\[(1000000|0) -> /, "only the order of the weights counts, and there are never so many records"],
];
/** What no text in a record is. */
const OTHER = "zzz";

const OPPOSITES = {
  "==": "!=", "!=": "==", "=~": "!~", "!~": "=~", "<": ">=", ">=": "<", ">": "<=", "<=": ">",
  in: "!in", "!in": "in", "in~": "!in~", "!in~": "in~", and: "or", or: "and",
};
for (const name of ["has", "has_cs", "contains", "contains_cs", "startswith", "startswith_cs", "endswith", "endswith_cs"]) {
  OPPOSITES[name] = `!${name}`;
  OPPOSITES[`!${name}`] = name;
}
const MINDING = { "=~": "==", "!~": "!=", "in~": "in", "!in~": "!in" };
for (const name of ["has", "contains", "startswith", "endswith"]) {
  MINDING[name] = `${name}_cs`;
  MINDING[`!${name}`] = `!${name}_cs`;
}
const NEGATIONS = { isempty: "isnotempty", isnotempty: "isempty", isnull: "isnotnull", isnotnull: "isnull" };

/** The mutants of a query: {name, query}. */
export function mutants(query) {
  const code = analyse(query);
  const found = new Map();
  const change = (start, end, by) => {
    const mutant = query.slice(0, start) + by + query.slice(end);
    if (mutant !== query && !found.has(mutant)) found.set(mutant, nameOf(code, query, start, end, by));
  };
  code.Syntax.WalkNodes((node) => {
    const kind = className(node);
    const [start, end] = [node.TextStart, node.End];
    if (kind === "FilterOperator") change(node.Parent.Bar?.TextStart ?? start, end, "");
    if (node.Operator?.Text) changeOperator(node, change);
    if (kind === "FunctionCallExpression") changeCall(node, change);
    if (kind === "LiteralExpression") changeLiteral(node, query.slice(start, end), change);
  });
  return [...found].map(([mutant, name]) => ({ name, query: mutant }));
}

/** A name that holds as long as the changed line does: the line, with what stood there and stands there. */
function nameOf(code, query, start, end, by) {
  const { line } = place(code, start);
  const clip = (text) => (text.length > 60 ? `${text.slice(0, 57)}...` : text).replaceAll(/\s+/g, " ");
  return `${query.split("\n")[line - 1].trim()} [${clip(query.slice(start, end))} -> ${clip(by) || "nothing"}]`;
}

function changeOperator(node, change) {
  const { Operator } = node;
  const sign = Operator.Text;
  const [start, end] = [Operator.TextStart, Operator.TextStart + sign.length];
  if (OPPOSITES[sign]) change(start, end, OPPOSITES[sign]);
  if (MINDING[sign]) change(start, end, MINDING[sign]);
  // These have no opposite of their own.
  if (["matches regex", "has_any", "has_all"].includes(sign)) {
    change(node.TextStart, node.End, `not(${node.toString().trim()})`);
  }
}

function changeCall(node, change) {
  const name = node.Name.SimpleName;
  const [start, end] = [node.Name.TextStart, node.Name.End];
  if (NEGATIONS[name]) change(start, end, NEGATIONS[name]);
  if (name === "not") change(start, end, "");
  if (name === EVENTS) change(end, node.End, "");
}

const COMPARED = /^(InExpression|HasAnyExpression|HasAllExpression|BinaryExpression)$/;

/** Whether something is compared with this text, or it is an element of a list. */
function isCode(node) {
  let parent = node.Parent;
  while (/List|Separated|Parenthesized/.test(className(parent))) parent = parent.Parent;
  if (className(parent) === "JsonArrayExpression") return true;
  return COMPARED.test(className(parent));
}

function changeLiteral(node, source, change) {
  const [start, end] = [node.TextStart, node.End];
  const type = node.ResultType?.Name;
  if (type === "string" && isCode(node)) {
    change(start, end, `'${OTHER}'`);
    if (source.includes("(?i)")) change(start, end, source.replace("(?i)", ""));
  }
  if (/^-?\d+(\.\d+)?$/.test(source)) {
    const [, , fraction = ""] = /^-?(\d+)(\.\d+)?$/.exec(source);
    for (const step of [1, -1]) change(start, end, (Number(source) + step).toFixed(Math.max(0, fraction.length - 1)));
  }
  const span = /^(\d+)([a-z]+)$/.exec(source);
  if (type === "timespan" && span) {
    const [, count, unit] = span;
    const [ticks, half] = [Number(count), Number(count) / 2];
    change(start, end, `${ticks * 2}${unit}`);
    change(start, end, `${half}${unit}`);
    change(start, end, `${ticks + 1}${unit}`);
    change(start, end, `${ticks - 1}${unit}`);
  }
}

/** What became of a rule's mutants: {all, noticed, survivors: [name]}. */
export function judge(world, rule, { cases }, every = 1, offset = 0) {
  const chosen = mutants(rule.query).filter((_, index) => index % every === offset % every);
  const result = { all: 0, noticed: 0, survivors: [], names: new Set() };
  for (const { name, query } of chosen) {
    const found = failure(world, rule, query, cases);
    if (found?.isInvalid) continue;
    result.all += 1;
    result.names.add(name);
    if (found) result.noticed += 1;
    else result.survivors.push(name);
  }
  return result;
}

/** The problems of a rule's scenario: too few mutants noticed, and those that are listed amiss. */
export function problems(rule, { survivors: listed }, { all, noticed, survivors, names }, isWhole) {
  const found = [];
  const hasReason = (name) => Object.hasOwn(listed, name) || MEAN_THE_SAME.some(([pattern]) => pattern.test(name));
  const missing = survivors.filter((name) => !hasReason(name));
  if (isWhole && noticed < all * LEAST) found.push(`only ${noticed} of ${all} mutants noticed`);
  for (const name of missing) found.push(`survives without a reason: ${name}`);
  for (const name of Object.keys(listed)) {
    const isGone = isWhole ? !survivors.includes(name) : names.has(name) && !survivors.includes(name);
    if (isGone) found.push(`is listed, and ${names.has(name) ? "noticed" : "no mutant"}: ${name}`);
  }
  return found.map((problem) => `${rule.file}: ${problem}`);
}

/** Options that rules.mjs and this command share, and what they lead to. */
export function prepare(args, more = {}) {
  const { values: options } = parseArgs({
    args,
    options: {
      schema: { type: "string" },
      function: { type: "string", multiple: true, default: [] },
      rows: { type: "string" },
      rules: { type: "string" },
      hunting: { type: "string" },
      only: { type: "string" },
      ...more,
    },
  });
  if (!options.schema || !options.rows || !options.rules) throw new Error("--schema, --rows and --rules are needed");
  const read = (folder, prefix) => {
    const files = readdirSync(folder).filter((name) => name.endsWith(".yaml")).sort();
    return files.map((name) => ({ ...readRule(join(folder, name)), file: `${prefix}${basename(name, ".yaml")}` }));
  };
  const rules = [...read(options.rules, ""), ...(options.hunting ? read(options.hunting, "hunting/") : [])];
  const world = new World({
    tables: readSchema(options.schema),
    functions: options.function.map(readFunction),
    rows: { Auth0AM_CL: readRows(options.rows) },
  });
  return { options, world, rules: rules.filter(({ file }) => !options.only || file === options.only) };
}

/** With --every 12 a twelfth of each rule's mutants, of one rule after the other another twelfth. */
export function main(args = process.argv.slice(2), print = console.log) {
  const { options, world, rules } = prepare(args, { every: { type: "string", default: "1" } });
  const every = Number(options.every);
  let [all, noticed, failed] = [0, 0, 0];
  for (const [index, rule] of rules.entries()) {
    const scenario = scenarios.get(rule.file);
    if (!scenario) throw new Error(`${rule.file} has no scenario`);
    const result = judge(world, rule, scenario, every, index);
    const found = problems(rule, scenario, result, every === 1);
    print(`${rule.file}: ${result.noticed} of ${result.all}`);
    found.forEach((problem) => print(`  ${problem}`));
    all += result.all;
    noticed += result.noticed;
    failed += found.length;
  }
  print(`all: ${noticed} of ${all}`);
  return failed ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
