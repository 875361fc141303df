import type { Config } from '../config.js';
import { schemaStatus } from '../database/schema.js';
import { countElsewhere } from '../database/find-pending.js';
import { opensKeyCheck, readIdentity, type StoredIdentity } from '../database/settings.js';
import type { Database } from '../database/database.js';
import { ERROR_CODES } from '../errors.js';
import { attempt, failed, ok, skipped, warned, type CheckResult } from './doctor-check.js';
import { checkOldKeys } from './doctor-rotation.js';
import { missingDatabase, openForReading } from './read-database.js';

/** Reachable, its schema, whether the key opens it, whether the manager is its. Reads only. */
export async function checkDatabase(config: Config<'keys'>): Promise<readonly CheckResult[]> {
  const missing = missingDatabase(config);
  if (missing !== null)
    return [warned('database', missing, 'Nothing, if this is before the first start: it is made then.')];
  return attempt('database', () => openForReading(config, (database) => examine(database, config)));
}

async function examine(database: Database, config: Config<'keys'>): Promise<readonly CheckResult[]> {
  await database.ping();
  const reachable = ok('database', `${config.database.address.type}, reachable`);
  const status = await schemaStatus(database);
  if (status.unknown.length > 0)
    return [
      reachable,
      failed('schema', 'newer than this program', ERROR_CODES.SCHEMA_TOO_NEW.remedy, 'SCHEMA_TOO_NEW'),
    ];
  if (status.pending.length > 0) {
    const detail = `${status.pending.length} migrations are pending`;
    return [
      reachable,
      config.database.migrate === 'auto'
        ? warned('schema', detail, 'Nothing: `start` and `pipe` run them (DATABASE_MIGRATE=auto).')
        : failed('schema', detail, ERROR_CODES.SCHEMA_OUTDATED.remedy, 'SCHEMA_OUTDATED'),
    ];
  }
  return [reachable, ok('schema', 'up to date'), ...(await checkIdentity(database, config))];
}

/** What a start would make of the configured manager, and whether something is still kept elsewhere. */
async function checkManager(
  database: Database,
  { secretsManager: { name, migration } }: Config<'keys'>,
  { activeManager, formerManagers }: StoredIdentity,
): Promise<readonly CheckResult[]> {
  const remaining = await database.run((tx) =>
    countElsewhere(tx, { active: name, from: null, connectionIds: null, after: '' }),
  );
  if (name === activeManager)
    return [
      remaining === 0
        ? ok('manager', `${name}, as the database works with`)
        : warned(
            'manager',
            `${name}, as the database works with; ${remaining} connections are still kept elsewhere`,
            'Nothing, while `start` or `migrate-secrets` runs: see `migrate-secrets status`.',
          ),
    ];
  const detail = `SECRET_MANAGER is ${name}, the database works with ${activeManager}`;
  const canMove = migration === 'auto' && !formerManagers.includes(name);
  return [
    canMove
      ? warned(
          'manager',
          detail,
          `Nothing, if it is meant: a start moves ${remaining} connections to ${name}.`,
        )
      : failed('manager', detail, ERROR_CODES.MANAGER_MISMATCH.remedy, 'MANAGER_MISMATCH'),
  ];
}

async function checkIdentity(database: Database, config: Config<'keys'>): Promise<readonly CheckResult[]> {
  const identity = await readIdentity(database);
  if (identity === null) return [skipped('database key', 'nothing is sealed yet: there was no first start')];
  const isOurs = opensKeyCheck(config.keys.database, identity.keyCheck);
  return [
    isOurs
      ? ok('database key', 'FERNET_KEY opens what the database holds')
      : failed(
          'database key',
          'FERNET_KEY does not open what the database holds',
          ERROR_CODES.KEY_MISMATCH.remedy,
          'KEY_MISMATCH',
        ),
    ...(isOurs ? await attempt('old keys', () => checkOldKeys(config, database)) : []),
    ...(await checkManager(database, config, identity)),
  ];
}
