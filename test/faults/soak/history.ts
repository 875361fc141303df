import { publishedEvent, type PublishedEvent } from '../checker/index.js';
import type { Random } from './random.js';

const MASK = '*********';
const POINTERS = ['/connection/config/password', '/connection/config/privateKey'];

const DAY_MS = 86_400_000;

export type TopicKind = 'created' | 'updated' | 'deleted';

/** A record to be published, and what the checker is told of it (once for each event). */
export interface HistoryRecord {
  readonly topic: TopicKind;
  readonly key: string;
  readonly value: string;
}

export interface History {
  readonly records: readonly HistoryRecord[];
  readonly published: readonly PublishedEvent[];
  /** The newest states of these connections once more, with their texts: what helps where records were missed. */
  again(connectionIds: ReadonlySet<string>): Pick<History, 'records' | 'published'>;
}

/** What a server believes of one of its entities. */
interface Entity {
  readonly id: string;
  name: string;
  version: number;
  password: string | null;
  privateKey: string | null;
}

export interface HistoryOptions {
  readonly events: number;
  readonly connections: number;
  readonly random: Random;
  /** Time of the first event, milliseconds since the epoch; each next one is a millisecond later. */
  readonly baseMs: number;
}

/**
 * What a metadata server would publish: entities are created, changed, masked, renamed, cleared, deleted and made again;
 * some events are bad, some come twice, some late, and each kind on a topic of its own. A mask always stands for a value.
 */
export function makeHistory(options: HistoryOptions): History {
  return new HistoryMaker(options).make();
}

class HistoryMaker {
  readonly #options: HistoryOptions;
  readonly #random: Random;
  readonly #entities = new Map<string, Entity>();
  readonly #newest = new Map<string, string>();
  #published: PublishedEvent[] = [];
  #queue: { readonly record: HistoryRecord; readonly when: number }[] = [];

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  make(): History {
    for (let at = 0; at < this.#options.events; at += 1)
      if (this.#random.chance(0.005)) this.#bad(at);
      else this.#step(at);
    return { ...this.#taken(), again: (ids) => this.#again(ids) };
  }

  #again(connectionIds: ReadonlySet<string>): Pick<History, 'records' | 'published'> {
    let at = this.#options.events;
    for (const entity of this.#entities.values()) {
      const newest = this.#newest.get(entity.id);
      if (newest === undefined || !connectionIds.has(entity.id)) continue;
      entity.version += 1;
      const eventType = newest === 'entityCreated' ? 'entityUpdated' : newest;
      this.#send(entity, at, eventType, entity.password, entity.privateKey);
      at += 1;
    }
    return this.#taken();
  }

  /** Everything made until now, in the order in which it is to be published. */
  #taken(): Pick<History, 'records' | 'published'> {
    const [published, queue] = [this.#published, this.#queue];
    [this.#published, this.#queue] = [[], []];
    queue.sort((left, right) => left.when - right.when);
    return { records: queue.map(({ record }) => record), published };
  }

  #step(at: number): void {
    const number = this.#random.between(1, this.#options.connections);
    const id = `c-${number}`;
    const known = this.#entities.get(id);
    const entity = known ?? { id, name: `svc ${number}`, version: 0, password: null, privateKey: null };
    entity.version += 1;
    this.#entities.set(id, entity);
    if (known === undefined) {
      this.#setTexts(entity, at);
      this.#send(entity, at, 'entityCreated', entity.password, entity.privateKey);
      return;
    }
    const dice = this.#random.next();
    if (dice < 0.03) {
      this.#entities.delete(id);
      this.#send(entity, at, 'entityDeleted', null, null);
      // Made again later, under the same id: its version goes on.
      this.#entities.set(id, { ...entity, password: null, privateKey: null });
    } else if (dice < 0.05) this.#send(entity, at, 'entitySoftDeleted', ...masked(entity));
    else this.#update(entity, at, dice);
  }

  #update(entity: Entity, at: number, dice: number): void {
    const { password, privateKey } = entity;
    if (dice < 0.08) entity.name = `svc ${entity.id.slice(2)} ${at}`;
    if (dice < 0.45) this.#send(entity, at, 'entityUpdated', ...masked(entity));
    // A server that shows its texts sends unchanged ones again.
    else if (dice < 0.55) this.#send(entity, at, 'entityUpdated', password, privateKey);
    else {
      this.#setTexts(entity, at);
      if (dice > 0.96) entity.privateKey = null;
      this.#send(entity, at, 'entityUpdated', entity.password, entity.privateKey);
    }
  }

  #setTexts(entity: Entity, at: number): void {
    entity.password = this.#text('pw', at);
    entity.privateKey = this.#random.chance(0.3) ? this.#text('key', at) : entity.privateKey;
  }

  #text(what: string, at: number): string {
    return `${what}~${at.toString(36)}~${this.#random.hex()}`;
  }

  #send(
    { id, name, version }: Entity,
    at: number,
    eventType: string,
    password: string | null,
    privateKey: string | null,
  ): void {
    const config = { type: 'Snowflake', username: 'reader', account: `at-${at}` };
    const event = this.#event(id, name, version, at, eventType, {
      ...config,
      ...(password === null ? {} : { password }),
      ...(privateKey === null ? {} : { privateKey }),
    });
    this.#newest.set(id, eventType);
    this.#published.push(publishedEvent(event, { secretPointers: POINTERS }));
    const kind =
      eventType === 'entityCreated' ? 'created' : eventType === 'entityDeleted' ? 'deleted' : 'updated';
    this.#publish(kind, id, event, at);
  }

  /** A connection of its own: what is kept behind a bad event waits for somebody to act. */
  #bad(at: number): void {
    const password = this.#random.chance(0.5) ? 'null' : this.#text('bad', at);
    const config = { type: 'Snowflake', password, privateKey: this.#text('bad', at) };
    const made = this.#event(`bad-${at}`, `bad ${at}`, 1, at, 'entityCreated', config);
    // A publisher whose clock is days ahead, or that counts seconds.
    const wrong = this.#random.pick([made.timestamp + 2 * DAY_MS, Math.floor(made.timestamp / 1_000)]);
    const event = password === 'null' ? made : { ...made, timestamp: wrong };
    this.#published.push(publishedEvent(event, { secretPointers: POINTERS, expect: 'refused' }));
    this.#publish('created', event.entityId, event, at);
  }

  #event(
    entityId: string,
    name: string,
    version: number,
    at: number,
    eventType: string,
    config: Readonly<Record<string, string>>,
  ) {
    const identity = { id: entityId, name, fullyQualifiedName: name };
    const entity = { ...identity, serviceType: 'Snowflake', version, connection: { config } };
    return {
      id: `e-${at}`,
      eventType,
      entityType: 'databaseService',
      entityId,
      userName: 'admin',
      timestamp: this.#options.baseMs + at,
      entity,
    };
  }

  #publish(topic: TopicKind, key: string, event: object, at: number): void {
    const record = { topic, key, value: JSON.stringify(event) };
    const isLate = this.#random.chance(0.03);
    this.#queue.push({ record, when: isLate ? at + this.#random.between(5, 300) : at });
    if (this.#random.chance(0.01)) this.#queue.push({ record, when: at + this.#random.between(0, 300) });
  }
}

function masked({ password, privateKey }: Entity): [string | null, string | null] {
  return [password === null ? null : MASK, privateKey === null ? null : MASK];
}
