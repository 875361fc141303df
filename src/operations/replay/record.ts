import type { ConnectionFilter } from '../../database/connection-pages.js';
import type { Database } from '../../database/database.js';
import {
  beginOperation,
  listOperations,
  unfinishedOperation,
  updateOperation,
  type Operation,
  type OperationState,
} from '../../database/operations.js';
import { EVERYTHING, mapPage, type Page, type PageRequest } from '../../database/page.js';
import { theOne } from '../../database/the-one.js';
import { ConfigurationError } from '../../errors.js';
import type { Json, JsonObject } from '../../terms.js';
import type { ReplayTotals } from './counts.js';
import type { ReplayPlan } from './plan.js';
import type { PartitionPosition } from './positions.js';

interface Remembered {
  readonly id: string;
  readonly state: OperationState;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** A replay of source events. */
export interface EventsReplay extends Remembered {
  readonly of: 'events';
  readonly parameters: ReplayPlan;
  readonly progress: { readonly positions: readonly PartitionPosition[]; readonly totals: ReplayTotals };
}

/** A replay that publishes the present states again. */
export interface SecuredReplay extends Remembered {
  readonly of: 'secured';
  readonly parameters: ConnectionFilter;
  readonly progress: {
    /** Id of the last connection that is done. The order is that of the ids. */
    readonly after: string;
    readonly published: number;
    /** Ids of connections whose record is too large for the topic. */
    readonly tooLarge: readonly string[];
    /** Ids of connections that name a secret that they may not name. Replays of earlier versions have no list. */
    readonly refused?: readonly string[];
    /** Ids of connections with an older, unsent record that no key opens. Their state itself is published. */
    readonly unopened?: readonly string[];
  };
}

/** A replay as the database stores it, so that it can be resumed. */
export type ReplayRecord = EventsReplay | SecuredReplay;

const KIND = 'replay';

export async function createReplay<R extends ReplayRecord>(
  database: Database,
  { of, parameters, progress }: Pick<R, 'of' | 'parameters' | 'progress'>,
): Promise<R> {
  const stored = { of, ...parameters } as unknown as Json;
  return asRecord(await beginOperation(database, KIND, stored, progress as unknown as Json)) as R;
}

export async function saveReplay(
  database: Database,
  { id, state, progress }: Pick<ReplayRecord, 'id' | 'state' | 'progress'>,
): Promise<void> {
  await updateOperation(database, id, { state, progress: progress as unknown as Json });
}

/** The newest first. */
export async function findReplays(database: Database, page: PageRequest): Promise<Page<ReplayRecord>> {
  return mapPage(await listOperations(database, KIND, page), asRecord);
}

/**
 * The replay to resume: the one with this id, or the newest that has not ended.
 * @throws ConfigurationError USAGE_INVALID if there is none, or several ids begin so
 */
export async function unfinishedReplay(database: Database, id: string | null): Promise<ReplayRecord> {
  const found =
    id === null
      ? await unfinishedOperation(database, KIND)
      : theOne(id, (await listOperations(database, KIND, EVERYTHING)).items, 'replays');
  if (found === null) throw new ConfigurationError('USAGE_INVALID', 'there is no unfinished replay');
  if (found.state === 'done' || found.state === 'failed')
    throw new ConfigurationError('USAGE_INVALID', `the replay ${found.id} has ended`);
  return asRecord(found);
}

function asRecord(operation: Operation): ReplayRecord {
  const { id, state, parameters: stored, progress, createdAtMs, updatedAtMs } = operation;
  const { of, ...parameters } = stored as JsonObject;
  return { id, state, createdAtMs, updatedAtMs, of, parameters, progress } as unknown as ReplayRecord;
}
