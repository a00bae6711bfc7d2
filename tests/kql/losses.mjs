// Command: runs every rule and hunting query over the rows of its scenario as they are,
// and over other rows of the same records, without personal data (--treated, as often
// as wanted), and prints for each of these the rules that find something else, as a list.
//
// Told apart are how many alerts there are, how severe they are, of what kinds their
// entities are, and the numbers in their details. Names are others, of course.

import { pathToFileURL } from "node:url";
import { answers } from "./judge.mjs";
import { prepare } from "./mutants.mjs";
import { readRows } from "./execute.mjs";
import { scenarios } from "./scenarios.mjs";

const isNumber = (text) => /^\d+(\.\d+)?$/.test(text);

/** The names of those details that are a number in every alert. */
export function counts(alerts) {
  const names = new Set(alerts.flatMap(({ details }) => Object.keys(details)));
  return [...names].filter((name) => alerts.every(({ details }) => isNumber(details[name])));
}

/** What alerts say besides names, in an order of its own. */
export function outline(alerts, numbers) {
  const outlines = alerts.map(({ severity, entities, details }) =>
    JSON.stringify([severity, entities.map((it) => it.split(" ")[0]), numbers.map((name) => details[name])]));
  return outlines.sort().join();
}

export function main(args = process.argv.slice(2), print = console.log) {
  const { options, world, rules } = prepare(args, { treated: { type: "string", multiple: true } });
  const others = options.treated.map((file) => world.over(readRows(file)));
  const losing = others.map(() => []);
  for (const rule of rules) {
    const { cases } = scenarios.get(rule.file);
    const [before, ...after] = [world, ...others].map((it) => cases.map(answers(it, rule, rule.query)));
    after.forEach((found, other) => {
      const numbers = counts([...before, ...found].flat());
      const isLost = before.some((alerts, index) => outline(alerts, numbers) !== outline(found[index], numbers));
      if (isLost) losing[other].push(rule.file);
    });
  }
  losing.forEach((files) => print(JSON.stringify(files)));
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
