// The scalar functions and the scalar operators. A function gets its argument
// values, their types, and the query's context (the current time); it returns
// a value, null when KQL documents null. Text arguments are never null.

import { createHash } from "node:crypto";
import {
  compare, DAY, equals, floorTicks, isInt, isLong, isTicks, key, Moment, parseMoment, parseSpan, safeInteger, Span, text, toDynamic,
  Unsupported,
} from "./values.mjs";

export const sameText = (a, b) => a.toLowerCase() === b.toLowerCase();
const isBag = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !isTicks(value);
const array = (value) => (Array.isArray(value) ? value : null);
const isEmpty = (value) => value === null || value === "";

// ---- text -----------------------------------------------------------------

const regexes = new Map();

/** KQL uses RE2; what JavaScript would read in another way is refused. */
export function regex(pattern, flags = "") {
  const id = `${flags}/${pattern}`;
  if (!regexes.has(id)) {
    const [, inline = ""] = /^\(\?([ims]+)\)/.exec(pattern) ?? [];
    const body = (inline ? pattern.slice(inline.length + 3) : pattern).replaceAll("(?P<", "(?<");
    if (/\\[AzCQE]|\[\[:|\(\?[imsU-]|\(\?<?[=!]|\\[1-9]/.test(body)) throw new Unsupported(`regular expression ${pattern}`);
    regexes.set(id, new RegExp(body, flags + inline + (/\\p\{/i.test(body) ? "u" : "")));
  }
  return regexes.get(id);
}

const escapeRegex = (value) => value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const WORD = "[\\p{L}\\p{N}]";
const terms = new Map();

/** has: the term with no letter or digit next to an end that is itself one. */
export function has(value, term, flags = "i") {
  const id = `${flags}${term}`;
  if (!terms.has(id)) {
    const word = new RegExp(WORD, "u");
    const before = word.test(Array.from(term)[0] ?? "") ? `(?<!${WORD})` : "";
    const after = word.test(Array.from(term).at(-1) ?? "") ? `(?!${WORD})` : "";
    terms.set(id, new RegExp(before + escapeRegex(term) + after, `u${flags}`));
  }
  return terms.get(id).test(value);
}

/** One pass and repeated passes differ for some patterns; KQL's documentation does not say which it means. */
function trim([pattern, value]) {
  const once = value.replace(regex(`^(?:${pattern})`), "").replace(regex(`(?:${pattern})$`), "");
  const again = once.replace(regex(`^(?:${pattern})`), "").replace(regex(`(?:${pattern})$`), "");
  if (once !== again) throw new Unsupported(`trim with a pattern that matches twice: ${pattern}`);
  return once;
}

function split([value, delimiter, index]) {
  if (delimiter === "") throw new Unsupported("split with an empty delimiter");
  const parts = value.split(delimiter);
  if (index === undefined) return parts;
  return index < parts.length ? [parts[index]] : [];
}

function substring([value, start, length]) {
  const characters = Array.from(value);
  const from = start < 0 ? Math.max(0, characters.length + start) : start;
  return characters.slice(from, length === undefined ? undefined : from + Math.max(0, length)).join("");
}

function countof([value, search, kind = "normal"]) {
  if (kind === "regex") return [...value.matchAll(regex(search, "g"))].length;
  if (search === "") throw new Unsupported("countof of an empty text");
  let count = 0;
  for (let at = value.indexOf(search); at >= 0; at = value.indexOf(search, at + 1)) count += 1;
  return count;
}

function replaceRegex([value, pattern, rewrite]) {
  const target = rewrite.replace(/\$/g, "$$$$").replace(/\\(\d)/g, (_, group) => (group === "0" ? "$&" : `$${group}`));
  return value.replace(regex(pattern, "g"), target);
}

/** KQL's documentation does not say what becomes of a plus sign, or of what is no encoding. */
function urlDecode([value]) {
  if (value.includes("+")) throw new Unsupported("url_decode of a plus sign");
  try {
    return decodeURIComponent(value);
  } catch {
    throw new Unsupported(`url_decode of '${value}'`);
  }
}

function extract([pattern, group, value], types) {
  if (types.length > 3) throw new Unsupported("extract with a type");
  return regex(pattern).exec(value)?.[group] ?? "";
}

// ---- conversion -----------------------------------------------------------

function toReal([value]) {
  if (value === null || typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if (isTicks(value)) throw new Unsupported("toreal of a date or a time span");
  return typeof value === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value) ? Number(value) : null;
}

function toLong([value]) {
  if (isTicks(value)) throw new Unsupported("tolong of a date or a time span");
  if (typeof value === "string" && !/^\s*[+-]?\d+\s*$/.test(value)) {
    if (toReal([value]) !== null || /^\s*0x/i.test(value)) throw new Unsupported(`whole number from the text '${value}'`);
    return null;
  }
  const number = toReal([value]);
  return number === null || !isLong(number) ? null : safeInteger(Math.trunc(number));
}

function toInt(args) {
  const number = toLong(args);
  return number === null || !isInt(number) ? null : number;
}

function toBool([value]) {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return value !== 0;
  const name = String(text(value)).toLowerCase();
  return { true: true, 1: true, false: false, 0: false }[name] ?? null;
}

/** A dynamic value is taken as it is, also where it is a text. */
function parseJson([value], [type]) {
  if (type === "dynamic" || typeof value !== "string") return toDynamic(value);
  if (value === "") return null;
  if (value.trim() === "") throw new Unsupported("parse_json of a blank text");
  try {
    return JSON.parse(value, (_, item) => (Number.isInteger(item) && isLong(item) ? safeInteger(item) : item));
  } catch (error) {
    if (error instanceof Unsupported) throw error;
    return value; // documented: text that is not JSON becomes a dynamic string
  }
}

/** Its digits begin the text; what follows them is ignored. */
function toGuid([value]) {
  const digits = /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})/i.exec(text(value));
  return digits ? digits.slice(1).join("-").toLowerCase() : null;
}

/** todatetime and totimespan: text is read, a value of the type itself stays. */
const reader = (kind, parse) => ([value]) => {
  if (value === null || value instanceof kind) return value;
  if (typeof value !== "string") throw new Unsupported(`a date or time span from ${text(value)}`);
  return parse(value);
};

function gettype([value], [type]) {
  if (type !== "dynamic") return value === null ? "null" : type;
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (isBag(value)) return "dictionary";
  return { string: "string", boolean: "bool", number: Number.isInteger(value) ? "long" : "real" }[typeof value];
}

// ---- dates and numbers ----------------------------------------------------

function bin([value, size]) {
  if (value === null || size === null) return null;
  if (isTicks(value) && size instanceof Span && size.ticks > 0n) {
    return new value.constructor(floorTicks(value.ticks, size.ticks));
  }
  if (typeof value !== "number" || typeof size !== "number" || size <= 0) throw new Unsupported("bin of these types");
  return Math.floor(value / size) * size;
}

function round([value, digits = 0]) {
  if (value === null || digits === null) return null;
  const scaled = Math.abs(value) * 10 ** digits;
  return (Math.sign(value) * Math.round(Number(scaled.toPrecision(15)))) / 10 ** digits;
}

const DIFF_UNITS = {
  week: 7n * DAY, day: DAY, hour: DAY / 24n, minute: DAY / 1440n, second: 10_000_000n, millisecond: 10_000n,
  microsecond: 10n,
};

/** The number of boundaries of the period between two dates; weeks begin on Sunday, and year 1 on a Monday. */
function datetimeDiff([period, later, earlier]) {
  if (!later || !earlier) return null;
  const months = (moment) => moment.date().getUTCFullYear() * 12 + moment.date().getUTCMonth();
  const perPeriod = { year: 12, quarter: 3, month: 1 }[period.toLowerCase()];
  if (perPeriod) return Math.floor(months(later) / perPeriod) - Math.floor(months(earlier) / perPeriod);
  const unit = DIFF_UNITS[period.toLowerCase()];
  if (!unit) throw new Unsupported(`datetime_diff in '${period}'`);
  const shift = period.toLowerCase() === "week" ? DAY : 0n;
  return Number((floorTicks(later.ticks + shift, unit) - floorTicks(earlier.ticks + shift, unit)) / unit);
}

function formatDatetime([moment, format]) {
  if (moment === null) return "";
  const date = moment.date();
  const hour12 = date.getUTCHours() % 12 || 12;
  const parts = {
    y: date.getUTCFullYear() % 100, M: date.getUTCMonth() + 1, d: date.getUTCDate(), H: date.getUTCHours(), h: hour12,
    m: date.getUTCMinutes(), s: date.getUTCSeconds(),
  };
  return format.replace(/([a-zA-Z])\1*|[^-/:,._[\] ]/g, (token, letter) => {
    if (token === "yyyy") return String(date.getUTCFullYear()).padStart(4, "0");
    if (token === "tt") return date.getUTCHours() < 12 ? "AM" : "PM";
    if (/^f{1,7}$/.test(token)) return moment.fraction().slice(0, token.length);
    if (letter in parts && token.length <= 2) return String(parts[letter]).padStart(token.length, "0");
    throw new Unsupported(`date format '${token}'`);
  });
}

// ---- IPv4 -----------------------------------------------------------------

/** "a.b.c.d" or "a.b.c.d/n" as {bits, length}, or null. */
function ipv4(value) {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(String(value).trim());
  if (!match) return null;
  const [length, ...octets] = [Number(match[5] ?? 32), ...match.slice(1, 5).map(Number)];
  if (length > 32 || octets.some((octet) => octet > 255)) return null;
  return { bits: octets.reduce((sum, octet) => sum * 256 + octet, 0), length };
}

function ipv4Match([left, right, prefix = 32]) {
  const [a, b] = [ipv4(left), ipv4(right)];
  if (!a || !b) return null;
  const size = 2 ** (32 - Math.min(a.length, b.length, prefix));
  return Math.floor(a.bits / size) === Math.floor(b.bits / size);
}

function ipv4InRange([address, range]) {
  const [a, r] = [ipv4(address), ipv4(range)];
  return a && r ? ipv4Match([address, range]) : null;
}

function ipv4Private([address]) {
  const ranges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((range) => ipv4InRange([address, range]));
  return ranges.includes(null) ? null : ranges.includes(true);
}

function ipv4InAnyRange([address, ...ranges]) {
  if (!ipv4(address)) return null;
  const results = ranges.flat().map((range) => ipv4InRange([address, range]));
  if (results.includes(null)) throw new Unsupported("ipv4_is_in_any_range with a range that is none");
  return results.includes(true);
}

/** An address in the text that equals the prefix, or starts with it when it ends in a dot. */
function hasIpv4Prefix(value, prefix) {
  const addresses = value.match(/(?<![\p{L}\p{N}.])\d{1,3}(\.\d{1,3}){3}(?![\p{L}\p{N}]|\.\d)/gu) ?? [];
  const full = ipv4(prefix) !== null && !prefix.includes("/");
  if (!full && !/^(\d{1,3}\.){1,3}$/.test(prefix)) return false;
  return addresses.some((address) => ipv4(address) !== null && (full ? address === prefix : address.startsWith(prefix)));
}

/** The eight groups of an IPv6 address, with the given number of leading bits; an IPv4 address is mapped. */
function ipv6Mask([value, prefix]) {
  const [address, own = 128] = ipv4(value) ? mapped(ipv4(value)) : String(value).trim().split("/");
  const url = `http://[${address}]`;
  if (!URL.canParse(url)) return "";
  const [head, tail] = new URL(url).hostname.slice(1, -1).split("::").map((half) => half.split(":").filter(Boolean));
  const zeros = tail ? Array(8 - head.length - tail.length).fill("0") : [];
  const groups = [...head, ...zeros, ...(tail ?? [])].map((group) => parseInt(group, 16));
  const bits = Math.min(Number(own), prefix);
  const kept = groups.map((group, n) => group & (0xffff << Math.min(16, Math.max(0, 16 * (n + 1) - bits))));
  return kept.map((group) => group.toString(16).padStart(4, "0")).join(":");
}

function mapped({ bits, length }) {
  return [`::ffff:${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}`, 96 + length];
}

// ---- dynamic --------------------------------------------------------------

function bagPack(args) {
  const bag = {};
  for (let index = 0; index < args.length; index += 2) bag[args[index]] = toDynamic(args[index + 1]);
  return bag;
}

function bagRemoveKeys([bag, keys]) {
  if (!isBag(bag) || !Array.isArray(keys)) return null;
  if (keys.some((name) => String(name).startsWith("$"))) throw new Unsupported("bag_remove_keys with paths");
  return Object.fromEntries(Object.entries(bag).filter(([name]) => !keys.includes(name)));
}

function caseOf(args) {
  for (let index = 0; index + 1 < args.length; index += 2) if (args[index] === true) return args[index + 1];
  return args.at(-1);
}

const iff = ([condition, yes, no]) => (condition === true ? yes : no);
const textOf = (args, types) => args.map((value, index) => text(value, types[index]));
/** Dynamic arguments of functions on text count as their text. */
const onTexts = (implementation) => (args, types) =>
  implementation(args.map((value, index) => (types[index] === "dynamic" ? text(value) : value)), types);
const replaceString = ([value, search, replacement]) => (search === "" ? value : value.replaceAll(search, () => replacement));
const arrayIndexOf = ([list, value]) => array(list)?.findIndex((item) => key(item) === key(toDynamic(value))) ?? null;
/** Nulls come last, and the order of several types, or beside other arrays, is not needed. */
function sortedTexts(args) {
  if (args.length > 1 || !array(args[0])?.every((item) => typeof item === "string")) throw new Unsupported("array_sort_asc but of one array of texts");
  return args[0].toSorted(compare);
}
const indexOf = ([value, search, start = 0]) => value.indexOf(search, start);

export const functions = {
  // Conditions
  case: caseOf,
  iff,
  iif: iff,
  not: ([value]) => (value === null ? null : !value),
  coalesce: (args, types) => args.find((value, index) => value !== null && (types[index] !== "string" || value)) ?? null,
  isempty: ([value]) => isEmpty(value),
  isnotempty: ([value]) => !isEmpty(value),
  isnull: ([value]) => value === null,
  isnotnull: ([value]) => value !== null,
  gettype,
  // Conversion
  tostring: ([value], [type]) => text(value, type),
  toint: toInt,
  tolong: toLong,
  toreal: toReal,
  todouble: toReal,
  tobool: toBool,
  todatetime: reader(Moment, parseMoment),
  totimespan: reader(Span, parseSpan),
  todynamic: parseJson,
  parse_json: parseJson,
  parsejson: parseJson,
  toguid: toGuid,
  // Text
  strcat: (args, types) => textOf(args, types).join(""),
  strcat_delim: ([delimiter, ...args], [, ...types]) => textOf(args, types).join(delimiter),
  strcat_array: ([list, delimiter]) => array(list)?.map((item) => text(item)).join(delimiter) ?? "",
  tolower: ([value]) => text(value).toLowerCase(),
  toupper: ([value]) => text(value).toUpperCase(),
  trim: onTexts(trim),
  split: onTexts(split),
  substring: onTexts(substring),
  strlen: ([value]) => Array.from(text(value)).length,
  indexof: onTexts(indexOf),
  replace_string: onTexts(replaceString),
  replace_regex: onTexts(replaceRegex),
  extract: onTexts(extract),
  countof: onTexts(countof),
  url_decode: onTexts(urlDecode),
  hash_sha256: ([value], [type]) => createHash("sha256").update(text(value, type)).digest("hex"),
  // Dates and numbers
  now: (args, types, { now }) => (args.length ? add(now, args[0]) : now),
  ago: ([span], types, { now }) => span && new Moment(now.ticks - span.ticks),
  bin,
  floor: bin,
  round,
  abs: ([value]) => (value === null ? null : numbers(value, 0, Math.abs)),
  startofday: ([moment, days = 0]) => moment && new Moment(floorTicks(moment.ticks, DAY) + BigInt(days) * DAY),
  datetime_diff: datetimeDiff,
  format_datetime: formatDatetime,
  unixtime_milliseconds_todatetime: ([value]) => (value === null ? null : Moment.fromUnixMs(value)),
  unixtime_seconds_todatetime: ([value]) => (value === null ? null : Moment.fromUnixMs(value * 1000)),
  // addresses
  ipv4_is_private: ipv4Private,
  ipv4_is_in_range: ipv4InRange,
  ipv4_is_match: ipv4Match,
  ipv4_is_in_any_range: ipv4InAnyRange,
  parse_ipv6_mask: ipv6Mask,
  has_ipv4_prefix: ([value, prefix]) => hasIpv4Prefix(text(value), prefix),
  has_any_ipv4_prefix: ([value, ...prefixes]) => prefixes.flat().some((prefix) => hasIpv4Prefix(text(value), prefix)),
  geo_info_from_ip_address: () => null, // needs the service's own data
  // Arrays and bags
  array_length: ([value]) => array(value)?.length ?? null,
  array_index_of: arrayIndexOf,
  array_sort_asc: sortedTexts,
  array_concat: (lists) => (lists.every(Array.isArray) ? lists.flat(1) : null),
  set_has_element: (args) => (Array.isArray(args[0]) ? arrayIndexOf(args) >= 0 : null),
  bag_keys: ([bag]) => (isBag(bag) ? Object.keys(bag) : null),
  bag_pack: bagPack,
  pack: bagPack,
  pack_array: (args) => args.map(toDynamic),
  bag_merge: (bags) => (bags.some(isBag) ? Object.assign({}, ...bags.filter(isBag).reverse()) : null),
  bag_remove_keys: bagRemoveKeys,
};

// ---- operators ------------------------------------------------------------

function add(left, right) {
  if (isTicks(left) && right instanceof Span) return new left.constructor(left.ticks + right.ticks);
  if (left instanceof Span && right instanceof Moment) return new Moment(left.ticks + right.ticks);
  return numbers(left, right, (a, b) => a + b);
}

function subtract(left, right) {
  if (isTicks(left) && right instanceof Span) return new left.constructor(left.ticks - right.ticks);
  if (left instanceof Moment && right instanceof Moment) return new Span(left.ticks - right.ticks);
  return numbers(left, right, (a, b) => a - b);
}

function multiply(left, right) {
  if (left instanceof Span && typeof right === "number") return new Span(BigInt(Math.round(Number(left.ticks) * right)));
  if (typeof left === "number" && right instanceof Span) return multiply(right, left);
  return numbers(left, right, (a, b) => a * b);
}

function divide(left, right, type) {
  if (left instanceof Span && right instanceof Span) return Number(left.ticks) / Number(right.ticks);
  if (left instanceof Span && typeof right === "number") return multiply(left, 1 / right);
  if (type === "real") return numbers(left, right, (a, b) => a / b);
  if (right === 0) throw new Unsupported("division of a whole number by zero");
  return numbers(left, right, (a, b) => Math.trunc(a / b));
}

function remainder(left, right) {
  if (left < 0 || right <= 0) throw new Unsupported("% of negative numbers or by zero");
  return numbers(left, right, (a, b) => a % b);
}

function numbers(left, right, operation) {
  if (typeof left !== "number" || typeof right !== "number") throw new Unsupported("arithmetic with these types");
  return operation(left, right);
}

/** Arithmetic: null with anything is null; the last argument is the result's type. */
const arithmetic = (operation) => (left, right, type) => {
  if (left === null || right === null) return null;
  const result = operation(left, right, type);
  return type === "long" || type === "int" ? safeInteger(result) : result;
};

/** <, >, <= and >= with null are null. */
const order = (test) => (left, right) => (left === null || right === null ? null : test(compare(left, right)));
const negate = (value) => (value === null ? null : !value);
const onText = (test) => (left, right) => test(text(left), text(right));

export const operators = {
  "+": arithmetic(add),
  "-": arithmetic(subtract),
  "*": arithmetic(multiply),
  "/": arithmetic(divide),
  "%": arithmetic(remainder),
  "==": equals,
  "!=": (left, right) => negate(equals(left, right)),
  "<>": (left, right) => negate(equals(left, right)),
  "<": order((sign) => sign < 0),
  "<=": order((sign) => sign <= 0),
  ">": order((sign) => sign > 0),
  ">=": order((sign) => sign >= 0),
  and: (left, right) => (left === false || right === false ? false : left === null || right === null ? null : true),
  or: (left, right) => (left === true || right === true ? true : left === null || right === null ? null : false),
  "=~": onText(sameText),
  "!~": onText((left, right) => !sameText(left, right)),
  "matches regex": onText((value, pattern) => regex(pattern).test(value)),
};

const TEXT_TESTS = {
  has,
  has_cs: (value, term) => has(value, term, ""),
  contains: (value, part) => value.toLowerCase().includes(part.toLowerCase()),
  contains_cs: (value, part) => value.includes(part),
  startswith: (value, part) => value.toLowerCase().startsWith(part.toLowerCase()),
  startswith_cs: (value, part) => value.startsWith(part),
  endswith: (value, part) => value.toLowerCase().endsWith(part.toLowerCase()),
  endswith_cs: (value, part) => value.endsWith(part),
};
for (const [name, test] of Object.entries(TEXT_TESTS)) {
  operators[name] = onText((value, part) => test(value, part));
  operators[`!${name}`] = onText((value, part) => !test(value, part));
}
