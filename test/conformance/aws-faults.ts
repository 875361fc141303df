import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ManagerName } from '../../src/terms.js';
import type { SecretsManager } from '../../src/secrets-managers/port.js';
import { createSecretsManager } from '../../src/secrets-managers/registry.js';
import type { ManagerDeps, StoreRequest } from '../../src/secrets-managers/settings.js';
import { startAwsStandin, type AwsStandin, type Fault } from '../harness/aws-standin/index.js';
import {
  testSettings,
  CONNECTION,
  errorOf,
  freshId,
  putItem,
  reference,
  storeCall,
  valueOf,
} from './fixture.js';

/** Of the manager that is to run into its time-out; the other one has all the time it needs on a busy machine. */
const HASTY_MS = 400;

export interface FaultBench {
  readonly standin: AwsStandin;
  readonly manager: SecretsManager;
  /** The same on the same stand-in, with a short time-out. */
  readonly hasty: SecretsManager;
  readonly throttles: () => number;
  readonly requests: StoreRequest[];
  /** Operations the stand-in saw, in order. */
  readonly operations: () => string[];
  readonly close: () => Promise<void>;
}

export async function openBench(
  name: ManagerName,
  texts: Readonly<Record<string, string>> = {},
  requestTimeoutMs = 10_000,
): Promise<FaultBench> {
  const standin = await startAwsStandin();
  let throttles = 0;
  const requests: StoreRequest[] = [];
  const settings = testSettings({ AWS_ENDPOINT_URL: standin.url, ...texts }, { requestTimeoutMs });
  const deps: ManagerDeps = {
    keys: {
      seal: (text) => Buffer.from(text).toString('base64url'),
      open: (token) => Buffer.from(token, 'base64url').toString(),
    },
    onThrottle: () => (throttles += 1),
    onRequest: (request) => requests.push(request),
  };
  const manager = await createSecretsManager(name, settings, deps);
  const hasty = await createSecretsManager(name, { ...settings, requestTimeoutMs: HASTY_MS }, deps);
  return {
    standin,
    manager,
    hasty,
    throttles: () => throttles,
    requests,
    operations: () => standin.calls.map((call) => call.operation),
    close: async () => {
      await manager.store.close();
      await hasty.store.close();
      await standin.close();
    },
  };
}

/** A fault on reading, and the class it must have: never `not-found`. */
const READ_FAULTS: readonly (readonly [string, Omit<Fault, 'secretId'>, string])[] = [
  ['access denied', { kind: 'deny' }, 'access'],
  ['throttled', { kind: 'error', name: 'ThrottlingException' }, 'transient'],
  ['an error of the service', { kind: 'server-error' }, 'transient'],
  ['no answer', { kind: 'hang' }, 'transient'],
  ['an answer that comes too late', { kind: 'slow-answer', delayMs: HASTY_MS * 2 }, 'transient'],
  ['a connection that is cut', { kind: 'drop' }, 'transient'],
  ['expired credentials', { kind: 'error', name: 'ExpiredTokenException' }, 'credentials'],
  ['an unknown error with 404', { kind: 'error', name: 'SomethingElse', status: 404 }, 'transient'],
  ['a success that says nothing', { kind: 'empty' }, 'transient'],
  ['a forbidding proxy', { kind: 'error', name: 'SomethingElse', status: 403 }, 'access'],
];

/** A fault on writing: its class, and whether the write may have been carried out. */
const WRITE_FAULTS: readonly (readonly [string, Fault, string, 'no' | 'unknown', boolean])[] = [
  ['throttled', { kind: 'error', name: 'ThrottlingException' }, 'transient', 'no', false],
  ['changes at the same time', { kind: 'error', name: 'TooManyUpdates' }, 'transient', 'no', false],
  ['access denied', { kind: 'deny' }, 'access', 'no', false],
  ['expired credentials', { kind: 'error', name: 'ExpiredTokenException' }, 'credentials', 'no', false],
  ['the key is denied', { kind: 'error', name: 'EncryptionFailure' }, 'access', 'no', false],
  ['an error of the service', { kind: 'server-error' }, 'transient', 'unknown', false],
  ['an error after success', { kind: 'server-error-after' }, 'transient', 'unknown', true],
  ['cut before', { kind: 'drop' }, 'transient', 'unknown', false],
  ['cut after success', { kind: 'drop-after' }, 'transient', 'unknown', true],
  ['no answer', { kind: 'hang' }, 'transient', 'unknown', false],
  ['no answer after success', { kind: 'hang-after' }, 'transient', 'unknown', true],
  ['a success that says nothing', { kind: 'empty' }, 'transient', 'unknown', false],
  ['the same, carried out', { kind: 'empty-after' }, 'transient', 'unknown', true],
];

