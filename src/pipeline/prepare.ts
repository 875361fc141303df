import { inspect } from 'node:util';
import type { FoundField } from '../catalog/field-finder.js';
import { formatPointer } from '../catalog/json-pointer.js';
import { EventError } from '../errors.js';
import { contentDigest } from '../events/order.js';
import { eventHash, reusedHash } from '../events/decode.js';
import { isSealed } from '../fernet/index.js';
import { LIMITS } from '../limits.js';
import type { EventOrder, SourceEvent, SourceRecord } from '../terms.js';
import type { PlanContext } from './context.js';
import { readIncoming, type Incoming } from './incoming.js';
import { openPublished, type TokenOpener } from './publisher-token.js';
import { quotesOf, type Quotes } from './quotes.js';
import { onlySealed, refuseReported } from './sealed-only.js';

/** One secret field of an event, read. */
export interface PreparedField {
  readonly found: FoundField;
  /** The field's identity: {@link FoundField.keyPath} as a JSON Pointer. */
  readonly path: string;
  readonly incoming: Incoming;
}

/** An event with all that can be known of it before the database is asked. */
export interface PreparedEvent {
  readonly record: SourceRecord;
  readonly event: SourceEvent;
  readonly eventHash: string;
  /** What takes its place where the inbox has that for another content. */
  readonly reusedHash: string;
  readonly order: EventOrder;
  /** {@link EventOrder.digest} with what the publisher has sealed opened; null: nothing of it was. */
  readonly openedDigest: string | null;
  /** Null where they could not be told. */
  readonly fields: readonly PreparedField[] | null;
  /** Pointers of by-name secrets left as they are (`SECRET_BY_NAME=report`). */
  readonly reported: readonly string[];
  /** Places that quote a secret of this event; null where it sets none. Those to be masked are masked in `event`. */
  readonly quotes: Quotes | null;
  /** Its time to wait is over: what would wait is refused. */
  readonly isLastTry: boolean;
  /** Somebody has decided that it is the newest state, whatever its time says. */
  readonly asNewest: boolean;
  /** Why it cannot be processed as it is; null: it can, as far as is known. */
  readonly error: EventError | null;
}

export function prepareEvent(
  event: SourceEvent,
  record: SourceRecord,
  context: PlanContext,
  { isLastTry = false, asNewest = false, keptAs = '' } = {},
): PreparedEvent {
  const order = orderOf(event, context.fingerprintKey);
  const base = { isLastTry, asNewest, record, event, order };
  try {
    const { fields, reported } = readFields(event, context);
    const certain = fields.filter(({ found }) => !found.onlyIfStored);
    const error = firstRefusal(certain);
    const known = { ...base, ...identityOf(event, order, openedOf(event, fields, context), keptAs, context) };
    return quiet({ ...known, fields, reported, ...withoutQuotes(event, fields, error, context) });
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    const known = { ...base, ...identityOf(event, order, new Map(), keptAs, context) };
    return quiet({ ...known, fields: null, reported: [], quotes: null, error });
  }
}

type Identity = Pick<PreparedEvent, 'eventHash' | 'reusedHash' | 'openedDigest'>;

function identityOf(
  event: SourceEvent,
  { digest }: EventOrder,
  opened: ReadonlyMap<string, string>,
  keptAs: string,
  { fingerprintKey }: PlanContext,
): Identity {
  const { connectionId, eventId } = event;
  const openedDigest = opened.size === 0 ? null : contentDigest(fingerprintKey, event, opened);
  const reused = reusedHash(connectionId, eventId, openedDigest ?? digest);
  const own = keptAs === reused ? reused : eventHash(connectionId, eventId);
  return { eventHash: own, reusedHash: reused, openedDigest };
}

/** What the publisher's tokens stand for, by token, as far as they could be opened: each sealing makes another token. */
function openedOf(
  { connectionId }: SourceEvent,
  fields: readonly PreparedField[],
  opener: TokenOpener,
): ReadonlyMap<string, string> {
  const opened = new Map<string, string>();
  for (const { found } of fields) {
    const { value, pointer } = found;
    if (value === null || !isSealed(value)) continue;
    try {
      opened.set(value, openPublished(value, { connectionId, pointer }, opener));
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
    }
  }
  return opened;
}

