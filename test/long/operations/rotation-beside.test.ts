import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.js';
import type { Database } from '../../../src/database/database.js';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import { KeyRing, toSealed } from '../../../src/fernet/index.js';
import { rotatePage } from '../../../src/operations/rotate-tables.js';
import { isUnaltered } from '../../../src/pipeline/references.js';
import {
  createDatabase,
  describeWith,
  queryDatabase,
  startCli,
  tmpDir,
  waitFor,
  type DatabaseEngine,
} from '../../harness/index.js';
import { CONNECTION, eventRecord, OTHER } from '../../components/pipeline/events.js';
import { Bench } from '../../components/secrets/fixture.js';
import { BOTH, NEW, NEW_ALONE, OLD, OLD_ALONE, Rotations } from '../../components/operations/rotation.js';

const newAlone = KeyRing.parse('FERNET_KEY', NEW);
const OUTBOX_ROWS = 4_000;

async function benchOn(engine: DatabaseEngine): Promise<{ bench: Bench; rotations: Rotations }> {
  const { url } = await createDatabase(engine);
  const env = { SECRET_MANAGER: 'local', LOCAL_VAULT_FILE: join(tmpDir('vault'), 'v.vault') };
  const bench = await Bench.open({ DATABASE_URL: url, ...env, ...OLD_ALONE });
  await bench.handle(eventRecord({ password: 'MARK-one', at: 1 }));
  await bench.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-two', at: 1 }));
  return { bench, rotations: new Rotations(bench, env) };
}

/** A worker between its claim and its commit. */
async function claimedBy({ worker }: Bench, claimMs: number) {
  const { database, identity } = worker;
  const ledger = new DatabaseLedger(database, {
    claimMs,
    managerEpoch: identity.managerEpoch,
    clock: () => performance.now(),
  });
  const [result] = await ledger.claim<null>([
    {
      connectionId: CONNECTION,
      eventHash: null,
      secretIds: () => [],
      decide: () => ({ kind: 'write', plan: null, changes: {} }),
    },
  ]);
  if (result?.kind !== 'writing') throw new Error('not claimed');
  const { claim, state } = result;
  return {
    /** Writes the references as they were read; says whether it was taken. */
    commit: async () => {
      const references = { set: state.references, removePathHashes: [] };
      const changes = { connection: state.connection, references };
      const [done] = await ledger.commit([{ claim, changes }]);
      if (done != null) await ledger.settle([{ claim, sentIds: [], isPublished: false }]);
      return done != null;
    },
  };
}

async function sealedWithNew(database: Database): Promise<Record<string, boolean>> {
  const rows = await database.run(({ manager, tables }) => manager.find(tables.reference));
  return Object.fromEntries(
    rows.map((row) => [row.connectionId, newAlone.opens(row.sealed.slice('fernet:'.length))]),
  );
}

function rotateRows({ worker: { database, identity } }: Bench) {
  const { keys } = loadConfig({ DATABASE_URL: 'sqlite::memory:', ...BOTH }, { need: ['keys'] });
  return rotatePage(database, 'secret_reference', { keys, ...identity }, '');
}

/** Whether each row has the digest of what it holds, by connection. */
async function intactRows({ worker: { database, identity } }: Bench): Promise<Record<string, boolean>> {
  const rows = await database.run(({ manager, tables }) => manager.find(tables.reference));
  return Object.fromEntries(rows.map((row) => [row.connectionId, isUnaltered(row, identity.fingerprintKey)]));
}

async function addOutboxRows({ worker }: Bench): Promise<void> {
  const old = KeyRing.parse('k', OLD);
  const rows = Array.from({ length: OUTBOX_ROWS }, (_, index) => ({
    id: randomUUID(),
    connectionId: null,
    stream: 'dead-letter' as const,
    revision: 0,
    payload: toSealed(old.seal(`{"n":${index}}`)),
    createdAtMs: 1,
    sentAtMs: 1,
  }));
  await worker.database.transaction(async ({ manager, tables }) => {
    for (let start = 0; start < rows.length; start += 400)
      await manager.insert(tables.outbox, rows.slice(start, start + 400));
  });
}

