import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditRow, StoredSecretRow } from '../../database/rows.js';
import { WorkerError } from '../../errors.js';
import { sha256Hex } from '../../hash.js';
import { auditRow, type AuditAction } from '../../pipeline/audit.js';
import type { ClaimGuard } from '../../pipeline/claim-guard.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  Decision,
  Ledger,
  LockedState,
} from '../../pipeline/ledger.js';
import { lossHash } from '../../pipeline/loss.js';
import { toReference } from '../../pipeline/references.js';
import type { SecretsManager, StoreCall } from '../../secrets-managers/port.js';
import type { Janitor } from '../janitor.js';
import type { Finding, RepairState } from './finding.js';
import { isRecordedValue } from './judge-store.js';
import { ONCE_RECORDED } from './owned.js';

export interface RepairParts {
  readonly manager: SecretsManager;
  readonly ledger: Ledger;
  readonly guard: ClaimGuard;
  readonly janitor: Janitor;
  readonly fingerprintKey: Buffer;
  readonly graceMs: number;
  /** Who asked for it, for the audit. */
  readonly actor: string;
}

/** How often a connection that somebody works on is asked for, and the pause, milliseconds. */
const BUSY_TRIES = 10;
const BUSY_PAUSE_MS = 200;

/**
 * Repairs what `verify` found in one manager's store. Each repair takes the connection's claim, or its row's lock, and
 * looks again at what it is about to change: by now a worker may have seen to it, or changed it.
 */
export class Repairer {
  readonly #parts: RepairParts;

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** @throws WorkerError what the store or the database does not allow at present */
  async repair(found: Finding, signal: AbortSignal): Promise<RepairState> {
    const { connectionId, secretId } = found;
    if (connectionId === null || secretId === null) return 'open';
    const target = { connectionId, secretId };
    switch (found.kind) {
      case 'tags':
        return this.#putTags(target, signal);
      case 'missing':
      case 'scheduled':
      case 'changed':
        return this.#restore(target, signal);
      case 'unreferenced':
        return this.#retireUnreferenced(target);
      case 'orphan':
        return found.detail === ONCE_RECORDED ? this.#retireOrphan(target) : 'open';
      case 'replaced':
      case 'unrecorded':
      case 'external':
      case 'token':
      case 'unsent':
      case 'denied':
        return 'open';
    }
  }

