import type { AuditRow } from '../database/rows.js';
import { EventError, type WorkerError } from '../errors.js';
import { auditRow } from './audit.js';
import type { Changes, ClaimRequest, LockedState } from './ledger.js';
import { outboxRow, readingsOfState, recordOrRefusal, type Opened, type SecuredContext } from './outbox.js';

/** What to publish of a connection's newest revision. */
export interface Newest {
  /** Null: there is nothing to send. */
  readonly opened: Opened | null;
  /** Why the revision stays unpublished: no key opens what its rows hold. Null: nothing prevents it. */
  readonly unopened: WorkerError | null;
  /** The revision must not be published, now or later. */
  readonly isOver: boolean;
}

const NOTHING: Newest = { opened: null, unopened: null, isOver: false };

/**
 * The secured event of a connection's newest revision has no row in the outbox. The claim's holder makes the event from the
 * connection's rows and publishes it. A holder that writes a newer revision puts the unpublished one into the outbox, in
 * the same transaction. So every revision is published, in order, whichever step a crash interrupts.
 *
 * @param changes what is about to be committed
 * @param state the state that the changes were decided on
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

/** No newer revision is written: if the newest one is unpublished, its event is made again from the rows. */
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
  // The event's tokens are sealed with the present key: `rotate-keys` must know which one that is.
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
    // The overtaken revision's event can never be made again; the newer state is committed without it.
    return { ...changes, audit: [...(changes.audit ?? []), refusedRow(state, record)] };
  const row = outboxRow(record, { connectionId, revision, nowMs }, context.rings.outbox);
  return { ...changes, outbox: [...(changes.outbox ?? []), row] };
}

/** The request's secret ids, and those whose owners {@link withNewest} must know for an unpublished revision. */
export function askingForNewest(
  request: ClaimRequest<unknown>,
  context: SecuredContext,
): ClaimRequest<unknown>['secretIds'] {
  return (connection, references) => [
    ...request.secretIds(connection, references),
    ...(connection.unpublishedSinceMs === null ? [] : readingsOfState(connection, references, context)),
  ];
}

/** An operator may add a missing key again; any other refusal lies in the stored state, which does not change by itself. */
export function isFinal(refusal: EventError | null): refusal is EventError {
  return refusal !== null && refusal.code !== 'REFERENCE_NOT_OPENED';
}

/** The audit row of a secured event that must not be published. */
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
