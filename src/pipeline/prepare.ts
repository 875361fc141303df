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

/** One secret field of an event, and what the event says of it. */
export interface PreparedField {
  readonly found: FoundField;
  /** The field's identity: {@link FoundField.keyPath} as a JSON Pointer. */
  readonly path: string;
  readonly incoming: Incoming;
}

/** An event with everything that can be known of it without the database. */
export interface PreparedEvent {
  readonly record: SourceRecord;
  readonly event: SourceEvent;
  readonly eventHash: string;
  /** Takes the place of `eventHash` if the inbox already has that for other content. */
  readonly reusedHash: string;
  readonly order: EventOrder;
  /** Like {@link EventOrder.digest}, but over the opened texts of the publisher's tokens. Null: none was opened. */
  readonly openedDigest: string | null;
  /** Null: the fields could not be determined. */
  readonly fields: readonly PreparedField[] | null;
  /** Pointers of by-name secrets left as they are (`SECRET_BY_NAME=report`). */
  readonly reported: readonly string[];
  /** Places that quote a secret of this event. Null: it sets none. Those that must be masked are masked in `event`. */
  readonly quotes: Quotes | null;
  /** Its waiting time is over: if it would wait again, it is refused. */
  readonly isLastTry: boolean;
  /** An operator has decided that it is the newest state, whatever its time says. */
  readonly asNewest: boolean;
  /** Why it cannot be processed as it is. Null: no reason is known yet. */
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

/** The opened text of each publisher's token, by token, as far as a key opens it. (Sealing a text twice gives two tokens.) */
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

/** The event with the quotes of its own secrets masked. An event that is refused anyway stays as it is. */
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

/** A prepared event holds the record and the entity with their values: printed, it shows only its hash. */
export function quiet(prepared: PreparedEvent): PreparedEvent {
  const shown = (): string => `[event ${prepared.eventHash}]`;
  return Object.defineProperties(prepared, { [inspect.custom]: { value: shown }, toJSON: { value: shown } });
}

/** Puts an event that counts as the newest state after the applied one in order; later events are newer still. */
export function orderedAfter(prepared: PreparedEvent, applied: EventOrder | null): PreparedEvent {
  if (!prepared.asNewest || applied === null) return prepared;
  const timestampMs = Math.max(prepared.order.timestampMs, applied.timestampMs + 1);
  return quiet({ ...prepared, order: { ...prepared.order, timestampMs } });
}

/** The event without fields that are secret only if stored, and are not ({@link FoundField.onlyIfStored}). */
export function knownFields(prepared: PreparedEvent, references: readonly { path: string }[]): PreparedEvent {
  if (prepared.fields?.some(({ found }) => found.onlyIfStored) !== true) return prepared;
  const stored = new Set(references.map(({ path }) => path));
  const fields = prepared.fields.filter(({ found, path }) => !found.onlyIfStored || stored.has(path));
  const refusal = firstRefusal(fields);
  // A refusal that does not depend on what is stored takes precedence, but one for a mask comes last.
  const isCertain = prepared.error !== null && prepared.error.code !== 'MASK_NOT_UNDERSTOOD';
  return quiet({ ...prepared, fields, error: isCertain ? prepared.error : refusal });
}

/** The refusal of a value comes before that of a mask, because an older event may ignore masks. */
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
  /** A mask that is not ours, or only a part of the text: it neither keeps nor sets a value. */
  | { readonly kind: 'foreignMask'; readonly error: EventError }
  | { readonly kind: 'reference'; readonly secretId: string }
  | { readonly kind: 'text'; readonly value: SecretValue }
  | { readonly kind: 'refused'; readonly error: EventError };

/** OpenMetadata writes `secret:`, and accepts `secrets:`, too. */
const REFERENCE = /^secrets?:(.*)$/s;

/** Whether the event sets the field: by a text, by a reference, or by something that is refused. */
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
  // `because === 'mask'`: the finder reports this text only because something in it is masked.
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

/** What is needed to open the tokens of events. */
export interface TokenOpener {
  readonly rings: Pick<PlanContext['rings'], 'publisher'>;
  readonly rules: Pick<PlanContext['rules'], 'publisherTokens'>;
}

/** The field that holds a text. */
interface TokenPlace {
  readonly connectionId: string;
  /** JSON Pointer into the entity as it came. */
  readonly pointer: string;
}

/** A publisher seals a value once; more layers than this are a mistake. */
const MAX_LAYERS = 3;

/**
 * Opens what a publisher has sealed; returns any other text as it is. The content of an envelope is final: it is not opened
 * again, even if it looks like a token.
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

/** `SOURCE_VALUES=sealed`: refuses a field whose value was readable on the topic. */
function onlySealed(field: FoundField, incoming: Incoming): Incoming {
  const isPlain = incoming.kind === 'text' && !(field.value !== null && isSealed(field.value));
  return isPlain ? { kind: 'refused', error: notSealed(field.pointer) } : incoming;
}

/** `SECRET_BY_NAME=report` leaves a field that only looks like a secret as it is: its value is in the clear, too. */
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
