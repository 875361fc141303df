import { describe, expect, it } from 'vitest';
import { describeWith, type DatabaseEngine } from '../../harness/index.js';
import type { StoreLimits } from '../../../src/secrets-managers/port.js';
import type { ManagerName } from '../../../src/terms.js';
import {
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
  PASSWORD_PATH,
} from '../../components/pipeline/events.js';
import { gate } from '../../components/pipeline/fake-outlet.js';
import { Bench, codeOf, type BenchOptions, type BenchWorker } from '../../components/pipeline/fixture.js';

const SIGNAL = new AbortController().signal;
const RENAMED_ID = PASSWORD_ID.replace('mysql-test', 'renamed');
const TOKEN_PATH = '/connection/config/sslToken';

interface Moving {
  readonly bench: Bench;
  /** Of the manager that was active before. */
  readonly w1: BenchWorker;
  /** Of the new one; there is none before {@link Moving.change}. */
  change(to?: ManagerName, limits?: Partial<StoreLimits>): Promise<BenchWorker>;
}

async function open(options: BenchOptions = {}): Promise<Moving> {
  const bench = await Bench.open(options);
  return {
    bench,
    w1: await bench.worker(),
    change: async (to = 'local', limits = {}) => {
      await bench.changeManager(to);
      return bench.worker({}, to, limits);
    },
  };
}

async function managerOf(bench: Bench, id = CONNECTION): Promise<unknown> {
  const [row] = await bench.query(`SELECT manager FROM connection WHERE id = '${id}'`);
  return row?.['manager'];
}

const FREE = { signal: SIGNAL, admitWrite: () => Promise.resolve() };

