// Command: runs the tools for one request after another, so that the language service
// is loaded once. A request is a line of JSON, {tool, arguments}, and so is the answer to
// it, {status, stdout, stderr}: what the tool would have ended with and printed as a
// command. It ends when there are no more requests.
//
// No tool keeps anything of a request but what holds for every other one too.

import { createInterface } from "node:readline";

const TOOLS = ["check", "execute", "losses", "mutants", "pages", "rules", "scenarios"];

async function answer({ tool, arguments: args }) {
  const [stdout, stderr] = [[], []];
  const onto = (lines) => (line) => lines.push(`${line}\n`);
  let status = 1;
  try {
    if (!TOOLS.includes(tool)) throw new Error(`no tool ${tool}`);
    const { main } = await import(`./${tool}.mjs`);
    status = main(args, onto(stdout), onto(stderr));
  } catch (error) {
    onto(stderr)(error.stack);
  }
  return { status, stdout: stdout.join(""), stderr: stderr.join("") };
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
