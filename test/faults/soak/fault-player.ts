import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { FAULT_KINDS, type FaultKind, type Targets } from './fault-kinds.js';
import type { Random } from './random.js';

/** Lets things go wrong, one after another and at the same time, until it is told to stop. */
export class FaultPlayer {
  readonly #targets: Targets;
  readonly #random: Random;
  readonly #logFile: string;
  readonly #pauseMs: readonly [number, number];
  readonly #struck = new Map<string, number>();
  readonly #busy = new Map<string, Promise<void>>();
  readonly #failures: string[] = [];
  readonly #begin = performance.now();

  constructor(targets: Targets, random: Random, logFile: string, pauseMs: readonly [number, number]) {
    this.#targets = targets;
    this.#random = random;
    this.#logFile = logFile;
    this.#pauseMs = pauseMs;
  }

  /** How often each kind struck. */
  get struck(): ReadonlyMap<string, number> {
    return this.#struck;
  }

  /** Faults that could not be made or undone: the run is worth nothing then. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** Resolves when the last fault is over. */
  async play(durationMs: number): Promise<void> {
    const end = performance.now() + durationMs;
    while (performance.now() < end) {
      await delay(Math.min(this.#random.between(...this.#pauseMs), end - performance.now()));
      const kind = this.#pick();
      const target = kind.target(this.#targets, this.#random);
      if (!this.#busy.has(target)) this.#busy.set(target, this.#strike(kind, target));
    }
    await Promise.all(this.#busy.values());
  }

  async #strike(kind: FaultKind, target: string): Promise<void> {
    this.#struck.set(kind.name, (this.#struck.get(kind.name) ?? 0) + 1);
    const at = this.#seconds();
    try {
      const what = await kind.strike(this.#targets, target, this.#random);
      this.#log(`${at} to ${this.#seconds()} s: ${kind.name} ${what}`);
    } catch (error) {
      const text = `${kind.name}: ${error instanceof Error ? error.message : String(error)}`;
      this.#failures.push(text);
      this.#log(`${at} s: FAILED ${text}`);
    } finally {
      this.#busy.delete(target);
    }
  }

  #pick(): FaultKind {
    const total = FAULT_KINDS.reduce((sum, { weight }) => sum + weight, 0);
    let left = this.#random.next() * total;
    return FAULT_KINDS.find(({ weight }) => (left -= weight) < 0) ?? this.#random.pick(FAULT_KINDS);
  }

  #seconds(): string {
    return ((performance.now() - this.#begin) / 1_000).toFixed(1);
  }

  #log(line: string): void {
    appendFileSync(this.#logFile, `${new Date().toISOString()} ${line}\n`);
  }
}
