import { SourceConsumer, type SourceConsumerOptions } from '../../consumers/source-events.js';
import { KafkaOutlet } from '../../producers/outlet.js';
import type { Config } from '../config.js';
import { claimGroupId } from '../database/group-id.js';
import { WorkerError } from '../errors.js';
import { openHttpServer, type HttpServer } from '../http/server.js';
import { ping, readClusterId } from '../kafka/admin.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import type { KafkaSettings } from '../kafka/settings.js';
import { checkTopics, judgeTopicProblems } from '../kafka/topic-checks.js';
import { sourceTopics } from '../kafka/topics.js';
import { EventLog, FailureLog, Metrics, logTidied, managerLog, type Logger } from '../observability/index.js';
import { readBacklog } from './backlog.js';
import { readinessChecks } from './checks.js';
import { migrationTask } from './migration.js';
import { Periodic, type PeriodicTask } from './periodic.js';
import { Positions } from './positions.js';
import { rememberStart, SourcePurge } from './purge.js';
import { PARTS, Readiness, type Part } from './readiness.js';
import { untilAvailable } from './until-available.js';
import { openWorker, type Worker } from './worker.js';

interface ServiceOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly version: string;
  /** Whether this worker may use a database that another consumer group has used. */
  readonly allowGroupChange: boolean;
  /** Once aborted, the service finishes the records in flight and ends. */
  readonly stop: AbortSignal;
}

/** The part that is missing, by the first word of a `transient` code. */
const MISSING_PARTS: Readonly<Record<string, Part>> = { STORE: 'store', BROKER: 'broker' };
const KEPT_EVENTS_EVERY_MS = 1_000;
const BACKLOG_EVERY_MS = 10_000;
const JANITOR_EVERY_MS = 5_000;
const RETENTION_EVERY_MS = 600_000;
const CLOSE_DEADLINE_MS = 2_000;

/**
 * Runs the worker (`start`) until it is told to stop. It waits for a database or broker that is not there yet; its HTTP
 * server already answers in that time. Resolves after a clean stop.
 * @throws WorkerError if it cannot go on; the user has to correct those of the kind `configuration`
 */
export async function runService(options: ServiceOptions): Promise<void> {
  const service = new Service(options);
  try {
    await service.run();
  } finally {
    await service.close();
  }
}

class Service {
  readonly #options: ServiceOptions;
  readonly #settings: KafkaSettings;
  readonly #metrics: Metrics;
  readonly #failures: FailureLog;
  readonly #readiness: Readiness;
  readonly #tasks: Periodic[] = [];
  /** Rejects with the error that ends the service. */
  readonly #fatal: Promise<never>;
  #rejectFatal: (error: Error) => void = () => undefined;
  #http: HttpServer | null = null;
  #outlet: KafkaOutlet | null = null;
  #worker: Worker | null = null;
  #consumer: SourceConsumer | null = null;

