import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openMigratedDatabase } from '../../../src/worker/worker.js';
import { loadConfig } from '../../../src/config.js';
import { revertSchema } from '../../../src/database/schema.js';
import { generateKey, KeyRing } from '../../../src/fernet/index.js';
import { UnderClaim } from '../../../src/pipeline/under-claim.js';
import { republish } from '../../../src/operations/republish.js';
import { createDatabase, tmpDir } from '../../harness/index.js';
import { runHere } from '../operations/verify-worlds.js';
import { CONNECTION, eventRecord, MASKED, OTHER } from '../pipeline/events.js';
import { Bench, BENCH_KEY, NEVER } from './fixture.js';

type Manager = 'db' | 'local';

const VICTIM_ID = '/openmetadata/database/mysql-test/password';

/** The victim's connection and the thief's, each with its password. */
async function open(manager: Manager) {
  const env = {
    DATABASE_URL: (await createDatabase('sqlite')).url,
    LOCAL_VAULT_FILE: join(tmpDir('vault'), 'v.vault'),
    SECRET_MANAGER: manager,
    SECRET_MIGRATION: 'auto',
  };
  const bench = await Bench.open(env);
  await bench.handle(eventRecord({ password: 'MARK-victim', at: 1 }));
  await bench.handle(eventRecord({ id: OTHER, name: 'thief', password: 'MARK-thief', at: 1 }));
  return { bench, env };
}

async function exchange(bench: Bench, columns: readonly string[]): Promise<void> {
  const rows = await bench.query(`SELECT * FROM secret_reference`);
  for (const row of rows) {
    const other = rows.find(({ connection_id }) => connection_id !== row['connection_id']) ?? {};
    await set(
      bench,
      String(row['connection_id']),
      Object.fromEntries(columns.map((column) => [column, other[column]])),
    );
  }
}

async function set(bench: Bench, connectionId: string, columns: Record<string, unknown>): Promise<void> {
  const text = Object.entries(columns)
    .map(
      ([column, value]) =>
        `${column} = ${typeof value === 'string' || typeof value === 'number' ? `'${value}'` : 'NULL'}`,
    )
    .join(', ');
  await bench.change(`UPDATE secret_reference SET ${text} WHERE connection_id = '${connectionId}'`);
}

const WHOLE = ['holds', 'sealed', 'owned', 'fingerprint', 'reference_hash', 'secret_id'];

interface Change {
  readonly title: string;
  readonly managers: readonly Manager[];
  readonly change: (bench: Bench) => Promise<void>;
  readonly victims: readonly string[];
}

const BOTH = [CONNECTION, OTHER];
const CHANGES: readonly Change[] = [
  {
    title: 'tokens exchanged',
    managers: ['db', 'local'],
    change: (bench) => exchange(bench, ['sealed']),
    victims: BOTH,
  },
  {
    title: 'token, name and hash exchanged',
    managers: ['local'],
    change: (bench) => exchange(bench, ['sealed', 'secret_id', 'reference_hash']),
    victims: BOTH,
  },
  {
    title: 'tokens exchanged, fingerprints taken out',
    managers: ['db', 'local'],
    change: async (bench) => {
      await exchange(bench, WHOLE);
      for (const id of BOTH) await set(bench, id, { fingerprint: null });
    },
    victims: BOTH,
  },
  {
    title: 'all exchanged, with the digests',
    managers: ['db', 'local'],
    change: (bench) => exchange(bench, [...WHOLE, 'digest']),
    victims: BOTH,
  },
  {
    title: 'the digest taken out',
    managers: ['db', 'local'],
    change: (bench) => set(bench, OTHER, { digest: null }),
    victims: [OTHER],
  },
  {
    title: 'the victim’s row put under the thief',
    managers: ['db', 'local'],
    change: async (bench) => {
      await bench.change(`DELETE FROM secret_reference WHERE connection_id = '${OTHER}'`);
      await set(bench, CONNECTION, { connection_id: OTHER });
    },
    victims: [OTHER],
  },
  {
    title: 'no longer owned',
    managers: ['db', 'local'],
    change: (bench) => set(bench, OTHER, { owned: 0 }),
    victims: [OTHER],
  },
  {
    title: 'the fingerprint taken out',
    managers: ['db', 'local'],
    change: (bench) => set(bench, OTHER, { fingerprint: null }),
    victims: [OTHER],
  },
];

