import { Option } from 'commander';
import type { Worker } from '../worker/worker.js';
import { loadConfig } from '../config.js';
import { WorkerError } from '../errors.js';
import { EventLog, FailureLog, logTidied, managerLog, OutcomeCounts } from '../observability/event-log.js';
import { createLogger, type Logger } from '../observability/logger.js';
import type { FinishOptions, TidyCounts } from '../upkeep/janitor.js';
import { EXIT, type Cli, type ExitCode } from './cli.js';
import { command } from './define-command.js';
import { untilStopped } from './signals.js';
import { untilAborted } from './until-aborted.js';

interface PipeOptions {
  readonly in: string;
  readonly out: string;
}

export const pipe = command<PipeOptions>({
  name: 'pipe',
  about: 'handle events from a file or standard input, one JSON a line; no Kafka needed',
  options: [
    new Option('--in <file>', 'where events come from; - is standard input').default('-'),
    new Option('--out <file>', 'where secured events are appended to; - is standard output').default('-'),
  ],
  hasOutput: false,
  examples: ['pipe --in events.ndjson --out secured.ndjson', 'pipe < events.ndjson > secured.ndjson'],
  exits: ['all applied', 'anything else', 'some lines became dead letters, or the store has lost a secret'],
  isAudited: true,
  run: (cli, options) => untilStopped((signal) => runPipeCommand(cli, options, signal)),
});

async function runPipeCommand(cli: Cli, options: PipeOptions, signal: AbortSignal): Promise<ExitCode> {
  const config = loadConfig(cli.env, { need: ['keys'] });
  const logger = createLogger({ level: config.log.level, to: 'stderr' });
  for (const warning of config.warnings) logger.warn({ warning }, 'configuration');
  const { openWorker } = await import('../worker/worker.js');
  const { LineOutlet, openFileSink, streamSink } = await import('../pipe/file-outlet.js');
  const { recordDigest } = await import('../pipeline/unprocessed.js');
  const { openInput, runPipe } = await import('../pipe/run-pipe.js');

  const failures = new FailureLog(logger);
  const counts = new OutcomeCounts();
  let lost = 0;
  const onTidied = (tidied: TidyCounts): void => {
    logTidied(logger, tidied);
    lost += tidied.lost;
  };
  const startedAt = performance.now();
  const sink = options.out === '-' ? streamSink(cli.stdout) : await openFileSink(options.out, signal);
  try {
    const outlet = new LineOutlet(sink, config.claims.claimMs);
    const worker = await openWorker(config, {
      command: 'pipe',
      outlet,
      observer: new EventLog(logger, failures, counts),
      kafkaCluster: null,
      ...managerLog(logger, failures),
    });
    try {
      await runPipe(
        untilAborted(openInput(options.in), signal),
        {
          topics: config.topics,
          concurrency: worker.recordsAtOnce,
          digestOf: (record) => recordDigest(record, worker.context.fingerprintKey),
          handle: (record, aborted) => worker.pipeline.handle(record, aborted),
          relay: (aborted) => worker.relay.run(aborted),
          retryDue: (aborted) => worker.pipeline.retryKept(aborted),
          refuseWaiting: (aborted) => worker.pipeline.retryKept(aborted, { isEnd: true }),
          moveRest: (aborted) => moveRest(worker, logger, aborted),
          lookAfter: async (aborted) => onTidied(await worker.janitor.run(aborted)),
          tidyUp: (aborted) =>
            tidyUp(worker, { claimMs: config.claims.claimMs, onRound: onTidied, logger }, aborted),
          onRetry: (error, delayMs) => failures.failed('trying again', error, { delayMs }),
        },
        signal,
      );
    } catch (error) {
      if (!signal.aborted || (error instanceof WorkerError && !error.retryable)) throw error;
    } finally {
      await worker.close();
    }
  } catch (error) {
    if (sink.isClosed) {
      const output = options.out === '-' ? 'standard output' : options.out;
      throw new WorkerError(
        'BROKER_UNAVAILABLE',
        `${output} was closed by its reader; what is not written is written by the next run`,
      );
    }
    throw error;
  } finally {
    await sink.close();
    failures.close();
  }
  const summary = { ...counts.totals(), durationMs: Math.round(performance.now() - startedAt) };
  if (signal.aborted) {
    logger.warn(summary, 'pipe interrupted: run it again with the same input, what is applied is recognised');
    return EXIT.failed;
  }
  logger.info(summary, 'pipe done');
  return counts.deadLetters + lost > 0 ? EXIT.deadLetters : EXIT.ok;
}

/** Moves the connections that no event has moved. What cannot be moved stays where it is, for the next run. */
async function moveRest({ migration, manager }: Worker, logger: Logger, signal: AbortSignal): Promise<void> {
  const { moved, remaining, failures } = await migration.finish(signal);
  for (const failure of failures)
    logger.warn({ ...failure, to: manager.name }, 'a connection cannot be moved yet');
  if (moved + remaining > 0) logger.info({ to: manager.name, moved, remaining }, 'secrets moved');
}

/** Waits until no earlier request can land any more, settles the secrets in doubt, then removes old rows. */
async function tidyUp(
  worker: Worker,
  { logger, ...options }: Omit<FinishOptions, 'onWait'> & { readonly logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  const onWait = (waitMs: number): void =>
    logger.info({ waitMs }, 'waiting until no earlier request can land on a stored secret any more');
  const isInDoubt = await worker.janitor.finish({ ...options, onWait }, signal);
  if (isInDoubt && !signal.aborted)
    logger.warn('stored secrets are still in doubt: the next run looks at them again');
  await worker.prune(signal);
}
