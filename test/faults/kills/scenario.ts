import { freshName } from '../../harness/index.js';
import { publishedEvent, type PublishedEvent } from '../checker/index.js';
import type { EventType } from '../../../src/terms.js';

export type SourceTopic = 'created' | 'updated' | 'deleted';

/** A record for a source topic, and what the checker is told of it. */
export interface SourceItem {
  readonly topic: SourceTopic;
  /** Which one of the topic's, from 0. */
  readonly partition: number;
  readonly key: string;
  readonly value: string;
  /** Where the record lies is filled in when it is known. */
  readonly published: PublishedEvent;
}

const MASK = '*********';
const POINTERS = ['/connection/config/password', '/connection/config/authType/password'] as const;
/** Of each source topic. With two workers, one is given the first of every topic, the other the second. */
export const PARTITIONS = 2;
/** Ids of all secrets of a {@link Scenario}; for a fault. What the store remembers of who works on it is none of them. */
export const SECRETS = '/openmetadata/database/*';
/** Ids of the secrets that {@link Scenario} changes again after a change; for a fault. */
export const CHANGING_SECRETS = '/openmetadata/database/service-changing*';
/** Far enough back for no timestamp of a scenario to be ahead of the clock. */
const BACK_MS = 1_800_000;

/** Undefined: not in the entity; a number: no text, which is refused. */
type Field = string | number | null | undefined;

interface State {
  readonly name: string;
  readonly password?: Field;
  readonly second?: Field;
}

/** One connection's events; each call is one more version, with a time of its own. */
class Connection {
  readonly #id: string;
  readonly #events: Scenario;
  readonly #partition: number;
  readonly #isApart: boolean;
  #version = 0;

  /** @param isApart what comes in `created` is in the other partition, another worker's */
  constructor(events: Scenario, name: string, { isApart = false } = {}) {
    this.#events = events;
    this.#partition = events.nextPartition();
    this.#isApart = isApart;
    this.#id = freshName(name);
  }

  /** A text that no other version of any field has. */
  text(field: string): string {
    return `text-of-${this.#id}-${field}-${this.#version + 1}`;
  }

  name(suffix = ''): string {
    return `service-${this.#id}${suffix}`;
  }

