import { openMigratedDatabase } from '../worker/worker.js';
import { markStoresAnew, readCurrentMarker } from '../worker/installation.js';
import { loadConfig, type Config } from '../config.js';
import { COMMAND_LOCK_WAIT_MS, type Database } from '../database/database.js';
import { becomeCopy, keepsUnder, takeOver } from '../database/installation.js';
import { loadIdentity, renewGeneration, type DatabaseIdentity } from '../database/settings.js';
import { ConfigurationError } from '../errors.js';
import { ownPrefixOf } from '../ids/index.js';
import type { Cli } from './cli.js';
import { ok, type CheckResult } from './doctor-check.js';
import { withStores } from './doctor-installation.js';
import { commandLogger } from './logging.js';
import { missingDatabase, requireIdentity, writeDatabase } from '../operations/open-database.js';

/** What the operator says about this database. */
export interface Declaration {
  readonly restored?: true;
  readonly moved?: true;
  readonly copied?: true;
  readonly takeOver?: string;
}

type Declare = (database: Database, identity: DatabaseIdentity) => Promise<string>;

const AGAIN = 'start the workers again';

/** @throws ConfigurationError USAGE_INVALID for several at once; STORE_OF_ANOTHER_INSTALLATION where it cannot be true */
export async function declare(cli: Cli, declaration: Declaration): Promise<CheckResult[]> {
  const { restored, moved, copied, takeOver: lost } = declaration;
  if ([restored, moved, copied, lost].filter((one) => one !== undefined).length > 1)
    throw new ConfigurationError(
      'USAGE_INVALID',
      '--restored, --moved, --copied and --take-over exclude each other',
    );
  if (restored) return [ok('restored', await onDatabase(cli, declareRestored))];
  if (moved) return [ok('moved', await onDatabase(cli, declareMoved))];
  if (copied) return [ok('copied', await onDatabase(cli, declareCopied))];
  return lost === undefined ? [] : [ok('taken over', await declareTakenOver(cli, lost))];
}

async function onDatabase(cli: Cli, work: (cli: Cli, config: Config<'keys'>) => Declare): Promise<string> {
  const config = loadConfig(cli.env, { need: ['keys'] });
  const missing = missingDatabase(config);
  if (missing !== null) throw new ConfigurationError('CONFIG_INVALID', missing);
  return writeDatabase(config, async (database) =>
    work(cli, config)(database, await requireIdentity(database, config.keys)),
  );
}

const declareRestored =
  (cli: Cli, config: Config<'keys'>): Declare =>
  async (database, identity) => {
    await withStores(config, commandLogger(cli, config), { database, identity }, markStoresAnew);
    const generation = await renewGeneration(database);
    return `the database has the new generation ${generation}; ${AGAIN}`;
  };

const declareMoved =
  (cli: Cli, config: Config<'keys'>): Declare =>
  async (database, identity) => {
    const count = await withStores(
      config,
      commandLogger(cli, config),
      { database, identity },
      markStoresAnew,
    );
    return count === 0
      ? 'no secret of this database is in a store: there is no marker to renew'
      : `the store knows the new place; ${AGAIN}`;
  };

const declareCopied =
  (cli: Cli, config: Config<'keys'>): Declare =>
  async (database, identity) => {
    const { idStyle, prefix, clusterName } = config.secretsManager;
    const own = ownPrefixOf(idStyle, prefix, clusterName);
    const marker = await withStores(
      config,
      commandLogger(cli, config),
      { database, identity },
      readCurrentMarker,
    );
    if (marker !== null || (await keepsUnder(database, own)))
      throw new ConfigurationError(
        'STORE_OF_ANOTHER_INSTALLATION',
        `the names below ${own} are the original’s: set another OPENMETADATA_CLUSTER_NAME or SECRET_MANAGER_PREFIX first`,
      );
    const { id } = await becomeCopy(database);
    return `this database is the installation ${id} now, with names below ${own}; it writes nothing of the original`;
  };

async function declareTakenOver(cli: Cli, lost: string): Promise<string> {
  const config = loadConfig(cli.env, { need: ['keys'] });
  const database = await openMigratedDatabase(config, COMMAND_LOCK_WAIT_MS);
  try {
    const { keys, secretsManager } = config;
    const before = await loadIdentity(database, keys, secretsManager.name);
    const logger = commandLogger(cli, config);
    const marker = await withStores(config, logger, { database, identity: before }, readCurrentMarker);
    if (marker?.installation !== lost)
      throw new ConfigurationError(
        'STORE_OF_ANOTHER_INSTALLATION',
        marker === null
          ? '--take-over: the store has no marker of an installation under the configured names: there is nothing to take over'
          : `--take-over: the store is used by the installation ${marker.installation} (its marker: ${marker.id})`,
      );
    if (before.installation.id !== lost && (await keepsUnder(database, '')))
      throw new ConfigurationError(
        'STORE_OF_ANOTHER_INSTALLATION',
        '--take-over: this database has secrets of its own: only an empty database can replace a lost one',
      );
    const installation = await takeOver(database, lost);
    await withStores(config, logger, { database, identity: { ...before, installation } }, markStoresAnew);
    return `this database is the installation ${lost} now; run \`connection-secrets replay\`, then start the workers`;
  } finally {
    await database.close();
  }
}
