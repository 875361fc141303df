import type { Config } from '../config.js';
import { schemaStatus } from '../database/schema.js';
import { opensKeyCheck, readIdentity } from '../database/settings.js';
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

async function checkIdentity(database: Database, config: Config<'keys'>): Promise<readonly CheckResult[]> {
  const identity = await readIdentity(database);
  if (identity === null) return [skipped('database key', 'nothing is sealed yet: there was no first start')];
  const configured = config.secretsManager.name;
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
    identity.activeManager === configured
      ? ok('manager', `${configured}, as the database works with`)
      : failed(
          'manager',
          `SECRET_MANAGER is ${configured}, the database works with ${identity.activeManager}`,
          ERROR_CODES.MANAGER_MISMATCH.remedy,
          'MANAGER_MISMATCH',
        ),
  ];
}
