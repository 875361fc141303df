import type { BatchReport } from '../../consumers/batches.js';
import type { Database } from '../database/database.js';
import {
  loadCheckpoints,
  loadGroupPositions,
  recordMissed,
  saveCheckpoints,
  saveGroupPositions,
  type GroupPosition,
} from '../database/missed-records.js';
import { WorkerError } from '../errors.js';
import {
  partitionKey,
  readPartitionFacts,
  type PartitionFacts,
  type PartitionKey,
  type RecordsBelow,
  type TopicPartition,
} from '../kafka/partitions.js';
import type { KafkaSettings } from '../kafka/settings.js';
import type { Logger, Metrics } from '../observability/index.js';
import { checkpointOf, findMissed, type Missed } from './missed.js';
import type { PeriodicTask } from './periodic.js';
import type { Warnings } from './readiness.js';

interface PositionParts {
  readonly database: Database;
  readonly settings: KafkaSettings;
  readonly logger: Logger;
  readonly topics: readonly string[];
  readonly metrics: Pick<Metrics, 'lag' | 'lagUnknown' | 'missed'>;
  readonly warnings: Pick<Warnings, 'add'>;
  /** Reads a partition of this worker again from an offset, and commits that. False: not done, or not our partition. */
  rewind(to: RecordsBelow): Promise<boolean>;
}

const EVERY_MS = 10_000;

/** For the log and the audit. */
const WHAT_TO_DO: Readonly<Record<Missed['reason'], string>> = {
  expired:
    'they were deleted before this group had read them: publish the entities again that changed in that time',
  recreated:
    'the topic was deleted and created again, or lost its end: the worker reads it from its beginning, and the inbox drops what it has handled already',
};

/**
 * Watches the offsets of the whole consumer group in all source topics: how far it lags, and whether it has missed
 * records. Every worker watches all partitions, also those of a worker that was killed.
 *
 * A worker reports a gap before it commits an offset behind it: {@link beforeCommit}. The database remembers how far the
 * group has come, and which log its offsets belong to. So if a worker is killed before it reports a gap, the next one does.
 */
export class Positions {
  readonly #parts: PositionParts;
  /** By partition: the gap that was reported last and still exists. */
  readonly #reported = new Map<string, Missed>();
  /** By partition: the offset that the group is known to have reached. */
  readonly #reached = new Map<string, number>();
  /** The partitions of this worker. */
  #assigned: ReadonlySet<string> = new Set<string>();
  /** Partitions that a round must check before a commit. Value: where a gap may begin; null if not known. */
  #unchecked = new Map<string, number | null>();
  /** Those that the present round checks. */
  #beingChecked: ReadonlyMap<string, number | null> = new Map<string, number | null>();
  #round: Promise<void> | null = null;

  constructor(parts: PositionParts) {
    this.#parts = parts;
  }

  get task(): PeriodicTask {
    return { name: 'positions', everyMs: EVERY_MS, run: () => this.run() };
  }

  /** Called for each batch of this worker. */
  read({ topic, partition, highWatermark, lastOffset }: BatchReport): void {
    this.#parts.metrics.lag({ topic, partition }, highWatermark - lastOffset - 1);
    this.#reached.set(keyOf({ topic, partition }), lastOffset + 1);
  }

  /** This worker has these partitions now. If the group has no offset, kafkajs begins with the oldest record. */
  assigned(partitions: readonly TopicPartition[]): void {
    const before = this.#assigned;
    this.#assigned = new Set(partitions.map(keyOf));
    for (const key of this.#assigned) {
      // What this worker knows from before may belong to another log by now.
      if (!before.has(key)) this.#reached.delete(key);
      this.#unchecked.set(key, this.#unchecked.get(key) ?? null);
    }
  }

  /** The next record of this worker no longer exists. It reads on behind the gap at once. */
  outOfRange(place: TopicPartition): void {
    const key = keyOf(place);
    this.#unchecked.set(key, this.#unchecked.get(key) ?? this.#reached.get(key) ?? null);
  }

  /**
   * Resolves when every gap before this worker's offsets is reported, and the database knows which log they belong to.
   * @throws a `transient` WorkerError if the broker or the database does not answer, or if the log is empty: the records
   *   came from another log then
   */
  async beforeCommit(place: TopicPartition): Promise<void> {
    const key = keyOf(place);
    const isUnchecked = (): boolean => this.#unchecked.has(key) || this.#beingChecked.has(key);
    for (let rounds = 0; isUnchecked(); rounds += 1) {
      // The first round may have begun before the records arrived.
      if (rounds === 2)
        throw new WorkerError(
          'BROKER_UNAVAILABLE',
          `the topic ${place.topic} is empty: it was created again, or its records were deleted`,
        );
      await this.run();
    }
  }

