import type { LoggedCall } from '../../harness/aws-standin/server.js';
import type { TestProcess } from '../../harness/start-process.js';
import type { Kill } from './boundary.js';
import type { KillPlan } from './worker.js';
import type { World } from './world.js';

export interface Stage {
  readonly index: number;
  readonly during: Extract<Kill, { during: unknown }>['during'];
}

export interface Means {
  /** Until the look gives something, while what has to happen for it does. */
  wait(look: () => LoggedCall | undefined, what: string): Promise<LoggedCall>;
  /** Who calls itself so in its requests. */
  processOf(client: string | null): TestProcess | undefined;
}

/** Arms the fault, waits for the request that it hits, and ends the process that has sent it. Returns its id. */
export async function killDuring(
  world: World,
  plan: KillPlan,
  { index, during }: Stage,
  means: Means,
): Promise<number> {
  const before = world.standin.calls.length;
  world.standin.fault(during);
  const call = await means.wait(
    () => world.standin.calls.slice(before).find((each) => isHit(each, during)),
    `a request ${during.operation} that does not get its answer (${during.kind})`,
  );
  const victim = means.processOf(call.accessKeyId);
  if (victim === undefined)
    throw new Error(`${during.operation} was sent by ${String(call.accessKeyId)}, whom nobody knows`);
  plan.reached(index, victim.pid);
  victim.kill('SIGKILL');
  return victim.pid;
}

/** The stand-in answers at once what no fault holds back. */
function isHit({ operation, outcome }: LoggedCall, during: Stage['during']): boolean {
  return operation === during.operation && outcome === (during.kind === 'delay' ? 'pending' : during.kind);
}
