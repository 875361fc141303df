// `npx tsx test/faults/checker/main.ts INPUT.json`: the checker as a command. The file holds a CheckInput (types.ts).
// Exit code 0: the five invariants hold; 1: they do not; 2: wrong use.
import { readFileSync } from 'node:fs';
import { checkInvariants, describeViolations, INVARIANTS, type CheckInput, type Invariant } from './index.js';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const [file] = process.argv.slice(2);
if (file === undefined || file.startsWith('-')) {
  print('usage: main.ts INPUT.json, a CheckInput as in types.ts');
  process.exitCode = 2;
} else {
  const input = JSON.parse(readFileSync(file, 'utf8')) as CheckInput;
  const violations = await checkInvariants(input);
  for (const [number, statement] of Object.entries(INVARIANTS)) {
    const count = violations.filter(({ invariant }) => invariant === (Number(number) as Invariant)).length;
    print(`(${number}) ${statement}: ${count === 0 ? 'holds' : `VIOLATED ${count} times`}`);
  }
  if (violations.length > 0) print(describeViolations(violations));
  process.exitCode = violations.length > 0 ? 1 : 0;
}