  /** Runs one round, or waits for the present one. Rejects as {@link beforeCommit}. */
  run(): Promise<void> {
    this.#round ??= this.#checkAll().finally(() => {
      this.#round = null;
    });
    return this.#round;
  }

  async #checkAll(): Promise<void> {
    this.#beingChecked = this.#unchecked;
    this.#unchecked = new Map();
    try {
      await this.#check(this.#beingChecked);
    } catch (error) {
      for (const [key, from] of this.#beingChecked)
        this.#unchecked.set(key, from ?? this.#unchecked.get(key) ?? null);
      throw error;
    } finally {
      this.#beingChecked = new Map();
    }
  }

  async #check(unchecked: ReadonlyMap<string, number | null>): Promise<void> {
    const { database, settings, topics, logger, metrics } = this.#parts;
    const nowMs = Date.now();
    const stored = await loadCheckpoints(database);
    const before = new Map(stored.map((checkpoint) => [keyOf(checkpoint), checkpoint]));
    const positions = new Map((await loadGroupPositions(database)).map((one) => [keyOf(one), one.offset]));
    const times = [...new Set([...before.values()].map(({ atMs }) => atMs)), nowMs];
    let facts: readonly PartitionFacts[];
    try {
      facts = await readPartitionFacts(settings, topics, logger, times);
    } catch (error) {
      metrics.lagUnknown();
      throw error;
    }
    for (const fact of facts) {
      const { low, high, committed } = fact;
      const key = keyOf(fact);
      // This worker may have handled records whose commit waits for this round.
      const passed = this.#assigned.has(key) ? (this.#reached.get(key) ?? 0) : 0;
      metrics.lag(placeOf(fact), high - Math.min(high, Math.max(low, committed ?? low, passed)));
    }
    const isNew = facts.some(
      (fact) => (before.get(keyOf(fact))?.first ?? 0) === 0 && checkpointOf(fact, nowMs).first > 0,
    );
    const moved: GroupPosition[] = [];
    for (const fact of facts) {
      const key = keyOf(fact);
      const known = positions.get(key) ?? null;
      const from = unchecked.get(key) ?? null;
      // At a gap kafkajs overwrites the group's offset. Records that this worker had handled before are not missed.
      const committed = fact.committed ?? (from === null ? known : Math.max(from, known ?? 0));
      const missed = findMissed({ ...fact, committed }, before.get(key) ?? null);
      if (missed !== null) await this.#report(fact, missed);
      else if (from !== null && from < fact.low)
        await this.#report(fact, { reason: 'expired', from, to: fact.low });
      else this.#reported.delete(key);
      if (fact.committed !== null) this.#reached.set(key, fact.committed);
      const isOtherLog = missed?.reason === 'recreated';
      const isBack = isOtherLog && (await this.#parts.rewind({ ...placeOf(fact), offset: missed.from }));
      if (isBack) this.#reached.set(key, missed.from);
      // If one is new, all get the same time: each time costs a request. Offset 0 does not tell a log from another one.
      const { first } = checkpointOf(fact, nowMs);
      if (isBack || (isNew && missed === null && first > 0))
        await saveCheckpoints(database, [{ ...placeOf(fact), atMs: nowMs, first }]);
      const offset = isBack ? missed.from : (fact.committed ?? Math.max(known ?? 0, fact.low));
      if ((isBack || !isOtherLog) && offset !== known) moved.push({ ...placeOf(fact), offset });
      // Nothing tells an empty log from another one: its first commit waits for a round that finds records.
      if (fact.high === 0 && this.#assigned.has(key))
        this.#unchecked.set(key, this.#unchecked.get(key) ?? null);
    }
    await saveGroupPositions(database, moved);
  }

  async #report({ topic, partition }: TopicPartition, missed: Missed): Promise<void> {
    const { database, logger, metrics, warnings } = this.#parts;
    const { reason, to } = missed;
    const at = { topic, partition };
    const before = this.#reported.get(keyOf(at));
    const isKnown = before?.reason === reason && (reason === 'recreated' || before.to > missed.from);
    if (isKnown && (reason === 'recreated' || before.to >= to)) return;
    // If records keep expiring, report only the new ones.
    const from = isKnown ? before.to : missed.from;
    const records = to - from;
    const detail = `${topic}/${partition}: offsets ${from} to ${to - 1} (${records} records): ${WHAT_TO_DO[reason]}`;
    // The database first: if it does not answer, the next round reports the gap.
    await recordMissed(database, { ...at, reason, from, to }, detail);
    this.#reported.set(keyOf(at), missed);
    metrics.missed({ ...at, reason }, records);
    warnings.add({ code: 'RECORDS_MISSED', ...at, reason, from, to });
    logger.error({ ...at, reason, from, to, records, whatToDo: WHAT_TO_DO[reason] }, 'records were missed');
  }
}

function placeOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}

function keyOf({ topic, partition }: TopicPartition): PartitionKey {
  return partitionKey(topic, partition);
}