  event(eventType: EventType, state: State, topic: SourceTopic = topicOf(eventType)): SourceItem {
    this.#version += 1;
    const event = this.#changeEvent(eventType, state);
    const isRefused = typeof state.password === 'number';
    const published: PublishedEvent = isRefused
      ? { ...told(event.id, this.#id, eventType, event.timestamp, this.#version), expect: 'refused' }
      : publishedEvent(event, { secretPointers: POINTERS });
    const partition = this.#partitionIn(topic);
    return { topic, partition, key: this.#id, value: JSON.stringify(event), published };
  }

  #partitionIn(topic: SourceTopic): number {
    return (this.#partition + (this.#isApart && topic === 'created' ? 1 : 0)) % PARTITIONS;
  }

  #changeEvent(eventType: EventType, { name, password, second }: State) {
    const config = {
      type: 'Mysql',
      username: 'openmetadata_user',
      hostPort: 'mysql.internal:3306',
      ...(password === undefined ? {} : { password }),
      ...(second === undefined ? {} : { authType: { password: second } }),
    };
    const entity = {
      id: this.#id,
      name,
      fullyQualifiedName: name,
      serviceType: 'Mysql',
      version: this.#version,
      description: `version ${this.#version}`,
      connection: { config },
    };
    return {
      id: freshName('event'),
      eventType,
      entityType: 'databaseService',
      entityId: this.#id,
      currentVersion: this.#version,
      userName: 'admin',
      timestamp: this.#events.nextTimeMs(),
      entity,
    };
  }
}

/**
 * Rounds of events; every round has connections of its own and all cases of the issue. What is in one partition in one
 * round is in the other one in the next: each worker comes to everything, in every second round.
 */
export class Scenario {
  #timeMs = Date.now() - BACK_MS;
  #undecodable = 0;
  #rounds = 0;
  #inRound = 0;

  nextTimeMs(): number {
    this.#timeMs += 1;
    return this.#timeMs;
  }

  nextPartition(): number {
    this.#inRound += 1;
    return (this.#rounds + this.#inRound) % PARTITIONS;
  }

  /** @param orphan with a masked event whose original never comes: it waits, and is refused in the end */
  round({ orphan = false } = {}): SourceItem[] {
    this.#rounds += 1;
    this.#inRound = 0;
    return [
      ...this.#changing(),
      ...this.#renamed(),
      ...this.#cleared(),
      ...this.#overtaken(),
      ...this.#perField(),
      ...this.#maskFirst(),
      ...this.#deleted(),
      ...this.#refused(),
      this.#notDecodable(),
      ...(orphan ? [this.#orphan()] : []),
    ];
  }

  /** Created, new text (twice the same record), masked, unchanged, and another text, which a late write must not undo. */
  #changing(): SourceItem[] {
    const one = new Connection(this, 'changing');
    const name = one.name();
    const created = one.event('entityCreated', {
      name,
      password: one.text('password'),
      second: one.text('second'),
    });
    const text = one.text('password');
    const second = one.text('second');
    const updated = one.event('entityUpdated', { name, password: text, second });
    const masked = one.event('entityUpdated', { name, password: MASK, second: MASK });
    const unchanged = one.event('entityUpdated', { name, password: text, second: MASK });
    const again = one.event('entityUpdated', { name, password: one.text('password'), second: MASK });
    return [created, updated, updated, masked, unchanged, again];
  }

  #renamed(): SourceItem[] {
    const one = new Connection(this, 'renamed');
    return [
      one.event('entityCreated', { name: one.name(), password: one.text('password') }),
      one.event('entityUpdated', { name: one.name('-renamed'), password: MASK }),
    ];
  }

  #cleared(): SourceItem[] {
    const one = new Connection(this, 'cleared');
    const name = one.name();
    return [
      one.event('entityCreated', { name, password: one.text('password'), second: one.text('second') }),
      one.event('entityUpdated', { name, password: null, second: MASK }),
    ];
  }

  /** The change is often read before the creation: two topics, two partitions, two workers. */
  #overtaken(): SourceItem[] {
    const one = new Connection(this, 'overtaken', { isApart: true });
    const name = one.name();
    const created = one.event('entityCreated', { name, password: one.text('password') });
    const updated = one.event('entityUpdated', { name, password: one.text('password') });
    return [updated, created];
  }

  /** A text that arrives after the newer mask that stands for it. */
  #perField(): SourceItem[] {
    const one = new Connection(this, 'per-field', { isApart: true });
    const name = one.name();
    const created = one.event('entityCreated', { name, password: one.text('password') });
    const text = one.event('entityUpdated', { name, password: one.text('password') }, 'created');
    const masked = one.event('entityUpdated', { name, password: MASK });
    return [created, masked, text];
  }

  /** Waits until its original comes. */
  #maskFirst(): SourceItem[] {
    const one = new Connection(this, 'mask-first');
    const name = one.name();
    const created = one.event('entityCreated', { name, password: one.text('password') });
    const masked = one.event('entityUpdated', { name, password: MASK });
    return [masked, created];
  }

  #deleted(): SourceItem[] {
    const one = new Connection(this, 'deleted');
    const name = one.name();
    return [
      one.event('entityCreated', { name, password: one.text('password') }),
      one.event('entityUpdated', { name, password: one.text('password') }),
      one.event('entityDeleted', { name, password: MASK }),
    ];
  }

  #refused(): SourceItem[] {
    const one = new Connection(this, 'refused');
    const name = one.name();
    return [
      one.event('entityCreated', { name, password: one.text('password') }),
      one.event('entityUpdated', { name, password: 12_345_678 }),
    ];
  }

  /** Of no connection: a dead letter under the name of its place. */
  #notDecodable(): SourceItem {
    this.#undecodable += 1;
    const published = {
      ...told('', null, 'entityUpdated', this.nextTimeMs(), null),
      expect: 'refused',
    } as const;
    const value = `not JSON ${this.#undecodable}`;
    return { topic: 'updated', partition: this.nextPartition(), key: '', value, published };
  }

  #orphan(): SourceItem {
    const one = new Connection(this, 'orphan');
    const item = one.event('entityUpdated', { name: one.name(), password: MASK });
    return { ...item, published: { ...item.published, expect: 'refused' } };
  }
}

function topicOf(eventType: EventType): SourceTopic {
  if (eventType === 'entityCreated') return 'created';
  return eventType === 'entityDeleted' ? 'deleted' : 'updated';
}

function told(
  eventId: string,
  connectionId: string | null,
  eventType: EventType,
  timestampMs: number,
  version: number | null,
): PublishedEvent {
  return { eventId, connectionId, eventType, timestampMs, version, fields: {} };
}
