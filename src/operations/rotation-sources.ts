import { existsSync } from 'node:fs';
import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { SecuredTokens } from './secured-tokens.js';
import type { VaultAccess } from './rotate-keys.js';
import { countTables, type DatabaseKeys, type PlaceCounts } from './token-counts.js';
import { local, vaultFileOf as localVaultFileOf } from '../secrets-managers/local/provider.js';
import { countVaultVersions, rotateVault, type VaultBatch } from '../secrets-managers/local/rotate.js';

const VAULT_BATCH = 100;
const VAULT_BUSY_MS = 5_000;

/** Everything that may hold tokens. */
interface RotationSources {
  readonly database: Database;
  readonly keys: DatabaseKeys;
  readonly ingestion: { readonly name: string };
  readonly secured: SecuredTokens;
  /** Null: this database has no secrets in a local vault. */
  readonly vault: (VaultAccess & VaultLook) | null;
}

interface VaultLook {
  /** Counts the versions and changes none. */
  readonly look: (onBatch: (batch: VaultBatch) => void, signal: AbortSignal) => Promise<void>;
}

/** Opens the sources of a rotation, or of a count. */
export async function rotationSources(config: Config<'keys'>, database: Database): Promise<RotationSources> {
  const { keys, secured } = config;
  return {
    database,
    keys,
    ingestion: keys.ingestion,
    secured: new SecuredTokens({
      database,
      ring: keys.outbox,
      ingestion: keys.ingestion,
      withReferences: secured.references === 'sealed',
    }),
    vault: await vaultAccess(config, database),
  };
}

async function vaultAccess(config: Config<'keys'>, database: Database): Promise<RotationSources['vault']> {
  const file = await vaultFileOf(config, database);
  if (file === null) return null;
  return {
    keys: config.keys.database.name,
    count: (after) => countVaultVersions({ file, busyTimeoutMs: VAULT_BUSY_MS, after }),
    look: (onBatch, signal) => goThroughVault(config, file, { after: 0, dryRun: true, onBatch, signal }),
    rotate: (after, onBatch, signal) =>
      goThroughVault(config, file, { after, dryRun: false, onBatch, signal }),
  };
}

interface VaultPass {
  readonly after: number;
  readonly dryRun: boolean;
  readonly onBatch: (batch: VaultBatch) => void | Promise<void>;
  readonly signal: AbortSignal;
}

async function goThroughVault(config: Config<'keys'>, file: string, pass: VaultPass): Promise<void> {
  const keys = config.keys.database;
  await rotateVault({ file, keys, busyTimeoutMs: VAULT_BUSY_MS, batchSize: VAULT_BATCH, ...pass });
}

/** Counts the tokens of each place by the key that sealed them. Reads only. */
export async function countTokensByKey(
  { database, keys, ingestion, secured, vault }: RotationSources,
  signal: AbortSignal,
): Promise<PlaceCounts[]> {
  const places = await countTables(database, keys, signal);
  if (vault !== null) {
    const counts = { current: 0, old: 0, unknown: 0 };
    await vault.look(({ rotated, current, unknown }) => {
      counts.old += rotated;
      counts.current += current;
      counts.unknown += unknown;
    }, signal);
    places.push({ place: 'local vault', keys: vault.keys, ...counts });
  }
  const published = { current: 0, old: 0, unknown: 0 };
  for (let after: string | null = ''; after !== null && !signal.aborted;) {
    const { judged, next } = await secured.page(after);
    for (const { isCurrent } of judged) published[isCurrent ? 'current' : 'old'] += 1;
    after = next;
  }
  return [...places, { place: 'connection.secured', keys: ingestion.name, ...published }];
}

/** The file of the vault; null if this database has no secrets in one. */
async function vaultFileOf(config: Config<'keys'>, database: Database): Promise<string | null> {
  const { address } = config.database;
  const databaseFile = address.type === 'sqlite' ? address.file : null;
  const file = localVaultFileOf({ values: config.secretsManager.values, databaseFile });
  if (!existsSync(file)) return null;
  const isUsed = await database.run(({ manager, tables }) =>
    manager.existsBy(tables.storedSecret, { manager: local.name }),
  );
  return isUsed ? file : null;
}
