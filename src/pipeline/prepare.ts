import { inspect } from 'node:util';
import type { FoundField, FoundFields } from '../catalog/field-finder.js';
import { formatPointer } from '../catalog/json-path.js';
import { masksSecret } from '../catalog/secret-text.js';
import { EventError } from '../errors.js';
import { eventHash, reusedHash } from '../events/decode.js';
import { contentDigest } from '../events/order.js';
import { isSealed, isEnvelope, isFor, tokenOf, unpackEnvelope } from '../fernet/index.js';
import { LIMITS } from '../limits.js';
import { isForeignMask, isMask } from '../masks.js';
import { SecretValue } from '../secret-value.js';
import type { EventOrder, SourceEvent, SourceRecord } from '../terms.js';
import type { PlanContext, Sealer } from './context.js';
import { quotesOf, type Quotes } from './quotes.js';

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

/** What an event says of one secret field. */
export type Incoming =
  | { readonly kind: 'cleared' }
  | { readonly kind: 'mask' }
  /** It stands for a value, but it is not ours, or only a part of the text: it neither keeps nor sets anything. */
  | { readonly kind: 'foreignMask'; readonly error: EventError }
  | { readonly kind: 'reference'; readonly secretId: string }
  | { readonly kind: 'text'; readonly value: SecretValue }
  | { readonly kind: 'refused'; readonly error: EventError };

/** OpenMetadata's own spelling, and one it accepts. */
const REFERENCE = /^secrets?:(.*)$/s;

/** Whether the field was to get a value: by text, by reference, or by something that is refused. */
export function setsField({ kind }: Incoming): boolean {
  return kind === 'text' || kind === 'reference' || kind === 'refused';
}

/** Reads one field, opening what the publisher sealed. */
function readIncoming(field: FoundField, connectionId: string, opener: TokenOpener): Incoming {
  try {
    return readOrRefuse(field, connectionId, opener);
  } catch (error) {
    if (error instanceof EventError) return { kind: 'refused', error };
    throw error;
  }
}

function readOrRefuse(field: FoundField, connectionId: string, opener: TokenOpener): Incoming {
  const { pointer, value } = field;
  const text = value === null ? null : openPublished(value, { connectionId, pointer }, opener);
  if (text === null || text === '') return { kind: 'cleared' };
  if (isMask(text)) return { kind: 'mask' };
  // The finder has told texts that need not be secrets only because something in them is hidden.
  if (field.because === 'mask' || isForeignMask(text) || masksSecret(text)) return foreignMask(field);
  const reference = REFERENCE.exec(text);
  if (reference !== null) return { kind: 'reference', secretId: referencedId(reference[1] ?? '', field) };
  if (text === 'null')
    throw new EventError('VALUE_IS_THE_WORD_NULL', `${field.pointer} holds the word null`, field.pointer);
  return { kind: 'text', value: new SecretValue(text) };
}

function foreignMask({ pointer }: FoundField): Incoming {
  const what = 'in which a password is hidden, but not by the mask that stands for the stored one';
  return {
    kind: 'foreignMask',
    error: new EventError('MASK_NOT_UNDERSTOOD', `${pointer} holds a text ${what}`, pointer),
  };
}

function referencedId(secretId: string, field: FoundField): string {
  if (secretId.trim() === '')
    throw new EventError(
      'REFERENCE_INVALID',
      `${field.pointer} holds a reference without a name`,
      field.pointer,
    );
  return secretId;
}

/** What opens the tokens of events. */
export interface TokenOpener {
  readonly rings: Pick<PlanContext['rings'], 'publisher'>;
  readonly rules: Pick<PlanContext['rules'], 'publisherTokens'>;
}

/** The field that an event has a text in. */
interface TokenPlace {
  readonly connectionId: string;
  /** JSON Pointer into the entity as it came. */
  readonly pointer: string;
}

/** A publisher seals once; more layers than this are somebody's mistake. */
const MAX_LAYERS = 3;

/**
 * What a publisher has sealed, or the text as it is. What an envelope holds is final: a text that looks like a token was
 * sealed like any other, and is not opened.
 *
 * @throws EventError TOKEN_NOT_OPENED, TOKEN_NOT_BOUND, TOKEN_FOR_ANOTHER_FIELD naming the field, never the text
 */
export function openPublished(given: string, place: TokenPlace, { rings, rules }: TokenOpener): string {
  let text = given;
  for (let layer = 0; isSealed(text); layer += 1) {
    if (layer === MAX_LAYERS)
      throw refused('TOKEN_NOT_OPENED', place, `is sealed more than ${MAX_LAYERS} times`);
    text = openOrRefuse(text, place, rings.publisher);
    if (isEnvelope(text)) return valueFor(place, text);
    if (rules.publisherTokens === 'bound')
      throw refused('TOKEN_NOT_BOUND', place, 'is sealed in a token that does not say for which field it is');
  }
  return text;
}

function openOrRefuse(sealed: string, place: TokenPlace, ring: Sealer | null): string {
  if (ring === null)
    throw refused('TOKEN_NOT_OPENED', place, 'is a fernet: token, and PUBLISHER_FERNET_KEY is not set');
  try {
    return ring.open(tokenOf(sealed));
  } catch {
    throw refused('TOKEN_NOT_OPENED', place, 'is sealed with a key that PUBLISHER_FERNET_KEY does not have');
  }
}

function valueFor({ connectionId, pointer }: TokenPlace, text: string): string {
  const envelope = unpackEnvelope(text);
  if (envelope === null)
    throw refused(
      'TOKEN_NOT_BOUND',
      { connectionId, pointer },
      'is sealed in an envelope that is not well-formed',
    );
  if (!isFor(envelope, { connectionId, path: pointer })) {
    const whose = envelope.connectionId === connectionId ? 'another field' : 'another connection';
    throw refused(
      'TOKEN_FOR_ANOTHER_FIELD',
      { connectionId, pointer },
      `holds a token that was sealed for ${whose}`,
    );
  }
  return envelope.value;
}

function refused(
  code: 'TOKEN_NOT_OPENED' | 'TOKEN_NOT_BOUND' | 'TOKEN_FOR_ANOTHER_FIELD',
  { pointer }: TokenPlace,
  what: string,
): EventError {
  return new EventError(code, `${pointer} ${what}`, pointer);
}

/** `SOURCE_VALUES=sealed`: what an event says of a field, refused where its value was readable on the topic. */
function onlySealed(field: FoundField, incoming: Incoming): Incoming {
  const isPlain = incoming.kind === 'text' && !(field.value !== null && isSealed(field.value));
  return isPlain ? { kind: 'refused', error: notSealed(field.pointer) } : incoming;
}

/** What only looks like a secret and would be left as it is (`SECRET_BY_NAME=report`) is in the clear as well. */
function refuseReported({ reported }: FoundFields): void {
  const [pointer] = reported;
  if (pointer !== undefined) throw notSealed(pointer);
}

function notSealed(pointer: string): EventError {
  return new EventError(
    'VALUE_NOT_SEALED',
    `${pointer} holds a secret in the clear, and SOURCE_VALUES is sealed`,
    pointer,
  );
}
