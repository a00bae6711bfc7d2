// Tests of the executor, a few for each family of operators and functions. The
// expected values are those of KQL's documentation.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { execute } from "../execute.mjs";

const tables = {
  Log_CL: {
    TimeGenerated: "datetime",
    id_s: "string",
    user_s: "string",
    size_d: "real",
    ok_b: "bool",
    data: "dynamic",
  },
};
const rows = {
  Log_CL: [
    {
      TimeGenerated: "2026-11-20T10:00:00Z",
      id_s: "1",
      user_s: "ann",
      size_d: 2,
      ok_b: true,
      data: { a: [1, { b: "x" }] },
    },
    { TimeGenerated: "2026-11-20T11:30:00.25Z", id_s: "2", user_s: "bob", ok_b: false },
    { TimeGenerated: "2026-11-20T11:45:00Z", id_s: "1", user_s: "ann", size_d: 4 },
  ],
};
const run = (query, functions) => execute(query, { tables, rows, functions, now: "2026-11-21T08:00:00Z" });

/** The values of "print ..." in order. */
const print = (list) => Object.values(run(`print ${list}`)[0]);
/** The values of one column. */
const column = (query) => run(query).map((row) => Object.values(row)[0]);
const shows = (list, ...expected) => assert.deepEqual(print(list), expected);

test("rows are read and printed with every column; missing values are null, or empty for text", () => {
  assert.deepEqual(run("Log_CL | where id_s == '2'"), [
    { TimeGenerated: "2026-11-20T11:30:00.25Z", id_s: "2", user_s: "bob", size_d: null, ok_b: false, data: null },
  ]);
  const wrong = (row) => () => execute("Log_CL", { tables, rows: { Log_CL: [row] }, now: "2026-11-21" });
  assert.throws(wrong({ usr_s: "x" }), /no column 'usr_s'/);
  assert.throws(wrong({ size_d: "2" }), /is not a real/);
});

test("literals", () => {
  shows(
    "0x1F, -5, 1.5, true, 'a\\tb', @'x\\y', datetime(2026-01-02), time(1.02:03:04), 90m, int(null), guid(null)",
    31,
    -5,
    1.5,
    true,
    "a\tb",
    "x\\y",
    "2026-01-02T00:00:00Z",
    "1.02:03:04",
    "01:30:00",
    null,
    null,
  );
  shows("dynamic({'a': [1, -2.5, null, 'x']}), dynamic(null)", { a: [1, -2.5, null, "x"] }, null);
});

test("arithmetic, also with dates and with null", () => {
  shows("7 / 2, 7.0 / 2, 7 % 4, 2 * 3 - 1, int(null) + 1, 1h / 15m, 2 * 1h", 3, 3.5, 3, 5, null, 4, "02:00:00");
  shows("datetime(2026-01-02) - 1h, datetime(2026-01-02) - datetime(2026-01-01)", "2026-01-01T23:00:00Z", "1.00:00:00");
});

test("null in comparison and logic", () => {
  shows("int(null) == 1, int(null) != 1, int(null) == int(null), int(null) < 1", false, true, null, null);
  shows("bool(null) and false, bool(null) or true, bool(null) and true, not(bool(null))", false, true, null, null);
  assert.deepEqual(column("Log_CL | where size_d > 1 | project id_s"), ["1", "1"]);
  assert.deepEqual(column("Log_CL | where not(size_d > 3) | project size_d"), [2]);
});

