// Tests of what tells alerts apart whose names are others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { counts, outline } from "../losses.mjs";

const alert = (name, attempts) => ({
  severity: "High",
  entities: [`Account ${name}`, "IP 192.0.2.1"],
  details: { Attempts: attempts, Device: name },
});

test("a detail counts that is a number in every alert", () => {
  assert.deepEqual(counts([alert("15", "3"), alert("p1_a", "4")]), ["Attempts"]);
  assert.deepEqual(counts([]), []);
});

test("names and the order of alerts make no difference", () => {
  const one = [alert("jane", "3"), alert("joe", "4")];
  assert.equal(outline(one, ["Attempts"]), outline([alert("p1_b", "4"), alert("p1_a", "3")], ["Attempts"]));
  for (const other of [[alert("jane", "3")], [alert("jane", "3"), alert("joe", "5")], [{ ...one[0], severity: "Low" }, one[1]],
    [{ ...one[0], entities: ["IP 192.0.2.1"] }, one[1]]]) {
    assert.notEqual(outline(one, ["Attempts"]), outline(other, ["Attempts"]));
  }
});
