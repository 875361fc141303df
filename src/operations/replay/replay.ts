import { randomUUID } from 'node:crypto';
import { openWorker, type Worker } from '../../worker/worker.js';
import type { Config } from '../../config.js';
import type { Database } from '../../database/database.js';
import { readGroupId } from '../../database/group-id.js';
import { setHandledFrom } from '../../database/handled-from.js';
import { ConfigurationError, WorkerError } from '../../errors.js';
import { checkTopics, judgeTopicProblems } from '../../kafka/topic-checks.js';
import { forgetGroup, readGroup } from '../../kafka/admin.js';
import { readOffsetRanges } from '../../kafka/partitions.js';
import type { KafkaSettings } from '../../kafka/settings.js';
import { openOutlet } from '../outlet.js';
import type { Progress } from '../progress.js';
import { EventLog, FailureLog, type Logger } from '../../observability/index.js';
import { kafkaSettings } from '../../kafka/settings-from-config.js';
import { ReplayCounts } from './counts.js';
import { chosenTopics, planPositions, type ReplayPlan } from './plan.js';
import { ReplayPositions } from './positions.js';
import { readNewestFirst } from './newest-first.js';
import { createReplay, saveReplay, type EventsReplay } from './record.js';

/** A new replay, or one that was interrupted. */
export type ReplayRequest =
  | { readonly kind: 'start'; readonly plan: ReplayPlan }
  | { readonly kind: 'resume'; readonly record: EventsReplay };

export interface ReplayOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly request: ReplayRequest;
  /** Called once, before the first record. */
  readonly onStart: (record: EventsReplay) => void;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** A dry run moves only connections of the selected events to a new manager, and no others. */
  readonly isDryRun?: boolean;
}

/**
 * Reads source records again and handles them in the same pipeline as the workers, which may run at the same time. Returns
 * how far it came: `done`, or `interrupted` by the signal.
 * @throws WorkerError if it cannot go on; it can be resumed once the cause is removed
 */
export async function replay(options: ReplayOptions): Promise<EventsReplay> {
  const { config, logger } = options;
  const settings = kafkaSettings(config);
  judgeTopicProblems(await checkTopics(settings, config.topics, logger), logger);
  const { outlet, kafkaCluster, close } = await openOutlet(config, logger);
  const failures = new FailureLog(logger);
  const counts = new ReplayCounts();
  try {
    const worker = await openWorker(config, {
      outlet,
      observer: new EventLog(logger, failures, counts),
      command: 'replay',
      kafkaCluster,
    });
    try {
      return await new Replay(options, settings, worker, counts).run();
    } finally {
      await worker.close();
    }
  } finally {
    await close();
    failures.close();
  }
}

export class Replay {
  readonly #options: ReplayOptions;
  readonly #settings: KafkaSettings;
  readonly #worker: Worker;
  readonly #counts: ReplayCounts;

  constructor(options: ReplayOptions, settings: KafkaSettings, worker: Worker, counts: ReplayCounts) {
    this.#options = options;
    this.#settings = settings;
    this.#worker = worker;
    this.#counts = counts;
  }