/** What both AWS stores promise when the service fails, seen on the stand-in. */
export function describeAwsFaults(name: 'managed-aws' | 'managed-aws-ssm'): void {
  describe(`${name} when the service fails`, () => {
    let bench: FaultBench;
    beforeAll(async () => {
      bench = await openBench(name);
    });
    beforeEach(() => {
      bench.standin.reset();
      bench.requests.length = 0;
    });
    afterAll(async () => {
      await bench.close();
    });
    const managerFor = (fault: Omit<Fault, 'secretId'>): SecretsManager =>
      /^(hang|slow)/.test(fault.kind) ? bench.hasty : bench.manager;
    const valuesAt = (id: string): (string | null)[] =>
      bench.standin.secrets().flatMap((secret) => (secret.secretId === id ? [secret.value] : []));

    it.each(READ_FAULTS)('never takes unreadable for absent: %s', async (_name, fault, errorClass) => {
      const ids = [freshId(), freshId(), freshId()];
      await bench.manager.store.put(
        ids.map((id) => putItem(id, 'v')),
        storeCall(),
      );
      bench.standin.fault(fault);
      const { store } = managerFor(fault);
      for (const asked of [ids, ids.slice(0, 1), [...ids, freshId()]]) {
        const results = await store.get(
          asked.map((id) => ({ reference: reference(id) })),
          storeCall(),
        );
        expect(results.map((result) => errorOf(result).class)).toEqual(asked.map(() => errorClass));
      }
      const described = await store.describe(reference(ids[0] ?? ''), storeCall());
      expect(errorOf(described).class).toBe(errorClass);
      const checked = await store.check(storeCall());
      expect(errorOf(checked).class).toBe(errorClass);
      const deleted = await store.delete(
        [{ reference: reference(ids[0] ?? ''), connectionId: CONNECTION, isCommitted: true }],
        storeCall(),
      );
      expect(errorOf(deleted[0]).class).toBe(errorClass);
    });

    it('denies one id and gives the others', async () => {
      const ids = [freshId(), freshId(), freshId()];
      await bench.manager.store.put(
        ids.map((id) => putItem(id, `v${id}`)),
        storeCall(),
      );
      bench.standin.fault({ kind: 'deny', secretId: ids[1] ?? '' });
      const results = await bench.manager.store.get(
        [...ids, freshId()].map((id) => ({ reference: reference(id) })),
        storeCall(),
      );
      expect(results.map((result) => (result.ok ? 'ok' : result.error.class))).toEqual([
        'ok',
        'access',
        'ok',
        'not-found',
      ]);
    });

    for (const known of [false, true]) {
      it.each(WRITE_FAULTS)(
        `says what a write came to, one attempt only (known: ${known}): %s`,
        async (_name, fault, errorClass, applied, landed) => {
          const id = freshId();
          if (known) await bench.manager.store.put([putItem(id, 'before')], storeCall());
          bench.standin.clearCalls();
          bench.standin.fault(fault);
          const call = storeCall();
          const [result] = await managerFor(fault).store.put([putItem(id, 'MARKER-9c', { known })], call);
          expect(errorOf(result)).toMatchObject({ class: errorClass, applied });
          expect(errorOf(result).message).not.toContain('MARKER-9c');
          expect(bench.standin.calls).toHaveLength(1);
          expect(call.admitted()).toBe(1);
          expect(valuesAt(id)).toEqual(landed ? ['MARKER-9c'] : known ? ['before'] : []);
        },
      );
    }

    it('reports throttled writes, not throttled reads', async () => {
      const before = bench.throttles();
      bench.standin.fault({ kind: 'error', name: 'ThrottlingException' });
      await bench.manager.store.get([{ reference: reference(freshId()) }], storeCall());
      expect(bench.throttles()).toBe(before);
      await bench.manager.store.put([putItem(freshId(), 'v')], storeCall());
      expect(bench.throttles()).toBe(before + 1);
    });

    it('tells of each request with its result', async () => {
      await bench.manager.store.put([putItem(freshId(), 'v')], storeCall());
      bench.standin.fault({ kind: 'error', name: 'ThrottlingException' });
      await bench.manager.store.put([putItem(freshId(), 'v')], storeCall());
      expect(bench.requests.map((request) => request.result)).toEqual(['ok', 'ThrottlingException']);
      expect(new Set(bench.requests.map((request) => request.provider))).toEqual(
        new Set([bench.manager.provider]),
      );
    });

    it('ends when the caller gives up, long before the time is up', async () => {
      const slow = await openBench(name, {}, 60_000);
      slow.standin.fault({ kind: 'hang' });
      const controller = new AbortController();
      const put = slow.manager.store.put([putItem(freshId(), 'v')], storeCall({ signal: controller.signal }));
      await expect.poll(() => slow.standin.calls.length).toBe(1);
      controller.abort();
      expect(errorOf((await put)[0])).toMatchObject({ class: 'transient', applied: 'unknown' });
      await slow.close();
    });

    it('says that nothing was applied where nobody listens', async () => {
      const gone = await openBench(name);
      await gone.standin.close();
      const [result] = await gone.manager.store.put([putItem(freshId(), 'v')], storeCall());
      expect(errorOf(result)).toMatchObject({ class: 'transient', applied: 'no' });
      await gone.manager.store.close();
      await gone.hasty.store.close();
    });

    it('says when the account has no room', async () => {
      bench.standin.configure({ maxSecrets: 1, maxParameters: 1 });
      const items = [putItem(freshId(), 'v'), putItem(freshId(), 'v')];
      const results = await bench.manager.store.put(items, storeCall());
      const told = results.map((result) => (result.ok ? 'ok' : result.error.class)).sort();
      expect(told).toEqual(['ok', 'quota']);
    });

    it('repairs a write that failed after success by writing it again', async () => {
      const id = freshId();
      const item = putItem(id, 'v');
      bench.standin.fault({ kind: 'drop-after', times: 1 });
      expect(errorOf((await bench.manager.store.put([item], storeCall()))[0]).applied).toBe('unknown');
      valueOf((await bench.manager.store.put([item], storeCall()))[0]);
      expect(valuesAt(id)).toEqual(['v']);
    });
  });
}
