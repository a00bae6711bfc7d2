// The values a query works with: two classes for dates and time spans, the
// text forms of every type, the null rules of comparison, and conversion from
// and to JSON. Other types are plain JavaScript values: string, number (int,
// long and real; the column type tells them apart), boolean, guid as lower-case
// text, dynamic as JSON value. Null is null, and a string is never null.

export class Unsupported extends Error {
  constructor(what) {
    super(`not supported: ${what}`);
  }
}

const SECOND = 10_000_000n;
export const DAY = 86_400n * SECOND;
const UNIX_EPOCH = 621_355_968_000_000_000n; // 1970 in ticks since year 1

const LAST_TICK = 3_155_378_975_999_999_999n; // of year 9999
const LONGEST_SPAN = 2n ** 63n - 1n;

/** A datetime: 100 ns ticks since 0001-01-01, the origin that bin() uses. */
export class Moment {
  constructor(ticks) {
    if (ticks < 0n || ticks > LAST_TICK) throw new Unsupported("a date before year 1 or after year 9999");
    this.ticks = ticks;
  }
  static fromUnixMs(ms) {
    if (!Number.isFinite(ms)) throw new Unsupported(`a date from ${ms}`);
    const whole = Math.floor(ms); // apart, since the product may have more digits than a number
    return new Moment(UNIX_EPOCH + BigInt(whole) * 10_000n + BigInt(Math.round((ms - whole) * 10_000)));
  }
  /** The date for its calendar parts; fractions below 1 ms are in fraction(). */
  date() {
    return new Date(Number((this.ticks - UNIX_EPOCH - mod(this.ticks, 10_000n)) / 10_000n));
  }
  fraction() {
    return String(mod(this.ticks, SECOND)).padStart(7, "0");
  }
}

/** A timespan in 100 ns ticks. */
export class Span {
  constructor(ticks) {
    if (ticks < -LONGEST_SPAN || ticks > LONGEST_SPAN) throw new Unsupported("a time span of so many days");
    this.ticks = ticks;
  }
}

export const isTicks = (value) => value instanceof Moment || value instanceof Span;
const mod = (a, b) => ((a % b) + b) % b;
export const floorTicks = (ticks, size) => ticks - mod(ticks, size);

export function parseMoment(text) {
  const match =
    /^\s*(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?\s*(Z|[+-]\d\d:?\d\d)?)?\s*$/i.exec(text);
  if (!match) {
    if (/\d/.test(text) && !Number.isNaN(Date.parse(text))) throw new Unsupported(`date text '${text}'`);
    return null;
  }
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", zone = "Z"] = match;
  const date = new Date(Date.UTC(2000, 0, 1, hour, minute, second));
  date.setUTCFullYear(year, month - 1, day); // Date.UTC takes years below 100 for those after 1900
  const ms = date.getTime();
  const valid = date.getUTCDate() === Number(day) && Number(year) > 0;
  if (!valid || month > 12 || hour > 23 || minute > 59 || second > 59) return null;
  let ticks = UNIX_EPOCH + BigInt(ms) * 10_000n + BigInt(fraction.slice(0, 7).padEnd(7, "0"));
  if (!/z/i.test(zone)) {
    const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
    ticks -= BigInt(zone[0] === "-" ? -minutes : minutes) * 60n * SECOND;
  }
  return new Moment(ticks);
}

const UNITS = { d: 864e9, h: 36e9, m: 6e8, s: 1e7, ms: 1e4, microsecond: 10, tick: 1 };
const UNIT_NAMES = {
  day: "d", days: "d", hr: "h", hrs: "h", hour: "h", hours: "h", min: "m", minute: "m", minutes: "m",
  sec: "s", second: "s", seconds: "s", milli: "ms", millis: "ms", millisecond: "ms", milliseconds: "ms",
  micro: "microsecond", micros: "microsecond", microseconds: "microsecond", ticks: "tick",
};

export function parseSpan(text) {
  const short = /^\s*(-?\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text);
  if (short) {
    const unit = UNITS[UNIT_NAMES[short[2]] ?? short[2]];
    return unit ? new Span(BigInt(Math.round(Number(short[1]) * unit))) : null;
  }
  const long = /^\s*(-)?(?:(\d+)\.)?(\d+):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?\s*$/.exec(text);
  if (!long) return null;
  const [, sign, days = 0, hours, minutes, seconds = 0, fraction = ""] = long;
  const total = BigInt(days) * 86_400n + BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds);
  const ticks = total * SECOND + BigInt(fraction.padEnd(7, "0"));
  return new Span(sign ? -ticks : ticks);
}

