import { describe, expect, it } from 'vitest';
import type { ManagerName } from '../../../src/terms.js';
import { CONNECTION, eventRecord, MASKED, OTHER, PASSWORD_ID } from '../pipeline/events.js';
import { configOf } from '../pipeline/sent-event.js';
import { openMovingBench, resolved, storedByManager } from './fixture.js';
import { TEST_CHANGE } from './test-change.js';

const KEEPS = {
  db: 'database',
  local: 'store',
  'managed-aws': 'store',
  aws: 'database',
  'managed-aws-ssm': 'store',
  'aws-ssm': 'database',
} as const;
const MANAGERS = Object.keys(KEEPS) as (keyof typeof KEEPS)[];
/** Around in a ring, both ways: each manager is left and joined by ones of both kinds. */
const PAIRS = MANAGERS.flatMap((from, place) => {
  const to = MANAGERS[(place + 1) % MANAGERS.length] ?? from;
  return [[from, to] as const, [to, from] as const];
});

const FIELDS = {
  password: 'MARK-password',
  connectionOptions: { apiToken: 'MARK-token', plain: 'yes' },
};

describe.each(PAIRS)('from %s to %s', (from, to) => {
  it('the values of a connection are moved, with one secured event, and the former secrets are retired', async () => {
    const { bench, aws, startUnder, moveAll } = await openMovingBench(from);
    await bench.handle(eventRecord({ config: FIELDS, at: 1 }));
    await startUnder(to);
    expect(await moveAll()).toEqual(['moved']);

    expect(bench.sent(CONNECTION)).toMatchObject({
      operation: 'migrated',
      revision: 2,
      manager: to,
      secretFields: [{ owned: true }, { owned: true }],
    });
    expect(await resolved(bench)).toBe('MARK-password');
    expect(await resolved(bench, { path: '/connection/config/connectionOptions/apiToken' })).toBe(
      'MARK-token',
    );
    expect(configOf(bench.sent(CONNECTION))).toMatchObject({
      username: 'u',
      connectionOptions: { plain: 'yes' },
    });
    const states = Object.entries(await storedByManager(bench));
    expect(states.filter(([key]) => key.startsWith(`${from} `)).map(([, state]) => state)).toEqual(
      KEEPS[from] === 'store' ? ['retired', 'retired'] : [],
    );
    expect(states.filter(([key]) => key.startsWith(`${to} `)).map(([, state]) => state)).toEqual(
      KEEPS[to] === 'store' ? ['live', 'live'] : [],
    );

    // Once more: nothing is left to do; the same text costs nothing, also after the move.
    expect(await moveAll()).toEqual([]);
    const { calls } = bench;
    await bench.handle(eventRecord({ config: FIELDS, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied', writes: 0 });
    expect(bench.calls).toBe(calls);
    expect(await resolved(bench)).toBe('MARK-password');

    // After the grace nothing is left in the former store, and everything in the new one.
    await bench.endGrace();
    await bench.tidy();
    expect(await resolved(bench)).toBe('MARK-password');
    const left = Object.entries(await storedByManager(bench)).filter(([key]) => key.startsWith(`${from} `));
    expect(left.map(([, state]) => state).filter((state) => state !== 'deleted')).toEqual([]);
    if (!to.startsWith('managed-aws'))
      expect(aws.secrets().filter(({ scheduledForDeletion }) => !scheduledForDeletion)).toEqual([]);
    await bench.expectNowhereElse('MARK-');
  });

  it('an event that comes first moves the connection in its own commit: masked, unchanged, changed, cleared', async () => {
    const { bench, startUnder, moveAll } = await openMovingBench(from);
    const value = (name: string): string => `MARK-${name}`;
    const config = {
      password: value('masked'),
      connectionOptions: { aToken: value('same'), bToken: value('before'), cToken: value('gone') },
    };
    await bench.handle(eventRecord({ config, at: 1 }));
    await startUnder(to);
    await bench.handle(
      eventRecord({
        config: {
          password: MASKED,
          connectionOptions: { aToken: value('same'), bToken: value('after'), cToken: null },
        },
        at: 2,
      }),
    );
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    expect(bench.sent(CONNECTION)).toMatchObject({ operation: 'updated', revision: 2, manager: to });
    expect(await resolved(bench)).toBe(value('masked'));
    expect(await resolved(bench, { path: '/connection/config/connectionOptions/aToken' })).toBe(
      value('same'),
    );
    expect(await resolved(bench, { path: '/connection/config/connectionOptions/bToken' })).toBe(
      value('after'),
    );
    expect(bench.sent(CONNECTION)?.secretFields).toHaveLength(3);
    expect(await moveAll()).toEqual([]);
    const former = Object.entries(await storedByManager(bench)).filter(([key]) => key.startsWith(`${from} `));
    expect(former.map(([, state]) => state)).toEqual(
      KEEPS[from] === 'store' ? ['retired', 'retired', 'retired', 'retired'] : [],
    );
    await bench.expectNowhereElse('MARK-');
  });
});

const moving = (from: ManagerName): ReturnType<typeof openMovingBench> => openMovingBench(from);

describe('what moves with a connection', () => {
  it('references of users stay as they are', async () => {
    const { bench, aws, startUnder, moveAll } = await moving('managed-aws');
    await bench.handle(eventRecord({ password: 'secret:/team-a/x', at: 1 }));
    await startUnder('managed-aws-ssm');
    aws.clearCalls();
    expect(await moveAll()).toEqual(['moved']);
    expect(bench.sent(CONNECTION)?.secretFields).toMatchObject([
      { reference: 'secret:/team-a/x', owned: false },
    ]);
    expect(aws.calls).toEqual([]);
  });
});

describe('what cannot be moved as it is', () => {
  it('a value that is too long for the new store stays where it is; an event that replaces it goes on', async () => {
    const { bench, startUnder, moveAll } = await moving('managed-aws');
    const long = `MARK-${'x'.repeat(5_000)}`;
    await bench.handle(eventRecord({ password: long, at: 1 }));
    await startUnder('managed-aws-ssm');
    expect(await moveAll()).toEqual(['VALUE_TOO_LONG']);
    expect(bench.sent(CONNECTION)).toMatchObject({ revision: 1, manager: 'managed-aws' });
    expect(await storedByManager(bench)).toMatchObject({
      [`managed-aws ${PASSWORD_ID}`]: 'live',
      [`managed-aws-ssm ${PASSWORD_ID}`]: 'retired',
    });
    await bench.handle(eventRecord({ password: MASKED, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_TOO_LONG' });
    await bench.handle(eventRecord({ password: 'MARK-short', at: 3 }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    expect(await resolved(bench)).toBe('MARK-short');
    expect(await storedByManager(bench)).toMatchObject({ [`managed-aws ${PASSWORD_ID}`]: 'retired' });
    await bench.expectNowhereElse('MARK-');
  });

  it('an id that another connection has in the new store', async () => {
    const { bench, startUnder, moveAll } = await moving('db');
    await bench.handle(eventRecord({ name: 'My Svc', password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ id: OTHER, name: 'my_svc', password: 'MARK-b', at: 1 }));
    await startUnder('managed-aws');
    expect((await moveAll()).sort()).toEqual(['SECRET_ID_COLLISION', 'moved']);
    expect(await resolved(bench)).toBe('MARK-a');
  });
});

describe('which manager a start works for', () => {
  it('SECRET_MIGRATION=manual refuses, naming the command', async () => {
    const { bench, startUnder } = await moving('db');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await expect(startUnder('local', { SECRET_MIGRATION: 'manual' })).rejects.toThrow(
      'migrate-secrets --to local',
    );
    await startUnder('db');
  });

  it.each([
    ['does not answer', { kind: 'server-error' }, 'STORE_UNAVAILABLE'],
    ['denies', { kind: 'error', name: 'AccessDeniedException' }, 'STORE_ACCESS'],
  ] as const)('a store that %s is not made the active one: who works now goes on', async (_, fault, code) => {
    const { bench, aws, startUnder } = await moving('db');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    aws.fault(fault);
    await expect(startUnder('managed-aws')).rejects.toMatchObject({ code });
    // Refused if the other one were the active one by now.
    await startUnder('db');
    await bench.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    aws.clearFaults();
    await startUnder('managed-aws');
    expect(await resolved(bench)).toBe('MARK-b');
  });

  it('a worker of the former one ends at its next transaction', async () => {
    const { bench, aws } = await moving('managed-aws');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const { changeActiveManager } = await import('../../../src/database/settings.js');
    const { managerEpoch } = bench.worker.identity;
    expect(await changeActiveManager(bench.worker.database, managerEpoch, 'db', TEST_CHANGE)).toBe(true);
    expect(await changeActiveManager(bench.worker.database, managerEpoch, 'db', TEST_CHANGE)).toBe(false);
    aws.clearCalls();
    await expect(bench.handle(eventRecord({ password: 'MARK-b', at: 2 }))).rejects.toMatchObject({
      code: 'MANAGER_MISMATCH',
    });
    expect(aws.calls).toEqual([]);
  });
});
