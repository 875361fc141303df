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
  /** What the group has given to this process: each worker looks after its own. */
  partitions(): readonly TopicPartition[];
  /** Records below `offset` are gone, `records` of them just now (as offsets count). */
  onPurged(below: RecordsBelow, records: number): void;
}

/**
 * Before the first record is handled, in every start: only then it can be said from where on this database has handled
 * the source topics. Rejects with a `transient` WorkerError where the broker or the database does not answer.
 */
export async function rememberStart(
  { database, settings, logger }: Pick<PurgeParts, 'database' | 'settings' | 'logger'>,
  topics: readonly string[],
): Promise<void> {
  const facts = await readPartitionFacts(settings, topics, logger);
  // A group without offsets begins with the first record there is.
  const places = facts.map(({ committed, low, ...place }) => ({ ...place, from: committed ?? low }));
  await rememberHandledFrom(database, places);
}

const PURGE_EVERY_MS = 10_000;
const GROUPS_EVERY_MS = 3_600_000;

/** `PURGE_SOURCE=secured` as a worker runs it. */
export function purgeTask(parts: PurgeParts): PeriodicTask {
  const purge = new SourcePurge(parts);
  return { name: 'purge-source', everyMs: PURGE_EVERY_MS, run: () => purge.run() };
}

interface Round {
  readonly atMs: number;
  /** The same by our own clock, before the broker was asked. */
  readonly askedAtMs: number;
  readonly facts: readonly PartitionFacts[];
  /** Of the logs that the group's offsets are of, as far as somebody has gone back where they are others by now. */
  readonly known: readonly LogCheckpoint[];
}

/**
 * Deletes source records that this database has handled, below the group's committed offsets.
 * One round looks, the next one deletes what the first has seen, once everything that was unpublished then is sent: an
 * offset is committed after the event's effects are durable, and so everything below it is.
 */
class SourcePurge {
  readonly #parts: PurgeParts;
  #last: Round | null = null;
  #askedGroupsAtMs = -Infinity;
  #keptBecause: string | null = null;
  readonly #gaps = new Set<string>();

  constructor(parts: PurgeParts) {
    this.#parts = parts;
  }

  /** One round. Rejects with a `transient` WorkerError where the broker or the database does not do it. */
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
    // The time last: what is committed by now is older, and sent unless it is among what is unsent since then.
    this.#last = { facts, known, askedAtMs, atMs: await databaseTimeMs(database) };
    if (before === null) return;
    const reason = await reasonToKeepRecords(database, before.atMs);
    this.#tell(reason);
    if (reason === null) await this.#purge(await this.#limits(before, this.#last));
  }

  /** What the round before has seen as committed, of partitions that this database has handled from their first record. */
  async #limits(before: Round, now: Round): Promise<(RecordsBelow & { readonly low: number })[]> {
    const limits: (RecordsBelow & { readonly low: number })[] = [];
    for (const fact of now.facts) {
      const { topic, partition, low, committed } = fact;
      const then = before.facts.find((one) => one.topic === topic && one.partition === partition);
      // Another log under the same name: the group's offsets say nothing about its records until somebody has gone back.
      const known = now.known.find((one) => one.topic === topic && one.partition === partition);
      if (then === undefined || findMissed(fact, checkpointOf(then, before.askedAtMs)) !== null) continue;
      if (known !== undefined && findMissed(fact, known) !== null) continue;
      const seen = then.committed;
      // The group's offsets may have been put back in between: what comes again must be there.
      const offset = Math.min(seen ?? 0, committed ?? 0);
      if (offset <= low) continue;
      // A partition that was added since the start begins anew at the next one.
      const from = (await handledFrom(this.#parts.database, { topic, partition })) ?? offset;
      if (from > low) this.#tellGap({ topic, partition }, low, from);
      else limits.push({ topic, partition, offset, low });
    }
    return limits;
  }

  async #purge(limits: readonly (RecordsBelow & { readonly low: number })[]): Promise<void> {
    const { settings, logger } = this.#parts;
    if (limits.length === 0) return;
    await this.#warnOfReaders(limits);
    await deleteRecords(settings, limits, logger);
    for (const { low, ...below } of limits) {
      this.#parts.onPurged(below, below.offset - low);
      logger.info({ ...below, records: below.offset - low }, 'source records deleted');
    }
  }

  /** Now and then: others who read these topics lose what they have not read yet. */
  async #warnOfReaders(limits: readonly RecordsBelow[]): Promise<void> {
    const { settings, logger } = this.#parts;
    if (performance.now() - this.#askedGroupsAtMs < GROUPS_EVERY_MS) return;
    this.#askedGroupsAtMs = performance.now();
    const groups = await groupsBehind(settings, limits, logger).catch(() => []);
    if (groups.length > 0)
      logger.warn({ groups }, 'PURGE_SOURCE=secured deletes source records that these groups have not read');
  }

  #tell(reason: string | null): void {
    if (reason !== null && reason !== this.#keptBecause)
      this.#parts.logger.warn({ reason }, 'source records are not deleted until the reason is gone');
    this.#keptBecause = reason;
  }

  #tellGap({ topic, partition }: TopicPartition, low: number, from: number): void {
    const gap = `${topic}/${partition}`;
    if (this.#gaps.has(gap)) return;
    this.#gaps.add(gap);
    const reason = `this database has not handled the offsets from ${low} to ${from - 1}: \`connection-secrets replay\` does`;
    this.#parts.logger.warn(
      { topic, partition, reason },
      'source records are not deleted until the reason is gone',
    );
  }
}
