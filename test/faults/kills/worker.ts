import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLI_FILE, TestProcess } from '../../harness/start-process.js';
import type { Kill, Point } from './boundary.js';
import type { Manager, World } from './world.js';

const HOOK = fileURLToPath(new URL('./hook.mjs', import.meta.url));

/** A {@link Point} with what the processes of a cell agree on. */
type Stage = Point & { readonly armed: boolean; readonly spare: boolean };

export interface PlanOptions {
  /** The first process that comes to a point goes on, another one dies there. */
  readonly spare: boolean;
  /** The first point is not looked at before {@link KillPlan.arm}. */
  readonly armed: boolean;
}

/** The kills of one cell, and what has happened of them. Its processes tell by files; see hook.mjs. */
export class KillPlan {
  readonly kills: readonly Kill[];
  readonly #dir: string;
  readonly #options: PlanOptions;

  constructor(dir: string, kills: readonly Kill[], options: PlanOptions) {
    this.#dir = dir;
    this.kills = kills;
    this.#options = options;
  }

  /** Of KILL_PLAN. */
  get text(): string {
    const { spare, armed } = this.#options;
    const stages = this.kills.map((kill, index): Stage => {
      // What the test itself does is no point that a process comes to.
      const point = 'at' in kill ? kill.at : { step: 'none', phase: 'none' };
      return { ...point, spare, armed: armed && index === 0 };
    });
    return JSON.stringify({ dir: this.#dir, stages, trace: process.env['KILL_TRACE'] ?? null });
  }

  arm(): void {
    writeFileSync(join(this.#dir, 'armed.0'), '');
  }

  /** Which process has died of this kill; null: not yet. */
  reachedBy(index: number): number | null {
    const file = join(this.#dir, `reached.${index}`);
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return text === '' ? null : Number(text);
  }

  /** Told by the test where it has done it. */
  reached(index: number, pid: number): void {
    writeFileSync(join(this.#dir, `reached.${index}`), String(pid));
  }
}

/** Starts the built program, which ends itself as planned. */
export function startHooked(
  args: readonly string[],
  world: World,
  plan: KillPlan,
  client: string,
  manager?: Manager,
): TestProcess {
  return new TestProcess({
    command: process.execPath,
    args: ['--import', HOOK, CLI_FILE, ...args],
    env: { ...world.env(client, manager), KILL_PLAN: plan.text },
  });
}
