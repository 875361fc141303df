import type { Database } from '../../database/database.js';
import {
  beginOperation,
  listOperations,
  unfinishedOperation,
  updateOperation,
  type Operation,
  type OperationState,
} from '../../database/operations.js';
import { ConfigurationError } from '../../errors.js';
import type { Json } from '../../terms.js';
import type { ReplayTotals } from './counts.js';
import type { ReplayPlan } from './plan.js';
import type { PartitionPosition } from './positions.js';

/** What the database remembers of a replay, so that it can be resumed. */
export interface ReplayRecord {
  readonly id: string;
  readonly state: OperationState;
  readonly plan: ReplayPlan;
  readonly positions: readonly PartitionPosition[];
  readonly totals: ReplayTotals;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

type ReplayProgress = Pick<ReplayRecord, 'positions' | 'totals'>;

const KIND = 'replay';

export async function createReplay(
  database: Database,
  plan: ReplayPlan,
  progress: ReplayProgress,
): Promise<ReplayRecord> {
  return asRecord(await beginOperation(database, KIND, asJson(plan), asJson(progress)));
}

export async function saveReplay(
  database: Database,
  id: string,
  state: OperationState,
  progress: ReplayProgress,
): Promise<void> {
  await updateOperation(database, id, { state, progress: asJson(progress) });
}

/** The newest first. */
export async function findReplays(database: Database, limit: number): Promise<ReplayRecord[]> {
  return (await listOperations(database, KIND, limit)).map(asRecord);
}

/**
 * The replay to go on with: the one named, or the newest that has not ended.
 * @throws ConfigurationError USAGE_INVALID where there is none
 */
export async function unfinishedReplay(database: Database, id: string | null): Promise<ReplayRecord> {
  const found = id === null ? await unfinishedOperation(database, KIND) : await replayOf(database, id);
  if (found === null)
    throw new ConfigurationError(
      'USAGE_INVALID',
      id === null ? 'there is no unfinished replay' : `there is no replay whose id begins with ${id}`,
    );
  if (found.state === 'done')
    throw new ConfigurationError('USAGE_INVALID', `the replay ${found.id} has ended`);
  return asRecord(found);
}

async function replayOf(database: Database, id: string): Promise<Operation | null> {
  const all = await listOperations(database, KIND, Number.MAX_SAFE_INTEGER);
  return all.find((one) => one.id.startsWith(id)) ?? null;
}

function asRecord(operation: Operation): ReplayRecord {
  const { id, state, parameters, progress, createdAtMs, updatedAtMs } = operation;
  const plan = parameters as unknown as ReplayPlan;
  return { id, state, plan, ...(progress as unknown as ReplayProgress), createdAtMs, updatedAtMs };
}

function asJson(value: ReplayPlan | ReplayProgress): Json {
  return value as unknown as Json;
}
