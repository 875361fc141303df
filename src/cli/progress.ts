import type { Writable } from 'node:stream';
import cliProgress from 'cli-progress';
import type { Progress, ProgressCounts } from '../operations/progress.js';
import { isTerminal, type Cli } from './cli.js';
import { untilStopped } from './signals.js';

export interface ProgressOptions {
  /** What is under way, one or two words: `migrating`. */
  readonly title: string;
  /** What is counted, plural: `connections`. */
  readonly unit: string;
  /** Where no terminal is: between two lines. Default 5,000. */
  readonly everyMs?: number;
  /** A monotonic clock in milliseconds; default `performance.now`. */
  readonly clock?: () => number;
}

const LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 24;

/** {@link Progress} shown to people. */
export interface ShownProgress extends Progress {
  /** The last state is shown, the line is ended. Call it on every way out. */
  stop(): void;
}

/**
 * Shows progress on standard error: a bar where it is a terminal, else a line every few seconds and one at the end. Both
 * have the counts, the rate of this run and the time that remains by it. Standard output is left alone: it is for results.
 */
export function showProgress({ stderr }: Pick<Cli, 'stderr'>, options: ProgressOptions): ShownProgress {
  return isTerminal(stderr) ? new ProgressBar(stderr, options) : new ProgressLines(stderr, options);
}

/** Work that shows how far it has come, and that the first signal asks to stop. */
export function showingProgress<T>(
  cli: Cli,
  options: ProgressOptions,
  work: (progress: Progress, signal: AbortSignal) => Promise<T>,
  deadlineMs: number | null = null,
): Promise<T> {
  return untilStopped(async (signal) => {
    const progress = showProgress(cli, options);
    try {
      return await work(progress, signal);
    } finally {
      progress.stop();
    }
  }, deadlineMs);
}

export const DRY_RUN_STOPPED = 'Stopped; a dry run changes nothing.';

/** The note of an answer whose work was stopped. */
export function howToResume(command: string): string {
  return `Stopped at a safe point. Go on with: connection-secrets ${command}`;
}

/** Rate and remaining time: of this run alone, for work that was resumed begins with what earlier runs have done. */
class Pace {
  readonly #clock: () => number;
  #first: { readonly atMs: number; readonly done: number } | null = null;

  constructor({ clock = () => performance.now() }: ProgressOptions) {
    this.#clock = clock;
  }

  textOf({ done, total, failed }: ProgressCounts, unit: string): string {
    const nowMs = this.#clock();
    this.#first ??= { atMs: nowMs, done };
    const seconds = (nowMs - this.#first.atMs) / 1_000;
    const perSecond = seconds > 0 ? (done - this.#first.done) / seconds : 0;
    const parts = [
      total === null ? `${count(done)} ${unit}` : `${count(done)} of ${count(total)} ${unit}`,
      `${perSecond.toFixed(perSecond < 10 ? 1 : 0)}/s`,
    ];
    if (total !== null && done < total)
      parts.push(perSecond > 0 ? `${duration((total - done) / perSecond)} left` : 'time left not known yet');
    if (failed > 0) parts.push(`${count(failed)} failed`);
    return parts.join(', ');
  }
}

class ProgressBar implements ShownProgress {
  readonly #bar: cliProgress.SingleBar;
  readonly #pace: Pace;
  readonly #unit: string;
  #isStarted = false;

  constructor(stream: Writable, options: ProgressOptions) {
    this.#pace = new Pace(options);
    this.#unit = options.unit;
    this.#bar = new cliProgress.SingleBar(
      // Signals are ours: the first one asks for a safe point, which the bar must not cut short.
      {
        stream: stream,
        format: `${options.title} [{bar}] {text}`,
        barsize: BAR_WIDTH,
        hideCursor: false,
        gracefulExit: false,
        linewrap: false,
      },
      cliProgress.Presets.legacy,
    );
  }

  report(counts: ProgressCounts): void {
    const total = counts.total ?? 0;
    const text = this.#pace.textOf(counts, this.#unit);
    if (this.#isStarted) {
      this.#bar.setTotal(total);
      this.#bar.update(counts.done, { text });
    } else {
      this.#isStarted = true;
      this.#bar.start(total, counts.done, { text });
    }
  }

  stop(): void {
    this.#bar.stop();
  }
}

class ProgressLines implements ShownProgress {
  readonly #stream: Writable;
  readonly #options: ProgressOptions;
  readonly #clock: () => number;
  readonly #pace: Pace;
  #shownAtMs: number | null = null;
  #unshown: ProgressCounts | null = null;

  constructor(stream: Writable, options: ProgressOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#pace = new Pace(options);
  }

  report(counts: ProgressCounts): void {
    const nowMs = this.#clock();
    // The first report is where the pace counts from.
    const text = this.#textOf(counts);
    this.#unshown = counts;
    if (this.#shownAtMs !== null && nowMs - this.#shownAtMs < (this.#options.everyMs ?? LINE_EVERY_MS))
      return;
    this.#show(text, nowMs);
  }

  stop(): void {
    if (this.#unshown !== null) this.#show(this.#textOf(this.#unshown), this.#clock());
  }

  #textOf(counts: ProgressCounts): string {
    return `${this.#options.title}: ${this.#pace.textOf(counts, this.#options.unit)}`;
  }

  #show(text: string, nowMs: number): void {
    this.#shownAtMs = nowMs;
    this.#unshown = null;
    this.#stream.write(`${text}\n`);
  }
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `45 s`, `12 min 5 s`, `3 h 20 min`. */
function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