describe('an event under another manager brings its connection along', () => {
  it('a mask: the recorded version is copied, with the fingerprint that belongs to it, in one secured event', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    expect(await w2.handle(eventRecord({ password: MASKED, at: 2 }))).toBe('applied');
    const target = bench.storeOf('local');
    expect(await target.valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(bench.topics.securedOf(CONNECTION)).toHaveLength(2);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({
      manager: 'local',
      operation: 'updated',
      revision: 2,
    });
    expect(await bench.storedBy()).toEqual({
      [`in-memory ${PASSWORD_ID}`]: 'retired',
      [`local ${PASSWORD_ID}`]: 'live',
    });
    // The same text again costs no write: the fingerprint came along.
    expect(await w2.handle(eventRecord({ password: 'MARK-a', at: 3 }))).toBe('applied');
    expect(target.writes).toBe(1);
    await bench.expectNoLeak();
  });

  it('a text, changed or not, is written to the new store; the old one is not even read', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    bench.closed.add('in-memory');
    expect(await w2.handle(eventRecord({ password: 'MARK-a', at: 2 }))).toBe('applied');
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await managerOf(bench)).toBe('local');
  });

  it('cleared: nothing is copied, the old one is retired', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    expect(await w2.handle(eventRecord({ password: null, at: 2 }))).toBe('applied');
    expect(bench.storeOf('local').writes).toBe(0);
    expect(await bench.storedBy()).toEqual({ [`in-memory ${PASSWORD_ID}`]: 'retired' });
    expect(await managerOf(bench)).toBe('local');
  });

  it('deleted: what the former store has is retired, and deleted there after its grace', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    expect(await w2.handle(deletion(2))).toBe('applied');
    await bench.endGrace();
    expect(await w2.janitor.run(SIGNAL)).toMatchObject({ deleted: 1 });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBeNull();
  });

  it('renamed: one copy, under the new name', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    expect(await w2.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }))).toBe('applied');
    expect(await bench.storeOf('local').valueOf(RENAMED_ID)).toBe('MARK-a');
    expect(bench.storeOf('local').writes).toBe(1);
    expect(await bench.storedBy()).toEqual({
      [`in-memory ${PASSWORD_ID}`]: 'retired',
      [`local ${RENAMED_ID}`]: 'live',
    });
  });

  it('a reference to its own id and an external one: the first is copied, the second stays as it is', async () => {
    const { bench, w1, change } = await open();
    const external = 'secret:/team/mysql/ca';
    await w1.handle(eventRecord({ config: { password: 'MARK-a', sslToken: external }, at: 1 }));
    const w2 = await change();
    const again = eventRecord({ config: { password: `secret:${PASSWORD_ID}`, sslToken: external }, at: 2 });
    expect(await w2.handle(again)).toBe('applied');
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(bench.topics.lastOf(CONNECTION)?.secretFields).toEqual([
      { path: PASSWORD_PATH, reference: `secret:${PASSWORD_ID}`, owned: true },
      { path: TOKEN_PATH, reference: external, owned: false },
    ]);
  });

  it('a reference to another field of it: the value moves to the id of the field that has it now', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    const moved = eventRecord({ config: { sslToken: `secret:${PASSWORD_ID}` }, at: 2 });
    expect(await w2.handle(moved)).toBe('applied');
    const id = PASSWORD_ID.replace('/password', '/ssltoken');
    expect(await bench.storeOf('local').valueOf(id)).toBe('MARK-a');
    expect(await bench.storedBy()).toEqual({
      [`in-memory ${PASSWORD_ID}`]: 'retired',
      [`local ${id}`]: 'live',
    });
    // Its fingerprint is bound to the field it came from: the same text is written again, and then known.
    for (const at of [3, 4])
      expect(await w2.handle(eventRecord({ config: { sslToken: 'MARK-a' }, at }))).toBe('applied');
    expect(bench.storeOf('local').writes).toBe(2);
  });

  it('an older event that still sets a field takes the other fields along', async () => {
    const { bench, w1, change } = await open();
    const both = (password: string, sslToken: string, at: number) =>
      eventRecord({ config: { password, sslToken }, at });
    await w1.handle(both('MARK-a', 'MARK-t', 1));
    await w1.handle(both(MASKED, MASKED, 3));
    const w2 = await change();
    expect(await w2.handle(eventRecord({ config: { password: 'MARK-b', sslToken: MASKED }, at: 2 }))).toBe(
      'applied',
    );
    const target = bench.storeOf('local');
    expect(await target.valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(await target.valueOf(PASSWORD_ID.replace('/password', '/ssltoken'))).toBe('MARK-t');
    expect(await managerOf(bench)).toBe('local');
  });

  it('the new store does not take the value of a masked field: refused before any write, the connection stays whole', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ config: { password: 'MARK-{{x}}', sslToken: 'MARK-t' }, at: 1 }));
    const w2 = await change('local', { refusedTexts: ['{{'] });
    const masked = eventRecord({ config: { password: MASKED, sslToken: 'MARK-u' }, at: 2 });
    expect(await w2.handle(masked)).toBe('refused');
    expect(w2.last()).toMatchObject({ code: 'VALUE_REFUSED_BY_STORE' });
    expect(bench.storeOf('local').writes).toBe(0);
    expect(await managerOf(bench)).toBe('in-memory');
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-{{x}}');
    // Events win over the migration: one that replaces the value goes through.
    expect(await w2.handle(eventRecord({ config: { password: 'MARK-b', sslToken: 'MARK-u' }, at: 3 }))).toBe(
      'applied',
    );
    expect(await managerOf(bench)).toBe('local');
    await bench.expectNoLeak();
  });

  it('the former store is away: the event comes again, and is applied when it is back', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    bench.closed.add('in-memory');
    const masked = eventRecord({ password: MASKED, at: 2 });
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toMatchObject({
      kind: 'failed',
      code: 'STORE_UNAVAILABLE',
    });
    expect(await codeOf(w2.handle(masked))).toBe('STORE_UNAVAILABLE');
    expect(await w2.janitor.run(SIGNAL)).toMatchObject({ deleted: 0 });
    bench.closed.clear();
    expect(await w2.handle(masked)).toBe('applied');
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it('the recorded version is gone from the former store: a dead letter that names the field', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.store.inner.delete(
      [{ reference: `secret:${PASSWORD_ID}`, connectionId: CONNECTION, isCommitted: true }],
      FREE,
    );
    const w2 = await change();
    expect(await w2.handle(eventRecord({ password: MASKED, at: 2 }))).toBe('refused');
    expect(w2.last()).toMatchObject({ code: 'SECRET_VERSION_GONE' });
  });
});

