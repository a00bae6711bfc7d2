// The tabular side of a query: statements, tables, user-defined functions and
// the operators after "|". A table is {columns: [{name, type}], rows}, a row an
// array of values; isStored marks one whose rows are the workspace's own, not
// made by an operator, and so have a time of ingestion. The names, types and
// order of an operator's result columns come from the language service; the
// code here only fills them.

import { returnsSeveral, severalColumns } from "./aggregates.mjs";
import { compile, evaluate, once, typeOf } from "./expressions.mjs";
import { analyse, argumentsOf, className, columnsOf, items } from "./schema.mjs";
import { compare, Moment, parseMoment, rowKey, Span, toDynamic, Unsupported } from "./values.mjs";

/** The names visible at one place of a query: {scalar}, {table} or {functionEnv} by name. */
class Env {
  constructor(parent) {
    this.parent = parent;
    this.names = new Map();
  }
  set(name, binding) {
    this.names.set(name, binding);
  }
  find(name) {
    return this.names.get(name) ?? this.parent?.find(name);
  }
}

/** Runs a bound query; context is {tables: Map name -> rows, ingestionTimes: Map row -> time, now}. */
export function run(code, context) {
  const scope = { columns: [], env: new Env(), context };
  const statements = items(code.Syntax.Statements);
  const results = statements.filter((statement) => className(statement) === "ExpressionStatement");
  if (results.length !== 1) throw new Unsupported(`a query with ${results.length} results`);
  bindStatements(statements.filter((statement) => statement !== results[0]), scope);
  return evaluateTable(results[0].Expression, scope);
}

/** let names are evaluated when first used, and once. */
function bindStatements(statements, scope) {
  for (const statement of statements) {
    if (className(statement) !== "LetStatement") throw new Unsupported(className(statement));
    const { Name, Expression } = statement;
    if (className(Expression) === "FunctionDeclaration") scope.env.set(Name.SimpleName, { functionEnv: scope.env });
    else scope.env.set(Name.SimpleName, lazy(Expression, scope));
  }
}

function lazy(node, scope) {
  if (node.ResultType.IsTabular) return { table: once(() => evaluateTable(node, scope)) };
  return { scalar: once(() => evaluate(node, scope)) };
}

export function evaluateTable(node, scope) {
  const source = SOURCES[className(node)];
  if (!source) throw new Unsupported(`${className(node)} as a table`);
  return source(node, { ...scope, isStored: false });
}

const SOURCES = {
  PipeExpression: (node, scope) => applyOperator(node.Operator, evaluateTable(node.Expression, scope), scope),
  ParenthesizedExpression: (node, scope) => evaluateTable(node.Expression, scope),
  MaterializeExpression: (node, scope) => evaluateTable(node.Expression, scope),
  NameReference: named,
  FunctionCallExpression: (node, scope) => callTable(node, scope),
  DataTableExpression: dataTable,
  PrintOperator: (node, scope) => project(node, { columns: [], rows: [[]] }, scope),
  UnionOperator: (node, scope) => union(node, undefined, scope),
};

function named(node, scope) {
  const name = node.SimpleName;
  const bound = scope.env.find(name);
  if (bound?.table) return bound.table();
  if (node.GetCalledFunctionBody()) return callTable(node, scope);
  if (!node.ReferencedSymbol || className(node.ReferencedSymbol) !== "TableSymbol") throw new Unsupported(`table ${name}`);
  const rows = scope.context.tables.get(name);
  if (!rows) throw new Error(`no rows given for table ${name}`);
  return { columns: columnsOf(node.ResultType), rows, isStored: true };
}

function dataTable(node, scope) {
  const columns = columnsOf(node.ResultType);
  const values = items(node.Values).map((value) => evaluate(value, scope));
  const rows = [];
  for (let start = 0; start < values.length; start += columns.length) rows.push(values.slice(start, start + columns.length));
  return { columns, rows };
}

// ---- user-defined functions -------------------------------------------------

