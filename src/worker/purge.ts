import type { Database } from '../database/database.js';
import {
  databaseTimeMs,
  handledFrom,
  reasonToKeepRecords,
  rememberHandledFrom,
} from '../database/handled-from.js';
import { loadCheckpoints, type LogCheckpoint } from '../database/missed-records.js';
import {
  deleteRecords,
  groupsBehind,
  readPartitionFacts,
  type PartitionFacts,
  type RecordsBelow,
  type TopicPartition,
} from '../kafka/partitions.js';
import type { KafkaSettings } from '../kafka/settings.js';
import type { Logger } from '../observability/index.js';
import { checkpointOf, findMissed } from './missed.js';
import type { PeriodicTask } from './periodic.js';

interface PurgeParts {
  readonly database: Database;
  readonly settings: KafkaSettings;
  readonly logger: Logger;
  /** The partitions of this process: each worker purges its own. */
  partitions(): readonly TopicPartition[];
  /** Called when the records below `offset` are deleted. `records` counts the offsets of this deletion. */
  onPurged(below: RecordsBelow, records: number): void;
}

/**
 * Remembers from which offset on this database handles each source partition. Called at every start, before the first
 * record is handled: later it cannot be found out.
 * @throws a `transient` WorkerError if the broker or the database does not answer
 */
export async function rememberStart(
  { database, settings, logger }: Pick<PurgeParts, 'database' | 'settings' | 'logger'>,
  topics: readonly string[],
): Promise<void> {
  const facts = await readPartitionFacts(settings, topics, logger);
  // A group without offsets begins with the oldest record.
  const places = facts.map(({ committed, low, ...place }) => ({ ...place, from: committed ?? low }));
  await rememberHandledFrom(database, places);
}

const PURGE_EVERY_MS = 10_000;
const GROUPS_EVERY_MS = 3_600_000;

interface Round {
  /** By the database's clock, after the broker was asked. */
  readonly atMs: number;
  /** By our own clock, before the broker was asked. */
  readonly askedAtMs: number;
  readonly facts: readonly PartitionFacts[];
  /** They tell which logs the group's offsets belong to: see positions.ts. */
  readonly known: readonly LogCheckpoint[];
}

/** The records from `low` to `offset` can be deleted; `offset` is exclusive. */
interface Purgeable extends RecordsBelow {
  readonly low: number;
}

/**
 * `PURGE_SOURCE=secured`: deletes source records that this database has handled, below the group's committed offsets.
 *
 * Below a committed offset the effects of all events are durable, but perhaps not yet published. So one round reads the
 * offsets, and a later one deletes the records below them, once everything that was unsent at that time is published.
 */
export class SourcePurge {
  readonly #parts: PurgeParts;
  #last: Round | null = null;
  #askedGroupsAtMs = -Infinity;
  #keptBecause: string | null = null;
  readonly #gaps = new Set<string>();

  constructor(parts: PurgeParts) {
    this.#parts = parts;
  }

  get task(): PeriodicTask {
    return { name: 'purge-source', everyMs: PURGE_EVERY_MS, run: () => this.run() };
  }

  /**
   * One round.
   * @throws a `transient` WorkerError if the broker or the database fails
   */
  async run(): Promise<void> {
    const { database, settings, logger } = this.#parts;
    const ours = this.#parts.partitions();
    if (ours.length === 0) {
      this.#last = null;
      return;
    }
    const before = this.#last;
    const topics = new Set(ours.map(({ topic }) => topic));
    const askedAtMs = Date.now();
    const known = await loadCheckpoints(database);
    const asked = [...known.map(({ atMs }) => atMs), ...(before === null ? [] : [before.askedAtMs])];
    const times = [...new Set([askedAtMs, ...asked])];
    const facts = (await readPartitionFacts(settings, [...topics], logger, times)).filter(
      ({ topic, partition }) => ours.some((one) => one.topic === topic && one.partition === partition),
    );
    // The time last: all records of committed offsets are older. Those that are still unsent then delay the deletion.
    this.#last = { facts, known, askedAtMs, atMs: await databaseTimeMs(database) };
    if (before === null) return;
    const reason = await reasonToKeepRecords(database, before.atMs);
    this.#logReason(reason);
    if (reason === null) await this.#purge(await this.#limits(before, this.#last));
  }

  /** The records below the offsets of the last round, in partitions that this database has handled from their oldest record. */
  async #limits(before: Round, now: Round): Promise<Purgeable[]> {
    const limits: Purgeable[] = [];
    for (const fact of now.facts) {
      const { topic, partition, low, committed } = fact;
      const then = before.facts.find((one) => one.topic === topic && one.partition === partition);
      // The topic was recreated: the group's offsets do not apply to this log until a worker has gone back to its start.
      const known = now.known.find((one) => one.topic === topic && one.partition === partition);
      if (then === undefined || findMissed(fact, checkpointOf(then, before.askedAtMs)) !== null) continue;
      if (known !== undefined && findMissed(fact, known) !== null) continue;
      // The group's offsets may have been set back in between: records that it will read again must stay.
      const offset = Math.min(then.committed ?? 0, committed ?? 0);
      if (offset <= low) continue;
      // A partition that was added since the start gets its first offset at the next start.
      const from = (await handledFrom(this.#parts.database, { topic, partition })) ?? offset;
      if (from > low) this.#logGap({ topic, partition }, low, from);
      else limits.push({ topic, partition, offset, low });
    }
    return limits;
  }

  async #purge(limits: readonly Purgeable[]): Promise<void> {
    const { settings, logger } = this.#parts;
    if (limits.length === 0) return;
    await this.#warnOfReaders(limits);
    await deleteRecords(settings, limits, logger);
    for (const { low, ...below } of limits) {
      this.#parts.onPurged(below, below.offset - low);
      logger.info({ ...below, records: below.offset - low }, 'source records deleted');
    }
  }

  /** At most once an hour. Other groups that read these topics lose the records that they have not read. */
  async #warnOfReaders(limits: readonly RecordsBelow[]): Promise<void> {
    const { settings, logger } = this.#parts;
    if (performance.now() - this.#askedGroupsAtMs < GROUPS_EVERY_MS) return;
    this.#askedGroupsAtMs = performance.now();
    const groups = await groupsBehind(settings, limits, logger).catch(() => []);
    if (groups.length > 0)
      logger.warn({ groups }, 'PURGE_SOURCE=secured deletes source records that these groups have not read');
  }

  #logReason(reason: string | null): void {
    if (reason !== null && reason !== this.#keptBecause)
      this.#parts.logger.warn({ reason }, 'source records are not deleted until the reason is gone');
    this.#keptBecause = reason;
  }

  #logGap({ topic, partition }: TopicPartition, low: number, from: number): void {
    const gap = `${topic}/${partition}`;
    if (this.#gaps.has(gap)) return;
    this.#gaps.add(gap);
    const reason = `this database has not handled the offsets ${low} to ${from - 1}: run \`connection-secrets replay\``;
    this.#parts.logger.warn(
      { topic, partition, reason },
      'source records are not deleted until the reason is gone',
    );
  }
}
