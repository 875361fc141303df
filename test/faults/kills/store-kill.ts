import type { AwsStandin, LoggedCall } from '../../harness/aws-standin/index.js';
import { messageOf } from '../../harness/names.js';
import type { TestProcess } from '../../harness/start-process.js';
import { HopelessError } from '../../harness/wait-for.js';
import type { Kill } from './boundary.js';
import type { KillPlan } from './worker.js';

export interface Stage {
  readonly index: number;
  readonly during: Extract<Kill, { during: unknown }>['during'];
}

type Victim = Pick<TestProcess, 'pid' | 'running' | 'kill'>;

export interface Means {
  /** Until the look gives something, while what has to happen for it does. */
  wait(look: () => Victim | undefined, what: string): Promise<Victim>;
  /** Who calls itself so in its requests. */
  processOf(client: string | null): Victim | undefined;
}

/** Arms the fault, waits for the request that it hits, and ends the process that has sent it. Returns its id. */
export async function killDuring(
  { standin }: { readonly standin: AwsStandin },
  plan: Pick<KillPlan, 'reached'>,
  { index, during }: Stage,
  means: Means,
): Promise<number> {
  const before = standin.calls.length;
  const watch = new Watch(standin, during, means);
  try {
    const victim = await means.wait(
      () => watch.look(),
      `a request ${during.operation} that does not get its answer (${during.kind})`,
    );
    plan.reached(index, victim.pid);
    victim.kill('SIGKILL');
    return victim.pid;
  } catch (error) {
    const seen = outcomesOf(standin.calls.slice(before), during.operation);
    throw new Error(`${messageOf(error)}; ${during.operation} since then: ${seen}`, { cause: error });
  }
}

/** A fault that is armed until it has hit a request of a process that can be ended while it waits for its answer. */
class Watch {
  readonly #standin: AwsStandin;
  readonly #during: Stage['during'];
  readonly #means: Means;
  #faultId: number;

  constructor(standin: AwsStandin, during: Stage['during'], means: Means) {
    this.#standin = standin;
    this.#during = during;
    this.#means = means;
    this.#faultId = standin.fault(during);
  }

  /** Who has sent the request that was hit, and waits for its answer. */
  look(): Victim | undefined {
    const hit = this.#standin.calls.find(({ faultId }) => faultId === this.#faultId);
    if (hit === undefined && !this.#standin.isArmed(this.#faultId))
      throw new HopelessError(`the fault ${this.#during.kind} was taken back before it hit anything`);
    if (hit === undefined || this.#isYetToBeHeld(hit)) return undefined;
    const sender = this.#means.processOf(hit.accessKeyId);
    if (sender?.running === true && this.#isHeld(hit)) return sender;
    // The last request of a process that has died meanwhile, or one that was seen too late: another one, then.
    this.#faultId = this.#standin.fault(this.#during);
    return undefined;
  }

  #isYetToBeHeld({ outcome }: LoggedCall): boolean {
    return outcome === 'pending' && this.#during.kind !== 'delay';
  }

  /** The stand-in answers at once what no fault holds back. */
  #isHeld({ outcome }: LoggedCall): boolean {
    return outcome === (this.#during.kind === 'delay' ? 'pending' : this.#during.kind);
  }
}

/** How often each. */
function outcomesOf(calls: readonly LoggedCall[], operation: string): string {
  const counts = new Map<string, number>();
  for (const { outcome } of calls.filter((call) => call.operation === operation))
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ') || 'none';
}