describe('values that stay in the database, and those that go into it', () => {
  it('from a store to db and back: the row holds the value, then the name again', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change('db');
    expect(await w2.handle(eventRecord({ password: MASKED, at: 2 }))).toBe('applied');
    const [row] = await bench.query('SELECT holds, secret_id FROM secret_reference');
    expect(row).toEqual({ holds: 'value', secret_id: null });
    expect(bench.topics.lastOf(CONNECTION)?.secretFields[0]?.reference).toMatch(/^fernet:/);
    expect(await bench.storedBy()).toEqual({ [`in-memory ${PASSWORD_ID}`]: 'retired' });
    await bench.changeManager('local');
    const w3 = await bench.worker({}, 'local');
    expect(await w3.handle(eventRecord({ password: MASKED, at: 3 }))).toBe('applied');
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await w3.handle(eventRecord({ password: 'MARK-a', at: 4 }))).toBe('applied');
    expect(bench.storeOf('local').writes).toBe(1);
    await bench.expectNoLeak();
  });

  it('a secured event that would be too large with the tokens in it is refused, the connection stays', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: `MARK-${'a'.repeat(2_000)}`, at: 1 }));
    const w2 = await change('db');
    w2.outlet.maxBytes = 1_500;
    expect(await w2.handle(eventRecord({ password: MASKED, at: 2 }))).toBe('refused');
    expect(w2.last()).toMatchObject({ code: 'OUTPUT_TOO_LARGE' });
    expect(await managerOf(bench)).toBe('in-memory');
    expect(await bench.storedBy()).toEqual({ [`in-memory ${PASSWORD_ID}`]: 'live' });
  });
});

