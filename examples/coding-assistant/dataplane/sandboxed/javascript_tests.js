// Runs the tests of completions in JavaScript: a line of JSON in for each, a line of JSON out. A context of its own each.
//
// A completion has a quarter of a second and, with all others, 64 MiB; Node's permission model leaves this process no files,
// no programs and no threads. As root, it is nobody. A context is no wall: code that breaks out of one could tell lies
// about later completions, and do no more than that.
'use strict';

const { isDeepStrictEqual } = require('node:util');
const readline = require('node:readline');
const vm = require('node:vm');

const MILLISECONDS = 250;
const NOBODY = 65534;
const CONTEXT = { codeGeneration: { strings: false, wasm: false } };

function verdict(task) {
  try {
    const context = vm.createContext(Object.create(null), CONTEXT);
    const run = (code) => vm.runInContext(code, context, { timeout: MILLISECONDS, filename: 'completion' });
    run(task.code);
    for (const [given, wanted] of task.cases) {
      const said = run(`JSON.stringify(${task.name}(...JSON.parse(${JSON.stringify(JSON.stringify(given))})))`);
      const got = said === undefined ? undefined : JSON.parse(said);
      if (!isDeepStrictEqual(got, wanted)) {
        return { passed: false, why: `gives ${String(said).slice(0, 80)}, not ${JSON.stringify(wanted).slice(0, 80)}` };
      }
    }
    return { passed: true, why: '' };
  } catch (error) {
    return { passed: false, why: String(error && error.message).slice(0, 160) };
  }
}

if (process.getuid() === 0) {
  process.setgroups([]);
  process.setgid(NOBODY);
  process.setuid(NOBODY);
}
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
say({ confined: process.env.CONFINED || '' });
readline.createInterface({ input: process.stdin }).on('line', (line) => say(verdict(JSON.parse(line))));
