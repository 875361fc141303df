import { setTimeout as delay } from 'node:timers/promises';
import {
  committedOffsets,
  createTopics,
  eachRecord,
  offsetRanges,
  queryDatabase,
  quietKafka,
  waitFor,
} from '../../harness/index.js';
import type { DeletedRecord, PublishedEvent } from '../checker/index.js';
import type { Flow } from './flow.js';
import type { Random } from './random.js';

interface LossesOptions {
  readonly brokers: string;
  readonly databaseUrl: string;
  readonly groupId: string;
  readonly topic: string;
  readonly partitions: number;
  readonly flow: Flow;
}

interface Unread extends Omit<DeletedRecord, 'reason'> {
  readonly eventId: string;
}

const READ_IN_TIME_MS = 10_000;

/** Deletes records of a source topic that nobody may have read yet, and remembers which these were. */
export class Losses {
  readonly #options: LossesOptions;
  readonly #deleted = new Map<string, DeletedRecord[]>();

  constructor(options: LossesOptions) {
    this.#options = options;
  }

  /**
   * As its retention does: the oldest ones go, whether they were read or not. Not before the first worker has come: of
   * what went before that no group has missed anything.
   */
  async expire(random: Random): Promise<string> {
    const { topic, partitions, flow } = this.#options;
    return this.#withAdmin(async (admin) => {
      const release = await flow.hold();
      try {
        await waitFor(async () => (await this.#known('read')).length === partitions, {
          what: 'a worker that has looked at the topic',
          timeoutMs: 60_000,
        });
        const unread = await this.#unread();
        const below = new Map<number, number>();
        for (const { partition, offset } of unread)
          if (random.chance(0.7)) below.set(partition, Math.max(offset + 1, below.get(partition) ?? 0));
        const gone = unread.filter(({ partition, offset }) => offset < (below.get(partition) ?? 0));
        if (gone.length === 0) return 'nothing was unread';
        this.#remember(gone, 'expired');
        // kafkajs has to know who leads its partitions.
        await admin.fetchTopicOffsets(topic);
        await admin.deleteTopicRecords({
          topic,
          partitions: [...below].map(([partition, offset]) => ({ partition, offset: String(offset) })),
        });
        return `${gone.length} records of ${below.size} partitions`;
      } finally {
        release();
      }
    });
  }

  /**
   * Deletes the topic and makes it anew, now and then before all of it was read. Not before the database knows each log:
   * of one that was deleted unseen nobody can tell anything.
   */
  async recreate(random: Random): Promise<string> {
    const { brokers, topic, partitions, flow } = this.#options;
    return this.#withAdmin(async (admin) => {
      const release = await flow.hold();
      try {
        const endMs = performance.now() + (random.chance(0.7) ? READ_IN_TIME_MS : 0);
        let unread = await this.#unread();
        while (unread.length > 0 && performance.now() < endMs) {
          await delay(500);
          unread = await this.#unread();
        }
        await waitFor(() => this.#areLogsKnown(), {
          what: 'a worker that has seen the logs',
          timeoutMs: 60_000,
        });
        this.#remember(await this.#unread(), 'recreated');
        await admin.deleteTopics({ topics: [topic] });
        await waitFor(async () => !(await admin.listTopics()).includes(topic), { what: 'the deletion' });
        await createTopics([{ topic, partitions }], { brokers });
        return `${unread.length} records were not read`;
      } finally {
        release();
      }
    });
  }

  /** What the checker is told of an event: where its record was deleted, perhaps unread. */
  told(event: PublishedEvent): PublishedEvent {
    const deleted = this.#deleted.get(event.eventId);
    return deleted === undefined ? event : { ...event, deleted };
  }

  async #areLogsKnown(): Promise<boolean> {
    const { topic, brokers } = this.#options;
    const known = (await this.#known('log')).filter(({ first = 0 }) => first > 0);
    const ranges = [...(await offsetRanges(topic, brokers))];
    return ranges.every(
      ([partition, { high }]) => high === 0 || known.some((log) => log.partition === partition),
    );
  }

  /** What the database knows of the topic's logs (`log`), and of the group's positions in them (`read`). */
  async #known(what: 'log' | 'read'): Promise<{ topic: string; partition: number; first?: number }[]> {
    const { databaseUrl: url, topic } = this.#options;
    try {
      const rows = await queryDatabase({ url }, `SELECT value FROM setting WHERE name LIKE '${what}/%'`);
      const known = rows.map(
        ({ value }) => JSON.parse(String(value)) as { topic: string; partition: number },
      );
      return known.filter((log) => log.topic === topic);
    } catch {
      // Another fault has taken the database away, or its tables are not made yet.
      return [];
    }
  }

  /** Behind what the group has committed: some of it may be under way. */
  async #unread(): Promise<Unread[]> {
    const { brokers, groupId, topic } = this.#options;
    const committed = await committedOffsets(groupId, topic, { brokers });
    const unread: Unread[] = [];
    await eachRecord(
      topic,
      ({ partition, offset, value }) => {
        if (offset < (committed.get(partition) ?? 0)) return;
        const { id } = JSON.parse(value?.toString('utf8') ?? '{}') as { id: string };
        unread.push({ eventId: id, topic, partition, offset });
      },
      { brokers, timeoutMs: 60_000 },
    );
    return unread;
  }

  #remember(unread: readonly Unread[], reason: DeletedRecord['reason']): void {
    for (const { eventId, ...place } of unread)
      this.#deleted.set(eventId, [...(this.#deleted.get(eventId) ?? []), { ...place, reason }]);
  }

  async #withAdmin<T>(work: (admin: ReturnType<ReturnType<typeof quietKafka>['admin']>) => Promise<T>) {
    const admin = quietKafka(this.#options.brokers).admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }
}
