import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive } from '../cache.js';
import type { ServerName } from '../names.js';
import { forget, keep } from '../reaper.js';
import { lastLines } from '../run-command.js';
import { waitFor } from '../wait-for.js';

/** A server for one test, with its own port and data. */
export interface PartHandle {
  readonly part: ServerName;
  /** As in {@link PartState}. It stays the same over restarts. */
  readonly address: string;
  readonly dataDir: string;
  /** The output of the server, over all its starts. */
  readonly logFile: string;
  /** The number of the running server's process. Throws if it does not run. */
  readonly pid: number;
  /** Stops it in an orderly way. Its data stay, except for moto's, which are in memory. */
  stop(): Promise<void>;
  /** Sends SIGKILL. Resolves when the server is gone. Its data stay. */
  kill(): Promise<void>;
  /** Sends SIGSTOP: the server keeps its connections but no longer answers. */
  suspend(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again on the same port and data. Resolves when it answers. */
  start(): Promise<void>;
  /** `stop`, then `start`. */
  restart(): Promise<void>;
  /** Ends it and removes its data. */
  dispose(): Promise<void>;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

interface LocalPartSpec {
  readonly part: ServerName;
  readonly address: string;
  readonly dataDir: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The user that the server runs as. Default: our own. */
  readonly owner?: Owner | undefined;
  /** The signal for an orderly stop. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** Whether it answers. May throw while it does not. */
  readonly answers: () => Promise<boolean>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

/** A folder for a server's data, owned by the server's user. It is removed when this process ends. */
export function makeDataDir(part: ServerName, owner?: Owner): string {
  const dir = mkdtempSync(join(tmpdir(), `csw-${part}-`));
  keep({ dir });
  if (owner !== undefined) chownSync(dir, owner.uid, owner.gid);
  return dir;
}

export class LocalPart implements PartHandle {
  readonly logFile: string;
  readonly #spec: LocalPartSpec;
  #child: ChildProcess | undefined;

  private constructor(spec: LocalPartSpec) {
    this.#spec = spec;
    this.logFile = join(spec.dataDir, 'server.log');
  }

  static async launch(spec: LocalPartSpec): Promise<LocalPart> {
    const server = new LocalPart(spec);
    try {
      await server.start();
    } catch (error) {
      await server.dispose();
      throw error;
    }
    return server;
  }

  get part(): ServerName {
    return this.#spec.part;
  }

  get address(): string {
    return this.#spec.address;
  }

  get dataDir(): string {
    return this.#spec.dataDir;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.part} does not run`);
    return pid;
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.part} runs already`);
    const child = this.#spawn();
    this.#child = child;
    let ended: string | undefined;
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, signal) => (ended = `it ended with ${signal ?? `code ${code}`}`));
    const ready = async (): Promise<boolean> => ended !== undefined || (await this.#spec.answers());
    try {
      await waitFor(ready, { what: `${this.part} to answer`, timeoutMs: START_TIMEOUT_MS });
    } catch (error) {
      throw new Error(`${this.part} did not start\n${this.#logTail()}`, { cause: error });
    }
    if (ended !== undefined) throw new Error(`${this.part} did not start: ${ended}\n${this.#logTail()}`);
  }

  async stop(): Promise<void> {
    await this.#end(this.#spec.stopSignal ?? 'SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  suspend(): void {
    process.kill(-this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(-this.pid, 'SIGCONT');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    forget({ dir: this.dataDir });
  }

  #spawn(): ChildProcess {
    const { command, args, env, owner } = this.#spec;
    const log = openSync(this.logFile, 'a');
    try {
      // In its own process group: we can end its children with it, and a Ctrl-C in the terminal reaches only us.
      const child = spawn(command, args, {
        detached: true,
        cwd: this.dataDir,
        stdio: ['ignore', log, log],
        env: { ...process.env, ...env },
        ...owner,
      });
      if (child.pid !== undefined) keep({ group: child.pid });
      return child;
    } finally {
      closeSync(log);
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const pid = this.#child?.pid;
    if (pid !== undefined) {
      signalGroup(pid, 'SIGCONT');
      // Only to the leader: it signals its children itself, and they must not get the signal twice.
      if (signal === 'SIGKILL') signalGroup(pid, signal);
      else signalOne(pid, signal);
      const orderly = await groupIsGone(pid, STOP_TIMEOUT_MS);
      if (!orderly) signalGroup(pid, 'SIGKILL');
      if (!orderly && !(await groupIsGone(pid, STOP_TIMEOUT_MS))) {
        throw new Error(`${this.part} (process ${pid}) does not end`);
      }
      forget({ group: pid });
    }
    this.#child = undefined;
  }

  #logTail(): string {
    try {
      return lastLines(readFileSync(this.logFile, 'utf8'));
    } catch {
      return '';
    }
  }
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalOne(-pid, signal);
}

async function groupIsGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(-pid)) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
}