/** The body of a called function, and an environment in which its parameters are bound. */
export function bindCall(node, scope, bindScalar, input) {
  const name = node.Name.SimpleName;
  const [problem] = items(node.GetCalledFunctionDiagnostics()).filter(({ Severity }) => Severity === "Error");
  if (problem) throw new Error(`in ${name}: ${problem.Code} ${problem.Message}`);
  const env = new Env(scope.env.find(name)?.functionEnv);
  const given = node.ArgumentList ? argumentsOf(node) : [];
  const parameters = items(node.ReferencedSignature.Parameters);
  if (input) env.set(parameters.shift().Name, { table: () => input });
  parameters.forEach((parameter, index) => {
    const argument = argumentFor(parameter.Name, index, given) ?? boundDefault(parameter);
    if (parameter.IsTabular) env.set(parameter.Name, { table: once(() => evaluateTable(argument, scope)) });
    else env.set(parameter.Name, { scalar: bindScalar(argument) });
  });
  return { body: node.GetCalledFunctionBody(), env };
}

/** Arguments may be given by name, by position, or first by position and then by name. */
function argumentFor(name, index, given) {
  const isNamed = (argument) => className(argument) === "SimpleNamedExpression";
  const byName = given.find((argument) => isNamed(argument) && argument.Name.SimpleName === name);
  return byName?.Expression ?? (given[index] && !isNamed(given[index]) ? given[index] : undefined);
}

/** The default of a parameter as a bound expression: the service keeps it as parsed, without types. */
function boundDefault(parameter) {
  const code = analyse(`print ${parameter.DefaultValue.toString()}`);
  return items(items(code.Syntax.Statements)[0].Expression.Expressions)[0];
}

function callTable(node, scope, input) {
  if (!node.GetCalledFunctionBody()) throw new Unsupported(`function ${node.toString().trim()} as a table`);
  const { body, env } = bindCall(node, scope, (argument) => once(() => evaluate(argument, scope)), input);
  const inner = { ...scope, columns: [], env };
  bindStatements(items(body.Statements), inner);
  return evaluateTable(body.Expression, inner);
}

// ---- operators --------------------------------------------------------------

function applyOperator(node, input, scope) {
  const operator = OPERATORS[className(node)];
  if (!operator) throw new Unsupported(`operator ${className(node)}`);
  return operator(node, input, { ...scope, columns: input.columns, isStored: input.isStored, group: false });
}

const OPERATORS = {
  FilterOperator: filter,
  ExtendOperator: extend,
  SerializeOperator: extend,
  ProjectOperator: project,
  ProjectAwayOperator: keepByName,
  ProjectKeepOperator: keepByName,
  ProjectReorderOperator: keepByName,
  ProjectRenameOperator: (node, { rows }) => ({ columns: columnsOf(node.ResultType), rows }),
  DistinctOperator: distinct,
  SummarizeOperator: summarize,
  MakeSeriesOperator: makeSeries,
  SortOperator: (node, { columns, rows }, scope) => ({ columns, rows: sorted(items(node.Expressions), rows, scope) }),
  TopOperator: top,
  TakeOperator: (node, input, scope) => ({ ...input, rows: input.rows.slice(0, evaluate(node.Expression, scope)) }),
  CountOperator: (node, { rows }) => ({ columns: columnsOf(node.ResultType), rows: [[rows.length]] }),
  UnionOperator: union,
  JoinOperator: join,
  LookupOperator: join,
  MvExpandOperator: expand,
  InvokeOperator: (node, input, scope) => callTable(node.Function, scope, input),
  AsOperator: nameInput,
  RenderOperator: (node, input) => input,
};

/** The parameters of an operator (kind=...), without hints; only those named are allowed. */
function parameters(node, ...allowed) {
  const found = items(node.Parameters).map(({ Name, Expression }) => [Name.SimpleName, Expression.toString().trim()]);
  const wanted = found.filter(([name]) => !name.startsWith("hint."));
  for (const [name] of wanted) if (!allowed.includes(name)) throw new Unsupported(`${name}= in ${node.toString().trim()}`);
  return Object.fromEntries(wanted);
}

const indexByName = (columns) => new Map(columns.map(({ name }, index) => [name, index]));
const emptyRow = (columns) => columns.map(({ type }) => (type === "string" ? "" : null));

function filter(node, input, scope) {
  const condition = compile(node.Condition, scope);
  return { ...input, rows: input.rows.filter((row) => condition(row) === true) };
}

/** For each result column the function that fills it: one of the expressions, or a copy of the input column. */
function fillers(node, input, expressions) {
  const columns = columnsOf(node.ResultType);
  const inputIndex = indexByName(input.columns);
  const byName = new Map();
  const unnamed = [];
  for (const { name, get } of expressions) name ? byName.set(name, get) : unnamed.push(get);
  const getters = columns.map(({ name }) => {
    if (byName.has(name)) return byName.get(name);
    const index = inputIndex.get(name);
    return index === undefined ? unnamed.shift() : (row) => row[index];
  });
  if (unnamed.length || getters.includes(undefined)) throw new Unsupported(`column names of ${node.toString().trim()}`);
  return { columns, getters };
}