test("text operators", () => {
  shows(
    "'a-bc d' has 'BC', 'abc' has 'b', 'a_b' has 'b', 'x.y z' has 'x.y', 'a b' has_cs 'B', 'a b' !has 'b'",
    true,
    false,
    true,
    true,
    false,
    false,
  );
  shows(
    "'foo bar' has_any ('zip', 'BAR'), 'foo bar' has_all ('foo', 'zip'), 'foo' has_any (dynamic([]))",
    true,
    false,
    false,
  );
  shows(
    "'abc' contains 'B', 'abc' contains_cs 'B', 'abc' !contains 'z', 'abc' startswith 'AB', 'abc' startswith_cs 'AB'",
    true,
    false,
    true,
    true,
    false,
  );
  shows(
    "'abc' endswith 'BC', 'a' =~ 'A', 'a' !~ 'A', 'a1' matches regex '^[a-z][0-9]$', 'A' matches regex '(?i)^a'",
    true,
    true,
    false,
    true,
    true,
  );
});

test("in and between", () => {
  shows(
    "'a' in ('a', 'b'), 'A' in ('a'), 'A' in~ ('a'), 'c' !in ('a'), 'A' !in~ ('a'), 2 in (dynamic([1, 2]))",
    true,
    false,
    true,
    true,
    false,
    true,
  );
  assert.deepEqual(column("Log_CL | where user_s in ((Log_CL | where id_s == '2' | project user_s)) | project id_s"), [
    "2",
  ]);
  shows(
    "3 between (1 .. 3), 3 !between (1 .. 3), datetime(2026-01-02) between (datetime(2026-01-01) .. 1d)",
    true,
    false,
    true,
  );
});

test("conditions", () => {
  shows("case(1 > 2, 'a', 2 > 1, 'b', 'c'), iff(bool(null), 1, 2), iif(true, 1, 2)", "b", 2, 1);
  shows(
    "coalesce('', 'b'), coalesce(int(null), 3), isempty(''), isempty(dynamic([])), isnotempty('a')",
    "b",
    3,
    true,
    false,
    true,
  );
  shows(
    "isnull(int(null)), isnotnull(1), gettype(dynamic([1])), gettype('a'), gettype(dynamic({'a': 1}))",
    true,
    true,
    "array",
    "string",
    "dictionary",
  );
});

test("conversion; bad text is null", () => {
  shows(
    "toint('12'), toint('x'), toint(2.7), tolong('-5'), toreal('1.5'), todouble('x'), tobool('true'), tobool('1'), tobool('x')",
    12,
    null,
    2,
    -5,
    1.5,
    null,
    true,
    true,
    null,
  );
  shows(
    "todatetime('2026-01-02T03:04:05+01:00'), todatetime('x'), totimespan('01:02:03'), toguid('x')",
    "2026-01-02T02:04:05Z",
    null,
    "01:02:03",
    null,
  );
  shows(
    "tostring(long(null)), tostring(1.0), tostring(true), tostring(1h), tostring(datetime(2026-01-02)), tostring(dynamic({'a': [1]}))",
    "",
    "1.0",
    "true",
    "01:00:00",
    "2026-01-02T00:00:00.0000000Z",
    '{"a":[1]}',
  );
  shows(
    "parse_json('{\"a\": 1}').a, parse_json('no json'), parse_json(''), todynamic('[1, 2]')[-1]",
    1,
    "no json",
    null,
    2,
  );
  assert.throws(() => print("tolong('9007199254740993')"), /not supported/);
});

test("a GUID is read from the beginning of a text, and nothing may stand before it", () => {
  const guid = "70fc66f7-8279-44fc-9092-d364d70fce44";
  shows(`toguid('${guid} and more'), toguid('70FC66F7827944FC9092D364D70FCE44x')`, guid, guid);
  shows(`toguid('{${guid}}'), toguid(' ${guid}'), toguid('70fc66f7')`, null, null, null);
});