const NAMES: Readonly<Record<string, string>> = { [CONNECTION]: 'mysql-test', [OTHER]: 'thief' };

async function alteredByVerify(env: Readonly<Record<string, string>>, key = BENCH_KEY): Promise<string[]> {
  const { stdout } = await runHere(['verify', '--json'], { ...env, FERNET_KEY: key });
  const { findings } = JSON.parse(stdout) as { findings: { kind: string; connectionId: string }[] };
  return findings
    .filter(({ kind }) => kind === 'altered')
    .map(({ connectionId }) => connectionId)
    .sort();
}

describe('a row that somebody else has changed goes out by no way, and is found', () => {
  for (const { title, managers, change, victims } of CHANGES)
    it.each(managers)(`${title}: %s`, async (manager) => {
      const { bench, env } = await open(manager);
      await change(bench);
      const { context, ledger } = bench.worker;
      const underClaim = new UnderClaim({ ledger, outlet: null, context, clock: () => performance.now() });
      for (const id of victims) {
        await bench.handle(eventRecord({ id, name: NAMES[id] ?? '', password: MASKED, at: 2 }));
        expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_ALTERED' });
        // As `replay --secured` and `rotate-keys` do.
        expect(
          await republish(underClaim, context, {
            connectionId: id,
            operation: 'republished',
            only: () => true,
          }),
        ).toMatchObject({ code: 'REFERENCE_ALTERED' });
      }
      await bench.close();
      expect(await alteredByVerify(env)).toEqual([...victims].sort());
      const shown = await runHere(['connections', 'show', victims[0] ?? '', '--json'], {
        ...env,
        FERNET_KEY: BENCH_KEY,
      });
      expect(JSON.parse(shown.stdout)).toMatchObject({ secretFields: [{ altered: true }] });
      await bench.restart({ SECRET_MANAGER: manager === 'db' ? 'local' : 'db', SECRET_MIGRATION: 'auto' });
      const puts = bench.puts.length;
      for (const id of victims)
        expect(await bench.worker.mover.move(id, NEVER)).toMatchObject({
          kind: 'failed',
          code: 'REFERENCE_ALTERED',
        });
      expect(bench.puts).toHaveLength(puts);
      for (const id of victims) expect(bench.sent(id)).toMatchObject({ revision: 1 });
    });

  it('a name put into a row of the thief’s does not become his with the field that refers to it', async () => {
    const { bench } = await open('local');
    const thief = { id: OTHER, name: 'thief' };
    const options = { password: 'MARK-thief', config: { connectionOptions: { api_key: 'MARK-key' } } };
    await bench.handle(eventRecord({ ...thief, ...options, at: 2 }));
    await bench.change(
      `UPDATE secret_reference SET secret_id = '${VICTIM_ID}' WHERE connection_id = '${OTHER}' AND path LIKE '%api_key'`,
    );
    await bench.handle(eventRecord({ ...thief, password: `secret:${VICTIM_ID}`, at: 3 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_ALTERED' });
    expect(bench.sent(OTHER)).toMatchObject({ revision: 2 });
  });

  it('an event with the value mends it, and it is as written from then on', async () => {
    const { bench, env } = await open('local');
    await exchange(bench, [...WHOLE, 'digest']);
    await bench.handle(eventRecord({ password: 'MARK-victim', at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    await bench.handle(eventRecord({ password: MASKED, at: 3 }));
    expect(bench.sent(CONNECTION)).toMatchObject({ revision: 3 });
    await bench.close();
    expect(await alteredByVerify(env)).toEqual([OTHER]);
  });

  it('a rotation of keys keeps the digests of all rows, and gives none to one that was altered', async () => {
    const { bench, env } = await open('local');
    await set(bench, OTHER, { fingerprint: null });
    await bench.close();
    const key = generateKey();
    const rotated = await runHere(['rotate-keys', '--json'], { ...env, FERNET_KEY: `${key},${BENCH_KEY}` });
    expect(JSON.parse(rotated.stdout)).toMatchObject({ complete: true });
    expect(await alteredByVerify(env, key)).toEqual([OTHER]);
    await bench.restart({ FERNET_KEY: key });
    await bench.handle(eventRecord({ password: MASKED, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    await bench.handle(eventRecord({ id: OTHER, name: 'thief', password: MASKED, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_ALTERED' });
  });

  it('a key of fingerprints that somebody has chosen is not taken', async () => {
    const { bench } = await open('db');
    // His password, as it lies in his row: sealed under FERNET_KEY, as the key of an earlier version was.
    const chosen = Buffer.alloc(32, 1).toString('base64');
    await bench.handle(eventRecord({ id: OTHER, name: 'thief', password: chosen, at: 2 }));
    const [row] = await bench.query(`SELECT sealed FROM secret_reference WHERE connection_id = '${OTHER}'`);
    const token = String(row?.['sealed']).slice('fernet:'.length);
    expect(KeyRing.parse('K', BENCH_KEY).open(token)).toBe(chosen);
    await bench.change(`UPDATE setting SET value = '${token}' WHERE name = 'fingerprint_key'`);
    await bench.restart();
    await bench.handle(eventRecord({ password: MASKED, at: 3 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_ALTERED' });
  });
});

/** As an earlier version leaves it. */
async function revertDigests(url: string): Promise<void> {
  const config = loadConfig({ DATABASE_URL: url, FERNET_KEY: BENCH_KEY }, { need: ['keys'] });
  const database = await openMigratedDatabase(config);
  try {
    while ((await revertSchema(database, config.keys)) !== 'ReferenceDigest1791000300000');
  } finally {
    await database.close();
  }
}

/** Undoes the migrations that came after the one that makes the digests: they need no key. */
async function revertLater(url: string): Promise<void> {
  const config = loadConfig({ DATABASE_URL: url, FERNET_KEY: BENCH_KEY }, { need: ['keys'] });
  const database = await openMigratedDatabase(config);
  const revertAll = async (): Promise<void> => {
    while ((await revertSchema(database, null)) !== null);
  };
  try {
    await expect(revertAll()).rejects.toThrow('FERNET_KEY');
  } finally {
    await database.close();
  }
}

describe('the first start after a version without digests', () => {
  it.each(['db', 'local'] as const)(
    '%s: rows go on, and from then on one without is altered',
    async (manager) => {
      const { bench, env } = await open(manager);
      await bench.close();
      await revertDigests(bench.url);
      expect((await runHere(['database', 'migrate'], env)).code).toBe(0);
      // Nobody has started yet: judged by what an earlier version could tell.
      expect(await alteredByVerify(env)).toEqual([]);
      await bench.restart();
      for (const [at, id] of BOTH.entries()) {
        await bench.handle(eventRecord({ id, name: NAMES[id] ?? '', password: MASKED, at: 3 + at }));
        expect(bench.last).toMatchObject({ outcome: 'applied' });
      }
      expect(await bench.audit("action = 'fill-digests'")).toMatchObject([
        { detail: '2 rows of references got their digest, 0 did not hold their own and got none' },
      ]);
      await set(bench, OTHER, { digest: null });
      await bench.restart();
      await bench.handle(eventRecord({ id: OTHER, name: 'thief', password: MASKED, at: 6 }));
      expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_ALTERED' });
    },
  );

  it('rows that did not hold their own before get no digest', async () => {
    const { bench, env } = await open('db');
    await bench.close();
    await revertDigests(bench.url);
    expect((await runHere(['database', 'migrate'], env)).code).toBe(0);
    const { url } = bench;
    const before = await openMigratedDatabase(
      loadConfig({ DATABASE_URL: url, FERNET_KEY: BENCH_KEY }, { need: ['keys'] }),
    );
    await before.run(({ manager }) =>
      manager.query(
        `UPDATE secret_reference SET sealed = (SELECT sealed FROM secret_reference WHERE connection_id = '${CONNECTION}') WHERE connection_id = '${OTHER}'`,
      ),
    );
    await before.close();
    await bench.restart();
    await bench.handle(eventRecord({ id: OTHER, name: 'thief', password: MASKED, at: 3 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'REFERENCE_ALTERED' });
    await bench.handle(eventRecord({ password: MASKED, at: 4 }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
  });

  it('going back needs the key', async () => {
    const { bench, env } = await open('db');
    await bench.close();
    await revertLater(bench.url);
    const refused = await runHere(['database', 'revert', '--yes'], env);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('FERNET_KEY');
    expect((await runHere(['database', 'revert', '--yes'], { ...env, FERNET_KEY: BENCH_KEY })).code).toBe(0);
  });
});
