import type { TestProject } from 'vitest/node';
import type { PartStates } from './names.js';
import { startParts, type StartedParts } from './parts.js';

declare module 'vitest' {
  interface ProvidedContext {
    parts: PartStates;
  }
}

/** Every project of a run loads this file anew; the parts are started once for all of them. */
const SHARED = Symbol.for('connection-secrets-worker.test-parts');
interface Shared {
  readonly started: Promise<StartedParts>;
  users: number;
}
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared };

const report = (line: string): void => {
  process.stdout.write(`parts: ${line}\n`);
};

export async function setup(project: TestProject): Promise<void> {
  const shared = (globals[SHARED] ??= { started: startParts(report), users: 0 });
  shared.users += 1;
  const { states } = await shared.started;
  project.provide('parts', states);
}

export async function teardown(): Promise<void> {
  const shared = globals[SHARED];
  if (shared === undefined) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  delete globals[SHARED];
  await (await shared.started).stop();
}
