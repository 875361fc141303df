import { explore, type Exploration } from './explore.js';
import { HISTORIES, parseHistory } from './history.js';
import type { World } from './moves.js';
import { isRule, RULE_NAMES, RULES, type Rule } from './rules.js';
import { STORE_NAMES, type StoreKind } from './store.js';

const { argv } = process;
const valueOf = (flag: string): string | undefined => {
  const at = argv.indexOf(flag);
  return at === -1 ? undefined : argv[at + 1];
};
const off = (valueOf('--without') ?? '').split(',').filter((name) => name !== '');
for (const name of off)
  if (!isRule(name)) throw new RangeError(`no rule ${name}; the rules are ${RULE_NAMES.join(', ')}`);
const without = new Set(off as Rule[]);
const faults = Number(valueOf('--faults') ?? 2);
const moves = Number(valueOf('--moves') ?? 0);
const maxStates = Number(valueOf('--max-states') ?? 3_000_000);
const histories = valueOf('--history') === undefined ? HISTORIES : [valueOf('--history') as string];
const stores = (valueOf('--store') === undefined ? STORE_NAMES : [valueOf('--store')]) as StoreKind[];

/** Prints one line, and the counter-example if there is one. */
function print(
  history: string,
  store: StoreKind,
  { states, transitions, durationMs, isComplete, counterExample }: Exploration,
): void {
  const rate = Math.round((states / durationMs) * 1_000);
  const verdict =
    counterExample === null ? (isComplete ? 'holds' : 'limit reached') : counterExample.violation;
  process.stdout.write(
    `${history.padEnd(8)} ${store.padEnd(16)} ${String(states).padStart(9)} states ${String(transitions).padStart(10)} steps ${String(rate).padStart(7)}/s  ${verdict}\n`,
  );
  counterExample?.steps.forEach((step, index) =>
    process.stdout.write(`  ${String(index + 1).padStart(2)} ${step}\n`),
  );
}

for (const rule of without) process.stdout.write(`without ${rule} (${RULES[rule]})\n`);
for (const text of histories)
  for (const store of stores) {
    const world: World = {
      history: parseHistory(text),
      stores: moves > 0 ? [store, store] : [store],
      rules: (rule) => !without.has(rule),
      lateSends: argv.includes('--late-sends'),
      longClaims: argv.includes('--long-claims'),
    };
    print(text, store, explore(world, { faults, moves, maxStates }));
  }
