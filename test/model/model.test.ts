import { describe, expect, it } from 'vitest';
import { explore, type Exploration } from './explore.js';
import { HISTORIES, parseHistory } from './history.js';
import type { World } from './moves.js';
import { RULE_NAMES, type Rule } from './rules.js';
import { STORE_NAMES, type StoreKind } from './store.js';

/** For a busy machine. On a free core one exploration takes about two seconds. */
const TIMEOUT_MS = 120_000;
/** Faults in one run. `npm test` explores one. */
const FAULTS = Number(process.env['TEST_MODEL_FAULTS'] ?? 2);
/** What a store that compares and sets promises. */
const LATE = /a late request of a former claim takes the place of what a later one has written/;
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
  it.each(HISTORIES.flatMap((history) => STORE_NAMES.map((store) => [history, store] as const)))(
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
  it.each(HISTORIES.flatMap((history) => STORE_NAMES.map((store) => [history, store] as const)))(
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
    ['A|B', ['secrets-manager', 'vault']],
    ['A|D', ['vault', 'ssm']],
  ] as const)(
    '%s, with a change of manager in %j and one fault',
    (history, stores) => {
      const { counterExample, isComplete } = run(history, stores[0], { stores, moves: 1, faults: 1 });
      expect(counterExample?.steps ?? []).toEqual([]);
      expect(isComplete).toBe(true);
    },
    TIMEOUT_MS,
  );
});

/** A history that needs a rule, how many faults that takes, and what goes wrong without it. */
type Example = readonly [history: string, faults: number, violation: RegExp];

const NEEDED: Record<Exclude<Rule, 'claim-kept'>, Example> = {
  'publish-under-claim': ['A|D', 0, /last record is revision 1, the newest is 2/],
  'epoch-in-token': ['A,A|B', 1, /the store holds A/],
  'unknown-runs-out': ['A|D', 1, /a secret of ours is in the store/],
  'commit-raises-epoch': ['A|D', 1, /an older state overwrites a newer one/],
  'order-per-field': ['A,m|B', 0, /the newest value is B, the database refers to A/],
  'writing-retired': ['A|D', 1, /left forever in the state writing/],
  'janitor-claim': ['A|n,A', 0, /a live secret is not in the store/],
  'retire-in-commit': ['A|D', 1, /a secret that nothing refers to stays/],
  'durable-scan': ['A|m', 1, /an event waits forever/],
  'recorded-version': ['A,A|B', 0, /the store holds B/],
  suspect: ['A|B', 1, /in the store/],
  'abandoned-in-doubt': ['A|B', 1, /the store holds B/],
  'plan-under-lock': ['A|D', 0, /an older state overwrites a newer one/],
  'claim-before-write': ['A|B', 1, /in the store/],
  'epoch-at-commit': ['A|D', 1, /an older state overwrites a newer one/],
  'order-check': ['A|D', 0, /an older state overwrites a newer one/],
  'overtaken-kept': ['A|D', 1, /revision 1 is never published/],
  'epoch-at-mark': ['A|D', 1, /last record is revision 1, the newest is 2/],
  relay: ['A|m', 1, /a committed state is never published/],
  'order-of-effects': ['A|D', 1, /acknowledged, and nothing became of it/],
  watermark: ['A,A|B', 1, /acknowledged, and nothing became of it/],
  'expected-version': ['A|B', 1, LATE],
  'repair-marked': ['A|B', 2, /the store holds A/],
};

/** Where a store shows something else first. */
const SHOWN: Partial<Record<Rule, Partial<Record<StoreKind, Example>>>> = {
  // The late write goes over a version that was committed, and nothing says so.
  'unknown-runs-out': { ssm: ['A|B', 1, /the store holds/] },
  // The value that was read to be written over belongs to a later claim.
  'claim-before-write': { vault: ['A|B', 1, LATE] },
};

/** Where a store does not need a rule, and why. */
const NOT_NEEDED: Partial<Record<Rule, Partial<Record<StoreKind, string>>>> = {
  'epoch-in-token': { ssm: 'it has no tokens', vault: 'it has no tokens' },
  'expected-version': { 'secrets-manager': 'it does not compare', ssm: 'it does not compare' },
  'repair-marked': {
    'secrets-manager': 'a restore names the version that it takes the stage from, so a late one is refused',
    vault: 'a restore names the version that it replaces, so a late one is refused',
  },
};

const RULES_OF_STORES = Object.entries(NEEDED).flatMap(([name, needed]) =>
  STORE_NAMES.map((store) => {
    const rule = name as keyof typeof NEEDED;
    const example = SHOWN[rule]?.[store] ?? needed;
    return { rule, store, example, reason: NOT_NEEDED[rule]?.[store] ?? null };
  }),
);

function runWithout(rule: Rule, store: StoreKind, [history, faults]: Example): Exploration {
  return run(history, store, { without: rule, faults, moves: rule === 'recorded-version' ? 1 : 0 });
}

describe('there is a counter-example for each missing rule, in each store that needs it', () => {
  it.each(RULES_OF_STORES.filter(({ reason }) => reason === null))(
    '$rule in $store',
    ({ rule, store, example }) => {
      const { counterExample } = runWithout(rule, store, example);
      expect(counterExample?.violation).toMatch(example[2]);
      expect(counterExample?.steps.length).toBeLessThan(30);
    },
    TIMEOUT_MS,
  );

  it.each(RULES_OF_STORES.filter(({ reason }) => reason !== null))(
    '$rule in $store is not needed: $reason',
    ({ rule, store, example }) => {
      const { counterExample, isComplete } = runWithout(rule, store, example);
      expect(counterExample?.steps ?? []).toEqual([]);
      expect(isComplete).toBe(true);
    },
    TIMEOUT_MS,
  );

  it('every rule is tried, except for one that other rules cover', () => {
    expect([...Object.keys(NEEDED), 'claim-kept'].sort()).toEqual([...RULE_NAMES].sort());
  });

  it.each([
    ['A|D', 'ssm'],
    ['A|n,A', 'vault'],
  ] as const)(
    'claim-kept, %s in %s: a name stays `writing` or `deleting`, or in doubt, for as long as a late request can land',
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
