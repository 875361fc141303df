import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { CLI_FILE } from '../../harness/index.js';
import { forget, keep } from '../../harness/reaper.js';

/** What became of a process that nobody had told to end. */
export interface OwnEnd {
  readonly pid: number;
  readonly how: string;
}

/** One place for a worker: a real process with its output in a file, started again whenever it ended. */
export class WorkerSlot {
  readonly name: string;
  readonly logFile: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #ownEnds: OwnEnd[] = [];
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #isToldToEnd = false;
  #starts = 0;

  constructor(name: string, logFile: string, env: Readonly<Record<string, string>>) {
    this.name = name;
    this.logFile = logFile;
    this.#env = env;
  }

  /** Null where it is just not there. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get starts(): number {
    return this.#starts;
  }

  get ownEnds(): readonly OwnEnd[] {
    return this.#ownEnds;
  }

  /** Forgets ends of this kind since `from`; false: there was none. */
  pardon(from: number, how: string): boolean {
    const since = this.#ownEnds.splice(from);
    this.#ownEnds.push(...since.filter((end) => end.how !== how));
    return since.some((end) => end.how === how);
  }

  start(): void {
    if (this.#child !== null) return;
    const log = openSync(this.logFile, 'a');
    const { PATH = '', HOME = '', TEST_RUN_ID } = process.env;
    const child = spawn(process.execPath, [CLI_FILE, 'start'], {
      detached: true,
      stdio: ['ignore', log, log],
      env: { PATH, HOME, ...(TEST_RUN_ID === undefined ? {} : { TEST_RUN_ID }), ...this.#env },
    });
    closeSync(log);
    const { pid } = child;
    if (pid !== undefined) keep({ group: pid });
    this.#starts += 1;
    this.#isToldToEnd = false;
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (pid !== undefined) forget({ group: pid });
        this.#child = null;
        if (!this.#isToldToEnd) this.#ownEnds.push({ pid: pid ?? 0, how: signal ?? `code ${code}` });
        resolve();
      });
    });
  }

  /** Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#isToldToEnd = true;
    this.#signal('SIGKILL');
    await this.#ended;
  }

  /** SIGTERM; SIGKILL where that takes too long. Resolves to whether it ended by itself. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#isToldToEnd = true;
    this.#signal('SIGTERM');
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#signal('SIGKILL');
    }, deadlineMs);
    await this.#ended;
    clearTimeout(timer);
    return !isLate;
  }

  suspend(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  #signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }
}
