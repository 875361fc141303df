import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, PROJECT_DIR } from './cache.js';
import { disposeLater } from './cleanup.js';
import { forget, keep } from './reaper.js';
import { lastLines } from './run-command.js';
import { patienceMs, waitFor } from './wait-for.js';

export interface ProcessSpec {
  readonly command: string;
  readonly args?: readonly string[];
  /** The environment, besides PATH, HOME and the like. Nothing else of our own environment goes in. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type Stream = 'stdout' | 'stderr';

export interface LineOptions {
  /** Default: both. */
  readonly stream?: Stream;
  /** Default {@link patienceMs}. */
  readonly timeoutMs?: number;
  /** The first line to look at, as {@link TestProcess.lineCount} counts. Default 0. */
  readonly from?: number;
}

/** A process under test. It is killed with its children (its process group) at the end of the test or the file. */
export class TestProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: { readonly stream: Stream; readonly text: string }[] = [];
  readonly #output: Record<Stream, string> = { stdout: '', stderr: '' };
  readonly #title: string;
  #exit: Exit | undefined;
  #spawnError: Error | undefined;

  constructor({ command, args = [], env = {}, cwd }: ProcessSpec) {
    this.#title = [command, ...args].join(' ');
    this.#child = spawn(command, args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...inheritedEnvironment(), ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    if (this.#child.pid !== undefined) keep({ group: this.#child.pid });
    this.#child.once('error', (error) => (this.#spawnError = error));
    this.#child.once('close', (code, signal) => {
      this.#exit = { code, signal };
    });
    // The process may end without having read its input.
    this.#child.stdin.on('error', () => undefined);
    this.#capture('stdout');
    this.#capture('stderr');
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#title} was not started`);
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#exit === undefined && this.#spawnError === undefined;
  }

  /** Its standard output so far. */
  stdout(): string {
    return this.#output.stdout;
  }

  stderr(): string {
    return this.#output.stderr;
  }

  /** How many lines both streams have together so far, for `from` of {@link waitForLine}. */
  lineCount(): number {
    return this.#lines.length;
  }

  write(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Closes its standard input. */
  end(text = ''): void {
    this.#child.stdin.end(text);
  }

  /** Resolves when it has ended and all output is read. Default time-out: 30,000 ms, or {@link patienceMs} if longer. */
  async waitForExit(timeoutMs = Math.max(30_000, patienceMs())): Promise<Exit> {
    const exit = await this.#waitFor(() => this.#exit, `the end of ${this.#title}`, timeoutMs);
    return exit;
  }

  /** The first line that contains a text, matches a pattern, or passes a test. Fails at once if the process has ended. */
  async waitForLine(
    match: string | RegExp | ((line: string) => boolean),
    { stream, timeoutMs = patienceMs(), from = 0 }: LineOptions = {},
  ): Promise<string> {
    const matches = typeof match === 'function' ? match : (line: string) => lineMatches(line, match);
    const find = (): string | undefined =>
      this.#lines
        .slice(from)
        .find((line) => (stream === undefined || line.stream === stream) && matches(line.text))?.text;
    const what = `a line ${typeof match === 'function' ? '' : String(match)} of ${this.#title}`;
    const found = await this.#waitFor(
      () => {
        const line = find();
        return line === undefined ? (this.running ? undefined : { line }) : { line };
      },
      what,
      timeoutMs,
    );
    if (found.line === undefined) throw new Error(`It ended before ${what}\n${this.#tail()}`);
    return found.line;
  }

  /** Sends a signal to it and its children. Default SIGKILL. No error if it has ended. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // It has ended.
    }
  }

  /** SIGSTOP. */
  suspend(): void {
    this.kill('SIGSTOP');
  }

  /** SIGCONT. */
  resume(): void {
    this.kill('SIGCONT');
  }

  /** Sends SIGTERM to it alone, as a service manager does, and waits for its end. */
  async stop(timeoutMs?: number): Promise<Exit> {
    if (this.running) process.kill(this.pid, 'SIGTERM');
    return this.waitForExit(timeoutMs);
  }

  async dispose(): Promise<void> {
    if (this.#child.pid === undefined) return;
    const group = this.#child.pid;
    this.kill('SIGKILL');
    await waitFor(() => !isAlive(-group), { what: `the end of ${this.#title}` });
    forget({ group });
  }

  #capture(stream: Stream): void {
    let rest = '';
    const take = (text: string): void => {
      this.#output[stream] += text;
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) this.#lines.push({ stream, text: line });
    };
    this.#child[stream].setEncoding('utf8').on('data', take);
    this.#child[stream].once('end', () => {
      if (rest !== '') this.#lines.push({ stream, text: rest });
    });
  }

  async #waitFor<T extends object>(look: () => T | undefined, what: string, timeoutMs: number): Promise<T> {
    try {
      return await waitFor(() => this.#spawnError ?? look(), { what, timeoutMs, intervalMs: 20 }).then(
        (seen) => {
          if (seen instanceof Error) throw seen;
          return seen;
        },
      );
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : ''}\n${this.#tail()}`, { cause: error });
    }
  }

  #tail(): string {
    return `standard output:\n${lastLines(this.stdout())}\nstandard error:\n${lastLines(this.stderr())}`;
  }
}

function lineMatches(line: string, match: string | RegExp): boolean {
  return typeof match === 'string' ? line.includes(match) : match.test(line);
}

/** Programs need these to run. `TEST_RUN_ID` lets `npm test` find processes that a test left behind. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'TEST_RUN_ID', 'NODE_EXTRA_CA_CERTS'];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Starts a process under test; see {@link TestProcess}. */
export function startProcess(spec: ProcessSpec): TestProcess {
  const child = new TestProcess(spec);
  disposeLater(() => child.dispose());
  return child;
}

/** The built program. */
export const CLI_FILE = join(PROJECT_DIR, 'dist', 'src', 'cli', 'main.js');

/** Starts the built `connection-secrets` with these arguments and nothing but this environment. */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): TestProcess {
  if (!existsSync(CLI_FILE)) throw new Error('dist is missing: run `npm run build` first');
  return startProcess({
    command: process.execPath,
    args: [CLI_FILE, ...args],
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
}

export interface CliResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built `connection-secrets` to its end. `input`: its standard input. Default time-out 60,000 ms. */
export async function runCli(
  args: readonly string[],
  {
    env = {},
    input = '',
    cwd,
    timeoutMs = 60_000,
  }: { env?: Readonly<Record<string, string>>; input?: string; cwd?: string; timeoutMs?: number } = {},
): Promise<CliResult> {
  const cli = startCli(args, env, cwd);
  cli.end(input);
  const exit = await cli.waitForExit(timeoutMs);
  return { ...exit, stdout: cli.stdout(), stderr: cli.stderr() };
}
