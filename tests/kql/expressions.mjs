// Turns bound scalar expressions into JavaScript functions of a row. compile()
// takes a syntax node and a scope {columns, env, context}: the columns of the
// row, the names bound by let and by parameters, and the query's tables and
// time. In an aggregate scope ({group: true}) the functions take the rows of a
// group, and aggregate calls are allowed.

import { aggregate } from "./aggregates.mjs";
import { functions, operators, sameText, has } from "./functions.mjs";
import { bindCall, evaluateTable } from "./operators.mjs";
import { argumentsOf, className, items } from "./schema.mjs";
import { equals, isInt, Moment, parseMoment, parseSpan, safeInteger, Span, text, toDynamic, Unsupported } from "./values.mjs";

/** The type of an expression; the service has names such as dynamic for all kinds of dynamic values. */
export const typeOf = (node) => node.ResultType?.Name ?? "unknown";

export function compile(node, scope) {
  const rule = RULES[className(node)];
  if (!rule) throw new Unsupported(`${className(node)} in '${node.toString().trim()}'`);
  const get = rule(node, scope);
  return typeOf(node) === "string" ? (row) => get(row) ?? "" : get;
}

/** The value of an expression that needs no row. */
export const evaluate = (node, scope) => compile(node, { ...scope, columns: [], isStored: false })(null);

const RULES = {
  LiteralExpression: constant(literal),
  CompoundStringLiteralExpression: constant((node) => node.LiteralValue),
  DynamicExpression: constant((node) => json(node.Expression)),
  ParenthesizedExpression: (node, scope) => compile(node.Expression, scope),
  SimpleNamedExpression: (node, scope) => compile(node.Expression, scope),
  PrefixUnaryExpression: prefix,
  BinaryExpression: binary,
  InExpression: within,
  HasAnyExpression: (node, scope) => hasTerms(node, scope, "some"),
  HasAllExpression: (node, scope) => hasTerms(node, scope, "every"),
  BetweenExpression: between,
  NameReference: name,
  PathExpression: (node, scope) => member(node.Expression, constant(() => node.Selector.SimpleName)(node), scope),
  ElementExpression: (node, scope) => member(node.Expression, compile(node.Selector.Expression, scope), scope),
  FunctionCallExpression: call,
  ToScalarExpression: toScalar,
};

const constants = new WeakMap();

/** A query is compiled for each set of rows, and what it says is read once. */
function constant(read) {
  return (node) => {
    if (!constants.has(node)) constants.set(node, read(node));
    const value = constants.get(node);
    return () => value;
  };
}

