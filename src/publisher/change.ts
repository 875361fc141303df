import { randomUUID } from 'node:crypto';
import { EventError } from '../errors.js';
import { classOf, type EntityClass, dropHistory, isConnectionId, isObject } from '../events/fields.js';
import { DEFAULT_JSON_LIMITS, parseJson } from '../events/json.js';
import { SecretValue } from '../secret-value.js';
import type { EventType, Json, JsonObject } from '../terms.js';

/** A change of one entity in the metadata server. */
export interface EntityChange {
  readonly eventType: EventType;
  /** `<kind>Service`, `user` (bots only), `ingestionPipeline`, `workflow`. */
  readonly entityType: string;
  /** The **full** state after the change. Its plain password fields get sealed. Not needed for `entityDeleted`. */
  readonly entity?: JsonObject;
  /** Default: `entity.id`. */
  readonly entityId?: string;
  /**
   * Identifies the change: the worker takes the same id for a redelivery. Set it if you publish a change again after an
   * error. Default: a random UUID.
   */
  readonly id?: string;
  /** Time of the change, milliseconds since the epoch; decides which state is newer. Default: `entity.updatedAt`, else now. */
  readonly timestamp?: number;
  /** Who changed it. */
  readonly userName?: string;
}

/** The change event to publish, before its fields are sealed. */
export interface ChangeEvent {
  readonly id: string;
  readonly eventType: EventType;
  readonly entityType: string;
  readonly entityId: string;
  readonly entityFullyQualifiedName?: string;
  readonly currentVersion?: number;
  readonly userName?: string;
  readonly timestamp: number;
  readonly entity: JsonObject | null;
}

/** The members of a deleted entity that its event carries. */
const NAMES_OF_DELETED = ['id', 'name', 'fullyQualifiedName', 'serviceType', 'version', 'isBot'] as const;

/**
 * The change event of a change, copied member by member, so that nothing else that an object carries is published. The
 * entity is a copy without its history, which holds old and new values. A deleted entity has only its names.
 *
 * @throws EventError EVENT_INVALID, EVENT_TOO_DEEP, ENTITY_TYPE_UNSUPPORTED, NUMBER_NOT_EXACT: names members, no values
 */
export function changeEventOf(
  change: EntityChange,
  nowMs: number,
): { event: ChangeEvent; entityClass: EntityClass } {
  const entityClass = classOf(change.entityType);
  if (entityClass === null) {
    const message = '/entityType must be <kind>Service, user, ingestionPipeline or workflow';
    throw new EventError('ENTITY_TYPE_UNSUPPORTED', message, '/entityType');
  }
  const entity = change.entity === undefined ? null : copyOf(change.entity);
  const entityId = change.entityId ?? textOf(entity, 'id');
  if (!isConnectionId(entityId)) {
    const message = '/entityId must be 1 to 255 printable ASCII characters';
    throw new EventError('EVENT_INVALID', message, '/entityId');
  }
  const updatedAt = entity?.['updatedAt'];
  const version = entity?.['version'];
  const name = textOf(entity, 'fullyQualifiedName');
  const event: ChangeEvent = {
    id: change.id ?? randomUUID(),
    eventType: change.eventType,
    entityType: entityClass.entityType,
    entityId,
    ...(name === undefined ? {} : { entityFullyQualifiedName: name }),
    ...(typeof version === 'number' ? { currentVersion: version } : {}),
    ...(change.userName === undefined ? {} : { userName: change.userName }),
    timestamp: change.timestamp ?? (typeof updatedAt === 'number' ? updatedAt : nowMs),
    entity: entity !== null && change.eventType === 'entityDeleted' ? namesOnly(entity) : entity,
  };
  return { event, entityClass };
}

/** The record has two more levels around the entity: CloudEvent and change event. */
const ENTITY_LIMITS = { ...DEFAULT_JSON_LIMITS, maxDepth: DEFAULT_JSON_LIMITS.maxDepth - 2 };

/** A copy as the record will carry it: without what is not JSON (functions, undefined), and refused if the worker would. */
function copyOf(entity: JsonObject): JsonObject {
  let text: string | undefined;
  try {
    text = JSON.stringify(entity, refuseHidden);
  } catch {
    // A circle, a BigInt or a SecretValue. The runtime's own text may quote a key, so it is not passed on.
    throw new EventError('EVENT_INVALID', '/entity cannot be written as JSON', '/entity');
  }
  const copy = parseJson(text ?? '', ENTITY_LIMITS, '/entity');
  if (!isObject(copy)) throw new EventError('EVENT_INVALID', '/entity must be an object', '/entity');
  dropHistory(copy);
  return copy;
}

/** Refuses a SecretValue: it writes itself as `[secret]`, which would become the stored password. */
function refuseHidden(this: unknown, key: string, value: unknown): unknown {
  const given: unknown = typeof this === 'object' && this !== null ? Reflect.get(this, key) : undefined;
  if (given instanceof SecretValue) throw new TypeError('a SecretValue has no JSON form');
  return value;
}

function namesOnly(entity: JsonObject): JsonObject {
  const names = NAMES_OF_DELETED.filter((name) => Object.hasOwn(entity, name));
  return Object.fromEntries(names.map((name): [string, Json] => [name, entity[name] as Json]));
}

function textOf(entity: JsonObject | null, name: string): string | undefined {
  const value = entity !== null && Object.hasOwn(entity, name) ? entity[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}