/** The name an expression gives its column; undefined where the service makes one up. */
function nameOf(node) {
  const kind = className(node);
  if (kind === "SimpleNamedExpression") return node.Name.SimpleName;
  return kind === "NameReference" ? node.SimpleName : undefined;
}

function extend(node, input, scope) {
  const expressions = items(node.Expressions).map((item) => ({ name: nameOf(item), get: compile(item, scope) }));
  const { columns, getters } = fillers(node, input, expressions);
  return { columns, rows: input.rows.map((row) => getters.map((get) => get(row))) };
}

function project(node, { rows }, scope) {
  const columns = columnsOf(node.ResultType);
  const getters = items(node.Expressions).map((item) => compile(item, scope));
  if (columns.length !== getters.length) throw new Unsupported(`column count of ${node.toString().trim()}`);
  return { columns, rows: rows.map((row) => getters.map((get) => get(row))) };
}

function keepByName(node, input) {
  const { columns, getters } = fillers(node, input, []);
  return { columns, rows: input.rows.map((row) => getters.map((get) => get(row))) };
}

const unique = (rows) => [...new Map(rows.toReversed().map((row) => [rowKey(row), row])).values()].toReversed();

function distinct(node, input, scope) {
  const star = items(node.Expressions).some((item) => className(item) === "StarExpression");
  const { columns, rows } = star ? input : project(node, input, scope);
  return { columns, rows: unique(rows) };
}

function nameInput(node, input, scope) {
  scope.env.set(node.Name.SimpleName, { table: () => input });
  return input;
}

// ---- summarize ----------------------------------------------------------------

function summarize(node, input, scope) {
  parameters(node);
  if (node.ByClause?.BinClause) throw new Unsupported("summarize by ... bin=");
  const columns = columnsOf(node.ResultType);
  const by = items(node.ByClause?.Expressions).map((item) => compile(item, scope));
  const getters = items(node.Aggregates).flatMap((item) => aggregateColumns(item, input, { ...scope, group: true }));
  if (columns.length !== by.length + getters.length) throw new Unsupported(`column count of ${node.toString().trim()}`);
  const groups = groupRows(input.rows, by);
  if (!by.length && !groups.length) groups.push({ keys: [], rows: [] });
  return { columns, rows: groups.map(({ keys, rows }) => [...keys, ...getters.map((get) => get(rows))]) };
}

function aggregateColumns(item, input, scope) {
  const node = /NamedExpression$/.test(className(item)) ? item.Expression : item;
  if (!returnsSeveral(node)) return [compile(node, scope)];
  return severalColumns(node.Name.SimpleName, argumentsOf(node), scope, starColumns(node, input));
}

/** The input columns that "*" stands for in arg_max(x, *): not those of the by clause and not x itself. */
function starColumns(node, { columns }) {
  const index = indexByName(columns);
  const all = columnsOf(node.ResultType);
  const wanted = node.Name.SimpleName.startsWith("arg_") ? all.slice(1) : all;
  return wanted.map(({ name, type }) => ({ get: (row) => row[index.get(name)], type }));
}

function groupRows(rows, getters) {
  const groups = new Map();
  for (const row of rows) {
    const keys = getters.map((get) => get(row));
    const id = rowKey(keys);
    if (!groups.has(id)) groups.set(id, { keys, rows: [] });
    groups.get(id).rows.push(row);
  }
  return [...groups.values()];
}

