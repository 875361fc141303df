import type { ConnectionRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import { byteSize } from '../transport.js';
import type { Decision, LockedState } from '../pipeline/ledger.js';
import {
  nextRow,
  readingsOfState,
  recordOrRefusal,
  sourceOf,
  type SecuredContext,
} from '../pipeline/outbox.js';
import type { UnderClaim } from '../pipeline/under-claim.js';
import type { Operation } from '../terms.js';

interface RepublishRequest {
  readonly connectionId: string;
  readonly operation: Operation;
  /** Called under the row's lock. If it says false, nothing is published. */
  readonly only: (connection: ConnectionRow) => boolean;
}

/**
 * Makes a connection's present state its next revision, under its claim. The relay of a running worker, or of the next
 * start, publishes it.
 *
 * @returns `busy` if another process holds the claim; the error if the state names a secret that it may not name
 */
export async function republish(
  underClaim: UnderClaim,
  context: SecuredContext,
  { connectionId, operation, only }: RepublishRequest,
): Promise<'done' | 'not-needed' | 'busy' | EventError> {
  let refusal: EventError | null = null;
  const done = await underClaim.run<never>({
    connectionId,
    eventHash: null,
    secretIds: (connection, references) => readingsOfState(connection, references, context),
    decide: (state) => {
      refusal = null;
      if (!only(state.connection)) return NOT_NEEDED;
      const next = nextRevision(state, context, operation);
      if (!(next instanceof EventError)) return next;
      refusal = next;
      return NOT_NEEDED;
    },
  });
  if (refusal !== null) return refusal;
  if (done.kind === 'committed') return 'done';
  return done.kind === 'settled' ? 'not-needed' : 'busy';
}

const OUTCOME = { name: 'applied', code: null } as const;

/** The decision that there is nothing to publish. */
export const NOT_NEEDED: Decision<never> = { kind: 'settle', outcome: OUTCOME, changes: {} };

/**
 * The present state as the next revision. A deleted or soft-deleted connection says so again in its `operation`, because
 * readers act on that. For any other, `operation` says why it is published again.
 *
 * @param maxBytes the largest record that its topic takes
 * @returns the error if it cannot be published: OUTPUT_TOO_LARGE, REFERENCE_FOREIGN, REFERENCE_INVALID
 */
export function nextRevision(
  state: LockedState,
  context: SecuredContext,
  operation: Operation,
  maxBytes = Infinity,
): Decision<never> | EventError {
  const { connection, nowMs } = state;
  const source = sourceOf(connection);
  const next = nextRow(
    connection,
    { operation: DELETED_STATES.get(connection.state) ?? operation, source, nowMs },
    context,
  );
  const record = recordOrRefusal(next, state, context);
  if (record instanceof EventError) return record;
  const bytes = byteSize(record);
  if (bytes > maxBytes)
    return new EventError(
      'OUTPUT_TOO_LARGE',
      `the record has ${bytes} bytes, and its topic takes ${maxBytes}`,
    );
  return { kind: 'commit', outcome: OUTCOME, changes: { connection: next, secured: record } };
}

const DELETED_STATES: ReadonlyMap<ConnectionRow['state'], Operation> = new Map([
  ['softDeleted', 'softDeleted'],
  ['deleted', 'deleted'],
]);
