import type { Worker } from '../../worker/worker.js';
import { countElsewhere, countUnsent } from '../../database/find-pending.js';
import { countSources, endGraceOfSources } from '../../database/migration-sources.js';
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
import { LATE_REQUEST_CLAIMS } from '../../pipeline/claim.js';

interface MigrateParts {
  readonly worker: Pick<Worker, 'database' | 'ledger' | 'mover' | 'relay' | 'janitor'>;
  readonly record: MigrationRecord;
  /** How many connections are moved at the same time. */
  readonly concurrency: number;
  /** Whether there is a broker to publish to. */
  readonly publishes: boolean;
  /** How long a claim lasts, milliseconds. The migration waits for claims of other processes. */
  readonly claimMs: number;
  readonly progress: Progress;
}

/** How many passes over the connections there are if some fail with a transient error. The pauses between them grow. */
const PASSES = 4;
const BETWEEN_PASSES_MS = 2_000;
const BUSY_POLL_MS = 500;
/** How long to wait, in claims, for connections of other processes after the last move or the last published record. */
const PATIENCE_CLAIMS = 3;
const SAVE_EVERY_MS = 1_000;
const SOURCES_POLL_MS = 1_000;

/**
 * Moves the connections of one request and publishes their new states. If the request says so, it also deletes the sources
 * in the former managers. It moves each connection completely or not at all, so it may be stopped, or killed, anywhere: the
 * table `connection` says what is left.
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

  /** Counts what an earlier run moved. The failures of that run are tried again. */
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
      const isTransient = failures.some(({ code }) => ERROR_CODES[code].kind === 'transient');
      if (busy > 0 && performance.now() - movedAtMs < PATIENCE_CLAIMS * this.#parts.claimMs) {
        await pause(BUSY_POLL_MS, signal);
        continue;
      }
      if (!isTransient || pass === PASSES) return;
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
      const unsent = await worker.database.run(countUnsent);
      this.#update({ unsent });
      // A process that holds a claim publishes the connection's records itself.
      const isPatient = performance.now() - publishedAtMs < PATIENCE_CLAIMS * claimMs;
      if (unsent === 0 || !publishes || signal.aborted || !isPatient) return;
      await pause(BUSY_POLL_MS, signal);
    }
  }

  #mayDelete({ aborted }: AbortSignal): boolean {
    const { left, unsent } = this.#progress;
    return this.#parts.record.request.deleteSource && !aborted && left === 0 && unsent === 0;
  }

  /**
   * Deletes the sources: what former managers still have of connections whose move is published. The grace of these secrets
   * ends now, and the janitor deletes them under each connection's claim. A name that a reference still uses stays. A name
   * in doubt goes when no late request can write to it any more.
   */
  async #delete(signal: AbortSignal): Promise<void> {
    const { worker, claimMs } = this.#parts;
    const { database, janitor } = worker;
    await endGraceOfSources(database, this.#scope);
    const patienceMs = 2 * LATE_REQUEST_CLAIMS * claimMs;
    let deletedAtMs = performance.now();
    for (;;) {
      const { deleted } = await janitor.run(signal);
      if (deleted > 0) deletedAtMs = performance.now();
      this.#update({ deleted: this.#progress.deleted + deleted });
      this.#report();
      const { pending, all } = await countSources(database, this.#scope);
      this.#update({ kept: all });
      if (pending === 0 || signal.aborted || performance.now() - deletedAtMs > patienceMs) return;
      if (deleted === 0) await pause(SOURCES_POLL_MS, signal);
    }
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
    // A worker moves a connection with its next event, too, so more may be moved than were left at the start.
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