/** An array for each aggregate, with an element for each step from the first time to the last one, which is not in it. */
function makeSeries(node, input, scope) {
  parameters(node);
  if (className(node.RangeClause) !== "MakeSeriesFromToStepClause") throw new Unsupported("make-series without from, to and step");
  const { MakeSeriesFromClause: from, MakeSeriesToClause: to, MakeSeriesStepClause: step } = node.RangeClause;
  const [first, end, size] = [from, to, step].map((clause) => clause && evaluate(clause.Expression, scope));
  if (!(first instanceof Moment) || !(end instanceof Moment) || !(size instanceof Span) || size.ticks <= 0n) {
    throw new Unsupported("make-series over these limits");
  }
  const axis = compile(node.OnClause.Expression, scope);
  const times = [];
  for (let ticks = first.ticks; ticks < end.ticks; ticks += size.ticks) times.push(new Moment(ticks));
  const by = items(node.ByClause?.Expressions).map((item) => compile(item, scope));
  const series = items(node.Aggregates).map(({ Expression, DefaultExpression }) => ({
    get: compile(Expression, { ...scope, group: true }),
    missing: DefaultExpression ? evaluate(DefaultExpression.Expression, scope) : 0,
  }));
  const columns = columnsOf(node.ResultType);
  if (columns.length !== by.length + series.length + 1) throw new Unsupported(`columns of ${node.toString().trim()}`);
  const place = (row) => {
    const time = axis(row);
    return time && time.ticks >= first.ticks && time.ticks < end.ticks ? Number((time.ticks - first.ticks) / size.ticks) : -1;
  };
  const groups = groupRows(input.rows.filter((row) => place(row) >= 0), by);
  if (!by.length && !groups.length) groups.push({ keys: [], rows: [] });
  const rows = groups.map(({ keys, rows: group }) => {
    const bins = times.map(() => []);
    for (const row of group) bins[place(row)].push(row);
    const values = series.map(({ get, missing }) => bins.map((bin) => toDynamic(bin.length ? get(bin) : missing)));
    return [...keys, ...values, times.map(toDynamic)];
  });
  return { columns, rows };
}

// ---- order ----------------------------------------------------------------------

/** Descending unless said otherwise; nulls are first in ascending and last in descending order. */
function sorted(expressions, rows, scope) {
  const keys = expressions.map((item) => {
    const ordered = className(item) === "OrderedExpression";
    const words = ordered ? (item.Ordering?.toString().toLowerCase() ?? "") : "";
    const ascending = /\basc\b/.test(words);
    return {
      get: compile(ordered ? item.Expression : item, scope),
      sign: ascending ? 1 : -1,
      nulls: /nulls\s+first/.test(words) || (ascending && !/nulls\s+last/.test(words)) ? -1 : 1,
    };
  });
  const decorated = rows.map((row) => ({ row, values: keys.map(({ get }) => get(row)) }));
  decorated.sort((a, b) => {
    for (const [index, { sign, nulls }] of keys.entries()) {
      const [left, right] = [a.values[index], b.values[index]];
      if (left === null && right === null) continue;
      const result = left === null ? nulls : right === null ? -nulls : compare(left, right) * sign;
      if (result) return result;
    }
    return 0;
  });
  return decorated.map(({ row }) => row);
}

function top(node, { columns, rows }, scope) {
  const best = sorted([node.ByExpression], rows, scope).slice(0, evaluate(node.Expression, scope));
  return { columns, rows: best };
}

// ---- several tables ---------------------------------------------------------------

/** Columns of one name and type are one; the service renames a name with two types to name_type. */
function union(node, input, scope) {
  const { kind = "outer" } = parameters(node, "isfuzzy", "kind");
  if (kind !== "outer") throw new Unsupported(`union kind=${kind}`);
  const tables = items(node.Expressions).map((item) => evaluateTable(item, scope));
  if (input) tables.unshift(input);
  const columns = columnsOf(node.ResultType);
  const rows = tables.flatMap((table) => {
    const sources = columns.map(({ name, type }) =>
      table.columns.findIndex((item) => item.type === type && (item.name === name || `${item.name}_${type}` === name)),
    );
    const empty = emptyRow(columns);
    if (new Set(sources).size - sources.includes(-1) !== table.columns.length) throw new Unsupported("columns of this union");
    return table.rows.map((row) => sources.map((source, index) => (source < 0 ? empty[index] : row[source])));
  });
  return { columns, rows };
}

