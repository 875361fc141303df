import { openWorker, type Worker } from '../../worker/worker.js';
import type { Config } from '../../config.js';
import { setHandledFrom } from '../../database/handled-from.js';
import { WorkerError } from '../../errors.js';
import { checkTopics, judgeTopicProblems } from '../../kafka/topic-checks.js';
import { KafkaOutlet } from '../../../producers/outlet.js';
import { forgetGroup, readClusterId } from '../../kafka/admin.js';
import { readOffsetRanges } from '../../kafka/partitions.js';
import type { KafkaSettings } from '../../kafka/settings.js';
import type { Progress } from '../progress.js';
import { EventLog, FailureLog, type Logger } from '../../observability/index.js';
import { kafkaSettings } from '../../kafka/settings-from-config.js';
import { ReplayCounts } from './counts.js';
import { groupOf, requireOwnGroup } from './group.js';
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
  /** Told once, before the first record. */
  readonly onStart: (record: EventsReplay) => void;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Only what the chosen events bring along: no connection is moved that they do not tell of. */
  readonly isDryRun?: boolean;
}

const CLOSE_DEADLINE_MS = 2_000;

/**
 * Reads source records again, through the same pipeline as the workers do, beside them if they run. Returns how it
 * stands: done, or interrupted by the signal.
 * @throws WorkerError what it cannot go on with; it can be resumed when that is put right
 */
export async function replay(options: ReplayOptions): Promise<EventsReplay> {
  const { config, logger } = options;
  const settings = kafkaSettings(config);
  const outlet = new KafkaOutlet({
    settings,
    topics: config.topics,
    logger,
  });
  const failures = new FailureLog(logger);
  const counts = new ReplayCounts();
  try {
    judgeTopicProblems(await checkTopics(settings, config.topics, logger), logger);
    await outlet.readLimits();
    const worker = await openWorker(config, {
      outlet,
      observer: new EventLog(logger, failures, counts),
      command: 'replay',
      kafkaCluster: () => readClusterId(settings, logger),
    });
    try {
      return await new Replay(options, settings, worker, counts).run();
    } finally {
      await worker.close();
    }
  } finally {
    await outlet.close(CLOSE_DEADLINE_MS);
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

  /** Begins at what the plan names, as the topics are now. @throws ConfigurationError USAGE_INVALID */
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

  /** What was handled again without a filter is this database's from there on. */
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
   * Under another manager than before: what no event has brought along follows, where all of it is replayed. What cannot
   * be moved stays where it is, for the workers.
   */
  async #moveRest({ parameters: { selection } }: EventsReplay): Promise<void> {
    const { logger, signal } = this.#options;
    const { migration, manager } = this.#worker;
    if (selection.connectionIds !== null || selection.kinds !== null) return;
    const { failures } = await migration.finish(signal);
    for (const failure of failures)
      logger.warn({ ...failure, to: manager.name }, 'a connection cannot be moved yet');
  }

  /** The replay's own events are published, or came again; this is what others left behind before it. */
  async #publishRest(): Promise<void> {
    const { signal, logger } = this.#options;
    await unlessUnavailable(async () => {
      while (!signal.aborted && (await this.#worker.relay.run(signal)) > 0);
    }, logger);
  }
}

/** What is passing is no reason to end: the next attempt follows. */
async function unlessUnavailable(work: () => Promise<void>, logger: Logger): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof WorkerError && error.retryable)) throw error;
    logger.warn({ code: error.code }, 'replay: not possible at present, tried again');
  }
}
