import type { Database } from '../database/database.js';
import { saveIngestionKey, type LastSecured } from '../database/secured-state.js';
import { countTokens, type TokenTable } from '../database/tokens.js';
import { EventError, type ErrorCode } from '../errors.js';
import { pause } from '../pause.js';
import type { SecuredContext } from '../pipeline/outbox.js';
import type { UnderClaim } from '../pipeline/under-claim.js';
import type { VaultBatch } from '../secrets-managers/local/rotate.js';
import type { ManagerName } from '../terms.js';
import type { Progress } from './progress.js';
import { republish } from './republish.js';
import { rotatePage, type RotationKeys } from './rotate-tables.js';
import type { SecuredTokens } from './secured-tokens.js';
import { countTables, type PlaceCounts } from './token-counts.js';

/** The places with tokens, in the order of a rotation. The settings come last: see {@link KeyRotation}. */
export const STEPS = [
  'secret_reference',
  'dead_letter',
  'outbox',
  'local vault',
  'connection.secured',
  'setting',
] as const;
export type Step = (typeof STEPS)[number];

/** How far a rotation has come: all steps before `step` are done, and of `step` everything before `after`. */
export interface RotationPosition {
  readonly step: Step;
  readonly after: string;
}

/** The local vault. It goes through the versions of secrets by their numbers. */
export interface VaultAccess {
  /** The setting whose keys open it. */
  readonly keys: string;
  count(after: number): number;
  rotate(after: number, onBatch: (batch: VaultBatch) => Promise<void>, signal: AbortSignal): Promise<void>;
}

interface RotationParts extends RotationKeys {
  readonly database: Database;
  /** Publishes nothing: a worker's relay does. */
  readonly underClaim: UnderClaim;
  readonly ingestion: { readonly name: string; readonly primaryKeyId: string };
  readonly secured: SecuredTokens;
  /** The context for secured events of connections in this manager. */
  readonly securedContext: (manager: ManagerName) => Promise<SecuredContext>;
  /** Null: there is none. */
  readonly vault: VaultAccess | null;
  /** How long a claim lasts, milliseconds. */
  readonly claimMs: number;
  /** Called with each position from which an interrupted rotation can go on. */
  readonly onPosition: (position: RotationPosition) => Promise<void>;
  readonly progress: Progress;
}

/** The counts of one place after the rotation, and how many tokens were sealed, or events published, anew. */
interface PlaceReport extends PlaceCounts {
  readonly rotated: number;
}

interface RefusedConnection {
  readonly connectionId: string;
  readonly code: ErrorCode;
  readonly detail: string;
}

export interface RotationReport {
  /** Empty if the rotation was interrupted. */
  readonly places: readonly PlaceReport[];
  /** How many tokens this run sealed, and events it published, anew. */
  readonly rotated: number;
  /** Connections that were not published anew, because they name a secret that they may not name. */
  readonly refused: readonly RefusedConnection[];
  /** Whether it was stopped before the end. */
  readonly interrupted: boolean;
  /** Whether nothing is left under an old key, and every token can be opened. */
  readonly complete: boolean;
}

const BUSY_POLL_MS = 250;
/** Workers that still seal with the old key add tokens meanwhile. After this many rounds the rotation stops following. */
const ROUNDS = 3;
const TABLES_BEFORE_SETTINGS = ['secret_reference', 'dead_letter', 'outbox'] as const;

/**
 * Seals everything anew that was sealed with another key than the first of its list. Publishes those connections anew whose
 * last record readers of `connection.secured` could not open with the first key alone. Each page is durable by itself, so
 * the rotation may be stopped, or killed, anywhere and repeated.
 *
 * The settings, with the key check among them, come last. Until then a start with the new key alone is refused
 * (`KEY_MISMATCH`).
 */
export class KeyRotation {
  readonly #parts: RotationParts;
  readonly #rotated = new Map<Step, number>();
  #done = 0;
  #total = 0;
  #vault = { current: 0, unknown: 0 };
  #secured = { current: 0, old: 0 };
  readonly #refused: RefusedConnection[] = [];

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  /** @param from where an interrupted rotation goes on; null: at the beginning */
  async run(from: RotationPosition | null, signal: AbortSignal): Promise<RotationReport> {
    const steps = STEPS.slice(from === null ? 0 : STEPS.indexOf(from.step));
    for (const step of steps) this.#total += await this.#size(step, step === from?.step ? from.after : '');
    this.#advance(0);
    for (const step of steps) {
      if (signal.aborted) break;
      if (step === 'setting' && !(await this.#isAllElseDone(signal))) break;
      await this.#step(step, step === from?.step ? from.after : '', signal);
    }
    return this.#report(signal);
  }

  async #size(step: Step, after: string): Promise<number> {
    const { database, secured, vault } = this.#parts;
    switch (step) {
      case 'local vault':
        return vault?.count(Number(after)) ?? 0;
      case 'connection.secured':
        return secured.count(after);
      case 'secret_reference':
      case 'dead_letter':
      case 'outbox':
      case 'setting':
        return database.run((tx) => countTokens(tx, step, after));
    }
  }

  async #step(step: Step, after: string, signal: AbortSignal): Promise<void> {
    switch (step) {
      case 'local vault':
        return this.#rotateVault(Number(after), signal);
      case 'connection.secured':
        return this.#republishAll(after, signal);
      case 'secret_reference':
      case 'dead_letter':
      case 'outbox':
      case 'setting':
        return this.#rotateTable(step, after, signal);
    }
  }