test("the limits of the types, at both ends", () => {
  shows(
    "toint(-2147483648), toint(2147483647), toint(-2147483649), toint(2147483648), toint('-2147483648')",
    -2147483648,
    2147483647,
    null,
    null,
    -2147483648,
  );
  shows(
    "datetime(0001-01-01), datetime(0099-02-28), datetime(9999-12-31 23:59:59.9999999), todatetime('0000-01-01')",
    "0001-01-01T00:00:00Z",
    "0099-02-28T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z",
    null,
  );
  shows("unixtime_milliseconds_todatetime(253402300799999), unixtime_seconds_todatetime(-62135596800)",
    "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z");
  for (const beyond of [
    "unixtime_milliseconds_todatetime(253402300800000)",
    "unixtime_seconds_todatetime(-62135596801)",
    "unixtime_milliseconds_todatetime(real(+inf))",
    "datetime(9999-12-31) + 1d",
    "datetime(0001-01-01) - 1tick",
    "todatetime('0001-01-01T00:00:00+01:00')",
    "10675200d",
    "int(2147483648)",
    "tolong('-9007199254740993')",
  ]) {
    assert.throws(() => print(beyond), /not supported/, beyond);
  }
});

test("what is dynamic already is not parsed again", () => {
  shows("parse_json(dynamic('[1]')), parse_json(dynamic({'a': '1'})).a, parse_json(dynamic(' '))", "[1]", "1", " ");
  shows("parse_json('')", null);
  shows("parse_json('1e19') > 100, toreal(parse_json('1e19')) > 100, tolong(parse_json('1e19')) > 100", true, true, null);
  assert.throws(() => print("parse_json(' ')"), /not supported/);
});

test("make-series fills what is missing, and leaves out what is beyond its limits", () => {
  const series = (rest) => run(`Log_CL | make-series N = count(), S = sum(size_d) default = -1.0 on TimeGenerated ${rest}`);
  const limits = "from datetime(2026-11-20 10:30) to datetime(2026-11-20 13:00) step 1h";
  assert.deepEqual(series(limits), [
    {
      N: [0, 2, 0],
      S: [-1, 4, -1],
      TimeGenerated: ["2026-11-20T10:30:00.0000000Z", "2026-11-20T11:30:00.0000000Z", "2026-11-20T12:30:00.0000000Z"],
    },
  ]);
  assert.deepEqual(series(`${limits} by id_s`).map(({ id_s, N }) => [id_s, N]), [["2", [0, 1, 0]], ["1", [0, 1, 0]]]);
  assert.deepEqual(series("from datetime(2026-12-01) to datetime(2026-12-01 02:00) step 1h")[0].N, [0, 0]);
  assert.throws(() => series("step 1h"), /not supported/);
});

test("percentile is one of the values", () => {
  const of = (values, share) => run(`datatable(v: long) [${values}] | summarize p = percentile(v, ${share})`)[0].p;
  assert.deepEqual([of("15, 20, 35, 40, 50", 30), of("15, 20, 35, 40, 50", 40), of("50, 15, 35, 20, 40", 50)], [20, 20, 35]);
  assert.deepEqual([of("3, 1, 2", 0), of("3, 1, 2", 100), of("", 50)], [1, 3, null]);
  assert.deepEqual(column("Log_CL | summarize percentile(TimeGenerated - datetime(2026-11-20), 50)"), ["11:30:00.2500000"]);
});

test("url_decode", () => {
  shows("url_decode('/a%20b%7C%2f/%C3%A9'), url_decode('a')", "/a b|//é", "a");
  assert.throws(() => print("url_decode('a+b')"), /not supported/);
  assert.throws(() => print("url_decode('a%zz')"), /not supported/);
});

test("text functions", () => {
  shows(
    "strcat('a', 1, true), strcat_delim('-', 'a', 2), strcat_array(dynamic(['a', 1]), '|')",
    "a1true",
    "a-2",
    "a|1",
  );
  shows(
    "split('a,b', ','), split('a,b', ',', 1), split('', ','), substring('hello', 1, 3), substring('hello', -2)",
    ["a", "b"],
    ["b"],
    [""],
    "ell",
    "lo",
  );
  shows(
    "tolower('AB'), toupper('ab'), strlen('hé'), indexof('abc', 'c'), indexof('abc', 'z'), trim(@'\\s+', ' a b ')",
    "ab",
    "AB",
    2,
    2,
    -1,
    "a b",
  );
  shows(
    "replace_string('a.b.', '.', '$'), replace_regex('a1b2', @'([0-9])', @'<\\1>'), extract('a([0-9]+)', 1, 'xa12'), extract('z', 0, 'a')",
    "a$b$",
    "a<1>b<2>",
    "12",
    "",
  );
  shows(
    "countof('aaa', 'aa'), countof('a1b2', '[0-9]', 'regex'), hash_sha256('hello')",
    2,
    2,
    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
  );
});

