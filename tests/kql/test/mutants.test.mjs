// Tests of the mutants and of the judgement of rules by their scenarios.

import assert from "node:assert/strict";
import { test } from "node:test";
import { alert, difference } from "../judge.mjs";
import { mutants, problems } from "../mutants.mjs";

const of = (query) => mutants(query).map((mutant) => mutant.query);

test("each kind of change is made, and each change once", () => {
  assert.deepEqual(of("T | where a > 1"), ["T ", "T | where a <= 1", "T | where a > 2", "T | where a > 0"]);
  assert.deepEqual(of("T | extend b = a =~ 'x' and not(c)").slice(0, 5), [
    "T | extend b = a =~ 'x' or not(c)",
    "T | extend b = a !~ 'x' and not(c)",
    "T | extend b = a == 'x' and not(c)",
    "T | extend b = a =~ 'zzz' and not(c)",
    "T | extend b = a =~ 'x' and (c)",
  ]);
  assert.deepEqual(of("let w = 10m; T | where t > ago(w)").filter((it) => it.startsWith("let w") && !it.startsWith("let w = 10m")), [
    "let w = 20m; T | where t > ago(w)",
    "let w = 5m; T | where t > ago(w)",
    "let w = 11m; T | where t > ago(w)",
    "let w = 9m; T | where t > ago(w)",
  ]);
  assert.deepEqual(of("T | extend b = isnotempty(a), c = a in ('x')"), [
    "T | extend b = isempty(a), c = a in ('x')",
    "T | extend b = isnotempty(a), c = a !in ('x')",
    "T | extend b = isnotempty(a), c = a in ('zzz')",
  ]);
  assert.deepEqual(of("T | extend b = a matches regex '(?i)x', c = dynamic(['y'])"), [
    "T | extend b = not(a matches regex '(?i)x'), c = dynamic(['y'])",
    "T | extend b = a matches regex 'zzz', c = dynamic(['y'])",
    "T | extend b = a matches regex 'x', c = dynamic(['y'])",
    "T | extend b = a matches regex '(?i)x', c = dynamic(['zzz'])",
  ]);
});

test("a text that nothing is compared with is no code", () => {
  assert.deepEqual(of("T | extend b = strcat(a, 'x')"), []);
});

test("a mutant is named by its line and by what was changed", () => {
  const [, flipped] = mutants("T\n| where a > b");
  assert.equal(flipped.name, "| where a > b [> -> <=]");
});

test("survivors need a reason, and reasons a survivor", () => {
  const rule = { file: "r" };
  const names = new Set(["a", "b", "c"]);
  const result = { all: 10, noticed: 9, survivors: ["a"], names };
  assert.deepEqual(problems(rule, { survivors: { a: "the same" } }, result, true), []);
  assert.deepEqual(problems(rule, { survivors: {} }, result, true), ["r: survives without a reason: a"]);
  assert.deepEqual(problems(rule, { survivors: { a: "x", b: "y", d: "z" } }, result, true), [
    "r: is listed, and noticed: b",
    "r: is listed, and no mutant: d",
  ]);
  // Of a part of the mutants there is no telling about those that are not in it.
  assert.deepEqual(problems(rule, { survivors: { a: "x", d: "z" } }, result, false), []);
  assert.deepEqual(problems(rule, { survivors: { a: "x" } }, { ...result, noticed: 8 }, true), ["r: only 8 of 10 mutants noticed"]);
});

const rule = {
  name: "Name",
  severity: "Low",
  entityMappings: [{ entityType: "IP", fieldMappings: [{ columnName: "Address" }] }],
  customDetails: { Count: "Count" },
  alertDetailsOverride: { alertDisplayNameFormat: "{{Count}} of {{Address}}", alertSeverityColumnName: "Severity" },
};
const row = { Count: { value: 3, type: "long" }, Address: { value: "", type: "string" }, Severity: { value: "High", type: "string" } };

test("an alert holds what the rule takes from a result", () => {
  assert.deepEqual(alert(rule, row), { title: "3 of ", severity: "High", entities: [], details: { Count: "3" } });
});

test("alerts are compared by their number, by their headings, or by what is written of them", () => {
  const alerts = [alert(rule, row)];
  for (const expected of [1, ["High: 3 of "], [{ details: { Count: "3" } }]]) assert.equal(difference(expected, alerts), undefined);
  for (const wrong of [0, 2, [], ["Low: 3 of "], [{ details: { Count: "2" } }], ["High: 3 of ", "High: 3 of "], [{ entities: ["IP "] }]]) {
    assert.ok(difference(wrong, alerts), JSON.stringify(wrong));
  }
});
