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

/** What somebody asked for. */
export interface MigrationRequest {
  readonly to: ManagerName;
  /** Only connections kept there; null: wherever. */
  readonly from: ManagerName | null;
  /** Only these; null: all. */
  readonly connectionIds: readonly string[] | null;
  /** Delete what the former managers have, once all is moved and told. */
  readonly deleteSource: boolean;
}

/** How far it has come. */
export interface MigrationProgress {
  readonly total: number;
  readonly moved: number;
  /** Still kept elsewhere. `total` less this and `moved` is what events and workers have moved meanwhile. */
  readonly left: number;
  /** Those that could not be moved. */
  readonly failures: readonly MoveFailure[];
  /** Secured events that wait for a broker. */
  readonly unsent: number;
  /** Deleted from former managers. */
  readonly deleted: number;
  /** Still to be deleted, or named by somebody and so kept. */
  readonly kept: number;
}

/** A migration as the table of operations has it. */
export interface MigrationRecord {
  readonly id: string;
  readonly state: OperationState;
  readonly request: MigrationRequest;
  /** Who asked for it, and how; null: a record of a version that did not say. */
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
 * Recorded before anything is changed, so that there is always something to resume. The same request that did not come to
 * its end goes on; another one takes its place.
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

/** The record of a change that a configuration made: everything moves, by the workers. */
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

/** Workers have moved everything to this manager: what a configuration began is done. */
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
