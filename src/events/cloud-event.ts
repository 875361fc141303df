import { EventError } from '../errors.js';
import type { JsonObject, SourceRecord } from '../terms.js';
import { invalid, isObject, member } from './fields.js';
import type { Reading } from './json.js';

/** CloudEvents content mode (Kafka protocol binding 1.0.2 §3). */
export type CloudEventMode = 'structured' | 'binary';

/** The context attributes of a CloudEvent that we read (CloudEvents 1.0 §3); null if absent. */
export interface CloudEventContext {
  readonly id: string | null;
  readonly source: string | null;
  readonly type: string | null;
  /** As written. `eventTimeMs` checks it if it needs it. */
  readonly time: string | null;
}

/** A change event without its envelope. */
export interface OpenedEnvelope {
  readonly change: JsonObject;
  /** JSON Pointer of the change event within the record's value: empty, or `/data`. */
  readonly base: string;
  /** Null for a bare change event. */
  readonly context: CloudEventContext | null;
}

const MAX_ATTRIBUTE_CHARACTERS = 4096;
const STRUCTURED = 'application/cloudevents';
const STRUCTURED_JSON = `${STRUCTURED}+json`;
const BATCH = 'application/cloudevents-batch';

/**
 * Takes the change event out of a record's value, which is a CloudEvent 1.0 in structured or binary mode (Kafka protocol
 * binding 1.0.2 §3), or the bare change event. Header names are compared without regard to case.
 *
 * @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP`, `EVENT_INVALID`
 */
export function openEnvelope(value: Buffer, record: SourceRecord, reading: Reading): OpenedEnvelope {
  const headers = headerTexts(record);
  const media = mediaType(headers.get('content-type') ?? '');
  refuseCharset(media.charset);
  if (media.type.startsWith(BATCH)) throw batched();
  if (media.type.startsWith(STRUCTURED)) {
    if (media.type !== STRUCTURED_JSON && media.type !== STRUCTURED) {
      throw new EventError('EVENT_NOT_DECODABLE', 'the CloudEvent is in a format other than JSON', null);
    }
    return structured(objectOf(reading.json(value, ''), ''), reading);
  }
  const parsed = reading.json(value, '');
  if (attributeHeader(headers, 'specversion') !== null) return binary(parsed, headers, reading);
  const object = objectOf(parsed, '');
  return looksStructured(object) ? structured(object, reading) : { change: object, base: '', context: null };
}

/** The texts of the headers by their lower-cased names. If two names differ only in case, the first one counts. */
function headerTexts(record: SourceRecord): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [name, value] of Object.entries(record.headers)) {
    const key = name.toLowerCase();
    if (!texts.has(key)) texts.set(key, value.subarray(0, 4 * MAX_ATTRIBUTE_CHARACTERS).toString('utf8'));
  }
  return texts;
}

function mediaType(text: string): { type: string; charset: string | null } {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='));
  return { type, charset: charset?.slice('charset='.length).replaceAll('"', '') ?? null };
}

function refuseCharset(charset: string | null): void {
  if (charset === null || charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii') return;
  throw new EventError('EVENT_NOT_DECODABLE', 'the header content-type names a charset other than utf-8');
}

function batched(): EventError {
  return new EventError(
    'EVENT_INVALID',
    'a batch of CloudEvents is not accepted: publish one event in one record',
  );
}

function looksStructured(object: JsonObject): boolean {
  return (
    Object.hasOwn(object, 'specversion') &&
    Object.hasOwn(object, 'type') &&
    (Object.hasOwn(object, 'data') || Object.hasOwn(object, 'data_base64'))
  );
}

function structured(envelope: JsonObject, reading: Reading): OpenedEnvelope {
  const attribute = (name: string) => attributeText(member(envelope, name), `/${name}`);
  refuseVersion(attribute('specversion'));
  const context = contextOf(attribute);
  const data = member(envelope, 'data');
  const encoded = member(envelope, 'data_base64');
  if (data !== null && encoded !== null) throw invalid('/data_base64', 'must not stand beside data');
  if (encoded !== null) {
    const parsed = reading.json(base64(encoded), '/data_base64');
    return { change: objectOf(parsed, '/data_base64'), base: '/data_base64', context };
  }
  if (data === null) throw invalid('/data', 'is missing');
  return { change: changeOf(data, '/data', reading), base: '/data', context };
}

/** The protocol binding writes `ce_` before the name. HTTP and some clients write `ce-`. */
function attributeHeader(headers: Map<string, string>, name: string): string | null {
  return headers.get(`ce_${name}`) ?? headers.get(`ce-${name}`) ?? null;
}

function binary(value: unknown, headers: Map<string, string>, reading: Reading): OpenedEnvelope {
  const attribute = (name: string) => attributeText(attributeHeader(headers, name), `ce_${name}`);
  refuseVersion(attribute('specversion'));
  return { change: changeOf(value, '', reading), base: '', context: contextOf(attribute) };
}

function contextOf(attribute: (name: string) => string | null): CloudEventContext {
  return {
    id: attribute('id'),
    source: attribute('source'),
    type: attribute('type'),
    time: attribute('time'),
  };
}

/** The change event as an object, or as a JSON string of one. */
function changeOf(data: unknown, at: string, reading: Reading): JsonObject {
  return objectOf(typeof data === 'string' ? reading.json(data, at) : data, at);
}

function objectOf(value: unknown, at: string): JsonObject {
  if (isObject(value)) return value;
  if (Array.isArray(value) && at === '') throw batched();
  throw new EventError('EVENT_INVALID', `${at === '' ? 'the value' : at} is not an object`, at || null);
}

function attributeText(value: unknown, at: string): string | null {
  if (value === null || value === '') return null;
  if (typeof value !== 'string') throw invalid(at, 'must be a string');
  if (value.length > MAX_ATTRIBUTE_CHARACTERS) {
    throw invalid(at, `must not be longer than ${String(MAX_ATTRIBUTE_CHARACTERS)} characters`);
  }
  return value;
}

/** Writes a CloudEvent 1.0 (Kafka protocol binding 1.0.2 §3). */
export function encodeCloudEvent(
  attributes: Readonly<Record<'id' | 'source' | 'type' | 'subject' | 'time', string>>,
  data: object,
  mode: CloudEventMode,
): { readonly value: Buffer; readonly headers: Record<string, string> } {
  const context = { specversion: '1.0', ...attributes };
  if (mode === 'structured') {
    const envelope = { ...context, datacontenttype: 'application/json', data };
    return { value: asJson(envelope), headers: { 'content-type': `${STRUCTURED_JSON}; charset=UTF-8` } };
  }
  const headers = Object.entries(context).map(([name, text]) => [`ce_${name}`, text] as const);
  return {
    value: asJson(data),
    headers: { 'content-type': 'application/json', ...Object.fromEntries(headers) },
  };
}

function asJson(value: object): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

function refuseVersion(version: string | null): void {
  if (version !== '1.0') throw new EventError('EVENT_INVALID', 'specversion must be 1.0', '/specversion');
}

function base64(value: unknown): Buffer {
  const valid = typeof value === 'string' && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
  if (!valid) throw new EventError('EVENT_NOT_DECODABLE', '/data_base64 is not base64', '/data_base64');
  return Buffer.from(value, 'base64');
}
