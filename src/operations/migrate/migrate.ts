import type { Worker } from '../../worker/worker.js';
import { countElsewhere } from '../../database/find-pending.js';
import { countUnsent } from '../../database/migration-sources.js';
import type { OperationState } from '../../database/operations.js';
import { ERROR_CODES } from '../../errors.js';
import { pause } from '../../pause.js';
import type { Progress } from '../progress.js';
import { migrateOnce, type MoveFailure, type PassResult } from '../../upkeep/pass.js';
import {
  saveMigration,
  type MigrationProgress,
  type MigrationRecord,
} from '../../upkeep/migration-record.js';
import { deleteSources } from './sources.js';
import { LATE_REQUEST_CLAIMS } from '../../pipeline/claim.js';

export interface MigrateParts {
  readonly worker: Pick<Worker, 'database' | 'ledger' | 'mover' | 'relay' | 'janitor'>;
  readonly record: MigrationRecord;
  /** Connections moved at the same time. */
  readonly concurrency: number;
  /** Whether there is a broker to publish to. */
  readonly publishes: boolean;
  /** How long a claim lasts, milliseconds: others' are waited for. */
  readonly claimMs: number;
  readonly progress: Progress;
}

/** What is passing is tried again so often, and not at once. */
const PASSES = 4;
const BETWEEN_PASSES_MS = 2_000;
const BUSY_POLL_MS = 500;
/** How long what somebody else works on is waited for after the last move, or the last record published. */
const PATIENCE_CLAIMS = 3;
const SAVE_EVERY_MS = 1_000;

/**
 * Moves the connections of one request, publishes what that gives, and deletes what it leaves where that is asked for.
 * Each connection is done or not begun, so it may be stopped, or killed, anywhere: the table `connection` says what is left.
 */
export class Migrate {
  readonly #parts: MigrateParts;
  #progress: MigrationProgress;
  #savedAtMs = 0;

  constructor(parts: MigrateParts) {
    this.#parts = parts;
    this.#progress = parts.record.progress;
  }

  async run(signal: AbortSignal): Promise<MigrationRecord> {
    try {
      await this.#begin();
      await this.#moveAll(signal);
      await this.#publish(signal);
      this.#update({ left: await this.#countLeft() });
      if (this.#mayDelete(signal)) await this.#delete(signal);
    } catch (error) {
      await this.#save('interrupted').catch(() => undefined);
      throw error;
    }
    const state = this.#endState(signal);
    await this.#save(state);
    return { ...this.#parts.record, state, progress: this.#progress };
  }

  get #scope() {
    const { to, from, connectionIds } = this.#parts.record.request;
    return { active: to, from, connectionIds };
  }

  /** What an earlier run has moved counts along; what it could not is tried again. */
  async #begin(): Promise<void> {
    const left = await this.#countLeft();
    const total = Math.max(this.#progress.total, this.#progress.moved + left);
    this.#update({ total, left, failures: [] });
    this.#report();
  }

  #countLeft(): Promise<number> {
    return this.#parts.worker.database.run((tx) => countElsewhere(tx, { ...this.#scope, after: '' }));
  }

  async #moveAll(signal: AbortSignal): Promise<void> {
    let movedAtMs = performance.now();
    for (let pass = 1; !signal.aborted;) {
      const { moved, busy, failures } = await this.#move(signal);
      if (moved > 0) movedAtMs = performance.now();
      const isPassing = failures.some(({ code }) => ERROR_CODES[code].kind === 'transient');
      if (busy > 0 && performance.now() - movedAtMs < PATIENCE_CLAIMS * this.#parts.claimMs) {
        await pause(BUSY_POLL_MS, signal);
        continue;
      }
      if (!isPassing || pass === PASSES) return;
      await pause(BETWEEN_PASSES_MS * pass, signal);
      pass += 1;
    }
  }

  async #move(signal: AbortSignal): Promise<PassResult> {
    const { worker, concurrency } = this.#parts;
    this.#update({ failures: [] });
    const found: MoveFailure[] = [];
    const result = await migrateOnce(
      {
        ledger: worker.ledger,
        mover: worker.mover,
        scope: this.#scope,
        concurrency,
        isPatient: true,
        onMoved: ({ id, name }, moved) => {
          if (moved.kind === 'moved') this.#update({ moved: this.#progress.moved + 1 });
          if (moved.kind === 'failed')
            found.push({ connectionId: id, name, code: moved.code, detail: moved.detail });
          this.#update({ failures: found });
          this.#report();
          void this.#saveSometimes();
        },
      },
      signal,
    );
    this.#update({ failures: result.failures });
    return result;
  }

  async #publish(signal: AbortSignal): Promise<void> {
    const { worker, publishes, claimMs } = this.#parts;
    let publishedAtMs = performance.now();
    for (;;) {
      if (publishes && (await worker.relay.run(signal)) > 0) publishedAtMs = performance.now();
      const unsent = await countUnsent(worker.database);
      this.#update({ unsent });
      // What somebody else holds the claim of, he publishes.
      const isPatient = performance.now() - publishedAtMs < PATIENCE_CLAIMS * claimMs;
      if (unsent === 0 || !publishes || signal.aborted || !isPatient) return;
      await pause(BUSY_POLL_MS, signal);
    }
  }

  #mayDelete({ aborted }: AbortSignal): boolean {
    const { left, unsent } = this.#progress;
    return this.#parts.record.request.deleteSource && !aborted && left === 0 && unsent === 0;
  }

  async #delete(signal: AbortSignal): Promise<void> {
    const { worker, claimMs } = this.#parts;
    const kept = await deleteSources(
      {
        database: worker.database,
        janitor: worker.janitor,
        scope: this.#scope,
        patienceMs: 2 * LATE_REQUEST_CLAIMS * claimMs,
        onDeleted: (count) => {
          this.#update({ deleted: this.#progress.deleted + count });
          this.#report();
        },
      },
      signal,
    );
    this.#update({ kept });
  }

  #endState(signal: AbortSignal): OperationState {
    const { failures, left, unsent } = this.#progress;
    const { deleteSource } = this.#parts.record.request;
    if (left > 0) return failures.length > 0 && !signal.aborted ? 'failed' : 'interrupted';
    const isUnfinished = deleteSource && (unsent > 0 || signal.aborted);
    return isUnfinished ? 'interrupted' : 'done';
  }

  #update(changes: Partial<MigrationProgress>): void {
    this.#progress = { ...this.#progress, ...changes };
    // Events move connections, too, and new ones are not ours to count.
    if (this.#progress.moved > this.#progress.total)
      this.#progress = { ...this.#progress, total: this.#progress.moved };
  }

  #report(): void {
    const { moved, failures, total } = this.#progress;
    this.#parts.progress.report({
      done: Math.min(total, moved + failures.length),
      total,
      failed: failures.length,
    });
  }

  async #saveSometimes(): Promise<void> {
    if (performance.now() - this.#savedAtMs < SAVE_EVERY_MS) return;
    this.#savedAtMs = performance.now();
    await this.#save('running').catch(() => undefined);
  }

  #save(state: OperationState): Promise<void> {
    const { worker, record } = this.#parts;
    return saveMigration(worker.database, record.id, state, this.#progress);
  }
}
