import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { ERROR_CODES, type ErrorCode } from '../errors.js';
import type { TopicPartition } from '../kafka/partitions.js';
import type { HandledRecord } from '../pipeline/observer.js';
import type { StoreRequest } from '../secrets-managers/settings.js';

const PREFIX = 'connection_secrets_';
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Codes of dead letters that do not come from a refused event. */
const LATE_DEAD_LETTERS: ReadonlySet<string> = new Set(['SECRET_VERSION_GONE', 'KEY_MISSING']);
const NOTABLE = ['mask-on-new-endpoint', 'quoted'];

/** What waits in the database: unsent records, waiting events, dead letters. */
export interface BacklogCounts {
  readonly unsent: number;
  readonly waiting: number;
  readonly dead: number;
}

/**
 * All metrics, in their own registry. Labels have few values; none is an id or name of a connection. The table is in
 * docs/operations.md.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #events = this.#counter('events_total', 'Source events by outcome', ['outcome', 'code']);
  readonly #eventSeconds = this.#histogram('event_duration_seconds', 'From decoded to published', [
    'outcome',
  ]);
  readonly #deadLetters = this.#counter('dead_letters_total', 'Dead letters made', ['code']);
  readonly #retries = this.#counter(
    'retries_total',
    'Records that could not be handled yet, and kept events that failed again',
    ['code'],
  );
  readonly #writes = this.#counter('secret_writes_total', 'Values written to the store', []);
  readonly #reported = this.#counter(
    'reported_fields_total',
    'Fields that look like secrets and were left as they are (SECRET_BY_NAME=report)',
    [],
  );
  readonly #noted = this.#counter(
    'noted_events_total',
    'Applied events that somebody should look at; the audit says why',
    ['note'],
  );
  readonly #storeCalls = this.#counter('store_calls_total', 'Requests to the store', [
    'provider',
    'call',
    'result',
  ]);
  readonly #storeSeconds = this.#histogram('store_call_duration_seconds', 'Requests to the store', [
    'provider',
    'call',
  ]);
  readonly #lag = this.#gauge(
    'consumer_lag_records',
    'Records of a source partition that the group has not finished',
    ['topic', 'partition'],
  );
  readonly #missed = this.#counter('missed_records_total', 'Source records that the group has missed', [
    'topic',
    'partition',
    'reason',
  ]);
  readonly #assigned = this.#gauge(
    'assigned_partitions',
    'Partitions that the group has assigned to this process',
    [],
  );
  readonly #paused = this.#gauge('paused_partitions', 'Partitions paused because a record fails', []);
  readonly #pauses = this.#counter(
    'partition_pauses_total',
    'How often a partition was paused because a record failed',
    ['code'],
  );
  readonly #relayed = this.#counter('relay_published_total', 'Records that the relay published', []);
  readonly #unsent = this.#gauge('outbox_unsent', 'Records in the database that are not published yet', []);
  readonly #kept = this.#gauge('kept_events', 'Events kept in the database: waiting, or dead letters', [
    'state',
  ]);
  readonly #purged = this.#gauge(
    'purged_offset',
    'Source records below this offset are deleted (PURGE_SOURCE)',
    ['topic', 'partition'],
  );
  readonly #purgedRecords = this.#counter(
    'purged_records_total',
    'Source records deleted because they are secured (PURGE_SOURCE)',
    [],
  );
  readonly #ready = this.#gauge('ready', 'Whether a part is up (1) or not (0)', ['part']);
  readonly #tidied = this.#counter(
    'stored_secrets_tidied_total',
    'Stored secrets that the janitor deleted, repaired, or found lost in the store',
    ['result'],
  );
  readonly #elsewhere = this.#gauge(
    'migration_remaining_connections',
    'Connections that are not in the active manager yet',
    [],
  );
  readonly #migrated = this.#counter(
    'migration_connections_total',
    'Connections that the migration moved to the active manager, or tried to',
    ['result'],
  );
  readonly #tasks = this.#counter('task_runs_total', 'Runs of periodic tasks', ['task', 'result']);
  readonly #info = this.#gauge('info', 'Always 1; says what runs', ['version', 'manager']);

  readonly #partitions = new Map<string, { readonly topic: string; readonly partition: string }>();

  constructor(about: { readonly version: string; readonly manager: string }) {
    collectDefaultMetrics({ register: this.registry });
    this.#info.set({ ...about }, 1);
    this.backlogUnknown();
    this.#beginAtZero();
  }

  /** Alarms on counters need a 0 before the first increase. */
  #beginAtZero(): void {
    for (const [code, { kind }] of Object.entries(ERROR_CODES)) {
      if (kind === 'event' || LATE_DEAD_LETTERS.has(code)) this.#deadLetters.inc({ code }, 0);
      if (kind !== 'transient') continue;
      this.#retries.inc({ code }, 0);
      this.#pauses.inc({ code }, 0);
    }
    for (const note of NOTABLE) this.#noted.inc({ note }, 0);
    this.tidied({ deleted: 0, repaired: 0, lost: 0 });
    for (const result of ['moved', 'failed']) this.#migrated.inc({ result }, 0);
  }

  handled(record: HandledRecord): void {
    const { outcome, code } = record;
    if (record.isAgain) {
      this.handedBack(code ?? 'INTERNAL');
      return;
    }
    this.#events.inc({ outcome, code: code ?? '' });
    this.#eventSeconds.observe({ outcome }, record.durationMs / 1_000);
    if (record.writes > 0) this.#writes.inc(record.writes);
    for (const { action } of record.notes) this.#noted.inc({ note: action });
    if (record.reported.length > 0) this.#reported.inc(record.reported.length);
  }

  deadLetter(code: ErrorCode): void {
    this.#deadLetters.inc({ code });
  }

  /** @param label an error's code, or its class */
  handedBack(label: string): void {
    this.#retries.inc({ code: label });
  }

  storeRequest({ provider, call, result, durationMs }: StoreRequest): void {
    this.#storeCalls.inc({ provider, call, result });
    this.#storeSeconds.observe({ provider, call }, durationMs / 1_000);
  }

  assigned(partitions: readonly TopicPartition[]): void {
    this.#assigned.set(partitions.length);
  }

  /** For every partition of the source topics, also those of other workers. */
  lag({ topic, partition }: TopicPartition, records: number): void {
    const labels = { topic, partition: String(partition) };
    if (!this.#partitions.has(`${topic}|${partition}`)) {
      this.#partitions.set(`${topic}|${partition}`, labels);
      for (const reason of ['expired', 'recreated']) this.#missed.inc({ ...labels, reason }, 0);
    }
    this.#lag.set(labels, Math.max(0, records));
  }

  /** Sets NaN: an old number would look like a current one. */
  lagUnknown(): void {
    for (const labels of this.#partitions.values()) this.#lag.set(labels, Number.NaN);
  }

  missed({ topic, partition, reason }: TopicPartition & { readonly reason: string }, records: number): void {
    this.#missed.inc({ topic, partition: String(partition), reason }, records);
  }

  partitionPaused(code: ErrorCode): void {
    this.#pauses.inc({ code });
  }

  pausedPartitions(count: number): void {
    this.#paused.set(count);
  }

  relayed(records: number): void {
    this.#relayed.inc(records);
  }

  backlog({ unsent, waiting, dead }: BacklogCounts): void {
    this.#unsent.set(unsent);
    this.#kept.set({ state: 'waiting' }, waiting);
    this.#kept.set({ state: 'dead' }, dead);
  }

  /** Sets NaN: an old number would look like a current one. */
  backlogUnknown(): void {
    this.backlog({ unsent: Number.NaN, waiting: Number.NaN, dead: Number.NaN });
  }

  /** The records below `offset` are deleted. `records` counts the offsets of this deletion. */
  purged({ topic, partition }: TopicPartition, offset: number, records: number): void {
    this.#purged.set({ topic, partition: String(partition) }, offset);
    this.#purgedRecords.inc(records);
  }

  ready(part: string, isUp: boolean): void {
    this.#ready.set({ part }, isUp ? 1 : 0);
  }

  taskStarted(task: string): void {
    for (const result of ['ok', 'failed']) this.#tasks.inc({ task, result }, 0);
  }

  taskRun(task: string, result: 'ok' | 'failed'): void {
    this.#tasks.inc({ task, result });
  }

  migrated({ remaining, moved, failed }: Readonly<Record<'remaining' | 'moved' | 'failed', number>>): void {
    this.#elsewhere.set(remaining);
    this.#migrated.inc({ result: 'moved' }, moved);
    this.#migrated.inc({ result: 'failed' }, failed);
  }

  /** The text of `/metrics`. */
  render(): Promise<string> {
    return this.registry.metrics();
  }

  tidied(counts: Readonly<Record<'deleted' | 'repaired' | 'lost', number>>): void {
    for (const [result, count] of Object.entries(counts)) this.#tidied.inc({ result }, count);
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.registry] });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: readonly L[]): Histogram<L> {
    return new Histogram({
      name: PREFIX + name,
      help,
      labelNames,
      buckets: SECONDS,
      registers: [this.registry],
    });
  }
}