  /**
   * In doubt from now on: the janitor compares it with the recorded version under the claim, puts that back, or keeps the
   * secret as lost. The same rules, whoever noticed.
   */
  async #restore({ connectionId, secretId }: Target, signal: AbortSignal): Promise<RepairState> {
    const { ledger, janitor, manager } = this.#parts;
    const marked = await this.#claim(connectionId, (state) => {
      const row = this.#settledRow(state, secretId);
      if (row === undefined) return settle({}, 'stale');
      const update = [{ ...row, suspectUntilMs: state.nowMs, updatedAtMs: state.nowMs }];
      return settle({ stored: { update } });
    });
    if (!isApplied(marked)) return 'left';
    await janitor.tidy(connectionId, manager.name, signal);
    let outcome: RepairState = 'left';
    await ledger.claim([
      request(connectionId, (state) => {
        const row = state.stored.find((one) => one.secretId === secretId && this.#isOurs(one));
        const isLost =
          row !== undefined && state.deadLetters.some((head) => head.eventHash === lossHash(row));
        outcome = isLost ? 'lost' : this.#settledRow(state, secretId) === undefined ? 'left' : 'repaired';
        return settle({});
      }),
    ]);
    return outcome;
  }

  async #putTags({ connectionId, secretId }: Target, signal: AbortSignal): Promise<RepairState> {
    const { manager, ledger, guard } = this.#parts;
    const claimed = await this.#claim(connectionId, (state) =>
      this.#settledRow(state, secretId) === undefined
        ? settle({})
        : { kind: 'write', plan: null, changes: {} },
    );
    if (claimed.kind !== 'writing') return 'left';
    const { claim, state } = claimed;
    const call = guard.callWithin(claim, signal);
    if (!(await this.#isRecorded(state, secretId, call)) || manager.store.owned === null) {
      await ledger.settle([{ claim, sentIds: [] }]);
      return 'left';
    }
    const result = await manager.store.owned.tag({ reference: toReference(secretId), connectionId }, call);
    // Of unknown outcome: the claim runs out, the request may still land.
    if (!result.ok && result.error.applied === 'unknown') return 'left';
    const audit = result.ok ? [this.#audit(state, secretId, 'repair', 'our tags put back')] : [];
    await ledger.commit([{ claim, changes: { audit } }]);
    await ledger.settle([{ claim, sentIds: [] }]);
    return result.ok ? 'repaired' : 'left';
  }

  /** Whether the store's current value is the recorded one beyond doubt, whatever its tags say. */
  async #isRecorded(state: LockedState, secretId: string, call: StoreCall): Promise<boolean> {
    const { manager, fingerprintKey } = this.#parts;
    const row = this.#settledRow(state, secretId);
    const field = state.references.find((one) => one.secretId === secretId);
    const [current] = await manager.store.get([{ reference: toReference(secretId) }], call);
    if (row === undefined || field === undefined || current?.ok !== true) return false;
    const isSame = isRecordedValue(fingerprintKey, { row, field }, current.value.value);
    // A version number alone proves nothing: it begins anew with a secret that is made anew.
    return isSame === true && current.value.version === row.version;
  }

  async #retireUnreferenced({ connectionId, secretId }: Target): Promise<RepairState> {
    const result = await this.#claim(connectionId, (state) => {
      const row = this.#settledRow(state, secretId);
      const isUsed = state.references.some((one) => one.secretId === secretId);
      if (row === undefined || isUsed) return settle({}, 'stale');
      const audit = [this.#audit(state, secretId, 'retire', 'no field refers to it')];
      return settle({ stored: { update: [this.#retired(row, state)] }, audit });
    });
    return isApplied(result) ? 'repaired' : 'left';
  }

  async #retireOrphan({ connectionId, secretId }: Target): Promise<RepairState> {
    const { manager } = this.#parts;
    const result = await this.#claim(
      connectionId,
      (state) => {
        const own = state.stored.find((one) => one.secretId === secretId && this.#isOurs(one));
        const others = state.foreign.filter((one) => this.#isOurs(one));
        if ((own !== undefined && own.state !== 'deleted') || others.length > 0) return settle({}, 'stale');
        const row: StoredSecretRow = {
          manager: manager.name,
          secretIdHash: sha256Hex(secretId),
          secretId,
          connectionId,
          state: 'retired',
          epoch: state.nextEpoch,
          version: null,
          suspectUntilMs: null,
          dueAtMs: null,
          updatedAtMs: state.nowMs,
        };
        const retired = this.#retired(row, state);
        const audit = [this.#audit(state, secretId, 'retire', 'an orphan in the store')];
        return settle({
          audit,
          stored:
            own === undefined ? { insert: [retired] } : { revive: [{ row: retired, from: connectionId }] },
        });
      },
      [secretId],
    );
    return isApplied(result) ? 'repaired' : 'left';
  }

  #settledRow({ stored }: LockedState, secretId: string): StoredSecretRow | undefined {
    return stored.find(
      (row) =>
        row.secretId === secretId && this.#isOurs(row) && row.state === 'live' && row.suspectUntilMs === null,
    );
  }

  #isOurs({ manager }: StoredSecretRow): boolean {
    return manager === this.#parts.manager.name;
  }

  #retired(row: StoredSecretRow, { nowMs, nextEpoch }: LockedState): StoredSecretRow {
    const dueAtMs = nowMs + this.#parts.graceMs;
    return { ...row, state: 'retired', epoch: nextEpoch, dueAtMs, updatedAtMs: nowMs };
  }

  #audit(
    { nowMs, references, connection }: LockedState,
    secretId: string,
    action: AuditAction,
    detail: string,
  ): AuditRow {
    const path = references.find((row) => row.secretId === secretId)?.path ?? null;
    const { actor } = this.#parts;
    return auditRow({
      atMs: nowMs,
      action,
      actor,
      connectionId: connection.id,
      path,
      secretId,
      eventId: null,
      detail,
    });
  }

  async #claim(
    connectionId: string,
    decide: (state: LockedState) => Decision<null>,
    secretIds: readonly string[] = [],
  ): Promise<ClaimResult<null>> {
    for (let tries = 1; ; tries += 1) {
      const [result] = await this.#parts.ledger.claim<null>([request(connectionId, decide, secretIds)]);
      if (result === undefined) throw new WorkerError('INTERNAL', 'the ledger gave no answer');
      if (result.kind !== 'busy' || tries === BUSY_TRIES) return result;
      await sleep(BUSY_PAUSE_MS);
    }
  }
}

function isApplied(result: ClaimResult<null>): boolean {
  return result.kind === 'settled' && result.outcome.name === 'applied';
}

interface Target {
  readonly connectionId: string;
  readonly secretId: string;
}

function request(
  connectionId: string,
  decide: (state: LockedState) => Decision<null>,
  secretIds: readonly string[] = [],
): ClaimRequest<null> {
  return { connectionId, eventHash: null, secretIds: () => secretIds, decide };
}

function settle(changes: Changes, name: 'applied' | 'stale' = 'applied'): Decision<null> {
  return { kind: 'settle', outcome: { name, code: null }, changes };
}
