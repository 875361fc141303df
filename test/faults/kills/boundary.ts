import type { Fault } from '../../harness/aws-standin/index.js';

/**
 * Where a process is, as hook.mjs sees it.
 *
 * | step | phases |
 * |---|---|
 * | `open`, `migrate` | `before`, `after` |
 * | `table` (a statement of a migration) | `before`, `unknown` (sent) |
 * | `claim`, `commit`, `settle`, `keep`, `markSent` (the ledger's), `setting` (start-up), `migrate` | `before`, `in` (before its COMMIT is sent), `unknown` (sent, no answer yet), `after` |
 * | `due`, `unsent` (looks of scan and relay) | `before`, `after` |
 * | `store` (one request, of `call`) | `before`, `after` |
 * | `kafka` (one request, of `api`) | `before`, `sent`, `after` |
 * | `assignment`, `revoke` | `before`, `after` |
 * | `line` (of a pipe) | `before`, `torn`, `unsynced`, `after` |
 */
export interface Point {
  readonly step: string;
  readonly phase: string;
  /** On whose behalf. Lanes share transactions: each of them counts. */
  readonly task?: 'event' | 'relay' | 'scan' | 'janitor' | 'migration';
  /** What a claim has decided, or a commit writes; see `notesOf` in hook.mjs. */
  readonly decision?: string;
  /** Operations of AWS; one of them. `CreateSecret at start`: where the store is to remember who works on it. */
  readonly call?: string | readonly string[];
  /** Requests of Kafka by name. */
  readonly api?: string;
  /** What the request's bytes must contain: `.secured` and `.dead-letter` are ends of topics. */
  readonly bytes?: string;
  /** Whether a look has found something. */
  readonly found?: boolean;
  readonly inFlight?: boolean;
  /** Not the first time that a process comes here, but the n-th. */
  readonly nth?: number;
}

/** What ends a process. */
export type Kill =
  /** The process itself, where it comes to this point. */
  | { readonly at: Point }
  /** The test, while this request to the store is under way. */
  | { readonly during: Fault & { readonly operation: string } };

/** What happens beside the events so that the boundary is reached. */
export interface Circumstances {
  /** When the events begin to flow, the worker is not there yet: it is the start that is interrupted. */
  readonly atStart?: boolean;
  /** The group shares out its partitions anew while events are under way. */
  readonly rebalance?: boolean;
  /** An event waits that is given up. */
  readonly orphan?: boolean;
  /** The next run of a pipe begins when nobody has a claim any more: its first look is the relay's. */
  readonly leavesToRelay?: boolean;
  /** Everything is done under another secrets manager first: the workers that are killed move it to theirs. */
  readonly migrates?: boolean;
  /** It happens once for all workers: whoever does it dies, there is no other one. */
  readonly isSingle?: boolean;
  /** Of the store, from the beginning. */
  readonly faults?: readonly Fault[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Boundary extends Circumstances {
  /** `group/what`. */
  readonly id: string;
  readonly meaning: string;
  /** One kill after another: each one begins to count when the one before has happened. Null: not of this transport. */
  readonly kafka: readonly Kill[] | null;
  readonly pipe: readonly Kill[] | null;
}
