import { changeProblem } from '../worker/manager.js';
import type { Config } from '../config.js';
import { schemaStatus } from '../database/schema.js';
import { knownMissed } from '../database/missed-records.js';
import { countElsewhere } from '../database/find-pending.js';
import { opensKeyCheck, readIdentity, type StoredIdentity } from '../database/settings.js';
import type { Database } from '../database/database.js';
import { ERROR_CODES } from '../errors.js';
import { counted } from '../plural.js';
import { isOpenToOthers } from '../private-file.js';
import { attempt, failed, NOT_STARTED, ok, skipped, warned, type CheckResult } from './doctor-check.js';
import { checkOldKeys } from './doctor-rotation.js';
import { missingDatabase, openForReading } from '../operations/open-database.js';

const MISSED_FOR_MS = 7 * 86_400_000;

/** Whether the database answers, and whether schema, key and secrets manager fit. Reads only. */
export async function checkDatabase(config: Config<'keys'>): Promise<readonly CheckResult[]> {
  const missing = missingDatabase(config);
  if (missing !== null)
    return [warned('database', missing, 'Nothing before the first start, which makes it.')];
  return attempt('database', () => openForReading(config, (database) => examine(database, config)));
}

async function examine(database: Database, config: Config<'keys'>): Promise<readonly CheckResult[]> {
  await database.ping();
  const reachable = checkFile(config) ?? ok('database', `${config.database.address.type}, reachable`);
  const status = await schemaStatus(database);
  if (status.unknown.length > 0)
    return [
      reachable,
      failed('schema', 'newer than this program', ERROR_CODES.SCHEMA_TOO_NEW.remedy, 'SCHEMA_TOO_NEW'),
    ];
  if (status.pending.length > 0) {
    const detail = counted(status.pending.length, 'pending schema migration');
    return [
      reachable,
      config.database.migrate === 'auto'
        ? warned('schema', detail, 'Nothing: `start` and `pipe` run them (DATABASE_MIGRATE=auto).')
        : failed('schema', detail, ERROR_CODES.SCHEMA_OUTDATED.remedy, 'SCHEMA_OUTDATED'),
    ];
  }
  return [
    reachable,
    ok('schema', 'up to date'),
    ...(await checkIdentity(database, config)),
    ...(await checkMissed(database)),
  ];
}

/** Source records that the workers missed within the last week. */
async function checkMissed(database: Database): Promise<readonly CheckResult[]> {
  const sinceMs = Date.now() - MISSED_FOR_MS;
  const missed = (await knownMissed(database)).filter(({ atMs }) => atMs >= sinceMs);
  return missed.map(({ topic, partition, reason, from, to, atMs }) =>
    warned(
      `topic ${topic}`,
      `partition ${partition}: offsets ${from} to ${to - 1} were missed (${reason}), seen ${new Date(atMs).toISOString()}`,
      reason === 'expired'
        ? 'Publish the entities that changed in that time again.'
        : 'Nothing: they are read from the beginning. See `audit list --action miss`.',
    ),
  );
}

/** `start` and `pipe` take the rights of other users away, but only from files of their own user. */
function checkFile({ database: { address } }: Config<'keys'>): CheckResult | null {
  if (address.type !== 'sqlite') return null;
  const open = ['', '-wal', '-shm'].map((end) => address.file + end).filter(isOpenToOthers);
  if (open.length === 0) return null;
  return warned(
    'database',
    `sqlite, reachable; other users of this machine have rights to ${open.join(', ')}`,
    `Run chmod 600 ${open.join(' ')} as their owner.`,
  );
}

/** What a start would do with the configured manager, and whether secrets are still in another one. */
async function checkManager(
  database: Database,
  { secretsManager }: Config<'keys'>,
  identity: StoredIdentity,
): Promise<readonly CheckResult[]> {
  const { name } = secretsManager;
  const { activeManager } = identity;
  const remaining = await database.run((tx) =>
    countElsewhere(tx, { active: name, from: null, connectionIds: null, after: '' }),
  );
  if (name === activeManager)
    return [
      remaining === 0
        ? ok('manager', `${name}, as in the database`)
        : warned(
            'manager',
            `${name}, as in the database; ${counted(remaining, 'connection')} still in another manager`,
            'Nothing, while `start` or `migrate-secrets` runs: see `migrate-secrets status`.',
          ),
    ];
  const problem = changeProblem(identity, secretsManager);
  return [
    problem === null
      ? warned(
          'manager',
          `SECRET_MANAGER is ${name}, but the database says ${activeManager}`,
          `Nothing, if it is meant: a start moves ${counted(remaining, 'connection')} to ${name}.`,
        )
      : failed('manager', problem, ERROR_CODES.MANAGER_MISMATCH.remedy, 'MANAGER_MISMATCH'),
  ];
}

async function checkIdentity(database: Database, config: Config<'keys'>): Promise<readonly CheckResult[]> {
  const identity = await readIdentity(database);
  if (identity === null) return [skipped('database key', NOT_STARTED)];
  const isOurs = opensKeyCheck(config.keys.database, identity.keyCheck);
  return [
    isOurs
      ? ok('database key', 'FERNET_KEY opens what is sealed in the database')
      : failed(
          'database key',
          'FERNET_KEY does not open what is sealed in the database',
          ERROR_CODES.KEY_MISMATCH.remedy,
          'KEY_MISMATCH',
        ),
    ...(isOurs ? await attempt('old keys', () => checkOldKeys(config, database)) : []),
    ...(await checkManager(database, config, identity)),
  ];
}