/** The service's own values of literals are partly wrong in JavaScript (0x1F, time(1.02:00:00)), so they are read here. */
function literal(node) {
  const type = typeOf(node);
  if (type === "string") return node.LiteralValue;
  const source = node.toString().trim();
  const inner = (/^\w+\s*\((.*)\)$/s.exec(source)?.[1] ?? source).trim().replace(/^(['"])(.*)\1$/, "$2");
  if (inner === "null") return null;
  if (type === "int" && !isInt(Number(inner))) throw new Unsupported(`literal ${source}`);
  if (type === "long" || type === "int") return safeInteger(Number(inner));
  const value = LITERALS[type]?.(inner) ?? null;
  if (value === null || Number.isNaN(value)) throw new Unsupported(`literal ${source}`);
  return value;
}

const LITERALS = {
  bool: (source) => ({ true: true, false: false })[source.toLowerCase()],
  real: Number,
  guid: (source) => source.toLowerCase(),
  datetime: parseMoment,
  timespan: parseSpan,
};

/** The value inside dynamic(...). */
function json(node) {
  switch (className(node)) {
    case "JsonArrayExpression":
      return items(node.Values).map(json);
    case "JsonObjectExpression":
      return Object.fromEntries(items(node.Pairs).map((pair) => [pair.Name.ValueText, json(pair.Value)]));
    case "LiteralExpression":
      return toDynamic(literal(node));
    case "PrefixUnaryExpression":
      return -json(node.Expression);
    default:
      throw new Unsupported(`${node.toString()} inside dynamic()`);
  }
}

function prefix(node, scope) {
  if (node.Operator.Text !== "-") throw new Unsupported(`prefix ${node.Operator.Text}`);
  const get = compile(node.Expression, scope);
  return (row) => {
    const value = get(row);
    if (value === null) return null;
    return value instanceof Span ? new Span(-value.ticks) : -value;
  };
}

function binary(node, scope) {
  const sign = node.Operator.Text.toLowerCase();
  const operator = operators[sign];
  const [leftType, rightType] = [typeOf(node.Left), typeOf(node.Right)];
  if (!operator) throw new Unsupported(`operator ${sign}`);
  if (/^[-+*/%]$/.test(sign) && [leftType, rightType].includes("dynamic")) throw new Unsupported(`dynamic value with ${sign}`);
  const [left, right, type] = [compile(node.Left, scope), compile(node.Right, scope), typeOf(node)];
  return (row) => operator(left(row), right(row), type);
}

/** The values of a list in parentheses; arrays and one-column tables give their elements. */
function valueList(list, scope) {
  const parts = items(list.Expressions).map((node) => {
    if (!node.ResultType.IsTabular) return compile(node, scope);
    const values = once(() => evaluateTable(node, scope).rows.map(([value]) => value));
    return () => values();
  });
  return (row) => parts.flatMap((get) => get(row));
}

function within(node, scope) {
  const sign = node.Operator.Text.toLowerCase();
  const [left, list] = [compile(node.Left, scope), valueList(node.Right, scope)];
  const same = sign.endsWith("~") ? (a, b) => sameText(text(a), text(b)) : (a, b) => equals(a, b) === true;
  return (row) => {
    const value = left(row);
    return list(row).some((item) => same(value, item)) !== sign.startsWith("!");
  };
}

function hasTerms(node, scope, quantifier) {
  const [left, list] = [compile(node.Left, scope), valueList(node.Right, scope)];
  return (row) => {
    const value = text(left(row));
    return list(row)[quantifier]((term) => has(value, text(term)));
  };
}

function between(node, scope) {
  const [value, first, second] = [node.Left, node.Right.First, node.Right.Second].map((part) => compile(part, scope));
  const negated = node.Operator.Text.startsWith("!");
  return (row) => {
    const [low, high] = [first(row), second(row)];
    const end = low instanceof Moment && high instanceof Span ? operators["+"](low, high) : high;
    const inside = operators.and(operators[">="](value(row), low), operators["<="](value(row), end));
    return inside === null ? null : inside !== negated;
  };
}

/** A column of the row, or a name bound by let or as a parameter. */
function name(node, scope) {
  const symbol = node.ReferencedSymbol;
  if (symbol && className(symbol) === "ColumnSymbol") return column(symbol.Name, scope);
  const bound = scope.env.find(node.SimpleName);
  if (!bound?.scalar) throw new Unsupported(`name ${node.SimpleName}`);
  return bound.scalar;
}

function column(columnName, scope) {
  if (scope.group) throw new Unsupported(`column ${columnName} outside an aggregate function`);
  const index = scope.columns.findIndex((item) => item.name === columnName);
  if (index < 0) throw new Unsupported(`column ${columnName} here`);
  return (row) => row[index];
}

function member(node, selector, scope) {
  const get = compile(node, scope);
  return (row) => {
    const [value, part] = [get(row), selector(row)];
    if (Array.isArray(value) && typeof part === "number") return value.at(part) ?? null;
    const isBag = value !== null && typeof value === "object" && !Array.isArray(value);
    return isBag && typeof part === "string" && Object.hasOwn(value, part) ? value[part] : null;
  };
}

function call(node, scope) {
  const functionName = node.Name.SimpleName;
  if (node.GetCalledFunctionBody()) return callDefined(node, scope);
  const args = argumentsOf(node);
  if (/^column_?ifexists$/.test(functionName)) return columnIfExists(args, scope);
  if (functionName === "ingestion_time") return ingestionTime(scope);
  if (scope.group) {
    const value = aggregate(functionName, args, scope);
    if (value) return value;
  }
  const implementation = Object.hasOwn(functions, functionName) && functions[functionName];
  if (!implementation) throw new Unsupported(`function ${functionName}`);
  const [values, types] = [args.map((arg) => compile(arg, scope)), args.map(typeOf)];
  return (row) => implementation(values.map((get) => get(row)), types, scope.context);
}

/** Not a column: a row of a table has it, until an operator makes another row. */
function ingestionTime({ isStored, group, context }) {
  if (!isStored || group) throw new Unsupported("ingestion_time() of rows that are not a table's own");
  return (row) => context.ingestionTimes.get(row) ?? null;
}

function columnIfExists([columnName, fallback], scope) {
  const wanted = evaluate(columnName, scope);
  return scope.columns.some((item) => item.name === wanted) ? column(wanted, scope) : compile(fallback, scope);
}

/** A user-defined scalar function is compiled in place: its parameters stand for the arguments, in the caller's row. */
function callDefined(node, scope) {
  const { body, env } = bindCall(node, scope, (arg) => compile(arg, scope));
  const inner = { ...scope, columns: [], isStored: false, env };
  for (const statement of items(body.Statements)) {
    if (className(statement) !== "LetStatement") throw new Unsupported(className(statement));
    env.set(statement.Name.SimpleName, { scalar: compile(statement.Expression, inner) });
  }
  return compile(body.Expression, inner);
}

function toScalar(node, scope) {
  return once(() => {
    const { rows, columns } = evaluateTable(node.Expression, scope);
    return rows[0]?.[0] ?? (columns[0].type === "string" ? "" : null);
  });
}

export function once(read) {
  let result;
  return () => (result ??= { value: read() }).value;
}