  constructor(options: ServiceOptions) {
    const { config, logger, version } = options;
    this.#options = options;
    this.#settings = kafkaSettings(config);
    this.#metrics = new Metrics({ version, manager: config.secretsManager.name });
    this.#failures = new FailureLog(logger);
    this.#readiness = new Readiness((part, state, code) => {
      this.#metrics.ready(part, state === 'up');
      logger[state === 'up' ? 'info' : 'warn']({ part, state, code }, 'readiness');
    });
    for (const part of PARTS) this.#metrics.ready(part, false);
    this.#fatal = new Promise<never>((_resolve, reject) => {
      this.#rejectFatal = reject;
    });
    this.#fatal.catch(() => undefined);
  }

  async run(): Promise<void> {
    const { stop } = this.#options;
    const stopped = new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      else stop.addEventListener('abort', () => resolve(), { once: true });
    });
    await this.#openHttp();
    try {
      await Promise.race([this.#start(), this.#fatal]);
    } catch (error) {
      if (stop.aborted && error === stop.reason) return;
      throw error;
    }
    this.#readiness.phase = 'running';
    this.#options.logger.info('started');
    await Promise.race([stopped, this.#fatal]);
  }

  /** Closes each part before those that it depends on. Each step has a deadline. */
  async close(): Promise<void> {
    const { config, logger } = this.#options;
    this.#readiness.phase = 'stopping';
    logger.info({ graceMs: config.worker.shutdownGraceMs }, 'stopping');
    await this.#consumer?.stop(config.worker.shutdownGraceMs);
    await Promise.all(this.#tasks.map((task) => task.stop()));
    await this.#outlet?.close(CLOSE_DEADLINE_MS);
    await this.#worker?.close();
    await this.#http?.close();
    this.#failures.close();
    logger.info('stopped');
  }

  async #openHttp(): Promise<void> {
    const { config, logger } = this.#options;
    if (config.http === null) return;
    this.#http = await openHttpServer({
      ...config.http,
      readiness: () => this.#readiness.report(),
      metrics: () => this.#metrics.render(),
    });
    logger.info({ url: this.#http.url }, 'http');
  }

  /** Rejects with the reason of the stop signal if that is aborted in the meantime. */
  async #start(): Promise<void> {
    const { config, logger } = this.#options;
    const worker = await this.#openWorker();
    const problems = await this.#wait('broker', () => checkTopics(this.#settings, config.topics, logger));
    judgeTopicProblems(problems, logger);
    await this.#outlet?.readLimits();
    const parts = { database: worker.database, settings: this.#settings, logger };
    await this.#wait('broker', () => rememberStart(parts, sourceTopics(config.topics)));
    const positions = this.#positions(worker);
    // Before this worker joins the group: from here on the database knows which logs its offsets belong to.
    await this.#wait('broker', () => positions.run());
    const relay = this.#startTasks(worker);
    const looking = this.#startTask(positions.task);
    const consumer = this.#startConsumer(worker, {
      onAssignment: (partitions) => {
        positions.assigned(partitions);
        relay.trigger();
        looking.trigger();
      },
      onBatch: (batch) => positions.read(batch),
      onOutOfRange: (place) => {
        positions.outOfRange(place);
        looking.trigger();
      },
      beforeCommit: (place) => positions.beforeCommit(place),
    });
    for (const check of this.#checks(worker, consumer)) this.#startTask(check);
    if (config.kafka.purgeSource === 'secured') this.#startTask(this.#purge(worker, consumer));
  }

  async #openWorker(): Promise<Worker> {
    const { config, logger } = this.#options;
    const outlet = new KafkaOutlet({
      settings: this.#settings,
      topics: config.topics,
      logger,
    });
    this.#outlet = outlet;
    const observer = new EventLog(logger, this.#failures, this.#metrics);
    const onStoreRequest = this.#metrics.storeRequest.bind(this.#metrics);
    return this.#wait('database', async () => {
      this.#worker ??= await openWorker(config, {
        outlet,
        observer,
        kafkaCluster: () => readClusterId(this.#settings, logger),
        onStoreRequest,
        ...managerLog(logger, this.#failures),
      });
      await claimGroupId(this.#worker.database, this.#settings.groupId, this.#options.allowGroupChange);
      return this.#worker;
    });
  }

  async #wait<T>(part: Part, work: () => Promise<T>): Promise<T> {
    const result = await untilAvailable(work, {
      signal: this.#options.stop,
      onFailure: (error) => {
        // Opening the database also asks the store and the broker: the store's marker says which installation uses it.
        const missing = MISSING_PARTS[error.code.split('_', 1)[0] ?? ''] ?? part;
        this.#readiness.down(missing, error.code);
        this.#failures.failed(`waiting for the ${missing}`, error);
      },
    });
    this.#readiness.up(part);
    return result;
  }

  /** Starts the tasks that run beside the events. Returns the relay: each assignment triggers it. */
  #startTasks(worker: Worker): Periodic {
    const { relayIntervalMs } = this.#options.config.claims;
    const relay = this.#startTask({
      name: 'relay',
      everyMs: relayIntervalMs,
      run: (signal) => this.#relayAll(worker, signal),
    });
    this.#startTask({
      name: 'kept-events',
      everyMs: KEPT_EVENTS_EVERY_MS,
      run: (signal) => worker.pipeline.retryKept(signal),
    });
    this.#startTask({
      name: 'janitor',
      everyMs: JANITOR_EVERY_MS,
      run: (signal) => this.#tidy(worker, signal),
    });
    this.#startTask(
      migrationTask(worker, {
        logger: this.#options.logger,
        metrics: this.#metrics,
        failures: this.#failures,
      }),
    );
    this.#startTask({
      name: 'retention',
      everyMs: RETENTION_EVERY_MS,
      run: (signal) => worker.prune(signal),
    });
    this.#startTask({ name: 'backlog', everyMs: BACKLOG_EVERY_MS, run: () => this.#countBacklog(worker) });
    return relay;
  }

  async #relayAll(worker: Worker, signal: AbortSignal): Promise<void> {
    for (let published = 1; published > 0 && !signal.aborted;) {
      published = await worker.relay.run(signal);
      this.#metrics.relayed(published);
    }
  }

  async #tidy(worker: Worker, signal: AbortSignal): Promise<void> {
    const counts = await worker.janitor.run(signal);
    this.#metrics.tidied(counts);
    logTidied(this.#options.logger, counts);
  }

  async #countBacklog(worker: Worker): Promise<void> {
    try {
      this.#metrics.backlog(await readBacklog(worker.database));
    } catch (error) {
      this.#metrics.backlogUnknown();
      throw error;
    }
  }

  #startConsumer(
    worker: Worker,
    hooks: Required<
      Pick<SourceConsumerOptions, 'onAssignment' | 'onBatch' | 'onOutOfRange' | 'beforeCommit'>
    >,
  ): SourceConsumer {
    const { config, logger } = this.#options;
    const consumer = new SourceConsumer({
      topics: sourceTopics(config.topics),
      settings: this.#settings,
      handler: worker.pipeline,
      concurrency: worker.recordsAtOnce,
      logger,
      onFatal: (error) => this.#end('the consumer', error),
      ...hooks,
      onAssignment: (partitions) => {
        this.#metrics.assigned(partitions);
        hooks.onAssignment(partitions);
      },
      onPause: ({ code }) => this.#metrics.partitionPaused(code),
    });
    this.#consumer = consumer;
    consumer.start();
    return consumer;
  }

  #positions({ database }: Worker): Positions {
    const { config, logger } = this.#options;
    return new Positions({
      ...{ database, logger, settings: this.#settings, metrics: this.#metrics },
      topics: sourceTopics(config.topics),
      warnings: this.#readiness.warnings,
      rewind: async (to) => (await this.#consumer?.rewind(to)) ?? false,
    });
  }

  #purge(worker: Worker, consumer: SourceConsumer): PeriodicTask {
    return new SourcePurge({
      database: worker.database,
      settings: this.#settings,
      logger: this.#options.logger,
      partitions: () => consumer.state().partitions,
      onPurged: ({ offset, ...partition }, records) => this.#metrics.purged(partition, offset, records),
    }).task;
  }

  #checks(worker: Worker, consumer: SourceConsumer): readonly PeriodicTask[] {
    const { logger } = this.#options;
    return readinessChecks({
      readiness: this.#readiness,
      store: worker.manager.store,
      pingDatabase: () => worker.database.ping(),
      pingBroker: (deadlineMs) => ping(this.#settings, { logger, deadlineMs }),
      consumer: () => consumer.state(),
      onPaused: (count) => this.#metrics.pausedPartitions(count),
    });
  }

  #startTask(task: PeriodicTask): Periodic {
    const periodic = new Periodic(task, {
      onSuccess: (name) => this.#metrics.taskRun(name, 'ok'),
      onFailure: (name, error) => {
        this.#metrics.taskRun(name, 'failed');
        this.#failures.failed(`${name} failed`, error);
      },
      onFatal: (name, error) => this.#end(name, error),
    });
    this.#metrics.taskStarted(task.name);
    this.#tasks.push(periodic);
    periodic.start();
    return periodic;
  }

  #end(what: string, error: unknown): void {
    this.#options.logger.fatal({ what, error }, 'the worker cannot go on');
    this.#rejectFatal(error instanceof Error ? error : new WorkerError('INTERNAL', `${what} stopped`));
  }
}
