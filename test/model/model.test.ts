import { describe, expect, it } from 'vitest';
import { explore, type Exploration } from './explore.js';
import { HISTORIES, parseHistory } from './history.js';
import type { World } from './moves.js';
import { RULE_NAMES, type Rule } from './rules.js';
import type { StoreKind } from './store.js';

const STORES = ['secrets-manager', 'ssm'] as const satisfies StoreKind[];
/** For a busy machine. On a free core one exploration takes about two seconds. */
const TIMEOUT_MS = 120_000;
/** Faults in one run. `npm test` explores one. */
const FAULTS = Number(process.env['TEST_MODEL_FAULTS'] ?? 2);
const LEAST_STATES = FAULTS < 2 ? 250 : 5_000;

function run(
  history: string,
  store: StoreKind,
  options: { without?: Rule; faults?: number; moves?: number } & Partial<World> = {},
): Exploration {
  const { without, faults = FAULTS, moves = 0, ...more } = options;
  const world: World = {
    history: parseHistory(history),
    stores: moves > 0 ? [store, store] : [store],
    rules: (rule) => rule !== without,
    lateSends: false,
    longClaims: false,
    ...more,
  };
  return explore(world, { faults, moves, maxStates: 400_000 });
}

describe('with a change of manager at any moment, every history holds', () => {
  it.each(HISTORIES.flatMap((history) => STORES.map((store) => [history, store] as const)))(
    '%s in %s',
    (history, store) => {
      const { counterExample, isComplete } = run(history, store, { moves: 1, faults: 0 });
      expect(counterExample?.steps ?? []).toEqual([]);
      expect(isComplete).toBe(true);
    },
    TIMEOUT_MS,
  );
});

describe(`with all rules, every history holds under ${FAULTS} ${FAULTS === 1 ? 'fault' : 'faults'}`, () => {
  it.each(HISTORIES.flatMap((history) => STORES.map((store) => [history, store] as const)))(
    '%s in %s',
    (history, store) => {
      const { counterExample, isComplete, states } = run(history, store);
      expect(counterExample?.steps ?? []).toEqual([]);
      expect(isComplete).toBe(true);
      expect(states).toBeGreaterThan(LEAST_STATES);
    },
    TIMEOUT_MS,
  );

  it.each([
    ['A|B', 'secrets-manager'],
    ['A|D', 'ssm'],
  ] as const)(
    '%s in %s, with a change of manager and one fault',
    (history, store) => {
      const { counterExample, isComplete } = run(history, store, { moves: 1, faults: 1 });
      expect(counterExample?.steps ?? []).toEqual([]);
      expect(isComplete).toBe(true);
    },
    TIMEOUT_MS,
  );
});

/** For each rule: a history that needs it, what goes wrong without it, and how many faults that takes. */
const NEEDED: Record<Exclude<Rule, 'claim-kept'>, readonly [string, StoreKind, number, RegExp]> = {
  'publish-under-claim': ['A|D', 'secrets-manager', 0, /last record is revision 1, the newest is 2/],
  'epoch-in-token': ['A,A|B', 'secrets-manager', 1, /the store holds A/],
  'unknown-runs-out': ['A|B', 'ssm', 1, /the store holds/],
  'commit-raises-epoch': ['A|D', 'secrets-manager', 1, /an older state overwrites a newer one/],
  'order-per-field': ['A,m|B', 'secrets-manager', 0, /the newest value is B, the database refers to A/],
  'writing-retired': ['A|D', 'secrets-manager', 1, /left forever in the state writing/],
  'janitor-claim': ['A|n,A', 'secrets-manager', 0, /a live secret is not in the store/],
  'retire-in-commit': ['A|D', 'secrets-manager', 1, /a secret that nothing refers to stays/],
  'durable-scan': ['A|m', 'secrets-manager', 1, /an event waits forever/],
  'recorded-version': ['A,A|B', 'secrets-manager', 0, /the store holds B/],
  suspect: ['A|B', 'ssm', 1, /in the store/],
  'abandoned-in-doubt': ['A|B', 'ssm', 1, /the store holds B/],
  'plan-under-lock': ['A|D', 'secrets-manager', 0, /an older state overwrites a newer one/],
  'claim-before-write': ['A|B', 'ssm', 1, /in the store/],
  'epoch-at-commit': ['A|D', 'secrets-manager', 1, /an older state overwrites a newer one/],
  'order-check': ['A|D', 'secrets-manager', 0, /an older state overwrites a newer one/],
  'overtaken-kept': ['A|D', 'secrets-manager', 1, /revision 1 is never published/],
  'epoch-at-mark': ['A|D', 'secrets-manager', 1, /last record is revision 1, the newest is 2/],
  relay: ['A|m', 'secrets-manager', 1, /a committed state is never published/],
  'order-of-effects': ['A|D', 'secrets-manager', 1, /acknowledged, and nothing became of it/],
  watermark: ['A,A|B', 'secrets-manager', 1, /acknowledged, and nothing became of it/],
  'repair-marked': ['A|B', 'ssm', 2, /the store holds A/],
};

describe('there is a counter-example for each missing rule', () => {
  it.each(Object.entries(NEEDED))(
    '%s',
    (rule, [history, store, faults, violation]) => {
      const moves = rule === 'recorded-version' ? 1 : 0;
      const { counterExample } = run(history, store, { without: rule as Rule, faults, moves });
      expect(counterExample?.violation).toMatch(violation);
      expect(counterExample?.steps.length).toBeLessThan(30);
    },
    TIMEOUT_MS,
  );

  it('every rule is tried, except for one that other rules cover', () => {
    expect([...Object.keys(NEEDED), 'claim-kept'].sort()).toEqual([...RULE_NAMES].sort());
  });

  it.each([
    ['A|D', 'ssm'],
    ['A|n,A', 'ssm'],
  ] as const)(
    'claim-kept, %s: a name stays `writing` or `deleting`, or in doubt, for as long as a late request can land',
    (history, store) => {
      expect(run(history, store, { without: 'claim-kept' }).counterExample).toBeNull();
    },
    TIMEOUT_MS,
  );
});

describe('what is not promised', () => {
  it(
    'a send that arrives after its claim ran out puts an old record last',
    () => {
      const { counterExample } = run('A|D', 'ssm', { lateSends: true, faults: 1 });
      expect(counterExample?.violation).toMatch(/last record is revision 1, the newest is 2/);
    },
    TIMEOUT_MS,
  );

  it(
    'a claim that is renewed for longer than requests can be late outlives its own marks',
    () => {
      const { counterExample } = run('A|n,A', 'ssm', { longClaims: true, faults: 2 });
      expect(counterExample?.violation).toMatch(/a live secret is not in the store/);
    },
    TIMEOUT_MS,
  );
});

describe('the notation of histories', () => {
  it('numbers the events by their order, created before updated', () => {
    const { events, partitions } = parseHistory('A|B,D');
    expect(events.map(({ kind, order }) => `${kind}${order}`)).toEqual(['A1', 'B2', 'D3']);
    expect(partitions).toEqual([[0], [1, 2]]);
    expect(parseHistory('A,m|B').partitions).toEqual([[0, 2], [1]]);
  });

  it.each(['', 'A', 'A|B|D', 'A|x'])('refuses %j', (text) => {
    expect(() => parseHistory(text)).toThrow(RangeError);
  });
});
