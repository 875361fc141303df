import { createHash } from 'node:crypto';
import { IsNull, Not, type QueryRunner } from 'typeorm';
import { ReferenceDigest1791000300000 } from '../../migrations/1791000300000-reference-digest.js';
import { OutboxOnDemand1791000700000 } from '../../migrations/1791000700000-outbox-on-demand.js';
import { MIGRATIONS } from '../../migrations/index.js';
import { ConfigurationError } from '../errors.js';
import { MYSQL_IDLE_SECONDS, type Database } from './database.js';
import { asDatabaseError } from './errors.js';
import type { IdentityKeys } from './fingerprint-key.js';
import { forgetDigests } from './reference-digests.js';

export interface SchemaStatus {
  /** Names of executed migrations, oldest first. */
  readonly executed: readonly string[];
  readonly pending: readonly string[];
  /** Executed ones that this program does not know: the database is newer. */
  readonly unknown: readonly string[];
}

const DIGESTS = new ReferenceDigest1791000300000().name;
const ON_DEMAND = new OutboxOnDemand1791000700000().name;
const KNOWN: readonly string[] = MIGRATIONS.map((migration) => new migration().name);
/** The lock that keeps workers which start at the same time from migrating at the same time. */
const LOCK_NAME = 'connection-secrets-worker.migrate';
const LOCK_NUMBER = createHash('sha256').update(LOCK_NAME).digest().readInt32BE(0);
const LOCK_WAIT_SECONDS = 60;
const LONGEST_MIGRATION_SECONDS = 86_400;

export async function schemaStatus(database: Database): Promise<SchemaStatus> {
  const executed = await database.run(async ({ manager }) => {
    const runner = manager.dataSource.createQueryRunner();
    try {
      return await executedNames(runner);
    } finally {
      await runner.release();
    }
  });
  return {
    executed,
    pending: KNOWN.filter((name) => !executed.includes(name)),
    unknown: executed.filter((name) => !KNOWN.includes(name)),
  };
}

/** Throws SCHEMA_TOO_NEW or SCHEMA_OUTDATED. */
export async function requireCurrentSchema(database: Database): Promise<void> {
  const status = await schemaStatus(database);
  refuseNewer(status);
  if (status.pending.length > 0)
    throw new ConfigurationError(
      'SCHEMA_OUTDATED',
      `the database lacks the migrations ${status.pending.join(', ')}: run \`connection-secrets database migrate\``,
    );
}

/** Brings the schema up to this program's version, under a lock; returns what it ran. */
export async function migrateSchema(database: Database): Promise<string[]> {
  return underMigrationLock(database, async () => {
    refuseNewer(await schemaStatus(database));
    const ran = await database.dataSource.runMigrations({ transaction: 'each' });
    return ran.map((migration) => migration.name);
  });
}

/**
 * Undoes the newest migration, under the lock; returns its name, or null where there is none.
 *
 * @param keys null: not known; then a migration that has sealed something for its version is not undone
 * @throws ConfigurationError CONFIG_INVALID, KEY_MISMATCH
 */
export async function revertSchema(database: Database, keys: IdentityKeys | null): Promise<string | null> {
  return underMigrationLock(database, async () => {
    const status = await schemaStatus(database);
    refuseNewer(status);
    const newest = status.executed.at(-1) ?? null;
    if (newest === ON_DEMAND) await requireAllPublished(database);
    if (newest === DIGESTS) await forgetDigests(database, keys);
    if (newest !== null) await database.dataSource.undoLastMigration({ transaction: 'each' });
    return newest;
  });
}

/** An earlier version does not know unpublished revisions, and would never publish them. */
async function requireAllPublished(database: Database): Promise<void> {
  const count = await database.run(({ manager, tables }) =>
    manager.countBy(tables.connection, { unpublishedSinceMs: Not(IsNull()) }),
  );
  if (count > 0)
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `the newest secured event of ${count} connections is not published yet: let a worker of this version publish it, then stop the workers`,
    );
}

function refuseNewer({ unknown }: SchemaStatus): void {
  if (unknown.length > 0)
    throw new ConfigurationError(
      'SCHEMA_TOO_NEW',
      `the database has migrations that this program does not know: ${unknown.join(', ')}`,
    );
}

async function executedNames(runner: QueryRunner): Promise<string[]> {
  if (!(await runner.hasTable('schema_migration'))) return [];
  const rows = (await runner.query('SELECT name FROM schema_migration ORDER BY id')) as { name: string }[];
  return rows.map(({ name }) => name);
}

/** The lock belongs to one session; a SQLite file is locked already by whoever may write to it. */
async function underMigrationLock<T>(database: Database, work: () => Promise<T>): Promise<T> {
  if (database.dialect === 'sqlite') return work().catch(rethrow);
  const runner = database.dataSource.createQueryRunner();
  try {
    await takeLock(database, runner);
    return await work();
  } catch (error) {
    return rethrow(error);
  } finally {
    await releaseLock(database, runner).catch(() => undefined);
    await runner.release();
  }
}

function rethrow(error: unknown): never {
  throw asDatabaseError(error);
}

async function takeLock(database: Database, runner: QueryRunner): Promise<void> {
  if (database.dialect === 'postgres') {
    await runner.query(`SET lock_timeout = '${LOCK_WAIT_SECONDS}s'`);
    await runner.query(`SET statement_timeout = '${LOCK_WAIT_SECONDS + 5}s'`);
    await runner.query('SELECT pg_advisory_lock($1)', [LOCK_NUMBER]);
    return;
  }
  // The lock ends with its session, which is idle for as long as the migrations take.
  await runner.query(`SET SESSION wait_timeout = ${LONGEST_MIGRATION_SECONDS}`);
  const rows = (await runner.query('SELECT GET_LOCK(?, ?) AS taken', [LOCK_NAME, LOCK_WAIT_SECONDS])) as {
    taken: string | number | null;
  }[];
  if (Number(rows[0]?.taken) !== 1)
    throw new ConfigurationError(
      'DATABASE_IN_USE',
      'another process is migrating the database; try again later',
    );
}

async function releaseLock(database: Database, runner: QueryRunner): Promise<void> {
  if (database.dialect === 'postgres') {
    await runner.query('SELECT pg_advisory_unlock($1)', [LOCK_NUMBER]);
    await runner.query('RESET lock_timeout');
    await runner.query('RESET statement_timeout');
    return;
  }
  await runner.query('SELECT RELEASE_LOCK(?)', [LOCK_NAME]);
  await runner.query(`SET SESSION wait_timeout = ${MYSQL_IDLE_SECONDS}`);
}
