import { isDeepStrictEqual } from 'node:util';
import type { Database } from '../database/database.js';
import {
  beginOperation,
  listOperations,
  updateOperation,
  type Operation,
  type OperationState,
} from '../database/operations.js';
import { mapPage, type Page, type PageRequest } from '../database/page.js';
import type { JsonObject, ManagerName } from '../terms.js';
import type { MoveFailure } from './pass.js';

const KIND = 'migrate-secrets';
const LATEST: PageRequest = { limit: 20, after: null };

/** What an operator or a configuration has asked for. */
export interface MigrationRequest {
  readonly to: ManagerName;
  /** Moves only connections of this manager; null: of all others. */
  readonly from: ManagerName | null;
  /** Moves only these; null: all. */
  readonly connectionIds: readonly string[] | null;
  /** Whether to delete the secrets in the former managers, once all connections are moved and published. */
  readonly deleteSource: boolean;
}

/** The progress of a migration. */
export interface MigrationProgress {
  readonly total: number;
  readonly moved: number;
  /** Connections still in another manager. Events and workers have moved `total` - `moved` - `left`. */
  readonly left: number;
  /** The connections that could not be moved. */
  readonly failures: readonly MoveFailure[];
  /** Secured events that are not published yet. */
  readonly unsent: number;
  /** Secrets deleted from former managers. */
  readonly deleted: number;
  /** Secrets not deleted from former managers: not yet, or because a reference names them. */
  readonly kept: number;
}

/** A migration in the table of operations. */
export interface MigrationRecord {
  readonly id: string;
  readonly state: OperationState;
  readonly request: MigrationRequest;
  /** Who asked for it, and how; null in records of versions that did not store it. */
  readonly by: string | null;
  readonly progress: MigrationProgress;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

const NOTHING_YET: MigrationProgress = {
  total: 0,
  moved: 0,
  left: 0,
  failures: [],
  unsent: 0,
  deleted: 0,
  kept: 0,
};

/**
 * Records a migration before it changes anything, so that it can always be resumed. If the same request was interrupted,
 * it goes on; other open migrations end as failed.
 */
export async function openMigration(
  database: Database,
  request: MigrationRequest,
  by: string,
): Promise<MigrationRecord> {
  const open = await openMigrations(database);
  const same = open.find((record) => isDeepStrictEqual(record.request, request));
  for (const record of open)
    if (record !== same) await updateOperation(database, record.id, { state: 'failed' });
  if (same !== undefined) {
    await updateOperation(database, same.id, { state: 'running' });
    return { ...same, state: 'running' };
  }
  return recordOf(
    await beginOperation(database, KIND, parametersOf(request, by), { ...NOTHING_YET, failures: [] }),
  );
}

/** The record of a change of manager by configuration: the workers move all connections. */
export function configuredMigration(
  to: ManagerName,
  by: string,
  total: number,
): { kind: string; parameters: string; progress: string } {
  return {
    kind: KIND,
    parameters: JSON.stringify(parametersOf(everythingTo(to), by)),
    progress: JSON.stringify({ ...NOTHING_YET, total, left: total }),
  };
}

/** Workers have moved all connections to this manager: marks the migration by configuration as done. */
export async function endConfiguredMigration(database: Database, to: ManagerName): Promise<void> {
  for (const { id, request, progress } of await openMigrations(database)) {
    if (!isDeepStrictEqual(request, everythingTo(to))) continue;
    await saveMigration(database, id, 'done', { ...progress, moved: progress.total, left: 0, failures: [] });
  }
}

function everythingTo(to: ManagerName): MigrationRequest {
  return { to, from: null, connectionIds: null, deleteSource: false };
}

async function openMigrations(database: Database): Promise<MigrationRecord[]> {
  const { items } = await listMigrations(database, LATEST);
  return items.filter(({ state }) => state === 'running' || state === 'interrupted');
}

function parametersOf({ connectionIds, ...rest }: MigrationRequest, by: string): JsonObject {
  return { ...rest, connectionIds: connectionIds === null ? null : [...connectionIds], by };
}

export async function saveMigration(
  database: Database,
  id: string,
  state: OperationState,
  progress: MigrationProgress,
): Promise<void> {
  await updateOperation(database, id, {
    state,
    progress: { ...progress, failures: progress.failures.map((failure) => ({ ...failure })) },
  });
}

/** The newest first. */
export async function listMigrations(database: Database, page: PageRequest): Promise<Page<MigrationRecord>> {
  return mapPage(await listOperations(database, KIND, page), recordOf);
}

function recordOf({ id, state, parameters, progress, createdAtMs, updatedAtMs }: Operation): MigrationRecord {
  const { by = null, ...request } = parameters as unknown as MigrationRequest & { readonly by?: string };
  return {
    id,
    state,
    request,
    by,
    progress: progress as unknown as MigrationProgress,
    createdAtMs,
    updatedAtMs,
  };
}
