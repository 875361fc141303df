import { EventError } from '../errors.js';
import { FERNET_PREFIX, SECRET_PREFIX } from '../terms.js';
import type { Json, JsonObject, Reference, SecuredEvent, SecuredField, SourceRecord } from '../terms.js';
import { openEnvelope } from './cloud-event.js';
import {
  invalid,
  isObject,
  lenientNumber,
  member,
  MAX_NAME_CHARACTERS,
  MAX_QUALIFIED_NAME_CHARACTERS,
  optionalConnectionId,
  optionalObject,
  optionalText,
  requiredText,
} from './fields.js';
import { type JsonLimits, pointer, Reading } from './json.js';
import { LIMITS } from '../limits.js';
import { SECURED_EVENT_TYPE } from './secured-event.js';

/**
 * Wide enough for the secured event of every change event that the worker accepts. It is larger than the change event: it
 * has an envelope around the entity, and lists each secret field.
 */
const SECURED_LIMITS: JsonLimits = {
  maxDepth: LIMITS.jsonDepth + 2,
  maxValues: LIMITS.jsonValues + 20 * LIMITS.secretFields,
  maxBytes: 2 * LIMITS.recordBytes,
};

/**
 * Reads a record of `connection.secured`, structured or binary; null for a tombstone (an empty value). It ignores members
 * that a newer worker may have added, and passes on such a worker's words (manager, operation, provider, entity type) as
 * text.
 *
 * @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP`, `NUMBER_NOT_EXACT`, `EVENT_INVALID`: names the member
 */
export function decodeSecuredEvent(record: SourceRecord): SecuredEvent | null {
  if (record.unread !== undefined)
    throw new EventError('EVENT_TOO_LARGE', `the record is over a limit (${record.unread.reason})`);
  if (record.value === null || record.value.length === 0) return null;
  const reading = new Reading(SECURED_LIMITS);
  const { change, base, context } = openEnvelope(record.value, record, reading);
  if (reading.problem !== null) throw reading.problem;
  if (context !== null && context.type !== SECURED_EVENT_TYPE) {
    throw new EventError('EVENT_INVALID', `the CloudEvent type is not ${SECURED_EVENT_TYPE}`, '/type');
  }
  return readSecured(change, base);
}

function readSecured(data: JsonObject, base: string): SecuredEvent {
  const connectionId = optionalConnectionId(data, 'connectionId', base);
  if (connectionId === null) throw invalid(pointer(base, 'connectionId'), 'is missing');
  const store = requiredObject(data, 'store', base);
  const source = requiredObject(data, 'source', base);
  return {
    connectionId,
    entityType: requiredText(data, 'entityType', base, MAX_NAME_CHARACTERS),
    serviceType: optionalText(data, 'serviceType', base, MAX_NAME_CHARACTERS),
    name: optionalText(data, 'name', base, MAX_NAME_CHARACTERS),
    fullyQualifiedName: optionalText(data, 'fullyQualifiedName', base, MAX_QUALIFIED_NAME_CHARACTERS),
    version: lenientNumber(data, 'version'),
    revision: wholeNumber(data, 'revision', base),
    operation: requiredText(data, 'operation', base, MAX_NAME_CHARACTERS),
    generation: wholeNumber(data, 'generation', base),
    manager: requiredText(data, 'manager', base, MAX_NAME_CHARACTERS),
    store: readStore(store, pointer(base, 'store')),
    entity: optionalObject(data, 'entity', base),
    secretFields: readFields(member(data, 'secretFields'), pointer(base, 'secretFields')),
    source: {
      eventId: requiredText(source, 'eventId', pointer(base, 'source'), Infinity),
      topic: requiredText(source, 'topic', pointer(base, 'source'), MAX_NAME_CHARACTERS),
      partition: wholeNumber(source, 'partition', pointer(base, 'source')),
      offset: wholeNumber(source, 'offset', pointer(base, 'source')),
    },
    time: requiredText(data, 'time', base, MAX_NAME_CHARACTERS),
  };
}

function readStore(store: JsonObject, at: string): SecuredEvent['store'] {
  const provider = requiredText(store, 'provider', at, MAX_NAME_CHARACTERS);
  const words = Object.keys(store).flatMap((word) => {
    if (word === 'provider' || typeof store[word] !== 'string') return [];
    const text = optionalText(store, word, at, MAX_NAME_CHARACTERS);
    return text === null ? [] : [[word, text] as const];
  });
  return { provider, ...Object.fromEntries(words) };
}

function readFields(value: Json, at: string): SecuredField[] {
  if (!Array.isArray(value)) throw invalid(at, 'must be an array');
  return value.map((item, index) => readField(item, pointer(at, index)));
}

function readField(item: Json, at: string): SecuredField {
  if (!isObject(item)) throw invalid(at, 'must be an object');
  const { path, reference, owned } = item;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw invalid(pointer(at, 'path'), 'must be a JSON Pointer');
  }
  if (!isReference(reference)) throw invalid(pointer(at, 'reference'), 'must be a reference');
  if (typeof owned !== 'boolean') throw invalid(pointer(at, 'owned'), 'must be true or false');
  return { path, reference, owned };
}

function isReference(value: Json | undefined): value is Reference {
  return typeof value === 'string' && (value.startsWith(SECRET_PREFIX) || value.startsWith(FERNET_PREFIX));
}

function requiredObject(data: JsonObject, name: string, base: string): JsonObject {
  const value = optionalObject(data, name, base);
  if (value === null) throw invalid(pointer(base, name), 'is missing');
  return value;
}

function wholeNumber(data: JsonObject, name: string, base: string): number {
  const value = member(data, name);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(pointer(base, name), 'must be a whole number');
}
