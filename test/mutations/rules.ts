import type { Rule } from '../model/rules.js';

/** A rule of the protocol, and how it is taken out of a copy of the source. */
export interface Mutation {
  readonly rule: string;
  /** What the program does without it. */
  readonly without: string;
  readonly file: string;
  /** Stands there exactly once. */
  readonly text: string;
  readonly instead: string;
  /** Files of which at least one test must turn red; none of them needs a server. */
  readonly tests: readonly string[];
  /** The same rule off in the model; null where the model does not have it. */
  readonly model: ModelRun | null;
}

/** A run of the model that must print a counter-example. */
export interface ModelRun {
  readonly rule: Rule;
  readonly history: string;
  readonly store: 'secrets-manager' | 'ssm';
  readonly faults: number;
  readonly moves?: number;
}

const PROTOCOL = 'test/integration/pipeline/protocol.test.ts';
const ORDER = 'test/integration/pipeline/order.test.ts';
const JANITOR = 'test/integration/operations/janitor.test.ts';
const REPAIR = 'test/integration/operations/repair.test.ts';
const FAILURES = 'test/integration/pipeline/failures.test.ts';

export const MUTATIONS: readonly Mutation[] = [
  {
    rule: 'inbox check',
    without: 'an event that was settled is decided again',
    file: 'src/pipeline/plan.ts',
    text: `    if (this.#isSettled()) return this.#acknowledge('duplicate', false);\n`,
    instead: '',
    tests: [ORDER, FAILURES],
    model: null,
  },
  {
    rule: 'order check',
    without: 'what arrives is taken for the newest',
    file: 'src/pipeline/plan.ts',
    text: `    if (age < 0) return this.#decideStale();\n`,
    instead: '',
    tests: [ORDER],
    model: { rule: 'order-check', history: 'A|D', store: 'secrets-manager', faults: 0 },
  },
  {
    rule: 'order per field',
    without: 'an older event never sets a field that newer ones only masked',
    file: 'src/pipeline/plan.ts',
    text: 'references.filter((row) => compareOrder(row.setOrder, order) < 0)',
    instead: 'references.filter(() => false)',
    tests: [ORDER],
    model: { rule: 'order-per-field', history: 'A,m|B', store: 'secrets-manager', faults: 0 },
  },
  {
    rule: 'claim check before a write',
    without: 'a request to the store starts whatever became of the claim',
    file: 'src/pipeline/claim-guard.ts',
    text: '      requireTimeFor(holder.claim, storeTimeoutMs, clock());\n',
    instead: '',
    tests: [PROTOCOL, 'test/unit/pipeline/claim.test.ts'],
    model: { rule: 'claim-before-write', history: 'A|B', store: 'ssm', faults: 1 },
  },
  {
    rule: 'claim check before a publish',
    without: 'records are sent whatever became of the claim',
    file: 'src/pipeline/publisher.ts',
    text: '      requireTimeFor(claim, this.#outlet.requestTimeoutMs, this.#clock());\n',
    instead: '',
    tests: [PROTOCOL],
    model: { rule: 'publish-under-claim', history: 'A|D', store: 'secrets-manager', faults: 0 },
  },
  {
    rule: 'epoch at commit',
    without: 'a commit does not ask whether the claim is still its own',
    file: 'src/database/ledger.ts',
    text: '?.claimEpoch === claim.epoch',
    instead: '?.claimEpoch !== undefined',
    tests: ['test/integration/database/claims.test.ts', PROTOCOL],
    model: { rule: 'epoch-at-commit', history: 'A|D', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: 'epoch in the token',
    without: 'the idempotency token of a later claim is the same',
    file: 'src/pipeline/writer.ts',
    text: 'purpose, path, claim.epoch)',
    instead: 'purpose, path, 0)',
    tests: [PROTOCOL],
    model: { rule: 'epoch-in-token', history: 'A,A|B', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: '`writing` rule: a commit',
    without: 'a commit does not retire names that were left as `writing`',
    file: 'src/pipeline/stored-secrets.ts',
    text: `.filter(({ state }) => state === 'live' || state === 'writing')`,
    instead: `.filter(({ state }) => state === 'live')`,
    tests: [PROTOCOL],
    model: { rule: 'writing-retired', history: 'A|D', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: '`writing` rule: unchanged',
    without: 'a text counts as unchanged while its name is being written',
    file: 'src/pipeline/field-rules.ts',
    text: `      stored?.state === 'live' &&\n      stored.suspectUntilMs === null\n`,
    instead: `      stored !== undefined\n`,
    tests: [PROTOCOL],
    model: null,
  },
  {
    rule: '`writing` rule: clean-up',
    without: 'nobody looks after names that a claim has left as `writing`',
    file: 'src/operations/tidy-plan.ts',
    text: `if (row.state === 'writing') {`,
    instead: `if (row.state === 'writing' && nowMs < 0) {`,
    tests: [REPAIR, JANITOR],
    model: { rule: 'writing-retired', history: 'A|D', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: 'suspect: the mark',
    without: 'a name that another claim was writing is not in doubt',
    file: 'src/pipeline/stored-secrets.ts',
    text: `return state === 'writing' ? this.#state.nowMs + this.#context.rules.lateRequestMs : suspectUntilMs;`,
    instead: `return state === 'writing' ? null : suspectUntilMs;`,
    tests: [PROTOCOL],
    model: { rule: 'suspect', history: 'A|B', store: 'ssm', faults: 1 },
  },
  {
    rule: 'suspect: the repair',
    without: 'nobody compares what is in doubt with the store',
    file: 'src/operations/tidy-plan.ts',
    text: `} else if (row.state === 'live' && isSettled)`,
    instead: `} else if (row.state === 'live' && isSettled && nowMs < 0)`,
    tests: [REPAIR],
    model: { rule: 'suspect', history: 'A|B', store: 'ssm', faults: 1 },
  },
  {
    rule: 'watermark',
    without: 'an offset counts as done although one before it is not',
    file: 'src/kafka/watermark.ts',
    text: '    this.#completed.add(offset);\n',
    instead: '    this.#completed.add(offset);\n    this.#position = Math.max(this.#position, offset + 1);\n',
    tests: ['test/unit/kafka/watermark.test.ts', 'test/unit/kafka/batches.test.ts'],
    model: { rule: 'watermark', history: 'A,A|B', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: 'order of effects: offset last',
    without: 'an offset counts as done before its record is handled',
    file: 'src/kafka/partition-run.ts',
    text: '    this.#watermark.begin(record.offset);\n',
    instead: '    this.#watermark.begin(record.offset);\n    this.#watermark.complete(record.offset);\n',
    tests: ['test/unit/kafka/batches.test.ts'],
    model: { rule: 'order-of-effects', history: 'A|D', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: 'order of effects: commit before publish',
    without: 'records are marked as sent before they are',
    file: 'src/pipeline/publisher.ts',
    text: '    if (rows.length > 0) {\n',
    instead: '    await this.release(claim, rows.map(({ id }) => id));\n    if (rows.length > 0) {\n',
    tests: [FAILURES],
    model: { rule: 'order-of-effects', history: 'A|D', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: 'relay',
    without: 'nobody publishes what was committed and not sent',
    file: 'src/pipeline/relay.ts',
    text: '      published += await this.#publishConnection(connectionId);\n',
    instead: '',
    tests: [FAILURES],
    model: { rule: 'relay', history: 'A|m', store: 'secrets-manager', faults: 1 },
  },
  {
    rule: 'owner tag check: no tag',
    without: 'a secret that somebody else made is written over',
    file: 'src/secrets-managers/ownership.ts',
    text: `return item.adopt ? 'claim' : 'refuse';`,
    instead: `return 'claim';`,
    tests: ['test/conformance/providers.test.ts'],
    model: null,
  },
  {
    rule: 'owner tag check: another connection’s',
    without: 'a secret of another connection is written over',
    file: 'src/secrets-managers/ownership.ts',
    text: `return owner === item.takeOverFrom ? 'claim' : 'refuse';`,
    instead: `return 'claim';`,
    tests: ['test/conformance/providers.test.ts'],
    model: null,
  },
  {
    rule: 'janitor’s claim: time for each request',
    without: 'the janitor deletes although its claim has run out',
    file: 'src/operations/janitor.ts',
    text: 'const call = guard.callWithin(claim, signal);',
    instead: 'const call = { signal, admitWrite: () => Promise.resolve() };',
    tests: [PROTOCOL],
    model: { rule: 'janitor-claim', history: 'A|n,A', store: 'secrets-manager', faults: 0 },
  },
  {
    rule: 'janitor’s claim: nobody uses a name that is being deleted',
    without: 'a name is used again while its deletion may be on its way',
    file: 'src/pipeline/plan.ts',
    text: `    if (change.waitMs > 0) return { kind: 'later', waitMs: change.waitMs };\n`,
    instead: '',
    tests: [JANITOR],
    model: { rule: 'janitor-claim', history: 'A|n,A', store: 'secrets-manager', faults: 0 },
  },
];