  async #rotateTable(table: TokenTable, from: string, signal: AbortSignal): Promise<void> {
    const { database, onPosition } = this.#parts;
    const busy: string[] = [];
    for (let after: string | null = from; after !== null && !signal.aborted;) {
      const page = await rotatePage(database, table, this.#parts, after);
      busy.push(...page.busy);
      this.#count(table, page.rotated);
      this.#advance(page.seen);
      after = page.next;
      // A busy connection stays behind. Only a run that begins before it would find it again.
      if (after !== null && busy.length === 0) await onPosition({ step: table, after });
    }
    if (busy.length > 0) await this.#untilFree(table, signal);
  }

  /** Goes through the table again while workers hold claims on some of the connections, for as long as two claims last. */
  async #untilFree(table: TokenTable, signal: AbortSignal): Promise<void> {
    const { database, claimMs } = this.#parts;
    for (const untilMs = performance.now() + 2 * claimMs; performance.now() < untilMs && !signal.aborted;) {
      let isFree = true;
      for (let after: string | null = ''; after !== null && !signal.aborted;) {
        const page = await rotatePage(database, table, this.#parts, after);
        this.#count(table, page.rotated);
        isFree &&= page.busy.length === 0;
        after = page.next;
      }
      if (isFree) return;
      await pause(BUSY_POLL_MS, signal);
    }
  }

  /** Rotates what workers sealed with an old key while other tables were rotated. Says whether nothing is left. */
  async #isAllElseDone(signal: AbortSignal): Promise<boolean> {
    const { database, keys } = this.#parts;
    for (let round = 0; !signal.aborted; round += 1) {
      const counts = await countTables(database, keys, signal, TABLES_BEFORE_SETTINGS);
      const left = TABLES_BEFORE_SETTINGS.filter((_, index) => (counts[index]?.old ?? 0) > 0);
      if (left.length === 0 || round === ROUNDS) return left.length === 0 && this.#secured.old === 0;
      for (const table of left) await this.#rotateTable(table, '', signal);
    }
    return false;
  }

  async #rotateVault(after: number, signal: AbortSignal): Promise<void> {
    const { vault, onPosition } = this.#parts;
    const onBatch = async ({ position, rotated, current, unknown }: VaultBatch): Promise<void> => {
      this.#count('local vault', rotated);
      this.#vault = {
        current: this.#vault.current + current + rotated,
        unknown: this.#vault.unknown + unknown,
      };
      this.#advance(rotated + current + unknown);
      await onPosition({ step: 'local vault', after: String(position) });
    };
    await vault?.rotate(after, onBatch, signal);
  }

  async #republishAll(from: string, signal: AbortSignal): Promise<void> {
    const { secured, database, ingestion, onPosition } = this.#parts;
    let busy: LastSecured[] = [];
    for (let after: string | null = from; after !== null && !signal.aborted;) {
      const { judged, next } = await secured.page(after);
      for (const { last, isCurrent } of judged) {
        if (signal.aborted) break;
        if (isCurrent) this.#secured.current += 1;
        else if (!(await this.#republish(last))) busy.push(last);
        this.#advance(1);
      }
      after = next;
      const isBehindDone = busy.length === 0 && this.#refused.length === 0;
      if (after !== null && isBehindDone) await onPosition({ step: 'connection.secured', after });
    }
    const untilMs = performance.now() + 2 * this.#parts.claimMs;
    while (busy.length > 0 && performance.now() < untilMs && !signal.aborted) {
      await pause(BUSY_POLL_MS, signal);
      const still: LastSecured[] = [];
      for (const last of busy) if (!(await this.#republish(last))) still.push(last);
      busy = still;
    }
    this.#secured.old = busy.length + this.#refused.length;
    if (this.#secured.old === 0 && !signal.aborted)
      await database.transaction((tx) => saveIngestionKey(tx, ingestion.primaryKeyId));
  }

  /**
   * Publishes a connection anew. False: another process holds its claim. If a worker has published a newer revision
   * meanwhile, it used its own first key. If that key is old, the next rotation finds the connection.
   */
  async #republish({ connectionId, manager, revision }: LastSecured): Promise<boolean> {
    if (manager === null) return true;
    const context = await this.#parts.securedContext(manager);
    const result = await republish(this.#parts.underClaim, context, {
      connectionId,
      operation: 'rotated',
      only: (row) => row.revision === revision && row.manager === manager,
    });
    if (result === 'busy') return false;
    if (result instanceof EventError) {
      this.#refused.push({ connectionId, code: result.code, detail: result.message });
      return true;
    }
    if (result === 'done') this.#count('connection.secured', 1);
    this.#secured.current += 1;
    return true;
  }

  async #report(signal: AbortSignal): Promise<RotationReport> {
    const rotated = [...this.#rotated.values()].reduce((sum, count) => sum + count, 0);
    if (signal.aborted) return { places: [], rotated, refused: [], interrupted: true, complete: false };
    const { database, keys, vault, ingestion } = this.#parts;
    const counted: PlaceCounts[] = [
      ...(await countTables(database, keys, signal)),
      ...(vault === null ? [] : [{ place: 'local vault', keys: vault.keys, old: 0, ...this.#vault }]),
      { place: 'connection.secured', keys: ingestion.name, unknown: 0, ...this.#secured },
    ];
    const places = counted.map((counts) => ({
      ...counts,
      rotated: this.#rotated.get(counts.place as Step) ?? 0,
    }));
    const complete = places.every(({ old, unknown }) => old === 0 && unknown === 0);
    return { places, rotated, refused: this.#refused, interrupted: false, complete };
  }

  /** The total grows with tables that are gone through again, and with rows that workers add. */
  #advance(by: number): void {
    this.#done += by;
    this.#parts.progress.report({ done: this.#done, total: Math.max(this.#done, this.#total), failed: 0 });
  }

  #count(step: Step, rotated: number): void {
    this.#rotated.set(step, (this.#rotated.get(step) ?? 0) + rotated);
  }
}