test("dates and numbers", () => {
  shows(
    "now(), ago(1h), startofday(now()), startofday(now(), -1)",
    "2026-11-21T08:00:00Z",
    "2026-11-21T07:00:00Z",
    "2026-11-21T00:00:00Z",
    "2026-11-20T00:00:00Z",
  );
  shows(
    "bin(7, 5), bin(7.5, 2), bin(datetime(2026-01-07 13:14), 1h), bin(datetime(2026-01-07), 7d), floor(37m, 10m)",
    5,
    6,
    "2026-01-07T13:00:00Z",
    "2026-01-05T00:00:00Z",
    "00:30:00",
  );
  shows(
    "datetime_diff('day', datetime(2026-01-03 01:00), datetime(2026-01-01 23:00)), datetime_diff('month', datetime(2026-03-01), datetime(2026-01-31)), datetime_diff('minute', datetime(2026-01-01), datetime(2026-01-01 00:05))",
    2,
    2,
    -5,
  );
  shows(
    "format_datetime(datetime(2026-01-02 15:04:05.678), 'yyyy-MM-dd HH:mm:ss.fff'), format_datetime(datetime(2026-01-02 15:04), 'd/M/yy h:mm tt')",
    "2026-01-02 15:04:05.678",
    "2/1/26 3:04 PM",
  );
  shows(
    "unixtime_milliseconds_todatetime(1767225600123), unixtime_seconds_todatetime(1767225600), round(2.567, 1), round(2.5), abs(-3)",
    "2026-01-01T00:00:00.123Z",
    "2026-01-01T00:00:00Z",
    2.6,
    3,
    3,
  );
});

test("IPv4 functions", () => {
  shows("ipv4_is_private('172.16.0.1'), ipv4_is_private('8.8.8.8'), ipv4_is_private('x')", true, false, null);
  shows(
    "ipv4_is_in_range('10.1.2.3', '10.0.0.0/8'), ipv4_is_in_range('11.1.2.3', '10.0.0.0/8'), ipv4_is_match('1.2.3.4', '1.2.3.9', 24)",
    true,
    false,
    true,
  );
  shows(
    "ipv4_is_in_any_range('10.1.2.3', '1.0.0.0/8', '10.0.0.0/8'), ipv4_is_in_any_range('10.1.2.3', dynamic(['1.0.0.0/8']))",
    true,
    false,
  );
  shows(
    "has_ipv4_prefix('from 10.1.2.3;', '10.1.'), has_ipv4_prefix('10.1.2.3', '10.1'), has_any_ipv4_prefix('10.1.2.3', dynamic(['9.', '10.1.2.3']))",
    true,
    false,
    true,
  );
});

test("networks of IPv6 are those of Microsoft's page", () => {
  shows(
    "parse_ipv6_mask('192.168.255.255', 120), parse_ipv6_mask('192.168.255.255/24', 124), parse_ipv6_mask('255.255.255.255', 128)",
    "0000:0000:0000:0000:0000:ffff:c0a8:ff00",
    "0000:0000:0000:0000:0000:ffff:c0a8:ff00",
    "0000:0000:0000:0000:0000:ffff:ffff:ffff",
  );
  shows(
    "parse_ipv6_mask('fe80::85d:e82c:9446:7994', 128), parse_ipv6_mask('fe80::85d:e82c:9446:7994/120', 124)",
    "fe80:0000:0000:0000:085d:e82c:9446:7994",
    "fe80:0000:0000:0000:085d:e82c:9446:7900",
  );
  shows(
    "parse_ipv6_mask('2001:db8:1:2:3::', 64), parse_ipv6_mask('p1_x', 64), parse_ipv6_mask('', 64)",
    "2001:0db8:0001:0002:0000:0000:0000:0000",
    "",
    "",
  );
});