/** Seven digits is what tostring() gives; without them the API form with a shortened fraction. */
function momentText(moment, sevenDigits) {
  const seconds = moment.date().toISOString().slice(0, 19);
  const fraction = sevenDigits ? moment.fraction() : moment.fraction().replace(/0+$/, "");
  return `${seconds}${fraction && "."}${fraction}Z`;
}

function spanText(span) {
  const ticks = span.ticks < 0n ? -span.ticks : span.ticks;
  const two = (number) => String(number).padStart(2, "0");
  const days = ticks / DAY;
  const clock = [(ticks / SECOND / 3600n) % 24n, (ticks / SECOND / 60n) % 60n, (ticks / SECOND) % 60n];
  const fraction = ticks % SECOND;
  return (
    (span.ticks < 0n ? "-" : "") + (days ? `${days}.` : "") + clock.map(two).join(":") +
    (fraction ? `.${String(fraction).padStart(7, "0")}` : "")
  );
}

function realText(number) {
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  if (size !== 0 && (size >= 1e15 || size < 1e-4)) throw new Unsupported(`text of the real number ${number}`);
  return Number.isInteger(number) ? `${number}.0` : String(number);
}

/** tostring() of a value of the given type. */
export function text(value, type = "dynamic") {
  if (value === null) return "";
  if (typeof value === "string") return value;
  if (value instanceof Moment) return momentText(value, true);
  if (value instanceof Span) return spanText(value);
  if (typeof value === "object") return JSON.stringify(value);
  return type === "real" ? realText(value) : String(value);
}

/** A scalar as an element of a dynamic value. */
export const toDynamic = (value) => (isTicks(value) ? text(value) : value);

export function safeInteger(number) {
  if (!Number.isSafeInteger(number)) throw new Unsupported(`whole number ${number}, above 2^53`);
  return number;
}

/** Whether a long holds it; a number in JSON that is larger is a real one. */
export const isLong = (number) => number >= -(2 ** 63) && number < 2 ** 63;

export const isInt = (number) => number >= -(2 ** 31) && number < 2 ** 31;

/** Order of two values that are not null: negative, zero or positive. */
export function compare(left, right) {
  if (isTicks(left) && left.constructor === right?.constructor) {
    return left.ticks < right.ticks ? -1 : Number(left.ticks > right.ticks);
  }
  if (typeof left !== typeof right || typeof left === "object") {
    throw new Unsupported(`comparing ${text(left)} with ${text(right)}`);
  }
  return left < right ? -1 : Number(left > right);
}

/** ==: null with null is null, null with anything else is false. */
export function equals(left, right) {
  if (left === null || right === null) return left === right ? null : false;
  return compare(left, right) === 0;
}

/** Equal values have equal keys; used to group, to join and to look values up. */
export function key(value) {
  if (value === null) return "null";
  if (isTicks(value)) return `t${value.ticks}`;
  return typeof value === "string" ? `s${value}` : JSON.stringify(value);
}

export const rowKey = (values) => JSON.stringify(values.map(key));

/** A value as it is printed. */
export function toJson(value) {
  if (value instanceof Moment) return momentText(value, false);
  if (value instanceof Span) return spanText(value);
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

const READERS = {
  string: (value) => (typeof value === "string" ? value : undefined),
  bool: (value) => (typeof value === "boolean" ? value : undefined),
  long: (value) => (Number.isSafeInteger(value) ? value : undefined),
  real: (value) => (typeof value === "number" ? value : undefined),
  datetime: (value) => (typeof value === "string" ? (parseMoment(value) ?? undefined) : undefined),
  timespan: (value) => (typeof value === "string" ? (parseSpan(value) ?? undefined) : undefined),
  guid: (value) => (typeof value === "string" ? value.toLowerCase() : undefined),
  dynamic: (value) => value,
};
READERS.int = (value) => (Number.isSafeInteger(value) && isInt(value) ? value : undefined);

/** A JSON value of a sample row as a value of the column's type. */
export function fromJson(value, type, place) {
  if (value === undefined || value === null) return type === "string" ? "" : null;
  const read = READERS[type];
  if (!read) throw new Unsupported(`columns of type ${type}`);
  const result = read(value);
  if (result === undefined) throw new Error(`${place}: ${JSON.stringify(value)} is not a ${type}`);
  return result;
}
