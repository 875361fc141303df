import type { Config } from '../config.js';
import type { Database } from '../database/database.js';
import { DatabaseLedger } from '../database/ledger.js';
import { beginOperation, unfinishedOperation, updateOperation } from '../database/operations.js';
import type { AuditRow } from '../database/rows.js';
import { loadIdentity, opensKeyCheck, readIdentity } from '../database/settings.js';
import { ERROR_CODES, ConfigurationError } from '../errors.js';
import { operatorName } from '../operator.js';
import { auditRow } from '../pipeline/audit.js';
import { UnderClaim } from '../pipeline/under-claim.js';
import type { JsonObject } from '../terms.js';
import { readDatabase, refuseUnused, writeDatabase } from './open-database.js';
import type { Progress } from './progress.js';
import { KeyRotation, type RotationPosition, type RotationReport } from './rotate-keys.js';
import { countTokensByKey, rotationSources } from './rotation-sources.js';
import { securedContexts } from './secured-contexts.js';
import type { PlaceCounts } from './token-counts.js';

/** Counts the tokens of each place by the key that sealed them. Reads only. */
export function countTokens(config: Config<'keys'>, signal: AbortSignal): Promise<readonly PlaceCounts[]> {
  return readDatabase(config, async (database) => {
    await requireKeys(config, database);
    return countTokensByKey(await rotationSources(config, database), signal);
  });
}

/** Seals everything anew. Goes on with an interrupted rotation to the same keys. */
export function runRotation(
  config: Config<'keys'>,
  progress: Progress,
  signal: AbortSignal,
): Promise<RotationReport> {
  return writeDatabase(config, async (database) => {
    await requireKeys(config, database);
    const { keys, secretsManager, claims } = config;
    const { claimMs } = claims;
    const identity = await loadIdentity(database, keys, secretsManager.name);
    const { fingerprintKey, managerEpoch } = identity;
    const clock = (): number => performance.now();
    const ledger = new DatabaseLedger(database, { claimMs, managerEpoch, clock });
    const contexts = securedContexts(config, identity);
    const context = await contexts.of(secretsManager.name);
    const { id, from } = await openRotation(database, parametersOf(config));
    const rotation = new KeyRotation({
      ...(await rotationSources(config, database)),
      keys,
      fingerprintKey,
      underClaim: new UnderClaim({ ledger, outlet: null, context, clock }),
      securedContext: (name) => contexts.of(name),
      claimMs,
      onPosition: ({ step, after }) => updateOperation(database, id, { progress: { step, after } }),
      progress,
      ingestion: keys.ingestion,
    });
    try {
      const report = await rotation.run(from, signal);
      const state = report.interrupted ? 'interrupted' : report.complete ? 'done' : 'failed';
      await updateOperation(database, id, { state });
      if (report.rotated > 0) await ledger.append([{ audit: [auditOf(report, config)] }]);
      return report;
    } finally {
      await contexts.close();
    }
  });
}

/** The unfinished rotation to the same keys, or a new one. */
async function openRotation(
  database: Database,
  parameters: JsonObject,
): Promise<{ id: string; from: RotationPosition | null }> {
  const open = await unfinishedOperation(database, 'rotate-keys');
  if (open !== null && JSON.stringify(open.parameters) === JSON.stringify(parameters)) {
    await updateOperation(database, open.id, { state: 'running' });
    return { id: open.id, from: open.progress as unknown as RotationPosition | null };
  }
  // A rotation to other keys does not go on: the new one does its work, too.
  if (open !== null) await updateOperation(database, open.id, { state: 'failed' });
  const { id } = await beginOperation(database, 'rotate-keys', parameters, null);
  return { id, from: null };
}

function auditOf({ rotated }: RotationReport, config: Config<'keys'>): AuditRow {
  return auditRow({
    atMs: Date.now(),
    action: 'rotate',
    actor: operatorName(config),
    connectionId: null,
    path: null,
    secretId: null,
    eventId: null,
    detail: `${rotated} sealed anew; FERNET_KEY seals with ${config.keys.database.primaryKeyId}`,
  });
}

/** The ids of the keys that seal, by which a rotation is recognised. */
function parametersOf({ keys: { database, deadLetter, ingestion } }: Config<'keys'>): JsonObject {
  return {
    FERNET_KEY: database.primaryKeyId,
    DEAD_LETTER_FERNET_KEY: deadLetter.primaryKeyId,
    INGESTION_FERNET_KEY: ingestion.primaryKeyId,
  };
}

/** As a start checks the keys, but with a message for a rotation, and without making anything. */
async function requireKeys({ keys }: Config<'keys'>, database: Database): Promise<void> {
  const identity = (await readIdentity(database)) ?? refuseUnused();
  if (!opensKeyCheck(keys.database, identity.keyCheck))
    throw new ConfigurationError(
      'KEY_MISMATCH',
      `FERNET_KEY does not open what this database holds: put the new key first and the old one behind it. ${ERROR_CODES.KEY_MISMATCH.remedy}`,
    );
}
