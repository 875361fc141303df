import type { AuditRow } from '../database/rows.js';
import { EventError, type WorkerError } from '../errors.js';
import { auditRow } from './audit.js';
import type { Changes, ClaimRequest, LockedState } from './ledger.js';
import { outboxRow, readingsOfState, recordOrRefusal, type Opened, type SecuredContext } from './outbox.js';

/** A connection's newest revision, as far as it is not published. */
export interface Newest {
  /** Null: there is nothing to send. */
  readonly opened: Opened | null;
  /** Why it stays unpublished: no key opens what its rows hold. Null: it does not. */
  readonly unopened: WorkerError | null;
  /** The revision may not go out, and will never be. */
  readonly isOver: boolean;
}

const NOTHING: Newest = { opened: null, unopened: null, isOver: false };

/**
 * The secured event of a connection's newest revision has no row in the outbox. Whoever holds the claim makes it from the
 * connection's rows and publishes it; whoever is about to write a newer revision first puts it into the outbox, in the same
 * transaction. So each revision is published, in its order, whatever crashes in between.
 *
 * @param changes what is about to be committed
 * @param state what they were decided on
 */
export function withNewest(
  changes: Changes,
  state: LockedState,
  context: SecuredContext,
): { readonly changes: Changes; readonly newest: Newest } {
  const { connection, secured } = changes;
  if (connection === undefined || secured === undefined) return unchanged(changes, state, context);
  const opened = { id: null, revision: connection.revision, record: secured, isJudged: true };
  return { changes: withOvertaken(changes, state, context), newest: { ...NOTHING, opened } };
}

/** The newest revision stays what it is: it is made again. */
function unchanged(
  changes: Changes,
  state: LockedState,
  context: SecuredContext,
): ReturnType<typeof withNewest> {
  const { connection } = state;
  if (connection.unpublishedSinceMs === null) return { changes, newest: NOTHING };
  const record = recordOrRefusal(connection, state, context);
  if (record instanceof EventError) {
    if (!isFinal(record)) return { changes, newest: { ...NOTHING, unopened: record } };
    const audit = [...(changes.audit ?? []), refusedRow(state, record)];
    return { changes: { ...changes, audit }, newest: { ...NOTHING, isOver: true } };
  }
  const opened = { id: null, revision: connection.revision, record, isJudged: true };
  const { securedFrom } = connection;
  const keyId = context.rings.ingestion.primaryKeyId;
  // Its tokens are sealed anew: `rotate-keys` must know with what.
  const resealed =
    securedFrom === null || securedFrom.keyId === keyId
      ? {}
      : { connection: { ...connection, securedFrom: { ...securedFrom, keyId } } };
  return { changes: { ...changes, ...resealed }, newest: { ...NOTHING, opened } };
}

function withOvertaken(changes: Changes, state: LockedState, context: SecuredContext): Changes {
  const { id: connectionId, revision, unpublishedSinceMs: nowMs } = state.connection;
  if (nowMs === null) return changes;
  const record = recordOrRefusal(state.connection, state, context);
  if (record instanceof EventError)
    // Nobody can say any more what it said, and the newer state goes on without it.
    return { ...changes, audit: [...(changes.audit ?? []), refusedRow(state, record)] };
  const row = outboxRow(record, { connectionId, revision, nowMs }, context.rings.outbox);
  return { ...changes, outbox: [...(changes.outbox ?? []), row] };
}

/** Asks also for what {@link withNewest} has to know of a revision that is not published. */
export function askingForNewest(
  request: ClaimRequest<unknown>,
  context: SecuredContext,
): ClaimRequest<unknown>['secretIds'] {
  return (connection, references) => [
    ...request.secretIds(connection, references),
    ...(connection.unpublishedSinceMs === null ? [] : readingsOfState(connection, references, context)),
  ];
}

/** A key that is missing comes back; what the state says does not change by itself. */
export function isFinal(refusal: EventError | null): refusal is EventError {
  return refusal !== null && refusal.code !== 'REFERENCE_NOT_OPENED';
}

/** A secured event that may not go out, for the audit. */
export function refusedRow({ connection, nowMs }: LockedState, { code, field }: EventError): AuditRow {
  return auditRow({
    atMs: nowMs,
    action: 'refuse',
    actor: null,
    connectionId: connection.id,
    path: field,
    secretId: null,
    eventId: connection.eventId,
    detail: code,
  });
}