test("arrays and bags", () => {
  assert.deepEqual(
    column("Log_CL | where id_s == '1' | project strcat(data.a[0], data.a[1].b, data['a'][-1]['b'], data.none.b)"),
    ["1xx", ""],
  );
  shows(
    "array_length(dynamic([1, 2])), array_index_of(dynamic(['a', 'b']), 'b'), array_index_of(dynamic([1]), 5), array_concat(dynamic([1]), dynamic([2])), set_has_element(dynamic(['a']), 'a')",
    2,
    1,
    -1,
    [1, 2],
    true,
  );
  shows("strcat_array(array_sort_asc(dynamic(['c', 'a', 'b', 'a'])), ',')", "a,a,b,c");
  shows(
    "bag_pack('a', 1, 'b', datetime(2026-01-02)), pack_array(1, 'a'), bag_keys(dynamic({'a': 1})), bag_merge(dynamic({'a': 1}), dynamic({'a': 2, 'b': 3})), bag_remove_keys(dynamic({'a': 1, 'b': 2}), dynamic(['a']))",
    { a: 1, b: "2026-01-02T00:00:00.0000000Z" },
    [1, "a"],
    ["a"],
    { a: 1, b: 3 },
    { b: 2 },
  );
});

test("column_ifexists", () => {
  assert.deepEqual(
    run("Log_CL | take 1 | project a = column_ifexists('id_s', 'no'), b = column_ifexists('more_s', 'no')"),
    [{ a: "1", b: "no" }],
  );
});

test("extend and the project operators", () => {
  const one = (operators) => run(`datatable(a: int, b: string)[1, 'x'] | ${operators}`);
  assert.deepEqual(one("extend a = a * 2, c = a + 1, a + 5"), [{ a: 2, b: "x", c: 2, Column1: 6 }]);
  assert.deepEqual(one("project b, n = a"), [{ b: "x", n: 1 }]);
  assert.deepEqual(Object.keys(one("extend c = 1 | project-reorder c, b")[0]), ["c", "b", "a"]);
  assert.deepEqual(one("project-rename z = a | project-away b"), [{ z: 1 }]);
  assert.deepEqual(one("project-keep b"), [{ b: "x" }]);
});

test("sort, top, take, count, distinct", () => {
  const values = "datatable(a: int)[1, int(null), 3, 1]";
  assert.deepEqual(column(`${values} | sort by a`), [3, 1, 1, null]);
  assert.deepEqual(column(`${values} | order by a asc`), [null, 1, 1, 3]);
  assert.deepEqual(column(`${values} | sort by a asc nulls last`), [1, 1, 3, null]);
  assert.deepEqual(column(`${values} | top 2 by a`), [3, 1]);
  assert.deepEqual(column(`${values} | take 1`), [1]);
  assert.deepEqual(run(`${values} | count`), [{ Count: 4 }]);
  assert.deepEqual(column(`${values} | distinct a | sort by a asc`), [null, 1, 3]);
  assert.deepEqual(
    column("datatable(a: int, b: string)[1, 'x', 2, 'y'] | sort by b desc, a asc | serialize | render table"),
    [2, 1],
  );
});

