import { expect, it } from 'vitest';
import type { Database } from '../../../src/database/database.js';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import { lockManagerEpoch } from '../../../src/database/manager-epoch.js';
import { fillDigests } from '../../../src/database/reference-digests.js';
import type { ReferenceRow } from '../../../src/database/rows.js';
import { migrateSchema, revertSchema } from '../../../src/database/schema.js';
import { loadIdentity, openIdentity } from '../../../src/database/settings.js';
import { isUnaltered, referenceRow } from '../../../src/pipeline/references.js';
import { createDatabase } from '../../harness/index.js';
import { claimOne, configFor, describeEngines, execute, openDatabase } from './support.js';

const { keys } = configFor('sqlite::memory:');
const ROWS = 450;
const ALTERED = 7;

/** A database as an earlier version leaves it, with one row that holds another one's name, and this version's schema. */
async function upgraded(url: string): Promise<{ database: Database; ledger: DatabaseLedger }> {
  const database = await openDatabase(url);
  await migrateSchema(database);
  const { fingerprintKey } = await loadIdentity(database, keys, 'in-memory');
  const rows = Array.from({ length: ROWS }, (_, index) =>
    referenceRow(
      {
        connectionId: `connection ${index}`,
        path: '/connection/config/naïve \u{1f511}~1\0',
        pointer: '/p',
        setOrder: { timestampMs: 1, version: 0.1, topic: 't', partition: 0, offset: 0, digest: 'd' },
        content: { holds: 'reference', secretId: `/id/${index}`, owned: index % 2 === 0, fingerprint: null },
      },
      { rings: keys, fingerprintKey },
    ),
  );
  await database.run(({ manager, tables }) => manager.insert(tables.reference, rows));
  await execute(
    database,
    `UPDATE secret_reference SET reference_hash = NULL WHERE connection_id = 'connection ${ALTERED}'`,
  );
  // Whatever has come after it goes first.
  while ((await revertSchema(database, keys)) !== 'ReferenceDigest1791000300000');
  await migrateSchema(database);
  const managerEpoch = await database.transaction((tx) => lockManagerEpoch(tx));
  const ledger = new DatabaseLedger(database, {
    claimMs: 15_000,
    managerEpoch,
    clock: () => performance.now(),
  });
  return { database, ledger };
}

async function alteredIn(database: Database): Promise<string[]> {
  const identity = await openIdentity(database, keys);
  expect(identity).toMatchObject({ hasDigests: true });
  const rows: ReferenceRow[] = await database.run(({ manager, tables }) => manager.find(tables.reference));
  expect(rows).toHaveLength(ROWS);
  return rows
    .filter((row) => !isUnaltered(row, identity!.fingerprintKey))
    .map(({ connectionId }) => connectionId);
}

/** Ends as a process that is killed: behind so many transactions. */
function killedAfter(database: Database, transactions: number): Database {
  let begun = 0;
  return Object.assign(Object.create(database) as Database, {
    transaction: (work: Parameters<Database['transaction']>[0]) => {
      if (begun === transactions) throw new Error('killed');
      begun += 1;
      return database.transaction(work);
    },
  });
}

describeEngines('digests of rows from an earlier version', (engine) => {
  it('are made once, also after a kill and by workers that start together; who is at work already stops', async () => {
    const { url } = await createDatabase(engine);
    const { database, ledger } = await upgraded(url);
    // A worker of the earlier version goes on until then.
    expect(await claimOne(ledger, 'other')).toMatchObject({ kind: 'committed' });
    await expect(fillDigests(killedAfter(database, 1), keys)).rejects.toThrow('killed');
    await expect(claimOne(ledger, 'another')).rejects.toMatchObject({ code: 'MANAGER_MISMATCH' });
    expect(await openIdentity(database, keys)).toMatchObject({ hasDigests: false });
    const identities = await Promise.all(
      Array.from({ length: engine === 'sqlite' ? 1 : 3 }, async () =>
        loadIdentity(engine === 'sqlite' ? database : await openDatabase(url), keys, 'in-memory'),
      ),
    );
    expect(await alteredIn(database)).toEqual([`connection ${ALTERED}`]);
    const now = await openIdentity(database, keys);
    expect(new Set(identities.map(({ managerEpoch }) => managerEpoch))).toEqual(new Set([now?.managerEpoch]));
    await execute(database, `UPDATE secret_reference SET digest = NULL`);
    await loadIdentity(database, keys, 'in-memory');
    expect(await alteredIn(database)).toHaveLength(ROWS);
  });
});
