import { existsSync } from 'node:fs';
import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import type { PreviewParts } from './rotation-preview.js';
import { SecuredTokens } from './secured-tokens.js';
import type { VaultAccess } from './rotate-keys.js';
import { local, vaultFileOf as localVaultFileOf } from '../secrets-managers/local/provider.js';
import { countVaultVersions, rotateVault, type VaultBatch } from '../secrets-managers/local/rotate.js';

const VAULT_BATCH = 100;
const VAULT_BUSY_MS = 5_000;

/** What a rotation goes through, and a preview of one. */
export async function rotationSources(
  config: Config<'keys'>,
  database: Database,
): Promise<PreviewParts & { readonly vault: VaultAccess | null }> {
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

async function vaultAccess(
  config: Config<'keys'>,
  database: Database,
): Promise<(VaultAccess & PreviewParts['vault']) | null> {
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

/** The vault, where this database has secrets in one. */
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