test("summarize", () => {
  assert.deepEqual(
    run("Log_CL | summarize count(), Sum = sum(size_d), avg(size_d), min(TimeGenerated), dcount(id_s) by user_s"),
    [
      { user_s: "ann", count_: 2, Sum: 6, avg_size_d: 3, min_TimeGenerated: "2026-11-20T10:00:00Z", dcount_id_s: 1 },
      {
        user_s: "bob",
        count_: 1,
        Sum: 0,
        avg_size_d: "NaN",
        min_TimeGenerated: "2026-11-20T11:30:00.25Z",
        dcount_id_s: 1,
      },
    ],
  );
  assert.deepEqual(
    run(
      "Log_CL | summarize n = countif(ok_b), s = sumif(size_d, size_d > 2), d = dcountif(user_s, id_s == '1'), m = maxif(size_d, size_d < 3), r = round(100.0 * countif(ok_b) / count(), 1)",
    ),
    [{ n: 1, s: 4, d: 1, m: 2, r: 33.3 }],
  );
  assert.deepEqual(
    run(
      "Log_CL | summarize make_set(user_s), make_list(size_d), l = make_list_if(id_s, isnull(ok_b)), t = make_set(id_s, 1)",
    ),
    [{ set_user_s: ["ann", "bob"], list_size_d: [2, 4], l: ["1"], t: ["1"] }],
  );
  assert.deepEqual(run("Log_CL | summarize count() by bin(TimeGenerated, 1h)"), [
    { TimeGenerated: "2026-11-20T10:00:00Z", count_: 1 },
    { TimeGenerated: "2026-11-20T11:00:00Z", count_: 2 },
  ]);
});

test("summarize of no rows", () => {
  const none = "Log_CL | where false";
  assert.deepEqual(run(`${none} | summarize count(), dcount(id_s), max(size_d), make_set(id_s), take_any(user_s)`), [
    { count_: 0, dcount_id_s: 0, max_size_d: null, set_id_s: [], user_s: "" },
  ]);
  assert.deepEqual(run(`${none} | summarize count() by id_s`), []);
});

test("arg_max, arg_min and take_any", () => {
  assert.deepEqual(run("Log_CL | project TimeGenerated, id_s, size_d | summarize arg_max(TimeGenerated, *) by id_s"), [
    { id_s: "1", TimeGenerated: "2026-11-20T11:45:00Z", size_d: 4 },
    { id_s: "2", TimeGenerated: "2026-11-20T11:30:00.25Z", size_d: null },
  ]);
  assert.deepEqual(run("Log_CL | summarize arg_min(TimeGenerated, user_s), take_any(id_s)"), [
    { TimeGenerated: "2026-11-20T10:00:00Z", user_s: "ann", id_s: "1" },
  ]);
});

const TWO =
  "let L = datatable(k: string, v: int)['a', 1, 'b', 2, 'a', 3]; let R = datatable(k: string, w: int)['a', 10, 'a', 11, 'c', 12]; ";

test("join", () => {
  assert.deepEqual(run(`${TWO} L | join kind=inner R on k | project k, k1, v, w`).length, 4);
  assert.deepEqual(run(`${TWO} L | join R on k`), [
    { k: "a", v: 1, k1: "a", w: 10 },
    { k: "a", v: 1, k1: "a", w: 11 },
  ]);
  assert.deepEqual(run(`${TWO} L | where v == 2 | join kind=leftouter R on k`), [{ k: "b", v: 2, k1: "", w: null }]);
  assert.deepEqual(column(`${TWO} L | join kind=leftanti R on k | project v`), [2]);
  assert.deepEqual(
    column(`${TWO} L | join kind=leftsemi (R | project-rename r = k) on $left.k == $right.r | project v`),
    [1, 3],
  );
  assert.deepEqual(run("datatable(a: int)[int(null)] | join kind=inner (datatable(a: int)[int(null)]) on a"), []);
  assert.throws(() => run(`${TWO} L | join kind=fullouter R on k`), /not supported: join kind=fullouter/);
});

test("lookup", () => {
  assert.deepEqual(run(`${TWO} L | where v > 1 | lookup (R | where w != 11) on k`), [
    { k: "b", v: 2, w: null },
    { k: "a", v: 3, w: 10 },
  ]);
  assert.deepEqual(column(`${TWO} L | lookup kind=inner (R | where w == 10) on k | project v`), [1, 3]);
});