function join(node, left, scope) {
  const lookup = className(node) === "LookupOperator";
  const { kind = lookup ? "leftouter" : "innerunique" } = parameters(node, "kind");
  if (!(lookup ? LOOKUP_KINDS : JOIN_KINDS).includes(kind)) throw new Unsupported(`${lookup ? "lookup" : "join"} kind=${kind}`);
  const right = evaluateTable(node.Expression, { ...scope, columns: [] });
  const pairs = items((node.ConditionClause ?? node.LookupClause).Expressions).map((item) => keyPair(item, left, right));
  const [leftKeys, rightKeys] = ["left", "right"].map((side) => pairs.map((pair) => (row) => row[pair[side]]));
  const leftRows = kind === "innerunique" ? groupRows(left.rows, leftKeys).map(({ rows }) => rows[0]) : left.rows;
  const matches = new Map(groupRows(right.rows, rightKeys).map(({ keys, rows }) => [rowKey(keys), rows]));
  const matching = (row) => {
    const keys = leftKeys.map((get) => get(row));
    return keys.includes(null) ? [] : (matches.get(rowKey(keys)) ?? []); // null equals nothing
  };
  const columns = columnsOf(node.ResultType);
  if (kind === "leftanti" || kind === "leftsemi") {
    return { columns, rows: leftRows.filter((row) => matching(row).length > 0 === (kind === "leftsemi")) };
  }
  const taken = right.columns.map((_, index) => index).filter((index) => !lookup || !pairs.some((pair) => pair.right === index));
  if (columns.length !== left.columns.length + taken.length) throw new Unsupported(`columns of ${node.toString().trim()}`);
  const unmatched = kind === "leftouter" ? [emptyRow(right.columns)] : [];
  const rows = leftRows.flatMap((row) => {
    const found = matching(row);
    return (found.length ? found : unmatched).map((other) => [...row, ...taken.map((index) => other[index])]);
  });
  return { columns, rows };
}

const JOIN_KINDS = ["innerunique", "inner", "leftouter", "leftanti", "leftsemi"];
const LOOKUP_KINDS = ["leftouter", "inner"];

/** "on a" or "on $left.a == $right.b" as the places of the two columns. */
function keyPair(node, left, right) {
  const place = (name, table) => indexByName(table.columns).get(name);
  if (className(node) === "NameReference") return { left: place(node.SimpleName, left), right: place(node.SimpleName, right) };
  const sides = [node.Left, node.Right].map((side) => side?.toString().trim().match(/^\$(left|right)\.(\w+)$/));
  if (className(node) !== "BinaryExpression" || !sides[0] || !sides[1] || sides[0][1] === sides[1][1]) {
    throw new Unsupported(`join on ${node.toString().trim()}`);
  }
  const names = Object.fromEntries(sides.map(([, side, name]) => [side, name]));
  return { left: place(names.left, left), right: place(names.right, right) };
}

// ---- mv-expand ----------------------------------------------------------------------

/** Several arrays are expanded side by side; a null gives one row with null, an empty array none. */
function expand(node, input, scope) {
  parameters(node);
  if (node.RowLimitClause) throw new Unsupported("mv-expand limit");
  const parts = items(node.Expressions).map((part) => ({
    name: nameOf(part.Expression),
    type: typeOf(part),
    get: compile(part.Expression, scope),
  }));
  const rows = input.rows.flatMap((row) => {
    const lists = parts.map(({ get }) => elements(get(row)));
    const length = Math.max(...lists.map((list) => list.length));
    const valuesAt = (index) => parts.map(({ type }, part) => cast(lists[part][index] ?? null, type));
    return Array.from({ length }, (_, index) => ({ row, values: valuesAt(index) }));
  });
  const expressions = parts.map(({ name }, part) => ({ name, get: (item) => item.values[part] }));
  const { columns, getters } = fillers(node, { columns: [] }, [
    ...input.columns.map(({ name }, index) => ({ name, get: (item) => item.row[index] })),
    ...expressions,
  ]);
  return { columns, rows: rows.map((item) => getters.map((get) => get(item))) };
}

function elements(value) {
  if (value === null) return [null];
  if (Array.isArray(value)) return value;
  if (typeof value === "object") return Object.entries(value).map(([name, item]) => ({ [name]: item }));
  throw new Unsupported("mv-expand of a value that is neither array nor bag");
}

/** "to typeof" does not convert: what is of another type becomes null. */
function cast(value, type) {
  if (type === "dynamic") return value;
  if (value === null) return type === "string" ? "" : null;
  if (type === "string" && typeof value === "string") return value;
  // A date in a dynamic value is kept as this text; another text would become null.
  if (type === "datetime" && /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{7}Z$/.test(value)) return parseMoment(value);
  if ((type === "long" || type === "int") && Number.isInteger(value)) return value;
  if ((type === "real" && typeof value === "number") || (type === "bool" && typeof value === "boolean")) return value;
  throw new Unsupported(`mv-expand of ${JSON.stringify(value)} to typeof(${type})`);
}
