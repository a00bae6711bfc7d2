// Tests of the process that runs the tools for one request after another.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const folder = mkdtempSync(join(tmpdir(), "kql-serve-"));
after(() => rmSync(folder, { recursive: true }));

function file(name, content) {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

function serve(requests) {
  const input = requests.map((request) => `${JSON.stringify(request)}\n`).join("");
  const command = fileURLToPath(new URL("../serve.mjs", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [command], { input, encoding: "utf8" });
  assert.equal(status, 0);
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
}

test("each request is answered as the command would, whatever was asked before", () => {
  const schema = (name, type) => file(name, JSON.stringify({ tables: { Log_CL: { value: type } } }));
  const [texts, numbers] = [schema("texts.json", "string"), schema("numbers.json", "real")];
  const execute = (of, rows, query) => ({
    tool: "execute",
    arguments: ["--schema", of, "--now", "2026-11-21T08:00:00Z", "--table", `Log_CL=${rows}`, query],
  });
  const query = file("query.kql", "Log_CL | project value");
  const [some, others] = [file("some.ndjson", '{"value":"a"}\n{}\n'), file("others.ndjson", '{"value":2}\n')];
  const asked = execute(texts, some, query);
  const told = { status: 0, stdout: '{"value":"a"}\n{"value":""}\n', stderr: "" };
  const answers = serve([
    asked,
    execute(numbers, others, query),
    execute(texts, others, query),
    { tool: "check", arguments: ["--schema", texts, file("bad.kql", "Log_CL | where x == 1")] },
    { tool: "check", arguments: [] },
    { tool: "pages", arguments: ["--what"] },
    { tool: "../serve", arguments: [] },
    asked,
  ]);
  assert.deepEqual(answers.map(({ status }) => status), [0, 0, 1, 1, 2, 1, 1, 0]);
  assert.deepEqual([answers[0], answers[7]], [told, told]);
  assert.equal(answers[1].stdout, '{"value":2}\n');
  assert.match(answers[2].stderr, /^Log_CL row 1, value: 2 is not a string\n$/);
  assert.match(answers[3].stdout, /bad\.kql: query:1:16 KS142 .*\n$/);
  assert.match(answers[4].stderr, /usage: node check\.mjs/);
  assert.match(answers[5].stderr, /Unknown option '--what'/);
  assert.match(answers[6].stderr, /no tool \.\.\/serve/);
});
