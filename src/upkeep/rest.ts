import { pause } from '../pause.js';
import { countElsewhere } from '../database/find-pending.js';
import type { Database } from '../database/database.js';
import type { Ledger } from '../pipeline/ledger.js';
import type { ManagerName } from '../terms.js';
import type { Mover } from './mover.js';
import { endConfiguredMigration } from './migration-record.js';
import { migratePage, type MigrationScope, type MoveFailure } from './pass.js';

/** The progress of the migration to the active manager. */
export interface MigrationCounts {
  /** Connections still in another manager. */
  readonly remaining: number;
  /** Connections moved in this round. */
  readonly moved: number;
  /** The connections that could not be moved in this round. */
  readonly failures: readonly MoveFailure[];
  /** Whether this round has ended a pass: every connection had its turn. */
  readonly isPass: boolean;
}

interface RestParts {
  readonly database: Database;
  readonly ledger: Pick<Ledger, 'elsewhere'>;
  readonly mover: Pick<Mover, 'move'>;
  readonly active: ManagerName;
  readonly concurrency: number;
  readonly clock: () => number;
}

const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 600_000;
const BUSY_POLL_MS = 500;

/**
 * Moves all connections that are not in the active manager yet, one page per round. A connection that cannot be moved is
 * tried again after growing pauses and does not delay the others. Once no connection is left, none can be added: the
 * database refuses the transactions of workers under another manager.
 */
export class RestOfMigration {
  readonly #parts: RestParts;
  readonly #retries = new Map<string, { readonly failures: number; readonly notBeforeMs: number }>();
  #after = '';
  #isDone = false;

  constructor(parts: RestParts) {
    this.#parts = parts;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Moves the next page. Rejects with a `transient` WorkerError if the database does not answer. */
  async round(signal: AbortSignal): Promise<MigrationCounts> {
    if (this.#isDone) return { remaining: 0, moved: 0, failures: [], isPass: true };
    const { database, ledger, mover, active, concurrency, clock } = this.#parts;
    const scope: MigrationScope = { active, from: null, connectionIds: null };
    const nowMs = clock();
    const { moved, failures, next } = await migratePage(
      {
        ledger,
        mover,
        scope,
        concurrency,
        skips: (id) => (this.#retries.get(id)?.notBeforeMs ?? 0) > nowMs,
        onMoved: ({ id }, result) => {
          if (result.kind === 'failed') this.#putOff(id);
          else this.#retries.delete(id);
        },
      },
      this.#after,
      signal,
    );
    this.#after = next ?? '';
    const remaining = await database.run((tx) => countElsewhere(tx, { ...scope, after: '' }));
    this.#isDone = remaining === 0;
    if (this.#isDone) await endConfiguredMigration(database, active);
    return { remaining, moved, failures, isPass: next === null };
  }

  /** Runs rounds until all connections are moved or none of the rest can be: for a process that ends afterwards. */
  async finish(signal: AbortSignal): Promise<MigrationCounts> {
    const failures = new Map<string, MoveFailure>();
    let moved = 0;
    for (;;) {
      const round = await this.round(signal);
      moved += round.moved;
      for (const failure of round.failures) failures.set(failure.connectionId, failure);
      const isOver = signal.aborted || (round.isPass && round.remaining <= failures.size);
      if (isOver)
        return { remaining: round.remaining, moved, failures: [...failures.values()], isPass: true };
      if (round.isPass) await pause(BUSY_POLL_MS, signal);
    }
  }

  #putOff(id: string): void {
    const failures = (this.#retries.get(id)?.failures ?? 0) + 1;
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
    this.#retries.set(id, {
      failures,
      notBeforeMs: this.#parts.clock() + delayMs * (0.5 + Math.random() / 2),
    });
  }
}
