// `npm run parts` runs the parts in the foreground, so that repeated test runs in another terminal can share them.
import { ADDRESS_VARIABLES, PART_NAMES } from './names.js';
import { startParts } from './parts.js';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const parts = await startParts((line) => {
  print(`# ${line}`);
});
for (const part of PART_NAMES) {
  const state = parts.states[part];
  if (state.up) print(`export ${ADDRESS_VARIABLES[part]}='${state.address}'`);
}
print(
  '# Paste these lines into another terminal and run `npx vitest run test/integration/…` there. Ctrl-C stops.',
);

const stay = setInterval(() => undefined, 60_000);
const end = (): void => {
  clearInterval(stay);
  void parts.stop().then(() => {
    print('# stopped');
  });
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