describe('back to a manager that was left before', () => {
  it('what is retired there is used again: written anew, and not deleted at the end of its grace', async () => {
    const { bench, w1, change } = await open();
    await w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const w2 = await change();
    await w2.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    await bench.changeManager('in-memory');
    const w3 = await bench.worker();
    expect(await w3.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    await bench.endGrace();
    expect(await w3.janitor.run(SIGNAL)).toMatchObject({ deleted: 1 });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBeNull();
  });
});

function describeMoves(engine: DatabaseEngine): void {
  const begin = async (options: BenchOptions = {}) => {
    const moving = await open({ engine, ...options });
    await moving.w1.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    return moving;
  };

  it('without an event: copied, committed and published as migrated, once', async () => {
    const { bench, change } = await begin();
    const w2 = await change();
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'settled' });
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-a');
    const [first, second, ...more] = bench.topics.securedOf(CONNECTION);
    expect(more).toEqual([]);
    expect(second).toMatchObject({
      operation: 'migrated',
      manager: 'local',
      revision: 2,
      source: first?.source,
    });
    const audit = await bench.query(
      `SELECT action, actor FROM audit WHERE actor = 'cli:tester' ORDER BY action`,
    );
    expect(audit.map(({ action }) => action)).toEqual(['create', 'migrate', 'retire']);
    await bench.expectNoLeak();
  });

  it('soft-deleted ones move, hard-deleted ones do not', async () => {
    const { bench, w1, change } = await begin();
    await w1.handle(eventRecord({ password: 'MARK-b', at: 2, eventType: 'entitySoftDeleted' }));
    await w1.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-o', at: 1 }));
    await w1.handle(deletion(2, { id: OTHER, name: 'other' }));
    const w2 = await change();
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
    expect(await w2.mover.move(OTHER, SIGNAL)).toEqual({ kind: 'settled' });
    const [row] = await bench.query(`SELECT state, manager FROM connection WHERE id = '${CONNECTION}'`);
    expect(row).toEqual({ state: 'softDeleted', manager: 'local' });
  });

  it('#10: a value that somebody has put and not committed is not copied in place of the recorded one', async () => {
    const { bench, w1, change } = await begin();
    bench.store.arm('lost-after');
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-b', at: 2 })))).toBe('STORE_UNAVAILABLE');
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
    await bench.expireClaims();
    const w2 = await change();
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
    const target = bench.storeOf('local');
    expect(await target.valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await w2.handle(eventRecord({ password: 'MARK-a', at: 3 }))).toBe('applied');
    expect(target.writes).toBe(1);
    // #6, also of the former manager: what the lost claim left there is retired, in doubt, and goes.
    const [left] = await bench.query(
      `SELECT state, suspect_until_ms FROM stored_secret WHERE manager = 'in-memory'`,
    );
    expect(left?.['state']).toBe('retired');
    expect(Number(left?.['suspect_until_ms'])).toBeGreaterThan(0);
    await bench.endGrace();
    await w2.janitor.run(SIGNAL);
    expect(await bench.store.valueOf(PASSWORD_ID)).toBeNull();
  });

  it('a worker of the former manager that is still writing is refused its commit, and ends', async () => {
    const { bench, w1, change } = await begin();
    const held = gate();
    bench.store.afterPut = held.pass;
    const writing = codeOf(w1.handle(eventRecord({ password: 'MARK-b', at: 2 })));
    await held.reached;
    const w2 = await change();
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'busy' });
    held.open();
    expect(await writing).toBe('MANAGER_MISMATCH');
    await bench.expireClaims();
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-a');
    expect(await codeOf(w1.handle(eventRecord({ password: 'MARK-c', at: 3 })))).toBe('MANAGER_MISMATCH');
  });

  it('an event that arrives during the copy waits for it and wins', async () => {
    const { bench, change } = await begin();
    const w2 = await change();
    const w3 = await bench.worker({}, 'local');
    const held = gate();
    bench.storeOf('local').afterPut = held.pass;
    const moving = w2.mover.move(CONNECTION, SIGNAL);
    await held.reached;
    const event = w3.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    held.open();
    bench.storeOf('local').afterPut = () => Promise.resolve();
    expect(await moving).toEqual({ kind: 'moved', values: 1 });
    expect(await event).toBe('applied');
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBe('MARK-b');
    expect(bench.topics.securedOf(CONNECTION).map(({ operation }) => operation)).toEqual([
      'updated',
      'migrated',
      'updated',
    ]);
  });

  it('two migrations at once: each connection is moved by one of them', async () => {
    const { bench, change } = await begin();
    const w2 = await change();
    const w3 = await bench.worker({}, 'local');
    const kinds = (await Promise.all([w2, w3].map(({ mover }) => mover.move(CONNECTION, SIGNAL)))).map(
      ({ kind }) => kind,
    );
    expect(kinds.filter((kind) => kind === 'moved')).toHaveLength(1);
    expect(bench.topics.securedOf(CONNECTION)).toHaveLength(2);
    expect(bench.storeOf('local').writes).toBe(1);
  });

  it.each(['throttle', 'lost', 'lost-after', 'late'] as const)(
    'the new store fails the write (%s): the connection stays whole, and moves later',
    async (fault) => {
      const { bench, change } = await begin();
      const w2 = await change();
      const target = bench.storeOf('local');
      target.arm(fault);
      expect(await w2.mover.move(CONNECTION, SIGNAL)).toMatchObject({
        kind: 'failed',
        code: 'STORE_UNAVAILABLE',
      });
      expect(await managerOf(bench)).toBe('in-memory');
      if (fault !== 'throttle') expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'busy' });
      await bench.expireClaims();
      expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
      await target.land();
      // What landed late is put right: the name was in doubt.
      await bench.endDoubt();
      await w2.janitor.run(SIGNAL);
      expect(await target.valueOf(PASSWORD_ID)).toBe('MARK-a');
      expect(await managerOf(bench)).toBe('local');
    },
  );

  it('the new store denies the name while it grants others: that connection fails and stays whole', async () => {
    const { bench, w1, change } = await begin();
    await w1.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-o', at: 1 }));
    const w2 = await change();
    bench.storeOf('local').arm('access', { secretId: PASSWORD_ID });
    expect(await w2.mover.move(OTHER, SIGNAL)).toMatchObject({ kind: 'moved' });
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toMatchObject({ kind: 'failed', code: 'STORE_DENIED' });
    expect(await managerOf(bench)).toBe('in-memory');
    expect(await bench.storedBy()).toMatchObject({
      [`in-memory ${PASSWORD_ID}`]: 'live',
      [`local ${PASSWORD_ID}`]: 'retired',
    });
  });

  it('what cannot be read back as it was written is not committed', async () => {
    const { bench, change } = await begin();
    const w2 = await change();
    const target = bench.storeOf('local');
    target.garbles = true;
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toMatchObject({
      kind: 'failed',
      code: 'STORE_UNAVAILABLE',
    });
    expect(await managerOf(bench)).toBe('in-memory');
    target.garbles = false;
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
  });

  it('a broker that is away does not hold the migration: the relay publishes it', async () => {
    const { bench, change } = await begin();
    const w2 = await change();
    w2.outlet.failures = 1;
    expect(await w2.mover.move(CONNECTION, SIGNAL)).toEqual({ kind: 'moved', values: 1 });
    expect(bench.topics.securedOf(CONNECTION)).toHaveLength(1);
    await bench.expireClaims();
    expect(await w2.relay.run(SIGNAL)).toBe(1);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ operation: 'migrated', revision: 2 });
  });
}

describe('moving a connection, on SQLite', () => {
  describeMoves('sqlite');
});

describeWith(['postgres'], 'moving a connection, on PostgreSQL', () => {
  describeMoves('postgres');
});

describeWith(['mariadb'], 'moving a connection, on MariaDB', () => {
  describeMoves('mariadb');
});
