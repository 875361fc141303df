import type { ConnectionRow } from '../database/rows.js';
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
      decide: (state) => decide(state, context, operation, only),
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

function decide(
  { connection, references, nowMs }: LockedState,
  context: SecuredContext,
  operation: Operation,
  only: (connection: ConnectionRow) => boolean,
): Decision<never> {
  const outcome = { name: 'applied', code: null } as const;
  if (!only(connection)) return { kind: 'settle', outcome, changes: {} };
  const next = { ...connection, operation, revision: connection.revision + 1, updatedAtMs: nowMs };
  const record = securedRecord(next, references, sourceOf(connection), nowMs, context);
  const place = { connectionId: connection.id, revision: next.revision, nowMs };
  return {
    kind: 'commit',
    outcome,
    changes: { connection: next, outbox: [outboxRow(record, place, context.rings.database)] },
  };
}