test("union", () => {
  assert.deepEqual(run("union isfuzzy=true (print a = 1, b = 'x'), (print b = 'y', c = 2.5)"), [
    { a: 1, b: "x", c: null },
    { a: null, b: "y", c: 2.5 },
  ]);
  assert.deepEqual(run("print a = 1 | union (print a = 'x')"), [
    { a_long: 1, a_string: "" },
    { a_long: null, a_string: "x" },
  ]);
  assert.throws(() => run("union isfuzzy=true Log_CL, None_CL"), /KS205/);
});

test("mv-expand", () => {
  const expand = (array, clause) => column(`print a = dynamic(${array}) | mv-expand ${clause}`);
  assert.deepEqual(expand("[1, 'x']", "a"), [1, "x"]);
  assert.deepEqual(expand("{'k': 1, 'l': 2}", "a"), [{ k: 1 }, { l: 2 }]);
  assert.deepEqual(expand("null", "a"), [null]);
  assert.deepEqual(expand("[]", "a"), []);
  assert.deepEqual(expand("['x']", "a to typeof(string)"), ["x"]);
  assert.deepEqual(
    column("print t = datetime(2026-01-02 00:10) | extend h = pack_array(bin(t, 1h), t) | mv-expand h to typeof(datetime) | project h + 1h"),
    ["2026-01-02T01:00:00Z", "2026-01-02T01:10:00Z"],
  );
  assert.throws(() => expand("['2026-01-02']", "a to typeof(datetime)"), /not supported/);
  assert.deepEqual(run("print a = dynamic([1, 2]), b = dynamic(['p']) | mv-expand a, c = b"), [
    { a: 1, b: ["p"], c: "p" },
    { a: 2, b: ["p"], c: null },
  ]);
});

test("the time of ingestion is a table's own rows'", () => {
  const [first, second] = rows.Log_CL;
  const ingested = { Log_CL: [{ ...first, "ingestion_time()": "2026-11-20T10:05:00Z" }, second] };
  const over = (query, list = ingested) => execute(query, { tables, rows: list, now: "2026-11-21T08:00:00Z" });
  const times = (query) => over(query).map(({ t }) => t);
  const both = ["2026-11-20T10:05:00Z", null];
  assert.deepEqual(times("Log_CL | extend t = ingestion_time() | project t"), both);
  assert.deepEqual(times("Log_CL | where id_s == '1' | take 5 | extend t = ingestion_time()"), both.slice(0, 1));
  assert.deepEqual(times("union isfuzzy=true (datatable(t: datetime) []), (Log_CL | extend t = ingestion_time())"), both);
  assert.deepEqual(Object.keys(over("Log_CL")[0]), Object.keys(tables.Log_CL));
  for (const query of [
    "Log_CL | extend a = 1 | extend t = ingestion_time()",
    "union Log_CL, Log_CL | extend t = ingestion_time()",
    "Log_CL | sort by id_s | extend t = ingestion_time()",
    "Log_CL | union (print t = ingestion_time())",
    "print t = ingestion_time()",
  ]) {
    assert.throws(() => over(query), /^Unsupported|not supported/, query);
  }
  assert.throws(() => over("Log_CL", { Log_CL: [{ "ingestion_time()": "then" }] }), /is not a datetime/);
});

