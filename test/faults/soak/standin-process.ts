import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startProcess, waitFor, type TestProcess } from '../../harness/index.js';
import type { StandinSettings } from '../../harness/aws-standin/index.js';
import type { Fault } from '../../harness/aws-standin/faults.js';

const MAIN = fileURLToPath(new URL('../../harness/aws-standin/main.ts', import.meta.url));

/** The AWS stand-in as a process of its own, so that it neither waits for the test nor makes it wait. */
export class StandinControl {
  readonly url: string;
  readonly #process: TestProcess;
  #lastLandingMs = 0;

  private constructor(url: string, process: TestProcess) {
    this.url = url;
    this.#process = process;
  }

  static async start(): Promise<StandinControl> {
    const started = startProcess({ command: process.execPath, args: ['--import', 'tsx', MAIN] });
    const line = await waitFor(() => started.stdout().split('\n')[0], {
      what: 'the AWS stand-in',
      timeoutMs: 60_000,
    });
    return new StandinControl((JSON.parse(line) as { url: string }).url, started);
  }

  /** Milliseconds until the last request that is held back has landed, on the monotonic clock. */
  get landsInMs(): number {
    return Math.max(0, this.#lastLandingMs - performance.now());
  }

  async configure(settings: StandinSettings): Promise<void> {
    await this.#post('/standin/settings', settings);
  }

  async during(fault: Fault, forMs: number): Promise<void> {
    const { id } = (await this.#post('/standin/faults', fault)) as { id: number };
    await delay(forMs);
    await fetch(`${this.url}/standin/faults/${id}`, { method: 'DELETE' });
    if (fault.kind === 'delay')
      this.#lastLandingMs = Math.max(this.#lastLandingMs, performance.now() + (fault.delayMs ?? 0));
  }

  async countCalls(): Promise<number> {
    const response = await fetch(`${this.url}/standin/calls`);
    return ((await response.json()) as unknown[]).length;
  }

  /** The log of calls is not needed and grows. */
  async forgetCalls(): Promise<void> {
    await fetch(`${this.url}/standin/calls`, { method: 'DELETE' });
  }

  async stop(): Promise<void> {
    await this.#process.stop(10_000);
  }

  async #post(path: string, body: unknown): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, { method: 'POST', body: JSON.stringify(body) });
    return response.json();
  }
}