  async run(): Promise<EventsReplay> {
    const { onStart } = this.#options;
    const record = await this.#record();
    const positions = new ReplayPositions(record.progress.positions);
    this.#counts.continueFrom(record.progress.totals);
    onStart(record);
    const save = async (state: EventsReplay['state']): Promise<EventsReplay> => {
      const saved = { ...record, state, progress: this.#progress(positions) };
      await saveReplay(this.#worker.database, saved);
      return saved;
    };
    let isWhole: boolean;
    try {
      isWhole = await this.#read(record, positions, async () => {
        await save('running');
      });
      if (isWhole && this.#options.isDryRun !== true) await this.#moveRest(record);
      await this.#publishRest();
    } catch (error) {
      await save('interrupted').catch(() => undefined);
      throw error;
    }
    if (!isWhole) return save('interrupted');
    await this.#remember(record);
    return save('done');
  }

  #progress(positions: ReplayPositions): EventsReplay['progress'] {
    return { positions: positions.list(), totals: this.#counts.totals() };
  }

  /** The replay to resume, or a new one over the topics as they are now. @throws ConfigurationError USAGE_INVALID */
  async #record(): Promise<EventsReplay> {
    const { config, request, logger } = this.#options;
    const { database } = this.#worker;
    if (request.kind === 'resume') return request.record;
    const { plan } = request;
    const { created, updated, deleted } = config.topics;
    const topics = chosenTopics([created, updated, deleted], plan.selection);
    await requireOwnGroup(database, plan.group, this.#settings, topics, logger);
    const sinceMs = plan.start.kind === 'time' ? plan.start.timeMs : null;
    const positions = planPositions(await readOffsetRanges(this.#settings, topics, logger, sinceMs), plan);
    const progress = { positions, totals: this.#counts.totals() };
    return createReplay<EventsReplay>(database, { of: 'events', parameters: plan, progress });
  }

  /** Records that this database has handled all events of these ranges, if the selection left out none. */
  async #remember({ parameters, progress }: EventsReplay): Promise<void> {
    const { start, selection } = parameters;
    if (selection.connectionIds !== null || selection.kinds !== null) return;
    const isEverything =
      start.kind === 'beginning' && selection.topics === null && selection.partitions === null;
    await setHandledFrom(this.#worker.database, progress.positions, isEverything);
  }

  /** Returns whether every record was handled. */
  async #read(record: EventsReplay, positions: ReplayPositions, save: () => Promise<void>): Promise<boolean> {
    const { config, logger, progress, signal } = this.#options;
    const settings = { ...this.#settings, groupId: groupOf(record.parameters, this.#settings) };
    const isWhole = await readNewestFirst({
      settings,
      topics: config.topics,
      selection: record.parameters.selection,
      positions,
      handler: this.#worker.pipeline,
      context: this.#worker.context,
      concurrency: this.#worker.recordsAtOnce,
      logger,
      onSkipped: () => this.#counts.skipped(),
      onDeleted: ({ topic, partition }, count) => {
        this.#counts.deleted(count);
        logger.warn({ topic, partition, count }, 'Kafka deleted records before the replay read them');
      },
      onPositions: () => unlessUnavailable(save, logger),
      progress,
      graceMs: config.worker.shutdownGraceMs,
      signal,
    });
    await forgetGroup(settings, logger);
    return isWhole;
  }

  /**
   * After a change of manager each event moves its own connection. This moves the others, if all connections and kinds are
   * selected. The workers try again to move those that fail.
   */
  async #moveRest({ parameters: { selection } }: EventsReplay): Promise<void> {
    const { logger, signal } = this.#options;
    const { migration, manager } = this.#worker;
    if (selection.connectionIds !== null || selection.kinds !== null) return;
    const { failures } = await migration.finish(signal);
    for (const failure of failures)
      logger.warn({ ...failure, to: manager.name }, 'a connection cannot be moved yet');
  }

  /** Publishes what earlier processes left unsent. The replay has already published its own events. */
  async #publishRest(): Promise<void> {
    const { signal, logger } = this.#options;
    await unlessUnavailable(async () => {
      while (!signal.aborted && (await this.#worker.relay.run(signal)) > 0);
    }, logger);
  }
}

/** A transient error does not end the replay: it logs the error, and the next call tries again. */
async function unlessUnavailable(work: () => Promise<void>, logger: Logger): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof WorkerError && error.retryable)) throw error;
    logger.warn({ code: error.code }, 'replay: this failed and will be tried again');
  }
}

/** The named group, or a new one for each run, so that a run never waits for a member of a killed one. */
function groupOf({ group }: ReplayPlan, { groupId }: KafkaSettings): string {
  return group ?? `${groupId}-replay-${randomUUID().slice(0, 8)}`;
}

/**
 * Refuses a named group that other consumers use: joining it would take partitions away from them.
 * @throws ConfigurationError USAGE_INVALID for the workers' own group, or one that is in use
 */
async function requireOwnGroup(
  database: Database,
  group: string | null,
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
): Promise<void> {
  if (group === null) return;
  if (group === settings.groupId || group === (await readGroupId(database)))
    throw new ConfigurationError('USAGE_INVALID', `--group: ${group} is the workers' own group`);
  const facts = await readGroup({ ...settings, groupId: group }, topics, logger);
  if (facts.members > 0 || facts.topics.length > 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--group: ${group} is in use (${facts.members} members, offsets of ${facts.topics.length} source topics): name a new one`,
    );
}
