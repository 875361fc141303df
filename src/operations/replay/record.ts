import { randomUUID } from 'node:crypto';
import { databaseNowMs, type Database } from '../../database/database.js';
import type { OperationRow } from '../../database/rows.js';
import { ConfigurationError } from '../../errors.js';
import type { ReplayTotals } from './counts.js';
import type { ReplayPlan } from './plan.js';
import type { PartitionPosition } from './positions.js';

/** `running` is also what a killed process leaves behind. */
export type ReplayState = 'running' | 'interrupted' | 'failed' | 'done';

/** What the database remembers of a replay, so that it can be resumed. */
export interface ReplayRecord {
  readonly id: string;
  readonly state: ReplayState;
  readonly plan: ReplayPlan;
  readonly positions: readonly PartitionPosition[];
  readonly totals: ReplayTotals;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

type Progress = Pick<ReplayRecord, 'positions' | 'totals'>;

const KIND = 'replay';

export async function createReplay(
  database: Database,
  plan: ReplayPlan,
  progress: Progress,
): Promise<ReplayRecord> {
  return database.transaction(async (tx) => {
    const nowMs = await databaseNowMs(tx);
    const row: OperationRow = {
      id: randomUUID(),
      kind: KIND,
      state: 'running',
      parameters: JSON.stringify(plan),
      progress: JSON.stringify(progress),
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
    };
    await tx.manager.insert(tx.tables.operation, row);
    return asRecord(row);
  });
}

export async function saveReplay(
  database: Database,
  id: string,
  state: ReplayState,
  progress: Progress,
): Promise<void> {
  await database.transaction(async (tx) => {
    const updatedAtMs = await databaseNowMs(tx);
    await tx.manager.update(
      tx.tables.operation,
      { id },
      { state, progress: JSON.stringify(progress), updatedAtMs },
    );
  });
}

/** The newest first. */
export async function findReplays(database: Database, limit: number): Promise<ReplayRecord[]> {
  const rows = await database.run(({ manager, tables }) =>
    manager.find(tables.operation, { where: { kind: KIND }, order: { createdAtMs: 'DESC' }, take: limit }),
  );
  return rows.map(asRecord);
}

/**
 * The replay to go on with: the one named, or the newest that has not ended.
 * @throws ConfigurationError USAGE_INVALID where there is none
 */
export async function unfinishedReplay(database: Database, id: string | null): Promise<ReplayRecord> {
  const known = await findReplays(database, Number.MAX_SAFE_INTEGER);
  const found = known.find((one) => (id === null ? one.state !== 'done' : one.id.startsWith(id)));
  if (found === undefined)
    throw new ConfigurationError(
      'USAGE_INVALID',
      id === null ? 'there is no unfinished replay' : `there is no replay whose id begins with ${id}`,
    );
  if (found.state === 'done')
    throw new ConfigurationError('USAGE_INVALID', `the replay ${found.id} has ended`);
  return found;
}

function asRecord({ id, state, parameters, progress, createdAtMs, updatedAtMs }: OperationRow): ReplayRecord {
  const plan = JSON.parse(parameters) as ReplayPlan;
  const { positions, totals } = JSON.parse(progress) as Progress;
  return { id, state: state as ReplayState, plan, positions, totals, createdAtMs, updatedAtMs };
}
