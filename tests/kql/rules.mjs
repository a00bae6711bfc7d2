// Command: runs every rule and hunting query over the rows of its scenario, and says
// which case it does not answer as the scenario expects. With --show it prints the
// alerts.

import { pathToFileURL } from "node:url";
import { answers, difference } from "./judge.mjs";
import { prepare } from "./mutants.mjs";
import { scenarios } from "./scenarios.mjs";
import { misshapen } from "./shape.mjs";

export function main(args = process.argv.slice(2), print = console.log) {
  const { options, world, rules } = prepare(args, { show: { type: "boolean" } });
  const problems = [];
  for (const rule of rules) {
    for (const what of misshapen(rule)) problems.push(`${rule.file}: it is not so that ${what}`);
    const scenario = scenarios.get(rule.file);
    if (!scenario) {
      problems.push(`${rule.file} has no scenario`);
      continue;
    }
    const answer = answers(world, rule, rule.query);
    let alerts = 0;
    for (const one of scenario.cases) {
      try {
        const found = answer(one);
        if (options.show) print(`${rule.file}: ${one.what} ${JSON.stringify(found, null, 1)}`);
        alerts += found.length;
        const reason = difference(one.alerts, found);
        if (reason) problems.push(`${rule.file}: ${one.what}: ${reason}`);
      } catch (error) {
        problems.push(`${rule.file}: ${one.what}: ${error.message}`);
      }
    }
    const quiet = scenario.cases.filter(({ alerts: expected }) => expected === 0).length;
    if (!alerts || !quiet) problems.push(`${rule.file}: a scenario has cases that fire and cases that do not`);
    // A hunting query has results, and no alerts.
    if (rule.severity && !scenario.cases.some(({ alerts: it }) => it[0]?.entities && it[0]?.details)) {
      problems.push(`${rule.file}: no case says what an alert holds`);
    }
  }
  const ids = rules.map(({ id }) => id);
  for (const id of ids.filter((it, index) => ids.indexOf(it) !== index)) problems.push(`two rules have the id ${id}`);
  if (!options.only) {
    for (const name of scenarios.keys()) if (!rules.some(({ file }) => file === name)) problems.push(`${name} is no rule`);
  }
  problems.forEach((problem) => print(problem));
  return problems.length ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
