import type { ConnectionRow } from '../database/rows.js';
import { byteSize } from '../events/record-size.js';
import type { Decision, Ledger, LockedState } from '../pipeline/ledger.js';
import { outboxRow } from '../pipeline/outbox.js';
import { securedRecord, sourceOf, type SecuredContext } from '../pipeline/secured-record.js';
import type { Operation } from '../terms.js';

export interface RepublishRequest {
  readonly connectionId: string;
  readonly operation: Operation;
  /** Looked at under the row's lock: only then. */
  readonly only: (connection: ConnectionRow) => boolean;
}

/**
 * Puts a connection's present state into the outbox once more, as a new revision, under its claim. The relay of a
 * running worker publishes it, or the next start.
 *
 * @returns `busy` where somebody else holds the claim
 */
export async function republish(
  ledger: Ledger,
  context: SecuredContext,
  { connectionId, operation, only }: RepublishRequest,
): Promise<'done' | 'not-needed' | 'busy'> {
  const [result] = await ledger.claim<never>([
    {
      connectionId,
      eventHash: null,
      secretIds: () => [],
      decide: (state) => (only(state.connection) ? nextRevision(state, context, operation) : NOT_NEEDED),
    },
  ]);
  switch (result?.kind) {
    case 'committed':
      await ledger.settle([{ claim: result.claim, sentIds: [] }]);
      return 'done';
    case 'settled':
      return 'not-needed';
    default:
      return 'busy';
  }
}

const OUTCOME = { name: 'applied', code: null } as const;

/** Nothing to publish, and nothing else either. */
export const NOT_NEEDED: Decision<never> = { kind: 'settle', outcome: OUTCOME, changes: {} };

/**
 * The present state as the next revision. `operation` says why a live connection comes again; of one that is deleted,
 * for good or not, it says that as before: readers go by it.
 *
 * @param maxBytes the largest record that is published
 * @returns {@link NOT_NEEDED} where the record is larger
 */
export function nextRevision(
  { connection, references, nowMs }: LockedState,
  context: SecuredContext,
  operation: Operation,
  maxBytes = Infinity,
): Decision<never> {
  const next: ConnectionRow = {
    ...connection,
    operation: DELETED_STATES.get(connection.state) ?? operation,
    revision: connection.revision + 1,
    updatedAtMs: nowMs,
  };
  const record = securedRecord(next, references, sourceOf(connection), nowMs, context);
  if (byteSize(record) > maxBytes) return NOT_NEEDED;
  const place = { connectionId: connection.id, revision: next.revision, nowMs };
  return {
    kind: 'commit',
    outcome: OUTCOME,
    changes: { connection: next, outbox: [outboxRow(record, place, context.rings.database)] },
  };
}

const DELETED_STATES: ReadonlyMap<ConnectionRow['state'], Operation> = new Map([
  ['softDeleted', 'softDeleted'],
  ['deleted', 'deleted'],
]);
