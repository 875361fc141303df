import { loadConfig, type Config } from '../../../src/config.js';
import { Database } from '../../../src/database/database.js';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import type { ConnectionRow, ReferenceRow, StoredSecretRow } from '../../../src/database/rows.js';
import { migrateSchema } from '../../../src/database/schema.js';
import { loadIdentity } from '../../../src/database/settings.js';
import { sha256Hex } from '../../../src/hash.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  Decision,
  LockedState,
} from '../../../src/pipeline/ledger.js';
import { describe } from 'vitest';
import { createDatabase, describeWith, disposeLater, type DatabaseEngine } from '../../harness/index.js';

export const KEY = 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=';
const PARTS = { sqlite: null, postgres: 'postgres', mariadb: 'mariadb' } as const;

/** The same tests on all three engines. */
export function describeEngines(title: string, define: (engine: DatabaseEngine) => void): void {
  for (const engine of ['sqlite', 'postgres', 'mariadb'] as const) {
    const part = PARTS[engine];
    if (part === null) describe(`${title} on ${engine}`, () => define(engine));
    else describeWith([part], `${title} on ${engine}`, () => define(engine));
  }
}

export function configFor(url: string, env: Record<string, string> = {}): Config<'keys'> {
  return loadConfig({ FERNET_KEY: KEY, DATABASE_URL: url, ...env }, { need: ['keys'] });
}

export async function openDatabase(url: string, access: 'read' | 'write' = 'write'): Promise<Database> {
  const { address, poolSize } = configFor(url).database;
  const database = await Database.open({ address, poolSize }, { access });
  disposeLater(() => database.close());
  return database;
}

/** A migrated database with a ledger; a second one on the same database by {@link ledgerOn}. */
export async function openLedger(
  engine: DatabaseEngine,
): Promise<{ url: string; database: Database; ledger: DatabaseLedger }> {
  const { url } = await createDatabase(engine);
  const database = await openDatabase(url);
  await migrateSchema(database);
  return { url, database, ledger: await ledgerOn(database) };
}

export async function ledgerOn(database: Database, claimMs = 15_000): Promise<DatabaseLedger> {
  const { keys } = configFor('sqlite::memory:');
  const { managerEpoch } = await loadIdentity(database, keys, 'in-memory');
  return new DatabaseLedger(database, { claimMs, managerEpoch, clock: () => performance.now() });
}

type Decide = (state: LockedState) => Decision<string>;

export function claimRequest(
  connectionId: string,
  decide: Decide,
  more: Partial<ClaimRequest<string>> = {},
): ClaimRequest<string> {
  return { connectionId, eventHash: null, secretIds: () => [], decide, ...more };
}

export const applied = { name: 'applied', code: null } as const;

/** Claims one connection, committing `changes` in the same transaction. */
export async function claimOne(
  ledger: DatabaseLedger,
  connectionId: string,
  changes: (state: LockedState) => Changes = () => ({}),
): Promise<ClaimResult<string>> {
  const [result] = await ledger.claim([
    claimRequest(connectionId, (state) => ({ kind: 'commit', outcome: applied, changes: changes(state) })),
  ]);
  return result as ClaimResult<string>;
}

export function claimOf(result: ClaimResult<string>) {
  if (result.kind !== 'committed' && result.kind !== 'writing')
    throw new Error(`not claimed: ${result.kind}`);
  return result.claim;
}

export function connectionRow(state: LockedState, more: Partial<ConnectionRow> = {}): ConnectionRow {
  return { ...state.connection, state: 'live', revision: 1, ...more };
}

export function referenceRow(
  connectionId: string,
  path: string,
  more: Partial<ReferenceRow> = {},
): ReferenceRow {
  return {
    connectionId,
    pathHash: sha256Hex(path),
    path,
    pointer: path,
    holds: 'value',
    sealed: 'fernet:x',
    owned: true,
    fingerprint: null,
    referenceHash: null,
    secretId: null,
    digest: null,
    setOrder: { timestampMs: 1, version: 0.1, topic: 't', partition: 0, offset: 0, digest: 'd' },
    ...more,
  };
}

export function storedRow(
  connectionId: string,
  secretId: string,
  more: Partial<StoredSecretRow> = {},
): StoredSecretRow {
  return {
    manager: 'in-memory',
    secretIdHash: sha256Hex(secretId),
    secretId,
    connectionId,
    state: 'live',
    epoch: 1,
    version: 'v1',
    suspectUntilMs: null,
    dueAtMs: null,
    updatedAtMs: 1,
    ...more,
  };
}

/** Runs statements of a test as they are. */
export function execute(database: Database, sql: string): Promise<unknown> {
  return database.run(({ manager }) => manager.query(sql));
}
