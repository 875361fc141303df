import { randomUUID } from 'node:crypto';
import type { Json } from '../terms.js';
import { databaseNowMs, type Database } from './database.js';
import { mapPage, readPage, type Page, type PageRequest } from './page.js';
import type { OperationRow } from './rows.js';

/** Long work that may be interrupted at any point and resumed later. */
export type OperationKind = 'migrate-secrets' | 'replay' | 'rotate-keys';

/**
 * `running`: a process works on it, or was killed while doing so. `interrupted`: stopped at a safe point, to be resumed.
 * `failed`: finished, but a part of it could not be done.
 */
export type OperationState = 'running' | 'interrupted' | 'done' | 'failed';

/** A stored operation. Its parameters and progress hold names and counts, never values. */
export interface Operation<Parameters extends Json = Json, Done extends Json = Json> {
  readonly id: string;
  readonly kind: OperationKind;
  readonly state: OperationState;
  readonly parameters: Parameters;
  readonly progress: Done;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** Records a new operation as `running`; returns it. */
export async function beginOperation<Parameters extends Json, Done extends Json>(
  database: Database,
  kind: OperationKind,
  parameters: Parameters,
  progress: Done,
): Promise<Operation<Parameters, Done>> {
  return database.transaction(async (tx) => {
    const nowMs = await databaseNowMs(tx);
    const operation = {
      id: randomUUID(),
      kind,
      state: 'running' as const,
      parameters,
      progress,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
    };
    await tx.manager.insert(tx.tables.operation, {
      ...operation,
      parameters: JSON.stringify(parameters),
      progress: JSON.stringify(progress),
    });
    return operation;
  });
}

/** Writes an operation's progress and state. */
export async function updateOperation(
  database: Database,
  id: string,
  { state, progress }: { readonly state?: OperationState; readonly progress?: Json },
): Promise<void> {
  await database.transaction(async (tx) => {
    const updatedAtMs = await databaseNowMs(tx);
    await tx.manager.update(
      tx.tables.operation,
      { id },
      {
        updatedAtMs,
        ...(state === undefined ? {} : { state }),
        ...(progress === undefined ? {} : { progress: JSON.stringify(progress) }),
      },
    );
  });
}

/** Operations of one kind, the newest first. */
export async function listOperations(
  database: Database,
  kind: OperationKind,
  request: PageRequest,
): Promise<Page<Operation>> {
  const order = { at: 'createdAtMs', id: 'id', direction: 'DESC' } as const;
  const page = await database.run(({ manager, tables }) =>
    readPage(
      manager.createQueryBuilder(tables.operation, 'operation').where('operation.kind = :kind', { kind }),
      order,
      request,
    ),
  );
  return mapPage(page, operationOf);
}

/** The newest unfinished operation of one kind. Null: there is none. */
export async function unfinishedOperation(
  database: Database,
  kind: OperationKind,
): Promise<Operation | null> {
  const { items } = await listOperations(database, kind, { limit: 20, after: null });
  return items.find(({ state }) => state === 'running' || state === 'interrupted') ?? null;
}

function operationOf(row: OperationRow): Operation {
  return {
    id: row.id,
    kind: row.kind as OperationKind,
    state: row.state as OperationState,
    parameters: JSON.parse(row.parameters) as Json,
    progress: JSON.parse(row.progress) as Json,
    createdAtMs: row.createdAtMs,
    updatedAtMs: row.updatedAtMs,
  };
}