test("let, functions, views, toscalar, materialize, invoke and as", () => {
  assert.deepEqual(
    run(
      "let twice = (x: int, times: int = 2) { let y = x * times; y }; print twice(3), twice(twice(1)), twice(2, times=5)",
    ),
    [{ print_0: 6, print_1: 4, print_2: 10 }],
  );
  assert.deepEqual(
    column(
      "let over = (T: (size_d: real), least: real) { T | where size_d > least }; Log_CL | invoke over(3.0) | project id_s",
    ),
    ["1"],
  );
  assert.deepEqual(
    column("let mark = (T: (*)) { T | extend m = column_ifexists('user_s', 'none') }; mark(Log_CL) | project m"),
    ["ann", "bob", "ann"],
  );
  assert.deepEqual(
    column(
      "let v = view () { print a = 1 }; let m = materialize(v); let s = toscalar(m | summarize max(a)); union v, m | where a == s",
    ),
    [1, 1],
  );
  assert.deepEqual(
    run("let n = 2; let f = (k: int) { datatable(a: int)[1, 2, 3] | where a > k and a > n }; f(1) | as T | count"),
    [{ Count: 1 }],
  );
});

const parser = {
  functionName: "Users",
  parameters: [
    { name: "starttime", type: "datetime", value: "datetime(null)" },
    { name: "user_in", type: "dynamic", value: "dynamic([])" },
    { name: "disabled", type: "bool", value: "false" },
  ],
  text: "Log_CL | where not(disabled) and (isnull(starttime) or TimeGenerated >= starttime)\n| where array_length(user_in) == 0 or user_s in (user_in) | project user_s",
};

test("parsers are called with positional and named arguments and with defaults", () => {
  const call = (query) => run(query, [parser]).map((row) => row.user_s);
  assert.deepEqual(call("Users"), ["ann", "bob", "ann"]);
  assert.deepEqual(call("Users()"), ["ann", "bob", "ann"]);
  assert.deepEqual(call("Users(datetime(2026-11-20 11:00))"), ["bob", "ann"]);
  assert.deepEqual(call("Users(datetime(2026-11-20 11:00), user_in=dynamic(['ann']))"), ["ann"]);
  assert.deepEqual(call("Users(disabled=true)"), []);
});

test("what is not supported fails instead of giving something else", () => {
  for (const query of [
    "Log_CL | parse user_s with a:string",
    "print parse_url('http://x')",
    "print 'x' matches regex 'a(?=b)'",
    "Log_CL | sample 1",
    "union withsource=T Log_CL",
  ]) {
    assert.throws(() => run(query), /^Unsupported|not supported/, query);
  }
  assert.throws(() => run("Log_CL | where nope == 1"), /1:16 KS142/);
  assert.throws(() => execute("Log_CL", { tables, now: "2026-11-21" }), /no rows given for table Log_CL/);
});

test("the command runs queries and parser files", () => {
  const folder = mkdtempSync(join(tmpdir(), "kql-execute-"));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name, content) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const schema = file("schema.json", JSON.stringify({ tables }));
  const data = file("rows.ndjson", rows.Log_CL.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const yaml = file(
    "parser.yaml",
    "FunctionAlias: Ids\nFunctionParams:\n  - {Name: least, Type: int, Default: 1}\nFunctionQuery: |\n  Log_CL | where toint(id_s) > least | project id_s, ago(1h)\n",
  );
  const command = (input, ...args) =>
    spawnSync(process.execPath, [fileURLToPath(new URL("../execute.mjs", import.meta.url)), ...args], {
      input,
      encoding: "utf8",
    });
  const common = ["--schema", schema, "--now", "2026-11-21T08:00:00Z", "--table", `Log_CL=${data}`];
  assert.equal(command("", ...common, yaml).stdout, '{"id_s":"2","Column1":"2026-11-21T07:00:00Z"}\n');
  assert.equal(command("Ids(least=2) | count", ...common, "--function", yaml, "-").stdout, '{"Count":0}\n');
  const failed = command("Log_CL | sample 1", ...common, "-");
  assert.deepEqual([failed.status, failed.stderr.startsWith("not supported: ")], [1, true]);
  assert.equal(command("", "--schema", schema).status, 2);
});

test("an error inside a called parser is reported", () => {
  assert.throws(() => run("Users", [{ ...parser, text: "Log_CL | where usr_s == ''" }]), /in Users: KS142 .*usr_s/);
});
