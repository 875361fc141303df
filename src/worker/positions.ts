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
  /** Has a partition of ours read again from there, also by whoever has it next; false: not done, or somebody else's. */
  rewind(to: RecordsBelow): Promise<boolean>;
}

const EVERY_MS = 10_000;

/** What the log and the audit say of each reason. */
const WHAT_TO_DO: Readonly<Record<Missed['reason'], string>> = {
  expired:
    'they were deleted before this group had read them: publish the entities that changed in that time again',
  recreated:
    'the topic was deleted and made again, or lost its end: it is read from its beginning, the inbox knows what is handled already',
};

/**
 * Looks at the whole group's positions in all source topics, whoever has the partitions: how far it is behind, and whether
 * it has missed anything. A worker that was killed is seen by the others.
 *
 * A gap is told before anybody commits an offset behind it: {@link beforeCommit}. The database remembers how far the group
 * had come and which log its offsets belong to. So a worker that is killed before it tells a gap leaves it to the next one.
 */
export class Positions {
  readonly #parts: PositionParts;
  /** By partition, what was told last and still stands. */
  readonly #told = new Map<string, Missed>();
  /** By partition, how far the group is known to have come. */
  readonly #reached = new Map<string, number>();
  /** This worker's, by their keys. */
  #assigned: ReadonlySet<string> = new Set<string>();
  /** Partitions whose offset may not be committed before a round has looked at them; from where on they may have a gap. */
  #unseen = new Map<string, number | null>();
  /** Those of them that the round under way looks at. */
  #beingSeen: ReadonlyMap<string, number | null> = new Map<string, number | null>();
  #round: Promise<void> | null = null;

  constructor(parts: PositionParts) {
    this.#parts = parts;
  }

  get task(): PeriodicTask {
    return { name: 'positions', everyMs: EVERY_MS, run: () => this.run() };
  }

  /** A batch of this worker's. */
  read({ topic, partition, highWatermark, lastOffset }: BatchReport): void {
    this.#parts.metrics.lag({ topic, partition }, highWatermark - lastOffset - 1);
    this.#reached.set(keyOf({ topic, partition }), lastOffset + 1);
  }

  /** This worker has these partitions now. Where the group has no offset, kafkajs begins with the oldest record there is. */
  assigned(partitions: readonly TopicPartition[]): void {
    const before = this.#assigned;
    this.#assigned = new Set(partitions.map(keyOf));
    for (const key of this.#assigned) {
      // What this worker knows from earlier may be of another log by now.
      if (!before.has(key)) this.#reached.delete(key);
      this.#unseen.set(key, this.#unseen.get(key) ?? null);
    }
  }

  /** The next record of this worker is gone. It reads on behind the gap at once. */
  outOfRange(place: TopicPartition): void {
    const key = keyOf(place);
    this.#unseen.set(key, this.#unseen.get(key) ?? this.#reached.get(key) ?? null);
  }

  /**
   * Resolves when no gap before this worker's offsets is untold, and the database knows which log they belong to.
   * Rejects with a `transient` WorkerError where the broker or the database does not answer, or the log is empty: it is
   * not the one that the records came from.
   */
  async beforeCommit(place: TopicPartition): Promise<void> {
    const key = keyOf(place);
    const isUnseen = (): boolean => this.#unseen.has(key) || this.#beingSeen.has(key);
    for (let rounds = 0; isUnseen(); rounds += 1) {
      // One may have begun before the records came.
      if (rounds === 2) throw new WorkerError('BROKER_UNAVAILABLE', `${place.topic} was emptied`);
      await this.run();
    }
  }

  /** One round, or the one that is under way. Rejects as {@link beforeCommit}. */
  run(): Promise<void> {
    this.#round ??= this.#seeAll().finally(() => {
      this.#round = null;
    });
    return this.#round;
  }

  async #seeAll(): Promise<void> {
    this.#beingSeen = this.#unseen;
    this.#unseen = new Map();
    try {
      await this.#look(this.#beingSeen);
    } catch (error) {
      for (const [key, from] of this.#beingSeen) this.#unseen.set(key, from ?? this.#unseen.get(key) ?? null);
      throw error;
    } finally {
      this.#beingSeen = new Map();
    }
  }

  async #look(unseen: ReadonlyMap<string, number | null>): Promise<void> {
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
      // What is handled here, and waits for this round to be committed.
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
      const from = unseen.get(key) ?? null;
      // kafkajs overwrites the group's offset at a gap. What this worker had handled by then is not missed.
      const committed = fact.committed ?? (from === null ? known : Math.max(from, known ?? 0));
      const missed = findMissed({ ...fact, committed }, before.get(key) ?? null);
      if (missed !== null) await this.#tell(fact, missed);
      else if (from !== null && from < fact.low)
        await this.#tell(fact, { reason: 'expired', from, to: fact.low });
      else this.#told.delete(key);
      if (fact.committed !== null) this.#reached.set(key, fact.committed);
      const isOther = missed?.reason === 'recreated';
      const isBack = isOther && (await this.#parts.rewind({ ...placeOf(fact), offset: missed.from }));
      if (isBack) this.#reached.set(key, missed.from);
      // All of one time where one is new, for each time is asked for. The beginning of a log tells it from no other.
      const { first } = checkpointOf(fact, nowMs);
      if (isBack || (isNew && missed === null && first > 0))
        await saveCheckpoints(database, [{ ...placeOf(fact), atMs: nowMs, first }]);
      const offset = isBack ? missed.from : (fact.committed ?? Math.max(known ?? 0, fact.low));
      if ((isBack || !isOther) && offset !== known) moved.push({ ...placeOf(fact), offset });
      // An empty log cannot be told from another one. Its first commit has to wait for a round that sees its records.
      if (fact.high === 0 && this.#assigned.has(key)) this.#unseen.set(key, this.#unseen.get(key) ?? null);
    }
    await saveGroupPositions(database, moved);
  }

  async #tell({ topic, partition }: TopicPartition, missed: Missed): Promise<void> {
    const { database, logger, metrics, warnings } = this.#parts;
    const { reason, to } = missed;
    const at = { topic, partition };
    const before = this.#told.get(keyOf(at));
    const isKnown = before?.reason === reason && (reason === 'recreated' || before.to > missed.from);
    if (isKnown && (reason === 'recreated' || before.to >= to)) return;
    // Of what goes on expiring: what is new.
    const from = isKnown ? before.to : missed.from;
    const records = to - from;
    const detail = `${topic}/${partition}: offsets ${from} to ${to - 1} (${records} records): ${WHAT_TO_DO[reason]}`;
    // First: where the database does not answer, the next round finds and tells it.
    await recordMissed(database, { ...at, reason, from, to }, detail);
    this.#told.set(keyOf(at), missed);
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