function beside(engine: DatabaseEngine): void {
  it('waits for a worker that has read the old tokens and will write them back', async () => {
    const { bench } = await benchOn(engine);
    const { database } = bench.worker;
    const holder = await claimedBy(bench, 60_000);
    expect(await rotateRows(bench)).toMatchObject({
      rotated: 1,
      busy: [CONNECTION],
    });
    expect(await holder.commit()).toBe(true);
    expect(await sealedWithNew(database)).toEqual({ [CONNECTION]: false, [OTHER]: true });
    expect(await rotateRows(bench)).toMatchObject({ rotated: 1, busy: [] });
    expect(await sealedWithNew(database)).toEqual({ [CONNECTION]: true, [OTHER]: true });
  });

  it('ends an expired claim, so that its holder cannot write the old tokens back', async () => {
    const { bench } = await benchOn(engine);
    const { database } = bench.worker;
    const holder = await claimedBy(bench, 60_000);
    await bench.expireClaims();
    expect(await rotateRows(bench)).toMatchObject({ rotated: 2, busy: [] });
    expect(await holder.commit()).toBe(false);
    expect(await sealedWithNew(database)).toEqual({ [CONNECTION]: true, [OTHER]: true });
  });

  it('gives each row that it seals its digest, except for one that somebody has altered', async () => {
    const { bench } = await benchOn(engine);
    await bench.change(`UPDATE secret_reference SET secret_id = 'x' WHERE connection_id = '${OTHER}'`);
    const before = { [CONNECTION]: true, [OTHER]: false };
    expect(await intactRows(bench)).toEqual(before);
    expect(await rotateRows(bench)).toMatchObject({ rotated: 2 });
    expect(await intactRows(bench)).toEqual(before);
  });

  it('loses nothing of a worker that runs all the time, and leaves nothing under the old key', async () => {
    const { bench, rotations } = await benchOn(engine);
    await bench.restart(BOTH);
    const expected = new Map<string, string>();
    let isOver = false;
    const events = (async () => {
      for (let at = 10; !isOver; at += 1) {
        const name = `c${at % 7}`;
        await bench.handle(eventRecord({ id: `id-${name}`, name, password: `MARK-${at}`, at }));
        expected.set(name, `MARK-${at}`);
      }
    })();
    await waitFor(() => expected.size === 7, { what: 'seven connections' });
    const { code, report } = await rotations.run(BOTH);
    isOver = true;
    await events;
    expect({ code, complete: report?.complete }).toEqual({ code: 0, complete: true });
    expect(bench.failures).toEqual([]);
    await bench.restart(NEW_ALONE);
    for (const [name, value] of expected)
      expect(await bench.valueOf(`/openmetadata/database/${name}/password`)).toBe(value);
  });

  it.each(['SIGKILL', 'SIGINT'] as const)(
    'ended by %s in the middle, it goes on where it was',
    { timeout: 480_000 },
    async (signal) => {
      const { bench, rotations } = await benchOn(engine);
      await addOutboxRows(bench);
      await bench.close();
      const command = startCli(['rotate-keys'], rotations.envWith(BOTH));
      const position = async () => (await queryDatabase(bench, 'SELECT state, progress FROM operation'))[0];
      await waitFor(async () => String((await position())?.['progress']).includes('"outbox"'), {
        what: 'a position in the outbox',
        timeoutMs: 60_000,
      });
      process.kill(command.pid, signal);
      const exit = await command.waitForExit(120_000);
      if (signal === 'SIGINT') {
        expect(exit.code).toBe(1);
        expect(command.stderr()).toContain('Go on with: connection-secrets rotate-keys');
      }
      expect(await position()).toMatchObject({ state: signal === 'SIGINT' ? 'interrupted' : 'running' });
      // The key check is sealed anew last: the new key alone is not enough yet.
      expect((await rotations.run(NEW_ALONE)).code).toBe(2);
      const { code, report } = await rotations.run(BOTH);
      expect({ code, complete: report?.complete }).toEqual({ code: 0, complete: true });
      expect(report?.rotated).toBeGreaterThan(0);
      expect(report?.rotated).toBeLessThan(OUTBOX_ROWS);
      expect(await queryDatabase(bench, 'SELECT state FROM operation')).toEqual([{ state: 'done' }]);
      const outbox = newAlone.derive('outbox');
      for (const { table, token } of await rotations.tokens())
        expect((table === 'outbox' ? outbox : newAlone).opens(token), table).toBe(true);
    },
  );
}

describeWith(['postgres'], 'a rotation beside workers on PostgreSQL', () => {
  beside('postgres');
});
describeWith(['mariadb'], 'a rotation beside workers on MariaDB', () => {
  beside('mariadb');
});