/** The event without what it quotes of its own secrets, where it is not refused anyway. */
function withoutQuotes(
  event: SourceEvent,
  fields: readonly PreparedField[],
  error: EventError | null,
  { rules }: PlanContext,
): Pick<PreparedEvent, 'event' | 'quotes' | 'error'> {
  if (error !== null || event.entity === null) return { event, quotes: null, error };
  try {
    const quotes = quotesOf(event.entity, fields, rules.secretQuoted);
    return { event: quotes === null ? event : { ...event, entity: quotes.entity }, quotes, error };
  } catch (refusal) {
    if (!(refusal instanceof EventError)) throw refusal;
    return { event, quotes: null, error: refusal };
  }
}

/** It holds the record and the entity, values and all: printed, it shows which event it is and nothing else. */
export function quiet(prepared: PreparedEvent): PreparedEvent {
  const shown = (): string => `[event ${prepared.eventHash}]`;
  return Object.defineProperties(prepared, { [inspect.custom]: { value: shown }, toJSON: { value: shown } });
}

/** The event as the newest state, where it is to be; later events are newer still. */
export function orderedAfter(prepared: PreparedEvent, applied: EventOrder | null): PreparedEvent {
  if (!prepared.asNewest || applied === null) return prepared;
  const timestampMs = Math.max(prepared.order.timestampMs, applied.timestampMs + 1);
  return quiet({ ...prepared, order: { ...prepared.order, timestampMs } });
}

/** The event with what counts as a secret field of this connection: {@link FoundField.onlyIfStored}. */
export function knownFields(prepared: PreparedEvent, references: readonly { path: string }[]): PreparedEvent {
  if (prepared.fields?.some(({ found }) => found.onlyIfStored) !== true) return prepared;
  const stored = new Set(references.map(({ path }) => path));
  const fields = prepared.fields.filter(({ found, path }) => !found.onlyIfStored || stored.has(path));
  const refusal = firstRefusal(fields);
  // What the event is refused for already, whatever is stored; but that of a mask comes last.
  const isCertain = prepared.error !== null && prepared.error.code !== 'MASK_NOT_UNDERSTOOD';
  return quiet({ ...prepared, fields, error: isCertain ? prepared.error : refusal });
}

/** That of a value before that of a mask: an older event may leave masks aside. */
function firstRefusal(fields: readonly PreparedField[]): EventError | null {
  let ofMask: EventError | null = null;
  for (const { incoming } of fields) {
    if (incoming.kind === 'refused') return incoming.error;
    if (incoming.kind === 'foreignMask') ofMask ??= incoming.error;
  }
  return ofMask;
}

function readFields(
  event: SourceEvent,
  context: PlanContext,
): { fields: readonly PreparedField[]; reported: readonly string[] } {
  if (event.entity === null || event.eventType === 'entityDeleted') return { fields: [], reported: [] };
  const { root, kind, serviceType, entity } = event;
  const found = context.fields.find({ root, kind, serviceType, entity });
  const count = found.fields.length + found.reported.length;
  if (count > LIMITS.secretFields)
    throw new EventError(
      'EVENT_TOO_LARGE',
      `the entity has ${count} secret fields, more than ${LIMITS.secretFields}`,
    );
  const needsSeals = context.rules.sourceValues === 'sealed';
  if (needsSeals) refuseReported(found);
  return {
    reported: found.reported,
    fields: found.fields.map((field) => {
      const incoming = readIncoming(field, event.connectionId, context);
      return {
        found: field,
        path: formatPointer(field.keyPath),
        incoming: needsSeals ? onlySealed(field, incoming) : incoming,
      };
    }),
  };
}

function orderOf(event: SourceEvent, key: Buffer): EventOrder {
  const { timestampMs, version, source } = event;
  const { topic, partition, offset } = source;
  return { timestampMs, version, topic, partition, offset, digest: contentDigest(key, event) };
}
