// Command: prints the records of all scenarios, one JSON object {log_id, arrival,
// record} per line, for whoever makes rows of them.
//
// A scenario is what makes a rule fire, with what the alert then holds, and what
// leaves it quiet. Each module in the folder has some by the names of the rules'
// files: {cases, survivors}. survivors are the mutants of the rule that no record
// can tell from it, with the reason; see mutants.mjs.

import { readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = new URL("scenarios/", import.meta.url);
const modules = readdirSync(folder).filter((name) => name.endsWith(".mjs")).sort();

/** The scenarios by rule; the records have ids, which say whose they are. */
export const scenarios = new Map();
for (const module of modules) {
  const { default: found } = await import(new URL(module, folder));
  for (const [rule, scenario] of Object.entries(found)) {
    if (scenarios.has(rule)) throw new Error(`${rule} has two scenarios`);
    scenarios.set(rule, { survivors: {}, ...scenario });
  }
}

let serial = 0;
for (const { cases } of scenarios.values()) {
  for (const one of cases) one.records = one.records.map(numbered);
}

/** A record that has an id already keeps it, so that a scenario can deliver one twice. */
function numbered(given) {
  const { record, arrival } = given.arrival ? given : { record: given, arrival: given.date };
  serial += 1;
  const id = record.log_id ?? `900${String(serial).padStart(53, "0")}`;
  return { log_id: id, arrival, record: { ...record, log_id: id } };
}

export function main(args, print = console.log) {
  for (const { cases } of scenarios.values()) {
    for (const { records } of cases) for (const record of records) print(JSON.stringify(record));
  }
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
